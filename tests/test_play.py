import csv
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import lt_play
from data.audio import Audio
from data.notes import Notes, Track
from models.runs import load_run
from tests.runs import CLASSES, make_run
from utils import cli, history
from utils.config import InputError
from utils.inputs import distinct

RATE = 22050
FLUTE = (Track("flute", 73),)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


@pytest.fixture(scope="module")
def duo(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "duo", instruments=("flute", "cello"))


def play(*argv):
    """Play quickly; return the exit code."""
    return lt_play.main([*map(str, argv), "--griffinlim_iters", "1"])


def score(path, *rows, tracks=FLUTE):
    """Write a MIDI file of rows (onset, offset, pitch, velocity, track)."""
    Notes(*(np.array(column) for column in zip(*rows, strict=True)), tracks).save(path)
    return path


def tone(path, seconds, rate=RATE, amplitude=0.5):
    Audio(np.float32(amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)), rate).save(path)
    return path


def level(sound, start, stop):
    """Return the root mean square between two times in seconds."""
    return np.sqrt(np.square(sound.samples[round(start * RATE) : round(stop * RATE)]).mean())


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# -- the command line -------------------------------------------------------------------------------------------------


def test_help_is_quick_and_imports_no_torch():
    code = "import sys, lt_play; lt_play.parser().format_help(); sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(lt_play.__file__).parent, timeout=20).returncode == 0


def test_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lt_play.py", "info", "-m", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="2"):
        cli.run(lt_play.main)
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("error: ") and told.err.count("\n") == 1


def test_files_are_needed(run):
    with pytest.raises(InputError, match="audio: give files with -i"):
        play("audio", "-m", run)


def test_devices_are_checked(run, tmp_path, capsys):
    assert play("midi", "-m", run, "-i", score(tmp_path / "a.mid", (0, 1, 69, 80, 0)), "--device", "abacus") == 2
    assert "--device abacus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "A", "a"], ["a", "A_2", "a_3"]),
        (["a_2", "a", "a"], ["a_2", "a", "a_3"]),
        (["a\n\udcff", "a__", "♯é"], ["a__", "a___2", "♯é"]),
    ],
)
def test_names_are_distinct(names, expected):
    assert distinct(names) == expected


# -- info -------------------------------------------------------------------------------------------------------------


def test_info_tells_and_writes_nothing(tmp_path, capsys):
    folder = make_run(tmp_path / "run")
    history.append(folder / "history.csv", {"epoch": 7, "step": 80, "seconds": 90.0, "train_total": 1.5, "valid_total": 2.5})
    (folder / "metrics.json").write_text('{"signal_to_symbol.pitch": 0.75}')
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert lt_play.main(["info", "-m", str(folder)]) == 0
    out = capsys.readouterr().out
    told = (
        "crossmodal",
        "parameters: ",
        "epoch 7",
        "valid_total 2.5",
        "-12.5",
        "signal_to_symbol.pitch                      0.75",
        "bins_per_octave",
        "4 5",
    )
    assert all(words in out for words in told)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_info_of_a_run_without_weights(tmp_path, capsys):
    folder = make_run(tmp_path / "run")
    (folder / "best.safetensors").unlink()
    assert lt_play.main(["info", "-m", str(folder)]) == 0
    assert "none saved yet" in capsys.readouterr().out


def test_info_goes_on_after_a_bad_run(run, tmp_path, capsys):
    assert lt_play.main(["info", "-m", str(tmp_path), str(run)]) == 2
    told = capsys.readouterr()
    assert "is no run" in told.err and "parameters" in told.out


# -- audio ------------------------------------------------------------------------------------------------------------


def test_audio_writes_four_files_as_long_as_the_recording(run, tmp_path, capsys):
    recording = tone(tmp_path / "a.wav", 4.321)
    assert play("audio", "-m", run, "-i", recording, "-o", tmp_path / "out") == 0
    names = ["a_reconstruction.wav", "a.csv", "a.mid", "a.pdf"]
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    sound = Audio.load(tmp_path / "out" / "a_reconstruction.wav")
    assert len(sound.samples) == round(4.321 * RATE) and sound.sample_rate == RATE
    rows = table(tmp_path / "out" / "a.csv")
    frame_rate = load_run(run).representations["signal"].frame_rate
    assert len(rows) == int(np.ceil(4.321 * frame_rate))
    assert float(rows[31]["time"]) == pytest.approx(31 / frame_rate, abs=1e-3)
    assert rows[60]["flute pitch"] in [*CLASSES["pitch"], "silent"] and 0 < float(rows[60]["flute pitch probability"]) <= 1
    assert Notes.load(tmp_path / "out" / "a.mid").duration <= 4.321 + 1 / frame_rate


