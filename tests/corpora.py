"""Tiny corpora that the tests make themselves."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from data.notes import pitch_of

RATE = 22050  # Hz
LEVELS = {"p": 0.05, "f": 0.3}  # amplitude of each dynamics


def tone(pitch: int, dynamics: str, seconds: float, brightness: float) -> np.ndarray:
    """Return a harmonic tone (S,) at MIDI `pitch`; `brightness` is the ratio of neighbouring partials."""
    t = np.arange(int(seconds * RATE)) / RATE
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    partials = [brightness**h * np.sin(2 * np.pi * f0 * (h + 1) * t) for h in range(6) if f0 * (h + 1) < RATE / 2]
    return (LEVELS[dynamics] * np.sum(partials, 0)).astype(np.float32)


def instruments(folder: Path, names=("Reed", "Brass"), seconds: float = 0.4, octaves=(3, 4), pitches=("A", "C#", "E", "G")) -> Path:
    """Write a corpus of tones with a notes.csv into `folder`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, name in enumerate(names):
        for octave in octaves:
            for pitch in pitches:
                for dynamics in LEVELS:
                    file = f"{name}_{pitch.replace('#', 's')}{octave}_{dynamics}.wav"
                    samples = tone(pitch_of(pitch, octave), dynamics, seconds, 0.3 + 0.4 * place)
                    soundfile.write(folder / file, samples, RATE)
                    rows.append({"file": file, "instrument": name, "pitch": pitch, "octave": octave, "dynamics": dynamics})
    with open(folder / "notes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
