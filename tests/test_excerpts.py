"""Windows of pieces as examples: what they hold, of which piece, in which key."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.excerpts import Excerpts
from data.keys import LABELS, MAJOR, Key
from models.epochs import batches
from tests.pieces import piece_in
from utils.device import Ranks, generator

NAMES = tuple(sorted(MAJOR))


def piece(label, length, identity="", lowest=40):
    """Return a piece whose step t has the note `lowest` + t % 20, and 20 above it."""
    steps = [[lowest + t % 20, lowest + 20 + t % 20] for t in range(length)]
    return replace(piece_in(label, steps), identity=identity or f"{label}{length}")


PIECES = (piece("C", 7), piece("a", 2, lowest=50), piece("D", 5), piece("g", 3, "C7"))


def excerpts(length=3, pieces=PIECES, classes=NAMES, **given):
    return Excerpts(tuple(pieces), classes, length, **given)


def all_of(data, seed=0):
    return data.batch(torch.arange(len(data)), generator(seed))


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize("length", [1, 3, 6, 9])
def test_windows_hold_the_frames_of_their_piece(lag, overlapping, length):
    data = excerpts(length, lag=lag, overlapping=overlapping)
    batch = all_of(data)
    assert batch["score"].shape == (len(data), lag + length, 88)
    for (place, start, steps), window in zip(data.rows.tolist(), batch["score"].numpy(), strict=True):
        frames = PIECES[place].frames
        before = frames[start - lag : start] if start else np.zeros((lag, 88))
        np.testing.assert_array_equal(window[:lag], before)
        np.testing.assert_array_equal(window[lag : lag + steps], frames[start : start + steps])
        assert (window[lag + steps :] == -1).all()


def test_all_windows_or_those_that_cover():
    assert excerpts(overlapping=True).rows[:, :2].tolist() == [[0, t] for t in range(5)] + [[1, 0]] + [[2, t] for t in range(3)] + [
        [3, 0]
    ]
    assert excerpts().rows.tolist() == [[0, 0, 3], [0, 3, 3], [0, 6, 1], [1, 0, 2], [2, 0, 3], [2, 3, 2], [3, 0, 3]]


def test_weights_items_groups_and_keys():
    batch = all_of(excerpts())
    assert batch["weight"].tolist() == [3, 3, 1, 2, 3, 2, 3]
    assert batch["item"].tolist() == [[n] for n in (0, 0, 0, 1, 2, 2, 3)]
    assert batch["group"].tolist() == [[n] for n in (0, 0, 0, 1, 2, 2, 0)]  # the last piece is the first, transposed
    assert [NAMES[i] for i in batch["key"].argmax(1)] == ["C"] * 4 + ["D"] * 2 + ["B-"]  # of relative majors
    assert batch["key"].sum(1).tolist() == [1] * 7
    minor = all_of(excerpts(classes=LABELS, relative_major=False))
    assert [LABELS[i] for i in minor["key"].argmax(1)] == ["C"] * 3 + ["a"] + ["D"] * 2 + ["g"]


def test_spellings_of_one_key_are_one_class():
    pieces = [piece(label, 1) for label in ("G-", "F#", "e-", "d#")]
    assert all_of(excerpts(1, pieces))["key"].argmax(1).tolist() == [NAMES.index("F#")] * 4


# -- transposition ----------------------------------------------------------------------------------------------------


def shifts_of(data, batch):
    """Return by how much each window was moved."""
    plain = replace(data, transpose=0).batch(torch.arange(len(data)), generator(0))["score"]
    return [
        int(a.clamp_min(0).sum(0).argmax()) - int(b.clamp_min(0).sum(0).argmax())
        for a, b in zip(batch["score"], plain, strict=True)
    ]


@settings(max_examples=40)
@given(st.integers(1, 11), st.integers(0, 2**31), st.sampled_from([21, 30, 60, 68]))
def test_notes_and_key_move_together_within_the_piano(semitones, seed, lowest):
    pieces = [piece("C", 4, lowest=lowest), piece("e", 3, lowest=lowest)]
    data = excerpts(2, pieces, lag=1, overlapping=True, transpose=semitones)
    batch, plain = all_of(data, seed), all_of(replace(data, transpose=0))
    for place, shift in enumerate(shifts_of(data, batch)):
        assert abs(shift) <= semitones
        assert torch.equal(batch["score"][place].roll(-shift, 1), plain["score"][place])
        assert (batch["score"][place].clamp_min(0).sum(1) == plain["score"][place].clamp_min(0).sum(1)).all()
        label = pieces[data.rows[place, 0]].class_of()
        assert NAMES[batch["key"][place].argmax()] == Key(label).moved(shift).label


def test_every_shift_is_drawn():
    data = excerpts(1, [piece("C", 1)] * 400, transpose=3)
    shifts = shifts_of(data, all_of(data))
    assert sorted(set(shifts)) == list(range(-3, 4))
    assert min(map(shifts.count, range(-3, 4))) > 30


def test_at_the_edges_only_what_fits_is_moved():
    edges = [piece_in("C", [[21], [40]]), piece_in("C", [[40], [108]]), piece_in("C", [[21, 108]] * 2)]
    data = excerpts(2, [*(edges[0],) * 99, *(edges[1],) * 99, *(edges[2],) * 9], transpose=2)
    shifts = shifts_of(data, all_of(data))
    assert set(shifts[:99]) == {0, 1, 2}
    assert set(shifts[99:198]) == {-2, -1, 0}
    assert set(shifts[198:]) == {0}


def test_what_follows_a_short_piece_hinders_no_move():
    data = excerpts(8, [piece("C", 2), piece_in("C", [[21, 108]])] * 20, overlapping=True, transpose=2)
    assert set(shifts_of(data, all_of(data))[::2]) == set(range(-2, 3))


def test_silence_is_in_the_key_of_its_piece():
    data = excerpts(1, [piece_in("D", [[60], [], []])], overlapping=True, transpose=5)
    batch = all_of(data)
    assert batch["score"][1:].sum() == 0
    assert [NAMES[i] for i in batch["key"][1:].argmax(1)] == ["D", "D"]


# -- as a dataset -----------------------------------------------------------------------------------------------------


def test_the_same_seeds_draw_the_same():
    data = excerpts(2, transpose=4, overlapping=True)
    assert torch.equal(all_of(data, 5)["score"], all_of(data, 5)["score"])
    assert not torch.equal(all_of(data, 5)["score"], all_of(data, 6)["score"])
    assert sorted(data.order(generator(0)).tolist()) == list(range(len(data)))
    assert torch.equal(data.order(generator(3)), data.order(generator(3)))


def test_plain_windows_cover_and_stay():
    data = excerpts(2, transpose=4, overlapping=True, lag=1)
    assert data.varies
    plain = data.plain()
    assert not plain.varies
    assert (plain.overlapping, plain.lag, plain.length) == (False, 1, 2)
    assert plain.rows[:, 2].sum() == sum(map(len, PIECES))
    assert torch.equal(all_of(plain, 1)["score"], all_of(plain, 2)["score"])


def test_passages_are_whole_pieces():
    data = excerpts(3, transpose=4, overlapping=True)
    found = list(data.passages(3, generator(1)))
    assert len(found) == 3
    places = [batch["item"].unique().item() for batch in found]
    assert len(set(places)) == 3
    for place, batch in zip(places, found, strict=True):
        frames = batch["score"].flatten(0, 1)
        assert torch.equal(frames[frames[:, 0] >= 0], torch.from_numpy(PIECES[place].frames).float())
    assert len(list(data.passages(99, generator(1)))) == len(PIECES)


def test_fingerprints_follow_the_content():
    def changed(**changes):
        return excerpts(pieces=[replace(PIECES[0], **changes), *PIECES[1:]])

    frames = PIECES[0].frames.copy()
    frames[3, 3] = True
    base = excerpts()
    others = [
        changed(frames=frames),
        changed(key=Key("G")),
        changed(identity="z"),
        changed(frames=frames[:-1]),
        excerpts(pieces=PIECES[1:]),
    ]
    prints = [data.fingerprint() for data in (base, *others)]
    assert len(set(prints)) == 6
    assert base.fingerprint() == changed().fingerprint() == excerpts(5, lag=1).fingerprint()


def test_ranks_share_the_windows_of_one():
    data = excerpts(2, overlapping=True)
    whole = torch.cat([batch["score"] for batch in batches(data, 4, 0)])
    parts = torch.cat([batch["score"] for rank in (0, 1) for batch in batches(data, 4, 0, ranks=Ranks(rank, 2))])
    rows = [sorted(map(bytes, windows.flatten(1).to(torch.int8).numpy())) for windows in (whole, parts)]
    assert rows[0] == rows[1]
    assert len(whole) == len(data)


def test_no_pieces_are_no_windows():
    assert len(excerpts(pieces=())) == 0
