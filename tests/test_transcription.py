import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes
from data.transcription import levels, transcribe, write_table

RATE = 31.25
CLASSES = (("octave", ("3", "4", "5")), ("pitch", PITCH_CLASSES), ("dynamics", ("p", "f")))
ONE = Labels(CLASSES, ("flute",), True, RATE)
TWO = Labels(CLASSES, ("flute", "cello"), True, RATE)
SILENT = (3, 12, 2)
AROUND = [-90.0] * 5 + [-20.0] * 10 + [-90.0] * 5  # dB, of a note with silence around it


def ids_of(pitches, dynamics=1):
    """Return ids (N, L) of MIDI pitches, None for silence."""
    return np.array([SILENT if p is None else (p // 12 - 4, (p - 9) % 12, dynamics) for p in pitches], int).reshape(-1, 3)


def notes_of(pitches, level=None, **options):
    """Transcribe one instrument; return (pitch, first frame, end frame) of each note."""
    ids = ids_of(pitches, **options)[:, None]
    level = np.full(len(ids), -20.0) if level is None else np.asarray(level, float)
    notes = transcribe(ONE, ids, np.ones(ids.shape), level)
    frames = np.rint(np.stack([notes.onset, notes.offset]) * RATE).astype(int)
    return list(zip(notes.pitch.tolist(), *frames.tolist(), strict=True))


def test_runs_become_notes():
    assert notes_of([None] * 4 + [69] * 6 + [72] * 5 + [None] * 3) == [(69, 4, 10), (72, 10, 15)]


def test_times_are_those_of_frames_and_tracks_those_of_instruments():
    notes = transcribe(ONE, ids_of([69] * 10)[:, None], np.ones((10, 1, 3)), np.zeros(10))
    assert notes.onset.tolist() == [0] and notes.offset.tolist() == [10 / RATE]
    assert notes.tracks == (("flute", 73, False),)
    assert transcribe(ONE, ids_of([69] * 10)[:, None], np.ones((10, 1, 3)), np.zeros(10), rate=10.0).offset.tolist() == [1]


def test_single_wild_frames_vanish():
    assert notes_of([69] * 5 + [81] + [69] * 5) == [(69, 0, 11)]
    assert notes_of([69] * 5 + [None] * 2 + [69] * 5) == [(69, 0, 12)]  # loud, so it sounds


def test_an_unclear_attack_belongs_to_the_note_that_follows():
    assert notes_of([None] * 5 + [50, 77] + [69] * 8 + [None] * 5, AROUND) == [(69, 5, 15)]


def test_an_unclear_end_belongs_to_the_note_before():
    assert notes_of([None] * 5 + [69] * 8 + [50, 77] + [None] * 5, AROUND) == [(69, 5, 15)]


def test_what_is_too_short_alone_is_nothing():
    level = [-90.0] * 10 + [-20.0] * 2 + [-90.0] * 10
    assert notes_of([69] * 22, level) == []


def test_quiet_frames_are_silent():
    level = [-20.0] * 10 + [-66.0] * 5 + [-20.0] * 10  # 46 dB below the loudest
    assert notes_of([69] * 25, level) == [(69, 0, 10), (69, 15, 25)]


def test_what_a_note_smears_around_it_is_silent():
    level = [-90.0] * 5 + [-60.0, -46.0] + [-20.0] * 10 + [-46.0, -55.0] + [-90.0] * 5
    assert notes_of([69] * 24, level) == [(69, 7, 17)]


def test_a_slow_decay_belongs_to_the_note():
    assert notes_of([69] * 20, -2.0 * np.arange(20)) == [(69, 0, 20)]


def test_a_surer_frame_counts_more():
    ids = ids_of([69] * 4 + [81] * 4 + [69] * 4)[:, None]
    confidence = np.ones(ids.shape)
    confidence[4:8, 0, 0] = 0.3  # the octave
    assert len(transcribe(ONE, ids, np.ones(ids.shape), np.zeros(12))) == 3
    assert transcribe(ONE, ids, confidence, np.zeros(12)).pitch.tolist() == [69]


def test_silence_has_no_notes():
    assert notes_of([69] * 25, [-81.0] * 25) == []
    assert notes_of([None] * 25) == []
    assert notes_of([]) == []


def test_a_rise_after_a_dip_strikes_again():
    level = [-20.0] * 8 + [-24.0, -29.0, -24.0, -20.0] + [-20.0] * 8
    assert notes_of([69] * 20, level) == [(69, 0, 10), (69, 10, 20)]


@pytest.mark.parametrize(
    "level",
    [
        [-20.0] * 8 + [-24.0, -27.0, -22.0, -20.0] + [-20.0] * 8,  # by 7 dB only
        [-40.0 + i for i in range(20)],  # slowly
        [-40.0, -30.0, -20.0] + [-20.0] * 17,  # the attack of the note itself
        [-20.0] * 10 + [-21.0 - i for i in range(10)],  # a decay
    ],
)
def test_other_changes_of_level_do_not(level):
    assert notes_of([69] * 20, level) == [(69, 0, 20)]


def test_another_instruments_onset_strikes_nothing_again():
    ids = np.stack([ids_of([69] * 20), ids_of([None] * 10 + [50] * 10)], 1)
    level = np.array([-30.0] * 9 + [-30.5] + [-20.0] * 10)
    notes = transcribe(TWO, ids, np.ones(ids.shape), level)
    assert notes.pitch.tolist() == [69, 50] and notes.track.tolist() == [0, 1]


def test_velocity_is_that_of_the_dynamics_with_the_most_confidence():
    ids = np.concatenate([ids_of([69] * 6, 0), ids_of([69] * 4, 1)])[:, None]
    confidence = np.ones(ids.shape)
    assert transcribe(ONE, ids, confidence, np.zeros(10)).velocity.tolist() == [49]
    confidence[:6, 0, 2] = 0.4
    assert transcribe(ONE, ids, confidence, np.zeros(10)).velocity.tolist() == [96]


def test_without_dynamics_velocity_is_80():
    plain = Labels((("pitch", ("A", "B")),), ("flute",), True, RATE)
    notes = transcribe(plain, np.zeros((5, 1, 1), int), np.ones((5, 1, 1)), np.zeros(5))
    assert notes.pitch.tolist() == [69] and notes.velocity.tolist() == [80]


def test_the_midi_file_has_the_times(tmp_path):
    ids = ids_of([None] * 16 + [69] * 16 + [72] * 32)[:, None]
    transcribe(ONE, ids, np.ones(ids.shape), np.zeros(64)).save(tmp_path / "a.mid")
    notes = Notes.load(tmp_path / "a.mid")
    assert notes.onset == pytest.approx([16 / RATE, 32 / RATE], abs=1e-3)
    assert notes.offset == pytest.approx([32 / RATE, 64 / RATE], abs=1e-3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, 60, 64, 83]), st.integers(5, 12)), max_size=8))
