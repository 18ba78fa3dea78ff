import numpy as np
import pytest
import torch

from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes, Track
from data.recordings import KINDS, Recordings, reference, sounding
from utils.config import InputError

CLASSES = (("octave", ("4", "5")), ("pitch", PITCH_CLASSES), ("dynamics", ("p", "f")))
FLUTE, CELLO, KIT = Track("flute", 73), Track("cello", 42), Track("kit", 0, True)
RATE = 10.0  # frames a second


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root, **options):
    """Return the pairs as texts relative to `root`."""
    pairs = Recordings.find(root, **options).pairs
    return [(str(pair.audio.relative_to(root)), str(pair.midi.relative_to(root))) for pair in pairs]


# -- which files belong together --------------------------------------------------------------------------------------


def test_the_flute_database(tmp_path):
    touch(tmp_path, "Recordings/a/X.wav", "Recordings/b/Y.mp3", "Aligned_files/mid_files/X-lined.mid")
    touch(tmp_path, "Aligned_files/mid_files/Y-lined.mid", "Aligned_files/mid_files/X.mid")
    expected = [
        ("Recordings/a/X.wav", "Aligned_files/mid_files/X-lined.mid"),
        ("Recordings/b/Y.mp3", "Aligned_files/mid_files/Y-lined.mid"),
    ]
    assert found(tmp_path) == expected
    library = Recordings.find(tmp_path / "Recordings", tmp_path / "Aligned_files" / "mid_files")
    assert [pair.midi.name for pair in library.pairs] == ["X-lined.mid", "Y-lined.mid"]
    assert [path.name for path in library.without_audio] == ["X.mid"]


def test_equal_stems_in_any_spelling(tmp_path):
    touch(tmp_path, "Cafe\u0301.WAV", "caf\u00e9.midi", "x.y.flac", "x.y.mid", ".hidden.wav")
    assert {audio for audio, _ in found(tmp_path)} == {"Cafe\u0301.WAV", "x.y.flac"}


def test_the_suffix_is_a_choice(tmp_path):
    touch(tmp_path, "x.wav", "x_take.mid", "x.mid")
    assert found(tmp_path, suffix="_take") == [("x.wav", "x_take.mid")]
    assert found(tmp_path, suffix="") == [("x.wav", "x.mid")]


def test_the_folders_decide_among_equal_names(tmp_path):
    touch(tmp_path, "a/x.wav", "a/x.mid", "b/x.wav", "b/x.mid")
    assert found(tmp_path) == [("a/x.wav", "a/x.mid"), ("b/x.wav", "b/x.mid")]


def test_what_is_unclear_is_told_and_the_rest_goes_on(tmp_path):
    touch(tmp_path, "x.wav", "a/x.mid", "b/x.mid", "y.wav", "y.mid", "z.wav", "w.mid")
    library = Recordings.find(tmp_path)
    assert [pair.audio.name for pair in library.pairs] == ["y.wav"]
    assert [path.name for path in library.without_midi] == ["z.wav"]
    (line,) = library.unclear
    assert "x.wav: may belong to" in line and str(tmp_path / "a" / "x.mid") in line
    assert set(library.left_out()) == {"without_midi", "without_audio", "unclear"}
    assert str(tmp_path / "w.mid") in library.left_out()["without_audio"]


def test_no_pair_says_what_was_looked_for(tmp_path):
    touch(tmp_path, "sonata_1.wav", "sonata_one.mid", "other.mid")
    with pytest.raises(InputError, match=r"looked for sonata_1-lined.mid or sonata_1.mid, nearest: sonata_one"):
        Recordings.find(tmp_path)


@pytest.mark.parametrize(
    ("files", "folder", "message"),
    [
        ((), "none", "no such"),
        (("x.mid",), ".", r"holds no file that ends in .wav"),
        (("x.wav",), ".", r"holds no file that ends in .mid"),
        (("x.wav", "x.mid"), "x.wav", "is a file"),
    ],
)
def test_folders_without_what_is_needed(tmp_path, files, folder, message):
    touch(tmp_path, *files)
    with pytest.raises(InputError, match=message):
        Recordings.find(tmp_path / folder)


