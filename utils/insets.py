"""Insets of a view: what sources play, a spectrum; numbers, a piano-roll. Each is an `Inset` of `utils.canvas`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.canvas import Box, Canvas, Symbols

TICKS = (31, 62, 125, 250, 500, 1000, 2000, 4000, 8000, 16000)  # Hz
LOUD = 3  # rows of a spectrum, above its ruler
BAR, BEAT = 16, 4  # steps
LANES = 16  # rows of a roll, at most

Cell = tuple[int, float, float, float]  # lane, start, end (steps), strength 0-1


@dataclass(frozen=True)
class Source:
    """What one source plays: its name, that in a word, and a (label, class, share of 1) for each of its labels."""

    name: str
    word: str
    labels: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Sources:
    """What sources play: the labels of those that are not chosen only where there is room."""

    sources: tuple[Source, ...]
    chosen: int

    def rows(self, most: int) -> int:
        """Return the rows that sources and labels need, which may be more than there are."""
        return sum(1 + len(labels) for labels in self._labels(most))

    def _labels(self, most: int) -> list[tuple[tuple[str, str, float], ...]]:
        """Return the labels of each source that are shown in so many rows."""
        roomy = sum(1 + len(source.labels) for source in self.sources) <= most
        return [source.labels if roomy or number == self.chosen else () for number, source in enumerate(self.sources)]

    def draw(self, canvas: Canvas, box: Box, symbols: Symbols) -> None:
        """Draw a row for each source and each label."""
        lines = []
        for number, (source, labels) in enumerate(zip(self.sources, self._labels(box.height), strict=True)):
            pointer = symbols.pointer if number == self.chosen and len(self.sources) > 1 else ""
            name = f"{pointer}{source.name}"[: box.width - len(source.word) - 1]
            lines.append((f"{name:<{box.width - len(source.word)}}{source.word}", "bold"))
            for label, word, share in labels:
                lines.append((f"{label[:9]:<9} {word[:6]:<6} {_bar(share, box.width - 22, symbols)} {share:4.2f}", ""))
        for y, (line, style) in enumerate(lines[: box.height], box.top):
            canvas.write(y, box.left, line, style)


def _bar(share: float, width: int, symbols: Symbols) -> str:
    """Return a bar that fills a share of its width."""
    parts = len(symbols.along) - 1
    full, rest = divmod(round(float(np.clip(share, 0, 1)) * width * parts), parts)
    return (symbols.along[-1] * full + (symbols.along[rest] if rest else "")).ljust(width)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Levels (F,) from 0 to 1 of bands at `frequencies` (F,) Hz, over a ruler."""

    levels: np.ndarray
    frequencies: np.ndarray

    def rows(self, most: int) -> int:
        """Return its rows, always as many."""
        return LOUD + 1

    def draw(self, canvas: Canvas, box: Box, symbols: Symbols) -> None:
        """Draw the loudest band of each column."""
        edges = np.arange(box.width + 1) * len(self.levels) // box.width
        starts = np.minimum(edges[:-1], len(self.levels) - 1)
        pooled = [self.levels[a : max(b, a + 1)].max() for a, b in zip(starts, edges[1:], strict=True)]
        parts = len(symbols.up) - 1
        filled = np.rint(np.clip(pooled, 0, 1) * LOUD * parts).astype(int)
        for row in range(LOUD):
            steps = np.clip(filled - (LOUD - 1 - row) * parts, 0, parts)
            canvas.write(box.top + row, box.left, "".join(symbols.up[step] for step in steps), "spectrum")
        for tick in TICKS:
            if self.frequencies[0] <= tick <= self.frequencies[-1]:
                x = np.interp(tick, self.frequencies, np.arange(len(self.frequencies))) * box.width / len(self.levels)
                text = f"{symbols.wall}{tick if tick < 1000 else f'{tick // 1000}k'}"
                canvas.write(box.top + LOUD, box.left + int(x), text, "dim")


