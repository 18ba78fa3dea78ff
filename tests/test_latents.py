"""What latents hold, against closed forms."""

import sys

import numpy as np
import pytest
import torch

from data.representations import Facet
from models import latents
from models.analysis_report import check_names
from models.evaluation import Observed
from models.losses import Normal
from utils.config import InputError


def observed(mean, **labels):
    """Return what was observed of one modality, every example a group of its own."""
    facets = {name: Facet(torch.as_tensor(ids), tuple("abcd")) for name, ids in labels.items()}
    return Observed(labels=facets, latents={"signal": Normal(mean, torch.ones_like(mean))}, group=torch.arange(len(mean))[:, None])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_use_in_closed_form():
    """Means +-1 with variance 1: KL 1/2, variance 1; means 0 with variance e: KL (e - 2) / 2, variance 0."""
    posterior = Normal(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, torch.e], [1.0, torch.e]]))
    found = latents.use(posterior)
    assert found["kl"] == pytest.approx([0.5, (np.e - 2) / 2])
    assert found["variance"] == pytest.approx([1.0, 0.0])
    assert latents.summary({"signal": posterior})["signal"]["active"] == 1


def test_use_of_a_latent_a_step_is_over_all_steps():
    mean = normal(5, 7, 3)
    found = latents.use(Normal(mean, torch.ones_like(mean)))
    assert found["variance"] == pytest.approx(mean.flatten(0, 1).var(0, correction=0).tolist())
    assert latents.flat(mean).shape == (5, 3)
    assert latents.flat(mean)[2] == pytest.approx(mean[2].mean(0).numpy())


def test_a_dimension_is_active_above_a_hundredth():
    mean = torch.tensor([[0.09, 0.11], [-0.09, -0.11]])  # variances 0.0081 and 0.0121
    assert latents.summary({"symbol": Normal(mean, torch.ones(2, 2))})["symbol"]["active"] == 1


def test_a_probe_reads_what_is_linearly_there_and_no_more():
    ids = torch.arange(600) % 3
    mean = normal(600, 4) + 20 * torch.nn.functional.one_hot(ids, 4)
    guessed = torch.randint(0, 3, (600,), generator=torch.Generator().manual_seed(1))
    rows = {name: slice(*ends) for name, ends in (("train", (0, 300)), ("test", (300, 600)))}
    train, test = (observed(mean[rows[name]], told=ids[rows[name]], random=guessed[rows[name]]) for name in ("train", "test"))
    found = latents.probe(train, test, 0)["signal"]
    assert found["told"]["value"] == 1.0
    assert found["told"]["low"] == pytest.approx(300 / (300 + 1.96**2), abs=1e-3)
    assert found["random"]["value"] == pytest.approx(1 / 3, abs=0.08)
    assert found == latents.probe(train, test, 0)["signal"]


def test_a_label_of_one_class_is_always_read():
    found = latents.probe(observed(normal(5, 2), one=[2] * 5), observed(normal(4, 2), one=[2, 2, 1, 2]), 0)
    assert found["signal"]["one"]["value"] == 0.75


def test_a_probe_is_fitted_on_a_part_of_what_is_many(monkeypatch):
    monkeypatch.setattr(latents, "PROBED", 50)
    ids = torch.arange(200) % 2
    mean = (ids * 10.0)[:, None] + normal(200, 2)
    assert latents.probe(observed(mean, told=ids), observed(mean, told=ids), 0)["signal"]["told"]["value"] == 1.0


def test_the_map_is_the_plane_of_most_variance_of_all_modalities():
    flat = normal(50, 2) * torch.tensor([5.0, 2.0])
    axes = torch.linalg.qr(normal(6, 2, seed=1))[0]  # orthonormal
    found = observed(flat @ axes.T + 3.0)
    found.latents["symbol"] = Normal(3.0 - flat @ axes.T, torch.ones(50, 6))
    maps = latents.maps(found, ("pca",), 0)
    points, names = maps["pca"]
    assert list(points) == ["signal", "symbol"]
    distances = np.linalg.norm(points["signal"][:, None] - points["signal"][None], axis=-1)
    assert distances == pytest.approx(torch.cdist(flat, flat).numpy(), abs=1e-3)  # a plane keeps its distances
    assert names[0].startswith("component 1 (") and names[1].startswith("component 2 (")
    assert all(np.array_equal(points[m], latents.maps(found, ("pca",), 0)["pca"][0][m]) for m in points)


def test_one_dimension_is_mapped_on_a_line():
    points, names = latents.maps(observed(torch.tensor([[1.0], [2.0], [4.0]])), ("pca",), 0)["pca"]
    assert np.ptp(points["signal"][:, 0]) == pytest.approx(3.0)
    assert (points["signal"][:, 1] == 0).all()
    assert names == ("component 1 (100% of the variance)", "component 2 (0%)")


def test_latents_that_say_nothing_are_mapped_on_a_point():
    points, _ = latents.maps(observed(torch.ones(3, 2)), ("pca",), 0)["pca"]
    assert np.isfinite(points["signal"]).all()
    assert latents.maps(observed(torch.ones(3, 2)), (), 0) == {}


def test_a_map_shows_some_of_many_the_same_for_a_seed(monkeypatch):
    monkeypatch.setattr(latents, "MAPPED", 10)
    assert len(latents.chosen(100, 0)) == len(latents.chosen(100, 0).unique()) == 10
    assert torch.equal(latents.chosen(100, 0), latents.chosen(100, 0))
    assert not torch.equal(latents.chosen(100, 0), latents.chosen(100, 1))
    assert latents.maps(observed(normal(100, 3)), ("pca",), 0)["pca"][0]["signal"].shape == (10, 2)
    assert torch.equal(latents.chosen(4, 0), torch.arange(4))


def test_without_its_package_umap_is_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    for refuse in (lambda: latents.maps(observed(normal(9, 3)), ("umap",), 0), lambda: check_names(("pca", "umap"))):
        with pytest.raises(InputError, match="pip install umap-learn") as caught:
            refuse()
        assert "\n" not in str(caught.value)


def test_unknown_projections_are_refused():
    check_names(("pca",))
    with pytest.raises(InputError, match="tsne: is unknown; there are pca umap"):
        check_names(("tsne",))
