"""A dataset of phrases: windows of the lines of pieces."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.phrase_corpora import PhrasePiece
from data.phrases import BAR, Phrase

STEPS = 2**15  # of phrases that are evaluated at once
UNKNOWN = -1  # class id where a label is not known


class Windows(NamedTuple):
    """Hold W windows: which they are, and what they are, in a small type."""

    rows: Tensor  # (W, 3): piece, line, first step
    content: Tensor  # (W, T, ...) int16 of tokens, uint8 of hits, float32 else


@dataclass(frozen=True, eq=False)
class PhraseWindows:
    """Windows of pieces, which overlap. Silent ones are left out, and in a piece those equal to one before.

    Parameters
    ----------
    pieces : in their order.
    phrase : how a window is written, and its length.
    hop : steps from one window to the next of a line; below a bar, 16, there are windows that begin off the bar line.
    transpose : semitones that each window is moved up or down by, at most, drawn anew each time it is used.
    labels : by name the classes of labels; a class id is a place.
    """

    pieces: tuple[PhrasePiece, ...]
    phrase: Phrase
    hop: int = BAR
    transpose: int = 0
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def at_once(self) -> int:
        """Return how many phrases are evaluated at once: fewer of longer ones."""
        return max(1, STEPS // self.phrase.steps)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rows(self) -> Tensor:
        """The windows (W, 3): piece, line, first step."""
        return self._windows.rows

    def order(self, random: torch.Generator) -> Tensor:
        """Return the windows (W,) in random order."""
        return torch.randperm(len(self), generator=random)

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return ``phrase`` (B, T, ...), int64 of tokens, else float32; ``weight`` (B,) steps; ``item``, ``group`` (B, 1).

        Beside them for each of the labels class ids (B,), -1 where it is not known; and ``shift`` (B,) semitones, if transposed.
        """
        content = self._windows.content[rows]
        piece, line, _ = self.rows[rows].unbind(1)
        phrase, moved = content.long() if content.dtype == torch.int16 else content.float(), {}
        if self.transpose:
            moved["shift"] = torch.randint(-self.transpose, self.transpose + 1, (len(phrase),), generator=random)
            phrase = self.phrase.transposed(phrase, moved["shift"])
        return (
            {
                "phrase": phrase,
                "weight": torch.full((len(phrase),), self.phrase.steps, dtype=torch.float64),
                "item": piece[:, None],
                "group": self._group[piece, None],
            }
            | moved
            | {name: ids[self._first_line[piece] + line] for name, ids in self._ids.items()}
        )

    @property
    def varies(self) -> bool:
        """Tell whether another order brings other examples."""
        return self.transpose > 0

    def plain(self) -> "PhraseWindows":
        """Return the windows of the same pieces that begin with a bar, as they are."""
        return replace(self, hop=BAR, transpose=0)

    def passages(self, number: int, random: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield up to `number` pieces, drawn at random: of each the windows that follow without overlapping."""
        order = torch.randperm(len(self.pieces), generator=random).tolist()
        for place in itertools.islice(order, number):
            whole = replace(self, pieces=self.pieces[place : place + 1], hop=self.phrase.span, transpose=0)
            batch = whole.batch(torch.arange(len(whole)), random)
            yield batch | {
                name: torch.full_like(batch[name], number) for name, number in (("item", place), ("group", self._group[place]))
            }

    def fingerprint(self) -> str:
        """Return a hash of the pieces and their lines."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(piece.identity.encode())
            for line in piece.lines:
                digest.update(f" {line.shape} {line.dtype.str} ".encode())
                digest.update(np.ascontiguousarray(line).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def _windows(self) -> Windows:
        """All windows, found once and kept small."""
        found = [(place, *window) for place, piece in enumerate(self.pieces) for window in self._of(piece)]
        rows = torch.tensor([row[:3] for row in found], dtype=torch.int64).reshape(-1, 3)
        windows = [row[3] for row in found] or [np.zeros((self.phrase.steps, *self.phrase.shape[1:]), np.float32)]
        return Windows(rows, torch.from_numpy(_small(np.stack(windows)))[: len(found)])

    def _of(self, piece: PhrasePiece) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield line, first step and content of the windows of a piece."""
        seen = set()
        for place, line in enumerate(piece.lines):
            for first in range(0, len(line) - self.phrase.span + 1, self.hop):
                window = self.phrase.window(line, first)
                mark = window.tobytes()
                if window.any() and mark not in seen:  # all zeros are silence in every kind of phrase
                    seen.add(mark)
                    yield place, first, window

    @cached_property
    def _group(self) -> Tensor:
        """A number for what is played, (pieces,): transposed copies share it."""
        _, numbers = np.unique([piece.identity for piece in self.pieces], return_inverse=True)
        return torch.from_numpy(numbers)

    @cached_property
    def _first_line(self) -> Tensor:
        """Where the lines of each piece begin among those of all, (pieces,)."""
        counts = [0, *(len(piece.lines) for piece in self.pieces)]
        return torch.tensor(counts[:-1]).cumsum(0)

    @cached_property
    def _ids(self) -> dict[str, Tensor]:
        """Class ids of all lines by the names of labels, (lines,)."""
        lines = [(piece, line) for piece in self.pieces for line in range(len(piece.lines))]
        places = {name: {label: i for i, label in enumerate(classes)} for name, classes in self.labels.items()}
        return {
            name: torch.tensor([place.get(piece.label(name, line), UNKNOWN) for piece, line in lines], dtype=torch.int64)
            for name, place in places.items()
        }


def _small(windows: np.ndarray) -> np.ndarray:
    """Return windows (W, ...) in the smallest type that `PhraseWindows.batch` restores: float32 only where there are fractions."""
    if windows.dtype.kind in "iub":
        return windows.astype(np.int16)
    whole = windows.astype(np.uint8)
    return whole if np.array_equal(whole, windows) else windows.astype(np.float32)
