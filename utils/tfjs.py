"""Read the weights of TensorFlow.js: a manifest in JSON, and files of numbers, some of them quantised.

A manifest is a list of groups. The files of a group, joined in order, hold its tensors one after the other, without gaps.
"""

import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from utils.config import LARGEST, InputError, read_json

MANIFEST = "weights_manifest.json"
DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4"}
QUANTISED = {"uint8": "<u1", "uint16": "<u2", "float16": "<f2"}
LARGEST_MANIFEST, MOST_DIMENSIONS = 2**24, 8  # bytes; far beyond any model of music


class _Wrong(Exception):
    """Say what is wrong with a manifest; `read` adds where it is."""


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors by name, quantised ones as float32, and what config.json beside them says ({} without one).

    Parameters
    ----------
    path
        weights_manifest.json or its folder.

    Raises
    ------
    InputError
        Missing, no manifest, files that are missing or of other sizes than it tells, or an unknown type.
    """
    path = Path(path)
    manifest = path / MANIFEST if os.path.isdir(path) else path
    try:
        tensors: dict[str, np.ndarray] = {}
        for group in _groups(manifest):
            found = _group(manifest.parent, group)
            if again := sorted(found.keys() & tensors.keys()):
                raise _Wrong(f"lists {again[0][:80]!r} twice; take it anew from its source")
            tensors |= found
        config = manifest.with_name("config.json")
        return tensors, read_json(config) if config.is_file() else {}
    except _Wrong as error:
        raise InputError(f"{manifest}: {error}") from None
    except OSError as error:
        raise InputError(f"{manifest}: cannot be read ({error.strerror or error})") from None


def _groups(manifest: Path) -> list[dict[str, Any]]:
    if not manifest.is_file():
        raise _Wrong("no such file; give the folder of a magenta.js checkpoint")
    if manifest.stat().st_size > LARGEST_MANIFEST:
        raise _Wrong("is far too large for a manifest; give the folder of a magenta.js checkpoint")
    try:
        groups = json.loads(manifest.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise _Wrong("is no valid JSON; it may be damaged or half-written") from None
    if not isinstance(groups, list) or not all(isinstance(_of(group, "weights"), list) for group in groups):
        raise _Wrong("is no list of groups of weights; give a manifest of TensorFlow.js")
    return groups


def _of(mapping: Any, key: str) -> Any:
    """Return a value of a JSON object, None where there is none or it is no object."""
    return mapping.get(key) if isinstance(mapping, dict) else None


def _group(folder: Path, group: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the tensors of one group; their sizes are added up before any file is read."""
    stored = [_stored(weight) for weight in group["weights"]]
    sizes = [dtype.itemsize * math.prod(weight["shape"]) for weight, dtype in zip(group["weights"], stored, strict=True)]
    files = _files(folder, group)
    found = sum(file.stat().st_size for file in files)
    if found != sum(sizes):
        relation = "less" if found < sum(sizes) else "more"
        raise _Wrong(f"does not fit its files, which hold {relation} ({found} bytes); take them anew from their source")
    content = np.concatenate([np.zeros(0, np.uint8), *(np.fromfile(file, np.uint8) for file in files)])
    tensors: dict[str, np.ndarray] = {}
    place = 0
    for weight, dtype, size in zip(group["weights"], stored, sizes, strict=True):
        if weight["name"] in tensors:
            raise _Wrong(f"lists {weight['name'][:80]!r} twice; take it anew from its source")
        numbers = content[place : place + size].view(dtype).reshape(weight["shape"])
        tensors[weight["name"]] = _dequantised(numbers, weight)
        place += size
    return tensors


def _files(folder: Path, group: dict[str, Any]) -> list[Path]:
    """Return the files of a group, which lie in the manifest's own folder."""
    names = _of(group, "paths")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise _Wrong("has a group without names of files; take it anew from its source")
    if len(set(names)) < len(names):
        raise _Wrong("names a file twice; take it anew from its source")
    for name in names:
        if PurePosixPath(name).name != name or name in ("", ".."):
            raise _Wrong(f"names {name[:80]!r}, which does not lie beside it")
        if not (folder / name).is_file():
            raise _Wrong(f"lacks {name[:80]!r}; put it beside it")
    return [folder / name for name in names]


def _stored(weight: Any) -> np.dtype:
    """Check what a manifest says of one tensor and return the type in which it is stored."""
    name, shape, quantisation = (_of(weight, key) for key in ("name", "shape", "quantization"))
    if not isinstance(name, str):
        raise _Wrong("has a tensor without a name; take it anew from its source")
    label = repr(name[:80])
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(_whole(size) for size in shape):
        raise _Wrong(f"has no sizes of {label}; take it anew from its source")
    kinds = DTYPES if quantisation is None else QUANTISED
    kind = _of(weight if quantisation is None else quantisation, "dtype")
    if not isinstance(kind, str) or kind not in kinds or (quantisation is not None and weight.get("dtype") != "float32"):
        raise _Wrong(f"stores {label} as {str(kind)[:20]!r}; known are {', '.join(kinds)}, quantised from float32 where they are")
    if kind.startswith("u") and not all(_finite(quantisation.get(key)) for key in ("min", "scale")):
        raise _Wrong(f"has no range of the quantised {label}; take it anew from its source")
    return np.dtype(kinds[kind])


def _whole(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and 0 < size <= LARGEST


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30  # whose products are float32, too


def _dequantised(numbers: np.ndarray, weight: dict[str, Any]) -> np.ndarray:
    """Return q scale + min of what is quantised, and other tensors as they are; halves become float32."""
    if numbers.dtype.kind == "u":
        quantisation = weight["quantization"]
        return numbers * np.float32(quantisation["scale"]) + np.float32(quantisation["min"])
    return numbers.astype("<f4") if numbers.dtype.itemsize == 2 else numbers