# -- what notes say about frames --------------------------------------------------------------------------------------


def score(*rows, tracks=(FLUTE,)):
    """Make notes of rows (onset, offset, pitch, velocity, track)."""
    return Notes(*(np.array(column) for column in zip(*rows, strict=True)), tracks)


def labels(*instruments, silence=False):
    return Labels(CLASSES, instruments or ("flute",), silence, RATE)


def kinds(truth):
    return [KINDS[kind] for kind in truth.kind]


def test_one_instrument():
    notes = score((0.1, 0.3, 69, 49, 0), (0.3, 0.5, 72, 96, 0), (0.4, 0.6, 76, 96, 0), (0.7, 0.8, 30, 96, 0))
    truth = reference(labels(), notes, 10)
    expected = ["silent", "playable", "playable", "playable", "polyphonic", "playable", "silent", "outside", "silent", "silent"]
    assert kinds(truth) == expected
    assert truth.counts() == {"silent": 4, "polyphonic": 1, "outside": 1, "partial": 0, "playable": 4}
    assert truth.playable.tolist() == [1, 2, 3, 5]
    pitch = [PITCH_CLASSES.index(name) for name in ("A", "A", "C", "E")]
    octaves, dynamics = [0, 0, 1, 1], [0, 0, 1, 1]
    assert truth.ids[truth.playable, 0].tolist() == [list(row) for row in zip(octaves, pitch, dynamics, strict=True)]
    groups = truth.group[truth.playable].tolist()
    assert groups[0] == groups[1] and len(set(groups)) == 3
    assert len(truth.notes) == 4 and list(map(len, truth.parts)) == [3]


def test_drums_are_passed_over():
    notes = score((0.1, 0.3, 69, 49, 0), (0, 1, 40, 99, 1), tracks=(FLUTE, KIT))
    truth = reference(labels(), notes, 5)
    assert truth.counts()["playable"] == 2 and len(truth.notes) == 1


def test_several_instruments():
    notes = score((0.0, 0.3, 69, 49, 1), (0.2, 0.5, 72, 96, 0), (0.2, 0.3, 74, 96, 0), tracks=(CELLO, FLUTE))
    with_silence = reference(labels("flute", "cello", silence=True), notes, 6)
    assert kinds(with_silence) == ["playable", "playable", "polyphonic", "playable", "playable", "silent"]
    assert with_silence.ids[0].tolist() == [[0, 0, 0], [2, 12, 2]] and with_silence.ids[3, 0].tolist() == [2, 12, 2]
    assert [part.pitch.tolist() for part in with_silence.parts] == [[69], [72, 74]]
    without = reference(labels("flute", "cello"), notes, 6)
    assert kinds(without) == ["partial", "partial", "polyphonic", "partial", "partial", "silent"]


def test_notes_beyond_the_recording_do_not_matter():
    truth = reference(labels(), score((0, 9, 69, 49, 0)), 3)
    assert truth.counts()["playable"] == 3 and len(truth.ids) == 3


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (Notes.empty(), "has no notes to play"),
        (score((0, 1, 40, 99, 0), tracks=(KIT,)), "only drums"),
        (score((0, 1, 20, 99, 0)), "C4 to B5"),
    ],
)
def test_notes_that_say_nothing(notes, message):
    with pytest.raises(InputError, match=message):
        reference(labels(), notes, 5)


def test_how_many_notes_sound():
    notes = score((0.0, 0.2, 60, 80, 0), (0.1, 0.3, 60, 80, 0))
    assert sounding(notes, 4, RATE).tolist() == [1, 2, 1, 0]
    assert sounding(Notes.empty(), 2, RATE).tolist() == [0, 0]
    assert torch.equal(reference(labels(), notes, 4).playable, torch.tensor([0, 2]))
