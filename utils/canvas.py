"""A view of a walk over a map, as rows of styled text: the map, coordinates, and insets that draw what is there.

Knows what it shows only as numbers and words. Drawing is pure; `utils.screen` paints the rows in a terminal.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

SMALLEST = 20, 60  # rows and columns that a view needs
ABOUT = 3  # rows of the title, the status, the keys
FOOT = 10  # rows beneath the map that an inset may have in the smallest view; in others half of what there is, if that is more
REACH = 3.0  # to which bars around a middle go
NEAR = 4  # of the points whose names are written out

Rows = list[list[tuple[str, str]]]  # each row as (text, style); styles: "" dim bold here trail alert invert


@dataclass(frozen=True)
class Symbols:
    """What things are drawn with."""

    here: str
    trail: str
    wall: str
    line: str
    pointer: str
    record: str
    along: str  # parts of a horizontal bar, from none to full
    up: str  # of an upright one


FANCY = Symbols("●", "·", "│", "─", "▸", "●", " ▏▎▍▌▋▊▉█", " ▁▂▃▄▅▆▇█")
PLAIN = Symbols("@", ".", "|", "-", ">", "*", " #", " .:#")


class Canvas:
    """A page of characters, each in a style; what goes beyond its edges is cut off."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self.cells = [[(" ", "")] * width for _ in range(height)]

    def write(self, y: int, x: int, text: str, style: str = "") -> None:
        """Write text from a cell on."""
        if 0 <= y < self.height:
            for place, letter in enumerate(text, x):
                if 0 <= place < self.width:
                    self.cells[y][place] = (letter if letter.isprintable() else "?", style)

    @property
    def rows(self) -> Rows:
        """Return the rows, in runs of one style."""
        rows: Rows = []
        for cells in self.cells:
            runs: list[tuple[str, str]] = []
            for letter, style in cells:
                if runs and runs[-1][1] == style:
                    runs[-1] = (runs[-1][0] + letter, style)
                else:
                    runs.append((letter, style))
            rows.append(runs)
        return rows


class Box(NamedTuple):
    """A part of a page."""

    top: int
    left: int
    height: int
    width: int


class Inset(Protocol):
    """What draws itself into a part of a view."""

    def rows(self, most: int) -> int:
        """Return the rows that it needs, where there are so many at most."""

    def draw(self, canvas: Canvas, box: Box, symbols: Symbols) -> None:
        """Draw it into a part of a page; where that is too low, what comes first."""


@dataclass(frozen=True)
class View:
    """All that is to be seen.

    `points` (P, 2) of the map with their `names` (P,), the nearest last, of which some are written out, while of others their
    `letters` (P,) are; `bounds` (2, 2), the lower left and upper right of the map; `trail` (T, 2) and `position` (2,) on it;
    `coordinates` (A,) of all axes; `panel` and `foot`, what is at that place: beside the map, above the coordinates, and beneath.
    """

    title: str
    state: str
    points: np.ndarray
    names: tuple[str, ...]
    letters: tuple[str, ...]
    bounds: np.ndarray
    trail: np.ndarray
    position: np.ndarray
    axes: tuple[int, int]
    coordinates: np.ndarray
    panel: Inset
    foot: Inset
    status: str
    keys: str
    prompt: str | None = None
    page: tuple[str, ...] = ()


def draw(view: View, height: int, width: int, symbols: Symbols = FANCY) -> Rows:
    """Return the view as rows of styled text."""
    canvas = Canvas(height, width)
    if height < SMALLEST[0] or width < SMALLEST[1]:
        canvas.write(0, 0, f"{width}x{height} is too small: make it {SMALLEST[1]}x{SMALLEST[0]}"[:width], "alert")
        return canvas.rows
    canvas.write(0, 0, view.title, "bold")
    canvas.write(0, width - len(view.state) - 1, view.state, "alert" if symbols.record in view.state else "dim")
    if view.page:
        for y, line in enumerate(view.page[: height - 3], 1):
            canvas.write(y, 1, line)
    else:
        below = _foot(view, height)
        _map(canvas, view, symbols)
        _panel(canvas, view, symbols)
        view.foot.draw(canvas, Box(height - 2 - below, 0, below, width), symbols)
    if view.prompt is None:
        canvas.write(height - 2, 0, view.status)
    else:
        canvas.write(height - 2, 0, f":{view.prompt}"[-width + 1 :])
        canvas.write(height - 2, min(len(view.prompt) + 1, width - 1), " ", "invert")
    canvas.write(height - 1, 0, view.keys, "dim")
    return canvas.rows


