"""Notes and their names: MIDI files in and out, monophonic voices, pitch names, dynamics.

Onsets and offsets are in seconds; pitches are MIDI numbers (A4 = 69 = 440 Hz), velocities 1-127, programs 0-127.
"""

import heapq
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import midi
from utils.config import InputError

COLUMNS = {"onset": np.float64, "offset": np.float64, "pitch": np.int64, "velocity": np.int64, "track": np.int64}
MAX_SECONDS = 24 * 3600.0
LEGATO = 1e-3  # s by which a note may outlast the next one of its voice

PITCH_CLASSES = ("A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#")  # from A: a class id is a place in it
DYNAMICS = ("ppp", "pp", "p", "mp", "mf", "f", "ff", "fff")
_VELOCITIES = dict(zip(DYNAMICS, (16, 33, 49, 64, 80, 96, 112, 126), strict=True))
_WORDS = ("pianissimo", "piano", "mezzo-piano", "mezzo-forte", "forte", "fortissimo")
_LETTERS = dict(zip(_WORDS, DYNAMICS[1:-1], strict=True))
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAME = re.compile(r"([A-Ga-g])([#♯s]*|[b♭]*)(-?\d{1,2})?")


class Track(NamedTuple):
    """Name what plays some notes: a General MIDI program (0-127), or the drums, where a pitch is an instrument."""

    name: str = ""
    program: int = 0
    drum: bool = False


@dataclass(frozen=True, eq=False)
class Notes:
    """Hold N notes: onset and offset (N,) s, pitch, velocity and track (N,), where track is a place in `tracks`.

    Raises
    ------
    InputError
        A value that MIDI cannot say, a note that ends before it starts, or one beyond 24 h.
    """

    onset: np.ndarray
    offset: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    track: np.ndarray
    tracks: tuple[Track, ...]

    def __post_init__(self):
        for name, kind in COLUMNS.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind))
        object.__setattr__(self, "tracks", tuple(self.tracks))
        _check(self)

    def __len__(self) -> int:
        return len(self.onset)

    @property
    def duration(self) -> float:
        """Time of the last offset in seconds."""
        return float(self.offset.max(initial=0.0))

    @classmethod
    def empty(cls) -> "Notes":
        """Return no notes."""
        return cls([], [], [], [], [], ())

    @classmethod
    def load(cls, path: str | Path) -> "Notes":
        """Read a standard MIDI file: sorted by onset and pitch, times true to every change of tempo.

        A track is made of the notes of one MIDI track, channel and program. Notes of no length are left out, and so
        are tracks without notes.

        Raises
        ------
        InputError
            The file is missing, larger than 64 MiB, not MIDI, truncated, timed in no quarter notes, has a division or
            tempo of zero, or lasts longer than 24 h.
        """
        columns, tracks = midi.read(Path(path))
        if not tracks:
            return cls.empty()
        try:
            return cls(**columns, tracks=tuple(Track(*track) for track in tracks))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write a standard MIDI file of 120 quarters a minute and 960 ticks a quarter, atomically.

        Notes of equal pitch that overlap within one track cannot be told apart in MIDI: read again, the one that
        started first ends first.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        midi.write(Path(path), {name: getattr(self, name) for name in COLUMNS}, self.tracks)

    def take(self, index) -> "Notes":
        """Return the notes of an index array or mask (N,), with the same `tracks`."""
        return replace(self, **{name: getattr(self, name)[index] for name in COLUMNS})

    @classmethod
    def merge(cls, parts: Iterable["Notes"]) -> "Notes":
        """Return the notes of all parts together, one part after the other, each with its own tracks."""
        parts = tuple(parts)
        if not parts:
            return cls.empty()
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
        before = np.cumsum([0] + [len(part.tracks) for part in parts[:-1]])
        columns["track"] = columns["track"] + np.repeat(before, [len(part) for part in parts])
        return cls(**columns, tracks=tuple(track for part in parts for track in part.tracks))

    def transpose(self, semitones: int) -> "Notes":
        """Return the notes `semitones` higher; drums stay as they are.

        Raises
        ------
        InputError
            A pitch would leave 0-127.
        """
        drum = np.array([track.drum for track in self.tracks], bool)
        by = min(max(semitones, -128), 128)  # as wrong as more would be, and no overflow
        pitch = np.where(drum[self.track], self.pitch, self.pitch + by) if len(self) else self.pitch
        if ((pitch < 0) | (pitch > 127)).any():
            span = f"{self.pitch.min()}-{self.pitch.max()}"
            raise InputError(f"transposing by {semitones} takes pitches {span} out of MIDI's 0-127: transpose by less")
        return replace(self, pitch=pitch)

    def voices(self) -> list["Notes"]:
        """Split into the fewest monophonic voices that together hold every note.

        Interval partitioning: in order of onset, a note goes to the voice that is free and whose last pitch is
        nearest, or else opens a voice. A voice is free 1 ms before its last note ends. (Kleinberg and Tardos,
        Algorithm Design, section 4.1: the number of voices equals the largest number of notes that sound at once.)
        """
        voices: list[list[int]] = []
        sounding: list[tuple[float, int]] = []  # heap of (offset, voice)
        free: dict[int, list[int]] = {}  # last pitch -> voices
        for i in np.lexsort((self.pitch, self.onset)):
            onset, pitch = self.onset[i], int(self.pitch[i])
            while sounding and sounding[0][0] <= onset + LEGATO:
                voice = heapq.heappop(sounding)[1]
                free.setdefault(int(self.pitch[voices[voice][-1]]), []).append(voice)
            voice = _nearest(free, pitch) if free else len(voices)
            if voice == len(voices):
                voices.append([])
            voices[voice].append(i)
            heapq.heappush(sounding, (self.offset[i], voice))
        return [self.take(np.array(voice)) for voice in voices]


