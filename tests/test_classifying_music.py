"""Music of classifying models: how frames follow a seed."""

import pytest
import torch

from models.classifying_music import drawn
from models.losses import Normal
from models.score import Manner
from tests.classifying_runs import EVERY, ident, make_model, rolls
from utils.device import generator

MANNERS = [Manner(), Manner(temperature=0.0), Manner(temperature=2.0, prior=True)]


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def lively(**changes):
    """Return a model whose music is neither silent nor noise, and depends on its latents, its key and the frame before."""
    model = make_model(use_x_prev=True, **changes)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.mul_(3)
    if changes["model"] == "lstm":
        model.body.output.weight.mul_(5)
    model.body.output.bias.fill_(-1)
    return model


def told_for(model, n, steps=0, seed=0):
    """Return random weights of keys, of each step where there are steps."""
    shape = (n, steps, model.classes) if steps else (n, model.classes)
    return torch.softmax(3 * torch.randn(shape, generator=generator("told", seed)), -1)


def played(model, seed, steps, told=None, manner=Manner(), random="x"):
    return model.generate(seed, steps, told, manner, generator(random))


# -- all kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", EVERY, ids=ident)
@pytest.mark.parametrize("manner", MANNERS, ids=["posterior", "likely", "prior"])
@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_frames_of_keys_that_sound_or_not(changes, manner, prior):
    model = lively(**changes, prior=prior, seq_length=4)
    for seed_steps, told in ((0, None), (1, told_for(model, 2)), (4, None), (6, told_for(model, 2, 7))):
        frames = played(model, rolls(2, seed_steps), 7, told, manner)
        assert frames.shape == (2, 7, 88)
        assert set(frames.unique().tolist()) <= {0, 1}
        assert torch.equal(frames, played(model, rolls(2, seed_steps), 7, told, manner))


@pytest.mark.parametrize("changes", EVERY, ids=ident)
@pytest.mark.parametrize("manner", MANNERS, ids=["posterior", "likely", "prior"])
def test_frames_drawn_key_by_key(changes, manner):
    frames = played(lively(**changes, output="autoregressive"), rolls(2, 2), 3, None, manner)
    assert frames.shape == (2, 3, 88)
    assert set(frames.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("changes", EVERY, ids=ident)
@pytest.mark.parametrize("manner", MANNERS, ids=["posterior", "likely", "prior"])
def test_more_steps_begin_alike(changes, manner):
    """And other seeds of the generator are other music, even of what is most likely: latents are drawn."""
    model, seed = lively(**changes, seq_length=2), rolls(3, 5)
    told = told_for(model, 3)
    long = played(model, seed, 9, told, manner)
    assert torch.equal(played(model, seed, 4, told, manner), long[:, :4])
    assert torch.equal(played(model, seed, 1, told, manner), long[:, :1])
    assert not torch.equal(played(model, seed, 9, told, manner, random="y"), long)


@pytest.mark.parametrize("changes", EVERY, ids=ident)
def test_what_is_most_likely_of_certain_latents_does_not_depend_on_chance(changes):
    model = lively(**changes)
    model.body.posterior.log_variance.weight.zero_()
    model.body.posterior.log_variance.bias.fill_(-60)
    a, b = (played(model, rolls(2, 4), 9, None, Manner(temperature=0.0), random) for random in "ab")
    assert torch.equal(a, b)
    assert a.any()


@pytest.mark.parametrize("changes", EVERY, ids=ident)
def test_great_heat_is_noise(changes):
    frames = played(lively(**changes), rolls(20, 4), 20, None, Manner(temperature=1e6))
    assert frames.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["vae", "lstm"])
@pytest.mark.parametrize("manner", MANNERS, ids=["posterior", "likely", "prior"])
def test_keys_may_change_as_it_goes(name, manner):
    model, seed = lively(model=name), rolls(4, 5)
    told = told_for(model, 4)
    constant = played(model, seed, 9, told, manner)
    assert torch.equal(played(model, seed, 9, told[:, None].expand(-1, 9, -1), manner), constant)
    turned = told[:, None].repeat(1, 9, 1)
    turned[:, 5:] = turned[:, 5:].flip(2)
    frames = played(model, seed, 9, turned, manner)
    assert torch.equal(frames[:, :5], constant[:, :5])
    assert not torch.equal(frames[:, 5:], constant[:, 5:])


@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_without_being_told_the_key_is_that_of_the_seed(name):
    model, seed = lively(model=name), rolls(3, 8)
    assert torch.equal(played(model, seed, 6), played(model, seed, 6, model.key_of(seed)))


def test_beginnings_are_in_keys_of_the_prior():
    model, nothing = lively(model="lstm", w_log_var_prior=0.5), rolls(3, 0)
    random = generator("x")
    u = drawn(Normal(torch.zeros(3, 2), torch.full((3, 2), torch.tensor(0.5).exp().item())), random)
    told = torch.cat([u, torch.zeros(3, 1)], 1).softmax(1)
    assert torch.equal(played(model, nothing, 6), model.generate(nothing, 6, told, Manner(), random))


def test_steps_of_a_seed():
    assert make_model(model="vae", seq_length=4).seed_steps(32) == 4
    assert make_model(model="lstm").seed_steps(32) == 32


