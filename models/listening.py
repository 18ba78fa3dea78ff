"""What is heard of the sounds that a model makes from symbols: their pitch, by an independent estimator, and their loudness."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from data.notes import velocities_of
from data.representations import NSGTMagnitude
from data.transcription import levels
from models.base import LatentModel
from models.evaluation import Estimate, Scores, estimate
from utils import metrics
from utils.cli import progress
from utils.pitch import IN_TUNE, cents_between, fundamental, hertz_of

HELD = 1.0  # s that a generated note sounds
OCTAVE = 12  # semitones below an instrument's lowest note in which a pitch is still looked for


@dataclass(frozen=True)
class Generated:
    """One note that a model has made from its labels."""

    instrument: str
    note: str  # in words, as ``A4:mf``
    asked: int  # MIDI pitch
    hertz: float | None  # what is heard, None where no pitch is
    cents: float | None  # how far that is above what was asked


@dataclass(frozen=True)
class Loudness:
    """Levels of one pitch of an instrument in all its dynamics, soft to loud."""

    instrument: str
    note: str
    levels: tuple[float, ...]  # dB, A-weighted


@dataclass(frozen=True)
class Listened:
    """What was heard."""

    notes: list[Generated]
    loudness: list[Loudness]
    dynamics: tuple[str, ...]

    def estimates(self, seed: int) -> dict[str, Estimate]:
        """Return the share of notes within 50 cents, and the share of pairs of dynamics of one pitch in the right order."""
        cents = torch.tensor([np.nan if note.cents is None else note.cents for note in self.notes])
        each = torch.arange(len(self.notes))[:, None]
        found = {"within_50_cents": estimate(Scores((cents.abs() <= IN_TUNE).double(), each), seed)} if len(cents) else {}
        if self.loudness and len(self.dynamics) > 1:
            share = metrics.concordance(torch.tensor([pitch.levels for pitch in self.loudness]))
            share = share[~share.isnan()]  # a pitch of one dynamics has no order
            if len(share):
                found["loudness_order"] = estimate(Scores(share, torch.arange(len(share))[:, None]), seed)
        return found

    def json(self) -> dict:
        """Return every note and level as JSON values."""
        return {
            "dynamics": list(self.dynamics),
            "notes": [asdict(note) for note in self.notes],
            "loudness": [asdict(pitch) for pitch in self.loudness],
        }


@torch.no_grad()
def listen(model: LatentModel, symbols: Tensor, iterations: int) -> Listened:
    """Let a model with the modalities signal and symbol play the notes among `symbols` (N, I, L), each instrument alone.

    Of a mixture that was never shown a silent source nothing can be played alone, and nothing is; nor where labels tell no octave.
    """
    signal, labels = model.representations["signal"], model.representations["symbol"]
    tables, notes, loudness = dict(labels.classes), [], []
    dynamics = tables.get("dynamics", ())
    rising = np.argsort(velocities_of(dynamics), kind="stable")  # a corpus may list its dynamics in any order
    dynamics = tuple(dynamics[k] for k in rising)
    if not {"pitch", "octave"} <= set(tables) or (len(labels.instruments) > 1 and not labels.silence):
        return Listened([], [], dynamics)
    for i, instrument in enumerate(labels.instruments):
        ids = symbols[labels.sounding(symbols)[:, i], i].unique(dim=0)
        ids = ids[torch.from_numpy(labels.pitch(ids.numpy()) >= 0)] if len(ids) else ids
        if not len(ids):
            continue
        lowest, spectra = hertz_of(labels.pitch(ids.numpy()).min() - OCTAVE), played(model, ids, i)
        for row, spectrum in zip(progress(ids, desc=f"listening to {instrument}", unit="note"), spectra, strict=True):
            notes.append(_generated(labels, signal, instrument, row, spectrum, lowest, iterations))
        if dynamics:
            loudness += _loudness(model, i, ids, rising)
    return Listened(notes, loudness, dynamics)


def played(model: LatentModel, ids: Tensor, instrument: int) -> Tensor:
    """Return the magnitudes (N, F) that a model makes of ids (N, L) of one instrument while all others are silent."""
    labels = model.representations["symbol"]
    alone = torch.tensor(labels.silent_ids).repeat(len(ids), len(labels.instruments), 1)
    alone[:, instrument] = ids
    device = model.device
    return model.transfer(alone.to(device), "symbol", "signal").cpu()


def _generated(
    labels: Labels, signal: NSGTMagnitude, instrument: str, ids: Tensor, spectrum: Tensor, lowest: float, iterations: int
) -> Generated:
    sound = signal.invert(spectrum.expand(round(HELD * signal.frame_rate), -1), iterations)
    asked, hertz = int(labels.pitch(ids.numpy())), fundamental(sound.samples, sound.sample_rate, lowest)
    cents = None if hertz is None else round(cents_between(hertz_of(asked), hertz), 1)
    return Generated(instrument, labels.word(ids.tolist()), asked, hertz and round(hertz, 2), cents)


def _loudness(model: LatentModel, instrument: int, ids: Tensor, rising: np.ndarray) -> Sequence[Loudness]:
    """Return the levels of each pitch among ids (N, L) in the dynamics `rising` (K,); NaN in those that none of them has."""
    signal, labels, count = model.representations["signal"], model.representations["symbol"], len(rising)
    place = [label for label, _ in labels.classes].index("dynamics")
    others = ids.clone()
    others[:, place] = 0
    pitches = others.unique(dim=0)
    every = pitches.repeat_interleave(count, 0)
    every[:, place] = torch.arange(count).repeat(len(pitches))
    heard = levels(played(model, every, instrument).numpy(), signal.frequencies, signal.full_scale).reshape(-1, count)
    heard[:, np.setdiff1d(np.arange(count), ids[:, place])] = np.nan  # the model may never have met them
    words = [labels.word(row).partition(":")[0] for row in pitches.tolist()]
    name = labels.instruments[instrument]
    return [
        Loudness(name, word, tuple(round(float(db), 2) for db in row)) for word, row in zip(words, heard[:, rising], strict=True)
    ]
