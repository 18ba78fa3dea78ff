"""Numbers of pieces by a model of scores: those of an analysis, by hand, in batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.excerpts import Excerpts
from data.scores import read
from models import scored
from models.bounds import bounds
from models.evaluation import estimates, observe
from models.scored import Scored
from tests.classifying_runs import NAMES, ident, make_model, make_music
from tests.test_bounds import set_prior, silence_latents
from utils.device import generator

KINDS = [{"model": "vae", "classify": True, "use_x_prev": True}, {"model": "lstm", "classify": False}]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Return a folder of six pieces of 10 steps, two each in C, D and E flat: windows of 4 steps, the last of 2."""
    return make_music(tmp_path_factory.mktemp("music"), pieces=2, beats=10)


def excerpts(model, pieces):
    config = model.config
    return Excerpts(tuple(pieces), NAMES, config.seq_length, config.lag)


def whole(dataset):
    return dataset.batch(torch.arange(len(dataset)), generator(0))


def test_reconstructions_are_windows_one_after_another(music):
    model = make_model(model="lstm", use_x_prev=True)
    (piece,) = read(music / "60_0.mid")
    with torch.no_grad():
        windows = model.transfer(whole(excerpts(model, [piece]))["score"], "score", "score")[:, 1:] >= 0.5
    (one,) = scored.score(model, [piece], 0, 0)
    assert np.array_equal(one.rebuilt, np.concatenate([windows[0], windows[1], windows[2, :2]]))


@pytest.mark.parametrize("changes", KINDS, ids=ident)
def test_totals_are_those_of_an_analysis(changes, music):
    """The same functions on the same windows at once; intervals, too."""
    model, pieces = make_model(**changes), list(read(music))
    found = scored.summary(list(scored.score(model, pieces, 3, 7)), 7)
    batch = whole(excerpts(model, pieces))
    expected = {"score_bound": bounds(model, [batch], 3, 7)}
    if changes["classify"]:
        expected["score_bound_key_told"] = bounds(model, [batch], 3, 7, "key")
    expected |= estimates(observe(model, [batch], model.device), 7)
    assert {name for name in found if name.startswith("score_")} == set(expected)
    for section, scores in expected.items():
        assert set(found[section]) == set(scores)
        for name, estimate in scores.items():
            assert found[section][name] == pytest.approx(estimate, rel=1e-5), (section, name)


@pytest.mark.parametrize("changes", KINDS, ids=ident)
def test_a_decoder_that_ignores_its_latents_by_hand(changes, music):
    """Where keys depend on nothing, each bound is -ln p of the notes, and the reconstruction always the same chord."""
    model = make_model(**changes)
    silence_latents(model)
    set_prior(model)
    (piece,) = read(music / "62_1.mid")
    chances = torch.sigmoid(model.body.output.bias[:88].double()).detach().numpy()
    assert (chances > 0.5).any()
    notes = piece.frames
    exact = -(notes * np.log(chances) + ~notes * np.log(1 - chances)).sum() / len(notes)
    (one,) = scored.score(model, [piece], 4, 0)
    assert np.array_equal(one.rebuilt, np.tile(chances >= 0.5, (10, 1)))
    row = scored.row(one)
    assert row["score_bound"]["bound"]["value"] == pytest.approx(exact, rel=1e-5)
    assert row["score_bound"]["bound_4"]["value"] == pytest.approx(exact, rel=1e-5)
    assert row["score_to_score"]["nll"]["value"] == pytest.approx(exact, rel=1e-5)
    assert row["score_to_score"]["whole_frames"]["value"] == 0
    assert row["score_bound"]["bound"]["low"] is None and row["score_bound"]["bound"]["groups"] == 1
    if changes["classify"]:  # the logits of all keys are 0
        assert row["key"]["weight"] == pytest.approx(1 / 3)
        assert row["score_to_key"]["nll"]["value"] == pytest.approx(np.log(3), rel=1e-5)


def test_the_key_is_that_of_the_mean_of_windows(music):
    model = make_model(model="lstm")
    for piece in read(music):
        piece = replace(piece, frames=piece.frames[:8])  # two whole windows
        (one,) = scored.score(model, [piece], 1, 0)
        with torch.no_grad():
            weights = model.key_of(torch.from_numpy(piece.frames)[None].float())[0]
            each = [model.key_of(torch.from_numpy(part)[None].float())[0].argmax() for part in (piece.frames[:4], piece.frames[4:])]
        row = scored.row(one)["key"]
        assert row["named"] == NAMES[weights.argmax()] and row["weight"] == pytest.approx(weights.max().item(), rel=1e-5)
        assert row["windows"] == " ".join(NAMES[place] for place in each)
        assert row["right"] == (row["named"] == piece.class_of())
        assert scored.row(one)["score_to_key"]["key"]["value"] == np.mean([NAMES[place] == piece.class_of() for place in each])


def test_sums_over_steps_and_intervals_over_pieces(music):
    """A piece of two windows, of 4 steps and of 1, and one of 4; a copy of it adds no group."""
    pieces = list(read(music))[:2]

    def one(piece, steps, *values):
        scores = {"score_bound": {"bound": torch.tensor(values).double()}}
        return Scored(piece, "C", torch.tensor(steps).double(), piece.frames, scores=scores)

    first, second = one(pieces[0], [4, 1], 3.0, 8.0), one(pieces[1], [4], 2.0)
    assert scored.row(first)["score_bound"]["bound"] == {"value": 4.0, "low": None, "high": None, "n": 2, "groups": 1}
    total = scored.summary([first, second])
    assert (total["pieces"], total["windows"], total["steps"]) == (2, 3, 9)
    assert total["score_bound"]["bound"] == {"value": pytest.approx(28 / 9), "low": 2.0, "high": 4.0, "n": 3, "groups": 2}
    assert scored.summary([first, second, second])["score_bound"]["bound"]["groups"] == 2


@pytest.mark.parametrize("steps", [4, 12, 30])
def test_batches_change_nothing_but_the_noise(steps, music, monkeypatch):
    """Pieces of 10 steps in batches of one window, of windows of several pieces, and of three pieces."""
    model, pieces = make_model(model="lstm"), list(read(music))
    before = list(scored.score(model, pieces, 1, 0))
    monkeypatch.setattr(scored, "STEPS", steps)
    after = list(scored.score(model, pieces, 1, 0))
    for one, other in zip(before, after, strict=True):
        assert one.piece is other.piece and one.named == other.named and np.array_equal(one.rebuilt, other.rebuilt)
        for section in ("score_to_score", "score_to_key"):
            for name, values in one.scores[section].items():
                assert torch.allclose(values, other.scores[section][name], rtol=1e-4, atol=1e-6)


def test_the_bound_of_a_piece_does_not_depend_on_the_key_it_is_taken_for(music):
    """A piece in an unknown key has the bound that it has in a known one, where nothing is told."""
    model = make_model(model="lstm")
    (piece,) = read(music / "60_0.mid")
    (known,), (foreign,) = (scored.score(model, [replace(piece, key=scored.Key(key))], 2, 0) for key in ("C", "F#"))
    assert torch.equal(known.scores["score_bound"]["bound"], foreign.scores["score_bound"]["bound"])
