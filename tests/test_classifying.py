"""The classifying system: windows, losses, translations."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from models.classifying import annealed
from models.epochs import LATE
from tests.classifying_runs import EVERY, NAMES, ident, make_model, rolls, windows
from utils.device import generator

LAGS = [{}, {"use_x_prev": True}, {"predict_next": True}]
MODEL = functools.cache(make_model)
WAYS = [{**base, **lag} for base in EVERY for lag in LAGS]


def whole(model, n=3, seed=0):
    return windows(model, *[model.config.seq_length] * n, seed=seed)


# -- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "inputs", "history", "targets"),
    [
        ({}, [0, 1, 2, 3], [], [0, 1, 2, 3]),
        ({"use_x_prev": True}, [1, 2, 3, 4], [0, 1, 2, 3], [1, 2, 3, 4]),
        ({"predict_next": True}, [0, 1, 2, 3], [], [1, 2, 3, 4]),
    ],
    ids=["plain", "use_x_prev", "predict_next"],
)
def test_which_frames_are_inputs_history_and_targets(changes, inputs, history, targets):
    """Section 3.5 of the program."""
    model = make_model(**changes)
    score = whole(model)["score"]
    parts = model._parts(score)
    assert torch.equal(parts.inputs, score[:, inputs])
    assert torch.equal(parts.targets, score[:, targets])
    assert torch.equal(parts.history, score[:, history] if history else score[:, :4, :0])
    assert parts.there.tolist() == [[1] * 4] * 3


def test_beyond_the_end_is_silence_that_does_not_count():
    model = make_model(use_x_prev=True)
    score = windows(model, 2, 4)["score"]
    parts = model._parts(score)
    assert parts.there.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert all(part.min() == 0 for part in (parts.inputs, parts.history, parts.targets))
    assert torch.equal(parts.inputs[0, :2], score[0, 1:3])


@pytest.mark.parametrize("changes", WAYS, ids=ident)
def test_steps_beyond_the_end_cost_nothing(changes):
    model = make_model(**changes, seq_length=4)
    parts = model._parts(windows(model, 1, 3)["score"])
    found = model._explain(parts, torch.full((2, model.classes), 1 / 3), generator("x"))
    assert not found.nll[parts.there == 0].any() and found.nll[parts.there == 1].all()
    if changes["model"] == "lstm":
        assert not found.kl[parts.there == 0].any() and not found.log_ratio[parts.there == 0].any()


@pytest.mark.parametrize("lag", LAGS, ids=ident)
def test_short_windows_of_sequences_cost_what_their_frames_do(lag):
    """Without a key, a window of 2 steps in the room of 4 is a window of 2."""
    short, long = (make_model(classify=False, seq_length=n, **lag) for n in (2, 4))
    short.load_state_dict(long.state_dict())
    batch = windows(long, 2, 2, 2)["score"]
    cut = batch[:, : long.config.lag + 2]
    assert torch.allclose(long.nll(batch, "score", batch, "score"), short.nll(cut, "score", cut, "score"), rtol=1e-5)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_weights_of_extreme_logits_are_finite():
    model = make_model()
    weights = model.weights(torch.tensor([[1e4, 0.0], [-1e4, -1e4], [0.0, 1e4], [0.0, 0.0], [1e4, 1e4]]))
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1 / 3] * 3, [0.5, 0.5, 0]]
    assert torch.allclose(weights, torch.tensor(expected))


@settings(max_examples=30)
@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=2))
def test_weights_are_a_softmax_whose_last_logit_is_zero(u):
    logits = torch.tensor([*u, 0.0], dtype=torch.double)
    weights = MODEL().weights(torch.tensor(u, dtype=torch.double))
    assert weights.sum().item() == pytest.approx(1)
    ratios = (logits - logits.max()).exp()
    assert weights.tolist() == pytest.approx((ratios / ratios.sum()).tolist())


@pytest.mark.parametrize("p", [0.0, 0.7, -2.0])
@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_the_divergence_of_the_key_has_its_closed_form(name, p):
    """Section 5.1: 1/2 sum(p - v - 1 + (e^v + m^2) e^-p)."""
    model = make_model(model=name, w_log_var_prior=p)
    batch = whole(model)
    m, variance = model.key_encoder(batch["score"])
    v = variance.log()
    expected = 0.5 * (p - v - 1 + (v.exp() + m**2) * math.exp(-p)).sum(1)
    assert model(batch).terms["kl_key"].item() == pytest.approx(expected.mean().item(), rel=1e-5)
    assert model.bound(batch, generator("x"))["kl_key"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


# -- losses -----------------------------------------------------------------------------------------------------------


def by_hand(model, batch, bz=1.0, bw=1.0):
    """Return the loss of section 5.1 by its formulas, with the draws of an evaluation."""
    config, parts, random = model.config, model._parts(batch["score"]), generator("evaluation", batch["score"].sum().item())
    n, frames = len(parts.inputs), parts.there.sum(1)
    m, v = model.key_encoder(parts.inputs)
    u = m + v.sqrt() * torch.randn(n, 2, generator=random)
    w = torch.cat([u, torch.zeros(n, 1)], 1).softmax(1)
    start = model.body.start(w)
    mu, variance = model.body.infer(parts.inputs, w, start)[0]
    z = mu + variance.sqrt() * torch.randn(mu.shape, generator=random)
    chance = model.body.emit(z, parts.history, w, start)[0].double().sigmoid()
    r = -(parts.targets * chance.log() + (1 - parts.targets) * (1 - chance).log()).sum(2)
    kl = 0.5 * (mu**2 + variance - 1 - variance.log()).sum(2)
    c = -(w * batch["key"]).sum(1).log()
    kl_w = 0.5 * (v.log().neg() - 1 + v + m**2).sum(1)
    each, counted = (frames, parts.there) if config.model == "lstm" else (torch.ones(n), torch.ones(n, 1))
    share = each if config.scale_w else 1
    r, kl = (r * parts.there).sum(1) / each, (kl * counted).sum(1) / each
    return (r + bz * kl + bw * kl_w / share + config.class_weight * 2 * c / share).mean().item()


@pytest.mark.parametrize("changes", LAGS, ids=ident)
@pytest.mark.parametrize("name", ["vae", "lstm"])
@pytest.mark.parametrize("scale_w", [False, True])
def test_the_loss_by_hand(changes, name, scale_w):
    model = make_model(model=name, class_weight=0.3, scale_w=scale_w, seq_length=4, **changes)
    batch = windows(model, 4, 1, 3)
    losses = model(batch, LATE)
    assert losses.total.item() == pytest.approx(by_hand(model, batch), rel=1e-5)
    terms = {"nll_score", "kl_score", "kl_key", "nll_key", "right_key"}
    assert losses.terms.keys() == terms
    assert all(term.ndim == 0 for term in losses.terms.values())


def test_the_key_is_divided_by_frames_only_if_asked():
    """Frames are means over the steps; the key's terms are of a window."""
    faithful, scaled = (make_model(scale_w=scale_w) for scale_w in (False, True))
    batch = whole(faithful)
    a, b = faithful(batch).terms, scaled(batch).terms
    assert all(a[name].item() == pytest.approx(4 * b[name].item()) for name in ("kl_key", "nll_key"))
    assert all(torch.equal(a[name], b[name]) for name in ("nll_score", "kl_score", "right_key"))


