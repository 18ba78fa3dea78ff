"""Trios: which instruments make one where, tokens, round trips, scores by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.drums import DRUMS
from data.trio import Trio, covered
from tests.sequences import heard, hits, sequence, together
from utils.config import InputError

BAR = Trio(16)


def lead(*notes, program=0):
    return sequence(notes, program=program)


def bass(*notes):
    return sequence(notes, program=33)


ALL = together(lead((0, 16, 60)), bass((0, 8, 40), (8, 12, 43)), hits([(0, 36), (4, 38)]))


def test_three_parts_side_by_side():
    (line,), reasons = BAR.lines(ALL)
    assert reasons == []
    assert line.shape == (16, 3)
    assert {(step, part): int(line[step, part]) for step, part in np.argwhere(line).tolist()} == {
        (0, 0): 41,
        (0, 1): 21,
        (8, 1): 24,
        (12, 1): 1,
        (0, 2): 1,
        (4, 2): 2,
    }


def test_notes_are_on_a_track_for_each_part():
    (line,), _ = BAR.lines(ALL)
    notes = BAR.notes(line)
    assert notes.onset.tolist() == [0, 0, 8, 0, 4]
    assert notes.offset.tolist() == [16, 8, 12, 1, 5]
    assert notes.pitch.tolist() == [60, 40, 43, 36, 38]
    assert notes.track.tolist() == [0, 1, 1, 2, 2]
    assert [(track.program, track.drum) for track in notes.tracks] == [(0, False), (33, False), (0, True)]


def test_every_melody_goes_with_every_bass_and_all_drums():
    music = together(lead((0, 16, 60)), lead((0, 16, 72), program=31), bass((0, 16, 40)), bass((0, 16, 41)), hits([(0, 36)]))
    found, _ = BAR.lines(music)
    assert [line[0].tolist() for line in found] == [[41, 21, 1], [41, 22, 1], [53, 21, 1], [53, 22, 1]]


def test_parts_count_as_playing_for_two_bars_around_their_notes():
    """A bass in the ninth bar plays from the seventh to the eleventh, a lead in the first three to the fifth."""
    drums = hits([(step, 36) for step in range(0, 320, 4)])
    music = together(lead((0, 112, 60)), bass((128, 144, 40)), drums)
    (line,), _ = BAR.lines(music)
    assert len(line) == 3 * 16  # bars 7 to 9
    assert line[0].tolist() == [0, 0, 1]
    assert line[32, 1] == 21
    (narrow, *none), _ = Trio(16, widened=1).lines(music)
    assert (len(narrow), none) == (16, [])
    assert Trio(16, widened=0).lines(music) == ([], ["melody, bass and drums never play in the same bar"])


def test_coverage_by_hand():
    start, end = np.array([4, 5, 12]), np.array([8, 6, 13])
    assert np.flatnonzero(covered(start, end, 16, 0)).tolist() == [4, 5, 6, 7, 12]
    assert np.flatnonzero(~covered(start, end, 16, 1)).tolist() == [0, 1, 2, 9, 10, 14, 15]
    assert covered(start, end, 16, 100).all()


def test_a_line_is_cut_where_a_part_is_silent():
    far = together(lead((0, 16, 60), (160, 176, 62)), bass((0, 176, 40)), hits([(0, 36), (16, 36), (160, 36)]))
    found, _ = BAR.lines(far)
    assert [len(line) for line in found] == [48, 48]
    assert found[1][32].tolist() == [43, 0, 1]


@pytest.mark.parametrize(
    ("music", "reasons"),
    [
        (
            together(lead((0, 4, 60), program=40), hits([(0, 36)])),
            ["no melody of programs 0-31 with pitches 21-108", "no bass of programs 32-39 with pitches 21-108"],
        ),
        (together(lead((0, 4, 60)), bass((0, 4, 40))), ["no drums on channel 10"]),
        (
            together(lead((0, 4, 60)), bass((0, 4, 40)), hits([(0, 20)])),
            ["no drum of the gm map has pitch 20; nothing else is played"],
        ),
    ],
)
def test_every_way_to_find_nothing_has_its_words(music, reasons):
    assert BAR.lines(music) == ([], reasons)


def test_what_is_too_much_or_too_short_is_told():
    many = [lead((0, 16, pitch)) for pitch in range(50, 60)]
    found, reasons = Trio(32).lines(together(*many, *(bass((0, 16, 40 + pitch)) for pitch in range(10)), hits([(0, 36)])))
    assert len(found) == 64
    assert reasons == [
        "more than 64 ways to combine a melody, a bass and drums: others are not read",
        "a trio of 1 bar is shorter than a phrase of 2 bars",
    ]


def test_windows_are_of_each_part():
    """Note-offs before a note are not written; drums stay."""
    line = np.zeros((32, 3), np.int64)
    line[16:19] = [[1, 0, 1], [41, 1, 0], [1, 21, 2]]
    assert BAR.window(line, 16)[:3].tolist() == [[0, 0, 1], [41, 0, 0], [1, 21, 2]]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_heard_is_read_as_the_same_tokens(data):
    """Notes that follow each other without a rest, and hits, in a bar that each part begins."""
    x = np.array([[data.draw(st.integers(0, most)) for most in (89, 89, 511)] for _ in range(16)])
    x[:, :2][x[:, :2] == 1] = 0
    x[0] = [41, 21, 1]
    found, _ = BAR.lines(heard(BAR.notes(x)))
    assert [line.tolist() for line in found] == [x.tolist()]


def test_one_hot_side_by_side():
    x = torch.tensor([[[41, 21, 511], [0, 1, 0]]])
    fed = BAR.feed(x)
    assert fed.shape == (1, 2, 692)
    assert fed[0].nonzero().tolist() == [[0, 41], [0, 90 + 21], [0, 180 + 511], [1, 0], [1, 91], [1, 180]]
    assert BAR.inputs(x).equal(fed)


def test_melody_and_bass_are_transposed_together():
    x = torch.tensor([[[41, 21, 5]], [[41, 2, 5]]])
    assert BAR.transposed(x, torch.tensor([-2, -1])).tolist() == [[[39, 19, 5]], [[41, 2, 5]]]


def test_cells_are_drums_below_pitches():
    x = np.zeros((16, 3), np.int64)
    x[0] = [41, 21, 4]
    assert BAR.cells(x) == [(2, 0, 1, 1), (9 + 19, 0, 16, 0.5), (9 + 39, 0, 16, 1)]
    assert (BAR.rows[: len(DRUMS)], BAR.rows[9 + 39]) == (DRUMS, "C4")


def test_scores_by_hand():
    reference = torch.zeros(1, 4, 3, dtype=torch.int64)
    estimate = reference.clone()
    estimate[0, 0, 0] = estimate[0, 0, 2] = estimate[0, 1, 2] = 3
    assert {name: score.item() for name, score in BAR.compare(reference, estimate).items()} == pytest.approx(
        {"melody_accuracy": 3 / 4, "bass_accuracy": 1, "drums_accuracy": 1 / 2, "accuracy": 9 / 12, "exact": 0}
    )
    assert {score.item() for score in BAR.compare(reference, reference).values()} == {1}


def test_wrong_maps_are_refused():
    with pytest.raises(InputError, match="is no drum map"):
        Trio(16, kit="tr808")
