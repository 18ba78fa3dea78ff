"""Drawings of a space of timbre: where its classes lie, how its distances agree with those that listeners hear, paths through it.

Every map has the same scale along all its axes. Drawings fit a report, 7.5 inches wide.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.analysis_figures import COLOURS, DRAWN, class_colours, drawing
from utils.play_figures import RANGE_DB

SMALL = 8  # pt, the smallest letters
INK = "#333333"  # of what has no class
LABELLED = 4  # pairs of a panel
CELL = 11.0  # pt, that a name needs beside a matrix
ROOM = 432.0  # pt, that matrices side by side share
DISTANCES = (7, 15, 25, 38, 55)  # pt, of a name from what it names
HERTZ = {100: "100", 1000: "1k", 10000: "10k"}
LOOKS = {  # of a class, highlighted or not: its dots, outline, mean and name
    False: ({"marker": "o", "markeredgewidth": 0}, "-", {"marker": "o", "markersize": 7}, "normal"),
    True: ({"marker": "x", "markeredgewidth": 0.6}, "--", {"marker": "D", "markersize": 6.5, "markerfacecolor": "white"}, "bold"),
}

Estimate = tuple[float, float, float]  # value, low, high
Panel = tuple[np.ndarray, np.ndarray, Sequence[str]]  # ratings (P,), distances (P,), names of the pairs


class Ellipse(NamedTuple):
    """Hold what lies one standard deviation from the mean of points in a plane."""

    centre: np.ndarray  # (2,)
    axes: np.ndarray  # (2,) half their lengths, the longer first
    angle: float  # rad, of the longer against the first coordinate, from 0 to less than pi

    def outline(self) -> np.ndarray:
        """Return points around it, (101, 2)."""
        turn = np.linspace(0, 2 * np.pi, 101)
        x, y = self.axes[:, None] * (np.cos(turn), np.sin(turn))
        c, s = np.cos(self.angle), np.sin(self.angle)
        return self.centre + np.stack([c * x - s * y, s * x + c * y], 1)


def ellipse(points: np.ndarray) -> Ellipse:
    """Return the ellipse of one standard deviation of points (N, 2): the eigenvectors of their covariance, divided by N.

    That of a single point is the point.
    """
    values, vectors = np.linalg.eigh(np.cov(points.T, bias=True))
    along = vectors[:, 1]
    return Ellipse(points.mean(0), np.sqrt(values[::-1].clip(min=0)), float(np.arctan2(along[1], along[0]) % np.pi))


def ellipses(
    points: np.ndarray, ids: np.ndarray, names: Sequence[str], title: str, axes: Sequence[str], paths: Sequence[Path],
    highlighted: Iterable[str] = (),
) -> None:  # fmt: skip
    """Draw a map of classes: their points, means, and ellipses of one standard deviation; in three dimensions, from four sides.

    Parameters
    ----------
    points : places (N, 2) or (N, 3); those that are not finite are left out. At most 4000 are drawn, and the hundredth part
        that lies furthest out along an axis may be cut off.
    ids : class of each point (N,).
    names : of the classes. Those without a point are left out.
    title, axes : what is drawn; what each axis is.
    paths : files to write.
    highlighted : names of classes that are drawn in grey, with hollow means, dashed ellipses and bold names.
    """
    there = np.isfinite(points).all(1)
    points, ids = np.asarray(points)[there], np.asarray(ids)[there]
    colours = _colours(names, set(highlighted))
    with drawing(7.5, 7.7, paths) as figure:
        figure.suptitle(title, fontsize=10)
        sides = _sides(figure, _extent(points, ids), axes)
        figure.draw_without_rendering()  # names are placed where they fit in the layout
        for side, shown in sides:
            _classes(side, _projected(side, points) if len(shown) == 3 else points[:, shown], ids, colours)


def _colours(names: Sequence[str], highlighted: set[str]) -> list[tuple]:
    """Return name, colour and whether it is highlighted for each class.

    The others have the colours that they have in a map without those highlighted.
    """
    ordinary = [name for name in names if name not in highlighted]
    ink = dict(zip(ordinary, class_colours(len(ordinary), "none"), strict=True))
    return [(str(name), ink.get(name, INK), name in highlighted) for name in names]


def _extent(points: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the least and largest coordinates, (2, D), of nearly all points (N, D) and of the ellipses of all classes."""
    if not len(points):
        return np.zeros((2, points.shape[1]))
    clouds = [points[ids == k] for k in np.unique(ids)]
    boxes = [cloud.mean(0) + np.outer((-1, 1), cloud.std(0)) for cloud in clouds]
    corners = np.concatenate([np.quantile(points, (0.01, 0.99), axis=0), *boxes])
    return np.stack([corners.min(0), corners.max(0)])


