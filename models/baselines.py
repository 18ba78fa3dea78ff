"""Train the direct networks that a run is compared with, once, and keep them beside the run."""

import logging
from dataclasses import fields
from pathlib import Path

import torch

from models.base import LatentModel
from models.epochs import Dataset, batches
from models.restoring import read_weights
from models.run_folder import BEST, HISTORY, LAST
from models.training import Trainer, fit
from utils import history
from utils.checkpoint import load_state, load_weights
from utils.config import InputError, read_json, to_json
from utils.files import write_json
from utils.paths import make_folder

log = logging.getLogger(__name__)

RECORD = "baseline.json"  # what it was made from; another record means another training
PATIENCE = 20  # epochs without improvement on validation


def folder(run: Path, name: str) -> Path:
    """Return where a baseline of a run lies."""
    return run / "baselines" / name


def record(name: str, run: LatentModel, fingerprints: dict[str, str]) -> dict:
    """Return what a baseline is of, as JSON values: what decides the run's numbers, and fingerprints of its splits."""
    decisive = {f.name for f in fields(run.config)} - run.config.resumable
    content = {key: value for key, value in to_json(run.config).items() if key in decisive}
    seen = {split: fingerprints.get(split) for split in ("train", "valid")}
    return {"baseline": name, "run": content, "fingerprints": seen}


def train(
    network: LatentModel, of: dict, where: Path, splits: dict[str, Dataset], device: torch.device, prepared: bool = False
) -> None:
    """Train a baseline, new and seeded, in `where`, or go on where an earlier training of the same ended.

    Parameters
    ----------
    of : its `record`.
    splits : train and valid, those of the run.
    prepared : whether it has weights already, with the statistics that they know.

    Raises
    ------
    Interrupted : by a signal, after a save.
    InputError : training diverges, or the folder cannot be written.
    """
    wanted = of | {"training": to_json(network.config)}
    trainer = Trainer(network, make_folder(where), device)
    if (where / RECORD).is_file() and (where / LAST).is_file() and read_json(where / RECORD) == wanted:
        trainer.restore(load_state(where / LAST), where / LAST)
        history.truncate(where / HISTORY, trainer.at.epoch)
    else:
        for file in (LAST, BEST, HISTORY, RECORD):
            (where / file).unlink(missing_ok=True)
        if not prepared:
            network.prepare(batches(splits["train"], network.config.batch_size, network.config.seed, 0))
        write_json(where / RECORD, wanted)
    reason = fit(trainer, splits["train"], splits["valid"])
    log.info("%s: %s after %d epochs", where, reason, trainer.at.epoch)


def load(network: LatentModel, of: dict, where: Path, device: torch.device) -> LatentModel:
    """Return `network` with the best weights of its training in `where`, in evaluation mode; `of` is its `record`.

    Raises
    ------
    InputError : there is none, or it is damaged or of another run.
    """
    if not (where / BEST).is_file():
        raise InputError(f"{where}: this baseline has not been trained; train it first")
    if read_json(where / RECORD) | of != read_json(where / RECORD):
        raise InputError(f"{where}: was trained on other data, or for another run; train it anew")
    load_weights(network, read_weights(where / BEST), where / BEST)
    return network.to(device).eval()
