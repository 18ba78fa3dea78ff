"""lt_analyze.py end to end on a tiny corpus: every part, baselines that are kept, other corpora, several runs."""

import csv
import itertools
import json
import os
import signal

import numpy as np
import pytest
import torch

import lt_analyze
import lt_train
from data.audio import Audio
from models.run_folder import BEST, HISTORY, LAST
from models.training import Trainer
from tests.analyses import KEYS, OFF, SAVE, analyse, copied, only, quickly, read, save
from tests.corpora import instruments
from utils import analysis_figures, history
from utils.checkpoint import load_state

SMALL = "--dims 4 --hidden_dims_1 16 --hidden_dims_2 16 --batch_size 16 --frames 2 8 --plot_epochs 0 --epochs 2 --workers 1"
LABELS = ("octave", "pitch", "dynamics")
BASELINES = ("pca_mlp", "conv_classifier", "conv_synth")


@pytest.fixture(autouse=True, scope="module")
def quick():
    with quickly():
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return instruments(tmp_path_factory.mktemp("corpus"), octaves=(2, 3, 4, 5))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def train(corpus, cache, tmp_path_factory):
    """Return a function that trains a run and gives its folder."""
    saves = tmp_path_factory.mktemp("saves")

    def call(name, *words):
        fixed = ["--dbroot", corpus, "--cache", cache, "--savedir", saves, "--name", name, *SMALL.split()]
        assert lt_train.main([*map(str, fixed), *words]) == 0
        return saves / name

    return call


@pytest.fixture(scope="module")
def solo(train):
    return train("solo")


@pytest.fixture(scope="module")
def duo(train):
    return train("duo", "--instruments", "Reed", "Brass", "--random_mode", "bernoulli")


@pytest.fixture(scope="module")
def whole(solo, tmp_path_factory):
    """Return the folder of an analysis of all parts, in a run that has its baselines since."""
    run = copied(solo, tmp_path_factory.mktemp("whole"))
    assert analyse(run) == 0
    return run / "analysis"


@pytest.fixture(scope="module")
def trained(whole):
    """Return a run with its baselines."""
    return whole.parent


