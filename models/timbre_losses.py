"""What pulls distances of latents to ratings of dissimilarity: the regularisers of the timbre system, one scalar a batch.

Esling, Chemla--Romeu-Santos and Bitton, "Generative timbre spaces: regularizing variational auto-encoders with perceptual
metrics", DAFx 2018, section 3.3. The `original` forms are those of their program: sums over all ordered pairs of a batch, those of
one class among them as pairs of dissimilarity 0. The others are means over pairs of different classes: their strength does not
depend on the size of a batch, and they are 0 where distances are as wanted.

Letters: N latents (N, Z) of `classes` (N,), of which there are K. `wanted` (K, K) are dissimilarities of the classes and `spread`
(K, K) their standard deviations, symmetric; NaN says unknown, and such pairs count nowhere. `scale` is the distance of latents
that a dissimilarity of 1 asks for. A batch without any known pair has the loss 0.
"""

import math

import torch
from torch import Tensor

from models.losses import Normal, kl

LEAST_SPREAD = 0.05  # of ratings, which are from 0 to 1: where few listeners agree by chance, it would be 0
OFFSET = 1e-5  # that the original adds to means and spreads


def distances(z: Tensor) -> Tensor:
    """Return the Euclidean distances (N, N) of latents (N, Z), by direct differences; where two coincide the gradient is 0."""
    return torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")


def centroids(z: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean latents (K', Z) of the classes that occur, and these classes (K',), in order."""
    present = classes.unique()
    member = classes == present[:, None]  # (K', N)
    return (member[..., None] * z).sum(1) / member.sum(1, keepdim=True), present


def l2(z: Tensor, classes: Tensor, wanted: Tensor, scale: float) -> Tensor:
    """Return the mean of (d - scale D)^2."""
    target, known = _of_pairs(wanted, classes)
    return _mean((distances(z) - scale * target).square(), known)


def gaussian(z: Tensor, classes: Tensor, wanted: Tensor, scale: float, spread: Tensor) -> Tensor:
    """Return the mean of (d / scale - D)^2 / (2 s^2), with the spreads s; pairs without one count as unknown."""
    (target, known), (s, spread_known) = (_of_pairs(table, classes) for table in (wanted, spread))
    errors = (distances(z) / scale - target) / s.clamp_min(LEAST_SPREAD)
    return _mean(errors.square() / 2, known & spread_known)


def student(z: Tensor, classes: Tensor, wanted: Tensor, scale: float) -> Tensor:
    """Return the mean over i of KL(P_i || Q_i), with P_ij ~ exp(-d^2) and Q_ij ~ 1 / (1 + (scale D)^2) over the known j of i.

    P is the paper's Gaussian with its sigma of 1 / sqrt 2. Both are normalised for each i; in the paper Q is over all pairs, and
    no latents reach 0. Squared distances are set but for a constant of each i, so one known j asks for nothing.
    """
    target, known = _of_pairs(wanted, classes)
    p = _log_shares(-distances(z).square(), known)
    q = _log_shares(-(scale * target).square().log1p(), known)
    return (p.exp() * (p - q)).sum() / known.any(1).sum().clamp_min(1)


def prior(q: Normal, classes: Tensor, places: Tensor, spreads: Tensor) -> Tensor:
    """Return KL(q || N(place, spread)) of posteriors (N, Z) to their classes' own priors, (N,).

    Parameters
    ----------
    places : (K, D) means in the first D <= Z dimensions; they are 0 in the others.
    spreads : (K,) variances in all dimensions. Where a place or a spread is NaN, the prior is the standard normal.
    """
    rated = ~(places.sum(1) + spreads).isnan()
    mean = places.new_zeros(q.mean.shape)
    mean[:, : places.shape[1]] = places.where(rated[:, None], 0)[classes]
    variance = spreads.where(rated, 1)[classes, None]
    return kl(q, Normal(mean, variance))


def paper_student(z: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
    """Return the sum over i of KL(P_i || Q), P_ij ~ exp(-d^2) normalised for each i, Q_ij ~ 1 / (1 + D^2) over all pairs i != j.

    As printed in the paper, with sigma = 1 / sqrt 2; D is between the places of the ratings' MDS. As Q is over all pairs, it is
    never below N ln N.
    """
    target, known = _of_pairs(wanted, classes, own=0)
    known = known & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    p = _log_shares(-distances(z).square(), known)
    q = _log_shares(-target.square().log1p().flatten(), known.flatten()).view_as(p)
    return (p.exp() * (p - q)).where(known, 0).sum()


def original_l2(z: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
    """Return the root of the sum of (d - D / max D)^2, the largest being that of the batch."""
    target, known = _of_pairs(wanted, classes, own=0)
    return _deviation(z, target, known)


def original_gaussian(z: Tensor, classes: Tensor, wanted: Tensor, spread: Tensor, draw: bool = True) -> Tensor:
    """Return `original_l2` with dissimilarities drawn from N(D, s^2), anew for each ordered pair; the largest s is made 1.

    Without `draw`, as in evaluation, which has to repeat itself, they are the means.
    """
    target, known = _of_pairs(wanted, classes, own=0)
    s, spread_known = _of_pairs(spread / spread.nan_to_num().max().clamp_min(OFFSET), classes, own=0)
    noise = (s + OFFSET) * torch.randn_like(target) if draw else 0.0
    return _deviation(z, target + OFFSET + noise, known & spread_known)


def original_student(z: Tensor, classes: Tensor, wanted: Tensor) -> Tensor:
    """Return the sum of p ln(p / q), p_ij ~ exp(-d) normalised for each i, and q_ij ~ 1 / (1 + D) over all pairs.

    The ps sum to N and the qs to 1, so it is never below N ln N.
    """
    target, known = _of_pairs(wanted, classes, own=0)
    p = _log_shares(-distances(z), known)
    q = _log_shares(-target.log1p().flatten(), known.flatten()).view_as(p)
    return (p.exp() * (p - q)).sum()


def _of_pairs(table: Tensor, classes: Tensor, own: float = math.nan) -> tuple[Tensor, Tensor]:
    """Return the table (K, K) for pairs of examples (N, N), 0 where it is unknown, and where it is known.

    Unknown values become numbers here, before anything is computed of them: 0 times the gradient of NaN would be NaN.
    """
    pairs = table.clone().fill_diagonal_(own)[classes][:, classes]
    return pairs.nan_to_num(), ~pairs.isnan()


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return values.where(known, 0).sum() / known.sum().clamp_min(1)


def _log_shares(logits: Tensor, known: Tensor) -> Tensor:
    """Return the log-softmax of logits (..., N) among those known; the others' shares are 0, and all equal where none is known."""
    lowest = torch.finfo(logits.dtype).min  # not -inf, of which 0 times it and its differences would be NaN
    return logits.masked_fill(~known, lowest).log_softmax(-1)


def _deviation(z: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the Frobenius norm of d - t / max t; its gradient at 0 is 0."""
    errors = distances(z) - target / target.max().clamp_min(OFFSET)
    return torch.linalg.vector_norm(errors.where(known, 0))
