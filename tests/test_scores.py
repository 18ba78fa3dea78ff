"""Scores: MIDI files on a grid of steps, folders of them, splits, classes, transposition."""

import logging
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import rolls, score_files
from data.keys import LABELS, Key
from data.rolls import from_notes, from_steps
from data.score_files import Score
from data.scores import Pieces, read
from data.splits import SPLITS, split_of
from tests.pieces import SCALE, melody, midi_file, one, piece_in, steps_of
from utils.config import InputError

# --- the grid


@pytest.mark.parametrize(("step", "factor"), [("quarter", 1), ("8th", 2), ("16th", 4)])
def test_steps_are_shares_of_a_quarter(tmp_path, step, factor):
    piece = one(midi_file(tmp_path / "x.mid", melody()), step)
    assert steps_of(piece.frames) == [[pitch] for pitch in SCALE for _ in range(factor)]
    assert (piece.steps, len(piece), piece.frames.shape, piece.frames.dtype) == (factor, 8 * factor, (8 * factor, 88), bool)
    assert (piece.key.relative_major, piece.given, piece.name, piece.path) == (Key("C"), False, "x", tmp_path / "x.mid")
    assert np.flatnonzero(piece.bars).tolist() == [0, 4 * factor] and piece.tempo == pytest.approx(120)


def test_tempo_changes_move_nothing(tmp_path):
    plain = one(midi_file(tmp_path / "plain.mid", melody()), "16th")
    changing = one(midi_file(tmp_path / "x.mid", melody(), tempos=[(0, 60), (1.3, 240), (5, 30)]), "16th")
    np.testing.assert_array_equal(changing.frames, plain.frames)
    assert changing.identity == plain.identity
    minutes = 1.3 / 60 + 3.7 / 240 + 3 / 30
    assert changing.tempo == pytest.approx(8 / minutes, rel=1e-4)


def test_metres_move_bars_only(tmp_path):
    metres = [(0, 3, 4), (6, 6, 8), (9, 5, 8), (11.5, 2, 2)]
    notes = melody(length=2)
    piece = one(midi_file(tmp_path / "x.mid", notes, metres=metres), "8th")
    assert np.flatnonzero(piece.bars).tolist() == [0, 6, 12, 18, 23, 31]
    np.testing.assert_array_equal(piece.frames, one(midi_file(tmp_path / "plain.mid", notes), "8th").frames)
    coarse = one(tmp_path / "x.mid")
    assert np.flatnonzero(coarse.bars).tolist() == [0, 3, 6, 9, 11, 15]  # a bar that begins within a step begins in that step


def test_metres_that_make_no_sense_are_passed_over():
    def bars(beats, unit):
        signature = b"\x00\xff\x58\x04" + bytes([beats, unit, 24, 8])
        return signature + b"\x00\x90\x3c\x40" + b"\xbc\x00\x80\x3c\x40"  # 16 quarters

    for beats, unit in ((0, 2), (4, 7), (4, 8), (255, 255)):
        assert np.array_equal(hostile(bars(beats, unit)).bars, [0, 4, 8, 12]), (beats, unit)
    assert np.array_equal(hostile(bars(5, 2)).bars, [0, 5, 10, 15])


def test_readings_of_a_step():
    rows = np.array([(0, 2, 60), (0.5, 1, 64), (1, 2, 67), (1.75, 2, 72), (3, 4, 60)]).T
    assert steps_of(from_notes(*rows.astype(float)[:2], rows[2].astype(int), 1)) == [[60, 64], [60, 67, 72], [], [60]]
    assert steps_of(from_notes(*rows[:2], rows[2].astype(int), 1, "beat")) == [[60], [60, 67], [], [60]]
    assert steps_of(from_notes(*rows[:2], rows[2].astype(int), 1, "onsets")) == [[60, 64], [67, 72], [], [60]]


def test_notes_are_snapped_to_a_quarter_of_a_step():
    late, early, short = (1.1, 2.1, 60), (2.9, 3.9, 62), (5.0, 5.001, 64)
    rows = np.array([late, early, short]).T
    for reading in rolls.READINGS:
        assert steps_of(from_notes(*rows[:2], rows[2].astype(int), 1, reading)) == [[], [60], [], [62], [], [64]]


