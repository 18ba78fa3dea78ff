"""Phrases: windows of some bars of 4/4, a sixteenth a step, as models read and write them."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.notes import Notes, Track
from data.representations import Representation
from data.sequences import QUARTER, TEMPO, Sequence
from utils.config import InputError
from utils.files import atomic
from utils.paths import make_folder

BAR = 4 * QUARTER  # steps
ONLY_FIRST = "only the first"
LONGEST = 100 * BAR  # steps that are read of one line
VELOCITY = 80  # of notes whose velocity nothing tells
TEMPOS = (4.0, 1000.0)  # quarters a minute that a MIDI file can say and a player follows
TICKS = 480  # of a quarter, in written files

Cell = tuple[int, float, float, float]


class StepNotes(NamedTuple):
    """Hold N notes with times in steps; a track is a place in `tracks`."""

    onset: np.ndarray  # (N,) float64
    offset: np.ndarray  # (N,) float64
    pitch: np.ndarray  # (N,)
    velocity: np.ndarray  # (N,)
    track: np.ndarray  # (N,)
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Phrase(Representation):
    """Write some bars of music as `steps` tokens or frames (T, ...), each a sixteenth long where a kind does not say otherwise.

    Parameters
    ----------
    steps : T.
    """

    steps: int

    @property
    def span(self) -> int:
        """Return how long a phrase lasts, in sixteenths."""
        return self.steps

    @property
    def frame_rate(self) -> float:
        """Return the phrases a second, one after another, at 120 quarters a minute."""
        return QUARTER * TEMPO / 60 / self.span

    @property
    def depth(self) -> int:
        """Return the columns of `inputs`."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """Return the columns of `feed`."""
        raise NotImplementedError

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the lanes of a drawing, from the lowest."""
        raise NotImplementedError

    def inputs(self, x: Tensor) -> Tensor:
        """Return what an encoder reads of phrases (N, T, ...), (N, T, depth) float32."""
        return self.feed(x)

    def feed(self, x: Tensor) -> Tensor:
        """Return what a decoder is told of the steps before, of phrases (N, T, ...), (N, T, width) float32."""
        raise NotImplementedError

    def of_kit(self, kit: str) -> "Phrase":
        """Return how files of a drum kit are read: so where any kit may be, else as it is."""
        return self

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return the lines (L, ...) of whole bars that a stretch of music holds, and in words why some of it gives no phrase."""
        raise NotImplementedError

    def of_line(self, line: np.ndarray) -> StepNotes:
        """Return what is heard of a line (L, ...); times are in sixteenths."""
        return self.notes(line)

    def parts(self, line: np.ndarray) -> list[np.ndarray]:
        """Return the parts of a line (L, ...) of which every phrase that begins at a bar can be written: where long enough, all."""
        return [line] if len(line) >= self.span else []

    def window(self, line: np.ndarray, first: int) -> np.ndarray:
        """Return the phrase (T, ...) of a line (L, ...), a row a sixteenth, that starts at the sixteenth `first`."""
        return line[first : first + self.span]

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return what is heard of a phrase (T, ...)."""
        raise NotImplementedError

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return what sounds in a phrase (T, ...): its place in `rows`, first step, the one after the last, strength 0-1."""
        raise NotImplementedError

    def standard(self, x: Tensor) -> Tensor:
        """Return phrases (N, T, ...) in tokens that do not depend on options: those of melodies of a piano's pitches."""
        return x

    def filled(self, line: np.ndarray, steps: int) -> np.ndarray:
        """Return a line (L, ...) with silence behind it, `steps` long."""
        return np.concatenate([line, np.zeros((steps - len(line), *line.shape[1:]), line.dtype)])

    def transposed(self, x: Tensor, shift: Tensor) -> Tensor:
        """Return phrases (N, T, ...) some semitones (N,) higher; drums stay, and so does a phrase that would leave the range."""
        return x


def refused(sequence: Sequence) -> list[str]:
    """Return in words why nothing can be read of a whole stretch; nothing where it can."""
    if not len(sequence):
        return ["no notes"]
    if sequence.bar != BAR:
        return [f"bars of {sequence.bar / QUARTER:g} quarters: only 4/4 is read"]
    return []


