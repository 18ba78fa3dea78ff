"""Drawings of a descriptor of sound as it varies in space, in sheets of planes and in films, and along a path through it.

A space has three axes, of evenly spaced coordinates (n1,), (n2,) and (n3,); `values[i, j, k]` belongs to coordinate i of the
first, j of the second and k of the third. NaN is left white.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.analysis_figures import COLOURS, class_colours, drawing
from utils.config import InputError
from utils.files import atomic
from utils.play_figures import spectrogram

PLANES = 6  # of a sheet
NEAR = 0.1  # of the length of an axis: how far from a film's plane a point is that is shown on it
DPI = 100  # of a film
SCALE = "viridis"  # colours of numbers
QUALITY = 8  # of an mp4, 0 to 10


def sheet(
    values: Mapping[str, np.ndarray],
    axes: Sequence[np.ndarray],
    points: Mapping[str, np.ndarray],
    paths: Sequence[Path],
    units: Mapping[str, str],
) -> None:
    """Draw descriptors in six planes across the first axis, a row a descriptor, on one scale a row.

    Parameters
    ----------
    values : descriptor -> (n1, n2, n3).
    axes : three, of evenly spaced coordinates (n1,), (n2,), (n3,).
    points : name -> coordinates (3,). Each is marked on the plane that is nearest, if the planes reach so far.
    paths : files to write.
    units : descriptor -> unit, "" for none.
    """
    number = min(PLANES, len(axes[0]))
    shown = np.rint((np.arange(number) + 0.5) / number * (len(axes[0]) - 1)).astype(int)
    marks = _nearest(points, axes[0][shown])
    width, tall = 1.9, np.clip(_length(axes[2]) / _length(axes[1]), 0.3, 3)
    with drawing(width * number + 1.3, len(values) * (width * tall + 0.1) + 0.6, paths) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03)
        grid = figure.subplots(len(values), number, sharex=True, sharey=True, squeeze=False)
        for row, (name, cube) in zip(grid, values.items(), strict=True):
            for cell, place, near in zip(row, shown, marks, strict=True):
                image = _image(cell, cube[place], axes[1], axes[2], _limits(cube))
                _mark(cell, {word: points[word][1:] for word in near})
            row[0].set_ylabel("axis 3")
            figure.colorbar(image, ax=row, label=_label(name, units[name]), aspect=16, pad=0.01, shrink=0.9)
        for cell, place in zip(grid[0], shown, strict=True):
            cell.set_title(f"axis 1 = {axes[0][place]:+.2f}")
        for cell in grid[-1]:
            cell.set_xlabel("axis 2")
        for cell in grid[:, 1:].flat:
            cell.tick_params("y", length=0)
        for cell in grid[:-1].flat:
            cell.tick_params("x", length=0)


def _label(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _step(coordinates: np.ndarray) -> float:
    return float(coordinates[1] - coordinates[0]) if len(coordinates) > 1 else 1.0


def _length(coordinates: np.ndarray) -> float:
    return len(coordinates) * abs(_step(coordinates))


def _limits(cube: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest number of an array, 0 and 1 where there is none."""
    known = cube[np.isfinite(cube)]
    return (known.min(), known.max()) if len(known) else (0, 1)


def _nearest(points: Mapping[str, np.ndarray], planes: np.ndarray) -> list[list[str]]:
    """Return the names of the points that are nearest to each plane across the first axis, and no further than half a gap."""
    near = [[] for _ in planes]
    for name, point in points.items():
        away = np.abs(planes - point[0])
        if away.min() <= abs(_step(planes)) / 2 * (1 + 1e-9):
            near[away.argmin()].append(name)
    return near


def _image(axes, plane: np.ndarray, across: np.ndarray, up: np.ndarray, limits: tuple[float, float]):
    """Draw a plane (n, m) over its coordinates (n,) to the right and (m,) upwards; each is in the middle of its cell."""
    extent = [end + half for c in (across, up) for end, half in ((c[0], -_step(c) / 2), (c[-1], _step(c) / 2))]
    look = {"cmap": SCALE, "vmin": limits[0], "vmax": limits[1], "interpolation": "nearest"}
    image = axes.imshow(plane.T, origin="lower", extent=extent, **look)
    axes.set_autoscale_on(False)  # what is marked outside is cut off
    axes.spines[:].set_visible(False)
    return image