def _nearest(free: dict[int, list[int]], pitch: int) -> int:
    """Take out of `free` the voice whose last pitch is nearest."""
    nearest = min(free, key=lambda last: (abs(last - pitch), last))
    voice = free[nearest].pop()
    if not free[nearest]:
        del free[nearest]
    return voice


def _check(notes: Notes) -> None:
    """Raise InputError unless the notes are such as MIDI can say."""
    columns = (notes.onset, notes.offset, notes.pitch, notes.velocity, notes.track)
    if len({column.shape for column in columns}) > 1 or notes.onset.ndim != 1:
        raise ValueError(f"notes need columns of one length, not {[column.shape for column in columns]}")
    for name, lowest, highest in (
        ("pitch", 0, 127),
        ("velocity", 1, 127),
        ("track", 0, len(notes.tracks) - 1),
        ("onset", 0, MAX_SECONDS),
        ("offset", 0, MAX_SECONDS),
    ):
        values = getattr(notes, name)
        wrong = values[~((values >= lowest) & (values <= highest))]  # so that NaN is wrong, too
        if len(wrong):
            raise InputError(f"a note has {name} {wrong[0]}: it must lie within {lowest:g}-{highest:g}")
    wrong = np.flatnonzero(notes.offset <= notes.onset)
    if len(wrong):
        i = wrong[0]
        raise InputError(f"a note ends at {notes.offset[i]:g} s, not after its onset at {notes.onset[i]:g} s")
    for track in notes.tracks:
        if not 0 <= track.program <= 127:
            raise InputError(f"track {track.name!r} has program {track.program}: it must lie within 0-127")


def parse_pitch_class(name: str) -> str:
    """Return the pitch class as written in `PITCH_CLASSES`: "Bb", "B♭", "As" and "A♯" are all "A#".

    Raises
    ------
    InputError
        Not the name of a pitch class.
    """
    return PITCH_CLASSES[(_parsed(name, octave=False) - 9) % 12]


def parse_pitch(name: str) -> int:
    """Return the MIDI pitch of a name in scientific notation: "C4", "c4" 60; "As4", "A♯4", "Bb4" 70; "C-1" 0.

    Raises
    ------
    InputError
        Not the name of a pitch, or one that MIDI does not have.
    """
    return _in_midi(_parsed(name, octave=True), name)


def _parsed(name: str, octave: bool) -> int:
    match = _NAME.fullmatch(name.strip())
    if not match or (match[3] is not None) != octave:
        example = "A#4, Bb4 or As4" if octave else "A#, Bb or As"
        raise InputError(f"{name!r} is no name of a pitch{'' if octave else ' class'}: write it like {example}")
    letter, accidentals, digits = match.groups()
    shift = -len(accidentals) if accidentals[:1] in ("b", "♭") else len(accidentals)
    return _SEMITONES[letter.upper()] + shift + 12 * (int(digits or 0) + 1)


def _in_midi(pitch: int, name: object) -> int:
    if not 0 <= pitch <= 127:
        raise InputError(f"{name} would be MIDI pitch {pitch}: it must lie within 0-127, C-1 to G9")
    return pitch


def pitch_of(pitch_class: str, octave: int) -> int:
    """Return the MIDI pitch of a class and a scientific octave (C4 = 60; the octave changes at C).

    Raises
    ------
    InputError
        Not a pitch class, or a pitch that MIDI does not have.
    """
    index = PITCH_CLASSES.index(parse_pitch_class(pitch_class))
    return _in_midi((index + 9) % 12 + 12 * (int(octave) + 1), f"{pitch_class}{octave}")


def name_of(pitch: int) -> tuple[str, int]:
    """Return the pitch class and scientific octave of a MIDI pitch: 60 is ("C", 4).

    Raises
    ------
    InputError
        Not a MIDI pitch.
    """
    _in_midi(pitch, "this")
    return PITCH_CLASSES[(pitch - 9) % 12], pitch // 12 - 1


def velocity_of(dynamics: str) -> int:
    """Return the nominal MIDI velocity of a dynamics: "mf", "mezzo-forte", or itself a velocity such as "100".

    Raises
    ------
    InputError
        Neither a dynamics nor a velocity.
    """
    velocity = _velocity(dynamics)
    if velocity is None:
        raise InputError(f"{dynamics!r} is no dynamics: take one of {', '.join(DYNAMICS)}, or a velocity 1-127")
    return velocity


def _velocity(dynamics: str) -> int | None:
    if dynamics.isdecimal():
        return int(dynamics) if len(dynamics) <= 3 and 1 <= int(dynamics) <= 127 else None
    return _VELOCITIES.get(_LETTERS.get(dynamics, dynamics))


def velocities_of(classes: Sequence[str]) -> tuple[int, ...]:
    """Return a velocity for each class of a corpus' table; unknown names get evenly spread ones by their place."""
    spread = (round(127 * (i + 0.5) / len(classes)) for i in range(len(classes)))
    return tuple(_velocity(name) or even for name, even in zip(classes, spread, strict=True))


def nearest_dynamics(velocity: int, classes: Sequence[str]) -> str:
    """Return the class of a corpus' table whose velocity is nearest; of two, the softer."""
    return min(zip(velocities_of(classes), classes, strict=True), key=lambda v: (abs(v[0] - velocity), v[0]))[1]
