"""From a run's files to its model, whichever system it is of."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from models.base import LatentModel
from models.config import TrainConfig
from models.run_folder import BEST, CONFIG, LAST, saved_name
from utils.checkpoint import load_state, load_weights
from utils.config import InputError

Build = Callable[[TrainConfig], LatentModel]


def saved(folder: Path, weights: str | None = None) -> Path:
    """Return the file of a run's weights: the best, or the last where there are no best, unless `weights` says.

    Raises
    ------
    InputError : it is not there, or no such can be.
    """
    names = [saved_name(weights)] if weights else [BEST, LAST]
    path = next((path for name in names if (path := Path(folder) / name).is_file()), None)
    if path is None:
        raise InputError(f"{folder}: has no {' and no '.join(names)}; wait until training has saved, or train it")
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a saved state.

    Raises
    ------
    InputError : the file is missing, damaged or holds none.
    """
    state = load_state(path)
    tensors = state.get("model") if isinstance(state, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path}: holds no weights; it may be damaged")
    return tensors


def restored(model: Build, config: TrainConfig, folder: Path, weights: str | None = None) -> LatentModel:
    """Return the model of a configuration with the saved weights of the run in `folder`, on the CPU.

    Raises
    ------
    InputError : see `saved`, `read_weights` and `build`, or they are of another model.
    """
    path = saved(folder, weights)
    tensors = read_weights(path)
    sketch = build(model, config, folder, "meta")  # of no size, so that a wrong configuration cannot fill the memory
    _check_fit(sketch, tensors, path)
    result = build(model, config, folder)
    load_weights(result, tensors, path)
    return result


def _check_fit(model: LatentModel, weights: dict[str, Tensor], path: Path) -> None:
    """Raise InputError unless `weights` have the names, shapes and types of the model's."""
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}
    if expected != found:
        first = min(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise InputError(f"{path}: its weights do not fit the model of {CONFIG} (first difference: {first})")


class _Undrawn(TorchFunctionMode):
    """Leave out drawing initial weights, as saved ones take their place: it takes long, and seconds more on the device "meta".

    They are zero instead: what draws until all is within bounds would never end otherwise.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return args[0].zero_() if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


def build(model: Build, config: TrainConfig, folder: Path, device: str = "cpu") -> LatentModel:
    """Return the model of the configuration of the run in `folder`, with no weights yet.

    Raises
    ------
    InputError : there can be none.
    """
    try:
        with torch.device(device), _Undrawn():
            return model(config)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, MemoryError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(f"{Path(folder) / CONFIG}: describes no model that can be built ({reason}); it may be damaged") from None
