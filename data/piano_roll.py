"""Windows of piano-rolls, and the key they are in, as a model reads and writes them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from data.representations import Facet, Representation
from data.rolls import KEYS

BEYOND = -1.0  # on every key of a step after the end of a piece
TEMPO = 120.0  # quarters a minute that frame rates are told for
EVEN = 0.5  # probability from which a key is said to sound


@dataclass(frozen=True)
class PianoRoll(Representation):
    """Windows of a piano-roll, (N, lag + steps, 88) of 0 and 1, -1 beyond the end of a piece.

    Parameters
    ----------
    steps : that a window describes.
    lag : steps before them, which it only tells; silent where a piece begins.
    quarter : steps in a quarter note.
    """

    steps: int
    lag: int = 0
    quarter: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Return (lag + steps, 88)."""
        return (self.lag + self.steps, KEYS)

    @property
    def frame_rate(self) -> float:
        """Return the windows a second, one after another, of 120 quarters a minute."""
        return self.quarter * TEMPO / 60 / self.steps

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return precision, recall and F of the notes of windows, and the share of frames that are wholly right, (N,) each.

        Precision is 1 where nothing is named, recall where nothing sounds, F where both are so.
        """
        true, named = (x[:, self.lag :] >= EVEN for x in (reference, estimate))
        there = exists(reference[:, self.lag :])
        named &= there[..., None]
        right = (true & named).sum((1, 2)).double()
        all_true, all_named = true.sum((1, 2)), named.sum((1, 2))
        whole = ((true == named).all(2) & there).sum(1) / there.sum(1)
        return {
            "precision": _ratio(right, all_named),
            "recall": _ratio(right, all_true),
            "f_measure": _ratio(2 * right, all_true + all_named),
            "whole_frames": whole.double(),
        }


def exists(roll: Tensor) -> Tensor:
    """Tell which steps of windows (..., T, 88) are within a piece, (..., T)."""
    return roll[..., 0] >= 0


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole, 1.0)


@dataclass(frozen=True)
class Classes(Representation):
    """What of some classes something is, as probabilities (N, K); a known class is one-hot.

    Parameters
    ----------
    label : what is told apart.
    names : of the classes.
    """

    label: str
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int]:
        """Return (K,)."""
        return (len(self.names),)

    def text(self, x: Tensor) -> list[str]:
        """Return the most likely classes of `x` (N, K) by name."""
        return [self.names[i] for i in x.argmax(-1).tolist()]

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return whether the most likely class is right, (N,)."""
        return {self.label: (reference.argmax(-1) == estimate.argmax(-1)).double()}

    def facets(self, x: Tensor) -> dict[str, Facet]:
        """Return the most likely class of `x` (N, K)."""
        return {self.label: Facet(x.argmax(-1), self.names)}

    def poll(
        self, reference: Tensor, estimate: Tensor, item: Tensor, group: Tensor, weight: Tensor | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return whether the sum of each item's estimates is largest at its class, (M,), and the items' groups (M,)."""
        items, place = item[:, 0].unique(return_inverse=True)
        counted = estimate.double() if weight is None else estimate.double() * weight[:, None]
        total = torch.zeros(len(items), len(self.names), dtype=torch.double).index_add(0, place, counted)
        first = torch.full((len(items),), len(place)).scatter_reduce(0, place, torch.arange(len(place)), "amin")
        right = total.argmax(-1) == reference[first].argmax(-1)
        return {self.label: (right.double(), group[first, 0])}
