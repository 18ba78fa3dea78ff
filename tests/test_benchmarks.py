"""What the benchmarks compute, without training or timing anything."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import latent_constraint as personal
from benchmarks import musicvae, notes, peers
from benchmarks import musicvae_speed as speed
from data import instruments, phrase_corpora
from data.melody import Melody
from models.musicvae import Model
from models.musicvae_config import Config
from models.phrase import PHRASE
from tests import corpora
from tests.phrase_music import drum_files
from tests.phrase_runs import make_phrase_run
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


# -- MusicVAE ---------------------------------------------------------------------------------------------------------

SIZES = {"encoder_size": (5,), "decoder_size": (4, 4), "latent_dim": 3, "batch_size": 2, "free_bits": 1.0}
SHAPES = {
    "melody": {"kind": "melody", **SIZES, "encoder_size": (5, 5)},
    "drums": {"kind": "drums", **SIZES, "sampling": "inverse_sigmoid", "sampling_rate": 1000.0},
    "hits": {"kind": "hits", **SIZES, "head": "boolean"},
    "nade": {"kind": "hits", **SIZES, "levels": (2, 16), "conductor_size": (6, 7)},
    "groove": {"kind": "groove", **SIZES, "levels": (2, 16), "bars": 2},
}


@pytest.fixture(params=list(SHAPES))
def sized(request):
    return Config(**SHAPES[request.param])


def alike(config: Config) -> tuple[Model, speed.Plain]:
    """Return a model and the straightforward loop with the same weights."""
    torch.manual_seed(0)
    model, plain = Model(config), speed.Plain(config)
    for own, other in zip(model.parameters(), plain.parameters(), strict=True):
        other.data = own.data = torch.randn_like(own) / 2
    return model.eval(), plain.eval()


def test_the_straightforward_loop_computes_the_same_loss(sized):
    model, plain = alike(sized)
    x = speed.phrases(sized)
    assert plain(x, 10).item() == pytest.approx(model({PHRASE: x}, 10).total.item(), rel=1e-5)
    model({PHRASE: x}).total.backward()
    plain(x).backward()
    for own, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_what_is_timed_runs(sized):
    for make in (speed.project, speed.straightforward, speed.limit, speed.writing, speed.straightforward_writing):
        make(sized)()


def test_the_straightforward_loop_is_told_its_own_draws():
    config = Config(**SHAPES["hits"])
    _, plain = alike(config)
    z, x = torch.randn(2, 3), speed.phrases(config)
    assert torch.equal(plain.decoded(z, x)[0], x)
    assert torch.equal(plain.decoded(z, x, 1e-9)[0], x)
    assert not torch.equal(plain.decoded(z, x, 1.0)[0], x)
    assert plain.decoded(z)[0].shape == x.shape


def test_the_limit_knows_every_layer_of_a_step(sized):
    found = speed.layers(sized)
    assert len(found) == sum(isinstance(layer, torch.nn.LSTM | torch.nn.Linear) for layer in Model(sized).modules())
    assert [back for *_, back in found].index(True) == 1  # nothing flows to data


def test_sizes_are_those_of_presets():
    assert speed.configuration("cat-drums_2bar_small").batch_size == 512
    assert speed.configuration("cat-drums_2bar_small", 7).batch_size == 7
    assert speed.phrases(speed.configuration("chorales_2bar", 3)).shape == (3, 32)


def test_presets_know_their_corpus(tmp_path):
    args = musicvae.parser().parse_args(["train", "--groove", str(tmp_path / "g"), "--chorales", str(tmp_path / "c.json")])
    found = {preset: flags[-1] for preset, _, flags in musicvae.runs(args)}
    assert len(found) == len(musicvae.TRAINED)
    assert "tiny" not in found
    assert {Path(where).name for preset, where in found.items() if preset.startswith("chorales")} == {"c.json"}
    assert {Path(where).name for preset, where in found.items() if not preset.startswith("chorales")} == {"g"}


def test_rows_of_phrases_have_a_cell_for_each_head():
    estimate = {"value": 0.5, "low": 0.25, "high": 1.0, "n": 9, "groups": 3}
    alone = estimate | {"value": 2.0, "low": None, "high": None}
    found = {
        "model": {
            "phrase_to_phrase": {"accuracy": estimate, "event_accuracy": estimate, "exact": estimate},
            "phrase_events": {"onset_f1": estimate},
            "phrase_bound": {"bound": alone},
        },
        "bar_before": {"phrase_told": {"accuracy": estimate}},
        "real": {"phrase_samples": {"distinct": alone}},
    }
    rows = {row[1]: row for row in musicvae.scored("x", found, 1.25)}
    assert list(rows) == ["model", "bar_before", "real"]
    assert {len(row) for row in rows.values()} == {len(musicvae.HEADS)}
    assert rows["model"][2:9] == [
        "0.500 (0.250 - 1.000)",
        "-",
        "0.500 (0.250 - 1.000)",
        "-",
        *["0.500 (0.250 - 1.000)"] * 2,
        "2.00",
    ]
    assert rows["model"][-1] == "1.2"
    assert rows["bar_before"][2:4] == ["-", "0.500 (0.250 - 1.000)"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--presets", "groove_2bar"], "give --groove DIR"),
        (["train", "--presets", "chorales_2bar"], "give --chorales FILE"),
        (["speed", "--lr", "1"], "--lr: is no option of speed"),
        (["speed", "--presets", "hierdec-trio_16bar"], "invalid choice"),
        (["train", "--presets", "groove_2bar", "--groove", "no/such/folder"], "ended with exit code 2"),
    ],
)
def test_what_cannot_be_measured_of_musicvaes_is_said(tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        musicvae.main([*words, *([] if words[0] == "speed" else ["--output", str(tmp_path)])])


# -- latent constraint ------------------------------------------------------------------------------------------------


def test_a_run_is_timed_and_analysed_once(tmp_path, monkeypatch, capsys):
    base, songs, output = make_phrase_run(tmp_path / "base"), drum_files(tmp_path / "songs", 20), tmp_path / "out"
    monkeypatch.setattr(personal, "DRAWS", 60)
    monkeypatch.setattr(personal, "alone", lambda case, repeat: personal.measure(case))  # in this process
    command = ["--base", str(base), "--corpora", str(songs), "--presets", "tiny --num_steps 3", "-o", str(output)]
    assert personal.main(command) == 0
    said = capsys.readouterr().out
    (run,) = output.glob("run__songs__*")
    assert said == (output / personal.TABLES).read_text()
    found = json.loads((run / personal.MEASURED).read_text())
    assert found["steps"] == 3
    assert set(found["seconds"]) == {personal.BASE, personal.AGAIN, *personal.NEEDED}
    lines = [line for line in said.splitlines() if line.startswith("|")]
    heads = [heads for heads, rows in ((personal.COST, 3), (personal.KEPT, 3), (personal.NEAR, 4)) for _ in range(rows)]
    assert [line.count("|") - 1 for line in lines] == [len(each) for each in heads]
    assert said.count("| - |") == 1  # there are no wishes, and nothing else is missing


def test_what_was_measured_is_kept(tmp_path):
    case = personal.Case(tmp_path / "base", tmp_path / "songs", "tiny --hop 4", 1, tmp_path)
    case.run.mkdir()
    (case.run / personal.MEASURED).write_text('{"steps": 3}')
    assert case.run.name == "base__songs__tiny_hop_4__1"
    assert personal.alone(case, repeat=False) == {"steps": 3}
    with pytest.raises(InputError, match="is neither a run"):
        personal.alone(case, repeat=True)


def test_several_seeds_are_shown_by_their_range():
    runs = [{"metrics": {"model": {"a": {"b": {"value": value, "low": 0.0, "high": 9.0}}}}} for value in (0.25, 0.5)]
    assert personal.shown(runs, "model", "a", "b") == "0.375 (0.250 - 0.500)"
    assert personal.shown(runs[:1], "model", "a", "b") == "0.250 (0.000 - 9.000)"
    assert personal.shown(runs, "prior", "a", "b") == "-"


def test_calm_songs_are_those_with_the_fewest_notes(tmp_path, monkeypatch):
    monkeypatch.setattr(personal, "SONGS", 10)

    def song(length: int, bars: int = 4) -> list[list[int]]:
        return [[72 - step // length % 2, 60 - step // length % 2] for step in range(16 * bars)]

    content = {"train": [song(16)], "valid": [song(length, bars) for bars in (3, 4) for length in range(1, 9)]}
    path = tmp_path / "x_16th.json"
    path.write_text(json.dumps(content))
    folder = personal.calm(path, tmp_path / "calm")
    found = phrase_corpora.read(folder, Melody(32))
    assert sorted(piece.name for piece in found) == sorted(f"valid_{number}" for number in (*range(3, 8), *range(11, 16)))
    assert {len(piece.lines) for piece in found} == {2}
    known = {piece.identity for piece in phrase_corpora.read(path, Melody(32)) if piece.split == "valid"}
    assert {piece.identity for piece in found} <= known
    path.write_text(json.dumps({"train": content["train"]}))
    with pytest.raises(InputError, match="has no songs to validate on"):
        personal.calm(path, folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --corpora, or --songs"),
        (["--presets", "huge"], "--presets huge: there are midime"),
        (["--corpora", "a/mine", "b/mine"], "a/mine b/mine: two have one name"),
    ],
)
def test_what_cannot_be_measured_of_constraints_is_said(tmp_path, words, message):
    with pytest.raises(InputError, match=message):
        personal.main(["--base", str(tmp_path), "-o", str(tmp_path), *words])
