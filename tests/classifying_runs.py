"""Make tiny classifying models of random weights, windows for them, and corpora of MIDI files."""

from pathlib import Path

import numpy as np
import torch

from data import score_files
from data.rolls import from_steps
from models.classifying import Model
from models.classifying_config import Config

NAMES = ("C", "D", "E-")  # of keys
TINY = {
    "latent_dim": 3,
    "intermediate_dim": 6,
    "optimizer": "adam",
    "batch_size": 4,
    "windows": 8,
    "class_windows": [2, 2, 2],
    "symmetric_w": False,
}
EVERY = [{"model": model, "classify": told} for model in ("vae", "lstm") for told in (True, False)]
SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12])


def ident(changes: dict) -> str:
    """Return the name of a variant of a model for the list of tests."""
    return "-".join(str(value) if isinstance(value, str) else name * bool(value) for name, value in changes.items())


def make_model(**changes) -> Model:
    """Return a model in evaluation mode, of windows of 1 step or 4, whose random weights are always the same."""
    length = 1 if changes.get("model") == "vae" else 4
    torch.manual_seed(0)
    return Model(Config(**{"classes": {"key": list(NAMES)}, "seq_length": length, **TINY, **changes})).eval()


def rolls(n: int, steps: int, seed: int = 0, density: float = 0.1) -> torch.Tensor:
    """Return random frames (n, steps, 88)."""
    return (torch.rand(n, steps, 88, generator=torch.Generator().manual_seed(seed)) < density).float()


def windows(model: Model, *lengths: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return a batch of random windows for a model, of so many steps each, in one key after another."""
    config = model.config
    score = rolls(len(lengths), config.lag + config.seq_length, seed)
    for row, length in zip(score, lengths, strict=True):
        row[config.lag + length :] = -1
    key = torch.eye(len(NAMES))[torch.arange(len(lengths)) % len(NAMES)]
    return {"score": score, "key": key, "weight": torch.tensor(lengths).double(), "group": torch.arange(len(lengths))[:, None]}


def make_music(folder: Path, tonics=(60, 62, 63), pieces: int = 4, beats: int = 12) -> Path:
    """Write a folder of MIDI files and return it: random notes of the major scales on some pitches, over their triads."""
    for tonic in tonics:
        for number in range(pieces):
            random = np.random.default_rng([tonic, number])
            steps = [[tonic, tonic + 4, tonic + 7, tonic + 12 + int(step)] for step in random.choice(SCALE, beats)]
            score_files.write(folder / f"{tonic}_{number}.mid", from_steps(steps))
    return folder
