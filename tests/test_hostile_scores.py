"""Hostile files of scores: small ones that would unpack to very much, times that wrapped, what is no pitch; nothing may be slow."""

import json
import os
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data import safe_pickle, score_files, song_tables
from data.notes import Notes
from data.rolls import from_steps, is_number
from data.scores import read
from tests.pieces import melody, midi_file
from utils.config import InputError, read_json

DAY = b"\xff\xff\xff\x7f"  # the longest wait, 2^28 - 1 ticks
END = b"\x00\xff\x2f\x00"


def refused(path: Path, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(InputError, match=message) as caught:
        warnings.simplefilter("error")
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def table(path: Path, pickled: bytes) -> Path:
    """Write {"train": what is pickled}."""
    path.write_bytes(b"\x80\x02}U\x05train" + pickled + b"s.")
    return path


def npz(path: Path, shape: tuple, kind: str, content: bytes = b"") -> Path:
    """Write an array whose header and content need not agree."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content)
    return path


# --- MIDI


def track(path: Path, events: bytes) -> Path:
    content = events + END
    path.write_bytes(b"MThd" + struct.pack(">IHHH", 6, 0, 1, 32767) + b"MTrk" + struct.pack(">I", len(content)) + content)
    return path


@pytest.mark.parametrize("days", [8, 9, 12])
def test_times_that_wrapped_are_refused(tmp_path, days):
    late = b"\x00\x90\x46\x50\x64\x80\x46\x00\x00\x90\x48\x50\x83\x60\x80\x48\x00"
    path = track(tmp_path / "x.mid", b"\x00\x90\x3c\x50\x83\x60\x80\x3c\x00" + days * (DAY + b"\xff\x01\x00") + late)
    refused(path, "its times do not make sense|lasts")
    with pytest.raises(InputError, match=r"x\.mid"):
        Notes.load(path)


@pytest.mark.parametrize("event", [b"\x00\xff\x51\x03\x07\xa1\x20", b"\x00\xff\x58\x04\x01\x06\x18\x08"], ids=["tempo", "metre"])
def test_changes_whose_times_wrapped(tmp_path, event):
    """A bar of 1/64 that began 2^31 ticks before the notes would begin too many others."""
    path = track(tmp_path / "x.mid", b"\x00\x90\x3c\x50\x83\x60\x80\x3c\x00" + 9 * (DAY + b"\xff\x01\x00") + event)
    try:
        assert len(score_files.read(path).bars) < 10
    except InputError as error:
        assert "its times do not make sense" in str(error)


def test_names_that_are_not_utf_8(tmp_path):
    if sys.platform != "linux":
        pytest.skip("names are text here")
    path = midi_file(Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mid")), melody())
    (piece,) = read(tmp_path)
    assert (piece.name, piece.path) == ("caf?", path)


# --- pitches


@pytest.mark.parametrize("kind", [int, float, np.int8, np.uint64, np.float16, np.float64])
def test_numbers(kind):
    assert is_number(kind)


@pytest.mark.parametrize(
    "kind", [bool, complex, str, list, type(None), np.bool_, np.complex64, np.timedelta64, np.datetime64, np.void]
)
def test_what_is_no_number(kind):
    assert not is_number(kind)


@pytest.mark.parametrize("kind", ["complex128", "datetime64[D]", "timedelta64[s]", "U2", "S2", "bool", "i4,i4"])
def test_arrays_of_what_is_no_pitch(tmp_path, kind):
    np.savez(tmp_path / "x.npz", train=np.ones((1, 2, 3), int).astype(kind))
    refused(tmp_path / "x.npz", "stands for a pitch")


def test_infinite_pitches():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="inf is no MIDI pitch"):
            from_steps([[60, float("inf")]])
        assert not from_steps([[float("-inf"), float("nan"), -1]]).any()


def test_a_list_that_contains_itself(tmp_path):
    refused(table(tmp_path / "x.pickle", b"]q\x01(h\x01h\x01h\x01e"), "a list stands for a pitch")
    refused(npz(tmp_path / "x.npz", (3,), "|O", b"\x80\x02]q\x01(h\x01h\x01h\x01e."), "holds a list, no array")


def test_a_key_that_would_be_endless_to_write(tmp_path):
    doubled = b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (i, i, i + 1) for i in range(60))  # 2^60 lists in its text
    song = b"](](](K\x3ceee"
    refused(table(tmp_path / "x.pickle", song + b"sU\x09train_key](" + doubled + b"e"), "its key is told by a list")
    refused(table(tmp_path / "x.pickle", song + b"sU\x11steps_per_quarter" + doubled), "steps_per_quarter is a list")


# --- sizes


@pytest.mark.parametrize("shape", [(300_000_000, 0), (30_000_000, 0, 4), (1, 30_000_000, 0)])
def test_arrays_of_nothing(tmp_path, shape):
    refused(npz(tmp_path / "x.npz", shape, "|i1"), "it holds more than 100000 songs|it holds more than 2097152 steps")


def test_one_song_and_one_step_named_many_times(tmp_path):
    step = b"](" + 128 * b"K\x3c" + b"eq\x01"
    many = b"](" + step + 999 * b"h\x01" + b"eq\x02"
    refused(table(tmp_path / "x.pickle", b"](" + many + 99 * b"h\x02" + b"e"), "it holds more than 8388608 notes")
    refused(table(tmp_path / "x.pickle", b"](" + 100_001 * b"]" + b"e"), "it holds more than 100000 songs")


def test_the_opcodes_of_a_pickle_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_OPCODES", 10_000)
    brackets = b"\x80\x02" + 20_000 * b"]"
    refused(npz(tmp_path / "x.npz", (1,), "|O", brackets), "it takes over 10000 opcodes")
    refused(table(tmp_path / "x.pickle", 20_000 * b"]"), "it takes over 10000 opcodes")
    refused(table(tmp_path / "x.pickle", 2_000 * b"cnumpy\ndtype\n"), "it takes over 10000 opcodes")
    nothing = zipfile.ZipFile(npz(tmp_path / "y.npz", (1,), "|O", b"\x80\x02" + 2_500 * b"N0" + b"N.")).read("train.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:  # all arrays of a file share what is allowed
        for split in ("train", "valid", "test"):
            archive.writestr(f"{split}.npy", nothing)
    refused(tmp_path / "x.npz", "it takes over 10000 opcodes")


def test_parts_of_a_pickle_that_are_copied_many_times(tmp_path):
    content = b"T" + struct.pack("<i", 900_000) + bytes(900_000) + b"q\x01"
    kind = b"cnumpy\ndtype\nU\x02i2\x85R(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x02"  # swapped, so copied
    array = b"h\x04)R(K\x01J" + struct.pack("<i", 450_000) + b"\x85h\x02\x89h\x01tb"
    start = b"](" + content + kind + b"cnumpy.core.multiarray\n_reconstruct\nq\x04"
    refused(table(tmp_path / "x.pickle", start + 100 * array + b"e"), "too many copies")
    scalars = b"cnumpy\ndtype\nU\x07S900000\x85Rq\x02cnumpy.core.multiarray\nscalar\nq\x04" + 100 * b"h\x04h\x02h\x01\x86R"
    refused(table(tmp_path / "x.pickle", b"](" + content + scalars + b"e"), "too many copies")


def test_arrays_in_pickles_may_be_as_large_as_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_COPIED", 10_000)
    songs = [np.zeros((1000, 88), bool) for _ in range(20)]
    songs[3][:, 40] = True
    (tmp_path / "x.pickle").write_bytes(pickle.dumps({"train": songs}))
    assert len(song_tables.read(tmp_path / "x.pickle")) == 20


# --- JSON


def test_json_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"train": [[[60]]]}).encode())
    assert len(read(path)) == 1 and read_json(path) == {"train": [[[60]]]}


def test_json_that_would_take_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(song_tables, "MAX_LISTS", 1000)
    path = tmp_path / "x.json"
    path.write_text('{"train": [' + 1000 * "[]," + "[[60]]]}")
    refused(path, "holds more than 1000 lists")
    monkeypatch.setattr(song_tables, "MAX_JSON", 1000)
    refused(path, "is too much for a table of songs")
