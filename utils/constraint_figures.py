"""Drawings of what a constraint does to draws: where their latents lie, and how near they are to phrases of somebody."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.analysis_figures import COLOURS, drawing

BINS = 16  # from 0 to 1: shares of the steps of some bars fall into all of them alike


def plane(points: Mapping[str, np.ndarray], names: tuple[str, str], looks: Mapping[str, int], paths: Sequence[Path]) -> None:
    """Draw sets of points in one plane; each lies above those before, and has a colour and a mark of its own.

    Parameters
    ----------
    points : set -> places (N, 2).
    names : of the axes.
    looks : set -> number of its colour and mark.
    paths : files to write.
    """
    with drawing(6, 6.4, paths) as figure:
        axes = figure.add_subplot(xlabel=names[0], ylabel=names[1])
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid()
        for name, each in points.items():
            look = {"color": COLOURS[looks[name]], "marker": "osD^v"[looks[name] % 5], "linewidths": 0}
            axes.scatter(*np.asarray(each).T, s=12, alpha=0.55, **look)
            axes.scatter([], [], s=34, label=name, **look)
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.2, columnspacing=1.2)


def distances(panels: Mapping[str, Mapping[str, np.ndarray]], looks: Mapping[str, int], paths: Sequence[Path]) -> None:
    """Draw how many phrases of some sets are how far from the nearest of others, with the mean of each, a panel a distance.

    Parameters
    ----------
    panels : distance -> set -> numbers (N,) from 0 to 1.
    looks : set -> number of its colour.
    paths : files to write.
    """
    with drawing(4.2 * len(panels), 3.4, paths) as figure:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, of) in zip(grid, panels.items(), strict=True):
            edges = np.linspace(0, 1, BINS + 1)
            for name, values in of.items():
                colour = COLOURS[looks[name]]
                shares = np.histogram(values, edges)[0] / len(values)
                axes.stairs(shares, edges, color=colour, linewidth=1.5, label=name)
                axes.stairs(shares, edges, color=colour, alpha=0.12, fill=True)
                axes.axvline(np.mean(values), color=colour, linewidth=1.2, linestyle="--")
            furthest = max(np.max(values) for values in of.values())
            axes.set(xlabel=title, xlim=(0, min(1, furthest + 1 / BINS)), ylim=(0, None))
            axes.grid(axis="y")
        grid[0].set_ylabel("share of phrases")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper left", ncols=4, columnspacing=1.2)
