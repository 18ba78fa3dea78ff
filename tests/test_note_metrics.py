import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.note_metrics import Matches, Sheet, matches, onset_deviations, pairs, total


def sheet(*rows):
    """Make notes of rows (onset, offset, pitch, velocity)."""
    return Sheet(*(np.array(column, float) for column in zip(*rows, strict=True))) if rows else Sheet(*np.zeros((4, 0)))


REFERENCE = sheet((0, 1, 60, 40), (1, 2, 62, 80), (2, 3, 64, 120))


def f1(reference, estimate, name, **options):
    found = matches(reference, estimate, **options)[name]
    return found and found.scores()["f1"]


def test_what_is_equal_matches():
    assert {name: m.scores()["f1"] for name, m in matches(REFERENCE, REFERENCE).items()} == {
        "onset": 1.0,
        "onset_offset": 1.0,
        "onset_velocity": 1.0,
        "onset_offset_velocity": 1.0,
    }


@pytest.mark.parametrize(
    ("note", "onset", "onset_offset"),
    [
        ((0.05, 1, 60, 40), 1, 1),
        ((0.051, 1, 60, 40), 0, 0),
        ((0, 1.2, 60, 40), 1, 1),  # a fifth of its length
        ((0, 1.21, 60, 40), 1, 0),
        ((0, 1, 61, 40), 0, 0),
        ((0, 1, 72, 40), 0, 0),
    ],
)
def test_tolerances(note, onset, onset_offset):
    found = matches(sheet((0, 1, 60, 40)), sheet(note))
    assert (found["onset"].matched, found["onset_offset"].matched) == (onset, onset_offset)


def test_the_onset_tolerance_is_a_choice():
    assert f1(REFERENCE, REFERENCE._replace(onset=REFERENCE.onset + 0.09), "onset") == 0
    assert f1(REFERENCE, REFERENCE._replace(onset=REFERENCE.onset + 0.09), "onset", tolerance=0.1) == 1


def test_velocities_count_up_to_a_straight_line():
    assert f1(REFERENCE, REFERENCE._replace(velocity=10 + REFERENCE.velocity / 2), "onset_velocity") == 1
    wrong = REFERENCE._replace(velocity=np.array([40.0, 40.0, 120.0]))
    assert f1(REFERENCE, wrong, "onset_velocity") < 1 and f1(REFERENCE, wrong, "onset") == 1


def test_velocities_that_say_nothing_are_not_scored():
    flat = REFERENCE._replace(velocity=np.full(3, 64.0))
    assert matches(flat, REFERENCE)["onset_velocity"] is matches(flat, REFERENCE)["onset_offset_velocity"] is None


@pytest.mark.parametrize(("first", "second"), [(sheet(), REFERENCE), (REFERENCE, sheet()), (sheet(), sheet())])
def test_no_notes(first, second):
    found = matches(first, second)["onset"]
    assert found == Matches(0, len(first.onset), len(second.onset))
    assert found.scores()["precision"] == found.scores()["recall"] == found.scores()["f1"] == 0
    assert not len(onset_deviations(first, second))


def test_no_note_is_matched_twice():
    twice = sheet((0, 1, 60, 40), (0.01, 1, 60, 40))
    assert matches(sheet((0, 1, 60, 40)), twice)["onset"] == Matches(1, 1, 2)
    assert Matches(1, 1, 2).scores()["f1"] == pytest.approx(2 / 3)


def test_totals_are_sums_of_matches_and_pass_over_what_is_unknown():
    assert total([Matches(1, 2, 3), None, Matches(4, 5, 6)]) == Matches(5, 7, 9)
    assert total([None]) is None


@given(st.floats(-0.2, 0.2))
def test_lateness_is_found(late):
    rows = REFERENCE._replace(onset=REFERENCE.onset + 1, offset=REFERENCE.offset + 1)
    deviations = onset_deviations(rows, rows._replace(onset=rows.onset + late, offset=rows.offset + late))
    assert deviations == pytest.approx(np.full(3, late), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 1), st.integers(40, 44), st.integers(1, 127)), max_size=8))
def test_more_conditions_never_match_more(rows):
    estimate = sheet(*((onset, onset + length, pitch, velocity) for onset, length, pitch, velocity in rows))
    reference = sheet(*((t, t + 0.5, 42, 30 * t + 1) for t in range(4)))
    found = {name: m.matched for name, m in matches(reference, estimate).items()}
    assert found["onset"] >= found["onset_offset"] >= found["onset_offset_velocity"]
    assert found["onset"] == len(pairs(reference, estimate, 0.05)) <= min(len(rows), 4)
