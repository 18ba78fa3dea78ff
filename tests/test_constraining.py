"""What an analysis finds out about constraints on latents, by models whose answers are known."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.attributes import measure
from data.melody import Melody
from data.phrase_closeness import WAYS, Nearest
from data.phrase_corpora import PhrasePiece
from data.phrase_windows import PhraseWindows
from models import constraining
from models.analysis import Analyst, Request
from models.analysis_report import write_all
from models.constrained_draws import beside
from models.constraining import add_sounds, examine
from models.constraining_report import TITLES, _plane, draw, section
from models.epochs import batches
from models.evaluation import observe
from models.losses import Normal
from models.musicvae import datasets
from models.phrase import PHRASE, ConstrainedModel
from models.phrasing import Phrases, Wanted
from models.runs import load_run
from tests.phrase_runs import Tokens, make_phrase_run, silent
from utils.device import generator

DEVICE, STEPS, NUMBER = torch.device("cpu"), 32, 60
CLASSES = ("little", "middle", "much")


class Base(Tokens):
    """One of which draws from its prior are notes at every step."""

    def __init__(self):
        super().__init__(STEPS)

    def sample(self, n, generator=None):
        return torch.randint(70, 90, (n, STEPS), generator=generator) / 10


class Turned(Base, ConstrainedModel):
    """A constraint that keeps everything: latents are turned, and back; draws are phrases of a user, by turns.

    A wish for much is fulfilled by any of them; others by silence, of which there is little.
    """

    def __init__(self, own):
        super().__init__()
        self.base, self.own = Base(), own
        self.turn = torch.linalg.qr(torch.randn(STEPS, STEPS, generator=torch.Generator().manual_seed(0), dtype=torch.double))[0]

    def encode(self, x, source, condition=None):
        return Normal((x / 10).double() @ self.turn, torch.full(x.shape, 0.5, dtype=torch.double))

    def to_base(self, z, condition=None):
        return z @ self.turn.T

    def decode(self, z, target, condition=None, temperature=0.0, random=None):
        x = self.base.decode(self.to_base(z), target)
        return x if condition is None else torch.where(condition[:, :1] == 2, x, 0)

    def sample(self, n, generator=None):
        return self.encode(self.own[torch.arange(n) % len(self.own)], PHRASE).mean


class Mean(Turned):
    """A constraint that keeps nothing but the mean of the user's latents."""

    def to_base(self, z, condition=None):
        return (self.own / 10).double().mean(0).expand(len(z), -1)


def windows(number=8, seed=0):
    """Return melodies of four bars, two phrases apart each; a note each beat."""
    random = np.random.default_rng(seed)
    pieces = []
    for place in range(number):
        line = np.zeros(64, np.int64)
        line[::4] = random.integers(40, 60, 16)
        pieces.append(PhrasePiece(f"piece {place}", None, "test", str((seed, place)), (line,)))
    return PhraseWindows(tuple(pieces), Melody(STEPS))


TEST, TRAIN = windows(), windows(10, 1)
OWN = TRAIN.batch(torch.arange(len(TRAIN)), torch.Generator())[PHRASE]


def examined(model, test=TEST, train=TRAIN, number=NUMBER):
    observed = observe(model.eval(), batches(test, 1024, 0, "evaluation", 0), DEVICE)
    return examine(model, observed, test, train, number, 0)


@pytest.fixture(scope="module")
def found():
    model = Turned(OWN[:20])
    model.wishes, model.edges = {"note_density": CLASSES}, {"note_density": torch.tensor([0.1, 0.2])}
    return examined(model)


def value(found, *names):
    column, section_, metric = names
    return found.metrics[column][section_][metric]["value"]


# -- what is found ----------------------------------------------------------------------------------------------------


def test_what_can_be_undone_keeps_all(found):
    assert value(found, "model", "constraint_reconstruction", "z_r2") == pytest.approx(1)
    assert value(found, "model", "constraint_reconstruction", "z_r2_active") == pytest.approx(1)
    assert value(found, "model", "constraint_reconstruction", "active_of_base") == 8  # a note each beat
    assert value(found, "model", "constraint_agreement", "accuracy") == 1
    assert value(found, "base", "phrase_to_phrase", "accuracy") == 1


