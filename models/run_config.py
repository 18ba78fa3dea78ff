"""The ``config.json`` of a run. Imports no torch."""

from pathlib import Path

from models.config import TrainConfig
from models.run_folder import CONFIG
from models.systems import SYSTEMS
from utils.config import InputError, merge, read_json, to_json
from utils.files import write_json

FORMAT = 1  # of config.json


def write_run(folder: Path, system: str, config: TrainConfig, fingerprints: dict[str, str]) -> None:
    """Write the ``config.json`` of a run: its system, its configuration, and fingerprints of its splits."""
    write_json(folder / CONFIG, {"format": FORMAT, "system": system, "config": to_json(config), "fingerprints": fingerprints})


def is_run(folder: Path) -> bool:
    """Tell whether a folder has the ``config.json`` of a run; checkpoints of other programs may have one of that name, too."""
    try:
        return "system" in read_json(folder / CONFIG)
    except InputError:
        return False


def read_run(folder: Path) -> tuple[str, TrainConfig, dict[str, str]]:
    """Return the system's name, the configuration and the fingerprints of the run in `folder`.

    Raises
    ------
    InputError : no run, damaged, of an unknown system or of a newer format.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: is no run, it has no {CONFIG}; give a folder that lt_train.py has made")
    content = read_json(folder / CONFIG)
    system = content.get("system")
    if (
        content.get("format") != FORMAT
        or not isinstance(system, str)
        or system not in SYSTEMS
        or not isinstance(content.get("config"), dict)
        or not isinstance(content.get("fingerprints", {}), dict)
    ):
        raise InputError(
            f"{folder / CONFIG}: format {content.get('format')!r}, system {system!r}: not of this version, or it may be damaged"
        )
    try:
        config = merge(SYSTEMS[system].Config(), content["config"])
        config.validate()
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from None
    return system, config, content.get("fingerprints", {})
