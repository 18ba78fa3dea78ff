"""The transform against the `nsgt` package, stored numbers of it, closed forms and its own inverse."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data import nsgt
from data.nsgt import NSGT, SlicedNSGT, fast_length, frequencies, geometry, transform
from tests import oracle
from utils.config import InputError

RATE = 22050
needs_oracle = pytest.mark.skipif(oracle.load() is None, reason="the nsgt package is not installed")


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bands(coefficients):
    """Return each band's coefficients, as arrays."""
    groups = [coefficients] if isinstance(coefficients, torch.Tensor) else coefficients
    return [band.numpy() for group in groups for band in group]


def as_coefficients(t, arrays):
    """Return bands in the shape that a transform gives."""
    groups = np.split(np.arange(len(arrays)), np.cumsum([group.bands for group in t.groups])[:-1])
    tensors = [torch.as_tensor(np.stack([arrays[band] for band in group])) for group in groups]
    return torch.cat(tensors) if t.form == "matrix" else tensors


def distance(found, expected):
    """Return the largest difference, relative to the largest number."""
    found, expected = np.concatenate([*map(np.ravel, found)]), np.concatenate([*map(np.ravel, expected)])
    return np.abs(found - expected).max() / np.abs(expected).max()


# -- the reference ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", json.loads(oracle.GOLDEN.read_text()), ids=lambda c: f"{c['length']}-{c['form']}-{c['ends']}")
def test_equals_the_stored_numbers(case):
    t = NSGT(case["length"], form=case["form"], ends=case["ends"], dtype=torch.float64)
    samples = torch.as_tensor(oracle.signal(case["length"]))
    found = oracle.numbers(lambda: bands(t.forward(samples)), lambda c: t.inverse(as_coefficients(t, c)).numpy())
    assert found["widths"] == case["widths"]
    for key in ("energy", "coefficients", "samples"):
        np.testing.assert_allclose(found[key], case[key], rtol=1e-11, atol=1e-11)


@needs_oracle
@pytest.mark.parametrize("matrix", [True, False])
@pytest.mark.parametrize("reduced", [0, 1])
@pytest.mark.parametrize("length", [1009, 5003, 22050, 44101])
def test_equals_the_package(length, reduced, matrix):
    theirs = oracle.build(length, reduced, matrix)
    ours = NSGT(length, form="matrix" if matrix else "ragged", ends=not reduced, dtype=torch.float64)
    samples = noise(length)
    expected = list(theirs.forward(samples.numpy()))
    assert distance(bands(ours.forward(samples)), expected) < 1e-12
    arbitrary = oracle.coefficients([len(band) for band in expected])
    assert distance([ours.inverse(as_coefficients(ours, arbitrary)).numpy()], [theirs.backward(arbitrary)]) < 1e-12


@needs_oracle
@pytest.mark.parametrize("length", [44100, 220500])
def test_equals_the_package_in_float32(length):
    samples = noise(length, dtype=torch.float32)
    expected = list(oracle.build(length).forward(samples.double().numpy()))
    assert distance(bands(NSGT(length).forward(samples)), expected) < 1e-6


@needs_oracle
@pytest.mark.parametrize("reduced", [0, 1])
@pytest.mark.parametrize("scale, bins", [("octave", 12), ("log", 30), ("mel", 40), ("linear", 25)])
def test_equals_the_package_on_every_scale(scale, bins, reduced):
    theirs = oracle.build(4411, reduced, True, scale, 1000, 9000, bins)
    count = {"bins_per_octave" if scale == "octave" else "n_bins": bins}
    ours = NSGT(4411, fmin=1000, fmax=9000, scale=scale, ends=not reduced, dtype=torch.float64, **count)
    samples = noise(4411)
    coefficients = ours.forward(samples)
    assert distance(bands(coefficients), list(theirs.forward(samples.numpy()))) < 1e-12
    assert distance([ours.inverse(coefficients).numpy()], [theirs.backward(list(coefficients.numpy()))]) < 1e-12


@pytest.mark.parametrize("seconds, frames", [(0.5, 157), (1, 313), (2, 626), (3, 939), (6, 1878), (10, 3131)])
def test_reference_sizes(seconds, frames):
    _, widths = geometry(frequencies(), int(seconds * RATE), RATE)
    assert widths[1:-1].max() == frames
    assert len(widths) == 412


def test_reference_frequencies():
    centres = frequencies()
    assert centres[[0, -1]] == pytest.approx([30, 11000])
    assert np.abs(centres - 440).argmin() == 186
    assert centres[1:] / centres[:-1] == pytest.approx(1.0145410, abs=1e-7)


# -- closed forms -----------------------------------------------------------------------------------------------------


