"""Tables of songs: JSON, npz and pickle files that hold lists of songs, each a list of steps of MIDI pitches.

The forms are Boulanger-Lewandowski's (train, valid and test are lists of songs; ``train_key`` and ``train_mode`` may stand beside
them), the same with four voices a step of which -1 is silent, and ``chorale-rolls/1``, whose songs tell their keys. A song may also
be an array, (T, V) of pitches or (T, 88) of zeros and ones.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data import safe_pickle
from data.keys import Key
from data.rolls import KEYS, STEPS, from_steps, is_number
from data.splits import SPLITS
from utils.config import InputError, read_json

JSON = (".json",)
NPZ = (".npz",)
PICKLES = (".pickle", ".pkl", ".p")
MAX_BYTES = 256 * 2**20  # of a file, unpacked
MAX_JSON = 32 * 2**20  # bytes, of which each can take 14 in memory
MAX_LISTS = 2**22  # and objects, and their entries, of a JSON file: an empty list takes 64 bytes
MAX_SONGS = 100_000  # of a file
MAX_STEPS = 2**21  # of all songs of a file
MAX_NOTES = 2**23  # of all songs of a file
MAX_CHORD = 128  # notes in a step
NAMES = {**{split: split for split in SPLITS}, "val": "valid", "validation": "valid"}  # as files say it


class Song(NamedTuple):
    """Hold a song: its name within the table, its split, its frames (T, 88), its key where told, and steps in a quarter note."""

    name: str
    split: str
    frames: np.ndarray
    key: Key | None
    steps: int | None


def read(path: Path) -> list[Song]:
    """Read all songs of a table; nothing in the file is executed.

    Raises
    ------
    InputError
        The file is damaged, too large, refers to code, or holds none of train, valid and test, or something else than songs.
    """
    try:
        _refuse_large(path)
        return list(_songs(_content(path), path))
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None
    except Exception as error:  # a damaged or hostile file can provoke any
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(f"{path}: not a readable table of songs ({reason}): get it anew") from None


def _refuse_large(path: Path) -> None:
    size, limit = path.stat().st_size, MAX_JSON if path.suffix.lower() in JSON else MAX_BYTES
    if path.suffix.lower() in NPZ:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    if size > limit:
        raise InputError(f"{path}: {size / 2**20:.0f} MiB is too much for a table of songs; cut it in parts of {limit >> 20} MiB")


def _content(path: Path) -> Mapping[str, Any]:
    """Return what a file holds by name."""
    suffix = path.suffix.lower()
    if suffix in JSON:
        text = path.read_bytes()
        if sum(text.count(mark) for mark in b"[{:") > MAX_LISTS:
            raise InputError(f"{path}: holds more than {MAX_LISTS} lists; cut it in parts")
        return read_json(path)
    if suffix in NPZ:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            budget = safe_pickle.Budget(sum(entry.file_size for entry in archive.infolist()))
            return {name.removesuffix(".npy"): safe_pickle.read_array(archive, name, budget) for name in names}
    with open(path, "rb") as file:
        content = safe_pickle.load(file, safe_pickle.Budget(path.stat().st_size))
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not songs by the names of splits")
    return content


def _songs(content: Mapping[str, Any], path: Path) -> Iterator[Song]:
    given = {name: _list(content[name], f"{name} is") for name in NAMES if name in content}
    if not given:
        raise InputError(f"{path}: holds none of {', '.join(SPLITS)}; give lists of songs by these names")
    if not any(map(len, given.values())):
        raise InputError(f"{path}: holds no songs, only empty lists; give songs")
    _bound(sum(map(len, given.values())), MAX_SONGS, "songs")
    steps = _steps(content, path)
    total = notes = 0
    for name, songs in given.items():
        keys, modes = (_column(content, f"{name}_{kind}", len(songs)) for kind in ("key", "mode"))
        for i, (song, key, mode) in enumerate(zip(songs, keys, modes, strict=True)):
            if isinstance(song, Mapping):
                song, key, mode = song.get("frames"), song.get("key"), song.get("mode")
            song = _list(song, f"song {i} of {name} is")
            total += len(song)
            _bound(total, MAX_STEPS, "steps")
            notes += _note_count(song, f"song {i} of {name}")
            _bound(notes, MAX_NOTES, "notes")
            try:
                yield Song(f"{name}/{i}", NAMES[name], _frames(song), _key(key, mode), steps)
            except InputError as error:
                raise InputError(f"song {i} of {name}: {error}") from None


def _bound(count: int, limit: int, things: str) -> None:
    if count > limit:
        raise InputError(f"it holds more than {limit} {things}; cut it in parts")


def _list(value: Any, place: str) -> Sequence | np.ndarray:
    if not (isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)):
        raise InputError(f"{place} no list, but a {type(value).__name__}; give lists of songs, steps and MIDI pitches")
    return value


def _column(content: Mapping[str, Any], name: str, length: int) -> Sequence:
    """Return a list that stands beside songs, or as many None."""
    column = _list(content.get(name, [None] * length), f"{name} is")
    if len(column) != length:
        raise InputError(f"{name} has {len(column)} entries for {length} songs; give one a song")
    return column


def _steps(content: Mapping[str, Any], path: Path) -> int | None:
    """Return the steps in a quarter note: what the table says, or its name ("jsb-chorales-quarter", "Jsb16thSeparated")."""
    told = content.get("steps_per_quarter")
    if told is not None:
        told = told[()] if isinstance(told, np.ndarray) else told
        if not is_number(type(told)) or told not in STEPS.values():
            shown = str(told)[:20] if is_number(type(told)) else f"a {type(told).__name__}"
            raise InputError(f"{path}: steps_per_quarter is {shown}; only {', '.join(map(str, STEPS.values()))} are known")
        return int(told)
    if content.get("format") == "chorale-rolls/1":
        return STEPS["quarter"]
    named = re.findall("|".join(STEPS), path.stem.lower())
    return STEPS[named[0]] if named else None


def _is_roll(song: Sequence | np.ndarray) -> bool:
    return isinstance(song, np.ndarray) and song.ndim == 2 and song.shape[1] == KEYS and song.dtype.kind in "biuf"


def _note_count(song: Sequence | np.ndarray, place: str) -> int:
    """Return how many notes the steps of a song hold; a roll counts as none."""
    if _is_roll(song):
        return 0
    a_step = f"{place}: a step is"
    lengths = [len(_list(step, a_step)) for step in song]
    if max(lengths, default=0) > MAX_CHORD:
        raise InputError(f"{place}: a step has more than {MAX_CHORD} notes")
    return sum(lengths)


def _frames(song: Sequence | np.ndarray) -> np.ndarray:
    """Return the frames (T, 88) of a song."""
    if not _is_roll(song):
        return from_steps(song)
    if not ((song == 0) | (song == 1)).all():
        raise InputError("a roll of 88 columns holds something else than 0 and 1")
    return np.ascontiguousarray(song, bool)


def _key(key: Any, mode: Any) -> Key | None:
    """Return the key of a song; a mode, in words or whether it is major, counts more than the capital of the key."""
    if key is None:
        return None
    if isinstance(mode, bool | np.bool_):
        mode = "major" if mode else "minor"
    for part in (key, mode or ""):
        if not isinstance(part, str):  # others could be endless to write
            raise InputError(f"its key is told by a {type(part).__name__}; write it like C, f#, E-, 'Eb major' or 'c minor'")
    return Key.parse(f"{key} {mode}" if mode else key)
