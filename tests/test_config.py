"""Flags, config.json and their checks."""

import argparse
import json
from dataclasses import dataclass

import pytest

from models.crossmodal_config import Config
from utils.config import InputError, add_flags, merge, option, read_json, to_json

ORIGINAL = {  # the original's flags and defaults, specification section 9
    "frames": ("10", "25"),
    "dims": (32,),
    "hidden_dims_1": (5000,),
    "hidden_num_1": (2,),
    "hidden_dims_2": (800,),
    "hidden_num_2": (2,),
    "labels": ("octave", "pitch", "dynamics"),
    "label_type": "categorical",
    "regularization_type": "kld",
    "random_mode": "constant",
    "zero_extra_class": 1,
    "epochs": 3000,
    "save_epochs": 500,
    "plot_epochs": 100,
    "beta_1": 1.0,
    "beta_2": 1.0,
    "cross_1": 10.0,
    "cross_2": 0.0,
    "adversarial": 0,
    "adv_dim": 500,
    "adv_num": 2,
    "adv_lr": 1e-5,
    "batch_size": 64,
    "lr": 1e-3,
}


def parse(*words):
    parser = argparse.ArgumentParser()
    add_flags(parser, Config)
    return merge(Config(), vars(parser.parse_args(words)))


def test_defaults_are_those_of_the_original():
    config = parse()
    assert {name: getattr(config, name) for name in ORIGINAL} == ORIGINAL


def test_flags_reach_their_fields():
    config = parse("--frames", "3", "--dims", "8", "4", "--beta_1", "2", "--label_type", "binary", "--instruments", "Flute", "Oboe")
    assert config.frames == ("3",)
    assert config.dims == (8, 4)
    assert config.beta_1 == 2.0
    assert config.label_type == "binary"
    assert config.instruments == ("Flute", "Oboe")
    assert parse("--frames").frames == ()


def test_json_round_trip():
    config = parse("--frames", "sustain", "--dims", "8", "4", "--lr", "1e-4")
    assert merge(Config(), json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize("preset", Config.PRESETS)
def test_presets_are_valid(preset):
    merge(Config(), Config.PRESETS[preset]).validate()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"no_such": 1}, "no_such"),
        ({"lr": "fast"}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"lr": 0.0}, "lr"),
        ({"lr": True}, "lr"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"dims": 3}, "dims"),
        ({"dims": []}, "dims"),
        ({"dims": [0]}, "dims"),
        ({"dims": [8, 4], "hidden_num_1": [2, 2, 2]}, "hidden_num_1"),
        ({"label_type": "ternary"}, "label_type"),
        ({"labels": []}, "labels"),
        ({"labels": ["pitch", "pitch"]}, "labels"),
        ({"instruments": ["Flute", "Flute"]}, "instruments"),
        ({"frames": ["9", "3"]}, "frames"),
        ({"frames": ["1", "2", "3"]}, "frames"),
        ({"frames": ["loud"]}, "frames"),
        ({"frames": ["-1"]}, "frames"),
        ({"fmax": 12000.0}, "fmax"),
        ({"fmin": 500.0, "fmax": 400.0}, "fmin"),
        ({"floor": 0.0}, "floor"),
        ({"shrink": 1.0}, "shrink"),
    ],
)
def test_wrong_values_are_named(changes, word):
    with pytest.raises(InputError, match=word):
        merge(Config(), changes).validate()


@pytest.mark.parametrize("text", ["", "{", "[]", "nan", '"x"', "[" * 100_000])
def test_damaged_json_is_an_input_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(tmp_path / "x.json")


def test_missing_json_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "x.json")


# -- switches and other names -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Switches:
    """Options of all kinds that have two states or two names."""

    classify: bool = option(True, "tell apart")
    predict: bool = option(False, "look ahead")
    epochs: int = option(3, "passes", also=("num_epochs", "passes"))
    keys: tuple[str, ...] = option((), "to be in", also=("target_keys",))


def switches(*words):
    parser = argparse.ArgumentParser()
    add_flags(parser, Switches)
    return merge(Switches(), vars(parser.parse_args(words)))


@pytest.mark.parametrize(
    ("words", "classify", "predict"),
    [
        ("", True, False),
        ("--no-classify", False, False),
        ("--predict --classify", True, True),
        ("--predict --no-predict", True, False),
    ],
)
def test_switches_have_two_flags(words, classify, predict):
    config = switches(*words.split())
    assert (config.classify, config.predict) == (classify, predict)


def test_switches_that_are_not_given_are_left_out():
    parser = argparse.ArgumentParser()
    add_flags(parser, Switches)
    assert vars(parser.parse_args([])) == {}
    assert vars(parser.parse_args(["--no-predict"])) == {"predict": False}
    assert "--no-classify" in parser.format_help() and "tell apart (default: True)" in parser.format_help()


@pytest.mark.parametrize("flag", ["--epochs", "--num_epochs", "--passes"])
def test_a_flag_may_have_other_names(flag):
    assert switches(flag, "7") == Switches(epochs=7)


def test_of_two_names_the_last_wins():
    assert switches("--epochs", "7", "--num_epochs", "8", "--target_keys", "C", "c") == Switches(epochs=8, keys=("C", "c"))


@pytest.mark.parametrize("words", [("--classify", "1"), ("--no-epochs",), ("--classify=true",)])
def test_switches_take_no_value(words):
    with pytest.raises(SystemExit):
        switches(*words)


def test_switches_survive_json():
    config = switches("--no-classify", "--predict")
    assert json.loads(json.dumps(to_json(config)))["classify"] is False
    assert merge(Switches(), json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classify": 1}, "--classify takes bool, not 1"),
        ({"classify": "true"}, "--classify takes bool, not 'true'"),
        ({"predict": None}, "--predict takes bool, not None"),
        ({"predict": [True]}, "--predict takes bool"),
        ({"epochs": True}, "--epochs takes int, not True"),
        ({"keys": [True]}, "--keys takes str, not True"),
        ({"num_epochs": 3}, "unknown option 'num_epochs'"),
    ],
)
def test_numbers_are_no_switches_and_switches_no_numbers(changes, message):
    with pytest.raises(InputError, match=message):
        merge(Switches(), changes)