def test_a_sine_has_the_magnitude_of_the_closed_form():
    t = NSGT(RATE, dtype=torch.float64)
    band = 300
    place = int(t.positions[band])  # a whole number of periods
    sine = torch.sin(2 * torch.pi * place * torch.arange(RATE, dtype=torch.float64) / RATE)
    magnitudes = t.forward(sine).abs()
    torch.testing.assert_close(magnitudes[band], torch.full_like(magnitudes[band], RATE / (2 * t.frames)), rtol=1e-9, atol=0)
    assert magnitudes[:299].max() < 1e-9 and magnitudes[302:].max() < 1e-9


@pytest.mark.parametrize("scale", ["octave", "mel", "erb", "linear"])
def test_scales_step_evenly_between_their_ends(scale):
    centres = frequencies(scale, 100, 8000, n_bins=50)
    assert len(centres) == 50 and centres[[0, -1]] == pytest.approx([100, 8000])
    steps = {"octave": np.log, "mel": lambda f: np.log(f + 700), "erb": lambda f: np.log(f + 1 / 0.00437), "linear": np.asarray}
    assert np.diff(steps[scale](centres), 2) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n, expected", [(1, 1), (7, 8), (313, 320), (939, 960), (3131, 3200), (3125, 3125)])
def test_fast_length(n, expected):
    assert fast_length(n) == expected


@pytest.mark.parametrize("n, p, width", [(34, 2, 34), (93, 3, 50), (93, 31, 93), (17, 1, 5), (3131, 31, 400)])
def test_factored_kernel_is_the_fourier_kernel(n, p, width):
    plain, factored = nsgt._Fourier(n), nsgt._Factored(n, p, width, torch.complex128, torch.device("cpu"))
    offsets = np.arange(width) - width // 2
    grids = [torch.zeros(2, 3, kernel.cells, dtype=torch.complex128) for kernel in (plain, factored)]
    places = [torch.as_tensor(kernel.place(offsets)) for kernel in (plain, factored)]
    values = torch.complex(noise(2, 3, width), noise(2, 3, width, seed=1))
    for grid, place in zip(grids, places, strict=True):
        grid[..., place] = values
    points = plain.forward(grids[0])
    torch.testing.assert_close(factored.forward(grids[1]), points, rtol=0, atol=1e-13)
    torch.testing.assert_close(factored.inverse(points)[..., places[1]], values, rtol=0, atol=1e-12)


# -- the inverse ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(4, 2500),
    scale=st.sampled_from(["octave", "log", "linear", "mel", "erb"]),
    form=st.sampled_from(nsgt.FORMS),
    n_bins=st.integers(8, 60),
    seed=st.integers(0, 99),
)
def test_the_inverse_with_ends_is_exact(length, scale, form, n_bins, seed):
    t = NSGT(length, scale=scale, form=form, n_bins=n_bins, ends=True, dtype=torch.float64)
    samples = noise(2, length, seed=seed)
    assert (t.inverse(t.forward(samples)) - samples).norm() <= 1e-11 * samples.norm()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-13), (torch.float32, 1e-6)])
@pytest.mark.parametrize("config", [{}, {"frames": "fast"}, {"frames": 400}, {"form": "octave"}, {"form": "ragged"}])
@pytest.mark.parametrize("length", [22050, 21991])
def test_the_inverse_is_as_exact_as_its_numbers(length, config, dtype, tolerance):
    t = NSGT(length, ends=True, dtype=dtype, **config)
    samples = noise(length, dtype=dtype)
    assert (t.inverse(t.forward(samples)) - samples).norm() <= tolerance * samples.norm()


def test_the_inverse_of_ten_seconds_is_exact():
    t = NSGT(220500, ends=True)
    samples = noise(220500, dtype=torch.float32)
    assert t.frames == 3131
    assert (t.inverse(t.forward(samples)) - samples).norm() <= 1e-6 * samples.norm()


def test_without_ends_a_tone_survives_and_noise_loses_its_ends():
    t = NSGT(RATE, dtype=torch.float64)
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(RATE, dtype=torch.float64) / RATE)
    assert (t.inverse(t.forward(tone)) - tone).norm() <= 1e-12 * tone.norm()
    samples = noise(RATE)
    assert 0.03 < (t.inverse(t.forward(samples)) - samples).norm() / samples.norm() < 0.1


def test_more_points_are_the_same_bands_sampled_more_often():
    samples = noise(11025)
    coarse, fine = NSGT(11025, frames=160, dtype=torch.float64), NSGT(11025, frames=320, dtype=torch.float64)
    torch.testing.assert_close(fine.forward(samples)[:, ::2] * 2, coarse.forward(samples), rtol=0, atol=1e-12)


