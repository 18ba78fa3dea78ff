"""Recorded notes as a model hears them: their latents, their sound through the model, and paths drawn among known instruments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.instruments import Note
from data.labels import Labels
from data.notes import Notes
from data.transcription import FLOOR_DB, levels, write_table
from models import recorded
from models.atlas import AXES, Atlas
from models.base import LatentModel
from models.rendering import AUDIBLE, Player, as_it_is, write_sound
from utils.config import InputError
from utils.play_figures import Picture, spectrograms_and_roll
from utils.space_figures import path_sheet

SPECTRA = 8  # that are drawn of a path
LONGEST = 80  # characters of a file's name
NAMING = ("instrument", "pitch", "octave", "dynamics")


@dataclass(frozen=True, eq=False)
class Encoded:
    """A note, and what a model makes of its frames; those below -80 dB do not sound."""

    note: Note
    frames: Tensor  # (N, F) linear magnitudes
    level: Tensor  # (N,) dB, A-weighted
    z: Tensor  # (N, Z), on the CPU
    condition: Tensor | None  # (C,) what the model was told of it

    @property
    def peak(self) -> int:
        """Return the number of the frame of most energy."""
        return int(self.frames.double().square().sum(1).argmax())

    @property
    def sounding(self) -> slice:
        """Return the frames from the first that sounds to the last."""
        there = torch.nonzero(self.level >= FLOOR_DB)[:, 0]
        return slice(int(there[0]), int(there[-1]) + 1)

    def trained_on(self, model: LatentModel) -> Tensor:
        """Return the latents (n, Z) of those frames that the model's training takes of notes."""
        return self.z[recorded.trained_on(model, self.frames)]


def encode(player: Player, note: Note, condition: Tensor | None = None) -> Encoded:
    """Return a note as the model hears it, told `condition` (C,) or what the note's own labels say.

    Raises
    ------
    InputError : it cannot be read, is silent, or the run does not know a label that it is told.
    """
    frames, signal = recorded.frames(player.model, note), player.representation("signal")
    level = torch.from_numpy(levels(frames.numpy(), signal.frequencies, signal.full_scale))
    if not (level >= FLOOR_DB).any():
        raise InputError(f"{note.path}: is silent, no frame is above {FLOOR_DB:g} dB; give a recording with sound")
    told = recorded.told(player.model, note.labels) if condition is None else condition
    z = replace(player, condition=told).latents(frames, "signal", [()]).cpu()
    return Encoded(note, frames, level, z, told)


def told(note: Note, labels: Sequence[str] = NAMING) -> str:
    """Return what a note is, in words: cello A#3 f."""
    words = {label: note.labels[label] for label in labels if label in note.labels}
    if "octave" in words:
        words["pitch"] += words.pop("octave")
    return " ".join(words.values())


def file_word(text: str) -> str:
    """Return a text as a part of a file's name: cello_As3_f."""
    plain = re.sub(r"[^\w+.-]+", "-", text.replace("#", "s").replace(" ", "_"))
    return plain.lstrip(".-")[:LONGEST] or "note"


def write_note(player: Player, known: Encoded, target: Path, graphs: bool | int) -> list[str]:
    """Write what becomes of a note: `target` with .wav, _original.wav, .csv and, where wanted, .pdf; return their names.

    The original too goes through phase retrieval, so that the two compare.
    """
    signal, labels = player.representation("signal"), player.model.representations.get("symbol", Labels((), (), False, 1.0))
    heard, played, record = Picture(), Picture(), []
    own, seconds = replace(player, condition=known.condition), len(known.frames) / signal.frame_rate
    path = own.path(known.z, (known.level >= FLOOR_DB).float(), record)
    sounds = {
        ".wav": own.sound([path], [played]),
        "_original.wav": signal.synthesise(heard.watching([known.frames]), player.iterations),
    }
    for end, sound in sounds.items():
        write_sound(Path(f"{target}{end}"), sound, signal.sample_rate, seconds, AUDIBLE)
    ids, confidence, level = map(np.concatenate, zip(*record, strict=True))
    columns = {"original_db": known.level.numpy(), "level_db": level, **numbered(known.z)}
    write_table(Path(f"{target}.csv"), labels, ids, confidence, columns, signal.frame_rate)
    if not graphs:
        return [f"{target}{end}" for end in (*sounds, ".csv")]
    images = {"original": heard.image, "reconstruction": played.image}
    spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(Notes.empty()), (), seconds)
    return [f"{target}{end}" for end in (*sounds, ".csv", ".pdf")]


def numbered(z: Tensor) -> dict[str, np.ndarray]:
    """Return latents (N, Z) as columns of a table, z1 to zZ."""
    return {f"z{number}": column for number, column in enumerate(z.cpu().numpy().T, 1)}


def places(atlas: Atlas, z: Tensor) -> np.ndarray:
    """Return the coordinates (N, 3) of latents (N, Z) on the principal axes; 0 on those that a small latent lacks."""
    found = atlas.project(z.cpu()).numpy()
    return np.pad(found, ((0, 0), (0, AXES - found.shape[1])))


def draw_path(player: Player, atlas: Atlas, z: Tensor, title: str, target: Path, condition: Tensor | None = None) -> list[str]:
    """Draw a path (N, Z) among the instruments, and eight spectra along it, told `condition` (N, C): `target`_path.png."""
    steps = torch.linspace(0, len(z) - 1, SPECTRA).round().long()
    told = None if condition is None else condition[steps]
    spectra = next(player.magnitudes([as_it_is(z[steps].to(player.device), condition=told)])).numpy()
    means = dict(zip(atlas.names, places(atlas, atlas.centroids), strict=True))
    drawn = Path(f"{target}_path.png")
    path_sheet(means, places(atlas, z), spectra, player.representation("signal").frequencies, [drawn], title)
    return [str(drawn)]
