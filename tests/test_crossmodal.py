"""The crossmodal model: sizes, terms, ties, silence, critic, translation."""

from dataclasses import replace

import pytest
import torch

from models import losses
from models.crossmodal import Model
from models.crossmodal_config import Config
from models.losses import Normal

TINY = Config(
    instruments=("Flute",),
    classes={"octave": list("012345678"), "pitch": list("ABCDEFGHIJKL"), "dynamics": ["pp", "p", "mf", "f", "ff"]},
    dims=(4,),
    hidden_dims_1=(16,),
    hidden_dims_2=(16,),
)


def make(**changes):
    torch.manual_seed(0)
    return Model(replace(TINY, **changes))


def batch(model, n=6, silent=False):
    sources, labels = len(model.config.instruments), model.config.labels
    ids = torch.stack([torch.randint(len(model.config.classes[label]), (n, sources)) for label in labels], -1)
    if silent:
        ids[0, -1] = torch.tensor([len(model.config.classes[label]) for label in labels])
    return {"signal": torch.rand(n, 410) + 0.01, "symbol": ids}


@pytest.mark.parametrize(
    ("changes", "signal", "symbol"),
    [
        ({}, 56_690_884, 1_412_893),
        ({"zero_extra_class": 0}, 56_690_884, 1_408_090),
        ({"instruments": ("Piano", "Alto-Sax")}, 56_690_884, 1_459_322),
        ({"instruments": ("Piano", "Alto-Sax"), "zero_extra_class": 0}, 56_690_884, 1_449_716),
    ],
)
def test_parameter_counts_at_the_default_sizes(changes, signal, symbol):
    config = Config(classes=TINY.classes, **{"instruments": ("Flute",), **changes})
    with torch.device("meta"):
        model = Model(config)
    assert sum(p.numel() for p in model.audio.parameters()) == signal
    assert sum(p.numel() for p in model.symbolic.parameters()) == symbol


