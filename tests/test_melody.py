"""Melodies: extraction against stored values of the original, round trips, scores by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.melody import Melody, led
from tests.sequences import golden, heard, hits, sequence, together

TWO = Melody(32)
NOTES = [(0, 4, 60), (4, 6, 62), (8, 12, 64), (12, 16, 64), (16, 24, 67), (24, 31, 108)]
TOKENS = [41, 0, 0, 0, 43, 0, 1, 0, 45, 0, 0, 0, 45, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 89, 0, 0, 0, 0, 0, 0, 1]


def tokens(length, **at):
    """Return tokens (length,) that are 0 but at some steps: s4=41."""
    line = np.zeros(length, np.int64)
    for step, token in at.items():
        line[int(step[1:])] = token
    return line.tolist()


def lines(notes, phrase=TWO, **known):
    return [line.tolist() for line in phrase.lines(sequence(notes, **known))[0]]


def windows(notes):
    """Return the distinct windows of two bars, sorted."""
    found = TWO.lines(sequence(notes))[0]
    return sorted({tuple(TWO.window(line, first).tolist()) for line in found for first in range(0, len(line) - 31, 16)})


def test_worked_example_and_back():
    """Specification, 2.2."""
    assert lines(NOTES) == [TOKENS]
    notes = TWO.notes(np.array(TOKENS))
    assert list(zip(notes.onset, notes.offset, notes.pitch, strict=True)) == NOTES
    assert (notes.velocity == 80).all()
    assert (notes.track == 0).all()
    assert notes.tracks[0][1:] == (0, False)


def test_of_notes_together_the_highest_counts_and_a_bar_of_silence_ends_a_line():
    notes = [(2, 6, 60), (2, 6, 64), (10, 20, 55), (20, 21, 10), (40, 48, 72)]
    assert windows(notes) == [tuple(tokens(32, s2=45, s6=1, s10=36, s20=1))]
    assert lines(notes)[1] == tokens(16, s8=53)
    assert TWO.lines(sequence(notes))[1] == ["a melody of 1 bar is shorter than a phrase of 2 bars"]


def test_a_note_held_into_a_window_is_not_in_it():
    held = tuple(tokens(32, s0=41, s20=43, s24=1))
    assert windows([(0, 20, 60), (20, 24, 62), (32, 48, 65)]) == [tuple(tokens(32, s4=43, s8=1, s16=46)), held]


@pytest.mark.parametrize("name", ["melody", "melody_polyphony_gap", "melody_hold_across_slice"])
def test_stored_values_of_the_original(name):
    stored = golden(name)
    expected = stored.get("windows_sorted") or [stored["tokens"]]
    assert windows(stored["notes_step_units"]) == [tuple(window) for window in expected]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([(0, 16, 60)], tokens(16, s0=41)),  # ends with the bar: no note-off
        ([(0, 15, 60)], tokens(16, s0=41, s15=1)),
        ([(19, 20, 60)], tokens(16, s3=41, s4=1)),  # from the bar of the first note
        ([(0, 9, 60), (4, 5, 62)], tokens(16, s0=41, s4=43, s5=1)),  # cut by the next, however short that is
        ([(0.4, 0.45, 60), (1.5, 1.6, 62)], tokens(16, s0=41, s1=1, s2=43, s3=1)),
        ([(0, 1, 21), (1, 2, 108)], tokens(16, s0=2, s1=89, s2=1)),
        ([(0, 1, 20), (4, 5, 109), (8, 9, 60)], tokens(16, s8=41, s9=1)),
        ([(0, 4, 60), (19, 20, 62)], tokens(32, s0=41, s4=1, s19=43, s20=1)),  # 15 steps of silence
        ([(0, 17, 60)], tokens(32, s0=41, s17=1)),
    ],
)
def test_lines_by_hand(notes, expected):
    assert lines(notes) == [expected]


def test_a_wider_gap_and_other_pitches():
    assert len(lines([(0, 4, 60), (20, 24, 62)])) == 2
    assert len(lines([(0, 4, 60), (20, 24, 62)], Melody(32, gap=2))) == 1
    high = Melody(16, lowest=60, highest=62)
    assert (high.tokens, high.depth, high.width, high.rows) == (5, 5, 5, ("C4", "C#4", "D4"))
    assert lines([(0, 4, 59), (4, 8, 60), (8, 16, 62)], high) == [tokens(16, s4=2, s8=4)]
    assert high.notes(np.array([2, 4])).pitch.tolist() == [60, 62]


def test_tracks_are_melodies_on_their_own():
    both = together(sequence([(0, 16, 60)]), hits([(0, 36)]), sequence([(16, 32, 62)]))
    found, _ = Melody(16).lines(both)
    assert [line.tolist() for line in found] == [tokens(16, s0=41), tokens(16, s0=43)]


def test_no_more_than_a_hundred_bars_are_read():
    found, reasons = TWO.lines(sequence([(8 * step, 8 * step + 8, 60) for step in range(204)]))
    assert [len(line) for line in found] == [1600]
    assert reasons == ["a melody is 102 bars long: only the first 100 bars are read"]


@pytest.mark.parametrize(
    ("music", "phrase", "reason"),
    [
        (hits([(0, 36)]), TWO, "only drums"),
        (sequence([(0, 16, 20)]), TWO, "no notes of a melody's pitches 21-108"),
        (sequence([(0, 32, 60)], program=40), Melody(32, programs=(0, 31)), "program 40 is not among 0-31"),
        (sequence([(0, 16, 60), (0.4, 32, 64)]), Melody(32, skip_polyphony=True), "polyphonic: notes begin together"),
    ],
)
def test_every_way_to_find_nothing_has_its_words(music, phrase, reason):
    assert phrase.lines(music) == ([], [reason])


def test_a_track_without_a_melody_takes_no_other_with_it():
    both = together(sequence([(0, 16, 60), (0, 16, 64)]), sequence([(0, 16, 60)]))
    found, reasons = Melody(16, skip_polyphony=True).lines(both)
    assert [line.tolist() for line in found] == [tokens(16, s0=41)]
    assert reasons == ["polyphonic: notes begin together"]
    assert Melody(16, skip_polyphony=True).lines(sequence([(0, 9, 60), (4, 9, 64)]))[1] == []  # overlap, but do not begin together


def test_note_offs_before_the_first_note_are_not_written():
    assert led(np.array([0, 1, 0, 41, 1, 0, 1])).tolist() == [0, 0, 0, 41, 1, 0, 1]
    assert led(np.array([1, 0, 1])).tolist() == [0, 0, 0]
    assert TWO.window(np.array([1] * 64), 16).shape == (32,)


pieces = st.lists(st.tuples(st.floats(0, 120), st.floats(0.01, 40), st.integers(15, 112)), min_size=1, max_size=25)


@given(pieces)
@settings(max_examples=200, deadline=None)
def test_what_is_heard_of_a_line_is_read_as_that_line(notes):
    for line in TWO.lines(sequence([(onset, onset + length, pitch) for onset, length, pitch in notes]))[0]:
        again, _ = TWO.lines(heard(TWO.notes(line)))
        assert [found.tolist() for found in again] == [line.tolist()]


@given(pieces)
@settings(max_examples=200, deadline=None)
def test_lines_are_what_notes_taken_one_by_one_would_give(notes):
    """The steps of the specification, one note after the other."""
    notes = [(onset, onset + length, pitch) for onset, length, pitch in notes]
    assert [line.tolist() for line in TWO.lines(sequence(notes))[0]] == one_by_one(notes)


def one_by_one(notes):
    def step(time):
        return int(np.floor(time + 0.5))

    left = [(step(onset), max(step(offset), step(onset) + 1), pitch) for onset, offset, pitch in notes if 21 <= pitch <= 108]
    left, found = sorted(left, key=lambda note: (note[0], -note[2])), []
    while left:
        base, events, on, off = left[0][0] // 16 * 16, [], None, None
        while left and (on is None or left[0][0] - off < 16):
            start, end, pitch = left.pop(0)
            if start != on:
                on, off = start, end
                events = (events + [0] * (end - base))[: end - base]
                events[start - base :] = [pitch - 19] + [0] * (end - start - 1)
                events.append(1)
        whole = -(-(len(events) - 1) // 16) * 16
        found.append((events + [0] * whole)[:whole])
    return found


def test_one_hot():
    x = torch.tensor([[41, 0, 1]])
    assert TWO.inputs(x).equal(TWO.feed(x))
    assert TWO.feed(x).argmax(-1).equal(x)
    assert TWO.feed(x).sum(-1).eq(1).all()


def test_transposing_moves_notes_alone_and_keeps_to_the_range():
    x = torch.tensor([[41, 0, 1, 45], [89, 0, 0, 2], [0, 1, 0, 0], [3, 0, 0, 5]])
    moved = TWO.transposed(x, torch.tensor([-5, 1, 7, -1]))
    assert moved.tolist() == [[36, 0, 1, 40], [89, 0, 0, 2], [0, 1, 0, 0], [2, 0, 0, 4]]
    assert moved.dtype == x.dtype
    assert TWO.transposed(x, torch.tensor([45, -1, 0, -2])).equal(x)  # one note of each phrase would leave the range


def test_cells_are_lanes_of_pitches():
    assert TWO.cells(np.array([41, 0, 1, 2])) == [(39, 0, 2, 1), (0, 3, 4, 1)]
    assert (TWO.rows[0], TWO.rows[39], TWO.rows[-1]) == ("A0", "C4", "C8")


def scores(reference, estimate):
    found = Melody(len(reference)).compare(torch.tensor([reference]), torch.tensor([estimate]))
    return {name: score.item() for name, score in found.items()}


def test_scores_by_hand():
    """Onsets: two of three named at two of three true steps, one with its pitch; one of two note-offs."""
    found = scores([41, 0, 43, 1, 45, 0, 1, 0], [41, 0, 44, 1, 0, 47, 0, 0])
    assert found == pytest.approx(
        {
            "accuracy": 4 / 8,
            "exact": 0,
            "event_accuracy": 2 / 5,
            "onset_precision": 2 / 3,
            "onset_recall": 2 / 3,
            "onset_f1": 2 / 3,
            "pitch_accuracy": 1 / 2,
            "note_off_accuracy": 1 / 2,
        }
    )


def test_scores_of_nothing():
    assert set(scores([0, 0, 0], [0, 0, 0]).values()) == {1}
    assert set(scores([41, 0, 1], [41, 0, 1]).values()) == {1}
    wrong = scores([0, 0, 0], [41, 0, 1])
    assert wrong.pop("accuracy") == pytest.approx(1 / 3)
    assert set(wrong.values()) == {0}
    missed = scores([41, 0, 1], [0, 0, 0])
    assert missed.pop("accuracy") == pytest.approx(1 / 3)
    assert set(missed.values()) == {0}
