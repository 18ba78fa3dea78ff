"""Bounds of the likelihood of scores or phrases, a step, over all windows of a split.

The evidence lower bound, and the tighter one of importance weights: Burda, Grosse and Salakhutdinov, "Importance weighted
autoencoders", 2016, section 3. Totals over windows are divided by the number of steps: it is no mean of the means of pieces.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from data.keys import KEY
from models.epochs import on_device
from models.evaluation import Estimate, Scores, estimate
from models.phrase import PhraseModel
from models.score import ScoreModel
from utils.device import generator

BOUNDS = {"score_bound": "", "score_bound_key_told": KEY}  # section of results -> what the model is told


@torch.no_grad()
def bounds(
    model: ScoreModel | PhraseModel, examples: Iterable[dict[str, Tensor]], draws: int, seed: int, label: str = ""
) -> dict[str, Estimate]:
    """Return estimates in nats a step of ``nll``, ``kl_...``, ``bound``, their sum, and ``bound_K`` of K = `draws` weights.

    Parameters
    ----------
    examples : batches of windows. Of scores they hold every step once; phrases overlap, and count as often as they are there.
    label : what the model is told of each window; by itself nothing.
    """
    parts: dict[str, list[Tensor]] = {}
    for count, batch in enumerate(examples):
        found = window_bounds(model, on_device(batch, model.device), draws, generator(seed, "bounds", count), label)
        for name, values in found.items():
            parts.setdefault(name, []).append(values.cpu())
        for name in ("group", "weight"):
            parts.setdefault(name, []).append(batch[name])
    whole = {name: torch.cat(tensors) for name, tensors in parts.items()}
    group, steps = whole.pop("group"), whole.pop("weight")
    return {name: estimate(Scores(values / steps, group, steps), seed) for name, values in whole.items()}


def window_bounds(
    model: ScoreModel | PhraseModel, batch: dict[str, Tensor], draws: int, random: torch.Generator, label: str = ""
) -> dict[str, Tensor]:
    """Return the bounds and terms of the windows of a batch, (B,) each, in nats, summed over steps; see `bounds`."""
    told = batch[label].argmax(-1)[:, None] if label else None
    drawn = [model.bound(batch, random, told) for _ in range(draws if model.latent_shape else 1)]  # without latents all are one
    terms = {name: torch.stack([draw[name] for draw in drawn]).double() for name in drawn[0]}  # (draws, B)
    weights = terms.pop("log_weight")
    means = {name: values.mean(0) for name, values in terms.items()}
    return means | {"bound": sum(means.values()), f"bound_{draws}": math.log(len(drawn)) - weights.logsumexp(0)}
