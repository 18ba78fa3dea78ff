"""The model of the musicvae system: its loss, its schedules, what it draws, and what it cannot see."""

import json
import math
from dataclasses import replace

import pytest
import torch

from data.attributes import DENSITY
from models import losses, musicvae
from models.losses import Normal
from models.musicvae_config import Config
from models.musicvae_presets import MAGENTA, PRESETS
from models.phrase import PHRASE
from tests.sequences import SHARED
from utils.config import merge

SMALL = {"encoder_size": (8,), "decoder_size": (8,), "latent_dim": 4}
KINDS = {
    "melody": {},
    "drums": {},
    "hits": {},
    "hits, independent": {"kind": "hits", "head": "boolean"},
    "all_hits": {},
    "groove": {},
    "trio": {},
    "trio, conducted": {"kind": "trio", "levels": (2, 16)},
    "melody, conducted": {"kind": "melody", "levels": (4, 8), "conductor_size": (6,), "conductor_input": "learned_per_step"},
    "drums, three levels": {"kind": "drums", "levels": (2, 4, 4), "encoder_levels": (8, 4)},
}


def config(kind="drums", **more):
    made = replace(Config(), **{"kind": kind, **SMALL, **KINDS.get(kind, {}), **more})
    made.validate()
    return made


def model(kind="drums", **more):
    torch.manual_seed(0)
    return musicvae.Model(config(kind, **more)).eval()


@torch.no_grad()
def phrases(made, n=3, seed=0):
    """Return phrases that the model draws, which are right in form."""
    return made.decode(made.sample(n, torch.Generator().manual_seed(seed)), PHRASE, temperature=1.0, random=torch.Generator())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_phrase_is_trained_written_and_read(kind):
    made = model(kind)
    x, phrase = phrases(made), made.representations[PHRASE]
    assert x.shape == (3, *phrase.shape)
    made.train()
    found = made({PHRASE: x}, step=5)
    found.total.backward()
    assert found.total.isfinite() and {"nll_phrase", "kl_phrase", "kl_beyond_free", "beta"} <= found.terms.keys()
    assert [name for name, p in made.named_parameters() if p.grad is None] == []
    made.eval()
    assert made.told(x).shape == x.shape == made.transfer(x, PHRASE, PHRASE).shape
    assert made.nll(x, PHRASE, x, PHRASE).shape == (3,)
    assert all(values.shape == (3,) for values in phrase.compare(x, made.told(x)).values())
    assert phrase.notes(x[0].numpy()).onset.ndim == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "groove" not in kind])
def test_the_bound_is_below_the_likelihood_of_its_draw(kind):
    """One importance weight of one draw: its mean over draws of ln w is the bound; nll + kl is its negative on average."""
    made = model(kind)
    x, random = phrases(made, 2), torch.Generator().manual_seed(1)
    draws = [made.bound({PHRASE: x}, random) for _ in range(200)]
    weight = torch.stack([d["log_weight"] for d in draws]).mean(0)
    bound = torch.stack([d["nll"] + d["kl_phrase"] for d in draws]).mean(0)
    assert torch.allclose(-weight, bound, atol=0.3)


def test_free_bits_are_of_the_phrase_as_a_whole():
    """KL of 40 nats with 48 free bits costs 6.73 nats (specification, check 3)."""
    made = model(free_bits=48.0, beta=0.2)
    q = Normal(torch.full((1, 4), math.sqrt(20.0)), torch.ones(1, 4))  # 4 times 20 / 2
    assert losses.kl(q).item() == pytest.approx(40)
    made.encoder.forward = lambda x: Normal(q.mean.expand(len(x), -1), q.variance.expand(len(x), -1))
    found = made({PHRASE: torch.zeros(3, 32, dtype=torch.long)}, step=10)
    assert found.terms["kl_beyond_free"].item() == pytest.approx(40 - 48 * math.log(2), abs=1e-4)
    assert found.terms["kl_beyond_free"].item() == pytest.approx(6.73, abs=0.01)
    assert found.total.item() == pytest.approx(found.terms["nll_phrase"].item() + 0.2 * 6.729, abs=1e-2)
    other = model(free_bits=80.0)
    other.encoder.forward = made.encoder.forward
    assert other({PHRASE: torch.zeros(3, 32, dtype=torch.long)}, step=10).terms["kl_beyond_free"] == 0


@pytest.mark.parametrize(
    ("rate", "step", "expected"),
    [(0.99999, 0, 0), (0.99999, 1000, 0.00995), (0.99999, 50_000, 0.39347), (0.0, 0, 0), (0.0, 1, 1), (0.0, 1000, 1)],
)
def test_beta_rises_exponentially_or_at_once(rate, step, expected):
    assert musicvae.weight(config(beta=0.5, beta_rate=rate), step) == pytest.approx(0.5 * expected, rel=1e-3, abs=1e-9)


def test_beta_rises_linearly_where_steps_are_given():
    made = config(beta=0.2, beta_steps=1000)
    assert [musicvae.weight(made, step) for step in (0, 500, 1000, 5000)] == pytest.approx([0, 0.1, 0.2, 0.2])


