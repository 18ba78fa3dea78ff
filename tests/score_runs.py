"""Make tiny runs of scores, of random weights, with a corpus of MIDI files."""

import csv
from pathlib import Path

import numpy as np
import torch

from data.audio import Audio
from data.scores import read
from models.classifying import Model
from models.classifying_config import Config
from models.run_config import write_run
from models.run_folder import BEST
from tests.classifying_runs import TINY, make_music
from utils.checkpoint import save_state

SELDOM = -3.0  # logit of what sounds: about four keys of 88


def make_score_run(folder: Path, **changes) -> Path:
    """Write a corpus of pieces of 12 steps, in C, D- and E-, and a run of it into `folder`; return the run.

    Training has seen C and E-, whose windows have a weight of 0.8 on their own keys on average.
    """
    corpus = make_music(folder / "songs", tonics=(60, 61, 63))
    config = Config(**{"dbroot": str(corpus), **TINY, "symmetric_w": True, "seq_length": 4, **changes}).resolved()
    torch.manual_seed(0)
    model = Model(config)
    model.body.output.bias.data.fill_(SELDOM)
    if config.classify:
        names = config.classes["key"]
        own = torch.eye(len(names)) * 0.7 + 0.3 / len(names)
        model.usual[[names.index("C"), names.index("E-")]] = own[[names.index("C"), names.index("E-")]]
    run = folder / "run"
    run.mkdir()
    write_run(run, "classifying", config, {})
    save_state(run / BEST, {"model": model.state_dict(), "epoch": 0, "loss": 0.0})
    return run


def silent(frames, steps=1, tempo=120.0, soundfont=None, sample_rate=1000, velocity=100) -> Audio:
    """Return silence as long as frames last: what takes the place of a piano where tests do not listen."""
    return Audio(np.zeros(round(1000 * 60 * len(frames) / (tempo * steps)), np.float32), 1000)


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def roll_of(path: Path, length: int) -> np.ndarray:
    """Return the frames (`length`, 88) of a MIDI file that may end earlier; none of it may sound later."""
    frames = read(path).pieces[0].frames
    assert len(frames) <= length
    return np.pad(frames, [(0, length - len(frames)), (0, 0)])
