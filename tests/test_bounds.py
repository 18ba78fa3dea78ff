"""Bounds of the likelihood: closed forms, orders, totals over steps."""

import math

import pytest
import torch
from torch.nn import functional

from models.bounds import bounds
from models.classifying import Model
from models.score import ScoreModel
from tests.classifying_runs import EVERY, ident, make_model, windows
from utils.device import generator

LENGTHS = (4, 2, 1, 4)


def silence_latents(model: Model, gain: float = 0.0) -> None:
    """Let the decoder hear latents, and what it is told, by a factor only: 0 for nothing of them."""
    with torch.no_grad():
        model.body.output.weight *= gain
        model.body.output.bias.copy_(torch.linspace(-4, 2, len(model.body.output.bias)))


def set_prior(model: Model) -> None:
    """Let posteriors be the standard normal."""
    heads = [model.body.posterior, *([model.key_encoder.head] if model.classes else [])]
    with torch.no_grad():
        for parameter in (p for head in heads for p in head.parameters()):
            parameter.zero_()


def nll_by_hand(model: Model, batch) -> float:
    """Return the total -ln p of the steps that exist, under keys that depend on nothing."""
    score = batch["score"][:, model.config.lag :]
    there = score[..., 0] >= 0
    logits = model.body.output.bias.view(-1, 88).expand(score.shape[1], 88)
    chance = torch.sigmoid(logits.double())
    bits = score.double()
    nll = -(bits * chance.log() + (1 - bits) * (1 - chance).log()).sum(-1)
    return nll[there].sum().item()


def lengths_of(model: Model) -> tuple[int, ...]:
    return LENGTHS if model.config.seq_length == 4 else (1,) * 4


@pytest.mark.parametrize("changes", EVERY, ids=ident)
@pytest.mark.parametrize("lag", ["", "use_x_prev", "predict_next"])
def test_a_decoder_that_ignores_its_latents_has_a_closed_form(changes, lag):
    model = make_model(**changes, **({lag: True} if lag else {}))
    silence_latents(model)
    batch = windows(model, *lengths_of(model))
    steps = sum(lengths_of(model))
    found = bounds(model, [batch], 3, 0)
    assert set(found) == {"nll", "kl_score", "bound", "bound_3"} | ({"kl_key"} if changes["classify"] else set())
    assert found["nll"]["value"] == pytest.approx(nll_by_hand(model, batch) / steps, rel=1e-5)
    divergences = sum(found[name]["value"] for name in found if name.startswith("kl_"))
    assert divergences > 0
    assert found["bound"]["value"] == pytest.approx(found["nll"]["value"] + divergences)
    set_prior(model)
    exact = nll_by_hand(model, batch) / steps
    for draws in (1, 2, 7):  # the posterior is the true one, so every bound is the likelihood itself
        found = bounds(model, [batch], draws, 0)
        assert found["bound"]["value"] == pytest.approx(exact, rel=1e-5)
        assert found[f"bound_{draws}"]["value"] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    "changes", [*EVERY, {"model": "lstm", "classify": True, "prior": "learned", "output": "autoregressive"}], ids=ident
)
def test_importance_weights_tighten_the_bound(changes):
    """In expectation: of the mean of many draws, with latents that matter."""
    model = make_model(**changes, use_x_prev=True)
    silence_latents(model, 5.0)
    batch = windows(model, *lengths_of(model))
    means = [[], []]
    for seed in range(3):
        found = bounds(model, [batch], 16, seed)
        means[0].append(found["bound"]["value"])
        means[1].append(found["bound_16"]["value"])
    assert sum(means[1]) < sum(means[0])


def test_one_weight_is_the_bound_in_expectation():
    """With one draw, ln p(x, z) / q(z) has the bound as its mean."""
    model = make_model(model="lstm", use_x_prev=True)
    batch = windows(model, *[4] * 1000)
    with torch.no_grad():
        terms = model.bound(batch, generator("x"))
    difference = -terms["log_weight"] - terms["nll"] - terms["kl_score"] - terms["kl_key"]
    assert difference.std() > 0
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(difference))