def test_music_of_many_is_music_of_each():
    """Where chance has no say: pieces do not mix."""
    model = lively(model="lstm")
    model.body.posterior.log_variance.bias.fill_(-60)
    model.body.posterior.log_variance.weight.zero_()
    seed, likely = rolls(3, 5), Manner(temperature=0.0)
    together = played(model, seed, 6, None, likely)
    for row in range(3):
        assert torch.equal(played(model, seed[row : row + 1], 6, None, likely), together[row : row + 1])


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_frames_by_hand():
    """Section 6.1: what is inferred from the frame before is decoded anew, told the frame before that."""
    model, seed = lively(model="vae"), rolls(2, 1)
    told = told_for(model, 2)
    current = history = seed
    random, memory = generator("x"), model.body.start(seed)
    expected = []
    for _ in range(5):
        z = drawn(model.body.infer(current, told, memory)[0], random)
        new = model.frames(model.body.emit(z, history, told, memory)[0], 1.0, random)
        history, current = current, new
        expected.append(new)
    assert torch.equal(played(model, seed, 5, told), torch.cat(expected, 1))


def test_the_first_history_is_the_seed_s_where_it_has_one():
    model, seed = lively(model="vae"), rolls(2, 2)
    told, random = told_for(model, 2), generator("x")
    z = drawn(model.body.infer(seed[:, 1:], told, None)[0], random)
    first = model.frames(model.body.emit(z, seed[:, :1], told, None)[0], 1.0, random)
    assert torch.equal(played(model, seed, 1, told), first)


def test_frames_of_the_prior_by_hand():
    model, seed = lively(model="vae", prior="learned"), rolls(2, 1)
    told, random, last, expected = told_for(model, 2), generator("x"), seed, []
    for _ in range(5):
        z = drawn(model.body.expect(last, told, None), random)
        last = model.frames(model.body.emit(z, last, told, None)[0], 1.0, random)
        expected.append(last)
    assert torch.equal(played(model, seed, 5, told, Manner(prior=True)), torch.cat(expected, 1))


def test_windows_by_hand():
    """Longer windows follow each other; the history is the frame before the window that is inferred."""
    model, seed = lively(model="vae", seq_length=3), rolls(2, 4)
    told, random = told_for(model, 2), generator("x")
    z = drawn(model.body.infer(seed[:, 1:], told, None)[0], random)
    first = model.frames(model.body.emit(z, seed[:, :1], told, None)[0], 1.0, random)
    z = drawn(model.body.infer(first, told, None)[0], random)
    second = model.frames(model.body.emit(z, seed[:, 3:], told, None)[0], 1.0, random)
    assert torch.equal(played(model, seed, 5, told), torch.cat([first, second], 1)[:, :5])


def test_a_short_seed_follows_silence():
    model, seed = lively(model="vae", seq_length=3), rolls(2, 1)
    told = told_for(model, 2)
    padded = torch.cat([torch.zeros(2, 2, 88), seed], 1)
    assert torch.equal(played(model, seed, 5, told), played(model, padded, 5, told))


def test_frames_that_predict_the_next():
    """Where a latent is of the frame before, music is predicted, not drawn anew."""
    model, seed = make_model(model="vae", predict_next=True), rolls(2, 1)
    told, random, last, expected = told_for(model, 2), generator("x"), seed, []
    for _ in range(4):
        z = drawn(model.body.infer(last, told, None)[0], random)
        last = model.frames(model.body.emit(z, last[..., :0], told, None)[0], 1.0, random)
        expected.append(last)
    assert torch.equal(played(model, seed, 4, told), torch.cat(expected, 1))


def test_sequences_by_hand():
    """Section 6.2: the seed sets the memory; encoder and decoder both see the frame before."""
    model, seed = lively(model="lstm"), rolls(2, 5)
    told, random, body = told_for(model, 2), generator("x"), model.body
    q, memory = body.infer(seed, told, body.start(seed))
    base, _, memory = body.emit(drawn(q, random), seed, told, memory)
    last = model.frames(base[:, -1:], 1.0, random)
    expected = [last]
    for _ in range(3):
        q, memory = body.infer(last, told, memory)
        base, _, memory = body.emit(drawn(q, random), last, told, memory)
        last = model.frames(base, 1.0, random)
        expected.append(last)
    assert torch.equal(played(model, seed, 4, told), torch.cat(expected, 1))


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_sequences_of_the_prior_by_hand(prior):
    """The seed is heard as in training, with the frame before each as history; what is new follows its last frame."""
    model, seed = lively(model="lstm", prior=prior), rolls(2, 5)
    told, random, body = told_for(model, 2), generator("x"), model.body
    q, memory = body.infer(seed, told, body.start(seed))
    _, _, memory = body.emit(drawn(q, random), torch.cat([torch.zeros(2, 1, 88), seed[:, :-1]], 1), told, memory)
    last, expected = seed[:, -1:], []
    for _ in range(4):
        p = body.expect(last, told, memory) if prior == "learned" else Normal(torch.zeros(2, 1, 3), torch.ones(2, 1, 3))
        base, _, memory = body.emit(drawn(p, random), last, told, memory)
        last = model.frames(base, 1.0, random)
        expected.append(last)
    assert torch.equal(played(model, seed, 4, told, Manner(prior=True)), torch.cat(expected, 1))


@pytest.mark.parametrize("changes", EVERY, ids=ident)
def test_beginnings_are_of_the_prior_in_either_manner(changes):
    model, nothing = lively(**changes), rolls(2, 0)
    told = told_for(model, 2)
    assert torch.equal(played(model, nothing, 5, told), played(model, nothing, 5, told, Manner(prior=True)))


@pytest.mark.parametrize("changes", EVERY, ids=ident)
def test_music_does_not_depend_on_how_weights_are_written(changes):
    plain, normalised = (make_model(**changes, use_x_prev=True, optimizer=name) for name in ("adam", "adam-wn"))
    a, b = (played(model, rolls(2, 4), 6) for model in (plain, normalised))
    assert (a != b).float().mean() < 0.01  # but for rounding
