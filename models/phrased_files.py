"""The files that an evaluation on phrases leaves: drawings and music by piece; its table. Results are written as of recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.phrases import BAR, Cell, Phrase
from models.aligned_summary import flat
from models.phrase_files import tempo_of, write_phrases
from models.phrased import Phrased
from utils import phrase_figures
from utils.config import InputError
from utils.paths import make_folder

DRAWN = 6  # phrases of a piece
WIDE = 5 * BAR  # steps, at least, that a panel is wide: one beneath the other, not beside it
COLUMNS = {  # of the table on stdout -> number of a summary; {} is how many draws there are
    "pieces": "pieces",
    "lines": "lines",
    "phrases": "phrases",
    "accuracy": "phrase_to_phrase.accuracy.value",
    "exact": "phrase_to_phrase.exact.value",
    "onset F1": "phrase_to_phrase.onset_f1.value",
    "hit F1": "phrase_to_phrase.hit_f1.value",
    "velocity error": "phrase_to_phrase.velocity_mae.value",
    "timing error": "phrase_to_phrase.timing_mae.value",
    "told: accuracy": "phrase_told.accuracy.value",
    "nll": "phrase_to_phrase.nll.value",
    "bound, bits": "phrase_bound.bound.value",
    "bound_{}, bits": "phrase_bound.bound_{}.value",
    "kl a phrase, bits": "phrase_bound.kl_a_phrase.value",
}


def draw(one: Phrased, path: Path) -> None:
    """Draw the first phrases of a piece, those that follow each other in one panel, each above what the model makes of them."""
    phrase, panels, left = one.phrase, [], DRAWN
    several = -(-WIDE // phrase.span)  # in a panel
    for line, rebuilt in zip(one.lines, one.rebuilt, strict=True):
        x, y = line.x[:left].cpu().split(several), rebuilt[:left].split(several)
        for place, pair in enumerate(zip(x, y, strict=True)):
            first = place * several * phrase.span // BAR + 1
            last = first + len(pair[0]) * phrase.span // BAR - 1
            name = one.piece.name + (f", line {line.number}" if len(one.lines) > 1 else "")
            titles = (f"{name}, bar{'s' * (last > first)} {first}{f'-{last}' * (last > first)}", "reconstruction")
            panels += [(title, _cells(phrase, part), phrase.rows) for title, part in zip(titles, pair, strict=True)]
        left -= min(left, len(line.x))
        if not left:
            break
    make_folder(path.parent)
    phrase_figures.phrases(panels, [path], several * phrase.span)


def _cells(phrase: Phrase, x: Sequence[Tensor]) -> list[Cell]:
    """Return what sounds in phrases (T, ...) that follow each other."""
    each = [(place * phrase.span, phrase.cells(part.numpy())) for place, part in enumerate(x)]
    return [(row, start + first, end + first, strength) for first, cells in each for row, start, end, strength in cells]


def resynthesise(one: Phrased, path: Path) -> None:
    """Write reconstructions, all lines one after another, as MIDI and as sound, `path` with .mid and .wav, in the piece's tempo.

    Raises
    ------
    InputError : they last longer than can be played, or cannot be written.
    """
    x = torch.cat(one.rebuilt)
    try:
        tempo = tempo_of(None, one.piece, len(x) * one.phrase.span)
        make_folder(path.parent)
        write_phrases(path, one.phrase, x, tempo)
    except InputError as error:
        raise InputError(f"{one.piece.name}: {error}") from None


def table(rows: Mapping[str, Mapping[str, Any]], draws: int) -> str:
    """Write summaries, run -> summary, as a Markdown table, without the columns that no run has."""
    numbers = {name: dict(flat(row)) for name, row in rows.items()}
    columns = {head.format(draws): key.format(draws) for head, key in COLUMNS.items()}
    columns = {head: key for head, key in columns.items() if any(key in own for own in numbers.values())}
    lines = [["run", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(_cell(own.get(key)) for key in columns.values())] for name, own in numbers.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(number: float | None) -> str:
    if number is None:
        return "-"
    return str(number) if isinstance(number, int) else f"{number:.3f}"