# -- tensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", nsgt.FORMS)
def test_batches_are_their_members(form, monkeypatch):
    monkeypatch.setattr(nsgt, "CHUNK", 20000)  # so that a batch comes in parts
    t = NSGT(3000, form=form, dtype=torch.float64)
    samples = noise(2, 3, 3000)
    together, alone = ([c] if form == "matrix" else c for c in (t.forward(samples), t.forward(samples[1, 2])))
    for group, member in zip(together, alone, strict=True):
        torch.testing.assert_close(group[1, 2], member, rtol=0, atol=1e-12)
    back = t.inverse(together[0] if form == "matrix" else together)
    assert back.shape == samples.shape
    torch.testing.assert_close(back[1, 2], t.inverse(alone[0] if form == "matrix" else alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", nsgt.FORMS)
def test_gradients(form, monkeypatch):
    monkeypatch.setattr(nsgt, "CHUNK", 1)  # so that a batch comes in parts
    t = NSGT(25, n_bins=3, form=form, ends=True, dtype=torch.float64)
    assert torch.autograd.gradcheck(t.forward, (noise(2, 25).requires_grad_(),))
    coefficients = t.forward(noise(2, 25))
    leaves = [c.requires_grad_() for c in ([coefficients] if form == "matrix" else coefficients)]
    assert torch.autograd.gradcheck(lambda *c: t.inverse(c[0] if form == "matrix" else list(c)), leaves)


def test_gradients_of_the_factored_kernel():
    kernel = nsgt._Factored(34, 2, 9, torch.complex128, torch.device("cpu"))
    grid = torch.complex(noise(1, 2, kernel.cells), noise(1, 2, kernel.cells, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: kernel.inverse(kernel.forward(g)), (grid,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", [{}, {"form": "octave"}])
def test_devices_agree(config):
    samples = noise(220500)
    here, there = (NSGT(220500, dtype=torch.float64, device=device, **config) for device in ("cpu", "cuda"))
    assert (
        distance([there.inverse(there.forward(samples.cuda())).cpu().numpy()], [here.inverse(here.forward(samples)).numpy()])
        < 1e-12
    )


def test_a_configuration_is_planned_once():
    assert transform(3000, frames="fast") is transform(3000, frames="fast")
    assert transform(3000, frames="fast") is not transform(3000, frames="fast", dtype=torch.float64)


# -- slices -----------------------------------------------------------------------------------------------------------


def sliced(**config):
    return SlicedNSGT(16384, 4096, fmin=200, bins_per_octave=12, dtype=torch.float64, **config)


def test_slices_invert_exactly():
    t = sliced(frames="fast", ends=True)
    samples = noise(2, 5 * 16384)
    back = torch.cat(list(t.inverse(t.forward(samples.split(16384, -1)))), -1)
    torch.testing.assert_close(back, samples, rtol=0, atol=1e-12)


def test_slices_come_one_by_one():
    t = sliced(frames="fast")
    seen = []
    slices = t.forward(seen.append(k) or noise(16384, seed=k) for k in range(9))
    next(slices)
    assert seen == [0]
    assert len(list(slices)) == 9


def test_joined_slices_are_the_whole_transform():
    samples = noise(8 * 16384)
    whole = NSGT(8 * 16384, fmin=200, bins_per_octave=12, frames=8 * 1024, dtype=torch.float64).forward(samples).abs()
    joined = torch.cat(list(sliced(frames=2048).joined(samples.split(16384))), -1).abs()
    inner = slice(1024, -1024)  # the whole transform is circular, a stream is not
    assert (joined - whole)[:, inner].norm() < 0.01 * whole[:, inner].norm()


def test_no_blocks_no_slices():
    t = sliced(frames="fast")
    assert list(t.forward([])) == list(t.joined([])) == list(t.inverse([])) == []


# -- what a user can mend ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length, config, message",
    [
        (3, {}, "3 samples"),
        (RATE, {"scale": "bark"}, "'bark' is not known; choose one of octave"),
        (RATE, {"fmin": 0}, "from 0 to 11000.0 Hz"),
        (RATE, {"fmin": 500, "fmax": 400}, "from 500 to 400 Hz"),
        (RATE, {"fmax": 11025}, "half the sample rate, 11025.0 Hz"),
        (RATE, {"n_bins": 1}, "1 bands"),
        (RATE, {"form": "square"}, "'square' is not known; choose one of matrix, octave, ragged"),
        (RATE, {"frames": 312}, "frames=312 does not do for bands 313 bins wide"),
        (RATE, {"frames": 400.5}, "frames=400.5"),
        (RATE, {"frames": "slow"}, "frames='slow'"),
        (RATE, {"frames": 400, "form": "octave"}, "frames=400 does not go with the octave form"),
    ],
)
def test_bad_configurations(length, config, message):
    with pytest.raises(InputError, match=message) as error:
        NSGT(length, **config)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "slope, config, message",
    [
        (0, {}, "slope of 0 samples"),
        (4097, {}, "slope of 4097 samples"),
        (100, {"form": "octave"}, "matrix form"),
        (100, {"frames": 401}, "even number"),
    ],
)
def test_bad_slices(slope, config, message):
    with pytest.raises(InputError, match=message):
        SlicedNSGT(4096, slope, **config)


def test_samples_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 99\) given to a transform of 3000 samples"):
        NSGT(3000).forward(torch.zeros(2, 99))
