"""Sound as frames: their levels, and how spectra compare."""

import numpy as np
import pytest
import torch

from data.audio import Audio
from data.representations import NSGTMagnitude

SIGNAL = NSGTMagnitude()


def burst(seconds: float, start: float, stop: float, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * SIGNAL.sample_rate)) / SIGNAL.sample_rate
    return (amplitude * np.sin(2 * np.pi * 100 * t) * ((t >= start) & (t < stop))).astype(np.float32)


def test_levels_are_those_of_the_samples_of_each_frame_alone():
    """A low tone rings on in the transform, before and after, but not in the levels."""
    heard = list(SIGNAL.listen([burst(4.0, 1.0, 2.0)]))
    frames, level = torch.cat([h.frames for h in heard]), torch.cat([h.level for h in heard]).numpy()
    times = np.arange(len(level)) / SIGNAL.frame_rate
    within, without = (times > 1.05) & (times < 1.9), (times < 0.95) | (times > 2.0)
    assert level[within] == pytest.approx(20 * np.log10(0.5), abs=0.5)
    assert (level[without] <= -150).all()
    assert (frames[torch.from_numpy(without)].amax(1) > 0.01 * frames.amax()).any()


@pytest.mark.parametrize("size", [1000, 30011, 10**6])
def test_pieces_of_any_length_give_the_same(size):
    sound = np.random.default_rng(0).normal(0, 0.1, 100_000).astype(np.float32)
    pieces = list(SIGNAL.listen(np.split(sound, range(size, len(sound), size))))
    whole = list(SIGNAL.listen([sound]))
    for field in ("frames", "level"):
        assert torch.equal(torch.cat([getattr(h, field) for h in pieces]), torch.cat([getattr(h, field) for h in whole]))
    assert sum(len(h.level) for h in pieces) == -(-len(sound) // SIGNAL.hop)


def test_spectra_compare_from_80_db_below_full_scale_up():
    reference = torch.full((2, 410), 35.0)
    estimate = torch.stack([torch.full((410,), 3.5), torch.full((410,), 35.0)])
    found = SIGNAL.compare(reference, estimate)
    assert found["log_spectral_distance_db"].tolist() == pytest.approx([20.0, 0.0], abs=1e-4)
    assert found["itakura_saito"].tolist() == pytest.approx([100 - np.log(100) - 1, 0.0], rel=1e-4, abs=1e-4)
    nothing = SIGNAL.compare(torch.zeros(1, 410), torch.full((1, 410), 1e-4 * SIGNAL.full_scale))
    assert [nothing[name].item() for name in ("log_spectral_distance_db", "itakura_saito")] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found["level_db"].tolist() == pytest.approx([-20.0, 0.0], abs=1e-4)


@pytest.mark.parametrize("signal", [SIGNAL, NSGTMagnitude(44100, fmax=22000.0), NSGTMagnitude(scale="mel", bins_per_octave=24)])
def test_full_scale_is_the_modulus_of_a_sine_of_amplitude_1(signal):
    band = signal.shape[0] // 2
    sine = np.sin(2 * np.pi * signal.frequencies[band] * np.arange(signal.sample_rate) / signal.sample_rate)
    frames = signal.forward(Audio(sine.astype(np.float32), signal.sample_rate))
    assert frames[len(frames) // 2, band].item() == pytest.approx(signal.full_scale, rel=0.02)
