"""Spectrograms of any length, and a piano roll below them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.figures import new, save

COLUMNS = 2000  # of a picture, at most
RANGE_DB = 80.0  # from the loudest to what is black
TICKS = (31.25, 62.5, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)  # Hz


class Picture:
    """A spectrogram that grows frame by frame and never has more than 2000 columns: where it is full, pairs become one."""

    def __init__(self):
        self.stride, self.columns, self.rest = 1, [], None

    def add(self, frames: np.ndarray) -> None:
        """Append frames (n, F)."""
        frames = frames if self.rest is None else np.concatenate([self.rest, frames])
        whole = len(frames) // self.stride * self.stride
        self.columns.extend(frames[:whole].reshape(-1, self.stride, frames.shape[1]).mean(1))
        self.rest = frames[whole:]
        while len(self.columns) > COLUMNS:
            odd = self.columns.pop() if len(self.columns) % 2 else None
            self.columns = [(a + b) / 2 for a, b in zip(self.columns[::2], self.columns[1::2], strict=True)]
            if odd is not None:
                self.rest = np.concatenate([np.tile(odd, (self.stride, 1)), self.rest])
            self.stride *= 2

    def watching(self, pieces: Iterable) -> Iterator:
        """Yield tensors (n, F) as they come, adding each."""
        for piece in pieces:
            self.add(piece.numpy())
            yield piece

    @property
    def image(self) -> np.ndarray:
        """Return the magnitudes, (F, columns)."""
        last = [self.rest.mean(0)] if len(self.rest) else []
        return np.array(self.columns + last).T


def spectrograms_and_roll(
    path: Path,
    spectrograms: Mapping[str, np.ndarray],
    frequencies: np.ndarray,
    notes: Mapping[str, np.ndarray],
    tracks: Sequence[str],
    duration: float,
    latents: np.ndarray | None = None,
) -> None:
    """Draw spectrograms over one time axis, with a piano roll of the notes below them, into a file.

    Without tracks there is no piano roll.

    Parameters
    ----------
    path : its suffix is the format.
    spectrograms : title -> linear magnitudes (F, C), of the whole duration.
    frequencies : (F,) Hz, of the bands.
    notes : onset, offset (N,) s; pitch (N,) MIDI; track (N,) places in `tracks`.
    tracks : names.
    duration : s.
    latents : (N, Z) evenly spaced over the duration, drawn as curves where given.
    """
    rows = len(spectrograms) + bool(tracks) + (latents is not None)
    figure = new(10, 2.6 * rows)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    top = max(image.max(initial=0.0) for image in spectrograms.values())
    for row, (title, image) in zip(axes, spectrograms.items(), strict=False):
        spectrogram(row, image, top, frequencies, duration)
        row.set_title(title, fontsize=9, loc="left")
    if tracks:
        _roll(axes[len(spectrograms)], notes, tracks)
    if latents is not None:
        _curves(axes[-1], latents, duration)
    axes[-1].set(xlabel="time (s)", xlim=(0, duration))
    save(figure, path)


def spectrogram(axes, magnitudes: np.ndarray, top: float, frequencies: np.ndarray, duration: float) -> None:
    """Draw linear magnitudes (F, C) over `duration` s, in dB below `top`; a row of pixels a band, `frequencies` (F,) Hz."""
    decibels = 20 * np.log10(np.maximum(magnitudes, 1e-12) / max(top, 1e-12))
    bands = len(frequencies)
    axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-RANGE_DB,
        vmax=0,
        extent=(0, duration, -0.5, bands - 0.5),
    )
    ticks = [f for f in TICKS if frequencies[0] <= f <= frequencies[-1]]
    axes.set_yticks(np.interp(ticks, frequencies, np.arange(bands)), [f"{f:g}" for f in ticks])
    axes.set_ylabel("Hz")


def _curves(axes, latents: np.ndarray, duration: float) -> None:
    some = latents[:: -(-len(latents) // COLUMNS)]
    axes.plot(np.linspace(0, duration, len(some), endpoint=False), some, linewidth=0.7)
    axes.set(ylabel="latents")
    axes.grid(alpha=0.3)


def _roll(axes, notes: Mapping[str, np.ndarray], tracks: Sequence[str]) -> None:
    for track, name in enumerate(tracks):
        at = notes["track"] == track
        axes.hlines(notes["pitch"][at], notes["onset"][at], notes["offset"][at], f"C{track % 10}", linewidth=3, label=name)
    pitches = notes["pitch"] if len(notes["pitch"]) else np.array([60])
    low, high = pitches.min() - 2, pitches.max() + 2
    octaves = np.arange(-(-low // 12) * 12, high + 1, 12)
    axes.set(ylabel="pitch", ylim=(low, high))
    if len(octaves) > 1:
        axes.set_yticks(octaves, [f"C{octave // 12 - 1:g}" for octave in octaves])
    else:
        axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if len(tracks) > 1:
        axes.legend(frameon=False, fontsize=7, loc="upper right")
