"""The voices of Bach's chorales, by music21, which need not be installed: here scores of our own stand for its own."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data import chorales, voices
from data.melody import Melody
from data.phrase_corpora import read
from utils.config import InputError

TWO = Melody(32)


class Measure(SimpleNamespace):
    """A bar of `length` quarters from `start`; of a metre of `bar` quarters, where it tells one."""

    def __init__(self, offset, length, bar=None):
        metre = bar and SimpleNamespace(barDuration=SimpleNamespace(quarterLength=bar))
        super().__init__(offset=offset, quarterLength=length, timeSignature=metre)


class Part:
    """A part of a score as music21 has it: measures, and notes (onset, length, pitches) in quarters."""

    def __init__(self, name, measures, notes):
        self.partName, self.measures = name, measures
        self.notes = [
            SimpleNamespace(
                offset=onset, quarterLength=length, pitches=[SimpleNamespace(midi=p) for p in pitches], classes=("Note",)
            )
            for onset, length, pitches in notes
        ]

    def getElementsByClass(self, name):
        assert name == "Measure"
        return self.measures

    def stripTies(self):
        return self

    def flatten(self):
        return self


class Score:
    def __init__(self, *parts, tempo=None):
        self.parts, self.tempo = parts, tempo

    def recurse(self):
        return self

    def getElementsByClass(self, name):
        assert name == "MetronomeMark"
        return [SimpleNamespace(getQuarterBPM=lambda: self.tempo)] if self.tempo else []


def upbeat(bars):
    """Return measures of 4/4, the first one a quarter long."""
    return [Measure(0, 1, 4), *(Measure(1 + 4 * i, 4) for i in range(bars))]


def chorale(bars=2, pitch=60, tempo=None):
    parts = [("Soprano", 12), ("Alto", 5), ("Horn 1", 0), ("Tenor", 0), ("Bass", -12)]
    notes = [[(i, 1, [pitch + up + i % 5]) for i in range(4 * bars + 1)] for _, up in parts]
    return Score(*(Part(name, upbeat(bars), played) for (name, _), played in zip(parts, notes, strict=True)), tempo=tempo)


@pytest.fixture
def corpus(monkeypatch):
    """What music21 has, by names of files."""
    scores = {}
    monkeypatch.setattr(chorales, "paths", lambda: [Path(f"{name}.mxl") for name in scores])
    monkeypatch.setattr(voices, "_parsed", lambda path: scores[path.stem])
    return scores


def test_upbeats_end_with_their_bar(tmp_path, corpus):
    corpus["bwv1"] = chorale(tempo=90)
    found = read(voices.default_voices(tmp_path), TWO)
    (piece,) = found
    assert (piece.name, piece.tempo) == ("chorale-voices-1/bwv1", 90)
    assert piece.line_labels == tuple({"voice": str(number)} for number in (1, 2, 3, 4))
    line = np.zeros(48, int)
    line[12:48:4] = 72 - 19 + np.arange(9) % 5
    np.testing.assert_array_equal(piece.lines[0], line)
    np.testing.assert_array_equal(piece.lines[3], np.where(line, line - 24, 0))


def test_repeated_notes_are_kept(tmp_path, corpus):
    notes = [(i, 1, [60]) for i in range(8)]
    corpus["bwv1"] = Score(Part("Soprano", [Measure(0, 4, 4), Measure(4, 4)], notes))
    (piece,) = read(voices.default_voices(tmp_path), TWO)
    assert np.flatnonzero(piece.lines[0] == 41).tolist() == list(range(0, 32, 4))


def test_some_voices(tmp_path, corpus):
    corpus |= {f"bwv{i}": chorale(2 + i) for i in range(2)}
    path = voices.default_voices(tmp_path)
    found = read(path, TWO, (4, 1))
    assert [[labels["voice"] for labels in piece.line_labels] for piece in found] == [["1", "4"]] * 2
    assert found.classes() == {"voice": ("1", "4")}
    with pytest.raises(InputError, match="has 4 voices, none of number 5"):
        read(path, TWO, (5,))


def test_read_once(tmp_path, corpus, monkeypatch, caplog):
    corpus["bwv1"] = chorale()
    first = read(voices.default_voices(tmp_path), TWO)
    monkeypatch.setattr(chorales, "paths", None)
    again = read(voices.default_voices(tmp_path), TWO)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    for a, b in zip(first.pieces[0].lines, again.pieces[0].lines, strict=True):
        np.testing.assert_array_equal(a, b)
    (tmp_path / voices.FILE).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"damaged .*; remove it"):
        read(tmp_path / voices.FILE, TWO)


def test_metres_and_repeats_begin_stretches():
    measures = [
        Measure(0, 4, 4),
        Measure(4, 3),
        Measure(7, 1),
        Measure(8, 4),
        Measure(12, 2),
        Measure(14, 4),
        Measure(18, 3, 3),
        Measure(21, 3),
    ]
    notes = [(i, 1, [60 + i]) for i in range(24)] + [(17, 2, [90])]
    found = list(voices.voices_of(Score(Part("Alto", measures, notes))))
    assert [number for number, _ in found] == [2, 2, 2]
    whole, shifted, triple = (notes for _, notes in found)
    assert [(s.first, s.bar, len(s)) for s in (whole, shifted, triple)] == [(0, 16, 14), (14, 16, 5), (18, 12, 6)]
    assert shifted.onset.tolist() == [0, 4, 8, 12, 12] and shifted.offset.max() == 16 and whole.offset.max() == 56


def test_other_metres_are_told(tmp_path, corpus, caplog):
    corpus |= {"bwv1": chorale(), "bwv2": Score(Part("Soprano", [Measure(0, 3, 3)], [(0, 3, [60])])), "bwv3": Score()}
    path = voices.default_voices(tmp_path)
    caplog.clear()
    assert len(read(path, TWO)) == 1
    (record,) = caplog.records
    assert (
        "2 of 3 pieces: chorale-voices-1/bwv2 (bars of 3 quarters" in record.getMessage() and "1 x no notes" in record.getMessage()
    )


def test_damaged_scores_are_left_out(tmp_path, corpus, caplog):
    corpus |= {"bwv1": chorale(), "bwv2": None}
    assert len(read(voices.default_voices(tmp_path), TWO)) == 1
    assert "left out: bwv2.mxl: not readable as MusicXML (AttributeError)" in caplog.text
    corpus.clear()
    with pytest.raises(InputError, match="music21 has no readable chorales of Bach"):
        voices.default_voices(tmp_path / "other")


def test_music21_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(InputError, match="pip install music21") as caught:
        voices.default_voices(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": np.array("x")},
        {"onset": np.array([1e300])},
        {"onset": np.array([np.nan])},
        {"count": np.array([7])},
        {"song": np.array([5])},
        {"pitch": np.array([1.5])},
        {"bar": np.array([[16.0]])},
        {"tempo": np.array(["x"])},
    ],
)
def test_columns_that_cannot_be_are_said_to_be_damaged(tmp_path, wrong):
    right = {"names": np.array(["bwv1"]), "onset": np.array([0.0]), "offset": np.array([4.0]), "pitch": np.array([60])}
    right |= {"song": np.array([0]), "voice": np.array([1]), "bar": np.array([16.0]), "first": np.array([0.0])}
    right |= {"tempo": np.array([90.0]), "count": np.array([1])}
    path = tmp_path / voices.FILE
    np.savez(path, **right)
    assert len(voices.read(path)) == 1
    np.savez(path, **(right | wrong))
    with pytest.raises(InputError, match="damaged"):
        voices.read(path)
