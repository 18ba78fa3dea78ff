"""Distances between things, as pure functions of arrays: scaling to positions, comparisons, and how sure they are.

A matrix of distances (I, I) is symmetric and 0 on its diagonal; NaN stands where a distance is not known and weighs nothing.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from utils.config import InputError

EXACT = 7  # up to so many things every permutation is tried, 5040 of them
ROUNDS, TOLERANCE = 3000, 1e-12  # of scaling: steps at most; share of the sum of squares by which a step must better some start
CHUNK = 256  # permutations held in memory at once


class Scaling(NamedTuple):
    """Hold positions (I, D) found for given distances, and the sum over known pairs of squared errors of their distances."""

    positions: np.ndarray
    raw_stress: float
    stress1: float


class Agreement(NamedTuple):
    """Hold the share of triplets (0 to 1) in the same order, its 95 % interval, and how many triplets were compared."""

    share: float
    low: float
    high: float
    number: int


class HeldOut(NamedTuple):
    """Hold each thing's distances as predicted without it, (I, I), and how good they are over known pairs.

    `pearson` is their correlation with the truth, `error` the root of the mean squared error, `baseline` that of predicting the
    mean distance of the others among themselves.
    """

    predicted: np.ndarray
    pearson: float
    error: float
    baseline: float


def distances(positions: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (..., I, I) between positions (..., I, D)."""
    return np.linalg.norm(positions[..., :, None, :] - positions[..., None, :, :], axis=-1)


def upper(matrix: np.ndarray) -> np.ndarray:
    """Return what lies above the diagonal, row by row, (P,)."""
    return matrix[np.triu_indices(len(matrix), 1)]


def stress1(target: np.ndarray, estimate: np.ndarray) -> float:
    """Return Kruskal's stress-1 of distances (I, I) that are first scaled to fit `target` (I, I) by least squares.

    The root of sum (d - t)^2 / sum d^2: Kruskal, "Multidimensional scaling by optimizing goodness of fit to a nonmetric
    hypothesis", Psychometrika 29, 1964. 0 is a perfect fit; NaN if all distances are 0.
    """
    t, d = _common(target, estimate)
    size = d @ d
    return _stress1(t, d * ((t @ d) / size)) if size > 0 else math.nan


def _stress1(t: np.ndarray, d: np.ndarray) -> float:
    return float(np.linalg.norm(d - t) / np.linalg.norm(d)) if d.any() else math.nan


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (P,) that are known in both matrices."""
    a, b = upper(a), upper(b)
    both = ~np.isnan(a + b)
    return a[both], b[both]


def classical(target: np.ndarray, dimensions: int) -> np.ndarray:
    """Return positions (I, D) on principal axes by classical scaling, unknown distances taken as the shortest way round.

    Torgerson, "Multidimensional scaling: I. Theory and method", Psychometrika 17, 1952. Axes beyond those that real positions
    could explain are 0.

    Raises
    ------
    InputError
        If unknown distances split the things into groups.
    """
    whole = _ways_round(target)
    if np.isinf(whole).any():
        groups = len(np.unique(np.isinf(whole), axis=0))
        raise InputError(f"dissimilarities fall into {groups} groups that nothing compares: leave out all of them but one")
    centre = np.eye(len(target)) - 1 / len(target)
    values, vectors = np.linalg.eigh(-centre @ whole**2 @ centre / 2)
    roots = np.sqrt(values.clip(min=0))[::-1][:dimensions]
    axes = vectors[:, ::-1][:, :dimensions] * roots
    return np.pad(axes, ((0, 0), (0, dimensions - axes.shape[1])))


def _ways_round(target: np.ndarray) -> np.ndarray:
    """Return distances (I, I) with the shortest way over known ones where one is unknown: Floyd, Algorithm 97, CACM 5, 1962."""
    ways = np.where(np.isnan(target), np.inf, target)
    for middle in range(len(ways)):
        ways = np.minimum(ways, ways[:, middle, None] + ways[middle])
    return np.where(np.isnan(target), ways, target)


def mds(target: np.ndarray, dimensions: int, starts: int = 8, seed: int = 0) -> Scaling:
    """Return the positions (I, D) whose distances are nearest to `target` (I, I): metric scaling by majorization (SMACOF).

    De Leeuw, "Applications of convex analysis to multidimensional scaling", in: Recent Developments in Statistics, 1977, with
    the weights 1 of known and 0 of unknown pairs; Borg and Groenen, "Modern Multidimensional Scaling", 2005, chapter 8. The
    best of `starts` random starts and the classical one. Positions are centred; how they are turned and mirrored means nothing.

    Raises
    ------
    InputError
        If unknown distances split the things into groups.
    """
    weight = ~np.isnan(target) & ~np.eye(len(target), dtype=bool)
    t = np.where(weight, target, 0)
    random = np.random.default_rng(seed).standard_normal((starts, len(t), dimensions)) * t.max() / 2
    x = np.concatenate([classical(target, dimensions)[None], random])  # (starts + 1, I, D)
    inverse = np.linalg.pinv(np.diag(weight.sum(1)) - weight)
    stress, d = np.full(len(x), np.inf), distances(x)
    for _ in range(ROUNDS):
        before = stress
        x = inverse @ _guttman(t, d) @ x
        d = distances(x)
        stress = (weight * (d - t) ** 2).sum((1, 2)) / 2
        if (before - stress <= TOLERANCE * (t * t).sum()).all():
            break
    best = int(stress.argmin())
    return Scaling(x[best], float(stress[best]), _stress1(*_common(target, d[best])))


def _guttman(t: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Return the matrix B(X) of Guttman's transform (S, I, I): -t/d, and what makes each row sum to 0 on the diagonal."""
    ratio = np.divide(t, d, out=np.zeros_like(d), where=d > 0)
    return ratio.sum(-1)[..., None] * np.eye(len(t)) - ratio


