"""Baselines guess what was most frequent where the same was known, and never look ahead."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.attributes import ATTRIBUTES
from data.drums import unpacked
from data.phrase_baselines import BASELINES, FITS, fit
from data.phrase_kinds import GRID, KINDS

SHAPES = {"melody": (32,), "drums": (32,), "hits": (32, 9), "all_hits": (32, 61), "groove": (32, 27), "trio": (32, 3)}


def noise(kind, n=6, seed=0, rows=4):
    """Return n phrases of a kind, of few different steps."""
    random = torch.Generator().manual_seed(seed)
    if kind in ("hits", "all_hits"):
        return (torch.rand(n, *SHAPES[kind], generator=random) < 0.3).float()
    if kind == "groove":
        hits = (torch.rand(n, 32, 9, generator=random) < 0.3).float()
        return torch.cat(
            [hits, torch.rand(n, 32, 9, generator=random) * hits, (torch.rand(n, 32, 9, generator=random) - 0.5) * hits], 2
        )
    return torch.randint(0, rows, (n, *SHAPES[kind]), generator=random)


def test_every_kind_of_phrase_has_baselines():
    assert set(FITS) == set(KINDS) == set(ATTRIBUTES)


def test_guesses_by_hand():
    bar = [5, 5, 5, 5, 5, 5, 5, 5, 5, 7, 7, 7, 7, 7, 7, 9]  # 9 of 5, 6 of 7, one of 9
    train = torch.tensor([bar + bar, bar + bar])
    test = torch.tensor([[9, 5] + [0] * 14 + [7] * 16])
    guesses = {name: fit(name, "drums", train)(test)[0].tolist() for name in BASELINES}
    assert guesses["most_frequent"] == [5] * 32
    assert guesses["position"] == bar + bar
    # the first follows nothing; 5 follows 9 and 5; 0 never was, so that positions decide; 7 follows 7
    assert guesses["previous"] == [5, 5, 5, *bar[3:16], 5, *[7] * 15]
    # after a 5 at step 2: seen; after 0 never; 7 at the start of the bar: never seen before steps 1-9
    assert guesses["position_and_previous"] == bar + bar
    assert guesses["bar_before"] == bar + test[0, :16].tolist()


def test_the_start_of_a_phrase_is_a_place_of_its_own():
    train = torch.tensor([[3] + [1] * 31])
    assert fit("previous", "melody", train)(train).equal(train)
    assert fit("position_and_previous", "melody", train)(train).equal(train)


def test_of_equals_the_lowest_is_guessed():
    train = torch.tensor([[4] * 16, [2] * 16])
    assert fit("most_frequent", "melody", train)(train).eq(2).all()


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("kind", GRID)
def test_a_step_and_what_follows_it_change_no_guess_before(name, kind):
    predict, x = fit(name, kind, noise(kind)), noise(kind, 2, 1)
    guess = predict(x)
    assert guess.shape == x.shape
    assert guess.dtype == x.dtype
    for step in (0, 1, 15, 16, 31):
        other = x.clone()
        other[:, step:] = noise(kind, 2, 2)[:, step:]
        assert predict(other)[:, : step + 1].equal(guess[:, : step + 1])


@given(st.integers(0, 1000))
def test_more_knowledge_is_never_worse_in_training(seed):
    x = noise("drums", seed=seed, rows=6)
    right = {name: (fit(name, "drums", x)(x) == x).double().mean().item() for name in BASELINES}
    assert right["most_frequent"] <= right["position"] <= right["position_and_previous"]
    assert right["most_frequent"] <= right["previous"] <= right["position_and_previous"]


def test_hits_are_guessed_as_their_tokens():
    train, test = noise("drums", rows=512), noise("drums", 3, 1, rows=512)
    for name in BASELINES:
        expected = unpacked(fit(name, "drums", train)(test)).float()
        assert fit(name, "hits", unpacked(train).float())(unpacked(test).float()).equal(expected)
        groove = torch.zeros(6, 32, 27)
        groove[..., :9] = unpacked(train)
        unseen = torch.zeros(3, 32, 27)
        unseen[..., :9] = unpacked(test)
        assert fit(name, "groove", groove)(unseen)[..., :9].equal(expected)


def test_all_columns_of_hits_are_kept():
    x = torch.zeros(1, 16, 61)
    x[0, 3, [0, 31, 32, 60]] = 1
    assert fit("position", "all_hits", x)(torch.zeros_like(x)).equal(x)


def test_velocities_and_offsets_are_means_of_the_drum_at_its_position():
    train = torch.zeros(2, 32, 27)
    for phrase, step, velocity, offset in (
        (0, 0, 0.2, -0.5),
        (0, 16, 0.4, 0.1),
        (1, 0, 0.9, 0.1),
        (1, 16, 0.5, 0.3),
        (0, 4, 1.0, 1.0),
    ):
        train[phrase, step, [2, 11, 20]] = torch.tensor([1.0, velocity, offset])
    train[0, 1, 11] = 1.0  # a velocity without a hit
    guess = fit("position", "groove", train)(torch.zeros(1, 32, 27))
    assert guess[0, [0, 16], 2].tolist() == [1, 1]
    assert guess[0, 0, [11, 20]].tolist() == pytest.approx([0.5, 0.0], abs=1e-6)
    guess[0, [0, 16]] = 0
    assert not guess.any()
    copied = fit("bar_before", "groove", train)(train[:1])
    assert copied[0, 20, [2, 11, 20]].tolist() == [1, 1, 1]


def test_a_drum_at_a_new_position_is_as_loud_as_elsewhere():
    train = torch.zeros(1, 32, 27)
    train[0, 0, [0, 9, 18]] = torch.tensor([1.0, 0.4, 0.2])
    train[0, 5, [0, 9, 18]] = torch.tensor([1.0, 0.8, 0.4])
    test = torch.zeros(1, 32, 27)
    test[0, 3, 0] = 1
    guess = fit("bar_before", "groove", train)(test)
    assert guess[0, 19, [0, 9, 18]].tolist() == pytest.approx([1, 0.6, 0.3])


def test_parts_of_a_trio_are_guessed_each_from_itself():
    train, test = noise("trio"), noise("trio", 2, 1)
    for name in BASELINES:
        guess = fit(name, "trio", train)(test)
        for part in range(3):
            assert guess[..., part].equal(fit(name, "melody", train[..., part])(test[..., part]))
