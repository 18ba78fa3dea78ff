"""Sheets and films show each number where it belongs, with the points that are near; films can be read back."""

import contextlib
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from PIL import Image

from utils.config import InputError
from utils.descriptor_figures import curve, film, sheet

AXES = [np.linspace(-1, 1, 12), np.linspace(0, 3, 7), np.linspace(10, 12, 5)]
GRID = np.stack(np.meshgrid(*AXES, indexing="ij"))  # (3, 12, 7, 5)
VALUES = {"centroid": 100 * GRID[0] + 10 * GRID[1] + GRID[2], "flatness $": GRID[1]}
UNITS = {"centroid": "Hz", "flatness $": ""}
POINTS = {"cello": np.array([-0.9, 1.0, 11.0]), "$oboe": np.array([0.1, 2.0, 10.5]), "far": np.array([9.0, 1.0, 11.0])}


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pictures(figure):
    return [axes for axes in figure.axes if axes.images]


def test_a_sheet_has_six_planes_a_descriptor_on_one_scale(drawn):
    sheet(VALUES, AXES, POINTS, ["x.png"], UNITS)
    cells = pictures(drawn[0])
    assert len(cells) == 12
    for cell, place in zip(cells, [1, 3, 5, 6, 8, 10], strict=False):
        np.testing.assert_array_equal(cell.images[0].get_array(), VALUES["centroid"][place].T)
        assert cell.images[0].get_clim() == (VALUES["centroid"].min(), VALUES["centroid"].max())
        assert cell.get_title() == f"axis 1 = {AXES[0][place]:+.2f}"
    assert [axes.get_ylabel() for axes in drawn[0].axes if axes not in cells] == ["centroid (Hz)", "flatness $"]


def test_a_cell_of_a_sheet_lies_about_its_coordinates(drawn):
    sheet(VALUES, AXES, POINTS, ["x.png"], UNITS)
    cell = pictures(drawn[0])[0]
    np.testing.assert_allclose(cell.images[0].get_extent(), [-0.25, 3.25, 9.75, 12.25])
    assert cell.get_aspect() == 1
    assert cell.images[0].origin == "lower"


def test_points_are_named_once_a_row_on_the_nearest_plane(drawn):
    sheet(VALUES, AXES, POINTS, ["x.png"], UNITS)
    named = [[(text.get_text(), text.xy) for text in cell.texts] for cell in pictures(drawn[0])[:6]]
    assert named == [[("cello", (1.0, 11.0))], [], [], [("$oboe", (2.0, 10.5))], [], []]


@pytest.mark.parametrize(("number", "shown"), [(1, [0]), (2, [0, 1]), (6, [0, 1, 2, 3, 4, 5]), (50, [4, 12, 20, 29, 37, 45])])
def test_planes_are_evenly_chosen(drawn, number, shown):
    cube = np.arange(number)[:, None, None] * np.ones((1, 4, 4))
    sheet({"x": cube}, [np.linspace(-1, 1, number), *AXES[1:]], {}, ["x.png"], {"x": ""})
    assert [cell.images[0].get_array()[0, 0] for cell in pictures(drawn[0])] == shown


def test_what_is_not_known_does_not_set_the_scale(drawn):
    some = np.where(GRID[0] > 0, GRID[1], np.nan)
    sheet({"x": some, "y": some * np.nan}, AXES, {}, ["x.png"], {"x": "", "y": ""})
    cells = pictures(drawn[0])
    assert [cells[k].images[0].get_clim() for k in (0, 6)] == [(0, 3), (0, 1)]


def test_drawings_are_written_and_styles_do_not_leak(tmp_path):
    before = dict(matplotlib.rcParams)
    sheet(VALUES, AXES, POINTS, [tmp_path / "a.png", tmp_path / "a.pdf"], UNITS)
    curve("flatness", "", np.ones(9), np.ones(9), np.zeros((4, 6)), np.geomspace(30, 4000, 4), 1.0, tmp_path / "b.png")
    film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "c.gif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "b.png", "c.gif"]
    assert dict(matplotlib.rcParams) == before


def test_a_curve_is_drawn_over_the_spectrogram(drawn):
    target, reached = np.linspace(200, 400, 20), np.linspace(200, 390, 20)
    image = np.random.default_rng(0).random((30, 50))
    curve("centroid", "Hz", target, reached, image, np.geomspace(30, 8000, 30), 2.5, "x.png")
    above, below = drawn[0].axes
    np.testing.assert_allclose(above.lines[0].get_xydata(), np.stack([np.linspace(0, 2.5, 20), target], 1))
    np.testing.assert_allclose(above.lines[1].get_ydata(), reached)
    assert [line.get_label() for line in above.lines] == ["target", "reached"]
    assert above.get_ylabel() == "centroid (Hz)"
    assert below.get_xlim() == (0, 2.5)
    assert below.images[0].get_array().shape == (30, 50)


def frames_of(path):
    with Image.open(path) as moving:
        assert moving.info["duration"] == 70  # ms
        for k in range(moving.n_frames):
            moving.seek(k)
            yield np.array(moving.convert("RGB"))


@pytest.mark.parametrize(("axis", "number"), [(0, 12), (1, 7), (2, 5)])
def test_a_film_has_a_frame_a_plane_that_all_differ(tmp_path, axis, number):
    film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "a.gif", axis, "Hz")
    frames = list(frames_of(tmp_path / "a.gif"))
    assert len(frames) == number
    assert {frame.shape for frame in frames} == {(440, 900, 3)}
    assert all((one != other).any() for one, other in zip(frames[1:], frames[:-1], strict=True))


def test_a_film_shows_the_numbers_of_its_plane(tmp_path):
    cube = np.where(GRID[2] > 11, 1.0, 0.0) * (GRID[0] > 0)  # dark, then bright in the upper part
    film("x", cube, AXES, {}, tmp_path / "a.gif")
    first, *_, last = frames_of(tmp_path / "a.gif")
    dark, bright = np.array([68, 1, 84]), np.array([253, 231, 37])  # ends of viridis
    right = slice(520, 790)  # px, the picture without the scale

    def share(frame, colour):
        return (np.abs(frame[:, right].astype(int) - colour).max(-1) < 20).mean(1)

    assert share(first, bright).sum() < 1
    rows_bright, rows_dark = np.flatnonzero(share(last, bright) > 0.5), np.flatnonzero(share(last, dark) > 0.5)
    assert rows_bright.max() < rows_dark.min()
    assert len(rows_bright) / len(rows_dark) == pytest.approx(2 / 3, rel=0.1)  # 2 of 5 coordinates


def test_a_film_of_one_number_in_an_empty_space(tmp_path):
    film("x", np.full(GRID[0].shape, np.nan), AXES, {}, tmp_path / "a.gif")
    assert len(list(frames_of(tmp_path / "a.gif"))) == 12


def test_a_film_as_mp4(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "a.mp4", frames_per_second=5)
    assert ffmpeg.count_frames_and_secs(tmp_path / "a.mp4") == (12, pytest.approx(2.4, abs=0.01))
    with contextlib.closing(ffmpeg.read_frames(tmp_path / "a.mp4")) as reader:
        header = next(reader)
    assert header["size"] == (900, 440)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_mp4_needs_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install imageio-ffmpeg, or write a \.gif"):
        film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a\.avi: films are written as \.gif or \.mp4"):
        film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "a.avi")


def test_a_film_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        film("centroid", VALUES["centroid"], AXES, POINTS, tmp_path / "none" / "a.gif")
