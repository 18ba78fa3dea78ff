"""Drawings of what a model has learned: what it confuses, how it lays out its latents, what it generates, how it scores."""

import contextlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.figures import new, save
from utils.metrics import ACTIVE
from utils.pitch import IN_TUNE
from utils.play_figures import RANGE_DB, TICKS

STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "text.parse_math": False,  # a name may hold a dollar sign
}
# Okabe and Ito's without yellow, then those furthest from all before. Any two stay apart for the colour-blind, too: at
# least 16 in CIELAB under the simulation of Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009.
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000",
    "#9024fc", "#6c2400", "#fcd890", "#000090", "#480048",
)  # fmt: skip
MARKERS = "o^sD"  # of modalities
DRAWN = 4000  # points of a map, at most
LEAST = 1e-4  # variance, that is drawn
TALLEST = 8.0  # inches, of a map of classes by dimensions
MOST_ROWS, MOST_COLUMNS = 50, 70  # of names beside it, and of numbers below
CELLS = 260.0  # pt, that a matrix gives to a row of counts, for digits as wide as their size

Estimate = tuple[float, float, float]  # value, low, high


@contextlib.contextmanager
def drawing(width: float, height: float, paths: Sequence[Path]) -> Iterator:
    """Yield an empty figure, inches, and write it to every path, each in the format of its suffix."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = new(width, height)
        yield figure
        for path in paths:
            save(figure, Path(path))


def confusions(tables: Mapping[str, tuple[np.ndarray, Sequence[str]]], paths: Sequence[Path]) -> None:
    """Draw matrices of confusion, three in a row: true classes down, named classes across.

    Parameters
    ----------
    tables : title -> counts (K, K) and the names of the K classes. Classes that are neither true nor named are left out.
    paths : files to write.
    """
    columns = min(3, len(tables))
    lines = -(-len(tables) // columns)
    with drawing(3.3 * columns + 0.7, 3.7 * lines, paths) as figure:
        figure.get_layout_engine().set(h_pad=0.1)
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes, (title, (counts, names)) in zip(grid.flat, tables.items(), strict=False):
            _confusion(axes, np.asarray(counts, float), names)
            axes.set(title=title, xlabel="named")
        for axes in grid[:, 0]:
            axes.set_ylabel("true")
        for axes in grid.flat[len(tables) :]:
            axes.set_axis_off()
        shares = grid[0, 0].images[0]
        figure.colorbar(shares, ax=grid, label="share of the true class", aspect=30, pad=0.01, shrink=0.8)


def _confusion(axes, counts: np.ndarray, names: Sequence[str]) -> None:
    kept = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(kept, kept)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)
    axes.imshow(shares if len(kept) else np.zeros((1, 1)), cmap="Blues", vmin=0, vmax=1)
    words = [str(names[k]) for k in kept]
    axes.set_xticks(range(len(kept)), words, rotation=90 if max(map(len, words), default=0) > 2 else 0)
    axes.set_yticks(range(len(kept)), words)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    size = CELLS / max(len(kept), 1) / len(f"{counts.max(initial=0):.0f}")
    if size >= 5:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=min(9, size))


def latent_map(
    points: Mapping[str, np.ndarray],
    colours: Mapping[str, np.ndarray],
    names: Sequence[str],
    title: str,
    axes: tuple[str, str],
    paths: Sequence[Path],
    order: str = "none",
) -> None:
    """Draw latents of all modalities in one plane, coloured by class.

    Parameters
    ----------
    points : modality -> places (N, 2). The later modality is drawn above the earlier.
    colours : modality -> class of each point (N,).
    names : of the classes.
    title, axes : what is coloured; what the axes are.
    paths : files to write.
    order : of the classes: "none" (instruments), "line" (octaves, dynamics) or "circle" (pitch classes).
    """
    present = sorted(set(np.concatenate([np.unique(ids) for ids in colours.values()]).tolist()))
    ink = class_colours(len(names), order)
    with drawing(6, 6.4, paths) as figure:
        plane = figure.add_subplot(title=title, xlabel=axes[0], ylabel=axes[1])
        plane.set_aspect("equal", adjustable="datalim")
        plane.grid()
        for above, (modality, places) in enumerate(points.items()):
            some = np.linspace(0, len(places) - 1, min(len(places), DRAWN // len(points))).astype(int)
            edge = {"linewidths": 0.6, "edgecolors": "black"} if above else {"linewidths": 0}
            look = {"marker": MARKERS[above], "s": 34 if above else 14, "alpha": 0.9 if above else 0.6, **edge}
            plane.scatter(*places[some].T, c=ink[colours[modality][some]], **look)
            plane.scatter([], [], label=modality, color="#aaaaaa", **{**look, "alpha": 1, "s": 34})
        for k in present:
            plane.scatter([], [], color=ink[k], s=34, marker="s", linewidths=0, label=str(names[k]))
        figure.legend(
            loc="outside lower center",
            ncols=_columns([*points, *(names[k] for k in present)]),
            handletextpad=0.2,
            columnspacing=1.2,
        )


def _columns(words: Sequence[str]) -> int:
    """Return how many words of a legend stand side by side, in six inches."""
    return min(len(words), max(1, 66 // (max(map(len, map(str, words))) + 5)))


def class_colours(number: int, order: str) -> np.ndarray:
    """Return a colour for each of `number` classes, (number, 4)."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba_array

    if order == "circle":
        return colormaps["hsv"](np.arange(number) / number) * (0.85, 0.85, 0.85, 1)  # darker: yellow is hard to see on white
    if order == "line" or number > len(COLOURS):
        return colormaps["viridis"](np.linspace(0, 0.95, number))
    return to_rgba_array(COLOURS[:number])


