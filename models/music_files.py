"""Files of music that is written: as notes and sound, at which tempo; tables about it."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.keys import Key, in_key_fraction
from data.performance import TEMPOS, save
from data.sampler import MAX_SECONDS
from data.score_files import TEMPO
from data.scores import Piece
from models.play_flags import MOST_FRAMES
from utils.config import InputError
from utils.files import atomic

AT_ONCE = 10 * MOST_FRAMES  # frames of all pieces that are written together
WRITTEN = (".mid", ".wav", ".csv", ".pdf")
DECIMALS = 4  # of numbers in tables


def check_length(frames: int, flags: str) -> None:
    """Raise an InputError where so many frames are too many to be written at once."""
    if frames > AT_ONCE:
        raise InputError(f"{frames} frames are asked for, and {AT_ONCE} can be written at once: give less of {flags}")


def pace(given: float | None, piece: Piece | None, frames: int, steps: int) -> float:
    """Return the tempo in quarters a minute: the given one, or the piece's own.

    Raises
    ------
    InputError : it is out of range, or so many frames, `steps` in a quarter, last longer than can be played.
    """
    slowest, fastest = TEMPOS
    if given and not slowest <= given <= fastest:
        raise InputError(f"--tempo {given:g}: must lie within {slowest}-{fastest} quarters a minute")
    tempo = given or float(np.clip(piece.tempo if piece else TEMPO, slowest, fastest))
    if frames * 60 / (tempo * steps) > MAX_SECONDS:
        most = int(MAX_SECONDS * tempo * steps / 60)
        raise InputError(f"{frames} steps last longer than {MAX_SECONDS:.0f} s at {tempo:g} quarters a minute: take {most} at most")
    return tempo


def check_read(given: Sequence[str], targets: Iterable[Path]) -> None:
    """Raise an InputError where a file that is to be written, by its name without suffix, is among those that are read."""
    read = [Path(word).resolve() for word in given if Path(word).exists()]
    for target in (path.with_name(path.name + end).resolve() for path in targets for end in WRITTEN):
        if target.exists() and any(target == path or path in target.parents for path in read):
            raise InputError(f"would replace {target}, which is read; give another folder with -o")


def write_music(target: Path, roll: np.ndarray, steps: int, tempo: float) -> list[str]:
    """Write a roll (T, 88) as `target` with .mid and .wav; return their names."""
    return [str(target.with_name(name)) for name in save(target, roll, steps, tempo)]


def numbers(roll: np.ndarray) -> dict[str, float]:
    """Return columns about a roll (T, 88): how many notes sound in a frame, and which share of frames is silent."""
    return {"notes_a_frame": roll.sum(1).mean(), "empty_frames": 1 - roll.any(1).mean()}


def in_key(roll: np.ndarray, label: str) -> float:
    """Return which share of the notes of a roll (T, 88) is in a key, told by its label; NaN without a key or notes."""
    return in_key_fraction(roll, Key(label)) if label else math.nan


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, one or more, as CSV; NaN is nothing."""
    with atomic(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    """Return a number with few decimals, nothing for NaN, and what is no fraction as it is."""
    if not isinstance(value, float | np.floating):
        return value
    return "" if math.isnan(value) else round(float(value), DECIMALS)
