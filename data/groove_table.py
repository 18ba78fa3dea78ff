"""The table of the Groove MIDI Dataset, ``info.csv``: the official split of each file, and who plays what in it."""

import csv
from pathlib import Path
from typing import NamedTuple

from data.song_tables import NAMES
from utils.config import InputError

TABLE = "info.csv"
COLUMNS = ("midi_filename", "split")
LABELS = ("drummer", "style", "beat_type")
DEPTH = 3  # folders that a file lies below its table


class Entry(NamedTuple):
    """Hold what the table says of a file."""

    split: str | None
    labels: dict[str, str]


class GrooveTables:
    """Find what tables say of files that lie beside or below them; each table is read once."""

    def __init__(self):
        self._tables: dict[Path, dict[str, Entry]] = {}

    def entry(self, path: Path) -> Entry | None:
        """Return what a table says of a file, None where there is no table or it lacks the file.

        Raises
        ------
        InputError
            The table cannot be read.
        """
        path = path.absolute()
        for folder in path.parents[: DEPTH + 1]:
            if folder not in self._tables:
                self._tables[folder] = _read(folder / TABLE)
            if self._tables[folder]:
                return self._tables[folder].get(path.relative_to(folder).as_posix())
        return None


def _read(path: Path) -> dict[str, Entry]:
    """Return the entries of a table by the names of files; none where there is no such table, or another of its name."""
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restval="")
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                return {}
            return {row["midi_filename"]: _entry(row) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: not a readable table ({error}); take it anew from the Groove MIDI Dataset, or remove it"
        ) from None


def _entry(row: dict[str, str]) -> Entry:
    """Return what a row says. Of a style, as ``jazz/swing``, the primary one counts."""
    labels = {name: row[name].split("/")[0].strip() for name in LABELS if row.get(name)}
    return Entry(NAMES.get(row["split"].strip().lower()), labels)
