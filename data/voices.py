"""The voices of Bach's chorales from the corpus that comes with music21: the melodies that are there when the user has none.

The scores are read once, each voice with its true repeated notes and with its bars, and kept in the cache as notes.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data import chorales
from data.score_files import MAX_QUARTERS, TEMPO
from data.sequences import QUARTER
from data.sequences import Sequence as Notes
from data.voice_tables import Song, Voice, notes_of
from utils.cli import progress
from utils.config import InputError
from utils.files import atomic, locked
from utils.paths import make_folder

log = logging.getLogger(__name__)

FILE = "chorale-voices-1.npz"  # another number when the same scores would be read otherwise
VOICES = ("Soprano", "Alto", "Tenor", "Bass")  # as parts are named; others are instruments
NOTES = ("onset", "offset", "pitch")  # columns of the file, an entry a note
STRETCHES = ("song", "voice", "bar", "first", "tempo", "count")  # an entry a stretch


def default_voices(cache_folder: str | Path) -> Path:
    """Return the file of the voices of the chorales of Riemenschneider's edition, read now (minutes) or before.

    Raises
    ------
    InputError
        The chorales have not been read before and music21 is not installed.
    """
    path = make_folder(Path(cache_folder)) / FILE
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            _save(path, _read_corpus())
    return path


def read(path: Path, voices: Sequence[int] = ()) -> list[Song]:
    """Read the chorales that `default_voices` has kept; of them some voices, by number from the top, or all.

    Raises
    ------
    InputError
        The file is damaged, or there are no such voices.
    """
    absent = [voice for voice in voices if not 1 <= voice <= len(VOICES)]
    if absent:
        raise InputError(f"{path}: has {len(VOICES)} voices, none of number {absent[0]}")
    names, notes, stretches = _load(path)
    songs = [Song(name, None, []) for name in names]
    parts = zip(*(np.split(column, np.cumsum(stretches[-1])[:-1]) for column in notes), strict=True)
    for part, (song, voice, bar, first, tempo, _) in zip(parts, zip(*map(np.ndarray.tolist, stretches), strict=True), strict=True):
        if not voices or voice in voices:
            songs[song].voices.append((voice, notes_of(*part, tempo=tempo, bar=bar, first=first)))
    return songs


def _load(path: Path) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """Return the names of songs, the columns of notes, and those of stretches."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, *columns = (arrays[name] for name in ("names", *NOTES, *STRETCHES))
        notes, stretches = columns[: len(NOTES)], columns[len(NOTES) :]
        _check(names, notes, stretches)
        return names.tolist(), notes, stretches
    except Exception as error:  # a damaged file can provoke any
        raise InputError(f"{path}: damaged ({type(error).__name__}); remove it, and it is made anew") from None


def _check(names: np.ndarray, notes: list[np.ndarray], stretches: list[np.ndarray]) -> None:
    """Raise a ValueError for columns that `_save` cannot have written."""
    (onset, offset, pitch), (song, voice, bar, first, tempo, count) = notes, stretches
    times, wholes = (onset, offset, bar, first, tempo), (pitch, song, voice, count)
    kinds = names.dtype.kind == "U" and all(a.dtype.kind == "f" for a in times) and all(a.dtype.kind == "i" for a in wholes)
    lengths = {len(column) for column in notes}, {len(column) for column in stretches}
    flat = all(column.ndim == 1 for column in (names, *notes, *stretches))
    if not (kinds and flat and max(map(len, lengths)) == 1 and count.min() >= 1 and count.sum() == len(onset)):
        raise ValueError("columns")
    right = (onset >= 0) & (offset > onset) & (offset < 4 * MAX_QUARTERS) & (pitch >= 0) & (pitch < 128)
    told = (song >= 0) & (song < len(names)) & (voice >= 1) & (voice <= len(VOICES)) & (bar > 0) & (tempo > 0)
    if not (right.all() and told.all() and np.isfinite(np.concatenate(times)).all()):
        raise ValueError("values")


