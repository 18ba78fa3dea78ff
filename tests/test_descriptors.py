"""Descriptors against closed forms, on bands of any spacing, with gradients that stay finite."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.config import InputError
from utils.descriptors import FLOOR, NAMES, SHARE, UNITS, describe

FULL = 35.2
SPACINGS = {
    "octave": torch.from_numpy(np.geomspace(30, 11000, 41)),
    "linear": torch.linspace(0, 11025, 41, dtype=torch.float64),
    "mel": torch.from_numpy(700 * (10 ** (np.linspace(40, 3000, 41) / 2595) - 1)),
}
OCTAVE = SPACINGS["octave"]
LINES = st.lists(st.floats(1e-3, 1.0), min_size=41, max_size=41)  # of full scale, all above the floor


def lines(*bands, level=1.0):
    """Return a spectrum (F,) with equal lines in some bands and nothing else."""
    spectrum = torch.zeros(41, dtype=torch.float64)
    spectrum[list(bands)] = level * FULL
    return spectrum


@pytest.fixture(params=SPACINGS)
def frequencies(request):
    return SPACINGS[request.param]


def test_names_have_units():
    assert NAMES == ("centroid", "bandwidth", "flatness", "rolloff", "loudness")
    assert [UNITS[name] for name in NAMES] == ["Hz", "Hz", "", "Hz", "dB"]


@pytest.mark.parametrize("band", [0, 17, 40])
def test_a_pure_tone_is_its_own_centroid(frequencies, band):
    found = describe(lines(band), frequencies, FULL)
    assert found["centroid"].item() == pytest.approx(frequencies[band].item())
    assert found["bandwidth"].item() == pytest.approx(0, abs=2e-3)


def test_of_two_equal_tones_the_mean_and_half_the_distance(frequencies):
    found = describe(lines(8, 30), frequencies, FULL)
    assert found["centroid"].item() == pytest.approx((frequencies[8] + frequencies[30]).item() / 2)
    assert found["bandwidth"].item() == pytest.approx((frequencies[30] - frequencies[8]).item() / 2)


def test_unequal_tones_weigh_by_magnitude():
    spectrum = 3 * lines(10) + lines(20)
    low, high = OCTAVE[10].item(), OCTAVE[20].item()
    found = describe(spectrum, OCTAVE, FULL)
    assert found["centroid"].item() == pytest.approx((3 * low + high) / 4)
    assert found["bandwidth"].item() == pytest.approx((high - low) * 3**0.5 / 4)  # of a coin with p = 1/4


def test_flatness_of_white_and_of_a_line():
    assert describe(torch.ones(41), OCTAVE, FULL)["flatness"].item() == pytest.approx(1)
    assert describe(lines(7), OCTAVE, FULL)["flatness"].item() == pytest.approx(41 * FLOOR ** (40 / 41))


def test_flatness_of_two_levels():
    spectrum = torch.tensor([1.0, 3.0], dtype=torch.float64)  # powers 1 and 9
    assert describe(spectrum, OCTAVE[:2], FULL)["flatness"].item() == pytest.approx(3 / 5)


def test_rolloff_of_white_is_linear_between_bands():
    bands = torch.arange(1.0, 21) * 100
    assert describe(torch.ones(20), bands, FULL)["rolloff"].item() == pytest.approx(1700)  # band 17 of 20
    assert describe(torch.ones(10), bands[:10], FULL)["rolloff"].item() == pytest.approx(850)  # between bands 8 and 9
    assert describe(torch.eye(10)[0], bands[:10], FULL)["rolloff"].item() == pytest.approx(100)


@given(LINES)
@settings(deadline=None, max_examples=50)
def test_rolloff_lies_at_or_below_the_first_band_with_the_share(levels):
    spectrum = torch.tensor(levels, dtype=torch.float64)
    band = int(np.argmax(np.cumsum(levels) >= SHARE * np.sum(levels)))
    found = describe(spectrum, OCTAVE, 1.0, ["rolloff"])["rolloff"].item()
    assert OCTAVE[max(band - 1, 0)] * (1 - 1e-9) <= found <= OCTAVE[band] * (1 + 1e-9)


def test_rolloff_goes_from_band_to_band_without_a_jump():
    moving = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    spectra = 1 + (1 - moving) * lines(5, 10, 20) + moving * lines(20, 30, 35)
    rolloff = describe(spectra, OCTAVE, FULL, ["rolloff"])["rolloff"]
    assert rolloff.diff().abs().max() < (rolloff.max() - rolloff.min()) / 50


def test_loudness_is_the_level_of_the_mean_square():
    assert describe(torch.full((41,), FULL), OCTAVE, FULL)["loudness"].item() == pytest.approx(0, abs=1e-5)
    assert describe(torch.full((41,), FULL / 10), OCTAVE, FULL)["loudness"].item() == pytest.approx(-20, abs=1e-4)
    assert describe(lines(3), OCTAVE, FULL)["loudness"].item() == pytest.approx(-10 * np.log10(41))


@given(LINES, st.floats(-2, 2))
@settings(deadline=None, max_examples=50)
def test_shape_does_not_depend_on_level_and_loudness_follows_it(levels, exponent):
    spectrum = torch.tensor(levels, dtype=torch.float64)
    one, other = describe(spectrum, OCTAVE, 1.0), describe(10**exponent * spectrum, OCTAVE, 1.0)
    for name in NAMES[:-1]:
        assert other[name].item() == pytest.approx(one[name].item(), rel=1e-7, abs=1e-5)
    assert (other["loudness"] - one["loudness"]).item() == pytest.approx(20 * exponent, abs=1e-7)


def test_full_scale_is_only_a_unit():
    spectrum = torch.rand(41, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, other = describe(spectrum, OCTAVE, 1.0), describe(spectrum * 7, OCTAVE, 7.0)
    assert all(torch.allclose(one[name], other[name]) for name in NAMES)


def test_bounds_hold_for_noise(frequencies):
    found = describe(torch.rand(500, 41, generator=torch.Generator().manual_seed(0)), frequencies, 1.0)
    low, high = frequencies[0], frequencies[-1]
    assert ((found["centroid"] > low) & (found["centroid"] < high)).all()
    assert ((found["bandwidth"] > 0) & (found["bandwidth"] < (high - low) / 2)).all()
    assert ((found["flatness"] > 0) & (found["flatness"] < 1)).all()
    assert ((found["rolloff"] > found["centroid"]) & (found["rolloff"] < high)).all()


def test_any_batch_and_any_choice():
    spectra = torch.rand(2, 3, 41, generator=torch.Generator().manual_seed(0))
    together = describe(spectra, OCTAVE, 1.0)
    assert all(values.shape == (2, 3) and values.dtype == torch.float32 for values in together.values())
    alone = describe(spectra[1, 2], OCTAVE, 1.0, ["rolloff", "centroid"])
    assert list(alone) == ["rolloff", "centroid"]
    assert all(torch.allclose(alone[name], together[name][1, 2]) for name in alone)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_formula(name):
    spectra = 0.1 + torch.rand(4, 41, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda x: describe(x, OCTAVE, 1.0, [name])[name], spectra.requires_grad_())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("silence", [0.0, 1e-12, 1e-6])
def test_silence_has_no_shape_and_spoils_no_gradient(name, silence):
    spectra = torch.stack([torch.full((41,), silence), torch.linspace(0, 1, 41), torch.eye(41)[9]]).requires_grad_()
    found = describe(spectra, OCTAVE, 1.0, [name])[name]
    assert found[1:].isfinite().all()
    assert found[0].item() == -100 if name == "loudness" else found[0].isnan()
    found.sum().backward()
    assert spectra.grad.isfinite().all()
    assert not spectra.grad[0].any()
    assert spectra.grad[1].any()


def test_an_unknown_name_is_told():
    with pytest.raises(InputError, match="'brightness' is not known; there are centroid, bandwidth"):
        describe(torch.ones(41), OCTAVE, 1.0, ["centroid", "brightness"])


def test_librosa_agrees_on_even_bands():
    librosa = pytest.importorskip("librosa")
    spectra = np.random.default_rng(0).random((6, 513))
    even = np.linspace(0, 11025, 513)
    found = describe(torch.from_numpy(spectra), torch.from_numpy(even), 1.0)
    reference = {
        "centroid": librosa.feature.spectral_centroid(S=spectra.T, freq=even),
        "bandwidth": librosa.feature.spectral_bandwidth(S=spectra.T, freq=even),
        "flatness": librosa.feature.spectral_flatness(S=spectra.T),
    }
    for name, values in reference.items():
        np.testing.assert_allclose(found[name], values[0], rtol=1e-9)
    rolloff = librosa.feature.spectral_rolloff(S=spectra.T, freq=even)[0]
    assert ((found["rolloff"].numpy() <= rolloff) & (found["rolloff"].numpy() > rolloff - even[1])).all()
