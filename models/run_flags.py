"""What command lines tell of runs, with the words that other programs have for it. Imports no torch."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from models.run_config import read_run
from models.run_folder import is_run
from utils.config import InputError, shown

FORM = "model"  # group of the options that decide the form of a model


def add_base(add: Callable) -> None:
    """Add the flags of what a run stands on, by `add`, which takes what `argparse` takes."""
    now = "of a run that stands on a frozen model, where that is now (default: where it was)"
    add("--base", "--vae_checkpoint_file", type=Path, metavar="RUN", help=now)
    add("--base_preset", "--vae_config", default="", metavar="PRESET", help="what that is, where it is a checkpoint")


def is_of(run: Path | None, preset: str, flag: str) -> bool:
    """Tell whether a run is of a preset of its system, which tells nothing new; False where there is no such, or no run.

    Training may differ, but not what the preset, which is given by a flag, says of the form of the model.

    Raises
    ------
    InputError : the form differs, or the run is damaged.
    """
    if not run or not preset or not is_run(run):
        return False
    config = read_run(run)[1]
    wanted = config.PRESETS.get(preset, {})
    named = [field.name for field in fields(config) if field.metadata.get("group") == FORM and field.name in wanted]
    for name in named:
        own = getattr(config, name)
        if own != wanted[name]:
            raise InputError(f"{flag} {preset}: has --{name} {shown(wanted[name])}, and {run} has {shown(own)}; leave it out")
    return bool(named)
