"""How well a model hears and plays a recording whose notes are known: one file by one model."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data import representations
from data.audio import SILENCE, Audio
from data.labels import VELOCITY, Labels
from data.notes import Notes
from data.recordings import Pair, Reference, reference, sounding
from data.representations import NSGTMagnitude
from data.transcription import SHORTEST, transcribe
from data.transposition import bands_a_semitone, shifted
from models import baselines
from models.aligned_summary import FileScores
from models.base import LatentModel
from models.rendering import Piece, Player
from models.run_config import read_run
from models.runs import load_run
from models.systems import SYSTEMS
from utils import note_metrics
from utils.config import InputError
from utils.note_metrics import Matches, Sheet

log = logging.getLogger(__name__)

CHUNK = 2048  # frames that are translated at once
AUTO, ASKED = "auto", 512  # frames on which tunings are tried
NOTE = "note"  # the score of octave and pitch together
CLASSIFIER = "pca_mlp"  # the direct network that is scored beside a run


def load(run: Path, device: torch.device, weights: str | None, iterations: int) -> Player:
    """Return the model of a run, ready to hear and play.

    Raises
    ------
    InputError : no whole run, or one that does not know both sound and notes.
    """
    player = Player(load_run(run, device, weights), iterations)
    for modality in ("signal", "symbol"):
        if modality not in player.model.representations:
            known = ", ".join(player.model.representations)
            raise InputError(f"{run}: knows no {modality}, only {known}; give a run that has both signal and symbol")
    if not player.representation("symbol").pitched:
        raise InputError(f"{run}: names no pitch, so there is nothing to hold against MIDI; give a run with the label pitch")
    return player


def load_classifier(run: Path, player: Player) -> LatentModel | None:
    """Return the direct network from signal to symbol that lies beside a run; None, with a warning, where there is none."""
    system, _, fingerprints = read_run(run)
    networks = SYSTEMS[system].baselines(player.model)
    try:
        if CLASSIFIER not in networks:
            raise InputError(f"{run}: its system has no {CLASSIFIER}")
        of = baselines.record(CLASSIFIER, player.model, fingerprints)
        return baselines.load(networks[CLASSIFIER], of, baselines.folder(run, CLASSIFIER), player.device)
    except InputError as error:
        log.warning("no classifier is scored: %s", error)
        return None


@dataclass(frozen=True)
class Heard:
    """A recording of N frames as a model hears it."""

    seconds: float
    cents: float  # by which the recording was taken to be too high; `frames` are without it
    frames: Tensor  # (N, F) linear magnitudes
    pieces: tuple[Piece, ...]  # the latents
    notes: Notes  # the transcription


def listen(player: Player, path: Path, tuning: str | float = 0.0) -> Heard:
    """Return a recording as the model of `player` hears it.

    Parameters
    ----------
    tuning : cents by which the recording is too high, or "auto" for what `most_familiar` says.

    Raises
    ------
    InputError : no such audio, or it is silent or too short for a note.
    """
    signal, labels = player.representation("signal"), player.representation("symbol")
    sound = Audio.load(path, signal.sample_rate)
    shortest = SHORTEST / signal.frame_rate
    if sound.duration < shortest:
        raise InputError(f"{path}: lasts {1000 * sound.duration:.0f} ms, a note at least {1000 * shortest:.0f} ms; give more of it")
    if sound.silent:
        raise InputError(f"{path}: is silent, it peaks below {20 * math.log10(SILENCE):.0f} dB; give a recording with sound")
    frames, level = map(torch.cat, zip(*signal.listen([sound.samples]), strict=True))
    cents = most_familiar(player, frames) if tuning == AUTO else float(tuning)
    frames = lowered(frames, cents, signal)
    record: list[tuple[np.ndarray, ...]] = []
    pieces = tuple(player.listened(map(representations.Heard, frames.split(CHUNK), level.split(CHUNK)), record))
    ids, confidence, level = map(np.concatenate, zip(*record, strict=True))
    return Heard(sound.duration, cents, frames, pieces, transcribe(labels, ids, confidence, level))


def lowered(frames: Tensor, cents: float, signal: NSGTMagnitude) -> Tensor:
    """Return frames (N, F) lower by so many cents.

    Raises
    ------
    InputError : the scale is not in octaves.
    """
    if not cents:
        return frames
    return shifted(frames, torch.full((len(frames),), -cents / 100 * bands_a_semitone(signal, "--tuning shifts")))


def most_familiar(player: Player, frames: Tensor) -> float:
    """Return the cents by which frames (N, F) are to be lowered so that the model reconstructs them best.

    What counts is the tuning of the corpus that the model has learned, which need not be that of A4 = 440 Hz. Tried are shifts by
    whole bands, which blur nothing, of less than 50 cents; asked are frames within 30 dB of the loudest, 512 at most, evenly
    spread; not the notes. 0 where the scale is not in octaves.
    """
    signal = player.representation("signal")
    if signal.scale != "octave":
        return 0.0
    energy = frames.square().sum(1)
    loud = frames[energy >= energy.max() * 1e-3]
    some = loud[:: -(-len(loud) // ASKED)]
    band = 100 / bands_a_semitone(signal, "--tuning shifts")  # cents
    most = math.ceil(50 / band - 1e-3) - 1
    distances = {}
    for cents in (band * k for k in sorted(range(-most, most + 1), key=abs)):  # of equals the smallest wins
        x = lowered(some, cents, signal)
        rebuilt = translated(player.model, x, "signal", "signal", player.device)
        distances[cents] = signal.compare(x, rebuilt)["log_spectral_distance_db"].mean().item()
    return round(min(distances, key=distances.__getitem__), 1)


def read(player: Player, pair: Pair, tuning: str | float) -> tuple[Heard, Reference]:
    """Return a recording as the model hears it, and what its MIDI file says.

    Raises
    ------
    InputError : one of them cannot be used.
    """
    notes = Notes.load(pair.midi)
    heard = listen(player, pair.audio, tuning)
    try:
        return heard, reference(player.representation("symbol"), notes, len(heard.frames))
    except InputError as error:
        raise InputError(f"{pair.midi}: {error}") from None


# -- scores of one file -----------------------------------------------------------------------------------------------


def score(player: Player, heard: Heard, truth: Reference, tolerance: float, classifier: LatentModel | None = None) -> FileScores:
    """Return the scores of one file.

    Parameters
    ----------
    tolerance : s between onsets of notes that match.
    classifier : a direct network from signal to symbol, to be scored beside the model.
    """
    labels, device = player.representation("symbol"), player.device
    notes = sheet(labels, truth.notes)
    result = FileScores(
        truth.counts(),
        note_matches(labels, truth, heard.notes, tolerance),
        _voicing(labels, heard, truth),
        note_metrics.onset_deviations(notes, sheet(labels, heard.notes)),
    )
    rows = truth.playable
    frames, ids, result.group = heard.frames[rows], truth.ids[rows], truth.group[rows]
    for name, model in {"transcription": player.model, "classifier": classifier}.items():
        if model is not None:
            result.values[name] = class_scores(labels, ids, translated(model, frames, "signal", "symbol", device), notes.dynamic)
    distances, result.gain_db = _distances(player, frames, ids)
    result.values |= distances
    return result


def translated(model: LatentModel, x: Tensor, source: str, target: str, device: torch.device) -> Tensor:
    """Return what `model` makes of `x` (N, *shape), on the CPU, in pieces that fit into memory."""
    shape = model.representations[target].shape
    parts = [model.transfer(part.to(device), source, target).cpu() for part in x.split(CHUNK)] if len(x) else []
    return torch.cat(parts) if parts else torch.zeros(0, *shape)


def class_scores(labels: Labels, true: Tensor, named: Tensor, dynamic: bool) -> dict[str, Tensor]:
    """Return whether classes are right, (N,) by label, "note" for octave and pitch together; nothing for what notes do not tell.

    Parameters
    ----------
    true, named : (N, I, L) class ids.
    dynamic : whether the notes tell dynamics.
    """
    found = _compared(labels, ("octave", "pitch"), true, named)
    result = {name.replace("all", NOTE): values for name, values in found.items()}
    if "dynamics" not in dict(labels.classes):
        return result
    with_dynamics = _compared(labels, ("octave", "pitch", "dynamics"), true, named)
    told = {name: values for name, values in with_dynamics.items() if name.startswith("dynamics")}
    return result | {name: values if dynamic else values[:0] for name, values in told.items()}


def _compared(labels: Labels, wanted: Sequence[str], true: Tensor, named: Tensor) -> dict[str, Tensor]:
    places = [place for place, (label, _) in enumerate(labels.classes) if label in wanted]
    kept = replace(labels, classes=tuple(labels.classes[place] for place in places))
    if not len(true):  # the names of the scores, and no values
        none = torch.zeros(1, len(labels.instruments), len(places), dtype=torch.long)
        return {name: values[:0] for name, values in kept.compare(none, none).items()}
    return kept.compare(true[..., places], named[..., places])


def _distances(player: Player, frames: Tensor, ids: Tensor) -> tuple[dict[str, dict[str, Tensor]], float]:
    """Return the distances of what is decoded to the frames (P, F), as it is and as loud as these in all, and that gain in dB."""
    signal, model, device = player.representation("signal"), player.model, player.device
    played = translated(model, ids, "symbol", "signal", device)
    gain = (frames.square().sum() / played.square().sum().clamp_min(1e-12)).sqrt() if len(frames) else torch.ones(())
    versions = {
        "signal_to_signal": translated(model, frames, "signal", "signal", device),
        "symbol_to_signal": played,
        "symbol_to_signal_level_matched": gain * played,
    }
    return {name: signal.compare(frames, version) for name, version in versions.items()}, 20 * math.log10(max(gain.item(), 1e-9))


def sheet(labels: Labels, notes: Notes) -> Sheet:
    """Return what labels can tell of notes: without octaves all are of one, without dynamics all are equally loud."""
    told = labels.pitch(labels.ids(notes))  # -1 where a note is none of the tables'
    velocity = notes.velocity if "dynamics" in dict(labels.classes) else np.full(len(notes), VELOCITY)
    return Sheet(notes.onset, notes.offset, np.where(told < 0, notes.pitch, told), velocity)


def note_matches(labels: Labels, truth: Reference, notes: Notes, tolerance: float) -> dict[str, Matches | None]:
    """Return the matches of notes, whoever plays them; for several instruments also by onset with the right one playing."""
    first, second = sheet(labels, truth.notes), sheet(labels, notes)
    result = note_metrics.matches(first, second, tolerance)
    if len(labels.instruments) > 1:
        owners = zip(truth.parts, [notes.track == i for i in range(len(labels.instruments))], strict=True)
        right = sum(len(note_metrics.pairs(sheet(labels, part), second.take(own), tolerance)) for part, own in owners)
        result["onset_instrument"] = Matches(right, len(truth.notes), len(notes))
    return result


def _voicing(labels: Labels, heard: Heard, truth: Reference) -> dict[str, tuple[int, int]]:
    voiced = sounding(heard.notes, len(truth.kind), labels.rate) > 0
    parts = {"recall": voiced[~truth.silent], "false_alarm": voiced[truth.silent]}
    return {name: (int(part.sum()), len(part)) for name, part in parts.items()}


def facts(pair: Pair, heard: Heard, truth: Reference) -> dict[str, Any]:
    """Return what a file is."""
    notes = {"reference": len(truth.notes), "playable": sum(map(len, truth.parts)), "transcribed": len(heard.notes)}
    about = {"audio": str(pair.audio), "midi": str(pair.midi), "seconds": heard.seconds, "midi_seconds": truth.notes.duration}
    return about | {"tuning_cents": heard.cents, "note_counts": notes}