def test_what_says_the_mean_keeps_nothing():
    made = examined(Mean(OWN))
    assert value(made, "model", "constraint_reconstruction", "z_r2") == pytest.approx(0, abs=1e-6)
    assert value(made, "model", "constraint_agreement", "accuracy") < 0.9
    low, high = (made.metrics["model"]["constraint_reconstruction"]["z_r2"][end] for end in ("low", "high"))
    assert low == pytest.approx(high, abs=1e-6)


def test_r2_is_a_ratio_of_sums():
    z, back = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 1.0]])
    found = constraining._r2(z, back, torch.tensor([0.0, 1.0]), torch.arange(2)[:, None], 0)
    assert found["value"] == pytest.approx(1 - 2 / 12) and found["low"] <= found["value"] <= found["high"]


def test_divergence_is_in_nats_and_bits(found):
    held = found.metrics["model"]["constraint_latents"]
    x = TEST.batch(torch.arange(len(TEST)), torch.Generator())[PHRASE]
    nats = 0.5 * ((x / 10).double().square().sum(1) + STEPS * (0.5 - 1 - math.log(0.5)))
    assert held["kl_nats"]["value"] == pytest.approx(nats.mean().item())
    assert held["kl_bits"]["value"] == pytest.approx(nats.mean().item() / math.log(2))
    assert held["kl_nats"]["low"] < held["kl_nats"]["value"] < held["kl_nats"]["high"]


def test_draws_that_are_the_users_own_are_at_no_distance(found):
    own = found.metrics["model"]["constraint_samples"]
    for way in WAYS:
        assert own[f"{way}_from_training"]["value"] == 0
        gain = value(found, "prior", "constraint_samples", f"{way}_from_training")
        assert own[f"{way}_closer_to_training"]["value"] == pytest.approx(gain) and gain > 0.5
    assert own["silent"]["value"] == 0
    prior, real = (found.metrics[name]["constraint_samples"] for name in ("prior", "real"))
    assert 0 < real["steps_from_split"]["value"] < prior["steps_from_split"]["value"]
    assert real["steps_from_training"]["groups"] == 8 and real["steps_from_split"]["groups"] == 10  # pieces


def test_coverage_by_hand(found):
    """There are 30 phrases of training; draws are 20 of them, by turns, 60 in all."""
    own = found.metrics["model"]["constraint_samples"]["steps_coverage"]
    missed = math.comb(57, 30) / math.comb(60, 30)  # that one that is drawn thrice is not among 30
    assert own["value"] == pytest.approx(20 / 30 * (1 - missed)) and own["n"] == 30
    assert "steps_coverage" not in found.metrics["real"]["constraint_samples"]  # of 24 phrases


def test_latents_of_draws_are_compared_with_the_users(found):
    near, far, real = (found.metrics[name]["constraint_latents"]["mmd_to_training"]["value"] for name in ("model", "prior", "real"))
    assert near < 0.1 < far and real < far
    assert "mmd_to_split" not in found.metrics["real"]["constraint_latents"]


def test_draws_of_the_base_stand_beside_those_of_the_model(found):
    assert {"distinct", "verbatim_of_training", "js_interval"} <= found.metrics["prior"]["phrase_samples"].keys()
    assert found.metrics["prior, temperature 0.5"]["phrase_samples"].keys() == found.metrics["prior"]["phrase_samples"].keys()
    assert "phrase_samples" not in found.metrics["model"] and found.histograms.keys() == {"prior"}


def test_wishes_are_counted(found):
    """There is a note each beat, 0.25 a step, which is much; a wish for less is heard as silence, which is little."""
    shares = {name: value(found, "model", "constraint_wishes", f"wish_note_density_{name}") for name in CLASSES}
    assert shares == {"little": 1, "middle": 0, "much": 1}
    assert value(found, "no wish", "constraint_wishes", "wish_note_density_much") == 1
    assert value(found, "real", "constraint_wishes", "wish_note_density_little") == 0
    table = found.json()["wishes"]["note_density"]
    assert table == {"classes": CLASSES, "measured": [[NUMBER, 0, 0], [NUMBER, 0, 0], [0, 0, NUMBER]]}
    json.dumps(found.json(), allow_nan=False)
    assert measure("melody", OWN)["note_density"].unique().tolist() == [0.25]


def test_draws_lie_beside_their_nearest(found):
    assert len(found.beside["model"]) == len(found.beside["prior"]) == 6
    first = found.beside["model"][0]
    assert torch.equal(first.draw, first.nearest) and first.f1 == 1


