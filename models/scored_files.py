"""The files that an evaluation on scores leaves: drawings and music by piece; its table. Results are written as of recordings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data.performance import TEMPOS, save
from models.aligned_summary import flat
from models.scored import Scored
from utils.config import InputError
from utils.paths import make_folder
from utils.roll_figures import rolls

SAMPLE_RATE = 22050  # Hz, enough for a piano
COLUMNS = {  # of the table on stdout -> number of a summary; {} is how many draws there are
    "pieces": "pieces",
    "steps": "steps",
    "bound": "score_bound.bound.value",
    "bound_{}": "score_bound.bound_{}.value",
    "key told: bound": "score_bound_key_told.bound.value",
    "key told: bound_{}": "score_bound_key_told.bound_{}.value",
    "rebuilt: F1": "score_to_score.f_measure.value",
    "whole frames": "score_to_score.whole_frames.value",
    "key of windows": "score_to_key.key.value",
    "key of pieces": "score_to_key.key_vote.value",
}


def draw(one: Scored, path: Path) -> None:
    """Draw a piece above what the model makes of it, with the notes in the piece's key in one colour, all others in another."""
    piece = one.piece
    source = "as the file tells" if piece.given else "by its profile"
    named = f", in {one.best[0]} by the run (weight {one.best[1]:.2f})" if one.best else ""
    titles = (f"{piece.name}, in {piece.key} {source}", f"reconstruction{named}")
    make_folder(path.parent)
    rolls(list(zip(titles, (piece.frames, one.rebuilt), strict=True)), [path], piece.steps, [piece.key.scale] * 2)


def resynthesise(one: Scored, path: Path) -> None:
    """Write a reconstruction as MIDI and as sound, `path` with .mid and .wav, in the tempo of the piece.

    Raises
    ------
    InputError : it lasts longer than can be played, or cannot be written.
    """
    try:
        save(path, one.rebuilt, one.piece.steps, float(np.clip(one.piece.tempo, *TEMPOS)), sample_rate=SAMPLE_RATE)
    except InputError as error:
        raise InputError(f"{one.piece.name}: {error}") from None


def table(rows: Mapping[str, Mapping[str, Any]], draws: int) -> str:
    """Write summaries, run -> summary, as a Markdown table; bounds are in nats a step."""
    columns = {head.format(draws): key.format(draws) for head, key in COLUMNS.items()}
    lines = [["run", *columns], ["---"] * (len(columns) + 1)]
    for name, row in rows.items():
        numbers = dict(flat(row))
        lines.append([name, *(_cell(numbers.get(key)) for key in columns.values())])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(number: float | None) -> str:
    if number is None:
        return "-"
    return str(number) if isinstance(number, int) else f"{number:.3f}"
