"""Agreement of latent distances with ratings, where it is known by construction."""

import functools
import json

import numpy as np
import pytest
import torch

from data.dissimilarity import ratings
from data.representations import Facet
from models import dissimilarities
from models.dissimilarities import centroids, compare, left_out, scores
from models.evaluation import Observed
from models.losses import Normal
from utils import geometry

NAMES = (
    "Clarinet",
    "Saxophone",
    "Trumpet",
    "Cello",
    "Horn",
    "Oboe",
    "Flute",
    "English-Horn",
    "Bassoon",
    "Trombone",
    "Piano",
    "Violin",
)
BAND = ("Flute", "Oboe", "Cello", "Piano", "Kazoo")
PLACES = np.array([[0.0, 0], [3, 4], [0, 8], [9, 1], [20, 20]])


def observed(places: np.ndarray, names, notes: int = 3, frames: int = 2, spread: float = 0.0, absent=()) -> Observed:
    """Return latents of notes around the places (K, Z) of instruments; those of a note are equal."""
    shape = (len(places), notes, 1, places.shape[1])
    around = places[:, None, None] + spread * np.random.default_rng(0).normal(size=shape)
    mean = torch.tensor(np.broadcast_to(around, (len(places), notes, frames, places.shape[1])).reshape(-1, places.shape[1])).float()
    ids = torch.arange(len(places)).repeat_interleave(notes * frames)
    group = torch.arange(len(places) * notes).repeat_interleave(frames)[:, None]
    kept = ~torch.isin(ids, torch.tensor([names.index(name) for name in absent]))
    labels = {"instrument": Facet(ids[kept], tuple(names))}
    return Observed(labels=labels, latents={"signal": Normal(mean[kept], torch.ones_like(mean[kept]))}, group=group[kept])


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Compare with three kinds of ratings, by fewer draws, as each kind would take a second."""
    monkeypatch.setattr(dissimilarities, "DRAWS", 60)
    monkeypatch.setattr(dissimilarities, "KINDS", ("grey", "lakatos", "balanced"))
    monkeypatch.setattr(geometry, "mantel", functools.partial(geometry.mantel, permutations=999))


@pytest.fixture
def own(tmp_path):
    """Return a file with the distances of `PLACES`, as ratings."""
    path, rows = tmp_path / "own.csv", geometry.distances(PLACES)
    path.write_text("\n".join([",".join(BAND), *(",".join(map(str, row)) for row in rows)]))
    return str(path)


def test_latents_at_the_places_of_the_ratings():
    """The best that 8 and more dimensions can do: stress-1 0.0455, r = 0.982."""
    places = geometry.mds(ratings("pooled", NAMES).mean, 11).positions
    found = compare(observed(places, NAMES), "pooled", 0)
    assert found.instruments == NAMES
    assert list(found.compared) == ["pooled", "grey", "lakatos", "balanced"]
    best = found.compared["pooled"].scores
    assert best["pearson"]["value"] == pytest.approx(0.982, abs=5e-4)
    assert best["stress1"]["value"] == pytest.approx(0.0455, abs=5e-4)
    assert best["mantel_p"]["value"] == pytest.approx(1e-3)
    assert best["triplets"]["value"] > 0.9
    assert best["pearson"]["n"] == 66
    assert best["pearson"]["groups"] == 36
    assert found.compared["balanced"].scores["pearson"]["value"] < best["pearson"]["value"]
    assert found.compared["balanced"].ceiling == pytest.approx(ratings("balanced", NAMES).reliability)


def test_distances_that_are_the_ratings(own):
    found = compare(observed(5 * PLACES, BAND), own, 0)
    assert next(iter(found.compared)) == own
    best = found.compared[own].scores
    for measure in ("pearson", "spearman", "kendall", "triplets"):
        assert best[measure]["value"] == pytest.approx(1)
    assert best["stress1"]["value"] == pytest.approx(0, abs=1e-6)
    assert best["mantel_p"]["value"] == pytest.approx(1 / 120)  # of all permutations of 5
    assert found.distances == pytest.approx(5 * geometry.distances(PLACES), rel=1e-5)


def test_unrated_instruments_count_nowhere():
    """The kazoo is in no study: six pairs of the other four are left."""
    found = compare(observed(PLACES, BAND), "balanced", 0)
    assert found.distances.shape == (5, 5)
    assert found.compared["balanced"].scores["pearson"]["n"] == 6
    among = compare(observed(PLACES[:4], BAND[:4]), "balanced", 0).compared["balanced"].scores
    for measure in ("pearson", "kendall", "stress1"):
        assert found.compared["balanced"].scores[measure]["value"] == pytest.approx(among[measure]["value"])
    assert "grey" in found.compared
    assert (
        "lakatos" not in compare(observed(PLACES[:3], ("Oboe", "Bassoon", "Flute")), "balanced", 0).compared
    )  # it has one of them


def test_instruments_without_notes_are_left_out():
    found = compare(observed(PLACES, BAND, absent=("Oboe",)), "balanced", 0)
    assert found.instruments == ("Flute", "Cello", "Piano", "Kazoo")
    assert found.distances == pytest.approx(np.delete(np.delete(geometry.distances(PLACES), 1, 0), 1, 1), rel=1e-5)


def test_what_has_no_instruments_to_compare():
    plain = observed(PLACES, BAND)
    assert compare(Observed(labels={}, latents=plain.latents, group=plain.group), "balanced", 0) is None
    assert compare(Observed(labels=plain.labels, latents={}, group=plain.group), "balanced", 0) is None
    steps = Normal(torch.zeros(len(plain.group), 7, 2), torch.ones(len(plain.group), 7, 2))
    assert compare(Observed(labels=plain.labels, latents={"symbol": steps}, group=plain.group), "balanced", 0) is None
    assert compare(observed(PLACES[:2], ("Flute", "Oboe")), "balanced", 0) is None
    assert compare(observed(PLACES, ("a", "b", "c", "d", "e")), "balanced", 0) is None


def test_centroids_are_means_of_all_frames():
    mean = torch.tensor([[0.0, 0], [2, 0], [4, 6], [1, 1], [3, 3]])
    labels = {"instrument": Facet(torch.tensor([1, 1, 1, 0, 0]), ("a", "b"))}
    group = torch.tensor([0, 0, 1, 2, 2])[:, None]
    seen = Observed(labels=labels, latents={"signal": Normal(mean, torch.ones_like(mean))}, group=group)
    drawn = centroids(seen, 50, 0)
    assert drawn.shape == (51, 2, 2)
    assert drawn[0].tolist() == [[2, 2], [2, 2]]
    assert (drawn[:, 0] == 2).all()  # of one note, which every draw has
    of_two = {tuple(place) for place in drawn[1:, 1].round(9).tolist()}
    assert of_two == {(1, 0), (2, 2), (4, 6)}  # the first note twice, each once, the second twice
    assert np.array_equal(drawn, centroids(seen, 50, 0))
    assert not np.array_equal(drawn, centroids(seen, 50, 1))


def test_intervals_are_over_notes(monkeypatch):
    """Notes that differ make them wide; equal ones leave none."""
    monkeypatch.setattr(dissimilarities, "KINDS", ())
    places = geometry.mds(ratings("pooled", NAMES).mean, 3, starts=2).positions
    widths = []
    for notes, spread in ((4, 0.0), (40, 0.3), (4, 0.3)):
        found = compare(observed(places, NAMES, notes, spread=spread), "pooled", 0).compared["pooled"].scores["pearson"]
        widths.append(found["high"] - found["low"])
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(0, abs=1e-6)
    assert widths[2] > 0.05


def test_scores_of_the_opposite():
    target = geometry.distances(PLACES)
    found = scores(target, np.stack([target.max() - target + np.diag(np.diag(target) - target.max())] * 4), 10, 0)
    assert found["pearson"]["value"] == pytest.approx(-1)
    assert found["triplets"]["value"] == 0
    assert found["mantel_p"]["value"] == 1


def test_it_is_written_as_json(own):
    found = compare(observed(PLACES, BAND), own, 0).json()
    assert json.loads(json.dumps(found))["instruments"] == list(BAND)
    assert found["ratings"][own]["note"] == "own.csv: ratings of 5 instruments"
    assert found["ratings"][own]["pearson"]["value"] == pytest.approx(1)


def test_ratings_that_a_space_without_them_predicts():
    target = geometry.distances(PLACES)
    found = left_out(target, dict.fromkeys(BAND, 7 * target), BAND, 0)
    assert found["pearson"]["value"] == pytest.approx(1)
    assert found["error"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["triplets"]["value"] == 1
    assert found["pearson"]["n"] == 20  # each pair is predicted without either
    assert found["pearson"]["groups"] == 5


def test_the_mean_of_the_others_predicts_nothing():
    """Of four instruments all are 1 apart but the last, which is 3 from the others."""
    target = np.ones((4, 4)) - np.eye(4)
    target[3, :3] = target[:3, 3] = 3
    found = left_out(target, dict.fromkeys("abcd", target), tuple("abcd"), 0)
    others = (1 + 3 + 3) / 3  # of the pairs among those that are left when one of the first three is out
    errors = 3 * [*2 * [(1 - others) ** 2], (3 - others) ** 2] + 3 * [(3 - 1) ** 2]
    assert found["error_of_the_mean"]["value"] == pytest.approx(np.sqrt(np.mean(errors)))
    assert found["error"]["value"] == pytest.approx(0, abs=1e-9)


def test_only_some_instruments_left_out():
    target = geometry.distances(PLACES)
    some = left_out(target, {"Oboe": target, "Piano": target}, BAND, 0)
    assert some["pearson"]["value"] == pytest.approx(1)
    assert some["pearson"]["groups"] == 2
    assert some["pearson"]["n"] == 8
