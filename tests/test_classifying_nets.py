"""The networks of the classifying system: sizes, time, what depends on what."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.utils import parametrize

from models.classifying import Model
from models.classifying_config import Config
from models.classifying_nets import KEYS, Autoregressive, Recurrent, decided
from tests.classifying_runs import EVERY, ident, make_model, rolls, windows

JSB = {"key": ["A", "A-", "B-", "C", "D", "D-", "E", "E-", "F", "G"]}


def size(**changes) -> int:
    length = 1 if changes["model"] == "vae" else 16
    changes = {"seq_length": length, "latent_dim": 4, "optimizer": "adam", "symmetric_w": False, **changes}
    return sum(p.numel() for p in Model(Config(classes=JSB, batch_size=10, windows=10, **changes)).parameters())


@pytest.mark.parametrize(
    ("model", "classify", "use_x_prev", "number"),
    [
        ("vae", True, True, 35754),
        ("vae", True, False, 28010),
        ("vae", False, True, 24560),
        ("vae", False, False, 16816),
        ("lstm", True, True, 267194),
        ("lstm", False, True, 134560),
    ],
)
def test_numbers_of_parameters_are_those_of_the_program(model, classify, use_x_prev, number):
    """Sections 4.2 and 4.3 of the program, at its sizes: K = 10, 4 latents, windows of 16 frames."""
    assert size(model=model, classify=classify, use_x_prev=use_x_prev) == number


def test_without_hidden_layers_heads_are_told_the_input():
    key, latents, output = 89 * 88 + 2 * 89 * 9, 2 * (88 + 10 + 1) * 4, (10 + 88 + 4 + 1) * 88
    assert size(model="vae", use_x_prev=True, intermediate_dim=0) == key + latents + output


def test_other_choices_add_what_they_need():
    plain = size(model="lstm", use_x_prev=True)
    hears = 88 + 88 + 10  # what was decoded so far, the frame before, the key
    assert size(model="lstm", use_x_prev=True, prior="learned") == plain + (hears + 1) * 88 + 2 * 89 * 4
    units = 4 * 88
    masked = 2 * (88 + 1) * units + (units + 1) * 88 + 88 * 88
    assert size(model="lstm", use_x_prev=True, output="autoregressive") == plain + masked
    assert size(model="vae", classify=False, prior="learned", use_x_prev=True) == 24560 + 89 * 88 + 2 * 89 * 4


# -- weights ----------------------------------------------------------------------------------------------------------

VARIANTS = [
    {**base, "prior": prior, "output": output}
    for base in EVERY
    for prior in ("standard", "learned")
    for output in ("independent", "autoregressive")
] + [{"model": "lstm", "classify": told, "prior": "learned", "shortcuts": True} for told in (True, False)]
VARIANTS += [{"model": model, "symmetric_w": True} for model in ("vae", "lstm")]


@pytest.mark.parametrize("changes", VARIANTS, ids=ident)
def test_gradients_reach_every_parameter(changes):
    for optimizer in ("adam", "adam-wn"):
        model = make_model(**changes, use_x_prev=True, optimizer=optimizer, intermediate_dim=16).train()
        model(windows(model, *[model.config.seq_length] * 6)).total.backward()
        assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("changes", VARIANTS, ids=ident)
def test_weight_normalisation_changes_nothing_at_first(changes):
    plain, normalised = (make_model(**changes, use_x_prev=True, optimizer=name) for name in ("adam", "adam-wn"))
    batch = windows(plain, *[plain.config.seq_length] * 3)
    a, b = (model(batch).terms for model in (plain, normalised))
    assert all(torch.allclose(a[name], b[name], rtol=1e-5) for name in a)


@pytest.mark.parametrize("changes", VARIANTS, ids=ident)
def test_weight_normalisation_is_of_every_matrix_by_rows(changes):
    plain, normalised = (make_model(**changes, use_x_prev=True, optimizer=name) for name in ("adam", "adam-wn"))
    matrices = {name for name, p in plain.named_parameters() if p.ndim > 1}
    found = {
        f"{owner}.{name}": layer.parametrizations[name]
        for owner, layer in normalised.named_modules()
        if parametrize.is_parametrized(layer)
        for name in layer.parametrizations
    }
    assert found.keys() == matrices
    for name, parts in found.items():
        row_lengths = plain.get_parameter(name).norm(dim=1, keepdim=True)
        assert torch.allclose(parts.original0, row_lengths)
    assert not any(parametrize.is_parametrized(layer) for layer in plain.modules())


def test_initial_weights():
    model = make_model(model="lstm", use_x_prev=True, intermediate_dim=60, latent_dim=40)
    decoder = model.body.decoder
    limit = math.sqrt(6 / (4 * 60 + 88 + 40 + 3))
    assert decoder.input.abs().max() <= limit
    assert decoder.input.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
    assert torch.allclose(decoder.recurrent.T @ decoder.recurrent, torch.eye(60), atol=1e-5)
    assert decoder.bias.tolist() == [0] * 60 + [1] * 60 + [0] * 120  # input, forget, cell, output
    for layer in (model.body.output, model.body.posterior.mean, model.body.posterior.log_variance):
        assert layer.weight.std().item() == pytest.approx(0.1, rel=0.06)
        assert not layer.bias.any()
    assert not model.key_encoder.head.mean.bias.any()


# -- time -------------------------------------------------------------------------------------------------------------


def test_one_bias_makes_the_same_lstm_as_two():
    torch.manual_seed(0)
    ours, theirs = Recurrent(5, 3), torch.nn.LSTM(5, 3, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input)
        theirs.weight_hh_l0.copy_(ours.recurrent)
        theirs.bias_ih_l0.copy_(ours.bias)
        theirs.bias_hh_l0.zero_()
    x = torch.randn(2, 7, 5)
    outputs, state = ours(x, ours.start(x))
    expected, (h, c) = theirs(x)
    assert torch.allclose(outputs, expected, atol=1e-6)
    assert torch.allclose(state[0], h, atol=1e-6) and torch.allclose(state[1], c, atol=1e-6)


@pytest.fixture(params=[(True, False), (False, False), (True, True)], ids=["classify", "plain", "shortcuts"])
def body(request):
    classify, shortcuts = request.param
    options = {"use_x_prev": True, "prior": "learned", "seq_length": 6, "shortcuts": shortcuts}
    return make_model(model="lstm", classify=classify, **options).body


def heard(body, seed=0):
    """Return frames (2, 6, 88), latents (2, 6, 3) and weights of keys for a body."""
    classes = body.encoder.input.shape[1] - KEYS
    torch.manual_seed(seed)
    return rolls(2, 6, seed), torch.randn(2, 6, 3), torch.softmax(torch.randn(2, classes), 1)


def test_sequences_know_nothing_of_later_frames(body):
    x, z, w = heard(body)
    memory = body.start(x)
    q = body.infer(x, w, memory)[0].mean
    base, g, _ = body.emit(z, x, w, memory)
    p = body.expect_all(x, w, g, memory).mean
    for t in range(6):
        later_x, later_z = x.clone(), z.clone()
        later_x[:, t] = 1 - later_x[:, t]
        later_z[:, t] += 1
        assert_first_change(q, body.infer(later_x, w, memory)[0].mean, t)
        assert_first_change(base, body.emit(later_z, x, w, memory)[0], t)
        other, other_g, _ = body.emit(z, later_x, w, memory)
        assert_first_change(base, other, t)
        assert_first_change(p, body.expect_all(later_x, w, other_g, memory).mean, t)
        after = body.expect_all(x, w, body.emit(later_z, x, w, memory)[1], memory).mean
        assert torch.equal(after[:, : t + 1], p[:, : t + 1])  # a latent says nothing of its own prior


def assert_first_change(before, after, t):
    """Check that frames (B, T, ...) are equal before step t and differ in it."""
    assert torch.equal(before[:, :t], after[:, :t])
    assert not torch.allclose(before[:, t], after[:, t])


def test_the_key_is_heard_at_every_step(body):
    x, z, w = heard(body)
    other = w.flip(0)
    memory = body.start(x)
    same = not w.shape[1]
    assert torch.equal(body.infer(x, w, memory)[0].mean, body.infer(x, other, memory)[0].mean) is same
    changed = (body.emit(z, x, w, memory)[0] != body.emit(z, x, other, memory)[0]).any(2)
    assert changed.all().item() is not same


def test_one_frame_at_a_time_equals_the_whole_window(body):
    x, z, w = heard(body)
    q = body.infer(x, w, body.start(x))[0]
    base, g, _ = body.emit(z, x, w, body.start(x))
    p = body.expect_all(x, w, g, body.start(x))
    memory, steps = body.start(x), []
    for t in range(6):
        part = slice(t, t + 1)
        found, memory = body.infer(x[:, part], w, memory)
        expected = body.expect(x[:, part], w, memory)
        logits, _, memory = body.emit(z[:, part], x[:, part], w, memory)
        steps.append((found.mean, found.variance, expected.mean, expected.variance, logits))
    whole = (q.mean, q.variance, p.mean, p.variance, base)
    for stepped, at_once in zip(zip(*steps, strict=True), whole, strict=True):
        assert torch.allclose(torch.cat(stepped, 1), at_once, atol=1e-5)


def test_frames_forget_everything():
    body = make_model(model="vae", use_x_prev=True, prior="learned", seq_length=4).body
    x, w, z = rolls(2, 4), torch.full((2, 3), 1 / 3), torch.randn(2, 1, 3)
    assert body.start(x) == (None, None)
    base, g, memory = body.emit(z, x, w, body.start(x))
    assert (base.shape, memory) == ((2, 4, 88), (None, None))
    other = x.clone()
    other[:, 1:] = 1
    assert torch.equal(base, body.emit(z, other, w, memory)[0])  # of the history, only the first frame
    assert torch.equal(body.expect(x, w, memory).mean, body.expect_all(x, w, g, memory).mean)


@pytest.mark.parametrize("changes", EVERY, ids=ident)
def test_dropout_is_of_training_only(changes):
    model = make_model(**changes, dropout=0.5, intermediate_dim=32)
    x, z, w = rolls(2, model.config.seq_length), torch.randn(2, model.body.n, 3), torch.full((2, model.classes), 1 / 3)
    for act in (
        lambda: model.body.infer(x, w, model.body.start(x))[0].mean,
        lambda: model.body.emit(z, x[..., :0], w, model.body.start(x))[0],
    ):
        assert torch.equal(act(), act())
        model.train()
        assert not torch.equal(act(), act())
        model.eval()


# -- autoregressive outputs -------------------------------------------------------------------------------------------


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    result = Autoregressive()
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return result


def test_each_key_is_told_those_beneath_it_only(outputs):
    base = torch.randn(88)
    jacobian = torch.autograd.functional.jacobian(lambda x: outputs(base, x), torch.rand(88))
    assert not jacobian.triu().any()
    assert (jacobian.tril(-1) != 0).sum() == 88 * 87 / 2
    context = torch.autograd.functional.jacobian(lambda b: outputs(b, torch.rand(88)), base)
    assert (context.diagonal() != 0).all()


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0, 3.0])
def test_what_is_drawn_key_by_key_agrees_with_the_logits_at_once(outputs, temperature):
    base, uniform = torch.randn(20, 88), torch.rand(20, 88)
    drawn = outputs.draw(base, temperature, uniform)
    assert torch.equal(drawn, decided(outputs(base, drawn), temperature, uniform))
    assert 0 < drawn.mean() < 1


@pytest.mark.parametrize("keys", [1, 2, 9])
def test_probabilities_of_all_frames_sum_to_one(monkeypatch, keys):
    monkeypatch.setattr("models.classifying_nets.KEYS", keys)
    torch.manual_seed(1)
    outputs = Autoregressive()
    frames = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * keys).view(-1, keys)
    logits = outputs(torch.randn(keys).expand_as(frames), frames)
    log_p = -functional.binary_cross_entropy_with_logits(logits, frames, reduction="none").double().sum(1)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-6)
    assert len(log_p) == 2**keys


def test_draws_have_the_probabilities_that_the_logits_tell(monkeypatch):
    monkeypatch.setattr("models.classifying_nets.KEYS", 3)
    torch.manual_seed(2)
    outputs, base = Autoregressive(), torch.randn(3)
    frames = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    p = (-functional.binary_cross_entropy_with_logits(outputs(base.expand(8, 3), frames), frames, reduction="none").sum(1)).exp()
    n = 20_000
    drawn = outputs.draw(base.expand(n, 3), 1.0, torch.rand(n, 3))
    counts = (drawn @ torch.tensor([4.0, 2.0, 1.0])).long().bincount(minlength=8)
    assert ((counts / n - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


def test_decisions():
    logits, uniform = torch.tensor([-1.0, 0.0, 1.0, 0.0]), torch.tensor([0.26, 0.4, 0.74, 0.6])
    assert decided(logits, 0.0, uniform).tolist() == [0, 0, 1, 0]
    assert decided(logits, 1.0, uniform).tolist() == [1, 1, 0, 0]  # 0.2689, 0.5, 0.7311, 0.5
    assert decided(logits, 100.0, uniform).tolist() == [1, 1, 0, 0]
    assert decided(torch.tensor([50.0]), 0.01, torch.tensor([0.9999])).tolist() == [1]
