"""From frame-wise labels to notes, and to a table of them.

Frame n covers n / rate to (n + 1) / rate seconds. Levels are in dB; a sine of full scale has about 0.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from data.labels import Labels
from data.notes import Notes, Track
from data.parts import program_of
from utils.files import atomic

FLOOR_DB = -80.0  # frames below this are silent
RANGE_DB = 45.0  # and so are those that far below the loudest of all,
DIP_DB, DIP = 25.0, 5  # and that far below the loudest of so many frames around
VOTERS = 7  # frames that vote for the pitch of the one in their middle
SHORTEST = 3  # frames of a note; shorter ones are taken for part of a neighbour
RISE_DB = 8.0  # by which the level rises within two frames where a held pitch is struck again


def levels(frames: np.ndarray, frequencies: np.ndarray, full_scale: float) -> np.ndarray:
    """Return the A-weighted level in dB, (N,), of linear magnitudes (N, F) of bands at `frequencies` (F,) Hz.

    The weights (IEC 61672-1, annex E) are those of hearing. They pass over rumble, which a transform of constant Q smears over
    half a second and more. A sine of full scale has the modulus `full_scale` and, at 1000 Hz, about 0 dB.
    """
    f = np.square(frequencies, dtype=np.float64)
    weights = 12194**2 * f**2 / ((f + 20.6**2) * np.sqrt((f + 107.7**2) * (f + 737.9**2)) * (f + 12194**2)) * 10**0.1
    energy = np.square(frames * weights, dtype=np.float64).sum(-1) / full_scale**2
    return 10 * np.log10(np.maximum(energy, 1e-20))


def transcribe(labels: Labels, ids: np.ndarray, confidence: np.ndarray, level: np.ndarray, rate: float | None = None) -> Notes:
    """Return the notes that frame-wise labels tell of, one track an instrument.

    A frame sounds where its level is above -80 dB, within 45 dB of the loudest frame's and within 25 dB of those around it. Of the
    frames that sound, each takes the pitch to which the seven around it give the most confidence; a note is a run of one pitch, of
    three frames or more, and where the level rises by 8 dB within two frames after a dip, it is struck again. Velocities are the
    nominal ones of the dynamics to which a note's frames give the most confidence.

    Parameters
    ----------
    ids : (N, I, L) class ids.
    confidence : (N, I, L) their probabilities; NaN counts as 0.
    level : (N,) dB.
    rate : frames a second; those of `labels` when not given.
    """
    tracks = tuple(Track(name, program_of(name)) for name in labels.instruments)
    confidence = np.nan_to_num(np.asarray(confidence, np.float32))
    sure = confidence[..., [label in ("octave", "pitch") for label, _ in labels.classes]].prod(-1)  # (N, I)
    sounds = _sounding(level)
    pitches = np.stack([_steady(*columns, sounds) for columns in zip(labels.pitch(ids).T, sure.T, strict=True)])  # (I, N)
    struck = _struck(level, pitches)
    rows = []
    for track, pitch in enumerate(pitches):
        start, stop = _runs(pitch, struck)
        velocity = _voted(labels, ids[:, track], confidence[:, track], start, stop)
        kept = pitch[start] >= 0
        rows.append(np.stack([start, stop, pitch[start], velocity, np.full(len(start), track)])[:, kept])
    start, stop, pitch, velocity, track = np.concatenate(rows, 1)
    order = np.lexsort((pitch, start))
    rate = rate or labels.frame_rate
    return Notes(start / rate, stop / rate, pitch, velocity, track, tracks).take(order)


def _sounding(level: np.ndarray) -> np.ndarray:
    """Tell which frames sound, (N,). The transform smears a note by a frame or two: hence the comparison with those around."""
    from scipy.ndimage import maximum_filter1d

    lowest = np.maximum(level.max(initial=-np.inf) - RANGE_DB, maximum_filter1d(level, DIP) - DIP_DB)
    return level >= np.maximum(lowest, FLOOR_DB)


def _steady(pitch: np.ndarray, sure: np.ndarray, sounds: np.ndarray) -> np.ndarray:
    """Return pitches (N,), -1 for silence, without flicker and without what is too short for a note."""
    from scipy.ndimage import uniform_filter1d

    winners, most = np.full(len(pitch), -1), np.zeros(len(pitch))
    for candidate in np.unique(pitch[sounds]):
        own = np.where(sounds & (pitch == candidate), sure, 0.0)
        votes = uniform_filter1d(own, VOTERS, mode="nearest") + 1e-6 * own  # a tie is decided by the frame itself
        winners, most = np.where(votes > most, candidate, winners), np.maximum(votes, most)
    result = np.where(sounds, winners, -1)
    start, stop = _runs(result)
    return np.repeat(_absorbed(result[start], stop - start), stop - start)


def _absorbed(pitch: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Give runs that are too short for a note the pitch of what follows, as attacks are unclear, or else of what precedes."""
    short = (length < SHORTEST) & (pitch >= 0)
    result = np.where(short, -1, pitch)
    for i in np.flatnonzero(short)[::-1]:
        result[i] = result[i + 1] if i + 1 < len(result) else -1
    for i in np.flatnonzero(short & (result < 0)):
        result[i] = result[i - 1] if i else -1
    return result


