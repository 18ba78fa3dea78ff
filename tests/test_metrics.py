"""Scores against values computed by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils import metrics


def test_success_counts_frames_and_sources():
    true = torch.tensor([[[0, 1]], [[0, 1]], [[2, 1]], [[2, 0]]])
    named = torch.tensor([[[0, 1]], [[1, 1]], [[2, 0]], [[0, 0]]])
    assert metrics.success(true, named) == [0.5, 0.75]


def test_success_by_note_is_a_vote_of_its_frames():
    note = torch.tensor([7, 7, 7, 3, 3, 3])
    true = torch.tensor([[1], [1], [1], [2], [2], [2]])
    named = torch.tensor([[1], [1], [0], [2], [0], [0]])
    assert metrics.success_by_note(true, named, note) == [0.5]


def test_log_spectral_distance_is_in_db():
    reference = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    estimate = torch.tensor([[10.0, 0.1], [1.0, 1e-9]])
    assert metrics.log_spectral_distance(reference, estimate, 1e-3).tolist() == pytest.approx([20.0, 0.0], abs=1e-4)


def test_right_by_note_tells_each_note_and_label():
    note = torch.tensor([7, 7, 7, 3, 3, 3])
    true = torch.tensor([[1, 0], [1, 0], [1, 0], [2, 4], [2, 4], [2, 4]])
    named = torch.tensor([[1, 5], [1, 0], [0, 5], [2, 4], [0, 4], [0, 4]])
    assert metrics.right_by_note(true, named, note).tolist() == [[False, True], [True, False]]


def test_wilson_interval_has_published_values():
    """Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, table I, method 3."""
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (right, trials), interval in published.items():
        assert metrics.wilson_interval(right / trials, trials) == pytest.approx(interval, abs=5e-5)


@given(st.integers(1, 1000), st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_mirrors(trials, share):
    low, high = metrics.wilson_interval(share, trials)
    assert 0 <= low <= share <= high <= 1
    assert metrics.wilson_interval(1 - share, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_bootstrap_interval_of_a_known_mean():
    """400 groups of one value: the mean's standard error is 1 / 20."""
    random = torch.Generator().manual_seed(1)
    values = torch.randn(400, generator=random)
    values = (values - values.mean()) / values.std(correction=0)
    low, high = metrics.bootstrap_interval(values, torch.arange(400), torch.Generator().manual_seed(2))
    assert (low, high) == pytest.approx((-1.96 / 20, 1.96 / 20), abs=0.01)


def test_bootstrap_interval_draws_whole_groups():
    """Repeating every value within its group says nothing new; as values of their own they would narrow the interval."""
    values, group = torch.tensor([1.0, 2.0, 5.0, 9.0, 3.0]), torch.tensor([9, 4, 2, 7, 3])
    once = metrics.bootstrap_interval(values, group, torch.Generator().manual_seed(0))
    again = metrics.bootstrap_interval(values.repeat(6), group.repeat(6), torch.Generator().manual_seed(0))
    assert again == pytest.approx(once)
    assert once == metrics.bootstrap_interval(values, group, torch.Generator().manual_seed(0))
    assert metrics.bootstrap_interval(torch.full((4,), 2.5), torch.tensor([0, 0, 1, 1]), torch.Generator()) == (2.5, 2.5)