def test_clean_frames_of_any_score_come_back(parts):
    merged = [part for i, part in enumerate(parts) if not i or part[0] != parts[i - 1][0]]
    ends = np.cumsum([0] + [length for _, length in merged]).tolist()
    expected = [(pitch, ends[i], ends[i + 1]) for i, (pitch, _) in enumerate(merged) if pitch is not None]
    assert notes_of([pitch for pitch, length in merged for _ in range(length)]) == expected


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_any_frames_give_valid_notes_without_overlap(n, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, (4, 13, 3), (n, 2, 3)).astype(np.int16)
    notes = transcribe(TWO, ids, rng.random((n, 2, 3)), rng.uniform(-90, 0, n))
    for track in (0, 1):
        mine = notes.take(notes.track == track)
        assert (mine.onset[1:] >= mine.offset[:-1] - 1e-9).all()
    assert (notes.offset <= n / RATE + 1e-9).all()


@pytest.mark.parametrize(("frequency", "decibels"), [(31.62, -39.4), (100, -19.1), (1000, 0), (2512, 1.3), (10000, -2.5)])
def test_levels_are_weighted_as_the_standard_says(frequency, decibels):
    frames = np.array([[35.0], [3.5], [0]])
    assert levels(frames, np.array([frequency]), 35.0).tolist() == pytest.approx([decibels, decibels - 20, -200], abs=0.1)


def test_the_table_has_a_row_a_frame(tmp_path):
    ids = np.stack([ids_of([69, None]), ids_of([None, 60], 0)], 1)
    confidence = np.full(ids.shape, 0.5)
    confidence[1, 1, 0] = np.nan
    write_table(tmp_path / "a.csv", TWO, ids, confidence, {"level_db": np.array([-10.0, -20.126])})
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["time"] for row in rows] == ["0.0000", "0.0320"]
    assert [row["level_db"] for row in rows] == ["-10.0", "-20.126"]
    assert (rows[0]["flute octave"], rows[0]["flute pitch"], rows[0]["flute dynamics"]) == ("4", "A", "f")
    assert (rows[0]["cello pitch"], rows[1]["cello pitch"]) == ("silent", "C")
    assert (rows[0]["flute pitch probability"], rows[1]["cello octave probability"]) == ("0.500", "")


def test_the_table_may_have_no_probabilities(tmp_path):
    write_table(tmp_path / "a.csv", ONE, ids_of([69, None])[:, None])
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "time,flute octave,flute pitch,flute dynamics",
        "0.0000,4,A,f",
        "0.0320,silent,silent,silent",
    ]
