"""Distributions and losses: one number per example, shape (B,), in nats. Sums over features, so that the terms of a bound add up.

The bound and the Gaussian terms: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, section 2.2 and appendix B.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LOG_TWO_PI = math.log(2 * math.pi)
BIT = math.log(2)  # nats


class Normal(NamedTuple):
    """A diagonal Gaussian; `mean` and `variance` have one shape, the event in the last dimension."""

    mean: Tensor
    variance: Tensor

    def rsample(self) -> Tensor:
        """Draw a sample through which gradients flow (the reparametrisation of Kingma and Welling, section 2.4)."""
        return self.mean + self.variance.sqrt() * torch.randn_like(self.mean)


def gaussian_nll(p: Normal, x: Tensor) -> Tensor:
    """Return -ln p(x) summed over the last dimension, (B,) for `x` (B, F)."""
    return 0.5 * (p.variance.log() + (x - p.mean).square() / p.variance + LOG_TWO_PI).sum(-1)


def kl(q: Normal, p: Normal | None = None) -> Tensor:
    """Return KL(q || p) in nats summed over the last dimension; `p` is the standard normal when not given."""
    if p is None:
        return 0.5 * (q.variance + q.mean.square() - 1 - q.variance.log()).sum(-1)
    ratio = q.variance / p.variance
    return 0.5 * (ratio + (q.mean - p.mean).square() / p.variance - 1 - ratio.log()).sum(-1)


def l2(q: Normal, p: Normal) -> Tensor:
    """Return the squared distance of the means, summed over the last dimension."""
    return (q.mean - p.mean).square().sum(-1)


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distance of `x` and `y` (B, F), (B,)."""
    return (x - y).square().sum(-1)


def categorical_nll(logits: Tensor, classes: Tensor) -> Tensor:
    """Return -ln p(class), (B,), for `logits` (B, K) and `classes` (B,)."""
    return functional.cross_entropy(logits, classes, reduction="none")


def bernoulli_nll(logits: Tensor, bits: Tensor) -> Tensor:
    """Return -ln p(bits) summed over the last dimension, (B,), for `logits` and `bits` (B, K)."""
    return functional.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(-1)


def warm_up(step: int, steps: int) -> float:
    """Return a weight that rises linearly from 0 to 1 over `steps` updates; 1 at once where `steps` is 0."""
    return min(step / steps, 1.0) if steps else 1.0
