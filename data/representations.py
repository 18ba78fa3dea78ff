"""How files become tensors and back: stateless, invertible, the same for training, evaluation and play."""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data import audio, phase
from data.audio import Audio
from data.nsgt import NSGT, frequencies, geometry
from utils import metrics
from utils.config import InputError

SUBFRAMES = 10  # time points of the transform that are averaged into one frame
COMPARED_DB = -80.0  # spectra are compared from here up; a sine of amplitude 1 has 0
BLOCK, CONTEXT = 128, 16  # frames that are transformed at once, and how many of them at each end only lend their sound


class Heard(NamedTuple):
    """Some frames of a sound, and how loud it is there."""

    frames: Tensor  # (n, F) linear magnitudes
    level: Tensor  # (n,) dB, of the samples of each frame alone; a sine of amplitude 1 has 0


class Facet(NamedTuple):
    """What is one of some classes, in each of N examples."""

    ids: Tensor  # (N,)
    names: tuple[str, ...]
    order: str = "none"  # of the classes: none, "line" or "circle"


@dataclass(frozen=True)
class Representation:
    """A way to write what a file holds as frames; `shape` is that of one frame, `frame_rate` is in 1/s."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one frame."""
        raise NotImplementedError

    @property
    def frame_rate(self) -> float:
        """Return the frames a second."""
        raise NotImplementedError

    def text(self, x: Tensor) -> list[str] | None:
        """Return each of `x` (N, *shape) in words, None where words cannot say it."""
        return None

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return by name how right or wrong each estimate (N, *shape) is, (N,) each."""
        raise NotImplementedError

    def facets(self, x: Tensor) -> dict[str, Facet]:
        """Return by name what of `x` (N, *shape) is one of some classes; nothing where there are no classes."""
        return {}

    def poll(
        self, reference: Tensor, estimate: Tensor, item: Tensor, group: Tensor, weight: Tensor | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return by name how right the vote of each item's estimates is, (M,), and the items' groups (M,); nothing without classes.

        Parameters
        ----------
        reference, estimate : (N, *shape).
        item, group : (N, G) the items and groups, of G kinds, that an example belongs to.
        weight : (N,) how much each estimate counts; alike where not given.
        """
        return {}


