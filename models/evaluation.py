"""How well a model translates what it has not seen: scores of every translation, with intervals, for every system alike.

Scores are those by which a target's representation compares (`Representation.compare`), the model's own likelihood, and the vote
of the frames of each recording where there are classes. Posterior means are used throughout.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from data.representations import Facet
from models.base import LatentModel
from models.epochs import Dataset, at_once, batches, on_device
from models.losses import Normal
from utils import metrics
from utils.device import generator

BATCH = 1024  # examples that are evaluated at once

Estimate = dict[str, float]  # value, low, high: a mean and its 95 % interval; n examples; groups of them that are independent


class Scores(NamedTuple):
    """A number an example, what the example is of, and how much it counts; all count alike where nothing says else."""

    values: Tensor  # (N,)
    group: Tensor  # (N, G)
    weight: Tensor | None = None  # (N,)

    @property
    def mean(self) -> float:
        """Return the mean of the numbers, each as often as it counts."""
        weight = torch.ones(len(self.values)) if self.weight is None else self.weight
        return ((self.values.double() * weight).sum() / weight.double().sum()).item()


@dataclass
class Observed:
    """What a model made of a dataset, on the CPU."""

    scores: dict[str, dict[str, Scores]] = field(default_factory=dict)  # translation -> name -> scores
    facets: dict[str, dict[str, tuple[Facet, Facet]]] = field(default_factory=dict)  # translation -> label -> true and named
    labels: dict[str, Facet] = field(default_factory=dict)  # of the examples themselves
    latents: dict[str, Normal] = field(default_factory=dict)  # modality -> posterior (N, *latent_shape)
    group: Tensor | None = None  # (N, G)


def translation(source: str, target: str) -> str:
    """Return the name of a translation in results."""
    return f"{source}_to_{target}"


def passes(dataset: Dataset, number: int, seed: int) -> Iterable[dict[str, Tensor]]:
    """Yield a dataset in large batches, `number` times where what is drawn, as pairings of mixtures, differs from time to time."""
    for turn in range(number if dataset.varies else 1):
        yield from batches(dataset, at_once(dataset, BATCH), seed, "evaluation", turn)


@torch.no_grad()
def observe(model: LatentModel, examples: Iterable[dict[str, Tensor]], device: torch.device, translated: bool = True) -> Observed:
    """Return what `model`, in evaluation mode, makes of examples that come in batches; their latents alone unless `translated`.

    Each batch has the model's modalities and conditions, ``item`` and ``group`` (B, G), and may have ``weight`` (B,).
    """
    parts: dict[tuple[str, ...], list[Tensor]] = {}
    facets: dict[str, Facet] = {}

    def keep(value: Tensor, *name: str) -> None:
        parts.setdefault(name, []).append(value.cpu())

    for here in examples:
        batch, facets = on_device(here, device), model.facets(here)
        condition = model.condition(batch)
        for label, facet in facets.items():
            keep(facet.ids, "label", label)
        for name in ("item", "group", "weight"):
            if name in here:
                keep(here[name], name)
        for source, target in model.translations if translated else ():
            name, estimate = translation(source, target), model.transfer(batch[source], source, target, condition)
            for score, values in model.representations[target].compare(batch[target], estimate).items():
                keep(values, "score", name, score)
            nll = model.nll(batch[source], source, batch[target], target, condition)
            if nll is not None:
                keep(nll, "score", name, "nll")
            if model.representations[target].facets(here[target]):
                keep(estimate, "estimate", name, target)
        _keep_latents(model, batch, condition, keep)
    observed = _observed(model, {name: torch.cat(tensors) for name, tensors in parts.items()})
    observed.labels = {label: facet._replace(ids=torch.cat(parts["label", label])) for label, facet in facets.items()}
    return observed


def _keep_latents(model: LatentModel, batch: dict[str, Tensor], condition: Tensor | None, keep) -> None:
    sources = {source for source, _ in model.translations}
    for modality, representation in model.representations.items():
        if representation.facets(batch[modality]):
            keep(batch[modality], "reference", modality)
        if model.latent_shape and modality in sources:
            posterior = model.encode(batch[modality], modality, condition)
            keep(posterior.mean, "mean", modality)
            keep(posterior.variance, "variance", modality)


def _observed(model: LatentModel, whole: dict[tuple[str, ...], Tensor]) -> Observed:
    result, weight = Observed(group=whole["group",]), whole.get(("weight",))
    for (kind, *name), values in whole.items():
        if kind == "score":
            result.scores.setdefault(name[0], {})[name[1]] = Scores(values, result.group, weight)
        elif kind == "mean":
            result.latents[name[0]] = Normal(values, whole["variance", name[0]])
        elif kind == "estimate":
            representation, reference = model.representations[name[1]], whole["reference", name[1]]
            true, named = representation.facets(reference), representation.facets(values)
            result.facets[name[0]] = {label: (true[label], named[label]) for label in true}
            polls = representation.poll(reference, values, whole["item",], result.group, weight)
            for label, (right, group) in polls.items():
                result.scores[name[0]][f"{label}_vote"] = Scores(right, group[:, None])
    return result


def estimate(scores: Scores, seed: int) -> Estimate:
    """Return the mean of scores with its 95 % interval: by bootstrap over groups, or where all is right, or all wrong, Wilson's.

    NaN where there is one group only. Where examples belong to groups of several kinds, as mixtures to notes of several
    instruments, ``groups`` is the least number.
    """
    value, groups = scores.mean, min(len(kind.unique()) for kind in scores.group.unbind(1))
    if groups == 1:  # of which nothing can be drawn anew
        low = high = math.nan
    elif value in (0.0, 1.0) and (scores.values == value).all():  # where drawing anew would always give the same
        low, high = metrics.wilson_interval(value, groups)
    else:
        low, high = metrics.bootstrap_interval(scores.values, scores.group, generator(seed, "bootstrap"), weight=scores.weight)
    return {"value": value, "low": low, "high": high, "n": len(scores.values), "groups": groups}


def estimates(observed: Observed, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """Return the estimate of every score of every translation."""
    return {name: {score: estimate(s, seed) for score, s in found.items()} for name, found in observed.scores.items()}


def means(observed: Observed) -> dict[str, float]:
    """Return the mean of every score, flat: ``signal_to_symbol.pitch``."""
    return {f"{name}.{score}": s.mean for name, found in observed.scores.items() for score, s in found.items()}


def confusions(observed: Observed) -> dict[str, dict[str, tuple[Tensor, tuple[str, ...]]]]:
    """Return for each translation and label how often each class (rows) was given each name (columns), (K, K), and the names."""
    return {name: {label: _confusion(*pair) for label, pair in found.items()} for name, found in observed.facets.items()}


def _confusion(true: Facet, named: Facet) -> tuple[Tensor, tuple[str, ...]]:
    size = len(true.names)
    return (true.ids * size + named.ids).bincount(minlength=size * size).view(size, size), true.names
