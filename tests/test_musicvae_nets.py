import pytest
import torch

from models.musicvae_heads import Categorical, Nade
from models.musicvae_nets import Conductor, Core, Decoder, Draws, Encoder, lstm

V, T, Z = 5, 12, 3


def decoder(levels=(T,), told="zeros", heads=1, sizes=(7, 9), conductors=(6, 8)):
    torch.manual_seed(0)
    made = Decoder(Z, [Categorical(V) for _ in range(heads)], sizes, conductors, levels, told, 0.0).eval()
    for parameter in made.parameters():  # so that everything matters
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def phrases(n=4, seed=0):
    return torch.randint(V, (n, T), generator=torch.Generator().manual_seed(seed))


def feed(x):
    return torch.nn.functional.one_hot(x, V).float()


def draws(x, temperature=0.0, free=None, seed=0):
    uniform = torch.rand(T, len(x), 1, generator=torch.Generator().manual_seed(seed))
    return Draws(temperature, uniform, x if free is not None else None, free)


LEVELS = [(T,), (3, 4), (2, 3, 2)]


@pytest.mark.parametrize("levels", LEVELS)
def test_writing_what_is_told_is_the_same_as_being_told_at_once(levels):
    """The step-by-step path and the fused one agree: the logits of a phrase written by itself, read back, name it again."""
    made, z = decoder(levels), torch.randn(4, Z)
    (written,) = made.write(z, [draws(phrases())])
    (logits,) = made(z, [feed(written)])
    assert (logits.argmax(-1) == written).all()


@pytest.mark.parametrize("levels", LEVELS)
def test_steps_do_not_see_themselves_or_what_follows(levels):
    made, z, x = decoder(levels), torch.randn(1, Z), phrases(1)
    (before,) = made(z, [feed(x)])
    for step in range(T):
        other = x.clone()
        other[0, step] = (other[0, step] + 1) % V
        changed = (made(z, [feed(other)])[0] - before).abs().amax(-1)[0] > 1e-7
        assert not changed[: step + 1].any()
        assert step == T - 1 or changed[step + 1]


def test_a_segment_reaches_the_next_by_its_last_step_alone():
    made, z, x = decoder((3, 4)), torch.randn(1, Z), phrases(1)
    (before,) = made(z, [feed(x)])
    for step, reached in ((1, {2, 3}), (3, {4, 5, 6, 7}), (5, {6, 7})):
        other = x.clone()
        other[0, step] = (other[0, step] + 1) % V
        changed = (made(z, [feed(other)])[0] - before).abs().amax(-1)[0] > 1e-7
        assert set(changed.nonzero()[:, 0].tolist()) == reached


def test_true_and_own_steps_mix():
    made, z, x = decoder(), torch.randn(4, Z), phrases()
    nothing, everything = torch.zeros(4, T, dtype=bool), torch.ones(4, T, dtype=bool)
    assert (made.write(z, [draws(x, 1.0, nothing)])[0] == x).all()
    assert (made.write(z, [draws(x, 1.0, everything)])[0] == made.write(z, [draws(x, 1.0)])[0]).all()
    some = torch.rand(4, T, generator=torch.Generator().manual_seed(5)) < 0.5
    mixed = made.write(z, [draws(x, 1.0, some)])[0]
    assert (mixed[~some] == x[~some]).all()
    own = made.write(z, [draws(mixed, 1.0, some)])[0]  # told its own draws again, it draws them again
    assert (own == mixed).all()


def test_several_cores_share_the_latents_of_segments():
    made = decoder((3, 4), heads=3)
    z, x = torch.randn(2, Z), phrases(2)
    assert [logits.shape for logits in made(z, [feed(x)] * 3)] == [(2, T, V)] * 3
    assert [w.shape for w in made.write(z, [draws(x)] * 3)] == [(2, T)] * 3


@pytest.mark.parametrize("told", ["zeros", "learned", "learned_per_step"])
def test_conductors_unfold_a_latent(told):
    torch.manual_seed(0)
    conductor = Conductor(Z, 4, (6, 8), 0.0, told)
    assert conductor(torch.randn(5, Z)).shape == (5, 4, 8)
    learned = {name: p.shape for name, p in conductor.named_parameters() if name == "given"}
    assert learned == {"zeros": {}, "learned": {"given": (1, Z)}, "learned_per_step": {"given": (4, Z)}}[told]


def test_first_states_are_cells_then_hidden():
    core = Core(Z, Categorical(V), (2, 3), 0.0)
    z = torch.randn(1, Z)
    flat = torch.tanh(core.start(z))[0]
    (h0, c0), (h1, c1) = core.begin(z)
    assert torch.equal(torch.cat([c0, h0, c1, h1], 1)[0], flat)


def test_an_encoder_ends_where_both_directions_do():
    torch.manual_seed(0)
    encoder = Encoder(4, (5, 3), (T,), Z, 0.0)
    x = torch.randn(2, T, 4)
    found = encoder(x)
    h = x
    for layer in encoder.levels[0]:
        h, _ = layer(h)
    e = torch.cat([h[:, -1, :3], h[:, 0, 3:]], 1)
    assert torch.allclose(found.mean, encoder.mean(e), atol=1e-6)
    assert torch.allclose(found.variance.sqrt(), torch.nn.functional.softplus(encoder.spread(e)), atol=1e-6)


def test_at_the_start_posteriors_are_nearly_the_same():
    torch.manual_seed(0)
    found = Encoder(4, (16,), (T,), Z, 0.0)(torch.randn(6, T, 4))
    assert found.mean.abs().max() < 0.02
    assert torch.allclose(found.variance.sqrt(), torch.full((6, Z), 0.6931), atol=0.02)


def test_levels_of_an_encoder_read_segments_then_their_summaries():
    torch.manual_seed(0)
    encoder = Encoder(4, (5,), (4, 3), Z, 0.0)
    x = torch.randn(2, T, 4)
    other = x.clone()
    other[:, 8:] = 0
    assert encoder(x).mean.shape == (2, Z)
    first = encoder._summary(encoder.levels[0], x.reshape(-1, 4, 4)).view(2, 3, -1)
    second = encoder._summary(encoder.levels[0], other.reshape(-1, 4, 4)).view(2, 3, -1)
    assert torch.allclose(first[:, :2], second[:, :2]) and not torch.allclose(first[:, 2], second[:, 2])


def test_layers_remember_at_first():
    layer = lstm(3, 4, bidirectional=True)
    for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
        assert getattr(layer, name).tolist() == [0] * 4 + [1] * 4 + [0] * 8
    assert layer.bias_hh_l0.abs().max() == 0
    assert layer.weight_ih_l0.abs().max() <= (6 / (3 + 4 + 16)) ** 0.5


def test_dropout_is_of_training_only():
    made = Decoder(Z, [Nade(2)], (4,), (4,), (3, 4), "zeros", 0.5)
    z, x = torch.randn(2, Z), torch.ones(2, T, 2)
    assert not torch.equal(made(z, [x])[0], made(z, [x])[0])
    made.eval()
    assert torch.equal(made(z, [x])[0], made(z, [x])[0])
    assert torch.equal(made.conductors[0](z), made.conductors[0](z))
