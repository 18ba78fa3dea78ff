"""A dataset of windows of pieces."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.keys import KEY, Key
from data.piano_roll import BEYOND
from data.rolls import KEYS
from data.scores import Piece
from data.windows import covering, windows


@dataclass(frozen=True, eq=False)
class Excerpts:
    """Windows of pieces, either all of them or those that hold every step once.

    Parameters
    ----------
    pieces : in their order.
    classes : labels of keys; a class id is a place.
    length, lag : steps that a window describes, and those before, as `data.piano_roll.PianoRoll` has them.
    overlapping : whether these are all windows, or cover each step once.
    transpose : semitones that each window is moved up or down by, at most, drawn anew each time it is used.
    relative_major : whether a minor key counts as its relative major.
    """

    pieces: tuple[Piece, ...]
    classes: tuple[str, ...]
    length: int
    lag: int = 0
    overlapping: bool = False
    transpose: int = 0
    relative_major: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Tensor:
        """The windows (W, 3): piece, first step, steps that exist."""
        return torch.from_numpy((windows if self.overlapping else covering)(self.pieces, self.length))

    def order(self, random: torch.Generator) -> Tensor:
        """Return the windows (W,) in random order."""
        return torch.randperm(len(self), generator=random)

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return ``score`` (B, lag + length, 88), ``key`` (B, K) one-hot, ``weight`` (B,) steps, ``item``, ``group`` (B, 1)."""
        piece, start, steps = self.rows[rows].unbind(1)
        places = self._first[piece, None] + start[:, None] + torch.arange(self.lag + self.length)
        after = torch.arange(self.lag + self.length) >= self.lag + steps[:, None]
        frames = torch.from_numpy(np.unpackbits(self._frames[places.numpy()], axis=2, count=KEYS)).bool()
        frames &= ~after[..., None]  # of this piece only: what follows it must not hinder a move
        frames, shift = self._moved(frames, random)
        frames = frames.float().masked_fill(after[..., None], BEYOND)
        key = self._ids[piece, shift + self.transpose]
        return {
            "score": frames,
            KEY: functional.one_hot(key, len(self.classes)).float(),
            "weight": steps.double(),
            "item": piece[:, None],
            "group": self._group[piece, None],
        }

    def _moved(self, frames: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return frames (B, T, 88) moved each by a random number of semitones (B,), 0 where it would leave the piano."""
        if not self.transpose:
            return frames, torch.zeros(len(frames), dtype=torch.long)
        shift = torch.randint(-self.transpose, self.transpose + 1, (len(frames),), generator=random)
        used = frames.any(1)
        lowest = used.int().argmax(1)
        highest = KEYS - 1 - used.flip(1).int().argmax(1)
        shift = torch.where((lowest + shift >= 0) & (highest + shift < KEYS), shift, 0)
        source = (torch.arange(KEYS) - shift[:, None]) % KEYS
        return frames.gather(2, source[:, None].expand_as(frames)), shift

    @property
    def varies(self) -> bool:
        """Tell whether another order brings other examples."""
        return self.transpose > 0

    def plain(self) -> "Excerpts":
        """Return windows of the same pieces that hold every step once, as it is."""
        return replace(self, overlapping=False, transpose=0)

    def passages(self, number: int, random: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield up to `number` pieces, drawn at random: the windows that cover each."""
        order = torch.randperm(len(self.pieces), generator=random).tolist()
        whole = self.plain()
        for place in itertools.islice(order, number):
            yield whole.batch(torch.nonzero(whole.rows[:, 0] == place)[:, 0], random)

    def fingerprint(self) -> str:
        """Return a hash of the pieces and their classes."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(f"{piece.identity} {piece.key} {len(piece)} ".encode())
            digest.update(np.packbits(piece.frames).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _frames(self) -> np.ndarray:
        """The frames of all pieces, one after another, with silence before each, and as much behind all as a window may need.

        Eight keys are a byte, (steps, 11): a big corpus has many steps.
        """
        silence, end = (np.packbits(np.zeros((steps, KEYS), bool), axis=1) for steps in (self.lag, self.length))
        parts = [part for piece in self.pieces for part in (silence, np.packbits(piece.frames, axis=1))]
        return np.concatenate([*parts, end])

    @cached_property
    def _first(self) -> Tensor:
        """Where each piece's silence begins, (pieces,)."""
        lengths = [0, *(self.lag + len(piece) for piece in self.pieces)]
        return torch.tensor(lengths[:-1]).cumsum(0)

    @cached_property
    def _group(self) -> Tensor:
        """A number for what is played, (pieces,): transposed copies share it."""
        return torch.tensor(_numbers([piece.identity for piece in self.pieces]))

    @cached_property
    def _ids(self) -> Tensor:
        """The class of each piece when moved by -transpose to transpose semitones, (pieces, 2 transpose + 1)."""
        shifts = range(-self.transpose, self.transpose + 1)
        keys = [self.key(piece) for piece in self.pieces]
        places = {key: [self.classes.index(key.moved(shift).label) for shift in shifts] for key in set(keys)}
        return torch.tensor([places[key] for key in keys]).reshape(len(keys), len(shifts))

    def key(self, piece: Piece) -> Key:
        """Return the key that names a piece's class."""
        return Key(piece.class_of(self.relative_major))


def _numbers(names: Sequence[str]) -> list[int]:
    """Return for each name the number of its first occurrence among distinct ones."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name, len(numbers)) for name in names]
