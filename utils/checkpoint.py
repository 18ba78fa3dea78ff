"""Nested states as safetensors files. Nothing is ever pickled, and loading never executes anything."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.config import InputError
from utils.files import atomic

FORMAT = "lt-state-1"
_TENSOR = "__tensor__"  # marks in the JSON part the place of a tensor


def save_state(path: Path, state: Any) -> None:
    """Write a nested state (dicts, lists, tensors and JSON scalars) to `path`, atomically.

    Dictionary keys may be strings or integers. Tensors keep their bits; floats keep theirs too (JSON writes the shortest decimal
    that reads back equal).

    Raises
    ------
    InputError : no space or no permission; the previous file is kept.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    plain = _pack(state, tensors)
    with atomic(path) as aside:
        mode = aside.stat().st_mode  # which safetensors does not keep: others of a group could not read what is saved
        try:
            save_file(tensors, aside, metadata={"format": FORMAT, "state": json.dumps(plain)})
            aside.chmod(mode)
        except SafetensorError as error:
            raise InputError(f"{path}: cannot be written ({error}); the previous file is kept") from None


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; tensors on the CPU.

    Raises
    ------
    InputError : missing, damaged, or not of this format.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: is not a saved state of this program (format {metadata.get('format')!r})")
            plain = json.loads(metadata["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        return _unpack(plain, tensors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: is damaged or no saved state ({str(error)[:80]})") from None


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Replace the tensors in `value` by references into `tensors`, and dicts by lists of pairs (JSON knows no integer keys)."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {"pairs": [[key, _pack(element, tensors)] for key, element in value.items()]}
    if isinstance(value, list | tuple):
        return [_pack(element, tensors) for element in value]
    return value


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _unpack(element, tensors) for key, element in value["pairs"]}
    if isinstance(value, list):
        return [_unpack(element, tensors) for element in value]
    return value


def load_weights(module: torch.nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Copy `weights` into `module`.

    Raises
    ------
    InputError : no tensors by name, names or shapes that differ from the module's, or a value that is not finite.
    """
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise InputError(f"{path}: holds no weights; it may be damaged")
    expected = module.state_dict()
    wrong = set(expected) ^ set(weights) or {n for n in expected if expected[n].shape != weights[n].shape}
    if wrong:
        raise InputError(f"{path}: its weights do not fit the model of config.json (first difference: {min(wrong)})")
    if not all(torch.isfinite(tensor).all() for tensor in weights.values()):
        raise InputError(f"{path}: holds weights that are not finite numbers")
    module.load_state_dict(weights)
