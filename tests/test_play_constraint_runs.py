"""The modes of lt_play.py, and lt_analyze.py, on real runs of the latent constraint; draws around what small latents stand for."""

import json

import numpy as np
import pytest
import torch

import lt_analyze
from data.phrase_windows import PhraseWindows
from data.splits import SPLITS
from models.phrase import PHRASE
from models.runs import load_run
from tests.constraint_runs import APT, CRITIC, make_base, make_constraint_run
from tests.phrase_music import drum_files
from tests.phrase_runs import silent, whole
from tests.test_play_constraint import play, refused
from tests.test_play_phrases import arrays, expected, song, struck
from utils.device import generator

KINDS = ("small", "sections", "actor")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"), **APT)


@pytest.fixture(scope="module")
def runs(base, tmp_path_factory):
    """Runs on one base: of its own pieces, of two long ones, of which sections are held out, and of an actor."""
    folder = tmp_path_factory.mktemp("runs")
    two = drum_files(folder / "two", 2, 33, seed=1)
    return {
        "small": make_constraint_run(folder / "small", base),
        "sections": make_constraint_run(folder / "sections", base, dbroot=str(two)),
        "actor": make_constraint_run(folder / "actor", base, **CRITIC, attributes=("density",)),
    }


@pytest.fixture(params=KINDS)
def run(request, runs):
    return runs[request.param]


@pytest.fixture(autouse=True)
def instruments(monkeypatch):
    monkeypatch.setattr("models.phrase_files.save_notes", silent)
    with torch.no_grad():
        yield


def wish_of(run):
    """Return flags of a wish and its ids, where a run knows any."""
    return (("--wish", "hit_density=much"), torch.tensor([[2]])) if run.name == "actor" else ((), None)


def decoded(model, z, ids=None):
    z = torch.from_numpy(z)
    return model.decode(z, PHRASE, None if ids is None else ids.expand(len(z), -1)).numpy()


def assert_heard(run, target, phrases):
    assert struck(target) == expected(run, phrases)


# -- modes ------------------------------------------------------------------------------------------------------------


def test_axes_are_swept(run, tmp_path):
    flags, ids = wish_of(run)
    model = load_run(run)
    assert play("sweep", run, "--axis", 2, "-n", 3, "--temperature", 0, "-g", 0, *flags, "-o", tmp_path) == 0
    known, (size,) = arrays(tmp_path / "sweep_axis2.npz"), model.latent_shape
    assert known["z"].tolist() == [[0, place, *[0] * (size - 2)] for place in (-3, 0, 3)]
    np.testing.assert_array_equal(known["phrases"], decoded(model, known["z"], ids))
    assert_heard(run, tmp_path / "sweep_axis2.mid", known["phrases"])


def test_blends_go_from_the_base_to_the_run(run, base, tmp_path):
    flags, ids = wish_of(run)
    model, path = load_run(run), song(base, 2)
    assert play("blend", run, "-i", path, "-n", 3, "--temperature", 0, "-g", 0, *flags, "-o", tmp_path) == 0
    known, random = arrays(tmp_path / "blend_0.npz"), generator(0, "blend", 0)
    end = model.to_base(model.encode(whole(path, run)[:1], PHRASE).mean, ids)
    np.testing.assert_allclose(known["z"][0], model.base.sample(1, random)[0], atol=1e-6)
    np.testing.assert_allclose(known["z"][2], end[0], atol=1e-5)
    np.testing.assert_array_equal(known["phrases"], decoded(model.base, known["z"]))
    assert_heard(run, tmp_path / "blend_0.mid", known["phrases"])


def test_walks_begin_at_a_phrase(run, base, tmp_path):
    flags, ids = wish_of(run)
    model, path = load_run(run), song(base, 3)
    assert play("walk", run, "-i", path, "-n", 4, "--temperature", 0, "-g", 0, *flags, "-o", tmp_path) == 0
    known = arrays(tmp_path / "walk.npz")
    np.testing.assert_allclose(known["z"][0], model.encode(whole(path, run)[:1], PHRASE).mean[0], atol=1e-5)
    assert len(np.unique(known["z"], axis=0)) == 4
    np.testing.assert_array_equal(known["phrases"], decoded(model, known["z"], ids))
    assert_heard(run, tmp_path / "walk.mid", known["phrases"])


