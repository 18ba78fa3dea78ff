"""Make tiny runs of random weights that tell instruments apart."""

from pathlib import Path

import torch

from models.run_config import write_run
from models.run_folder import BEST
from models.timbre import Model
from models.timbre_config import Config
from tests.timbres import NAMES, make_timbres
from utils.checkpoint import save_state

TINY = {"latent_dims": 4, "hidden_dims": 16, "hidden_layers": 1, "floor": 3e-3, "frames": ("sustain",), "workers": 1}


def make_timbre_run(folder: Path, names=NAMES[:3], **changes) -> Path:
    """Write a corpus of synthetic instruments and a run on it into `folder`, and return the run."""
    corpus = make_timbres(folder / "corpus", names=names)
    given = {"dbroot": str(corpus), "cache": str(folder / "cache"), "regularization": "none", **TINY, **changes}
    config = Config(**given).resolved()
    torch.manual_seed(0)
    model = Model(config)
    run = folder / "run"
    run.mkdir()
    write_run(run, "timbre", config, {})
    save_state(run / BEST, {"model": model.state_dict(), "epoch": 0, "loss": 0.0})
    return run
