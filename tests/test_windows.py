"""Windows: all of them, those that cover a piece once, and their frames."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.windows import covering, cut, windows
from tests.pieces import piece_in


def pieces_of(*lengths):
    return [piece_in("C", [[21 + i, 30 + step] for step in range(length)]) for i, length in enumerate(lengths)]


def test_all_windows_by_hand():
    assert windows(pieces_of(4, 2, 3), 3).tolist() == [[0, 0], [0, 1], [2, 0]]
    assert windows(pieces_of(4, 2, 3), 2, 1).tolist() == [[0, 0], [0, 1], [2, 0]]
    assert windows(pieces_of(2), 3).shape == windows([], 3).shape == (0, 2)
    assert len(windows(pieces_of(60, 17, 16), 16, 1)) == 44 + 1 + 0


def test_covering_windows_by_hand():
    assert covering(pieces_of(7, 3), 3).tolist() == [[0, 0, 3], [0, 3, 3], [0, 6, 1], [1, 0, 3]]
    assert covering(pieces_of(7, 1, 5), 3, 1).tolist() == [[0, 0, 3], [0, 3, 3], [2, 0, 3], [2, 3, 1]]
    assert covering([], 3).shape == (0, 3)


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), max_size=5), st.integers(1, 9), st.integers(0, 2))
def test_windows_hold_what_they_promise(lengths, length, lag):
    pieces = pieces_of(*lengths)
    rows = windows(pieces, length, lag)
    assert len(rows) == sum(max(0, n - (length + lag) + 1) for n in lengths)
    for (place, start), frames in zip(rows, cut(pieces, rows, lag + length), strict=True):
        np.testing.assert_array_equal(frames, pieces[place].frames[start : start + lag + length])
    rows = covering(pieces, length, lag)
    assert rows[:, 2].sum() == sum(max(0, n - lag) for n in lengths)
    parts = [frames[lag : lag + steps] for frames, steps in zip(cut(pieces, rows, lag + length), rows[:, 2], strict=True)]
    held = np.concatenate([np.zeros((0, 88), bool), *parts])
    np.testing.assert_array_equal(held, np.concatenate([np.zeros((0, 88), bool), *(piece.frames[lag:] for piece in pieces)]))
