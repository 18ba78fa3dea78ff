"""Make tiny runs of random weights, for tests of what works on runs."""

from pathlib import Path

import torch

from data.notes import PITCH_CLASSES
from models.crossmodal import Model
from models.crossmodal_config import Config
from models.run_config import write_run
from models.run_folder import BEST
from utils.checkpoint import save_state

CLASSES = {"octave": ["4", "5"], "pitch": list(PITCH_CLASSES), "dynamics": ["p", "f"]}
TINY = {"dims": (4,), "hidden_dims_1": (16,), "hidden_num_1": (1,), "hidden_dims_2": (16,), "hidden_num_2": (1,)}


def make_run(folder: Path, loudness: float = 1.0, name: str = BEST, **changes) -> Path:
    """Write a run of a crossmodal model into `folder` and return it.

    Parameters
    ----------
    loudness : about the magnitudes that it decodes; a sine of full scale has 35.
    name : of the file of the weights.
    changes : of the configuration.
    """
    config = Config(**{"instruments": ("flute",), "classes": CLASSES, **TINY, **changes})
    torch.manual_seed(0)
    model = Model(config)
    model.centre.fill_(loudness).log_()
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, "crossmodal", config, {})
    save_state(folder / name, {"model": model.state_dict(), "epoch": 7, "loss": -12.5})
    return folder
