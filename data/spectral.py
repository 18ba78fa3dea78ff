"""Sound by windows of one length, to compare with the non-stationary Gabor transform: Fourier and cosine magnitudes.

Both look through windows of 40 ms every 10 ms, as the baselines do of P. Esling, A. Chemla--Romeu-Santos, A. Bitton, "Generative
timbre spaces: regularizing variational auto-encoders with perceptual metrics", DAFx 2018, table 1. Windows are Hann's and not, as
there, Hamming's: those end in a step, and so do sounds that are made of magnitudes through them, which clicks at every window.

Letters: N frames, F bands, M windows in time, S samples, K samples already known, R samples of a window, P times the length to
which windows are padded with zeros.
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data import phase
from data.representations import BLOCK, CONTEXT, SUBFRAMES, NSGTMagnitude, SoundRepresentation
from utils.config import InputError

WINDOW, STEP = 0.040, 0.010  # s, of a window and from one to the next
POINTS = 3  # windows that are averaged into one frame, 33.3 a second
KINDS = ("nsgt-octave", "nsgt-mel", "nsgt-erb", "stft", "dct")


def transform(
    kind: str, sample_rate: int = 22050, fmin: float = 30.0, fmax: float = 11000.0, bins_per_octave: int = 48
) -> SoundRepresentation:
    """Return the representation of sound that `KINDS` calls so; stft and dct have no use for `fmin` and `bins_per_octave`.

    Raises
    ------
    InputError : there is none of that name.
    """
    if kind not in KINDS:
        raise InputError(f"The transform {kind!r} is not known; choose one of {', '.join(KINDS)}.")
    family, _, scale = kind.partition("-")
    if family == "nsgt":
        return NSGTMagnitude(sample_rate, fmin, fmax, bins_per_octave, scale)
    return STFTMagnitude(sample_rate, fmax) if family == "stft" else DCTSpectrum(sample_rate, fmax)


@dataclass(frozen=True)
class _Windowed(SoundRepresentation):
    """Magnitudes of equally spaced bands from the first above 0 Hz up to `fmax`.

    A frame is the mean modulus over three windows; at the defaults 660 samples, 33.4 frames/s, and a sine of amplitude 1 has a
    modulus of 33.
    """

    fmax: float = 11000.0  # Hz
    scale: ClassVar[str] = "linear"
    density: ClassVar[int]  # bands in the 25 Hz that a window of 40 ms resolves

    @property
    def window(self) -> int:
        """Return the samples of a window."""
        return round(WINDOW * self.sample_rate)

    @property
    def hop(self) -> int:
        """Return the samples of a frame."""
        return POINTS * round(STEP * self.sample_rate)

    @property
    def frequencies(self) -> np.ndarray:
        """Return the centres of the bands in Hz, (F,).

        Raises
        ------
        InputError : `fmax` leaves less than two bands, or reaches half the sample rate.
        """
        spacing = self.sample_rate / (self.density * self.window)
        if not 2 * spacing <= self.fmax < self.sample_rate / 2:
            raise InputError(f"fmax {self.fmax:g} Hz: choose one from {2 * spacing:g} up and below {self.sample_rate / 2:g} Hz")
        return spacing * np.arange(1, int(self.fmax / spacing + 1e-6) + 1)

    @property
    def settings(self) -> dict[str, object]:
        """Return all that decides the frames, as JSON values: what cached ones are found by."""
        own = {"transform": type(self).__name__, "window": self.window, "hop": self.hop, "points": POINTS}
        return {**super().settings, **own}

    def _moduli(self, samples: Tensor) -> Tensor:
        return _plan(self).forward(samples).abs()

    def synthesise(self, frames: Iterable[Tensor], iterations: int = 30, fine: bool = False) -> Iterator[np.ndarray]:
        """Yield pieces of sound (S,) for frames (n, F); the last of fine ones, ten a frame, are rounded up to whole windows.

        Windows of one frame share its magnitude as suits the sound best, since only their mean is known.
        """
        plan = _plan(self)
        points = _pooled(frames) if fine else (piece.T.repeat_interleave(POINTS, -1) for piece in frames)
        for samples in phase.stream(points, plan, POINTS * CONTEXT, iterations, start=plan.start, held=POINTS):
            yield samples.numpy()


@dataclass(frozen=True)
class STFTMagnitude(_Windowed):
    """Sound as linear magnitudes of short-time Fourier transforms, (N, F): at the defaults 440 bands, 25 Hz apart."""

    density: ClassVar[int] = 1


@dataclass(frozen=True)
class DCTSpectrum(_Windowed):
    """Sound as magnitudes of short-time cosine transforms (DCT-II), (N, F): at the defaults 880 bands, 12.5 Hz apart.

    A frame keeps no signs; they are retrieved when it is inverted. A steady sine has in each window the modulus of the cosine of
    its phase there, so frames of one sound flutter; `full_scale` is the mean over all phases, and single frames have 0 to 1.57
    times as much.
    """

    density: ClassVar[int] = 2


def _pooled(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Average fine frames (n, F), ten a frame, to the windows (F, m), three a frame."""
    weights = functional.adaptive_avg_pool1d(torch.eye(SUBFRAMES), POINTS)  # (10, 3)
    held = None
    for piece in frames:
        held = piece if held is None else torch.cat([held, piece])
        whole = len(held) // SUBFRAMES
        yield (held[: whole * SUBFRAMES].T.reshape(-1, whole, SUBFRAMES) @ weights).flatten(-2)
        held = held[whole * SUBFRAMES :]
    if held is not None and len(held):
        full = torch.cat([held, held[-1:].expand(SUBFRAMES - len(held), -1)])
        yield (full.T @ weights)[:, : -(-len(held) * POINTS // SUBFRAMES)]


class Windows:
    """Transform samples, as if they went round in a circle, to Fourier transforms of windows of them, and back.

    Phases are those at the middle of each window. Back is exact but for the bands that are left out.

    Parameters
    ----------
    frames, hop : M windows, and the samples from one to the next: S = M hop.
    size : R.
    bands : F, those from the first above 0 Hz up.
    padding : P.
    full_scale : modulus of a sine of amplitude 1.
    """

    def __init__(self, frames: int, hop: int, size: int, bands: int, padding: int, full_scale: float):
        self.frames, self.hop, self.size, self.length = frames, hop, size, frames * hop
        self.points = padding * size  # of a Fourier transform
        band, from_middle = np.arange(1, bands + 1), np.arange(size) + (1 - size) / 2
        self.positions = torch.from_numpy(band * self.length / self.points).float()  # cycles per S samples
        window = (1 + np.cos(2 * np.pi * from_middle / size)) * 2 * full_scale / size
        self._overlap = -(-size // hop)
        energy = np.pad(window**2, (0, self._overlap * hop - size)).reshape(-1, hop).sum(0)
        self._window = torch.from_numpy(window).float()
        self._dual = torch.from_numpy(window / np.resize(energy, size)).float()
        self._turn = torch.from_numpy(np.exp(-2j * np.pi * band * from_middle[0] / self.points)).to(torch.complex64)
        on, beside = (float(window @ np.cos(2 * np.pi * shift / self.points * from_middle)) for shift in (0, 1))
        self._slope = (on + beside) / (on - beside)

    def forward(self, samples: Tensor) -> Tensor:
        """Return the coefficients (..., F, M) of samples (..., S)."""
        steps = samples.roll((self.size - self.hop) // 2, -1).unflatten(-1, (self.frames, self.hop))
        parts = [steps.roll(-i, -2) for i in range(self._overlap)]
        spectra = torch.fft.rfft(torch.cat(parts, -1)[..., : self.size] * self._window, self.points)  # (..., M, P R / 2 + 1)
        return (spectra[..., 1 : len(self._turn) + 1] * self._turn).mT

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the samples (..., S) of coefficients (..., F, M)."""
        spectra = functional.pad(coefficients.mT * self._turn.conj(), (1, self.points // 2 - len(self._turn)))
        windows = torch.fft.irfft(spectra, self.points)[..., : self.size] * self._dual  # (..., M, R)
        parts = functional.pad(windows, (0, self._overlap * self.hop - self.size)).unflatten(-1, (self._overlap, self.hop))
        steps = sum(part.roll(i, -2) for i, part in enumerate(parts.unbind(-2)))  # (..., M, hop)
        return steps.flatten(-2).roll(-((self.size - self.hop) // 2), -1)

    def start(self, magnitudes: Tensor, known: Tensor) -> Tensor:
        """Return phases to start from, of modulus 1, (..., F, M), that continue known first samples (..., K)."""
        return phase.integrate(magnitudes, self, known, self._place, turning=False)

    def _place(self, magnitudes: Tensor) -> Tensor:
        """Return where a partial lies between two bands, (..., F - 1, M) from 0 to 1.

        On the main lobe of the window the share of the upper band grows linearly with it, almost so where windows are padded.
        """
        lower, upper = magnitudes[..., :-1, :], magnitudes[..., 1:, :]
        share = upper / (lower + upper).clamp_min(phase.NOTHING)
        return (0.5 + self._slope * (share - 0.5)).clamp(0, 1)


class Cosines:
    """Do the same by cosine transforms (DCT-II): the real parts of `Windows` of padding 2 with phases from their first samples.

    They are larger by pi / 2, which is what the modulus of a cosine loses on average.
    """

    def __init__(self, windows: Windows):
        self.windows, self.frames, self.length = windows, windows.frames, windows.length
        quarters = torch.arange(1, len(windows.positions) + 1) % 4  # of a turn, from the middle to half before the first sample
        self._turn = torch.tensor([1, -1j, -1, 1j])[quarters, None]  # (F, 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Return the coefficients (..., F, M), real, of samples (..., S)."""
        return (self.windows.forward(samples) * self._turn).real * (torch.pi / 2)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the samples (..., S) of coefficients (..., F, M)."""
        return self.windows.inverse(coefficients * self._turn.conj() * (4 / torch.pi))

    def start(self, magnitudes: Tensor, known: Tensor) -> Tensor:
        """Return cosines of phases to start from, (..., F, M), that continue known first samples (..., K)."""
        return (self.windows.start(magnitudes, known) * self._turn).real


@functools.lru_cache(maxsize=8)
def _plan(kind: _Windowed) -> Windows | Cosines:
    windows = Windows(POINTS * BLOCK, kind.hop // POINTS, kind.window, *kind.shape, kind.density, kind.full_scale)
    return windows if kind.density == 1 else Cosines(windows)