def test_a_pitch_struck_twice_or_in_two_parts(tmp_path):
    piece = one(midi_file(tmp_path / "x.mid", [(0, 1, 60), (1, 1, 60), (0, 4, 64), (2, 1, 64)]))
    assert steps_of(piece.frames) == [[60, 64], [60, 64], [64], [64]]


def test_drums_are_left_out(tmp_path):
    piece = one(midi_file(tmp_path / "x.mid", melody(), drums=[(i / 4, 0.25, 36) for i in range(99)]))
    assert steps_of(piece.frames) == [[pitch] for pitch in SCALE]


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [
        ([21, 108], [21, 108]),
        ([20, 50], [32, 62]),
        ([9, 50], [21, 62]),
        ([60, 109], [48, 97]),
        ([20, 108], [32, 108]),  # no octave takes all: each that is outside
        ([0, 127], [24, 103]),
        ([8, 60], [32, 60]),
        ([], []),
    ],
)
def test_pieces_beyond_the_piano_move_by_octaves(pitches, expected):
    assert rolls.onto_keyboard(np.array(pitches, int)).tolist() == expected


# --- files


def hostile(events: bytes, division: int = 480) -> Score:
    """Read a MIDI file of one track of these bytes."""
    track = events + b"\x00\xff\x2f\x00"
    content = b"MThd" + struct.pack(">IHHH", 6, 0, 1, division) + b"MTrk" + struct.pack(">I", len(track)) + track
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.mid")
        path.write_bytes(content)
        return score_files.read(path)


ON, OFF = b"\x90\x3c\x40", b"\x80\x3c\x40"


@pytest.mark.parametrize(
    ("events", "division", "message"),
    [
        (b"\x00" + ON + b"\xff\xff\xff\x7f" + OFF, 480, "lasts 559241 quarter notes; cut it"),
        (b"\x00" + ON + b"\xff\xff\xff\x7f" + OFF, 1, "lasts 268435455 quarter notes"),
        (b"\x00\xff\x51\x03\x00\x00\x00\x00" + ON + b"\x60" + OFF, 480, "a tempo of 0"),
        (b"\x00" + ON + b"\x60" + OFF, 0, "division is 0|not a whole MIDI file"),
        (b"\x00" + ON + b"\x00" + OFF, 480, "holds no notes with a pitch"),
        (b"\x00\x99\x24\x40\x60\x89\x24\x40", 480, "holds no notes with a pitch"),
        (b"", 480, "holds no notes"),
    ],
)
def test_hostile_files_are_named(events, division, message):
    with pytest.raises(InputError, match=message) as caught:
        hostile(events, division)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.data())
def test_any_damage_is_one_line(tmp_path_factory, data):
    path = midi_file(tmp_path_factory.mktemp("midi") / "x.mid", melody(), [(0, 90), (2, 60)], [(0, 3, 4), (3, 4, 4)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        piece = one(path)
        assert piece.frames.any() and len(piece.bars) == len(piece)
    except InputError as error:
        assert "\n" not in str(error)


def test_folders_of_any_depth_with_some_unreadable(tmp_path, caplog):
    midi_file(tmp_path / "b.mid", melody())
    midi_file(tmp_path / "deep" / "er" / "a.MID", melody(pitches=SCALE[::-1]))
    good = (tmp_path / "b.mid").read_bytes()
    (tmp_path / "cut.mid").write_bytes(good[:-20])
    (tmp_path / "empty.midi").write_bytes(b"")
    midi_file(tmp_path / "drums.mid", [], drums=[(0, 1, 36)])
    (tmp_path / "table.json").write_text("{}")
    (tmp_path / "readme.txt").write_text("not looked at")
    (tmp_path / ".hidden.mid").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        corpus = read(tmp_path)
    assert [piece.name for piece in corpus] == ["b", "deep/er/a"]
    assert len(caplog.records) == 1 and "\n" not in caplog.text.strip()
    assert "4 files left out, wholly or in part: " in caplog.text
    assert all(name in caplog.text for name in ("cut.mid", "empty.midi", "drums.mid", "table.json"))


def test_many_unreadable_files_are_counted(tmp_path, caplog):
    midi_file(tmp_path / "z.mid", melody())
    for i in range(9):
        (tmp_path / f"{i}.mid").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path)) == 1
    assert "9 files left out" in caplog.text and "and 4 more" in caplog.text


