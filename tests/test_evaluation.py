"""Scores of models whose translations are known."""

import math
from dataclasses import dataclass

import pytest
import torch

from data.labels import Labels
from data.representations import Representation
from models import evaluation
from models.base import LatentModel
from models.evaluation import Observed, Scores, confusions, estimate, estimates, means, observe, passes
from models.losses import Normal
from utils import metrics
from utils.device import generator

CLASSES = (("octave", ("3", "4")), ("pitch", ("A", "B", "C")))
REST = (2, 3)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Number(Representation):
    """One number, compared by its distance."""

    @property
    def shape(self):
        return (1,)

    def compare(self, reference, estimate):
        return {"distance": (reference - estimate).abs()[:, 0]}


class Known(LatentModel):
    """Translate by a table: the number n stands for the ids ``table[n]``; symbols become the number 10."""

    latent_shape = (2,)

    def __init__(self, table, *instruments, silence=True):
        super().__init__()
        self.table = torch.tensor(table)
        self.representations = {"signal": Number(), "symbol": Labels(CLASSES, instruments or ("flute",), silence, 30.0)}

    def encode(self, x, source, condition=None):
        return Normal(x.flatten(1)[:, :1].float().expand(-1, 2), torch.ones(len(x), 2))

    def transfer(self, x, source, target, condition=None):
        if target == "signal":
            return x if source == "signal" else torch.full((len(x), 1), 10.0)
        return self.table[x[:, 0].long()] if source == "signal" else x

    def nll(self, x, source, y, target, condition=None):
        return torch.full((len(x),), 2.5) if (source, target) == ("signal", "symbol") else None


class OneWay(Known):
    """From numbers to symbols only, without a latent space."""

    latent_shape = ()
    translations = [("signal", "symbol")]  # noqa: RUF012


def batch(numbers, ids, item, group):
    """Return a batch; ids, items and groups are rows of one entry an instrument."""
    signal = torch.tensor(numbers, dtype=torch.float)[:, None]
    return {"signal": signal, "symbol": torch.tensor(ids), "item": torch.tensor(item), "group": torch.tensor(group)}


SOLO = [  # two recordings of note 7, one of note 9; what is named: pitch wrong once, octave twice
    batch([0, 1, 2], [[(0, 0)], [(0, 0)], [(0, 0)]], [[4], [4], [4]], [[7], [7], [7]]),
    batch([0, 0, 3], [[(0, 0)], [(1, 2)], [(1, 2)]], [[5], [6], [6]], [[7], [9], [9]]),
]
NAMED = [[(0, 0)], [(0, 1)], [(1, 0)], [(1, 2)]]


def test_every_translation_is_scored_over_all_batches():
    found = observe(Known(NAMED), SOLO, CPU)
    assert {name: set(scores) for name, scores in found.scores.items()} == {
        "signal_to_signal": {"distance"},
        "symbol_to_signal": {"distance"},
        "signal_to_symbol": {"octave", "pitch", "all", "sounding", "nll", "octave_vote", "pitch_vote", "all_vote"},
        "symbol_to_symbol": {"octave", "pitch", "all", "sounding", "octave_vote", "pitch_vote", "all_vote"},
    }
    assert found.scores["symbol_to_signal"]["distance"].values.tolist() == [10, 9, 8, 10, 10, 7]
    named = found.scores["signal_to_symbol"]
    assert named["octave"].values.tolist() == [1, 1, 0, 1, 0, 1]
    assert named["pitch"].values.tolist() == [1, 0, 1, 1, 0, 1]
    assert named["all"].values.tolist() == [1, 0, 0, 1, 0, 1]
    assert named["all"].group.tolist() == [[7], [7], [7], [7], [9], [9]]
    assert found.group.tolist() == named["all"].group.tolist()


def test_recordings_are_named_by_most_of_their_frames():
    named = observe(Known(NAMED), SOLO, CPU).scores["signal_to_symbol"]
    assert named["octave_vote"].values.tolist() == [1, 1, 0]  # the last: one frame against one, the lower class wins
    assert named["pitch_vote"].values.tolist() == [1, 1, 0]
    assert named["all_vote"].values.tolist() == [1, 1, 0]
    assert named["all_vote"].group.tolist() == [[7], [7], [9]]


