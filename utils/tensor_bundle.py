"""Read the weights in TensorFlow checkpoints ("tensor bundles") without TensorFlow.

A checkpoint X is an index, X.index, and one or more X.data-00000-of-00001. The index is a sorted string table: blocks of names and
descriptions of tensors, each with a masked CRC-32C. Tensors lie in the data files as plain little-endian numbers. What a file
claims is checked against its size before anything is allocated, and every checksum before a number is used.
"""

import functools
import itertools
import math
import mmap
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from utils.config import InputError

MAGIC = 0xDB4775248B80FB57
FOOTER, TRAILER = 48, 5  # bytes that end the index, and each of its blocks: kind of compression and checksum
LARGEST_INDEX, MOST_TENSORS, LONGEST_NAME, MOST_DIMENSIONS = 2**24, 10_000, 1000, 8  # far beyond any checkpoint of music
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 14: "bfloat16", 19: "<f2"}  # of DataType in types.proto
_OTHERS = re.compile(r"(?:.*/)?(?:global_step|beta[12]_power(?:_\d+)?|adam(?:_\d+)?)", re.IGNORECASE)  # what an optimizer keeps
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, lowest bit first
_CHUNK = 2**20  # bytes of which a checksum is taken at once: what fits a processor's cache


class _Wrong(Exception):
    """Say what is wrong with a checkpoint; `read` adds which one it is."""


class _Place(NamedTuple):
    """Where the bytes of a file lie: in itself, or within a tar."""

    path: Path
    offset: int
    size: int

    def mapped(self) -> np.ndarray:
        """Return the bytes, (size,) uint8, without reading them."""
        if not self.size:
            return np.zeros(0, np.uint8)
        return np.asarray(np.memmap(self.path, np.uint8, "r", self.offset, (self.size,)))


class _Entry(NamedTuple):
    """What the index says of a tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a checkpoint by name, without those of an optimizer; they are mapped, not read into memory.

    Parameters
    ----------
    path
        X.index, or X, or a folder or an uncompressed .tar that holds one of them.

    Raises
    ------
    InputError
        Missing, truncated, damaged, of an unknown kind, or several where one is needed.
    """
    path = Path(path)
    try:
        index, places = _located(path)
        shards, entries = _contents(places[index])
        _check_overlaps(entries)
        used = {entry.shard for entry in entries.values()}
        names = {i: f"{index.removesuffix('.index')}.data-{i:05d}-of-{shards:05d}" for i in used}
        missing = [name for i, name in names.items() if i >= shards or name not in places]
        if missing:
            raise _Wrong(f"lacks {PurePosixPath(min(missing)).name!r}; put it beside the .index")
        data = {i: places[name].mapped() for i, name in names.items()}
        return {name: _tensor(name, entry, data[entry.shard]) for name, entry in entries.items()}
    except _Wrong as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


# ---- where the files lie


def _located(path: Path) -> tuple[str, dict[str, _Place]]:
    """Return the name of the index, and the places of the files that may belong to it by name."""
    if path.is_dir() or path.suffix == ".tar":
        places = _of_folder(path) if path.is_dir() else _of_tar(path)
        names = sorted(name for name in places if name.endswith(".index"))
        if len(names) != 1:
            found = f"{len(names)} checkpoints ({', '.join(map(repr, names[:3]))})" if names else "no checkpoint"
            raise _Wrong(f"holds {found}; give one X.index, with its X.data-00000-of-00001 beside it")
        return names[0], places
    if path.suffixes[-2:] == [".tar", ".gz"] or path.suffix == ".tgz":
        raise _Wrong("is compressed; unpack it and give the folder")
    index = path if path.suffix == ".index" else path.with_name(f"{path.name}.index")
    if not index.is_file():
        raise _Wrong("no such checkpoint; give X.index, X, or a folder or a .tar that holds them")
    return index.name, _of_folder(index.parent)


def _of_folder(folder: Path) -> dict[str, _Place]:
    files = [file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file()]
    return {file.name: _Place(file, 0, file.stat().st_size) for file in files}