def test_audio_lies_in_the_run_by_default_without_figures(tmp_path):
    folder = make_run(tmp_path / "run")
    assert play("audio", "-m", folder, "-i", tone(tmp_path / "a.b.wav", 0.5, rate=44100), "-g", 0) == 0
    assert sorted(p.name for p in (folder / "audio").iterdir()) == ["a.b.csv", "a.b.mid", "a.b_reconstruction.wav"]
    assert Audio.load(folder / "audio" / "a.b_reconstruction.wav").duration == pytest.approx(0.5, abs=2 / RATE)


def test_silence_stays_silence(run, tmp_path):
    samples = tone(tmp_path / "tone.wav", 2.0) and Audio.load(tmp_path / "tone.wav").samples
    Audio(np.concatenate([samples, np.zeros(4 * RATE, np.float32)]), RATE).save(tmp_path / "a.wav")
    assert play("audio", "-m", run, "-i", tmp_path / "a.wav", "-o", tmp_path, "-g", 0) == 0
    sound = Audio.load(tmp_path / "a_reconstruction.wav")
    assert level(sound, 0.5, 1.5) > 10 * level(sound, 4.5, 6.0)
    assert table(tmp_path / "a.csv")[-10]["flute pitch"] == "silent"
    assert table(tmp_path / "a.csv")[-10]["flute pitch probability"] == ""


@pytest.mark.parametrize(
    ("seconds", "amplitude", "message"),
    [(0.01, 0.5, "is shorter than 3 frames"), (1 / RATE, 0.5, "is shorter than 3 frames"), (0.5, 0.0, "is silent")],
)
def test_very_short_and_silent_recordings_are_refused(run, tmp_path, capsys, seconds, amplitude, message):
    path = tone(tmp_path / "a.wav", seconds, amplitude=amplitude)
    assert play("audio", "-m", run, "-i", path, "-o", tmp_path / "out") == 2
    assert f"{path}: {message}" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_a_bad_file_keeps_no_other_from_being_played(run, tmp_path, capsys):
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    (inputs / "a.wav").write_bytes(b"RIFF")
    tone(inputs / "b.wav", 0.3)
    with wave.open(str(inputs / "c.wav"), "wb") as empty:
        empty.setparams((1, 2, RATE, 0, "NONE", ""))
    assert play("audio", "-m", run, "-i", inputs, tmp_path / "missing.wav", "-o", out, "-g", 0) == 2
    told = capsys.readouterr()
    assert sorted(line.split(":")[1].strip() for line in told.err.splitlines() if line.startswith("error")) == sorted(
        str(path) for path in (inputs / "a.wav", inputs / "c.wav", tmp_path / "missing.wav")
    )
    assert (out / "b_reconstruction.wav").exists() and len(list(out.iterdir())) == 3


def test_samples_that_are_no_numbers(run, tmp_path, capsys):
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.array([0.1, np.nan] * 500), RATE, subtype="FLOAT")
    assert play("audio", "-m", run, "-i", tmp_path / "a.wav", "-o", tmp_path / "out") == 2
    assert "NaN" in capsys.readouterr().err and not list((tmp_path / "out").iterdir())


