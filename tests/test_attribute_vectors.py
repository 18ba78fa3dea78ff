"""Attribute vectors are the difference of means of phrases with much and with little."""

from types import MappingProxyType, SimpleNamespace

import pytest
import torch

from data.drums import Hits
from models.attribute_vectors import vectors
from models.losses import Normal
from models.phrase import PHRASE


class Known:
    """A model of hits whose latents are how many hits each drum has."""

    config, representations = SimpleNamespace(kind="hits"), MappingProxyType({"phrase": Hits(16)})
    device = torch.device("cpu")

    def encode(self, x, source):
        return Normal(x.sum(1), torch.zeros(len(x), 9))


def hits(*numbers):
    """Return phrases (N, 16, 9) of so many kicks each, at the first steps."""
    x = torch.zeros(len(numbers), 16, 9)
    for row, number in zip(x, numbers, strict=True):
        row[:number, 0] = 1
    return x


def test_quarters_are_compared():
    found = vectors(Known(), [{PHRASE: hits(8, 1, 2, 3)}, {PHRASE: hits(4, 5, 6, 7)}])
    vector = found.vectors["hit_density"]
    assert vector.tolist() == pytest.approx([(7 + 8 - 1 - 2) / 2] + [0] * 8)
    assert (found.little["hit_density"], found.much["hit_density"]) == pytest.approx((1.5 / 16, 7.5 / 16))


def test_what_does_not_differ_has_no_vector():
    found = vectors(Known(), [{PHRASE: hits(1, 2, 3, 4)}])
    assert "hit_density" in found.vectors and "kick_share" not in found.vectors and "kick_share" not in found.little


def test_few_phrases():
    assert vectors(Known(), [{PHRASE: hits(3)}]).vectors == {}
    assert vectors(Known(), [{PHRASE: hits(3, 1)}]).vectors["hit_density"][0] == 2


def test_equal_phrases_keep_their_order():
    x = hits(1, 1, 1, 1, 2, 2, 2, 2)
    x[0, 0, 0], x[0, 0, 5] = 0, 1  # as dense as the next three, another drum
    assert vectors(Known(), [{PHRASE: x}]).vectors["hit_density"][5] == pytest.approx(-0.5)
