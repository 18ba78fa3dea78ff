"""What is found out about models of scores: bounds, anchors, and music from seeds, by lt_analyze.py."""

import json

import numpy as np
import pytest
import torch

import lt_analyze
from data.keys import Key
from data.piano_roll import BEYOND
from models import composing
from models.bounds import bounds
from models.classifying import Model, datasets
from models.classifying_anchors import anchors
from models.classifying_config import Config
from models.composing import Wanted
from models.epochs import batches
from models.evaluation import passes
from models.run_config import write_run
from models.run_folder import LAST
from models.runs import load_run
from models.score import Manner
from utils.checkpoint import save_state
from utils.config import InputError
from utils.device import generator

SCALES = {"C": [60, 62, 64, 65, 67, 69, 71], "A-": [60, 61, 63, 65, 67, 68, 70], "D": [61, 62, 64, 66, 67, 69, 71]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A table of songs in three keys, 40 steps each, all of their notes in key."""
    random = np.random.default_rng(0)
    table = {}
    for split, n in (("train", 6), ("valid", 3), ("test", 3)):
        keys = [list(SCALES)[i % 3] for i in range(n)]
        table[split] = [[sorted(random.choice(SCALES[key], 3, replace=False).tolist()) for _ in range(40)] for key in keys]
        table[f"{split}_key"], table[f"{split}_mode"] = keys, [True] * n
    path = tmp_path_factory.mktemp("songs") / "songs.json"
    path.write_text(json.dumps(table))
    return path


def config_of(corpus, **given):
    return Config(**{"dbroot": str(corpus), "intermediate_dim": 8, **given}).resolved()


def run_of(corpus, folder, **given):
    """Write a run with weights that were never trained."""
    config = config_of(corpus, **given)
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    write_run(folder, "classifying", config, {split: data.fingerprint() for split, data in datasets(config).items()})
    save_state(folder / LAST, {"model": Model(config).state_dict()})
    return folder


KINDS = [{"model": "vae"}, {"model": "vae", "classify": False}, {"use_x_prev": True}, {"classify": False, "prior": "learned"}]


@pytest.mark.parametrize("given", KINDS)
def test_real_pieces_are_in_key_and_kinds_have_all_metrics(corpus, given):
    config = config_of(corpus, **given)
    model, dataset = Model(config).eval(), datasets(config, ["test"])["test"]
    music = composing.generated(model, dataset, Wanted(0, 8, 2), 0)
    assert music.metrics["score_real"]["in_key"]["value"] == pytest.approx(1)
    assert music.metrics["score_real"]["notes_a_frame"]["value"] == pytest.approx(3)
    assert music.metrics["score_real"]["empty_frames"]["value"] == 0
    kinds = {name.removeprefix("score_generated_") for name in music.metrics} - {"score_real"}
    assert kinds == ({"inferred", "inferred_prior", "told", "told_one_hot"} if config.classify else {"free", "free_prior"})
    for found in music.metrics.values():
        assert 0 <= found["in_key"]["low"] <= found["in_key"]["value"] <= found["in_key"]["high"] <= 1
    assert music.seeded == 3
    again = composing.generated(model, dataset, Wanted(0, 8, 2), 0)
    assert again.metrics == music.metrics
    assert composing.generated(model, dataset, Wanted(0, 8, 2), 1).metrics != music.metrics


def test_what_is_counted_is_counted_by_hand():
    rolls = [np.zeros((2, 88), bool), np.zeros((2, 88), bool)]
    rolls[0][:, 60 - 21] = True  # C, twice the same
    rolls[0][0, 61 - 21] = rolls[0][1, 61 - 21] = True
    rolls[1][0, 62 - 21] = True  # then silence

    class Piece:
        def __init__(self, identity):
            self.identity = identity

    found = composing._told(rolls, [Key("C"), Key("C")], [Piece("a"), Piece("b")], 0)
    assert found["in_key"]["value"] == pytest.approx(3 / 5)
    assert found["in_key_mean"]["value"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["notes_a_frame"]["value"] == pytest.approx(5 / 4)
    assert found["empty_frames"]["value"] == pytest.approx(1 / 4)
    assert found["repeated_frames"]["value"] == pytest.approx(1 / 2)


def test_seeds_that_are_too_long_are_refused(corpus):
    config = config_of(corpus)
    with pytest.raises(InputError, match="no piece has the 41 steps"):
        composing.places(Model(config), datasets(config, ["test"])["test"], Wanted(0, 41, 1), 0)


def test_anchors_by_hand(corpus):
    """Rates are counted with one frame more and one less; the bound is the exact likelihood, whatever the draws."""
    config = config_of(corpus, model="vae", use_x_prev=True)
    splits = datasets(config)
    train, test = splits["train"].plain(), splits["test"]
    found = anchors(Model(config), batches(train, 64, 0))
    frames = np.concatenate([piece.frames for piece in train.pieces])
    rates = (frames.sum(0) + 1) / (len(frames) + 2)
    real = np.concatenate([piece.frames for piece in test.pieces])
    expected = -(np.log(rates) * real + np.log(1 - rates) * ~real).sum() / len(real)
    got = bounds(found["rates"], batches(test, 7, 0), 3, 0)
    assert got["bound"]["value"] == pytest.approx(expected, rel=1e-5)
    assert got["bound_3"]["value"] == pytest.approx(expected, rel=1e-5)
    told = bounds(found["naive_bayes"], batches(test, 7, 0), 1, 0, "key")["bound"]["value"]
    assert told < expected
    each = [found["naive_bayes"].transfer(batch["score"], "score", "key") for batch in batches(test, 7, 0)]
    torch.testing.assert_close(torch.cat(each).sum(1), torch.ones(len(test)))


def test_anchors_pass_over_what_is_beyond_a_piece(corpus):
    config = config_of(corpus, seq_length=16)
    model = anchors(Model(config), batches(datasets(config, ["train"])["train"].plain(), 8, 0))["naive_bayes"]
    whole = next(batches(datasets(config, ["test"])["test"], 2, 0))
    cut = {**whole, "score": whole["score"].clone()}
    cut["score"][:, 10:] = BEYOND
    short = {**whole, "score": whole["score"][:, :10]}
    torch.testing.assert_close(model.bound(cut, generator(0))["nll"], model.bound(short, generator(0))["nll"])


@pytest.mark.parametrize("given", KINDS)
def test_an_analysis_of_each_kind(corpus, tmp_path, given, capsys):
    run = run_of(corpus, tmp_path / "run", **given)
    args = ["-m", str(run), "--draws", "2", "--rounds", "1", "--frames", "8", "--generate_audio", "1"]
    assert lt_analyze.main(args) == 0
    content = json.loads((run / "analysis" / "analysis.json").read_text())
    assert {"score_bound", "score_real", "score_to_score"} <= set(content["metrics"]["model"])
    assert {"rates", "naive_bayes"} <= set(content["metrics"])
    assert content["metrics"]["naive_bayes"]["score_to_key"]["key_vote"]["value"] == 1.0
    bound = content["metrics"]["model"]["score_bound"]
    terms = sum(bound[name]["value"] for name in bound if not name.startswith("bound"))
    assert bound["bound"]["value"] == pytest.approx(terms)
    model = load_run(run)
    alone = bounds(model, passes(datasets(model.config, ["test"])["test"], 1, 0), 2, 0)
    assert bound == {name: pytest.approx(found) for name, found in alone.items()}
    page = (run / "analysis" / "report.html").read_text()
    assert "Music" in page and "the piece" in page
    sounds = sorted(path.name for path in (run / "analysis" / "audio").glob("*.wav"))
    assert "example_1_the_piece.wav" in sounds and len(sounds) >= 3
    assert "in_key" in capsys.readouterr().out


def test_pieces_that_are_too_short_for_seeds_leave_out_the_music(corpus, tmp_path, caplog):
    run = run_of(corpus, tmp_path / "run")
    assert lt_analyze.main(["-m", str(run), "--draws", "1", "--frames", "41", "--make_figures", "0"]) == 0
    assert "no piece has the 41 steps that a seed takes" in caplog.text
    metrics = json.loads((run / "analysis" / "analysis.json").read_text())["metrics"]["model"]
    assert "score_bound" in metrics and "score_real" not in metrics


def test_parts_can_be_left_out(corpus, tmp_path):
    run = run_of(corpus, tmp_path / "run", model="vae")
    args = ["-m", str(run), "--draws", "0", "--rounds", "0", "--generate_audio", "0", "--make_figures", "0"]
    assert lt_analyze.main(args) == 0
    metrics = json.loads((run / "analysis" / "analysis.json").read_text())["metrics"]["model"]
    assert not any(name.startswith(("score_bound", "score_real", "score_generated")) for name in metrics)


@pytest.mark.parametrize("flag", ["--draws", "--rounds"])
def test_bad_numbers(flag):
    with pytest.raises(InputError, match=flag):
        lt_analyze.main(["-m", "x", flag, "-1"])


def test_manners_differ(corpus):
    config = config_of(corpus, use_x_prev=True)
    model = Model(config).eval()
    seed = torch.from_numpy(np.stack([piece.frames[:16] for piece in config.corpus().of("test")])).float()
    made = [model.generate(seed, 8, None, Manner(prior=prior), generator(0)) for prior in (False, True)]
    assert made[0].shape == (3, 8, 88) and not torch.equal(*made)
