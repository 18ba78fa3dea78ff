import csv
import logging

import numpy as np
import pytest
import torch

import lt_play
from data.audio import Audio
from models.atlas import survey
from models.play_notes import chosen
from models.rendering import Player
from models.runs import load_run
from tests.corpora import RATE, tone
from tests.timbre_runs import make_timbre_run
from tests.timbres import NAMES, make_timbres

CLARINET, FLUTE, OBOE = NAMES[:3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_timbre_run(tmp_path_factory.mktemp("timbre"))


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def play(run, *argv):
    """Play quickly; return the exit code."""
    return lt_play.main(["perceptual_infer", "-m", str(run), *map(str, argv), "--griffinlim_iters", "1"])


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def note(path, pitch, seconds=0.4, brightness=0.6):
    path.parent.mkdir(parents=True, exist_ok=True)
    Audio(tone(pitch, "f", seconds, brightness), RATE).save(path)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_corpus_is_placed_by_its_own_labels(run, tmp_path, capsys):
    corpus = make_timbres(tmp_path / "new", np.array([[0.2, 0.1, 0], [-0.3, 0, 0.2]]), ("Viola", "Tuba"), ("A3", "C#4"), ("f",))
    out = tmp_path / "out"
    assert play(run, "-i", corpus, "-o", out) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[:2]] == ["Tuba", "Viola"]
    atlas, rows = survey(run, load_run(run)), table(out / "distances.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 2
    means = {row["instrument"]: torch.tensor([float(row[f"z{k}"]) for k in range(1, 5)]) for row in table(out / "means.csv")}
    for row in rows:
        away = (means[row["instrument"]] - atlas.centroids[atlas.names.index(row["known"])]).norm()
        assert float(row["distance"]) == pytest.approx(away.item(), abs=1e-3)
    for name in means:
        ranked = [float(row["distance"]) for row in rows if row["instrument"] == name]
        assert ranked == sorted(ranked)
    heard = [f"{name}_A3_f{end}" for name in ("Tuba", "Viola") for end in (".csv", ".pdf", ".wav", "_original.wav")]
    assert names(out) == sorted(["distances.csv", "means.csv", "space.pdf", "space.png", *heard])


def test_instruments_that_the_run_knows_keep_apart(run, tmp_path, capsys):
    assert play(run, "-i", load_run(run).config.dbroot, "-o", tmp_path, "-g", 0) == 0
    rows = table(tmp_path / "distances.csv")
    assert {row["instrument"] for row in rows} == {f"{name} (given)" for name in NAMES[:3]}
    assert {row["known"] for row in rows} == set(NAMES[:3])


def test_files_are_named_by_their_folders_or_themselves_and_told_what_they_sound(run, tmp_path, caplog, capsys):
    for path, pitch in (("viola/one.wav", 69), ("tuba_loud.wav", 57)):
        note(tmp_path / "in" / path, pitch)
    single = note(tmp_path / "harp.wav", 64)
    with caplog.at_level(logging.INFO):
        assert play(run, "-i", tmp_path / "in", single, "-o", tmp_path / "out", "-g", 0) == 0
    assert [row["instrument"] for row in table(tmp_path / "out" / "means.csv")] == ["harp", "tuba", "viola"]
    assert all(f"sounds {name}" in caplog.text for name in ("A4", "A3", "E4")) and "one by one" in caplog.text
    heard = [name for name in names(tmp_path / "out") if name.endswith(".wav") and "original" not in name]
    assert heard == ["harp_E4.wav", "tuba_A3.wav", "viola_A4.wav"]


def test_labels_say_what_cannot_be_heard(run, tmp_path, capsys):
    noise = tmp_path / "shaker.wav"
    samples = np.random.default_rng(0).normal(size=RATE // 3) * np.linspace(0, 0.3, RATE // 3) ** 3
    Audio(samples.astype(np.float32), RATE).save(noise)
    click = tmp_path / "click.wav"
    Audio(np.float32([0, 0.5, -0.5] * 20), RATE).save(click)
    assert play(run, "-i", click, "-o", tmp_path / "a") == 2
    assert "click.wav: no pitch can be heard in it" in capsys.readouterr().err
    assert play(run, "-i", click, noise, "--labels", "A", "-o", tmp_path / "b", "-g", 0) == 0
    assert [row["instrument"] for row in table(tmp_path / "b" / "means.csv")] == ["click", "shaker"]


def test_what_is_silent_is_left_out(run, tmp_path, caplog, capsys):
    silent = tmp_path / "rest.wav"
    Audio(np.zeros(RATE, np.float32), RATE).save(silent)
    assert play(run, "-i", silent, "--labels", "A", "-o", tmp_path / "a") == 2
    assert "none of 1 notes can be heard, as" in (told := capsys.readouterr().err) and "is silent" in told
    assert play(run, "-i", silent, note(tmp_path / "harp.wav", 69), "--labels", "A", "-o", tmp_path / "b", "-g", 0) == 0
    assert "1 of 2 notes are left out, as" in caplog.text


def test_what_cannot_be_given(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").write_text("no sound")
    for given, message in (("none", "no such file or folder"), ("empty", "holds no file"), ("words.txt", "not readable audio")):
        assert play(run, "-i", tmp_path / given, "-o", tmp_path / "out") == 2
        assert message in capsys.readouterr().err


def test_nothing_given_is_replaced(run, tmp_path, capsys):
    given = note(tmp_path / "harp_A4.wav", 69)
    before = given.read_bytes()
    assert play(run, "-i", given, "--labels", "A", "-o", tmp_path) == 2
    assert "give another folder with -o" in capsys.readouterr().err and given.read_bytes() == before


def test_runs_that_are_told_nothing_need_no_pitch(tmp_path):
    free = make_timbre_run(tmp_path / "free", conditioning=("none",))
    click = tmp_path / "click.wav"
    Audio(np.float32([0, 0.5, -0.5] * 20), RATE).save(click)
    assert play(free, "-i", click, "-o", tmp_path / "out", "-g", 0) == 0
    assert chosen(Player(load_run(free), run=free), "test").keys() == set(NAMES[:3])