@pytest.mark.parametrize("label_type", ["categorical", "binary"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("instruments", [("Flute",), ("Flute", "Oboe")])
@pytest.mark.parametrize("dims", [(4,), (6, 3)])
def test_every_shape_trains_and_translates(label_type, extra, instruments, dims):
    model = make(label_type=label_type, zero_extra_class=extra, instruments=instruments, dims=dims, cross_2=1.0, transfer=1.0)
    data = batch(model, silent=bool(extra))
    result = model(data)
    result.total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        for source in ("signal", "symbol"):
            q = model.encode(data[source], source)
            assert q.mean.shape == q.variance.shape == (6, dims[-1])
            for target in ("signal", "symbol"):
                assert model.transfer(data[source], source, target).shape == data[target].shape
        z = model.sample(7)
        ids, sure = model.decode(z, "symbol"), model.confidence(z, "symbol")
        assert ids.shape == sure.shape == (7, len(instruments), 3)
        assert ((sure > 0) & (sure <= 1)).all()
        assert model.decode(z, "symbol", temperature=1.0).shape == ids.shape
        assert not torch.equal(model.decode(z, "signal", temperature=1.0), model.decode(z, "signal"))


def test_the_total_is_the_weighted_sum_of_the_terms():
    model = make(beta_1=0.5, beta_2=2.0, cross_1=3.0, cross_2=4.0, transfer=5.0, symbol=6.0, warmup=10)
    weights = {"nll_signal": 1, "nll_symbol": 6, "kl_signal": 0.2, "kl_symbol": 0.8, "cross_signal": 1.2, "cross_symbol": 1.6}
    weights |= {"transfer_signal": 5, "transfer_symbol": 30}
    result = model(batch(model), step=4)
    assert result.terms.keys() == weights.keys()
    assert result.total.item() == pytest.approx(sum(weights[name] * term.item() for name, term in result.terms.items()), rel=1e-5)


@pytest.mark.parametrize(("kind", "tie"), [("kld", losses.kl), ("l2", losses.l2)])
def test_the_ties_are_what_the_flag_says(kind, tie):
    model = make(regularization_type=kind, cross_2=1.0).eval()
    data = batch(model)
    q_x, q_y = model.encode(data["signal"], "signal"), model.encode(data["symbol"], "symbol")
    terms = model(data).terms
    assert terms["cross_signal"].item() == pytest.approx(tie(q_x, q_y).mean().item(), rel=1e-5)
    assert terms["cross_symbol"].item() == pytest.approx(tie(q_y, q_x).mean().item(), rel=1e-5)


def test_symbol_nll_is_the_sum_of_log_probabilities():
    model = make().eval()
    data = batch(model)
    logits = model.symbolic.observe(model.encode(data["symbol"], "symbol").mean)
    slots = [slot.log_softmax(-1) for slot in logits.unflatten(1, (1, -1)).split([10, 13, 6], -1)]
    expected = -sum(slot[:, 0].gather(1, data["symbol"][:, 0, [l]]).squeeze(1) for l, slot in enumerate(slots))
    assert torch.allclose(model.symbolic.slots.nll(logits, data["symbol"]), expected, atol=1e-5)


def test_several_latent_layers_count_every_divergence():
    model = make(dims=(6, 3)).eval()
    x = model.standardise(batch(model)["signal"])
    posteriors, latents = model.audio.infer(x)
    lower = losses.kl(posteriors[0], model.audio.prior(0, latents[1]))
    assert torch.allclose(model.audio.divergence(posteriors, latents), lower + losses.kl(posteriors[1]))


def test_evaluation_is_deterministic_and_training_is_not():
    model = make()
    data = batch(model)
    assert model(data).total != model(data).total
    model.eval()
    assert model(data).total == model(data).total


def test_binary_labels_put_one_bit_for_silence():
    model = make(label_type="binary", instruments=("Flute", "Oboe"))
    hot = model.symbolic.slots.one_hot(batch(model, silent=True)["symbol"]).unflatten(1, (2, 27))
    assert (hot[:, 0].sum(1) == 3).all()
    assert hot[0, 1, -1] == 1
    assert hot[0, 1].sum() == 1


def test_statistics_are_those_of_the_data_and_invertible():
    model = make(floor=1e-3)
    data = [batch(model), batch(model)]
    data[0]["signal"][0, 0] = 0.0  # below the floor
    model.prepare(data)
    y = torch.cat([b["signal"] for b in data]).clamp_min(1e-3).log()
    assert model.centre.item() == pytest.approx(y.mean().item(), rel=1e-5)
    assert model.extent.item() == pytest.approx((y - y.mean()).abs().max().item(), rel=1e-5)
    x = data[1]["signal"]
    assert torch.allclose(model.magnitudes(model.standardise(x)), x, rtol=1e-4)


def test_the_generator_term_reaches_the_audio_vae_and_not_the_critic():
    model = make(adversarial=1, adv_weight=3.0)
    data = batch(model)
    result = model(data)
    statistics = {name: buffer.clone() for name, buffer in model.critic.named_buffers()}
    result.terms["deceit"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.audio.parameters())
    assert all(p.grad is None for p in model.critic.parameters())
    assert all(torch.equal(buffer, statistics[name]) for name, buffer in model.critic.named_buffers())
    plain = sum(t.item() for n, t in result.terms.items() if n != "deceit" and not n.startswith("cross"))
    assert result.total.item() == pytest.approx(
        plain + 10 * result.terms["cross_signal"].item() + 3 * result.terms["deceit"].item(), rel=1e-5
    )


def test_the_critic_learns_from_all_reconstructions_and_leaves_the_vae_alone():
    model = make(adversarial=1)
    data = batch(model)
    model(data)
    assert data["reconstruction"].shape == data["signal"].shape
    assert len(data["reconstruction"].unique(dim=0)) == 6
    model(data, phase="adversary").total.backward()
    assert all(p.grad is None for p in model.audio.parameters())
    assert all(p.grad is not None for p in model.critic.parameters())
    assert set(model.phases()) == {"vae", "adversary"}
    assert model.phases()["adversary"].lr == model.config.adv_lr


def test_a_normal_is_a_pair_of_mean_and_variance():
    assert Normal._fields == ("mean", "variance")
