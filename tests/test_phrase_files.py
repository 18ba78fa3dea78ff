"""Phrases in files."""

import numpy as np
import pytest
import torch

from data import phrases
from data.audio import Audio
from data.drums import Hits
from data.melody import Melody
from data.notes import Notes
from models.latent_files import mark, read_arrays, read_latents, write_arrays
from models.phrase_files import chained, check_free, every_phrase, named, phrase_at, piece_in, whole_lines, write_phrases
from models.runs import load_run
from tests.phrase_runs import make_phrase_run, trio_file
from tests.sequences import midi_file
from utils.config import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_run(make_phrase_run(tmp_path_factory.mktemp("melodies"), "melody"))


def test_lines_in_phrases(model, tmp_path):
    piece = piece_in(model, trio_file(tmp_path / "trio.mid", 5))
    melody, bass = whole_lines(model, piece)
    assert (melody.number, melody.suffix, bass.suffix, melody.piece) == (1, "_line1", "_line2", piece)
    assert melody.first.tolist() == [0, 32, 64] and melody.x.shape == (3, 32) and melody.x.dtype == torch.int64
    line = torch.from_numpy(piece.lines[0]).long()
    assert (
        (melody.x[1, 1:] == line[33:64]).all() and melody.x[2, 16] in (0, 1) and (melody.x[2, 17:] == 0).all()
    )  # silence behind the end
    every, _ = every_phrase(model, piece)
    assert every.first.tolist() == [0, 16, 32, 48] and (every.x[2] == melody.x[1]).all()


def test_one_line_needs_no_number(model, tmp_path):
    path = midi_file(tmp_path / "a.mid", [(480 * place, 480, 60 + place) for place in range(8)])
    (line,) = whole_lines(model, piece_in(model, path))
    assert line.suffix == "" and len(line.x) == 1
    assert (phrase_at(model, path, 1, 1).x == line.x).all()
    for place in ((2, 1), (1, 2)):
        with pytest.raises(InputError, match=str(path)):
            phrase_at(model, path, *place)


def test_phrases_follow_each_other():
    phrase = Melody(16)
    x = np.zeros((2, 16), np.int64)
    x[:, 12] = 41  # a note that is held to the end of the phrase
    notes = chained(phrase, x)
    assert notes.onset.tolist() == [12, 28] and notes.offset.tolist() == [16, 32]


def test_files_of_phrases(tmp_path):
    x = torch.zeros(2, 16, 9)
    x[0, 4, 0] = x[1, 8, 1] = 1
    made = write_phrases(tmp_path / "a.b", Hits(16), x, 60)
    assert made == [str(tmp_path / "a.b.mid"), str(tmp_path / "a.b.wav")]
    notes = Notes.load(made[0])
    assert notes.onset.tolist() == [1, 6] and notes.pitch.tolist() == [36, 38]
    sound = Audio.load(made[1])
    loud = np.abs(sound.samples)
    first = [np.flatnonzero(loud[start:] > 0.02)[0] / 44100 + start / 44100 for start in (0, 5 * 44100)]
    assert first == pytest.approx([1, 6], abs=0.02) and 8 <= sound.duration < 10


def test_silence_is_written_too(tmp_path):
    made = write_phrases(tmp_path / "a", Hits(16), torch.zeros(1, 16, 9), 120)
    assert len(Notes.load(made[0])) == 0 and Audio.load(made[1]).duration == pytest.approx(2)
    assert phrases.TEMPOS == (4, 1000)


def test_what_is_free(tmp_path):
    target = tmp_path / "a.b"
    assert named(target, ".mid", "_1.wav") == [tmp_path / "a.b.mid", tmp_path / "a.b_1.wav"]
    check_free([str(tmp_path)], named(target, ".mid"))
    (tmp_path / "a.b.mid").touch()
    check_free([str(tmp_path / "other.mid"), ""], named(target, ".mid"))
    for given, beside in (([str(tmp_path)], None), ([str(tmp_path / "x" / ".." / "a.b.mid")], None), ([], tmp_path / "c.mid")):
        with pytest.raises(InputError, match="would replace"):
            check_free(given, named(target, ".wav", ".mid"), beside)


# -- latents ----------------------------------------------------------------------------------------------------------


def test_latents_come_back(model, tmp_path):
    z = np.arange(16, dtype=np.float32).reshape(2, 8)
    assert write_arrays(tmp_path / "new" / "a.npz", model, z=z, tempo=np.float64(90)) == str(tmp_path / "new" / "a.npz")
    read, tempo = read_latents(tmp_path / "new" / "a.npz", model)
    assert (read == z).all() and read.dtype == np.float32 and tempo == 90
    assert set(read_arrays(tmp_path / "new" / "a.npz", model)) == {"z", "tempo"}


@pytest.mark.parametrize("tempo", [np.nan, np.inf, -3, 0, "fast", [90, 100]])
def test_tempos_that_make_no_sense_are_passed_over(model, tmp_path, tempo):
    write_arrays(tmp_path / "a.npz", model, mean=np.zeros((1, 8)), tempo=np.array(tempo))
    assert read_latents(tmp_path / "a.npz", model)[1] == 120


def test_a_mark_is_of_the_weights(model):
    first = mark(model)
    assert first == mark(model) and len(first) == 16
    bias = next(parameter for name, parameter in model.named_parameters() if name.endswith("bias"))
    with torch.no_grad():
        bias[0] += 1
        assert mark(model) != first
        bias[0] -= 1