def metrics_of(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


# -- one run ----------------------------------------------------------------------------------------------------------


def test_all_of_one_run(whole):
    found = read(whole)
    assert list(found) == KEYS
    assert (found["format"], found["run"], found["system"]) == (1, "run", "crossmodal")
    assert found["request"]["evaluate"] == ["pca_mlp", "conv_synth", "conv_classifier"]
    assert set(found["metrics"]) == {"model", *BASELINES}
    sound = {"within_50_cents", "loudness_order"}
    symbols = {"octave", "pitch", "dynamics", "all", "nll", "octave_vote", "pitch_vote", "dynamics_vote", "all_vote"}
    spectra = {"log_spectral_distance_db", "itakura_saito", "level_db", "nll"}
    assert {name: set(scores) for name, scores in found["metrics"]["model"].items()} == {
        "signal_to_signal": spectra,
        "symbol_to_signal": spectra,
        "signal_to_symbol": symbols,
        "symbol_to_symbol": symbols,
        "symbol_to_sound": sound,
    }
    assert {name: set(scores) for name, scores in found["metrics"]["conv_synth"].items()} == {
        "symbol_to_signal": spectra - {"nll"},
        "symbol_to_sound": sound,
    }
    assert {name: set(scores) for name, scores in found["metrics"]["pca_mlp"].items()} == {"signal_to_symbol": symbols}
    estimate = found["metrics"]["model"]["signal_to_symbol"]["pitch"]
    assert list(estimate) == ["value", "low", "high", "n", "groups"]
    assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"] <= 1
    assert estimate["n"] == found["examples"] > estimate["groups"] > 1
    assert found["latent"].keys() == found["probe"].keys() == {"signal", "symbol"}
    assert len(found["latent"]["signal"]["kl"]) == len(found["latent"]["symbol"]["variance"]) == 4
    assert set(found["probe"]["signal"]) == {"octave", "pitch", "dynamics"}
    assert found["probe"]["symbol"]["octave"]["value"] > 0.5
    assert [note["hertz"] for note in found["generated"]["notes"]] == [440.0] * estimate["groups"]
    assert len(found["examples_named"]) == 1 and set(found["examples_named"][0]["named"]) == {"signal", "symbol"}


def test_what_is_written(whole):
    assert {path.name for path in whole.iterdir()} == {
        *(f"confusion_{source}_to_symbol_{label}.csv" for source in ("signal", "symbol") for label in LABELS),
        *("analysis.json", "metrics.csv", "report.html", "figures", "audio"),
    }
    names = ("confusion_signal_to_symbol", "confusion_symbol_to_symbol", "examples", "generated_pitch", "history", "latent_use")
    maps = [f"latent_pca_{label}" for label in LABELS]
    assert {path.stem for path in (whole / "figures").iterdir()} == {*names, *maps, "loudness"}
    assert {path.suffix for path in (whole / "figures").iterdir()} == {".png", ".pdf"}
    versions = ("original", "reconstruction", "from_symbol", "from_symbol_sample_1")
    assert {path.name for path in (whole / "audio").iterdir()} == {f"example_1_{version}.wav" for version in versions}
    sounds = [Audio.load(path) for path in (whole / "audio").iterdir()]
    assert {sound.sample_rate for sound in sounds} == {22050}
    assert len({sound.duration for sound in sounds}) == 1


def test_tables_agree(whole):
    found, rows = read(whole), metrics_of(whole)
    assert list(rows[0]) == ["name", "translation", "metric", "value", "low", "high", "n", "groups"]
    count = sum(len(scores) for translations in found["metrics"].values() for scores in translations.values())
    assert len(rows) == count
    for row in rows:
        estimate = found["metrics"][row["name"]][row["translation"]][row["metric"]]
        assert [float(row[key]) for key in estimate] == pytest.approx(list(estimate.values()))
    with open(whole / "confusion_signal_to_symbol_dynamics.csv", newline="") as file:
        head, *counts = csv.reader(file)
    assert head == ["true \\ named", "p", "f", "silent"] and [row[0] for row in counts] == head[1:]
    table = np.array([row[1:] for row in counts], int)
    assert table.sum() == found["examples"]
    assert table.trace() / table.sum() == pytest.approx(found["metrics"]["model"]["signal_to_symbol"]["dynamics"]["value"])


def test_the_page_has_every_part(whole):
    page = (whole / "report.html").read_text()
    sections = ("Scores", "Examples", "Notes made from symbols", "Which class is taken for which", "Latent space", "Training")
    assert all(f">{title}</h2>" in page for title in (*sections, "Configuration"))
    assert page.count("<audio") == len(list((whole / "audio").iterdir())) == 4
    assert page.count("data:image/png") == len(list((whole / "figures").glob("*.png")))
    assert all(name in page for name in (*BASELINES, "linear classifier", "the test split of"))


def test_figures_are_drawn(solo, tmp_path, monkeypatch):
    monkeypatch.setattr(analysis_figures, "save", lambda figure, path: (SAVE if path.stem == "latent_use" else save)(figure, path))
    assert analyse(solo, output=tmp_path, flags=["--projections"], **only(make_figures=1)) == 0
    drawn = {"confusion_signal_to_symbol", "confusion_symbol_to_symbol", "history", "latent_use"}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{kind}" for name in drawn for kind in ("pdf", "png")
    }
    for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        content = (tmp_path / "figures" / f"latent_use.{kind}").read_bytes()
        assert content.startswith(start) and len(content) > 3000


def test_the_run_is_the_default_place(solo, tmp_path, capsys):
    run = copied(solo, tmp_path)
    assert analyse(run, **OFF) == 0
    assert {path.name for path in (run / "analysis").iterdir()} >= {"analysis.json", "metrics.csv", "report.html"}
    assert capsys.readouterr().out == f"{run / 'analysis' / 'report.html'}\n"  # no table of nothing
    assert not (run / "baselines").exists()