def latent_use(kl: Mapping[str, np.ndarray], spread: Mapping[str, np.ndarray], paths: Sequence[Path]) -> None:
    """Draw what each latent dimension is used for, sorted by the KL divergence of the first modality.

    Parameters
    ----------
    kl : modality -> KL divergence to the prior (Z,), nats.
    spread : modality -> variance of the posterior means (Z,).
    paths : files to write.
    """
    first = next(iter(kl))
    sorting = np.argsort(kl[first])[::-1]
    with drawing(6, 4.6, paths) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        _bars(above, {modality: numbers[sorting] for modality, numbers in kl.items()})
        _bars(below, {modality: np.maximum(variances[sorting], LEAST / 10) for modality, variances in spread.items()})
        above.set_ylabel("KL (nats)")
        above.legend(loc="upper right")
        top = max(1.0, *(variances.max() for variances in spread.values()))
        below.set(yscale="log", ylim=(LEAST, 1.2 * top), ylabel="variance of means")
        below.set_xlabel(f"latent dimension, by KL of the {first}")
        below.yaxis.set_major_formatter("{x:g}")
        below.axhline(ACTIVE, color="black", linewidth=1, linestyle="--")
        below.text(1.005, ACTIVE, "active", transform=below.get_yaxis_transform(), va="center", fontsize=9)
        if len(sorting) <= 40:
            below.set_xticks(range(len(sorting)), sorting, rotation=90 if len(sorting) > 16 else 0)
        below.set_xlim(-0.7, len(sorting) - 0.3)


def _bars(axes, values: Mapping[str, np.ndarray]) -> None:
    """Draw bars (Z,) of several modalities side by side."""
    width = 0.8 / len(values)
    for place, (modality, numbers) in enumerate(values.items()):
        left = np.arange(len(numbers)) - 0.4 + (place + 0.5) * width
        axes.bar(left, numbers, width, color=COLOURS[place], label=modality)
    axes.grid(axis="y")


