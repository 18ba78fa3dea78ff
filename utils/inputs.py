"""Files that a command line names, and names for what is made of them."""

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.config import InputError


def found(given: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the file `given`, or the files with one of the suffixes that lie in the folder `given` or its folders.

    Raises
    ------
    InputError : no such file or folder, none in it, or something else, as a pipe or a device, whose end may never come.
    """
    if not given.is_dir():
        if not given.exists():
            raise InputError(f"{given}: no such file or folder")
        if not given.is_file():
            raise InputError(f"{given}: is no regular file; save what it gives in one")
        return [given]
    files = sorted(p for p in given.rglob("*") if p.suffix.lower() in suffixes and p.is_file() and not p.name.startswith("."))
    if not files:
        raise InputError(f"{given}: holds no file that ends in {' '.join(suffixes)}")
    return files


def distinct(names: Iterable[str]) -> list[str]:
    """Return `names`, numbered from the second on where several are equal but for capitals; what cannot be printed becomes _."""
    taken: dict[str, str] = {}  # casefolded -> as it is
    for name in (re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "_", name) for name in names):
        numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        free = next(candidate for candidate in numbered if candidate.casefold() not in taken)
        taken[free.casefold()] = free
    return list(taken.values())


def below(path: Path, folders: Sequence[Path]) -> bool:
    """Tell whether a path lies in one of some folders."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)
