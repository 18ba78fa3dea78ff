"""Make tiny runs of the latent constraint, trained for a moment, on tiny runs of phrases."""

from dataclasses import replace
from pathlib import Path

import torch

from models.latent_constraint import Model, datasets
from models.latent_constraint_config import Config
from models.latent_constraint_presets import PRESETS
from models.run_config import write_run
from models.run_folder import BEST
from tests.phrase_runs import make_phrase_run
from utils.checkpoint import save_state

APT = {"steps": 80, "rate": 0.01, "head": "boolean", "beta": 0.0}  # of a base of hits that has learned: decoded phrases differ
STEPS, RATE = 5, 0.01  # of training
LINEAR = {"form": "linear", "hidden": Config.hidden}
CRITIC = {**PRESETS["realism"], "latent_dim": Config.latent_dim, "hidden": (16, 16), "critic_steps": 2}


def make_base(folder: Path, kind: str = "hits", **changes) -> Path:
    """Write a corpus into ``folder/songs``, and a run of phrases of it; return the run."""
    return make_phrase_run(folder, kind, **changes)


def constraint_config(base: Path, **changes) -> Config:
    """Return the configuration of a tiny model of the pieces of a base; latents are kept in ``cache`` beside it."""
    own = {"dbroot": str(base.parent / "songs"), "pretrained": str(base), "cache": str(base.parent / "cache")}
    config = replace(Config(), **{**PRESETS["tiny"], **own, **changes})
    config.validate()
    return config.resolved()


def constraint(base: Path, **changes) -> Model:
    """Return a tiny model on a base, untrained, in evaluation mode."""
    config = constraint_config(base, **changes)
    torch.manual_seed(0)
    model = Model(config).eval()
    model.attach()
    return model


def everything(model: Model) -> dict[str, torch.Tensor]:
    """Return all phrases of training as one batch."""
    dataset = datasets(model.config, ["train"])["train"]
    return dataset.batch(torch.arange(len(dataset)), torch.Generator())


def make_constraint_run(folder: Path, base: Path, **changes) -> Path:
    """Write a run on a base into `folder`, trained by a few steps; return it."""
    model = constraint(base, **changes)
    batch = everything(model)
    model.prepare([batch])
    model.train()
    for step in range(STEPS):
        for phase, group in model.phases().items():
            gradients = torch.autograd.grad(model(batch, step, phase).total, group.params)
            with torch.no_grad():  # torch.optim takes seconds to import
                for parameter, gradient in zip(group.params, gradients, strict=True):
                    parameter -= RATE * gradient.sign()
    folder.mkdir(parents=True)
    write_run(folder, "latent_constraint", model.config, {})
    save_state(folder / BEST, {"model": model.state_dict(), "epoch": 0, "loss": 0.0})
    return folder