def test_scattered_draws_have_a_column_of_their_own(found):
    """Beside those that are the user's own; where nothing is left open they are as near, and the wider the farther."""
    assert "spread 1" not in found.metrics and "spread 1" not in found.latents
    near, apart = [], []
    for wide in (0.0, 0.2, 2.0):
        model = Turned(OWN[:20])
        model.residual = torch.full((STEPS,), wide)
        made = examined(model)
        assert made.metrics["spread 1"]["constraint_samples"].keys() == {
            "steps_from_training", "events_from_training", "steps_from_split", "events_from_split", "steps_coverage",
            "events_coverage", "silent",
        }  # fmt: skip
        assert made.metrics["spread 1"]["constraint_samples"]["steps_from_training"]["n"] == NUMBER
        near.append(value(made, "spread 1", "constraint_samples", "steps_from_training"))
        apart.append(value(made, "spread 1", "constraint_latents", "mmd_to_training"))
        assert made.latents["spread 1"].shape == (NUMBER, STEPS)
        assert value(made, "model", "constraint_samples", "steps_from_training") == 0
        moved = made.latents["spread 1"] - model.to_base(model.sample(NUMBER, generator(0, "spread")))
        assert moved.std().item() == pytest.approx(wide, rel=0.1)
    assert near[0] == 0 < near[1] < near[2] and apart[0] < 0.1 < apart[2] and apart == sorted(apart)


def test_without_the_training_split_what_needs_it_is_left_out():
    made = examined(Turned(OWN), train=None)
    assert "constraint_reconstruction" not in made.metrics["model"] and "real" not in made.metrics
    assert made.metrics["model"]["constraint_samples"].keys() == {
        "steps_from_split", "events_from_split", "steps_closer_to_split", "events_closer_to_split", "silent"
    }  # fmt: skip
    assert "constraint_wishes" not in made.metrics["model"] and made.json() == {"wishes": {}}


def test_without_draws_latents_are_told_of():
    made = examined(Turned(OWN), number=0)
    assert made.metrics["model"].keys() == {"constraint_reconstruction", "constraint_agreement", "constraint_latents"}
    assert not made.near and made.metrics.keys() == {"model", "base", "real"}


def test_one_piece_has_no_intervals():
    made = examined(Turned(OWN), test=windows(1, 2))
    held = made.metrics["model"]["constraint_reconstruction"]["z_r2"]
    assert held["groups"] == 1 and math.isnan(held["low"]) and held["value"] == pytest.approx(1)
    assert math.isnan(made.metrics["real"]["constraint_samples"]["steps_from_training"]["low"])
    assert math.isfinite(made.metrics["prior"]["constraint_samples"]["steps_from_split"]["low"])  # draws are independent


# -- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", [TRAIN, None])
def test_all_is_drawn_and_shown(train, tmp_path, monkeypatch):
    monkeypatch.setattr("models.phrase_files.save_notes", silent)
    model = Turned(OWN[:20])
    model.wishes, model.edges = {"note_density": CLASSES}, {"note_density": torch.tensor([0.1, 0.2])}
    made, drawn = examined(model, train=train), {}
    (tmp_path / "constraint_model_9.wav").touch()  # of an earlier analysis

    def files(name):
        drawn[name] = tmp_path / f"{name}.png"
        return [drawn[name]]

    add_sounds(made, model, 2, tmp_path)
    assert len(list(tmp_path.glob("constraint_*.wav"))) == 6
    made.beside = {name: pairs[:2] for name, pairs in made.beside.items()}  # to draw takes long
    draw(made, Melody(STEPS), files)
    assert len(drawn) == 4 and all(path.stat().st_size > 1000 for path in drawn.values())
    assert len(section(made, drawn).blocks) == 2 + 4 + 1
    assert {name for column in made.metrics.values() for name in column if name.startswith("constraint")} <= TITLES.keys()


def test_one_latent_has_a_plane():
    places, names = _plane({"training": torch.ones(1, 1)}, {"training": torch.ones(1, 1)})
    assert places["training"].tolist() == [[0, 0]] and names[0].endswith("(0%)")


