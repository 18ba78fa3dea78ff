"""The timbre system through lt_train.py: two phases in one loop, resumed, continued, and what they do to a known geometry."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lt_train
from data.dissimilarity import ratings
from models.dissimilarities import centroids
from models.evaluation import means, observe, passes
from models.run_config import read_run
from models.run_folder import BEST, HISTORY, LAST, METRICS, numbered
from models.runs import load_run
from models.timbre import PLAIN, REGULARISED, datasets
from models.timbre_config import TRANSFORMS
from models.training import Trainer
from tests import timbres
from tests.test_lt_train import assert_same_runs, rows, same
from utils import geometry, history
from utils.checkpoint import load_state
from utils.config import InputError

ROOT = Path(__file__).parent.parent
SIZE = "--latent_dims 4 --hidden_dims 16 --hidden_layers 1 --noise 0.1 --floor 3e-3 --frames 2 4 --batch_size 32"
SMALL = f"{SIZE} --epochs 2 --twofold_epochs 2 --plot_epochs 0 --save_minutes 0".split()
STEPS = 3  # an epoch of the corpus below


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return timbres.make_timbres(tmp_path_factory.mktemp("corpus"), seconds=0.2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(corpus, cache, tmp_path, capsys):
    """Return a function that trains in tmp_path/saves and gives (folder, printed metrics)."""

    def call(*words, small=True, name="run"):
        fixed = ["--dbroot", corpus, "--cache", cache, "--saveroot", tmp_path / "saves", "--name", name, "--workers", 1]
        fixed = [*(["--system", "timbre", *SMALL] if small else []), *fixed]
        capsys.readouterr()  # what a resumed run printed
        assert lt_train.main([str(word) for word in [*fixed, *words]]) == 0
        return tmp_path / "saves" / name, json.loads(capsys.readouterr().out)

    return call


def resume(folder, *words):
    return lt_train.main(["--resume", str(folder), *map(str, words)])


def interrupted(monkeypatch, at: int, call):
    """Train by `call` until a signal comes in some step."""
    step, done = Trainer.step, []

    def interrupting(self, batch):
        step(self, batch)
        done.append(1)
        if len(done) == at:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupting)
        with pytest.raises(AssertionError):  # the code is not 0
            call()


# -- two phases -------------------------------------------------------------------------------------------------------


def test_two_phases_in_one_loop(train):
    folder, printed = train()
    assert {p.name for p in folder.iterdir()} == {"config.json", LAST, BEST, HISTORY, METRICS, ".lock", numbered(2)}
    assert printed == json.loads((folder / METRICS).read_text())
    assert {"signal_to_signal.nll", "signal_to_signal.log_spectral_distance_db"} <= printed.keys()
    found = rows(folder)
    assert [(row["epoch"], row["step"]) for row in found] == [(n, (n + 1) * STEPS) for n in range(4)]
    assert ["lr_plain" in row for row in found] == [True, True, False, False]
    assert [{"lr_regularised", "train_ratings", "valid_ratings"} <= row.keys() for row in found] == [False, False, True, True]


def test_figures(train):
    folder, _ = train("--plot_epochs", 100, "--conditioning", "octave")
    labels = ("instrument", "octave", "pitch", "dynamics")
    drawn = {f"{kind}_{label}_end.png" for kind in ("latents", "use_signal") for label in labels}
    assert {p.name for p in (folder / "figures").iterdir()} == drawn | {"history.pdf", "translations_end.pdf"}


def test_the_turn_keeps_the_weights_and_renews_the_rest(train):
    whole, _ = train(name="whole")
    plain, _ = train("--twofold_epochs", 0, name="plain")
    state, before = load_state(whole / numbered(2)), load_state(plain / LAST)
    assert same(state["model"], before["model"])
    assert list(state["optimizers"]) == [REGULARISED]
    assert state["optimizers"][REGULARISED]["state"] == {}
    assert state["position"]["best"] == float("inf")
    assert state["position"]["epoch"] == 2
    assert rows(plain) == rows(whole)[:2]


def test_the_best_is_of_the_second_phase(train):
    """Although its loss, with a strong pull, is above those of the first."""
    folder, _ = train("--alpha", 1e6)
    totals = [row["valid_total"] for row in rows(folder)]
    assert min(totals[2:]) > max(totals[:2])
    best, at = load_state(folder / BEST), load_state(folder / LAST)["position"]
    assert best["epoch"] == at["best_epoch"] == 2 + totals[2:].index(min(totals[2:]))
    assert best["loss"] == at["best"] == pytest.approx(min(totals[2:]), rel=1e-6)


def test_the_best_of_a_first_phase_alone_is_known(train):
    folder, _ = train("--twofold_epochs", 0)
    totals = [row["valid_total"] for row in rows(folder)]
    best = load_state(folder / BEST)
    assert best["epoch"] == totals.index(min(totals))
    assert best["loss"] == pytest.approx(min(totals), rel=1e-6)
    resume(folder, "--twofold_epochs", 1)
    assert load_state(folder / BEST)["epoch"] == 2


@pytest.mark.parametrize("words", ["--twofold_epochs 0", "--regularization none"])
def test_patience_ends_a_phase_that_none_follows(train, words):
    folder, _ = train(*words.split(), "--lr", 1e-12, "--epochs", 30, "--patience", 2)
    assert len(rows(folder)) < 30


def test_patience_waits_for_the_second_phase(train):
    folder, _ = train("--lr", 1e-12, "--epochs", 5, "--twofold_epochs", 30, "--patience", 2)
    assert 5 < len(rows(folder)) < 35


def test_without_ratings_there_is_one_phase(train):
    folder, _ = train("--regularization", "none")
    assert len(rows(folder)) == 2
    assert all("lr_plain" in row and "valid_ratings" not in row for row in rows(folder))
    assert load_state(folder / BEST)["epoch"] in (0, 1)
    assert not (folder / numbered(2)).exists()


# -- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2 * STEPS, 2 * STEPS + 1, 3 * STEPS + 1], ids=["first", "turn", "second", "late"])
def test_resume_equals_an_uninterrupted_run(train, monkeypatch, at):
    words = ["--targetdims", "maxvar", "--mds_dims", 2, "--warmup", 5]  # which hold state: variances, steps
    whole, _ = train(*words, name="whole")
    assert load_state(whole / LAST)["position"]["step"] == 4 * STEPS
    interrupted(monkeypatch, at, lambda: train(*words, name="broken"))
    broken = whole.parent / "broken"
    assert load_state(broken / LAST)["position"]["step"] == at
    assert resume(broken) == 0
    assert_same_runs(whole, broken)


def test_resume_from_the_turn_itself(train):
    """As after a kill: what was written since is done again."""
    whole, _ = train(name="whole")
    broken = shutil.copytree(whole, whole.parent / "broken")
    shutil.copy(whole / numbered(2), broken / LAST)
    assert resume(broken) == 0
    assert_same_runs(whole, broken)


def test_only_the_second_phase_can_be_made_longer(train):
    folder, _ = train(name="short")
    for flag in ("--epochs", "--alpha"):
        with pytest.raises(InputError, match=flag[2:]):
            resume(folder, flag, "3")
    assert resume(folder, "--twofold_epochs", "3") == 0
    longer, _ = train("--twofold_epochs", 3, name="long")
    assert same(load_state(folder / LAST)["model"], load_state(longer / LAST)["model"])
    assert rows(folder) == rows(longer)


# -- from another run -------------------------------------------------------------------------------------------------


def test_a_second_phase_from_another_run(train):
    plain, _ = train("--regularization", "none", "--noise", 0.2, name="plain")
    words = ["--regularization", "student", "--twofold_epochs", 2, "--plot_epochs", 0]
    folder, _ = train("--twofold", plain, *words, name="second", small=False)
    _, config, _ = read_run(folder)
    assert (config.epochs, config.twofold_epochs, config.regularization) == (0, 2, "student")
    assert (config.noise, config.latent_dims, config.instruments) == (0.2, 4, timbres.NAMES)
    start = load_state(folder / numbered(0))
    assert same(start["model"], load_state(plain / LAST)["model"])
    assert start["position"]["step"] == 0
    assert [row["epoch"] for row in rows(folder)] == [0, 1]
    assert all("valid_ratings" in row for row in rows(folder))
    assert resume(folder, "--twofold_epochs", 3) == 0
    assert len(rows(folder)) == 3


def test_which_weights_a_second_phase_starts_from(train):
    first, _ = train(name="first")
    for which, file in (("best", BEST), ("2", numbered(2)), ("last", LAST)):
        folder, _ = train("--twofold", first, "--load_epoch", which, "--twofold_epochs", 1, name=f"from_{which}", small=False)
        assert same(load_state(folder / numbered(0))["model"], load_state(first / file)["model"])


def test_a_state_of_the_other_phase_is_no_start(train):
    plain, _ = train("--regularization", "none", name="plain")
    with pytest.raises(InputError, match=r"phase plain.*regularised") as caught:
        train("--load", plain, "--regularization", "l2", name="second", small=False)
    assert "\n" not in str(caught.value)
    whole, _ = train(name="whole")
    with pytest.raises(InputError, match=r"phase regularised.*plain"):
        train("--load", whole, "--epochs", 9, name="second", small=False)


def test_a_run_that_goes_on_in_its_phase_can_be_loaded(train):
    plain, _ = train("--regularization", "none", name="plain")
    folder, _ = train("--load", plain, "--regularization", "l2", "--epochs", 3, "--twofold_epochs", 1, name="second", small=False)
    assert [row["epoch"] for row in rows(folder)] == [2, 3]


# -- every kind -------------------------------------------------------------------------------------------------------

THREE = ["--instruments", "Flute", "Oboe", "Violin", "--epochs", 1, "--twofold_epochs", 1]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_trains_and_reports(train, transform):
    _, printed = train(*THREE, "--transform", transform)
    assert all(value == value for value in printed.values())


@pytest.mark.parametrize(
    "words",
    [
        "--regularization prior",
        "--regularization gaussian --between frames",
        "--regularization student --targetdims minvar",
        "--regularization student --form original",
        "--form original --between frames --targetdims first --mds_dims 2",
        "--ratings pooled --alpha 3 --beta 2 --clip 5",
        "--conditioning none",
        "--conditioning octave",
        "--conditioning pitch octave",
        "--filter 4 --frames sustain",
        "--epochs 0",
    ],
)
def test_every_kind_of_run_trains_and_resumes(train, words):
    folder, _ = train(*THREE, *words.split())
    assert resume(folder, "--twofold_epochs", 2) == 0
    assert len(rows(folder)) == (2 if "--epochs 0" in words else 3)
    if "--conditioning" in words:
        told = [word for word in words.split()[1:] if word != "none"]
        assert list(load_run(folder).conditions) == told


def test_instruments_are_those_that_are_rated(train, corpus, tmp_path):
    mine = shutil.copytree(corpus, tmp_path / "mine")
    lines = (mine / "notes.csv").read_text().replace(",Oboe,", ",Kazoo,")
    (mine / "notes.csv").write_text(lines)
    folder, _ = train("--dbroot", mine, "--epochs", 1, "--twofold_epochs", 1)
    assert "Kazoo" not in read_run(folder)[1].instruments
    asked = ["Kazoo", "Flute", "Violin", "Violoncello"]
    folder, _ = train("--dbroot", mine, "--epochs", 1, "--twofold_epochs", 1, "--instruments", *asked, name="all")
    assert read_run(folder)[1].rated == asked[1:]


# -- bad input --------------------------------------------------------------------------------------------------------

CSV = "instrument_a,instrument_b,dissimilarity\nflute,oboe,1\nflute,violin,2\noboe,violin,much\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--instruments Flute Kazoo Oboe", "Kazoo"),
        ("--instruments Flute", "too few of the instruments"),
        ("--instruments Flute Oboe", "too few of the instruments"),
        ("--unrated Tuba", "Tuba"),
        ("--unrated Flute Oboe Violin Trumpet-C", "3 rated instruments"),
        ("--ratings none.csv", "none.csv"),
        ("--ratings bad.csv", "line 4: 'much'"),
        ("--ratings mine", "unknown: give pooled"),
        ("--ratings pairs.csv --regularization gaussian", "tells no spreads"),
        ("--filter 2", "octaves up to 2"),
        ("--frames 500", "frame"),
        ("--conditioning none pitch", "--conditioning none pitch"),
        ("--conditioning colour", "colour"),
        ("--transform cqt", "cqt"),
        ("--regularization none --epochs 0", "no epoch to train"),
        ("--targetdims first --mds_dims 9", "--mds_dims 9"),
        ("--alpha -0.5", "alpha"),
        ("--noise 2", "--noise 2"),
        ("--twofold no/such/run", "no/such/run"),
        ("--soundfont a.sf2", "--soundfont"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(train, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(CSV)
    (tmp_path / "pairs.csv").write_text(CSV.replace("much", "3"))
    with pytest.raises(InputError, match=message) as caught:
        train(*words.split())
    assert "\n" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"bad.csv", "pairs.csv"}


def test_a_second_phase_needs_a_regulariser(train):
    plain, _ = train("--regularization", "none", name="plain")
    for words in ([], ["--regularization", "none"]):
        with pytest.raises(InputError, match="no epoch to train"):
            train("--twofold", plain, *words, name="second", small=False)
    assert not (plain.parent / "second").exists()


def test_other_systems_have_no_second_phase(tmp_path):
    with pytest.raises(InputError, match="twofold"):
        lt_train.main(["--system", "crossmodal", "--twofold_epochs", "3"])


def test_a_corpus_of_one_instrument(corpus, cache, tmp_path):
    """It has no distances; a space of its own it can have."""
    (tmp_path / "one").mkdir()
    lines = (corpus / "notes.csv").read_text().splitlines()
    own = [line for line in lines if ",Flute," in line]
    (tmp_path / "one" / "notes.csv").write_text("\n".join([lines[0], *own]) + "\n")
    for line in own:
        shutil.copy(corpus / line.split(",")[0], tmp_path / "one")
    fixed = ["--system", "timbre", "--dbroot", tmp_path / "one", "--cache", cache, "--savedir", tmp_path / "saves", "--workers", 1]
    command = [sys.executable, ROOT / "lt_train.py", *fixed, *SMALL]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "too few of the instruments (none)" in result.stderr
    assert not (tmp_path / "saves").exists()
    assert lt_train.main([str(word) for word in [*fixed, *SMALL, "--regularization", "none", "--batch_size", 8]]) == 0
    (folder,) = (tmp_path / "saves").iterdir()
    assert folder.name == "timbre__none_nsgt-octave"
    assert len(history.read(folder / HISTORY)) == 2


# -- what it is for ---------------------------------------------------------------------------------------------------


def agreement(folder: Path, weights: str) -> tuple[float, float]:
    """Return how the distances of instruments agree with the ratings, and the reconstruction error in dB, both on unseen notes."""
    model = load_run(folder, weights=weights)
    test = datasets(model.config, ["test"])["test"]
    observed = observe(model, passes(test, 1, 0), torch.device("cpu"))
    rated = ratings(model.config.ratings, model.config.instruments).mean
    found = geometry.correlations(rated, geometry.distances(centroids(observed)[0]))["pearson"]
    return found, means(observed)["signal_to_signal.log_spectral_distance_db"]


def test_distances_follow_the_ratings_in_the_second_phase(cache, tmp_path, monkeypatch):
    """Spectra that lie otherwise than the ratings say: each instrument sounds at its neighbour's place."""
    levels = {str(k): 0.005 * 1.1**k for k in range(1, 13)}
    monkeypatch.setattr(timbres, "LEVELS", levels)
    places = timbres.rated_places()[[1, 0, 3, 2, 5, 4]]
    root = timbres.make_timbres(tmp_path / "corpus", places, pitches=("A3", "E4"), dynamics=tuple(levels), seconds=0.2)
    size = "--latent_dims 8 --hidden_dims 64 --hidden_layers 1 --noise 0.1 --floor 3e-3 --frames 2 --batch_size 32 --lr 3e-3"
    rest = "--alpha 30 --epochs 30 --twofold_epochs 60 --plot_epochs 0 --save_minutes 0 --name run --workers 1"
    where = ["--dbroot", root, "--cache", cache, "--savedir", tmp_path]
    assert lt_train.main([str(word) for word in ["--system", "timbre", *size.split(), *rest.split(), *where]]) == 0
    (before, error), (after, error_after) = (agreement(tmp_path / "run", weights) for weights in ("30", "last"))
    assert before < 0.6
    assert after > max(0.85, before + 0.3)
    assert error_after < 1.1 * error
    assert PLAIN not in load_state(tmp_path / "run" / LAST)["optimizers"]
