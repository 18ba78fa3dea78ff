import csv
import math

import numpy as np
import pytest
import torch

import lt_play
from data.audio import Audio
from models import following
from models.atlas import survey
from models.following import Followed, Scale, follow
from models.heard_notes import encode
from models.play_notes import chosen
from models.rendering import Player
from models.runs import load_run
from tests.timbre_runs import make_timbre_run
from utils import curves
from utils.config import InputError
from utils.descriptors import NAMES, UNITS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_timbre_run(tmp_path_factory.mktemp("timbre"))


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def play(run, *argv):
    """Play quickly; return the exit code."""
    return lt_play.main(["descriptor_synthesis", "-m", str(run), *map(str, argv), "--griffinlim_iters", "1"])


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def world(run):
    """Return a player who tells a note's own labels, the note's first latent, and the atlas."""
    with torch.no_grad():
        player = Player(load_run(run), 1, run=run)
        known = encode(player, next(iter(chosen(player, "all").values()))[0])
        return Player(player.model, 1, condition=known.condition, run=run), known.z[known.peak], survey(run, player.model)


def test_the_flags_know_all_descriptors_and_curves():
    text = lt_play.parser(["descriptor_synthesis"]).format_help()
    assert "{" + ",".join(NAMES) + "}" in text and "{" + ",".join(curves.NAMES) + "}" in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["grid", "gradient"])
def test_descriptors_follow_curves(world, name, way):
    player, start, atlas = world
    scale = Scale(player, name)
    path = follow(scale, start, curves.named("rise"), atlas, way, 60)
    assert path.z.shape == (60, 4) and path.target.shape == path.reached.shape == (60,)
    assert path.z[0] == pytest.approx(start.numpy(), abs=1e-5)
    assert (np.diff(path.target) > 0).all() and path.target[0] == pytest.approx(scale(start[None]).item(), abs=1e-4)
    assert path.reached == pytest.approx(scale(path.z).numpy(), abs=1e-4)
    assert path.correlation > (0.99 if way == "gradient" else 0.8)


def test_the_gradient_keeps_the_loudness(world):
    player, start, atlas = world
    path = follow(Scale(player, "centroid"), start, curves.named("-exp"), atlas, "gradient", 41)
    loudness = Scale(player, "loudness")(path.z)
    span = Scale(player, "loudness")(atlas.means).quantile(torch.tensor([0.05, 0.95])).diff().item()
    assert abs(loudness - loudness[0]).max() < max(0.1 * span, 0.01)


def test_walks_stay_on_the_grid_and_within_it(world):
    player, start, atlas = world
    low, high = atlas.bounds()
    step = (high - low) / following.CELLS
    z = following.by_grid(Scale(player, "centroid"), start, [1e6] * 60, atlas, torch.ones(2))  # ever higher, to a corner
    cells = (atlas.project(z) - atlas.project(start)) / step
    assert cells == pytest.approx(cells.round(), abs=1e-3)
    assert (cells.diff(dim=0).abs() < 1.001).all()
    assert (atlas.project(z) <= torch.maximum(high, atlas.project(start)) + 1e-4).all()
    assert (atlas.project(z) >= torch.minimum(low, atlas.project(start)) - 1e-4).all()
    assert z[-1] == pytest.approx(z[-2], abs=1e-6)  # where nothing is better it stays
    rest = (z - start) - (z - start) @ atlas.axes.T @ atlas.axes
    assert abs(rest).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_scales_go_back(world, name):
    scale, values = Scale(world[0], name), np.array([0.1, 0.5])
    assert scale.leave(scale.enter(values)) == pytest.approx(values)
    if UNITS[name] != "dB":
        with pytest.raises(InputError, match=f"the {name} cannot be 0: give values above 0"):
            scale.enter(np.zeros(2))


def test_correlation_and_distance():
    followed = Followed(torch.zeros(4, 1), np.arange(4.0), np.array([1, 2, math.nan, 4]))
    assert followed.correlation == pytest.approx(1) and followed.distance == pytest.approx(1)
    assert math.isnan(Followed(torch.zeros(2, 1), np.ones(2), np.arange(2.0)).correlation)


def test_silent_starts_are_refused(world):
    player, start, atlas = world
    quiet = Player(load_run(player.run), 1, condition=player.condition, run=player.run)
    quiet.model.centre.fill_(-20)
    with pytest.raises(InputError, match="the centroid cannot be followed from a start that sounds silent"):
        follow(Scale(quiet, "centroid"), start, curves.named("rise"), atlas, "grid", 10)


def test_sounds_tables_and_figures_are_written(run, tmp_path, capsys):
    curve = tmp_path / "my curve.csv"
    curve.write_text("time,relative\n0,0\n1,1\n2,-1\n")
    argv = ("--descriptor", "loudness", "--curve=-log", "--curve_file", curve, "--n_steps", 60)
    assert play(run, *argv, "-i", "flute", "--by", "grid", "-o", tmp_path / "out") == 0
    told = capsys.readouterr().out.splitlines()
    assert sum("r = " in line for line in told) == 2
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    stems = [f"{made[0][: made[0].index('_loudness')]}_loudness_{curve}" for curve in ("-log", "my_curve")]
    assert made == sorted(f"{stem}{end}" for stem in stems for end in (".wav", ".csv", ".pdf", "_path.png"))
    assert stems[0].startswith("Flute_") and Audio.load(tmp_path / "out" / f"{stems[0]}.wav").duration == pytest.approx(
        0.19, abs=0.01
    )
    rows = table(tmp_path / "out" / f"{stems[0]}.csv")
    assert list(rows[0]) == ["time", "target", "reached", "z1", "z2", "z3", "z4"] and len(rows) == 60
    target = np.array([float(row["target"]) for row in rows])
    assert (np.diff(target) < 0).all() and float(rows[0]["reached"]) == pytest.approx(target[0], rel=1e-3)


def test_what_cannot_be_followed(run, tmp_path, capsys):
    assert play(run, "--curve_file", tmp_path / "none.csv", "-o", tmp_path / "out") == 2
    assert "no such file; give a CSV table" in capsys.readouterr().err
    assert play(run, "-i", "tuba", "-o", tmp_path / "out") == 2
    assert "instrument 'tuba' is not in the corpus" in capsys.readouterr().err
    with pytest.raises(InputError, match="takes no --path"):
        play(run, "--path", "linear")
