"""The critic and the actor: what each phase moves, their losses, wishes, and what is compared with what is held out."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from data.attributes import measure
from models.latent_constraint_critic import ACTOR, CLASSES, CRITIC, DRAWS, LOOKED_AT
from models.phrase import PHRASE
from models.training import Trainer
from tests import constraint_runs
from tests.constraint_runs import APT, constraint, everything, make_base
from utils.config import InputError
from utils.device import generator
from utils.distributions import mmd

WISHING = {**constraint_runs.CRITIC, "attributes": ("density", "kick_share")}
NAMES = ("hit_density", "kick_share")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"), **APT)


@pytest.fixture
def made(base):
    """A model with wishes that is ready to be trained, and all its phrases."""
    model = constraint(base, **WISHING)
    batch = everything(model)
    model.prepare([batch])
    return model.train(), batch


def parts(model):
    return {name: list(getattr(model.constraint, name).parameters()) for name in (CRITIC, ACTOR)}


def saying(actor, *logits):
    """Let the critic say the same of everything, (1 + 3 A,)."""
    actor.critic.forward = lambda z: torch.tensor(logits).expand(len(z), -1)


# -- phases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [constraint_runs.CRITIC, WISHING], ids=["realism", "attributes"])
def test_each_phase_moves_its_own(base, tmp_path, words):
    model = constraint(base, **{**words, "lr": 1e-2})
    batch = everything(model)
    model.prepare([batch])
    trainer = Trainer(model.train(), tmp_path, torch.device("cpu"))
    for phase, other in ((CRITIC, ACTOR), (ACTOR, CRITIC)):
        before = {name: [p.detach().clone() for p in params] for name, params in parts(model).items()}
        trainer._update(phase, batch)
        changed = {
            name: [not torch.equal(a, b) for a, b in zip(before[name], now, strict=True)] for name, now in parts(model).items()
        }
        assert all(changed[phase]) and not any(changed[other])


def test_a_critic_is_updated_oftener(base, tmp_path):
    model = constraint(base, **{**constraint_runs.CRITIC, "critic_steps": 7})
    assert {name: group.times for name, group in model.phases().items()} == {CRITIC: 7, ACTOR: 1}
    seen, forward = [], model.forward
    model.forward = lambda batch, step, phase: seen.append(phase) or forward(batch, step, phase)
    Trainer(model.train(), tmp_path, torch.device("cpu")).step(everything(model))
    assert seen == [CRITIC] * 7 + [ACTOR]


def test_no_gradient_of_the_critic_reaches_the_actor_nor_any_the_base(made):
    model, batch = made
    gradients = torch.autograd.grad(model(batch, 0, CRITIC).total, parts(model)[ACTOR], allow_unused=True)
    assert all(gradient is None for gradient in gradients)
    gradients = torch.autograd.grad(model(batch, 0, ACTOR).total, parts(model)[ACTOR])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert not any(p.requires_grad for p in model.base.parameters())


# -- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logit", [-2.0, 0.0, 3.0])
def test_the_cross_entropy_of_realism(base, logit):
    """Specification, 4.4: 1 for one's own, 0 for draws of the prior and for what the actor makes."""
    model = constraint(base, **constraint_runs.CRITIC).train()
    batch = everything(model)
    model.prepare([batch])
    saying(model.constraint, logit)
    found = model(batch, 0, CRITIC)
    own, other = softplus(torch.tensor(-logit)).item(), softplus(torch.tensor(logit)).item()
    assert own == pytest.approx(-math.log(1 / (1 + math.exp(-logit))), rel=1e-5)
    assert found.terms["critic_own"].item() == pytest.approx(own) and found.terms["critic_others"].item() == pytest.approx(
        2 * other
    )
    assert found.total.item() == pytest.approx(own + 2 * other) and "critic_classes" not in found.terms
    assert model(batch, 0, ACTOR).terms["actor_realism"].item() == pytest.approx(own)


def test_how_far_an_actor_moves_counts_by_how_wide_posteriors_are(base):
    model = constraint(base, **constraint_runs.CRITIC, distance=0.3).train()
    batch = everything(model)
    model.prepare([batch])
    deviation = batch["variance"].sqrt().mean(0)
    assert torch.allclose(model.constraint.deviation, deviation)
    saying(model.constraint, 0.0)
    model.constraint.actor.forward = lambda z, label: z + 2.0
    found = model(batch, 0, ACTOR)
    assert found.terms["actor_moved"].item() == pytest.approx((math.log(5) / deviation.square()).mean().item(), rel=1e-4)
    assert found.total.item() == pytest.approx(math.log(2) + 0.3 * found.terms["actor_moved"].item(), rel=1e-5)


