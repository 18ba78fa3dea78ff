"""How alike distributions are, and how often neighbours are of one class: pure functions of tensors."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

CELLS = 2**24  # of a matrix that is held at once


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Return the divergence in bits, 0 to 1, of two distributions (K,) that are given as counts.

    Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1), 1991. It is 0 where both are empty, and
    1 where one is.
    """
    p, q = (counts.double() / counts.double().sum().clamp_min(1e-300) for counts in (p, q))
    if not p.any() or not q.any():
        return float(p.any() or q.any())
    middle = (p + q) / 2
    return (entropy(middle) - (entropy(p) + entropy(q)) / 2).clamp(0, 1).item()


def entropy(p: Tensor) -> Tensor:
    """Return the entropy in bits of probabilities (..., K), (...)."""
    return -torch.special.xlogy(p, p).sum(-1) / math.log(2)


def mmd_to_normal(x: Tensor, scales: Sequence[float] = (0.25, 1.0, 4.0)) -> float:
    """Return the squared maximum mean discrepancy of points (N, Z) to the standard normal.

    Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, with Gaussian kernels exp(-d^2 / (2 w)), averaged over the widths
    w. The unbiased estimate; the means over the normal are exact, as Gaussian integrals, so that nothing is drawn. Of points
    drawn from the normal it is 0 on average, and may fall below.

    Parameters
    ----------
    scales : the widths w over Z. Z is the median heuristic: half the median squared distance of two draws of the normal, nearly.
    """
    x, size = x.double(), x.shape[1]
    widths = torch.tensor(scales, dtype=torch.double, device=x.device) * size
    across = (widths / (widths + 1)) ** (size / 2) * (-x.square().sum(1)[:, None] / (2 * (widths + 1))).exp().mean(0)
    normal = (widths / (widths + 2)) ** (size / 2)
    return (_alike(x, widths) - 2 * across + normal).mean().item()


def mmd(x: Tensor, y: Tensor, scales: Sequence[float] = (0.25, 1.0, 4.0)) -> float:
    """Return the squared maximum mean discrepancy of points (N, Z) to points (M, Z); NaN where one of both is a single one.

    As `mmd_to_normal`, an unbiased estimate. What is compared with the same `y` is compared by the same kernels.

    Parameters
    ----------
    scales : the widths over half the median squared distance of two of `y`.
    """
    if min(len(x), len(y)) < 2:
        return math.nan
    x, y = x.double(), y.double()
    median = torch.pdist(y).square().median().clamp_min(1e-12)
    widths = torch.tensor(scales, dtype=torch.double, device=x.device) * median / 2
    across = _kernels(x, y, widths) / (len(x) * len(y))
    return (_alike(x, widths) - 2 * across + _alike(y, widths)).mean().item()


def _alike(x: Tensor, widths: Tensor) -> Tensor:
    """Return the mean of Gaussian kernels over the pairs of points (N, Z) but those of a point and itself, (widths,)."""
    return (_kernels(x, x, widths) - len(x)) / (len(x) * (len(x) - 1))


def _kernels(x: Tensor, y: Tensor, widths: Tensor) -> Tensor:
    """Return the sum of Gaussian kernels over all pairs of points (N, Z) and (M, Z), (widths,)."""
    total = torch.zeros_like(widths)
    for rows in x.split(max(1, CELLS // len(y))):
        squares = torch.cdist(rows, y).square()
        total += torch.stack([(-squares / (2 * w)).exp().sum() for w in widths])
    return total


def purity(x: Tensor, labels: Tensor, group: Tensor, neighbours: int = 10) -> dict[str, Tensor]:
    """Return of what class the neighbours of points `x` (N, Z) in other groups are, beside what can be said without `x`.

    Points of the own group never count, so that pieces of one recording are not each other's neighbours.

    Parameters
    ----------
    labels : (N,) class ids from 0.
    group : (N,) what a point is of.

    Returns
    -------
    By name, (N,) float64 each; NaN where there is no other group: ``share`` of neighbours of the own class, ``share_by_chance``,
    that of all points of other groups; ``vote``, 1 where most neighbours are of the own class, ``vote_by_chance``, where most
    points of other groups are. The lowest of equal classes wins.
    """
    classes = functional.one_hot(labels).double()
    counts = []
    for rows, own in zip(x.double().split(max(1, CELLS // len(x))), group.split(max(1, CELLS // len(x))), strict=True):
        squares = torch.cdist(rows, x.double()).masked_fill(own[:, None] == group, torch.inf)
        near = squares.topk(min(neighbours, len(x)), largest=False)
        counts.append((classes[near.indices] * near.values.isfinite()[..., None]).sum(1))
    near, others = torch.cat(counts), classes.sum(0) - _by_group(classes, group)
    found = {}
    for name, votes in (("", near), ("_by_chance", others)):
        found["share" + name] = votes.gather(1, labels[:, None])[:, 0] / votes.sum(1)
        right = (votes.argmax(1) == labels).double()
        found["vote" + name] = right.masked_fill(votes.sum(1) == 0, torch.nan)
    return found


def _by_group(classes: Tensor, group: Tensor) -> Tensor:
    """Return for each point the counts (N, K) of classes (N, K) in its group."""
    number, place = group.unique(return_inverse=True)
    return torch.zeros(len(number), classes.shape[1], dtype=classes.dtype).index_add(0, place, classes)[place]
