"""MIDI files as stretches of one metre, in sixteenths."""

import struct

import numpy as np
import pytest

from data.sequences import Sequence, quantised, quantised_notes, read_midi
from tests.sequences import midi_file, sequence
from utils.config import InputError


def test_halves_go_to_the_later_step_and_no_note_vanishes():
    assert quantised([0, 0.49, 0.5, 1.5, 2.5, 7.51]).tolist() == [0, 0, 1, 2, 3, 8]
    start, end = quantised_notes(sequence([(0, 0.3, 60), (1.5, 2.4, 60), (1.4, 2.6, 60)]))
    assert start.tolist() == [0, 2, 1]
    assert end.tolist() == [1, 3, 3]


def test_columns_have_their_types_and_can_be_taken():
    notes = sequence([(0, 1, 60), (1, 2, 62)], drum=True, bar=12.0)
    assert (notes.onset.dtype, notes.pitch.dtype, notes.drum.dtype) == (np.float64, np.int64, np.bool_)
    later = notes.take(notes.onset > 0)
    assert (len(later), later.pitch.tolist(), later.bar) == (1, [62], 12.0)


def test_times_are_ticks_of_the_score_whatever_the_tempo(tmp_path):
    """Two quarters at 60 a minute, two at 120: 3 s, so 80 a minute in the mean; one stretch."""
    notes = [(0, 480, 60, 90), (960, 450, 62), (1440, 480, 64)]
    (found,) = read_midi(midi_file(tmp_path / "a.mid", notes, tempos=[(0, 60), (960, 120)]))
    assert found.onset.tolist() == [0, 8, 12]
    assert found.offset.tolist() == [4, 11.75, 16]
    assert (found.pitch.tolist(), found.velocity.tolist()) == ([60, 62, 64], [90, 80, 80])
    assert found.tempo == pytest.approx(80)
    assert (found.bar, found.first) == (16, 0)


def test_it_is_four_four_at_120_where_the_file_tells_nothing(tmp_path):
    (found,) = read_midi(midi_file(tmp_path / "a.mid", [(0, 96, 60)], ticks=96))
    assert (found.bar, found.tempo, found.offset.tolist()) == (16, 120, [4])


def test_a_change_of_metre_cuts(tmp_path):
    """3/4 for a bar and then 4/4; the second note is held over the change."""
    notes = [(0, 480, 60), (960, 960, 62), (1440, 480, 64), (1920, 480, 65)]
    waltz, march = read_midi(midi_file(tmp_path / "a.mid", notes, [(0, 3, 4), (1440, 4, 4)]))
    assert (waltz.bar, waltz.first, march.bar, march.first) == (12, 0, 16, 3)
    assert waltz.onset.tolist() == [0, 8]
    assert waltz.offset.tolist() == [4, 12]
    assert march.onset.tolist() == [0, 4]
    assert march.pitch.tolist() == [64, 65]


def test_tempi_are_of_each_stretch(tmp_path):
    notes = [(0, 1440, 60), (1440, 1920, 62)]
    metres, tempos = [(0, 3, 4), (1440, 4, 4)], [(0, 100), (1440, 50)]
    assert [s.tempo for s in read_midi(midi_file(tmp_path / "a.mid", notes, metres, tempos))] == pytest.approx([100, 50])


@pytest.mark.parametrize(
    ("metres", "bars"),
    [
        ([(0, 4, 4), (960, 4, 4)], [16]),  # said twice
        ([(0, 3, 4), (0, 6, 8)], [12]),  # the last one said counts
        ([(0, 4, 4), (960, 0, 4)], [16]),  # makes no sense
        ([(960, 5, 8)], [16, 10]),  # 4/4 until then
        ([(0, 2, 2)], [16]),
        ([(0, 3, 4), (9600, 4, 4)], [12]),  # after the last note
        ([(0, 4, 4), (480, 3, 4), (480, 4, 4)], [16]),
    ],
)
def test_metres(tmp_path, metres, bars):
    assert [s.bar for s in read_midi(midi_file(tmp_path / "a.mid", [(0, 480, 60), (1440, 480, 62)], metres))] == bars


def test_stretches_without_notes_are_left_out_but_for_a_silent_file(tmp_path):
    (found,) = read_midi(midi_file(tmp_path / "a.mid", [(1440, 480, 60)], [(0, 3, 4), (1440, 4, 4)]))
    assert (found.bar, found.first, found.onset.tolist()) == (16, 3, [0])
    (silent,) = read_midi(midi_file(tmp_path / "b.mid", [], [(0, 3, 4)]))
    assert (len(silent), silent.bar, silent.tempo) == (0, 12, 120)
    assert isinstance(silent, Sequence)


def test_channel_10_is_drums(tmp_path):
    (found,) = read_midi(midi_file(tmp_path / "a.mid", [(0, 120, 36)], drum=True))
    assert found.drum.tolist() == [True]


def test_files_that_cannot_be_read_say_why(tmp_path):
    long = midi_file(tmp_path / "long.mid", [(0, 40_000 * 24, 60)], ticks=24)
    with pytest.raises(InputError, match=r"long\.mid: lasts 40000 quarter notes"):
        read_midi(long)
    with pytest.raises(InputError, match="cannot be read"):
        read_midi(tmp_path / "absent.mid")
    (tmp_path / "text.mid").write_text("no MIDI")
    with pytest.raises(InputError, match="not a whole MIDI file"):
        read_midi(tmp_path / "text.mid")


def test_times_that_wrapped_are_refused(tmp_path):
    """A note more than 2^31 ticks after the first."""
    wait = 9 * (b"\xff\xff\xff\x7f" + b"\xff\x01\x00")
    track = b"\x00\x90\x3c\x50\x60\x80\x3c\x00" + wait + b"\x00\x90\x46\x50\x60\x80\x46\x00" + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 32767)
    (tmp_path / "x.mid").write_bytes(header + b"MTrk" + struct.pack(">I", len(track)) + track)
    with pytest.raises(InputError, match=r"x\.mid: (its times do not make sense|lasts)"):
        read_midi(tmp_path / "x.mid")
