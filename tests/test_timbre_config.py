"""The timbre system's configuration: what goes together, and what it takes from a corpus and from ratings."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from data.dissimilarity import ratings
from data.labelled import Labelled
from data.spectral import KINDS
from models.epochs import batches
from models.timbre import Model, datasets
from models.timbre_config import REGULARIZERS, TRANSFORMS, Config
from tests import timbres
from tests.test_timbre import NAMES, TINY, configured
from utils.config import InputError, merge, to_json


def test_every_transform_can_be_chosen():
    assert TRANSFORMS == KINDS
    assert Config.__dataclass_fields__["transform"].metadata["choices"] == KINDS


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"instruments": ("Flute", "Flute")}, "twice"),
        ({"floor": 0.0}, "--floor"),
        ({"noise": 0.0}, "--noise"),
        ({"noise": 1.0}, "--noise 1"),
        ({"targetdims": "first", "mds_dims": 7}, "--mds_dims 7"),
        ({"conditioning": ("pitch", "none")}, "--conditioning pitch none"),
        ({"conditioning": ("pitch", "pitch")}, "--conditioning pitch pitch"),
        ({"epochs": 0, "twofold_epochs": 0}, "no epoch to train"),
        ({"epochs": 0, "regularization": "none"}, "no epoch to train"),
        ({"frames": ("9", "3")}, "--frames 9 3"),
    ],
)
def test_what_does_not_go_together_is_said(changes, word):
    with pytest.raises(InputError, match=word) as caught:
        merge(Config(), {**TINY, **changes}).validate()
    assert "\n" not in str(caught.value)


def test_few_latent_dimensions_need_no_other_option():
    merge(Config(), {**TINY, "latent_dims": 2}).validate()
    merge(Config(), {**TINY, "latent_dims": 2, "regularization": "prior"}).validate()


@pytest.mark.parametrize("kind", REGULARIZERS)
def test_titles_tell_regularisers_and_transforms_apart(kind):
    assert Config(regularization=kind).title() == f"timbre__{kind}_nsgt-octave"


def test_presets_are_valid():
    names = {field.name for field in fields(Config)}
    for preset in Config.PRESETS.values():
        assert preset.keys() <= names
        merge(Config(), preset).validate()


def test_withholding_hides_one_instrument():
    config = configured(regularization="gaussian")
    without = config.withholding("Violin")
    assert without.unrated == ("Violin",)
    assert without.rated == [name for name in config.rated if name != "Violin"]
    rest = [0, 1, 3, 4]
    for kind in ("mean", "spread"):
        before, after = (np.array(c.dissimilarity[kind], float) for c in (config, without))
        assert np.array_equal(after[np.ix_(rest, rest)], before[np.ix_(rest, rest)])
        assert np.isnan(after[2, rest]).all()
        assert np.isnan(after[rest, 2]).all()
        assert after[2, 2] == 0
    assert without.withholding("Piano").rated == ["Flute", "Oboe", "Bassoon"]
    assert without.dissimilarity == configured(regularization="gaussian", unrated=("Violin",)).dissimilarity
    assert config.rated == list(NAMES)  # the first one is as it was


# -- with a corpus ----------------------------------------------------------------------------------------------------

PLAYED = ("Flute", "Kazoo", "Oboe", "Violin")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    places = np.random.default_rng(0).normal(size=(4, 3)) / 3
    return timbres.make_timbres(tmp_path_factory.mktemp("corpus"), places, PLAYED)


@pytest.fixture
def of_corpus(root, tmp_path_factory):
    """Return a function that resolves a configuration with the corpus."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    fixed = {**TINY, "dbroot": str(root), "cache": str(cache), "frames": ("sustain",), "workers": 1}
    return lambda **changes: merge(Config(), {**fixed, **changes}).resolved()


def test_instruments_without_ratings_are_left_out_unless_they_are_asked_for(of_corpus):
    assert of_corpus().instruments == ("Flute", "Oboe", "Violin")
    assert of_corpus(regularization="none").instruments == PLAYED
    asked = of_corpus(instruments=("violin", "kazoo", "oboe", "flute"))
    assert asked.instruments == ("Violin", "Kazoo", "Oboe", "Flute")
    assert asked.classes["instrument"] == list(asked.instruments)
    assert asked.rated == ["Violin", "Oboe", "Flute"]


