"""Where things are kept on disk."""

import os
from pathlib import Path

from utils.config import InputError


def cache_folder(given: str = "") -> Path:
    """Return (and make) the folder for what can be computed again: `given`, or $LT_CACHE, or ~/.cache/latent-transcription.

    Raises
    ------
    InputError : it cannot be made.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(given or os.environ.get("LT_CACHE") or Path(home) / "latent-transcription")
    return make_folder(folder)


def make_folder(folder: Path) -> Path:
    """Make `folder` with its parents, and return it.

    Raises
    ------
    InputError : it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: this folder cannot be made ({error.strerror or error})") from None
    return folder
