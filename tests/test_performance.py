"""Frames sound as long, as high and as often struck as they say, and their files say the same."""

import numpy as np
import pytest

from data import score_files
from data.audio import Audio
from data.performance import TEMPOS, perform, save
from data.rolls import KEYS, from_notes, from_steps
from data.sampler import TAIL
from tests.fonts import font, frequency_of
from tests.pieces import SCALE
from utils.config import InputError
from utils.pitch import hertz_of

RATE = 11025
CHORDS = [[], [48, 60, 64], [48, 60, 65], [48], [], [50, 62], [50, 62]]


def seconds_of(sound, start, end):
    return sound.samples[round(start * sound.sample_rate) : round(end * sound.sample_rate)]


def level(samples):
    return float(np.sqrt((samples**2).mean()))


@pytest.mark.parametrize(("steps", "tempo", "seconds"), [(1, 120, 1.0), (1, 60, 2.0), (4, 120, 0.25), (2, 90, 2 / 3)])
def test_silence_lasts_as_long_as_its_frames(steps, tempo, seconds):
    sound = perform(np.zeros((2, KEYS), bool), steps, tempo, sample_rate=RATE)
    assert (sound.sample_rate, len(sound.samples)) == (RATE, round(seconds * RATE))
    assert sound.samples.dtype == np.float32
    assert sound.silent


def test_no_frames_are_no_sound():
    assert perform(np.zeros((0, KEYS), bool)).duration == 0


def test_notes_fade_after_their_frames_and_rests_stay():
    struck = perform(from_steps([[60]]), sample_rate=RATE)
    assert 0.5 < struck.duration <= 0.5 + TAIL
    rested = perform(from_steps([[60]] + [[]] * 19), sample_rate=RATE)
    assert rested.duration == 10
    np.testing.assert_array_equal(rested.samples[: len(struck.samples)], struck.samples)
    assert not rested.samples[len(struck.samples) :].any()


def test_sound_begins_at_its_step():
    sound = perform(from_steps([[], [], [60]]), steps=2, tempo=60, sample_rate=RATE)
    assert not seconds_of(sound, 0, 1).any()
    assert level(seconds_of(sound, 1, 1.2)) > 0.01


@pytest.mark.parametrize("pitch", [48, 60, 69, 81])
def test_pitch_is_heard(pitch):
    sound = perform(from_steps([[pitch]] * 2), sample_rate=RATE)
    heard = frequency_of(seconds_of(sound, 0.2, 1), RATE)
    nearest = heard / hertz_of(pitch) / max(1, round(heard / hertz_of(pitch)))  # the highest peak may be an overtone
    assert abs(1200 * np.log2(nearest)) < 15


def test_lowest_and_highest_key_sound():
    for column in (0, KEYS - 1):
        assert not perform(np.eye(KEYS, dtype=bool)[[column]], sample_rate=RATE).silent


def test_held_pitch_is_one_note_and_a_rest_strikes_it_anew():
    held, repeated = (perform(from_steps(steps), 4, sample_rate=RATE) for steps in ([[60]] * 16, ([[60]] * 7 + [[]]) * 2))
    assert held.duration > 2
    before, after = (slice(round(start * RATE), round((start + 0.05) * RATE)) for start in (0.94, 1.01))
    assert level(held.samples[after]) < 1.2 * level(held.samples[before])  # it only decays
    assert level(repeated.samples[after]) > 2 * level(repeated.samples[before])


def test_velocity_is_loudness():
    soft, loud = (perform(from_steps([[60]]), sample_rate=RATE, velocity=velocity) for velocity in (40, 110))
    assert level(loud.samples) > 4 * level(soft.samples)


def test_font_is_the_one_that_is_given(tmp_path):
    (tmp_path / "x.sf2").write_bytes(font([{"sample": 0}]))
    own, given = (perform(from_steps([[60]]), soundfont=path, sample_rate=RATE) for path in (None, tmp_path / "x.sf2"))
    assert not given.silent
    assert not np.array_equal(own.samples[:1000], given.samples[:1000])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_files_say_the_same_frames(tmp_path, steps):
    frames = from_steps(CHORDS)
    names = save(tmp_path / "new" / "a.b", frames, steps, 90, sample_rate=RATE)
    assert names == ["a.b.mid", "a.b.wav"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    score = score_files.read(tmp_path / "new" / "a.b.mid")
    assert score.tempo == pytest.approx(90, rel=1e-4)
    np.testing.assert_array_equal(from_notes(score.onset, score.offset, score.pitch, steps), frames)
    sound = Audio.load(tmp_path / "new" / "a.b.wav")
    assert sound.sample_rate == RATE
    np.testing.assert_allclose(sound.samples, perform(frames, steps, 90, sample_rate=RATE).samples, atol=1 / 32768)


def test_files_of_silence(tmp_path):
    assert save(tmp_path / "rest", np.zeros((4, KEYS)), sample_rate=RATE) == ["rest.mid", "rest.wav"]
    assert Audio.load(tmp_path / "rest.wav").duration == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tempo": 0.0}, "the tempo is 0: it must lie within 4-1000"),
        ({"tempo": float("nan")}, "the tempo is nan"),
        ({"tempo": TEMPOS[1] + 1}, "the tempo is 1001"),
        ({"sample_rate": 10}, "the sample rate in Hz is 10: it must lie within 1000-192000"),
        ({"velocity": 128}, "a note has velocity 128"),
        ({"soundfont": "no.sf2"}, "no.sf2: cannot be read"),
        ({"soundfont": __file__}, "test_performance.py"),
    ],
)
def test_what_cannot_be_played_is_refused(wrong, words):
    with pytest.raises(InputError, match=words) as error:
        perform(from_steps([SCALE]), **wrong)
    assert "\n" not in str(error.value)


def test_no_file_is_written_of_what_cannot_be_played(tmp_path):
    with pytest.raises(InputError, match=r"no\.sf2"):
        save(tmp_path / "x", from_steps([SCALE]), soundfont="no.sf2")
    assert not list(tmp_path.iterdir())


def test_an_hour_is_the_most(tmp_path):
    frames = np.zeros((7201, KEYS), bool)
    with pytest.raises(InputError, match="7201 steps last longer than 3600 s, the most that is played"):
        save(tmp_path / "x", frames)
    assert perform(frames[1:], sample_rate=1000).duration == 3600
    assert not list(tmp_path.iterdir())
