"""The timbre system's model: sizes, losses, conditions and pulls, in closed form where there is one."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from data.dissimilarity import ratings
from data.instruments import OCTAVES
from data.notes import PITCH_CLASSES
from data.spectral import KINDS
from models.epochs import LATE
from models.losses import Normal
from models.timbre import PLAIN, REGULARISED, Model
from models.timbre_config import Config
from utils import geometry
from utils.config import InputError, merge

RATED = ("Clarinet", "Saxophone", "Trumpet", "Cello", "French-Horn", "Oboe", "Flute", "English-Horn", "Bassoon", "Trombone")
RATED = (*RATED, "Piano", "Violin")  # all twelve, in the order of the original's table
NAMES = ("Flute", "Oboe", "Violin", "Piano", "Bassoon")
TINY = {
    "transform": "stft",
    "latent_dims": 6,
    "hidden_dims": 16,
    "hidden_layers": 2,
    "noise": 0.1,
    "epochs": 2,
    "twofold_epochs": 2,
}
FORMS = [(kind, form) for kind in ("l2", "gaussian", "student") for form in ("corrected", "original")] + [("student", "paper")]


def classes(names=NAMES) -> dict[str, list[str]]:
    return {"octave": list(OCTAVES), "pitch": list(PITCH_CLASSES), "dynamics": ["p", "f"], "instrument": list(names)}


def configured(names=NAMES, **changes) -> Config:
    """Return a configuration as if resolved with a corpus of these instruments."""
    config = merge(Config(), {**TINY, "alpha": 1.0, "instruments": names, "classes": classes(names), **changes})
    config.validate()
    return config if "dissimilarity" in changes else replace(config, dissimilarity=config._rated(names))


def modelled(names=NAMES, **changes) -> Model:
    torch.manual_seed(0)
    return Model(configured(names, **changes))


def batch_of(instruments, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random spectra of some instruments, given by their class ids, and random notes."""
    random, n = torch.Generator().manual_seed(seed), len(instruments)
    notes = {"pitch": (n, 12), "octave": (n, 9), "dynamics": (n, 2)}
    ids = {label: torch.randint(high, (n,), generator=random) for label, (n, high) in notes.items()}
    return {"signal": torch.rand(n, 440, generator=random), "instrument": torch.tensor(instruments), **ids}


MIXED = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


def losses_of(model: Model, phase: str, batch=None, step: int = LATE):
    torch.manual_seed(1)
    return model(batch_of(MIXED) if batch is None else batch, step, phase)


def gradient(model: Model, phase: str, batch=None) -> torch.Tensor:
    model.zero_grad()
    losses_of(model, phase, batch).total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


# -- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "encoder", "decoder"),
    [
        ({}, 19_485_064, 20_603_800),
        ({"latent_dims": 16}, 19_389_032, 20_554_632),
        ({"latent_dims": 64, "hidden_dims": 2000}, 9_118_128, 9_804_672),
        ({"conditioning": ("none",)}, 19_449_064, 20_583_820),
    ],
)
def test_the_original_sizes(changes, encoder, decoder):
    """410 bands, 12 pitch classes, 3 layers of 3000, 32 latent dimensions: 40,088,864 parameters."""
    with torch.device("meta"):
        model = Model(replace(Config(classes=classes(), instruments=NAMES), **changes))
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert sizes["encoder"] == encoder
    assert sizes["entrance"] + sizes["decoder"] == decoder
    assert sum(p.numel() for p in model.parameters()) == encoder + decoder


def test_the_default_is_the_original_size():
    config = Config()
    assert (config.latent_dims, config.hidden_dims, config.hidden_layers, config.transform) == (32, 3000, 3, "nsgt-octave")
    assert config.told == ("pitch",)


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_takes_what_the_transform_gives(kind):
    with torch.device("meta"):
        model = Model(configured(transform=kind))
    assert model.encoder.hidden.layers[0][0].in_features == model.representations["signal"].shape[0] + 12


# -- the bound --------------------------------------------------------------------------------------------------------


def test_divergence_and_likelihood_in_closed_form():
    """A posterior N(0, var 1/2) is 0.0966 nats a dimension from the prior; heads read variances, not deviations."""
    model = modelled(conditioning=("none",)).eval()
    for net in (model.encoder, model.decoder):
        for parameter in net.head.parameters():
            torch.nn.init.zeros_(parameter)
    batch = {"signal": torch.ones(4, 440), "instrument": torch.arange(4)}  # of which the logarithm is the centre, 0
    found = losses_of(model, PLAIN, batch)
    assert found.terms["kl_signal"].item() == pytest.approx(6 * 0.0966, abs=1e-3)
    variance = 0.1**2 + (1 - 0.1**2) / 2
    assert found.terms["nll_signal"].item() == pytest.approx(440 / 2 * math.log(2 * math.pi * variance), rel=1e-5)
    assert found.total.item() == pytest.approx(sum(term.item() for term in found.terms.values()))


