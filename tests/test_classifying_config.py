"""Configurations of the classifying system: what goes together, names, and damaged ones."""

import pytest

from models.classifying_config import Config
from tests.classifying_runs import EVERY
from utils.config import InputError

LAGS = [{}, {"use_x_prev": True}, {"predict_next": True}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "--batch_size 1: must be 2 or more"),
        ({"predict_next": True, "use_x_prev": True}, "take one of them"),
        ({"kl_anneal": 5, "epochs": 4}, "must not be longer than the 4 --epochs"),
        ({"w_kl_anneal": 5, "epochs": 4}, "must not be longer than the 4 --epochs"),
        ({"intermediate_dim": 0}, "--intermediate_dim 0: is for --model vae"),
        ({"prior": "learned", "model": "vae", "classify": False}, "--prior learned: has nothing to learn from"),
        ({"dropout": 1.0}, "--dropout 1: must be less than 1"),
        ({"transpose": 12}, "--transpose 12: must be 11 or less"),
        ({"seq_length": 4097}, "--seq_length 4097: must be 4096 or less"),
        ({"target_keys": ("C", "H")}, "'H' is no key"),
    ],
)
def test_what_does_not_go_together(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        Config(**changes).validate()
    assert "\n" not in str(caught.value)


def test_what_goes_together():
    for changes in (
        {"prior": "learned", "model": "vae", "classify": False, "use_x_prev": True},
        {"prior": "learned", "classify": False},
        {"model": "vae", "intermediate_dim": 0},
        {"epochs": 4, "kl_anneal": 4},
        {"target_keys": ("C major", "c")},
    ):
        Config(**changes).validate()


def test_names_lags_and_settling():
    titles = [Config(dbroot="my songs/jsb all.json", **changes).title() for changes in EVERY]
    assert titles == [f"classifying__{kind}__jsb_all" for kind in ("cl_vae", "vae", "cl_lstm", "lstm")]
    assert Config().title() == "classifying__cl_lstm__chorales"
    assert [Config(**lag).lag for lag in LAGS] == [0, 1, 1]
    assert [Config(kl_anneal=a, w_kl_anneal=b).settled for a, b in ((0, 0), (3, 1), (1, 4))] == [0, 3, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"windows": "many"},
        {"windows": -5},
        {"windows": float("nan")},
        {"batch_size": 0},
        {"seq_length": 0},
        {"class_windows": [1]},
        {"classes": {"key": [1, 2, 3]}},
        {"classes": {"key": ["D", "C", "E-"]}},
        {"classes": {"key": ["C", "C", "D"]}},
        {"classes": {"key": ["C", "D", "H"]}},
        {"classes": {"key": ["C", "D", "E-"], "other": []}},
        {"classes": [["C"]]},
    ],
    ids=str,
)
def test_a_damaged_configuration_is_refused(changes):
    good = {"classes": {"key": ["C", "D", "E-"]}, "windows": 8, "class_windows": [2, 3, 3], "batch_size": 4, "seq_length": 4}
    Config(**good).validate()
    with pytest.raises(InputError):
        Config(**good | changes).validate()
