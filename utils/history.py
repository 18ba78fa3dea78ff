"""The history of a run: one CSV row an epoch."""

import csv
import os
from pathlib import Path
from typing import Any

from utils.config import InputError
from utils.files import write_text


def append(path: Path, row: dict[str, Any]) -> None:
    """Append `row` to the CSV at `path`, with a header where it is new, and force it to disk.

    Raises
    ------
    InputError : no space or no permission.
    """
    try:
        new = not path.exists() or not path.stat().st_size
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(row)
            writer.writerow(row.values())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def read(path: Path) -> list[dict[str, float]]:
    """Return the rows of the history at `path`, none where there is no file; a torn last row is left out."""
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        return [{name: float(value) for name, value in zip(header, row, strict=True)} for row in rows if len(row) == len(header)]
    except (OSError, ValueError, csv.Error):
        raise InputError(f"{path}: is no history of a run; it may be damaged") from None


def truncate(path: Path, epoch: int) -> None:
    """Keep the rows of the epochs before `epoch`: what was done after the last save is done again."""
    if not path.exists():
        return
    header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    rows = [(line, line.split(",")) for line in lines]
    kept = [line for line, row in rows if len(row) == header.count(",") + 1 and row[0].isdecimal() and int(row[0]) < epoch]
    write_text(path, "".join(f"{line}\r\n" for line in [header, *kept] if line))
