"""Windowed transforms: what their frames are, that pieces do not matter, and how near their sound comes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data import phase
from data.audio import Audio
from data.representations import NSGTMagnitude
from data.spectra import SpectraStore
from data.spectral import KINDS, DCTSpectrum, STFTMagnitude, _plan, transform
from utils.config import InputError

RATE = 22050
STFT, DCT = STFTMagnitude(), DCTSpectrum()
BOTH = pytest.mark.parametrize("signal", [STFT, DCT], ids=["stft", "dct"])


def audio(samples, rate=RATE) -> Audio:
    return Audio(np.asarray(samples, np.float32), rate)


def sine(hertz: float, seconds: float = 1.0, amplitude: float = 1.0, start: float = 0.0) -> Audio:
    return audio(amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE + start))


def note(hertz: float, seconds: float = 1.5) -> Audio:
    """Return a struck note of ten partials, with silence before and after."""
    t = np.arange(int(seconds * RATE)) / RATE - 0.2
    envelope = np.where((t >= 0) & (t < seconds - 0.5), np.exp(-2 * t) * np.minimum(1, t / 0.01), 0)
    return audio(0.3 * envelope * sum(np.sin(2 * np.pi * k * hertz * t + k) / k for k in range(1, 11)))


def rustle(seconds: float = 1.5) -> Audio:
    """Return noise that falls by 6 dB an octave and swells and fades."""
    draws = np.random.default_rng(0).normal(0, 0.02, int(seconds * RATE))
    brown = scipy.fft.irfft(scipy.fft.rfft(draws) / np.maximum(np.arange(len(draws) // 2 + 1) / 300, 1), len(draws))
    return audio(brown * np.sin(np.pi * np.arange(len(draws)) / len(draws)) ** 2)


def convergence(signal, frames, made) -> float:
    """Return how far the frames of the sound that was made are from those wanted, relative to these."""
    return float((signal.forward(made) - frames).norm() / frames.norm())


# -- what a frame is --------------------------------------------------------------------------------------------------


@BOTH
def test_a_frame_is_the_mean_of_three_windows(signal):
    """Against the transforms of numpy and scipy; frame 20 begins at sample 13200, and windows stand around 10 ms each."""
    samples = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    shape = 1 - np.cos(2 * np.pi * (np.arange(882) + 0.5) / 882)
    windows = [samples[begin : begin + 882] * shape for begin in range(13200 - 331, 13200 - 331 + 660, 220)]
    found = {
        STFT: [np.abs(np.fft.rfft(window))[1:441] for window in windows],
        DCT: [np.abs(scipy.fft.dct(window, 2) / 2)[1:881] * np.pi / 2 for window in windows],
    }[signal]
    expected = np.mean(found, 0) * 2 * signal.full_scale / shape.sum()
    assert signal.forward(audio(samples))[20].numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@BOTH
def test_the_geometry(signal):
    assert (signal.hop, signal.full_scale, signal.scale) == (660, 33.0, "linear")
    assert signal.frame_rate == pytest.approx(33.4, abs=0.01)
    assert signal.shape == {STFT: (440,), DCT: (880,)}[signal]
    assert signal.frequencies[[0, -1]] == pytest.approx([11000 / signal.shape[0], 11000])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("kind", [STFTMagnitude, DCTSpectrum])
def test_other_rates(rate, kind):
    signal = kind(rate, 3000.0)
    band = signal.shape[0] // 2
    t = np.arange(rate) / rate
    frames = signal.forward(audio(np.sin(2 * np.pi * signal.frequencies[band] * t + 0.7), rate))[5:25]
    assert frames.mean(0).argmax() == band
    if kind is STFTMagnitude:
        assert frames[:, band].numpy() == pytest.approx(signal.full_scale, rel=1e-2)
    assert signal.frame_rate == pytest.approx(33.3, abs=0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hertz", [500.0, 2012.5])
def test_a_sine_peaks_at_its_frequency(kind, hertz):
    signal = transform(kind)
    middle = torch.cat([signal.forward(sine(hertz, start=start))[7:9] for start in (0, 1, 2)]).mean(0)
    assert signal.frequencies[middle.argmax()] == pytest.approx(hertz, abs=12.6 + 0.015 * hertz)


@pytest.mark.parametrize("amplitude", [1.0, 0.01])
def test_a_sine_has_full_scale(amplitude):
    stft = STFT.forward(sine(1000, amplitude=amplitude))[5:-5, 39]
    assert stft.numpy() == pytest.approx(amplitude * 33, rel=1e-3)
    starts = np.linspace(0, np.pi, 24, endpoint=False)
    dct = torch.cat([DCT.forward(sine(1000, 0.2, amplitude, start))[2:-2, 79] for start in starts])
    assert float(dct.mean()) == pytest.approx(amplitude * 33, rel=1e-2)
    assert float(dct.max()) < amplitude * 33 * 1.58


@BOTH
def test_levels_are_those_of_the_samples(signal):
    (heard,) = signal.listen([sine(1000, amplitude=0.5).samples])
    assert heard.level[:-1].numpy() == pytest.approx(20 * np.log10(0.5), abs=0.1)


@BOTH
def test_spectra_compare_from_80_db_below_full_scale_up(signal):
    quiet, none = torch.full((1, *signal.shape), 0.9e-4 * signal.full_scale), torch.zeros(1, *signal.shape)
    assert signal.compare(none, quiet)["log_spectral_distance_db"].item() == 0
    assert signal.compare(none, 10 * quiet)["log_spectral_distance_db"].item() == pytest.approx(19.08, abs=0.01)


# -- pieces -----------------------------------------------------------------------------------------------------------


@BOTH
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 150_000), max_size=5))
def test_frames_do_not_depend_on_the_pieces(signal, cuts):
    sound = np.random.default_rng(1).normal(0, 0.1, 150_000).astype(np.float32)
    pieces, whole = (list(signal.listen(parts)) for parts in (np.split(sound, sorted(cuts)), [sound]))
    for field in ("frames", "level"):
        assert torch.equal(torch.cat([getattr(h, field) for h in pieces]), torch.cat([getattr(h, field) for h in whole]))
    assert sum(len(heard.level) for heard in pieces) == 228


@BOTH
def test_a_note_has_the_same_frames_wherever_it_stands(signal):
    alone = signal.forward(note(220))
    late = signal.forward(audio(np.concatenate([np.zeros(90 * 660), note(220).samples])))
    torch.testing.assert_close(late[90:], alone, rtol=1e-4, atol=1e-4)


@BOTH
def test_files_are_read_as_sound_is(signal, tmp_path):
    note(220).save(tmp_path / "note.wav")
    read = signal.read(tmp_path / "note.wav")
    torch.testing.assert_close(read, torch.cat(list(signal.stream(tmp_path / "note.wav"))), rtol=0, atol=1e-6)
    torch.testing.assert_close(read, signal.forward(note(220)), rtol=0, atol=0.05)


@BOTH
def test_endless_sound_and_endless_frames_pass(signal):
    assert len(list(itertools.islice(signal.listen(itertools.repeat(rustle(0.5).samples)), 2))) == 2
    frames = signal.forward(rustle(0.5))
    assert sum(map(len, itertools.islice(signal.synthesise(itertools.repeat(frames), 1), 2))) == 2 * 96 * 660


# -- back to sound ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signal", "most"), [(STFT, (0.04, 0.08)), (DCT, (0.25, 0.25))], ids=["stft", "dct"])
def test_sound_has_nearly_the_frames_that_were_asked_for(signal, most):
    for sound, error in zip((note(196), rustle()), most, strict=True):
        frames = signal.forward(sound)
        made = signal.invert(frames, 15)
        assert len(made.samples) == len(frames) * 660
        assert convergence(signal, frames, made) < error


@BOTH
def test_the_transform_is_undone(signal):
    plan = _plan(signal)
    samples = torch.from_numpy(note(880, plan.length / RATE).samples[: plan.length])
    samples = torch.nn.functional.pad(samples, (0, plan.length - len(samples)))
    assert (plan.inverse(plan.forward(samples)) - samples).norm() < 0.01 * samples.norm()


def test_only_the_mean_of_held_points_is_imposed():
    """A better fit to the frames than holding each window to it, most of all where windows flutter."""
    frames = DCT.forward(note(196))
    points = torch.nn.functional.pad(frames.T.repeat_interleave(3, -1), (0, 3 * (128 - len(frames))))
    plan = _plan(DCT)
    start = plan.start(points, torch.zeros(4800))
    made = {held: phase.retrieve(points, plan.forward, plan.inverse, 15, start=start, held=held) for held in (1, 3)}
    error = {held: convergence(DCT, frames, audio(samples[: len(frames) * 660])) for held, samples in made.items()}
    assert error[3] < 0.7 * error[1]


@BOTH
def test_pieces_of_frames_and_fine_frames_sound_the_same(signal):
    frames = signal.forward(note(330, 4.0))[:100]
    whole = signal.invert(frames, 2).samples
    pieces = np.concatenate(list(signal.synthesise(frames.split(37), 2)))
    fine = np.concatenate(list(signal.synthesise(frames.repeat_interleave(10, 0).split(123), 2, fine=True)))
    assert np.array_equal(pieces, whole)
    assert fine == pytest.approx(whole, abs=1e-4)


@BOTH
def test_fine_frames_are_rounded_up_to_windows(signal):
    fine = signal.forward(rustle(0.5)).repeat_interleave(10, 0)
    assert [sum(map(len, signal.synthesise([fine[:n]], 1, fine=True))) for n in (10, 11, 14, 20)] == [660, 880, 1100, 1320]


@pytest.mark.parametrize(("signal", "most"), [(STFT, 1.1), (DCT, 2.0)], ids=["stft", "dct"])
def test_a_steady_sine_has_no_click(signal, most):
    """Neither within blocks nor where they join: the second difference would show it. The ends of the sound are left out."""
    samples = sine(440, 7.0, 0.5)
    made = signal.invert(signal.forward(samples), 5).samples
    bends = [np.abs(np.diff(sound[8000:-8000], 2)).max() for sound in (made, samples.samples)]
    assert bends[0] < most * bends[1]


@BOTH
def test_the_same_frames_make_the_same_sound(signal):
    frames = signal.forward(rustle(0.5))
    assert np.array_equal(signal.invert(frames, 3).samples, signal.invert(frames, 3).samples)


# -- what is small or wrong -------------------------------------------------------------------------------------------


@BOTH
def test_silence_stays_silent(signal):
    frames = signal.forward(audio(np.zeros(RATE)))
    assert not frames.any()
    assert not signal.invert(frames, 3).samples.any()


@pytest.mark.parametrize("kind", KINDS)
def test_sound_shorter_than_a_window(kind):
    signal = transform(kind)
    assert signal.forward(audio([0.5])).shape == (1, *signal.shape)
    assert signal.forward(audio([])).shape == (0, *signal.shape)


@BOTH
def test_numbers_that_are_none_are_refused(signal, tmp_path):
    soundfile.write(tmp_path / "bad.wav", np.array([0.0, np.nan, 0.0]), RATE, "FLOAT")
    with pytest.raises(InputError, match="NaN"):
        signal.read(tmp_path / "bad.wav")
    with pytest.raises(InputError, match="undefined"):
        signal.invert(torch.full((4, *signal.shape), torch.nan))


@BOTH
def test_sound_at_another_rate_is_refused(signal):
    with pytest.raises(ValueError, match="44100 Hz"):
        signal.forward(audio(np.zeros(100), 44100))


@pytest.mark.parametrize("fmax", [11025.0, 24.0, -1.0, float("nan")])
@pytest.mark.parametrize("kind", ["stft", "dct"])
def test_ranges_without_bands_are_refused(kind, fmax):
    with pytest.raises(InputError, match="fmax"):
        _ = transform(kind, fmax=fmax).shape


# -- by name, and in the cache ----------------------------------------------------------------------------------------


def test_transforms_by_name():
    assert [type(transform(kind)) for kind in KINDS] == [NSGTMagnitude] * 3 + [STFTMagnitude, DCTSpectrum]
    assert transform("nsgt-erb", 44100, 40.0, 9000.0, 24) == NSGTMagnitude(44100, 40.0, 9000.0, 24, "erb")
    assert transform("dct", 44100, 40.0, 9000.0, 24) == DCTSpectrum(44100, 9000.0)
    for unknown in ("", "nsgt", "nsgt-bark", "STFT"):
        with pytest.raises(InputError, match="choose one of nsgt-octave"):
            transform(unknown)


def test_cached_spectra_stay_where_they_were_and_are_never_mixed_up():
    folders = {kind: SpectraStore(Path("none"), transform(kind).settings, 410).folder.name for kind in KINDS}
    assert (folders["nsgt-octave"], folders["nsgt-mel"]) == ("31d4c66d22824c67", "74a12f5e370986d9")
    assert len(set(folders.values())) == len(KINDS)
    assert transform("stft", 44100).settings != transform("stft").settings != transform("stft", fmax=8000.0).settings