def test_an_empty_folder(run, tmp_path, capsys):
    assert play("audio", "-m", run, "-i", tmp_path, "-o", tmp_path / "out") == 2
    assert "holds no file that ends in .wav" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_files_of_one_name_and_runs_of_one_name(run, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        tone(tmp_path / folder / "x.wav", 0.1)
    other = make_run(tmp_path / run.name)
    assert play("audio", "-m", run, other, "-i", tmp_path / "a", tmp_path / "b" / "x.wav", "-o", tmp_path / "out", "-g", 0) == 0
    stems = {p.name.removesuffix(".csv") for p in (tmp_path / "out").rglob("*.csv")}
    assert stems == {"x", "x_2"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [run.name, f"{run.name}_2"]


def test_results_do_not_depend_on_what_else_is_played(run, tmp_path):
    for name in ("a", "b"):
        tone(tmp_path / f"{name}.wav", 0.2)
    assert play("audio", "-m", run, "-i", tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "out", "-g", 0, "-s", 1) == 0
    first, second = ((tmp_path / "out" / f"{name}.csv").read_text() for name in ("a", "b"))
    assert first == second


def test_a_run_without_pitches_writes_no_notes(tmp_path, capsys):
    folder = make_run(tmp_path / "run", labels=("dynamics",))
    assert play("audio", "-m", folder, "-i", tone(tmp_path / "a.wav", 0.2), "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.csv", "a.pdf", "a_reconstruction.wav"]
    assert play("midi", "-m", folder, "-i", score(tmp_path / "a.mid", (0, 1, 69, 80, 0)), "-o", tmp_path / "out") == 2
    assert "names no pitch" in capsys.readouterr().err


def test_a_run_that_lacks_a_modality(run, tmp_path, capsys, monkeypatch):
    model = load_run(run)
    model.representations = {"symbol": model.representations["symbol"]}
    monkeypatch.setattr("models.runs.load_run", lambda *args: model)
    assert play("audio", "-m", run, "-i", tone(tmp_path / "a.wav", 0.1), "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert str(run) in error and "needs a run with the modality signal; this one has symbol" in error
    assert not (tmp_path / "out").exists()


# -- midi -------------------------------------------------------------------------------------------------------------


def with_tempo_change(path):
    """Write a note of one beat at 120 a minute, after a beat's rest, and one of two beats at 60 after a beat's rest."""
    from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

    file = ScoreTick(480)
    file.tempos.append(TempoTick(0, 120))
    file.tempos.append(TempoTick(960, 60))  # at 1 s
    track = TrackTick("flute", 73, False)
    track.notes.append(NoteTick(480, 480, 69, 96))  # 0.5-1 s
    track.notes.append(NoteTick(1440, 960, 72, 96))  # 2-4 s
    file.tracks.append(track)
    path.write_bytes(file.dumps_midi())
    return path


def test_midi_is_true_to_its_times(run, tmp_path, capsys):
    assert play("midi", "-m", run, "-i", with_tempo_change(tmp_path / "a.mid"), "-o", tmp_path / "out") == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / f"a.{end}") for end in ("wav", "csv", "pdf")]
    sound = Audio.load(tmp_path / "out" / "a.wav")
    assert len(sound.samples) == 4 * RATE
    loud = level(sound, 0.6, 0.9)
    assert level(sound, 2.1, 3.9) == pytest.approx(loud, rel=0.5)
    assert level(sound, 0.0, 0.35) < 0.05 * loud and level(sound, 1.2, 1.8) < 0.05 * loud
    names = [row["flute pitch"] for row in table(tmp_path / "out" / "a.csv")]
    rate = len(names) / 4.0
    assert names[round(0.25 * rate)] == names[round(1.5 * rate)] == "silent"
    assert names[round(0.75 * rate)] == "A" and names[round(3 * rate)] == "C"


def test_long_rests_are_silent(run, tmp_path):
    score(tmp_path / "a.mid", (0, 0.2, 69, 96, 0), (8, 8.2, 69, 96, 0))
    assert play("midi", "-m", run, "-i", tmp_path / "a.mid", "-o", tmp_path, "-g", 0) == 0
    sound = Audio.load(tmp_path / "a.wav")
    assert level(sound, 1, 7.5) < 1e-3 < level(sound, 8.05, 8.15)


def test_a_score_of_one_tick(run, tmp_path):
    score(tmp_path / "a.mid", (0, 0.0005, 69, 96, 0))
    assert play("midi", "-m", run, "-i", tmp_path / "a.mid", "-o", tmp_path) == 0
    assert len(Audio.load(tmp_path / "a.wav").samples) == round(RATE / 1920)


def test_velocity_makes_it_louder(run, tmp_path):
    score(tmp_path / "a.mid", (0, 1, 69, 80, 0), (2, 3, 69, 120, 0))  # both "f", nominally 96
    assert play("midi", "-m", run, "-i", tmp_path / "a.mid", "-o", tmp_path, "-g", 0) == 0
    sound = Audio.load(tmp_path / "a.wav")
    assert level(sound, 2.2, 2.8) / level(sound, 0.2, 0.8) == pytest.approx((120 / 80) ** 2, rel=0.15)


def test_chords_are_played_voice_by_voice(run, tmp_path):
    score(tmp_path / "a.mid", (0, 1, 69, 96, 0), (0, 1, 72, 96, 0), (0.5, 1, 76, 96, 0))
    assert play("midi", "-m", run, "-i", tmp_path / "a.mid", "-o", tmp_path) == 0
    rows = table(tmp_path / "a.csv")
    assert [rows[25][f"{name} pitch"] for name in ("flute", "flute 2", "flute 3")] == ["A", "C", "E"]


def test_one_track_an_instrument(duo, tmp_path):
    tracks = (Track("Cello", 42), Track("Flute", 73))
    score(tmp_path / "a.mid", (0, 1, 69, 96, 0), (0.5, 1.5, 72, 96, 1), tracks=tracks)
    assert play("midi", "-m", duo, "-i", tmp_path / "a.mid", "-o", tmp_path, "-s", 1) == 0
    rows = table(tmp_path / "a.csv")
    assert [(rows[n]["flute pitch"], rows[n]["cello pitch"]) for n in (5, 22, 40)] == [("silent", "A"), ("C", "A"), ("C", "silent")]


def test_a_mixture_that_knows_no_silence(tmp_path):
    folder = make_run(tmp_path / "run", instruments=("flute", "cello"), zero_extra_class=0)
    score(tmp_path / "a.mid", (0, 0.5, 69, 96, 0), (1, 1.5, 69, 96, 0))
    assert play("midi", "-m", folder, "-i", tmp_path / "a.mid", "-o", tmp_path, "-g", 0) == 0
    sound = Audio.load(tmp_path / "a.wav")
    assert level(sound, 0.7, 0.85) < 0.1 * level(sound, 0.1, 0.4)


def test_transposition_and_dynamics(run, tmp_path):
    score(tmp_path / "a.mid", (0, 0.5, 60, 120, 0))
    assert play("midi", "-m", run, "-i", tmp_path / "a.mid", "-o", tmp_path, "-t", 14, "-d", 0, "-g", 0) == 0
    row = table(tmp_path / "a.csv")[5]
    assert (row["flute pitch"], row["flute octave"], row["flute dynamics"]) == ("D", "5", "p")


def test_what_would_clip_is_made_softer(tmp_path, caplog):
    folder = make_run(tmp_path / "run", loudness=1000.0)
    score(tmp_path / "a.mid", (0, 0.5, 69, 96, 0))
    with caplog.at_level("INFO"):
        assert play("midi", "-m", folder, "-i", tmp_path / "a.mid", "-o", tmp_path, "-g", 0) == 0
    assert np.abs(Audio.load(tmp_path / "a.wav").samples).max() == pytest.approx(0.999, abs=1e-3)
    assert "made softer by" in caplog.text


@pytest.mark.parametrize(
    ("rows", "tracks", "arguments", "message"),
    [
        ([(0, 1, 40, 80, 0)], (Track("kit", 0, True),), (), "only drums"),
        ([(0, 1, 20, 80, 0)], FLUTE, (), "C4 to B5: transpose"),
        ([(0, 1, 69, 80, 0)], FLUTE, ("-t", 100), "transpose by less"),
        ([(0, 1, 69, 80, 0)], FLUTE, ("-d", "loud"), "which knows 0 p, 1 f"),
    ],
)
def test_scores_that_cannot_be_played(run, tmp_path, capsys, rows, tracks, arguments, message):
    path = score(tmp_path / "a.mid", *rows, tracks=tracks)
    assert play("midi", "-m", run, "-i", path, "-o", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and str(path) in error and not list((tmp_path / "out").iterdir())


def test_files_that_are_no_midi(run, tmp_path, capsys):
    Notes.empty().save(tmp_path / "empty.mid")
    tone(tmp_path / "tone.wav", 0.1)
    (tmp_path / "half.mid").write_bytes(score(tmp_path / "a.mid", (0, 1, 69, 80, 0)).read_bytes()[:30])
    bad = [tmp_path / name for name in ("empty.mid", "tone.wav", "half.mid")]
    assert play("midi", "-m", run, "-i", *bad, "-o", tmp_path / "out") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 3 and all(str(path) in line for path, line in zip(bad, errors, strict=True))
