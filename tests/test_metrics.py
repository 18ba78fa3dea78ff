"""Scores against values computed by hand."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils import metrics


def test_votes_are_of_items_and_the_lowest_of_equals_wins():
    item = torch.tensor([7, 7, 7, 3, 3, 3, 9, 9])
    classes = torch.tensor([1, 1, 0, 2, 0, 0, 4, 3])
    assert metrics.votes(classes, item).tolist() == [0, 1, 3]


def test_the_assignment_makes_most_right_and_moves_no_more_than_it_must():
    right = torch.tensor([[[0, 3], [2, 1]], [[1, 1], [1, 1]], [[2, 3], [0, 2]]])
    assert metrics.assignment(right).tolist() == [[1, 0], [0, 1], [0, 1]]


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_the_assignment_is_the_best_of_all_permutations(sources, seed):
    right = torch.randint(0, 4, (5, sources, sources), generator=torch.Generator().manual_seed(seed))
    chosen = right.gather(2, metrics.assignment(right)[..., None]).sum((1, 2))
    every = [sum(right[:, i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(sources))]
    assert torch.equal(chosen, torch.stack(every).amax(0))


def test_log_spectral_distance_is_in_db():
    reference = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    estimate = torch.tensor([[10.0, 0.1], [1.0, 1e-9]])
    assert metrics.log_spectral_distance(reference, estimate, 1e-3).tolist() == pytest.approx([20.0, 0.0], abs=1e-4)


def test_itakura_saito_by_hand():
    """Powers 4 times too small and too large: 4 - ln 4 - 1 and 1/4 + ln 4 - 1."""
    reference, estimate = torch.tensor([[2.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0, 2.0], [1.0, 1e-9]])
    expected = (4 - math.log(4) - 1 + 0.25 + math.log(4) - 1) / 2
    assert metrics.itakura_saito(reference, estimate, 1e-3).tolist() == pytest.approx([expected, 0.0], abs=1e-6)


def test_level_difference_is_of_energy():
    reference, estimate = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]), torch.tensor([[30.0, 40.0], [0.0, 0.0], [0.0, 0.0]])
    assert metrics.level_difference(reference, estimate, 1e-3).tolist() == pytest.approx([20.0, 0.0, -60.0], abs=1e-4)


def test_concordance_counts_rising_pairs():
    levels = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, torch.nan, 0.0], [1.0, 3.0, 2.0]])
    assert metrics.concordance(levels).tolist() == pytest.approx([1.0, 0.0, 0.0, 2 / 3])


def test_groups_of_two_kinds_are_drawn_independently():
    """All pairs of 20 and 30 random effects: the variance of the mean is about 1 / 20 + 1 / 30 (Owen 2007, theorem 3)."""
    random = torch.Generator().manual_seed(3)
    a, b = (torch.randn(n, generator=random) for n in (20, 30))
    a, b = (a - a.mean()) / a.std(correction=0), (b - b.mean()) / b.std(correction=0)
    values, rows = (a[:, None] + b).flatten(), torch.cartesian_prod(torch.arange(20), torch.arange(30))
    low, high = metrics.bootstrap_interval(values, rows, torch.Generator().manual_seed(0))
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(1 / 20 + 1 / 30), rel=0.1)


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


def test_weights_count_as_often_as_they_say():
    """A weight of 3 is three equal values of one group."""
    values, group, weight = torch.tensor([1.0, 2.0, 5.0, 9.0]), torch.tensor([0, 0, 1, 2]), torch.tensor([1, 3, 2, 1])
    weighted = metrics.bootstrap_interval(values, group, torch.Generator().manual_seed(0), weight=weight)
    repeated = metrics.bootstrap_interval(
        values.repeat_interleave(weight), group.repeat_interleave(weight), torch.Generator().manual_seed(0)
    )
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("weight", [0.1, 3, 1e6])
def test_equal_weights_change_nothing(weight):
    values, group = torch.tensor([1.0, 2.0, 5.0, 9.0, 3.0]), torch.tensor([[0, 5], [0, 6], [1, 5], [2, 7], [2, 5]])
    plain = metrics.bootstrap_interval(values, group, torch.Generator().manual_seed(0))
    same = metrics.bootstrap_interval(values, group, torch.Generator().manual_seed(0), weight=torch.full((5,), weight))
    assert same == pytest.approx(plain)


def test_what_has_no_weight_is_as_if_it_were_not_there():
    """As long as its group has something else."""
    values, group = torch.tensor([1.0, 2.0, 99.0, 5.0]), torch.tensor([0, 1, 1, 2])
    weighted = metrics.bootstrap_interval(
        values, group, torch.Generator().manual_seed(0), weight=torch.tensor([1.0, 1.0, 0.0, 1.0])
    )
    keep = torch.tensor([0, 1, 3])
    assert weighted == pytest.approx(metrics.bootstrap_interval(values[keep], group[keep], torch.Generator().manual_seed(0)))


def test_votes_may_count_more_or_less():
    classes, item = torch.tensor([0, 0, 1, 2]), torch.tensor([7, 7, 7, 9])
    assert metrics.votes(classes, item).tolist() == [0, 2]
    assert metrics.votes(classes, item, torch.tensor([1.0, 1.0, 3.0, 0.5])).tolist() == [1, 2]