def test_alpha_and_beta_weigh_their_terms():
    for alpha, beta in ((1, 1), (0.5, 1), (1, 3), (0, 0)):
        model = modelled(alpha=float(alpha), beta=float(beta))
        for phase, weight in ((PLAIN, 0), (REGULARISED, alpha)):
            found = losses_of(model, phase)
            terms = {name: term.item() for name, term in found.terms.items()}
            expected = terms["nll_signal"] + beta * terms["kl_signal"] + weight * terms.get("ratings", 0)
            assert found.total.item() == pytest.approx(expected, rel=1e-6)
            assert ("ratings" in terms) == (phase == REGULARISED)


def test_alpha_weighs_nothing_of_an_own_prior():
    one, other = (losses_of(modelled(regularization="prior", alpha=alpha), REGULARISED) for alpha in (0.0, 5.0))
    assert one.total.item() == other.total.item()
    assert set(one.terms) == {"nll_signal", "kl_signal"}


def test_the_divergence_warms_up():
    model = modelled(warmup=10, beta=2.0)
    totals = [losses_of(model, PLAIN, step=step) for step in (0, 5, 10, LATE)]
    weights = [((t.total - t.terms["nll_signal"]) / t.terms["kl_signal"]).item() for t in totals]
    assert weights == pytest.approx([0, 1, 2, 2], rel=1e-4)


def test_the_learning_rate_is_that_of_both_phases():
    model = modelled(lr=0.02)
    for epoch in (0, 3):
        (group,) = model.phases(epoch).values()
        assert group.lr == 0.02
        assert {id(p) for p in group.params} == {id(p) for p in model.parameters()}


def test_only_training_draws():
    model = modelled()
    for phase in (PLAIN, REGULARISED):
        drawn = [model.train()(batch_of(MIXED), LATE, phase).total.item() for _ in range(2)]
        assert drawn[0] != drawn[1]
        still = [model.eval()(batch_of(MIXED), LATE, phase).total.item() for _ in range(2)]
        assert still[0] == still[1]


# -- phases -----------------------------------------------------------------------------------------------------------


def test_the_second_phase_begins_after_the_epochs_of_the_first():
    model = modelled(epochs=3, twofold_epochs=2)
    assert [list(model.phases(epoch)) for epoch in range(6)] == [[PLAIN]] * 3 + [[REGULARISED]] * 3
    assert model.config.total_epochs == 5
    assert list(modelled(epochs=0).phases()) == [REGULARISED]
    assert modelled().config.twofold().total_epochs == 2


def test_without_ratings_there_is_one_phase():
    model = modelled(regularization="none", epochs=3, twofold_epochs=7)
    assert {name for epoch in range(20) for name in model.phases(epoch)} == {PLAIN}
    assert model.config.total_epochs == 3
    assert model.config.dissimilarity == {}
    assert model.config.rated == []
    with pytest.raises(InputError, match="no epoch to train"):
        model.config.twofold().validate()


# -- conditions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [("pitch",), ("octave",), ("pitch", "octave"), ("dynamics", "octave", "pitch")])
def test_what_it_is_told_changes_what_it_does(labels):
    model, batch = modelled(conditioning=labels).eval(), batch_of([0, 1])
    assert list(model.conditions) == list(labels)
    told = model.condition(batch)
    assert told.tolist() == [[batch[label][row].item() for label in labels] for row in range(2)]
    z = torch.randn(2, 6)
    for column, label in enumerate(labels):
        other = told.clone()
        other[:, column] = (other[:, column] + 1) % model.conditions[label]
        assert not torch.allclose(
            model.encode(batch["signal"], "signal", told).mean, model.encode(batch["signal"], "signal", other).mean
        )
        assert not torch.allclose(model.decode(z, "signal", told), model.decode(z, "signal", other))


def test_it_may_be_told_nothing():
    model, batch = modelled(conditioning=("none",)).eval(), batch_of([0, 1])
    assert model.condition(batch) is None
    assert model.encode(batch["signal"], "signal").mean.shape == (2, 6)
    assert model.decode(torch.zeros(3, 6), "signal").shape == (3, 440)
    batch["pitch"] += 1
    assert not list(model.entrance.parameters())


