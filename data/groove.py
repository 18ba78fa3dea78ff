"""Grooves: which drums are hit in each step, how loud, and how early or late."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.drums import DRUMS, EVEN, TRACK, Kit
from data.phrases import Cell, StepNotes, bar_after, remarks, step_scores
from data.sequences import Sequence, quantised_notes
from utils.config import InputError

CLOSED_HAT, OPEN_HAT = DRUMS.index("closed_hat"), DRUMS.index("open_hat")
LATEST = 0.5  # steps that a hit can be off


def _apart(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the hits, velocities and offsets (..., 9) of x (..., 27)."""
    hit, velocity, offset = x.split(len(DRUMS), -1)
    return hit, velocity, offset


def humanize(x: Tensor) -> Tensor:
    """Return grooves (N, T, 27) without velocities and offsets: what a drum machine would play."""
    hit, velocity, offset = _apart(x)
    return torch.cat([hit, torch.zeros_like(velocity), torch.zeros_like(offset)], -1)


def fixed_velocity(x: Tensor) -> Tensor:
    """Return grooves (N, T, 27) without velocities."""
    hit, velocity, offset = _apart(x)
    return torch.cat([hit, torch.zeros_like(velocity), offset], -1)


def tap(x: Tensor) -> Tensor:
    """Return grooves (N, T, 27) with the loudest hit of each step alone, as a hit of the open hat: what a finger would tap."""
    hit, velocity, _ = _apart(x)
    loudest = (velocity + 2 * (hit > EVEN)).argmax(-1, keepdim=True)  # (N, T, 1); of hits, even silent ones
    tapped = torch.zeros_like(x)
    for part, source in zip(_apart(tapped), _apart(x), strict=True):
        part[..., OPEN_HAT] = source.gather(-1, loudest)[..., 0]
    return tapped


def tap_fixed_velocity(x: Tensor) -> Tensor:
    """Return grooves (N, T, 27) as tapped, without velocities."""
    return fixed_velocity(tap(x))


def add_closed_hh(x: Tensor) -> Tensor:
    """Return grooves (N, T, 27) without the closed hat, which is left for the model to add."""
    kept = torch.ones(len(DRUMS), dtype=x.dtype, device=x.device)
    kept[CLOSED_HAT] = 0
    return x * kept.repeat(3)


TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "humanize": humanize,
    "tap": tap,
    "fixed_velocity": fixed_velocity,
    "tap_fixed_velocity": tap_fixed_velocity,
    "add_closed_hh": add_closed_hh,
}


