"""Render a corpus of single notes from a SoundFont: the instruments corpus that is there when the user has none.

The default font (TimGM6mb, GPL-2) is read from the installed pretty_midi; what is rendered from it stays in the
user's cache. That font records one loudness a note, so the five dynamics come from velocity: level and brightness.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.notes import name_of, velocity_of
from data.sampler import RATES, SILENT, SoundFont
from utils.cli import progress as bar
from utils.config import InputError, read_json
from utils.files import atomic, locked, write_text
from utils.paths import make_folder

RENDERING = 1  # raised when the same settings would sound otherwise, so that no stale corpus is taken for a new one
SETTINGS = "rendering.json"
TABLE = "notes.csv"
SECONDS, SAMPLE_RATE = 2.0, 22050  # of the default corpus; s, Hz
LENGTHS = (0.1, 60.0)  # s


class Instrument(NamedTuple):
    """Say which General MIDI program an instrument is and which keys it plays, both ends included."""

    program: int
    lowest: int
    highest: int

    @property
    def keys(self) -> tuple[int, int]:
        """First key, and the one after the last."""
        return self.lowest, self.highest + 1


INSTRUMENTS = {
    "Piano": Instrument(0, 21, 108),
    "Violin": Instrument(40, 55, 100),
    "Alto-Sax": Instrument(65, 49, 80),
    "Trumpet-C": Instrument(56, 54, 86),
    "Flute": Instrument(73, 59, 96),
    "English-Horn": Instrument(69, 52, 81),
    "French-Horn": Instrument(60, 34, 77),
    "Tenor-Trombone": Instrument(57, 40, 72),
    "Violoncello": Instrument(42, 36, 81),
    "Bassoon": Instrument(70, 34, 75),
    "Clarinet-Bb": Instrument(71, 50, 94),
    "Oboe": Instrument(68, 58, 91),
}
DEFAULT_INSTRUMENTS = ("Piano", "Violin", "Alto-Sax", "Trumpet-C", "Flute")
CORPUS_DYNAMICS = ("pp", "p", "mf", "f", "ff")


class Key(NamedTuple):
    """Name one key of one instrument, that is, five files."""

    instrument: str
    pitch: int

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield each dynamics with its file, relative to the corpus: Violin/Violin_As4_mf.flac."""
        pitch_class, octave = name_of(self.pitch)
        for dynamics in CORPUS_DYNAMICS:
            note = f"{pitch_class.replace('#', 's')}{octave}"
            yield dynamics, f"{self.instrument}/{self.instrument}_{note}_{dynamics}.flac"


def default_corpus(cache_folder: str | Path, instruments: Sequence[str] | None = None, soundfont: str | Path | None = None) -> Path:
    """Return the folder of the corpus of these instruments, rendered now or before; the settings are in its name.

    Raises
    ------
    InputError
        As `make_corpus`.
    """
    instruments = tuple(instruments or DEFAULT_INSTRUMENTS)
    settings = _settings(SoundFont.load(soundfont), instruments, SECONDS, SAMPLE_RATE)
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(cache_folder) / f"instruments-{name}"
    with locked(folder.with_suffix(".lock")):  # two first runs at once render it once
        return make_corpus(folder, instruments, soundfont)