def test_everything_is_a_function_of_the_seed(solo, whole, tmp_path):
    again = copied(solo, tmp_path)
    assert analyse(again) == 0
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert all((whole / file).read_bytes() == (again / "analysis" / file).read_bytes() for file in files)
    assert analyse(again, output=tmp_path / "other", seed=1, **only(make_losses=1)) == 0
    here, there = (read(folder)["metrics"]["model"]["signal_to_signal"]["nll"] for folder in (whole, tmp_path / "other"))
    assert here["value"] == pytest.approx(there["value"]) and here["low"] != there["low"]


def test_last_weights_can_be_asked_for(solo, tmp_path, capsys):
    run = copied(solo, tmp_path)
    (run / BEST).unlink()
    assert analyse(run, output=tmp_path / "last", weights="last", **OFF) == 0
    assert analyse(run, output=tmp_path / "best", weights="best", **OFF) == 2
    assert "has no best" in capsys.readouterr().err


# -- parts ------------------------------------------------------------------------------------------------------------


def test_without_losses_there_are_only_baselines(trained, tmp_path):
    assert analyse(trained, output=tmp_path, **only(evaluate_classifier=1)) == 0
    found = read(tmp_path)
    assert set(found["metrics"]) == {"pca_mlp"}
    assert found["probe"] == {} and found["generated"] is None and found["examples_named"] == []
    assert {row["name"] for row in metrics_of(tmp_path)} == {"pca_mlp"}
    assert not (tmp_path / "figures").exists() and not (tmp_path / "audio").exists()


def test_without_figures_the_page_still_has_its_numbers(solo, tmp_path):
    assert analyse(solo, output=tmp_path, **only(make_losses=1)) == 0
    page = (tmp_path / "report.html").read_text()
    assert "linear classifier" in page and "data:image" not in page
    assert "Training</h2>" not in page and "Notes made from symbols" not in page


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_made_one_by_one(solo, tmp_path, name):
    run, flag = copied(solo, tmp_path), {flag: 1 for flag, made in lt_analyze.BASELINES.items() if made == name}
    assert analyse(run, output=tmp_path / "out", **only(**flag)) == 0
    assert [path.name for path in (run / "baselines").iterdir()] == [name]
    assert set(read(tmp_path / "out")["metrics"]) == ({name} - {"pca_mlp"})  # which --evaluate_classifier would show


def test_a_baseline_that_was_never_trained_is_a_warning(solo, tmp_path, caplog):
    assert analyse(solo, output=tmp_path, **only(evaluate_classifier=1)) == 0
    assert "has not been trained; train it first" in caplog.text
    assert read(tmp_path)["metrics"] == {}


def test_samples_and_examples_are_counted(solo, tmp_path):
    assert analyse(solo, output=tmp_path, **only(generate_audio=2, n_samples=2)) == 0
    names = {path.stem for path in (tmp_path / "audio").iterdir()}
    assert len(names) == 2 * 5 and "example_2_from_symbol_sample_2" in names
    assert analyse(solo, output=tmp_path / "all", **only(generate_audio=999, n_samples=0)) == 0
    notes = read(tmp_path / "all")["examples_named"]
    assert len(notes) == len({note["of"] for note in notes}) == 7  # each recording once, and no more than there are


# -- baselines --------------------------------------------------------------------------------------------------------


def test_baselines_are_trained_once(solo, tmp_path, monkeypatch):
    run, steps, step = copied(solo, tmp_path), [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, batch: (steps.append(1), step(self, batch)))
    options = only(make_classifier=1, evaluate_classifier=1)
    counts, scores = [], []
    for changes in ({}, {}, {"classifier_epochs": 1}, {"classifier_bs": 32}, {"seed": 3}):
        assert analyse(run, output=tmp_path / "out", **{**options, **changes}) == 0
        counts.append(len(steps))
        scores.append(read(tmp_path / "out")["metrics"])
    per_epoch = counts[0] // 2
    assert counts[0] > 0 and counts[1] == counts[0] and scores[0] == scores[1]
    assert counts[2] - counts[1] == per_epoch and all(a < b for a, b in itertools.pairwise(counts[1:]))
    assert len(history.read(run / "baselines" / "pca_mlp" / HISTORY)) == 2


