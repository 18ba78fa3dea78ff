"""From paths of latents to sound: what every mode of lt_play.py renders, whichever system the run is of."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.audio import Writer
from data.labels import Labels
from data.parts import Layer, held, of_notes
from data.representations import SUBFRAMES, Heard, Representation
from data.transcription import FLOOR_DB, levels
from models.base import LatentModel
from models.losses import Normal
from utils.cli import progress
from utils.config import InputError
from utils.device import generator
from utils.play_figures import Picture

log = logging.getLogger(__name__)

AUDIBLE = 0.1  # least peak of what is played: models are softer than what they have heard
CEILING = 0.999  # peak of a sound that would have clipped
LOUDER = 100.0  # times, at most, that a sound is made louder to be heard
BLOCK = 960  # time points of a score that are rendered at once
SILENCE = -1  # number of no note


class Piece(NamedTuple):
    """Some frames of a path of latents: frame n sounds as the sum over u of mix[n, u] times what z[u] decodes to."""

    z: Tensor  # (U, Z), or (U, T, Z)
    mix: Tensor  # (N, U) sparse
    condition: Tensor | None = None  # (U, C) what the model is told of each; None where it is told what the player is


def as_it_is(z: Tensor, gain: Tensor | None = None, condition: Tensor | None = None) -> Piece:
    """Return a piece with a frame for each latent (N, Z), where `gain` (N,) scales it; 1 when not given."""
    n = torch.arange(len(z))
    return Piece(z, _sparse(n, n, torch.ones(len(z)) if gain is None else gain, (len(z), len(z))), condition)


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), values, shape, check_invariants=False)


@dataclass(frozen=True)
class Player:
    """A model, and how it is to be heard."""

    model: LatentModel
    iterations: int = 30  # of phase retrieval
    sample: bool = False  # draw latents from the posterior instead of taking its mean
    seed: int = 0
    condition: Tensor | None = None  # (C,) what the model is told where a path says nothing else
    run: Path | None = None  # where the model is from

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        return self.model.device

    def representation(self, modality: str) -> Representation:
        """Return how files of a modality become frames.

        Raises
        ------
        InputError : the model has no such modality.
        """
        if modality not in self.model.representations:
            raise InputError(
                f"this mode needs a run with the modality {modality}; this one has {', '.join(self.model.representations)}"
            )
        return self.model.representations[modality]

    def told(self, n: int, condition: Tensor | None = None) -> Tensor | None:
        """Return what the model is told of `n` frames, (n, C): `condition` (n, C), or else the same of all; None if nothing.

        Raises
        ------
        InputError : it has to be told something, and nobody says what.
        """
        if not self.model.conditions:
            return None
        if condition is None and self.condition is None:
            raise InputError(f"this run is told {' and '.join(self.model.conditions)}: say with --labels what")
        return (self.condition.expand(n, -1) if condition is None else condition).to(self.device)

    def latents(self, x: Tensor, source: str, keys: Sequence[object]) -> Tensor:
        """Return a latent for each of `x` (N, *shape), (N, Z): the posterior's mean, or a sample of it.

        Samples are drawn by `keys` (N, or one for all): equal keys draw equal noise, so that nothing flutters within a note.
        """
        posterior: Normal = self.model.encode(x.to(self.device), source, self.told(len(x)))
        if not self.sample:
            return posterior.mean
        shape = posterior.mean.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=generator(self.seed, "latent", key)) for key in keys])
        return posterior.mean + posterior.variance.sqrt() * noise.to(self.device)

    def listened(self, heard: Iterable[Heard], record: list[tuple[np.ndarray, ...]]) -> Iterator[Piece]:
        """Yield the latents of frames of sound; those below -80 dB are silence, whatever the model makes of it.

        What the model names goes to `record`: class ids (n, I, L), their probabilities, NaN where silent, and levels (n,) in dB.
        Levels are those of the samples: the transform smears what it hears over its neighbours, in low bands over many frames.
        """
        for x, loudness in heard:
            z, level = self.latents(x, "signal", [()]), loudness.numpy()
            record.append((*self._named(z, level < FLOOR_DB), level))
            yield as_it_is(z, torch.from_numpy(level >= FLOOR_DB).float())

    def path(
        self, z: Tensor, gain: Tensor, record: list[tuple[np.ndarray, ...]], condition: Tensor | None = None
    ) -> Iterator[Piece]:
        """Yield a path of latents (N, Z) that sound as loud as `gain` (N,) says; see `listened` for `record`."""
        told = [None] * -(-len(z) // BLOCK) if condition is None else condition.split(BLOCK)
        for latents, gains, ids in zip(z.to(self.device).split(BLOCK), gain.split(BLOCK), told, strict=True):
            piece = as_it_is(latents, gains, ids)
            record.append((*self._named(latents, gains.numpy() == 0), self._level(next(self.magnitudes([piece])))))
            yield piece

    def _named(self, z: Tensor, silent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return class ids and their probabilities, (n, I, L) both, I = L = 0 for a model without a symbol."""
        if "symbol" not in self.model.representations:
            return np.zeros((len(z), 0, 0), np.int16), np.zeros((len(z), 0, 0), np.float16)
        ids, confidence = self.model.decode(z, "symbol").cpu().numpy(), self.model.confidence(z, "symbol").cpu().numpy()
        ids[silent], confidence[silent] = self.representation("symbol").silent_ids, np.nan
        return ids.astype(np.int16), confidence.astype(np.float16)

    def _level(self, x: Tensor) -> np.ndarray:
        """Return the A-weighted levels (n,) in dB of frames (n, F) that no samples are known of."""
        signal = self.representation("signal")
        return levels(x.numpy(), signal.frequencies, signal.full_scale).astype(np.float32)

    def magnitudes(self, pieces: Iterable[Piece]) -> Iterator[Tensor]:
        """Yield the frames (n, F) of each piece, linear, on the CPU."""
        bands = self.representation("signal").shape[0]
        for z, mix, condition in pieces:
            decoded = self.model.decode(z, "signal", self.told(len(z), condition)).cpu() if len(z) else torch.zeros(0, bands)
            yield torch.sparse.mm(mix, decoded) if len(z) else torch.zeros(len(mix), bands)

    def sound(self, layers: Sequence[Iterable[Piece]], pictures: Sequence[Picture], fine: bool = False) -> Iterator[np.ndarray]:
        """Yield the sound (S,) of layers that play together, piece by piece; `pictures`, one a layer, get their magnitudes.

        With `fine`, the pieces' frames are time points of the transform.
        """
        voices = [self._voice(layer, picture, fine) for layer, picture in zip(layers, pictures, strict=True)]
        for parts in zip(*voices, strict=True):
            yield np.sum(parts, axis=0)

    def _voice(self, pieces: Iterable[Piece], picture: Picture, fine: bool) -> Iterator[np.ndarray]:
        signal = self.representation("signal")
        gate = Gate(signal.hop / (SUBFRAMES if fine else 1))
        frames = picture.watching(self.magnitudes(gate.watching(pieces)))
        yield from gate.applied(signal.synthesise(frames, self.iterations, fine))

    def score(self, labels: Labels, layer: Layer, number: int, length: int, rate: float) -> Iterator[Piece]:
        """Yield `length` time points, at `rate` a second, of the labels of one layer of a score, the `number`-th."""
        for start in range(0, length, BLOCK):
            note, gain = held(labels, layer, start, min(start + BLOCK, length), rate)
            chords, weight = superposed(note, gain) if labels.silence else together(note, gain)
            row, place = np.nonzero(weight > 0)
            unique, column = np.unique(chords[row, place], axis=0, return_inverse=True)
            mix = _sparse(*map(torch.from_numpy, (row, column, weight[row, place])), (len(note), len(unique))).float()
            ids = of_notes(labels, layer, unique)
            if not labels.silence:
                ids = torch.where(labels.sounding(ids)[..., None], ids, 0)  # of an instrument that never plays
            keys = [(number, *chord) for chord in unique.tolist()]
            yield Piece(self.latents(ids, "symbol", keys) if keys else torch.zeros(0), mix)


