import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.splits import SPLITS, split_of
from utils.config import InputError

STORED = "rrrerrrrrrerrerareer"  # second letters: train, valid, test


def identities(n):
    return [f"flute/{i}/4/mf" for i in range(n)]


def test_stored_choices_never_change():
    assert [split_of(name)[1] for name in identities(20)] == list(STORED)
    assert split_of("Flöte/\udce9/4/mf") in SPLITS


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.2), (0.8, 0.0, 0.2), (0.34, 0.33, 0.33)])
def test_shares_are_as_asked(fractions):
    n = 20_000
    counts = Counter(split_of(name, fractions) for name in identities(n))
    for split, share in zip(SPLITS, fractions, strict=True):
        assert abs(counts[split] - n * share) <= 4 * math.sqrt(n * share * (1 - share))


def test_seeds_split_independently():
    n = 10_000
    both = sum(split_of(name, seed=0) == split_of(name, seed=1) == "train" for name in identities(n))
    assert abs(both / n - 0.49) < 4 * math.sqrt(0.25 / n)


@given(st.text(), st.integers())
def test_a_larger_train_share_only_gains(identity, seed):
    if split_of(identity, (0.5, 0.2, 0.3), seed) == "train":
        assert split_of(identity, (0.6, 0.1, 0.3), seed) == "train"
    assert split_of(identity, (0.5, 0.2, 0.3), seed) in SPLITS


@given(st.text(), st.integers(0, 2), st.floats(0, 1))
def test_an_empty_share_gets_nothing(identity, empty, share):
    fractions = [share, 1 - share]
    fractions.insert(empty, 0.0)
    assert split_of(identity, fractions) != SPLITS[empty]


@pytest.mark.parametrize(
    "fractions",
    [(0.7, 0.2, 0.2), (1.2, -0.2, 0.0), (math.nan, 0.5, 0.5), (math.inf, 0, 0), (), (1, 0, 0, 0)],
)
def test_bad_fractions_are_named(fractions):
    with pytest.raises(InputError, match="sum to 1"):
        split_of("a", fractions)