def test_the_log_weight_by_hand():
    """ln p(x | z, u) + ln p(z) - ln q(z) + ln p(u) - ln q(u), of the draws that the generator makes."""
    model = make_model(model="vae", use_x_prev=True, w_log_var_prior=0.7)
    batch = windows(model, 1, 1, 1)
    with torch.no_grad():
        terms = model.bound(batch, generator("x"))
        random = generator("x")
        history, x = batch["score"][:, 0], batch["score"][:, 1]
        key = model.key_encoder(x[:, None])
        u = key.mean + key.variance.sqrt() * torch.randn(3, 2, generator=random)
        w = torch.cat([u, torch.zeros(3, 1)], 1).softmax(1)
        q, _ = model.body.infer(x[:, None], w, model.body.start(x))
        z = q.mean + q.variance.sqrt() * torch.randn(3, 1, 3, generator=random)
        logits = model.body.output(model.body.decode_hidden(torch.cat([w, history, z[:, 0]], 1)))

    def log_density(mean, variance, value):
        return torch.distributions.Normal(mean, variance.sqrt()).log_prob(value).sum(-1)

    nll = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    weight = log_density(torch.zeros(2), torch.full((2,), math.exp(0.7)), u) - log_density(key.mean, key.variance, u)
    weight += log_density(torch.zeros(3), torch.ones(3), z[:, 0]) - log_density(q.mean[:, 0], q.variance[:, 0], z[:, 0])
    assert torch.allclose(terms["nll"], nll, rtol=1e-5)
    assert torch.allclose(terms["log_weight"], weight - nll, rtol=1e-4)


class Told(ScoreModel):
    """Windows whose terms are known: -ln p is the number of the window, whatever is drawn."""

    def __init__(self):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.latent_shape = (1,)

    def bound(self, batch, random, condition=None):
        nll = batch["score"].double()
        return {"nll": nll, "kl_score": torch.ones_like(nll), "log_weight": -nll}


def test_totals_are_divided_by_all_steps():
    """It is no mean of windows: 10 nats in 4 steps and 6 in 1 are 16 / 5 a step, over all batches."""
    one = {"score": torch.tensor([10.0]), "weight": torch.tensor([4.0]).double(), "group": torch.tensor([[0]])}
    other = {"score": torch.tensor([6.0]), "weight": torch.tensor([1.0]).double(), "group": torch.tensor([[1]])}
    found = bounds(Told(), [one, other], 4, 0)
    assert found["nll"]["value"] == pytest.approx(16 / 5)
    assert found["kl_score"]["value"] == pytest.approx(2 / 5)
    assert found["bound"]["value"] == pytest.approx(18 / 5)
    assert found["bound_4"]["value"] == pytest.approx(16 / 5)
    assert (found["nll"]["n"], found["nll"]["groups"]) == (2, 2)
    assert (found["nll"]["low"], found["nll"]["high"]) == pytest.approx((10 / 4, 6))


def test_batches_change_nothing_but_the_noise():
    model = make_model(model="lstm")
    silence_latents(model)
    set_prior(model)
    batch = windows(model, *LENGTHS)
    halves = [{name: value[part] for name, value in batch.items()} for part in (slice(0, 2), slice(2, 4))]
    whole, split = bounds(model, [batch], 2, 0), bounds(model, halves, 2, 0)
    assert all(whole[name] == pytest.approx(split[name], rel=1e-6) for name in whole)


@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_a_told_key_costs_nothing(name):
    model = make_model(model=name)
    batch = windows(model, *lengths_of(model))
    inferred, told = bounds(model, [batch], 4, 0), bounds(model, [batch], 4, 0, "key")
    assert set(inferred) - set(told) == {"kl_key"}
    assert told["bound"]["value"] == pytest.approx(told["nll"]["value"] + told["kl_score"]["value"])
    with torch.no_grad():
        model.usual.copy_(torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))
    assert bounds(model, [batch], 4, 0, "key")["bound"]["value"] != told["bound"]["value"]


def test_bounds_repeat_for_a_seed():
    model = make_model(model="lstm")
    batch = windows(model, *LENGTHS)
    assert bounds(model, [batch], 2, 3) == bounds(model, [batch], 2, 3)
    assert bounds(model, [batch], 2, 3) != bounds(model, [batch], 2, 4)
