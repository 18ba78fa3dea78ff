"""Whole notes of a run's corpus, and the words that say what a model is told."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.instruments import Note
from data.notes import PITCH_CLASSES
from data.splits import SPLITS, split_of
from models import recorded
from models.timbre import Model
from models.timbre_config import Config
from tests import timbres
from utils.config import InputError, merge

NAMES = ("Flute", "Oboe", "Violin")
CLASSES = {"octave": list("012345678"), "pitch": list(PITCH_CLASSES), "dynamics": ["p", "mf", "f"], "instrument": list(NAMES)}
A, B, C_SHARP = (PITCH_CLASSES.index(name) for name in ("A", "B", "C#"))


def told_of(*labels: str, classes=CLASSES) -> Model:
    """Return a model that is told these labels."""
    tiny = {"transform": "stft", "latent_dims": 3, "hidden_dims": 4, "hidden_layers": 1, "regularization": "none"}
    config = merge(Config(), {**tiny, "conditioning": labels or ("none",)})
    return Model(replace(config, classes=classes, instruments=NAMES)).eval()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return timbres.make_timbres(tmp_path_factory.mktemp("corpus"), np.zeros((3, 3)), NAMES, seconds=0.1)


@pytest.fixture
def model(root, tmp_path):
    found = told_of("pitch")
    found.config = replace(found.config, dbroot=str(root), cache=str(tmp_path))
    return found


def test_notes_are_those_of_a_split(model):
    found = {split: recorded.notes(model, split) for split in (*SPLITS, "all")}
    assert all(set(groups) == set(NAMES) for groups in found.values())
    for split in SPLITS:
        assert all(split_of(note.identity) == split for group in found[split].values() for note in group)
    for name in NAMES:
        assert sum(len(found[split][name]) for split in SPLITS) == len(found["all"][name]) == 10
        assert {note.labels["instrument"] for note in found["all"][name]} == {name}


def test_instruments_without_notes_in_a_split_are_left_out(model, root, tmp_path):
    mine = shutil.copytree(root, tmp_path / "mine")
    lines = (mine / "notes.csv").read_text().splitlines()
    tested = {note.path.name for note in recorded.notes(model, "test")["Oboe"]}
    (mine / "notes.csv").write_text("\n".join(line for line in lines if line.split(",")[0] not in tested) + "\n")
    model.config = replace(model.config, dbroot=str(mine))
    assert list(recorded.notes(model, "test")) == ["Flute", "Violin"]
    assert list(recorded.notes(model, "train")) == list(NAMES)


def test_notes_that_it_cannot_be_told_of_are_left_out(model):
    model.config = replace(model.config, classes={**CLASSES, "pitch": ["A", "D"]})
    pitches = {note.labels["pitch"] for group in recorded.notes(model, "all").values() for note in group}
    assert pitches == {"A", "D"}


def test_a_corpus_that_is_gone(model, tmp_path):
    model.config = replace(model.config, dbroot="no/such")
    with pytest.raises(InputError, match="no/such"):
        recorded.notes(model, "test")


def test_loud_notes_are_preferred(model):
    group = recorded.notes(model, "all")["Flute"]
    assert {note.labels["dynamics"] for note in recorded.loud(group)} == {"f"}
    soft = [note for note in group if note.labels["dynamics"] == "p"]
    assert recorded.loud(soft) == tuple(soft)


def test_frames_are_of_the_file_or_of_the_corpus(model):
    note = recorded.notes(model, "all")["Flute"][0]
    found = recorded.frames(model, note)
    assert found.shape[1] == 440
    assert torch.equal(found, model.representations["signal"].read(note.path))
    brought = np.ones((2, 440), np.float32)
    assert recorded.frames(model, replace(note, magnitudes=brought)).tolist() == brought.tolist()
    with pytest.raises(InputError, match=r"none\.wav"):
        recorded.frames(model, Note(Path("none.wav"), note.labels))


def test_what_it_is_told_of_a_note():
    labels = {"instrument": "Flute", "pitch": "C#", "octave": "5", "dynamics": "f"}
    assert recorded.told(told_of("pitch"), labels).tolist() == [C_SHARP]
    assert recorded.told(told_of("dynamics", "pitch", "octave"), labels).tolist() == [2, C_SHARP, 5]
    assert recorded.told(told_of(), labels) is None
    for wrong in ({"pitch": "H"}, {}):
        with pytest.raises(InputError, match=r"told pitch, one of .*, not"):
            recorded.told(told_of("pitch"), wrong)


@pytest.mark.parametrize(
    ("labels", "word", "expected"),
    [
        (["pitch"], "A", [A]),
        (["pitch"], "a", [A]),
        (["pitch"], "Db", [C_SHARP]),
        (["pitch"], "Cb", [B]),
        (["pitch"], "C#4", [C_SHARP]),
        (["pitch"], "3", [3]),
        (["octave"], "5", [5]),
        (["octave"], "A5", [5]),
        (["dynamics"], ":mf", [1]),
        (["pitch", "octave", "dynamics"], "A4:f", [A, 4, 2]),
        (["octave", "pitch"], "B2", [2, B]),
    ],
)
def test_words_for_what_it_is_told(labels, word, expected):
    assert recorded.spoken(told_of(*labels), word).tolist() == expected


@pytest.mark.parametrize(
    ("labels", "word", "message"),
    [
        (["pitch"], "H", "--labels H: the run is told pitch, one of "),
        (["pitch"], "12", "--labels 12: pitch has the classes 0 to 11"),
        (["pitch", "octave"], "A", "told octave"),
        (["pitch", "octave"], "4", "told pitch"),
        (["pitch", "octave"], "", "told pitch"),
        (["dynamics"], ":loud", "told dynamics, one of p mf f, not 'loud'"),
    ],
)
def test_words_that_say_too_little(labels, word, message):
    with pytest.raises(InputError, match=message) as caught:
        recorded.spoken(told_of(*labels), word)
    assert "\n" not in str(caught.value)


def test_what_it_is_told_where_nobody_says_anything():
    assert recorded.usual(told_of("pitch", "octave", "dynamics")).tolist() == [A, 4, 1]
    few = {**CLASSES, "dynamics": ["p", "f"], "octave": ["5", "6", "7"]}
    assert recorded.usual(told_of("octave", "dynamics", classes=few)).tolist() == [1, 1]  # of the middle
    assert recorded.usual(told_of()) is None