def test_a_longer_run_keeps_its_baselines(trained, tmp_path, monkeypatch):
    run = copied(trained, tmp_path)
    assert lt_train.main(["--resume", str(run), "--epochs", "3"]) == 0
    monkeypatch.setattr(Trainer, "step", None)
    assert analyse(run, output=tmp_path / "out", **only(make_classifier=1)) == 0


def test_an_interrupt_ends_with_its_own_code_and_can_be_gone_on_from(solo, trained, tmp_path, monkeypatch):
    run, step = copied(solo, tmp_path), Trainer.step

    def interrupting(self, batch):
        step(self, batch)
        if self.at.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupting)
        assert analyse(run, **only(make_classifier=1)) == 128 + signal.SIGTERM
    assert not (run / "analysis" / "analysis.json").exists()
    assert analyse(run, **only(make_classifier=1)) == 0
    here, there = (load_state(folder / "baselines" / "pca_mlp" / LAST)["model"] for folder in (run, trained))
    assert all(torch.equal(here[name], there[name]) for name in there)


@pytest.mark.parametrize("file", ["baseline.json", LAST])
def test_a_damaged_baseline_is_named(trained, tmp_path, capsys, file):
    run = copied(trained, tmp_path)
    (run / "baselines" / "pca_mlp" / file).write_bytes(b"{")
    assert analyse(run, **only(make_classifier=1)) == 2
    told = capsys.readouterr().err
    assert file in told and told.count("\n") == 1


# -- other data -------------------------------------------------------------------------------------------------------


def test_a_mixture_of_two(duo, tmp_path):
    assert analyse(duo, output=tmp_path, nb_passes=2, conv_classifier=0, conv_synth=0) == 0
    found = read(tmp_path)
    scores = found["metrics"]["model"]["signal_to_symbol"]
    assert {"pitch_assigned", "all_assigned", "sounding", "all_vote"} <= set(scores)
    assert scores["pitch_assigned"]["value"] >= scores["pitch"]["value"]
    assert set(found["probe"]["signal"]) == {f"{name} {label}" for name in ("Reed", "Brass") for label in LABELS}
    assert {note["instrument"] for note in found["generated"]["notes"]} == {"Reed", "Brass"}
    assert (tmp_path / "confusion_signal_to_symbol_Reed_pitch.csv").is_file()
    assert (tmp_path / "figures" / "latent_pca_Brass_dynamics.png").is_file()
    assert found["examples_named"][0]["of"].startswith("Reed ") and " + Brass " in found["examples_named"][0]["of"]
    once = tmp_path / "once"
    assert analyse(duo, output=once, **OFF) == 0
    assert found["examples"] == 2 * read(once)["examples"]


def test_other_splits(solo, tmp_path):
    counts = {}
    for split in ("train", "valid", "test", "all"):
        assert analyse(solo, output=tmp_path / split, split=split, **OFF) == 0
        counts[split] = read(tmp_path / split)["examples"]
    assert counts["all"] == counts["train"] + counts["valid"] + counts["test"] == 32 * 6
    assert "training included" in (tmp_path / "all" / "report.html").read_text()


def test_another_corpus(solo, cache, tmp_path):
    other = instruments(tmp_path / "other", names=("brass",), octaves=(3, 4), pitches=("D", "F"), seconds=0.5)
    assert analyse(solo, output=tmp_path / "out", dbroot=other, split="all", **only(make_losses=1)) == 0
    found = read(tmp_path / "out")
    assert found["examples"] == 8 * 6
    assert {note["note"][0] for note in found["generated"]["notes"]} == {"D", "F"}
    assert set(found["probe"]) == {"signal", "symbol"}  # fitted on the run's own corpus
    assert f"of {other}" in (tmp_path / "out" / "report.html").read_text()


