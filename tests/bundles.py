"""TensorFlow checkpoints and weights of TensorFlow.js made by hand, without the code that reads them."""

import io
import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
CODES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}
BFLOAT16 = 14
MAGENTA = Path(__file__).parents[2] / "shared" / "fixtures" / "magenta"


def crc32c(data: bytes) -> int:
    """Return the CRC-32C bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    result = b""
    while value >= 0x80:
        result += bytes([value & 0x7F | 0x80])
        value >>= 7
    return result + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a protocol buffer; as in proto3, numbers that are 0 are left out."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value) if value else b""


def header(shards: int = 1, endianness: int = 0) -> bytes:
    return field(1, shards) + field(2, endianness) + field(3, field(1, 1))


def entry(dtype: int, shape: Iterable[int], size: int, crc: int, shard: int = 0, offset: int = 0, extra: bytes = b"") -> bytes:
    dimensions = b"".join(field(2, field(1, length)) for length in shape)
    numbers = field(1, dtype) + field(2, dimensions) + field(3, shard) + field(4, offset) + field(5, size)
    return numbers + varint(6 << 3 | 5) + struct.pack("<I", crc) + extra


def block(pairs: Iterable[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """Return a block with its trailer; every fourth key is whole, the others share what they can."""
    body, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % 4 == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    body += b"".join(struct.pack("<I", place) for place in [*restarts, len(restarts)])
    content = body + bytes([compression])
    return content + struct.pack("<I", masked(content))


def table(pairs: list[tuple[bytes, bytes]], per_block: int = 5, compression: int = 0) -> bytes:
    """Return an index: data blocks, an empty meta-index, the index of blocks, and the footer."""
    content, handles = b"", []
    for start in range(0, len(pairs), per_block):
        part = pairs[start : start + per_block]
        made = block(part, compression)
        handles.append((part[-1][0], varint(len(content)) + varint(len(made) - 5)))
        content += made
    footer = b""
    for made in (block([]), block(handles)):
        footer += varint(len(content)) + varint(len(made) - 5)
        content += made
    return content + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def bundle(tensors: Mapping[str, np.ndarray], shards: int = 1, brief: Iterable[str] = (), per_block: int = 5) -> dict[str, bytes]:
    """Return the files of a checkpoint by the ends of their names; the tensors called `brief` are written as bfloat16."""
    data = [b""] * shards
    entries = [(b"", header(shards))]
    for i, (name, array) in enumerate(sorted(tensors.items())):
        code, raw = CODES.get(array.dtype.name, 7), array.tobytes()
        if name in brief:
            code, raw = BFLOAT16, (array.view("<u4") >> 16).astype("<u2").tobytes()
        shard = i % shards
        entries.append((name.encode(), entry(code, array.shape, len(raw), masked(raw), shard, len(data[shard]))))
        data[shard] += raw
    files = {f".data-{i:05d}-of-{shards:05d}": content for i, content in enumerate(data)}
    return files | {".index": table(entries, per_block)}


def write(folder: Path, tensors: Mapping[str, np.ndarray], name: str = "model.ckpt", **options) -> Path:
    """Write a checkpoint into `folder` and return its prefix."""
    for end, content in bundle(tensors, **options).items():
        (folder / f"{name}{end}").write_bytes(content)
    return folder / name


def write_tar(path: Path, files: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    """Write files, or other members as they are, into a tar."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def write_js(folder: Path, groups: list[list[tuple[dict, bytes]]], shard: int = 100, config: dict | None = None) -> Path:
    """Write weights for TensorFlow.js, (what the manifest says, bytes) by groups, into files of `shard` bytes."""
    manifest = []
    for i, group in enumerate(groups, 1):
        content = b"".join(raw for _, raw in group)
        parts = [content[start : start + shard] for start in range(0, len(content), shard)]
        names = [f"group{i}-shard{j}of{len(parts)}" for j in range(1, len(parts) + 1)]
        for name, part in zip(names, parts, strict=True):
            (folder / name).write_bytes(part)
        manifest.append({"paths": names, "weights": [weight for weight, _ in group]})
    (folder / "weights_manifest.json").write_text(json.dumps(manifest))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder
