"""Corpora of phrases: MIDI files in folders, the Groove dataset, tables of voices."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from data.drums import Drums
from data.groove import Groove
from data.melody import Melody
from data.phrase_corpora import read
from data.splits import split_of
from tests.pieces import midi_file
from utils.config import InputError

TWO = Melody(32)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DRUMMER = "drummer,style,bpm,beat_type,midi_filename,split\n"


def walk(bars=2, lowest=60, start=0.0):
    """Return a note a quarter, never two alike bars."""
    return [(start + i, 1, lowest + (i * i) % 12) for i in range(4 * bars)]


def beat(bars=2, pitch=36):
    return [(i / 2, 0.25, pitch) for i in range(8 * bars)]


def table(path, **songs):
    path.write_text(json.dumps(songs))
    return path


def warned(caplog):
    (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "\n" not in message
    return message


def test_one_file(tmp_path):
    path = midi_file(tmp_path / "x.mid", walk(), tempos=[(0, 90)])
    corpus = read(path, TWO)
    (piece,) = corpus
    assert (piece.name, piece.path, piece.labels, corpus.reasons) == ("x", path, {}, {})
    assert piece.tempo == pytest.approx(90, abs=0.01) and piece.split == split_of(piece.identity)
    np.testing.assert_array_equal(piece.lines[0][::4], [pitch - 19 for _, _, pitch in walk()])
    assert not piece.lines[0].reshape(-1, 4)[:, 1:].any()


def test_several_lines(tmp_path):
    midi_file(tmp_path / "x.mid", walk(3) + walk(4, 48, start=20), drums=beat(8))
    (piece,) = read(tmp_path, TWO)
    assert [len(line) for line in piece.lines] == [48, 64] and [piece.label("voice", i) for i in (0, 1)] == [None, None]
    (piece,) = read(tmp_path, Drums(32))
    assert [len(line) for line in piece.lines] == [128] and set(piece.lines[0]) == {0, 1}
    (piece,) = read(tmp_path, Melody(64))
    assert [len(line) for line in piece.lines] == [64]
    with pytest.raises(InputError, match=r"no melody of 8 bars: a melody of 4 bars is shorter than a phrase of 8 bars$"):
        read(tmp_path, Melody(128))


def test_identity_is_what_is_played(tmp_path):
    midi_file(tmp_path / "a.mid", walk(), tempos=[(0, 60)])
    midi_file(tmp_path / "b.mid", walk(lowest=65), drums=beat())
    midi_file(tmp_path / "c.mid", walk(lowest=65)[1:], drums=beat(pitch=38))
    a, b, c = read(tmp_path, TWO)
    assert a.identity == b.identity != c.identity and a.split == b.split
    assert [piece.identity for piece in read(tmp_path, Melody(16))] == [a.identity, b.identity, c.identity]
    b, c = read(tmp_path, Drums(32))
    assert b.identity != c.identity


def test_folders_give_splits(tmp_path):
    for i, folder in enumerate(("train", "validation", "sub/test", "other")):
        midi_file(tmp_path / folder / f"{i}.midi", walk(lowest=40 + i, bars=2 + i))
    corpus = read(tmp_path, TWO)
    splits = {piece.name: piece.split for piece in corpus}
    assert splits["train/0"] == "train" and splits["validation/1"] == "valid" and splits["sub/test/2"] == "test"
    assert splits["other/3"] == split_of(corpus.pieces[0].identity)
    assert len(corpus.of("all")) == len(corpus) == 4


def test_missing_splits_are_made(tmp_path, caplog):
    for i in range(4):
        midi_file(tmp_path / "train" / f"{i}.mid", walk(bars=2 + i))
    corpus = read(tmp_path, TWO)
    assert {piece.split for piece in corpus} == {"train"}
    completed = corpus.with_all_splits()
    assert {piece.split for piece in completed} == {"train", "valid", "test"} and completed.with_all_splits() is completed
    assert "gives no pieces for valid or test; split anew, so that there are some: " in warned(caplog)
    with pytest.raises(InputError, match="cannot be split in three"):
        read(tmp_path / "train" / "0.mid", TWO).with_all_splits()


def test_why_nothing_is_found(tmp_path, caplog):
    midi_file(tmp_path / "0.mid", [])
    midi_file(tmp_path / "1.mid", walk(), metres=[(0, 3, 4)])
    midi_file(tmp_path / "2.mid", walk(), metres=[(0, 3, 4)])
    (tmp_path / "3.mid").write_bytes(b"MThd")
    with pytest.raises(InputError) as caught:
        read(tmp_path, TWO)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: no melody of 2 bars in 4 of 4 pieces: 0 (no notes) and 3 others: 2 x bars of 3 quarters")
    assert "1 x no notes" in text and "1 x not a whole MIDI file" in text and "\n" not in text
    midi_file(tmp_path / "4.mid", walk())
    corpus = read(tmp_path, TWO)
    assert [piece.name for piece in corpus] == ["4"] and "no melody of 2 bars in 4 of 5 pieces" in warned(caplog)
    assert list(corpus.reasons) == ["0", "1", "2", "3"] and corpus.reasons["1"].startswith("bars of 3 quarters")
    with pytest.raises(InputError, match=r"4.mid: no drums of 2 bars: no drums on channel 10$"):
        read(tmp_path / "4.mid", Drums(32))


def test_many_reasons_are_cut(tmp_path, caplog):
    midi_file(tmp_path / "x.mid", walk())
    for i in range(1, 8):
        midi_file(tmp_path / f"{i}.mid", walk(), metres=[(0, i + 4, 8)] if i != 4 else [(0, 3, 4)])
    read(tmp_path, TWO)
    assert warned(caplog).endswith("and 2 more reasons")


def test_no_corpus(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    for path, match in (
        (tmp_path, "holds no file that ends in"),
        (tmp_path / "x.wav", "is no corpus of phrases"),
        (tmp_path / "no", "no such"),
    ):
        with pytest.raises(InputError, match=match):
            read(path, TWO)


def groove(root, rows, header=DRUMMER):
    (root / "info.csv").write_text(header + "".join(f"{row}\n" for row in rows))
    return root


def test_groove(tmp_path):
    for i in range(3):
        midi_file(tmp_path / "groove" / "drummer1" / "session1" / f"{i}.mid", [], drums=beat(2 + i, pitch=22))
    rows = [
        "drummer1,funk/fast,90,beat,drummer1/session1/0.mid,validation",
        "drummer1,jazz,90,fill,drummer1/session1/1.mid,train",
        "drummer2,jazz/swing,90,beat,drummer1/session1/2.mid,test",
    ]
    groove(tmp_path / "groove", rows)
    for root in (tmp_path, tmp_path / "groove", tmp_path / "groove" / "drummer1"):
        corpus = read(root, Drums(32, kit="auto"))
        assert [piece.split for piece in corpus] == ["valid", "train", "test"]
        assert corpus.pieces[0].lines[0][0] == 4  # 22 is the closed hat's edge, by the Roland kit
        assert corpus.classes() == {"drummer": ("drummer1", "drummer2"), "style": ("funk", "jazz"), "beat_type": ("beat", "fill")}
    assert corpus.pieces[0].labels == {"drummer": "drummer1", "style": "funk", "beat_type": "beat"}
    (piece,) = read(tmp_path / "groove" / "drummer1" / "session1" / "2.mid", Groove(32))
    assert piece.split == "test" and piece.label("style", 0) == "jazz" and piece.label("other", 0) is None


def test_groove_lacks_a_file(tmp_path):
    for i in range(3):
        midi_file(tmp_path / f"{i}.mid", [], drums=beat(2 + i))
    groove(tmp_path, ["drummer1,funk,90,beat,0.mid,train", "drummer2,jazz,90,beat,1.mid,unheard-of"])
    corpus = read(tmp_path, Drums(32))
    assert corpus.classes() == {} and corpus.pieces[2].labels == {}
    assert [piece.split for piece in corpus][1:] == [split_of(piece.identity) for piece in corpus][1:]


def test_other_tables_of_that_name(tmp_path):
    midi_file(tmp_path / "0.mid", [], drums=beat())
    groove(tmp_path, ["1,2"], "a,b\n")
    assert len(read(tmp_path, Drums(32, kit="auto"))) == 1
    (tmp_path / "info.csv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"info.csv: not a readable table"):
        read(tmp_path, Drums(32))


GRID = [[72, 64, -1, 48]] * 8 + [[74, 64, -1, 48]] * 8 + [[-1, 62, -1, 50]] * 4 + [[76, 62, -1, 50]] * 12


def test_table_of_voices(tmp_path):
    path = table(tmp_path / "x_16th.json", train=[GRID, GRID + GRID[:20]], valid=[[step[::-1] for step in GRID]])
    corpus = read(path, TWO)
    assert [(piece.name, piece.split) for piece in corpus] == [
        ("x_16th/train/0", "train"),
        ("x_16th/train/1", "train"),
        ("x_16th/valid/0", "valid"),
    ]
    piece, longer, reverse = corpus
    assert piece.line_labels == ({"voice": "1"}, {"voice": "2"}, {"voice": "4"}) and corpus.classes() == {"voice": ("1", "2", "4")}
    soprano = np.zeros(32, int)
    soprano[[0, 8, 16, 20]] = [53, 55, 1, 57]
    np.testing.assert_array_equal(piece.lines[0], soprano)
    assert [len(line) for line in longer.lines] == [48, 64, 64]
    assert reverse.identity == piece.identity and piece.line_labels == reverse.line_labels
    (first, *_) = read(path, TWO, (4,))
    assert first.line_labels == ({"voice": "4"},) and len(first.lines) == 1


def test_tables_of_longer_steps(tmp_path):
    path = table(tmp_path / "x-quarter.json", test=[{"frames": GRID[::4], "key": "C"}])
    (piece,) = read(path, TWO)
    assert piece.split == "test" and np.flatnonzero(piece.lines[0]).tolist() == [0, 8, 16, 20]


def test_tables_without_voices(tmp_path, caplog):
    path = table(tmp_path / "x.json", train=[[[60], [60, 64]]])
    with pytest.raises(InputError, match=r"x.json: no melody of 2 bars: song train/0 has steps of 1 to 2 notes; give a table with"):
        read(path, TWO)
    table(path, train=[GRID, [], [[], []], [[-1, -1]] * 40])
    assert len(read(path, TWO)) == 1 and "no melody of 2 bars in 3 of 4 pieces: x/train/1 (no notes) and 2 others" in warned(caplog)
    with pytest.raises(InputError, match="song train/0 has 4 voices, none of number 5"):
        read(path, TWO, (5,))
    with pytest.raises(InputError, match="no drums of 2 bars in 4 of 4 pieces"):
        read(path, Drums(32))


def test_midi_stands_before_tables(tmp_path):
    midi_file(tmp_path / "x.mid", walk())
    table(tmp_path / "drum_maps.json", names=["kick"])
    corpus = read(tmp_path, TWO)
    assert len(corpus) == 1 and not corpus.reasons


@pytest.mark.skipif(not (DATA / "groove").is_dir(), reason="needs the Groove dataset")
def test_groove_has_the_published_windows():
    corpus = read(DATA / "groove", Drums(64, kit="roland"))
    assert (len(corpus), len(corpus.of("train")), len(corpus.of("valid"))) == (378, 332, 46)
    assert len(corpus.classes()["style"]) == 18


def test_long_lines_are_cut_with_a_word(tmp_path, caplog):
    midi_file(tmp_path / "long.mid", [], drums=beat(103))
    with caplog.at_level("WARNING"):
        (piece,) = read(tmp_path, Drums(32))
    assert len(piece.lines[0]) == 1600
    assert "lines of 1 pieces, as long, are long: only the first 100 bars are read" in caplog.text
