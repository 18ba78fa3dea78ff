"""How few pieces are split: nothing in two splits, nothing lost, and nothing held out of what is too little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.groove import Groove
from data.melody import Melody
from data.phrase_corpora import PhraseCorpus, PhrasePiece, read
from data.phrase_sections import FEW_PHRASES, FEW_PIECES, LEAST, TENTH, personal, sections
from data.phrase_windows import PhraseWindows
from data.phrases import BAR
from data.splits import SPLITS
from tests.phrase_music import melody_files

SPAN = 2 * BAR
PHRASE = Melody(SPAN)


def piece(*bars, name="piece", split="train", given=False, seed=0, labels=()):
    """Return a piece of lines of so many bars, in which no step is like another."""
    random = np.random.default_rng(seed)
    lines = tuple(random.integers(2, 80, BAR * number) for number in bars)
    return PhrasePiece(name, None, split, name, lines, line_labels=tuple({"voice": label} for label in labels), given=given)


def corpus(*pieces):
    return PhraseCorpus("somewhere", pieces)


def split(pieces, name):
    return [part for part in pieces if part.split == name]


def windows(found, name, phrase=PHRASE):
    return len(PhraseWindows(found.of(name), phrase))


# -- sections ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(2, 130), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 16]))
def test_each_bar_of_a_line_is_in_one_split(bars, span):
    whole = piece(*[max(span, number) for number in bars], labels=[str(place) for place in range(len(bars))])
    parts = list(sections(whole, Melody(span * BAR)))
    assert [part.split for part in parts] == [name for name in SPLITS if name in {part.split for part in parts}]
    for place, line in enumerate(whole.lines):
        own = [
            section
            for part in parts
            for section, labels in zip(part.lines, part.line_labels, strict=True)
            if labels["voice"] == str(place)
        ]
        assert np.array_equal(np.concatenate(own), line)  # all of them, once, in their order
        assert all(len(section) % BAR == 0 and len(section) >= span * BAR for section in own)
        held = max(span, len(line) // BAR // TENTH)
        assert [len(section) // BAR for section in own[1:]] == ([held, held] if len(line) // BAR >= LEAST * held else [])


def test_a_tenth_is_held_out_for_each():
    parts = {part.split: part for part in sections(piece(100), PHRASE)}
    assert {name: len(part.lines[0]) // BAR for name, part in parts.items()} == {"train": 80, "valid": 10, "test": 10}
    assert [part.identity for part in parts.values()] == ["piece train", "piece valid", "piece test"]
    assert all(not part.given and part.name == "piece" and part.line_labels == ({},) for part in parts.values())


def test_long_lines_are_cut_and_short_ones_trained_on():
    parts = {part.split: part for part in sections(piece(9, 10, labels="ab"), PHRASE)}
    assert [label["voice"] for label in parts["train"].line_labels] == ["a", "b"]
    assert [len(line) // BAR for line in parts["train"].lines] == [9, 6]
    for name in ("valid", "test"):
        assert [label["voice"] for label in parts[name].line_labels] == ["b"] and len(parts[name].lines[0]) == SPAN


def test_no_phrase_has_a_bar_of_another_split():
    found = personal(corpus(piece(60, 33), piece(50, name="other", seed=1)), PHRASE)
    bars = {}
    for name in SPLITS:
        dataset = PhraseWindows(found.of(name), PHRASE, hop=1)
        bars[name] = {bytes(x[start : start + BAR]) for x in dataset._windows.content.numpy() for start in range(SPAN - BAR + 1)}
    assert all(bars.values())
    assert not (bars["train"] & bars["valid"] or bars["train"] & bars["test"] or bars["valid"] & bars["test"])


def test_lines_of_several_numbers_a_step_are_cut_alike():
    line = np.random.default_rng(0).random((50 * BAR, 27))
    whole = PhrasePiece("groove", None, "train", "groove", (line,))
    found = personal(corpus(whole), Groove(SPAN))
    assert [part.lines[0].shape for part in found] == [(40 * BAR, 27), (5 * BAR, 27), (5 * BAR, 27)]


# -- what is done with how much ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bars", "held"), [(FEW_PHRASES, False), (FEW_PHRASES + 1, True)])  # of 2 bars, one more than phrases
def test_of_too_few_phrases_nothing_is_held_out(bars, held):
    found = personal(corpus(piece(bars, split="test")), PHRASE)  # by its hash it would be tested on
    assert [part.split for part in found] == (list(SPLITS) if held else ["train"])
    assert sum(len(line) for part in found for line in part.lines) == bars * BAR


def test_of_many_short_lines_nothing_can_be_held_out():
    found = personal(corpus(piece(*[9] * 6)), PHRASE)
    assert windows(found, "all") == 48 and [part.split for part in found] == ["train"]


def test_of_five_pieces_whole_ones_are_held_out():
    pieces = [piece(20, name=str(number), seed=number) for number in range(FEW_PIECES)]
    for number in (FEW_PIECES - 1, FEW_PIECES):
        found = personal(corpus(*pieces[:number]), PHRASE)
        assert len(found) == (number if number == FEW_PIECES else 3 * number)
        assert all(windows(found, name) for name in SPLITS)
    assert {part.identity for part in found} == {part.identity for part in pieces}


def test_copies_of_a_piece_are_one_piece():
    """Five times the same, as transposed copies are, is cut, and at the same bars."""
    found = personal(corpus(*[piece(20, seed=number) for number in range(FEW_PIECES)]), PHRASE)
    assert len(found) == 3 * FEW_PIECES
    assert {(part.split, part.identity) for part in found} == {(name, f"piece {name}") for name in SPLITS}


def test_splits_that_files_give_are_kept(tmp_path):
    for name, number in (("train", 3), ("valid", 1), ("test", 2)):
        melody_files(tmp_path / name, number, seed=number)
    found = personal(read(tmp_path, PHRASE), PHRASE)
    assert [len(found.of(name)) for name in SPLITS] == [3, 1, 2] and windows(found, "all") < FEW_PHRASES
    assert all(part.name.startswith(part.split) for part in found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train": 4, "valid": 2}, {"train": 3, "valid": 1, "test": 2}),  # valid becomes the test
        ({"train": 4, "test": 2}, {"train": 3, "valid": 1, "test": 2}),
        ({"train": 2, "test": 1}, {"train": 1, "valid": 1, "test": 1}),
    ],
)
def test_parts_that_folders_lack_are_made_of_the_others(tmp_path, given, expected):
    """However few phrases there are, where there are three pieces; what is tested on was held out by whoever made the folders."""
    for name, number in given.items():
        melody_files(tmp_path / name, number, seed=len(name))
    found = personal(read(tmp_path, PHRASE), PHRASE)
    assert {name: len(found.of(name)) for name in SPLITS} == expected and windows(found, "all") < FEW_PHRASES
    assert all(part.name.startswith("train") for name in ("train", "valid") for part in found.of(name))
    assert not any(part.name.startswith("train") for part in found.of("test"))


def test_what_few_pieces_lack_is_not_made_up(tmp_path):
    melody_files(tmp_path / "train", 1)
    melody_files(tmp_path / "valid", 1, seed=1)
    found = personal(read(tmp_path, PHRASE), PHRASE)
    assert [len(found.of(name)) for name in SPLITS] == [1, 1, 0]


@pytest.mark.parametrize("number", [1, 4])
def test_a_folder_of_one_split_alone_is_trained_on(tmp_path, number):
    melody_files(tmp_path / "test", number)
    found = personal(read(tmp_path, PHRASE), PHRASE)
    assert windows(found, "train")