def test_labels_and_latents_are_those_of_the_examples():
    found = observe(Known(NAMED), SOLO, CPU)
    assert found.labels["pitch"].ids.tolist() == [0, 0, 0, 0, 2, 2]
    assert found.labels["pitch"].names == ("A", "B", "C", "silent")
    assert found.latents["signal"].mean[:, 0].tolist() == [0, 1, 2, 0, 0, 3]
    assert found.latents["symbol"].variance.shape == (6, 2)


def test_a_network_of_one_way_has_no_latents():
    found = observe(OneWay(NAMED), SOLO, CPU)
    assert found.latents == {}
    assert set(found.scores) == {"signal_to_symbol"}
    assert "nll" in found.scores["signal_to_symbol"]


def test_confusions_count_true_rows_and_named_columns():
    found = confusions(observe(Known(NAMED), SOLO, CPU))
    counts, names = found["signal_to_symbol"]["pitch"]
    assert names == ("A", "B", "C", "silent")
    assert counts.tolist() == [[3, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert found["symbol_to_symbol"]["octave"][0].tolist() == [[4, 0, 0], [0, 2, 0], [0, 0, 0]]
    assert set(found) == {"signal_to_symbol", "symbol_to_symbol"}


def test_silence_has_a_row_and_a_column():
    model = Known([[(0, 0), REST], [REST, (1, 1)]], "flute", "cello")
    counts = confusions(observe(model, [duo()], CPU))["signal_to_symbol"]["cello pitch"][0]
    assert counts.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1]]


def duo():
    """Return frames of two instruments, of which one may rest."""
    symbols = [[(0, 0), (1, 1)], [(0, 0), (1, 1)], [(0, 0), REST]]
    return batch([0, 1, 0], symbols, [[1, 1], [1, 1], [2, 3]], [[1, 1], [1, 1], [2, 3]])


def test_mixtures_have_a_vote_for_every_recording_of_every_instrument():
    model = Known([[(0, 0), REST], [REST, (1, 1)]], "flute", "cello")
    votes = observe(model, [duo()], CPU).scores["signal_to_symbol"]["all_vote"]
    assert votes.values.tolist() == [1, 1, 1]  # cello's recording 3 never sounds; ties go to the lower class, not to silence
    assert len(votes.group.unique()) == 3  # note 1 of the flute is not note 1 of the cello


def test_groups_of_mixtures_are_of_two_kinds():
    found = observe(Known([[(0, 0), REST], [REST, (1, 1)]], "flute", "cello"), [duo()], CPU)
    assert found.group.tolist() == [[1, 1], [1, 1], [2, 3]]
    assert found.scores["signal_to_symbol"]["all"].group.shape == (3, 2)
    group = torch.tensor([[0, 0], [1, 0], [2, 1], [3, 1]])
    assert estimate(Scores(torch.rand(4), group), 0)["groups"] == 2  # the least of their numbers


@pytest.mark.parametrize(("value", "interval"), [(1.0, (0.51011, 1.0)), (0.0, (0.0, 0.48989))])
def test_all_right_or_all_wrong_has_an_interval_of_the_number_of_notes(value, interval):
    """Wilson's with 4 trials: at a share of 1 the low end is 4 / (4 + 1.96 ** 2)."""
    group = torch.arange(4).repeat(5)[:, None]
    found = estimate(Scores(torch.full((20,), value), group), 0)
    assert (found["low"], found["high"]) == pytest.approx(interval, abs=1e-4)
    assert (found["value"], found["n"], found["groups"]) == (value, 20, 4)


def test_other_scores_have_a_bootstrap_interval_over_groups():
    values, group = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 1, 2, 2])[:, None]
    found = estimate(Scores(values, group), 3)
    assert found["value"] == pytest.approx(4 / 6)
    assert (found["low"], found["high"]) == metrics.bootstrap_interval(values, group, generator(3, "bootstrap"))
    assert found == estimate(Scores(values, group), 3)
    assert (found["n"], found["groups"]) == (6, 3)


def test_a_constant_that_is_no_share_has_no_width():
    found = estimate(Scores(torch.full((6,), 0.5), torch.arange(6)[:, None]), 0)
    assert (found["low"], found["value"], found["high"]) == (0.5, 0.5, 0.5)


def test_values_that_cancel_to_a_whole_mean_are_drawn_anew():
    found = estimate(Scores(torch.tensor([-1.0, 1.0, 3.0, -3.0]), torch.arange(4)[:, None]), 0)
    assert found["value"] == 0.0
    assert found["low"] < -1 < 1 < found["high"]