def _runs(values: np.ndarray, cuts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return where runs of equal values (N,), -1 or more, start and stop, (R,) each; `cuts` (N,) tells where else to cut."""
    changes = np.diff(values, prepend=-2) != 0
    start = np.flatnonzero(changes if cuts is None else changes | cuts)
    return start, np.append(start[1:], len(values))[: len(start)]


def _struck(level: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """Tell at which frames (N,) a held pitch is struck again: after a dip, and not while any of the pitches (I, N) changes."""
    from scipy.ndimage import binary_dilation

    ahead = np.append(level[1:], level[-1:])
    before, earlier = np.roll(level, 1), np.roll(level, 2)
    rises = (np.maximum(level, ahead) - before >= RISE_DB) & (level > before) & (before <= earlier)
    changes = np.diff(pitches, prepend=-2).any(0)
    rises[:2] = False  # which have nothing before them
    return rises & ~binary_dilation(changes, iterations=SHORTEST - 1)


def _voted(labels: Labels, ids: np.ndarray, confidence: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return a velocity for each run (R,): that of the dynamics to which its frames give the most confidence."""
    order = [label for label, _ in labels.classes]
    if "dynamics" not in order:
        return labels.velocity(ids[start])
    place, run = order.index("dynamics"), np.repeat(np.arange(len(start)), stop - start)
    votes = np.zeros((len(start), labels.silent_ids[place] + 1))
    np.add.at(votes, (run, ids[:, place]), confidence[:, place])
    winners = np.array(ids[start])
    winners[:, place] = votes[:, :-1].argmax(1)
    return labels.velocity(winners)


def write_table(
    path: Path,
    labels: Labels,
    ids: np.ndarray,
    confidence: np.ndarray | None = None,
    columns: Mapping[str, np.ndarray] = MappingProxyType({}),
    rate: float | None = None,
) -> None:
    """Write labels as CSV, one row a frame: the time in seconds at which it begins, `columns`, and the classes of each source.

    Parameters
    ----------
    ids : (N, I, L); a silent source is written as "silent".
    confidence : (N, I, L) probabilities of the classes; NaN is written as nothing.
    columns : name -> numbers (N,).
    rate : frames a second; those of `labels` when not given.
    """
    slots = {f"{source} {label}": (*names, "silent") for source in labels.instruments for label, names in labels.classes}
    numbers = np.array(list(columns.values())).reshape(len(columns), len(ids)).T
    rate = rate or labels.frame_rate
    with atomic(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", *columns, *_interleaved(slots, [f"{slot} probability" for slot in slots], confidence)])
        for n, row in enumerate(ids):
            words = [names[k] for names, k in zip(slots.values(), row.flatten().tolist(), strict=True)]
            shares = [] if confidence is None else [_decimals(p) for p in confidence[n].flatten().tolist()]
            values = [round(value, 5) for value in numbers[n].tolist()]
            writer.writerow([f"{n / rate:.4f}", *values, *_interleaved(words, shares, confidence)])


def _interleaved(words: Iterable[str], shares: Iterable[str], confidence: np.ndarray | None) -> list[str]:
    return list(words) if confidence is None else [text for pair in zip(words, shares, strict=True) for text in pair]


def _decimals(probability: float) -> str:
    return "" if probability != probability else f"{probability:.3f}"
