"""lt_midi.py on runs of scores."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lt_midi
from data import score_files
from data.audio import Audio
from data.rolls import from_steps
from data.scores import read
from models import scored, scored_files
from models.run_config import write_run
from models.run_folder import BEST
from models.scored import Scored
from tests.classifying_runs import NAMES, ident, make_model, make_music
from tests.pieces import steps_of
from tests.runs import make_run
from utils.checkpoint import save_state
from utils.config import InputError

KINDS = [{"model": "vae", "classify": True, "use_x_prev": True}, {"model": "lstm", "classify": False}]
QUICK = ("--plot", "0", "--resynthesize", "0", "--draws", "2")
FOREIGN = 66  # F sharp, which no model of these tests knows


def make_quiet(**changes):
    """Return a model of random weights that hears two notes in everything, now and then: others would be slow to play."""
    model = make_model(**{"symmetric_w": True, **changes})
    with torch.no_grad():
        model.body.output.bias.fill_(-4.0)
        model.body.output.bias[[40, 47]] = 0.0
    return model


def make_scores_run(folder: Path, **changes) -> Path:
    """Write a run of random weights and return it."""
    model = make_quiet(**changes)
    folder.mkdir(parents=True)
    write_run(folder, "classifying", model.config, {})
    save_state(folder / BEST, {"model": model.state_dict(), "epoch": 1, "loss": 1.0})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_scores_run(tmp_path_factory.mktemp("runs") / "keys", model="lstm", use_x_prev=True)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Return a folder of six pieces of 10 steps, two each in C, D and E flat: windows of 4 steps, the last of 2."""
    return make_music(tmp_path_factory.mktemp("music"), pieces=2, beats=10)


def evaluate(run, music, out, *flags):
    """Return the exit code."""
    return lt_midi.main(["--models", str(run), "--dataroot", str(music), "--output", str(out), *map(str, flags)])


def results(out):
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


