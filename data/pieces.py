"""What corpora of pieces share: their order, their splits, and how folders name these."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from data.song_tables import NAMES
from data.splits import ALL, SPLITS, completed
from utils.config import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Collection:
    """Hold pieces in the order of files, and of songs within one; each has an `identity` and a `split`."""

    root: Path
    pieces: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pieces)

    def of(self, split: str) -> tuple[Any, ...]:
        """Return the pieces of a split, or of ``"all"``; none where the files give splits and lack this one."""
        return tuple(piece for piece in self.pieces if split in (ALL, piece.split))

    def with_all_splits(self) -> Self:
        """Return the pieces with some in every split, as `data.splits.completed` completes what the files give.

        Raises
        ------
        InputError
            There are less than three different pieces.
        """
        given = [piece.split for piece in self.pieces]
        absent = [split for split in SPLITS if split not in given]
        if not absent:
            return self
        try:
            splits = completed([piece.identity for piece in self.pieces], given)
        except InputError as error:
            raise InputError(f"{self.root}: {error}") from None
        log.warning("%s: gives no pieces for %s; split anew, %s", self.root, " or ".join(absent), _parts(splits))
        return replace(self, pieces=tuple(replace(piece, split=split) for piece, split in zip(self.pieces, splits, strict=True)))


def _parts(splits: Sequence[str]) -> str:
    """Say how many pieces are in each split."""
    counts = Counter(splits)
    return "so that there are some: " + ", ".join(f"{counts[split]} {split}" for split in SPLITS) + "; docs/data.md says how"


def folder_split(path: Path, root: Path) -> str | None:
    """Return the split that a folder below the root is called by."""
    folders = path.relative_to(root).parts[:-1] if path != root else ()
    return next((NAMES[folder.lower()] for folder in folders if folder.lower() in NAMES), None)
