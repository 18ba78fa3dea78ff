"""lt_midi.py on runs of phrases, and on checkpoints of them."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch

import lt_midi
import lt_train
from data.audio import Audio
from data.phrase_corpora import read
from data.sequences import read_midi
from models import phrased, phrased_files
from models.bounds import window_bounds
from models.losses import BIT
from models.phrase import PHRASE
from models.run_folder import BEST
from models.runs import load_run
from tests import bundles
from tests.phrase_music import SIXTEENTH, melody_files
from tests.runs import make_run
from tests.score_runs import make_score_run
from tests.sequences import midi_file
from tests.test_musicvae_magenta import FLAT, made
from utils.config import InputError
from utils.device import generator

QUICK = ("--plot", "0", "--resynthesize", "0", "--draws", "2")
SECTIONS = ("phrase_to_phrase", "phrase_told", "phrase_bound")
BAR = 16 * SIXTEENTH  # ticks


def drum_files(folder, number, bars):
    """Write files of a beat with a snare here and there, which a model learns at once, and return their folder."""
    folder.mkdir(exist_ok=True)
    for count in range(number):
        snares = np.random.default_rng(count).choice(16 * bars, 2 * bars, replace=False)
        hits = [(step, pitch) for step in range(16 * bars) for pitch, every in ((36, 8), (42, 2)) if step % every == 0]
        notes = [(SIXTEENTH * int(step), 60, pitch) for step, pitch in hits + [(step, 38) for step in snares]]
        midi_file(folder / f"beat_{count}.mid", notes, tempos=[(0, 90 + count)], drum=True)
    return folder


def train(folder, corpus, kind, *flags):
    """Train a tiny run on a corpus and return it."""
    words = f"--system musicvae --preset tiny --plot_epochs 0 --epochs 20 --batch_size 8 --kind {kind} --name {kind}"
    assert lt_train.main([*words.split(), *flags, "--savedir", str(folder), "--dbroot", str(corpus)]) == 0
    return folder / kind


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run of hits, two bars a phrase."""
    folder = tmp_path_factory.mktemp("runs")
    return train(folder, drum_files(folder / "beats", 12, 4), "hits", "--head", "boolean")


@pytest.fixture(scope="module")
def tunes_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return train(folder, melody_files(folder / "tunes", 12, seed=1), "melody")


