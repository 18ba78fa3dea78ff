"""What is wrong with what the modes for runs of phrases are given is said in one line, and nothing is written."""

import json
import pickle

import numpy as np
import pytest

import lt_play
from tests.phrase_runs import make_phrase_run, silent, trio_file
from tests.runs import make_run
from tests.sequences import midi_file
from utils.config import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("hits"))


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A run of the same sizes."""
    return make_phrase_run(tmp_path_factory.mktemp("other"), "hits", seed=1, free_bits=1.0)


@pytest.fixture(scope="module")
def melodies(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("melodies"), "melody", latent_dim=5)


@pytest.fixture(autouse=True)
def instruments(monkeypatch):
    monkeypatch.setattr("models.phrase_files.save_notes", silent)


def song(run, number=0):
    return sorted((run.parent / "songs").iterdir())[number]


def refused(capsys, out, mode, run, *argv):
    """Return the one line that says why nothing was written."""
    assert lt_play.main([mode, "-m", str(run), *map(str, argv), "-o", str(out)]) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and not told.out and not (out.exists() and list(out.iterdir()))
    return errors[0]


# -- files ------------------------------------------------------------------------------------------------------------

HIT = (0, 60, 36)
LONG = [(1920 * bar, 60, 36) for bar in range(4)]


def bad_file(folder, kind):
    """Write a file of which no drums of two bars can be read."""
    path = folder / f"{kind}.mid"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no music")
    elif kind == "half":
        path.write_bytes(midi_file(folder / "whole.mid", LONG, drum=True).read_bytes()[:60])
    elif kind == "silent":
        midi_file(path)
    elif kind == "waltz":
        midi_file(path, LONG, metres=[(0, 3, 4)], drum=True)
    elif kind == "melodic":
        midi_file(path, LONG)
    elif kind == "short":
        midi_file(path, [HIT], drum=True)
    elif kind == "strange":
        midi_file(path, [(start, 60, 1) for start, *_ in LONG], drum=True)
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("missing", "no such file"),
        ("empty", ""),
        ("text", ""),
        ("half", ""),
        ("silent", "no hits of 2 bars: no notes"),
        ("waltz", "no hits of 2 bars: bars of 3 quarters: only 4/4 is read"),
        ("melodic", "no hits of 2 bars: no drums on channel 10"),
        ("short", "no hits of 2 bars: a line of drums of 1 bar is shorter than a phrase of 2 bars"),
        ("strange", "no drum of the gm map has pitch 1; nothing else is played"),
    ],
)
def test_files_without_a_phrase(run, tmp_path, capsys, kind, why):
    path = bad_file(tmp_path, kind)
    modes = {
        "reconstruct": ("-i", path),
        "encode": ("-i", path),
        "extract": ("-i", path),
        "walk": ("-i", path),
        "interpolate": ("-i", song(run), path),
        "attribute": ("-i", path),
    }
    for mode, flags in modes.items():
        told = refused(capsys, tmp_path / "out", mode, run, *flags)
        assert str(path) in told and why in told


def test_a_bad_file_keeps_no_other_from_being_played(run, tmp_path, capsys):
    assert lt_play.main(["encode", "-m", str(run), "-i", str(bad_file(tmp_path, "text")), str(song(run)), "-o", str(tmp_path)]) == 2
    assert (tmp_path / "beat_0.npz").exists() and "text.mid" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["interpolate", "walk", "attribute"])
def test_bars_and_lines_that_are_not_there(run, melodies, tmp_path, capsys, mode):
    files = (song(run), song(run)) if mode == "interpolate" else (song(run),)
    told = refused(capsys, tmp_path / "out", mode, run, "-i", *files, "--bar", 4)
    assert f"{song(run)}: --bar 4: of line 1, phrases begin at bars 1 to 3" in told
    assert "--line 2: it has 1" in refused(capsys, tmp_path / "out", mode, run, "-i", *files, "--line", 2)
    path = trio_file(tmp_path / "trio.mid")
    files = (path, path) if mode == "interpolate" else (path,)
    assert "--line 3: it has 2" in refused(capsys, tmp_path / "out", mode, melodies, "-i", *files, "--line", 3)


def test_a_table_of_several_songs_is_no_piece(melodies, tmp_path, capsys):
    table = tmp_path / "songs.json"
    table.write_text(json.dumps({"train": [[[60 + n]] * 64 for n in range(2)]}))
    assert "holds 2 pieces; give files of one" in refused(capsys, tmp_path / "out", "walk", melodies, "-i", table)


# -- flags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "flags", "message"),
    [
        ("sample", ["-n", "999999999"], "frames are asked for, and 1000000 can be written at once: give less of -n"),
        ("walk", ["-n", "999999999"], "give less of -n"),
        ("walk", ["-n", "2000"], "64000 steps last longer than 3600 s at 120 quarters a minute: take 28800 at most"),
        ("interpolate", ["-i", "a", "b", "-n", "999999999"], "give less of -n"),
        ("interpolate", ["-i", "a", "b", "-n", "1"], "-n 1: from one phrase to another there are 2 at least"),
        ("interpolate", ["-i", "a"], "1 given: interpolate takes two files"),
        ("interpolate", ["--input_midi_2", "a"], "1 given: interpolate takes two files"),
        ("interpolate", ["-i", "a", "b", "c"], "3 given: interpolate takes two files"),
        ("walk", ["-i", "a", "b"], "2 files are given with -i: a walk begins with one"),
        ("attribute", ["-n", "99999"], "give less of -n, --attribute or --strength"),
        ("attribute", ["--attribute", "joy"], "--attribute joy: of hits there are hit_density kick_share snare_share hat_share"),
        ("sample", ["--tempo", "3"], "--tempo 3: must lie within 4-1000"),
        ("sample", ["--config", "joy"], "--config joy: is for checkpoints of other programs, and"),
        ("sample", ["--config", "groove_4bar"], "--config groove_4bar: has --encoder_size 256, and"),
        ("sample", ["-t", "8"], "--frames: is for runs of another kind than this one, which has phrase"),
        ("sample", ["--key", "C"], "--key: is for runs of another kind"),
        ("sample", ["--split", "train"], "--split: is for runs of another kind"),
        ("interpolate", ["-i", "a", "b", "--n_steps", "3"], "--n_steps: is for runs of another kind"),
    ],
)
def test_flags(run, tmp_path, capsys, mode, flags, message):
    assert message in refused(capsys, tmp_path / "out", mode, run, *flags)


@pytest.mark.parametrize(
    ("mode", "flags", "message"),
    [
        ("sample", ["--temperature", "-1"], "argument --temperature: must be a finite number, 0 or more, not -1"),
        ("sample", ["--temperature", "warm"], "must be a finite number, 0 or more, not warm"),
        ("sample", ["--qpm", "0"], "argument --tempo/--qpm: must be a finite number above 0, not 0"),
        ("sample", ["-n", "0"], "must be a whole number, 1 or more, not 0"),
        ("walk", ["--stride", "0"], "argument --stride: must be a finite number above 0, 1 at most, not 0"),
        ("walk", ["--stride", "1.5"], "above 0, 1 at most, not 1.5"),
        ("walk", ["--bar", "0"], "argument --bar: must be a whole number, 1 or more"),
        ("attribute", ["--strength", "nan"], "argument --strength: must be a finite number, not nan"),
        ("attribute", ["--strength", "much"], "must be a finite number, not much"),
        ("reconstruct", [], "reconstruct: give files with -i"),
        ("decode", [], "decode: give files with -i"),
        ("interpolate", [], "interpolate: give two pieces with -i"),
        ("reconstruct", ["--bar", "2"], "reconstruct: takes no --bar"),
        ("sample", ["--input_midi_1", "a"], "sample: takes no --input_midi_1"),
        ("extract", ["--temperature", "1"], "extract: takes no --temperature"),
    ],
)
def test_flags_that_cannot_be(run, mode, flags, message):
    with pytest.raises(InputError, match=message):
        lt_play.main([mode, "-m", str(run), *flags])


def test_runs_of_sound_know_no_phrases(run, tmp_path, capsys):
    sound = make_run(tmp_path / "sound")
    for mode, flags in (("walk", ()), ("encode", ("-i", song(run)))):
        told = refused(capsys, tmp_path / "out", mode, sound, *flags)
        assert "needs a run with the modality phrase; this one has signal, symbol" in told
    assert "the modality score, or phrase;" in refused(capsys, tmp_path / "out", "sample", sound)
    assert "the modality signal; this one has phrase" in refused(capsys, tmp_path / "out", "trajectory", run)


@pytest.mark.parametrize("mode", ["humanize", "tap", "fixed_velocity"])
def test_modes_of_other_transforms(run, tmp_path, capsys, mode):
    told = refused(capsys, tmp_path / "out", mode, run, "-i", song(run))
    assert f"{mode}: takes a run that was trained with --transform {mode}" in told and "this one has none" in told


# -- arrays -----------------------------------------------------------------------------------------------------------


def bad_arrays(folder, kind):
    """Write a file of arrays that holds no latents (N, 8)."""
    path = folder / f"{kind}.npz"
    if kind == "pickled":
        np.savez(path, mean=np.array([{"a": 1}], object))
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(np.zeros((1, 8))))
    elif kind == "nothing":
        path.write_bytes(b"")
    elif kind == "half":
        np.savez(path, mean=np.zeros((99, 8)))
        path.write_bytes(path.read_bytes()[:500])
    elif kind != "missing":
        shapes = {"wide": (1, 9), "flat": (8,), "none": (0, 8), "nan": (1, 8), "words": (1, 8)}
        content = np.zeros(shapes.get(kind, (1, 8)), "U2" if kind == "words" else "f4")
        if kind == "nan":
            content[0, 3] = np.nan
        np.savez(path, **{"other" if kind == "unnamed" else "mean": content})
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("pickled", "is no readable file of plain arrays (ValueError)"),
        ("pickle", "is no readable file of plain arrays (ValueError)"),
        ("nothing", "is no readable file of plain arrays (EOFError)"),
        ("half", "is no readable file of plain arrays"),
        ("wide", "must hold latents (N, 8) called mean or z, and holds float32 of the shape (1, 9)"),
        ("flat", "must hold latents (N, 8) called mean or z, and holds float32 of the shape (8,)"),
        ("none", "holds no latent"),
        ("nan", "holds latents that are not finite"),
        ("words", "must hold latents (N, 8) called mean or z, and holds <U2 of the shape (1, 8)"),
        ("unnamed", "must hold latents (N, 8) called mean or z, and holds none"),
    ],
)
def test_latents(run, tmp_path, capsys, kind, message):
    path = bad_arrays(tmp_path, kind)
    told = refused(capsys, tmp_path / "out", "decode", run, "-i", path)
    assert f"{path}: {message}" in told


@pytest.fixture(scope="module")
def vectors(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("vectors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.phrase_files.save_notes", silent)
        assert lt_play.main(["attribute", "-m", str(run), "-g", "0", "--attribute", "hit_density", "-o", str(out)]) == 0
    return out / "vectors.npz"


def test_what_other_runs_have_written(run, twin, melodies, vectors, tmp_path, capsys):
    assert lt_play.main(["sample", "-m", str(run), "-g", "0", "-o", str(tmp_path / "own")]) == 0
    capsys.readouterr()
    for other in (twin, melodies):
        told = refused(capsys, tmp_path / "out", "decode", other, "-i", tmp_path / "own" / "samples.npz")
        assert "is of another run, or of other weights of this one" in told
        told = refused(capsys, tmp_path / "out", "attribute", other, "--vectors", vectors)
        assert f"{vectors}: is of another run" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"hit_density": np.zeros(9)}, "hit_density is float64 of the shape (9,); of this run it must be (8,)"),
        ({"hit_density": np.full(8, np.nan)}, "hit_density is not finite"),
        ({"hit_density": np.zeros(8, int)}, "hit_density is int64 of the shape (8,)"),
        ({"other": np.zeros(8)}, "holds nothing only"),
        ({"hit_density": np.array({}, object)}, "is no readable file of plain arrays"),
    ],
)
def test_vectors(run, tmp_path, capsys, content, message):
    np.savez(tmp_path / "v.npz", **content)
    told = refused(capsys, tmp_path / "out", "attribute", run, "--vectors", tmp_path / "v.npz")
    assert message in told and str(tmp_path / "v.npz") in told


def test_vectors_that_a_file_lacks(run, vectors, tmp_path, capsys):
    told = refused(capsys, tmp_path / "out", "attribute", run, "--vectors", vectors, "--attribute", "kick_share")
    assert f"--attribute kick_share: {vectors}: holds hit_density only" in told
    assert "no such file" in refused(capsys, tmp_path / "out", "attribute", run, "--vectors", tmp_path / "none.npz")


def test_a_corpus_that_is_gone(run, tmp_path, capsys, monkeypatch):
    told = refused(capsys, tmp_path / "out", "attribute", run, "--corpus", tmp_path / "none")
    assert f"{tmp_path / 'none'}: no such file or folder" in told and "give one with --corpus, or --vectors" in told
    monkeypatch.setattr("data.phrase_corpora.PhraseCorpus.of", lambda corpus, split: ())
    assert "has no train pieces: try --split all" in refused(capsys, tmp_path / "out", "attribute", run)


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "name", "flags"),
    [
        ("walk", "walk", ()),
        ("interpolate", "a_a", ("-i", "a.mid")),
        ("interpolate", "a_a_1", ("-i", "a.mid")),
        ("attribute", "a_kick_share", ()),
        ("reconstruct", "b_reconstruction", ("-i", "b.mid")),
        ("extract", "b_bar2", ("-i", "b.mid")),
    ],
)
def test_what_is_read_is_not_replaced(run, tmp_path, capsys, monkeypatch, mode, name, flags):
    monkeypatch.chdir(tmp_path)
    files = ["a.mid", "b.mid", f"{name}.mid"]
    for path in files:
        (tmp_path / path).write_bytes(song(run).read_bytes())
    given = {"interpolate": ["-i", "a.mid", "a.mid"], "attribute": ["-i", "a.mid", f"{name}.mid"]}.get(mode, ["-i", f"{name}.mid"])
    if mode == "interpolate":
        given, flags = ["-i", str(tmp_path / "a.mid"), "a.mid"], ()
        (tmp_path / f"{name}.mid").unlink()
        (tmp_path / f"{name}.mid").symlink_to("a.mid")
    assert lt_play.main([mode, "-m", str(run), *given, *flags, "-g", "0", "-o", str(tmp_path)]) == 2
    assert "would replace" in capsys.readouterr().err
    assert all((tmp_path / path).read_bytes() == song(run).read_bytes() for path in files)


def test_nothing_beside_a_file_is_replaced(run, tmp_path, capsys):
    (tmp_path / "a.mid").write_bytes(song(run).read_bytes())
    for mode, name in (("reconstruct", "a.csv"), ("encode", "a.npz"), ("extract", "a_bar1.wav")):
        (tmp_path / name).write_text("mine")
        assert lt_play.main([mode, "-m", str(run), "-i", str(tmp_path / "a.mid"), "-o", str(tmp_path)]) == 2
        assert f"would replace {tmp_path / name}" in capsys.readouterr().err
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.mid", name])
        (tmp_path / name).unlink()


def test_results_need_a_folder(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert lt_play.main(["sample", "-m", str(run), "-o", str(tmp_path / "file")]) == 2
    assert "this folder cannot be made" in capsys.readouterr().err