def class_use(spread: np.ndarray, deviation: np.ndarray, names: Sequence[str], label: str, paths: Sequence[Path]) -> None:
    """Draw how each class uses each latent dimension, dark where much: classes down, dimensions across.

    Parameters
    ----------
    spread : standard deviation of the posterior means (K, Z); NaN for classes without examples, which are left out.
    deviation : mean standard deviation of the posteriors (K, Z), 1 where nothing is told; NaN likewise.
    names : of the K classes.
    label : what they are classes of.
    paths : files to write.
    """
    kept = np.flatnonzero(~np.isnan(spread + deviation).any(1))
    shown, dimensions = [str(names[k]) for k in kept], spread.shape[1]
    tall = min(0.22 * len(kept), TALLEST)
    with drawing(min(max(0.15 * dimensions, 3.5), 10) + 2.2, 2 * tall + 1.5, paths) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, values, ink, words in (
            (above, spread[kept], "Blues", "standard deviation of the means"),
            (below, deviation[kept], "Blues_r", "mean standard deviation of the posterior"),
        ):
            image = axes.imshow(values, cmap=ink, vmin=0, vmax=max(1.0, values.max()), aspect="auto", interpolation="nearest")
            figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
            axes.set_yticks(*_thinned(shown, MOST_ROWS), fontsize=8)
            axes.set_title(f"{label}: {words}", loc="left")
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0)
        below.set_xticks(*_thinned(range(dimensions), MOST_COLUMNS), rotation=90 if dimensions > 16 else 0, fontsize=8)
        below.set_xlabel("latent dimension")


def _thinned(words: Sequence, most: int) -> tuple[Sequence[int], Sequence]:
    """Return places and words of ticks: every so many, that there are `most` or fewer."""
    step = -(-len(words) // most)
    return range(0, len(words), step), words[::step]


def examples(rows: Sequence[tuple[str, Mapping[str, np.ndarray]]], frequencies: np.ndarray, paths: Sequence[Path]) -> None:
    """Draw spectrograms of examples, a row each, on one scale a row.

    Parameters
    ----------
    rows : title, and version ("original", ...) -> linear magnitudes (F, T).
    frequencies : (F,) Hz, of the bands.
    paths : files to write.
    """
    columns = max(len(versions) for _, versions in rows)
    with drawing(max(4.5, min(10, 2.1 * columns)), 2.1 * len(rows), paths) as figure:
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        grid = []
        for part, (title, versions) in zip(parts, rows, strict=True):
            part.suptitle(title, fontsize=9, fontweight="bold", x=0.01, ha="left")
            grid.append(part.subplots(1, columns, sharey=True, squeeze=False)[0])
            top = max(image.max(initial=0.0) for image in versions.values())
            for axes, (version, image) in zip(grid[-1], versions.items(), strict=False):
                _spectrogram(axes, image, top, frequencies)
                axes.set_title(version, fontsize=8, loc="left", pad=3)
            for axes in grid[-1][len(versions) :]:
                axes.set_axis_off()
            part.colorbar(grid[-1][0].images[0], ax=grid[-1], label="dB", aspect=12, pad=0.01)


def _spectrogram(axes, magnitudes: np.ndarray, top: float, frequencies: np.ndarray) -> None:
    """Draw magnitudes (F, T) in dB below `top`."""
    decibels = 20 * np.log10(np.maximum(magnitudes, 1e-12) / max(top, 1e-12))
    axes.imshow(decibels, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0, interpolation="nearest")
    ticks = [f for f in TICKS[::2] if frequencies[0] <= f <= frequencies[-1]]
    axes.set_yticks(np.interp(ticks, frequencies, np.arange(len(frequencies))), [f"{f:g}" for f in ticks])
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel("Hz")
    else:
        axes.tick_params("y", length=0)


def comparison(estimates: Mapping[str, Mapping[str, Estimate]], paths: Sequence[Path]) -> None:
    """Draw estimates with their 95 % intervals, a panel a metric, a line a run or baseline.

    Parameters
    ----------
    estimates : metric -> name -> (value, low, high); NaN where there is none.
    paths : files to write.
    """
    names = list(dict.fromkeys(name for metric in estimates.values() for name in metric))
    columns = min(2, len(estimates))
    lines = -(-len(estimates) // columns)
    with drawing(2.3 * columns + 1.4, lines * (0.27 * len(names) + 0.9), paths) as figure:
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes, (metric, values) in zip(grid.flat, estimates.items(), strict=False):
            for name, (value, low, high) in values.items():
                place, colour = names.index(name), COLOURS[names.index(name) % len(COLOURS)]
                axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
                axes.plot(value, place, "o", color=colour, markersize=5)
            axes.set_title(textwrap.fill(metric, 30), loc="left")
            axes.tick_params("y", length=0)
            axes.grid()
            axes.margins(x=0.08)
        for axes in grid.flat[len(estimates) :]:
            axes.set_axis_off()
        grid[0, 0].set_yticks(range(len(names)), names)
        grid[0, 0].set_ylim(len(names) - 0.5, -0.5)


def generated_pitch(asked: np.ndarray, cents: np.ndarray, paths: Sequence[Path]) -> None:
    """Draw how far generated notes are from the pitch that was asked for.

    Parameters
    ----------
    asked : (N,) MIDI pitch.
    cents : (N,) heard less asked; NaN where no pitch was heard.
    paths : files to write.
    """
    heard, near = np.isfinite(cents), np.abs(cents) <= IN_TUNE  # NaN is not near
    silent = asked[~heard]
    furthest = max(1200.0, np.abs(cents[heard]).max(initial=0.0)) * 2  # room at the edge for notes without a pitch
    with drawing(6, 3.8, paths) as figure:
        axes = figure.add_subplot(xlabel="pitch asked for", ylabel="deviation (cents)")
        _cents_and_octaves(axes, furthest, asked.min() - 1.5, asked.max() + 1.5)
        axes.axhspan(-IN_TUNE, IN_TUNE, color=COLOURS[2], alpha=0.12, linewidth=0)
        axes.plot(asked[near], cents[near], "o", color=COLOURS[2], markersize=4, label=f"within {IN_TUNE:g}: {near.sum()}")
        far = heard & ~near
        axes.plot(asked[far], cents[far], "D", color=COLOURS[5], markersize=4, label=f"further off: {far.sum()}")
        edge = np.full(len(silent), 0.03)
        axes.plot(silent, edge, "kx", transform=axes.get_xaxis_transform(), label=f"no pitch: {len(silent)}")
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.2)


def _cents_and_octaves(axes, furthest: float, lowest: float, highest: float) -> None:
    """Set scales: cents linear near 0 and logarithmic far off, up to `furthest`; MIDI pitches with their octaves."""
    ticks = sorted({sign * step for step in (0, 25, 50, 100, 300, 1200, 4800) if step < furthest for sign in (-1, 1)})
    axes.set_yscale("symlog", linthresh=100, linscale=1.5)
    axes.set_yticks(ticks)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda cents, _: f"{cents:+g}" if cents else "0")
    octaves = [pitch for pitch in range(0, 132, 12) if lowest <= pitch <= highest]
    axes.set_xticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set(ylim=(-furthest, furthest), xlim=(lowest, highest))
    axes.grid()


