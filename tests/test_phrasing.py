"""What an analysis finds out about models of phrases, by models whose answers are known."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data import phrase_statistics as statistics
from data.attributes import measure
from data.melody import Melody
from data.phrase_corpora import PhrasePiece
from data.phrase_windows import PhraseWindows
from models import phrase_generation, phrasing
from models.epochs import batches
from models.evaluation import observe
from models.phrase import PHRASE
from models.phrase_examples import add_examples
from models.phrase_generation import Trained
from models.phrasing import Wanted, examine
from models.phrasing_report import draw, section
from tests.phrase_runs import Tokens

STEPS = 32
DEVICE = torch.device("cpu")


class Exact(Tokens):
    """One that remakes all, and told the truth gets a share of the first steps wrong."""

    def __init__(self, wrong: float = 0.0):
        super().__init__(STEPS)
        self.wrong = wrong

    def told(self, x):
        return torch.where(torch.arange(STEPS) < self.wrong * STEPS, (x + 1) % 90, x)

    def nll(self, x, source, y, target, condition=None):
        return torch.full((len(x),), math.log(2))

    def bound(self, batch, random, condition=None):
        n = len(batch[PHRASE])
        return {
            "nll": torch.full((n,), 32 * math.log(2)),
            "kl_phrase": torch.full((n,), 16 * math.log(2)),
            "log_weight": torch.zeros(n),
        }


def windows(number=8, seed=0, bars=4):
    random = np.random.default_rng(seed)
    pieces = []
    for place in range(number):
        line = np.zeros(16 * bars, np.int64)
        line[::4] = random.integers(40, 60, 4 * bars)
        pieces.append(PhrasePiece(f"piece {place}", None, "test", str((seed, place)), (line,), 100.0, {"style": "ab"[place % 2]}))
    return PhraseWindows(tuple(pieces), Melody(STEPS), labels={"style": ("a", "b")})


@pytest.fixture(scope="module")
def found():
    model, test = Exact(0.25).eval(), windows()
    observed = observe(model, batches(test, 1024, 0, "evaluation", 0), DEVICE)
    return examine(model, observed, test, windows(20, 1), Wanted(2, 50), 0)


def value(found, *names):
    column, section_, metric = names
    return found.metrics[column][section_][metric]["value"]


def test_what_is_told_and_what_is_drawn_have_their_own_names(found):
    assert value(found, "model", "phrase_drawn", "accuracy") == 1
    assert value(found, "model", "phrase_told", "accuracy") == 0.75
    assert value(found, "model", "phrase_events", "note_f1") == 1


def test_bounds_are_in_bits(found):
    bound = found.metrics["model"]["phrase_bound"]
    assert bound["nll"]["value"] == pytest.approx(1) and bound["kl_phrase"]["value"] == pytest.approx(0.5)
    assert bound["kl_a_phrase"]["value"] == pytest.approx(16)
    assert bound["bound"]["value"] == pytest.approx(1.5)


def test_baselines_stand_beside_what_is_told(found):
    assert value(found, "most_frequent", "phrase_told", "accuracy") == 0.75  # nothing begins in three of four steps
    assert value(found, "position", "phrase_told", "accuracy") < 0.85
    assert found.metrics["bar_before"].keys() == {"phrase_told"}


def test_samples_stand_beside_real_phrases(found):
    real, made = (found.metrics[name]["phrase_samples"] for name in ("real", "model"))
    assert real["note_density"]["value"] == 0.25 and real["distinct"]["value"] == 1
    assert real["verbatim_of_training"]["value"] == 0
    assert made.keys() - real.keys() == {"js_notes_a_bar", "js_pitch_class", "js_interval", "js_onset_position"}
    assert found.metrics["temperature 0.5"]["phrase_samples"].keys() == made.keys()
    assert found.histograms.keys() == {"real", "model", "temperature 0.5"}


def test_attribute_vectors_do_what_they_are_named_after(found):
    effect = found.effect
    place = effect.added.index("average_interval"), effect.measured.index("average_interval")
    assert effect.change.shape == (len(effect.added), len(effect.measured)) and np.isfinite(effect.change).all()
    assert effect.change[place] != 0
    assert "note_density" not in effect.added  # by which these phrases do not differ
    assert {len(curve) for curve in effect.curves.values()} == {5}


def test_paths_begin_and_end_at_the_phrases(found):
    start, end = found.courses["latents"]
    assert start.shape[1] == 9 and 50 < len(start) <= 100 and (start[:, 0] == 0).all() and (end[:, -1] == 0).all()


def test_phrases_are_in_the_order_of_what_was_observed():
    """Groups belong to their phrases: scores that are all of one piece's vary with it alone."""
    test = windows(6)
    x, group = [], []
    for batch in batches(test, 1024, 0, "evaluation", 0):
        x.append(batch[PHRASE])
        group.append(batch["group"])
    x, group = torch.cat(x), torch.cat(group)[:, 0]
    lines = [torch.from_numpy(piece.lines[0]) for piece in test.pieces]
    for one, place in zip(x, group.tolist(), strict=True):
        assert any(torch.equal(one, lines[place][first : first + STEPS]) for first in range(0, 33, 16))


