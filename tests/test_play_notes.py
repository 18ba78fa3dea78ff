import csv
import logging
import shutil

import numpy as np
import pytest
import torch

import lt_play
from data.audio import Audio
from data.instruments import Note
from models import play_notes
from models.atlas import survey
from models.heard_notes import encode, file_word, told
from models.rendering import Player
from models.runs import load_run
from tests.runs import make_run
from tests.timbre_runs import make_timbre_run
from tests.timbres import NAMES
from utils.config import InputError

CLARINET, FLUTE, OBOE = NAMES[:3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_timbre_run(tmp_path_factory.mktemp("timbre"))


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def play(mode, run, *argv):
    """Play quickly; return the exit code."""
    return lt_play.main([mode, "-m", str(run), *map(str, argv), "--griffinlim_iters", "1"])


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def latents(path):
    return np.array([[float(value) for name, value in row.items() if name[0] == "z"] for row in table(path)])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def player_of(run):
    return Player(load_run(run), 1, run=run)


# -- whole notes ------------------------------------------------------------------------------------------------------


def test_whole_notes_are_as_long_as_they_were(tmp_path_factory, tmp_path, capsys):
    assert play("full_instruments", make_timbre_run(tmp_path_factory.mktemp("two"), NAMES[:2]), "-o", tmp_path) == 0
    made = capsys.readouterr().out.split()
    assert sorted(made) == sorted(map(str, tmp_path.iterdir())) and len(made) == 10
    sounds = [path for path in tmp_path.glob("*.wav") if "original" not in path.name]
    assert sorted(path.name.split("_")[0] for path in sounds) == sorted(NAMES[:2])
    assert all(path.stem.endswith("_f") for path in sounds)
    for path in sounds:
        sound, original = (Audio.load(name) for name in (path, path.with_name(f"{path.stem}_original.wav")))
        assert 0.35 <= sound.duration < 0.35 + 0.033 and len(sound.samples) == len(original.samples)
        assert not sound.silent and not original.silent
        assert len(table(path.with_suffix(".csv"))) == 11


def test_a_whole_note_is_told_its_own_labels(run, tmp_path):
    assert play("full_instruments", run, "-o", tmp_path, "-n", 2, "-g", 0) == 0
    player = player_of(run)
    group = play_notes.chosen(player, "test", [OBOE.lower()])[OBOE]
    for note in play_notes.drawn(group, 2, 0, OBOE):
        known = encode(player, note)
        assert [player.model.config.classes["pitch"][k] for k in known.condition] == [note.labels["pitch"]]
        mean = player.model.encode(known.frames, "signal", known.condition.expand(len(known.frames), -1)).mean
        assert latents(tmp_path / f"{file_word(told(note))}.csv") == pytest.approx(mean.detach().numpy(), abs=1e-4)


def test_notes_are_drawn_by_seed_without_repeats():
    notes = [Note(k, {"dynamics": "f" if k % 2 else "p"}) for k in range(20)]
    first = [note.path for note in play_notes.drawn(notes, 5, 0, "a")]
    assert len(set(first)) == 5 and all(k % 2 for k in first)
    assert first == [note.path for note in play_notes.drawn(notes, 5, 0, "a")]
    assert first != [note.path for note in play_notes.drawn(notes, 5, 1, "a")]
    assert len(play_notes.drawn(notes, 50, 0)) == 10


def test_names_of_notes():
    note = Note(None, {"instrument": "../Bb clarinet", "pitch": "A#", "octave": "3", "dynamics": "f"})
    assert told(note) == "../Bb clarinet A#3 f" and file_word(told(note)) == "-Bb_clarinet_As3_f".lstrip("-")
    assert file_word("///") == "note" and len(file_word("x" * 500)) == 80


# -- between notes ----------------------------------------------------------------------------------------------------


def test_pairs_are_unordered_and_begin_and_end_at_notes(run, tmp_path, capsys):
    kinds = ("linear", "spherical", "expressive")
    assert play("pairwise_paths", run, "-o", tmp_path, "--path", *kinds, "--n_steps", 50, "-g", 0, "--split", "all") == 0
    made = [path.split("/")[-1] for path in capsys.readouterr().out.split()]
    pairs = [f"{CLARINET}_{FLUTE}", f"{CLARINET}_{OBOE}", f"{FLUTE}_{OBOE}"]
    assert made == [f"{pair}_{kind}{end}" for pair in pairs for kind in kinds for end in (".wav", ".csv")]
    line, arc, own = (latents(tmp_path / f"{pairs[0]}_{kind}.csv") for kind in kinds)
    assert line.shape == (50, 4) and np.diff(line, axis=0) == pytest.approx(np.tile((line[-1] - line[0]) / 49, (49, 1)), abs=3e-5)
    assert arc[[0, -1]] == pytest.approx(line[[0, -1]], abs=3e-5) and abs(arc - line).max() > 1e-3
    assert abs(own - arc).max() > 1e-3
    player = player_of(run)
    notes = play_notes._one_each(play_notes.chosen(player, "all"), "note", 0)
    first = encode(player, notes[0])
    assert line[0] == pytest.approx(first.z[first.peak].numpy(), abs=1e-4)
    assert len({(note.labels["pitch"], note.labels["octave"]) for note in notes}) == 1


def test_instruments_are_looked_up_as_in_a_corpus(run, tmp_path, capsys):
    asked = ("oboe", "clarinet")
    assert play("pairwise_paths", run, "-i", *asked, "-o", tmp_path, "--n_steps", 20, "--split", "all") == 0
    stem = f"{OBOE}_{CLARINET}_spherical"
    assert names(tmp_path) == sorted(f"{stem}{end}" for end in (".wav", ".csv", ".pdf", "_path.png"))
    assert play("pairwise_paths", run, "-i", "oboe", "tuba", "-o", tmp_path, "--split", "all") == 2
    assert "instrument 'tuba' is not in the corpus" in capsys.readouterr().err


def test_an_expressive_path_goes_the_ways_of_both_notes(run):
    player = player_of(run)
    first, second = (encode(player, note) for note in play_notes._one_each(play_notes.chosen(player, "all"), "loudest", 0)[:2])
    still = play_notes.between(first, second, "expressive", 30, 1e-9)
    assert still == pytest.approx(play_notes.between(first, second, "spherical", 30, 0.7), abs=1e-5)
    whole = play_notes.between(first, second, "expressive", 30, 1.0)
    ends = torch.stack([first.z[first.sounding][0], second.z[second.sounding][-1]])
    assert whole[[0, -1]] == pytest.approx(ends, abs=1e-5)


def test_what_is_told_changes_half_way():
    told = play_notes._halves(torch.tensor([1, 2]), torch.tensor([3, 4]), 5)
    assert told.tolist() == [[1, 2]] * 3 + [[3, 4]] * 2
    assert play_notes._halves(None, None, 5) is None


def notes_of(*words):
    return [Note(word, {"pitch": word[:-2], "octave": word[-2], "dynamics": word[-1]}) for word in words]


def test_pitches_that_most_share_are_taken(caplog):
    groups = {"a": notes_of("A4f", "C3f", "A3p"), "b": notes_of("A3f", "A4f", "D3f"), "c": notes_of("A4f"), "d": notes_of("C3f")}
    with caplog.at_level(logging.WARNING):
        assert [note.path for note in play_notes._one_each(groups, "note", 0)] == ["A4f"] * 3
    assert "no loud note of that pitch: d" in caplog.text
    groups = {"a": notes_of("A4f"), "b": notes_of("A2f")}
    assert [note.path for note in play_notes._one_each(groups, "note", 0)] == ["A4f", "A2f"]
    assert len(play_notes._one_each(groups, "loudest", 0)) == 2
    with pytest.raises(InputError, match="two instruments, and there are 1: try --select loudest"):
        play_notes._one_each({"a": notes_of("A4f"), "b": notes_of("C4f")}, "note", 0)


# -- random paths -----------------------------------------------------------------------------------------------------


def test_random_paths_are_functions_of_their_seed(run, tmp_path, capsys):
    def played(folder, *argv):
        shapes = ("spiralOut", "spiralIn", "circle")
        assert play("random_paths", run, "--shape", *shapes, "--n_steps", 40, "-n", 2, "-g", 0, "-o", folder, *argv) == 0
        return {path.name: path.read_bytes() for path in folder.glob("*.csv")}

    first, again, other = played(tmp_path / "a"), played(tmp_path / "b"), played(tmp_path / "c", "--seed", 1)
    assert sorted(first) == sorted(f"{s}_prior_{k}.csv" for s in ("spiralOut", "spiralIn", "circle") for k in (0, 1))
    assert first == again and all(first[name] != other[name] for name in first)
    assert play("random_paths", run, "--centre", "note", "--n_steps", 20, "-n", 1, "--shape", "circle", "-o", tmp_path / "n") == 0
    assert names(tmp_path / "n") == [f"circle_note_0{end}" for end in (".csv", ".pdf", ".wav", "_path.png")]


@pytest.mark.parametrize("shape", ["spiralOut", "spiralIn", "circle"])
def test_windings_have_the_sizes_of_the_paper(run, shape):
    atlas = survey(run, load_run(run))
    reach = atlas.project(atlas.centroids).abs().max().item()
    for seed in range(8):
        centre = torch.randn(4)
        z, course = play_notes.winding(shape, centre, atlas, 200, torch.Generator().manual_seed(seed))
        radius = (z - centre).norm(dim=1)
        assert radius.min() + 1e-5 >= 0.07 and radius.max() <= 0.7 + reach + 1e-4
        change = radius.diff()
        if shape == "circle":
            assert change.abs().max() < 1e-5 and radius.max() <= reach + 0.1 + 1e-5 and " to " not in course
        else:
            assert ((change > 0) if shape == "spiralOut" else (change < 0)).all()
        assert 0.075 <= float(course.split()[0]) <= 3.075


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_runs_need_instruments_that_they_tell_apart(tmp_path, capsys, run):
    config = load_run(run).config
    folder = make_run(tmp_path / "run", instruments=(FLUTE,), dbroot=config.dbroot, cache=config.cache, labels=("pitch",))
    assert play("full_instruments", folder, "-o", tmp_path / "out") == 2
    assert "needs a run that tells single notes of several instruments apart" in capsys.readouterr().err


def test_the_corpus_is_needed(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    text = (folder / "config.json").read_text().replace(load_run(run).config.dbroot, str(tmp_path / "gone"))
    (folder / "config.json").write_text(text)
    for mode in ("full_instruments", "pairwise_paths", "random_paths", "descriptor_synthesis"):
        assert play(mode, folder, "-o", tmp_path / "out") == 2
        told = capsys.readouterr()
        assert "does not exist" in told.err and told.err.count("\n") == 1 and not told.out


def test_paths_end(run, tmp_path, capsys):
    assert play("pairwise_paths", run, "--n_steps", 999999, "-o", tmp_path) == 2
    assert "would last longer than 600 s" in capsys.readouterr().err
