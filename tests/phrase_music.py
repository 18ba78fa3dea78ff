"""Small corpora of MIDI files that phrases are made of: drums on channel 10, and melodies."""

from pathlib import Path

import numpy as np

from tests.sequences import midi_file

SIXTEENTH = 120  # ticks
DRUMS, SCALE = (36, 38, 42, 46, 49), (60, 62, 64, 65, 67, 69, 71, 72)


def drum_files(folder: Path, number: int = 12, bars: int = 4, seed: int = 0) -> Path:
    """Write files of drums, each a bar that repeats with small changes."""
    random = np.random.default_rng(seed)
    for count in range(number):
        bar = random.random((16, len(DRUMS))) < 0.25
        grid = np.concatenate([bar ^ (random.random(bar.shape) < 0.02) for _ in range(bars)])
        grid[0, 0] = True
        grid[-1, 1] = True
        shaken = random.integers(-20, 20, grid.shape)
        notes = [
            (max(0, int(SIXTEENTH * step + shaken[step, drum])), 60, DRUMS[drum], int(random.integers(40, 120)))
            for step, drum in np.argwhere(grid)
        ]
        midi_file(_made(folder) / f"beat_{count}.mid", notes, tempos=[(0, 90 + count)], drum=True)
    return folder


def melody_files(folder: Path, number: int = 12, bars: int = 4, seed: int = 0) -> Path:
    """Write files of melodies, each of an eighth or a quarter after the other."""
    random = np.random.default_rng(seed)
    for count in range(number):
        lengths = random.choice([2, 4], 8 * bars)
        starts = np.concatenate([[0], lengths.cumsum()])
        notes = [
            (int(SIXTEENTH * start), int(SIXTEENTH * length), int(random.choice(SCALE)))
            for start, length in zip(starts[:-1], lengths, strict=True)
            if start + length <= 16 * bars
        ]
        midi_file(_made(folder) / f"tune_{count}.mid", notes)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
