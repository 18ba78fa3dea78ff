"""The table of systems. A row names the module that holds the system; it is imported when used, so that help is quick."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from models import classifying_config, crossmodal_config, timbre_config
from models.config import TrainConfig

if TYPE_CHECKING:
    from models.base import LatentModel


@dataclass(frozen=True)
class System:
    """One row: `module` has ``Model(config)`` and ``datasets(config, splits)``, and may have ``baselines(model, **training)``."""

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


SYSTEMS = {
    "crossmodal": System("sound <-> octave, pitch class, dynamics", crossmodal_config.Config, "models.crossmodal"),
    "timbre": System(
        "sound in a space of timbres, tied to how different listeners find them", timbre_config.Config, "models.timbre"
    ),
    "classifying": System("piano-rolls and their keys", classifying_config.Config, "models.classifying"),
}