def test_ratings_are_looked_up_by_name(of_corpus):
    """The original took them in the order of another table."""
    one, other = of_corpus(), of_corpus(instruments=("Violin", "Flute", "Oboe"))
    order = [one.instruments.index(name) for name in other.instruments]
    for kind in ("mean", "spread"):
        table = np.array(one.dissimilarity[kind], float)
        assert np.array_equal(other.dissimilarity[kind], table[np.ix_(order, order)])
    assert one.dissimilarity["mean"] != other.dissimilarity["mean"]
    assert one.dissimilarity["mean"] == ratings("balanced-no-grey", one.instruments).mean.tolist()


def test_ratings_of_ones_own(of_corpus, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("instrument_a,instrument_b,dissimilarity\nflute,kazoo,1\nflute,oboe,2\nkazoo,oboe,4\n")
    config = of_corpus(ratings=str(path))
    assert config.instruments == ("Flute", "Kazoo", "Oboe")
    assert config.dissimilarity["mean"] == [[0, 0.25, 0.5], [0.25, 0, 1], [0.5, 1, 0]]
    path.unlink()
    torch.manual_seed(0)
    assert Model(config).mean.tolist() == config.dissimilarity["mean"]  # a run goes on without the file
    assert merge(Config(), to_json(config)) == config
    path.write_text("instrument_a,instrument_b,dissimilarity\nflute,violin,1\nflute,oboe,2\nviolin,oboe,4\n")
    with pytest.raises(InputError, match="tells no spreads"):
        of_corpus(ratings=str(path), regularization="gaussian")
    spreads = Model(of_corpus(ratings=str(path), regularization="prior")).spreads
    assert spreads.tolist() == [1, 1, 1]  # where nothing is known of them


def test_ratings_may_be_withheld(of_corpus):
    names = ("Flute", "Oboe", "Violin", "Kazoo")
    with pytest.raises(InputError, match="3 rated instruments"):
        of_corpus(instruments=names, unrated=("Oboe",))
    with pytest.raises(InputError, match="Tuba"):
        of_corpus(instruments=names, unrated=("Tuba",))
    assert of_corpus(instruments=names, unrated=("Kazoo",)).dissimilarity == of_corpus(instruments=names).dissimilarity


def test_octaves_are_filtered(of_corpus):
    octaves = {note.labels["octave"] for note in of_corpus(filter=3).corpus().notes}
    assert octaves == {"3"}
    with pytest.raises(InputError, match="octaves up to 1"):
        of_corpus(filter=1)


def test_training_sees_instruments_in_even_shares(of_corpus):
    config = of_corpus()
    splits = datasets(config)
    assert list(splits) == ["train", "valid", "test"]
    assert [data.balanced for data in splits.values()] == [True, False, False]
    assert all(isinstance(data, Labelled) for data in splits.values())
    for batch in batches(splits["train"], 12, 0):
        counts = batch["instrument"].bincount(minlength=3)
        assert counts.max() - counts.min() <= 1
    assert set(next(batches(splits["test"], 12, 0))) >= {"signal", "instrument", "octave", "pitch", "dynamics", "item", "group"}


def test_the_standardisation_is_that_of_the_training_split(of_corpus):
    config = of_corpus(floor=1e-3)
    train = datasets(config, ["train"])["train"]
    model = Model(config)
    model.prepare(batches(train, 7, 0))
    y = torch.cat([batch["signal"] for batch in batches(train, 1000, 0)]).clamp_min(1e-3).log()
    assert model.centre.item() == pytest.approx(y.mean().item(), rel=1e-4)
    assert model.extent.item() == pytest.approx((y - y.mean()).abs().max().item(), rel=1e-4)
    x = next(batches(train, 50, 0))["signal"].clamp_min(1e-3)
    assert model.standardise(x).abs().max() <= 1 + 1e-5
    assert torch.allclose(model.magnitudes(model.standardise(x)), x, rtol=1e-4)
