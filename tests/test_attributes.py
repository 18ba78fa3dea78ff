"""Attributes of phrases are what counting by hand gives, and numbers for every phrase."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.attributes import measure
from data.drums import unpacked
from data.phrase_kinds import GRID

C, CS, D, E = 41, 42, 43, 45  # tokens of notes from middle C


def melody(**at):
    """Return one melody (1, 32) of tokens by step."""
    x = torch.zeros(1, 32, dtype=torch.long)
    for step, token in at.items():
        x[0, int(step[1:])] = token
    return x


def drums(**at):
    return melody(**at)


def groove(*hits):
    """Return one groove (1, 32, 27) of (step, class, velocity, offset)."""
    x = torch.zeros(1, 32, 27)
    for step, drum, velocity, offset in hits:
        x[0, step, [drum, 9 + drum, 18 + drum]] = torch.tensor([1.0, velocity, offset])
    return x


def only(kind, x):
    return {name: value.item() for name, value in measure(kind, x).items()}


def test_melody():
    found = only("melody", melody(_0=C, _2=CS, _3=1, _5=E, _6=C, _16=C + 12))
    assert found == pytest.approx(
        {
            "c_diatonic": 4 / 5,
            "note_density": 5 / 32,
            "average_interval": (1 + 3 + 4 + 12) / 4,
            "syncopation_16": 1 / 5,  # step 5: nothing starts on step 4
            "syncopation_8": 1 / 5,  # step 6: nothing on step 4; step 2 follows step 0
        }
    )


def test_syncopation_looks_only_at_the_note_of_the_grid_before():
    assert only("melody", melody(_4=C, _5=D))["syncopation_16"] == 0
    assert only("melody", melody(_4=1, _5=D))["syncopation_16"] == 1  # a note off is no onset
    assert only("melody", melody(_0=C, _1=C, _2=C))["syncopation_8"] == 0
    assert only("melody", melody(_1=C, _2=C))["syncopation_8"] == 1 / 2
    assert only("melody", melody(_4=C, _8=C))["syncopation_8"] == 0


def test_pitches_are_those_of_the_tokens():
    assert only("melody", melody(_0=C))["c_diatonic"] == 1  # 41 + 19 = 60
    assert only("melody", melody(_0=2))["c_diatonic"] == 1  # A0
    assert only("melody", melody(_0=3))["c_diatonic"] == 0
    assert only("melody", melody(_0=89))["c_diatonic"] == 1  # C8


def test_drums():
    found = only("drums", drums(_0=0b101, _2=0b1000, _4=0b10, _6=0b100, _31=0b100000000))
    assert found == pytest.approx(
        {
            "hit_density": 6 / 32,
            "kick_share": 1 / 6,
            "snare_share": 1 / 6,
            "hat_share": 3 / 6,
            "off_beat_share": 3 / 6,
            "hat_openness": 1 / 3,
        }
    )


def test_groove_is_measured_by_its_hits():
    x = groove((0, 0, 100 / 127, 0.5), (0, 2, 50 / 127, -1.0), (2, 3, 0.0, 0.0))
    x[0, 5, 13] = 1.0  # a velocity without a hit
    x[0, 5, 20] = 1.0
    x[0, 6, 1] = 0.4  # less than a hit
    found = only("groove", x)
    assert found["mean_velocity"] == pytest.approx(50)
    assert found["mean_timing"] == pytest.approx(0.25)
    same = only("drums", drums(_0=0b101, _2=0b1000))
    assert {name: found[name] for name in same} == same


def test_trio_is_measured_by_its_parts():
    first, beat = melody(_0=C, _3=E), drums(_0=1, _4=2)
    found = measure("trio", torch.stack([first, melody(_0=20), beat], -1))
    expected = {f"melody_{name}": v for name, v in measure("melody", first).items()}
    expected |= {f"drums_{name}": v for name, v in measure("drums", beat).items()}
    assert found == expected


EMPTY = {
    "melody": torch.zeros(3, 32, dtype=torch.long),
    "drums": torch.zeros(3, 32, dtype=torch.long),
    "hits": torch.zeros(3, 32, 9),
    "all_hits": torch.zeros(3, 32, 61),
    "groove": torch.zeros(3, 32, 27),
    "trio": torch.zeros(3, 32, 3, dtype=torch.long),
}


@pytest.mark.parametrize("kind", GRID)
def test_empty_phrases_have_nothing(kind):
    for value in measure(kind, EMPTY[kind]).values():
        assert value.dtype == torch.double
        assert value.tolist() == [0, 0, 0]
    assert all(value.shape == (0,) for value in measure(kind, EMPTY[kind][:0]).values())


@given(arrays.arrays(np.int64, (2, 32), elements=st.integers(0, 89)))
def test_shares_are_shares_and_batches_change_nothing(x):
    x = torch.from_numpy(x)
    found = measure("melody", x)
    assert all(found[name].min() >= 0 and found[name].max() <= 1 for name in found if name != "average_interval")
    single = measure("melody", x[1:])
    assert all(found[name][1] == single[name][0] for name in found)
    notes = [token for token in x[0].tolist() if token >= 2]
    jumps = [abs(b - a) for a, b in itertools.pairwise(notes)]
    assert found["average_interval"][0].item() == pytest.approx(np.mean(jumps) if jumps else 0)


def test_hits_are_measured_as_their_tokens():
    tokens = torch.arange(512).view(8, 64)
    expected, hits = measure("drums", tokens), unpacked(tokens)
    pitches = torch.zeros(8, 64, 61)
    pitches[..., [pitch - 27 for pitch in (36, 38, 42, 46, 45, 48, 50, 49, 51)]] = hits.float()
    for kind, x in (("hits", hits.float()), ("all_hits", pitches)):
        assert all(torch.equal(value, expected[name]) for name, value in measure(kind, x).items())


def test_pitches_count_once_for_their_drum():
    x = torch.zeros(1, 16, 61)
    x[0, 0, [35 - 27, 36 - 27]] = 1
    assert only("all_hits", x)["hit_density"] == 1 / 16