@dataclass(frozen=True)
class SoundRepresentation(Representation):
    """Sound as linear magnitudes of the bands of a transform, (N, F), which a subclass chooses.

    A frame is the mean modulus over some time points of the transform, `hop` samples. Every sound is cut into blocks of 128
    frames, of which the inner 96 count, with silence around its ends. So a note has the same frames whether it stands alone or in
    an hour of music, and memory is bounded.
    """

    sample_rate: int = 22050  # Hz

    @property
    def shape(self) -> tuple[int]:
        """Return (F,)."""
        return (len(self.frequencies),)

    @property
    def frequencies(self) -> np.ndarray:
        """Return the centres of the bands in Hz, (F,)."""
        raise NotImplementedError

    @property
    def hop(self) -> int:
        """Return the samples of a frame."""
        raise NotImplementedError

    @property
    def frame_rate(self) -> float:
        """Return the frames a second."""
        return self.sample_rate / self.hop

    @property
    def full_scale(self) -> float:
        """Return the modulus of a sine of amplitude 1: half the samples of a tenth of a frame."""
        return self.hop / SUBFRAMES / 2

    @property
    def settings(self) -> dict[str, object]:
        """Return all that decides the frames, as JSON values: what cached ones are found by."""
        return {**asdict(self), "subframes": SUBFRAMES, "block": BLOCK, "context": CONTEXT}

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return the distances of magnitudes (N, F), (N,) each; what is more than 80 dB below full scale counts as that.

        ``level_db`` is how much more energy the estimate has, which the distances over bands hardly tell.
        """
        floor = self.full_scale * 10 ** (COMPARED_DB / 20)
        return {
            "log_spectral_distance_db": metrics.log_spectral_distance(reference, estimate, floor),
            "itakura_saito": metrics.itakura_saito(reference, estimate, floor),
            "level_db": metrics.level_difference(reference, estimate, floor),
        }

    def read(self, path: Path) -> Tensor:
        """Return the frames (N, F) of an audio file, in memory."""
        return self.forward(Audio.load(path, self.sample_rate))

    def stream(self, path: Path) -> Iterator[Tensor]:
        """Yield the frames of an audio file of any length, (n, F) at a time."""
        return self.analyse(audio.stream(path, self.sample_rate, self.hop * (BLOCK - 2 * CONTEXT)))

    def forward(self, sound: Audio) -> Tensor:
        """Return the frames of `sound`, (N, F) with N = samples / hop, rounded up."""
        if sound.sample_rate != self.sample_rate:
            raise ValueError(f"sound at {sound.sample_rate} Hz for a transform at {self.sample_rate} Hz")
        return torch.cat([torch.zeros(0, *self.shape), *self.analyse([sound.samples])])

    def analyse(self, pieces: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Yield frames (n, F) of a sound that comes in pieces (S,) of any length."""
        return (heard.frames for heard in self.listen(pieces))

    def listen(self, pieces: Iterable[np.ndarray]) -> Iterator[Heard]:
        """Yield frames, as `analyse` does, with their levels."""
        margin = CONTEXT * self.hop
        for block, frames in self._blocks(pieces):
            own = block[margin : margin + frames * self.hop].reshape(frames, self.hop)
            energy = torch.from_numpy(own).double().square().mean(1)
            yield Heard(self._frames(block)[:frames], (10 * (2 * energy).clamp_min(1e-20).log10()).float())

    def _blocks(self, pieces: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
        """Yield blocks (128 * hop,) of a sound, and how many of the inner frames of each are of the sound."""
        inner, margin = (BLOCK - 2 * CONTEXT) * self.hop, CONTEXT * self.hop
        held, total, done = np.zeros(margin, np.float32), 0, 0
        for piece in pieces:
            held, total = np.concatenate([held, piece]), total + len(piece)
            while len(held) >= inner + 2 * margin:
                yield held[: inner + 2 * margin], BLOCK - 2 * CONTEXT
                held, done = held[inner:], done + BLOCK - 2 * CONTEXT
        remaining = -(-total // self.hop) - done
        while remaining > 0:
            block = held[: inner + 2 * margin]
            yield np.pad(block, (0, inner + 2 * margin - len(block))), min(remaining, BLOCK - 2 * CONTEXT)
            held, remaining = held[inner:], remaining - (BLOCK - 2 * CONTEXT)

    def _frames(self, samples: np.ndarray) -> Tensor:
        """Return the inner frames (96, F) of one block."""
        return self._moduli(torch.from_numpy(samples)).unflatten(-1, (BLOCK, -1)).mean(-1).T[CONTEXT:-CONTEXT]

    def _moduli(self, samples: Tensor) -> Tensor:
        """Return the moduli (F, M) of the transform of one block (128 * hop,); M is a multiple of 128."""
        raise NotImplementedError

    def invert(self, frames: Tensor, iterations: int = 30) -> Audio:
        """Return sound whose frames are nearly `frames` (N, F), of N * hop samples."""
        return Audio(np.concatenate(list(self.synthesise([frames], iterations))), self.sample_rate)

    def synthesise(self, frames: Iterable[Tensor], iterations: int = 30, fine: bool = False) -> Iterator[np.ndarray]:
        """Yield pieces of sound (S,) for frames (n, F) that come in pieces, in bounded memory and without clicks at the joints.

        With `fine`, there are ten frames where else is one.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class NSGTMagnitude(SoundRepresentation):
    """Sound as linear magnitudes of a non-stationary Gabor transform, (N, F).

    A frame is the mean modulus over ten time points of the transform; at the defaults 704 samples, 31.3 frames/s, and a sine of
    amplitude 1 has a modulus of about 35.
    """

    fmin: float = 30.0  # Hz
    fmax: float = 11000.0  # Hz
    bins_per_octave: int = 48
    scale: str = "octave"

    @property
    def frequencies(self) -> np.ndarray:
        """Return the centres of the bands in Hz, (F,)."""
        return frequencies(self.scale, self.fmin, self.fmax, self.bins_per_octave)

    @property
    def hop(self) -> int:
        """Return the samples of a frame: as many as leave ten time points enough for the widest band."""
        return _hop(self)

    def _moduli(self, samples: Tensor) -> Tensor:
        return _plan(self).forward(samples).abs()

    def synthesise(self, frames: Iterable[Tensor], iterations: int = 30, fine: bool = False) -> Iterator[np.ndarray]:
        """Yield pieces of sound (S,) for frames (n, F); fine ones are the time points of the transform."""
        points = frames if fine else _refined(frames)
        for samples in phase.stream((p.T for p in points), _plan(self), SUBFRAMES * CONTEXT, iterations):
            yield samples.numpy()


def _refined(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Interpolate linearly from frames (n, F) to time points (10 n, F), across the joints of the pieces too."""
    before = held = None
    for piece in frames:
        if held is not None:
            yield _interpolated(before, held, piece[:1])
            before = held[-1:]
        held = piece
    if held is not None:
        yield _interpolated(before, held, None)


def _interpolated(before: Tensor | None, piece: Tensor, after: Tensor | None) -> Tensor:
    parts = [piece[:1] if before is None else before, piece, piece[-1:] if after is None else after]
    wide = functional.interpolate(torch.cat(parts).T[None], scale_factor=SUBFRAMES, mode="linear", align_corners=False)
    return wide[0].T[SUBFRAMES:-SUBFRAMES]


@functools.lru_cache(maxsize=8)
def _hop(kind: NSGTMagnitude) -> int:
    _, widths = geometry(kind.frequencies, 2**22, kind.sample_rate)  # bins; long, so that rounding does not show
    widest = widths[1:-1].max() * kind.sample_rate / 2**22  # Hz
    hop = int(SUBFRAMES * kind.sample_rate / widest)
    if hop < SUBFRAMES:
        raise InputError(f"--scale {kind.scale}: its bands are as wide as {widest:.0f} Hz; give more --bins_per_octave")
    return hop


@functools.lru_cache(maxsize=8)
def _plan(kind: NSGTMagnitude) -> NSGT:
    k = kind
    return NSGT(BLOCK * k.hop, k.sample_rate, k.fmin, k.fmax, k.bins_per_octave, k.scale, frames=SUBFRAMES * BLOCK)
