import csv

import numpy as np
import pytest
import torch

import lt_play
from data.audio import Audio
from data.notes import Notes
from data.words import parse
from models.play_paths import write_path
from models.rendering import Player, write_sound
from models.runs import load_run
from tests.runs import make_run
from utils.config import InputError
from utils.trajectories import interpolate

RATE = 22050
POINTS = 70.4  # samples a point in time


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


@pytest.fixture(scope="module")
def duo(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "duo", instruments=("flute", "cello"), random_mode="bernoulli")


def play(mode, run, *argv):
    """Play quickly; return the exit code."""
    return lt_play.main([mode, "-m", str(run), *map(str, argv), "--griffinlim_iters", "1"])


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def latents(rows):
    return np.array([[float(value) for name, value in row.items() if name[0] == "z"] for row in rows])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--threads", "-1", "0 or more, not -1"),
        ("--griffinlim_iters", "0", "1 or more, not 0"),
        ("--n_steps", "1.5", "1 or more, not 1.5"),
        ("-n/--n_generations/--num_outputs", "0", "1 or more, not 0"),
        ("--radius", "nan", "finite number above 0, not nan"),
        ("--radius", "0", "finite number above 0"),
        ("--turns", "inf", "finite number above 0"),
    ],
)
def test_numbers_have_a_least_value(run, flag, value, message):
    with pytest.raises(InputError, match=f"argument {flag}: must be a.*{message}"):
        lt_play.main(["trajectory", "-m", str(run), flag.split("/")[0], value])


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        ("info", ["-i", "a.wav"], "info: takes no --input; lt_play.py info --info says"),
        ("audio", ["-t", "3"], "takes no --transposition"),
        ("midi", ["--traj", "circle"], "takes no --traj"),
        ("morphing", ["-s", "1"], "takes no --latent_sample"),
        ("morphing", ["--seed", "1"], "takes no --seed"),
        ("trajectory", ["-d", "mf"], "takes no --dynamics"),
    ],
)
def test_flags_of_other_modes_are_refused(run, mode, arguments, message):
    with pytest.raises(InputError, match=message):
        lt_play.main([mode, "-m", str(run), *arguments])


