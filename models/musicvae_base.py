"""A MusicVAE that other models stand on: a run, or a checkpoint of Magenta's; frozen."""

import functools
import hashlib
import json
from dataclasses import replace
from pathlib import Path

from torch import nn

from models import musicvae, run_folder
from models.musicvae_config import Config
from models.restoring import restored
from utils.config import InputError, merge, read_json, to_json

SYSTEM = "musicvae"


def load(path: Path, preset: str = "", known: Config | None = None) -> musicvae.Model:
    """Return the MusicVAE of a run or of a checkpoint, in evaluation mode and without gradients; the same one in a process.

    Parameters
    ----------
    path : see `models.runs.load_run`.
    preset : of a checkpoint, what it is, where its sizes do not tell.
    known : of one that was loaded before, its configuration then: a checkpoint that has moved may have lost the name that told it.

    Raises
    ------
    InputError : it is neither, or damaged, or not as it was known.
    """
    if preset and preset not in Config.PRESETS:
        raise InputError(f"--base_preset {preset}: there is none of that name; there are {' '.join(Config.PRESETS)}")
    beside = path.iterdir() if path.is_dir() else path.parent.iterdir() if path.parent.is_dir() else ()
    files = sorted(file for file in beside if path.is_dir() or file.name.startswith(path.name))
    states = [(file.name, file.stat()) for file in files if file.name != run_folder.LOCK and file.exists()]
    stamp = tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)
    return _load(path, preset, json.dumps(to_json(known)) if known else "", stamp)


@functools.lru_cache(maxsize=1)
def _load(path: Path, preset: str, known: str, stamp: object) -> musicvae.Model:
    told = merge(Config(), json.loads(known)) if known else None
    if run_folder.is_run(path):
        model = _of_run(path, preset)
        if told and told.phrase() != model.config.phrase():
            raise InputError(f"{path}: has other phrases than it was known to have; one of the two was changed")
    elif musicvae.reads_checkpoint(path):
        model = _as_known(path, told) if told else musicvae.from_checkpoint(path, preset)
    elif not stamp and not path.exists():
        raise InputError(f"{path}: there is no such run or checkpoint")
    else:
        raise InputError(f"{path}: is neither a run of the system {SYSTEM} nor a checkpoint of Magenta's that a model can stand on")
    model.eval().requires_grad_(False)
    for part in model.modules():
        if isinstance(part, nn.LSTM):
            part.train()  # cuDNN passes gradients through LSTMs only so; they have no dropout of their own
    return model


def _as_known(path: Path, told: Config) -> musicvae.Model:
    model = musicvae.Model(replace(told, pretrained=str(path)))
    model.prepare(())
    return model


def _of_run(path: Path, preset: str) -> musicvae.Model:
    system = read_json(path / run_folder.CONFIG).get("system")
    if system != SYSTEM:
        raise InputError(f"{path}: is a run of the system {system}; give one of {SYSTEM} to stand on")
    if preset:
        raise InputError(f"--base_preset {preset}: is for checkpoints, and {path} is a run, which knows; leave it out")
    return restored(musicvae.Model, run_folder.read_sound(path, {SYSTEM: Config})[1], path)


def fingerprint(model: nn.Module) -> str:
    """Return a hash of all weights of a model: another one, or the same after more training, has another."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