def _read_corpus() -> dict[str, list[Voice]]:
    """Return the voices of each chorale."""
    songs = {}
    log.warning("the voices of Bach's chorales are read once, which takes some minutes; then they are kept")
    for path in progress(chorales.paths(), desc="Reading Bach's chorales once", unit="score"):
        try:
            songs[path.stem] = list(voices_of(_parsed(path)))
        except Exception as error:  # a damaged file can provoke any
            log.warning("left out: %s: not readable as MusicXML (%s)", path, type(error).__name__)
    if not any(songs.values()):
        raise InputError("music21 has no readable chorales of Bach: install it anew with its corpus, or give melodies of your own")
    return songs


def _parsed(path: Path) -> Any:
    """Return the score of a file of music21's corpus, without the pickles that it keeps of them."""
    from music21.converter import Converter

    parser = Converter()
    parser.parseFileNoPickle(path, format="musicxml", forceSource=True)
    return parser.stream


def voices_of(score: Any) -> Iterator[Voice]:
    """Yield the stretches of one metre of the voices of a music21 score, each with the number of its voice from the top."""
    marks = (mark.getQuarterBPM() for mark in score.recurse().getElementsByClass("MetronomeMark"))
    tempo = float(next(filter(None, marks), TEMPO))
    for part in score.parts:
        number = next((place for place, name in enumerate(VOICES, 1) if str(part.partName).startswith(name)), None)
        if number:
            yield from ((number, notes) for notes in _stretches(part, tempo))


def _stretches(part: Any, tempo: float) -> Iterator[Notes]:
    """Yield the notes of a part by stretches in which all bars have one length and follow each other."""
    onset, offset, pitch = np.array(list(_notes(part)), float).reshape(-1, 3).T
    begins = list(_begins(part))
    stops = [start for start, _, _ in begins[1:]] + [np.inf]
    for (start, origin, bar), stop in zip(begins, stops, strict=True):
        inside = (onset >= start) & (onset < stop)
        if inside.any():
            times = (onset[inside] - origin) * QUARTER, (np.minimum(offset[inside], stop) - origin) * QUARTER
            yield notes_of(*times, pitch[inside], tempo=tempo, bar=bar * QUARTER, first=origin)


def _notes(part: Any) -> Iterator[tuple[float, float, int]]:
    """Yield onset and offset in quarters, and pitch; tied notes are one, grace notes and chord symbols none."""
    for element in part.stripTies().flatten().notes:
        if element.quarterLength > 0 and "Harmony" not in element.classes:
            onset = float(element.offset)
            yield from ((onset, onset + float(element.quarterLength), pitch.midi) for pitch in element.pitches)


def _begins(part: Any) -> Iterator[tuple[float, float, float]]:
    """Yield for each stretch its first quarter, the one at which its first whole bar would begin, and the quarters of a bar.

    A short first bar is an upbeat and ends with its bar line. Where a whole bar begins off the bars before, as after a repeat, a
    stretch begins; shorter ones, as those that a repeat cuts in two, are passed over.
    """
    bar = origin = None
    for measure in part.getElementsByClass("Measure"):
        start, length, before = float(measure.offset), float(measure.quarterLength), bar
        if measure.timeSignature:
            bar = float(measure.timeSignature.barDuration.quarterLength)
        bar = bar or float(QUARTER)
        if bar != before or (length == bar and (start - origin) % bar):
            origin = start + min(length - bar, 0.0) if origin is None else start
            yield start, origin, bar


def _save(path: Path, songs: dict[str, list[Voice]]) -> None:
    """Write all notes one after another, and what is known of each stretch."""
    stretches = [(song, *voice) for song, voices in enumerate(songs.values()) for voice in voices]
    arrays = {name: np.concatenate([getattr(notes, name) for _, _, notes in stretches]) for name in NOTES}
    known = [(song, voice, notes.bar, notes.first, notes.tempo, len(notes)) for song, voice, notes in stretches]
    kinds = (np.int64, np.int64, np.float64, np.float64, np.float64, np.int64)
    arrays |= {name: np.array(column, kind) for name, column, kind in zip(STRETCHES, zip(*known, strict=True), kinds, strict=True)}
    with atomic(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, names=list(songs), **arrays)