def test_pieces_are_gone_to(run, tmp_path):
    """Where sections of a piece are held out, to all that there is of it."""
    model, (flags, ids) = load_run(run), wish_of(run)
    (tmp_path / "walk.txt").write_text("to beat_1\nwait 4\nto beat_0\nwait 4\nwait 4\n")
    given = ("--script", tmp_path / "walk.txt", "--temperature", 0, "-g", 0, *flags)
    assert play("free_navigation", run, *given, "-o", tmp_path / "out") == 0
    known, middles = arrays(tmp_path / "out" / "navigation.npz"), []
    for name in ("beat_1", "beat_0"):
        own = tuple(piece for piece in model.config.corpus() if piece.name == name)
        assert len(own) == (len(SPLITS) if run.name == "sections" else 1)
        windows = PhraseWindows(own, model.representations[PHRASE], hop=32)
        x = windows.batch(torch.arange(len(windows)), torch.Generator())[PHRASE]
        middles.append(model.encode(x, PHRASE).mean.mean(0).numpy())
    for middle in middles:
        assert np.abs(known["z"] - middle).max(1).min() < 1e-5
    np.testing.assert_array_equal(known["phrases"], decoded(model, known["z"], ids))
    assert_heard(run, tmp_path / "out" / "navigation.mid", known["phrases"])


def test_a_piece_of_several_sections_is_one(runs, tmp_path, capsys):
    """Else no name would be of one piece alone."""
    (tmp_path / "walk.txt").write_text("to beat\n")
    assert play("free_navigation", runs["sections"], "--script", tmp_path / "walk.txt", "-o", tmp_path / "out") == 2
    assert "there are 2 such pieces on the map; there is beat_0, beat_1 ..." in capsys.readouterr().err


# -- spread -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sample", "walk"])
def test_no_spread_is_the_same_as_none(runs, tmp_path, mode):
    for name, flags in (("plain", ()), ("none", ("--spread", 0)), ("wide", ("--spread", 2))):
        assert play(mode, runs["small"], "-n", 3, *flags, "-g", 0, "-o", tmp_path / name) == 0
    plain, none, wide = (sorted((tmp_path / name).iterdir()) for name in ("plain", "none", "wide"))
    assert [path.name for path in plain] == [path.name for path in none] == [path.name for path in wide]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(plain, none, strict=True))
    one, other = (next(path for path in paths if path.suffix == ".npz") for paths in (plain, wide))
    assert (arrays(one)["z"] == arrays(other)["z"]).all() and not (arrays(one)["phrases"] == arrays(other)["phrases"]).all()


@pytest.mark.parametrize(("mode", "stem"), [("sample", "samples"), ("walk", "walk")])
def test_phrases_are_of_latents_around_what_small_ones_stand_for(runs, tmp_path, mode, stem):
    model = load_run(runs["small"])
    assert play(mode, runs["small"], "-n", 3, "--spread", 1.5, "--temperature", 0, "--seed", 4, "-g", 0, "-o", tmp_path) == 0
    known, random = arrays(tmp_path / f"{stem}.npz"), generator(4, "spread")
    centre = model.to_base(torch.from_numpy(known["z"]))
    around = centre + 1.5 * model.residual * torch.randn(centre.shape, generator=random)
    np.testing.assert_array_equal(known["phrases"], model.base.decode(around, PHRASE))


@pytest.mark.parametrize("mode", ["sample", "walk"])
def test_only_small_models_scatter(runs, base, tmp_path, capsys, mode):
    for run in (runs["actor"], base):
        told = refused(capsys, tmp_path / "out", mode, run, "--spread", 1)
        assert told.endswith("--spread 1: is for runs of a small VAE on a base, and this one is none; leave it out")
    assert play(mode, base, "--spread", 0, "-n", 1, "-g", 0, "-o", tmp_path / "base") == 0


# -- analysis ---------------------------------------------------------------------------------------------------------


def test_sections_are_analysed(runs, tmp_path):
    """Of each of two pieces of 33 bars three are the test, two phrases that begin at bars."""
    off = [word for flag in ("make_figures", "generate_audio", "draws") for word in (f"--{flag}", "0")]
    assert lt_analyze.main(["-m", str(runs["sections"]), *off, "--phrases", "12", "-o", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "analysis.json").read_text())
    found = told["metrics"]
    assert told["examples"] == 4 and {"model", "base", "prior", "spread 1", "real", "temperature 0.5"} <= found.keys()
    for column, section, metric in (
        ("model", "constraint_reconstruction", "z_r2"),
        ("model", "constraint_agreement", "accuracy"),
        ("model", "constraint_latents", "kl_nats"),
        ("base", "phrase_to_phrase", "accuracy"),
        ("real", "constraint_samples", "steps_from_training"),
    ):
        assert (found[column][section][metric]["n"], found[column][section][metric]["groups"]) == (4, 2)
    for column in ("model", "prior", "spread 1"):
        assert found[column]["constraint_samples"]["steps_from_split"]["n"] == 12
    assert found["real"]["constraint_samples"]["steps_from_split"]["groups"] == 2
    config = load_run(runs["sections"]).config
    assert found["model"]["constraint_reconstruction"]["active_of_base"]["n"] == config.windows > 40
    assert [piece.name for piece in config.corpus().of("test")] == ["beat_0", "beat_1"]
    assert told["constraint"] == {"wishes": {}}
