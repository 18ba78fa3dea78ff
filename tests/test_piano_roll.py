"""Piano-rolls and classes as modalities: their shapes, and scores by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.piano_roll import BEYOND, Classes, PianoRoll, exists
from tests.classifying_runs import rolls

KEYS = Classes("key", ("A", "B-", "C"))


def roll(*steps):
    """Return one window (1, T, 88): the keys that sound in each step; None beyond the end."""
    frames = torch.zeros(1, len(steps), 88)
    for place, keys in enumerate(steps):
        if keys is None:
            frames[0, place] = BEYOND
        else:
            frames[0, place, keys] = 1
    return frames


def compared(reference, estimate, lag=0):
    found = PianoRoll(reference.shape[1] - lag, lag).compare(reference, estimate)
    assert all(score.shape == (1,) and score.dtype == torch.double for score in found.values())
    return tuple(score.item() for score in found.values())


def test_shapes_and_rates():
    assert PianoRoll(16, 1).shape == (17, 88)
    assert PianoRoll(1).frame_rate == 2  # quarters a second, at 120 a minute
    assert PianoRoll(16, 1, quarter=4).frame_rate == 0.5
    assert PianoRoll(1).text(roll([3])) is None
    assert PianoRoll(1).facets(roll([3])) == {}


def test_scores_of_notes_by_hand():
    """Three right of four named and of five true; one of three frames wholly right."""
    reference, estimate = roll([1, 2], [3, 4], [5]), roll([1, 2], [3], [7])
    assert compared(reference, estimate) == pytest.approx((3 / 4, 3 / 5, 6 / 9, 1 / 3))
    assert compared(estimate, reference) == pytest.approx((3 / 5, 3 / 4, 6 / 9, 1 / 3))
    assert compared(reference, reference) == (1, 1, 1, 1)


def test_keys_sound_from_a_probability_of_a_half():
    reference, estimate = roll([1, 2]), roll([])
    estimate[0, 0, 1], estimate[0, 0, 2], estimate[0, 0, 3] = 0.5, 0.49, 0.49
    assert compared(reference, estimate) == pytest.approx((1, 1 / 2, 2 / 3, 0))


def test_what_only_tells_and_what_is_beyond_the_end_does_not_count():
    reference, estimate = roll([9], [1], [2], None, None), roll([], [1], [2], [3], [])
    assert compared(reference, estimate, lag=1) == (1, 1, 1, 1)
    assert compared(reference, roll([], [1], [], [2], [2]), lag=1) == pytest.approx((1, 1 / 2, 2 / 3, 1 / 2))


@pytest.mark.parametrize(
    ("true", "named", "scores"),
    [([], [], (1, 1, 1, 1)), ([], [4], (0, 1, 0, 0)), ([4], [], (1, 0, 0, 0)), ([4], [5], (0, 0, 0, 0))],
)
def test_windows_without_notes(true, named, scores):
    assert compared(roll(true), roll(named)) == scores


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 5), st.floats(0, 0.3))
def test_the_f_measure_is_the_harmonic_mean(seed, steps, density):
    reference, estimate = rolls(3, steps, seed, density), rolls(3, steps, seed + 1, 0.2)
    found = PianoRoll(steps).compare(reference, estimate)
    precision, recall = found["precision"], found["recall"]
    told = reference.any(-1).any(-1) & estimate.any(-1).any(-1) & (precision + recall > 0)
    harmonic = 2 * precision * recall / (precision + recall)
    assert torch.allclose(found["f_measure"][told], harmonic[told])
    assert all(((score >= 0) & (score <= 1)).all() for score in found.values())


def test_what_exists():
    assert exists(roll([1], [], None)).tolist() == [[True, True, False]]


# -- classes ----------------------------------------------------------------------------------------------------------


def test_classes_by_name():
    x = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    assert KEYS.shape == (3,)
    assert KEYS.text(x) == ["B-", "C"]
    facet = KEYS.facets(x)["key"]
    assert (facet.ids.tolist(), facet.names) == ([1, 2], ("A", "B-", "C"))


def test_the_most_likely_class_is_compared():
    reference, estimate = torch.eye(3), torch.tensor([[0.4, 0.3, 0.3], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    assert KEYS.compare(reference, estimate)["key"].tolist() == [1, 0, 1]


def test_polls_are_of_mean_probabilities():
    """Item 4: two of three windows name the wrong class, but the mean does not. Item 2: the other way round."""
    estimate = torch.tensor([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.4, 0.6, 0], [0.0, 0.9, 0.1], [0.0, 0.4, 0.6], [0, 0.4, 0.6]])
    reference = torch.eye(3)[[0, 0, 0, 2, 2, 2]]
    item, group = torch.tensor([4, 4, 4, 2, 2, 2])[:, None], torch.tensor([7, 7, 7, 9, 9, 9])[:, None]
    right, groups = KEYS.poll(reference, estimate, item, group)["key"]
    assert (right.tolist(), groups.tolist()) == ([0, 1], [9, 7])  # in the order of item.unique()


@settings(max_examples=40)
@given(st.permutations(range(6)))
def test_polls_do_not_depend_on_order(order):
    random = torch.Generator().manual_seed(0)
    estimate = torch.rand(6, 3, generator=random, dtype=torch.double)
    item = torch.tensor([0, 0, 0, 1, 1, 2])[:, None]
    reference = torch.eye(3)[item[:, 0]]
    once, again = (KEYS.poll(reference[o], estimate[o], item[o], item[o])["key"][0] for o in (torch.arange(6), torch.tensor(order)))
    assert once.tolist() == again.tolist()
    assert math.isclose(once.sum(), sum(estimate[item[:, 0] == i].sum(0).argmax() == i for i in range(3)))


def test_polls_count_windows_by_their_steps():
    keys = Classes("key", ("C", "D"))
    estimate, reference = torch.tensor([[0.9, 0.1], [0.4, 0.6]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    item = group = torch.zeros(2, 1, dtype=torch.long)
    assert keys.poll(reference, estimate, item, group)["key"][0].tolist() == [0.0]
    assert keys.poll(reference, estimate, item, group, torch.tensor([1.0, 16.0]))["key"][0].tolist() == [1.0]
