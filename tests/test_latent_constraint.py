"""The model of the latent constraint: its maps, its losses, and the base that stays as it is."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from models import losses
from models.latent_constraint_config import Config
from models.latent_constraint_nets import FLOOR, Encoder, Gated, Plain, decoder, stack
from models.latent_constraint_presets import PRESETS
from models.latent_constraint_vae import SmallVAE
from models.losses import Normal
from models.phrase import PHRASE
from models.run_folder import BEST
from models.runs import load_run
from tests.constraint_runs import APT, CRITIC, LINEAR, constraint, everything, make_base, make_constraint_run
from utils.checkpoint import load_state

SIZE, SMALL = 8, 2  # latents of the base, and of the small model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"), **APT)


def of_size(size, **changes):
    """Return the configuration of a model on a base with so many latents."""
    return replace(Config(), **{**changes, "base": {"latent_dim": size}})


def small(size=SIZE, **changes):
    """Return the maps alone, untrained."""
    torch.manual_seed(0)
    return SmallVAE(of_size(size, **{**PRESETS["tiny"], **changes}))


def answering(maps, posterior, made):
    """Let maps answer the same to everything; return what the encoder is given, as it comes."""
    seen = []
    maps.encoder.forward = lambda z: seen.append(z) or Normal(*(value.expand(len(z), -1) for value in posterior))
    maps.decoder.forward = lambda z: made.expand(len(z), -1)
    return seen


GIVEN = Normal(torch.randn(5, SIZE, generator=torch.Generator().manual_seed(1)), torch.rand(5, SIZE) + 0.1)
STANDARD = Normal(torch.zeros(1, SMALL), torch.ones(1, SMALL))


# -- maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "parameters"), [(256, 1_085_064), (512, 1_609_608)])
def test_midime_has_the_published_number_of_parameters(size, parameters):
    """1.09 and 1.61 million (specification, 4.1)."""
    with torch.device("meta"):
        made = SmallVAE(of_size(size, **PRESETS["midime"]))
    assert sum(p.numel() for p in made.parameters()) == parameters


def test_layers_begin_with_glorot_weights_and_no_bias():
    (layer, _) = stack(400, (300,))
    assert not layer.bias.any() and layer.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 700), rel=1e-3)


def test_a_posterior_is_a_mean_and_a_softplus():
    torch.manual_seed(0)
    made, z = Encoder("mlp", SIZE, (7, 5), SMALL), torch.randn(4, SIZE)
    first, _, second, _ = made.net.hidden
    told = made.net.out(second(first(z).relu()).relu())
    q = made(z)
    assert torch.allclose(q.mean, told[:, :SMALL]) and torch.allclose(
        q.variance.sqrt(), functional.softplus(told[:, SMALL:]) + FLOOR
    )
    far = made(torch.full((1, SIZE), 1e4))
    assert losses.kl(far).isfinite() and (far.variance >= 0.99 * FLOOR**2).all()


def test_a_linear_map_is_one():
    q, made = Encoder("linear", SIZE, (7, 5), SMALL), decoder("linear", SMALL, (7, 5), SIZE)
    assert [tuple(p.shape) for p in q.parameters()] == [(2 * SMALL, SIZE), (2 * SMALL,)]
    a, b = torch.randn(2, 3, SMALL)
    assert torch.allclose(made(a) + made(b), made(a + b) + made(torch.zeros(3, SMALL)), atol=1e-6)


def test_a_decoder_has_the_layers_in_reverse():
    assert [tuple(p.shape) for p in decoder("mlp", SMALL, (7, 5), SIZE).parameters() if p.dim() == 2] == [(5, 2), (7, 5), (8, 7)]


@pytest.mark.parametrize(("bias", "straight"), [(-100.0, True), (100.0, False)])
def test_a_gate_keeps_the_linear_map_or_lets_the_new_value_in(bias, straight):
    torch.manual_seed(0)
    made, x = Gated(SIZE, (7,), SMALL), torch.randn(4, SIZE)
    with torch.no_grad():
        made.out.bias[SMALL:] = bias
    new = made.out(made.hidden(x))[:, :SMALL]
    assert torch.allclose(made(x), made.straight(x) if straight else new, atol=1e-6)
    assert not torch.allclose(made.straight(x), new, atol=1e-2)


def test_a_gate_is_between():
    """(1 - g) A x + g d (specification, 4.3)."""
    torch.manual_seed(0)
    made, x = Gated(SIZE, (7,), SMALL), torch.randn(4, SIZE)
    new, gate = made.out(made.hidden(x)).split(SMALL, 1)
    g = 1 / (1 + (-gate).exp())
    assert torch.allclose(made(x), (1 - g) * made.straight(x) + g * new, atol=1e-6)


def test_a_kept_latent_is_the_identity_where_the_gate_is_shut():
    torch.manual_seed(0)
    made, x, label = Gated(SIZE, (7,), SIZE, told=3, kept=True), torch.randn(4, SIZE), torch.eye(3)[[0, 1, 2, 0]]
    with torch.no_grad():
        made.out.bias[SIZE:] = -100.0
    assert torch.equal(made(x, label), x)
    with torch.no_grad():
        made.out.bias[SIZE:] = 0.0
    assert not torch.allclose(made(x, label), made(x, torch.zeros(4, 3)))


def test_maps_of_half_precision_give_posteriors_in_full():
    made = Encoder("mlp", SIZE, (7,), SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        assert {part.dtype for part in made(torch.randn(2, SIZE))} == {torch.float32}
    assert Plain(SIZE, (), 3)(torch.randn(2, SIZE)).shape == (2, 3)


# -- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reconstruction", ["nll", "l2norm"])
def test_the_error_of_latents(reconstruction):
    maps, made = small(reconstruction=reconstruction).eval(), torch.linspace(-1, 1, SIZE)
    answering(maps, STANDARD, made)
    squared = (GIVEN.mean - made).square().sum(1)
    expected = squared.mean() / 2 if reconstruction == "nll" else squared.sqrt().mean()
    found = maps.loss(GIVEN, {}, None, 0, "vae")
    assert found.terms["nll_latent"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found.terms["kl_phrase"] == 0 and found.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_distance_has_a_gradient_where_it_is_none():
    maps, made = small(reconstruction="l2norm").eval(), GIVEN.mean[:1].clone().requires_grad_()
    answering(maps, STANDARD, made)
    maps.loss(Normal(GIVEN.mean[:1], GIVEN.variance[:1]), {}, None, 0, "vae").total.backward()
    assert made.grad.isfinite().all()


@pytest.mark.parametrize(("bits", "cost"), [(0.0, 40.0), (48.0, 6.7289), (80.0, 0.0)])
@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (50, 0.5), (100, 1.0), (2**31, 1.0)])
def test_divergence_free_bits_and_beta(bits, cost, step, share):
    """A KL of 40 nats with 48 free bits costs 6.73 nats (specification, 10, check 3)."""
    maps = small(beta=0.2, beta_steps=100, free_bits=bits).eval()
    answering(maps, Normal(torch.full((1, SMALL), math.sqrt(40.0)), torch.ones(1, SMALL)), torch.zeros(SIZE))
    found = maps.loss(GIVEN, {}, None, step, "vae")
    assert found.terms["kl_phrase"].item() == pytest.approx(40, rel=1e-5)
    assert found.terms["kl_beyond_free"].item() == pytest.approx(cost, abs=1e-3)
    assert found.terms["beta"].item() == pytest.approx(0.2 * share)
    expected = GIVEN.mean.square().sum(1).mean().item() / 2 + 0.2 * share * cost
    assert found.total.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (100, 0.001), (1000, 0.00995), (2**31, 1.0)])
def test_beta_may_rise_by_a_rate(step, share):
    """As of the published fork, whose divergence hardly counts at 1000 steps (specification, 4.1)."""
    maps = small(beta=0.5, beta_steps=0, beta_rate=0.99999).eval()
    assert maps.loss(GIVEN, {}, None, step, "vae").terms["beta"].item() == pytest.approx(0.5 * share, rel=1e-3)


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.5])
def test_noise_is_as_wide_as_the_posterior_says_and_only_in_training(noise):
    maps, given = small(noise=noise), Normal(torch.randn(4000, SIZE), torch.rand(4000, SIZE) + 0.1)
    seen = answering(maps, STANDARD, torch.zeros(SIZE))
    error = maps.train().loss(given, {}, None, 0, "vae").terms["nll_latent"]
    read = (seen[0] - given.mean) / given.variance.sqrt()
    assert read.std().item() == pytest.approx(noise, rel=0.03) and abs(read.mean().item()) < 0.03 * max(noise, 1e-9)
    assert torch.allclose(error, given.mean.square().sum(1).mean() / 2)  # the target is without
    maps.eval().loss(given, {}, None, 0, "vae")
    assert torch.equal(seen[1], given.mean)


def test_latents_are_drawn_in_training_alone():
    maps = small()
    losses_of = [maps.loss(GIVEN, {}, None, 0, "vae").total.item() for _ in range(2)]
    maps.eval()
    assert losses_of[0] != losses_of[1]
    assert maps.loss(GIVEN, {}, None, 0, "vae").total == maps.loss(GIVEN, {}, None, 0, "vae").total


def test_phrases_may_count_too(base):
    plain, told = constraint(base), constraint(base, sequence_loss=0.5)
    batch = {name: values[:6] for name, values in everything(told).items()}
    before = {name: tensor.clone() for name, tensor in told.base.state_dict().items()}
    found = told(batch, 0)
    z = told.to_base(told.encode(batch[PHRASE], PHRASE).mean)
    assert found.terms["nll_phrase"].item() == pytest.approx(told.base.explain(z, batch[PHRASE]).mean().item(), rel=1e-5)
    assert found.total.item() == pytest.approx(plain(batch, 0).total.item() + 0.5 * found.terms["nll_phrase"].item(), rel=1e-5)
    told.constraint.zero_grad()
    found.terms["nll_phrase"].backward()
    assert all(p.grad.abs().sum() > 0 for name, p in told.named_parameters() if name.endswith("weight"))
    assert all(p.grad is None for p in told.base.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in told.base.state_dict().items())


# -- what is left open ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 20, 45])
def test_errors_of_late_are_a_running_mean(steps):
    """The mean of all of the first 20 steps; from then on each new one counts a twentieth. Evaluation changes nothing."""
    maps, errors = small(), torch.rand(steps, SIZE, generator=torch.Generator().manual_seed(2)) * torch.arange(1, SIZE + 1)
    answering(maps, STANDARD, torch.zeros(SIZE))
    assert torch.equal(maps.residual, torch.ones(SIZE))
    for step, squares in enumerate(errors):
        apart = (squares * torch.tensor([[0.0], [2.0], [0.5], [1.5]])).sqrt()  # on average `squares`
        given = Normal(apart * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.ones(4, SIZE))
        maps.train().loss(given, {}, None, step, "vae")
        maps.eval().loss(Normal(100 * apart, given.variance), {}, None, step, "vae")
    first = min(steps, 20)
    weights = [0.95 ** (steps - first) / first] * first + [0.05 * 0.95 ** (steps - 1 - step) for step in range(20, steps)]
    expected = (torch.tensor(weights)[:, None] * errors).sum(0)
    assert sum(weights) == pytest.approx(1)
    assert torch.allclose(maps.squares, expected, rtol=1e-5) and torch.allclose(maps.residual, expected.sqrt(), rtol=1e-5)
    assert not maps.squares.requires_grad and "squares" in maps.state_dict()


@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
def test_draws_scatter_as_widely_as_is_kept(base, spread):
    made = constraint(base)
    deviations = torch.linspace(0.1, 2, SIZE)
    made.constraint.squares.copy_(deviations.square())
    z = torch.tensor([[1.0, -2.0]]).expand(20_000, -1)
    with torch.no_grad():
        centre, found = made.to_base(z), made.scattered(z, spread, torch.Generator().manual_seed(0))
        again = made.scattered(z, 2 * spread, torch.Generator().manual_seed(0))
    apart = found - centre
    assert torch.allclose(apart.std(0), spread * deviations, rtol=0.02)
    assert (apart.mean(0).abs() <= 0.03 * spread * deviations).all()
    assert torch.equal(found, centre) == (spread == 0) and torch.allclose(again - centre, 2 * apart, atol=1e-5)
    if spread:
        assert (torch.corrcoef(apart.T) - torch.eye(SIZE)).abs().max() < 0.03


def test_what_an_actor_leaves_open_is_not_known(base):
    assert constraint(base, **CRITIC).residual is None


# -- on its base ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [{}, LINEAR, {"form": "gated"}, CRITIC], ids=["mlp", "linear", "gated", "actor"])
def test_everything_goes_through_the_base(base, words):
    made = constraint(base, **words)
    batch = everything(made)
    x, z = batch[PHRASE], made.sample(3, torch.Generator().manual_seed(0))
    assert z.shape == (3, *made.latent_shape) == (3, SIZE if words is CRITIC else SMALL)
    moved = made.to_base(z)
    assert moved.shape == (3, SIZE)
    with torch.no_grad():
        for temperature in (0.0, 1.0):
            random = [torch.Generator().manual_seed(5) for _ in range(2)]
            mine, own = (
                m.decode(of, PHRASE, None, temperature, r) for m, of, r in zip((made, made.base), (z, moved), random, strict=True)
            )
            assert torch.equal(mine, own)
        q, z = made.encode(x, PHRASE), made.encode(x, PHRASE).mean
        assert torch.allclose(made.posterior(batch).mean, made.posterior({PHRASE: x}).mean, atol=1e-6)  # kept, and encoded now
        assert torch.equal(made.explain(z, x), made.base.explain(made.to_base(z), x))
        assert torch.allclose(made.nll(x, PHRASE, x, PHRASE), made.explain(z, x) / x.shape[1])
        assert torch.equal(made.told(x), made.base.told(x, made.to_base(z))) and made.told(x, z).shape == x.shape
        draws = [made.bound(batch, torch.Generator().manual_seed(seed)) for seed in range(50)]
    assert torch.allclose(draws[0]["kl_phrase"], losses.kl(q))
    weight = torch.stack([draw["log_weight"] for draw in draws]).mean()
    assert weight.item() == pytest.approx(-torch.stack([d["nll"] + d["kl_phrase"] for d in draws]).mean().item(), rel=0.05)
    assert made.facets(batch).keys() == made.base.facets(batch).keys()


@pytest.mark.parametrize("words", [{}, {"sequence_loss": 0.1}, CRITIC], ids=["plain", "phrases", "critic"])
def test_the_base_is_neither_trained_nor_saved(base, tmp_path, words):
    run = make_constraint_run(tmp_path / "run", base, **words)
    made, whole = load_run(run), load_run(base)
    assert all(torch.equal(a, b) for a, b in zip(made.base.state_dict().values(), whole.state_dict().values(), strict=True))
    saved = load_state(run / BEST)["model"]
    assert saved.keys() == made.state_dict().keys() and all(name.startswith("constraint.") for name in saved)
    assert (run / BEST).stat().st_size < 4 * sum(t.numel() for t in saved.values()) + 8000
    assert not any(p.requires_grad for p in made.base.parameters()) and "base" not in dict(made.named_modules())
    made.train()
    assert made.constraint.training and not made.base.training


# -- what it is for ---------------------------------------------------------------------------------------------------


def r_squared(maps, z):
    """Return the share of the variance of latents (N, Z) that is there after they were made anew."""
    error = (maps.to_base(maps.posterior(Normal(z, torch.ones_like(z))).mean, None) - z).square().sum()
    return 1 - (error / (z - z.mean(0)).square().sum()).item()


def nearest(draws, z):
    return torch.cdist(draws, z).min(1).values.mean().item()


def test_32_latents_of_a_surface_are_learned():
    """Specification, 10, check 9: R^2 rises, and draws are nearer than those of the prior."""
    random = torch.Generator().manual_seed(0)
    hidden, out = torch.randn(2, 16, generator=random), torch.randn(16, 32, generator=random) / 2
    z = torch.tanh(torch.randn(32, 2, generator=random) @ hidden) @ out
    maps = small(32, hidden=(64, 32), beta_steps=100)
    given, optimizer = Normal(z, torch.full_like(z, 0.01)), torch.optim.Adam(maps.parameters(), 3e-3)
    found = []
    for step in range(301):
        if step % 150 == 0:
            with torch.no_grad():
                found.append(r_squared(maps, z))
        optimizer.zero_grad()
        maps.loss(given, {}, None, step, "vae").total.backward()
        optimizer.step()
    assert found[0] < 0.2 and found[0] < found[1] and found[2] > 0.7
    with torch.no_grad():
        drawn = maps.to_base(torch.randn(200, SMALL, generator=random), None)
    assert nearest(drawn, z) < 0.5 * nearest(torch.randn(200, 32, generator=random), z)