def _mark(axes, points: Mapping[str, np.ndarray]) -> list:
    """Mark points (2,) with their names, the higher half above, those at the right to the left; return what is drawn."""
    from matplotlib.patheffects import withStroke

    middle = np.mean(axes.get_xlim())
    rising = sorted(points, key=lambda name: points[name][1])
    drawn = []
    for rank, name in enumerate(rising):
        x, y = points[name]
        above, left = 2 * rank >= len(rising) - 1, x > middle
        look = {"ha": "right" if left else "left", "va": "bottom" if above else "top", "fontsize": 8, "clip_on": True}
        halo = [withStroke(linewidth=2, foreground="white")]
        drawn += axes.plot(x, y, "o", color="white", markeredgecolor="black", markersize=4)
        shift = (3 if left else -3, 3 if above else -3)
        drawn.append(axes.annotate(name, (x, y), shift, textcoords="offset points", path_effects=halo, **look))
    return drawn


def curve(
    name: str,
    unit: str,
    target: np.ndarray,
    reached: np.ndarray,
    image: np.ndarray,
    frequencies: np.ndarray,
    duration: float,
    path: Path,
) -> None:
    """Draw how a sound follows a curve that was asked of a descriptor, and its spectrogram below.

    Parameters
    ----------
    name, unit : of the descriptor; the unit may be "".
    target, reached : (N,) evenly spaced, the first at the beginning and the last at the end.
    image : linear magnitudes (F, C).
    frequencies : (F,) Hz, of the bands.
    duration : s.
    path : its suffix is the format.
    """
    with drawing(7, 5, [path]) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        times = np.linspace(0, duration, len(target))
        above.plot(times, target, "--", color=COLOURS[6], linewidth=1.5, label="target")
        above.plot(times, reached, color=COLOURS[0], linewidth=2, label="reached")
        above.set_ylabel(_label(name, unit))
        above.grid()
        spectrogram(below, image, image.max(initial=0.0), frequencies, duration)
        below.set(xlabel="time (s)", xlim=(0, duration))
        figure.align_ylabels()
        figure.legend(loc="outside upper right", ncols=2)


def film(
    name: str,
    values: np.ndarray,
    axes: Sequence[np.ndarray],
    points: Mapping[str, np.ndarray],
    path: Path,
    axis: int = 0,
    unit: str = "",
    frames_per_second: int = 15,
) -> None:
    """Film a plane that moves through the space, a frame a coordinate: where it is, and the descriptor in it.

    Parameters
    ----------
    name, unit : of the descriptor.
    values : (n1, n2, n3).
    axes : three, of evenly spaced coordinates (n1,), (n2,), (n3,).
    points : name -> coordinates (3,).
    path : a .gif, of which players time frames in hundredths of a second, or an .mp4.
    axis : 0, 1 or 2, that the plane moves along.
    frames_per_second : 1/s.

    Raises
    ------
    InputError : another suffix, or an .mp4 without the package imageio-ffmpeg.
    """
    write = FILMS.get(Path(path).suffix)
    if not write:
        raise InputError(f"{path}: films are written as {' or '.join(FILMS)}")
    with drawing(9, 4.4, ()) as figure, atomic(path) as aside:
        write(aside, _frames(figure, _label(name, unit), values, axes, points, axis), frames_per_second)


def _frames(figure, label: str, values: np.ndarray, axes: Sequence, points: Mapping, axis: int) -> Iterator[np.ndarray]:
    """Yield a picture (height, width, 3) for each coordinate on `axis`; only what changes is drawn anew."""
    rest = [k for k in range(3) if k != axis]
    planes = np.moveaxis(values, axis, 0)
    left, right = figure.subfigures(1, 2, width_ratios=(1.05, 1))
    cut, cloud = _space(left.add_subplot(projection="3d"), axes, points)
    flat = right.add_subplot(xlabel=f"axis {rest[0] + 1}", ylabel=f"axis {rest[1] + 1}", title=" ")
    image = _image(flat, planes[0], axes[rest[0]], axes[rest[1]], _limits(values))
    right.colorbar(image, ax=flat, label=label, shrink=0.8)
    marks = {name: _mark(flat, {name: point[rest]}) for name, point in points.items()}
    still = _still(figure, [cut, *cloud, image, flat.title, *(part for parts in marks.values() for part in parts)])
    for place, plane in zip(axes[axis], planes, strict=True):
        cut.set_verts([_corners(axes, axis, place)])
        cut.do_3d_projection()
        image.set_data(plane.T)
        flat.title.set_text(f"axis {axis + 1} = {place:+.2f}")
        near = [name for name in points if abs(points[name][axis] - place) <= NEAR * _length(axes[axis])]
        figure.canvas.restore_region(still)
        for artist in (cut, *cloud, image, flat.title, *(part for name in near for part in marks[name])):
            artist.axes.draw_artist(artist)
        yield np.array(figure.canvas.buffer_rgba())[..., :3]


