"""Principal axes and centroids of latents whose places are known."""

import pytest
import torch

from data.representations import Facet
from models.atlas import Atlas, survey
from models.evaluation import Observed
from models.losses import Normal
from models.run_config import write_run
from models.timbre import Model, datasets
from models.timbre_config import Config
from tests import timbres
from utils.config import InputError, merge


def observed(mean: torch.Tensor, ids, names=("a", "b", "c"), label: str = "instrument") -> Observed:
    labels = {label: Facet(torch.as_tensor(ids), names)}
    return Observed(labels=labels, latents={"signal": Normal(mean, torch.ones_like(mean))}, group=torch.arange(len(mean))[:, None])


CENTRE = torch.tensor([1.0, -2, 3, 0.5])
POINTS = CENTRE + torch.tensor([[0.0, 5, 0, 0], [0, -5, 0, 0], [0, 0, 0, 3], [0, 0, 0, -3], [2, 0, 0, 0], [-2, 0, 0, 0]])
IDS = [0, 0, 2, 2, 2, 0]


def test_axes_are_those_of_the_largest_variances():
    atlas = Atlas.of(observed(POINTS, IDS))
    assert torch.allclose(atlas.centre, CENTRE)
    assert torch.allclose(atlas.axes, torch.eye(4)[[1, 3, 0]], atol=1e-6)
    low, high = atlas.bounds()
    assert low.tolist() == pytest.approx([-5, -3, -2])
    assert high.tolist() == pytest.approx([5, 3, 2])


def test_only_classes_that_occur_have_a_centroid():
    atlas = Atlas.of(observed(POINTS, IDS))
    assert atlas.names == ("a", "c")
    assert atlas.ids.tolist() == [0, 0, 1, 1, 1, 0]
    expected = torch.stack([POINTS[[0, 1, 5]].mean(0), POINTS[2:5].mean(0)])
    assert torch.allclose(atlas.centroids, expected)
    assert torch.allclose(atlas.project(atlas.centroids), torch.tensor([[0, 0, -2 / 3], [0, 0, 2 / 3]]), atol=1e-6)


def test_coordinates_and_latents_undo_each_other_within_the_plane():
    atlas = Atlas.of(observed(torch.randn(50, 6, generator=torch.Generator().manual_seed(0)), [0] * 50))
    assert torch.allclose(atlas.axes @ atlas.axes.T, torch.eye(3), atol=1e-5)
    places = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(atlas.project(atlas.latents(places)), places, atol=1e-5)
    assert torch.allclose(atlas.latents(torch.zeros(3)), atlas.centre)
    spread = atlas.project(atlas.means).var(0)
    assert spread.tolist() == sorted(spread.tolist(), reverse=True)


def test_the_sense_of_axes_does_not_depend_on_that_of_latents():
    means = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    one, other = Atlas.of(observed(means, [0] * 50)), Atlas.of(observed(means.flip(0), [0] * 50))
    assert torch.allclose(one.axes, other.axes, atol=1e-4)
    mirrored = Atlas.of(observed(-means, [0] * 50))
    assert torch.allclose(one.axes, mirrored.axes, atol=1e-4)
    assert (one.axes.gather(1, one.axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_two_dimensions_have_two_axes():
    assert Atlas.of(observed(POINTS[:, :2], IDS)).axes.shape == (2, 2)


def test_what_tells_no_instruments_apart():
    with pytest.raises(InputError, match="labels are octave"):
        Atlas.of(observed(POINTS, IDS, label="octave"))
    with pytest.raises(InputError, match="single notes of several instruments"):
        Atlas.of(observed(torch.zeros(6, 7, 4), IDS))
    assert Atlas.of(observed(POINTS, IDS, label="octave"), "octave").names == ("a", "c")


def test_a_survey_is_of_the_frames_of_training(tmp_path, monkeypatch):
    root = timbres.make_timbres(tmp_path / "corpus", seconds=0.2)
    given = {"dbroot": str(root), "cache": str(tmp_path / "cache"), "transform": "stft", "frames": ("2", "4"), "workers": 1}
    config = merge(Config(), {**given, "latent_dims": 4, "hidden_dims": 8, "hidden_layers": 1}).resolved()
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", "timbre", config, {})
    torch.manual_seed(0)
    model = Model(config).eval()
    atlas = survey(tmp_path / "run", model)
    assert atlas.names == timbres.NAMES
    assert len(atlas.means) == sum(map(len, datasets(config, ["train"])["train"].sources))
    assert atlas.ids.unique().tolist() == list(range(6))
    octaves = survey(tmp_path / "run", model, "octave")
    assert octaves.names == ("3", "4")
    monkeypatch.setattr("models.evaluation.BATCH", 10)
    monkeypatch.setattr("models.atlas.BATCH", 10)
    monkeypatch.setattr("models.atlas.SURVEYED", 30)
    some = survey(tmp_path / "run", model)
    assert 27 <= len(some.means) <= 33  # of batches of nearly 10
