"""What latents hold: how much each dimension is used, what a linear probe reads off them, and maps of them."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from data.representations import Facet
from models.evaluation import Estimate, Observed, Scores, estimate
from models.losses import Normal
from utils.config import InputError
from utils.metrics import ACTIVE

PROBED = 10000  # examples that a probe is fitted on, at most
MAPPED = 4000  # and of each modality in a map
NO_UMAP = "--projections umap: the package umap-learn is not installed; pip install umap-learn"


def use(posterior: Normal) -> dict[str, list[float]]:
    """Return for each latent dimension the mean KL to the prior in nats, and the variance of the posterior means.

    A dimension is active where that variance is above 0.01: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders",
    ICLR 2016, section 5.2.
    """
    mean, variance = (tensor.flatten(0, -2).double() for tensor in posterior)
    kl = 0.5 * (variance + mean.square() - 1 - variance.log()).mean(0)
    return {"kl": kl.tolist(), "variance": mean.var(0, correction=0).tolist()}


def use_by_class(posterior: Normal, facet: Facet) -> tuple[np.ndarray, np.ndarray]:
    """Return for each class and latent dimension the deviation of the means, and the mean deviation of the posterior, (K, Z) each.

    NaN where a class does not occur.
    """
    names, mean, deviation = range(len(facet.names)), flat(posterior.mean), flat(posterior.variance.sqrt())
    own = [facet.ids.numpy() == k for k in names]
    nothing = np.full(mean.shape[1], np.nan)
    spread = np.stack([mean[of].std(0) if of.any() else nothing for of in own])
    return spread, np.stack([deviation[of].mean(0) if of.any() else nothing for of in own])


def flat(means: Tensor) -> np.ndarray:
    """Return latents (N, Z), or the means over time of latents (N, T, Z), as an array (N, Z)."""
    return (means if means.dim() == 2 else means.mean(1)).double().numpy()


def probe(train: Observed, test: Observed, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return how often a linear classifier of the posterior means, fitted on `train`, is right on `test`: modality -> label.

    Multinomial logistic regression; Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
    """
    result: dict[str, dict[str, Estimate]] = {}
    for modality, posterior in train.latents.items():
        x, unseen = flat(posterior.mean), flat(test.latents[modality].mean)
        chosen = np.random.default_rng(seed).permutation(len(x))[:PROBED]
        for label, facet in train.labels.items():
            right = _probed(x[chosen], facet.ids.numpy()[chosen], unseen) == test.labels[label].ids.numpy()
            scores = Scores(torch.from_numpy(right).double(), test.group)
            result.setdefault(modality, {})[label] = estimate(scores, seed)
    return result


def _probed(x: np.ndarray, ids: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(ids)) == 1:
        return np.full(len(unseen), ids[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what is not found in so many steps is hardly linear
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x, ids).predict(unseen)


def maps(observed: Observed, projections: tuple[str, ...], seed: int) -> dict[str, tuple[dict[str, np.ndarray], tuple[str, str]]]:
    """Return for each projection the points (N, 2) of each modality, in one plane for all, and the names of the plane's axes.

    Parameters
    ----------
    projections : ``pca`` or ``umap`` (McInnes, Healy and Melville, 2018), which needs the package umap-learn.

    Raises
    ------
    InputError : the package is absent.
    """
    rows = chosen(len(observed.group), seed)
    x = {modality: flat(posterior.mean[rows]) for modality, posterior in observed.latents.items()}
    together, ends = np.concatenate(list(x.values())), np.cumsum([len(points) for points in x.values()])[:-1]
    planes = {name: PROJECTIONS[name](together, seed) for name in projections}
    return {name: (dict(zip(x, np.split(points, ends), strict=True)), axes) for name, (points, axes) in planes.items()}


def chosen(n: int, seed: int) -> Tensor:
    """Return which of `n` examples a map shows, always the same for a seed."""
    return torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(n)[:MAPPED]))


def _pca(x: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    centred = x - x.mean(0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    shares = np.square(spread) / max(np.square(spread).sum(), 1e-12)
    points = centred @ axes[:2].T
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    first, second = (*shares, 0.0)[:2]
    return points, (f"component 1 ({first:.0%} of the variance)", f"component 2 ({second:.0%})")


def _umap(x: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    try:
        from umap import UMAP
    except ImportError:
        raise InputError(NO_UMAP) from None
    return UMAP(random_state=seed, n_jobs=1).fit_transform(x), ("UMAP 1", "UMAP 2")


PROJECTIONS = {"pca": _pca, "umap": _umap}


def summary(latents: Mapping[str, Normal]) -> dict[str, dict]:
    """Return the use of every modality's latents, with the number of active dimensions."""
    found = {modality: use(posterior) for modality, posterior in latents.items()}
    return {modality: {"active": sum(v > ACTIVE for v in used["variance"]), **used} for modality, used in found.items()}