@pytest.mark.parametrize(("sure", "cost"), [(50.0, 0.0), (0.0, math.log(3)), (-50.0, 50 + math.log(2))])
def test_wishes_that_are_fulfilled_cost_nothing(made, sure, cost):
    """Of what was wished for; where the critic cannot tell, three classes are alike; where it says another, there is a price."""
    model, batch = made
    told, forward = [], model.constraint.actor.forward
    model.constraint.actor.forward = lambda z, label: told.append(label) or forward(z, label)
    model.constraint.critic.forward = lambda z: torch.cat([torch.zeros(len(z), 1), sure * told[-1]], 1)
    found = model(batch, 0, ACTOR)
    assert told[0].any() and not told[0].all()  # some are wished, and what is not costs nothing either way
    assert found.terms["actor_wishes"].item() == pytest.approx(cost, abs=1e-4)
    realism, moved = found.terms["actor_realism"].item(), found.terms["actor_moved"].item()
    assert realism == pytest.approx(math.log(2))
    assert found.total.item() == pytest.approx(realism + model.config.distance * moved + cost, rel=1e-5)


def test_the_critic_pays_for_what_phrases_are_not(made):
    """It says much of the first attribute of all; told nothing of the second, three classes are alike."""
    model, batch = made
    saying(model.constraint, 0.0, -50.0, -50.0, 50.0, 0.0, 0.0, 0.0)
    decoded, decode = [], model.base.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.base, "decode", lambda *args: decoded.append(decode(*args)) or decoded[-1])
        found = model(batch, 0, CRITIC).terms["critic_classes"].item()
    (become,) = decoded  # of what the actor makes
    ids = [model.constraint._classes(model.constraint._measured({"decoded": x})) for x in (batch["decoded"], become)]
    wrong = [(known[:, 0] != 2).double().mean().item() for known in ids]
    assert found == pytest.approx(sum((100 * share + math.log(3)) / 2 for share in wrong), rel=1e-4)


def test_half_of_the_wishes_are_left_out_in_training(made):
    model, batch = made
    told, forward = [], model.constraint.actor.forward
    model.constraint.actor.forward = lambda z, label: told.append(label) or forward(z, label)
    for _ in range(60):
        model(batch, 0, ACTOR)
    columns = torch.cat(told).unflatten(1, (2, 3))
    assert set(columns.sum(2).unique().tolist()) == {0.0, 1.0}
    assert columns.sum(2).mean().item() == pytest.approx(0.5, abs=0.05)
    shares = columns.sum(0) / columns.sum((0, 2))[:, None]  # as often as the phrases have each
    ids = model.constraint._classes(model.constraint._measured(batch))
    for place in range(2):
        there = torch.bincount(ids[:, place], minlength=3) / len(ids)
        assert torch.allclose(shares[place], there, atol=0.06)


# -- wishes -----------------------------------------------------------------------------------------------------------


def test_classes_are_thirds_of_what_the_base_makes_of_the_phrases(made):
    model, batch = made
    assert model.wishes == dict.fromkeys(NAMES, CLASSES) and tuple(model.edges) == NAMES
    x = model.base.decode(model.base.encode(batch[PHRASE], PHRASE).mean, PHRASE)
    assert torch.equal(x, batch["decoded"])
    values = measure("hits", x)
    for place, name in enumerate(NAMES):
        expected = values[name].quantile(torch.tensor([1 / 3, 2 / 3], dtype=torch.float64))
        assert torch.equal(model.edges[name], expected)
        ids = model.constraint._classes(torch.stack([values[name] for name in NAMES]))[:, place]
        assert torch.equal(ids, (values[name] >= expected[0]).long() + (values[name] >= expected[1]))


def test_what_is_at_an_edge_is_of_the_upper_class(made):
    """Densities are fractions that no float holds exactly."""
    model, _ = made
    values = torch.tensor([1, 2, 3, 4], dtype=torch.float64) / 10
    model.constraint.limits.copy_(torch.tensor([[0.1, 0.3], [0.2, 0.4]], dtype=torch.float64))
    assert model.constraint._classes(torch.stack([values, values])).T.tolist() == [[1, 1, 2, 2], [0, 1, 1, 2]]


def test_an_attribute_that_all_phrases_share_is_refused(made):
    model, batch = made
    with pytest.raises(InputError, match="--attributes hit_density: has too few values in these phrases"):
        model.prepare([{**batch, "decoded": batch["decoded"][:1].expand_as(batch["decoded"])}])


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([1, 2, 3, 4, 5, 6], [2, 2, 2]),
        ([1, 2, 2, 3, 3, 3], [1, 2, 3]),
        ([1, 1, 1, 1, 2, 3], None),  # nothing is less than a third
        ([1, 1, 2, 2, 2, 2], None),  # nothing is between the thirds, which differ
        ([1, 1, 2, 2, 2, 3], None),
    ],
)
def test_thirds_that_leave_a_class_empty_are_refused(made, monkeypatch, values, counts):
    model, batch = made
    few, values = {name: part[:6] for name, part in batch.items()}, torch.tensor(values, dtype=torch.float64)
    monkeypatch.setattr(model.constraint, "_measured", lambda batch: values.expand(2, -1))
    if counts is None:
        with pytest.raises(InputError, match="--attributes hit_density: has too few values in these phrases"):
            model.prepare([few])
        return
    model.prepare([few])
    for ids in model.constraint._classes(values.expand(2, -1)).T:
        assert ids.bincount(minlength=3).tolist() == counts