@pytest.fixture(scope="module")
def beats(tmp_path_factory):
    """Return a folder of three files of 3 bars of drums: a phrase of 2 bars, and one whose last bar is silence."""
    return drum_files(tmp_path_factory.mktemp("beats"), 3, 3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a checkpoint of TensorFlow of a model of melodies, of random weights."""
    sizes = dataclasses.replace(FLAT, depth=90, width=90, outputs=(90,))
    return bundles.write(tmp_path_factory.mktemp("magenta"), made(sizes), "cat-mel_2bar.ckpt")


def evaluate(run, music, out, *flags):
    """Return the exit code."""
    return lt_midi.main(["--models", str(run), "--dataroot", str(music), "--output", str(out), *map(str, flags)])


def results(out):
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


def copies(folder, source, *names):
    """Write the file `source` into a folder under other names and return the folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(source.read_bytes())
    return folder


def pieces_of(model, root):
    return read(root, model.representations[PHRASE]).pieces


# -- end to end -------------------------------------------------------------------------------------------------------


def test_all_pieces_of_one_run(run, beats, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(run, beats, out) == 0
    names = ["beat_0", "beat_1", "beat_2"]
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    made = {f"plots/{name}.pdf" for name in names} | {f"reconstructions/{name}.{end}" for name in names for end in ("mid", "wav")}
    assert written == {"results.json", "results.csv"} | made
    content = results(out)
    assert set(content) == {"version", "run", "settings", "failed", "files", "total"}
    assert content["settings"] == {"draws": 5, "weights": None, "seed": 0} and content["failed"] == {}
    total, first = content["total"], content["files"]["beat_0"]
    assert [total[name] for name in ("pieces", "lines", "phrases", "steps")] == [3, 3, 6, 144]
    assert [first[name] for name in ("pieces", "lines", "phrases", "steps")] == [1, 1, 2, 48]
    assert (first["piece"], first["path"]) == ("beat_0", str(beats / "beat_0.mid"))
    assert first["tempo"] == pytest.approx(90, abs=1e-3)
    for part in (total, *content["files"].values()):
        assert tuple(name for name in part if name.startswith("phrase_")) == SECTIONS
        assert {"accuracy", "exact", "hit_f1"} <= set(part["phrase_told"]) <= set(part["phrase_to_phrase"])
        assert set(part["phrase_bound"]) == {"nll", "kl_phrase", "kl_a_phrase", "bound", "bound_5"}
        bound = {name: estimate["value"] for name, estimate in part["phrase_bound"].items()}
        assert bound["bound"] == pytest.approx(bound["nll"] + bound["kl_phrase"])
        assert bound["kl_a_phrase"] == pytest.approx(32 * bound["kl_phrase"])
    assert first["phrase_told"]["accuracy"]["low"] is None and first["phrase_told"]["accuracy"]["groups"] == 1
    assert total["phrase_bound"]["bound"]["low"] < total["phrase_bound"]["bound"]["high"]
    with open(out / "results.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == [*names, "total"]
    assert float(rows["total"]["phrase_bound.bound.low"]) == total["phrase_bound"]["bound"]["low"]
    lines = capsys.readouterr().out.splitlines()
    heads, cells = ([cell.strip() for cell in lines[place].split("|")[1:-1]] for place in (0, 2))
    printed = dict(zip(heads, cells, strict=True))
    assert len(lines) == 3 and (printed["run"], printed["pieces"], printed["phrases"]) == ("hits", "3", "6")
    assert printed["bound_5, bits"] == f"{total['phrase_bound']['bound_5']['value']:.3f}" and "onset F1" not in printed


def test_reconstructions_are_those_that_are_scored(run, beats, tmp_path):
    evaluate(run, beats / "beat_1.mid", tmp_path / "out", "--plot", 0, "--draws", 1)
    model = load_run(run)
    (one,) = phrased.score(model, pieces_of(model, beats / "beat_1.mid"), 0, 0)
    phrase, written = model.representations[PHRASE], tmp_path / "out" / "reconstructions" / "beat_1"
    (heard,) = read_midi(written.with_suffix(".mid"))
    expected = torch.cat(list(one.rebuilt[0])).numpy()
    assert len(heard) == expected.sum() > 10 and heard.tempo == pytest.approx(91, abs=1e-3)
    (line,), _ = phrase.lines(heard)
    first = np.flatnonzero(expected.any(1))[0] // 16 * 16  # silent bars at either end are not read
    assert np.array_equal(line, expected[first : first + len(line)])
    assert Audio.load(written.with_suffix(".wav")).duration >= 64 * 60 / 91 / 4 - 0.01


def test_parts_can_be_left_out(run, beats, tmp_path, capsys):
    out = tmp_path / "out"
    assert evaluate(run, beats, out, "--plot", 0, "--resynthesize", 0, "--losses", 0) == 0
    assert sorted(path.name for path in out.iterdir()) == ["results.csv", "results.json"]
    content = results(out)
    assert content["total"] == {} and capsys.readouterr().out == ""
    assert set(content["files"]["beat_0"]) == {"path", "piece", "tempo", "pieces", "lines", "phrases", "steps"}


def test_results_can_be_repeated_and_depend_on_no_other_file(run, beats, tmp_path):
    evaluate(run, beats, tmp_path / "x", *QUICK)
    evaluate(run, beats / "beat_2.mid", tmp_path / "y", *QUICK)
    evaluate(run, beats, tmp_path / "z", *QUICK, "--seed", 1)
    x, y, z = (results(tmp_path / name)["files"]["beat_2"] for name in "xyz")
    assert x == y and x["phrase_bound"] != z["phrase_bound"]
    assert x["phrase_to_phrase"] == z["phrase_to_phrase"] and x["phrase_told"] == z["phrase_told"]


def test_runs_and_checkpoints_make_one_table(tunes_run, checkpoint, tmp_path, capsys):
    data = melody_files(tmp_path / "data", 1)
    (data / "bad.mid").write_bytes(b"MThd")
    argv = ["--models", tunes_run, checkpoint, tmp_path / "none", "--dataroot", data, "--output", tmp_path / "out", *QUICK]
    assert lt_midi.main(list(map(str, argv))) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 2 and "bad.mid" in errors[0] and "is no run" in errors[1]  # the files are read once for both
    assert [line.split("|")[1].strip() for line in told.out.splitlines()[2:]] == ["melody", "cat-mel_2bar.ckpt"]
    assert "onset F1" in told.out and "hit F1" not in told.out
    for name in ("melody", "cat-mel_2bar.ckpt"):
        content = results(tmp_path / "out" / name)
        assert list(content["failed"]) == [str(data / "bad.mid")] and list(content["files"]) == ["tune_0"]
        assert content["files"]["tune_0"]["phrases"] == 2


def test_results_of_a_checkpoint_lie_beside_it(checkpoint, tmp_path):
    argv = ["--models", checkpoint, "--dataroot", melody_files(tmp_path, 1), "--config", "cat-mel_2bar_small", *QUICK]
    assert lt_midi.main(list(map(str, argv))) == 0
    out = checkpoint.with_name("cat-mel_2bar.ckpt_results") / "midi_evaluation"
    assert results(out)["settings"] == {"draws": 2, "weights": None, "seed": 0, "config": "cat-mel_2bar_small"}


# -- numbers ----------------------------------------------------------------------------------------------------------


def test_scores_by_hand(run, beats):
    model = load_run(run)
    (piece,) = pieces_of(model, beats / "beat_0.mid")
    (one,) = phrased.score(model, [piece], 3, 7)
    (line,) = piece.lines
    x = torch.from_numpy(np.concatenate([line, np.zeros_like(line[:16])])).unflatten(0, (2, 32))
    phrase = model.representations[PHRASE]
    with torch.no_grad():
        free, told = model.decode(model.encode(x, PHRASE).mean, PHRASE), model.told(x)
        nll = model.nll(x, PHRASE, x, PHRASE)
    bound = window_bounds(model, {PHRASE: x}, 3, generator(7, "bounds", piece.identity))["bound_3"]
    assert one.steps.tolist() == [32, 16] and torch.equal(one.rebuilt[0], free)
    for name, values in phrase.compare(x, free).items():
        assert torch.equal(one.scores["phrase_to_phrase"][name], values), name
    for name, values in phrase.compare(x, told).items():
        assert torch.equal(one.scores["phrase_told"][name], values), name
    assert torch.allclose(one.scores["phrase_to_phrase"]["nll"], nll.double())
    assert torch.allclose(one.scores["phrase_bound"]["bound_3"], bound / BIT / 32)
    weighted = (2 * one.scores["phrase_told"]["accuracy"][0] + one.scores["phrase_told"]["accuracy"][1]) / 3
    assert phrased.row(one)["phrase_told"]["accuracy"]["value"] == pytest.approx(weighted.item())


def test_copies_count_as_one(run, beats, tmp_path):
    data = copies(tmp_path / "data", beats / "beat_0.mid", "a.mid", "b.mid")
    assert evaluate(run, copies(data, beats / "beat_1.mid", "c.mid"), tmp_path / "out", *QUICK) == 0
    total = results(tmp_path / "out")["total"]
    assert total["pieces"] == 3 and total["phrase_bound"]["bound"]["groups"] == 2


def test_batches_change_nothing(run, beats, monkeypatch):
    model = load_run(run)
    pieces = pieces_of(model, beats)
    before = list(phrased.score(model, pieces, 1, 0))
    monkeypatch.setattr("models.phrase.STEPS", 1)
    for one, other in zip(before, phrased.score(model, pieces, 1, 0), strict=True):
        assert torch.equal(one.rebuilt[0], other.rebuilt[0])
        for name in ("phrase_to_phrase", "phrase_told"):
            for score, values in one.scores[name].items():
                assert torch.allclose(values, other.scores[name][score], atol=1e-5)


# -- what is read -----------------------------------------------------------------------------------------------------


def two_lines(path):
    """Write a melody of two bars and, after two bars of silence, one of three."""
    notes = [(BAR * bar + 4 * SIXTEENTH * beat, 2 * SIXTEENTH, 60 + beat) for bar in (0, 1, 4, 5, 6) for beat in range(4)]
    return midi_file(path, notes)


def test_lines_are_cut_and_written_one_after_another(tunes_run, tmp_path, drawn):
    out = tmp_path / "out"
    assert evaluate(tunes_run, two_lines(tmp_path / "song.mid"), out, "--draws", 1) == 0
    song = results(out)["files"]["song"]
    assert (song["lines"], song["phrases"], song["steps"]) == (2, 3, 80)
    assert Audio.load(out / "reconstructions" / "song.wav").duration >= 96 / 8 - 0.01  # s, of three phrases
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert titles == ["song, line 1, bars 1-2", "reconstruction", "song, line 2, bars 1-4", "reconstruction"]


@pytest.mark.parametrize(("bars", "last"), [(2, "6"), (11, "12"), (40, "12")])
def test_the_first_six_phrases_are_drawn(run, bars, last, tmp_path, drawn):
    model = load_run(run)
    (one,) = phrased.score(model, pieces_of(model, drum_files(tmp_path, 1, bars)), 0, 0)
    phrased_files.draw(one, tmp_path / "x.pdf")
    axes = drawn[0].axes
    assert len(axes) == (2 if bars == 2 else 4)
    left = {each.get_position().x0 for each in axes}
    assert max(left) - min(left) < 1e-6  # one beneath the other
    assert axes[-2].get_title(loc="left").endswith("bars 1-2" if bars == 2 else f"bars 7-{last}")


def test_tables_of_voices(tunes_run, tmp_path):
    tune = [[60 + step % 5] for step in range(32)]
    (tmp_path / "songs.json").write_text(json.dumps({"train": [tune], "test": [tune, [[61]] * 2]}))
    assert evaluate(tunes_run, tmp_path / "songs.json", tmp_path / "out", *QUICK) == 2  # a song is too short
    content = results(tmp_path / "out")
    assert len(content["files"]) == 2 and all(name.startswith("songs_") for name in content["files"])
    ((name, why),) = content["failed"].items()
    assert name.startswith(str(tmp_path / "songs")) and "shorter than a phrase of 2 bars" in why


def test_bad_files_keep_no_other_from_being_evaluated(run, beats, tmp_path, capsys):
    data = copies(tmp_path / "data", beats / "beat_0.mid", "good.mid")
    (data / "half.mid").write_bytes((beats / "beat_1.mid").read_bytes()[:60])
    melody_files(data, 1)
    midi_file(data / "short.mid", [(0, 60, 36)], drum=True)
    midi_file(data / "waltz.mid", [(480 * beat, 60, 36) for beat in range(12)], [(0, 3, 4)], drum=True)
    assert evaluate(run, data, tmp_path / "out", *QUICK) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error")]
    assert len(errors) == 4 and len(told.out.splitlines()) == 3
    content = results(tmp_path / "out")
    assert set(content["files"]) == {"good"}
    reasons = {"half.mid": "MIDI", "tune_0.mid": "no drums on channel 10", "short.mid": "1 bar", "waltz.mid": "only 4/4 is read"}
    assert set(content["failed"]) == {str(data / name) for name in reasons}
    for name, why in reasons.items():
        assert content["failed"][str(data / name)].startswith(f"{data / name}: ") and why in content["failed"][str(data / name)]


def test_what_was_written_before_is_not_read(run, beats, tmp_path):
    data = copies(tmp_path / "data", beats / "beat_0.mid", "x.mid")
    for _ in range(2):
        assert evaluate(run, data, data / "out", "--draws", 1, "--plot", 0) == 0
        assert list(results(data / "out")["files"]) == ["x"]
    old = copies(data / "out" / "reconstructions", beats / "beat_0.mid", "x.mid")
    with pytest.raises(InputError, match="holds no phrases but those that an evaluation has written; give a folder of pieces"):
        phrased.read(old, load_run(run).representations[PHRASE], [data / "out"])


def test_nothing_usable_writes_nothing(run, tmp_path, capsys):
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    tunes = melody_files(tmp_path / "tunes", 2)
    for data, message in (
        (tmp_path / "bad.mid", "bad.mid"),
        (tmp_path / "none", "no such file or folder"),
        (tunes, "no drums on channel 10"),
        (tunes / "tune_0.mid", "no drums on channel 10"),
    ):
        assert evaluate(run, data, tmp_path / "out", *QUICK) == 2
        told = capsys.readouterr()
        assert message in told.err and told.out == "" and not (tmp_path / "out").exists()


def test_music_that_is_too_long_to_be_played_is_scored(run, tmp_path, capsys):
    midi_file(tmp_path / "slow.mid", [(480 * beat, 60, 36) for beat in range(300)], tempos=[(0, 4.5)], drum=True)
    assert evaluate(run, tmp_path, tmp_path / "out", "--plot", 0, "--draws", 1) == 2
    assert "error: slow: 1216 steps last longer than 3600 s" in capsys.readouterr().err
    assert results(tmp_path / "out")["files"]["slow"]["steps"] == 1200


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--midiroot", "x"), "--midiroot"),
        (("--suffix", "", "--tuning", "10"), "--suffix, --tuning"),
        (("--onset_tolerance", "0.1", "--classifier", "0"), "--onset_tolerance, --classifier"),
        (("--griffinlim_iters", "3"), "--griffinlim_iters"),
    ],
)
def test_flags_of_recordings_are_refused(run, beats, tmp_path, flags, named):
    with pytest.raises(InputError, match=f"^{named}: only for runs that read recordings; leave out, as .*hits reads phrases$"):
        evaluate(run, beats, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_runs_of_several_kinds_are_refused(run, beats, tmp_path):
    others = make_run(tmp_path / "flute"), make_score_run(tmp_path)
    for other, what in zip(others, ("recordings", "scores"), strict=True):
        with pytest.raises(InputError, match=rf"hits reads phrases and .* reads {what}; evaluate runs of one kind at a time"):
            lt_midi.main(["--models", str(run), str(other), "--dataroot", str(beats)])


def test_only_checkpoints_are_told_what_they_are(run, beats, capsys):
    assert lt_midi.main(["--models", str(run), "--dataroot", str(beats), "--config", "groove_2bar"]) == 2
    assert "--config groove_2bar: is for checkpoints of other programs" in capsys.readouterr().err


@pytest.mark.parametrize("draws", [0, -1, 10001])
def test_draws_are_checked(run, beats, tmp_path, draws):
    with pytest.raises(InputError, match=f"--draws {draws}: must be 1 to 10000; --losses 0"):
        evaluate(run, beats, tmp_path / "out", "--draws", draws)


def test_half_a_run_or_checkpoint(run, beats, tmp_path, capsys):
    broken = copies(tmp_path / "run", run / "config.json", "config.json")
    (broken / BEST).write_bytes((run / BEST).read_bytes()[:500])
    bundles.write(tmp_path, {"x": np.zeros(3, "<f4")})
    for path, message in ((broken, BEST), (tmp_path / "model.ckpt", "model.ckpt")):
        assert evaluate(path, beats, tmp_path / "out", *QUICK) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
