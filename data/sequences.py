"""Notes of MIDI files on the grid of the score: stretches of one metre, times in sixteenths."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from data import midi
from data.score_files import LONGEST_DENOMINATOR, MAX_QUARTERS
from utils.config import InputError

QUARTER = 4  # steps: a step is a sixteenth
MOST_METRES = 1000  # stretches of a file
TEMPO = 120.0  # quarters a minute where nothing tells it
_COLUMNS = {"onset": float, "offset": float, "pitch": np.int64, "velocity": np.int64, "program": np.int64, "track": np.int64}


@dataclass(frozen=True, eq=False)
class Sequence:
    """Hold N notes of one stretch that keeps one metre: times in sixteenths from its first step, as written, not yet quantised.

    Parameters
    ----------
    onset, offset : (N,) in steps, offset > onset.
    pitch, velocity, program, track : (N,); a track is a number for what one instrument plays.
    drum : (N,) whether it is a drum, whose pitch is an instrument.
    tempo : mean of the stretch, in quarters a minute.
    bar : steps in a bar; 16 for 4/4.
    first : quarters from the start of the file to the stretch.
    """

    onset: np.ndarray
    offset: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    program: np.ndarray
    track: np.ndarray
    drum: np.ndarray
    tempo: float = TEMPO
    bar: float = 16.0
    first: float = 0.0

    def __post_init__(self):
        for name, kind in (_COLUMNS | {"drum": bool}).items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind))

    def __len__(self) -> int:
        return len(self.onset)

    def take(self, index: np.ndarray | slice) -> "Sequence":
        """Return the notes of an index array, mask (N,) or slice."""
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)[:7]})


def quantised(times: np.ndarray) -> np.ndarray:
    """Return the nearest whole steps of `times` (N,) in steps; what lies halfway goes to the later (note-seq's rule)."""
    return np.floor(np.asarray(times, float) + 0.5).astype(np.int64)


def quantised_notes(sequence: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Return the first step (N,) of each note and the one after its last (N,); every note has at least one."""
    start = quantised(sequence.onset)
    return start, np.maximum(quantised(sequence.offset), start + 1)


def read_midi(path: str | Path) -> list[Sequence]:
    """Read a MIDI file: a sequence for each stretch that keeps one metre and holds notes, or else one without notes.

    Positions are ticks of the score, so that a change of tempo leaves the grid as it is and does not cut; the original MusicVAE
    quantises seconds, and has to cut there. Notes held over a change of metre end with it. Notes of no length or velocity are
    left out. It is 4/4 until the file says otherwise; a metre that makes no sense is passed over.

    Raises
    ------
    InputError
        The file is missing, damaged or of another kind, has notes before its start, or lasts longer than 30 000 quarters.
    """
    path = Path(path)
    score = midi.parse(path)
    seconds = midi.clock(score, path)
    notes = _in_ticks(score)
    _check(notes, score.ticks_per_quarter, path)
    metres = list(_metres(score, int(notes.offset.max(initial=0))))
    if len(metres) > MOST_METRES:
        raise InputError(f"{path}: changes its metre {len(metres) - 1} times, and {MOST_METRES} are read; write it anew")
    sequences = [_stretch(notes, start, stop, bar, score.ticks_per_quarter, seconds) for start, stop, bar in metres]
    return [sequence for sequence in sequences if len(sequence)] or sequences[:1]


def _in_ticks(score: Any) -> Sequence:
    """Return all notes that sound, with times in ticks, in order of onset."""
    parts = [_part(track, place) for place, track in enumerate(score.tracks)] or [np.zeros((7, 0), np.int64)]
    columns = np.concatenate(parts, 1)
    columns = columns[:, (columns[1] != columns[0]) & (columns[3] > 0)]
    return Sequence(*columns[:, np.argsort(columns[0], kind="stable")])


def _part(track: Any, place: int) -> np.ndarray:
    """Return the columns (7, N) of one track, in the order of the fields of `Sequence`."""
    notes = track.notes.numpy()
    start, length, pitch, velocity = (notes[name].astype(np.int64) for name in ("time", "duration", "pitch", "velocity"))
    same = np.ones_like(start)
    return np.stack([start, start + length, pitch, velocity, same * track.program, same * place, same * track.is_drum])


def _check(notes: Sequence, division: int, path: Path) -> None:
    if notes.onset.min(initial=0) < 0 or (notes.offset < notes.onset).any():  # ticks beyond 2^31 wrap
        raise InputError(f"{path}: its times do not make sense; write it anew from its source")
    quarters = notes.offset.max(initial=0) / division
    if quarters > MAX_QUARTERS:
        raise InputError(f"{path}: lasts {quarters:.0f} quarter notes; cut it in pieces of up to {MAX_QUARTERS}")


def _metres(score: Any, end: int) -> Iterator[tuple[int, int, float]]:
    """Yield the first tick of each stretch that keeps one metre, the tick after its last, and the steps of its bars."""
    changes = score.time_signatures.numpy()
    order = np.argsort(changes["time"], kind="stable")
    metres = [(0, (4, 4))]
    for time, beats, unit in zip(*(changes[name][order].tolist() for name in ("time", "numerator", "denominator")), strict=True):
        if beats and 1 <= unit <= LONGEST_DENOMINATOR and 0 <= time < max(end, 1):
            if metres[-1][0] == time:
                metres.pop()
            if not metres or metres[-1][1] != (beats, unit):
                metres.append((time, (beats, unit)))
    stops = [time for time, _ in metres[1:]] + [end]
    for (time, (beats, unit)), stop in zip(metres, stops, strict=True):
        yield time, stop, 4 * QUARTER * beats / unit


def _stretch(notes: Sequence, start: int, stop: int, bar: float, division: int, seconds: Any) -> Sequence:
    """Return the notes, in order of onset, that begin in a stretch of ticks, in steps from its start."""
    inside = notes.take(slice(*np.searchsorted(notes.onset, [start, stop])))
    begin, end = seconds(np.array([start, stop]))
    return replace(
        inside,
        onset=(inside.onset - start) * QUARTER / division,
        offset=(np.minimum(inside.offset, stop) - start) * QUARTER / division,
        tempo=float(60 * (stop - start) / division / (end - begin)) if end > begin else TEMPO,
        bar=bar,
        first=start / division,
    )
