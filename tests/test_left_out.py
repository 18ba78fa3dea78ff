"""Spaces made without the ratings of one instrument: from which weights, what they are not told, and that they are kept."""

import shutil

import numpy as np
import pytest
import torch

import lt_train
from models import baselines, left_out
from models.restoring import read_weights
from models.run_config import read_run
from models.run_folder import BEST, HISTORY, numbered
from models.runs import load_run
from models.systems import SYSTEMS
from models.timbre import datasets
from tests import timbres
from utils import history
from utils.config import InputError

NAMES = ("Flute", "Oboe", "Violin", "Trumpet-C")
SIZE = "--latent_dims 4 --hidden_dims 16 --hidden_layers 1 --noise 0.1 --floor 3e-3 --frames 2 4 --batch_size 32 --transform stft"


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("left_out")
    timbres.make_timbres(folder / "corpus", seconds=0.2)
    words = ["--dbroot", folder / "corpus", "--cache", folder / "cache", "--savedir", folder, "--workers", 1, "--plot_epochs", 0]
    return folder, ["--system", "timbre", *SIZE.split(), *map(str, words), "--instruments", *NAMES]


@pytest.fixture(scope="module")
def run(fixed):
    folder, words = fixed
    assert lt_train.main([*words, "--name", "run", "--epochs", "2", "--twofold_epochs", "1"]) == 0
    return folder / "run"


def distances(run, epochs: int = 2) -> dict[str, np.ndarray]:
    model, splits = load_run(run), datasets(read_run(run)[1])
    test = splits.pop("test")
    return left_out.distances(SYSTEMS["timbre"], model, run, read_run(run)[2], splits, test, epochs)


def test_a_space_for_each_rated_instrument(run, monkeypatch):
    trained = []

    def noted(network, of, where, *rest, train=baselines.train, **more):
        trained.append((network.config, {name: t.clone() for name, t in network.state_dict().items()}, where))
        train(network, of, where, *rest, **more)

    monkeypatch.setattr(baselines, "train", noted)
    found = distances(run)
    assert list(found) == list(NAMES)
    assert all(d.shape == (4, 4) and (d == d.T).all() and (np.diag(d) == 0).all() for d in found.values())
    start = read_weights(run / numbered(2))
    for name, (config, weights, where) in zip(NAMES, trained, strict=True):
        assert where.name == f"without_{name}"
        assert config.rated == [other for other in NAMES if other != name]
        assert (config.epochs, config.twofold_epochs) == (0, 2)
        assert all(torch.equal(weights[key], start[key]) for key in start)
        assert all("valid_ratings" in row for row in history.read(where / HISTORY))
        assert len(history.read(where / HISTORY)) == 2
    again = distances(run)
    assert all(np.array_equal(again[name], found[name]) for name in NAMES)
    assert len(history.read(trained[0][2] / HISTORY)) == 2  # nothing was trained anew
    spaces = [d / d.max() for d in found.values()]
    assert not np.allclose(spaces[0], spaces[1])


def test_a_run_of_a_second_phase_alone_on_other_frames(run, fixed):
    """Its networks see sound as the weights do that they start from."""
    folder, _ = fixed
    assert lt_train.main(["--twofold", str(run), "--savedir", str(folder), "--name", "second", "--frames", "3"]) == 0
    assert list(distances(folder / "second", 1)) == list(NAMES)
    own, start = (read_weights(path) for path in (folder / "second" / "baselines" / "without_Oboe" / BEST, run / numbered(2)))
    assert torch.equal(own["centre"], start["centre"])
    assert torch.equal(own["extent"], start["extent"])


def test_ratings_that_are_withheld_already(run, fixed):
    folder, _ = fixed
    more = ["--twofold", str(run), "--load_epoch", "2", "--unrated", "Oboe", "--savedir", str(folder), "--name", "without"]
    assert lt_train.main(more) == 0
    assert list(distances(folder / "without", 1)) == ["Flute", "Violin", "Trumpet-C"]


def test_runs_without_ratings_have_none_to_leave_out(fixed):
    folder, words = fixed
    assert lt_train.main([*words, "--name", "plain", "--epochs", "1", "--regularization", "none"]) == 0
    with pytest.raises(InputError, match="no ratings were used"):
        distances(folder / "plain")


def test_weights_of_the_turn_that_are_gone(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    shutil.rmtree(copy / "baselines", ignore_errors=True)
    (copy / numbered(2)).unlink()
    with pytest.raises(InputError, match=numbered(2)):
        distances(copy)
