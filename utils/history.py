"""The history of a run: one CSV row an epoch. What an epoch does not tell, as terms of another phase, is an empty cell."""

import csv
import os
from pathlib import Path
from typing import Any

from utils.config import InputError
from utils.files import write_text


def append(path: Path, row: dict[str, Any]) -> None:
    """Append `row` to the CSV at `path`, with columns for what is new in it, and force it to disk.

    Raises
    ------
    InputError : no space or no permission.
    """
    try:
        names = _widened(path, row)
        with open(path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([row.get(name, "") for name in names])
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def _widened(path: Path, row: dict[str, Any]) -> list[str]:
    """Return the columns of the CSV at `path`, among which are now those of `row`."""
    header, *lines = _lines(path)
    names = header.split(",") if header else []
    new = [name for name in row if name not in names]
    if new:
        rows = [",".join([*names, *new]), *(line + "," * len(new) for line in lines)]
        write_text(path, "".join(f"{line}\r\n" for line in rows))
    return names + new


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, an empty one where it has none."""
    return (path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []) or [""]


def read(path: Path) -> list[dict[str, float]]:
    """Return the rows of the history at `path` without empty cells, none where there is no file; a torn last row is left out."""
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        whole = [zip(header, row, strict=True) for row in rows if len(row) == len(header)]
        return [{name: float(value) for name, value in row if value} for row in whole]
    except (OSError, ValueError, csv.Error):
        raise InputError(f"{path}: is no history of a run; it may be damaged") from None


def truncate(path: Path, epoch: int) -> None:
    """Keep the rows of the epochs before `epoch`: what was done after the last save is done again."""
    if not path.exists():
        return
    header, *lines = _lines(path)
    rows = [(line, line.split(",")) for line in lines]
    kept = [line for line, row in rows if len(row) == header.count(",") + 1 and row[0].isdecimal() and int(row[0]) < epoch]
    write_text(path, "".join(f"{line}\r\n" for line in [header, *kept] if line))