def make_corpus(
    folder: str | Path,
    instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
    soundfont: str | Path | None = None,
    seconds: float = SECONDS,
    sample_rate: int = SAMPLE_RATE,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Render every key of some instruments in five dynamics, a 16-bit FLAC file each, and their table notes.csv.

    Keys at which the font is silent are left out. The table is written last: where it is, the corpus is whole. An
    interrupted rendering goes on where it was; a whole one is returned as it is.

    Parameters
    ----------
    folder
        A new or empty folder, or one that this function made with the same settings.
    instruments
        Names from `INSTRUMENTS`.
    soundfont
        An .sf2 file; None is the default one.
    seconds
        Length of each note; the key is held throughout.
    sample_rate
        In Hz.
    workers
        Number of threads; None is one for each core.
    progress
        Whether to show a bar, if stderr is a terminal.

    Raises
    ------
    InputError
        An unknown instrument, one that the font lacks, a bad SoundFont, length or rate, or a folder that holds
        something else or cannot be written.
    """
    folder, instruments = Path(folder), tuple(instruments)
    font = SoundFont.load(soundfont)
    _check(font, instruments, seconds, sample_rate)
    if _claim(folder, _settings(font, instruments, seconds, sample_rate)):
        return folder
    keys = [Key(name, pitch) for name in instruments for pitch in range(*INSTRUMENTS[name].keys)]
    for name in instruments:
        make_folder(folder / name)
    done = _render_all([(font, folder, key, seconds, sample_rate) for key in keys], workers)
    for _ in bar(done, total=len(keys), desc="rendering", unit="key") if progress else done:
        pass
    write_text(folder / TABLE, _table(folder, keys))
    return folder


def _check(font: SoundFont, instruments: Sequence[str], seconds: float, sample_rate: int) -> None:
    unknown = [name for name in instruments if name not in INSTRUMENTS]
    if unknown or not instruments or len(set(instruments)) < len(instruments):
        wrong = f"unknown instrument {unknown[0]}" if unknown else "no instrument, or one given twice"
        raise InputError(f"{wrong}: choose from {', '.join(INSTRUMENTS)}")
    for name in instruments:
        program = INSTRUMENTS[name].program
        if program not in font.programs():
            raise InputError(f"{font.path}: it has no {name} (program {program}); give another SoundFont")
    if not LENGTHS[0] <= seconds <= LENGTHS[1]:
        raise InputError(f"notes of {seconds} s: the length must lie within {LENGTHS[0]}-{LENGTHS[1]} s")
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(f"sample rate {sample_rate}: it must lie within {RATES[0]}-{RATES[1]} Hz")


def _settings(font: SoundFont, instruments: Sequence[str], seconds: float, sample_rate: int) -> dict:
    return {
        "rendering": RENDERING,
        "soundfont": font.path.name,
        "sha256": font.digest,
        "instruments": sorted(instruments),
        "seconds": float(seconds),
        "sample_rate": sample_rate,
    }


def _claim(folder: Path, settings: dict) -> bool:
    """Make the folder ours; return whether the corpus in it is whole."""
    make_folder(folder)
    path = folder / SETTINGS
    if path.exists():
        found = read_json(path)
        for name, value in settings.items():
            if found.get(name) != value:
                given = f"{name} {found.get(name)}, not {value}"
                raise InputError(f"{folder}: it was rendered with {given}; choose another folder")
        return (folder / TABLE).exists()
    if any(not item.name.endswith(".part") for item in folder.iterdir()):
        raise InputError(f"{folder}: it holds something else; choose a new or empty folder")
    write_text(path, json.dumps(settings, indent=1))
    return False


def _render_all(jobs: Sequence[tuple], workers: int | None) -> Iterator[None]:
    """Do the jobs, in threads: nearly all their time passes in numpy, soxr and libsndfile, which free the interpreter."""
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        for future in as_completed([pool.submit(_render, *job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _render(font: SoundFont, folder: Path, key: Key, seconds: float, sample_rate: int) -> None:
    """Write the files of one key that are missing, each whole or not at all."""
    import soundfile

    program = INSTRUMENTS[key.instrument].program
    for dynamics, file in key.files():
        if (folder / file).exists():
            continue
        sound = font.note(program, key.pitch, velocity_of(dynamics), seconds, sample_rate, release=False)
        if np.abs(sound).max() > SILENT:
            encoded = io.BytesIO()  # so that a full disk shows as an OSError
            soundfile.write(encoded, sound, sample_rate, subtype="PCM_16", format="FLAC")
            with atomic(folder / file) as aside:
                aside.write_bytes(encoded.getbuffer())


def _table(folder: Path, keys: Sequence[Key]) -> str:
    """Return the text of notes.csv: a row for each file that is there."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "instrument", "pitch", "octave", "dynamics"))
    for key in keys:
        for dynamics, file in key.files():
            if (folder / file).exists():
                rows.writerow((file, key.instrument, *name_of(key.pitch), dynamics))
    return text.getvalue()
