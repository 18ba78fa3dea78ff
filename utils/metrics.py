"""Scores as pure functions of arrays."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 100  # draws of a bootstrap: a mixture of several instruments may have as many cells as examples
ACTIVE = 0.01  # variance of the posterior means from which a latent dimension counts as active
NORMAL_95 = 1.959963984540054  # the normal distribution has 95 % within this many standard deviations


def votes(classes: Tensor, item: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the class that most rows of each item name, the lowest of equals, (items,) in the order of ``item.unique()``.

    Parameters
    ----------
    classes : (N,) class ids.
    item : (N,) which item a row is of.
    weight : (N,) how much a row counts; alike where not given.
    """
    numbers, place = item.unique(return_inverse=True)
    counts = torch.zeros(len(numbers), int(classes.max()) + 1, dtype=torch.double)
    each = torch.ones(len(place), dtype=torch.double) if weight is None else weight.double()
    return counts.index_put_((place, classes), each, accumulate=True).argmax(1)


def assignment(right: Tensor) -> Tensor:
    """Return which estimate to hold against each reference so that most is right, (N, I).

    Parameters
    ----------
    right : (N, I, I) how much of reference i estimate j names right. Of equally good assignments the one that moves least wins.
    """
    from scipy.optimize import linear_sum_assignment

    moved = 1e-6 * (1 - np.eye(right.shape[1]))
    costs = moved - right.double().numpy()
    return torch.from_numpy(np.stack([linear_sum_assignment(cost)[1] for cost in costs]))


def wilson_interval(share: float, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of the probability of which `share` (0 to 1) is what `trials` independent trials found.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    z2 = NORMAL_95**2 / trials
    middle = share + z2 / 2
    spread = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    low, high = (middle - spread) / (1 + z2), (middle + spread) / (1 + z2)
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # at 0 and 1 an end is the share itself but for rounding


def bootstrap_interval(
    values: Tensor, group: Tensor, random: torch.Generator, draws: int = 2000, weight: Tensor | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `values` (N,) when whole groups are drawn anew, with replacement.

    The percentile interval of Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. Where each value
    belongs to a group of several kinds, the kinds are drawn independently: Owen, "The pigeonhole bootstrap", Ann. Appl. Stat.
    1(2), 2007, section 2.

    Parameters
    ----------
    group : (N,) or, for G kinds of groups, (N, G).
    weight : (N,) how much each value counts; alike where not given.
    """
    kinds_of = group.reshape(len(values), -1)
    if kinds_of.shape[1] == 1:  # much quicker than rows
        cells, place = kinds_of[:, 0].unique(return_inverse=True)
        cells = cells[:, None]
    else:
        cells, place = kinds_of.unique(dim=0, return_inverse=True)
    counts = torch.ones(len(values), dtype=torch.double) if weight is None else weight.double()
    sizes, sums = (torch.zeros(len(cells), dtype=torch.double).index_add(0, place, v) for v in (counts, counts * values.double()))
    kinds = [kind.unique(return_inverse=True)[1] for kind in cells.unbind(1)]
    means = []
    for start in range(0, draws, AT_ONCE):
        times = _drawn(kinds, min(AT_ONCE, draws - start), random)
        means.append((times @ sums) / (times @ sizes))  # undefined where no cell was drawn
    low, high = torch.cat(means).nanquantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return low, high


def _drawn(kinds: Sequence[Tensor], draws: int, random: torch.Generator) -> Tensor:
    """Return how often each cell is drawn, (draws, cells): as often as its groups, whose numbers `kinds` (cells,) are, together."""
    weight = torch.ones(draws, len(kinds[0]), dtype=torch.double)
    for number in kinds:
        groups = int(number.max()) + 1
        drawn = torch.randint(groups, (draws, groups), generator=random)
        times = torch.zeros(draws, groups).scatter_add_(1, drawn, torch.ones(draws, groups))
        weight *= times[:, number]
    return weight


def log_spectral_distance(reference: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """Return the root mean square over bands of the difference in dB, (N,), of linear magnitudes (N, F) not below `floor`.

    Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24(5), 1976, section III.
    """
    difference = 20 * (reference.clamp_min(floor).log10() - estimate.clamp_min(floor).log10())
    return difference.square().mean(-1).sqrt()


def itakura_saito(reference: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """Return the mean over bands of P/Q - ln(P/Q) - 1, (N,), with the powers P and Q of linear magnitudes not below `floor`.

    Itakura and Saito, "Analysis synthesis telephony based on the maximum likelihood method", 6th ICA, 1968; in the form of
    Fevotte, Bertin and Durrieu, "Nonnegative matrix factorization with the Itakura-Saito divergence", Neural Comput. 21(3),
    2009, eq. 4. It punishes power that is missing where the reference has some.
    """
    log_ratio = 2 * (reference.clamp_min(floor).log() - estimate.clamp_min(floor).log())
    return (log_ratio.exp() - log_ratio - 1).mean(-1)


def level_difference(reference: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """Return by how many dB the energy of linear magnitudes `estimate` (N, F) exceeds that of `reference`, (N,).

    Energies below that of one band at `floor` count as that.
    """
    made, true = (magnitudes.square().sum(-1).clamp_min(floor**2) for magnitudes in (estimate, reference))
    return 10 * (made / true).log10()


def concordance(levels: Tensor) -> Tensor:
    """Return for each row of `levels` (N, K) the share of its pairs of columns that rise, (N,); NaN ones are left out.

    A row without a pair gives NaN. Kendall, "A new measure of rank correlation", Biometrika 30, 1938: the share is (tau + 1) / 2.
    """
    i, j = torch.triu_indices(levels.shape[1], levels.shape[1], 1)
    rise = levels[:, j] - levels[:, i]
    known = ~rise.isnan()
    return (known & (rise > 0)).double().sum(1) / known.double().sum(1)
