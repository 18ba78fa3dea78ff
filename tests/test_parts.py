"""Who plays what of a score, and what of it sounds when."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes, Track
from data.parts import PROGRAMS, assign, frames, program_of
from data.parts import score as whole_score
from utils.config import InputError

CLASSES = (("octave", ("3", "4", "5")), ("pitch", PITCH_CLASSES), ("dynamics", ("p", "f")))  # velocities 49 and 96
SILENT = [3, 12, 2]


def labels(*instruments):
    return Labels(CLASSES, instruments or ("flute",), True, rate=30.0)


def notes(*rows, tracks=(Track("flute", 73),)):
    """Make notes of rows (onset, offset, pitch, velocity, track)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 5
    return Notes(*columns, tracks)


@pytest.mark.parametrize(
    ("name", "program"),
    [("Violoncello", 42), ("English-Horn", 69), ("alto saxophone", 65), ("Contrabassoon", 70), ("Harpsichord", 6), ("thing", 0)],
)
def test_programs_are_guessed_from_names(name, program):
    assert program_of(name) == program


def test_programs_are_those_of_midi():
    assert all(0 <= program <= 127 for program in PROGRAMS.values())


def players(instruments, *tracks):
    """Return which instrument plays each track, by name."""
    score = notes(*((float(t), t + 1.0, 60 + t, 80, t) for t in range(len(tracks))), tracks=tracks)
    layers = assign(labels(*instruments), score)
    played = {}
    for layer in layers:
        for name, voice in zip(instruments, layer, strict=True):
            played.update(dict.fromkeys((voice.pitch - 60).tolist(), name))
    return [played.get(t) for t in range(len(tracks))]


def test_one_instrument_plays_all_but_drums():
    score = notes((0, 1, 60, 80, 0), (0, 1, 64, 80, 1), (0, 1, 67, 80, 2), tracks=(Track("a"), Track("b", 40), Track("c", 0, True)))
    layers = assign(labels("flute"), score)
    assert sorted(pitch for layer in layers for pitch in layer[0].pitch) == [60, 64]
    assert len(layers) == 2


def test_tracks_go_to_their_namesakes():
    assert players(("Alto-Sax", "flute"), Track("Flute 2"), Track("ALTO SAX"), Track("flute")) == ["flute", "Alto-Sax", "flute"]


def test_then_to_their_program_and_family_and_then_in_order():
    assert players(("violin", "cello"), Track("x", 42), Track("y", 41)) == ["cello", "violin"]
    assert players(("oboe", "flute"), Track("", 0), Track("", 0)) == ["oboe", "flute"]
    assert players(("oboe", "flute"), Track("", 0), Track("", 74)) == ["oboe", "flute"]


def test_more_tracks_than_instruments_share():
    assert players(("oboe", "flute"), Track("", 0), Track("", 0), Track("", 73)) == ["oboe", "oboe", "flute"]


def test_voices_become_layers():
    score = notes((0, 1, 60, 80, 0), (0, 1, 64, 80, 0), (0.5, 2, 72, 80, 1), tracks=(Track("flute"), Track("cello")))
    layers = assign(labels("flute", "cello"), score)
    assert [[len(voice) for voice in layer] for layer in layers] == [[1, 1], [1, 0]]


def test_unplayable_notes_are_left_out_and_counted(caplog):
    layers = assign(labels(), notes((0, 1, 60, 80, 0), (1, 2, 20, 80, 0), (2, 3, 100, 80, 0)))
    assert [voice.pitch.tolist() for voice in layers[0]] == [[60]]
    assert "2 of 3 notes" in caplog.text


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (notes(), "has no notes to play$"),
        (notes((0, 1, 40, 80, 0), tracks=(Track("kit", 0, True),)), "only drums"),
        (notes((0, 1, 20, 80, 0)), "none of its 1 notes is one of the run's, C3 to B5: transpose"),
    ],
)
def test_nothing_to_play(score, message):
    with pytest.raises(InputError, match=message):
        assign(labels(), score)


# -- frames -----------------------------------------------------------------------------------------------------------


def test_frames_hold_the_sounding_note_and_silence():
    layer = (notes((0.5, 1.0, 69, 96, 0), (1.0, 1.5, 60, 96, 0)),)
    ids, gain = frames(labels(), layer, 0, 20, 10.0)  # middles at 0.05, 0.15, ...
    assert ids.shape == (20, 1, 3) and gain.shape == (20, 1)
    assert labels().pitch(ids)[:, 0].tolist() == [-1] * 5 + [69] * 5 + [60] * 5 + [-1] * 5
    assert gain[:, 0].tolist() == [0] * 5 + [1] * 10 + [0] * 5


def test_frames_of_parts_are_those_of_the_whole():
    layer = (notes((0.1, 0.33, 69, 96, 0), (0.4, 0.9, 60, 30, 0)), notes((0.2, 0.7, 50, 120, 0)))
    whole = frames(labels("flute", "cello"), layer, 0, 300, 313.0)
    parts = [frames(labels("flute", "cello"), layer, a, b, 313.0) for a, b in ((0, 7), (7, 200), (200, 300))]
    for i in range(2):
        assert torch.equal(torch.cat([part[i] for part in parts]), whole[i])


def test_the_envelope_rises_in_10_ms_and_falls_in_30():
    gain = frames(labels(), (notes((1.0, 2.0, 69, 96, 0)),), 0, 3000, 1000.0)[1][:, 0].numpy()
    assert gain[1000:1010] == pytest.approx((np.arange(10) + 0.5) / 10, abs=1e-5)
    assert gain[1010:1970] == pytest.approx(1)
    assert gain[1970:2000] == pytest.approx((29.5 - np.arange(30)) / 30, abs=1e-5)
    assert not gain[:1000].any() and not gain[2000:].any()


def test_short_notes_have_a_short_envelope():
    gain = frames(labels(), (notes((0.0, 0.02, 69, 96, 0)),), 0, 300, 10000.0)[1][:, 0].numpy()
    assert gain.max() > 0.98 and gain.argmax() == pytest.approx(50, abs=1)  # 5 ms up, 15 ms down


@settings(deadline=None)
@given(st.integers(1, 127))
def test_velocity_trims_within_a_dynamics(velocity):
    gain = frames(labels(), (notes((0.0, 1.0, 69, velocity, 0)),), 15, 16, 30.0)[1].item()
    nominal = 49 if velocity <= 72 else 96
    assert gain == pytest.approx((velocity / nominal) ** 2, rel=1e-5)


def test_an_instrument_without_notes_is_silent():
    ids, gain = frames(labels("flute", "cello"), (notes((0, 1, 69, 96, 0)), Notes.empty()), 0, 3, 10.0)
    assert ids[1].tolist() == [[1, 0, 1], SILENT] and gain[1].tolist() == [1, 0]


def test_a_score_has_one_source_a_voice():
    score = notes((0, 1, 60, 80, 0), (0, 1, 64, 80, 0), (0.5, 2, 72, 80, 1), tracks=(Track("flute"), Track("cello")))
    two = labels("flute", "cello")
    voices, ids = whole_score(two, assign(two, score), 2.0)
    assert voices.instruments == ("flute", "cello", "flute 2", "cello 2")
    assert ids.shape == (60, 4, 3)
    assert voices.pitch(ids)[20].tolist() == [60, 72, 64, -1]
