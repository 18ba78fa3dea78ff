import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lt_midi
from data.audio import Audio
from data.notes import Notes, Track
from tests.runs import make_run
from tests.test_aligned import MELODY, RATE, sine, write_piece
from utils import cli
from utils.config import InputError

QUICK = ("--plot", "0", "--resynthesize", "0", "--tuning", "none")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    write_piece(folder, "a", MELODY)
    write_piece(folder, "b", MELODY[:2], seconds=1.6)
    return folder


def evaluate(*argv):
    """Return the exit code."""
    return lt_midi.main([*map(str, argv), "--griffinlim_iters", "1"])


def results(out):
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


# -- the command line -------------------------------------------------------------------------------------------------


def test_help_imports_no_torch():
    code = "import sys, lt_midi; lt_midi.parser().format_help(); sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(lt_midi.__file__).parent, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--threads", "-1"), "--threads must be 0 or more"),
        (("--griffinlim_iters", "0"), "--griffinlim_iters 1 or more"),
        (("--onset_tolerance", "0"), "--onset_tolerance above 0"),
        (("--onset_tolerance", "nan"), "--onset_tolerance above 0"),
        (("--tuning", "flat"), "--tuning flat: give auto, none, or cents"),
        (("--tuning", "inf"), "--tuning inf: give auto"),
        (("--tuning", "nan"), "--tuning nan: give auto"),
        (("--plot", "2"), "invalid choice"),
    ],
)
def test_values_are_checked(flags, message):
    with pytest.raises(InputError, match=message):
        lt_midi.main(["--models", "none", "--dataroot", "none", *flags])


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("none", 0.0), ("-12.5", -12.5)])
def test_tunings(text, value):
    assert lt_midi.tuning(text) == value


# -- results ----------------------------------------------------------------------------------------------------------


