"""Filters of the synthesis against closed forms."""

import numpy as np
import pytest

from data.synthesis import darken, low_pass, without_offset

RATE = 22050


@pytest.mark.parametrize("resonance", [0, 60, 200])
def test_low_pass_at_its_cutoff(resonance):
    x = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    y = low_pass(x, np.full(100, 1000.0), resonance, RATE)
    assert np.abs(y[RATE // 2 :]).max() == pytest.approx(2**-0.5 * 10 ** (resonance / 200), rel=1e-2)


def test_low_pass_in_blocks_equals_low_pass_at_once():
    x = np.random.default_rng(0).standard_normal(5000)
    cutoff = np.full(20, 2000.0)
    nearly = cutoff + 1e-9 * np.arange(20)
    assert low_pass(x, nearly, 0, RATE) == pytest.approx(low_pass(x, cutoff, 0, RATE), abs=1e-5)
    assert low_pass(x, np.full(20, 20000.0), 0, RATE) is x


@pytest.mark.parametrize(("velocity", "slope"), [(33, 8.0), (80, 4.0), (127, 0.0)])
@pytest.mark.parametrize("frequency", [300, 1000, 5000])
def test_darken(velocity, slope, frequency):
    x = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    y = darken(x, 69, velocity, RATE)
    octaves = 0.5 * np.log2(1 + frequency**2 / (440**2 + 400**2))
    assert 20 * np.log10(np.abs(y[5000:-5000]).max()) == pytest.approx(-slope * octaves, abs=0.05)


def test_darken_is_causal():
    x = np.zeros(4000)
    x[2000] = 1
    assert np.abs(darken(x, 40, 33, RATE)[:1990]).max() < 1e-3


def test_offset_is_taken_away():
    t = np.arange(RATE) / RATE
    y = without_offset(np.sin(2 * np.pi * 440 * t) + 1, 69, RATE)
    assert np.abs(y[RATE // 2 :]).max() == pytest.approx(1, abs=2e-3)
    assert np.abs(y[RATE // 2 :].mean()) < 1e-4
