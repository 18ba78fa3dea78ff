"""Keys: names, relative majors, scales; keys found in counts and in chorales; notes in key."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.keys import LABELS, MAJOR, MINOR, PROFILES, Key, find_key, in_key_counts, in_key_fraction, pitch_class_counts
from data.rolls import from_steps, transposed
from utils.config import InputError

CHORALES = Path(__file__).parent.parent.parent / "shared" / "data" / "jsb"
RELATIVE_MAJORS = "a C, b- D-, b D, c E-, c# E, d- F-, d F, d# F#, e- G-, e G, f A-, f# A, g B-, g# B, a- C-"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("C", "C"),
        ("c", "c"),
        ("f#", "f#"),
        ("E-", "E-"),
        ("Eb", "E-"),
        ("E♭", "E-"),
        ("F♯", "F#"),
        ("e- minor", "e-"),
        ("E- minor", "e-"),
        ("C major", "C"),
        ("c major", "C"),
        ("  C   minor ", "c"),
        ("A-flat major", "A-"),
        ("F sharp minor", "f#"),
        ("A♭:min", "a-"),
        ("Bm", "b"),
        ("bb", "b-"),
        ("Bb", "B-"),
        ("Bbm", "b-"),
        ("CM", "C"),
        ("C#maj", "C#"),
        ("d moll", "d"),
        ("Es dur", None),
        ("D DUR", "D"),
    ],
)
def test_keys_as_people_write_them(text, label):
    if label is None:
        with pytest.raises(InputError):
            Key.parse(text)
    else:
        assert Key.parse(text).label == str(Key.parse(text)) == label


@pytest.mark.parametrize(
    "text", ["", "H", "A-minor", "a-moll", "C##", "C minor major", "C4", "Cdim", "-", "major", "C\nx", None, 3, "C" * 999]
)
def test_what_is_no_key_is_named(text):
    with pytest.raises(InputError, match="is no key") as caught:
        Key.parse(text)
    assert len(str(caught.value)) < 150 and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is no key"):
        Key(text)


def test_labels_are_by_tonic_and_mode():
    assert [Key(label).tonic for label in LABELS] == [*range(12), *range(12)]
    assert [Key(label).major for label in LABELS] == 12 * [True] + 12 * [False]
    assert [Key.parse(label).label for label in LABELS] == list(LABELS)


@pytest.mark.parametrize("pair", RELATIVE_MAJORS.split(", "))
def test_relative_majors(pair):
    minor, major = pair.split()
    assert Key(minor).relative_major == Key(major) == Key(major).relative_major
    assert sorted(Key(minor).scale) == sorted(Key(major).scale)


def test_every_minor_key_has_a_relative_major():
    for letter in "abcdefg":
        for accidental in ("", "-", "#"):
            key = Key(letter + accidental)
            assert key.relative_major.major
            assert key.relative_major.tonic == (key.tonic + 3) % 12
            assert key.plain.tonic == key.tonic and key.plain.label in MINOR
    assert [Key(label).plain.label for label in ("G-", "C-", "F-", "C#", "a-", "d#")] == ["F#", "B", "E", "D-", "g#", "e-"]


def test_scales_start_at_the_tonic():
    assert Key("C").scale == (0, 2, 4, 5, 7, 9, 11)
    assert Key("a").scale == (9, 11, 0, 2, 4, 5, 7)
    assert Key("E-").scale == (3, 5, 7, 8, 10, 0, 2)


def test_shifts_go_to_the_nearest_tonic():
    assert [Key("C").shift_to(Key(label)) for label in MAJOR] == [0, 1, 2, 3, 4, 5, 6, -5, -4, -3, -2, -1]
    assert Key("a").shift_to(Key("c")) == 3 and Key("B-").shift_to(Key("C")) == 2
    for one in LABELS:
        for other in LABELS:
            assert (Key(one).tonic + Key(one).shift_to(Key(other))) % 12 == Key(other).tonic


# --- finding keys


def counts_of(*pitch_classes):
    return np.bincount(pitch_classes, minlength=12)


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_find_themselves(profile):
    counts = [np.roll(mode, tonic) for mode in PROFILES[profile] for tonic in range(12)]
    assert find_key(counts, profile).tolist() == list(range(24))
    assert find_key(np.reshape(counts, (2, 3, 4, 12)), profile).shape == (2, 3, 4)
    assert find_key(3.0 * np.array(counts) + 5.0, profile).tolist() == list(range(24))  # r knows no scale and no offset


def test_the_correlation_is_pearsons():
    counts = np.random.default_rng(0).integers(0, 50, (40, 12))
    for profile, modes in PROFILES.items():
        table = [[np.corrcoef(row, np.roll(mode, tonic))[0, 1] for mode in modes for tonic in range(12)] for row in counts]
        assert find_key(counts, profile).tolist() == np.argmax(table, 1).tolist()


def test_plain_cases():
    assert LABELS[find_key(counts_of(0, 0, 0, 2, 4, 4, 5, 7, 7, 7, 9, 11))] == "C"
    assert LABELS[find_key(counts_of(9, 9, 9, 11, 0, 0, 2, 4, 4, 4, 5, 8))] == "a"
    assert LABELS[find_key(np.zeros(12))] == LABELS[find_key(np.full(12, 7))] == "C"


def test_unknown_profiles_are_named():
    with pytest.raises(InputError, match="'temperley': take aarden-essen or krumhansl-kessler"):
        find_key(np.ones(12), "temperley")


@given(st.lists(st.integers(0, 99), min_size=12, max_size=12), st.integers(0, 11))
def test_a_transposed_piece_is_in_the_transposed_key(counts, semitones):
    key, moved = find_key([counts, np.roll(counts, semitones)])
    if np.ptp(counts) and len({tuple(np.roll(counts, n)) for n in range(12)}) == 12:  # else several keys fit alike
        assert moved == (key + semitones) % 12 + 12 * (key // 12)


# --- notes in key


def test_pitch_classes_count_from_c():
    roll = from_steps([[60, 64, 72], [60], [], [21], [108]])
    assert pitch_class_counts(roll).tolist() == [4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    assert pitch_class_counts(np.stack([roll, roll])).shape == (2, 12)


def test_fractions_in_key():
    chromatic = from_steps([range(60, 72)])
    for label in LABELS:
        assert in_key_fraction(chromatic, Key(label)) == pytest.approx(7 / 12)
    scale = from_steps([[60, 62, 64, 65], [67, 69, 71]])
    assert in_key_fraction(scale, Key("C")) == in_key_fraction(scale, Key("a")) == 1.0
    assert in_key_fraction(scale, Key("G")) == pytest.approx(6 / 7)
    assert in_key_counts(np.stack([scale, transposed(scale, 7)]), Key("G")).tolist() == [[6, 7], [7, 7]]
    assert np.isnan(in_key_fraction(from_steps([[], []]), Key("C")))


# --- chorales


@pytest.mark.skipif(not CHORALES.is_dir(), reason="needs the chorales")
@pytest.mark.parametrize(("name", "agree", "inside"), [("all", (202, 66), (0.9349, 0.9291)), ("cs", (229, 76), (0.9384, 0.9473))])
def test_stored_keys_are_found(name, agree, inside):
    table = json.loads((CHORALES / f"jsb_{name}.json").read_text())
    for split, expected, fraction in zip(("train", "valid"), agree, inside, strict=True):
        rolls = [from_steps(song["frames"]) for song in table[split]]
        keys = [Key(song["key"]) for song in table[split]]
        found = find_key(np.stack([pitch_class_counts(roll) for roll in rolls]))
        assert sum(LABELS[place] == key.plain.label for place, key in zip(found, keys, strict=True)) == expected
        assert [key.relative_major.label for key in keys] == [song["relative_major"] for song in table[split]]
        assert [key.major for key in keys] == [song["mode"] == "major" for song in table[split]]
        notes = sum(in_key_counts(roll, key) for roll, key in zip(rolls, keys, strict=True))
        assert notes[0] / notes[1] == pytest.approx(fraction, abs=5e-5)
