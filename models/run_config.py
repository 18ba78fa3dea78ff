"""The ``config.json`` of a run of any system. Imports no torch."""

from pathlib import Path

from models import run_folder
from models.config import TrainConfig
from models.run_folder import CONFIG, FORMAT
from models.systems import SYSTEMS
from utils.config import to_json
from utils.files import write_json

CONFIGS = {name: system.Config for name, system in SYSTEMS.items()}


def write_run(folder: Path, system: str, config: TrainConfig, fingerprints: dict[str, str]) -> None:
    """Write the ``config.json`` of a run: its system, its configuration, and fingerprints of its splits."""
    write_json(folder / CONFIG, {"format": FORMAT, "system": system, "config": to_json(config), "fingerprints": fingerprints})


def read_run(folder: Path) -> tuple[str, TrainConfig, dict[str, str]]:
    """Return the system's name, the configuration and the fingerprints of the run in `folder`.

    Raises
    ------
    InputError : see `models.run_folder.read`.
    """
    return run_folder.read(folder, CONFIGS)
