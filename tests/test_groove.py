"""Grooves: values of the original, transforms, round trips, scores by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.groove import TRANSFORMS, Groove
from tests.sequences import golden, heard, hits, sequence, together
from utils.config import InputError

BAR = Groove(16)
NOTES = [(0, 36, 127), (4.25, 38, 64), (7.75, 38, 32), (8, 40, 100), (12.49, 22, 10)]
VALUES = {
    (0, 0): 1,
    (0, 9): 1,
    (4, 1): 1,
    (4, 10): 64 / 127,
    (4, 19): -0.5,  # a quarter of a step late
    (8, 1): 1,  # the louder of two
    (8, 10): 100 / 127,
    (12, 2): 1,
    (12, 11): 10 / 127,
    (12, 20): -0.98,
}


def line(notes, phrase=BAR):
    (found,), _ = phrase.lines(hits(notes))
    return found


def values(x):
    return {(step, column): float(x[step, column]) for step, column in np.argwhere(np.asarray(x)).tolist()}


def test_worked_example():
    found = line(NOTES)
    assert (found.shape, found.dtype) == ((16, 27), np.float32)
    assert values(found) == pytest.approx(VALUES)


def test_stored_values_of_the_original():
    stored = golden("groove")
    assert values(line(stored["notes"])) == pytest.approx({(step, column): value for step, column, value in stored["nonzero"]})


def test_hits_are_written_at_their_times():
    notes = BAR.notes(line(NOTES))
    assert notes.onset.tolist() == pytest.approx([0, 4.25, 8, 12.49])
    assert (notes.offset - notes.onset).tolist() == pytest.approx([1, 1, 1, 1])
    assert notes.velocity.tolist() == [127, 64, 100, 10]
    assert notes.pitch.tolist() == [36, 38, 38, 42]
    assert notes.tracks[0].drum


def test_no_hit_is_before_the_start_nor_silent():
    x = np.zeros((16, 27), np.float32)
    x[0, [0, 18]] = 0.6, 0.5  # early
    x[1, [4, 13, 22]] = 1, 3, -7  # louder and later than can be
    notes = BAR.notes(x)
    assert notes.onset.tolist() == [0, 1.5]
    assert notes.velocity.tolist() == [1, 127]
    assert notes.pitch.tolist() == [36, 45]  # General MIDI's low tom
    assert Groove(16, written="roland").notes(x).pitch.tolist() == [36, 43]


def test_lines_are_whole_stretches():
    found = line([(36, 36, 90), (90, 36, 90)])
    assert len(found) == 96
    assert values(found).keys() == {(36, 0), (36, 9), (90, 0), (90, 9)}
    assert len(line([(15.5, 36, 90)])) == 32
    assert len(line([(15.4, 36, 90)])) == 16


def test_of_equally_loud_hits_the_first_is_kept():
    assert values(line([(4.25, 38, 64), (3.75, 40, 64), (4, 37, 63)]))[4, 19] == 0.5


@pytest.mark.parametrize(
    ("music", "reasons"),
    [
        (sequence([(0, 4, 36)]), ["no drums on channel 10"]),
        (hits([(0, 60)]), ["no drum of the roland map has pitch 60; nothing else is played"]),
    ],
)
def test_every_way_to_find_nothing_has_its_words(music, reasons):
    assert BAR.lines(music) == ([], reasons)


def test_other_notes_are_passed_over():
    found, reasons = Groove(32).lines(together(sequence([(0, 64, 36)]), hits([(0, 36), (1, 60)])))
    assert values(found[0]).keys() == {(0, 0), (0, 9)}
    assert reasons == ["no drum of the roland map has pitch 60", "a groove of 1 bar is shorter than a phrase of 2 bars"]


cells = st.tuples(st.integers(0, 15), st.integers(0, 8))


@given(st.dictionaries(cells, st.tuples(st.integers(1, 127), st.integers(-119, 120)), min_size=1))
@settings(max_examples=100, deadline=None)
def test_what_is_heard_is_read_as_the_same_groove(notes):
    """But for early hits on the first step, which would be before the start; half a step late is early on the next."""
    phrase = Groove(16, kit="gm")
    x = np.zeros((16, 3, 9), np.float32)
    for (step, column), (velocity, ticks) in notes.items():
        x[step, :, column] = 1, velocity / 127, min(ticks / 120, 0) if step == 0 else ticks / 120
    x = x.reshape(16, 27)
    (found,), _ = phrase.lines(heard(phrase.notes(x)))
    assert found[:16] == pytest.approx(x, abs=1e-6)
    assert not found[16:].any()


def told(transform):
    return values(Groove(16, transform=transform).inputs(torch.tensor(line(NOTES))[None])[0])


def test_transforms_withhold_some_of_it_from_the_encoder():
    kinds = {name: range(first, first + 9) for name, first in (("hit", 0), ("velocity", 9), ("offset", 18))}
    assert told("none") == pytest.approx(VALUES)
    assert told("humanize") == {at: value for at, value in VALUES.items() if at[1] in kinds["hit"]}
    assert told("fixed_velocity") == pytest.approx({at: value for at, value in VALUES.items() if at[1] not in kinds["velocity"]})
    assert told("add_closed_hh") == pytest.approx({at: value for at, value in VALUES.items() if at[1] % 9 != 2})
    tapped = {(step, column // 9 * 9 + 3): value for (step, column), value in VALUES.items()}
    assert told("tap") == pytest.approx(tapped)
    assert told("tap_fixed_velocity") == pytest.approx({at: value for at, value in tapped.items() if at[1] != 12})


def test_a_tap_is_the_loudest_hit():
    x = torch.tensor(line([(2.25, 36, 50), (1.75, 38, 90), (6, 42, 1)]))[None]
    phrase = Groove(16, transform="tap")
    assert values(phrase.inputs(x)[0]) == pytest.approx({(2, 3): 1, (2, 12): 90 / 127, (2, 21): 0.5, (6, 3): 1, (6, 12): 1 / 127})
    assert values(x[0]).keys() >= {(2, 0), (2, 1), (6, 2)}  # as it was


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_targets_stay_whole(transform):
    x = torch.tensor(line(NOTES))[None]
    assert Groove(16, transform=transform).feed(x).equal(x)


def test_wrong_options_are_refused():
    with pytest.raises(InputError, match="'swing' is no transform of grooves: take one of none, humanize, tap"):
        Groove(16, transform="swing")
    with pytest.raises(InputError, match="is no drum map"):
        Groove(16, kit="swing")


def test_cells_are_at_their_times_and_as_strong_as_loud():
    cells = BAR.cells(line(NOTES))
    assert [cell[0] for cell in cells] == [0, 1, 1, 2]
    assert np.array(cells)[:, 1:] == pytest.approx(
        np.array([[0, 1, 1], [4.25, 5.25, 64 / 127], [8, 9, 100 / 127], [12.49, 13.49, 10 / 127]])
    )


def scores(reference, estimate):
    pair = [torch.from_numpy(line(notes) if notes else np.zeros((16, 27), np.float32))[None] for notes in (reference, estimate)]
    return {name: score.item() for name, score in BAR.compare(*pair).items()}


def test_scores_by_hand():
    """Two of three hits matched: 10 and 20 too loud, a quarter of a step late and exact."""
    found = scores([(0, 36, 80), (4, 38, 60), (8, 42, 50)], [(0.25, 36, 90), (4, 38, 80)])
    expected = {"velocity_mae": 15, "timing_mae": 0.125, "hit_precision": 1, "hit_recall": 2 / 3, "hit_f1": 0.8, "exact": 0}
    expected |= {"accuracy": 15 / 16, "event_accuracy": 2 / 3}
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_scores_of_nothing():
    beat = [(0, 36, 80), (4, 38, 60)]
    same, silent = scores(beat, beat), scores([], [])
    for found in (same, silent):
        assert (found.pop("velocity_mae"), found.pop("timing_mae")) == (0, 0)
        assert set(found.values()) == {1}
    for pair in ((beat, []), ([], beat)):
        found = scores(*pair)
        assert (found["hit_f1"], found["exact"], found["timing_mae"]) == (0, 0, 0.5)
        assert found["velocity_mae"] == pytest.approx(70)
