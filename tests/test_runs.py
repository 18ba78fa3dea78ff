import json
import shutil

import pytest
import torch

from models.restoring import _Undrawn
from models.runs import load_run, parameters, read_config
from tests.runs import CLASSES, make_run
from utils.checkpoint import load_state, save_state
from utils.config import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


def test_a_run_comes_back_as_it_was_saved(run):
    model = load_run(run)
    assert not model.training
    saved = load_state(run / "best.safetensors")["model"]
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())


def test_last_weights_stand_in_for_the_best(tmp_path):
    folder = make_run(tmp_path / "run", name="last.safetensors")
    load_run(folder)
    with pytest.raises(InputError, match=r"has no best\.safetensors"):
        load_run(folder, weights="best")


def test_a_choice_of_weights(tmp_path):
    folder = make_run(make_run(tmp_path / "run"), loudness=2.0, name="last.safetensors")
    assert load_run(folder, weights="best").centre == load_run(folder).centre == 0
    assert load_run(folder, weights="last").centre > 0


def test_parameters_are_counted_without_weights(run):
    parts = parameters(run)
    assert set(parts) == {"audio", "symbolic"}
    assert sum(parts.values()) == sum(p.numel() for p in load_run(run).parameters())


def configured(**changes):
    """Return how to change the configuration of a run."""

    def change(folder):
        content = json.loads((folder / "config.json").read_text())
        content["config"].update(changes)
        (folder / "config.json").write_text(json.dumps(content))

    return change


def rewritten(**changes):
    """Return how to change config.json itself."""

    def change(folder):
        (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | changes))

    return change


def cut(name, keep):
    """Return how to cut a file short."""

    def change(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return change


def saved(**changes):
    """Return how to change the saved state."""

    def change(folder):
        save_state(folder / "best.safetensors", load_state(folder / "best.safetensors") | changes)

    return change


DAMAGES = {
    "no folder": (shutil.rmtree, "is no run"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "is no run"),
    "half a config": (cut("config.json", 100), "is no valid JSON"),
    "no object": (lambda folder: (folder / "config.json").write_text("[]"), "holds no JSON object"),
    "no text": (lambda folder: (folder / "config.json").write_bytes(b"\xff\x00"), "is no valid JSON"),
    "other system": (rewritten(system="other"), "system 'other'"),
    "system of a wrong type": (rewritten(system=["crossmodal"]), "may be damaged"),
    "later format": (rewritten(format=2), "format 2"),
    "no options": (rewritten(config=None), "not of this version"),
    "unknown option": (configured(depth=3), "unknown option 'depth'"),
    "wrong type": (configured(dims="4"), "--dims takes a list"),
    "negative size": (configured(dims=[-4]), "--dims takes 1 or more"),
    "absurd width": (configured(hidden_dims_1=[10**12]), "hidden_dims_1 is .* absurd"),
    "absurd depth": (configured(hidden_num_2=[10**9]), "hidden_num_2 is .* absurd"),
    "absurd bands": (configured(bins_per_octave=10**9), "bins_per_octave is .* absurd"),
    "absurd number": (configured(fmax=10**400), "--fmax takes numbers up to"),
    "large width": (configured(hidden_dims_1=[500_000]), "do not fit the model"),
    "other width": (configured(hidden_dims_1=[17]), "do not fit the model"),
    "no classes": (configured(classes={}), "describes no model"),
    "classes of a wrong type": (configured(classes=3), "describes no model"),
    "fewer classes": (configured(classes=CLASSES | {"octave": ["4"]}), "do not fit the model"),
    "no weights": (lambda folder: (folder / "best.safetensors").unlink(), "has no best.safetensors and no last"),
    "half of the weights": (cut("best.safetensors", 5000), "is damaged"),
    "empty weights": (cut("best.safetensors", 0), "is damaged"),
    "other state": (saved(model=None), "holds no weights"),
    "numbers for weights": (saved(model={"centre": 1}), "holds no weights"),
    "fewer weights": (saved(model={"centre": torch.zeros(())}), "do not fit the model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_one_line(tmp_path, damage):
    change, message = DAMAGES[damage]
    folder = make_run(tmp_path / "run")
    change(folder)
    with pytest.raises(InputError, match=message) as error:
        load_run(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_weights_that_are_not_finite(tmp_path):
    folder = make_run(tmp_path / "run")
    weights = load_state(folder / "best.safetensors")["model"]
    saved(model=weights | {"centre": torch.tensor(float("nan"))})(folder)
    with pytest.raises(InputError, match="not finite"):
        load_run(folder)


def test_read_config(run):
    system, config = read_config(run)
    assert system == "crossmodal" and config.dims == (4,) and config.instruments == ("flute",)


def test_weights_within_bounds_are_no_endless_loop():
    """What draws until all are within bounds must end though nothing is drawn while a run is loaded."""
    with _Undrawn():
        assert torch.nn.init.trunc_normal_(torch.full((3, 3), 7.0), std=0.1, a=-0.2, b=0.2).abs().max() <= 0.2
