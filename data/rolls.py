"""Piano-rolls: frames (T, 88) of a score, one a step, true where a key of the piano sounds; column i is MIDI pitch 21 + i.

Positions are in quarter notes of the score, so nothing here knows about seconds.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from utils.config import InputError

LOWEST, HIGHEST = 21, 108  # MIDI pitches of the piano
KEYS = HIGHEST - LOWEST + 1
STEPS = {"quarter": 1, "8th": 2, "16th": 4}  # steps in a quarter note
READINGS = {
    "sounding": "what sounds at any time of the step",
    "beat": "what sounds at its beginning",
    "onsets": "what begins within it",
}
FINE = 4  # notes are snapped to so many parts of a step


def check(step: str, reading: str) -> None:
    """Raise InputError unless there are such a step and such a reading."""
    if step not in STEPS:
        raise InputError(f"'{step}' is no step of a score: take {' or '.join(STEPS)}")
    if reading not in READINGS:
        raise InputError(f"'{reading}' is no reading of a step: take {' or '.join(READINGS)}")


def onto_keyboard(pitch: np.ndarray) -> np.ndarray:
    """Move the pitches (N,) of a piece onto the piano: all of them by an octave where that does, else each that is outside."""
    for octave in (0, 12, -12):
        if not len(pitch) or (pitch.min() + octave >= LOWEST and pitch.max() + octave <= HIGHEST):
            return pitch + octave
    up = np.maximum(0, -((pitch - LOWEST) // 12))
    down = np.maximum(0, -((HIGHEST - pitch) // 12))
    return pitch + 12 * (up - down)


def from_notes(onset: np.ndarray, offset: np.ndarray, pitch: np.ndarray, steps: int, reading: str = "sounding") -> np.ndarray:
    """Return the frames (T, 88) of notes.

    Onsets and offsets are snapped to a quarter of a step, and no note is shorter than that, so that neither a note played a
    little early nor one held a little long gets into a neighbouring step.

    Parameters
    ----------
    onset, offset : (N,) quarter notes, N >= 1.
    pitch : (N,) MIDI.
    steps : in a quarter note.
    reading : one of `READINGS`.
    """
    start = snapped(onset, steps)
    end = np.maximum(snapped(offset, steps), start + 1)
    first, stop = start // FINE, -(-end // FINE)  # steps
    change = np.zeros((stop.max() + 1, KEYS), np.int32)
    if reading == "beat":
        first = -(-start // FINE)  # equals `stop` where the note misses every beat
    elif reading == "onsets":
        stop = first + 1
    column = onto_keyboard(np.asarray(pitch)) - LOWEST
    np.add.at(change, (first, column), 1)
    np.add.at(change, (stop, column), -1)
    return change.cumsum(0, out=change)[:-1] > 0


def snapped(position: np.ndarray, steps: int) -> np.ndarray:
    """Return the nearest quarter of a step of positions in quarter notes."""
    return np.rint(np.asarray(position, float) * steps * FINE).astype(np.int64)


def from_steps(steps: Sequence) -> np.ndarray:
    """Return the frames (T, 88) of steps, each a sequence of MIDI pitches; negative ones and NaN are silent.

    Raises
    ------
    InputError
        A step is no sequence of such pitches.
    """
    try:
        lengths = [len(step) for step in steps]
        flat = list(chain.from_iterable(steps))
        other = [kind.__name__ for kind in set(map(type, flat)) if not is_number(kind)]
        if other:  # before numpy looks for lists in lists
            raise InputError(f"a song is no list of steps that are lists of MIDI pitches: a {min(other)} stands for a pitch")
        pitch = np.fromiter(flat, float, len(flat))
    except (TypeError, ValueError, OverflowError):
        raise InputError("a song is no list of steps that are lists of MIDI pitches") from None
    sounds = pitch >= 0  # false for NaN
    wrong = pitch[sounds & ((pitch > 127) | (pitch != np.floor(pitch)))]
    if len(wrong):
        raise InputError(f"{wrong[0]:g} is no MIDI pitch: it must be a whole number within 0-127")
    frames = np.zeros((len(lengths), KEYS), bool)
    step = np.repeat(np.arange(len(lengths)), lengths)[sounds]
    frames[step, onto_keyboard(pitch[sounds].astype(np.int64)) - LOWEST] = True
    return frames


def is_number(kind: type) -> bool:
    """Return whether a type is of plain real numbers, of Python or numpy; truth values and spans of time are none."""
    return issubclass(kind, int | float | np.integer | np.floating) and not issubclass(kind, bool | np.timedelta64)


def folded(frames: np.ndarray, factor: int, reading: str = "sounding") -> np.ndarray:
    """Make one frame of each `factor` frames (T, P); the last ones may be fewer."""
    if reading == "onsets":
        frames = frames & ~np.concatenate([np.zeros_like(frames[:1]), frames[:-1]])
    if reading == "beat":
        return frames[::factor]
    padded = np.pad(frames, [(0, -len(frames) % factor), (0, 0)])
    return padded.reshape(-1, factor, frames.shape[1]).any(1)


def transposed(frames: np.ndarray, semitones: int) -> np.ndarray:
    """Return frames (T, 88) moved by `semitones`, an octave back if they would leave the piano."""
    step, column = np.nonzero(frames)
    moved = np.zeros_like(frames)
    moved[step, onto_keyboard(column + LOWEST + semitones) - LOWEST] = True
    return moved


def notes_of(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first step, step after the last, and MIDI pitch (N,) of the notes of frames (T, 88), in order of time.

    A pitch that is held over frames is one note.
    """
    edges = np.diff(np.pad(np.asarray(frames, np.int8), [(1, 1), (0, 0)]), axis=0).T  # (88, T + 1)
    column, start = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    order = np.lexsort((column, start))
    return start[order], end[order], column[order] + LOWEST