def test_annealing_by_epochs():
    """Section 5.2."""
    assert [annealed(e, 4, 0.1) for e in range(6)] == pytest.approx([0.1, 0.325, 0.55, 0.775, 1, 1])
    assert [annealed(e, 2, 0.0) for e in range(4)] == [0, 0.5, 1, 1]
    assert [annealed(e, 0, 0.1) for e in range(2)] == [1, 1]


@pytest.mark.parametrize("step", range(10))
def test_weights_rise_an_epoch_at_a_time(step):
    model = make_model(kl_anneal=3, w_kl_anneal=2, windows=8, batch_size=4)  # 2 steps an epoch
    batch, epoch = whole(model), step // 2
    assert model.config.epoch_steps == 2
    assert model(batch, step).total.item() == pytest.approx(
        by_hand(model, batch, min(1, 0.1 + 0.3 * epoch), min(1, epoch / 2)), rel=1e-5
    )


@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_without_a_key_there_are_no_terms_of_it(name):
    model = make_model(model=name, classify=False)
    losses = model(whole(model))
    assert losses.terms.keys() == {"nll_score", "kl_score"}
    assert torch.allclose(losses.total, losses.terms["nll_score"] + losses.terms["kl_score"])
    assert not hasattr(model, "key_encoder") and "key" not in model.representations


def test_evaluation_always_draws_the_same_and_training_never():
    model = make_model()
    batch = whole(model)
    assert torch.equal(model(batch).total, model(batch).total)
    model.train()
    assert not torch.equal(model(batch).total, model(batch).total)


# -- what is usual in a class -----------------------------------------------------------------------------------------


