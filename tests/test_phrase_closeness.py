"""How near phrases are to the nearest of others, and distributions to each other, by hand."""

import math

import numpy as np
import pytest
import torch

from data import phrase_closeness
from data.melody import Melody
from data.phrase_closeness import WAYS, begun, by_events, by_steps, coverage, once, silent
from data.phrase_kinds import KINDS
from utils.distributions import mmd, mmd_to_normal


def test_distances_by_hand():
    phrase = Melody(4)
    x = torch.tensor([[50, 0, 60, 0], [0, 0, 0, 0], [50, 1, 0, 0]])
    y = torch.tensor([[50, 0, 60, 1], [70, 71, 72, 73]])
    steps, events = by_steps(phrase, "melody", x, y), by_events(phrase, "melody", x, y)
    assert steps.distance.tolist() == [0.25, 0.75, 0.75] and steps.place[0] == 0
    assert events.distance.tolist() == pytest.approx([0, 1, 1 - 2 / 3]) and events.place[[0, 2]].tolist() == [0, 0]
    silent = by_events(phrase, "melody", x[1:2], torch.zeros(1, 4, dtype=torch.long))
    assert silent.distance.tolist() == [0]  # of nothing and nothing


def test_a_drum_more_is_near_by_events_but_not_by_steps():
    x, y = torch.zeros(1, 4, 9), torch.zeros(1, 4, 9)
    x[..., 2] = y[..., 2] = 1
    x[:, 0, 0] = 1
    assert by_steps(KINDS["hits"](4), "hits", x, y).distance.tolist() == [0.25]
    assert by_events(KINDS["hits"](4), "hits", x, y).distance.tolist() == pytest.approx([1 - 2 * 4 / 9])


@pytest.mark.parametrize("kind", ["melody", "drums", "hits", "all_hits", "groove", "trio", "remi"])
def test_every_kind_is_at_no_distance_from_itself(kind, monkeypatch):
    if kind == "remi":
        pytest.importorskip("miditok")
    phrase = KINDS[kind](64)
    x = _some(phrase, kind)
    for way in WAYS.values():
        found = way(phrase, kind, x, x)
        assert found.distance.tolist() == [0] * len(x)
    assert begun(phrase, kind, x).shape[0] == len(x) and silent(phrase, kind, torch.zeros_like(x)).all()
    whole = by_events(phrase, kind, x, x[:2])
    monkeypatch.setattr(phrase_closeness, "CELLS", 1)
    parts = by_events(phrase, kind, x, x[:2])
    assert torch.equal(parts.distance, whole.distance)


def _some(phrase, kind):
    random = torch.Generator().manual_seed(1)
    if kind == "remi":
        notes = np.zeros((64, 1, 3), np.int64)
        notes[::4, 0] = [60, 80, 4]
        return torch.stack([torch.from_numpy(phrase.window(np.roll(notes, shift, 0), 0)) for shift in range(3)])
    if kind in ("hits", "all_hits", "groove"):
        return (torch.rand(3, *phrase.shape, generator=random) > 0.8).float()
    highest = 90 if kind != "drums" else 512
    return torch.randint(0, highest, (3, *phrase.shape), generator=random)


def test_coverage_is_what_draws_reach_on_average():
    place = torch.tensor([0, 0, 1, 0])
    assert coverage(place, 4, 4) == pytest.approx(2 / 4)
    assert coverage(place, 4, 1) == pytest.approx(1 / 4)
    assert coverage(place, 4, 2) == pytest.approx((1 + 1 / 2) / 4)  # of 6 pairs 3 have the third
    some = torch.randint(0, 30, (50,), generator=torch.Generator().manual_seed(0))
    drawn = [len(some[torch.randperm(50)[:20]].unique()) / 30 for _ in range(2000)]
    assert coverage(some, 30, 20) == pytest.approx(np.mean(drawn), abs=0.005)


def test_equal_phrases_count_once():
    x = torch.tensor([[3, 3], [1, 2], [3, 3], [0, 5], [1, 2]])
    assert once(x).tolist() == [0, 1, 3]


def test_mmd_of_two_sets():
    random = torch.Generator().manual_seed(0)
    pairs = [torch.randn(2, 50, 3, generator=random) for _ in range(100)]
    estimates = [mmd(*pair) for pair in pairs]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates) / math.sqrt(100)
    y, many = pairs[0][0], torch.randn(2000, 3, generator=random)
    assert mmd(y + 1, y) > 0.1 and mmd(0.3 * y, y) > 0.02
    width = 2.366 / 3  # half the squared distance of two draws of the normal has chi^2 with 3 degrees; its median
    assert mmd(y + 1, many) == pytest.approx(mmd_to_normal(y + 1, [width * scale for scale in (0.25, 1, 4)]), rel=0.05)
    assert math.isnan(mmd(y[:1], y))


def test_mmd_by_hand():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]])
    across = (1 + math.exp(-1) + math.exp(-1 / 4) + math.exp(-1 / 4)) / 4  # a width of half of 4, d^2 / 4
    assert mmd(x, y, [1]) == pytest.approx(math.exp(-1 / 4) + math.exp(-1) - 2 * across, abs=1e-6)
