"""The training set of the original program: ``lt_set.npz``, spectra and labels in pickled object arrays.

They are read by `data.safe_pickle`, which executes nothing.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.notes import PITCH_CLASSES
from data.safe_pickle import read_array
from utils.config import InputError

MAX_BYTES = 16 * 2**30  # of all arrays, uncompressed
KEYS = ("data", "metadata", "classes")


class LtSet(NamedTuple):
    """Hold the labels of each entry (empty where unreadable), its magnitudes (N, F), and the dynamics by their ids."""

    labels: list[dict[str, str]]
    magnitudes: list[np.ndarray]
    dynamics: tuple[str, ...]


def read(path: str | Path) -> LtSet:
    """Read the spectra and labels of a set; nothing in the file is executed.

    Raises
    ------
    InputError
        If the file is no such set, is damaged, refers to code, is absurdly large, or its parts do not fit together.
    """
    try:
        return _read(Path(path))
    except InputError:
        raise
    except Exception as error:  # a damaged or hostile file can provoke any
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(f"{path}: not a readable lt_set.npz ({reason}): get it anew") from None


def _read(path: Path) -> LtSet:
    arrays = _arrays(path)
    metadata, classes = (dict(arrays[key][()]) for key in ("metadata", "classes"))
    magnitudes = _magnitudes(arrays["data"], path)
    tables = {task: _names(classes.get(task)) for task in metadata}
    columns = {task: _column(task, ids, tables[task], len(magnitudes), path) for task, ids in metadata.items()}
    labels = [
        {task: column[i] for task, column in columns.items() if column[i]} if len(frames) else {}
        for i, frames in enumerate(magnitudes)
    ]
    dynamics = tables.get("dynamics", {})
    return LtSet(labels, magnitudes, tuple(dynamics[number] for number in sorted(dynamics)))


def _magnitudes(data: np.ndarray, path: Path) -> list[np.ndarray]:
    """Return the modulus (N, F) float32 of each entry; `data` is dense (n, N, F), or n arrays of their own lengths."""
    entries = [np.asarray(entry) for entry in data] if data.ndim else []
    if not entries:
        raise InputError(f"{path}: its data holds no spectra: get the lt_set.npz of the original")
    if sum(entry.nbytes for entry in entries) > MAX_BYTES:  # a pickle can name one array many times
        raise InputError(f"{path}: unpacks to more than {MAX_BYTES >> 30} GiB: cut it in parts")
    width = entries[0].shape[-1] if entries[0].ndim else 0
    for i, entry in enumerate(entries):
        if entry.ndim != 2 or entry.shape[1] != width or not width or entry.dtype.kind not in "fciu":
            shape = f"{entry.dtype} {entry.shape}"
            raise InputError(f"{path}: entry {i} of its data is {shape}, not frames x {width} bands: make the set anew")
    with np.errstate(over="ignore"):
        magnitudes = [np.abs(entry).astype(np.float32) for entry in entries]
    for i, entry in enumerate(magnitudes):
        if not np.isfinite(entry).all():
            raise InputError(f"{path}: entry {i} of its data holds NaN or infinite values: make the set anew")
    return magnitudes


def _names(table) -> dict[int, str]:
    """Turn a table of class name -> id, which also holds the number of classes, into id -> name."""
    if not isinstance(table, Mapping):
        return {}
    return {int(number): str(name) for name, number in table.items() if name != "_length"}


def _column(task: str, ids, names: Mapping[int, str], length: int, path: Path) -> list[str]:
    """Return the class name of every entry, empty where the id has none.

    Pitch classes count from A = 0 and octaves are their own names, whatever the tables say; so are ids without a table.
    """
    ids = np.atleast_1d(np.array(np.asarray(ids).tolist()))  # by way of a list: arrays of objects get a plain type
    if ids.shape != (length,):
        raise InputError(f"{path}: {length} spectra but {ids.size} values of '{task}': make the set anew")
    if ids.dtype.kind not in "iuf":
        return [str(name) for name in ids]
    if task == "pitch":
        names = dict(enumerate(PITCH_CLASSES))
    elif task == "octave" or not names:
        return [f"{number:g}" for number in ids]
    return [names.get(number, "") for number in ids.tolist()]  # 3.0 finds 3


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays in `KEYS` of an npz file, whose sizes are checked before anything is unpacked."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise InputError(f"{path}: unpacks to more than {MAX_BYTES >> 30} GiB: cut it in parts")
        lacking = [key for key in KEYS if f"{key}.npy" not in archive.namelist()]
        if lacking:
            raise InputError(f"{path}: lacks the array '{lacking[0]}': give the lt_set.npz of the original")
        return {key: read_array(archive, f"{key}.npy") for key in KEYS}