def test_usual_weights_are_those_of_a_class_in_training():
    model = make_model()
    batch = whole(model)  # a window in each class
    model(batch)
    assert torch.equal(model.usual, torch.full((3, 3), 1 / 3))
    weights = model.weights(model.key_encoder(batch["score"]).mean).detach()
    model.train()
    model(batch)
    kept = math.exp(-1 / 2)  # there are two windows of each class in an epoch
    assert torch.allclose(model.usual, kept / 3 + (1 - kept) * weights)
    for _ in range(30):
        model._remember(weights, batch["key"])
    assert torch.allclose(model.usual, weights, atol=1e-4)
    assert torch.allclose(model.usual.sum(1), torch.ones(3))


def test_rare_classes_are_remembered_as_well_as_common_ones():
    model = make_model(class_windows=[1000, 10, 1])
    weights = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    for _ in range(8):  # epochs
        for ids in [[0] * 100] * 10 + [[1] * 10] + [[2]]:
            model._remember(weights[ids], torch.eye(3)[ids])
    assert torch.allclose(model.usual, weights, atol=1e-3)


def test_classes_that_do_not_occur_stay_as_they_are_and_many_windows_count_more():
    model = make_model()
    weights = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    model._remember(weights, torch.eye(3)[[1, 1, 2]])
    assert torch.equal(model.usual[0], torch.full((3,), 1 / 3))
    mean = torch.tensor([0.7, 0.15, 0.15])
    assert torch.allclose(model.usual[1], mean + (1 / 3 - mean) * math.exp(-1))
    assert torch.allclose(model.usual[2], weights[2] + (1 / 3 - weights[2]) * math.exp(-1 / 2))


def test_usual_weights_are_saved():
    model, other = make_model(), make_model(seq_length=4)
    model.usual.copy_(torch.rand(3, 3))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.usual, model.usual)
    batch = whole(model)
    assert torch.equal(other(batch).total, model(batch).total)


# -- translations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", WAYS, ids=ident)
@pytest.mark.parametrize("length", [1, 4])
def test_shapes(changes, length):
    model = make_model(**changes, seq_length=length)
    batch, config = whole(model), model.config
    n = (2 if config.classify else 0) + 3 * (length if config.model == "lstm" else 1)
    assert model.latent_shape == (n,)
    q = model.encode(batch["score"], "score")
    assert q.mean.shape == q.variance.shape == (3, n)
    assert (q.variance > 0).all()
    assert model.representations["score"].shape == batch["score"].shape[1:] == (config.lag + length, 88)
    for z in (q.mean, model.sample(3, generator("x"))):
        decoded = model.decode(z, "score")
        assert decoded.shape == batch["score"].shape
        assert set(decoded.unique().tolist()) <= {0, 1} and not decoded[:, : config.lag].any()
        assert model.decode(z, "score", temperature=1.0).shape == batch["score"].shape
    told = ["score", "key"] if config.classify else ["score"]
    assert model.translations == [("score", target) for target in told]
    for target in told:
        estimate = model.transfer(batch["score"], "score", target)
        assert estimate.shape == batch[target].shape and ((estimate >= 0) & (estimate <= 1)).all()
        assert model.nll(batch["score"], "score", batch[target], target).shape == (3,)
    assert model.facets(batch)["key"].ids.tolist() == [0, 1, 2]
    assert model.facets(batch)["key"].names == NAMES


def test_transfer_and_nll_are_of_posterior_means():
    model = make_model(use_x_prev=True, output="autoregressive")
    batch = windows(model, 4, 2)
    score, parts = batch["score"], model._parts(batch["score"])
    key = model.key_encoder(parts.inputs).mean
    w = torch.cat([key, torch.zeros(2, 1)], 1).softmax(1)
    z = model.body.infer(parts.inputs, w, model.body.start(w))[0].mean
    logits = model.output(model.body.emit(z, parts.history, w, model.body.start(w))[0], parts.targets)
    made = model.transfer(score, "score", "score")
    assert torch.equal(made[:, :1], score[:, :1])
    assert torch.allclose(made[:, 1:], logits.sigmoid(), atol=1e-6)
    each = functional.binary_cross_entropy_with_logits(logits, parts.targets, reduction="none").sum(2)
    expected = [each[0].mean().item(), each[1, :2].mean().item()]
    assert model.nll(score, "score", score, "score").tolist() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(model.transfer(score, "score", "key"), w, atol=1e-6)
    assert model.nll(score, "score", batch["key"], "key").tolist() == pytest.approx([-w[0, 0].log().item(), -w[1, 1].log().item()])


