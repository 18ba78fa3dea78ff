"""Frames, their choice, their mixtures and their transposition."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.instruments import Note
from data.mixtures import Mixtures, Spectra, choose, source, with_labels
from data.notes import PITCH_CLASSES, name_of
from data.representations import NSGTMagnitude
from data.splits import split_of
from data.transposition import Transposition
from utils.config import InputError

CLASSES = {"octave": tuple("012345678"), "pitch": PITCH_CLASSES, "dynamics": ("p", "f")}
F = 6


def note(number, dynamics="p"):
    pitch, octave = name_of(60 + number)
    labels = {"instrument": "Flute", "pitch": pitch, "octave": str(octave), "dynamics": dynamics}
    return Note(Path(f"{number}_{dynamics}.wav"), labels)


def spectra(notes, frames=5, value=None):
    rows = [np.full((frames, F), i + 1.0 if value is None else value, np.float32) for i in range(len(notes))]
    return Spectra(np.cumsum([0, *map(len, rows)]), np.concatenate(rows), ("",) * len(notes))


def spectra_of_bands(notes, bands):
    return Spectra(np.arange(len(notes) + 1), np.ones((len(notes), bands), np.float32), ("",) * len(notes))


NOTES = [note(i, d) for i in range(30) for d in ("p", "f")]


def make(split="train", **options):
    return source(NOTES, spectra(NOTES), CLASSES, (), split, **options)


def batch_of(mixtures, seed=0):
    random = torch.Generator().manual_seed(seed)
    return mixtures.batch(mixtures.order(random), random)


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [((), range(8)), (("2", "5"), (2, 3, 4)), (("3",), (3,)), (("6", "20"), (6, 7)), (("9", "20"), ()), (("9",), ())],
)
def test_frames_are_chosen_as_asked(frames, numbers):
    assert choose(np.ones((8, F), np.float32), frames).tolist() == list(numbers)


def test_sustain_is_what_lies_within_12_db_of_the_loudest():
    levels = np.array([1e-3, 0.3, 1.0, 0.9, 0.26, 0.24, 1e-3], np.float32)  # 0.25 is 12.04 dB down
    assert choose(levels[:, None] * np.ones(F, np.float32), ("sustain",)).tolist() == [1, 2, 3, 4]


def test_silent_frames_are_left_out():
    assert choose(np.zeros((4, F), np.float32), ()).size == 0
    assert choose(np.zeros((4, F), np.float32), ("sustain",)).size == 0


def test_splits_part_the_notes_and_share_none():
    parts = {split: make(split) for split in ("train", "valid", "test")}
    numbers = [set(part.item.tolist()) for part in parts.values()]
    assert sum(map(len, numbers)) == len(NOTES)
    assert not numbers[0] & numbers[1] | numbers[0] & numbers[2] | numbers[1] & numbers[2]
    for split, part in parts.items():
        assert all(split_of(NOTES[n].identity) == split for n in part.item.tolist())


def test_splitting_by_frames_shares_notes():
    train, test = make("train", by_frame=True), make("test", by_frame=True)
    assert set(train.item.tolist()) & set(test.item.tolist())
    assert len(train) + len(test) + len(make("valid", by_frame=True)) == 5 * len(NOTES)


def test_labels_and_magnitudes_stay_together():
    part = make()
    for row in range(len(part)):
        labels = NOTES[part.item[row]].labels
        assert [CLASSES[name][i] for name, i in zip(CLASSES, part.symbol[row].tolist(), strict=True)] == [
            labels[name] for name in CLASSES
        ]
        assert (part.fetch(torch.tensor([row])) == part.item[row] + 1).all()


def test_large_sources_are_fetched_from_the_cache(monkeypatch):
    small = make()
    monkeypatch.setattr("data.mixtures.IN_MEMORY", 0)
    rows = torch.tensor([3, 1, 3])
    assert torch.equal(make().fetch(rows), small.fetch(rows))


def test_mixtures_add_linear_magnitudes_and_mark_silence():
    silence = torch.tensor([9, 12, 2])
    mixtures = Mixtures([make(), make("test")], "bernoulli", silence)
    batch = batch_of(mixtures)
    silent = (batch["symbol"] == silence).all(-1)  # (B, I)
    loud = torch.where(silent, 0, batch["item"] + 1).sum(1)
    assert torch.equal(batch["signal"], loud[:, None].expand(-1, F).float())
    assert 0.4 < silent.float().mean() < 0.6


def test_uniform_weights_are_never_silent_and_lie_below_one():
    mixtures = Mixtures([make()], "uniform", torch.tensor([9, 12, 2]))
    batch = batch_of(mixtures)
    ratio = batch["signal"][:, 0] / (batch["item"][:, 0] + 1)
    assert ratio.max() < 1
    assert 0.4 < ratio.mean() < 0.6


def test_an_epoch_covers_the_largest_source_and_cycles_the_smaller():
    mixtures = Mixtures([make(), make("test")])
    rows = mixtures.order(torch.Generator().manual_seed(0))
    assert len(rows) == len(mixtures) == len(make())
    assert sorted(rows[:, 0].tolist()) == list(range(len(make())))
    counts = torch.bincount(rows[:, 1])
    assert counts.max() - counts.min() <= 1
    assert not torch.equal(rows, mixtures.order(torch.Generator().manual_seed(1)))


def test_the_fingerprint_follows_the_frames():
    assert Mixtures([make()]).fingerprint() == Mixtures([make()]).fingerprint()
    assert Mixtures([make()]).fingerprint() != Mixtures([make("test")]).fingerprint()


def test_nothing_left_is_one_line():
    with pytest.raises(InputError, match="Flute: no train note has a sounding frame"):
        source(NOTES, spectra(NOTES, value=0.0), CLASSES, (), "train")
    with pytest.raises(InputError, match="technique"):
        with_labels(NOTES, {"pitch": PITCH_CLASSES, "technique": ("plain",)})


def test_notes_without_a_label_are_counted(caplog):
    bare = Note(Path("x.wav"), {k: v for k, v in note(3).labels.items() if k != "dynamics"})
    assert len(with_labels([*NOTES, bare], CLASSES)) == len(NOTES)
    assert "1 of 61" in caplog.text


def test_notes_of_classes_that_a_run_does_not_know_are_left_out(caplog):
    fewer = {**CLASSES, "pitch": PITCH_CLASSES[:6]}
    assert {note.labels["pitch"] for note in with_labels(NOTES, fewer)} == set(PITCH_CLASSES[:6])
    assert "lack a known class" in caplog.text


def test_all_splits_together_are_every_note():
    assert set(make("all").item.tolist()) == set(range(len(NOTES)))


def test_recordings_of_one_note_are_one_group():
    twice = [*NOTES, *NOTES]
    both = source(twice, spectra(twice), CLASSES, (), "all")
    assert len(both.item.unique()) == 2 * len(both.group.unique()) == 2 * len(NOTES)


def test_passages_are_recordings_in_the_order_of_time():
    mixtures = Mixtures([make(), make("test")], "bernoulli", torch.tensor([9, 12, 2]))
    passages = list(mixtures.passages(3, torch.Generator().manual_seed(0)))
    assert len(passages) == 3
    for passage in passages:
        assert len(passage["signal"]) == 5
        assert (passage["item"] == passage["item"][0]).all()
        assert not (passage["symbol"] == torch.tensor([9, 12, 2])).any()  # all sound
    assert len({tuple(passage["item"][0].tolist()) for passage in passages}) == 3


def test_transposition_moves_labels_with_the_spectrum():
    transform = NSGTMagnitude()
    transpose = Transposition.of(3, 0.0, transform, CLASSES)
    symbol = torch.tensor([[4, PITCH_CLASSES.index("B"), 1]]).repeat(500, 1)
    peak = 200
    signal = torch.zeros(500, 410)
    signal[:, peak] = 1.0
    moved, labels = transpose(signal, symbol, torch.Generator().manual_seed(0))
    semitones = 12 * labels[:, 0] + (labels[:, 1] + 9) % 12 - (12 * 4 + 11)
    assert set(semitones.tolist()) == set(range(-3, 4))
    assert torch.equal(moved.argmax(1), peak + (semitones * 48.014 / 12).round().long())
    assert torch.equal(labels[:, 2], symbol[:, 2])


def test_plain_mixtures_are_as_they_were_recorded():
    transform = NSGTMagnitude()
    notes = [note(i) for i in range(30)]
    frames = source(notes, spectra_of_bands(notes, transform.shape[0]), CLASSES, (), "train")
    varied = Mixtures([frames], augment=Transposition.of(2, 0.0, transform, CLASSES))
    rows = torch.arange(len(frames))[:, None]
    batch, plain = (kind.batch(rows, torch.Generator().manual_seed(0)) for kind in (varied, varied.plain()))
    assert not torch.equal(batch["symbol"], plain["symbol"])
    assert torch.equal(plain["symbol"][:, 0], frames.symbol) and torch.equal(plain["signal"], frames.fetch(rows[:, 0]))
    assert varied.fingerprint() == varied.plain().fingerprint()


def test_detuning_leaves_the_labels():
    detune = Transposition.of(0, 50.0, NSGTMagnitude(), CLASSES)
    symbol = torch.tensor([[4, 2, 1]]).repeat(100, 1)
    signal = torch.zeros(100, 410)
    signal[:, 200] = 1.0
    moved, labels = detune(signal, symbol, torch.Generator().manual_seed(0))
    assert torch.equal(labels, symbol)
    centre = (moved * torch.arange(410)).sum(1) - 200
    assert centre.abs().max() <= 2.001
    assert centre.std() > 0.8


def test_a_label_that_would_leave_its_table_keeps_note_and_spectrum():
    transpose = Transposition.of(5, 0.0, NSGTMagnitude(), CLASSES)
    symbol = torch.tensor([[8, PITCH_CLASSES.index("B"), 0]]).repeat(100, 1)
    signal = torch.rand(100, 410)
    moved, labels = transpose(signal, symbol, torch.Generator().manual_seed(0))
    stayed = (labels == symbol).all(1)
    assert torch.equal(moved[stayed], signal[stayed])
    assert (labels[:, 0] <= 8).all()


def test_impossible_transpositions_are_one_line():
    with pytest.raises(InputError, match="octave"):
        Transposition.of(1, 0.0, NSGTMagnitude(scale="mel"), CLASSES)
    with pytest.raises(InputError, match="both"):
        Transposition.of(1, 0.0, NSGTMagnitude(), {"pitch": PITCH_CLASSES})
