"""What the benchmarks compute, without training or timing anything."""

import math

import numpy as np
import pytest
import torch

from benchmarks import notes, peers
from data import instruments
from tests import corpora
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
    right = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    found = notes.shares(right, 2)
    assert (found["n"], found["notes"]) == (4, 2)
    assert {label: found[label]["value"] for label in ("octave", "pitch")} == {"octave": 1, "pitch": 0.75}
    assert found["octave"]["low"] == pytest.approx(1 / (1 + 1.959964**2 / 2))


def test_rows_have_a_cell_for_each_head():
    estimate = {"value": 0.5, "low": 0.25, "high": 1.0, "n": 9, "groups": 3}
    votes = {f"{label}_vote": estimate for label in ("octave", "pitch", "dynamics", "all")}
    spectra = {"log_spectral_distance_db": estimate, "itakura_saito": estimate}
    metrics = {
        "model": {"signal_to_symbol": votes, "symbol_to_signal": spectra, "symbol_to_sound": {"within_50_cents": estimate}},
        "conv_synth": {"symbol_to_signal": spectra},
    }
    rivals = {"yin": notes.shares(torch.ones(4, 2, dtype=torch.bool), 2)}
    named, made = notes.transcription_rows("flute", metrics, rivals), notes.synthesis_rows("flute", metrics)
    assert [row[:3] for row in named] == [["flute", "model", "3 / 9"], ["flute", "yin", "2 / 4"]]
    assert {len(row) for row in named} == {len(notes.HEADS)}
    assert made[0][2:] == ["0.5 (0.2-1.0)", "0.5 (0.2-1.0)", "0.50 (0.25-1.00)", "-"]
    assert made[1][4:] == ["-", "-"]


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
        (["score", "--instruments", "flute"], "lt_analyze.py failed"),
        (["peers", "--lr", "1"], "--lr: is no option"),
        (["peers", "--instruments", "reed", "--python", "no/such/python"], "the peers do not run in it"),
        (["train", "--instruments", "tuba"], "ended with exit code 2"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, words, message):
    corpus = corpora.instruments(tmp_path / "corpus", names=("Reed",))
    with pytest.raises(InputError, match=message):
        notes.main([*words, "--dbroot", str(corpus), "--output", str(tmp_path / "out"), "--cache", str(tmp_path)])


def test_tables_are_markdown():
    assert notes.table(["a", "b"], [["x", 1]]) == "| a | b |\n| --- | --- |\n| x | 1 |"
    assert notes.shown({"value": 0.5, "low": 0.25, "high": 1.0}) == "0.50 (0.25-1.00)"
