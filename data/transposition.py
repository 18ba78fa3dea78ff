"""Transposition of spectra and their labels: on an octave scale a transposed sound is a shifted spectrum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.notes import PITCH_CLASSES
from data.representations import NSGTMagnitude
from utils.config import InputError


@dataclass(frozen=True)
class Transposition:
    """Shift frames by a random whole number of semitones, with their labels, and by a random fraction, without.

    It shows the model each pitch through its neighbours too, so that a note whose pitch was never recorded at that dynamics is
    still named right. Formants move along with the pitch, which is small over one or two semitones.
    """

    semitones: int  # the largest shift that labels follow
    cents: float  # the largest shift that they do not
    bands: float  # bands a semitone
    pitch: int | None  # the place of the label among the L, if any
    octave: int | None
    n_octaves: int

    @classmethod
    def of(cls, semitones: int, cents: float, transform: NSGTMagnitude, classes: Mapping[str, Sequence[str]]) -> "Transposition":
        """Return the transposition of spectra of `transform` with the labels of `classes`.

        Raises
        ------
        InputError : the scale is not in octaves, or the labels name a pitch class or an octave without the other.
        """
        bands = bands_a_semitone(transform, "--transpose and --detune shift")
        places = {label: list(classes).index(label) for label in ("pitch", "octave") if label in classes}
        if semitones and len(places) == 1:
            raise InputError(f"--transpose {semitones}: needs both labels, pitch and octave, or neither")
        return cls(semitones, cents, bands, places.get("pitch"), places.get("octave"), len(classes.get("octave", ())))

    def __call__(self, signal: Tensor, symbol: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return transposed magnitudes (B, F) and class ids (B, L); where a label would leave its table, both stay."""
        n = len(signal)
        steps = torch.randint(-self.semitones, self.semitones + 1, (n,), generator=random)
        cents = self.cents * (2 * torch.rand(n, generator=random) - 1)
        symbol, steps = self._label(symbol, steps)
        return shifted(signal, self.bands * (steps + cents / 100)), symbol

    def _label(self, symbol: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        if self.pitch is None or not self.semitones:
            return symbol, steps
        above_c = (symbol[:, self.pitch] + PITCH_CLASSES.index("A") - PITCH_CLASSES.index("C")) % len(PITCH_CLASSES)
        height = 12 * symbol[:, self.octave] + above_c  # semitones above C0
        steps = torch.where((height + steps >= 0) & (height + steps < 12 * self.n_octaves), steps, 0)
        height = height + steps
        moved = symbol.clone()
        moved[:, self.octave] = height // 12
        moved[:, self.pitch] = (height + PITCH_CLASSES.index("C")) % 12
        return moved, steps


def bands_a_semitone(transform: NSGTMagnitude, purpose: str) -> float:
    """Return the bands that make up a semitone; `purpose` says in an error who shifts them.

    Raises
    ------
    InputError : the scale is not in octaves.
    """
    if transform.scale != "octave":
        raise InputError(f"{purpose} bands and need --scale octave, not {transform.scale}")
    lowest, highest = transform.frequencies[[0, -1]]
    return (transform.shape[0] - 1) / (12 * torch.tensor(highest / lowest).log2().item())


def shifted(signal: Tensor, bands: Tensor) -> Tensor:
    """Return magnitudes (B, F) moved up by `bands` (B,), interpolated linearly; the edge bands fill what comes free."""
    last = signal.shape[1] - 1
    place = (torch.arange(last + 1) - bands[:, None]).clamp(0, last)
    below = place.floor().long().clamp(max=last - 1)
    return torch.lerp(signal.gather(1, below), signal.gather(1, below + 1), place - below)