@pytest.mark.parametrize(("step", "share"), [(0, 0.001), (2313, 0.01), (4711, 0.1), (6908, 0.5), (9105, 0.9), (11503, 0.99)])
def test_inverse_sigmoid_schedule(step, share):
    made = config(sampling="inverse_sigmoid", sampling_rate=1000.0)
    assert musicvae.sampled_share(made, step) == pytest.approx(share, rel=2e-3)


def test_other_schedules_and_steps_beyond_all():
    late = 2**31
    assert musicvae.sampled_share(config(sampling="inverse_sigmoid", sampling_rate=1000.0), late) == 1
    assert musicvae.sampled_share(config(sampling="constant", sampling_rate=0.3), late) == 0.3
    assert musicvae.sampled_share(config(sampling="exponential", sampling_rate=0.9), 2) == pytest.approx(0.19)
    assert musicvae.sampled_share(config(), late) == 0
    assert musicvae.weight(config(beta_rate=0.99999), late) == 1


@pytest.mark.parametrize(("step", "rate"), [(0, 1e-3), (1, 9.99901e-4), (6931, 5.05e-4), (10_000, 3.742e-4), (50_000, 1.667e-5)])
def test_the_learning_rate_decays(step, rate):
    assert 1e-3 * model().pace(step) == pytest.approx(rate, rel=1e-3)


def test_steps_are_told_their_own_draws_as_often_as_asked():
    made = model(sampling="constant", sampling_rate=0.5).train()
    x = torch.zeros(64, 32, dtype=torch.long)
    mixed = made._mixed(x, made.sample(64), 0.5)
    other = (mixed != x).float().mean().item()  # nearly all of 512 tokens are others
    assert 0.4 < other < 0.6
    assert (made._mixed(x, made.sample(64), 0.0) == x).all()


def test_in_evaluation_nothing_is_drawn():
    made = model(sampling="constant", sampling_rate=1.0, dropout=0.3, note_dropout=0.5)
    x = phrases(made, 4)
    assert made({PHRASE: x}, 5).total == made({PHRASE: x}, 5).total
    made.train()
    assert made({PHRASE: x}, 5).total != made({PHRASE: x}, 5).total


def test_hits_are_withheld_from_the_encoder_in_training_alone():
    made = model("hits", note_dropout=1.0)
    x = torch.ones(8, 32, 9)
    assert made._inputs(x)[..., :9].mean() == 1
    torch.manual_seed(0)
    heard = made.train()._inputs(x)[..., :9].mean((1, 2))
    assert heard.min() < 0.5 < heard.max() and heard.unique().numel() == 8


def test_draws_repeat_with_their_generator():
    made, z = model(), torch.randn(5, 4)
    once, again, other = (made.decode(z, PHRASE, temperature=1.0, random=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again) and not torch.equal(once, other)
    assert torch.equal(made.decode(z, PHRASE), made.decode(z, PHRASE))


def test_labels_that_the_run_does_not_know_are_others():
    made = model(labels={"style": ["funk", "rock"]})
    facets = made.facets({PHRASE: phrases(made), "style": torch.tensor([1, -1, 0])})
    assert facets["style"].names == ("funk", "rock", "other") and facets["style"].ids.tolist() == [1, 2, 0]
    assert facets[DENSITY].order == "line"


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("cat-mel_2bar_small", 4_423_770),
        ("cat-mel_2bar_big", 134_571_098),
        ("cat-drums_2bar_small", 4_636_672),
        ("hierdec-mel_16bar", 176_061_530),
        ("hierdec-trio_16bar", 230_975_156),
        ("groovae_4bar", 4_085_019),
    ],
)
def test_published_presets_have_the_published_number_of_parameters(preset, parameters):
    made = merge(Config(), MAGENTA[preset])
    with torch.device("meta"):
        found = musicvae.Model(made)
    doubled = sum(p.numel() for name, p in found.named_parameters() if "bias_hh" in name)  # torch has each bias of an LSTM twice
    assert sum(p.numel() for p in found.parameters()) - doubled == parameters


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_whole(preset):
    merge(Config(), PRESETS[preset]).validate()


@pytest.mark.parametrize("name", ["tiny-flat", "tiny-hier"])
def test_checkpoints_of_the_original_agree(name):
    """mu, sigma, logits told the truth and losses, as the original's own graph gives them, within 1e-5."""
    folder = SHARED / "fixtures" / "magenta"
    if not (folder / f"{name}.expected.json").exists():
        pytest.skip("the fixtures are not there")
    told = json.loads((folder / f"{name}.expected.json").read_text())
    names = ("tokens", "z", "mu", "sigma", "teacher_forced_logits", "reconstruction_loss_nats")
    expected = {what: torch.tensor(told[what]) for what in names}
    made = musicvae.from_checkpoint(folder / f"{name}.ckpt").eval()
    x, z = expected["tokens"].long(), expected["z"].float()
    made.encoder.lengths = (x.shape[1],)  # shorter than whole bars
    if made.decoder.conductors:
        made.decoder.conductors[0].parts = 3
    q = made.encode(x, PHRASE)
    (logits,) = made.decoder(z, made._feeds(x))
    nll = made._nll([logits], x).sum(1)
    found = {"mu": q.mean, "sigma": q.variance.sqrt(), "teacher_forced_logits": logits, "reconstruction_loss_nats": nll}
    for what, value in found.items():
        assert (value.detach() - expected[what]).abs().max() < 1e-5, what