@dataclass(frozen=True)
class Groove(Kit):
    """Write a groove as (T, 27): nine hits 0 or 1, nine velocities / 127, nine offsets in -1 to 1 (Gillick et al. 2019).

    An offset is 2 (step - time), times in steps: late hits are negative. Without a hit, its velocity and offset are 0.

    Parameters
    ----------
    steps, kit, written : as of `Kit`.
    transform : what is withheld from an encoder, a name in `TRANSFORMS`; a decoder has to write it all.
    """

    kit: str = "roland"
    transform: str = "none"

    def __post_init__(self):
        super().__post_init__()
        if self.transform not in TRANSFORMS:
            raise InputError(f"{self.transform!r} is no transform of grooves: take one of {', '.join(TRANSFORMS)}")

    @property
    def shape(self) -> tuple[int, int]:
        """Return (T, 27)."""
        return (self.steps, self.width)

    @property
    def depth(self) -> int:
        """Return 27."""
        return self.width

    @property
    def width(self) -> int:
        """Return 27."""
        return 3 * len(DRUMS)

    def inputs(self, x: Tensor) -> Tensor:
        """Return what of grooves (N, T, 27) an encoder is told, (N, T, 27)."""
        return TRANSFORMS[self.transform](x.float())

    def thinned(self, x: Tensor, share: Tensor) -> Tensor:
        """Return grooves (N, T, 27) without a share (N,) of the hits, more of the soft ones (Gillick et al. 2019, section 5).

        A hit of velocity v goes with the share times 1 - v, or 0.2 where that is more.
        """
        _, velocity, _ = _apart(x)
        kept = torch.rand(velocity.shape, device=x.device) >= share[:, None, None] * (1 - velocity).clamp_min(0.2)
        return x * kept.repeat(1, 1, 3)

    def feed(self, x: Tensor) -> Tensor:
        """Return grooves (N, T, 27) as they are."""
        return x.float()

    def lines(self, sequence: Sequence) -> tuple[list[np.ndarray], list[str]]:
        """Return the whole stretch from its first step as one line (L, 27), float32; of hits on one step the loudest is kept."""
        hits, columns, reasons = self.hits(sequence)
        if not len(hits):
            return [], reasons
        step, end = quantised_notes(hits)
        loudest = np.lexsort((hits.onset, -hits.velocity))
        _, first = np.unique(step[loudest] * len(DRUMS) + columns[loudest], return_index=True)
        kept = loudest[first]
        line = np.zeros((bar_after(end.max()), 3, len(DRUMS)), np.float32)
        values = np.stack([np.ones(len(kept)), hits.velocity[kept] / 127, 2 * (step[kept] - hits.onset[kept])], 1)
        line[step[kept], :, columns[kept]] = values
        lines = [line.reshape(len(line), -1)]
        return lines, reasons + remarks(lines, self.steps, [], "a groove")

    def notes(self, x: np.ndarray) -> StepNotes:
        """Return the hits of a groove (T, 27), one step long each, at their times, but none before the start."""
        hit, velocity, offset = np.split(np.asarray(x, float), 3, 1)
        step, column = np.nonzero(hit > EVEN)
        onset = np.maximum(step - offset[step, column].clip(-1, 1) / 2, 0)
        loud = np.rint(127 * velocity[step, column]).clip(1, 127).astype(np.int64)
        return StepNotes(onset, onset + 1, self.outputs[column], loud, np.zeros(len(step), np.int64), (TRACK,))

    def cells(self, x: np.ndarray) -> list[Cell]:
        """Return the hits of a groove (T, 27) in lanes of drums, at their times, as strong as they are loud."""
        notes = self.notes(x)
        column = np.nonzero(np.asarray(x)[:, : len(DRUMS)] > EVEN)[1].tolist()
        return list(zip(column, notes.onset.tolist(), notes.offset.tolist(), (notes.velocity / 127).tolist(), strict=True))

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return how right grooves (N, T, 27) are, (N,) each.

        ``velocity_mae`` (MIDI, 0-127) and ``timing_mae`` (steps) are means over the hits that both have. Where none is, they are
        the mean velocity of the hits that there are, as if against silence, and half a step, the most that a hit can be off; 0
        where there are no hits at all. ``accuracy`` and ``exact`` are of hits alone.
        """
        (true, loud, when), (named, named_loud, named_when) = _apart(reference), _apart(estimate)
        true, named = true > EVEN, named > EVEN
        both, either = true & named, true | named
        missed = torch.where(true, loud, named_loud).double() * 127
        return {
            **step_scores((true == named).all(2), true.any(2), named.any(2)),
            **self.hit_scores(true, named),
            "velocity_mae": _error(127 * (loud - named_loud), both, _mean(missed, either)),
            "timing_mae": _error((when - named_when) / 2, both, LATEST * either.any(2).any(1).double()),
        }


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of values (N, T, D) at some places, (N,); 0 without any."""
    return (values * where).double().sum((1, 2)) / where.sum((1, 2)).clamp_min(1)


def _error(differences: Tensor, where: Tensor, otherwise: Tensor) -> Tensor:
    """Return the mean absolute difference (N, T, D) at some places, (N,); `otherwise` (N,) without any."""
    return torch.where(where.any(2).any(1), _mean(differences.abs(), where), otherwise)
