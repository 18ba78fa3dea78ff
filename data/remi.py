"""Music of many voices as tokens of notes, REMI, which the package miditok writes: beside tokens of a grid, another way."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.notes import Track, name_of
from data.phrases import (
    BAR,
    LONGEST,
    Cell,
    Phrase,
    StepNotes,
    agreement,
    at_gaps,
    bar_after,
    bar_before,
    one_hot,
    refused,
    remarks,
    share,
)
from data.remi_tokens import HIGHEST, LOWEST, PITCH, encoded, heard, vocabulary
from data.sequences import Sequence, quantised_notes

TRACK = Track("Piano")


@dataclass(frozen=True)
class Remi(Phrase):
    """Write notes as tokens (T,); PAD follows what is shorter, and is read as such.

    Parameters
    ----------
    steps : T, tokens; `tokens` for each bar.
    tokens : of a bar, on average. Phrases that take more are left out.
    programs : lowest and highest General MIDI program that is read, of all tracks together but drums.
    """

    tokens: int = 64
    programs: tuple[int, int] = (0, 127)

    def __post_init__(self):
        vocabulary()

    @property
    def span(self) -> int:
        """Return how long a phrase lasts, in sixteenths."""
        return self.steps // self.tokens * BAR

    @property
    def shape(self) -> tuple[int]:
        """Return (T,)."""
        return (self.steps,)

    @property
    def depth(self) -> int:
        """Return V."""
        return len(vocabulary().types)

    @property
    def width(self) -> int:
        """Return V."""
        return self.depth

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the pitches."""
        return tuple("{}{}".format(*name_of(pitch)) for pitch in range(LOWEST, HIGHEST + 1))

    def feed(self, x: Tensor) -> Tensor:
        """Return tokens (N, T) one-hot, (N, T, V)."""
        return one_hot(x, self.width)

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return the notes that begin in each step, (L, K, 3) pitch, velocity and duration, of parts without a bar of silence."""
        reasons = refused(sequence)
        lowest, highest = self.programs
        inside = (sequence.pitch >= LOWEST) & (sequence.pitch <= HIGHEST) & ~sequence.drum
        notes = sequence.take(inside & (sequence.program >= lowest) & (sequence.program <= highest))
        if reasons or not len(notes):
            return [], reasons or [f"no notes but drums of programs {lowest}-{highest} with pitches {LOWEST}-{HIGHEST}"]
        start, end = quantised_notes(notes)
        columns = np.stack([start, notes.pitch, -end, notes.velocity])[:, np.lexsort((-end, notes.pitch, start))]
        new = np.append(True, (columns[:2, 1:] != columns[:2, :-1]).any(0))  # of equal notes, the longest
        start, pitch, end, velocity = columns[:, new] * np.array([1, 1, -1, 1])[:, None]
        parts = at_gaps(start, np.maximum.accumulate(end), BAR)
        whole = [stepwise(start[part], end[part], pitch[part], velocity[part]) for part in parts]
        lines = [line[:LONGEST] for line in whole]
        crowded = np.concatenate([self.needed(line) for line in lines]) > self.steps
        reasons = [f"{crowded.sum()} of {len(crowded)} phrases take more than {self.steps} tokens"] if crowded.any() else []
        return lines, reasons + remarks(lines, self.span, [len(line) for line in whole], "music")

    def of_line(self, line: np.ndarray) -> StepNotes:
        """Return the notes of a line (L, K, 3)."""
        step, place = np.nonzero(line[..., 1])
        pitch, velocity, duration = line[step, place].astype(np.int64).T
        return _on_grid(step, pitch, velocity, duration, len(line))

    def parts(self, line: np.ndarray) -> list[np.ndarray]:
        """Return the parts of a line whose phrases, a bar apart, take no more than T tokens each."""
        bar = np.flatnonzero(self.needed(line) <= self.steps)
        runs = at_gaps(bar, bar, 2) if len(bar) else []
        return [line[bar[run][0] * BAR : bar[run][-1] * BAR + self.span] for run in runs]

    def needed(self, line: np.ndarray) -> np.ndarray:
        """Return how many tokens each of the W phrases of a line (L, K, 3), a bar apart, takes, (W,)."""
        if len(line) < self.span:
            return np.zeros(0, np.int64)
        notes = (line[..., 1] > 0).sum(1)
        own = (3 * notes + (notes > 0)).reshape(-1, BAR).sum(1)  # tokens of a bar, but its own
        windows = np.lib.stride_tricks.sliding_window_view(own, self.span // BAR)
        begun = ((windows > 0) * np.arange(1, windows.shape[1] + 1)).max(1)  # up to the last that has notes
        return windows.sum(1) + begun

    def window(self, line: np.ndarray, first: int) -> np.ndarray:
        """Return the phrase (T,) from the step `first`; notes end with it, and those that began before are not written."""
        start, end, pitch, velocity, *_ = self.of_line(line[first : first + self.span])
        ids = encoded(start, end - start, pitch, velocity)
        return np.pad(np.array(ids, np.int64), (0, self.steps - len(ids)))

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the notes of tokens (T,), up to the end of the phrase."""
        found = heard(torch.as_tensor(x)[None])
        inside = found.onset < self.span
        return _on_grid(*(column[inside].numpy() for column in found[1:5]), self.span)

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return the notes of tokens (T,), in lanes of pitches, as strong as they are loud."""
        notes = self.notes(x)
        columns = (notes.pitch - LOWEST, notes.onset, notes.offset, notes.velocity / 127)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def transposed(self, x: Tensor, shift: Tensor) -> Tensor:
        """Return tokens (N, T) some semitones (N,) higher; a phrase that would leave the range stays."""
        types = vocabulary().types.to(x.device)
        pitched = types[x] == PITCH
        higher = torch.where(pitched, x + shift.to(x)[:, None], x)
        kept = ~pitched | (types[higher.clamp(0, len(types) - 1)] == PITCH)
        return torch.where(kept.all(1, keepdim=True), higher, x)

    def grid(self, x: Tensor) -> Tensor:
        """Return which pitches begin in which sixteenths of tokens (N, T), (N, span, 88) bool."""
        found, grid = heard(x), torch.zeros(len(x), self.span, HIGHEST - LOWEST + 1, dtype=torch.bool, device=x.device)
        inside = found.onset < self.span
        grid[found.phrase[inside], found.onset[inside], found.pitch[inside] - LOWEST] = True
        return grid

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return how right tokens (N, T) are, (N,) each; a share of nothing is 1 where there is nothing in the estimate, too.

        ``accuracy``: of tokens where one of both is not PAD; ``onset_...``: of the sixteenths at which notes begin; ``note_...``:
        of the pitches that begin there.
        """
        right, told = reference == estimate, (reference > 0) | (estimate > 0)
        scores = {"accuracy": share((right & told).sum(1), told.sum(1), ~told.any(1)), "exact": right.all(1).double()}
        true, named = self.grid(reference), self.grid(estimate)
        for name, one, other in (("onset", true.any(2, True), named.any(2, True)), ("note", true, named)):
            scores |= agreement((one & other).sum((1, 2)), one.sum((1, 2)), other.sum((1, 2)), name)
        return scores


def stepwise(start: np.ndarray, end: np.ndarray, pitch: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Return the notes (M,), in order of their first steps, that begin in each step from a bar line on, (L, K, 3) int16."""
    first = bar_before(start[0])
    rank = np.arange(len(start)) - np.searchsorted(start, start)  # among those of its step
    line = np.zeros((bar_after(end.max()) - first, rank.max() + 1, 3), np.int16)
    line[start - first, rank] = np.stack([pitch, velocity, np.minimum(end - start, LONGEST)], 1)
    return line


def _on_grid(start: np.ndarray, pitch: np.ndarray, velocity: np.ndarray, length: np.ndarray, end: int) -> StepNotes:
    onset, offset = start.astype(float), np.minimum(start + length, end).astype(float)
    return StepNotes(onset, offset, pitch, velocity, np.zeros(len(start), np.int64), (TRACK,))
