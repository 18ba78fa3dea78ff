"""Are the ratings of an instrument predicted by a space that was made without them? One training of the second phase for each."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from models import baselines
from models.base import LatentModel
from models.dissimilarities import centroids
from models.epochs import Dataset
from models.evaluation import observe, passes
from models.restoring import read_weights
from models.run_folder import numbered
from models.systems import System
from utils import geometry
from utils.checkpoint import load_weights
from utils.cli import progress
from utils.config import InputError
from utils.device import seed


def distances(
    system: System,
    model: LatentModel,
    run: Path,
    fingerprints: dict[str, str],
    home: dict[str, Dataset],
    test: Dataset,
    epochs: int,
) -> dict[str, np.ndarray]:
    """Return for each rated instrument the distances (K, K) between all of them in a space made without its ratings.

    Each network starts from the weights with which the run entered its second phase, and is kept in the run like a baseline.

    Parameters
    ----------
    home : the run's own splits train and valid.
    test : whose centroids are compared.

    Raises
    ------
    Interrupted : by a signal, after a save.
    InputError : the run has no second phase, or its weights before it were not kept.
    """
    if not hasattr(model.config, "withholding") or not model.config.dissimilarity:
        raise InputError(f"{run}: no ratings were used in its training, so none can be left out")
    start, device, found = run / numbered(model.config.epochs), model.device, {}
    if not start.is_file():
        raise InputError(f"{run}: has no {start.name}, the state in which its second phase began: start it anew with --twofold")
    for name in progress(model.config.rated, desc="leaving out", unit="instrument"):
        config = model.config.twofold().withholding(name)
        shown = {"plot_epochs": 0, "save_epochs": epochs + 1, "patience": 0}
        seed(config.seed, "weights")
        network = system.load().Model(replace(config, twofold_epochs=epochs, **shown))
        load_weights(network, read_weights(start), start)
        of, where = baselines.record(f"without {name}", model, fingerprints), baselines.folder(run, f"without_{name}")
        baselines.train(network, of, where, home, device, prepared=True)
        observed = observe(baselines.load(network, of, where, device), passes(test, 1, 0), device, translated=False)
        found[name] = geometry.distances(centroids(observed))[0]
    return found