@pytest.mark.parametrize("mode", lt_play.MODES)
def test_every_mode_tells_what_it_does(mode, capsys):
    assert lt_play.main([mode, "--info"]) == lt_play.main([mode, "--info", "1"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert " ".join(lt_play.MODES[mode].text.split()) in told
    assert all(f"--{flag} " in told for flag in lt_play.MODES[mode].flags)
    assert ("--n_generations" in told) == ("n_generations" in lt_play.MODES[mode].flags)


def test_runs_are_needed():
    with pytest.raises(InputError, match="info: give the folders of trained runs with -m"):
        lt_play.main(["info"])


def test_every_flag_of_the_table_is_a_flag():
    text = lt_play.parser().format_help()
    assert all(f"--{flag} " in text for mode in lt_play.MODES.values() for flag in mode.flags)


# -- sequence ---------------------------------------------------------------------------------------------------------


def test_a_sequence_holds_its_labels(run, tmp_path, capsys):
    assert play("sequence", run, "-i", "A4:p", "C5:f", "--n_steps", 60, "-o", tmp_path) == 0
    made = [f"A4-p_C5-f{end}" for end in (".wav", ".mid", ".csv", ".pdf")]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in made] and names(tmp_path) == sorted(made)
    assert len(Audio.load(tmp_path / made[0]).samples) == int(120 * POINTS)
    rows = table(tmp_path / made[2])
    model = load_run(run)
    means = model.encode(parse(model.representations["symbol"], ["A4:p", "C5:f"]), "symbol").mean.detach()
    assert latents(rows) == pytest.approx(means.repeat_interleave(60, 0).numpy(), abs=1e-5)
    assert float(rows[100]["time"]) == pytest.approx(100 * POINTS / RATE, abs=1e-4)
    named = model.decode(means, "symbol")
    assert [rows[n]["flute pitch"] for n in (0, 119)] == [
        model.representations["symbol"].class_names(ids[0].tolist())["pitch"] for ids in named
    ]
    assert 0 < float(rows[0]["flute octave probability"]) <= 1


def test_ids_are_labels_too_and_lie_in_the_run_by_default(tmp_path):
    folder = make_run(tmp_path / "run")
    assert play("sequence", folder, "-i", 0, 0, 1, 1, 3, 0, "--n_steps", 20, "-g", 0) == 0
    assert names(folder / "sequence") == [f"A4-f_C5-p{end}" for end in (".csv", ".mid", ".wav")]


def test_labels_are_transposed_and_played_in_one_dynamics(run, tmp_path):
    assert play("sequence", run, "-i", "C4:p", "A#4:f", "-t", 14, "-d", "f", "--n_steps", 1, "-g", 0, "-o", tmp_path) == 2
    assert play("sequence", run, "-i", "C4:p", "A4:f", "-t", 14, "-d", "f", "--n_steps", 1, "-g", 0, "-o", tmp_path) == 0
    assert names(tmp_path) == [f"D5-f_B5-f{end}" for end in (".csv", ".mid", ".wav")]


def test_samples_are_drawn_once_a_label(run, tmp_path):
    def played(*argv):
        assert play("sequence", run, "-i", "A4:p", "A4:p", "--n_steps", 20, "-g", 0, "-o", tmp_path, *argv) == 0
        return latents(table(tmp_path / "A4-p_A4-p.csv"))

    mean, first, again, other = played(), played("-s", 1), played("-s", 1), played("-s", 1, "--seed", 1)
    assert (mean == mean[0]).all()
    assert (first[:20] == first[0]).all() and (first[20:] == first[20]).all() and (first[0] != first[20]).any()
    assert (first == again).all() and (first != other).any() and (first != mean).any()


def test_rests_are_silent(duo, tmp_path):
    words = ("A4:f+C4:f", "rest+rest", "C5:f+rest")
    assert play("sequence", duo, "-i", *words, "--n_steps", 200, "-g", 0, "-o", tmp_path) == 0
    samples = Audio.load(tmp_path / "A4-f+C4-f_rest+rest_C5-f+rest.wav").samples
    first, rest, last = (part[1000:-1000] for part in np.array_split(samples, 3))
    assert abs(rest).max() == 0 < min(abs(first).max(), abs(last).max())
    row = table(tmp_path / "A4-f+C4-f_rest+rest_C5-f+rest.csv")[300]
    assert {row[f"{name} {label}"] for name in ("flute", "cello") for label in ("octave", "pitch", "dynamics")} == {"silent"}
    assert row["flute pitch probability"] == ""
    notes = Notes.load(tmp_path / "A4-f+C4-f_rest+rest_C5-f+rest.mid")
    assert not ((notes.onset < 1.2) & (notes.offset > 0.7)).any()


def test_one_point_is_a_sound(run, tmp_path):
    assert play("sequence", run, "-i", "A4", "--n_steps", 1, "-o", tmp_path) == 0
    assert len(Audio.load(tmp_path / "A4-f.wav").samples) == 70 and len(table(tmp_path / "A4-f.csv")) == 1


@pytest.mark.parametrize(
    ("mode", "arguments", "message"),
    [
        ("sequence", ["-i", "H4"], "'H4' is no name of a pitch"),
        ("sequence", ["-i", ""], "'' is no name of a pitch"),
        ("sequence", ["-i", "A2"], "A2 is no note of this run: its notes lie within C4 to B5"),
        ("sequence", ["-i", "rest"], "never shown silence"),
        ("sequence", ["-i", "1", "2"], "2 class ids are given: this run takes 3 a label"),
        ("sequence", ["-i", "A4", "-d", "loud"], "which knows 0 p, 1 f"),
        ("sequence", ["-i", "A4", "-t", "-100"], "A4 transposed by -100 is no note"),
        ("sequence", ["-i", "A4", "--n_steps", "187927"], "would last longer than 600 s: give at most 187926"),
        ("morphing", ["-i", "A4"], "give at least two"),
        ("morphing", ["-i", "A4", "C5", "--n_steps", "9999999"], "would last longer than 600 s"),
        ("trajectory", ["--n_steps", "9999999"], "would last longer than 600 s"),
    ],
)
def test_what_cannot_be_played(run, tmp_path, capsys, mode, arguments, message):
    assert play(mode, run, *arguments, "-o", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert message in told.err and str(run) in told.err and told.err.count("error") == 1 and not told.out
    assert not names(tmp_path / "out")


@pytest.mark.parametrize("mode", ["sequence", "morphing"])
def test_labels_are_needed(run, mode):
    with pytest.raises(InputError, match=f"{mode}: give labels with -i"):
        play(mode, run)


# -- morphing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["0", "1", "2", "3", "spherical"])
def test_morphing_interpolates_means(run, tmp_path, order):
    words = ("A4:p", "C5:f", "E5:p")
    assert play("morphing", run, "-i", *words, "--n_steps", 10, "--interp_order", order, "-g", 0, "-o", tmp_path) == 0
    rows = table(tmp_path / f"A4-p_C5-f_E5-p_interp_{order}.csv")
    model = load_run(run)
    means = model.encode(parse(model.representations["symbol"], words), "symbol").mean.detach()
    assert len(rows) == 21
    assert latents(rows) == pytest.approx(interpolate(means, 10, order).numpy(), abs=2e-5)


# -- trajectory -------------------------------------------------------------------------------------------------------


def test_trajectories_are_functions_of_their_seed(run, tmp_path):
    def played(folder, *argv):
        kinds = ("line", "circle", "helix", "spiral", "circle")
        assert play("trajectory", run, "--traj", *kinds, "--n_steps", 30, "--n_generations", 2, "-g", 0, "-o", folder, *argv) == 0
        return {name: (folder / name).read_bytes() for name in names(folder) if name.endswith((".csv", ".wav"))}

    first, again, other = played(tmp_path / "a"), played(tmp_path / "b"), played(tmp_path / "c", "--seed", 1)
    assert names(tmp_path / "a") == sorted(
        f"{kind}_{i}{end}" for kind in ("line", "circle", "helix", "spiral") for i in (0, 1) for end in (".wav", ".mid", ".csv")
    )
    assert first == again
    assert all(first[name] != other[name] for name in first if name.endswith(".csv"))
    assert first["line_0.csv"] != first["line_1.csv"]


def test_radius_and_turns_are_heeded(run, tmp_path):
    argv = ("--traj", "circle", "--radius", 0.5, "--turns", 2, "--n_steps", 101, "--n_generations", 1, "-g", 0)
    assert play("trajectory", run, *argv, "-o", tmp_path) == 0
    z = latents(table(tmp_path / "circle_0.csv"))
    assert np.linalg.norm(z - z[:100].mean(0), axis=1) == pytest.approx(np.full(101, 0.5), abs=1e-3)
    assert z[50] == pytest.approx(z[0], abs=1e-4)


def test_runs_without_symbols_play_curves_and_no_labels(run, tmp_path, capsys, monkeypatch):
    model = load_run(run)
    model.representations = {"signal": model.representations["signal"]}
    monkeypatch.setattr("models.runs.load_run", lambda *args: model)
    assert play("trajectory", run, "--n_generations", 1, "--n_steps", 20, "-o", tmp_path / "a") == 0
    assert names(tmp_path / "a") == ["line_0.csv", "line_0.pdf", "line_0.wav"]
    assert list(table(tmp_path / "a" / "line_0.csv")[0]) == ["time", "z1", "z2", "z3", "z4"]
    assert play("sequence", run, "-i", "A4", "-o", tmp_path / "b") == 2
    assert "needs a run with the modality symbol; this one has signal" in capsys.readouterr().err


def test_runs_without_signals_cannot_be_heard(run, tmp_path):
    model = load_run(run)
    model.representations = {"symbol": model.representations["symbol"]}
    with pytest.raises(InputError, match="needs a run with the modality signal"):
        write_path(Player(model), torch.zeros(3, 4), tmp_path / "a", True)
    assert not names(tmp_path)


def test_too_few_latent_dimensions(tmp_path, capsys):
    folder = make_run(tmp_path / "run", dims=(1,))
    assert play("trajectory", folder, "--traj", "circle", "-o", tmp_path / "out") == 2
    assert "needs 2 dimensions, but the latent space has 1" in capsys.readouterr().err


# -- paths ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_pieces_of_a_path_are_parts_of_the_whole(run, tmp_path, monkeypatch):
    z, gain = torch.randn(100, 4), torch.ones(100)
    player = Player(load_run(run), iterations=1)
    write_path(player, z, tmp_path / "whole", False, gain)
    monkeypatch.setattr("models.rendering.BLOCK", 7)
    write_path(player, z, tmp_path / "parts", False, gain)
    assert (tmp_path / "whole.csv").read_text() == (tmp_path / "parts.csv").read_text()
    whole, parts = (Audio.load(tmp_path / name).samples for name in ("whole.wav", "parts.wav"))
    assert np.corrcoef(whole, parts)[0, 1] > 0.999


@pytest.mark.parametrize(("peak", "least", "gain"), [(0.01, 0.1, 10), (0.2, 0.1, 1), (0, 0.1, 1), (1e-5, 0.1, 100), (4, 0.1, 0.25)])
def test_soft_sound_is_made_louder(tmp_path, peak, least, gain):
    factor = write_sound(tmp_path / "a.wav", [np.array([0, peak, -peak / 2])], RATE, least=least)
    assert factor == pytest.approx(gain, rel=2e-3)
    assert Audio.load(tmp_path / "a.wav").samples == pytest.approx(np.array([0, peak, -peak / 2]) * factor, abs=1e-4)
