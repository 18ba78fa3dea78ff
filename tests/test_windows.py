"""Windows: all of them, and those that cover a piece once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.windows import covering, windows
from tests.pieces import piece_in


def pieces_of(*lengths):
    return [piece_in("C", [[21 + i, 30 + step] for step in range(length)]) for i, length in enumerate(lengths)]


def test_all_windows_by_hand():
    assert windows(pieces_of(4, 2, 3), 3).tolist() == [[0, 0, 3], [0, 1, 3], [1, 0, 2], [2, 0, 3]]
    assert windows([], 3).shape == (0, 3)
    assert len(windows(pieces_of(60, 17, 16), 16)) == 45 + 2 + 1


def test_covering_windows_by_hand():
    assert covering(pieces_of(7, 3), 3).tolist() == [[0, 0, 3], [0, 3, 3], [0, 6, 1], [1, 0, 3]]
    assert covering([], 3).shape == (0, 3)


@given(st.lists(st.integers(1, 40), max_size=5), st.integers(1, 9))
def test_windows_hold_what_they_promise(lengths, length):
    pieces = pieces_of(*lengths)
    rows = windows(pieces, length)
    assert len(rows) == sum(max(1, n - length + 1) for n in lengths)
    assert all(steps == min(length, lengths[place]) and start + steps <= lengths[place] for place, start, steps in rows)
    once = np.array([(place, start + i) for place, start, steps in covering(pieces, length) for i in range(steps)])
    assert once.reshape(-1, 2).tolist() == [[place, step] for place, n in enumerate(lengths) for step in range(n)]