@dataclass(frozen=True)
class Numbers:
    """Numbers by name."""

    numbers: tuple[tuple[str, float], ...]

    def rows(self, most: int) -> int:
        """Return a row for each."""
        return min(len(self.numbers), most)

    def draw(self, canvas: Canvas, box: Box, symbols: Symbols) -> None:
        """Draw each in a row."""
        for y, (name, value) in enumerate(self.numbers[: box.height], box.top):
            number = f"{value:.2f}"
            canvas.write(y, box.left, f"{name[: box.width - len(number) - 1]:<{box.width - len(number)}}{number}")


@dataclass(frozen=True)
class Roll:
    """What sounds when, in lanes with `names` from the lowest, `steps` long: all lanes where there is room, else those of it."""

    cells: Sequence[Cell]
    names: Sequence[str]
    steps: int

    def rows(self, most: int) -> int:
        """Return a row for each lane as far as there is room, and one for the ruler: as many whatever sounds."""
        return min(len(self.names), LANES, most - 1) + 1

    def lanes(self, room: int) -> list[list[int]]:
        """Return the lanes of each of so many rows or less, from the lowest.

        A row is a lane where what sounds lies together; else the lanes that sound alone are shown, several in a row if need be.
        """
        every = len(self.names)
        if every <= room:
            return [[lane] for lane in range(every)]
        used = sorted({cell[0] for cell in self.cells}) or [every // 2]
        spare = room - (used[-1] - used[0] + 1)
        if spare >= 0:
            first = min(max(used[0] - spare // 2, 0), every - room)
            return [[lane] for lane in range(first, first + room)]
        return [part.tolist() for part in np.array_split(used, min(room, len(used)))]

    def draw(self, canvas: Canvas, box: Box, symbols: Symbols) -> None:
        """Draw lanes with their names, marks at beats and bars, what sounds, and under it the numbers of the bars."""
        margin = max(map(len, self.names)) + 1
        room = box.width - margin - 1
        wide = room // self.steps  # columns of a step; 0 where several steps share one
        columns, bottom = self.steps * wide or room, box.top + box.height - 2
        grid = Box(bottom, box.left + margin, box.height - 1, columns)
        rows = {}
        for number, lanes in enumerate(self.lanes(box.height - 1)):
            rows |= dict.fromkeys(lanes, bottom - number)
            canvas.write(bottom - number, box.left, self.names[lanes[0]].replace("_", " "), "dim")
            self._grid(canvas, grid._replace(top=bottom - number), symbols)
        for lane, start, end, strength in sorted(self.cells, key=lambda cell: cell[3]):  # the strongest lies on top
            self._cell(canvas, grid._replace(top=rows[lane]), start, end, strength, symbols)
        for bar in range(0, self.steps, BAR):
            canvas.write(bottom + 1, self._column(grid, bar), f"{symbols.wall}{bar // BAR + 1}", "dim")

    def _column(self, grid: Box, step: float) -> int:
        return grid.left + int(min(max(round(step), 0), self.steps) * grid.width / self.steps)

    def _grid(self, canvas: Canvas, row: Box, symbols: Symbols) -> None:
        for step in range(0, self.steps, BEAT if row.width >= self.steps else BAR):
            canvas.write(row.top, self._column(row, step), symbols.trail if step % BAR else symbols.wall, "dim")

    def _cell(self, canvas: Canvas, row: Box, start: float, end: float, strength: float, symbols: Symbols) -> None:
        """Draw one note: a block where it begins, the higher the stronger, and a line as long as it lasts."""
        first, step = self._column(row, start), max(row.width // self.steps, 1)
        gap = step > 1  # else notes that follow each other would look like one
        last = max(self._column(row, end) - gap, first + 1)
        levels = len(symbols.up) - 1
        block = symbols.up[min(max(round(strength * levels), 1), levels)] * min(max(step - gap, 1), last - first)
        canvas.write(row.top, first, block.ljust(last - first, symbols.line), "spectrum")