def _foot(view: View, height: int) -> int:
    """Return the rows of the inset beneath the map."""
    return view.foot.rows(max(FOOT, (height - ABOUT) // 2))


def _map_size(view: View, height: int, width: int) -> np.ndarray:
    """Return the columns and rows of the map, which begins in the second row."""
    return np.array([width * 3 // 5, height - ABOUT - _foot(view, height)])


def _extent(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower left and the upper right of the map."""
    seen = np.vstack([view.bounds, view.position])
    return seen.min(0), seen.max(0) + 1e-9


def _cells(view: View, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return columns and rows on the screen (N, 2) of places on the map (N, 2)."""
    low, high = _extent(view)
    share = (values.reshape(-1, 2) - low) / (high - low)
    share[:, 1] = 1 - share[:, 1]
    return np.rint(share * (_map_size(view, height, width) - 1)).astype(int) + np.array([0, 1])


def clicked(view: View, y: int, x: int, height: int, width: int) -> np.ndarray | None:
    """Return the place on the map (2,) of a cell of the screen, None beside it."""
    size, cell = _map_size(view, height, width), np.array([x, y - 1])
    if view.page or not (cell >= 0).all() or not (cell < size).all():
        return None
    low, high = _extent(view)
    share = cell / (size - 1)
    return low + (high - low) * [share[0], 1 - share[1]]


def _map(canvas: Canvas, view: View, symbols: Symbols) -> None:
    columns, rows = _map_size(view, canvas.height, canvas.width)
    across, upwards = (f"axis {axis + 1}" for axis in view.axes)
    canvas.write(1, 0, upwards, "dim")
    canvas.write(int(rows), int(columns) - len(across), across, "dim")
    places = _cells(view, view.points, canvas.height, canvas.width).tolist()
    for (x, y), letter in list(zip(places, view.letters, strict=True))[:-NEAR]:
        canvas.write(y, x, letter, "dim")
    inside = _cells(view, view.trail, canvas.height, canvas.width)
    for x, y in inside[((inside >= (0, 1)) & (inside < (columns, rows + 1))).all(1)].tolist():
        canvas.write(y, x, symbols.trail, "trail")
    for (x, y), name in list(zip(places, view.names, strict=True))[-NEAR:]:
        canvas.write(y, min(x, int(columns) - len(name)), name, "bold")
    x, y = _cells(view, view.position, canvas.height, canvas.width)[0].tolist()
    canvas.write(y, x, symbols.here, "here")
    for y in range(1, rows + 1):
        canvas.write(y, int(columns), symbols.wall, "dim")


def _panel(canvas: Canvas, view: View, symbols: Symbols) -> None:
    """Draw the inset beside the map, and the coordinates for which there is room under it."""
    columns, rows = _map_size(view, canvas.height, canvas.width).tolist()
    left, width, used = columns + 2, canvas.width - columns - 3, view.panel.rows(rows)
    view.panel.draw(canvas, Box(1, left, min(used, rows), width), symbols)
    y = 1 + used + bool(used)
    for axis, value in enumerate(view.coordinates[: max(rows - y + 1, 0)].tolist()):
        style = "bold" if axis in view.axes else "dim"
        canvas.write(y + axis, left, f"axis {axis + 1:<3}{value:+6.2f} ", style)
        canvas.write(y + axis, left + 15, _needle(value, width - 15, symbols), style)


def _needle(value: float, width: int, symbols: Symbols) -> str:
    """Return a line with a mark at its middle and one at a value from -3 to 3."""
    letters, middle = [symbols.line] * width, width // 2
    letters[middle] = symbols.wall
    letters[round(float(np.clip(value / REACH, -1, 1)) * (width // 2 - 1)) + middle] = symbols.here
    return "".join(letters)
