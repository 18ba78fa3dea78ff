import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.splits import SPLITS, completed, split_of
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


# -- completed --------------------------------------------------------------------------------------------------------


def test_a_valid_split_becomes_the_test_and_part_of_train_validates():
    names = identities(40)
    given_splits = ["train"] * 30 + ["valid"] * 10
    found = completed(names, given_splits)
    assert found[30:] == ["test"] * 10
    assert found[:30] == ["valid" if split_of(name) == "valid" else "train" for name in names[:30]]
    assert "valid" in found[:30]


def test_of_train_and_test_only_train_is_divided():
    names = identities(40)
    found = completed(names, ["train"] * 30 + ["test"] * 10)
    assert found[30:] == ["test"] * 10
    assert found[:30] == ["valid" if split_of(name) == "valid" else "train" for name in names[:30]]


@pytest.mark.parametrize("split", SPLITS)
def test_one_split_alone_is_split_by_the_hash(split):
    names = identities(40)
    assert completed(names, [split] * 40) == [split_of(name) for name in names]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(SPLITS)), min_size=3, max_size=12).filter(
        lambda rows: len({number for number, _ in rows}) >= 3
    )
)
def test_all_splits_have_some_and_what_was_together_stays_together(rows):
    """However few there are; examples of one identity and one given split are never parted."""
    names, given_splits = [f"song {number}" for number, _ in rows], [split for _, split in rows]
    found = completed(names, given_splits)
    assert set(found) == set(SPLITS)
    assert len({(name, of, now) for name, of, now in zip(names, given_splits, found, strict=True)}) == len(set(rows))
    assert found == completed(names, given_splits)
    assert completed(names[::-1], given_splits[::-1]) == found[::-1]


@given(st.sets(st.text(min_size=1), min_size=3, max_size=3), st.integers(1, 4))
def test_three_identities_are_enough(names, copies):
    found = completed([*names] * copies, ["train"] * 3 * copies)
    assert sorted(found) == sorted([*SPLITS] * copies)
    assert found == found[:3] * copies


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b"], ["a", "b", "a", "b"]])
def test_fewer_than_three_cannot_be_split(names):
    with pytest.raises(InputError, match=f"{len(set(names))} different pieces or notes cannot be split in three; bring more"):
        completed(names, ["train"] * len(names))


def test_without_a_part_to_train_on_all_is_split_anew():
    names = identities(40)
    given = ["valid"] * 15 + ["test"] * 25
    assert completed(names, given) == [split_of(name) for name in names]
