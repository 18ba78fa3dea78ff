"""What lies in a run's folder."""

import re
from pathlib import Path

from utils.config import InputError

LOCK = ".lock"  # held by the process that trains in it
CONFIG, LAST, BEST, HISTORY, METRICS = "config.json", "last.safetensors", "best.safetensors", "history.csv", "metrics.json"


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
