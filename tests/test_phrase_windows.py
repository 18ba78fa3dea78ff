"""The dataset of phrases."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.drums import Drums, Hits
from data.groove import Groove
from data.melody import Melody
from data.phrase_corpora import PhrasePiece, read
from data.phrase_windows import PhraseWindows
from data.trio import Trio
from models import epochs

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TWO = Melody(32)


def piece(*lines, identity="a", labels=(), line_labels=()):
    return PhrasePiece("x", Path("x"), "train", identity, lines, labels=dict(labels), line_labels=line_labels)


def scale(bars, lowest=40):
    """Return a melody in which a note begins each quarter, no two bars alike."""
    line = np.zeros(16 * bars, np.int64)
    line[::4] = lowest + np.arange(4 * bars) % 40
    return line


def batch_of(windows, seed=0):
    return windows.batch(torch.arange(len(windows)), torch.Generator().manual_seed(seed))


def test_rows():
    windows = PhraseWindows((piece(scale(4)), piece(scale(1), scale(3, 50))), TWO)
    assert windows.rows.tolist() == [[0, 0, 0], [0, 0, 16], [0, 0, 32], [1, 1, 0], [1, 1, 16]]
    assert len(windows) == 5 and not windows.varies
    assert PhraseWindows(windows.pieces, TWO, hop=8).rows[:, 2].tolist() == [0, 8, 16, 24, 32, 0, 8, 16]
    assert replace(windows, hop=4, transpose=3).plain().rows.tolist() == windows.rows.tolist()
    assert len(PhraseWindows(windows.pieces, Melody(16 * 5))) == 0 == len(PhraseWindows((), TWO))


def test_batch():
    pieces = (piece(scale(2)), piece(scale(2, 50), identity="b"), piece(scale(3, 60)))
    batch = batch_of(PhraseWindows(pieces, TWO))
    assert batch["phrase"].dtype == torch.int64 and batch["weight"].dtype == torch.float64
    np.testing.assert_array_equal(batch["phrase"], [scale(2), scale(2, 50), scale(2, 60), scale(3, 60)[16:]])
    assert batch["weight"].tolist() == [32] * 4
    assert batch["item"].tolist() == [[0], [1], [2], [2]] and batch["group"].tolist() == [[0], [1], [0], [0]]
    assert set(batch) == {"phrase", "weight", "item", "group"}
    one = PhraseWindows(pieces, TWO).batch(torch.tensor([3]), torch.Generator())
    assert all(torch.equal(one[name], batch[name][3:]) for name in one)


def test_silent_and_equal_windows_are_left_out():
    line = np.concatenate([scale(2), np.zeros(32, np.int64), scale(2), scale(2)])
    line[40] = 1  # a note-off where nothing begins is silence
    assert PhraseWindows((piece(line, scale(2)), piece(scale(2))), TWO).rows.tolist() == [
        [0, 0, 0],
        [0, 0, 16],
        [0, 0, 48],
        [0, 0, 80],
        [1, 0, 0],
    ]
    drums = np.zeros(64, np.int64)
    drums[0] = 3
    assert PhraseWindows((piece(drums),), Drums(32)).rows.tolist() == [[0, 0, 0]]


def test_windows_are_canonical():
    line = scale(3)
    line[17] = 1
    line[16] = 0
    batch = batch_of(PhraseWindows((piece(line),), TWO))
    np.testing.assert_array_equal(batch["phrase"][1], np.concatenate([np.zeros(4, np.int64), line[20:]]))


@pytest.mark.parametrize("kind", [Hits, Groove])
def test_numbers_are_floats(kind, tmp_path):
    random = np.random.default_rng(0)
    phrase = kind(32)
    line = np.zeros((64, *phrase.shape[1:]), np.float32)
    line[:, :9] = random.random((64, 9)) < 0.3
    line[:, 9:] = random.random((64, line.shape[1] - 9)) - 0.5
    windows = PhraseWindows((piece(line),), phrase)
    batch = batch_of(windows)
    assert batch["phrase"].dtype == torch.float32
    np.testing.assert_array_equal(batch["phrase"], [line[first : first + 32] for first in (0, 16, 32)])


def test_small_in_memory():
    hits = np.ones((32, 9), np.float32)
    assert PhraseWindows((piece(hits),), Hits(32))._windows.content.dtype == torch.uint8
    assert PhraseWindows((piece(scale(2)),), TWO)._windows.content.dtype == torch.int16
    tokens = np.full(32, 511)
    assert batch_of(PhraseWindows((piece(tokens),), Drums(32)))["phrase"].unique().tolist() == [511]


@given(st.integers(1, 6), st.integers(0, 2**31))
def test_transposition(semitones, seed):
    windows = PhraseWindows((piece(*[scale(4, 30)] * 3), piece(scale(4, 50))), TWO, transpose=semitones)
    plain = batch_of(windows.plain())["phrase"]
    moved = batch_of(windows, seed)["phrase"]
    assert windows.varies and torch.equal(moved, batch_of(windows, seed)["phrase"])
    shift = (moved - plain)[:, 0]
    assert shift.abs().max() <= semitones
    assert torch.equal(moved, torch.where(plain > 0, plain + shift[:, None], plain))


def test_transposition_is_drawn_anew():
    windows = PhraseWindows((piece(scale(40)),), TWO, transpose=5)
    shifts = [(batch_of(windows, seed)["phrase"] - batch_of(windows.plain())["phrase"])[:, 0] for seed in range(100)]
    counts = torch.bincount(torch.cat(shifts) + 5, minlength=11)
    assert len(counts) == 11 and (counts > 0.6 * counts.sum() / 11).all()
    assert not torch.equal(shifts[0], shifts[1])
    tokens = np.arange(1, 33)
    drums = PhraseWindows((piece(tokens),), Drums(32), transpose=5)
    assert torch.equal(batch_of(drums)["phrase"][0], torch.from_numpy(tokens))


def test_labels():
    pieces = (
        piece(scale(2), scale(3, 50), labels={"style": "rock"}, line_labels=({"voice": "1"}, {"voice": "2"})),
        piece(scale(2), labels={"style": "jazz"}),
    )
    classes = {"style": ("jazz", "rock"), "voice": ("1", "2"), "drummer": ("x",)}
    batch = batch_of(PhraseWindows(pieces, TWO, labels=classes))
    assert batch["style"].tolist() == [1, 1, 1, 0] and batch["style"].dtype == torch.int64
    assert batch["voice"].tolist() == [0, 1, 1, -1] and batch["drummer"].tolist() == [-1] * 4


def test_order_and_passages():
    pieces = tuple(piece(scale(bars, 40 + bars), identity=str(bars)) for bars in (5, 2, 4))
    windows = PhraseWindows(pieces, TWO, hop=4, transpose=4)
    order = windows.order(torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(len(windows))) and order.tolist() != sorted(order.tolist())
    found = {int(batch["item"][0, 0]): batch for batch in windows.passages(9, torch.Generator().manual_seed(0))}
    assert len(list(windows.passages(2, torch.Generator()))) == 2 and set(found) == {0, 1, 2}
    for place, batch in found.items():
        whole = batch["phrase"].flatten()
        np.testing.assert_array_equal(whole, pieces[place].lines[0][: len(whole)])
        assert len(batch["phrase"]) == len(pieces[place].lines[0]) // 32
        assert torch.equal(batch["group"], batch_of(windows)["group"][windows.rows[:, 0] == place][: len(batch["group"])])


def test_fingerprint():
    first = PhraseWindows((piece(scale(2)),), TWO)
    assert first.fingerprint() == PhraseWindows((piece(scale(2)),), TWO).fingerprint()
    others = [
        (piece(scale(2, 41)),),
        (piece(scale(2), identity="b"),),
        (piece(scale(2)), piece(scale(2))),
        (piece(scale(2), scale(2)),),
    ]
    assert len({first.fingerprint(), *(PhraseWindows(pieces, TWO).fingerprint() for pieces in others)}) == 5


def test_epochs():
    windows = PhraseWindows((piece(scale(30)),), TWO, transpose=5)
    first, again, other = (list(epochs.batches(windows, 8, 0, seed)) for seed in (1, 1, 2))
    assert sum(map(epochs.size_of, first)) == len(windows)
    assert all(torch.equal(a["phrase"], b["phrase"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["phrase"], other[0]["phrase"])


def test_trio():
    line = np.zeros((32, 3), np.int64)
    line[0] = 40, 30, 511
    line[4, 0] = 1
    batch = batch_of(PhraseWindows((piece(line),), Trio(32)))
    assert batch["phrase"].shape == (1, 32, 3) and torch.equal(batch["phrase"][0], torch.from_numpy(line))


@pytest.mark.skipif(not (DATA / "groove").is_dir(), reason="needs the Groove dataset")
def test_groove_has_the_published_windows():
    """As TFDS and the original converters count them: unique windows, of drums each bar, of grooves without overlap."""
    for phrase, hop, train, valid in ((Drums(64, kit="roland"), 16, 13_251, 1831), (Groove(64), 64, 4078, 504)):
        corpus = read(DATA / "groove", phrase)
        assert [len(PhraseWindows(corpus.of(split), phrase, hop=hop)) for split in ("train", "valid")] == [train, valid]