def table_rows(out):
    with open(out / "results.csv", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


# -- end to end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", KINDS, ids=ident)
def test_all_pieces_of_one_run(changes, tmp_path, capsys):
    run = make_scores_run(tmp_path / "run", **changes)
    music, names = make_music(tmp_path / "music", (60, 62), 1, 10), ["60_0", "62_0"]
    assert lt_midi.main(["--models", str(run), "--dataroot", str(music), "--draws", "3"]) == 0
    out = run / "midi_evaluation"
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    made = {f"plots/{name}.pdf" for name in names} | {f"reconstructions/{name}.{end}" for name in names for end in ("mid", "wav")}
    assert written == {"results.json", "results.csv"} | made
    content = results(out)
    assert set(content) == {"version", "run", "settings", "failed", "files", "total"}
    assert content["settings"] == {"draws": 3, "weights": None, "seed": 0} and content["failed"] == {}
    assert list(content["files"]) == names == list(table_rows(out))[:-1]
    total = content["total"]
    assert (total["pieces"], total["steps"]) == (2, 20) and total["windows"] == (20 if changes["model"] == "vae" else 6)
    sections = {"score_bound", "score_to_score"} | ({"score_to_key", "score_bound_key_told"} if changes["classify"] else set())
    for part in (total, *content["files"].values()):
        assert sections == {name for name in part if name.startswith("score_")}
        assert {"nll", "kl_score", "bound", "bound_3"} <= set(part["score_bound"])
    first = content["files"]["60_0"]
    assert (first["key"]["label"], first["key"]["from"], first["key"]["class"]) == ("C", "profile", "C")
    assert (first["key"]["named"] is None) == (not changes["classify"])
    bound = table_rows(out)["total"]["score_bound.bound_3.low"]
    assert float(bound) == total["score_bound"]["bound_3"]["low"] < total["score_bound"]["bound_3"]["value"]
    lines = capsys.readouterr().out.splitlines()
    heads, cells = ([cell.strip() for cell in lines[place].split("|")[1:-1]] for place in (0, 2))
    printed = dict(zip(heads, cells, strict=True))
    assert len(lines) == 3 and printed["run"] == "run" and printed["pieces"] == "2"
    assert printed["bound_3"] == f"{total['score_bound']['bound_3']['value']:.3f}"
    assert (printed["key of pieces"] == "-") == (not changes["classify"])


def test_reconstructions_are_those_that_are_scored(run, music, tmp_path):
    evaluate(run, music, tmp_path / "out", "--plot", 0, "--draws", 1)
    model = make_quiet(model="lstm", use_x_prev=True)
    (piece,) = read(music / "60_0.mid")
    (one,) = scored.score(model, [piece], 0, 0)
    written = tmp_path / "out" / "reconstructions" / "60_0"
    (again,) = read(written.with_suffix(".mid"))
    assert steps_of(again.frames) == steps_of(one.rebuilt)[: len(again)]
    assert Audio.load(written.with_suffix(".wav")).duration >= 5.0  # 10 quarters at 120 a minute


def test_parts_can_be_left_out(run, music, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(run, music, out, "--plot", 0, "--resynthesize", 0, "--losses", 0) == 0
    assert sorted(path.name for path in out.iterdir()) == ["results.csv", "results.json"]
    content = results(out)
    assert content["total"] == {} and capsys.readouterr().out == ""
    piece = content["files"]["60_0"]
    assert piece["steps"] == 10 and piece["key"]["named"] in NAMES and piece["key"]["right"] is None
    assert not any(name.startswith("score_") for name in piece)


def test_results_can_be_repeated(run, music, tmp_path):
    for name, seed in (("x", 0), ("y", 0), ("z", 1)):
        evaluate(run, music, tmp_path / name, *QUICK, "--seed", seed)
    x, y, z = (results(tmp_path / name)["files"] for name in "xyz")
    assert x == y and x["60_0"]["score_bound"] != z["60_0"]["score_bound"]
    assert x["60_0"]["score_to_key"] == z["60_0"]["score_to_key"]


def test_several_runs_make_one_table(run, music, tmp_path, capsys):
    other = make_scores_run(tmp_path / "frames", **KINDS[0])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.mid").write_bytes(b"MThd")
    (tmp_path / "data" / "good.mid").write_bytes((music / "60_0.mid").read_bytes())
    argv = ["--models", run, other, tmp_path / "none", "--dataroot", tmp_path / "data", "--output", tmp_path / "out", *QUICK]
    assert lt_midi.main(list(map(str, argv))) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 2 and "bad.mid" in errors[0] and "is no run" in errors[1]  # the file is read once for both runs
    assert [line.split("|")[1].strip() for line in told.out.splitlines()[2:]] == ["keys", "frames"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames", "keys"]
    assert [list(results(tmp_path / "out" / name)["failed"]) for name in ("keys", "frames")] == [
        [str(tmp_path / "data" / "bad.mid")]
    ] * 2


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_table_of_songs_tells_keys(run, tmp_path):
    songs = [[[60, 64, 67]] * 4, [[62, 66, 69]] * 5]
    path = tmp_path / "songs.json"
    path.write_text(json.dumps({"test": songs, "test_key": ["a", "D"], "test_mode": [False, True]}))
    assert evaluate(run, path, tmp_path / "out", *QUICK) == 0
    files = results(tmp_path / "out")["files"]
    assert list(files) == ["songs_test_0", "songs_test_1"]
    assert files["songs_test_0"]["key"]["label"] == "a" and files["songs_test_0"]["key"]["class"] == "C"
    assert {file["key"]["from"] for file in files.values()} == {"file"} and files["songs_test_1"]["steps"] == 5


def test_the_runs_step_and_reading_are_used(music, tmp_path):
    run = make_scores_run(tmp_path / "run", model="lstm", step="16th")
    assert evaluate(run, music, tmp_path / "out", *QUICK) == 0
    assert results(tmp_path / "out")["files"]["60_0"]["steps"] == 40


def test_pieces_in_keys_that_the_run_does_not_know(run, tmp_path, capsys):
    music = make_music(tmp_path / "music", (60, FOREIGN), 2, 8)
    assert evaluate(run, music, tmp_path / "out", *QUICK) == 0
    content, rows = results(tmp_path / "out"), table_rows(tmp_path / "out")
    known, other = content["files"]["60_0"], content["files"][f"{FOREIGN}_0"]
    assert (other["key"]["class"], other["key"]["right"]) == ("F#", None) and other["key"]["named"] in NAMES
    assert set(known) - set(other) == {"score_to_key", "score_bound_key_told"}
    assert set(other["score_bound"]) == set(known["score_bound"])
    row = rows[f"{FOREIGN}_0"]
    assert row["key.right"] == row["score_to_key.key.value"] == row["score_bound_key_told.bound.value"] == ""
    total = content["total"]
    assert total["score_to_key"]["key_vote"]["n"] == 2 and total["score_bound"]["bound"]["groups"] == 4
    capsys.readouterr()
    evaluate(run, make_music(tmp_path / "foreign", (FOREIGN,), 1, 8), tmp_path / "none", *QUICK)
    assert "score_to_key" not in results(tmp_path / "none")["total"]
    assert capsys.readouterr().out.splitlines()[2].endswith("| - | - |")


def test_pieces_in_folders_have_names_of_their_own(run, music, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mid").write_bytes((music / "60_0.mid").read_bytes())
    (tmp_path / "a_x.mid").write_bytes((music / "60_1.mid").read_bytes())
    assert evaluate(run, tmp_path, tmp_path / "out", *QUICK) == 0
    content = results(tmp_path / "out")
    assert set(content["files"]) == {"a_x", "a_x_2", "b_x"}
    assert content["total"]["score_bound"]["bound"]["groups"] == 2  # a/x and b/x are the same music


def test_bad_files_keep_no_other_from_being_evaluated(run, music, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    (data / "good.mid").write_bytes((music / "60_0.mid").read_bytes())
    (data / "half.mid").write_bytes((music / "60_0.mid").read_bytes()[:30])
    (data / "songs.json").write_text("{}")
    (data / "score.xml").write_text("<no>")
    assert evaluate(run, data, tmp_path / "out", *QUICK) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 3 and len(told.out.splitlines()) == 3
    content = results(tmp_path / "out")
    assert set(content["files"]) == {"good"}
    assert sorted(content["failed"]) == sorted(str(data / name) for name in ("half.mid", "songs.json", "score.xml"))


def test_what_was_written_before_is_not_read(run, music, tmp_path):
    data = make_music(tmp_path / "data", (60,), 1, 8)
    for _ in range(2):
        assert evaluate(run, data, data / "out", "--draws", 1, "--plot", 0) == 0
        assert list(results(data / "out")["files"]) == ["60_0"]
    with pytest.raises(InputError, match="holds only what an evaluation has written"):
        scored.read(data / "out" / "reconstructions", "quarter", "sounding", [data / "out"])


def test_nothing_usable_writes_nothing(run, tmp_path, capsys):
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    for data, message in ((tmp_path, "bad.mid"), (tmp_path / "none", "no such file or folder"), (run, "config.json")):
        assert evaluate(run, data, tmp_path / "out", *QUICK) == 2
        told = capsys.readouterr()
        assert message in told.err and told.out == "" and not (tmp_path / "out").exists()


def test_music_that_is_too_long_to_be_played_is_scored(run, tmp_path, capsys):
    score_files.write(tmp_path / "slow.mid", from_steps([[60, 64, 67]] * 250), 1, 4)
    assert evaluate(run, tmp_path, tmp_path / "out", "--plot", 0, "--draws", 1) == 2
    assert "error: slow: 250 steps last longer than 3600 s" in capsys.readouterr().err
    assert results(tmp_path / "out")["files"]["slow"]["steps"] == 250


def test_silence_can_be_drawn_and_played(music, tmp_path):
    piece = next(iter(read(music)))
    one = Scored(piece, "C", torch.ones(10), np.zeros_like(piece.frames))
    scored_files.draw(one, tmp_path / "x.pdf")
    scored_files.resynthesise(one, tmp_path / "x")
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".mid", ".wav"}


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--midiroot", "x"), "--midiroot"),
        (("--suffix", "_lined"), "--suffix"),
        (("--tuning", "none"), "--tuning"),
        (("--onset_tolerance", "0.1"), "--onset_tolerance"),
        (("--classifier", "0"), "--classifier"),
        (("--griffinlim_iters", "3"), "--griffinlim_iters"),
        (("--suffix", "", "--tuning", "10"), "--suffix, --tuning"),
    ],
)
def test_flags_of_recordings_are_refused(run, music, tmp_path, flags, named):
    with pytest.raises(InputError, match=f"^{named}: only for runs that read recordings; leave out, as .*keys reads scores$"):
        evaluate(run, music, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_flags_of_recordings_as_they_are_by_themselves_are_not(run, music, tmp_path):
    flags = ("--tuning", "auto", "--onset_tolerance", "0.05", "--classifier", "1", "--griffinlim_iters", "30")
    assert evaluate(run, music, tmp_path / "out", *QUICK, *flags) == 0


def test_runs_of_both_kinds_are_refused(run, music, tmp_path):
    other = make_run(tmp_path / "flute")
    with pytest.raises(InputError, match=r"keys reads scores and .*flute reads recordings; evaluate runs of one kind at a time"):
        lt_midi.main(["--models", str(run), str(other), "--dataroot", str(music)])
    message = r"^--draws: only for runs that read scores or phrases; leave out, as .*flute reads recordings$"
    with pytest.raises(InputError, match=message):
        lt_midi.main(["--models", str(other), "--dataroot", str(music), "--draws", "3"])


@pytest.mark.parametrize("draws", [0, -1, 10001])
def test_draws_are_checked(run, music, tmp_path, draws):
    with pytest.raises(InputError, match=f"--draws {draws}: must be 1 to 10000; --losses 0"):
        evaluate(run, music, tmp_path / "out", "--draws", draws)


def test_no_run_at_all(music, tmp_path):
    with pytest.raises(InputError, match=r"none: is no run"):
        evaluate(tmp_path / "none", music, tmp_path / "out", "--draws", 3)


def test_half_a_run(music, tmp_path, capsys):
    run = make_scores_run(tmp_path / "run", model="lstm")
    (run / BEST).write_bytes((run / BEST).read_bytes()[:500])
    assert evaluate(run, music, tmp_path / "out", *QUICK) == 2
    assert BEST in capsys.readouterr().err and not (tmp_path / "out").exists()
