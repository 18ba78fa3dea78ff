"""Windows of pieces: which there are, and their frames. A window has `length` steps after a history of `lag` steps."""

from collections.abc import Iterable, Sequence

import numpy as np

from data.rolls import KEYS
from data.scores import Piece


def windows(pieces: Iterable[Piece], length: int, lag: int = 0) -> np.ndarray:
    """Return (W, 2) all windows: the place of the piece and the first step.

    They overlap: a piece of n steps has n - (length + lag) + 1, a shorter one none.
    """
    starts = [np.arange(len(piece) - (length + lag) + 1) for piece in pieces]
    return _rows(starts)


def covering(pieces: Iterable[Piece], length: int, lag: int = 0) -> np.ndarray:
    """Return (W, 3) windows that hold every step after the first `lag` of a piece once: place, first step, steps that exist.

    The third column is less than `length` in the last window of a piece whose steps are no multiple of it.
    """
    pieces = list(pieces)
    rows = _rows([np.arange(0, max(0, len(piece) - lag), length) for piece in pieces])
    steps = np.array([len(piece) for piece in pieces], np.int64)[rows[:, 0]] - lag - rows[:, 1]
    return np.column_stack([rows, np.minimum(steps, length)])


def _rows(starts: list[np.ndarray]) -> np.ndarray:
    place = np.repeat(np.arange(len(starts)), [len(start) for start in starts])
    return np.column_stack([place, np.concatenate([np.zeros(0, np.int64), *starts])])


def cut(pieces: Sequence[Piece], rows: np.ndarray, steps: int) -> np.ndarray:
    """Return the frames (W, steps, 88) bool of windows (W, 2 or 3), silent beyond the end of a piece; steps = lag + length."""
    frames = np.zeros((len(rows), steps, KEYS), bool)
    for window, (place, start) in zip(frames, rows[:, :2], strict=True):
        taken = pieces[place].frames[start : start + steps]
        window[: len(taken)] = taken
    return frames
