"""What lies in a run's folder, and what its ``config.json`` says. Imports no torch."""

import re
from collections.abc import Mapping
from pathlib import Path

from models.config import SAVING, TRAINING, TrainConfig
from utils.config import InputError, merge, read_json

LOCK = ".lock"  # held by the process that trains in it
CONFIG, LAST, BEST, HISTORY, METRICS = "config.json", "last.safetensors", "best.safetensors", "history.csv", "metrics.json"
FORMAT = 1  # of config.json
LARGEST = 1_000_000  # of the whole numbers that size a model; far larger ones would fill the memory before anything else failed


def home(run: Path) -> Path:
    """Return the folder for what is made of a run: its own; of a checkpoint that is a file, one beside it."""
    return run if run.is_dir() else run.with_name(f"{run.name}_results")


def numbered(epoch: int) -> str:
    """Return the file name of the state after `epoch` epochs."""
    return f"epoch-{epoch:06d}.safetensors"


def saved_name(weights: str) -> str:
    """Return the file of ``best`` or ``last`` weights, or of those of a saved epoch, given by its number.

    Raises
    ------
    InputError : is none of these.
    """
    if re.fullmatch(r"\d{1,9}", weights):
        return numbered(int(weights))
    if weights not in ("best", "last"):
        raise InputError(f"no weights are called {weights}: give last, best, or the number of a saved epoch")
    return LAST if weights == "last" else BEST


def weights(text: str) -> str:
    """Return what names weights as it is, for a command line.

    Raises
    ------
    InputError : see `saved_name`.
    """
    saved_name(text)
    return text


def is_run(folder: Path) -> bool:
    """Tell whether a folder has the ``config.json`` of a run; checkpoints of other programs may have one of that name, too."""
    try:
        return (folder / CONFIG).is_file() and "system" in read_json(folder / CONFIG)
    except InputError:
        return False


def read(folder: Path, configs: Mapping[str, type[TrainConfig]]) -> tuple[str, TrainConfig, dict[str, str]]:
    """Return the system's name, the configuration and the fingerprints of the run in `folder`; of systems by name, `configs`.

    Raises
    ------
    InputError : no run, damaged, of an unknown system or of a newer format.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: is no run, it has no {CONFIG}; give a folder that lt_train.py has made")
    content = read_json(folder / CONFIG)
    system = content.get("system")
    if (
        content.get("format") != FORMAT
        or not isinstance(system, str)
        or system not in configs
        or not isinstance(content.get("config"), dict)
        or not isinstance(content.get("fingerprints", {}), dict)
    ):
        raise InputError(
            f"{folder / CONFIG}: format {content.get('format')!r}, system {system!r}: not of this version, or it may be damaged"
        )
    try:
        config = merge(configs[system](), content["config"])
        config.validate()
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from None
    return system, config, content.get("fingerprints", {})


def read_sound(folder: Path, configs: Mapping[str, type[TrainConfig]]) -> tuple[str, TrainConfig]:
    """Return what `read` does but the fingerprints, where a model can be built of it.

    Raises
    ------
    InputError : see `read`, or of absurd sizes.
    """
    folder = Path(folder)
    try:
        system, config, _ = read(folder, configs)
    except (OverflowError, TypeError) as error:
        raise InputError(f"{folder / CONFIG}: holds what no run can have ({error}); it may be damaged") from None
    for name, field in type(config).__dataclass_fields__.items():
        if field.metadata.get("group", TRAINING) not in (TRAINING, SAVING) and _largest(getattr(config, name)) > LARGEST:
            raise InputError(f"{folder / CONFIG}: {name} is {getattr(config, name)}, which is absurd; it may be damaged")
    return system, config


def _largest(value: object) -> int:
    values = value if isinstance(value, tuple) else (value,)
    return max((abs(v) for v in values if isinstance(v, int)), default=0)