def correlations(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Return Pearson's, Spearman's and Kendall's (tau-b) correlation of the pairs known in both matrices.

    NaN with fewer than 3 pairs, or where all pairs of a matrix are equal.
    """
    from scipy.stats import kendalltau, rankdata

    a, b = _common(a, b)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return dict.fromkeys(("pearson", "spearman", "kendall"), math.nan)
    spearman = _pearson(rankdata(a), rankdata(b)[None]).item()
    return {"pearson": _pearson(a, b[None]).item(), "spearman": spearman, "kendall": float(kendalltau(a, b).statistic)}


def _pearson(a: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the correlation of `a` (P,) with each of `rows` (N, P), over what is known in both; NaN where it is not defined."""
    known = ~np.isnan(a + rows)
    number = known.sum(1, keepdims=True).clip(min=1)
    a, b = np.where(known, a, 0), np.where(known, rows, 0)
    a, b = (known * (x - x.sum(1, keepdims=True) / number) for x in (a, b))
    size = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), size, out=np.full(len(rows), np.nan), where=size > 0)


def mantel(a: np.ndarray, b: np.ndarray, permutations: int = 9999, seed: int = 0) -> tuple[float, float]:
    """Return Pearson's correlation of two matrices (I, I) and the probability of one as large if names were dealt by chance.

    Mantel, "The detection of disease clustering and a generalized regression approach", Cancer Research 27, 1967: the rows and
    columns of `b` are permuted together, without things that only one matrix knows; the test is one-sided. Up to 7 things all
    permutations are tried; beyond that `permutations` drawn ones, among which the observed order counts as one (Phipson and
    Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9, 2010).
    """
    both = (~np.isnan(a + b) & ~np.eye(len(a), dtype=bool)).any(1)
    a, b = a[np.ix_(both, both)], b[np.ix_(both, both)]
    i, j = np.triu_indices(len(a), 1)
    observed = correlations(a, b)["pearson"]
    if math.isnan(observed):
        return math.nan, math.nan
    found = [_pearson(a[i, j], b[order[:, i], order[:, j]]) for order in _orders(len(a), permutations, seed)]
    reached = np.concatenate(found) >= observed - 1e-12
    drawn = len(a) > EXACT
    return observed, float((reached.sum() + drawn) / (len(reached) + drawn))


