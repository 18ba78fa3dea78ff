"""Pieces that music is made of: of files, or of a run's own corpus; and seeds, parts of them that it goes on from."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from data.keys import Key
from data.rolls import KEYS
from data.scores import Piece, read
from data.windows import windows
from models.score import ScoreModel
from utils.config import InputError

log = logging.getLogger(__name__)

SHOWN = 8  # names of pieces in an error


class Seed(NamedTuple):
    """What music goes on from."""

    roll: np.ndarray  # (S, 88) bool
    piece: Piece | None = None  # that it is from
    first: int = 0  # step of the piece

    @property
    def place(self) -> str:
        """Return where it is from, in words."""
        if not self.piece:
            return "after nothing"
        last = self.first + len(self.roll) - 1
        steps = f"steps {self.first}-{last}" if last > self.first else f"step {last}"
        return f"after {self.piece.name} in {self.piece.key}, {steps}"


NOTHING = Seed(np.zeros((0, KEYS), bool))


def pieces(model: ScoreModel, given: Sequence[str], split: str = "test") -> tuple[Piece, ...]:
    """Return the pieces in `given` files and folders, or of these names in the run's corpus; without any, those of a split of it.

    Raises
    ------
    InputError : there are none, or a file cannot be read.
    """
    config = model.config
    if given:
        there = {word: Path(word).exists() for word in given}
        files = {word: read(word, config.step, config.reading).pieces for word in given if there[word]}
        return tuple(piece for word in given for piece in (files[word] if there[word] else _called(model, word)))
    found = config.corpus().of(split)
    if not found:
        raise InputError(f"the corpus of this run has no {split} pieces: try --split all, or give some with -i")
    return found


def _called(model: ScoreModel, word: str) -> list[Piece]:
    """Return the pieces of the run's corpus with this name, or whose names end in it after a slash."""
    try:
        corpus = model.config.corpus()
    except InputError as error:
        raise InputError(f"{word}: no such file or folder, and the run's corpus cannot be read ({error})") from None
    found = [piece for piece in corpus if f"/{piece.name}".endswith(f"/{word}")]
    if not found:
        names = list(dict.fromkeys(piece.name for piece in corpus))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise InputError(f"{word}: no such file or folder, nor a piece of the run's corpus, as {', '.join(names[:SHOWN])}{more}")
    return found


def one_piece(model: ScoreModel, word: str) -> Piece:
    """Return the one piece that a file holds, or that has this name in the run's corpus.

    Raises
    ------
    InputError : see `pieces`, or there are several.
    """
    found = pieces(model, [word])
    if len({piece.identity for piece in found}) > 1:
        raise InputError(f"{word}: is {len(found)} pieces, of which one is needed: give one file, or the name of a piece")
    return found[0]


def in_key(found: Sequence[Piece], key: Key, relative_major: bool) -> tuple[Piece, ...]:
    """Return the pieces whose class is that of a key.

    Raises
    ------
    InputError : there are none.
    """
    label = (key.relative_major if relative_major else key).plain.label
    classes = sorted({piece.class_of(relative_major) for piece in found})
    if label not in classes:
        raise InputError(f"--only {key}: no piece is in that key; there are some in {' '.join(classes)}")
    return tuple(piece for piece in found if piece.class_of(relative_major) == label)


def draw(found: Sequence[Piece], number: int, steps: int, least: int, random: torch.Generator) -> list[Seed]:
    """Draw seeds of `steps` steps from pieces, each place of each piece as likely; a shorter piece is one as a whole.

    Parameters
    ----------
    least : steps of a seed, `steps` at most; pieces that are shorter are left out with a warning.

    Raises
    ------
    InputError : no piece is that long.
    """
    rows = windows(found, steps)
    enough = rows[:, 2] >= least
    if not enough.any():
        raise InputError(f"a seed takes {least} steps, and the longest piece has {max(map(len, found))}: give longer pieces")
    warn(f"have less than {least} steps", (found[place] for place in rows[~enough, 0]))
    rows = rows[enough]
    chosen = rows[torch.randint(len(rows), (number,), generator=random).numpy()].tolist()
    return [Seed(found[place].frames[first : first + length], found[place], first) for place, first, length in chosen]


def warn(reason: str, left_out: Iterable[Piece]) -> None:
    """Warn of pieces that are left out, if there are any."""
    names = list(dict.fromkeys(piece.name for piece in left_out))
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        log.warning("left out, as they %s: %s%s", reason, ", ".join(names[:SHOWN]), more)
