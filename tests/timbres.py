"""A corpus of synthetic instruments whose spectra lie in a space as their rated timbres do, so that it is known what to find."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from data.dissimilarity import ratings
from data.notes import pitch_of
from utils import geometry

NAMES = ("Clarinet-Bb", "Flute", "Oboe", "Trumpet-C", "Violin", "Violoncello")
PITCHES = ("C#3", "A3", "C#4", "D4", "A4")
LEVELS = {"p": 0.005, "f": 0.015}  # amplitude of a partial at PIVOT, of each dynamics
FADE = 0.02  # s, at both ends
# What each unit of the three axes changes is such that distances of spectra, in decibels, go with distances of places:
PIVOT, SLOPE, SLOPES = 600.0, 6.0, 5.0  # Hz around which partials fall by dB an octave: at 0, and more by the first axis
EVEN, EVENS = 12.0, 22.0  # dB by which even partials are weaker: at 0, and more by the second
FORMANT, OCTAVES = 1700.0, 1.5  # Hz at 0, octaves higher by the third
WIDTH, GAIN = 0.4, 15.0  # of the formant: octaves, dB


def rated_places(names=NAMES) -> np.ndarray:
    """Return positions (K, 3) of instruments whose distances are nearest to the ratings."""
    return geometry.mds(ratings("balanced-no-grey", names).mean, 3, starts=2).positions


def decibels(place: np.ndarray, f0: float, nyquist: float) -> np.ndarray:
    """Return the levels (H,), dB, of the partials below `nyquist` (Hz) of a note at `f0` (Hz) of an instrument at `place` (3,)."""
    h = np.arange(1, int(nyquist / f0) + 1)
    slope, even, formant = np.array([SLOPE, EVEN, np.log2(FORMANT)]) + np.array([SLOPES, EVENS, OCTAVES]) * place
    hump = GAIN * np.exp(-0.5 * ((np.log2(h * f0) - formant) / WIDTH) ** 2)
    return hump - slope * np.log2(h * f0 / PIVOT) + even * (h % 2 - 0.5)


def tone(place: np.ndarray, pitch: int, level: float, seconds: float, sample_rate: int) -> np.ndarray:
    """Return a harmonic tone (S,) at MIDI `pitch` of an instrument at `place` (3,); `level` as in `LEVELS`."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    amplitudes = level * 10 ** (decibels(place, f0, sample_rate / 2) / 20)
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    partials = np.sin(2 * np.pi * f0 * np.arange(1, len(amplitudes) + 1)[:, None] * t)
    fade = np.minimum(1, np.minimum(t, t[::-1]) / FADE)
    return (fade * (amplitudes @ partials)).astype(np.float32)


def make_timbres(
    folder: Path,
    places: np.ndarray | None = None,
    names=NAMES,
    pitches=PITCHES,
    dynamics=("p", "f"),
    seconds: float = 0.35,
    sample_rate: int = 22050,
) -> Path:
    """Write a corpus of additive instruments with a notes.csv into `folder`, and return it.

    Parameters
    ----------
    places : (K, 3) of spectral slope, strength of even partials and formant, about -0.5 to 0.5; `rated_places` by default.
    names : (K,) of the instruments.
    pitches : of each, with octaves; of the default ones all instruments have notes in every split.
    dynamics : of `LEVELS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = rated_places(names) if places is None else places
    rows = []
    for name, place in zip(names, places, strict=True):
        for note in pitches:
            pitch, octave = note[:-1], int(note[-1])
            for dynamic in dynamics:
                file = f"{name}_{note.replace('#', 's')}_{dynamic}.wav"
                samples = tone(place, pitch_of(pitch, octave), LEVELS[dynamic], seconds, sample_rate)
                soundfile.write(folder / file, samples, sample_rate)
                rows.append({"file": file, "instrument": name, "pitch": pitch, "octave": octave, "dynamics": dynamic})
    with open(folder / "notes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
