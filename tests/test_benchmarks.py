"""What the benchmarks compute, without training or timing anything."""

import math

import numpy as np
import pytest
import torch

from benchmarks import notes, peers
from data import instruments
from data.mixtures import Source
from models.runs import load_run
from tests import corpora
from tests.runs import CLASSES, make_run
from utils.config import InputError


def sine(hertz: float, seconds: float = 0.5) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * peers.RATE)) / peers.RATE)).astype(np.float32)


@pytest.mark.parametrize("method", [peers.yin, peers.pyin])
@pytest.mark.parametrize("hertz", [41.2, 440.0, 3520.0])
def test_peers_name_a_sine(method, hertz):
    assert 1200 * abs(math.log2(method(sine(hertz)) / hertz)) < 30  # cents; lags are whole samples, interpolated


def test_peers_hear_nothing_in_silence():
    silence = np.zeros(peers.RATE // 2, np.float32)
    assert peers.yin(silence) is None
    assert peers.pyin(silence) is None
    assert peers.basic_pitch(silence) is None


def test_yin_asks_loud_frames_only():
    quiet_end = np.concatenate([sine(440.0), 0.01 * sine(1000.0, 2.0)])
    assert peers.yin(quiet_end) == pytest.approx(440.0, rel=0.01)


@pytest.mark.parametrize(
    ("hertz", "expected"),
    [
        (440.0, (True, True)),
        (452.0, (True, True)),  # 47 cents above
        (453.5, (True, False)),  # 52 cents above
        (880.0, (False, True)),
        (261.6, (True, False)),
        (247.0, (False, False)),
        (None, (False, False)),
    ],
)
def test_right_name_of_an_a4(hertz, expected):
    note = instruments.Note(None, {"instrument": "flute", "pitch": "A", "octave": "4", "dynamics": "p"})
    assert notes.right_name(note, hertz) == expected


def test_shares_take_a_note_as_one_trial():
    right = torch.tensor([[True, True, False], [True, False, True], [True, True, True], [True, True, True]])
    found = notes.shares(right, 2)
    assert (found["n"], found["notes"]) == (4, 2)
    assert {label: found[label]["value"] for label in notes.SHOWN} == {"octave": 1, "pitch": 0.75, "both": 0.75, "dynamics": 0.75}
    assert found["octave"]["low"] == pytest.approx(1 / (1 + 1.959964**2 / 2))
    assert "dynamics" not in notes.shares(right[:, :2], 2)


@pytest.fixture
def scored(tmp_path):
    """Return a model of random weights and three recordings, of two frames each, of two notes."""
    model = load_run(make_run(tmp_path / "run", classes=CLASSES))
    symbol = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 3, 1]]).repeat_interleave(2, 0)
    magnitudes = torch.rand(6, *model.representations["signal"].shape)
    return model, Source(symbol, torch.arange(3).repeat_interleave(2), lambda rows: magnitudes[rows], "")


@torch.no_grad()
def test_transcription_counts_frames_and_recordings(scored):
    found = notes.transcription(*scored)
    assert [(s["notes"], s["n"]) for s in found.values()] == [(2, 6), (2, 3)]
    assert all(0 <= s[label]["low"] <= s[label]["value"] <= s[label]["high"] <= 1 for s in found.values() for label in notes.SHOWN)


@torch.no_grad()
def test_synthesis_asks_each_note_once(scored, monkeypatch):
    lengths = []
    monkeypatch.setattr(peers, "pyin", lambda samples: lengths.append(len(samples)) or 2 * 440.0)
    found = notes.synthesis(*scored)
    assert [note["asked"] for note in found["each"]] == [
        {"octave": "4", "pitch": "A", "dynamics": "p"},
        {"octave": "5", "pitch": "C", "dynamics": "f"},
    ]
    assert [note["cents"] for note in found["each"]] == pytest.approx([1200.0, 900.0])
    assert lengths == pytest.approx([notes.HELD * peers.RATE] * 2, rel=0.02)
    assert found["on_pitch"]["value"] == 0
    assert found["distance_db"]["low"] <= found["distance_db"]["value"] <= found["distance_db"]["high"]


@torch.no_grad()
def test_a_generated_note_without_pitch_is_wrong(scored, monkeypatch):
    monkeypatch.setattr(peers, "pyin", lambda samples: None)
    found = notes.synthesis(*scored)
    assert found["each"][0]["cents"] is None
    assert found["on_pitch"]["value"] == 0


def test_peers_are_asked_about_the_test_split(tmp_path, capsys):
    corpus = corpora.instruments(tmp_path / "corpus", names=("Reed",))
    command = ["peers", "--dbroot", str(corpus), "--instruments", "reed", "--output", str(tmp_path / "out"), "--methods", "yin"]
    assert notes.main([*command, "--cache", str(tmp_path)]) == 0
    head, _, row = capsys.readouterr().out.strip().splitlines()
    assert head.count("|") == row.count("|")
    expected = len(list(notes.recordings(instruments.read(corpus).select(["reed"])[0])))
    assert row.startswith(f"| reed | yin | {expected} / {expected} | 1.00 (")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "--instruments", "flute"], "is no run"),
        (["score", "--lr", "1"], "--lr: is no option"),
        (["peers", "--instruments", "reed", "--python", "no/such/python"], "the peers do not run in it"),
        (["train", "--instruments", "tuba"], "ended with exit code 2"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, words, message):
    corpus = corpora.instruments(tmp_path / "corpus", names=("Reed",))
    with pytest.raises(InputError, match=message):
        notes.main([*words, "--dbroot", str(corpus), "--output", str(tmp_path / "out"), "--cache", str(tmp_path)])


def test_a_run_of_other_labels_is_refused(tmp_path):
    classes = {label: CLASSES[label] for label in ("pitch", "octave")}
    make_run(tmp_path / "flute", classes=classes, labels=("pitch", "octave"))
    with pytest.raises(InputError, match="the labels octave pitch dynamics"):
        notes.main(["score", "--instruments", "flute", "--output", str(tmp_path), "--cache", str(tmp_path)])


def test_tables_are_markdown():
    assert notes.table(["a", "b"], [["x", 1]]) == "| a | b |\n| --- | --- |\n| x | 1 |"
    assert notes.shown({"value": 0.5, "low": 0.25, "high": 1.0}) == "0.50 (0.25-1.00)"