@pytest.mark.parametrize("changes", [*WAYS, {"model": "lstm", "output": "autoregressive", "use_x_prev": True}], ids=ident)
def test_decoding_freely_is_told_what_it_has_decoded(changes):
    model = make_model(**changes, seq_length=4)
    z = 2 * model.sample(5, generator("x"))
    with torch.no_grad():
        for parameter in model.body.output.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator("louder")))
        frames = model.decode(z, "score")
        logits = model._logits_at(z, model._parts(frames))
    assert torch.equal((logits > 0).float(), frames[:, model.config.lag :])
    assert 0 < frames.mean() < 1


@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_a_key_that_is_told(name):
    model = make_model(model=name)
    score, ids = whole(model)["score"], torch.tensor([[2], [0], [2]])
    model.usual.copy_(torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]))
    q = model.encode(score, "score", ids)
    assert torch.allclose(model.decode(q.mean, "key"), model.usual[ids[:, 0]], atol=1e-5)
    assert torch.allclose(model.split(q.mean)[0], model.usual[ids[:, 0]], atol=1e-5)
    assert torch.allclose(model.transfer(score, "score", "key", ids), model.usual[ids[:, 0]], atol=1e-5)
    assert not torch.allclose(q.mean[:, 2:], model.encode(score, "score").mean[:, 2:])
    certain = model.decode(model.encode(score, "score", torch.tensor([[1]] * 3)).mean, "key")
    assert torch.allclose(certain, torch.tensor([0.0, 1.0, 0.0]).expand(3, 3), atol=1e-4)
    plain = make_model(model=name, classify=False)
    assert torch.equal(plain.encode(score, "score", ids).mean, plain.encode(score, "score").mean)


def test_keys_of_long_rolls_are_means_over_whole_windows():
    model = make_model()
    roll = rolls(2, 10)
    each = [model.transfer(roll[:, start : start + 4], "score", "key") for start in (0, 4)]
    assert torch.allclose(model.key_of(roll), sum(each) / 2, atol=1e-6)
    assert torch.allclose(model.key_of(roll[:, :4]), each[0], atol=1e-6)
    padded = torch.cat([roll[:, :3], torch.zeros(2, 1, 88)], 1)
    assert torch.allclose(model.key_of(roll[:, :3]), model.transfer(padded, "score", "key"), atol=1e-6)


# -- latents and windows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", EVERY, ids=ident)
@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_latents_of_the_prior(changes, prior):
    model = make_model(**changes, use_x_prev=True, prior=prior, w_log_var_prior=-4.0)
    z = model.sample(2000, generator("x"))
    assert z.shape == (2000, *model.latent_shape) and torch.equal(z, model.sample(2000, generator("x")))
    logits, latents = z[:, : model.logits], z[:, model.logits :]
    if model.logits:
        assert torch.allclose(logits.std(0), torch.full((model.logits,), 0.1353), rtol=0.1)  # e^-2
    if prior == "standard":
        assert torch.allclose(latents.std(0), torch.ones(1), rtol=0.1)
    elif model.logits:  # else the first latent knows nothing, and its prior is still the standard normal
        assert not torch.allclose(latents.mean(0), torch.zeros(1), atol=0.05)


def test_windows_follow_what_is_before():
    model = make_model(use_x_prev=True)
    z = model.sample(3, generator("x"))
    before = rolls(3, 1, 0)
    silent, other = model.decode(z, "score"), model.decode(z, "score", before=before)
    assert not silent[:, 0].any() and torch.equal(other[:, :1], before)
    assert torch.equal(silent, model.decode(z, "score", before=torch.zeros(3, 1, 88)))


def test_keys_that_are_all_alike():
    """All K logits are latents: the last key can be told as surely as the others, and moves of all logits change nothing."""
    model = make_model(symmetric_w=True)
    assert model.latent_shape == (3 + 4 * 3,)
    u = torch.randn(5, 3)
    assert torch.allclose(model.weights(u), (u + 2).softmax(1), atol=1e-6)
    batch = windows(model, 4, 4, 4)
    q = model.key_encoder(batch["score"])
    expected = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).sum(1).mean()
    assert model(batch).terms["kl_key"].item() == pytest.approx(expected.item(), rel=1e-5)
    model.usual.copy_(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]]))
    ids = torch.tensor([[2], [0], [1]])
    q = model.encode(batch["score"], "score", ids)
    assert torch.allclose(model.decode(q.mean, "key"), model.usual[ids[:, 0]], atol=1e-5)
    assert torch.allclose(q.mean[:, :3].sum(1), torch.zeros(3), atol=1e-5)
