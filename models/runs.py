"""From a run's folder to its model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from models.base import LatentModel
from models.config import SAVING, TRAINING, TrainConfig
from models.run_config import is_run, read_run
from models.run_folder import BEST, CONFIG, LAST, saved_name
from models.systems import SYSTEMS
from utils.checkpoint import load_state, load_weights
from utils.config import InputError

LARGEST = 1_000_000  # of the whole numbers that size a model; far larger ones would fill the memory before anything else failed


def read_config(folder: Path) -> tuple[str, TrainConfig]:
    """Return the system's name and the configuration of the run in `folder`.

    Raises
    ------
    InputError : no run, damaged, of an unknown system or of a newer format, or of absurd sizes.
    """
    folder = Path(folder)
    try:
        system, config, _ = read_run(folder)
    except (OverflowError, TypeError) as error:
        raise InputError(f"{folder / CONFIG}: holds what no run can have ({error}); it may be damaged") from None
    for name, field in type(config).__dataclass_fields__.items():
        if field.metadata.get("group", TRAINING) not in (TRAINING, SAVING) and _largest(getattr(config, name)) > LARGEST:
            raise InputError(f"{folder / CONFIG}: {name} is {getattr(config, name)}, which is absurd; it may be damaged")
    return system, config


def _largest(value: Any) -> int:
    values = value if isinstance(value, tuple) else (value,)
    return max((abs(v) for v in values if isinstance(v, int)), default=0)


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


def checkpoint_system(path: Path) -> str | None:
    """Return the system that reads a checkpoint of another program; None where it is a run, or nothing of the kind."""
    if is_run(Path(path)):
        return None
    loaded = {name: system.load() for name, system in SYSTEMS.items()}
    able = (name for name, module in loaded.items() if hasattr(module, "from_checkpoint") and module.reads_checkpoint(Path(path)))
    return next(able, None)


def origin(path: Path) -> tuple[str, dict[str, str]]:
    """Return the system of a run and the fingerprints of what it was trained on; {} of a checkpoint of another program.

    Raises
    ------
    InputError : it is neither.
    """
    other = checkpoint_system(path)
    if other:
        return other, {}
    system, _, fingerprints = read_run(Path(path))
    return system, fingerprints


def load_run(folder: Path, device: torch.device | str = "cpu", weights: str | None = None, preset: str = "") -> LatentModel:
    """Return the model of the run in `folder`, or of a checkpoint of another program, on `device`, in evaluation mode.

    Parameters
    ----------
    preset : of a checkpoint, what it is, where its sizes do not tell.
    weights : ``best``, ``last``, the number of a saved epoch, or by itself the best where there are some.

    Raises
    ------
    InputError : no run, half of one, of another system or version, or damaged in any part.
    """
    other = checkpoint_system(folder)
    if other and weights:
        raise InputError(f"--weights {weights}: {folder} is a checkpoint, which has but one state; leave it out")
    if preset and not other:
        raise InputError(f"--config {preset}: is for checkpoints of other programs, and {folder} is none; leave it out")
    if other:
        return SYSTEMS[other].load().from_checkpoint(Path(folder), preset).to(device).eval()
    system, config = read_config(folder)
    path = saved(folder, weights)
    tensors = read_weights(path)
    sketch = _build(system, config, folder, "meta")  # of no size, so that a wrong configuration cannot fill the memory
    _check_fit(sketch, tensors, path)
    model = _build(system, config, folder, "cpu")
    load_weights(model, tensors, path)
    return model.to(device).eval()


def _check_fit(model: LatentModel, weights: dict[str, Tensor], path: Path) -> None:
    """Raise InputError unless `weights` have the names and shapes of the model's."""
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if expected != found:
        first = min(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise InputError(f"{path}: its weights do not fit the model of {CONFIG} (first difference: {first})")


class _Undrawn(TorchFunctionMode):
    """Leave out drawing initial weights, as saved ones take their place: it takes long, and seconds more on the device "meta".

    They are zero instead: what draws until all is within bounds would never end otherwise.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return args[0].zero_() if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


def _build(system: str, config: TrainConfig, folder: Path, device: str) -> LatentModel:
    try:
        with torch.device(device), _Undrawn():
            return SYSTEMS[system].load().Model(config)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, MemoryError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise InputError(f"{Path(folder) / CONFIG}: describes no model that can be built ({reason}); it may be damaged") from None


def parameters(folder: Path) -> dict[str, int]:
    """Return the number of parameters of each part of a run's model, without its weights.

    Raises
    ------
    InputError : no run, or a damaged configuration.
    """
    model = _build(*read_config(folder), folder, "meta")
    return {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