def test_no_wish_is_the_same_as_none(made):
    model, _ = made
    z = model.eval().sample(4, torch.Generator().manual_seed(0))
    told = {ids: model.to_base(z, torch.tensor([ids] * 4)) for ids in ((-1, -1), (2, -1), (-1, 0), (2, 0))}
    assert torch.equal(told[-1, -1], model.to_base(z))
    assert len({tensor.sum().item() for tensor in told.values()}) == 4
    phrases = model.decode(z, PHRASE, torch.tensor([[2, -1]] * 4))
    assert torch.equal(phrases, model.base.decode(told[2, -1], PHRASE))


def test_an_actor_whose_gate_is_shut_leaves_latents_where_they_are(made):
    model, _ = made
    z = model.sample(4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.constraint.actor.out.bias[8:] = -100.0
    assert torch.equal(model.to_base(z), z) and torch.equal(model.to_base(z, torch.tensor([[0, 2]] * 4)), z)


# -- what is held out -------------------------------------------------------------------------------------------------


def test_in_evaluation_distances_to_what_is_held_out_are_told(base):
    model = constraint(base, **constraint_runs.CRITIC)
    batch = everything(model)
    found = {phase: model(batch, 0, phase) for phase in (CRITIC, ACTOR)}
    prior = torch.randn(DRAWS, 8, generator=generator("validation"))
    assert found[CRITIC].total.item() == pytest.approx(mmd(model.to_base(prior), batch["mean"]), rel=1e-5)
    assert found[CRITIC].total == found[CRITIC].terms["distance_to_held_out"] > 0
    assert found[ACTOR].total == 0 and not found[ACTOR].terms  # so that it counts once
    for few in (1, 2):
        far = [model({"mean": batch["mean"][:few] + away, "variance": batch["variance"][:few]}, 0, CRITIC) for away in (0, 100)]
        assert 0 < far[0].total < far[1].total and far[1].total.isfinite()


def test_with_wishes_they_are_of_each_class_too(made):
    """Beside how many of the wishes do not come true in what the base writes."""
    model, batch = made
    model.eval()
    prior, apart, missed = torch.randn(DRAWS, 8, generator=generator("validation")), [], []
    ids = model.constraint._classes(model.constraint._measured(batch))
    for place, label in [(0, -1), *((place, label) for place in range(2) for label in range(3))]:
        wish = torch.full((DRAWS, 2), -1)
        wish[:, place] = label
        own = batch["mean"] if label < 0 else batch["mean"][ids[:, place] == label]
        apart += [mmd(model.to_base(prior, wish), own)] if len(own) > 1 else []
        if label >= 0:
            values = measure("hits", model.decode(prior[:LOOKED_AT], PHRASE, wish[:LOOKED_AT]))
            become = torch.bucketize(values[NAMES[place]], model.edges[NAMES[place]], right=True)
            missed.append((become != label).double().mean().item())
    found = model(batch, 0, CRITIC)
    assert len(missed) == 6 and 0 < sum(missed) < 6
    assert found.terms["distance_to_held_out"].item() == pytest.approx(sum(apart) / len(apart), rel=1e-5)
    assert found.terms["wishes_missed"].item() == pytest.approx(sum(missed) / 6, rel=1e-5)
    assert found.total.item() == pytest.approx(sum(apart) / len(apart) + sum(missed) / 6, rel=1e-5)


# -- what it is for ---------------------------------------------------------------------------------------------------


def test_an_actor_learns_where_latents_are(base, tmp_path):
    """Those of one's own are a small cloud beside the prior: draws, told nothing, come nearer."""
    model = constraint(base, **{**constraint_runs.CRITIC, "hidden": (32, 32), "lr": 3e-3, "critic_steps": 3, "distance": 0.01})
    centre = torch.linspace(-1.5, 1.5, 8)
    mean = centre + 0.2 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    batch = {"mean": mean, "variance": torch.full((64, 8), 0.25)}
    trainer = Trainer(model, tmp_path, torch.device("cpu"))
    before = model(batch, 0, CRITIC).total.item()
    model.train()
    for _ in range(120):
        trainer.step(batch)
    model.eval()
    assert model(batch, 0, CRITIC).total.item() < 0.5 * before
    drawn = model.to_base(model.sample(500, torch.Generator().manual_seed(0)))
    assert torch.dist(drawn.mean(0), centre) < 0.5 * centre.norm()
