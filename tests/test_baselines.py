"""The direct networks that a run is compared with: shapes, what they learn, and their folders."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from models import baselines
from models.crossmodal import representations
from models.crossmodal_baselines import NETWORKS, baseline
from models.crossmodal_config import Config
from models.epochs import batches
from models.run_folder import BEST, HISTORY, LAST
from models.training import Interrupted, Trainer
from tests.runs import CLASSES, TINY
from utils import device, history
from utils.checkpoint import load_state, save_state
from utils.config import InputError

CPU = torch.device("cpu")
RUN = Config(**TINY, instruments=("flute",), classes=CLASSES, bins_per_octave=12)
N_BINS = representations(RUN)["signal"].shape[0]
ALL = sorted(NETWORKS)


class Notes:
    """Spectra of all 2 x 12 x 2 classes, each a loud band of its own, `repeats` times with a little noise."""

    def __init__(self, repeats=1, instruments=1):
        octave, pitch, dynamics = torch.cartesian_prod(torch.arange(2), torch.arange(12), torch.arange(2)).repeat(repeats, 1).T
        random = device.generator("notes", repeats)
        self.signal = 0.01 * torch.rand(len(pitch), N_BINS, generator=random) + 0.01
        self.signal[torch.arange(len(pitch)), 2 * (12 * octave + pitch)] = 1.0
        self.signal[:, -10:] += 0.3 * dynamics[:, None]
        self.symbol = torch.stack([octave, pitch, dynamics], 1)[:, None].repeat(1, instruments, 1)

    def __len__(self):
        return len(self.signal)

    def order(self, random):
        return torch.randperm(len(self), generator=random)

    def batch(self, rows, random):
        return {"signal": self.signal[rows], "symbol": self.symbol[rows]}

    def fingerprint(self):
        return "notes"


SPLITS = {"train": Notes(4), "valid": Notes(1)}


def network(name, run=RUN, **training):
    """Return a baseline of seeded weights."""
    device.seed(0, name)
    return baseline(name, run, representations(run), **{"epochs": 3, "batch_size": 32, "save_epochs": 1000, **training})


def record(name, run=RUN, **fingerprints):
    return baselines.record(name, type("Model", (), {"config": run}), fingerprints)


def train(name, where, splits=SPLITS, **training):
    baselines.train(network(name, **training), record(name), where, splits, CPU)
    return where


def weights(where, file=LAST):
    return load_state(where / file)["model"]


def assert_same(a, b):
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows(where):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.read(where / HISTORY)]


# -- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"label_type": "binary"},
        {"instruments": ("flute", "cello"), "random_mode": "bernoulli"},
        {"instruments": ("flute", "cello"), "zero_extra_class": 0},
        {"instruments": ("flute", "cello"), "random_mode": "bernoulli", "label_type": "binary"},
        {"dims": (6, 3), "labels": ("pitch",)},
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_each_goes_one_way(name, changes):
    run = replace(RUN, **changes)
    made, data = network(name, run), Notes(instruments=len(run.instruments))
    data.symbol = data.symbol[..., [["octave", "pitch", "dynamics"].index(label) for label in run.labels]]
    made.prepare([data.batch(torch.arange(len(data)), None)])
    whole = data.batch(torch.arange(len(data)), None)
    losses = made.train()(whole)
    assert losses.total.isfinite() and losses.total.requires_grad and len(losses.terms) == 1
    losses.total.backward()
    assert all(p.grad is not None for p in made.parameters())
    ((source, target),) = made.translations
    estimate = made.eval().transfer(whole[source], source, target)
    assert estimate.shape == whole[target].shape and estimate.dtype == whole[target].dtype
    if target == "symbol":
        assert (estimate >= 0).all() and (estimate <= torch.tensor(made.slots.counts)).all()
        assert made.nll(whole[source], source, whole[target], target).shape == (len(data),)
        assert made.nll(whole[source], source, whole[target], target).mean().isfinite()
    else:
        assert (estimate >= 0).all()
        assert made.nll(whole[source], source, whole[target], target) is None


@pytest.mark.parametrize("n_bins", [11, 12, 13, 14, 103, 410])
def test_transposed_convolutions_reach_over_any_number_of_bands(n_bins):
    found = representations(RUN)
    kind = type("Bands", (), {"shape": (n_bins,)})
    made = baseline("conv_synth", RUN, {**found, "signal": kind}, epochs=1)
    assert made.eval().transfer(torch.zeros(2, 1, 3, dtype=torch.long), "symbol", "signal").shape == (2, n_bins)


def test_standardised_bands_have_mean_0_and_together_variance_1():
    made, data = network("pca_mlp"), SPLITS["train"]
    made.prepare(batches(data, 32, 0))
    x = made.standardise(data.signal)
    assert x.mean(0).abs().max() < 1e-5
    assert x.std().item() == pytest.approx(1, abs=1e-5)


def test_principal_components_are_those_of_most_variance_scaled_to_1():
    made, data = network("pca_mlp"), SPLITS["train"]
    made.prepare(batches(data, 32, 0))
    x = made.standardise(data.signal).double()
    assert (x @ made.components.double()).T.cov() == pytest.approx(torch.eye(4).numpy(), abs=1e-3)
    spread, axes = torch.linalg.svd(x, full_matrices=False)[1:]
    assert (axes[:4] @ made.components.double()).abs().diagonal() * spread[:4] / (len(x) - 1) ** 0.5 == pytest.approx([1] * 4)


def test_there_are_no_more_components_than_bands():
    made = network("pca_mlp", replace(RUN, dims=(N_BINS + 50,)))
    made.prepare(batches(SPLITS["train"], 32, 0))
    assert made.components.shape == (N_BINS, N_BINS)


def test_widths_are_those_of_the_symbolic_vae():
    run = replace(RUN, hidden_dims_2=(24,))
    assert [network(name, run).config.width for name in ("pca_mlp", "conv_classifier", "conv_synth")] == [24, 24, 200]
    assert network("pca_mlp", run).config.components == 4


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pca_mlp", "conv_classifier"])
def test_classifiers_learn_a_trivial_mapping(name, tmp_path):
    run = replace(RUN, dims=(30,), hidden_dims_2=(64,))
    made = network(name, run, epochs=15, lr=3e-3)
    baselines.train(made, record(name, run), tmp_path, SPLITS, CPU)
    loaded = baselines.load(network(name, run), record(name, run), tmp_path, CPU)
    assert not loaded.training
    right = loaded.transfer(SPLITS["valid"].signal, "signal", "symbol") == SPLITS["valid"].symbol
    assert right.double().mean() > 0.95


def test_the_synthesiser_learns_a_trivial_mapping(tmp_path):
    train("conv_synth", tmp_path, epochs=12, lr=3e-3)
    made, data = baselines.load(network("conv_synth"), record("conv_synth"), tmp_path, CPU), SPLITS["valid"]
    loudest = made.transfer(data.symbol, "symbol", "signal")[:, :48].argmax(1)
    assert (loudest == data.signal[:, :48].argmax(1)).double().mean() > 0.9
    errors = [row["valid_total"] for row in history.read(tmp_path / HISTORY)]
    assert errors[-1] < errors[0] / 2


@pytest.mark.parametrize("name", ALL)
def test_training_can_be_repeated_and_interrupted(name, tmp_path, monkeypatch):
    whole, again, broken = (tmp_path / folder for folder in ("whole", "again", "broken"))
    assert_same(weights(train(name, whole)), weights(train(name, again)))
    steps, step = [], Trainer.step

    def interrupting(self, batch):
        step(self, batch)
        steps.append(self.at.step)
        if self.at.step == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupting)
        with pytest.raises(Interrupted):
            train(name, broken)
    assert steps[-1] == load_state(broken / LAST)["position"]["step"] == 8
    train(name, broken)
    for file in (LAST, BEST):
        assert_same(weights(whole, file), weights(broken, file))
    assert rows(whole) == rows(broken)


def count_steps(monkeypatch):
    """Return a list that grows with every step of training."""
    steps, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, batch: (steps.append(1), step(self, batch)))
    return steps


def test_what_is_trained_is_not_trained_again(tmp_path, monkeypatch):
    steps = count_steps(monkeypatch)
    before = weights(train("pca_mlp", tmp_path), BEST)
    assert len(steps) == 3 * 6
    train("pca_mlp", tmp_path)
    assert len(steps) == 3 * 6
    assert_same(before, weights(tmp_path, BEST))
    assert len(rows(tmp_path)) == 3


@pytest.mark.parametrize("changes", [{"epochs": 2}, {"batch_size": 24}, {"seed": 1}, {"lr": 0.1}])
def test_other_settings_train_anew(tmp_path, changes):
    train("pca_mlp", tmp_path)
    train("pca_mlp", tmp_path, **changes)
    other = tmp_path / "new"
    assert_same(weights(tmp_path), weights(train("pca_mlp", other, **changes)))
    assert rows(tmp_path) == rows(other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ALL)
def test_networks_train_on_a_gpu(name, tmp_path):
    where = torch.device("cuda")
    baselines.train(network(name), record(name), tmp_path, SPLITS, where)
    made = baselines.load(network(name), record(name), tmp_path, where)
    ((source, target),) = made.translations
    whole = SPLITS["valid"].batch(torch.arange(len(SPLITS["valid"])), None)
    assert made.transfer(whole[source].to(where), source, target).shape == whole[target].shape


def test_another_run_or_corpus_trains_anew(tmp_path, monkeypatch):
    train("pca_mlp", tmp_path)
    steps = count_steps(monkeypatch)
    for of in (record("pca_mlp", replace(RUN, floor=1e-3)), record("pca_mlp", train="changed")):
        baselines.train(network("pca_mlp"), of, tmp_path, SPLITS, CPU)
        assert len(steps) == 3 * 6
        steps.clear()


def test_what_decides_no_number_of_the_run_does_not_matter():
    moved = replace(RUN, dbroot="elsewhere", cache="there", workers=3, epochs=9999, save_minutes=1.0, plot_epochs=1)
    assert record("pca_mlp", moved) == record("pca_mlp")
    assert record("pca_mlp", replace(RUN, dims=(5,))) != record("pca_mlp") != record("conv_synth")


def test_training_that_left_no_state_begins_anew(tmp_path):
    whole, torn = train("pca_mlp", tmp_path / "whole"), train("pca_mlp", tmp_path / "torn")
    (torn / LAST).unlink()
    train("pca_mlp", torn)
    assert_same(weights(whole), weights(torn))
    assert rows(whole) == rows(torn)


# -- loading ----------------------------------------------------------------------------------------------------------


def test_untrained_and_foreign_baselines_are_refused(tmp_path):
    with pytest.raises(InputError, match="has not been trained; train it first"):
        baselines.load(network("pca_mlp"), record("pca_mlp"), tmp_path, CPU)
    train("pca_mlp", tmp_path)
    for of in (record("pca_mlp", replace(RUN, noise=0.5)), record("pca_mlp", train="other"), record("conv_synth")):
        with pytest.raises(InputError, match="on other data, or for another run"):
            baselines.load(network("pca_mlp"), of, tmp_path, CPU)
    baselines.load(network("pca_mlp", epochs=77), record("pca_mlp"), tmp_path, CPU)  # how long it is trained is its own affair


@pytest.mark.parametrize("damage", ["record", "no record", "half", "list", "foreign", "shape", "infinite"])
def test_damaged_baselines_are_refused_in_one_line(tmp_path, damage):
    train("pca_mlp", tmp_path, epochs=1)
    best = load_state(tmp_path / BEST)
    if damage == "record":
        (tmp_path / baselines.RECORD).write_text('{"baseline": ')
    elif damage == "no record":
        (tmp_path / baselines.RECORD).unlink()
    elif damage == "half":
        (tmp_path / BEST).write_bytes((tmp_path / BEST).read_bytes()[:-50])
    elif damage in ("list", "foreign"):
        save_state(tmp_path / BEST, [1, 2] if damage == "list" else {"weights": best["model"]})
    else:
        name = min(best["model"])
        best["model"][name] = best["model"][name][:1] if damage == "shape" else best["model"][name] * float("inf")
        save_state(tmp_path / BEST, best)
    with pytest.raises(InputError) as caught:
        baselines.load(network("pca_mlp"), record("pca_mlp"), tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        train("pca_mlp", tmp_path / "file" / "pca_mlp")