class Narrow(ConstrainedModel):
    """Two numbers that stand for latents of a run by a fixed matrix."""

    def __init__(self, base):
        super().__init__()
        self.config, self.representations, self.latent_shape = base.config, base.representations, (2,)
        object.__setattr__(self, "base", base)
        wide = torch.linalg.qr(torch.randn(base.latent_shape[0], 2, generator=torch.Generator().manual_seed(0)))[0]
        self.register_buffer("wide", wide)
        self.register_buffer("middle", torch.zeros(len(wide)))

    def facets(self, batch):
        return self.base.facets(batch)

    def encode(self, x, source, condition=None):
        mean = (self.base.encode(x, source).mean - self.middle) @ self.wide
        return Normal(mean, torch.full_like(mean, 0.1))

    def to_base(self, z, condition=None):
        return z @ self.wide.T + self.middle

    def decode(self, z, target, condition=None, temperature=0.0, random=None):
        return self.base.decode(self.to_base(z), target, None, temperature, random)

    def told(self, x, z=None):
        return x

    def nll(self, x, source, y, target, condition=None):
        return None


@pytest.mark.parametrize("kind", ["hits", "melody", "groove", "trio"])
def test_runs_of_every_kind_are_examined(kind, tmp_path):
    """By two of the numbers of latents that keep nearly all there is, as against two that keep little."""
    model = Narrow(load_run(make_phrase_run(tmp_path, kind))).eval()
    test, train = datasets(model.config, ("all", "train")).values()
    z = torch.cat([model.base.encode(batch[PHRASE], PHRASE).mean.detach() for batch in batches(train, 1024, 0)])
    axes = torch.linalg.svd(z - z.mean(0))[2]
    kept = {}
    for name, wide in (("most", axes[:2]), ("least", axes[-2:])):
        model.wide, model.middle = wide.T, z.mean(0)
        made = examined(model, test, train, 20)
        assert {name: set(made.metrics[name]) for name in ("model", "base", "real")} == {
            "model": {"constraint_reconstruction", "constraint_agreement", "constraint_samples", "constraint_latents"},
            "base": {"phrase_to_phrase"},
            "real": {"constraint_samples", "constraint_latents"},
        }
        own = made.metrics["model"]
        assert all(each["n"] == len(test) and each["groups"] == len(test.pieces) for each in own["constraint_agreement"].values())
        assert own["constraint_reconstruction"]["z_r2"]["groups"] == len(test.pieces)
        assert all(each["n"] == 20 for name, each in own["constraint_samples"].items() if "_from_" in name or name == "silent")
        drawn = made.latents["model"] - model.middle
        assert torch.allclose(drawn @ wide.T @ wide, drawn, atol=1e-5)  # draws are within what is kept
        kept[name] = own["constraint_reconstruction"]["z_r2"]["value"]
    assert kept["least"] < 0.3 and kept["most"] > 0.5


def test_an_analysis_tells_of_the_constraint(tmp_path, monkeypatch):
    run = make_phrase_run(tmp_path, "hits")
    monkeypatch.setattr("models.analysis.load_run", lambda *_: Narrow(load_run(run)).eval())
    monkeypatch.setattr("models.analysis.phrasing.examine", lambda model, *_: Phrases(model.representations[PHRASE]))
    asked = Request(split="all", examples=1, phrases=Wanted(0, 20), figures=False)
    found = Analyst(run, asked, DEVICE).analyse(tmp_path / "analysis")
    assert {"phrase_to_phrase", "constraint_agreement", "constraint_latents"} <= found.metrics["model"].keys()
    write_all(found, tmp_path / "analysis")
    told = json.loads((tmp_path / "analysis" / "analysis.json").read_text())
    assert told["constraint"] == {"wishes": {}} and found.phrases.histograms.keys() == {"prior"}
    page = (tmp_path / "analysis" / "report.html").read_text()
    assert TITLES["constraint_samples"] in page and "as near as an imitator need be" in page
    assert (tmp_path / "analysis" / "audio" / "constraint_user_1.wav").is_file()


def test_nearest_are_shown_by_what_begins():
    near = {
        "steps_from_split": Nearest(torch.tensor([0.2]), torch.tensor([0])),
        "events_from_split": Nearest(torch.tensor([0.5]), torch.tensor([1])),
    }
    own = {"split": SimpleNamespace(distinct=torch.tensor([[1], [2]]))}
    (pair,) = beside(torch.tensor([[3]]), near, own)
    assert pair.nearest.tolist() == [2] and pair.f1 == 0.5