def loudness(levels: Mapping[str, np.ndarray], names: Sequence[str], paths: Sequence[Path]) -> None:
    """Draw the level of notes over the dynamics that were asked for.

    Parameters
    ----------
    levels : name of the note -> (K,) dB, NaN where there is none. More than eight notes are grey, with their mean.
    names : of the K dynamics.
    paths : files to write.
    """
    many = len(levels) > 8
    with drawing(6, 3.8, paths) as figure:
        axes = figure.add_subplot(xlabel="dynamics asked for", ylabel="level (dB)")
        for place, (name, level) in enumerate(levels.items()):
            look = {"color": "#b8b8b8", "linewidth": 0.8} if many else {"color": COLOURS[place], "label": name, "marker": "o"}
            axes.plot(range(len(names)), level, **look)
        if many:
            axes.plot([], [], color="#b8b8b8", linewidth=0.8, label="a note")
            _mean_line(axes, np.array(list(levels.values())))
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.3, len(names) - 0.7)
        axes.grid(axis="y")
        figure.legend(loc="outside upper left", ncols=8, handlelength=1.4, columnspacing=1)


def _mean_line(axes, levels: np.ndarray) -> None:
    """Draw the mean over the notes of levels (N, K) that exist."""
    known = np.isfinite(levels)
    mean = np.where(known, levels, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    axes.plot(range(levels.shape[1]), mean, color=COLOURS[0], linewidth=2.5, marker="o", label="mean")