def _space(space, axes: Sequence[np.ndarray], points: Mapping[str, np.ndarray]) -> tuple:
    """Set up space; return a plane in it, and dots and names of the points."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    cut = Poly3DCollection([_corners(axes, 0, axes[0][0])], facecolor=COLOURS[4], edgecolor=COLOURS[0], alpha=0.35)
    space.add_collection3d(cut)
    places = np.array(list(points.values())).reshape(-1, 3)
    dots = space.scatter(*places.T, c=class_colours(len(points), "none"), s=22, depthshade=False)
    names = [space.text(*point, f" {name}", fontsize=8) for name, point in points.items()]
    ends = [(coordinates[0], coordinates[-1]) for coordinates in axes]
    space.set(xlim=ends[0], ylim=ends[1], zlim=ends[2], xlabel="axis 1", ylabel="axis 2", zlabel="axis 3")
    for direction in (space.xaxis, space.yaxis, space.zaxis):
        direction.set_pane_color("white")
    space.locator_params(nbins=4)
    space.tick_params(labelsize=8, pad=0)
    space.set_box_aspect([_length(coordinates) for coordinates in axes], zoom=0.8)
    return cut, [dots, *names]


def _still(figure, moving: Sequence):
    """Lay out a figure and draw it without what is moving; return what `restore_region` of its canvas takes."""
    for artist in moving:
        artist.set_animated(True)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.canvas.draw()
    return figure.canvas.copy_from_bbox(figure.bbox)


def _corners(axes: Sequence[np.ndarray], axis: int, place: float) -> np.ndarray:
    """Return the corners of the plane at `place` on `axis`, (4, 3)."""
    corners = np.full((4, 3), place)
    first, second = (axes[k] for k in range(3) if k != axis)
    ways = [(first[0], second[0]), (first[-1], second[0]), (first[-1], second[-1]), (first[0], second[-1])]
    corners[:, [k for k in range(3) if k != axis]] = ways
    return corners


def _gif(path: Path, frames: Iterable[np.ndarray], frames_per_second: int) -> None:
    """Write frames (height, width, 3), all in one palette: half of it for the scale, half for the rest of the first frame."""
    from matplotlib import colormaps
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    scale = colormaps[SCALE](np.linspace(0, 1, 128), bytes=True)[:, :3]
    rest = pictures[0].quantize(128, method=Image.Quantize.MAXCOVERAGE).getpalette()[: 3 * 128]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*scale.ravel().tolist(), *rest])
    first, *others = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    hundredths = max(2, round(100 / frames_per_second))  # players slow down what is faster
    first.save(path, format="GIF", save_all=True, append_images=others, duration=10 * hundredths, loop=0)


def _mp4(path: Path, frames: Iterable[np.ndarray], frames_per_second: int) -> None:
    """Write frames (height, width, 3) as H.264, which needs even sizes."""
    try:
        from imageio_ffmpeg import write_frames
    except ImportError:
        raise InputError("an .mp4 needs the package imageio-ffmpeg; pip install imageio-ffmpeg, or write a .gif") from None
    frames = iter(frames)
    first = next(frames)
    options = {"quality": QUALITY, "macro_block_size": 2, "ffmpeg_log_level": "error", "output_params": ["-f", "mp4"]}
    with contextlib.closing(write_frames(str(path), first.shape[1::-1], fps=frames_per_second, **options)) as encoder:
        encoder.send(None)
        for frame in itertools.chain([first], frames):
            encoder.send(np.ascontiguousarray(frame))


FILMS: dict[str, Callable[[Path, Iterable[np.ndarray], int], None]] = {".gif": _gif, ".mp4": _mp4}
