"""What measurements of trained runs share: scripts started and timed, and tables."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.config import InputError, read_json
from utils.files import write_json

MINUTES = "minutes.json"  # processor time of runs by name, beside them
ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *argv: object) -> float:
    """Run a script of the project; return the processor minutes it took.

    Raises
    ------
    InputError : it has failed.
    """
    before = os.times()
    done = subprocess.run([sys.executable, script, *map(str, argv)], cwd=ROOT, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise InputError(f"{script} {' '.join(map(str, argv))}: ended with exit code {done.returncode}")
    after = os.times()
    return (after.children_user - before.children_user + after.children_system - before.children_system) / 60


def train(runs: Iterable[tuple[str, str, str, list[str]]], folder: Path, further: Sequence[str]) -> str:
    """Train every run, of which the last two are name and flags, that is not in `folder`; return a table of processor time.

    Raises
    ------
    InputError : one has failed.
    """
    minutes = read_json(folder / MINUTES) if (folder / MINUTES).is_file() else {}
    for *_, name, flags in runs:
        if name not in minutes:
            minutes[name] = run("lt_train.py", "--savedir", folder, "--name", name, "--threads", 1, *flags, *further)
            write_json(folder / MINUTES, minutes)
    return table(["run", "processor, min"], [[name, f"{m:.1f}"] for name, m in minutes.items()])


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [heads, ["---"] * len(heads), *rows])