def _sides(figure, extent: np.ndarray, titles: Sequence[str]) -> list[tuple]:
    """Return axes for what extends so far, (2, D), each with the dimensions it shows: a plane; or three, and a view of them all."""
    if len(titles) == 2:
        plane = figure.add_subplot()
        _scale(plane, extent, (0, 1), titles)
        return [(plane, (0, 1))]
    grid = figure.add_gridspec(2, 2)
    sides = [(figure.add_subplot(grid[place]), shown) for place, shown in (((0, 0), (0, 1)), ((1, 0), (0, 2)), ((1, 1), (1, 2)))]
    sides.append((_view(figure, grid[0, 1]), (0, 1, 2)))
    for axes, shown in sides:
        _scale(axes, extent, shown, titles)
    view = sides[-1][0]
    view.tick_params(labelcolor="none")  # the planes have the numbers
    for axis in (view.xaxis, view.yaxis, view.zaxis):
        axis.labelpad = -10
    return sides


def _view(figure, place):
    """Return axes of three dimensions in a parallel projection."""
    import matplotlib

    with matplotlib.rc_context({"grid.color": "#d8d8d8", "grid.linewidth": 0.6}):
        return figure.add_subplot(place, projection="3d", proj_type="ortho")


def _scale(axes, extent: np.ndarray, shown: Sequence[int], titles: Sequence[str]) -> None:
    """Make room for what extends so far, (2, D), as much along every axis."""
    reach = 0.55 * np.ptp(extent, axis=0).max() or 1.0
    for letter, dimension in zip("xyz", shown, strict=False):
        middle = extent[:, dimension].mean()
        axes.set(**{f"{letter}lim": (middle - reach, middle + reach), f"{letter}label": titles[dimension]})
        axes.locator_params(letter, nbins=5)
    axes.set_box_aspect((1, 1, 1) if len(shown) == 3 else 1)
    axes.grid(True)


def _projected(view, points: np.ndarray) -> np.ndarray:
    """Return where points (N, 3) lie in the plane of a view that was laid out, (N, 2).

    As the view is a parallel projection, ellipses of those are the outlines of the ellipsoids.
    """
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    return np.stack(proj_transform(*points.T, view.get_proj())[:2], 1)


def _classes(axes, points: np.ndarray, ids: np.ndarray, classes: Sequence[tuple]) -> None:
    """Draw classes of points (N, 2): dots below, then ellipses, then means and their names."""
    some = np.unique(np.linspace(0, len(points) - 1, min(len(points), DRAWN)).astype(int))
    centres, weights = {}, []
    for k in np.unique(ids):
        name, colour, highlighted = classes[k]
        dots, line, mean, weight = LOOKS[highlighted]
        shape = ellipse(points[ids == k])
        _line(axes, points[some][ids[some] == k], linestyle="", markersize=2.5, color=colour, alpha=0.35, **dots)
        _line(axes, shape.outline(), linestyle=line, color=colour, linewidth=1.4, zorder=3)
        _line(axes, shape.centre[None], color=colour, markeredgecolor="black", zorder=4, **mean)
        centres[name] = shape.centre
        weights.append(weight)
    write_names(axes, np.reshape([*centres.values()], (-1, 2)), list(centres), weights)


def _line(axes, points: np.ndarray, **look) -> None:
    """Draw points (N, 2) of the plane in any axes; those in three dimensions have no other way to."""
    from matplotlib.lines import Line2D

    axes.add_line(Line2D(*points.T, **look))


