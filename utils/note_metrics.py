"""Scores of transcribed notes against those of a reference, by mir_eval. Times are in s, pitches MIDI numbers, velocities 1-127.

Two notes match when their pitch is equal and their onsets lie within a tolerance; with offsets, also when their ends lie within a
fifth of the reference's length, at least 50 ms; with velocities, also when these differ by less than a tenth of the reference's
range once a straight line has been fitted. No note is matched twice. (Raffel et al., "mir_eval", ISMIR 2014; Bay, Ehmann and
Downie, "Evaluation of multiple-F0 estimation and tracking systems", ISMIR 2009; Hawthorne et al., "Onsets and Frames", ISMIR 2018.)
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from utils.pitch import hertz_of

ONSET_TOLERANCE = 0.05  # s
OFFSET_RATIO = 0.2  # of the reference's length
REACH = 0.25  # s within which the onsets of notes are compared to see whether they come late


class Sheet(NamedTuple):
    """N notes."""

    onset: np.ndarray  # (N,)
    offset: np.ndarray  # (N,)
    pitch: np.ndarray  # (N,)
    velocity: np.ndarray  # (N,)

    def take(self, index: np.ndarray) -> "Sheet":
        """Return the notes of an index array or mask (N,)."""
        return Sheet(*(column[index] for column in self))

    @property
    def intervals(self) -> np.ndarray:
        """Return onsets and offsets, (N, 2)."""
        return np.stack([self.onset, self.offset], -1)

    @property
    def hertz(self) -> np.ndarray:
        """Return the fundamental frequencies, (N,)."""
        return hertz_of(self.pitch)

    @property
    def dynamic(self) -> bool:
        """Tell whether velocities say anything: whether there are two of them at least."""
        return len(np.unique(self.velocity)) > 1


class Matches(NamedTuple):
    """How many notes match, of how many."""

    matched: int
    reference: int
    estimated: int

    def scores(self) -> dict[str, float]:
        """Return the counts, precision, recall and F1; 0 where there is nothing to divide by."""
        precision, recall = self.matched / max(self.estimated, 1), self.matched / max(self.reference, 1)
        f1 = 2 * self.matched / max(self.estimated + self.reference, 1)
        return self._asdict() | {"precision": precision, "recall": recall, "f1": f1}


def total(parts: Iterable[Matches | None]) -> Matches | None:
    """Return the sum of matches, leaving out what is not known; None where nothing is."""
    known = [part for part in parts if part is not None]
    return Matches(*map(sum, zip(*known, strict=True))) if known else None


def pairs(reference: Sheet, estimate: Sheet, tolerance: float, offsets: bool = False, velocities: bool = False) -> np.ndarray:
    """Return which notes match, (M, 2): places in `reference` and in `estimate`.

    Parameters
    ----------
    tolerance : s between onsets.
    offsets, velocities : whether these count.
    """
    from mir_eval import transcription, transcription_velocity

    if not len(reference.onset) or not len(estimate.onset):
        return np.zeros((0, 2), np.int64)
    options = {"onset_tolerance": tolerance, "offset_ratio": OFFSET_RATIO if offsets else None}
    first, second = (reference.intervals, reference.hertz), (estimate.intervals, estimate.hertz)
    if velocities:
        found = transcription_velocity.match_notes(*first, reference.velocity, *second, estimate.velocity, **options)
    else:
        found = transcription.match_notes(*first, *second, **options)
    return np.array(found, np.int64).reshape(-1, 2)


def matches(reference: Sheet, estimate: Sheet, tolerance: float = ONSET_TOLERANCE) -> dict[str, Matches | None]:
    """Return the matches by onset, by onset and offset, and both with velocities, these None where the reference has only one."""
    result = {}
    for velocities in (False, True):
        for offsets in (False, True):
            name = "onset" + "_offset" * offsets + "_velocity" * velocities
            if velocities and not reference.dynamic:
                result[name] = None
                continue
            found = pairs(reference, estimate, tolerance, offsets, velocities)
            result[name] = Matches(len(found), len(reference.onset), len(estimate.onset))
    return result


def onset_deviations(reference: Sheet, estimate: Sheet) -> np.ndarray:
    """Return by how much the onsets of notes that match within 250 ms come late, (M,) s."""
    first, second = pairs(reference, estimate, REACH).T
    return estimate.onset[second] - reference.onset[first]
