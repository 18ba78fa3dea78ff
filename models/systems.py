"""The table of systems. A row names the module that holds the system; it is imported when used, so that help is quick."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from models import classifying_config, crossmodal_config, latent_constraint_config, musicvae_config, timbre_config
from models.config import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor

    from models.base import LatentModel


@dataclass(frozen=True)
class System:
    """One row: `module` has ``Model(config)`` and ``datasets(config, splits)``, and may have ``baselines(model, **training)``,
    ``anchors(model, examples)``, and ``reads_checkpoint(path)`` with ``from_checkpoint(path, preset)`` of other programs."""

    summary: str
    Config: type[TrainConfig]
    module: str

    def load(self) -> ModuleType:
        """Import and return the system's module."""
        return importlib.import_module(self.module)

    def baselines(self, model: "LatentModel", **training: object) -> "dict[str, LatentModel]":
        """Return the networks that a model is compared with, by name, untrained; `training` are fields of `TrainConfig`."""
        module = self.load()
        return module.baselines(model, **training) if hasattr(module, "baselines") else {}

    def anchors(self, model: "LatentModel", examples: "Iterable[dict[str, Tensor]]") -> "dict[str, LatentModel]":
        """Return what a model is compared with that needs no training, by name, fitted on examples of the training split."""
        module = self.load()
        return module.anchors(model, examples) if hasattr(module, "anchors") else {}


SYSTEMS = {
    "crossmodal": System("sound <-> octave, pitch class, dynamics", crossmodal_config.Config, "models.crossmodal"),
    "timbre": System(
        "sound in a space of timbres, tied to how different listeners find them", timbre_config.Config, "models.timbre"
    ),
    "classifying": System("piano-rolls and their keys", classifying_config.Config, "models.classifying"),
    "musicvae": System("some bars of melodies, drums, grooves or trios", musicvae_config.Config, "models.musicvae"),
    "latent_constraint": System(
        "phrases like one's own: a small model of the latents of a trained musicvae",
        latent_constraint_config.Config,
        "models.latent_constraint",
    ),
}