def write_names(axes, places: np.ndarray, names: Sequence[str], weights: Sequence[str], others: np.ndarray | None = None) -> None:
    """Write names beside places (K, 2) of axes that were laid out, where they hide least: each other, places, others (M, 2)."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    renderer = axes.figure.canvas.get_renderer()
    points = 72 / axes.figure.dpi
    at = axes.transData.transform(places) * points
    clear = at if others is None else np.concatenate([at, axes.transData.transform(others) * points])
    frame = np.reshape(axes.bbox.extents, (1, 4)) * points
    taken = np.hstack([clear - 4, clear + 4])
    far, turn = np.reshape(np.meshgrid(DISTANCES, np.arange(16) * np.pi / 8), (2, -1))
    ways = np.stack([np.cos(turn), np.sin(turn)], 1)
    for k in np.linalg.norm(at - np.median(at, axis=0), axis=1).argsort() if len(at) else ():  # outer names can still give way
        text = axes.annotate(
            names[k], places[k], (0, 0), textcoords="offset points", ha="center", va="center", fontsize=SMALL, weight=weights[k],
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": INK, "shrinkA": 0, "shrinkB": 4},
            path_effects=[withStroke(linewidth=2.5, foreground="white")], zorder=5,
        )  # fmt: skip
        text.set_in_layout(False)
        half = Text.get_window_extent(text, renderer).size * points / 2  # of the words alone, without the line
        offsets = ways * (far[:, None] + half)
        boxes = np.hstack([at[k] + offsets - half, at[k] + offsets + half])
        outside = 4 * half.prod() - _shared(boxes, frame)
        best = (3 * far + _shared(boxes, taken) + 5 * outside).argmin()  # pt²
        text.set_position(offsets[best])
        text.arrow_patch.set_visible(far[best] > DISTANCES[0])
        taken = np.vstack([taken, boxes[best]])


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area that each of boxes (M, 4) shares with all others (T, 4), (M,)."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    return (high - low).clip(min=0).prod(-1).sum(1)


def scatter(panels: Mapping[str, Panel], paths: Sequence[Path]) -> None:
    """Draw distances of pairs over rated dissimilarities (Shepard's diagram), with lines of least squares, two panels in a row.

    Shepard, "The analysis of proximities", Psychometrika 27, 1962. Pearson's r stands in the title, the pairs furthest from the
    line are named.

    Parameters
    ----------
    panels : title -> ratings (P,), distances (P,) and names of the P pairs. Pairs that are NaN in one are left out.
    paths : files to write.
    """
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    with drawing(5.2 if columns == 1 else 7.5, 3.7 * lines, paths) as figure:
        grid = figure.subplots(lines, columns, squeeze=False)
        drawn = [(axes, *_shepard(axes, title, *panel)) for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False)]
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes in grid[:, 0]:
            axes.set_ylabel("distance in the latent space")
        figure.draw_without_rendering()
        for axes, dots, named in drawn:
            write_names(axes, dots[list(named)], list(named.values()), ["normal"] * len(named), others=dots)


def _shepard(axes, title: str, ratings: np.ndarray, distances: np.ndarray, names: Sequence[str]) -> tuple:
    """Draw one diagram, and return its dots (M, 2), and the place among them and name of those furthest from its line."""
    known = np.flatnonzero(np.isfinite(ratings + distances))
    x, y = dots = np.stack([ratings[known], distances[known]])
    axes.plot(x, y, "o", color=COLOURS[0], markersize=4, alpha=0.7, markeredgewidth=0)
    axes.set(xlabel="rated dissimilarity (of the largest)", xlim=(0, 1.05), ylim=(0, 1.12 * y.max(initial=0) or 1.0))
    axes.grid()
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        axes.set_title(f"{title}\nno correlation, {len(x)} pairs", loc="left")
        return dots.T, {}
    slope, start = np.polyfit(x, y, 1)
    odd = np.abs(y - start - slope * x).argsort()[-LABELLED:]
    axes.plot(x[odd], y[odd], "o", color=COLOURS[5], markersize=5)
    axes.axline((0, start), slope=slope, color=COLOURS[5], linewidth=1.5)
    axes.set_title(f"{title}\nr = {np.corrcoef(x, y)[0, 1]:.2f}, {len(x)} pairs", loc="left")
    return dots.T, {k: str(names[known[k]]) for k in odd}


def matrices(panels: Mapping[str, np.ndarray], names: Sequence[str], paths: Sequence[Path]) -> None:
    """Draw matrices of distances in one scale of colours, each divided by the mean of its pairs; hatched where unknown.

    Parameters
    ----------
    panels : title -> distances (K, K), NaN where unknown.
    names : of the K classes.
    paths : files to write.
    """
    lines = -(-len(panels) // min(3, max(1, int(ROOM / (CELL * len(names))))))
    columns = -(-len(panels) // lines)
    scaled = [_by_mean(np.asarray(matrix, float)) for matrix in panels.values()]
    top = max(matrix.max(initial=0, where=~np.isnan(matrix)) for matrix in scaled) or 1.0
    side = max(2.0, CELL * len(names) / 72)
    with drawing(side * columns + 1.5, (side + 0.3) * lines + 1.0, paths) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for place, (axes, title, matrix) in enumerate(zip(grid.flat, panels, scaled, strict=False)):
            image = axes.imshow(matrix, cmap="viridis", vmin=0, vmax=top)
            axes.patch.set(facecolor="#e0e0e0", edgecolor="#888888", hatch="/////", linewidth=0)
            axes.set_title(title)
            axes.spines[:].set_visible(False)
            axes.tick_params(length=0, labelsize=SMALL)
            axes.tick_params("x", rotation=90, labelbottom=place + columns >= len(panels))
        grid[0, 0].set_yticks(range(len(names)), names)
        grid[0, 0].set_xticks(range(len(names)), names)
        figure.colorbar(image, ax=grid, label="distance / mean distance", aspect=30, pad=0.01, shrink=0.8)


def _by_mean(matrix: np.ndarray) -> np.ndarray:
    """Divide distances (K, K) by the mean of those known off the diagonal, where that is not 0."""
    known = matrix[~np.isnan(matrix) & ~np.eye(len(matrix), dtype=bool)]
    return matrix / (known.mean() or 1.0) if len(known) else matrix


def agreement(rows: Mapping[str, Mapping[str, Estimate | float]], ceiling: Mapping[str, float], paths: Sequence[Path]) -> None:
    """Draw how a space agrees with each kind of ratings, a panel a measure, up to four in a row, a line a kind.

    Parameters
    ----------
    rows : kind of ratings -> measure -> value, or value, low and high; NaN where there is none. Values are 1 at most.
    ceiling : kind of ratings -> value of the first measure that listeners leave room for.
    paths : files to write.
    """
    kinds, measures = list(rows), list(dict.fromkeys(measure for row in rows.values() for measure in row))
    columns = min(4, len(measures))
    lines = -(-len(measures) // columns)
    with drawing(7.5, lines * (0.27 * len(kinds) + 0.6) + 0.4, paths) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes, measure in zip(grid.flat, measures, strict=False):
            values = [np.broadcast_to(row.get(measure, np.nan), 3) for row in rows.values()]
            value, low, high = np.transpose(values)
            axes.hlines(range(len(kinds)), low, high, color=COLOURS[0], linewidth=2)
            axes.plot(value, range(len(kinds)), "o", color=COLOURS[0], markersize=6)
            axes.set_title(measure, loc="left")
            axes.tick_params("y", length=0)
            axes.grid()
        for axes in grid.flat[len(measures) :]:
            axes.set_axis_off()
        at = np.array([ceiling.get(kind, np.nan) for kind in kinds])
        places = np.arange(len(kinds))
        grid[0, 0].vlines(at, places - 0.4, places + 0.4, color="black", linewidth=2, label="other listeners")
        grid[0, 0].set_yticks(places, kinds)
        grid[0, 0].set_ylim(len(kinds) - 0.5, -0.5)
        grid[0, 0].set_xlim(right=1.04)
        if np.isfinite(at).any():
            figure.legend(loc="outside lower right")


def path_sheet(
    points: Mapping[str, np.ndarray],
    path: np.ndarray,
    spectra: np.ndarray,
    frequencies: np.ndarray,
    paths: Sequence[Path],
    title: str,
) -> None:
    """Draw a path among the means of classes, seen from the side and with its shadow on the floor, and spectra along it.

    Parameters
    ----------
    points : name of a class -> its mean (3,).
    path : (N, 3) in order of time.
    spectra : (M, F) linear magnitudes, at equal steps from the first to the last of the N.
    frequencies : (F,) Hz.
    paths : files to write.
    title : what is drawn.
    """
    steps = np.linspace(0, len(path) - 1, len(spectra)).round().astype(int)
    ink = class_colours(len(path), "line")
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, len(spectra))]
    columns = -(-len(spectra) // 2)
    with drawing(7.5, 7.9, paths) as figure:
        above, below = figure.subfigures(2, 1, height_ratios=(1.6, 1))
        above.suptitle(title, fontsize=10)
        view = _view(above, 111)
        seen = np.concatenate([path, *(place[None] for place in points.values())])
        _scale(view, np.stack([seen.min(0), seen.max(0)]), (0, 1, 2), ("axis 1", "axis 2", "axis 3"))
        _path(view, path, ink, steps)
        _means(view, points)
        small = below.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
        _spectra(small, spectra, frequencies, ink[steps], shares)
        figure.draw_without_rendering()
        places = _projected(view, np.stack([*points.values(), path[0], path[-1]]))
        weights = ["normal"] * len(points) + ["bold"] * 2
        write_names(view, places, [*points, shares[0], shares[-1]], weights, _projected(view, path[steps]))


def _path(view, path: np.ndarray, ink: np.ndarray, steps: np.ndarray) -> None:
    """Draw a path (N, 3) in colours (N, 4), with dots at some places, and its shadow."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    floor = view.get_zlim()[0]
    view.plot(path[:, 0], path[:, 1], np.full(len(path), floor), color="#aaaaaa", linewidth=1)
    view.add_collection3d(Line3DCollection(np.stack([path[:-1], path[1:]], 1), colors=ink[:-1], linewidth=2.5, capstyle="round"))
    view.scatter(*path[steps].T, c=ink[steps], s=36, edgecolors="black", depthshade=False)


def _means(view, points: Mapping[str, np.ndarray]) -> None:
    """Draw the means of classes, each above its place on the floor."""
    floor = view.get_zlim()[0]
    for (x, y, z), colour in zip(points.values(), class_colours(len(points), "none"), strict=True):
        view.plot([x, x], [y, y], [floor, z], color="#aaaaaa", linewidth=0.6)
        view.plot([x], [y], [z], "o", color=colour, markeredgecolor="black", markersize=7)


def _spectra(grid: np.ndarray, spectra: np.ndarray, frequencies: np.ndarray, ink: np.ndarray, titles: Sequence[str]) -> None:
    """Draw spectra (M, F) in dB below the largest magnitude of all."""
    decibels = 20 * np.log10(np.maximum(spectra / max(spectra.max(initial=0), 1e-12), 1e-12))
    for axes, level, colour, title in zip(grid.flat, decibels, ink, titles, strict=False):
        axes.fill_between(frequencies, level, -RANGE_DB, color=colour, alpha=0.25, linewidth=0)
        axes.plot(frequencies, level, color=colour, linewidth=1)
        axes.set_title(f"{title} of the way", loc="left", fontsize=9)
        axes.grid()
    for axes in grid.flat[len(spectra) :]:
        axes.set_axis_off()
    grid[0, 0].set(xscale="log", xlim=(frequencies[frequencies > 0][0], frequencies[-1]), ylim=(-RANGE_DB, 3))
    grid[0, 0].set_xticks(list(HERTZ), HERTZ.values())
    grid[0, 0].set_xticks([], minor=True)
    grid[0, 0].set_yticks((-RANGE_DB, -RANGE_DB / 2, 0))
    for axes in grid[:, 0]:
        axes.set_ylabel("dB")
    for axes in grid[-1]:
        axes.set_xlabel("Hz")
