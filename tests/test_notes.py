"""Notes: MIDI round trips, tempo changes, bad files; voices; pitch names; dynamics."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.notes import (
    DYNAMICS,
    PITCH_CLASSES,
    Notes,
    Track,
    name_of,
    nearest_dynamics,
    parse_pitch,
    parse_pitch_class,
    pitch_of,
    velocities_of,
    velocity_of,
)
from utils.config import InputError

TICKS = 1920  # a second, of written files
ON, OFF = b"\x90\x3c\x40", b"\x80\x3c\x40"  # C4, velocity 64
END = b"\x00\xff\x2f\x00"


def midi(events: bytes, division: int = 480) -> bytes:
    """Return a MIDI file of one track."""
    track = events + END
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, division) + b"MTrk" + struct.pack(">I", len(track)) + track


def tempo(microseconds: int) -> bytes:
    return b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def notes(rows, tracks=(Track(),)) -> Notes:
    """Make notes of rows (onset, offset, pitch, velocity, track)."""
    return Notes(*np.array(rows, float).reshape(-1, 5).T, tracks=tracks)


def load(folder, content: bytes) -> Notes:
    path = folder / "x.mid"
    path.write_bytes(content)
    return Notes.load(path)


# --- reading and writing


@st.composite
def pieces(draw) -> Notes:
    """Draw notes of several tracks in which no pitch overlaps itself."""
    names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)
    tracks = draw(st.lists(st.tuples(names, st.integers(0, 127), st.booleans()), min_size=1, max_size=20))
    free = {}
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        track, pitch = draw(st.integers(0, len(tracks) - 1)), draw(st.integers(0, 127))
        onset = free.get((track, pitch), 0) + draw(st.floats(0, 100))
        offset = free[track, pitch] = onset + draw(st.floats(0.002, 100))
        rows.append((onset, offset, pitch, draw(st.integers(1, 127)), track))
    return notes(rows, tuple(Track(*track) for track in tracks))


def rows_of(piece: Notes) -> list:
    """Return rows that compare equal when the music is: times in ticks, tracks by what they are."""
    times = (np.rint(column * TICKS).astype(int).tolist() for column in (piece.onset, piece.offset))
    labels = [tuple(piece.tracks[track]) for track in piece.track]
    return sorted(zip(*times, piece.pitch.tolist(), piece.velocity.tolist(), labels, strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(piece=pieces())
def test_round_trip(tmp_path, piece):
    piece.save(tmp_path / "deep" / "x.mid")
    again = Notes.load(tmp_path / "deep" / "x.mid")
    assert rows_of(again) == rows_of(piece)
    assert (np.diff(again.onset) >= 0).all()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["x.mid"]


def test_other_readers_agree(tmp_path):
    import pretty_midi

    piece = notes([(0, 1.5, 60, 80, 0), (1.5, 2, 60, 100, 0), (0.25, 0.5, 38, 127, 1)], (Track("a", 40), Track("b", 0, True)))
    piece.save(tmp_path / "x.mid")
    violin, drums = pretty_midi.PrettyMIDI(str(tmp_path / "x.mid")).instruments
    assert (violin.program, violin.is_drum, drums.is_drum) == (40, False, True)
    assert [(n.start, n.end, n.pitch, n.velocity) for n in violin.notes] == [(0, 1.5, 60, 80), (1.5, 2, 60, 100)]
    assert [(n.start, n.end, n.pitch, n.velocity) for n in drums.notes] == [(0.25, 0.5, 38, 127)]


def test_empty_round_trip(tmp_path):
    Notes.empty().save(tmp_path / "x.mid")
    assert len(Notes.load(tmp_path / "x.mid")) == 0
    assert Notes.empty().duration == 0


def test_shortest_note_survives(tmp_path):
    notes([(1, 1 + 1e-6, 60, 1, 0)]).save(tmp_path / "x.mid")
    assert Notes.load(tmp_path / "x.mid").offset[0] == pytest.approx(1 + 1 / TICKS)


def test_tempo_changes(tmp_path):
    # 120 by default for one quarter, then 60, then 240 in the middle of the second note
    events = b"\x00" + ON + b"\x83\x60" + tempo(1_000_000) + b"\x00" + OFF + b"\x00" + ON
    events += b"\x81\x70" + tempo(250_000) + b"\x81\x70" + OFF
    piece = load(tmp_path, midi(events))
    assert piece.onset == pytest.approx([0, 0.5])
    assert piece.offset == pytest.approx([0.5, 0.5 + 0.5 + 0.125])


def test_last_of_two_tempos_at_once_counts(tmp_path):
    events = b"\x00" + tempo(1) + b"\x00" + tempo(1_000_000) + b"\x00" + ON + b"\x83\x60" + OFF
    assert load(tmp_path, midi(events)).offset == pytest.approx([1.0])


def test_tracks_are_told_apart(tmp_path):
    events = b"\x00\xc0\x05" + b"\x00" + ON + b"\x10" + OFF  # program 5
    events += b"\x00\xc0\x07" + b"\x00" + ON + b"\x10" + OFF  # program 7
    events += b"\x00\x99\x24\x40\x10\x89\x24\x40"  # channel 10: drums
    piece = load(tmp_path, midi(events))
    assert [(piece.tracks[t].program, piece.tracks[t].drum) for t in piece.track] == [(5, False), (7, False), (0, True)]


def test_notes_of_no_length_are_dropped(tmp_path):
    piece = load(tmp_path, midi(b"\x00" + ON + b"\x00" + OFF + b"\x00" + ON + b"\x10" + OFF))
    assert len(piece) == 1
    assert len(load(tmp_path, midi(b"\x00" + ON + b"\x00" + OFF)).tracks) == 0


GOOD = midi(b"\x00" + ON + b"\x60" + OFF)
BAD = {
    "empty": b"",
    "text": b"no MIDI at all, but longer than a header",
    "header only": GOOD[:14],
    "cut": GOOD[:-6],
    "division 0": midi(b"\x00" + ON + b"\x60" + OFF, 0),
    "SMPTE": midi(b"\x00" + ON + b"\x60" + OFF, 0xE728),
    "tempo 0": midi(b"\x00" + tempo(0) + b"\x00" + ON + b"\x60" + OFF),
    "days": midi(b"\x00" + tempo(0xFFFFFF) + b"\x00" + ON + b"\xff\xff\xff\x7f" + OFF, 24),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    with pytest.raises(InputError, match=r"x\.mid: ") as error:
        load(tmp_path, BAD[name])
    assert "\n" not in str(error.value)


def test_missing_folder_and_huge(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        Notes.load(tmp_path / "none.mid")
    with pytest.raises(InputError, match="cannot be read"):
        Notes.load(tmp_path)
    with open(tmp_path / "huge.mid", "wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match="64 MiB"):
        Notes.load(tmp_path / "huge.mid")


def test_unwritable(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        Notes.empty().save(tmp_path / "file" / "x.mid")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_crash(tmp_path, data):
    base = bytearray(
        midi(b"\x00" + tempo(400_000) + b"\x00\xc1\x03\x00\x91\x40\x50" + b"\x00" + ON + b"\x60" + OFF + b"\x08\x40\x00")
    )
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(base) - 1), st.integers(0, 255)), max_size=4)):
        base[place] = value
    cut = data.draw(st.integers(0, len(base)))
    try:
        piece = load(tmp_path, bytes(base[:cut]))
    except InputError:
        return
    assert (piece.offset > piece.onset).all()


# --- notes as a value


@pytest.mark.parametrize(
    "row",
    [
        (0, 1, 128, 64, 0),
        (0, 1, -1, 64, 0),
        (0, 1, 60, 0, 0),
        (0, 1, 60, 128, 0),
        (0, 1, 60, 64, 1),
        (-1, 1, 60, 64, 0),
        (1, 1, 60, 64, 0),
        (2, 1, 60, 64, 0),
        (0, np.inf, 60, 64, 0),
        (0, np.nan, 60, 64, 0),
        (0, 86401, 60, 64, 0),
    ],
)
def test_what_midi_cannot_say(row):
    with pytest.raises(InputError):
        notes([row])


def test_wrong_program_and_lengths():
    with pytest.raises(InputError, match="program 128"):
        notes([], (Track("", 128),))
    with pytest.raises(ValueError, match="one length"):
        Notes([0], [1], [60, 61], [64], [0], (Track(),))


def test_transpose_leaves_drums():
    piece = notes([(0, 1, 60, 64, 0), (0, 1, 36, 64, 1)], (Track(), Track("", 0, True)))
    assert piece.transpose(-12).pitch.tolist() == [48, 36]
    assert Notes.empty().transpose(5).pitch.tolist() == []
    with pytest.raises(InputError, match="by less"):
        piece.transpose(68)
    with pytest.raises(InputError, match="transpose by less"):
        piece.transpose(10**30)


def test_merge_keeps_tracks_apart():
    a, b = notes([(0, 1, 60, 64, 0)], (Track("a"),)), notes([(0, 1, 61, 65, 1)], (Track("b"), Track("c")))
    both = Notes.merge([a, Notes.empty(), b])
    assert [both.tracks[t].name for t in both.track] == ["a", "c"]
    assert len(Notes.merge([])) == 0


# --- voices


def intervals():
    note = st.tuples(st.integers(0, 40), st.integers(1, 10), st.integers(40, 80))
    return st.lists(note.map(lambda n: (n[0] / 4, (n[0] + n[1]) / 4, n[2], 64, 0)), max_size=40)


@settings(deadline=None)
@given(rows=intervals())
def test_voices_are_few_and_complete(rows):
    piece = notes(rows)
    voices = piece.voices()
    for voice in voices:
        assert (voice.onset[1:] >= voice.offset[:-1]).all()
    depth = max([((piece.onset <= t) & (piece.offset > t)).sum() for t in piece.onset], default=0)
    assert len(voices) == depth
    assert sorted(row for voice in voices for row in rows_of(voice)) == rows_of(piece)


def test_voices_follow_the_nearest_pitch_and_allow_a_millisecond():
    piece = notes([(0, 1, 48, 64, 0), (0, 1, 72, 64, 0), (1, 2, 70, 64, 0), (1, 2, 50, 64, 0), (1.9995, 3, 71, 64, 0)])
    assert [voice.pitch.tolist() for voice in piece.voices()] == [[48, 50], [72, 70, 71]]
    late = notes([(0, 1, 60, 64, 0), (0.998, 2, 60, 64, 0)])
    assert len(late.voices()) == 2


# --- names


@pytest.mark.parametrize(
    ("name", "pitch"),
    [
        ("C4", 60),
        ("A4", 69),
        ("As4", 70),
        ("A#4", 70),
        ("A♯4", 70),
        ("Bb4", 70),
        ("B♭4", 70),
        ("bb4", 70),
        ("C-1", 0),
        ("G9", 127),
        ("Cb4", 59),
        ("B#3", 60),
        ("Fs2", 42),
        ("b3", 59),
        ("D##4", 64),
        ("Ebb4", 62),
        (" c4 ", 60),
    ],
)
def test_parse_pitch(name, pitch):
    assert parse_pitch(name) == pitch


@pytest.mark.parametrize("name", ["", "H4", "C", "4", "C#b4", "G#9", "Cb-1", "C44", "C4x", "C4\n5"])
def test_no_pitch(name):
    with pytest.raises(InputError):
        parse_pitch(name)


def test_pitch_classes():
    assert [PITCH_CLASSES.index(name_of(pitch)[0]) for pitch in range(60, 72)] == [(pc + 3) % 12 for pc in range(12)]
    assert parse_pitch_class("Bb") == parse_pitch_class("a♯") == parse_pitch_class("As") == "A#"
    assert parse_pitch_class("Cb") == "B"
    assert parse_pitch_class("B#") == "C"
    with pytest.raises(InputError, match="pitch class"):
        parse_pitch_class("A4")


@given(pitch=st.integers(0, 127))
def test_names_and_pitches_are_inverse(pitch):
    pitch_class, octave = name_of(pitch)
    assert pitch_of(pitch_class, octave) == parse_pitch(f"{pitch_class}{octave}") == pitch


def test_pitches_out_of_range():
    for wrong in (lambda: name_of(128), lambda: name_of(-1), lambda: pitch_of("A", 9), lambda: pitch_of("X", 4)):
        with pytest.raises(InputError):
            wrong()


# --- dynamics


def test_velocities():
    assert [velocity_of(name) for name in DYNAMICS] == [16, 33, 49, 64, 80, 96, 112, 126]
    assert velocity_of("mezzo-forte") == 80
    assert velocity_of("075") == 75
    for wrong in ("loud", "0", "128", ""):
        with pytest.raises(InputError, match="no dynamics"):
            velocity_of(wrong)


def test_tables_of_a_corpus():
    assert velocities_of(("soft", "loud")) == (32, 95)
    assert velocities_of(("pp", "odd", "ff")) == (33, 64, 112)
    assert velocities_of(("025", "127")) == (25, 127)
    assert nearest_dynamics(70, ("pp", "p", "mf", "f", "ff")) == "mf"
    assert nearest_dynamics(88, ("f", "mf")) == "mf"
    assert nearest_dynamics(1, ("only",)) == "only"


@given(velocity=st.integers(1, 127))
def test_nearest_dynamics_is_nearest(velocity):
    name = nearest_dynamics(velocity, DYNAMICS)
    assert abs(velocity_of(name) - velocity) == min(abs(velocity_of(other) - velocity) for other in DYNAMICS)
