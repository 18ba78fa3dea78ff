"""Frames of several instruments: which come, in which order, and that what belongs together stays together."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.instruments import Note, read
from data.labelled import Labelled
from data.mixtures import Source, Spectra, source, spectra_of
from data.notes import PITCH_CLASSES, name_of
from data.representations import NSGTMagnitude
from data.splits import SPLITS
from models.epochs import Dataset, batches
from tests import timbres
from utils import geometry
from utils.device import Ranks

CLASSES = {"octave": tuple("012345678"), "pitch": PITCH_CLASSES, "dynamics": ("p", "f")}
NAMES = ("Flute", "Oboe", "Violin")
NOTES = (3, 8, 5)  # of each, of 4 frames
FRAMES = tuple(4 * number for number in NOTES)
F = 6


def random_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(name: str, first: float, notes: int, value: float = 1.0) -> Source:
    """Return a source whose frames hold their own number from `first` on in all bands but the last."""
    played = []
    for i in range(notes):
        pitch, octave = name_of(60 + i // 2)
        labels = {"instrument": name, "pitch": pitch, "octave": str(octave), "dynamics": "pf"[i % 2]}
        played.append(Note(Path(f"{name}{i}.wav"), labels))
    rows = np.repeat(np.arange(first, first + 4 * notes, dtype=np.float32)[:, None] + 1, F, 1)
    rows[:, -1] = value
    contents = tuple(str(rows[4 * i : 4 * i + 4].tobytes()) for i in range(notes))
    return source(played, Spectra(np.arange(notes + 1) * 4, rows, contents), CLASSES, (), "all")


SOURCES = [numbered(name, 100 * k, notes) for k, (name, notes) in enumerate(zip(NAMES, NOTES, strict=True))]


def labelled(balanced: bool = False) -> Labelled:
    return Labelled(SOURCES, tuple(CLASSES), balanced)


def ids(batch: dict[str, torch.Tensor]) -> list[int]:
    """Return the numbers that frames hold: 100 for each instrument, and their place."""
    return (batch["signal"][:, 0] - 1).int().tolist()


def an_epoch(dataset: Dataset, seed: int = 0) -> dict[str, torch.Tensor]:
    return dataset.batch(dataset.order(random_of(seed)), random_of())


def test_every_frame_comes_once():
    batch = an_epoch(labelled())
    assert sorted(ids(batch)) == [100 * k + i for k, number in enumerate(FRAMES) for i in range(number)]
    assert len(labelled()) == sum(FRAMES) == len(batch["signal"])
    assert ids(batch) != sorted(ids(batch))
    assert not labelled().varies


def test_shapes_and_names():
    batch = labelled().batch(torch.arange(5), random_of())
    assert list(batch) == ["signal", "instrument", "octave", "pitch", "dynamics", "item", "group"]
    assert [tuple(tensor.shape) for tensor in batch.values()] == [(5, F), *[(5,)] * 4, (5, 1), (5, 1)]
    assert {tensor.dtype for name, tensor in batch.items() if name != "signal"} == {torch.int64}


def test_labels_are_those_of_the_sources():
    batch = an_epoch(labelled())
    for row, number in enumerate(ids(batch)):
        k, frame = divmod(number, 100)
        assert batch["instrument"][row] == k
        assert [batch[label][row].item() for label in CLASSES] == SOURCES[k].symbol[frame].tolist()


@pytest.mark.parametrize("balanced", [False, True])
def test_examples_come_in_the_order_of_rows(balanced):
    """Also one instrument alone, the same frame twice, and none."""
    dataset = labelled(balanced)
    rows = dataset.order(random_of())
    each = [ids(dataset.batch(rows[i : i + 1], random_of()))[0] for i in range(len(rows))]
    assert ids(dataset.batch(rows, random_of())) == each
    assert ids(dataset.batch(torch.tensor([50, 13, 0, 13]), random_of())) == [206, 101, 0, 101]
    assert dataset.batch(rows[:0], random_of())["signal"].shape == (0, F)


def test_items_and_groups_are_of_one_instrument():
    batch = an_epoch(labelled())
    for name in ("item", "group"):
        number = batch[name][:, 0]
        assert sorted(number.unique().tolist()) == list(range(sum(NOTES)))
        assert all(len(batch["instrument"][number == one].unique()) == 1 for one in number.unique())
    notes = torch.tensor([100 * k + i // 4 for k, i in (divmod(number, 100) for number in ids(batch))])
    assert len({*zip(notes.tolist(), batch["item"][:, 0].tolist(), strict=True)}) == sum(NOTES)


def test_recordings_of_one_note_share_a_group():
    twice = Source(torch.zeros(3, 1, dtype=torch.long), torch.tensor([0, 1, 4]), torch.tensor([2, 2, 0]), lambda i: i[:, None], "")
    batch = Labelled([twice, twice], ("pitch",)).batch(torch.arange(6), random_of())
    assert batch["item"][:, 0].tolist() == [0, 1, 4, 5, 6, 9]
    assert batch["group"][:, 0].tolist() == [2, 2, 0, 5, 5, 3]


@given(st.integers(0, 2**31), st.integers(1, 64), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_balanced_epochs_have_even_shares_everywhere(seed, size, start):
    dataset = labelled(True)
    order = dataset.order(random_of(seed))
    assert len(dataset) == len(order) == 66  # 3 times the mean of 12, 32 and 20, rounded up
    chosen = dataset.batch(order, random_of())["instrument"]
    assert chosen.bincount().tolist() == [22] * 3
    counts = chosen[start : start + size].bincount(minlength=3)
    assert counts.max() - counts.min() <= 2


def test_balanced_epochs_repeat_few_frames_evenly_and_vary():
    counts = np.bincount(ids(an_epoch(labelled(True))), minlength=300)
    assert counts[:12].min() == 1
    assert counts[:12].max() == 2
    assert counts[100:132].max() == 1
    assert {*ids(an_epoch(labelled(True), 0))} != {*ids(an_epoch(labelled(True), 1))}
    assert labelled(True).varies


def test_ranks_share_instruments_evenly():
    """Rank 0 of 2 takes every other example, and must not take every other instrument."""
    dataset = Labelled([numbered(name, 100 * k, 10) for k, name in enumerate("abcd")], tuple(CLASSES), balanced=True)
    for rank in range(2):
        counts = sum(batch["instrument"].bincount(minlength=4) for batch in batches(dataset, 40, 0, ranks=Ranks(rank, 2)))
        assert counts.sum() == 80
        assert counts.min() >= 10


@pytest.mark.parametrize("balanced", [False, True])
def test_orders_are_those_of_their_generators(balanced):
    dataset = labelled(balanced)
    before = torch.random.get_rng_state()
    assert torch.equal(dataset.order(random_of(3)), labelled(balanced).order(random_of(3)))
    assert not torch.equal(dataset.order(random_of(3)), dataset.order(random_of(4)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_plain_ones_hold_each_frame_once():
    plain = labelled(True).plain()
    assert not plain.varies
    assert sorted(ids(an_epoch(plain))) == sorted(ids(an_epoch(labelled())))


@pytest.mark.parametrize("balanced", [False, True])
def test_passages_are_recordings_in_the_order_of_time(balanced):
    passages = list(labelled(balanced).passages(100, random_of()))
    assert len(passages) == sum(NOTES)
    for passage in passages:
        assert ids(passage) == list(range(ids(passage)[0], ids(passage)[0] + 4))
        assert len(passage["item"].unique()) == 1
    assert len({ids(passage)[0] for passage in passages}) == sum(NOTES)


def test_passages_go_round_the_instruments():
    def instruments(number: int) -> list[int]:
        return [passage["instrument"][0].item() for passage in labelled().passages(number, random_of())]

    assert instruments(0) == []
    assert instruments(5) == [0, 1, 2, 0, 1]
    assert instruments(100) == [0, 1, 2] * 3 + [1, 2] * 2 + [1] * 3
    first = {ids(next(labelled().passages(1, random_of(seed))))[0] for seed in range(20)}
    assert first == {0, 4, 8}


def test_the_fingerprint_follows_the_frames():
    def fingerprint(*sources: Source) -> str:
        return Labelled(sources, tuple(CLASSES)).fingerprint()

    same = [numbered(name, 100 * k, notes) for k, (name, notes) in enumerate(zip(NAMES, NOTES, strict=True))]
    assert labelled().fingerprint() == labelled(True).fingerprint() == fingerprint(*same)
    assert fingerprint(*same[:2], numbered(NAMES[2], 200, NOTES[2], value=2.0)) != fingerprint(*same)
    assert fingerprint(*same[:2], numbered(NAMES[2], 200, NOTES[2] - 1)) != fingerprint(*same)
    assert fingerprint(*same[::-1]) != fingerprint(*same)


def test_an_epoch_in_batches():
    found = [number for batch in batches(labelled(), 16, 0) for number in ids(batch)]
    assert sorted(found) == sorted(ids(an_epoch(labelled())))


# -- synthetic timbres ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return read(timbres.make_timbres(tmp_path_factory.mktemp("timbres")))


def test_synthetic_timbres_have_notes_in_every_split(corpus, tmp_path):
    notes = corpus.select(timbres.NAMES)
    assert [len(one) for one in notes] == [2 * len(timbres.PITCHES)] * len(timbres.NAMES)
    spectra = [spectra_of(one, NSGTMagnitude(), tmp_path, 1) for one in notes]
    for split in SPLITS:
        pairs = zip(notes, spectra, strict=True)
        dataset = Labelled([source(one, found, CLASSES, ("sustain",), split) for one, found in pairs], tuple(CLASSES))
        assert an_epoch(dataset)["instrument"].unique().tolist() == list(range(len(timbres.NAMES)))


def test_distances_of_synthetic_spectra_go_with_the_ratings(corpus):
    means = []
    for notes in corpus.select(timbres.NAMES):
        loud = [NSGTMagnitude().read(note.path) for note in notes if note.labels["dynamics"] == "f"]
        levels = [frames.clamp_min(3e-3).log().mean(0) for frames in loud]
        means.append(torch.stack(levels).mean(0).numpy())
    places = geometry.distances(timbres.rated_places())
    assert geometry.correlations(geometry.distances(np.array(means)), places)["pearson"] > 0.8


def test_synthetic_timbres_of_other_places_and_names(tmp_path):
    places = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]])
    made = timbres.make_timbres(tmp_path, places, ("A", "B", "C"), ("A4",), ("f",), 0.3, 16000)
    corpus = read(made)
    assert corpus.classes["instrument"] == ("A", "B", "C")
    assert len(corpus.notes) == 3
    assert corpus.notes[0].labels["octave"] == "4"
