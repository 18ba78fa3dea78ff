"""The pitch of sounds whose pitch is known. The only tests that run the estimator itself: it is slow to start."""

import numpy as np
import pytest

from utils.pitch import cents_between, fundamental, hertz_of

RATE = 22050
LOW = 50.0  # Hz


def sine(hertz, seconds=0.6, amplitude=0.3):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.mark.parametrize("hertz", [55.0, 449.0, 2093.0, 2637.0, 4186.0])
def test_tones_are_found_within_some_cents(hertz):
    """At 22 050 samples a second, the harmonic ones of over 2000 Hz would be heard an octave or a twelfth below."""
    for sound in (sine(hertz), sum(sine(hertz * h, amplitude=0.3 / h) for h in range(1, int(RATE / 2 / hertz) + 1))):
        assert abs(cents_between(hertz, fundamental(sound, RATE, min(LOW, hertz / 2)))) < 15


def test_a_missing_fundamental_is_heard():
    assert abs(cents_between(220, fundamental(sum(sine(220 * h) for h in (2, 3, 4)), RATE, LOW))) < 15


def test_rumble_is_not_taken_for_the_pitch():
    rumble = sine(17.0, amplitude=0.9)
    assert abs(cents_between(440, fundamental(rumble + sine(440, amplitude=0.05), RATE, 110.0))) < 15


def test_a_tone_that_drifts_has_its_median():
    low, high = sine(300, 0.5), sine(400, 1.0)
    assert abs(cents_between(400, fundamental(np.concatenate([low, high]), RATE, 100.0))) < 15


def test_the_level_does_not_matter():
    assert fundamental(1e-3 * sine(440), RATE, 200.0) == pytest.approx(fundamental(sine(440), RATE, 200.0))


@pytest.mark.parametrize(
    ("samples", "low"),
    [(np.zeros(RATE), LOW), (sine(440, 0.01), LOW), (np.zeros(0), LOW), (sine(440), 5000.0), (sine(440), 6000.0)],
)
def test_silence_and_snippets_have_no_pitch(samples, low):
    assert fundamental(samples, RATE, low) is None


def test_pitches_and_intervals():
    assert [hertz_of(p) for p in (69, 57, 60, 69.5)] == pytest.approx([440, 220, 261.6256, 452.8930])
    assert cents_between(440, 880) == pytest.approx(1200)
    assert cents_between(hertz_of(69), hertz_of(68.5)) == pytest.approx(-50)