def test_all_files_of_one_run(run, pieces, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate("--models", run, "--dataroot", pieces, "--output", out) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == sorted(
        ["results.csv", "results.json"] + [f"{folder}/{name}.{end}" for name in "ab" for folder, end in lt_files().items()]
    )
    for name, seconds in (("a", 3.5), ("b", 1.6)):
        for folder in ("reconstructions", "transfers"):
            assert Audio.load(out / folder / f"{name}.wav").duration == pytest.approx(seconds, abs=1e-4)
    content = results(out)
    assert set(content) == {
        "version", "run", "settings", "without_midi", "without_audio", "unclear", "failed", "files", "total",
    }  # fmt: skip
    assert set(content["files"]) == {"a", "b"} and not content["failed"]
    for part in (content["total"], *content["files"].values()):
        assert {"frames", "voicing", "notes", "onset_lateness_s", "level_gain_db", "transcription"} <= set(part)
        assert {"signal_to_signal", "symbol_to_signal", "symbol_to_signal_level_matched"} <= set(part)
    assert content["total"]["notes"]["onset"]["reference"] == 6
    assert content["files"]["a"]["tuning_cents"] in (-25, 0, 25) and content["settings"]["tuning"] == "auto"
    with open(out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["a", "b", "total"]
    assert float(rows[-1]["transcription.pitch.value"]) == content["total"]["transcription"]["pitch"]["value"]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 and printed[-1].startswith("| crossmodal__flute |")


def lt_files():
    return {"plots": "pdf", "reconstructions": "wav", "transfers": "wav", "transcriptions": "mid"}


def test_the_run_is_the_default_place_and_parts_can_be_left_out(pieces, tmp_path, capsys):
    folder = make_run(tmp_path / "run")
    assert evaluate("--models", folder, "--dataroot", pieces, *QUICK, "--losses", 0) == 0
    out = folder / "midi_evaluation"
    assert sorted(path.name for path in out.iterdir()) == ["results.csv", "results.json"]
    assert results(out)["total"] == {} and results(out)["files"]["a"]["note_counts"]["reference"] == 4
    assert capsys.readouterr().out == ""


def test_results_can_be_repeated(run, pieces, tmp_path):
    for name in ("x", "y"):
        evaluate("--models", run, "--dataroot", pieces, *QUICK, "--output", tmp_path / name)
    assert results(tmp_path / "x") == results(tmp_path / "y")
    evaluate("--models", run, "--dataroot", pieces, *QUICK, "--output", tmp_path / "z", "--seed", 1)
    one, other = (results(tmp_path / name)["total"]["signal_to_signal"]["log_spectral_distance_db"] for name in "xz")
    assert one["value"] == other["value"] and one["low"] <= one["value"] <= one["high"]


def test_a_wider_tolerance_matches_more(run, pieces, tmp_path):
    found = []
    for name, tolerance in (("x", 0.001), ("y", 1.0)):
        evaluate("--models", run, "--dataroot", pieces, *QUICK, "--output", tmp_path / name, "--onset_tolerance", tolerance)
        found.append(results(tmp_path / name)["total"]["notes"]["onset"]["matched"])
    assert found[0] <= found[1]


def test_several_runs_make_one_table(run, pieces, tmp_path, capsys):
    other = make_run(tmp_path / run.name)
    assert evaluate("--models", run, other, "--dataroot", pieces, *QUICK, "--output", tmp_path / "out") == 0
    names = [run.name, f"{run.name}_2"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines()[2:]] == names


def test_equal_names_in_different_folders_do_not_collide(run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_piece(tmp_path / name, "x", MELODY[:2], seconds=1.6)
    assert evaluate("--models", run, "--dataroot", tmp_path, "--output", tmp_path / "out", "--plot", 0, "--tuning", 0) == 0
    files = results(tmp_path / "out")["files"]
    assert set(files) == {"x", "x_2"} and files["x"]["midi"] != files["x_2"]["midi"]
    assert sorted(path.name for path in (tmp_path / "out" / "transfers").iterdir()) == ["x.wav", "x_2.wav"]


# -- what cannot be used ----------------------------------------------------------------------------------------------


def test_names_need_be_no_text(run, pieces, tmp_path):
    for end in ("wav", "mid"):
        shutil.copy(pieces / f"a.{end}", tmp_path / os.fsdecode(b"su\xffr." + end.encode()))
    assert evaluate("--models", run, "--dataroot", tmp_path, *QUICK, "--output", tmp_path / "out") == 0
    with open(tmp_path / "out" / "results.csv", newline="", encoding="utf-8") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["su_r", "total"]


def test_bad_files_keep_no_other_from_being_evaluated(run, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("good", "none", "kit", "half", "corrupt", "short", "silent"):
        write_piece(data, name, MELODY[:2], seconds=1.6)
    Notes.empty().save(data / "none.mid")
    Notes(*([x] for x in (0, 1, 40, 99, 0)), (Track("kit", 0, True),)).save(data / "kit.mid")
    (data / "half.mid").write_bytes((data / "good.mid").read_bytes()[:30])
    (data / "corrupt.wav").write_bytes(b"RIFF")
    Audio(sine(69, 0.01).astype(np.float32), RATE).save(data / "short.wav")
    Audio(np.zeros(RATE, np.float32), RATE).save(data / "silent.wav")
    Audio(np.zeros(RATE, np.float32), RATE).save(data / "alone.wav")
    assert evaluate("--models", run, "--dataroot", data, *QUICK, "--output", tmp_path / "out") == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    expected = {"corrupt.wav": "not readable", "half.mid": "MIDI", "kit.mid": "only drums", "none.mid": "no notes"}
    expected |= {"short.wav": "lasts 10 ms", "silent.wav": "is silent"}
    assert len(errors) == len(expected)
    for name, message in expected.items():
        assert any(str(data / name) in line and message in line for line in errors), name
    content = results(tmp_path / "out")
    assert set(content["files"]) == {"good"} and len(content["failed"]) == 6
    assert content["without_midi"] == [str(data / "alone.wav")]
    assert len(told.out.splitlines()) == 3


def test_no_pair_at_all(run, tmp_path):
    write_piece(tmp_path, "take", MELODY[:1])
    (tmp_path / "take.mid").rename(tmp_path / "tale.mid")
    with pytest.raises(InputError, match=r"looked for take-lined.mid or take.mid, nearest: tale"):
        evaluate("--models", run, "--dataroot", tmp_path)


def test_nothing_usable_writes_nothing(run, tmp_path, capsys):
    write_piece(tmp_path, "a", MELODY[:1])
    Notes.empty().save(tmp_path / "a.mid")
    assert evaluate("--models", run, "--dataroot", tmp_path, "--output", tmp_path / "out", *QUICK) == 2
    assert "none of the 1 recordings could be evaluated" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_bad_runs_keep_no_other_from_being_evaluated(run, pieces, tmp_path, capsys):
    half, mute = make_run(tmp_path / "half"), make_run(tmp_path / "mute", labels=("dynamics",))
    (half / "best.safetensors").write_bytes((half / "best.safetensors").read_bytes()[:1000])
    argv = ("--models", half, mute, tmp_path / "none", run, "--dataroot", pieces, *QUICK, "--output", tmp_path / "out")
    assert evaluate(*argv) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 3 and "best.safetensors" in errors[0] and "names no pitch" in errors[1] and "is no run" in errors[2]
    assert [line.split("|")[1].strip() for line in told.out.splitlines()[2:]] == [run.name]


def test_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lt_midi.py", "--models", str(tmp_path), "--dataroot", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="2"):
        cli.run(lt_midi.main)
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: ") and told.err.count("\n") == 1