def _of_tar(path: Path) -> dict[str, _Place]:
    """Return the places of plain files in a tar, without unpacking it; links and names that lead outside are left out."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            size = len(content)  # of a map no more can be read than there is, whatever the headers say
            with tarfile.open(fileobj=content, mode="r:") as archive:
                members = list(itertools.islice(archive, MOST_TENSORS))
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:
        raise _Wrong(f"is no undamaged, uncompressed tar ({str(error)[:80]}); take it anew from its source") from None
    places = {}
    for member in members:
        name = PurePosixPath(member.name)
        plain = member.isreg() and member.sparse is None and not name.is_absolute() and ".." not in name.parts
        if plain and not name.name.startswith("."):
            if not 0 <= member.offset_data <= member.offset_data + member.size <= size:
                raise _Wrong(f"is truncated within {name.name[:80]!r}; take it anew from its source")
            places[str(name)] = _Place(path, member.offset_data, member.size)
    return places


# ---- the index


def _contents(place: _Place) -> tuple[int, dict[str, _Entry]]:
    """Return the number of data files and what the index says of each tensor, by name."""
    if not FOOTER <= place.size <= LARGEST_INDEX:
        raise _Wrong(f"its .index has {place.size} bytes; take it anew from its source")
    index = place.mapped().tobytes()
    pairs = list(itertools.islice(_table(index), MOST_TENSORS + 1))
    if not pairs or pairs[0][0] or len(pairs) > MOST_TENSORS:
        raise _Wrong(f"its .index lists no tensors, or over {MOST_TENSORS}")
    header = dict(_fields(pairs[0][1]))
    if _number(header, 2):
        raise _Wrong("was written on a big-endian machine, which is not supported")
    try:
        names = [key.decode() for key, _ in pairs[1:]]
    except UnicodeDecodeError:
        raise _Wrong("its .index is damaged (a name that is no text)") from None
    weights = ((name, value) for name, (_, value) in zip(names, pairs[1:], strict=True) if not _OTHERS.fullmatch(name))
    return _number(header, 1), {name: _entry(name, value) for name, value in weights}


def _table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a sorted string table; keys that do not ascend end it, so that none comes twice."""
    footer = index[-FOOTER:]
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise _Wrong("its .index is truncated, or no index of a TensorFlow checkpoint")
    _, place = _handle(footer, 0)  # of the meta-index, which is empty
    handle, _ = _handle(footer, place)
    last = None
    for _, value in _block(index, *handle):
        for key, description in _block(index, *_handle(value, 0)[0]):
            if last is not None and key <= last:
                raise _Wrong("its .index is damaged (names out of order)")
            yield key, description
            last = key


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of one block, in which each key leaves out what it shares with the one before."""
    end = offset + size
    if size < 4 or end + TRAILER > len(index) - FOOTER:
        raise _Wrong("its .index is damaged (a block beyond its end)")
    if index[end] != 0:
        raise _Wrong("its .index is damaged, or compressed, which is not supported")
    if masked_crc32c(np.frombuffer(index, np.uint8, size + 1, offset)) != int.from_bytes(index[end + 1 : end + TRAILER], "little"):
        raise _Wrong("its .index is damaged (wrong checksum)")
    block = index[offset:end]
    stop = size - 4 * (1 + int.from_bytes(block[-4:], "little"))  # where places to restart at begin, followed by their number
    key, place = b"", 0
    while place < stop:
        shared, place = _varint(block, place)
        unshared, place = _varint(block, place)
        length, place = _varint(block, place)
        if shared > len(key) or shared + unshared > LONGEST_NAME or place + unshared + length > stop:
            raise _Wrong("its .index is damaged (an entry beyond its block)")
        key = key[:shared] + block[place : place + unshared]
        place += unshared + length
        yield key, block[place - length : place]
    if place != stop or not place:
        raise _Wrong("its .index is damaged (a block without entries, or with more than them)")


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and the place behind them."""
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number written seven bits a byte, low bits first, and the place behind it."""
    value = 0
    for i, byte in enumerate(data[place : place + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, place + i + 1
    raise _Wrong("its .index is damaged (a number without end)")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer: numbers, whatever their width, or bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(message, place)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
            if kind == 2:
                size, place = _varint(message, place)
            if not 0 <= size <= len(message) - place:
                raise _Wrong("its .index is damaged (a field beyond its message)")
            value = message[place : place + size] if kind == 2 else int.from_bytes(message[place : place + size], "little")
            place += size
        yield tag >> 3, value


def _number(fields: dict[int, int | bytes], key: int) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int):
        raise _Wrong("its .index is damaged (bytes instead of a number)")
    return value


def _entry(name: str, message: bytes) -> _Entry:
    """Read a BundleEntryProto: 1 type, 2 shape, 3 data file, 4 offset, 5 size, 6 checksum, 7 slices."""
    fields = dict(_fields(message))
    if 7 in fields:
        raise _Wrong(f"{name!r} is stored in slices, which is not supported")
    shape = fields.get(2, b"")
    dimensions = [value for key, value in _fields(shape) if key == 2] if isinstance(shape, bytes) else [0]
    if len(dimensions) > MOST_DIMENSIONS or not all(isinstance(value, bytes) for value in dimensions):
        raise _Wrong(f"its .index is damaged (shape of {name!r})")
    sizes = tuple(_number(dict(_fields(value)), 1) for value in dimensions)
    dtype, shard, offset, size, crc = (_number(fields, key) for key in (1, 3, 4, 5, 6))
    return _Entry(dtype, sizes, shard, offset, size, crc)


# ---- the data


def _check_overlaps(entries: dict[str, _Entry]) -> None:
    ordered = sorted(entries.items(), key=lambda item: (item[1].shard, item[1].offset))
    for (name, entry), (other, following) in itertools.pairwise(ordered):
        if entry.shard == following.shard and entry.offset + entry.size > following.offset:
            raise _Wrong(f"its .index is damaged ({name!r} and {other!r} lie in the same place)")


def _tensor(name: str, entry: _Entry, data: np.ndarray) -> np.ndarray:
    """Return a tensor as a view of its data file; bfloat16 becomes float32."""
    if entry.dtype not in DTYPES:
        raise _Wrong(f"{name!r} is of a type that is not supported ({entry.dtype})")
    brief = DTYPES[entry.dtype] == "bfloat16"
    dtype = np.dtype("<u2" if brief else DTYPES[entry.dtype])
    if not all(entry.shape) or math.prod(entry.shape) * dtype.itemsize != entry.size:
        raise _Wrong(f"its .index is damaged (size of {name!r})")
    if entry.offset + entry.size > len(data):
        raise _Wrong(f"its data ends before {name!r} does; take it anew from its source")
    content = data[entry.offset : entry.offset + entry.size]
    if masked_crc32c(content) != entry.crc:
        raise _Wrong(f"its data is damaged (wrong checksum of {name!r}); take it anew from its source")
    numbers = content.view(dtype).reshape(entry.shape)
    return (numbers.astype("<u4") << 16).view("<f4") if brief else numbers


# ---- checksums


def masked_crc32c(data: np.ndarray) -> int:
    """Return the CRC-32C of `data` (bytes,) uint8, turned and shifted as TensorFlow stores it."""
    crc = crc32c(data)
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def crc32c(data: np.ndarray) -> int:
    """Return the CRC-32C (RFC 3720, 12.1) of `data` (bytes,) uint8; a gigabyte takes 4 s to 10 s.

    The register after a message is linear in the message and in the register before it (over GF(2), where sums are exclusive ors).
    So chunks are taken on their own, and within a chunk all words of 32 bits at once.
    """
    register = np.full(1, 0xFFFFFFFF, np.uint32)
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        for k in range(_CHUNK.bit_length()):
            if len(chunk) >> k & 1:
                register = _advanced(register, k)
        register = register ^ _folded(chunk)
    return int(register[0]) ^ 0xFFFFFFFF


def _folded(chunk: np.ndarray) -> np.ndarray:
    """Return the register (1,) that `chunk` leaves of an empty one: its first half, advanced over the second, is added to that."""
    exponent = max(2, (len(chunk) - 1).bit_length())
    padded = np.zeros(2**exponent, np.uint8)
    padded[-len(chunk) :] = chunk  # zeros in front leave an empty register empty
    words = padded.view("<u4")
    for k in range(exponent - 1, 1, -1):
        half = len(words) // 2
        words = _advanced(words[:half], k) ^ words[half:]
    return _advanced(words, 2)


def _advanced(registers: np.ndarray, k: int) -> np.ndarray:
    """Return registers (N,) uint32 after 2^k more bytes of zero."""
    low, high = _tables(k)
    return low.take(registers & 0xFFFF, mode="wrap") ^ high.take(registers >> 16, mode="wrap")  # "wrap" is the fastest


@functools.cache
def _tables(k: int) -> np.ndarray:
    """Return what 2^k bytes of zero make of the low and of the high half of a register, (2, 65536) uint32."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    if k == 0:
        for _ in range(8):
            bits = bits >> 1 ^ np.where(bits & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    else:
        bits = _advanced(_advanced(bits, k - 1), k - 1)
    tables = np.zeros((2, 1), np.uint32)
    for pair in bits.reshape(2, 16, 1).swapaxes(0, 1):
        tables = np.concatenate([tables, tables ^ pair], axis=1)
    return tables