def test_means_are_the_values_of_the_estimates():
    found = observe(Known(NAMED), SOLO, CPU)
    flat = {f"{t}.{name}": e["value"] for t, scores in estimates(found).items() for name, e in scores.items()}
    assert means(found) == flat
    assert flat["signal_to_symbol.pitch"] == pytest.approx(4 / 6)
    assert flat["signal_to_symbol.nll"] == 2.5


def test_nothing_observed_is_nothing_estimated():
    assert estimates(Observed()) == means(Observed()) == confusions(Observed()) == {}


class Drawn:
    """A dataset of 5 examples that draws something anew for every batch."""

    varies = True

    def __len__(self):
        return 5

    def order(self, random):
        return torch.randperm(5, generator=random)

    def batch(self, rows, random):
        return {"row": rows, "drawn": torch.rand(len(rows), generator=random)}


def test_passes_draw_anew_and_repeat_for_a_seed(monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH", 2)
    first, again, other = (list(passes(Drawn(), 3, seed)) for seed in (0, 0, 1))
    turns = [torch.cat([batch["drawn"] for batch in first[n : n + 2]]) for n in (0, 2, 4)]
    assert all(sorted(torch.cat([b["row"] for b in first[n : n + 2]]).tolist()) == [0, 1, 2, 3, 4] for n in (0, 2, 4))
    assert not torch.equal(turns[0], turns[1])
    assert all(torch.equal(a["drawn"], b["drawn"]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0]["drawn"], other[0]["drawn"])


def test_what_does_not_vary_is_passed_once(monkeypatch):
    monkeypatch.setattr(Drawn, "varies", False)
    assert sum(len(batch["row"]) for batch in passes(Drawn(), 3, 0)) == 5


def test_one_group_has_no_interval():
    found = evaluation.estimate(evaluation.Scores(torch.rand(9), torch.zeros(9, 1, dtype=torch.long)), 0)
    assert found["groups"] == 1
    assert math.isnan(found["low"])
    assert math.isnan(found["high"])


# -- weights ----------------------------------------------------------------------------------------------------------


def test_the_mean_is_of_weighted_values():
    values, group = torch.tensor([1.0, 2.0, 6.0]), torch.arange(3)[:, None]
    assert Scores(values, group).mean == pytest.approx(3)
    assert Scores(values, group, torch.tensor([2.0, 1.0, 1.0])).mean == pytest.approx(10 / 4)
    assert Scores(values, group, torch.full((3,), 7)).mean == pytest.approx(3)


def test_estimates_follow_the_weights():
    values, group = torch.tensor([0.0, 1.0, 4.0, 2.0]), torch.tensor([0, 1, 2, 3])[:, None]
    plain, equal = (estimate(Scores(values, group, weight), 1) for weight in (None, torch.full((4,), 3.0)))
    assert equal == pytest.approx(plain)
    heavy = estimate(Scores(values, group, torch.tensor([1.0, 1.0, 8.0, 1.0])), 1)
    assert heavy["value"] == pytest.approx(35 / 11)
    assert (heavy["low"], heavy["high"]) == metrics.bootstrap_interval(
        values, group, generator(1, "bootstrap"), weight=torch.tensor([1.0, 1.0, 8.0, 1.0])
    )
    assert (heavy["n"], heavy["groups"]) == (4, 4)


def test_all_right_has_wilson_s_interval_whatever_the_weights():
    """Weighted means of ones are one but for rounding."""
    weight = torch.tensor([0.1, 0.2, 0.3, 0.7, 1.3]).double()
    found = estimate(Scores(torch.ones(5), torch.arange(5)[:, None], weight), 0)
    assert found["value"] == 1
    assert found["low"] == pytest.approx(0.5655, abs=1e-4)


def test_weights_of_batches_reach_the_scores():
    weighted = [{**here, "weight": torch.tensor([1.0, 0.0, 0.0])} for here in SOLO]
    found = observe(Known(NAMED), weighted, CPU)
    assert found.scores["symbol_to_signal"]["distance"].mean == 10  # the first of each batch; see above
    assert found.scores["symbol_to_signal"]["distance"].weight.tolist() == [1, 0, 0, 1, 0, 0]
    votes = found.scores["signal_to_symbol"]["all_vote"]
    assert votes.weight is None
    assert means(found)["symbol_to_signal.distance"] == 10
