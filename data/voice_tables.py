"""Tables of songs in voices: JSON files as `data.song_tables` has them, in which every step holds one pitch a voice, or -1.

In such a grid a repeated pitch cannot be told from a held one: equal steps that follow each other are one note. Voices are in the
order of their pitch, from the top or from the bottom, the same in all of a song.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import song_tables
from data.phrases import VELOCITY
from data.sequences import QUARTER
from data.sequences import Sequence as Notes
from utils.config import InputError, read_json

Voice = tuple[int, Notes]  # its number from the top, from 1


class Song(NamedTuple):
    """Hold a song: its name within the table, its split where told, and its voices, or stretches of them."""

    name: str
    split: str | None
    voices: list[Voice]


def read(path: Path, voices: Sequence[int] = ()) -> list[Song]:
    """Read the songs of a table.

    Parameters
    ----------
    path : of the table. Its steps are sixteenths unless it tells another length, as `data.song_tables` reads it.
    voices : those to read, by number from the top; all where none is given.

    Raises
    ------
    InputError
        The file is damaged, too large or holds no songs, or songs in which the voices are not told apart, or less voices.
    """
    songs = song_tables.read(path)  # which also refuses what is damaged or hostile
    return [
        Song(song.name, song.split, _voices(grid, voices, song.steps or QUARTER, f"{path}: song {song.name}"))
        for song, grid in zip(songs, _grids(path), strict=True)
    ]


def _grids(path: Path) -> Iterator[list]:
    """Yield the steps of each song, in the order of `song_tables.read`."""
    content = read_json(path)
    for name in filter(content.__contains__, song_tables.NAMES):
        yield from (song["frames"] if isinstance(song, Mapping) else song for song in content[name])


def _voices(grid: list, voices: Sequence[int], steps: int, place: str) -> list[Voice]:
    """Return the voices of a grid of T steps, of which `steps` are a quarter note."""
    sizes = sorted({len(step) for step in grid})
    if len(sizes) > 1:
        raise InputError(f"{place} has steps of {sizes[0]} to {sizes[-1]} notes; give a table with as many in each, -1 for silence")
    count = sizes[0] if sizes else 0
    absent = [voice for voice in voices if not 1 <= voice <= count]
    if absent:
        raise InputError(f"{place} has {count} voices, none of number {absent[0]}")
    columns = np.array(grid, float).reshape(len(grid), count).T  # (count, T)
    columns = np.where(columns >= 0, columns, -1).astype(np.int64)  # NaN is silent, too
    mean = [column[column >= 0].mean() for column in columns if (column >= 0).any()]
    if mean and mean[0] < mean[-1]:
        columns = columns[::-1]
    return [(voice, _notes(columns[voice - 1], QUARTER / steps)) for voice in voices or range(1, count + 1)]


def _notes(pitch: np.ndarray, length: float) -> Notes:
    """Return the notes of pitches (T,), of which one lasts `length` steps."""
    edges = np.flatnonzero(np.diff(pitch, prepend=-2, append=-2))
    start, end = edges[:-1], edges[1:]
    sounds = pitch[start] >= 0
    return notes_of(start[sounds] * length, end[sounds] * length, pitch[start[sounds]])


def notes_of(onset: np.ndarray, offset: np.ndarray, pitch: np.ndarray, **told: float) -> Notes:
    """Return notes (N,) of one voice, in steps, with what is told of their stretch."""
    same = np.zeros(len(onset), np.int64)
    return Notes(onset, offset, pitch, velocity=same + VELOCITY, program=same, track=same, drum=same > 0, **told)
