"""Drawings of phrases of some bars, and of what is known of sets of them: attributes, statistics, paths between them."""

import itertools
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.analysis_figures import COLOURS, Estimate, drawing

BAR, BEAT = 16, 4  # steps
WIDTH = 8.3  # inches, about 1000 pixels
LANES = 12  # up to so many rows are all shown; of more, those that are used
WIDE = 14  # rows from one that is used to the next, above which those between are left out
PANEL, LOW, HIGH = 2.2, 0.055, 0.14  # inches: that the rows of a panel have together, and one row at least and at most
LABEL = 0.12  # inches between names of rows
LANE = 2.3  # how high a drum is beside pitches of height 1, so that it can be named
FAINTEST = 0.15  # opacity
SHARP = "#f0f0f0"  # behind the black keys
PITCH = re.compile(r"([A-G])(#?)-?\d+")
NATURALS = "CGEADFB"  # which of them are named first where there is no room for all
MOST_NAMES = 17  # of bins below a histogram

Cell = tuple[int, float, float, float]  # row, start, end (steps), strength 0-1


class Lanes(NamedTuple):
    """The rows that are drawn, from the lowest."""

    rows: dict[int, tuple[float, float]]  # row -> lower and upper edge
    gaps: list[float]  # where rows are left out
    top: float
    names: Sequence[str]


