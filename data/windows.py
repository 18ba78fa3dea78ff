"""Windows of pieces: which there are. A row tells the place of the piece, the first step, and how many steps of it exist."""

from collections.abc import Iterable

import numpy as np

from data.scores import Piece


def windows(pieces: Iterable[Piece], length: int) -> np.ndarray:
    """Return (W, 3) all windows of `length` steps, which overlap: n - length + 1 of a piece of n steps, of a shorter one itself."""
    return _rows(pieces, length, lambda n: np.arange(max(1, n - length + 1)))


def covering(pieces: Iterable[Piece], length: int) -> np.ndarray:
    """Return (W, 3) windows that hold every step once; the last of a piece may have fewer steps."""
    return _rows(pieces, length, lambda n: np.arange(0, n, length))


def _rows(pieces: Iterable[Piece], length: int, starts_of) -> np.ndarray:
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    starts = [starts_of(n) for n in lengths]
    place = np.repeat(np.arange(len(starts)), [len(start) for start in starts])
    start = np.concatenate([np.zeros(0, np.int64), *starts])
    return np.column_stack([place, start, np.minimum(lengths[place] - start, length)])
