"""Attribute vectors: directions in a latent space in which phrases have more of something.

Roberts, Engel, Raffel, Hawthorne and Eck, "A hierarchical latent vector model for learning long-term structure in music", 2018
(arXiv 1803.05428), section 5: the mean latent of phrases with much of an attribute less that of phrases with little.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import measure
from models.epochs import on_device
from models.phrase import PHRASE, PhraseModel

PART = 4  # phrases with much are one of so many, and so are those with little


class Found(NamedTuple):
    """Attribute vectors, and what attributes are at their ends: means over the phrases with little, and with much."""

    vectors: dict[str, Tensor]  # (Z,) each, on the CPU
    little: dict[str, float]
    much: dict[str, float]


@torch.no_grad()
def vectors(model: PhraseModel, examples: Iterable[dict[str, Tensor]]) -> Found:
    """Return the vector of each attribute by which phrases differ; the quarters with most and least are compared."""
    means, values = [], []
    for batch in examples:
        means.append(model.encode(on_device(batch, model.device)[PHRASE], PHRASE).mean.cpu())
        values.append(measure(model.config.kind, model.representations[PHRASE].standard(batch[PHRASE])))
    mean, found = torch.cat(means), Found({}, {}, {})
    for name in values[0]:
        value = torch.cat([part[name] for part in values])
        order, n = value.argsort(stable=True), max(1, len(value) // PART)
        least, most = order[:n], order[-n:]
        little, much = value[least].mean().item(), value[most].mean().item()
        if much > little:
            found.vectors[name] = mean[most].mean(0) - mean[least].mean(0)
            found.little[name], found.much[name] = little, much
    return found
