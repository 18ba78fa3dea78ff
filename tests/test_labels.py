import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes, Track
from utils.config import InputError

DYNAMICS = ("p", "f")  # velocities 49 and 96
CLASSES = (("octave", ("3", "4", "5")), ("pitch", PITCH_CLASSES), ("dynamics", DYNAMICS))
SILENT = [3, 12, 2]


def labels(*instruments, classes=CLASSES, silence=True):
    return Labels(classes, instruments or ("flute",), silence, rate=30.0)


def notes(*rows, tracks=(Track("flute", 73),)):
    """Make notes of rows (onset, offset, pitch, velocity, track)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 5
    return Notes(*columns, tracks)


def test_ids_are_places_in_the_tables():
    found = labels().ids(notes((0, 1, 69, 96, 0), (1, 2, 60, 40, 0), (2, 3, 71, 127, 0)))
    assert found.tolist() == [[1, 0, 1], [1, 3, 0], [1, 2, 1]]  # A4, C4, B4: the octave changes at C


@given(st.integers(48, 83))
def test_pitches_come_back(pitch):
    assert labels().pitch(labels().ids(notes((0, 1, pitch, 80, 0)))).tolist() == [pitch]


@pytest.mark.parametrize("pitch", [0, 47, 84, 127])
def test_pitches_outside_the_tables_have_no_ids(pitch):
    assert labels().ids(notes((0, 1, pitch, 80, 0))).tolist() == [[-1, -1, -1]]


def test_the_order_of_labels_and_classes_is_free():
    mixed = labels(classes=(("dynamics", ("f", "p")), ("pitch", ("C", "Bb")), ("octave", ("5", "4"))))
    ids = mixed.ids(notes((0, 1, 70, 90, 0), (0, 1, 72, 50, 0)))
    assert ids.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert mixed.pitch(ids).tolist() == [70, 72]


def test_labels_that_midi_does_not_tell_take_their_first_class():
    ids = labels(classes=(("technique", ("normal", "trill")), ("pitch", ("A", "B")))).ids(notes((0, 1, 59, 90, 0)))
    assert ids.tolist() == [[0, 1]]  # without an octave, any will do


def test_without_an_octave_pitches_are_read_in_the_fourth():
    assert labels(classes=(("pitch", ("A", "C")),)).pitch([[0], [1]]).tolist() == [69, 60]


def test_a_run_without_pitch_cannot_read_notes():
    with pytest.raises(InputError, match="names no pitch, only octave"):
        labels(classes=(("octave", ("4",)),)).pitch([[0]])


def test_octaves_must_be_numbers():
    with pytest.raises(InputError, match="octave class 'high'"):
        labels(classes=(("octave", ("high",)), ("pitch", ("A",)))).pitch([[0, 0]])


def test_combinations_that_midi_lacks_are_no_pitch():
    assert labels(classes=(("octave", ("-2", "9")), ("pitch", ("A",)))).pitch([[0, 0], [1, 0]]).tolist() == [-1, -1]


def test_silent_sources_are_told():
    ids = torch.tensor([[[1, 0, 1], SILENT], [SILENT, SILENT]])
    two = labels("flute", "cello")
    assert two.sounding(ids).tolist() == [[True, False], [False, False]]
    assert two.pitch(ids).tolist() == [[69, -1], [-1, -1]]
    assert two.text(ids) == ["flute A4:f + cello rest", "flute rest + cello rest"]


def test_text_of_one_instrument_and_of_other_labels():
    assert labels().text(torch.tensor([[[1, 0, 0]], [SILENT]])) == ["A4:p", "rest"]
    assert labels(classes=(("technique", ("trill",)),)).text(torch.tensor([[[0]]])) == ["trill"]
