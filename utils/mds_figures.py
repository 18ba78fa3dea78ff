"""Drawings of what is asked for and what was reached: places that ratings of things lead to, and where the things are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils import geometry
from utils.analysis_figures import class_colours, drawing
from utils.space_figures import write_names

DIMENSIONS = 2


def beside_ratings(ratings: np.ndarray, positions: np.ndarray, names: Sequence[str], paths: Sequence[Path]) -> None:
    """Draw the scaling of ratings to two dimensions, and positions turned and scaled onto it; lines join what is one thing.

    Parameters
    ----------
    ratings : (K, K) dissimilarities, NaN where unknown.
    positions : (K, Z).
    names : of the K things. Those that nobody rated are left out.
    paths : files to write.
    """
    rated = np.flatnonzero((~np.isnan(ratings)).sum(1) > 1)
    wanted = geometry.mds(ratings[np.ix_(rated, rated)], DIMENSIONS)
    width = max(DIMENSIONS, positions.shape[1])
    turned, left = geometry.procrustes(positions[rated], np.pad(wanted.positions, ((0, 0), (0, width - DIMENSIONS))))
    ink = class_colours(len(names), "none")[rated]
    with drawing(7.5, 6.5, paths) as figure:
        axes = figure.add_subplot(title=f"two-dimensional scaling of the ratings (stress-1 {wanted.stress1:.2f})")
        axes.set_aspect("equal", adjustable="datalim")
        for place, there, colour in zip(wanted.positions, turned, ink, strict=True):
            axes.plot([place[0], there[0]], [place[1], there[1]], color=colour, linewidth=1, alpha=0.6)
        axes.scatter(*wanted.positions.T, c=ink, s=60, marker="D", edgecolors="black", linewidths=0.6, label="by the ratings")
        axes.scatter(*turned[:, :2].T, c=ink, s=45, edgecolors="black", linewidths=0.6, label="mean latents, turned onto them")
        axes.legend(title=f"{left:.0%} of the places' variance is left over", loc="best")
        axes.grid()
        figure.draw_without_rendering()  # names are placed where they fit in the layout
        write_names(axes, wanted.positions, [names[k] for k in rated], ["normal"] * len(rated), turned[:, :2])
