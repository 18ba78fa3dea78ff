"""Descriptors on a grid in a latent space that is known: where they change, and where not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from models import descriptor_maps
from models.atlas import Atlas
from models.base import LatentModel
from models.descriptor_maps import descriptor_map
from utils.config import InputError
from utils.descriptors import NAMES

FREQUENCIES = np.array([100.0, 200, 400, 800, 1600])
CORNERS = torch.tensor([[-1.0, 0, -5, 7], [3, 4, 5, 7], [0, 2, 0, 7]])


class Tones(LatentModel):
    """Decode a sine in the band that the second latent dimension says, as loud as the first; told 1, an octave higher."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.representations, self.seen = {"signal": SimpleNamespace(frequencies=FREQUENCIES, full_scale=35.0)}, []

    def decode(self, z, target, condition=None):
        self.seen.append((target, len(z), None if condition is None else tuple(condition.shape)))
        band = z[:, 1].round().long() + (0 if condition is None else condition[:, 0])
        return self.weight * 10.0 ** z[:, :1] * nn.functional.one_hot(band.clamp(0, 4), 5)


def atlas(means: torch.Tensor = CORNERS, axes: torch.Tensor | None = None) -> Atlas:
    """Return an atlas whose axes are the first three dimensions, in their order, from 0."""
    axes = torch.eye(4)[:3] if axes is None else axes
    return Atlas(("a", "b"), torch.tensor([0, 1, 1]), means, torch.zeros(4), axes)


def test_each_axis_is_its_own():
    """The centroid changes along the second axis alone, the level along the first."""
    found = descriptor_map(Tones(), atlas(), 5, None)
    assert set(found.values) == set(NAMES)
    assert {values.shape for values in found.values.values()} == {(5, 5, 5)}
    expected = np.broadcast_to(FREQUENCIES[None, :, None], (5, 5, 5))
    np.testing.assert_allclose(found.values["centroid"], expected, rtol=1e-5)
    steps = np.diff(found.values["loudness"], axis=0)
    np.testing.assert_allclose(steps, 20, rtol=1e-4)  # a power of ten in magnitude each
    for axis in (1, 2):
        np.testing.assert_allclose(np.diff(found.values["loudness"], axis=axis), 0, atol=1e-4)
    assert np.abs(found.values["bandwidth"]).max() < 0.01


def test_the_box_is_that_of_the_notes():
    found = descriptor_map(Tones(), atlas(), 3, None)
    np.testing.assert_allclose(found.axes, [[-1, 1, 3], [0, 2, 4], [-5, 0, 5]])
    assert found.points["a"].tolist() == [-1, 0, -5]
    assert found.points["b"].tolist() == [1.5, 3, 2.5]


def test_axes_that_are_not_those_of_the_latent():
    """The first axis is the second dimension: the centroid changes along it."""
    turned = descriptor_map(Tones(), atlas(axes=torch.eye(4)[[1, 2, 0]]), 5, None)
    np.testing.assert_allclose(turned.values["centroid"][:, 2, 3], FREQUENCIES, rtol=1e-5)
    np.testing.assert_allclose(np.diff(turned.values["loudness"], axis=2), 20, rtol=1e-4)
    np.testing.assert_allclose(turned.axes[0], np.linspace(0, 4, 5))


def test_it_is_told_the_same_everywhere():
    model = Tones()
    found = descriptor_map(model, atlas(), 3, torch.tensor([1]))
    np.testing.assert_allclose(found.values["centroid"][0, :, 0], [200, 800, 1600], rtol=1e-5)
    assert model.seen == [("signal", 27, (27, 1))]


def test_many_points_are_decoded_in_parts(monkeypatch):
    whole = descriptor_map(Tones(), atlas(), 4, None)
    monkeypatch.setattr(descriptor_maps, "CHUNK", 10)
    model = Tones()
    parts = descriptor_map(model, atlas(), 4, None)
    assert [n for _, n, _ in model.seen] == [10] * 6 + [4]
    for name in NAMES:
        np.testing.assert_array_equal(whole.values[name], parts.values[name])


def test_silence_has_a_level_only():
    found = descriptor_map(Tones(), atlas(CORNERS - torch.tensor([20.0, 0, 0, 0])), 2, None)
    assert np.isnan(found.values["centroid"]).all()
    assert (found.values["loudness"] == -100).all()


def test_three_axes_are_needed():
    with pytest.raises(InputError, match="needs 3 latent dimensions, this run has 2"):
        descriptor_map(Tones(), atlas(axes=torch.eye(4)[:2]), 3, None)
