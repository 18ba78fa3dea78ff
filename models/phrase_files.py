"""Phrases in files: those that are read, and those that are written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import phrases
from data.performance import save_notes
from data.phrase_corpora import PhrasePiece, read
from data.phrases import BAR, Phrase, StepNotes
from data.sequences import QUARTER
from models.music_files import pace
from models.phrase import PHRASE, PhraseModel
from utils.config import InputError

RATE = 44100  # Hz, of sounds
SOUNDS = (".mid", ".wav")


@dataclass(frozen=True, eq=False)
class Line:
    """Some phrases of a line of a piece, one after another.

    Parameters
    ----------
    piece : that it is of.
    number : of the line, from 1.
    first : (N,) the steps that phrases begin at.
    x : (N, T, ...).
    """

    piece: PhrasePiece
    number: int
    first: np.ndarray
    x: Tensor

    @property
    def suffix(self) -> str:
        """Return what names it among the lines of its piece; nothing where it is the only one."""
        return f"_line{self.number}" if len(self.piece.lines) > 1 else ""


def piece_in(model: PhraseModel, path: str | Path) -> PhrasePiece:
    """Return the piece that a file holds.

    Raises
    ------
    InputError : it holds no phrase, and why; or several pieces.
    """
    found = read(path, model.representations[PHRASE]).pieces
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} pieces; give files of one")
    return found[0]


def whole_lines(model: PhraseModel, piece: PhrasePiece) -> Iterator[Line]:
    """Yield the lines of a piece in phrases that follow each other; behind the end of the last there is silence."""
    phrase: Phrase = model.representations[PHRASE]
    for number, line in enumerate(piece.lines, 1):
        filled = phrase.filled(line, -(-len(line) // phrase.span) * phrase.span)
        first = np.arange(0, len(filled), phrase.span)
        yield Line(piece, number, first, _tensor(model, [phrase.window(filled, place) for place in first]))


def every_phrase(model: PhraseModel, piece: PhrasePiece) -> Iterator[Line]:
    """Yield the lines of a piece in all phrases that begin at a bar."""
    phrase: Phrase = model.representations[PHRASE]
    for number, line in enumerate(piece.lines, 1):
        first = np.arange(0, len(line) - phrase.span + 1, BAR)
        yield Line(piece, number, first, _tensor(model, [phrase.window(line, place) for place in first]))


def phrase_at(model: PhraseModel, path: str | Path, line: int, bar: int) -> Line:
    """Return one phrase of a file.

    Raises
    ------
    InputError : see `piece_in`, or it has no such line or bar.
    """
    piece, phrase = piece_in(model, path), model.representations[PHRASE]
    if line > len(piece.lines):
        raise InputError(f"{path}: --line {line}: it has {len(piece.lines)}")
    whole, first = piece.lines[line - 1], (bar - 1) * BAR
    if first + phrase.span > len(whole):
        last = (len(whole) - phrase.span) // BAR + 1
        raise InputError(f"{path}: --bar {bar}: of line {line}, phrases begin at bars 1 to {last}")
    return Line(piece, line, np.array([first]), _tensor(model, [phrase.window(whole, first)]))


def _tensor(model: PhraseModel, windows: Sequence[np.ndarray]) -> Tensor:
    x = torch.from_numpy(np.stack(windows))
    return (x if x.is_floating_point() else x.long()).to(model.device)


# -- what is written --------------------------------------------------------------------------------------------------


def named(target: Path, *ends: str) -> list[Path]:
    """Return `target` with each of some endings."""
    return [target.with_name(f"{target.name}{end}") for end in ends]


def check_free(given: Sequence[str], files: Iterable[Path], beside: Path | None = None) -> None:
    """Check that files that are to be written replace nothing that is given to read, nor what lies beside the file `beside`.

    Raises
    ------
    InputError : they would.
    """
    read = [Path(word).resolve() for word in given]
    folder = beside and beside.resolve().parent
    for file in (file.resolve() for file in files):
        if file.exists() and (file.parent == folder or any(file == path or path in file.parents for path in read)):
            raise InputError(f"would replace {file}, which is read or lies beside what is read; give another folder with -o")


def chained(phrase: Phrase, x: Sequence[np.ndarray]) -> StepNotes:
    """Return the notes of phrases (T, ...) one after another; none lasts beyond its phrase."""
    parts = [phrase.notes(one) for one in x]
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("pitch", "velocity", "track")]
    onset, offset = (
        np.concatenate([getattr(part, name) + place * phrase.span for place, part in enumerate(parts)])
        for name in ("onset", "offset")
    )
    return StepNotes(onset, offset, *columns, parts[0].tracks)


def write_phrases(target: Path, phrase: Phrase, x: Tensor, tempo: float) -> list[str]:
    """Write phrases (N, T, ...) one after another as `target` with .mid and .wav; return their names."""
    notes = chained(phrase, x.cpu().numpy())
    files = named(target, *SOUNDS)
    phrases.write(files[0], notes, tempo)
    save_notes(files[1], phrases.to_notes(notes, tempo), len(x) * phrase.span * 60 / tempo / QUARTER, RATE)
    return [str(path) for path in files]


def tempo_of(given: float | None, piece: PhrasePiece | None, steps: int) -> float:
    """Return the tempo in quarters a minute that so many steps are written in: the given one, or the piece's own.

    Raises
    ------
    InputError : it is out of range, or they last longer than can be played.
    """
    return pace(given, piece, steps, QUARTER)