def phrases(panels: Sequence[tuple[str, Sequence[Cell], Sequence[str]]], paths: Sequence[Path], steps: int, most: int = 3) -> None:
    """Draw phrases beside and beneath each other, with lines at bars and beats; what is weak is pale.

    Parameters
    ----------
    panels : title, cells, and names of the rows from the lowest, one or more. Of more than 12 rows of pitches, or of others, those
        are shown that are used in any panel with the same names, and what is between them.
    paths : files to write.
    steps : of a phrase, a sixteenth each.
    most : panels beside each other.
    """
    columns = min(len(panels), most, 3 if steps <= 2 * BAR else 2 if steps <= 4 * BAR else 1)
    lines = -(-len(panels) // columns)
    used: dict[tuple[str, ...], set[int]] = {}
    for _, cells, names in panels:
        used.setdefault(tuple(names), set()).update(cell[0] for cell in cells)
    lanes = {names: _lanes(names, rows) for names, rows in used.items()}
    tall = max(each.top * float(np.clip(PANEL / each.top, LOW, HIGH)) for each in lanes.values())
    titles = [textwrap.fill(title, int(78 / columns)) for title, _, _ in panels]
    above = 0.15 * max(title.count("\n") for title in titles)
    with drawing(WIDTH, lines * (tall + 0.4 + above) + 0.3, paths) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for place, (axes, (_, cells, names)) in enumerate(zip(grid.flat, panels, strict=False)):
            _rows(axes, lanes[tuple(names)], tall)
            _bars_and_beats(axes, steps)
            _cells(axes, cells, lanes[tuple(names)].rows)
            axes.set_title(titles[place], loc="left", fontsize=9)
            axes.tick_params("x", labelbottom=place + columns >= len(panels))
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        figure.supxlabel("bar", fontsize=9)


def _lanes(names: Sequence[str], used: set[int]) -> Lanes:
    """Return the rows to draw: pitches apart from others, which are higher where there are both."""
    pitches = [row for row, name in enumerate(names) if PITCH.fullmatch(name)]
    others = [row for row, name in enumerate(names) if not PITCH.fullmatch(name)]
    rows, gaps, top = {}, [], 0.0
    for part, height in ((others, LANE if pitches else 1.0), (pitches, 1.0)):
        for row in _shown(part, used):
            if rows and row != max(rows) + 1:
                gaps.append(top + 0.5)
                top += 1
            rows[row] = (top, top + height)
            top += height
    return Lanes(rows, gaps, top, names)


def _shown(rows: Sequence[int], used: set[int]) -> list[int]:
    """Return those of rows that follow each other to draw: all up to 12, else 13 or more, without wide gaps."""
    if len(rows) <= LANES:
        return list(rows)
    own = sorted(used & set(rows)) or [rows[len(rows) // 2]]
    first, last = max(own[0] - 1, rows[0]), min(own[-1] + 1, rows[-1])
    while last - first < LANES:  # the names of rows need room
        first, last = max(first - 1, rows[0]), min(last + 1, rows[-1])
    wide = [(low, high) for low, high in itertools.pairwise(own) if high - low > WIDE]
    return [row for row in range(first, last + 1) if not any(low + 1 < row < high - 1 for low, high in wide)]


def _rows(axes, lanes: Lanes, tall: float) -> None:
    """Name rows as far as there is room, shade black keys, and mark what is left out, in a panel so many inches high."""
    for gap in lanes.gaps:
        axes.axhline(gap, color="black", linewidth=0.8, linestyle=":")
    for row, (low, high) in lanes.rows.items():
        if "#" in lanes.names[row]:
            axes.axhspan(low, high, color=SHARP, linewidth=0, zorder=0)
    named: dict[float, str] = {}
    for row in sorted(lanes.rows, key=lambda row: _priority(lanes.names[row])):
        middle = sum(lanes.rows[row]) / 2
        if all(abs(middle - other) >= LABEL * lanes.top / tall for other in named):
            named[middle] = lanes.names[row].replace("_", " ")
    axes.set_yticks(list(named), list(named.values()), fontsize=8)
    axes.set_ylim(0, lanes.top)
    axes.tick_params(length=0)


def _priority(name: str) -> int:
    """Return how late a row is named: names of drums and numbers first, then C, and black keys last."""
    pitch = PITCH.fullmatch(name)
    return -1 if not pitch else len(NATURALS) if pitch[2] else NATURALS.index(pitch[1])


def _bars_and_beats(axes, steps: int) -> None:
    bars = np.arange(0, steps, BAR)
    for bar in bars[1:]:
        axes.axvline(bar, color="#555555", linewidth=1, zorder=1)
    if steps <= 4 * BAR:
        for beat in range(0, steps, BEAT):
            axes.axvline(beat, color="#cccccc", linewidth=0.7, zorder=0.5)
    axes.set_xticks(bars, [str(bar + 1) for bar in range(len(bars))])
    axes.set_xlim(0, steps)


def _cells(axes, cells: Sequence[Cell], rows: Mapping[int, tuple[float, float]]) -> None:
    """Draw what sounds as boxes, as opaque as it is strong."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    if not cells:
        return
    _, start, end, strength = np.array(cells, float).T
    low, high = np.array([rows[cell[0]] for cell in cells]).T
    low, high = low + 0.08 * (high - low), high - 0.08 * (high - low)
    corners = np.stack([start, low, start, high, end, high, end, low], 1).reshape(-1, 4, 2)
    opacity = FAINTEST + (1 - FAINTEST) * np.clip(strength, 0, 1)
    colours = np.column_stack([np.tile(to_rgb(COLOURS[0]), (len(cells), 1)), opacity])
    axes.add_collection(PolyCollection(corners, facecolors=colours, edgecolors="white", linewidths=0.5, zorder=2))


def attribute_table(added: Sequence[str], measured: Sequence[str], change: np.ndarray, paths: Sequence[Path], unit: str) -> None:
    """Draw how attributes change when the vector of one is added to latents: what is added down, what is measured across.

    Parameters
    ----------
    added, measured : names of A and M attributes.
    change : (A, M), NaN where there is none.
    paths : files to write.
    unit : of the change, alike for all attributes.
    """
    change = np.asarray(change, float)
    most, many = np.nan_to_num(np.abs(change)).max(initial=1e-9), len(measured) > 5
    names = [textwrap.fill(name.replace("_", " "), 20 if many else 10, break_long_words=False) for name in measured]
    with drawing(min(2.8 + 0.95 * len(measured), WIDTH), 2.1 + 0.36 * len(added), paths) as figure:
        axes = figure.add_subplot(ylabel="vector added")
        image = axes.imshow(change, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
        axes.set_xticks(range(len(measured)), names, rotation=90 if many else 0)
        axes.set_yticks(range(len(added)), [name.replace("_", " ") for name in added])
        axes.set_title("attribute measured", fontsize=10)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(change):
            word = "-" if np.isnan(value) else f"{round(value, 2) + 0.0:+.2f}"  # no -0.00
            ink = "white" if abs(value) > 0.6 * most else "black"
            axes.text(column, row, word, ha="center", va="center", color=ink, fontsize=8)
        figure.colorbar(image, ax=axes, pad=0.01, aspect=12, label=textwrap.fill(unit, 24))


def strength(strengths: Sequence[float], rows: Mapping[str, Sequence[Estimate]], paths: Sequence[Path]) -> None:
    """Draw an attribute over how much of its vector is added, with intervals, a panel an attribute.

    Parameters
    ----------
    strengths : S multiples of the vector, ascending.
    rows : attribute -> S times (value, low, high).
    paths : files to write.
    """
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    with drawing(2.6 * columns + 0.4, 2 * lines + 0.4, paths) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for axes, (name, estimates) in zip(grid.flat, rows.items(), strict=False):
            value, low, high = np.array(estimates, float).reshape(-1, 3).T
            axes.axvline(0, color="black", linewidth=1, linestyle="--")
            axes.fill_between(strengths, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
            axes.plot(strengths, value, "o-", color=COLOURS[0], markersize=4)
            axes.set_title(name.replace("_", " "), loc="left")
            axes.tick_params("x", labelbottom=True)
            axes.grid()
        for axes in grid.flat[len(rows) :]:
            axes.set_axis_off()
        figure.supxlabel("how much of the vector is added", fontsize=10)


def histograms(tables: Mapping[str, tuple[Sequence[str], Mapping[str, np.ndarray]]], paths: Sequence[Path]) -> None:
    """Draw how often things occur in some sets, bars side by side, a panel a statistic.

    Parameters
    ----------
    tables : title -> names of K things, and set ("test", "generated", ...) -> counts (K,); an empty set has no bars.
    paths : files to write.
    """
    columns = min(2, len(tables))
    lines = -(-len(tables) // columns)
    sets = list(dict.fromkeys(name for _, counts in tables.values() for name in counts))
    with drawing(WIDTH * columns / 2, 2.3 * lines + 0.4, paths) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, (title, (names, counts)) in zip(grid.flat, tables.items(), strict=False):
            _sets(axes, names, counts, sets)
            axes.set_title(textwrap.fill(title, 44), loc="left")
        for axes in grid.flat[len(tables) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("share")
        figure.legend(*_handles(sets), loc="outside upper right", ncols=4, handlelength=1, handleheight=1)


def _sets(axes, names: Sequence[str], counts: Mapping[str, np.ndarray], sets: Sequence[str]) -> None:
    width = 0.84 / len(sets)
    for name, each in counts.items():
        place, each = sets.index(name), np.asarray(each, float)
        left = np.arange(len(each)) - 0.42 + (place + 0.5) * width
        axes.bar(left, each / max(each.sum(), 1e-12), width, color=COLOURS[place], linewidth=0)
    words = [name.replace("_", " ") for name in names]
    step = -(-len(words) // MOST_NAMES)
    middle = next((place for place, name in enumerate(words) if not name.strip("+-0.")), 0) % step  # that 0 is named
    ticks = range(middle, len(words), step)
    slanted = max(map(len, words)) * len(ticks) > 44
    axes.set_xticks(ticks, [words[tick] for tick in ticks], rotation=90 if slanted else 0, fontsize=8)
    axes.set_xlim(-0.7, len(words) - 0.3)
    axes.tick_params("x", length=0)
    axes.grid(axis="y")


def _handles(sets: Sequence[str]) -> tuple[list, list[str]]:
    from matplotlib.patches import Patch

    return [Patch(color=COLOURS[place]) for place in range(len(sets))], list(sets)


def interpolation(courses: Mapping[str, tuple[np.ndarray, np.ndarray]], paths: Sequence[Path]) -> None:
    """Draw how far phrases on the way from one to another are from both: the mean, and the middle half of the paths.

    Parameters
    ----------
    courses : way of interpolating -> shares of steps (N, K) in which K points of N paths differ from the start, and from the end.
    paths : files to write.
    """
    from matplotlib.lines import Line2D

    with drawing(6, 3.8, paths) as figure:
        axes = figure.add_subplot(xlabel="share of the way", ylabel="share of steps that differ")
        for place, ends in enumerate(courses.values()):
            for distances, style in zip(map(np.asarray, ends), ("-", "--"), strict=True):
                x, colour = np.linspace(0, 1, distances.shape[1]), COLOURS[place]
                low, high = np.quantile(distances, (0.25, 0.75), axis=0)
                axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
                axes.plot(x, distances.mean(0), style, color=colour, linewidth=2)
        axes.set(xlim=(0, 1), ylim=(0, None))
        axes.grid()
        ways = [Line2D([], [], color=COLOURS[place], linewidth=2, label=name) for place, name in enumerate(courses)]
        ends = [Line2D([], [], color="#555555", linestyle=s, label=f"from the {end}") for s, end in (("-", "start"), ("--", "end"))]
        figure.legend(handles=[*ways, *ends], loc="outside upper left", ncols=4, columnspacing=1.2)
