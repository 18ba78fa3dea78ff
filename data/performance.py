"""Piano-rolls as sound: frames (T, 88) played on the piano of a SoundFont, and files of them."""

import functools
from pathlib import Path

import numpy as np

from data import score_files
from data.audio import Audio
from data.notes import Notes, Track
from data.rolls import notes_of
from data.sampler import MAX_SECONDS, RATES, SoundFont
from data.score_files import TEMPO
from utils.config import InputError

TEMPOS = (4, 1000)  # quarters a minute; MIDI can say no slower ones


def perform(
    frames: np.ndarray,
    steps: int = 1,
    tempo: float = TEMPO,
    soundfont: str | Path | None = None,
    sample_rate: int = 44100,
    velocity: int = 100,
) -> Audio:
    """Return what frames sound like on the piano; a pitch that is held is one note.

    The sound lasts as long as the frames, or as its last note takes to fade.

    Parameters
    ----------
    frames : (T, 88) the piano-roll; silent ones are silence.
    steps : frames in a quarter note.
    tempo : quarters a minute.
    soundfont : an .sf2 file; None is the default of `SoundFont.load`.
    sample_rate : Hz.
    velocity : of every note, MIDI.

    Raises
    ------
    InputError
        The frames last longer than an hour, the tempo or the rate is out of range, or the SoundFont is not readable.
    """
    for name, value, (lowest, highest) in (("tempo", tempo, TEMPOS), ("sample rate in Hz", sample_rate, RATES)):
        if not lowest <= value <= highest:
            raise InputError(f"the {name} is {value:g}: it must lie within {lowest}-{highest}")
    step = 60 / (tempo * steps)  # s
    seconds = len(frames) * step
    if seconds > MAX_SECONDS:
        raise InputError(
            f"{len(frames)} steps last longer than {MAX_SECONDS:.0f} s, the most that is played: cut them or play faster"
        )
    start, end, pitch = notes_of(frames)
    notes = Notes(start * step, end * step, pitch, np.full(len(pitch), velocity), np.zeros(len(pitch)), [Track("Piano")])
    return _played(notes, seconds, soundfont, sample_rate)


def _played(notes: Notes, seconds: float, soundfont: str | Path | None, sample_rate: int) -> Audio:
    """Return what notes sound like, `seconds` long, or as long as the last one takes to fade."""
    sound = _font(soundfont).render(notes, sample_rate)
    silence = np.zeros(max(0, round(seconds * sample_rate) - len(sound)), np.float32)
    return Audio(np.concatenate([sound, silence]), sample_rate)


def save_notes(path: str | Path, notes: Notes, seconds: float, sample_rate: int = 44100) -> None:
    """Write what notes sound like, `seconds` long, or as long as the last one takes to fade; programs and drums are heeded.

    Raises
    ------
    InputError
        The file cannot be written, or the SoundFont is not readable.
    """
    _played(notes, seconds, None, sample_rate).save(path)


def looped(notes: Notes, seconds: float, sample_rate: int = 44100) -> Audio:
    """Return what notes sound like that are played over and over, `seconds` long: what rings beyond that rings at the beginning.

    Raises
    ------
    InputError
        The SoundFont is not readable.
    """
    samples, length = _played(notes, seconds, None, sample_rate).samples, round(seconds * sample_rate)
    rounds = np.pad(samples, (0, -len(samples) % length)).reshape(-1, length)
    return Audio(rounds.sum(0), sample_rate)


@functools.lru_cache(maxsize=1)
def _font(path: str | Path | None) -> SoundFont:
    """Return a SoundFont that remembers the notes it has played."""
    return SoundFont.load(path)


def save(
    path: str | Path,
    frames: np.ndarray,
    steps: int = 1,
    tempo: float = TEMPO,
    soundfont: str | Path | None = None,
    sample_rate: int = 44100,
) -> list[str]:
    """Write frames (T, 88) as MIDI and as sound, `path` with ".mid" and ".wav" behind it; return the two names without folder.

    Parameters and errors are those of `perform`; the velocity is that of `score_files.write`.
    """
    path = Path(path)
    sound = perform(frames, steps, tempo, soundfont, sample_rate)
    names = [f"{path.name}.mid", f"{path.name}.wav"]
    score_files.write(path.with_name(names[0]), frames, steps, tempo)
    sound.save(path.with_name(names[1]))
    return names
