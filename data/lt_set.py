"""The training set of the original program: ``lt_set.npz``, spectra and labels in pickled object arrays.

Pickles can execute code. They are read here by an unpickler that knows nothing but arrays, data types, scalars, strings
and plain containers, each built by a function of this file that checks what it is given. Python 2 pickles work, too.
"""

import io
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from data.notes import PITCH_CLASSES
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
        return {key: _array(archive, f"{key}.npy") for key in KEYS}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with io.BufferedReader(archive.open(name), 2**20) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.hasobject:
            return np.asarray(_Unpickler(file, encoding="latin1").load()).reshape(shape)
        if math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
            raise ValueError(f"{name} claims shape {shape}")
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


class _Dtype:
    """Stand for a data type while it is unpickled: numpy's own would take flags that corrupt memory."""

    def __init__(self, code: str, *_):
        if not re.fullmatch(r"O[48]?|[biufcSU]\d{1,6}", code):
            raise pickle.UnpicklingError(f"data type {code!r}")
        self.dtype = np.dtype(code.rstrip("48") if code[0] == "O" else code)

    def __setstate__(self, state):
        _, byteorder, *rest = state
        if any(part is not None for part in rest[:3]):  # of structured types only
            raise pickle.UnpicklingError("a structured data type")
        self.dtype = self.dtype.newbyteorder(byteorder)


class _Array(np.ndarray):
    """Stand for an array while it is unpickled: it starts empty and takes no more than it is given."""

    def __new__(cls, *_):
        return super().__new__(cls, 0)

    def __setstate__(self, state):
        version, shape, kind, fortran, content = state
        if isinstance(content, str):
            content = content.encode("latin1")  # Python 2
        size = len(content) if kind.dtype.hasobject else len(content) // max(1, kind.dtype.itemsize)
        if min(shape, default=0) < 0 or math.prod(shape) != size:
            raise pickle.UnpicklingError(f"an array of shape {shape} with {size} elements")
        if kind.dtype.hasobject and any(isinstance(part, _Array) and part.dtype.hasobject for part in content):
            raise pickle.UnpicklingError("nested arrays of objects")  # freeing very deep ones overflows the stack
        super().__setstate__((version, shape, kind.dtype, fortran, content))


def _scalar(kind: _Dtype, content: bytes | str) -> np.generic:
    content = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(content, kind.dtype)[0]  # refuses objects


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


class _Table(dict):
    """Stand for a dict while it is unpickled: hashing a deeply nested key would overflow the stack."""

    def __setitem__(self, key, value):
        if not isinstance(key, str | bytes | int | float):
            raise pickle.UnpicklingError(f"a {type(key).__name__} as a key")
        super().__setitem__(key, value)


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,  # only ever an argument of _reconstruct
    ("_codecs", "encode"): _encode,
}
_OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD
    NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINSTRING SHORT_BINSTRING
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT SETITEM SETITEMS
"""


def _dispatch() -> dict:
    codes = (getattr(pickle, name)[0] for name in _OPCODES.split())
    return {code: pickle._Unpickler.dispatch[code] for code in codes}


class _Unpickler(pickle._Unpickler):  # the Python one: it can be held to some opcodes, and its memo is no memory bomb
    dispatch: ClassVar = _dispatch()

    def load_empty_dictionary(self):
        self.append(_Table())

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dictionary

    def find_class(self, module: str, name: str):
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is no data")
        return lambda *given: known(*given)  # thrown away after use: BUILD could set attributes of what it is handed