def test_without_the_training_split_what_needs_it_is_left_out():
    model, test = Exact().eval(), windows()
    observed = observe(model, batches(test, 1024, 0, "evaluation", 0), DEVICE)
    found = examine(model, observed, test, None, Wanted(0, 20), 0)
    assert found.metrics.keys() == {"model", "real", "temperature 0.5"} and found.effect is None
    assert "phrase_bound" not in found.metrics["model"]
    assert not {"verbatim_of_training", "bits_by_5_grams"} & found.metrics["real"]["phrase_samples"].keys()
    nothing = examine(model, observed, test, None, Wanted(0, 0), 0)
    assert nothing.metrics.keys() == {"model"} and not nothing.histograms


def test_numbers_are_json(found):
    json.dumps(found.json(), allow_nan=False)
    assert found.json()["attribute_change"].keys() == set(found.effect.added)


def test_examples_are_written_and_shown(found, tmp_path):
    model, test = Exact().eval(), windows()
    add_examples(found, model, test, 3, 0, tmp_path / "audio")
    assert len(found.examples) == 3 and len({example.title for example in found.examples}) == 3
    assert all(path.is_file() for example in found.examples for path in example.sounds.values())
    assert len(found.drawn_sounds) == 3
    drawn = {}

    def files(name):
        drawn[name] = tmp_path / f"{name}.png"
        return [drawn[name]]

    draw(found, found.phrase, files)
    assert all(path.stat().st_size > 1000 for path in drawn.values())
    assert len(list(section(found, drawn).blocks)) >= len(drawn)
    add_examples(found, model, test, 1, 0, tmp_path / "audio")
    assert len(list((tmp_path / "audio").glob("example_*.wav"))) == 3  # of three versions of one; the others are gone


def test_phrases_without_a_bar_before_have_no_self_similarity():
    x, group = torch.zeros(2, 16, dtype=torch.long), torch.arange(2)[:, None]
    assert "as_the_bar_before" not in phrase_generation._sampled(Melody(16), "melody", x, group, None, 0)


def test_notes_count_where_highest_pitches_differ():
    """Of two notes one is remade, a pitch higher than any true one is not."""
    x = torch.tensor([[50, 0, 60, 0], [50, 0, 0, 0]])
    y = torch.tensor([[50, 0, 80, 0], [0, 0, 0, 0]])
    struck = [phrasing._struck(Melody(4), "melody", each)["note_f1"] for each in (x, y)]
    model = SimpleNamespace(representations={PHRASE: Melody(4)}, config=SimpleNamespace(kind="melody"))
    found = phrasing._events(model, x, y, torch.arange(2)[:, None], 0)
    assert struck[0].max() == 60 and struck[1].max() == 80
    assert found["note_f1"]["value"] == pytest.approx(2 / 5) and found["onset_f1"]["value"] == pytest.approx(4 / 5)


def test_copies_are_found_off_the_bar_and_transposed():
    still = windows(3, 5)
    known = Trained.of("melody", dataclasses.replace(still, hop=4, transpose=5), 0)
    piece = torch.from_numpy(still.pieces[0].lines[0])
    off = piece[8 : 8 + STEPS].clone()
    moved = torch.where(off >= 2, off + 3, off)
    other = torch.where(off == off.max(), off + 1, off)
    found = phrase_generation._parts("melody", torch.stack([off, moved, other]), True)
    assert statistics.verbatim(found, known.copied).tolist() == [True, True, False]


def test_narrow_ranges_are_told_in_pitches_of_a_piano():
    scale = torch.tensor([[2 + n for n in (0, 2, 4, 5, 7, 9, 11, 12)]])
    low = Melody(8, lowest=48, highest=72)
    assert measure("melody", low.standard(scale))["c_diatonic"].item() == 1
