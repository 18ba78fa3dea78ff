"""Losses against closed forms and torch's own distributions."""

import math

import pytest
import torch
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence

from models import losses
from models.losses import Normal


def random_normal(*shape):
    return Normal(torch.randn(*shape, dtype=torch.float64), torch.rand(*shape, dtype=torch.float64) + 0.1)


def test_kl_to_the_prior_has_its_closed_form():
    q = Normal(torch.zeros(1, 1), torch.full((1, 1), 0.5))
    assert losses.kl(q).item() == pytest.approx(0.5 * (0.5 - 1 - math.log(0.5)))  # 0.0966: 0.5 is a variance


def test_kl_agrees_with_torch():
    torch.manual_seed(0)
    q, p = random_normal(5, 7), random_normal(5, 7)
    as_torch = [TorchNormal(n.mean, n.variance.sqrt()) for n in (q, p)]
    assert torch.allclose(losses.kl(q, p), kl_divergence(*as_torch).sum(-1), atol=1e-12)
    assert torch.allclose(losses.kl(q, Normal(torch.zeros(7), torch.ones(7))), losses.kl(q), atol=1e-12)
    assert torch.allclose(losses.kl(q, q), torch.zeros(5, dtype=torch.float64), atol=1e-12)


def test_gaussian_nll_agrees_with_torch():
    torch.manual_seed(0)
    p, x = random_normal(5, 7), torch.randn(5, 7, dtype=torch.float64)
    assert torch.allclose(losses.gaussian_nll(p, x), -TorchNormal(p.mean, p.variance.sqrt()).log_prob(x).sum(-1), atol=1e-12)


def test_categorical_nll_is_minus_the_log_probability():
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    assert losses.categorical_nll(probabilities.log(), torch.tensor([1])).item() == pytest.approx(-math.log(0.2))


def test_bernoulli_nll_sums_over_bits():
    nll = losses.bernoulli_nll(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]]))
    assert nll.item() == pytest.approx(3 * math.log(2))


def test_l2_is_the_squared_distance_of_means():
    q, p = Normal(torch.tensor([[1.0, 2.0]]), torch.ones(1, 2)), Normal(torch.tensor([[0.0, 4.0]]), torch.ones(1, 2))
    assert losses.l2(q, p).item() == 5.0


def test_samples_have_the_mean_and_variance():
    torch.manual_seed(0)
    drawn = Normal(torch.full((200_000,), 3.0), torch.full((200_000,), 0.25)).rsample()
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.01)
    assert drawn.var().item() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("step", "steps", "weight"), [(0, 0, 1.0), (0, 10, 0.0), (5, 10, 0.5), (10, 10, 1.0), (99, 10, 1.0)])
def test_warm_up(step, steps, weight):
    assert losses.warm_up(step, steps) == weight