def test_without_the_runs_own_corpus_there_is_no_probe(solo, corpus, tmp_path, caplog, capsys):
    run, other = copied(solo, tmp_path), instruments(tmp_path / "other", names=("Brass",), octaves=(2, 3))
    content = json.loads((run / "config.json").read_text())
    content["config"]["dbroot"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(content))
    assert analyse(run, output=tmp_path / "out", dbroot=other, split="all", **only(make_losses=1)) == 0
    assert "no linear probe" in caplog.text and read(tmp_path / "out")["probe"] == {}
    assert analyse(run, output=tmp_path / "none", dbroot=other, split="all", **only(make_classifier=1)) == 2
    assert "what it was trained on is not at" in capsys.readouterr().err
    assert analyse(run, output=tmp_path / "moved", dbroot=corpus, **only(make_losses=1)) == 0  # it only lies elsewhere
    assert set(read(tmp_path / "moved")["probe"]) == {"signal", "symbol"}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["--labels", "dynamics", "pitch"], {}),
        (["--labels", "octave"], {}),
        (["--label_type", "binary", "--dims", "6", "3"], {"conv_classifier": 1, "make_classifier": 1}),
    ],
)
def test_other_kinds_of_runs(train, tmp_path, words, changes):
    run = train("-".join(word.strip("-") for word in words), *words)
    assert analyse(run, output=tmp_path, **only(make_losses=1, generate_audio=1, **changes)) == 0
    found = read(tmp_path)
    assert list(found) == KEYS
    assert ("symbol_to_sound" in found["metrics"]["model"]) == ("octave" in words or "binary" in words) - ("octave" in words)


def test_odd_names_of_instruments_make_files(train, cache, tmp_path):
    odd = instruments(tmp_path / "odd", names=("a-b", "c"), octaves=(2, 3, 4, 5))
    table = odd / "notes.csv"
    table.write_text(table.read_text().replace(",a-b,", ",a/b ü,"))
    run = train("odd", "--dbroot", str(odd), "--instruments", "a/b ü", "c")
    assert analyse(run, output=tmp_path / "out", **only(make_figures=1)) == 0
    assert (tmp_path / "out" / "confusion_signal_to_symbol_a_b_ü_pitch.csv").is_file()
    assert (tmp_path / "out" / "figures" / "latent_pca_a_b_ü_octave.png").is_file()


# -- several runs -----------------------------------------------------------------------------------------------------


def test_several_runs_are_compared(solo, duo, tmp_path, capsys):
    assert analyse(solo, duo, output=tmp_path, **only(make_losses=1)) == 0
    comparison = {f"comparison.{suffix}" for suffix in ("csv", "png", "pdf", "html")}
    assert {path.name for path in tmp_path.iterdir()} == {"solo", "duo", *comparison}
    with open(tmp_path / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {"solo", "duo"}
    page = (tmp_path / "comparison.html").read_text()
    assert "solo, duo" in page and "data:image/png" in page
    told = capsys.readouterr().out
    assert told.startswith(f"{tmp_path / 'solo' / 'report.html'}\n{tmp_path / 'duo' / 'report.html'}\n| ")
    heads = [line.split("|") for line in told.splitlines() if "| solo " in line or "| duo " in line]
    assert {cell.strip() for head in heads for cell in head} >= {"signal_to_symbol", "solo", "duo"}  # a table a translation


def test_runs_of_one_name_have_folders_of_their_own(solo, tmp_path):
    again = copied(solo, tmp_path, "solo")
    assert analyse(solo, again, solo, output=tmp_path / "out", **OFF) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"solo", "solo_2"}  # the same run twice is one


def test_without_an_output_each_stays_with_its_run(solo, duo, tmp_path):
    runs = [copied(solo, tmp_path, "a"), copied(duo, tmp_path, "b")]
    assert analyse(*runs, **OFF) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
    assert all((run / "analysis" / "report.html").is_file() for run in runs)