def test_decoders_normalise_batches_only_where_they_are_told_nothing():
    """So have the original's: a frame's reconstruction with a condition does not depend on its batch, but for the encoder's."""
    for told, expected in ((("pitch",), 0), (("none",), 2)):
        norms = [m for m in modelled(conditioning=told).decoder.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        assert len(norms) == expected


def test_facets_are_the_labels_that_the_corpus_tells():
    batch = batch_of(MIXED)
    found = modelled().facets(batch)
    assert {label: facet.order for label, facet in found.items()} == {
        "octave": "line",
        "pitch": "circle",
        "dynamics": "line",
        "instrument": "none",
    }
    assert found["instrument"].names == NAMES
    assert found["instrument"].ids.tolist() == MIXED
    del batch["dynamics"]
    assert "dynamics" not in modelled().facets(batch)


# -- ratings ----------------------------------------------------------------------------------------------------------

TARGETS = ("all", "first", "maxvar", "minvar")


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_every_regulariser_pulls_at_the_dimensions_it_should(kind, form):
    plain = None
    for between, target in itertools.product(("centroids", "frames"), TARGETS):
        model = modelled(regularization=kind, form=form, between=between, targetdims=target, mds_dims=2)
        model.variance.copy_(torch.tensor([3.0, 1, 5, 0, 4, 2]))
        plain = gradient(model, PLAIN) if plain is None else plain
        model.variance.copy_(torch.tensor([3.0, 1, 5, 0, 4, 2]))
        assert not torch.allclose(gradient(model, REGULARISED), plain), (between, target)
        model.zero_grad()
        losses_of(model, REGULARISED).terms["ratings"].backward()
        moved = model.encoder.head.mean.weight.grad.abs().sum(1) > 0  # moving all latents alike would change nothing
        expected = {"all": range(6), "first": [0, 1], "maxvar": [2, 4], "minvar": [1, 3]}[target]
        assert moved.nonzero().flatten().tolist() == list(expected) == model.pulled().tolist(), (between, target)


@pytest.mark.parametrize("target", TARGETS)
def test_an_own_prior_pulls_too(target):
    model = modelled(regularization="prior", targetdims=target, mds_dims=2)
    assert not torch.allclose(gradient(model, REGULARISED), gradient(model, PLAIN))


@pytest.mark.parametrize(("kind", "form"), [*FORMS, ("prior", "corrected")])
def test_a_step_with_each_lowers_its_term(kind, form):
    model = modelled(regularization=kind, form=form)
    term = "kl_signal" if kind == "prior" else "ratings"
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    found = []
    for _ in range(20):
        optimizer.zero_grad()
        value = losses_of(model, REGULARISED).terms[term]
        value.backward()
        optimizer.step()
        found.append(value.item())
    assert found[-1] < found[0]


@pytest.mark.parametrize(("kind", "form"), [*FORMS, ("prior", "corrected")])
@pytest.mark.parametrize("between", ["centroids", "frames"])
def test_batches_that_say_little_stay_finite(kind, form, between):
    """One instrument, unrated ones, one unrated beside others, and equal frames."""
    names = (*NAMES, "Kazoo", "Tuba")
    model = modelled(names, regularization=kind, form=form, between=between)
    assert torch.isnan(model.mean[5, :5]).all()
    same = batch_of([0, 1, 0, 1])
    same = {name: tensor[:1].expand_as(tensor) for name, tensor in same.items()} | {"instrument": same["instrument"]}
    for batch in (batch_of([2] * 6), batch_of([5] * 6), batch_of([5, 6, 5, 6]), batch_of([0, 5, 1, 6, 2]), same):
        model.train()
        found = losses_of(model, REGULARISED, batch)
        assert all(term.isfinite() for term in found.terms.values())
        assert gradient(model, REGULARISED, batch).isfinite().all()


def test_unrated_instruments_are_not_pulled():
    model = modelled((*NAMES, "Kazoo"), between="frames")
    found = losses_of(model, REGULARISED, batch_of([5, 5, 5, 0]))
    assert found.terms["ratings"].item() == 0


@pytest.mark.parametrize(
    ("target", "expected"), [("all", [0, 1, 2, 3, 4, 5]), ("first", [0, 1, 2]), ("maxvar", [0, 2, 4]), ("minvar", [1, 3, 5])]
)
def test_the_dimensions_that_are_pulled(target, expected):
    model = modelled(targetdims=target)
    model.variance.copy_(torch.tensor([3.0, 1, 5, 0, 4, 2]))
    assert model.pulled().tolist() == expected
    model.variance.zero_()  # equal ones, as before any training, come in order
    assert model.pulled().tolist() == ([0, 1, 2, 3, 4, 5] if target == "all" else [0, 1, 2])


def test_variances_are_learned_in_the_first_phase_alone():
    model = modelled()
    means = []
    for _ in range(2):
        q = model.encode(batch_of(MIXED)["signal"], "signal", model.condition(batch_of(MIXED)))
        means.append(q.mean.detach().var(0))
        losses_of(model, PLAIN)
    expected = 0.99 * (0.01 * means[0]) + 0.01 * means[1]
    assert torch.allclose(model.variance, expected, rtol=1e-3)
    losses_of(model, REGULARISED)
    losses_of(model.eval(), PLAIN)
    assert torch.allclose(model.variance, expected, rtol=1e-3)
    assert "variance" in model.state_dict()


def test_latents_are_scaled_as_two_draws_of_the_prior_lie():
    """The mean rating stands for sqrt(2 D), of the D dimensions that are pulled."""
    for target, count in (("all", 6), ("first", 3)):
        model = modelled(targetdims=target)
        mean = np.nanmean(geometry.upper(ratings("balanced-no-grey", NAMES).mean))
        assert model.scale * mean == pytest.approx(math.sqrt(2 * count))


def test_ratings_are_no_weights():
    """So that a network starts from weights of another's ratings; the configuration keeps them."""
    assert not {"mean", "spread", "places", "spreads"} & modelled(regularization="prior").state_dict().keys()


def test_own_priors_are_those_of_the_original():
    """Spreads but for the scale, which is common to means and spreads here; places as far apart as the ratings say."""
    model = modelled(RATED, regularization="prior", ratings="pooled", latent_dims=12)
    table = np.array([0.320, 0.363, 0.327, 0.138, 0.415, 0.190, 0.386, 0.269, 0.205, 0.436, 0.034, 0.164])
    found = model.spreads.double().numpy()
    assert found - found.min() == pytest.approx(table - table.min(), abs=1e-3)
    assert found.min() > 0
    rated = ratings("pooled", RATED).mean
    between = geometry.distances(model.places.double().numpy())
    assert model.places.shape == (12, 11)
    assert geometry.stress1(rated, between) == pytest.approx(0.0455, abs=5e-4)


def test_latents_at_their_own_priors_have_no_divergence():
    model = modelled(regularization="prior", targetdims="maxvar", mds_dims=2)
    model.variance.copy_(torch.tensor([3.0, 1, 5, 0, 4, 2]))
    mean = torch.zeros(5, 6)
    mean[:, [2, 4]] = model.scale * model.places
    q = Normal(mean, model.spreads[:, None].expand(5, 6))
    assert model._own_prior(q, torch.arange(5)).detach().numpy() == pytest.approx(np.zeros(5), abs=1e-5)


def test_the_order_of_instruments_changes_no_loss():
    order = [3, 0, 4, 1, 2]
    one, other = modelled(), modelled([NAMES[k] for k in order])
    other.load_state_dict(one.state_dict())
    renamed = batch_of([order.index(k) for k in MIXED])
    assert other.scale == pytest.approx(one.scale)
    for model in (one, other):
        model.eval()
    expected = losses_of(one, REGULARISED).terms["ratings"].item()
    assert losses_of(other, REGULARISED, renamed).terms["ratings"].item() == pytest.approx(expected, rel=1e-5)
    assert losses_of(other, REGULARISED).terms["ratings"].item() != pytest.approx(expected, rel=1e-2)


# -- sound ------------------------------------------------------------------------------------------------------------


def test_likelihoods_are_of_log_magnitudes():
    """Another extent is another unit: ln p of the same log magnitudes by a network that sees them so."""
    model, batch = modelled().eval(), batch_of(MIXED)
    batch["signal"] = 0.1 + 0.9 * batch["signal"]
    told, x = model.condition(batch), batch["signal"]
    before = model.nll(x, "signal", x, "signal", told)
    assert before.mean().item() == pytest.approx(losses_of(model, PLAIN, batch).terms["nll_signal"].item(), rel=1e-5)
    model.extent.fill_(2.0)
    model.centre.fill_(0.0)
    squeezed = x.square()  # which looks to it as x did
    assert torch.allclose(model.nll(squeezed, "signal", squeezed, "signal", told), before + 440 * math.log(2), rtol=1e-3)


def test_temperature_draws():
    model, z, told = modelled().eval(), torch.zeros(2, 6), torch.zeros(2, 1, dtype=torch.long)
    still = model.decode(z, "signal", told)
    assert torch.equal(model.decode(z, "signal", told), still)
    assert (still >= 0).all()
    assert not torch.equal(model.decode(z, "signal", told, temperature=1.0), still)
