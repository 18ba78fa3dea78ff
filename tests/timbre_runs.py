"""Make tiny runs of random weights that tell instruments apart."""

from pathlib import Path

import numpy as np
import torch

from models.run_config import write_run
from models.run_folder import BEST
from models.timbre import Model
from models.timbre_config import Config
from tests.timbres import NAMES, make_timbres
from utils.checkpoint import save_state

TINY = {"latent_dims": 4, "hidden_dims": 32, "hidden_layers": 1, "floor": 3e-3, "frames": ("sustain",), "workers": 1}
PLACES = np.array([[0.3, 0.2, 0.0], [-0.3, 0.1, 0.2], [0.0, -0.3, -0.2]])  # of the instruments


def make_timbre_run(folder: Path, names=NAMES[:3], **changes) -> Path:
    """Write a corpus of synthetic instruments and a run on it into `folder`, and return the run."""
    corpus = make_timbres(folder / "corpus", PLACES[: len(names)], names)
    given = {"dbroot": str(corpus), "cache": str(folder / "cache"), "regularization": "none", **TINY, **changes}
    config = Config(**given).resolved()
    torch.manual_seed(0)
    model = Model(config)
    model.centre.fill_(-3.0)  # about what fits the corpus
    model.extent.fill_(4.0)
    run = folder / "run"
    run.mkdir()
    write_run(run, "timbre", config, {})
    save_state(run / BEST, {"model": model.state_dict(), "epoch": 0, "loss": 0.0})
    return run
