"""The MusicVAE that others stand on: found, frozen, and known again by its weights."""

import json
import os

import pytest
import torch

from models.musicvae_base import fingerprint, load
from models.phrase import PHRASE
from models.run_folder import BEST, CONFIG
from models.runs import load_run
from tests.bundles import MAGENTA
from tests.constraint_runs import make_base, make_constraint_run
from tests.runs import make_run
from tests.test_musicvae_training import checkpoint
from utils.checkpoint import load_state, save_state
from utils.config import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"))


def trained_further(run):
    """Change the weights of a run a little."""
    state = load_state(run / BEST)
    state["model"] = {name: tensor + 1e-6 for name, tensor in state["model"].items()}
    save_state(run / BEST, state)


def test_a_run_is_loaded_frozen_and_once(run):
    made = load(run)
    assert not made.training and not any(p.requires_grad for p in made.parameters())
    whole = load_run(run).state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in made.state_dict().items())
    assert load(run) is made


def test_what_is_trained_further_is_loaded_anew(tmp_path):
    """Within the same second, and of the same size."""
    run = make_base(tmp_path)
    made, size = load(run), (run / BEST).stat().st_size
    mark = fingerprint(made)
    trained_further(run)
    assert (run / BEST).stat().st_size == size and load(run) is not made and fingerprint(load(run)) != mark


def test_fingerprints_are_of_the_weights_alone(run, tmp_path):
    assert fingerprint(load(run)) == fingerprint(load_run(run))
    (tmp_path / "moved").symlink_to(run)
    assert fingerprint(load(tmp_path / "moved")) == fingerprint(load(run))
    made = load_run(run)
    with torch.no_grad():
        next(made.parameters())[0, 0] += 1e-6
    assert fingerprint(made) != fingerprint(load(run))
    for change in (lambda t: t.reshape(-1), lambda t: t.double()):
        named = {name: change(tensor) for name, tensor in load_run(run).state_dict().items()}
        made.state_dict = lambda named=named: named
        assert fingerprint(made) != fingerprint(load(run))


def test_a_checkpoint_is_stood_on_too(tmp_path):
    path = checkpoint(tmp_path / "cat-drums_2bar_small.ckpt")
    made = load(path)
    assert (made.config.kind, made.config.bars, made.training) == ("drums", 2, False)
    assert load(path) is made and not any(p.requires_grad for p in made.parameters())
    assert load(path, "cat-drums_2bar_small") is not made
    assert load(checkpoint(tmp_path / "any.ckpt"), "cat-drums_2bar_big").config.kind == "drums"


@pytest.mark.parametrize("name", ["tiny-flat.ckpt", "tiny-hier.ckpt"])
def test_magentas_checkpoints(name):
    if not (MAGENTA / f"{name}.index").exists():
        pytest.skip("the checkpoint is not here")
    made = load(MAGENTA / name)
    x = made.decode(made.sample(2, torch.Generator().manual_seed(0)), PHRASE)
    assert made.encode(x, PHRASE).mean.shape == (2, *made.latent_shape)


def test_what_none_can_stand_on_is_told(run, tmp_path):
    sound = make_run(tmp_path / "sound")
    (tmp_path / "nothing").mkdir()
    for path, message in (
        (tmp_path / "absent", "absent: there is no such run or checkpoint"),
        (tmp_path / "nothing", "nothing: is neither a run"),
        (run / CONFIG, "is neither a run"),
        (sound, "sound: is a run of the system crossmodal; give one of musicvae to stand on"),
    ):
        with pytest.raises(InputError, match=message):
            load(path)
    with pytest.raises(InputError, match=r"--base_preset tiny: is for checkpoints, and .* is a run, which knows; leave it out"):
        load(run, "tiny")
    with pytest.raises(InputError, match="nothing: there is none of that name"):
        load(checkpoint(tmp_path / "any.ckpt"), "nothing")


def test_no_run_stands_on_one_that_stands_on_another(run, tmp_path):
    with pytest.raises(InputError, match="is a run of the system latent_constraint; give one of musicvae"):
        load(make_constraint_run(tmp_path / "small", run))


def test_damaged_runs_are_told(tmp_path):
    run = make_base(tmp_path)
    content = json.loads((run / CONFIG).read_text())
    for change, message in (
        ({"latent_dim": 9}, "do not fit"),
        ({"latent_dim": 10**9}, "16384 or less"),
        ({"bars": "x"}, "takes int"),
    ):
        (run / CONFIG).write_text(json.dumps({**content, "config": {**content["config"], **change}}))
        with pytest.raises(InputError, match=message):
            load(run)
    (run / CONFIG).write_text(json.dumps(content))
    os.truncate(run / BEST, 1000)
    with pytest.raises(InputError, match=BEST):
        load(run)
    (run / BEST).unlink()
    with pytest.raises(InputError, match=r"wait until training has saved"):
        load(run)


def test_a_lock_that_comes_and_goes_changes_nothing(run):
    made = load(run)
    (run / ".lock").touch()
    assert load(run) is made
