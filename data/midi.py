"""Standard MIDI files: columns of notes in, columns of notes out. `data.notes` is what the rest of the project uses."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.config import InputError
from utils.files import atomic
from utils.paths import make_folder

MAX_BYTES = 64 * 2**20  # of a file
TICKS_PER_QUARTER = 960  # of written files, at 120 quarters a minute: a tick is 0.52 ms
DEFAULT_TEMPO = 500_000  # microseconds per quarter note, 120 a minute: also the tempo of a file that states none

Columns = dict[str, np.ndarray]  # onset, offset (N,) s; pitch, velocity, track (N,)


def read(path: Path) -> tuple[Columns, list[tuple[str, int, bool]]]:
    """Read a file into columns of notes, sorted by onset and pitch, and the (name, program, drum) of its tracks.

    Times are true to every change of tempo. Notes of no length are left out, and so are tracks without notes.

    Raises
    ------
    InputError
        The file is missing, larger than 64 MiB, not MIDI, truncated, timed in no quarter notes, or has a division or
        tempo of zero.
    """
    score = parse(path)
    seconds = clock(score, path)
    parts, tracks = [], []
    for track in score.tracks:
        part = _columns(track, seconds, len(tracks))
        if len(part["onset"]):
            parts.append(part)
            tracks.append((track.name, int(track.program), bool(track.is_drum)))
    if not parts:
        return {}, []
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((columns["pitch"], columns["onset"]))
    return {name: column[order] for name, column in columns.items()}, tracks


def parse(path: Path) -> Any:
    """Read a file into a symusic score, timed in ticks.

    Raises
    ------
    InputError
        The file is missing, larger than 64 MiB, not MIDI, truncated, or timed in no quarter notes.
    """
    from symusic.core import ScoreTick

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size / 2**20:.0f} MiB is too much for a MIDI file; the limit is 64 MiB")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a MIDI file") from None
    try:
        score = ScoreTick.from_midi(content)
    except (RuntimeError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: not a whole MIDI file ({error}); give a standard MIDI file") from None
    stated = int.from_bytes(content[10:12], "big")
    found = _track_count(content)
    if found < stated:
        raise InputError(f"{path}: truncated after {found} of {stated} tracks; take it anew from its source")
    return score


def _track_count(content: bytes) -> int:
    """Return the number of track chunks; symusic does not miss those that a truncated file lacks."""
    place, count = 0, 0
    while place + 8 <= len(content):
        count += content[place : place + 4] == b"MTrk"
        place += 8 + int.from_bytes(content[place + 4 : place + 8], "big")
    return count


def clock(score: Any, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from ticks to seconds.

    symusic reads a division or tempo of 0 without a word, wraps ticks beyond 2^31, and its own seconds are single precision.

    Raises
    ------
    InputError
        The score has a division or tempo of zero, or a change of tempo before its start.
    """
    if score.ticks_per_quarter < 1:
        raise InputError(f"{path}: its division is 0 ticks per quarter note; write it anew from its source")
    changes = score.tempos.numpy()
    order = np.argsort(changes["time"], kind="stable")
    ticks = np.concatenate([[0], changes["time"][order]]).astype(np.int64)
    tempo = np.concatenate([[DEFAULT_TEMPO], changes["mspq"][order]]) * 1e-6 / score.ticks_per_quarter  # s per tick
    if not (tempo > 0).all():
        raise InputError(f"{path}: it has a tempo of 0 s per quarter note; write it anew from its source")
    if ticks[0] < 0 or (np.diff(ticks) < 0).any():
        raise InputError(f"{path}: its times do not make sense; write it anew from its source")
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * tempo[:-1])])

    def seconds(tick: np.ndarray) -> np.ndarray:
        at = np.maximum(np.searchsorted(ticks, tick, side="right") - 1, 0)
        return starts[at] + (tick - ticks[at]) * tempo[at]

    return seconds


def _columns(track: Any, seconds: Callable[[np.ndarray], np.ndarray], index: int) -> Columns:
    """Return the notes of one symusic track that have a length."""
    notes = track.notes.numpy()
    start = notes["time"].astype(np.int64)
    end = start + notes["duration"]
    sounds = end > start
    return {
        "onset": seconds(start[sounds]),
        "offset": seconds(end[sounds]),
        "pitch": notes["pitch"][sounds].astype(np.int64),
        "velocity": notes["velocity"][sounds].astype(np.int64),
        "track": np.full(sounds.sum(), index),
    }


def write(path: Path, columns: Mapping[str, np.ndarray], tracks: Iterable[tuple[str, int, bool]]) -> None:
    """Write columns of valid notes, atomically, at 120 quarters a minute and 960 ticks a quarter.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from symusic.core import NoteTickList, ScoreTick, TempoTick, TrackTick

    score = ScoreTick(TICKS_PER_QUARTER)
    score.tempos.append(TempoTick(0, 60e6 / DEFAULT_TEMPO))
    ticks_per_second = TICKS_PER_QUARTER * 1e6 / DEFAULT_TEMPO
    start = np.rint(columns["onset"] * ticks_per_second).astype(np.int32)
    length = np.maximum(np.rint(columns["offset"] * ticks_per_second).astype(np.int32) - start, 1)
    pitch, velocity = columns["pitch"].astype(np.int8), columns["velocity"].astype(np.int8)
    for i, (name, program, drum) in enumerate(tracks):
        at = columns["track"] == i
        track = TrackTick(name.encode("utf-8", "replace").decode("utf-8"), int(program), bool(drum))
        track.notes = NoteTickList.from_numpy(start[at], length[at], pitch[at], velocity[at])
        score.tracks.append(track)
    make_folder(path.parent)
    with atomic(path) as aside:
        aside.write_bytes(score.dumps_midi())
