"""The table of systems. A row names the module that holds the system; it is imported when used, so that help is quick."""

import importlib
from dataclasses import dataclass
from types import ModuleType

from models import crossmodal_config
from models.config import TrainConfig


@dataclass(frozen=True)
class System:
    """One row: `module` has ``Model(config)`` and ``datasets(config, splits)``, and may have ``baselines(model, **training)``."""

    summary: str
    Config: type[TrainConfig]
    module: str

    def load(self) -> ModuleType:
        """Import and return the system's module."""
        return importlib.import_module(self.module)


SYSTEMS = {
    "crossmodal": System("sound <-> octave, pitch class, dynamics", crossmodal_config.Config, "models.crossmodal"),
}
