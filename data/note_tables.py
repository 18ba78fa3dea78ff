"""The tables that come with corpora of single notes: notes.csv, TinySOL's and OrchideaSOL's metadata, NSynth's examples.json.

Each reader yields the path of every note with fields of text (instrument, note or midi, dynamics, ...), as `data.filenames` does.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from data.filenames import SOL_INSTRUMENTS
from utils.config import InputError

Rows = Iterator[tuple[Path, dict[str, str]]]

NSYNTH_DYNAMICS = {25: "pp", 50: "p", 75: "mf", 100: "f", 127: "ff"}  # by velocity


def by_table(root: Path) -> list[tuple[Path, dict[str, str]]] | None:
    """Read the table in `root`; None where there is none.

    Raises
    ------
    InputError
        If the table is damaged, lacks a column, lists a file twice, or lists files that are missing.
    """
    for name, read in TABLES.items():
        for table in sorted(root.glob(name)):
            if not table.is_file():
                raise InputError(f"{table}: is no file, but should be a table of notes: rename it or mend it")
            return _checked(list(read(table)), table)
    return None


def _checked(rows: list[tuple[Path, dict[str, str]]], table: Path) -> list[tuple[Path, dict[str, str]]]:
    counts = Counter(path for path, _ in rows)
    missing = [path for path in counts if not path.is_file()]
    if missing:
        raise InputError(f"{table}: {len(missing)} of its files are missing, first {missing[0]}: add them or take them out")
    twice = [path for path, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{table}: lists {twice[0]} more than once: keep one line a file")
    return rows


def _lines(path: Path, *needed: str) -> list[dict[str, str]]:
    """Read a text table separated by commas, semicolons or tabs; column names become lower case.

    `needed` are columns, or alternatives joined by ``|``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        columns, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table with a header ({error}): save it as CSV in UTF-8") from None
    columns = [column.strip().lower() for column in columns]
    lacking = [names for names in needed if not set(names.split("|")) & set(columns)]
    if lacking:
        raise InputError(f"{path}: has no column {lacking[0].replace('|', ' or ')}, but {', '.join(columns)[:200]}")
    return [dict(zip(columns, line, strict=False)) for line in lines if line]


def _notes_csv(path: Path) -> Rows:
    for line in _lines(path, "file", "instrument", "pitch|note|midi"):
        yield path.parent / line.pop("file", "").strip(), line


def _sol(path: Path) -> Rows:
    """Read the metadata of TinySOL or OrchideaSOL, whose paths start beside the table or in a folder beside it."""
    lines = _lines(path, "path", "instrument (abbr.)|instrument (in full)", "pitch")
    folders = [path.parent, *sorted(folder for folder in path.parent.iterdir() if folder.is_dir())]
    folder = next((folder for folder in folders if lines and (folder / lines[0].get("path", "")).is_file()), path.parent)
    columns = {"note": "pitch", "dynamics": "dynamics", "family": "family", "technique": "technique (in full)"}
    for line in lines:
        fields = {label: line.get(column, "") for label, column in columns.items()}
        full = line.get("instrument (in full)", "")
        fields["instrument"] = SOL_INSTRUMENTS.get(line.get("instrument (abbr.)", ""), full)
        yield folder / line.get("path", ""), fields


def _nsynth(path: Path) -> Rows:
    try:
        examples = {name: dict(example) for name, example in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not NSynth's table of examples ({str(error)[:80]}): get it anew") from None
    columns = {
        "instrument": "instrument_str",
        "family": "instrument_family_str",
        "source": "instrument_source_str",
        "midi": "pitch",
    }
    for name, example in examples.items():
        fields = {label: str(example.get(column, "")) for label, column in columns.items()}
        velocity = example.get("velocity")
        dynamics = NSYNTH_DYNAMICS.get(velocity, "") if isinstance(velocity, int) else ""
        yield path.parent / "audio" / f"{name}.wav", {**fields, "dynamics": dynamics}


TABLES: dict[str, Callable[[Path], Rows]] = {"notes.csv": _notes_csv, "*SOL_metadata.csv": _sol, "examples.json": _nsynth}