def _orders(things: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Yield permutations (N, I) in chunks: all of few things, drawn ones of more."""
    random = np.random.default_rng(seed)
    drawn = (random.permutation(things) for _ in range(permutations))
    every = iter(itertools.permutations(range(things)) if things <= EXACT else drawn)
    while chunk := list(itertools.islice(every, CHUNK)):
        yield np.array(chunk)


def triplets(target: np.ndarray, estimate: np.ndarray, draws: int = 2000, seed: int = 0) -> Agreement:
    """Return how often it is the same of b and c that lies nearer to a in both matrices, over all triplets (a; b, c).

    Triplets with a tie or an unknown distance in either matrix are left out. The interval is the percentile one when things are
    drawn anew, with replacement, as triplets that share things are not independent: Snijders and Borgatti, "Non-parametric
    standard errors and tests for network statistics", Connections 22(2), 1999. NaN where nothing can be compared.
    """
    t, d = (_compared(matrix) for matrix in (target, estimate))
    counted = (t * d != 0) & ~np.isnan(t * d)
    agree, counted = (counted & (t == d)).astype(float), counted.astype(float)
    if not counted.any():
        return Agreement(math.nan, math.nan, math.nan, 0)
    things = len(target)
    weight = np.random.default_rng(seed).multinomial(things, np.full(things, 1 / things), draws).astype(float)
    agreed, total = _weighted(agree, weight), _weighted(counted, weight)
    low, high = np.quantile(agreed[total > 0] / total[total > 0], [0.025, 0.975])
    return Agreement(float(agree.sum() / counted.sum()), float(low), float(high), int(counted.sum()) // 2)


def _compared(matrix: np.ndarray) -> np.ndarray:
    """Return for each (a, b, c) the sign of the distance a-b minus a-c; NaN where one of the three is another."""
    apart = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
    return np.sign(apart[:, :, None] - apart[:, None, :])


def _weighted(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return for each row of `weight` (N, I) the sum of values (I, I, I) by the product of the weights of their three."""
    summed = np.tensordot(weight, values, 1)  # (N, I, I)
    return np.einsum("nbc,nb,nc->n", summed, weight, weight)


def held_out(target: np.ndarray, estimates: np.ndarray) -> HeldOut:
    """Return how well distances predict those of a thing that was left out when they were made.

    Parameters
    ----------
    target : (I, I).
    estimates : (I, I, I) all distances, as found without knowing row and column i of `target`, for each i. They are scaled to
        `target` by least squares over the pairs of the others.
    """
    predicted, plain = np.full_like(target, np.nan), np.full_like(target, np.nan)
    for i, estimate in enumerate(estimates):
        t, d = _common(*(np.delete(np.delete(matrix, i, 0), i, 1) for matrix in (target, estimate)))
        predicted[i] = estimate[i] * ((t @ d) / (d @ d)) if d.any() else np.nan
        plain[i] = t.mean() if len(t) else np.nan
    known = ~np.isnan(target + predicted + plain) & ~np.eye(len(target), dtype=bool)
    truth, guess, plain = target[known], predicted[known], plain[known]
    if not len(truth):
        return HeldOut(predicted, math.nan, math.nan, math.nan)
    error, baseline = (float(np.sqrt(np.mean((truth - x) ** 2))) for x in (guess, plain))
    return HeldOut(predicted, _pearson(truth, guess[None]).item(), error, baseline)


def spearman_brown(correlation: float, times: float = 2) -> float:
    """Return the reliability of a panel of `times` as many listeners, of which parts correlate so.

    Spearman, "Correlation calculated from faulty data", and Brown, "Some experimental results in the correlation of mental
    abilities", British Journal of Psychology 3, 1910.
    """
    return times * correlation / (1 + (times - 1) * correlation)


def reliability(mean: np.ndarray, spread: np.ndarray, number: np.ndarray) -> float:
    """Return how well mean ratings (I, I) would correlate with those of as many other listeners, from their spreads (I, I).

    1 - (variance of the means' errors) / (variance of the means): Lord and Novick, "Statistical Theories of Mental Test Scores",
    1968. Listeners are taken as independent; pairs with a single rating, or an unknown spread, are left out. What
    knows the truth correlates with these means by the root of it. NaN with fewer than 3 pairs or equal means.

    Parameters
    ----------
    spread : (I, I) standard deviation of single ratings (population, ddof 0).
    number : (I, I) of ratings.
    """
    mean, spread, number = upper(mean), upper(spread), upper(number)
    known = ~np.isnan(mean + spread) & (number > 1)
    if known.sum() < 3 or np.ptp(mean[known]) == 0:
        return math.nan
    error = np.mean(spread[known] ** 2 / (number[known] - 1))
    return float(max(0.0, 1 - error / mean[known].var(ddof=1)))


def procrustes(positions: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, float]:
    """Return `positions` (I, D) moved, turned, mirrored and scaled onto `reference` (I, D), and the share that is left over.

    The share is that of the centred reference's sum of squares (0 to 1). Schonemann and Carroll, "Fitting one matrix to another
    under choice of a central dilation and a rigid motion", Psychometrika 35, 1970. Missing
    columns are 0.
    """
    width = max(positions.shape[1], reference.shape[1])
    x, y = (np.pad(points, ((0, 0), (0, width - points.shape[1]))) for points in (positions, reference))
    centre = y.mean(0)
    x, y = x - x.mean(0), y - centre
    u, s, v = np.linalg.svd(x.T @ y)
    size = (x * x).sum()
    aligned = x @ (u @ v) * (s.sum() / size if size > 0 else 0)
    total = (y * y).sum()
    return aligned + centre, float(((y - aligned) ** 2).sum() / total) if total > 0 else math.nan
