"""What is heard of a model that plays known sounds; the estimator of pitch is a table here."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from data.audio import Audio
from data.labels import Labels
from data.representations import Representation
from models import listening
from models.base import LatentModel
from models.listening import Generated, Listened, Loudness, listen, played
from models.losses import Normal
from utils.pitch import hertz_of

OCTAVES, PITCHES, DYNAMICS = ("3", "4"), ("A", "C"), ("p", "mf", "f")
CLASSES = (("octave", OCTAVES), ("pitch", PITCHES), ("dynamics", DYNAMICS))
AMPLITUDES = torch.tensor([0.1, 0.3, 1.0, 0.0])


@dataclass(frozen=True)
class Bands(Representation):
    """Two bands around 1000 Hz; a frame inverts to a sample that holds its sum."""

    frequencies = np.array([900.0, 1100.0])
    frame_rate, full_scale, sample_rate = 30.0, 35.2, 22050

    @property
    def shape(self):
        return (2,)

    def invert(self, frames, iterations):
        return Audio(frames.sum(1).numpy(), self.sample_rate)


class Organ(LatentModel):
    """Play every instrument with the amplitude of its dynamics; `amplitudes` are those of the three, and of silence."""

    latent_shape = (1,)

    def __init__(self, *instruments, amplitudes=AMPLITUDES, silence=True, classes=CLASSES):
        super().__init__()
        self.representations = {"signal": Bands(), "symbol": Labels(classes, instruments or ("flute",), silence, 30.0)}
        self.amplitudes = torch.nn.Parameter(amplitudes)
        self.asked = []

    def encode(self, x, source, condition=None):
        self.asked.append(x.clone())
        return Normal(self.amplitudes[x[..., -1]].sum(1, keepdim=True), torch.ones(len(x), 1))

    def decode(self, z, target, condition=None, temperature=0.0):
        return 5 * z.expand(-1, 2)


@pytest.fixture
def heard(monkeypatch):
    """Return a dictionary of what is heard: the sum of a frame -> Hz; 440 where it is not in there."""
    table, calls = {}, []

    def fundamental(samples, rate, lowest):
        calls.append((len(samples), rate, lowest))
        return table.get(round(float(samples[0]), 3), 440.0)

    monkeypatch.setattr(listening, "fundamental", fundamental)
    table["calls"] = calls
    return table


def ids(*rows):
    """Return frames of one instrument, rows of (octave, pitch, dynamics)."""
    return torch.tensor(rows)[:, None]


def test_every_distinct_note_is_played_once_in_order(heard):
    found = listen(Organ(), ids((1, 0, 1), (0, 1, 2), (1, 0, 1), (1, 0, 0), (2, 2, 3)), 1)
    assert [note.note for note in found.notes] == ["C3:f", "A4:p", "A4:mf"]
    assert [note.asked for note in found.notes] == [48, 69, 69]
    assert {call[:2] for call in heard["calls"]} == {(30, 22050)}  # a second of frames


def test_pitches_are_looked_for_from_an_octave_below_the_lowest(heard):
    listen(Organ(), ids((1, 0, 1), (0, 1, 2)), 1)
    assert {call[2] for call in heard["calls"]} == {hertz_of(48 - 12)}


def test_cents_are_above_what_was_asked(heard):
    heard |= {1.0: hertz_of(69.3), 3.0: hertz_of(57), 10.0: None}  # in 2 bands 5 times the amplitudes
    found = listen(Organ(), ids((1, 0, 0), (1, 0, 1), (1, 0, 2)), 1)
    assert [note.cents for note in found.notes] == [pytest.approx(30.0), pytest.approx(-1200.0), None]
    assert [note.hertz for note in found.notes] == [pytest.approx(447.69), 220.0, None]
    share = found.estimates(0)["within_50_cents"]
    assert (share["value"], share["n"], share["groups"]) == (pytest.approx(1 / 3), 3, 3)
    json.dumps(found.json())


def order(amplitudes, *rows):
    return listen(Organ(amplitudes=torch.tensor(amplitudes)), ids(*rows), 1)


def test_louder_dynamics_sound_louder(heard):
    rows = [(1, 0, 0), (1, 0, 1), (0, 1, 2)]
    rising = order([0.1, 0.3, 1.0, 0.0], *rows)
    assert [(pitch.note, len(pitch.levels)) for pitch in rising.loudness] == [("C3", 3), ("A4", 3)]
    a4 = rising.loudness[1].levels
    assert a4[2] - a4[0] == pytest.approx(20, abs=0.02)
    assert rising.estimates(0)["loudness_order"]["value"] == 1.0
    assert order([1.0, 0.3, 0.1, 0.0], *rows).estimates(0)["loudness_order"]["value"] == 0.0
    assert order([0.1, 1.0, 0.3, 0.0], *rows).estimates(0)["loudness_order"]["value"] == pytest.approx(2 / 3)


def test_dynamics_that_the_split_has_not_are_left_out(heard):
    found = order([0.3, 9.0, 1.0, 0.0], (1, 0, 0), (0, 1, 2))
    assert all(math.isnan(pitch.levels[1]) for pitch in found.loudness)
    assert found.estimates(0)["loudness_order"]["value"] == 1.0


def test_one_dynamics_has_no_order(heard):
    found = order([0.1, 0.3, 1.0, 0.0], (1, 0, 1), (0, 1, 1))
    assert set(found.estimates(0)) == {"within_50_cents"}


def test_instruments_with_one_dynamics_leave_the_others_their_order():
    def pitch(*levels):
        return Loudness("flute", "A4", levels)

    found = Listened([], [pitch(math.nan, 1.0, math.nan), pitch(0.0, 1.0, 2.0)], DYNAMICS).estimates(0)
    assert (found["loudness_order"]["value"], found["loudness_order"]["n"]) == (1.0, 1)


def test_of_a_mixture_each_instrument_is_played_alone(heard):
    model = Organ("flute", "cello")
    frames = torch.tensor([[(1, 0, 1), (0, 1, 2)], [(1, 0, 1), (2, 2, 3)]])
    found = listen(model, frames, 1)
    assert [(note.instrument, note.note) for note in found.notes] == [("flute", "A4:mf"), ("cello", "C3:f")]
    assert all((asked == torch.tensor([2, 2, 3])).all(-1).sum(1).eq(1).all() for asked in model.asked)
    assert played(model, torch.tensor([[0, 1, 2]]), 1).tolist() == [[5.0, 5.0]]


@pytest.mark.parametrize(
    "model",
    [
        Organ("flute", "cello", silence=False),
        Organ(classes=(("octave", OCTAVES), ("technique", ("a", "b")), ("dynamics", DYNAMICS))),
        Organ(classes=(("technique", ("a", "b")), ("pitch", PITCHES), ("dynamics", DYNAMICS))),
    ],
)
def test_where_no_note_can_be_asked_for_alone_none_is(heard, model):
    found = listen(model, torch.zeros(2, len(model.representations["symbol"].instruments), 3, dtype=torch.long), 1)
    assert found.notes == found.loudness == [] and found.estimates(0) == {}


def test_silence_alone_is_not_played(heard):
    assert listen(Organ(), ids((2, 2, 3)), 1).notes == []


def test_without_dynamics_only_pitches_are_heard(heard):
    model = Organ(classes=CLASSES[:2], amplitudes=torch.ones(4))
    found = listen(model, torch.tensor([[[1, 0]], [[1, 1]]]), 1)
    assert [note.note for note in found.notes] == ["A4", "C4"]
    assert found.loudness == [] and set(found.estimates(0)) == {"within_50_cents"}


def test_all_within_50_cents_has_an_interval_of_its_notes():
    notes = [Generated("flute", "A4", 69, 440.0, cents) for cents in (0.0, 50.0, -50.0)]
    found = Listened(notes, [], ()).estimates(0)["within_50_cents"]
    assert found["value"] == 1.0
    assert found["low"] == pytest.approx(3 / (3 + 1.96**2), abs=1e-3)
