"""Drawing: what the rows of a view hold."""

from dataclasses import replace

import numpy as np
import pytest

from utils.canvas import FANCY, PLAIN, View, clicked, draw
from utils.insets import Source, Sources, Spectrum


def text(rows):
    return "\n".join("".join(run for run, _ in row) for row in rows)


VIEW = View(
    title="free navigation",
    state="* 0:07",
    points=np.array([[-1.0, -1.0], [1.0, 1.0], [0.5, 0.5]]),
    names=("A#4", "C5", "rest"),
    letters=("a", "C", "r"),
    bounds=np.array([[-1.0, -1.0], [1.0, 1.0]]),
    trail=np.zeros((1, 2)),
    position=np.array([0.0, 0.0]),
    axes=(0, 1),
    coordinates=np.array([0.0, -9.0, 9.0]),
    panel=Sources((Source("flute", "A4:mf", (("octave", "4", 1.0), ("pitch", "A", 0.5))),), chosen=0),
    foot=Spectrum(np.linspace(-1, 2, 410), np.geomspace(30, 11000, 410)),
    status="to A4",
    keys="q quit",
)


@pytest.mark.parametrize("symbols", [FANCY, PLAIN])
@pytest.mark.parametrize("size", [(24, 80), (40, 120), (20, 60), (20, 500), (200, 60)])
def test_rows_fill_the_screen(symbols, size):
    rows = draw(VIEW, *size, symbols)
    assert [sum(len(run) for run, _ in row) for row in rows] == [size[1]] * size[0]
    assert symbols is FANCY or text(rows).isascii()
    assert all(words in text(rows) for words in ("free navigation", "A4:mf", "octave", "axis 1", "to A4", "q quit", "1k"))


@pytest.mark.parametrize("size", [(19, 80), (24, 59), (1, 1), (1, 200), (0, 0)])
def test_small_screens_say_so(size):
    rows = draw(VIEW, *size)
    assert [sum(len(run) for run, _ in row) for row in rows] == [size[1]] * size[0]
    assert size[1] < 40 or "too small" in text(rows) or not size[0]


def test_the_map_shows_where_things_are():
    lines = text(draw(VIEW, 24, 80, PLAIN)).splitlines()
    assert lines[17].startswith("A#4") and lines[1][:48].rstrip().endswith("C5") and "@" in lines[9][20:28]
    many = replace(VIEW, points=np.linspace([-1, -1], [1, 1], 9), names=("A#4", *["B3"] * 8), letters=("a", *"BBBBBBBB"))
    assert text(draw(many, 24, 80, PLAIN)).splitlines()[17].startswith("a ")  # far away: a letter, small for sharp


@pytest.mark.parametrize("cell", [(1, 0), (17, 47), (9, 20)])
def test_clicks_are_the_inverse_of_drawing(cell):
    place = clicked(VIEW, *cell, 24, 80)
    lines = text(draw(replace(VIEW, position=place, names=(), letters=(), points=np.zeros((0, 2))), 24, 80, PLAIN)).splitlines()
    assert lines[cell[0]][cell[1]] == "@"


def test_bars_and_needles_show_shares():
    lines = text(draw(VIEW, 24, 80, PLAIN)).splitlines()
    full, half = (next(line for line in lines if name in line).count("#") for name in ("octave", "pitch"))
    assert full == 7 and half in (3, 4)
    low, high = (next(line for line in lines if name in line)[65:] for name in ("-9.00", "+9.00"))
    assert low.index("@") < 3 and high.rindex("@") > 10


def test_sources_that_do_not_fit_are_cut_short():
    (source,) = VIEW.panel.sources
    crowd = replace(VIEW, panel=Sources(tuple(replace(source, name=f"voice {n}") for n in range(12)), chosen=5))
    picture = text(draw(crowd, 24, 80, PLAIN))
    assert picture.count("octave") == 1 and "voice 11" in picture and ">voice 5" in picture


def test_strange_characters_do_no_harm():
    assert "fl?ute" in text(draw(replace(VIEW, title="fl\x1bute"), 24, 80, PLAIN))
