"""From a run's folder to its model."""

from pathlib import Path

import torch

from models import run_folder
from models.base import LatentModel
from models.config import TrainConfig
from models.restoring import build, restored
from models.run_config import CONFIGS, read_run
from models.run_folder import is_run
from models.systems import SYSTEMS
from utils.config import InputError


def read_config(folder: Path) -> tuple[str, TrainConfig]:
    """Return the system's name and the configuration of the run in `folder`.

    Raises
    ------
    InputError : no run, damaged, of an unknown system or of a newer format, or of absurd sizes.
    """
    return run_folder.read_sound(folder, CONFIGS)


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


def load_run(
    folder: Path,
    device: torch.device | str = "cpu",
    weights: str | None = None,
    preset: str = "",
    base: Path | None = None,
    base_preset: str = "",
) -> LatentModel:
    """Return the model of the run in `folder`, or of a checkpoint of another program, on `device`, in evaluation mode.

    Parameters
    ----------
    preset : of a checkpoint, what it is, where its sizes do not tell.
    weights : ``best``, ``last``, the number of a saved epoch, or by itself the best where there are some.
    base, base_preset : of a run that stands on another, where that is now, and what it is, instead of what its configuration says.

    Raises
    ------
    InputError : no run, half of one, of another system or version, or damaged in any part, or without what it stands on.
    """
    other = checkpoint_system(folder)
    if other and weights:
        raise InputError(f"--weights {weights}: {folder} is a checkpoint, which has but one state; leave it out")
    if preset and not other:
        raise InputError(f"--config {preset}: is for checkpoints of other programs, and {folder} is none; leave it out")
    if other and (base or base_preset):
        raise InputError(f"--base: {folder} is a checkpoint, which stands on no other run; leave it out")
    if other:
        model = SYSTEMS[other].load().from_checkpoint(Path(folder), preset)
    else:
        system, config = read_config(folder)
        config = config.standing_on(str(base or ""), base_preset)
        model = restored(SYSTEMS[system].load().Model, config, folder, weights)
    model = model.to(device).eval()
    model.attach()
    return model


def parameters(folder: Path) -> dict[str, int]:
    """Return the number of parameters of each part of a run's model, without its weights.

    Raises
    ------
    InputError : no run, or a damaged configuration.
    """
    system, config = read_config(folder)
    model = build(SYSTEMS[system].load().Model, config, folder, "meta")
    return {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