def test_none_readable(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.mid").write_bytes(b"MThd")
    with pytest.raises(InputError, match=r"0.mid: .*; neither can 2 other files be read") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_no_corpus_is_named(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds no file that ends in \.mid"):
        read(tmp_path)
    with pytest.raises(InputError, match="is no corpus of scores; give a folder"):
        read(tmp_path / "x.txt")
    with pytest.raises(InputError, match="no such file or folder"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="'32nd' is no step of a score: take quarter or 8th or 16th"):
        read(tmp_path, "32nd")
    with pytest.raises(InputError, match="'union' is no reading of a step: take sounding or beat or onsets"):
        read(tmp_path, "quarter", "union")


# --- splits, classes, transposition


def test_splits_of_folders_and_of_hashes(tmp_path):
    for folder in ("train", "Valid", "test/more", "validation"):
        midi_file(tmp_path / folder / "x.mid", melody())
    midi_file(tmp_path / "other" / "x.mid", melody())
    corpus = read(tmp_path)
    by_name = {piece.name: piece.split for piece in corpus}
    identity = corpus.pieces[0].identity
    given = {"Valid/x": "valid", "test/more/x": "test", "train/x": "train", "validation/x": "valid"}
    assert by_name == {**given, "other/x": split_of(identity)}
    assert {piece.identity for piece in corpus} == {identity}
    assert sum(len(corpus.of(split)) for split in ("train", "valid", "test")) == len(corpus.of("all")) == len(corpus) == 5


def test_transposed_copies_have_one_identity(tmp_path):
    one_key = one(midi_file(tmp_path / "x.mid", melody()))
    for i, semitones in enumerate((-12, 1, 5, 7, 30)):
        copy = one(midi_file(tmp_path / f"{i}.mid", melody(pitches=[pitch + semitones for pitch in SCALE])))
        assert (copy.identity, copy.split) == (one_key.identity, one_key.split)
        for step, reading in (("8th", "beat"), ("16th", "onsets")):
            assert one(tmp_path / f"{i}.mid", step, reading).identity == one_key.identity
    other = one(midi_file(tmp_path / "o.mid", melody(pitches=SCALE[1:] + SCALE[:1])))
    assert other.identity != one_key.identity


def test_transposition_to_target_keys():
    piece = piece_in("B-", [[58, 62, 65], [70]])
    moved = piece.transposed(Key("C"))
    assert (steps_of(moved.frames), moved.key, moved.identity, moved.split) == ([[60, 64, 67], [72]], Key("C"), "same", "train")
    assert steps_of(piece_in("A", [[21], [40]]).transposed(Key("G")).frames) == [[31], [50]]  # 19 leaves the piano
    assert steps_of(piece_in("C", [[108], [60]]).transposed(Key("D")).frames) == [[98], [50]]
    assert steps_of(piece_in("C", [[21], [108]]).transposed(Key("D")).frames) == [[23], [98]]


def test_corpora_in_target_keys():
    corpus = Pieces(Path("x"), (piece_in("B-", [[58]]), piece_in("g", [[55]], "valid")))
    assert [(piece.key.label, steps_of(piece.frames)) for piece in corpus.transposed(("C", "c"))] == [("C", [[60]]), ("c", [[60]])]
    every = corpus.transposed()
    assert [piece.key.label for piece in every] == list(LABELS)
    assert [piece.split for piece in every] == 12 * ["train"] + 12 * ["valid"]
    assert sorted(pitch for piece in every.of("train") for (pitch,) in steps_of(piece.frames)) == list(range(53, 65))
    with pytest.raises(InputError, match="target keys 'C D': x is in minor; add a key for those"):
        corpus.transposed(("C", "D"))
    with pytest.raises(InputError, match="'H' is no key"):
        corpus.transposed(("H",))


def test_classes_are_of_all_splits_with_the_counts_of_train():
    labels = [("B-", "train"), ("g", "train"), ("G-", "valid"), ("F#", "train"), ("a", "test"), ("A-", "train"), ("A", "train")]
    corpus = Pieces(Path("x"), tuple(piece_in(label, [[60]], split) for label, split in labels))
    assert list(corpus.classes().items()) == [("A", 1), ("A-", 1), ("B-", 2), ("C", 0), ("F#", 1)]
    assert list(corpus.classes(relative_major=False)) == ["A", "A-", "B-", "F#", "a", "g"]
    assert corpus.pieces[1].class_of() == "B-" and corpus.pieces[1].class_of(False) == "g"


def split_pieces(*splits):
    """Return pieces that differ, each in a split."""
    pieces = [replace(piece_in("C", [[60 + i]], split), identity=f"song {i}") for i, split in enumerate(splits)]
    return Pieces(Path("corpus"), tuple(pieces))


def test_a_corpus_with_all_splits_stays_as_it_is():
    corpus = split_pieces("train", "test", "valid", "valid")
    assert corpus.with_all_splits() is corpus


def test_absent_splits_are_made_and_told(caplog):
    with caplog.at_level(logging.WARNING):
        whole = split_pieces(*["train"] * 30, "valid", "valid").with_all_splits()
    by_split = {split: len(whole.of(split)) for split in SPLITS}
    assert [piece.split for piece in whole][30:] == ["test", "test"]
    assert by_split["test"] == 2 and by_split["valid"] > 0
    (line,) = caplog.messages
    told = f"{by_split['train']} train, {by_split['valid']} valid, 2 test"
    assert line == f"corpus: gives no pieces for test; split anew, so that there are some: {told}; docs/data.md says how"


def test_transposed_copies_are_split_together():
    whole = split_pieces(*["train"] * 3).with_all_splits().transposed()
    assert {split: len(whole.of(split)) for split in SPLITS} == dict.fromkeys(SPLITS, 12)
    assert len({(piece.identity, piece.split) for piece in whole}) == 3


def test_too_few_pieces_for_three_splits():
    with pytest.raises(InputError, match="corpus: 2 different pieces or notes cannot be split in three; bring more"):
        split_pieces("train", "valid").with_all_splits()


# --- round trips


@settings(deadline=None)
@given(
    st.lists(st.sets(st.integers(21, 108), max_size=6), min_size=1, max_size=40),
    st.sampled_from(list(rolls.STEPS)),
    st.integers(20, 300),
)
def test_rolls_survive_midi(tmp_path_factory, steps, step, tempo):
    path = tmp_path_factory.mktemp("midi") / "x.mid"
    frames = from_steps([sorted(pitches) for pitches in steps] + [[60]])  # the last step sounds, so that MIDI can tell it
    score_files.write(path, frames, rolls.STEPS[step], tempo)
    piece = one(path, step)
    np.testing.assert_array_equal(piece.frames, frames)
    assert piece.tempo == pytest.approx(tempo, rel=1e-5)
    np.testing.assert_array_equal(one(path, step, "beat").frames, frames)
    onsets = frames & ~np.concatenate([np.zeros((1, 88), bool), frames[:-1]])
    np.testing.assert_array_equal(one(path, step, "onsets").frames, onsets)


def test_written_files_are_whole(tmp_path):
    pretty_midi = pytest.importorskip("pretty_midi")
    score_files.write(tmp_path / "new" / "x.mid", from_steps([[60], [60, 64], []]), 2, 90)
    content = pretty_midi.PrettyMIDI(str(tmp_path / "new" / "x.mid"))
    (instrument,) = content.instruments
    seconds = 60 / 90 / 2
    notes = [(note.pitch, note.start, note.end) for note in sorted(instrument.notes, key=lambda note: note.pitch)]
    assert notes == [(60, 0, pytest.approx(2 * seconds)), (64, pytest.approx(seconds), pytest.approx(2 * seconds))]
    assert (tmp_path / "new" / "x.mid").read_bytes().endswith(b"\xff\x2f\x00")
    assert content.get_tempo_changes()[1].tolist() == pytest.approx([90])
