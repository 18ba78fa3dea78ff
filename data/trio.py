"""Trios: a melody, a bass and drums that play together, a token of each a step."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
import torch
from torch import Tensor

from data.drums import AUTO, DRUMS, Drums, check_maps
from data.melody import Melody, led, moved, played, silenced
from data.notes import Track
from data.phrases import BAR, Cell, Phrase, StepNotes, at_gaps, bar_after, refused, remarks
from data.sequences import Sequence, quantised_notes

PARTS = ("melody", "bass", "drums")
PROGRAMS = {"melody": (0, 31), "bass": (32, 39)}  # General MIDI
TRACKS = (Track("Melody"), Track("Bass", 33), Track("Drums", 0, True))
COMBINATIONS = 64  # of a melody, a bass and drums that are read of one stretch
BASS = 0.5  # strength of the bass in drawings

Part = tuple[np.ndarray, np.ndarray]  # tokens (L,), and in which steps it plays (L,)


@dataclass(frozen=True)
class Trio(Phrase):
    """Write a trio as tokens (T, 3) of a melody, a bass and drums (Roberts et al. 2018, section 4.1).

    Parameters
    ----------
    steps : T.
    widened : bars before and after its notes in which a part counts as playing.
    kit, written : the drum maps by which files are read and written.
    """

    widened: int = 2
    kit: str = "gm"
    written: str = "gm"

    def __post_init__(self):
        check_maps(self.kit, self.written)

    def of_kit(self, kit: str) -> "Trio":
        """Return how files of a drum kit are read: so where any kit may be, else as it is."""
        return replace(self, kit=kit) if self.kit == AUTO else self

    @property
    def _pitched(self) -> Melody:
        return Melody(self.steps)

    @property
    def _drums(self) -> Drums:
        return Drums(self.steps, self.kit, self.written)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (T, 3)."""
        return (self.steps, len(PARTS))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Return the tokens of each part."""
        return (self._pitched.width, self._pitched.width, self._drums.width)

    @property
    def depth(self) -> int:
        """Return 692."""
        return sum(self.widths)

    @property
    def width(self) -> int:
        """Return 692."""
        return sum(self.widths)

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the drums, then of the pitches."""
        return self._drums.rows + self._pitched.rows

    def feed(self, x: Tensor) -> Tensor:
        """Return the tokens (N, T, 3) one-hot, one part beside the other, (N, T, 692)."""
        melody, bass, drums = x.unbind(-1)
        return torch.cat([self._pitched.feed(melody), self._pitched.feed(bass), self._drums.feed(drums)], -1)

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return lines (L, 3) for each melody, bass and drums of a stretch, wherever all three play."""
        reasons = refused(sequence)
        if reasons:
            return [], reasons
        parts = self._parts(sequence, reasons)
        combined = [line for chosen in islice(product(*parts), COMBINATIONS) for line in together(chosen)]
        if math.prod(map(len, parts)) > COMBINATIONS:
            reasons.append(f"more than {COMBINATIONS} ways to combine a melody, a bass and drums: others are not read")
        if all(parts) and not combined:
            reasons.append("melody, bass and drums never play in the same bar")
        return combined, reasons + remarks(combined, self.steps, [], "a trio")

    def _parts(self, sequence: Sequence, reasons: list[str]) -> list[list[Part]]:
        """Return what can be the melody, the bass and the drums; say into `reasons` where there is nothing."""
        length = bar_after(quantised_notes(sequence)[1].max())
        parts = {name: list(islice(self._pitched_tracks(sequence, name, length), COMBINATIONS)) for name in PROGRAMS}
        span = f"with pitches {self._pitched.lowest}-{self._pitched.highest}"
        reasons += ["no {} of programs {}-{} {}".format(name, *PROGRAMS[name], span) for name, found in parts.items() if not found]
        hits, columns, unread = self._drums.hits(sequence)
        reasons += unread
        return [*parts.values(), list(islice(self._drum_tracks(hits, columns, length), COMBINATIONS))]

    def _pitched_tracks(self, sequence: Sequence, name: str, length: int) -> Iterator[Part]:
        """Yield each track that can be the part of a name."""
        for notes in Melody(self.steps, programs=PROGRAMS[name]).tracks(sequence, []):
            start, end = quantised_notes(notes)
            tokens = self._pitched.written(start, end, notes.pitch)
            yield np.pad(tokens, (0, length - len(tokens))), covered(start, end, length, self.widened * BAR)

    def _drum_tracks(self, hits: Sequence, columns: np.ndarray, length: int) -> Iterator[Part]:
        """Yield each track of hits, whose drums are `columns` (N,)."""
        step, _ = quantised_notes(hits)
        for track in np.unique(hits.track):
            own = hits.track == track
            tokens = np.zeros(length, np.int64)
            np.bitwise_or.at(tokens, step[own], 1 << columns[own])
            yield tokens, covered(step[own], step[own] + 1, length, self.widened * BAR)

    def window(self, line: np.ndarray, first: int) -> np.ndarray:
        """Return the phrase (T, 3) from the step `first`; what ends before anything begins in it is not written."""
        cut = line[first : first + self.steps]
        return np.concatenate([led(cut[:, :2]), cut[:, 2:]], 1)

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the notes of tokens (T, 3), a track for each part."""
        x = np.asarray(x)
        lowest = self._pitched.lowest
        parts = (played(x[:, 0], lowest, TRACKS[0]), played(x[:, 1], lowest, TRACKS[1]), self._drums.notes(x[:, 2]))
        places = np.repeat(np.arange(len(parts)), [len(part.onset) for part in parts])
        return StepNotes(*(np.concatenate(columns) for columns in list(zip(*parts, strict=True))[:4]), places, TRACKS)

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return the notes of tokens (T, 3), in lanes of drums below lanes of pitches; the bass is half as strong."""
        x = np.asarray(x)
        bass, melody = self._pitched.cells(x[:, 1]), self._pitched.cells(x[:, 0])
        pitched = [(cell, BASS) for cell in bass] + [(cell, 1.0) for cell in melody]
        above = [(row + len(DRUMS), start, end, strength) for (row, start, end, _), strength in pitched]
        return self._drums.cells(x[:, 2]) + above

    def filled(self, line: np.ndarray, steps: int) -> np.ndarray:
        """Return a line (L, 3) with silence behind it, `steps` long: the last notes end with it."""
        longer = super().filled(line, steps)
        for part in (0, 1):
            longer[:, part] = silenced(longer[:, part].copy(), len(line))
        return longer

    def transposed(self, x: Tensor, shift: Tensor) -> Tensor:
        """Return tokens (N, T, 3) with melody and bass some semitones (N,) higher; a phrase that would leave the range stays."""
        return torch.cat([moved(x[..., :2], shift, self._pitched.tokens), x[..., 2:]], -1)

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return the share of right tokens (N, T, 3) of each part and of all, and whether all are right, (N,) each."""
        right = reference == estimate
        parts = dict(zip((f"{part}_accuracy" for part in PARTS), right.double().mean(1).T, strict=True))
        return {**parts, "accuracy": right.double().mean((1, 2)), "exact": right.all(2).all(1).double()}


def covered(start: np.ndarray, end: np.ndarray, length: int, margin: int) -> np.ndarray:
    """Return which of `length` steps are no more than `margin` steps from one of the notes (N,), (length,)."""
    change = np.zeros(length + 1, np.int64)
    np.add.at(change, np.maximum(start - margin, 0), 1)
    np.add.at(change, np.minimum(end + margin, length), -1)
    return np.cumsum(change)[:-1] > 0


def together(parts: tuple[Part, ...]) -> list[np.ndarray]:
    """Return the lines (L, 3) of the bars throughout which all parts play."""
    tokens = np.stack([tokens for tokens, _ in parts], 1)
    playing = np.all([plays for _, plays in parts], 0).reshape(-1, BAR).all(1)
    bar = np.flatnonzero(playing)
    if not len(bar):
        return []
    return [tokens[bar[part][0] * BAR : (bar[part][-1] + 1) * BAR] for part in at_gaps(bar, bar, 2)]
