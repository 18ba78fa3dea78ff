"""What measurements of trained runs share: scripts started and timed, and tables."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.config import InputError

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


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [heads, ["---"] * len(heads), *rows])
