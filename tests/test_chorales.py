"""MusicXML, and Bach's chorales as the default pieces; both by music21, which need not be installed."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from data import chorales
from data.score_files import Score
from data.scores import identity_of, piece_of, read
from tests.pieces import SCALE, melody, midi_file, one, steps_of
from utils.config import InputError

NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>{}</duration></note>"
XML = (
    '<?xml version="1.0" encoding="UTF-8"?><score-partwise version="3.1"><part-list><score-part id="P1"><part-name>x</part-name>'
    '</score-part></part-list><part id="P1"><measure number="1"><attributes><divisions>2</divisions><time><beats>3</beats>'
    '<beat-type>4</beat-type></time></attributes>{}</measure><measure number="2">{}</measure></part></score-partwise>'
)


def test_musicxml_needs_music21(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21.converter", None)
    (tmp_path / "x.musicxml").write_text(XML)
    with pytest.raises(InputError, match=r"x.musicxml: MusicXML is read by music21: pip install music21, or export") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not importlib.util.find_spec("music21"), reason="needs music21")
def test_musicxml(tmp_path):
    first = "".join(NOTE.format(step, 2) for step in "CDE")
    (tmp_path / "x.musicxml").write_text(XML.format(first, NOTE.format("F", 1) + NOTE.format("G", 5)))
    piece = one(tmp_path, "8th")
    assert steps_of(piece.frames) == [[60], [60], [62], [62], [64], [64], [65], *5 * [[67]]]
    assert np.flatnonzero(piece.bars).tolist() == [0, 6] and piece.tempo == 120
    for content in ("", "<x>", XML.format("<note>", "")):
        (tmp_path / "x.musicxml").write_text(content)
        with pytest.raises(InputError, match="not readable as MusicXML"):
            read(tmp_path)


def test_default_pieces_need_music21(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(InputError, match="the default pieces come with music21: pip install music21, or give a folder") as caught:
        chorales.default_pieces(tmp_path)
    assert "\n" not in str(caught.value)


def test_default_pieces_are_read_once(tmp_path, monkeypatch):
    files = [midi_file(tmp_path / f"bwv{i}.mid", melody(pitches=SCALE[i:]), metres=[(0, 3, 4)]) for i in range(4)]
    monkeypatch.setattr(chorales, "paths", lambda: files)
    first = chorales.default_pieces(tmp_path / "cache", "16th")
    monkeypatch.setattr(chorales, "paths", None)
    again = chorales.default_pieces(tmp_path / "cache", "16th")
    assert [piece.name for piece in first] == [piece.name for piece in again] == ["bwv0", "bwv1", "bwv2", "bwv3"]
    for i, piece in enumerate(again):
        plain = one(files[i], "16th")
        np.testing.assert_array_equal(piece.frames, plain.frames)
        np.testing.assert_array_equal(piece.bars, plain.bars)
        assert (piece.identity, piece.split, piece.tempo) == (plain.identity, plain.split, plain.tempo)
    assert len(chorales.default_pieces(tmp_path / "cache").pieces[0]) == 8
    (tmp_path / "cache" / chorales.FILE).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"damaged .*; remove it"):
        chorales.default_pieces(tmp_path / "cache")


def test_pieces_of_a_score_without_bars():
    score = Score(np.array([0.0]), np.array([2.0]), np.array([60]), np.zeros(0), 100.0)
    piece = piece_of(score, "x", Path("x"), 4, split="test")
    assert (len(piece), piece.split, piece.tempo, piece.bars.any()) == (8, "test", 100.0, np.False_)
    assert identity_of(piece.frames) == piece.identity
