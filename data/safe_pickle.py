"""Pickles that hold data, read without executing anything.

Pickles can execute code. They are read here by an unpickler that knows nothing but arrays, data types, scalars, strings and plain
containers, each built by a function of this file that checks what it is given. Python 2 pickles work, too, of any protocol.
"""

import io
import math
import pickle
import re
import zipfile
from typing import Any, BinaryIO, ClassVar

import numpy as np

MAX_OPCODES = 5_000_000  # of all pickles of a file: some seconds, and up to 0.5 GB
MAX_COPIED = 2**26  # bytes that arrays and scalars may take beyond the size of their file, by naming a part of it many times
POINTER = 8  # bytes
FIELDS = 5  # of the state of an array, the last one its content


class Budget:
    """Hold what the pickles of a file of `size` bytes, unpacked, may still cost: time, and memory that is not in the file."""

    def __init__(self, size: int):
        self.opcodes = MAX_OPCODES
        self.bytes = MAX_COPIED + size

    def spend(self, opcodes: int = 0, size: int = 0) -> None:
        """Take from it; raise `pickle.UnpicklingError` where nothing is left."""
        self.opcodes -= opcodes
        self.bytes -= size
        if self.opcodes < 0 or self.bytes < 0:
            raise pickle.UnpicklingError(f"it takes over {MAX_OPCODES} opcodes, or too many copies; save arrays of numbers")


def load(file: BinaryIO, budget: Budget) -> Any:
    """Read one pickle of data; text of Python 2 is taken as Latin-1.

    Raises
    ------
    Exception
        Any, where it is damaged or hostile; `pickle.UnpicklingError` where it refers to code or spends its budget.
    """
    return _Unpickler(file, budget).load()


def read_array(archive: zipfile.ZipFile, name: str, budget: Budget | None = None) -> np.ndarray:
    """Read an array of an npz file, of numbers or of pickled objects, for which there is a budget of its own unless one is given.

    Raises
    ------
    Exception
        Any, where the file is damaged or hostile; `pickle.UnpicklingError` where it refers to code or spends its budget.
    """
    size = archive.getinfo(name).file_size
    with io.BufferedReader(archive.open(name), 2**20) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.hasobject:
            content = load(file, budget or Budget(size))
            if isinstance(content, list | tuple):  # numpy would look for lists in lists, which can contain themselves
                raise pickle.UnpicklingError(f"{name} holds a {type(content).__name__}, no array")
            return np.asarray(content).reshape(shape)
        if math.prod(shape) * dtype.itemsize > size:
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

    __slots__ = ()

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
    INT LONG FLOAT STRING UNICODE LIST DICT PUT GET
"""


def _dispatch() -> dict:
    codes = (getattr(pickle, name)[0] for name in _OPCODES.split())
    return {code: pickle._Unpickler.dispatch[code] for code in codes}


class _Counted(dict):
    """Stand for a table of opcodes, and count how often it is asked."""

    __slots__ = ("budget",)

    def __getitem__(self, code):
        budget = self.budget
        budget.opcodes -= 1
        if budget.opcodes < 0:
            budget.spend()
        return super().__getitem__(code)


class _Unpickler(pickle._Unpickler):  # the Python one: it can be held to some opcodes, and its memo is no memory bomb
    dispatch: ClassVar = _dispatch()

    def __init__(self, file: BinaryIO, budget: Budget | None = None):
        super().__init__(file, encoding="latin1")
        self.budget = budget or Budget(0)
        self.dispatch = _Counted(self.dispatch)  # of this instance
        self.dispatch.budget = self.budget

    def load_build(self):
        self._pay(self.stack[-1])
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build

    def load_reduce(self):
        self._pay(self.stack[-1])
        super().load_reduce()

    dispatch[pickle.REDUCE[0]] = load_reduce

    def _pay(self, given: Any) -> None:
        """Pay for what calls copy of what they are given, which may be of the memo."""
        parts = (given, *given[:FIELDS]) if isinstance(given, tuple | list) else (given,)
        size = sum(POINTER * len(part) for part in parts if isinstance(part, tuple | list))
        self.budget.spend(opcodes=4, size=size + sum(len(part) for part in parts if isinstance(part, str | bytes)))

    def load_empty_dictionary(self):
        self.append(_Table())

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dictionary

    def load_dict(self):
        table, items = _Table(), self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            table[key] = value
        self.append(table)

    dispatch[pickle.DICT[0]] = load_dict

    def find_class(self, module: str, name: str):
        self.budget.spend(opcodes=8)  # takes as long, and as much memory
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is no data")
        return lambda *given: known(*given)  # thrown away after use: BUILD could set attributes of what it is handed
