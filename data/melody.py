"""Melodies as tokens: 0 nothing begins, 1 the note ends, from 2 on a note of each pitch begins."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.notes import Track, name_of
from data.phrases import (
    BAR,
    LONGEST,
    VELOCITY,
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
    step_scores,
)
from data.sequences import Sequence, quantised_notes

NOTE_OFF = 1
NOTES = 2  # the token of the lowest pitch
LOWEST, HIGHEST = 21, 108  # of a piano
TRACK = Track("Melody")


@dataclass(frozen=True)
class Melody(Phrase):
    """Write a melody as tokens (T,) (Roberts et al. 2018, section 4.1, as in note-seq).

    Parameters
    ----------
    steps : T.
    lowest, highest : MIDI pitches that have a token.
    programs : lowest and highest General MIDI program that is read.
    skip_polyphony : whether a track with notes that begin together is left out; else the highest of them is its melody.
    gap : bars of silence that end a line.
    """

    lowest: int = LOWEST
    highest: int = HIGHEST
    programs: tuple[int, int] = (0, 127)
    skip_polyphony: bool = False
    gap: int = 1

    @property
    def shape(self) -> tuple[int]:
        """Return (T,)."""
        return (self.steps,)

    @property
    def tokens(self) -> int:
        """Return V, the number of tokens."""
        return self.highest - self.lowest + 1 + NOTES

    @property
    def depth(self) -> int:
        """Return V."""
        return self.tokens

    @property
    def width(self) -> int:
        """Return V."""
        return self.tokens

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the pitches."""
        return tuple("{}{}".format(*name_of(pitch)) for pitch in range(self.lowest, self.highest + 1))

    def feed(self, x: Tensor) -> Tensor:
        """Return tokens (N, T) one-hot, (N, T, V)."""
        return one_hot(x, self.tokens)

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return the melodies (L,) of each track, from the bar of the first note to the one of the last, up to 100 bars each."""
        lines, reasons, whole = [], refused(sequence), []
        for notes in () if reasons else self.tracks(sequence, reasons):
            start, end = quantised_notes(notes)
            for part in at_gaps(start, end, self.gap * BAR):
                first = bar_before(start[part.start])
                begin, stop, pitch = start[part] - first, end[part] - first, notes.pitch[part]
                early = begin < LONGEST
                lines.append(self.written(begin[early], stop[early].clip(max=LONGEST), pitch[early]))
                whole.append(bar_after(stop[-1]))
        return lines, reasons + remarks(lines, self.steps, whole, "a melody")

    def tracks(self, sequence: Sequence, reasons: list[str]) -> Iterator[Sequence]:
        """Yield the notes of each track that can be a melody, one a step in order; say into `reasons` why others cannot."""
        if sequence.drum.all():
            reasons.append("only drums")
        for track in np.unique(sequence.track[~sequence.drum]):
            notes = sequence.take((sequence.track == track) & ~sequence.drum)
            said = self._refusal(notes)
            notes = notes.take((notes.pitch >= self.lowest) & (notes.pitch <= self.highest))
            start, _ = quantised_notes(notes)
            highest_first = np.lexsort((-notes.pitch, start))
            _, leading = np.unique(start[highest_first], return_index=True)
            if not said and self.skip_polyphony and len(leading) < len(notes):
                said = "polyphonic: notes begin together"
            if not said:
                yield notes.take(highest_first[leading])
            elif said not in reasons:
                reasons.append(said)

    def _refusal(self, notes: Sequence) -> str:
        """Return in words why the notes of one track are no melody, or nothing."""
        lowest, highest = self.programs
        program = notes.program[0]
        if not lowest <= program <= highest:
            return f"program {program} is not among {lowest}-{highest}"
        if not ((notes.pitch >= self.lowest) & (notes.pitch <= self.highest)).any():
            return f"no notes of a melody's pitches {self.lowest}-{self.highest}"
        return ""

    def written(self, start: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> np.ndarray:
        """Return notes (N,) of rising first steps as tokens (L,) of whole bars; a note ends where the next begins."""
        line = np.zeros(bar_after(end[-1]), np.int64)
        off = end[np.append(end[:-1] < start[1:], end[-1] < len(line))]
        line[off] = NOTE_OFF
        line[start] = pitch - self.lowest + NOTES
        return line

    def window(self, line: np.ndarray, first: int) -> np.ndarray:
        """Return the phrase (T,) from the step `first`; what ends before anything begins in it is not written."""
        return led(line[first : first + self.steps])

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the notes of tokens (T,): each lasts until the next note, note-off or the end."""
        return played(np.asarray(x), self.lowest, TRACK)

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return the notes of tokens (T,), in lanes of pitches."""
        notes = self.notes(x)
        rows = (notes.pitch - self.lowest).tolist()
        return [(*cell, 1.0) for cell in zip(rows, notes.onset.tolist(), notes.offset.tolist(), strict=True)]

    def standard(self, x: Tensor) -> Tensor:
        """Return phrases (N, T) in the tokens of melodies of a piano's pitches."""
        return torch.where(x >= NOTES, x + self.lowest - LOWEST, x)

    def filled(self, line: np.ndarray, steps: int) -> np.ndarray:
        """Return a line (L,) with silence behind it, `steps` long: its last note ends with it."""
        return silenced(super().filled(line, steps), len(line))

    def transposed(self, x: Tensor, shift: Tensor) -> Tensor:
        """Return tokens (N, T) some semitones (N,) higher; a phrase that would leave the range stays."""
        return moved(x, shift, self.tokens)

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return how right tokens (N, T) are, (N,) each.

        A share of nothing is 1 where there is nothing in the estimate, too, and else 0.

        ``event_accuracy``: of steps where a note begins or ends; ``onset_...``: of the steps at which notes begin, whatever their
        pitches; ``pitch_accuracy``: of steps at which notes begin in both; ``note_off_accuracy``: of the note-offs.
        """
        true, named = reference >= NOTES, estimate >= NOTES
        right, both = reference == estimate, true & named
        silent = ~true.any(1) & ~named.any(1)
        off, named_off = reference == NOTE_OFF, estimate == NOTE_OFF
        return {
            **step_scores(right, reference > 0, estimate > 0),
            **agreement(both.sum(1), true.sum(1), named.sum(1), "onset"),
            "pitch_accuracy": share((right & both).sum(1), both.sum(1), silent),
            "note_off_accuracy": share((right & off).sum(1), off.sum(1), ~named_off.any(1)),
        }


def led(tokens: np.ndarray) -> np.ndarray:
    """Return tokens (T, ...) without the note-offs before the first note."""
    before = np.maximum.accumulate(tokens, 0) < NOTES
    return np.where(before, 0, tokens)


def played(tokens: np.ndarray, lowest: int, track: Track, place: int = 0) -> StepNotes:
    """Return the notes of tokens (T,), on one track."""
    events = np.flatnonzero(tokens)
    ends = np.append(events[1:], len(tokens))
    begins = tokens[events] >= NOTES
    onset, offset = events[begins], ends[begins]
    pitch = tokens[onset].astype(np.int64) - NOTES + lowest
    return StepNotes(
        onset.astype(float), offset.astype(float), pitch, np.full(len(onset), VELOCITY), np.full(len(onset), place), (track,)
    )


def moved(x: Tensor, shift: Tensor, tokens: int) -> Tensor:
    """Return tokens (N, ...) with the notes of each phrase moved by `shift` (N,), where all of them stay among `tokens`."""
    shift = shift.to(x.dtype).view(len(x), *[1] * (x.dim() - 1))
    higher = torch.where(x >= NOTES, x + shift, x)
    kept = ((x < NOTES) | ((higher >= NOTES) & (higher < tokens))).flatten(1).all(1).view_as(shift)
    return torch.where(kept, higher, x)


def silenced(tokens: np.ndarray, end: int) -> np.ndarray:
    """Return a melody (T,) whose note that sounds at the step `end`, if any, ends there."""
    begun = tokens[:end][tokens[:end] > 0]
    if end < len(tokens) and len(begun) and begun[-1] >= NOTES:
        tokens[end] = NOTE_OFF
    return tokens