class Gate:
    """Keep silent what is meant to be: the low bands of a transform ring on for long, and back in time.

    Parameters
    ----------
    step : samples a frame.
    """

    def __init__(self, step: float):
        self.step, self.open, self.first, self.done = step, np.zeros(0), 0, 0

    def watching(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield pieces as they come, noting which of their frames sound."""
        for piece in pieces:
            self.open = np.append(self.open, torch.sparse.sum(piece.mix, 1).to_dense().numpy() > 0)
            yield piece

    def applied(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield pieces of the sound (S,) of those frames, faded out over one frame where frames do not sound."""
        for samples in pieces:
            at = (np.arange(self.done, self.done + len(samples)) + 0.5) / self.step - 0.5  # in frames
            frames = self.first + np.arange(len(self.open))
            yield samples * np.interp(at, frames, self.open).astype(np.float32)
            self.done += len(samples)
            gone = max(int(self.done / self.step) - 1 - self.first, 0)
            self.open, self.first = self.open[gone:], self.first + gone


def superposed(note: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write mixtures of sources with a gain each as sums of mixtures of sources that sound fully or not at all.

    With gains sorted g_1 >= g_2 >= ..., the sum over k of g_k - g_(k+1) times the k loudest sources together: exact for one
    source and for equal gains, linear in between. (The Choquet integral of the mixtures with respect to the gains.)

    Parameters
    ----------
    note, gain : (N, I) number of each source's note, and its gain.

    Returns
    -------
    chords : (N, I, I) the notes of each mixture, -1 for a silent source.
    weight : (N, I) how much of each.
    """
    order = np.argsort(-gain, axis=1, kind="stable")
    falling = np.take_along_axis(gain, order, 1)
    weight = falling - np.pad(falling[:, 1:], ((0, 0), (0, 1)))
    rank = np.argsort(order, axis=1)  # (N, I)
    among = rank[:, None, :] <= np.arange(gain.shape[1])[None, :, None]
    return np.where(among, note[:, None, :], SILENCE), weight


def together(note: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write mixtures as `superposed` does, for models that know no silent source: all sources, as loud as the loudest."""
    return note[:, None, :], gain.max(1, keepdims=True)


def up_to(pieces: Iterable[np.ndarray], end: Callable[[], int]) -> Iterator[np.ndarray]:
    """Yield pieces of sound (S,), cut where they go beyond `end()` samples."""
    done = 0
    for piece in pieces:
        yield piece[: max(end() - done, 0)]
        done += len(piece)


class Counted:
    """Pieces of sound that are counted as they pass."""

    def __init__(self, pieces: Iterable[np.ndarray]):
        self.pieces, self.samples = pieces, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for piece in self.pieces:
            self.samples += len(piece)
            yield piece


def write_sound(
    path: Path, pieces: Iterable[np.ndarray], sample_rate: int, seconds: float | None = None, least: float = 0.0
) -> float:
    """Write sound (S,) that comes in pieces as a wav, in bounded memory; return the factor by which it was made softer or louder.

    It is made softer as a whole where it would clip, and louder, by no more than 40 dB, where its peak is below `least`.

    Parameters
    ----------
    seconds : how long it will be, where that is known: for the progress bar.

    Raises
    ------
    InputError : the disk does not take it, or the sound is not finite.
    """
    try:
        with tempfile.TemporaryFile(dir=path.parent) as aside, progress(total=seconds, unit="s", desc=path.name) as bar:
            peak = 0.0
            for piece in pieces:
                aside.write(np.asarray(piece, "<f4").tobytes())
                peak = max(peak, float(np.abs(piece).max(initial=0.0)))
                bar.update(len(piece) / sample_rate)
            gain = CEILING / peak if peak > 1 else min(least / peak, LOUDER) if 0 < peak < least else 1.0
            if gain != 1:
                why = "softer by %.1f dB, so that it does not clip" if gain < 1 else "louder by %.1f dB, so that it can be heard"
                log.info(f"%s: made {why}", path, abs(20 * np.log10(gain)))
            aside.seek(0)
            with Writer(path, sample_rate) as writer:
                while chunk := aside.read(2**22):
                    writer.write(np.float32(gain) * np.frombuffer(chunk, "<f4"))
            return gain
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}): choose another place or free some space"
        ) from None
