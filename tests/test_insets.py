"""Insets of a view: numbers and rolls. Those of sound are seen in test_canvas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.canvas import FANCY, PLAIN, Box, Canvas
from utils.insets import LANES, Numbers, Roll

DRUMS = ("kick", "snare", "closed_hat")
PITCHES = tuple(f"P{number}" for number in range(88))


def drawn(inset, height, width, symbols=PLAIN):
    """Return the lines of an inset on a page of its own."""
    canvas = Canvas(height, width)
    inset.draw(canvas, Box(0, 0, height, width), symbols)
    return ["".join(run for run, _ in row).rstrip() for row in canvas.rows]


def test_drums_have_a_row_each():
    roll = Roll([(0, 0, 1, 1.0), (0, 8, 9, 1.0), (2, 4, 5, 0.1)], DRUMS, 16)
    assert roll.rows(10) == 4
    assert drawn(roll, 4, 28) == [
        "closed hat |   .   .   .",
        "snare      |   .   .   .",
        "kick       #   .   #   .",
        "           |1",
    ]
    assert "▁" in drawn(roll, 4, 28, FANCY)[0] and "█" in drawn(roll, 4, 28, FANCY)[2]  # the softer, the lower


def test_notes_last_as_long_as_they_do():
    lines = drawn(Roll([(1, 2, 6, 1.0), (1, 6, 8, 1.0), (0, 30, 32, 1.0)], ("C4", "D4"), 32), 3, 68)
    assert lines[0] == "D4 |   #------ #-- .       .       |       .       .       ."
    assert lines[1].endswith(".   #--") and lines[2] == "   |1                              |2"


@pytest.mark.parametrize(("width", "step"), [(17, 1), (18, 1), (33, 2), (48, 3)])
def test_steps_are_as_wide_as_there_is_room(width, step):
    (line, _) = drawn(Roll([(0, 0, 1, 1.0), (0, 1, 2, 1.0)], ("",), 16), 2, width + 2)
    block = "#" * max(step - 1, 1) + " " * (step > 1)
    assert line[1:].startswith((block * 2).rstrip())


def test_long_phrases_share_columns():
    lines = drawn(Roll([(0, 128, 129, 1.0)], DRUMS, 256), 4, 76)
    assert lines[2].index("#") == 11 + 32 and lines[3].endswith("|16")
    assert "." not in lines[0]


def test_all_lanes_are_shown_where_there_is_room_else_those_around_what_sounds():
    assert Roll([], DRUMS, 16).lanes(9) == [[0], [1], [2]]
    close = Roll([(40, 0, 1, 1.0), (44, 1, 2, 1.0)], PITCHES, 16).lanes(9)
    assert [lane for (lane,) in close] == list(range(38, 47))
    assert [lane for (lane,) in Roll([(87, 0, 1, 1.0)], PITCHES, 16).lanes(9)] == list(range(79, 88))
    assert [lane for (lane,) in Roll([], PITCHES, 16).lanes(9)] == list(range(40, 49))
    assert Roll([(0, 0, 1, 1.0), (87, 0, 1, 1.0), (5, 0, 1, 1.0)], PITCHES, 16).lanes(9) == [[0], [5], [87]]
    crowd = Roll([(lane, 0, 1, 1.0) for lane in range(20)], PITCHES, 16).lanes(9)
    assert len(crowd) == 9 and list(itertools.chain(*crowd)) == list(range(20))


cells = st.tuples(st.integers(0, 87), st.floats(-1, 70), st.floats(0, 80), st.floats(0, 1))


@given(st.lists(cells, max_size=40), st.integers(2, 30), st.integers(30, 140), st.sampled_from([16, 64, 256]))
def test_any_roll_can_be_drawn(found, most, width, steps):
    roll = Roll([(lane, start, start + length, strength) for lane, start, length, strength in found], PITCHES, steps)
    height = roll.rows(most)
    assert 2 <= height <= min(most, LANES + 1)
    shown = roll.lanes(height - 1)
    assert len(shown) <= height - 1 and {cell[0] for cell in found} <= set(itertools.chain(*shown))
    assert len(drawn(roll, height, width, FANCY)) == height


def test_silence_is_empty():
    assert drawn(Roll([], DRUMS, 16), 4, 28)[2] == "kick       |   .   .   ."


def test_numbers_are_cut_where_there_is_no_room():
    numbers = Numbers((("hit density", 0.5), ("a very long name", 1.0), ("more", np.float64(2))))
    assert numbers.rows(9) == 3 and numbers.rows(2) == 2
    assert drawn(numbers, 2, 16) == ["hit density 0.50", "a very long 1.00"]
