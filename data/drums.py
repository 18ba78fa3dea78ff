"""Drums as hits of nine classes: one of 512 tokens a step, or a column each."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data.notes import Track
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
    step_scores,
)
from data.sequences import Sequence, quantised
from utils.config import InputError

DRUMS = ("kick", "snare", "closed_hat", "open_hat", "low_tom", "mid_tom", "high_tom", "crash", "ride")
TOKENS = 2 ** len(DRUMS)
EVEN = 0.5  # above which there is a hit
FIRST, LAST = 27, 87  # pitches of General MIDI's drums
EDGES = {42: (22,), 46: (26,)}  # of the hats, which electronic kits send below those
TRACK = Track("Drums", 0, True)

# Pitches of each class; the first is the one that is written.
MAPS = {
    "roland": (  # TD-11, which the Groove MIDI Dataset was played on (Gillick et al. 2019)
        (36,),
        (38, 40, 37),
        (42, 22, 44),
        (46, 26),
        (43, 58),
        (47, 45),
        (50, 48),
        (49, 52, 55, 57),
        (51, 53, 59),
    ),
    "gm": (  # General MIDI
        (36, 35),
        (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),
        (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),
        (46, 67, 72, 74, 79, 81, 26),
        (45, 29, 41, 43, 61, 64, 84),
        (48, 47, 60, 63, 77, 86, 87),
        (50, 30, 62, 76, 83),
        (49, 52, 55, 57, 58),
        (51, 53, 59, 82),
    ),
}


AUTO, ANY = "auto", "gm"  # which map is used where files do not tell


@dataclass(frozen=True)
class Kit(Phrase):
    """Write the hits of a drum kit, one step long each.

    Parameters
    ----------
    steps : T.
    kit : the map by which files are read; "auto" leaves it to the reader of a corpus, see `of_kit`.
    written : the map by which they are written.
    """

    kit: str = "gm"
    written: str = "gm"

    def __post_init__(self):
        check_maps(self.kit, self.written)

    def of_kit(self, kit: str) -> "Kit":
        """Return how files of a drum kit are read: so where any kit may be, else as it is."""
        return replace(self, kit=kit) if self.kit == AUTO else self

    @property
    def pitches(self) -> tuple[tuple[int, ...], ...]:
        """Return the pitches that each column is read from, for D columns."""
        return MAPS[ANY if self.kit == AUTO else self.kit]

    @property
    def source(self) -> str:
        """Return in words where those pitches are from."""
        return f"the {self.kit} map"

    @property
    def outputs(self) -> np.ndarray:
        """Return the pitch that each column is written as, (D,)."""
        return np.array([pitches[0] for pitches in MAPS[self.written]])

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return DRUMS

    def thinned(self, x: Tensor, share: Tensor) -> Tensor:
        """Return phrases (N, T, ...) without some hits: a `share` (N,) of those of each phrase, by torch's random numbers."""
        raise NotImplementedError

    def hits(self, sequence: Sequence) -> tuple[Sequence, np.ndarray, list[str]]:
        """Return the notes that are hits of a column, those columns (N,), and in words why others are not."""
        reasons = refused(sequence)
        columns = np.full(128, -1)
        for column, pitches in enumerate(self.pitches):
            columns[list(pitches)] = column
        drums = sequence.take(sequence.drum & (not reasons))
        known = columns[drums.pitch] >= 0
        if not reasons and not len(drums):
            reasons.append("no drums on channel 10")
        if not known.all():
            unknown = ", ".join(map(str, np.unique(drums.pitch[~known])))
            reasons.append(f"no drum of {self.source} has pitch {unknown}" + ("" if known.any() else "; nothing else is played"))
        drums = drums.take(known)
        return drums, columns[drums.pitch], reasons

    def grids(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return the hits (L, D), as truth, of stretches without a bar of silence, up to 100 bars each, and reasons."""
        hits, columns, reasons = self.hits(sequence)
        if not len(hits):
            return [], reasons
        step = quantised(hits.onset)
        grid = np.zeros((bar_after(step.max() + 1), len(self.pitches)), bool)
        grid[step, columns] = True
        struck = np.flatnonzero(grid.any(1))
        spans = [(bar_before(struck[part][0]), bar_after(struck[part][-1] + 1)) for part in at_gaps(struck, struck + 1, BAR)]
        found = [grid[first:last][:LONGEST] for first, last in spans]
        return found, reasons + remarks(found, self.steps, [last - first for first, last in spans], "a line of drums")

    def struck(self, grid: np.ndarray) -> StepNotes:
        """Return the notes of hits (T, D)."""
        step, column = np.nonzero(grid)
        onset = step.astype(float)
        return StepNotes(
            onset, onset + 1, self.outputs[column], np.full(len(step), VELOCITY), np.zeros(len(step), np.int64), (TRACK,)
        )

    def hit_scores(self, true: Tensor, named: Tensor) -> dict[str, Tensor]:
        """Return how right hits (N, T, D) are, (N,) each.

        Each is 1 where there is nothing in both, and 0 where there is in one only.
        """
        both = true & named
        return agreement(both.sum((1, 2)), true.sum((1, 2)), named.sum((1, 2)), "hit")


@dataclass(frozen=True)
class Drums(Kit):
    """Write drums as tokens (T,): the sum of 2^i over the drums i that are hit (Roberts et al. 2018, section 4.1)."""

    @property
    def shape(self) -> tuple[int]:
        """Return (T,)."""
        return (self.steps,)

    @property
    def depth(self) -> int:
        """Return 10: a column for each drum, and one for none."""
        return len(DRUMS) + 1

    @property
    def width(self) -> int:
        """Return 512."""
        return TOKENS

    def inputs(self, x: Tensor) -> Tensor:
        """Return which drums tokens (N, T) name, and whether none, (N, T, 10)."""
        return flagged(unpacked(x).float())

    def thinned(self, x: Tensor, share: Tensor) -> Tensor:
        """Return tokens (N, T) without a share (N,) of the hits."""
        kept = torch.rand(*x.shape, len(DRUMS), device=x.device) >= share[:, None, None]
        return ((unpacked(x) & kept) << torch.arange(len(DRUMS), device=x.device)).sum(-1)

    def feed(self, x: Tensor) -> Tensor:
        """Return tokens (N, T) one-hot, (N, T, 512)."""
        return one_hot(x, TOKENS)

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return lines of tokens (L,) of all drums together."""
        grids, reasons = self.grids(sequence)
        return [packed(grid) for grid in grids], reasons

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the hits of tokens (T,)."""
        return self.struck(unpacked(torch.as_tensor(x)).numpy())

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return the hits of tokens (T,), in lanes of drums."""
        return hit_cells(unpacked(torch.as_tensor(x)).numpy())

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return how right tokens (N, T) are, (N,) each; ``event_accuracy`` is of the steps with hits."""
        scores = step_scores(reference == estimate, reference > 0, estimate > 0)
        return scores | self.hit_scores(unpacked(reference), unpacked(estimate))


@dataclass(frozen=True)
class Hits(Kit):
    """Write drums as hits (T, D) of 0 and 1.

    Parameters
    ----------
    steps, kit, written : as of `Kit`.
    full : whether each pitch from 27 to 87 has a column, D = 61, and the maps are not used; else D = 9. Of pitches below, the
        edges of the hats, 22 and 26, are read as their bows, 42 and 46.
    """

    full: bool = False

    @property
    def pitches(self) -> tuple[tuple[int, ...], ...]:
        """Return the pitches that each column is read from."""
        every = tuple((pitch, *EDGES.get(pitch, ())) for pitch in range(FIRST, LAST + 1))
        return every if self.full else super().pitches

    @property
    def source(self) -> str:
        """Return in words where those pitches are from."""
        return f"the columns {FIRST}-{LAST}" if self.full else super().source

    @property
    def outputs(self) -> np.ndarray:
        """Return the pitch that each column is written as, (D,)."""
        return np.arange(FIRST, LAST + 1) if self.full else super().outputs

    @property
    def shape(self) -> tuple[int, int]:
        """Return (T, D)."""
        return (self.steps, len(self.pitches))

    @property
    def depth(self) -> int:
        """Return D + 1."""
        return len(self.pitches) + 1

    @property
    def width(self) -> int:
        """Return D."""
        return len(self.pitches)

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the drums, or their pitches."""
        return tuple(str(pitch) for pitch in range(FIRST, LAST + 1)) if self.full else DRUMS

    def inputs(self, x: Tensor) -> Tensor:
        """Return hits (N, T, D) and whether a step has none, (N, T, D + 1)."""
        return flagged(x.float())

    def thinned(self, x: Tensor, share: Tensor) -> Tensor:
        """Return hits (N, T, D) without a share (N,) of them."""
        return x * (torch.rand(x.shape, device=x.device) >= share[:, None, None])

    def feed(self, x: Tensor) -> Tensor:
        """Return hits (N, T, D) as they are."""
        return x.float()

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return lines of hits (L, D), float32, of all drums together."""
        grids, reasons = self.grids(sequence)
        return [grid.astype(np.float32) for grid in grids], reasons

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the notes of hits (T, D)."""
        return self.struck(np.asarray(x) > EVEN)

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return hits (T, D), in lanes of drums."""
        return hit_cells(np.asarray(x) > EVEN)

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return how right hits (N, T, D) are, (N,) each; a step is right where all its columns are."""
        true, named = reference > EVEN, estimate > EVEN
        return step_scores((true == named).all(2), true.any(2), named.any(2)) | self.hit_scores(true, named)


def check_maps(kit: str, written: str) -> None:
    """Raise an InputError where there is no drum map to read by, or to write by."""
    for name in (written, *([] if kit == AUTO else [kit])):
        if name not in MAPS:
            raise InputError(f"{name!r} is no drum map: take one of {', '.join(MAPS)}")


def packed(grid: np.ndarray) -> np.ndarray:
    """Return the tokens (L,) of hits (L, 9)."""
    return grid.astype(np.int64) @ (1 << np.arange(len(DRUMS)))


def unpacked(tokens: Tensor) -> Tensor:
    """Return the hits (..., 9), as truth, of tokens (...)."""
    return (tokens.long()[..., None] >> torch.arange(len(DRUMS), device=tokens.device)) % 2 == 1


def flagged(hits: Tensor) -> Tensor:
    """Return hits (..., D) with a last column that is 1 where there are none, (..., D + 1)."""
    return torch.cat([hits, (hits.amax(-1, keepdim=True) <= EVEN).to(hits.dtype)], -1)


def hit_cells(grid: np.ndarray) -> list[Cell]:
    """Return hits (T, D) as cells one step long."""
    return [(column, float(step), step + 1.0, 1.0) for step, column in np.argwhere(grid).tolist()]
