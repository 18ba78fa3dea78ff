"""Scores as pure functions of arrays."""

import torch
from torch import Tensor

NORMAL_95 = 1.959963984540054  # the normal distribution has 95 % within this many standard deviations


def success(true: Tensor, named: Tensor) -> list[float]:
    """Return for each label the share of classes named right, over (N, I, L) true and named class ids."""
    return (true == named).double().mean((0, 1)).tolist()


def success_by_note(true: Tensor, named: Tensor, note: Tensor) -> list[float]:
    """Return for each label the share of notes for which the class that most of its frames name is right.

    Parameters
    ----------
    true, named : (N, L) class ids of frames; `true` is the same in all frames of a note.
    note : (N,) which note a frame is of.
    """
    return right_by_note(true, named, note).double().mean(0).tolist()


def right_by_note(true: Tensor, named: Tensor, note: Tensor) -> Tensor:
    """Tell for each note, in the order of `note.unique()`, and each label whether most frames' class is right, (notes, L).

    Parameters as of `success_by_note`.
    """
    return torch.stack([named[note == n].mode(0).values == true[note == n][0] for n in note.unique()])


def wilson_interval(share: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of the probability of which `share` (0 to 1) is what `trials` independent trials found.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    z2 = NORMAL_95**2 / trials
    middle = share + z2 / 2
    spread = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    low, high = (middle - spread) / (1 + z2), (middle + spread) / (1 + z2)
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # at 0 and 1 an end is the share itself but for rounding


def bootstrap_interval(values: Tensor, group: Tensor, random: torch.Generator, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values` (N,) when whole groups, `group` (N,), are drawn anew, with replacement.

    The percentile interval of Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    place = group.unique(return_inverse=True)[1]
    counts = place.bincount().double()  # (G,)
    sums = torch.zeros_like(counts).index_add(0, place, values.double())
    drawn = torch.randint(len(counts), (draws, len(counts)), generator=random)
    low, high = (sums[drawn].sum(1) / counts[drawn].sum(1)).quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return low, high


def log_spectral_distance(reference: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """Return the root mean square over bands of the difference in dB, (N,), of linear magnitudes (N, F) not below `floor`.

    Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24(5), 1976, section III.
    """
    difference = 20 * (reference.clamp_min(floor).log10() - estimate.clamp_min(floor).log10())
    return difference.square().mean(-1).sqrt()
