"""Do distances between the instruments of a latent space agree with how different listeners find these instruments?"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from data.dissimilarity import KINDS, Ratings, ratings
from models.evaluation import Estimate, Observed
from utils import geometry
from utils.config import InputError

log = logging.getLogger(__name__)

LABEL = "instrument"
DRAWS = 400  # of notes, for intervals
MEASURES = ("pearson", "spearman", "kendall")


@dataclass(frozen=True, eq=False)
class Compared:
    """Latent distances beside one matrix of ratings."""

    ratings: Ratings
    scores: dict[str, Estimate]
    ceiling: float  # correlation to be expected with other listeners

    def json(self) -> dict:
        """Return it as JSON values."""
        return {"note": self.ratings.note, "listeners": self.ceiling, **self.scores}


@dataclass(frozen=True, eq=False)
class Dissimilarities:
    """Distances (K, K) of the centroids of instruments, and each kind of ratings that they were compared with."""

    instruments: tuple[str, ...]
    distances: np.ndarray
    compared: dict[str, Compared] = field(default_factory=dict)  # the kind that the run was trained on first, if any

    def json(self) -> dict:
        """Return it as JSON values."""
        return {
            "instruments": list(self.instruments),
            "distances": self.distances.tolist(),
            "ratings": {kind: found.json() for kind, found in self.compared.items()},
        }


def compare(observed: Observed, first: str, seed: int, asked: bool = False) -> Dissimilarities | None:
    """Return how well latent distances agree with ratings: those of kind `first`, and all that come with the project.

    None where the examples tell no instruments apart, or too few of them were ever rated.

    Raises
    ------
    InputError : `first` is `asked` for, and cannot be read or says too little.
    """
    if LABEL not in observed.labels or not observed.latents or _means(observed).dim() != 2:
        return None
    facet = observed.labels[LABEL]
    names = tuple(facet.names[k] for k in facet.ids.unique())
    distances = geometry.distances(centroids(observed, DRAWS, seed))
    found = Dissimilarities(names, distances[0])
    for kind in dict.fromkeys((first, *KINDS)):
        try:
            rated = ratings(kind, names)
        except InputError as error:  # as of these instruments this study has fewer than three
            if asked and kind == first:
                raise
            log.log(logging.WARNING if kind == first else logging.INFO, "%s", error)
            continue
        found.compared[kind] = Compared(rated, scores(rated.mean, distances, len(observed.group.unique()), seed), rated.reliability)
    return found if found.compared else None


def _means(observed: Observed) -> Tensor:
    return next(iter(observed.latents.values())).mean


def centroids(observed: Observed, draws: int = 0, seed: int = 0) -> np.ndarray:
    """Return the mean latents (1 + draws, K, Z) of the K instruments that occur: of all examples, then of notes drawn anew."""
    means, ids, group = _means(observed), observed.labels[LABEL].ids, observed.group[:, 0]
    random, result = np.random.default_rng(seed), []
    for k in ids.unique():
        own = ids == k
        notes, place = group[own].unique(return_inverse=True)
        sums = torch.zeros(len(notes), means.shape[1], dtype=torch.float64).index_add(0, place, means[own].double())
        counts = place.bincount(minlength=len(notes)).double()
        weight = random.multinomial(len(notes), np.full(len(notes), 1 / len(notes)), draws).astype(float)
        weight = np.concatenate([np.ones((1, len(notes))), weight])
        result.append((weight @ sums.numpy()) / (weight @ counts.numpy())[:, None])
    return np.stack(result, 1)


def scores(target: np.ndarray, distances: np.ndarray, groups: int, seed: int) -> dict[str, Estimate]:
    """Return how distances (1 + DRAWS, K, K), those of all notes first, agree with `target` (K, K).

    Correlations have the interval over notes: what other notes of the same instruments would give. That of triplets is over
    instruments; that of chance is 0.5. ``mantel_p`` is the share of permutations of the instruments with as high a Pearson
    correlation (Mantel, "The detection of disease clustering and a generalized regression approach", Cancer Research 27, 1967).
    """
    pairs = int((~np.isnan(geometry.upper(target))).sum())
    each = [geometry.correlations(target, d) for d in distances]
    found = {measure: _interval([c[measure] for c in each], pairs, groups) for measure in MEASURES}
    found["stress1"] = _interval([geometry.stress1(target, d) for d in distances], pairs, groups, least=0.0)
    triplets = geometry.triplets(target, distances[0], seed=seed)
    found["triplets"] = dict(zip(("value", "low", "high", "n"), triplets, strict=True)) | {"groups": len(target)}
    p = geometry.mantel(target, distances[0], seed=seed)[1]
    found["mantel_p"] = {"value": p, "low": np.nan, "high": np.nan, "n": pairs, "groups": groups}
    return found


def _interval(values: list[float], n: int, groups: int, least: float = -1.0) -> Estimate:
    """Return the first of `values` with the basic bootstrap interval of the others, within `least` and 1.

    Drawing notes anew adds their noise a second time, so the draws lie on one side of the value; twice the value less the draws
    mends that: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2.
    """
    value = float(values[0])
    low, high = np.clip(2 * value - np.nanquantile(values[1:], [0.975, 0.025]), least, 1.0)
    return {"value": value, "low": float(min(low, value)), "high": float(max(high, value)), "n": n, "groups": groups}


def left_out(target: np.ndarray, without: Mapping[str, np.ndarray], instruments: tuple[str, ...], seed: int) -> dict[str, Estimate]:
    """Return how well ratings of instruments are predicted by spaces that were made without them.

    Parameters
    ----------
    target : (K, K).
    without : instrument -> distances (K, K) in the space whose training saw none of its ratings.
    """
    nothing = np.full_like(target, np.nan)
    estimates = np.stack([without.get(name, nothing) for name in instruments])
    held = geometry.held_out(target, estimates)
    pairs = int((~np.isnan(held.predicted + target) & ~np.eye(len(target), dtype=bool)).sum())
    triplets = geometry.triplets(target, held.predicted, seed=seed)
    plain = {"low": np.nan, "high": np.nan, "n": pairs, "groups": len(without)}
    return {
        "pearson": {"value": held.pearson, **plain},
        "error": {"value": held.error, **plain},
        "error_of_the_mean": {"value": held.baseline, **plain},
        "triplets": dict(zip(("value", "low", "high", "n"), triplets, strict=True)) | {"groups": len(without)},
    }
