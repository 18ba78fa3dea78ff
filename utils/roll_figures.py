"""Drawings of piano-rolls and of the key they are in: rolls beneath each other, keys over time, how much is in key.

A roll (T, 88) is true where a key of the piano sounds; column i is MIDI pitch 21 + i.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.analysis_figures import COLOURS, MARKERS, Estimate, drawing

LOWEST, KEYS = 21, 88  # MIDI pitch of the first column; columns
COLUMNS = 1000  # of a picture, at most
NARROWEST, WIDEST = 5.0, 10.0  # inches
SEMITONE = 0.034  # inches
SHADE = "#dcdcdc"  # of what was given
LEFT = "#ebebeb"  # of what a row leaves behind its end
PLAIN = "#333333"  # notes without a key
INKS = {"in key": COLOURS[0], "out of key": COLOURS[5]}
TICKS = (1, 2, 4, 8, 16, 40, 80, 160, 400, 800, 1600, 4000, 8000, 16000)  # quarter notes between two
MOST_TICKS = 14
AREAS = tuple(colour for colour in COLOURS if colour != "#000000")[:8]  # of the classes that weigh most
REST = "#cccccc"  # of all others


def rolls(
    rows: Sequence[tuple[str, np.ndarray]],
    paths: Sequence[Path],
    steps: int = 1,
    scales: Sequence[Iterable[int] | None] = (),
    seeds: Sequence[int] = (),
) -> None:
    """Draw piano-rolls beneath each other, on the same pitches and the same time.

    Parameters
    ----------
    rows : titles and rolls (T, 88), one or more; T may differ. In long ones, neighbouring steps share a column.
    paths : files to write.
    steps : in a quarter note.
    scales : for each row the pitch classes of its key, C = 0: notes get one of two colours; None is one colour. Empty: all None.
    seeds : for each row how many steps were given at its start: they are shaded. Empty: all 0.
    """
    longest = max(len(roll) for _, roll in rows)
    low, high = _span([roll for _, roll in rows])
    tall = SEMITONE * (high - low + 1) + 0.3
    with drawing(_width(longest), len(rows) * tall + 0.8, paths) as figure:
        grid = figure.subplots(len(rows), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for place, (axes, (title, roll)) in enumerate(zip(grid, rows, strict=True)):
            _roll(axes, roll, steps, scales[place] if scales else None)
            _shade(axes, seeds[place] / steps if seeds else 0, len(roll) / steps, longest / steps)
            axes.set_title(textwrap.fill(title, int(11 * _width(longest))), loc="left")
        _pitches(grid[0], low, high)
        _quarters(grid[-1], longest / steps)
        _legend(figure, any(scale is not None for scale in scales), any(seeds))


def _legend(figure, coloured: bool, seeded: bool) -> None:
    """Say what colours mean that are used."""
    from matplotlib.patches import Patch

    used = {**(INKS if coloured else {}), **({"given": SHADE} if seeded else {})}
    if used:
        patches = [Patch(color=ink, label=word) for word, ink in used.items()]
        figure.legend(handles=patches, loc="outside upper right", ncols=3, handlelength=1, handleheight=1, columnspacing=1)


def _width(length: int) -> float:
    """Return the width in inches of a figure of so many steps."""
    return float(np.clip(0.08 * length + 1, NARROWEST, WIDEST))


def _span(several: Sequence[np.ndarray]) -> tuple[int, int]:
    """Return the lowest and the highest MIDI pitch to show: all that sound, and an octave at least."""
    used = np.flatnonzero(np.any([np.any(roll, axis=0) for roll in several], axis=0))
    first, last = (used[0] + LOWEST - 1, used[-1] + LOWEST + 1) if len(used) else (60, 60)
    low = min(max(first - max(0, 12 - (last - first)) // 2, LOWEST), LOWEST + KEYS - 13)
    return low, min(max(last, low + 12), LOWEST + KEYS - 1)


def _roll(axes, roll: np.ndarray, steps: int, scale: Iterable[int] | None) -> None:
    """Draw a roll (T, 88) over quarter notes; a column shows what sounds in any of its steps."""
    from matplotlib.colors import ListedColormap

    axes.grid()
    if not len(roll):
        return
    if scale is None:
        code = np.ones(KEYS, np.uint8)
    else:
        code = np.where(np.isin((np.arange(KEYS) + LOWEST) % 12, list(scale)), 2, 3).astype(np.uint8)
    some = -(-len(roll) // COLUMNS)  # steps of a column
    padded = np.pad(np.asarray(roll, bool), [(0, -len(roll) % some), (0, 0)])
    image = padded.reshape(-1, some, KEYS).any(1) * code  # (columns, 88)
    axes.imshow(
        np.ma.masked_equal(image.T, 0),
        cmap=ListedColormap([PLAIN, *INKS.values()]),
        vmin=1,
        vmax=3,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0, len(padded) / steps, LOWEST - 0.5, LOWEST + KEYS - 0.5),
        zorder=2,
    )


def _shade(axes, seed: float, end: float, longest: float) -> None:
    """Shade what was given at the start of a row and hatch what is left behind its end, in quarter notes."""
    if seed:
        axes.axvspan(0, seed, color=SHADE, linewidth=0, zorder=0)
        axes.axvline(seed, color="black", linewidth=1)
    if end < longest:
        axes.axvspan(end, longest, facecolor="white", edgecolor=LEFT, hatch="///", linewidth=0, zorder=1.5)


def _pitches(axes, low: int, high: int) -> None:
    octaves = range(-(-low // 12) * 12, high + 1, 12)
    axes.set_yticks(octaves, [f"C{octave // 12 - 1}" for octave in octaves])
    axes.set_ylim(low - 0.5, high + 0.5)


def _quarters(axes, length: float) -> None:
    from matplotlib.ticker import MultipleLocator

    apart = next((ticks for ticks in TICKS if length / ticks <= MOST_TICKS), TICKS[-1])
    axes.xaxis.set_major_locator(MultipleLocator(apart))
    axes.set(xlabel="quarter notes", xlim=(0, length or 1))


def key_path(
    roll: np.ndarray,
    weights: np.ndarray,
    names: Sequence[str],
    paths: Sequence[Path],
    steps: int = 1,
    scale: Iterable[int] | None = None,
) -> None:
    """Draw a piano-roll, and below it how the weights of classes change.

    Parameters
    ----------
    roll : (T, 88).
    weights : (T, K), of each step adding up to 1. In long ones, neighbouring steps are averaged.
    names : of the K classes. The eight that weigh most have colours, the others are grey.
    paths : files to write.
    steps : in a quarter note.
    scale : as one of `rolls`.
    """
    low, high = _span([roll])
    with drawing(_width(len(roll)), SEMITONE * (high - low + 1) + 3, paths) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(SEMITONE * (high - low + 1), 1.8))
        _roll(above, roll, steps, scale)
        _pitches(above, low, high)
        _areas(below, np.asarray(weights, float), names, steps)
        _quarters(below, len(roll) / steps)
        _legend(figure, scale is not None, False)
        if len(roll):
            below.legend(*_read_downwards(below), loc="upper left", bbox_to_anchor=(1, 1.04), handlelength=1, handleheight=1)


def _areas(axes, weights: np.ndarray, names: Sequence[str], steps: int) -> None:
    """Draw weights (T, K) above each other over quarter notes, from those that weigh most on the whole."""
    axes.set(ylim=(0, 1), ylabel="weight")
    if not len(weights):
        return
    order = np.argsort(-weights.mean(0), kind="stable")
    named, others = order[: len(AREAS)], order[len(AREAS) :]
    starts = np.arange(0, len(weights), -(-len(weights) // COLUMNS))
    edges = np.append(starts, len(weights))
    shares = np.add.reduceat(weights, starts) / np.diff(edges)[:, None]  # (columns, K)
    stack = [*shares[:, named].T] + ([shares[:, others].sum(1)] if len(others) else [])
    axes.stackplot(
        edges / steps,
        [np.append(share, share[-1]) for share in stack],
        labels=[str(names[k]) for k in named] + ["others"] * bool(len(others)),
        colors=[*AREAS[: len(named)], REST],
        step="post",
        linewidth=0,
    )


def _read_downwards(axes) -> tuple[list, list]:
    """Return handles and labels in the order in which areas lie above each other."""
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], labels[::-1]


def in_key(rows: Mapping[str, Estimate], chance: float, paths: Sequence[Path]) -> None:
    """Draw which share of notes is in key, with intervals, a line each.

    Parameters
    ----------
    rows : name -> (value, low, high), within 0-1, one or more; NaN where there is none.
    chance : the share of notes drawn at random, 7/12 of a scale of seven; a dashed line.
    paths : files to write.
    """
    names = [textwrap.fill(name, 40) for name in rows]
    lines = 1 + max(name.count("\n") for name in names)
    with drawing(6.5, (0.15 * lines + 0.15) * len(rows) + 1, paths) as figure:
        axes = figure.add_subplot(xlabel="share of notes in key")
        for place, (value, low, high) in enumerate(rows.values()):
            axes.barh(place, value, 0.6, color=COLOURS[4], linewidth=0)
            axes.plot([low, high], [place, place], color="black", linewidth=1.5, solid_capstyle="butt")
            word = "none" if np.isnan(value) else f"{value:.3f}"
            axes.text(1.01, place, word, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.axvline(chance, color="black", linewidth=1, linestyle="--")
        axes.text(chance, 1.01, f"chance {chance:.3f}", transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
        axes.set_yticks(range(len(rows)), names)
        axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        axes.tick_params("y", length=0)
        axes.grid(axis="x")


def key_accuracy(rows: Mapping[str, Mapping[str, Estimate]], paths: Sequence[Path]) -> None:
    """Draw how often methods name the right key, with intervals, grouped by what they are told of a piece.

    Parameters
    ----------
    rows : method -> what it is told ("frame", "window", "song") -> (value, low, high), within 0-1; NaN where there is none.
        One method or more.
    paths : files to write.
    """
    groups = list(dict.fromkeys(group for method in rows.values() for group in method))
    columns = max(1, 66 // (max(map(len, rows)) + 5))  # of the legend
    with drawing(6.5, 3.4 + 0.2 * -(-len(rows) // columns), paths) as figure:
        axes = figure.add_subplot(ylabel="share of right keys")
        for number, (method, values) in enumerate(rows.items()):
            x = [groups.index(group) + 0.7 * ((number + 0.5) / len(rows) - 0.5) for group in values]
            value, low, high = np.array(list(values.values()), float).reshape(-1, 3).T
            colour = COLOURS[number % len(COLOURS)]
            axes.vlines(x, low, high, color=colour, linewidth=2)
            axes.plot(x, value, MARKERS[number % len(MARKERS)], color=colour, markersize=6, label=method)
        axes.set_xticks(range(len(groups)), groups)
        axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(-0.02, 1.02))
        axes.tick_params("x", length=0)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=columns, handletextpad=0.2, columnspacing=1.2)
