"""Statistics of sets of phrases are what counting by hand gives, and their limits what theory says."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data import phrase_statistics
from data.drums import unpacked
from data.ngrams import DISCOUNT, NGram
from data.phrase_kinds import GRID
from data.phrase_statistics import (
    HISTOGRAMS,
    course,
    distinct,
    divergences,
    hamming,
    histograms,
    mixed,
    nearest,
    self_similarity,
    tokens,
    verbatim,
)
from utils.distributions import entropy, jensen_shannon, mmd_to_normal, purity

C, E, G = 41, 45, 48  # tokens of notes from middle C


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n, high=4, seed=0):
    return torch.randint(0, high, (n, 32), generator=random(seed))


def named(histogram):
    """Return what occurs, by name."""
    return {name: count for name, count in zip(histogram.names, histogram.counts.tolist(), strict=True) if count}


def test_every_kind_of_phrase_has_histograms_and_tokens():
    for kind, make in GRID.items():
        x = torch.zeros(2, *make(32).shape, dtype=torch.long)
        assert kind in HISTOGRAMS
        assert all(part.shape == (2, 32) for part, _ in tokens(kind, x).values())


def test_histograms_of_melodies():
    x = torch.zeros(2, 32, dtype=torch.long)
    x[0, [0, 2, 18]] = torch.tensor([C, G, E])
    x[0, 3] = 1
    x[1, [1, 2, 3]] = torch.tensor([C - 12, 89, G])
    found = {name: named(histogram) for name, histogram in histograms("melody", x).items()}
    assert found == {
        "notes a bar": {"1": 2},
        "pitch class": {"C": 3, "E": 1, "G": 2},
        "interval": {"-3": 1, "+7": 1, "+12": 1, "-12": 1},  # not from one phrase to the next
        "onset position": {"1": 1, "2": 1, "3": 3, "4": 1},
    }


def test_histograms_of_drums():
    x = torch.zeros(2, 32, dtype=torch.long)
    x[0, :16], x[0, 17], x[1, 4] = 0b111, 0b100000000, 0b1
    found = {name: named(histogram) for name, histogram in histograms("drums", x).items()}
    assert found["hits a bar"] == {"24": 1, "0": 1}
    assert found["hit share"] == {"kick": 17, "snare": 16, "closed_hat": 16, "ride": 1}
    assert found["onset position"] == {**dict.fromkeys(map(str, range(1, 17)), 3), "2": 4, "5": 4}
    assert named(histograms("drums", torch.full((1, 16), 511))["hits a bar"]) == {"48+": 1}


def test_histograms_of_grooves():
    x = torch.zeros(1, 32, 27)
    for step, velocity, offset in ((0, 127, -1.0), (1, 64, 0.0), (2, 63, 0.2), (3, 0, 1.0)):
        x[0, step, [0, 9, 18]] = torch.tensor([1.0, velocity / 127, offset])
    found = {name: named(histogram) for name, histogram in histograms("groove", x).items()}
    assert found["velocity"] == {"120": 1, "64": 1, "56": 1, "0": 1}
    assert found["steps late"] == {"+0.50": 1, "0": 1, "-0.10": 1, "-0.50": 1}


def test_histograms_of_nothing_are_empty():
    for kind, make in GRID.items():
        x = torch.zeros(0, *make(32).shape, dtype=torch.long)
        assert all(not histogram.counts.any() for histogram in histograms(kind, x).values())


def test_divergence_of_distributions():
    p = torch.tensor([3.0, 1.0, 0.0])
    assert jensen_shannon(p, 7 * p) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(torch.tensor([1, 0]), torch.tensor([0, 5])) == pytest.approx(1)
    half = 0.5 * math.log2(1 / 0.75) + 0.5 * (0.5 * math.log2(0.5 / 0.75) + 0.5 * math.log2(0.5 / 0.25))
    assert jensen_shannon(torch.tensor([2, 0]), torch.tensor([4, 4])) == pytest.approx(half)
    empty = torch.zeros(3)
    assert (jensen_shannon(empty, empty), jensen_shannon(empty, p), jensen_shannon(p, empty)) == (0, 1, 1)
    assert entropy(torch.full((8,), 1 / 8)).item() == pytest.approx(3)
    same = histograms("drums", noise(5, 512))
    assert divergences(same, same) == dict.fromkeys(same, 0)


def test_bars_that_repeat():
    x = torch.arange(48).expand(3, 48).clone() % 16
    x[1, 20] = 99  # unlike the bar before it, and the bar after is unlike it
    x[2, 32:] = 99
    assert self_similarity(x).tolist() == [1, 30 / 32, 1 / 2]


def test_phrases_that_occur_twice():
    x = noise(4, 500)
    twice = torch.cat([x, x[:2]])
    assert distinct(x) == 1
    assert distinct(twice) == 4 / 6
    other = x.clone()
    other[3, 31] += 1
    assert verbatim(other, twice).tolist() == [True, True, True, False]
    assert verbatim(x[:0], x).tolist() == []
    assert verbatim(x, x[:0]).tolist() == [False] * 4
    assert verbatim(x[:, :, None].expand(-1, -1, 3).float(), x[:1, :, None].expand(-1, -1, 3).float()).tolist() == [
        True,
        *[False] * 3,
    ]


@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 40))
def test_nearest_is_the_least_hamming_distance(seed, m, n):
    x, y = noise(m, 3, seed), noise(n, 3, seed + 1)
    expected = (x[:, None] != y).sum(2)
    assert hamming(x, y).equal(expected.short())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrase_statistics, "CELLS", 2 * n)
        distance, place = nearest(x, y)
    assert distance.equal(expected.amin(1))
    assert expected.gather(1, place[:, None])[:, 0].equal(distance)


def test_nearest_others(monkeypatch):
    x = torch.cat([noise(3, 500), noise(1, 500)])  # the last is the first
    for cells in (1, 8, 2**24):
        monkeypatch.setattr(phrase_statistics, "CELLS", cells)
        distance, place = nearest(x, x, apart=True)
        assert place[[0, 3]].tolist() == [3, 0]
        assert distance[[0, 3]].tolist() == [0, 0]
        assert (distance[1:3] > 0).all()


def test_course_of_paths():
    path = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 2, 1], [1, 1, 0, 1], [1, 1, 1, 1]])
    found = course(path[None])
    assert found.from_start.tolist() == [[0, 1 / 4, 1, 3 / 4, 1]]
    assert found.from_end.tolist() == [[1, 3 / 4, 1 / 4, 1 / 4, 0]]
    assert found.monotone.tolist() == [3 / 4]
    still = course(torch.zeros(1, 3, 32))
    assert still.monotone.tolist() == [1]
    assert not still.from_start.any()


def test_mixed_paths_go_from_one_end_to_the_other():
    start, end = torch.zeros(400, 32, dtype=torch.long), torch.ones(400, 32, dtype=torch.long)
    paths = mixed(start, end, 5, random())
    assert paths.shape == (400, 5, 32)
    assert paths[:, 0].equal(start)
    assert paths[:, -1].equal(end)
    np.testing.assert_allclose(course(paths).from_start.mean(0), [0, 0.25, 0.5, 0.75, 1], atol=0.02)
    assert mixed(start, end, 5, random()).equal(paths)


def test_tokens():
    x = noise(2, 512)
    assert tokens("drums", x)["drums"][0].equal(x)
    hits = unpacked(x).float()
    assert tokens("hits", hits)["hits"][0].equal(x)
    assert tokens("groove", torch.cat([hits, hits, -hits], 2))["groove"][0].equal(x)
    trio = noise(2, 90)[..., None].expand(-1, -1, 3)
    assert {name: size for name, (_, size) in tokens("trio", trio).items()} == {"melody": 90, "bass": 90, "drums": 512}


@given(arrays.arrays(np.int64, (3, 6), elements=st.integers(0, 3)), arrays.arrays(np.int64, (1, 6), elements=st.integers(0, 3)))
def test_probabilities_of_tokens_add_up_to_one(train, x):
    model, x = NGram(torch.from_numpy(train), 4, 3), torch.from_numpy(x)
    at = torch.arange(6) == 3
    total = sum(model.probability(torch.where(at, token, x))[0, 3] for token in range(4))
    assert total.item() == pytest.approx(1)
    first = sum(model.probability(torch.full((1, 1), token)) for token in range(4))
    assert first.item() == pytest.approx(1)


def test_probabilities_of_all_phrases_add_up_to_one():
    model = NGram(torch.tensor([[0, 1, 1, 0], [2, 1, 0, 0]]), 3, 3)
    phrases = torch.tensor(list(itertools.product(range(3), repeat=4)))
    assert model.probability(phrases).prod(1).sum().item() == pytest.approx(1)


def test_bigram_by_hand():
    model = NGram(torch.tensor([[0, 0, 0, 1]]), 2, 2)  # start 0, 0 0, 0 0, 0 1
    low = [(2 - DISCOUNT + DISCOUNT * 2 / 2) / 3, (1 - DISCOUNT + DISCOUNT * 2 / 2) / 3]  # 0 follows two things, 1 one
    expected = [
        (1 - DISCOUNT) + DISCOUNT * low[0],  # after the start: once 0
        ((2 - DISCOUNT) + DISCOUNT * 2 * low[0]) / 3,
        ((1 - DISCOUNT) + DISCOUNT * 2 * low[1]) / 3,
        low[0],  # after 1 nothing was
    ]
    assert model.probability(torch.tensor([[0, 0, 1, 0]]))[0].tolist() == pytest.approx(expected)
    assert model.bits(torch.tensor([[0, 0, 1, 0]])).item() == pytest.approx(-np.log2(expected).mean())


def test_ngrams_of_nothing_know_nothing():
    assert NGram(noise(0), 512).bits(noise(2, 512)).tolist() == [9, 9]
    with pytest.raises(ValueError, match="64-bit"):
        NGram(noise(1), 10**5, 4)


def test_what_is_like_the_known_costs_less():
    bar = torch.randint(0, 512, (1, 16), generator=random(1))
    known = torch.cat([torch.cat([bar, bar], 1), noise(3, 512)])
    model = NGram(known, 512)
    same, strange = model.bits(known).mean(), model.bits(noise(4, 512, seed=5)).mean()
    assert same < 3
    assert strange > 8


def test_mmd_is_zero_on_average_and_sees_other_spreads_and_places():
    estimates = [mmd_to_normal(torch.randn(50, 4, generator=random(seed))) for seed in range(200)]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates) / math.sqrt(200)
    x = torch.randn(2000, 4, generator=random())
    sampling = mmd_to_normal(x)
    assert all(mmd_to_normal(other) > 100 * abs(sampling) for other in (0.5 * x, 2 * x, x + 1))


def test_mmd_is_that_of_many_draws(monkeypatch):
    x = 0.7 * torch.randn(60, 3, generator=random(), dtype=torch.double) + 0.2
    y = torch.randn(4000, 3, generator=random(1), dtype=torch.double)

    def kernel(a, b):
        return (-torch.cdist(a, b).square() / (2 * 3)).exp()

    inside = (kernel(x, x).sum() - 60) / (60 * 59)
    normal = (kernel(y, y).sum() - 4000) / (4000 * 3999)
    expected = (inside - 2 * kernel(x, y).mean() + normal).item()
    assert mmd_to_normal(x, [1]) == pytest.approx(expected, abs=0.004)
    whole = mmd_to_normal(x)
    monkeypatch.setattr("utils.distributions.CELLS", 100)
    assert mmd_to_normal(x) == pytest.approx(whole)


def test_purity_of_neighbours():
    x = torch.tensor([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
    labels, group = torch.tensor([0, 0, 0, 1, 1, 0]), torch.tensor([0, 1, 2, 3, 4, 5])
    found = purity(x, labels, group, 2)
    assert found["share"].tolist() == [1, 1, 1, 1 / 2, 1 / 2, 0]
    np.testing.assert_allclose(found["share_by_chance"], [3 / 5, 3 / 5, 3 / 5, 1 / 5, 1 / 5, 3 / 5])
    assert found["vote"].tolist() == [1, 1, 1, 0, 0, 0]  # of equals the lower class wins
    assert found["vote_by_chance"].tolist() == [1, 1, 1, 0, 0, 1]


def test_the_own_group_is_no_neighbour(monkeypatch):
    x = torch.tensor([[0.0], [0.0], [0.1], [5.0]])
    labels, group = torch.tensor([0, 0, 1, 1]), torch.tensor([7, 7, 2, 3])
    for cells in (1, 2**24):
        monkeypatch.setattr("utils.distributions.CELLS", cells)
        found = purity(x, labels, group, 1)
        assert found["share"].tolist() == [0, 0, 0, 1]
        assert found["share_by_chance"].tolist() == [0, 0, 1 / 3, 1 / 3]
    assert purity(x, labels, group, 10)["share"].tolist() == [0, 0, 1 / 3, 1 / 3]  # as many as there are
    assert all(value.isnan().all() for value in purity(x, labels, torch.zeros(4), 1).values())