def remarks(lines: list[np.ndarray], steps: int, whole: list[int], what: str) -> list[str]:
    """Return in words which lines are too short for a phrase of `steps`, and which were longer, `whole` steps, than is read."""
    short = max((len(line) for line in lines if len(line) < steps), default=0)
    said = [f"{what} of {bars(short)} is shorter than a phrase of {bars(steps)}"] if short else []
    if max(whole, default=0) > LONGEST:
        said.append(f"{what} is {bars(max(whole))} long: {ONLY_FIRST} {bars(LONGEST)} are read")
    return said


def bars(steps: int) -> str:
    """Return a length in words: "1 bar", "2.5 bars"."""
    return f"{steps / BAR:g} bar{'' if steps == BAR else 's'}"


def bar_before(step: int) -> int:
    """Return the first step of the bar that `step` is in."""
    return int(step) // BAR * BAR


def bar_after(step: int) -> int:
    """Return the first step of the first bar from `step` on."""
    return -(-int(step) // BAR) * BAR


def at_gaps(start: np.ndarray, end: np.ndarray, gap: int) -> list[slice]:
    """Return which of N > 0 notes, in order of `start` (N,), follow each other with less than `gap` steps of silence."""
    breaks = np.flatnonzero(start[1:] - end[:-1] >= gap) + 1
    return [slice(i, j) for i, j in zip([0, *breaks], [*breaks, len(start)], strict=True)]


def one_hot(x: Tensor, number: int) -> Tensor:
    """Return tokens (...) of so many as (..., number) float32, all 0 but for a 1 at the token."""
    return torch.zeros(*x.shape, number, device=x.device).scatter_(-1, x.long()[..., None], 1.0)


def share(part: Tensor, whole: Tensor, empty: Tensor) -> Tensor:
    """Return part / whole (N,) as doubles; where the whole is 0, 1 where `empty` (N,) and else 0."""
    return torch.where(whole > 0, part.double() / whole.clamp_min(1), empty.double())


def agreement(right: Tensor, true: Tensor, named: Tensor, name: str) -> dict[str, Tensor]:
    """Return precision, recall and F of counts (N,); each is 1 where nothing is true or named, and 0 where only one of both is."""
    empty = (true == 0) & (named == 0)
    return {
        f"{name}_precision": share(right, named, empty),
        f"{name}_recall": share(right, true, empty),
        f"{name}_f1": share(2 * right, true + named, empty),
    }


def step_scores(right: Tensor, true: Tensor, named: Tensor) -> dict[str, Tensor]:
    """Return the share of right steps (N, T), whether all are, and the share of right ones among those where something begins.

    Parameters
    ----------
    right : (N, T) which steps are right.
    true, named : (N, T) where something begins in the reference and the estimate.
    """
    return {
        "accuracy": right.double().mean(1),
        "exact": right.all(1).double(),
        "event_accuracy": share((right & true).sum(1), true.sum(1), ~named.any(1)),
    }


def to_notes(notes: StepNotes, tempo: float = TEMPO) -> Notes:
    """Return the notes in seconds, at `tempo` quarters a minute."""
    _check(tempo)
    step = 60 / tempo / QUARTER  # s
    return Notes(notes.onset * step, notes.offset * step, notes.pitch, notes.velocity, notes.track, notes.tracks)


def write(path: str | Path, notes: StepNotes, tempo: float = TEMPO) -> None:
    """Write a MIDI file of 4/4 and of `tempo` quarters a minute, atomically.

    Raises
    ------
    InputError
        The file cannot be written, or the tempo is not one.
    """
    from symusic.core import NoteTickList, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

    _check(tempo)
    path = Path(path)
    score = ScoreTick(TICKS)
    score.tempos.append(TempoTick(0, tempo))
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    start = np.rint(notes.onset * (TICKS // QUARTER)).astype(np.int32)
    length = np.maximum(np.rint(notes.offset * (TICKS // QUARTER)).astype(np.int32) - start, 1)
    pitch, velocity = notes.pitch.astype(np.int8), notes.velocity.astype(np.int8)
    for place, (name, program, drum) in enumerate(notes.tracks):
        own = notes.track == place
        track = TrackTick(name, program, drum)
        track.notes = NoteTickList.from_numpy(start[own], length[own], pitch[own], velocity[own])
        score.tracks.append(track)
    make_folder(path.parent)
    with atomic(path) as aside:
        aside.write_bytes(score.dumps_midi())


def _check(tempo: float) -> None:
    if not TEMPOS[0] <= tempo <= TEMPOS[1]:
        raise InputError(f"a tempo of {tempo:g} quarters a minute: it must lie within {TEMPOS[0]:g}-{TEMPOS[1]:g}")
