"""Play notes on the sampled instruments of a SoundFont.

Velocity gives loudness by the SoundFont curve, 40 log10(v / 127) dB, and brightness (`data.synthesis.darken`). There
is one gain for everything, so that notes keep their levels to each other.
"""

import functools
import hashlib
import importlib.util
import logging
from pathlib import Path

import numpy as np

from data.notes import Notes
from data.sf2 import DRUMS, Bank, Zone
from data.synthesis import voice
from utils.config import InputError

GAIN = 0.7  # keeps the loudest notes of the default font below full scale
SILENT = 1e-5  # peak, -100 dBFS: nothing was heard
NEIGHBOURS = (-1, 1, -2, 2, -3, 3)  # keys that a silent key may borrow from, in order
TAIL = 3.0  # s, the longest release
FADE = 0.01  # s, at the end of every note
MAX_NOTE_SECONDS = 300.0
MAX_SECONDS = 3600.0  # of what is rendered at once
REMEMBERED = 256  # notes that are not played anew when they come again,
LONGEST_REMEMBERED = 5.0  # s, where they are no longer than this
RATES = (1000, 192000)  # Hz


class SoundFont:
    """Play the instruments of one SoundFont file; `load` makes it."""

    def __init__(self, content: np.ndarray, path: Path):
        self.path = path
        self._content = content
        self._bank = Bank(content, path)
        self._zones: dict[tuple[int, int], tuple[Zone, ...]] = {}
        self._again = functools.lru_cache(maxsize=REMEMBERED)(self.note)

    @classmethod
    def load(cls, path: str | Path | None = None) -> "SoundFont":
        """Read an .sf2 file; None is TimGM6mb.sf2 (GPL-2), which comes with pretty_midi and is read where it is.

        Raises
        ------
        InputError
            Missing, not SoundFont 2, truncated, compressed (sf3) or damaged.
        """
        path = Path(path) if path else default_path()
        try:
            empty = path.stat().st_size == 0
            content = np.zeros(0, np.uint8) if empty else np.asarray(np.memmap(path, np.uint8, "r"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give an .sf2 file") from None
        return cls(content, path)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self._content).hexdigest()

    def programs(self, drum: bool = False) -> list[int]:
        """Return the programs that the font has, or its drum kits."""
        return sorted(program for bank, program in self._bank.presets if bank == (DRUMS if drum else 0))

    def note(
        self,
        program: int,
        key: int,
        velocity: int,
        seconds: float,
        sample_rate: int = 22050,
        release: bool = True,
        drum: bool = False,
    ) -> np.ndarray:
        """Return one note.

        A key at which the font is silent borrows the samples of the nearest key, at most three away, that is not,
        and keeps its own pitch.

        Parameters
        ----------
        program, key, velocity
            General MIDI program (0-127; for drums, the kit), MIDI key, MIDI velocity (1-127).
        seconds
            How long the key is held.
        sample_rate
            In Hz.
        release
            Whether the sound after the release of the key follows; without it the note ends, faded, with `seconds`.
        drum
            Whether to play the percussion bank, in which velocity is loudness alone and no key borrows.

        Returns
        -------
        np.ndarray
            (S,) float32.

        Raises
        ------
        InputError
            The font lacks the program, or a value is out of range.
        """
        _check(key, velocity, seconds, sample_rate)
        preset = self._preset(program, drum)
        for neighbour in (0,) if drum else (0, *NEIGHBOURS):
            zones = [zone for zone in preset if zone.covers(key + neighbour, velocity)]
            length = round((seconds + (_tail(zones) if release else 0.0)) * sample_rate)
            signal = np.zeros(length, np.float32)
            for zone in zones:
                signal += voice(zone, self._bank.samples, key, velocity, seconds, length, sample_rate, not drum)
            if np.abs(signal).max(initial=0) > SILENT:
                break
        return GAIN * _faded(signal, round(FADE * sample_rate))

    def render(self, notes: Notes, sample_rate: int = 22050) -> np.ndarray:
        """Return what the notes sound like, (S,) float32, turned down as a whole if its peak would pass full scale.

        A program that the font lacks is played by the nearest one that it has; drums that it lacks are left out. No
        note is held for more than five minutes.

        Raises
        ------
        InputError
            The notes last longer than an hour.
        """
        if notes.duration > MAX_SECONDS:
            raise InputError(f"notes of {notes.duration:.0f} s: cut them, at most {MAX_SECONDS:.0f} s are rendered at once")
        programs = [self._nearest(track.program, track.drum) for track in notes.tracks]
        mix = np.zeros(round((notes.duration + TAIL + 1) * sample_rate), np.float32)
        end = 0
        columns = (notes.onset, notes.offset, notes.pitch, notes.velocity, notes.track)
        for onset, offset, pitch, velocity, track in zip(*(column.tolist() for column in columns), strict=True):
            if programs[track] is None:
                continue
            held, drum = round(min(offset - onset, MAX_NOTE_SECONDS), 6), notes.tracks[track].drum  # rounded, to be found again
            play = self._again if held <= LONGEST_REMEMBERED else self.note
            sound = play(programs[track], pitch, velocity, held, sample_rate, drum=drum)
            start = round(onset * sample_rate)
            mix[start : start + len(sound)] += sound
            end = max(end, start + len(sound))
        return mix[:end] / max(np.abs(mix).max(initial=0), 1)

    def _preset(self, program: int, drum: bool) -> tuple[Zone, ...]:
        place = (DRUMS if drum else 0, program)
        if place not in self._bank.presets:
            kind = "drum kit" if drum else "program"
            known = " ".join(map(str, self.programs(drum))) or "none"
            raise InputError(f"{self.path}: it has no {kind} {program}, only: {known}")
        if place not in self._zones:
            self._zones[place] = self._bank.zones(self._bank.presets[place])
        return self._zones[place]

    def _nearest(self, program: int, drum: bool) -> int | None:
        """Return the program of the font that is nearest by number; None if it has none."""
        nearest = min(self.programs(drum), key=lambda known: (abs(known - program), known), default=None)
        if nearest != program:
            kind = "drum kit" if drum else "program"
            instead = "leaving it out" if nearest is None else f"taking {nearest}"
            logging.warning("%s has no %s %d; %s", self.path.name, kind, program, instead)
        return nearest


def default_path() -> Path:
    """Return where pretty_midi keeps TimGM6mb.sf2, without importing it."""
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).with_name("TimGM6mb.sf2") if spec and spec.origin else None
    if path is None or not path.exists():
        raise InputError("the default SoundFont comes with pretty_midi, which is not installed whole: give an .sf2 file")
    return path


def _check(key: int, velocity: int, seconds: float, sample_rate: int) -> None:
    for name, value, lowest, highest in (
        ("key", key, 0, 127),
        ("velocity", velocity, 1, 127),
        ("length in seconds", seconds, 0, MAX_NOTE_SECONDS),
        ("sample rate in Hz", sample_rate, *RATES),
    ):
        if not lowest <= value <= highest:
            raise InputError(f"a note's {name} is {value}: it must lie within {lowest}-{highest:g}")


def _tail(zones: list[Zone]) -> float:
    """Return the seconds that the longest release takes to fall by 80 dB, at most `TAIL`."""
    return min(max((0.8 * 2 ** (zone.generators["releaseVolEnv"] / 1200) for zone in zones), default=0.0), TAIL)


def _faded(signal: np.ndarray, count: int) -> np.ndarray:
    """Return the signal with a raised-cosine fade over its last `count` samples, so that it ends without a click."""
    count = min(count, len(signal))
    fade = (0.5 + 0.5 * np.cos(np.pi * (np.arange(count) + 1) / count)).astype(np.float32)
    return np.concatenate([signal[: len(signal) - count], signal[len(signal) - count :] * fade])
