"""The drawings of phrases hold what they were given and stay readable, whatever is in them."""

import itertools
import warnings

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.phrase_kinds import GRID
from utils import phrase_figures
from utils.analysis_figures import COLOURS, STYLE
from utils.phrase_figures import FAINTEST, WIDTH, attribute_table, histograms, interpolation, phrases, strength

NAN = float("nan")
DRUMS = ("kick", "snare", "closed_hat")
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
PITCHES = tuple(f"{name}{octave}" for octave in range(2, 7) for name in NAMES)
BEAT = [(0, 0.0, 1.0, 1.0), (2, 4.5, 5.5, 0.5), (1, 15.0, 16.0, 0.0)]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def boxes(axes):
    """Return left, lower, right and upper edges of what sounds, and its opacity."""
    (found,) = axes.collections
    corners = np.array([path.vertices[:4] for path in found.get_paths()])
    return np.hstack([corners.min(1), corners.max(1)]), found.get_facecolors()[:, 3]


def inside(figure):
    """Return whether all that is drawn lies within the figure, up to a pixel."""
    with matplotlib.rc_context(STYLE):  # measuring makes new ticks
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(box.x0, box.y0) >= -0.01 and box.x1 <= width + 0.01 and box.y1 <= height + 0.01


def apart(axis, low, high):
    """Return whether the names beside an axis do not touch."""
    found = sorted((label.get_window_extent() for label in axis.get_ticklabels()), key=lambda box: getattr(box, low))
    return all(getattr(a, high) <= getattr(b, low) + 1 for a, b in itertools.pairwise(found))


def draw_all(paths):
    """Draw one of each kind, with names that could be read as mathematics."""
    phrases([("$\\frac", BEAT, DRUMS), ("b$", [], DRUMS)], paths[:2], 32)
    attribute_table(["a$", "b"], ["$c", "d_1", "e"], [[0.5, NAN, -1], [0, 0, 0]], paths[2:4], "$")
    strength([-1, 0, 1], {"$a": [(0.1, 0, 0.2)] * 3}, paths[4:6])
    histograms({"$a": (["$", "b"], {"test$": [1, 2], "generated": [0, 0]})}, paths[6:8])
    interpolation({"$a": (np.eye(3), np.eye(3)[::-1])}, paths[8:10])


def test_every_drawing_is_written_to_every_path(tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in "abcde" for kind in ("png", "pdf")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_all(paths)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_cells_are_boxes_in_lanes_as_opaque_as_they_are_strong(drawn):
    phrases([("a beat", BEAT, DRUMS)], ["x.png"], 32)
    axes = drawn[0].axes[0]
    found, opacity = boxes(axes)
    np.testing.assert_allclose(found, [[0, 0.08, 1, 0.92], [4.5, 2.08, 5.5, 2.92], [15, 1.08, 16, 1.92]])
    np.testing.assert_allclose(opacity, [1, FAINTEST + (1 - FAINTEST) / 2, FAINTEST])
    assert sorted(labels(axes.yaxis)) == ["closed hat", "kick", "snare"]
    assert labels(axes.xaxis) == ["1", "2"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 32), (0, 3))
    assert axes.get_title(loc="left") == "a beat"
    assert sorted(line.get_xdata()[0] for line in axes.lines) == [0, 4, 8, 12, 16, 16, 20, 24, 28]


def test_pitches_are_shown_as_far_as_they_are_used_in_any_panel(drawn):
    first, second = [(24, 0.0, 4.0, 1.0)], [(40, 8.0, 32.0, 1.0), (38, 4.0, 8.0, 1.0)]
    phrases([("a", first, PITCHES), ("b", second, PITCHES), ("c", BEAT, DRUMS)], ["x.png"], 32)
    one, other, drums = drawn[0].axes
    assert one.get_ylim() == other.get_ylim() == (0, 19)  # rows 23 to 41
    assert drums.get_ylim() == (0, 3)
    assert boxes(one)[0][0].tolist() == pytest.approx([0, 1.08, 4, 1.92])
    assert boxes(other)[0][0].tolist() == pytest.approx([8, 17.08, 32, 17.92])
    assert "C4" in labels(one.yaxis)
    black = sum("#" in name for name in PITCHES[23:42])
    assert len(one.patches) == len(other.patches) == black


def test_wide_gaps_are_left_out_and_marked(drawn):
    cells = [(2, 0.0, 1.0, 1.0), (50, 0.0, 1.0, 1.0), (36, 3.0, 4.0, 1.0)]
    phrases([("a", cells, PITCHES)], ["x.png"], 32)
    axes = drawn[0].axes[0]
    assert axes.get_ylim() == (0, 3 + 1 + 17)  # rows 1-3 and 35-51; from 36 to 50 it is not far
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [3.5]
    assert boxes(axes)[0][:, 1].tolist() == pytest.approx([1.08, 19.08, 5.08])


def test_drums_stand_below_pitches_and_can_be_named(drawn):
    cells = [(0, 0.0, 1.0, 1.0), (27, 0.0, 8.0, 0.5)]
    phrases([("a trio", cells, (*DRUMS, *PITCHES))], ["x.png"], 256)
    axes = drawn[0].axes[0]
    assert {"kick", "snare", "closed hat", "C4"} <= set(labels(axes.yaxis))
    assert boxes(axes)[0][0, 1] < boxes(axes)[0][0, 3] < boxes(axes)[0][1, 1]
    assert labels(axes.xaxis) == [str(bar) for bar in range(1, 17)]


@pytest.mark.parametrize("steps", [16, 32, 64, 256])
@pytest.mark.parametrize("kind", GRID)
def test_every_kind_of_phrase_can_be_drawn(drawn, kind, steps):
    phrase = GRID[kind](steps)
    noise = torch.randint(0, 90, phrase.shape, generator=torch.Generator().manual_seed(0))
    x = noise.numpy() if kind in ("melody", "drums", "trio") else (noise < 9).float().numpy()
    panels = [("noise", phrase.cells(x), phrase.rows), ("silence", phrase.cells(0 * x), phrase.rows)]
    phrases(panels, ["x.png"], steps)
    assert inside(drawn[0])
    assert all(apart(axes.yaxis, "y0", "y1") for axes in drawn[0].axes)
    assert drawn[0].get_size_inches()[0] == WIDTH


@pytest.mark.parametrize("number", [1, 2, 3, 4, 12])
def test_panels_stand_in_a_grid_with_bars_below_the_lowest(drawn, number):
    phrases([("many words " * 9, BEAT, DRUMS)] * number, ["x.png"], 32)
    used = [axes for axes in drawn[0].axes if axes.axison]
    columns = min(number, 3)
    assert len(used) == number
    named = [axes.xaxis.get_tick_params()["labelbottom"] for axes in used]
    assert named == [place + columns >= number for place in range(number)]
    assert inside(drawn[0])


@given(st.sets(st.integers(0, 59), max_size=6))
def test_all_that_sounds_has_a_row(used):
    lanes = phrase_figures._lanes(PITCHES, used)
    assert used <= set(lanes.rows)
    assert len(lanes.rows) >= 13 or lanes.gaps
    edges = sorted(lanes.rows.values())
    assert edges[0][0] == 0
    assert edges[-1][1] == lanes.top
    assert all(low <= high for (_, low), (high, _) in itertools.pairwise(edges))


def test_attribute_table_has_a_number_a_cell(drawn):
    attribute_table(["a_b", "c"], ["x_y", "z", "w"], [[0.5, NAN, -2], [-0.001, 0, 1.999]], ["x.png"], "deviations")
    axes, scale = drawn[0].axes
    assert [text.get_text() for text in axes.texts] == ["+0.50", "-", "-2.00", "+0.00", "+0.00", "+2.00"]
    assert [text.get_color() for text in axes.texts] == ["black", "black", "white", "black", "black", "white"]
    assert labels(axes.xaxis) == ["x y", "z", "w"]
    assert labels(axes.yaxis) == ["a b", "c"]
    assert axes.images[0].get_clim() == (-2, 2)
    assert scale.get_ylabel() == "deviations"


@pytest.mark.parametrize("number", [1, 5, 6, 11])
def test_names_of_attributes_do_not_touch(drawn, number):
    names = [f"melody_syncopation_{n}" for n in range(number)]
    attribute_table(names, names, np.full((number, number), NAN), ["x.png"], "standard deviations of the data")
    axes = drawn[0].axes[0]
    assert apart(axes.xaxis, "x0", "x1")
    assert apart(axes.yaxis, "y0", "y1")
    assert inside(drawn[0])
    assert drawn[0].get_size_inches()[0] <= WIDTH


def test_strength_has_a_panel_an_attribute(drawn):
    rows = {
        "note_density": [(1, 0, 2), (2, 1, 3)],
        "other": [(5, 4, 6), (NAN, NAN, NAN)],
        "c": [(0, 0, 0)] * 2,
        "d": [(0, 0, 0)] * 2,
    }
    strength([-1, 2], rows, ["x.png"])
    first, second, *_ = drawn[0].axes
    assert first.get_title(loc="left") == "note density"
    assert first.lines[1].get_xydata().tolist() == [[-1, 1], [2, 2]]
    assert first.collections[0].get_paths()[0].vertices[:, 1].min() == 0
    np.testing.assert_array_equal(second.lines[1].get_ydata(), [5, NAN])
    assert [axes.axison for axes in drawn[0].axes] == [True] * 4 + [False] * 2
    assert inside(drawn[0])


def test_histograms_stand_side_by_side_as_shares(drawn):
    tables = {
        "first": (["a_b", "c"], {"test": [1, 3], "generated": torch.tensor([2.0, 2.0])}),
        "second": (["d", "e", "f"], {"generated": [0, 0, 0]}),
    }
    histograms(tables, ["x.png"])
    first, second = drawn[0].axes
    assert [bar.get_height() for bar in first.patches] == [0.25, 0.75, 0.5, 0.5]
    assert np.diff([bar.get_x() for bar in first.patches[::2]]).item() == pytest.approx(0.42)
    assert {bar.get_height() for bar in second.patches} == {0}
    assert labels(first.xaxis) == ["a b", "c"]
    assert legend(drawn[0]) == ["test", "generated"]
    assert first.patches[2].get_facecolor() == second.patches[0].get_facecolor()  # a set keeps its colour


@pytest.mark.parametrize(
    "names", [["x"], list(PITCHES), [f"{n:+d}" if n else "0" for n in range(-12, 13)], ["closed_hat", "a rather long name"] * 5]
)
def test_names_of_bins_do_not_touch(drawn, names):
    counts = np.arange(len(names)) + 1
    histograms({"many words " * 9: (names, {"test": counts}), "b": (names, {"test": counts})}, ["x.png"])
    assert inside(drawn[0])
    assert all(apart(axes.xaxis, "x0", "x1") for axes in drawn[0].axes)
    assert ("0" in names) <= ("0" in labels(drawn[0].axes[0].xaxis))


def test_interpolation_draws_means_and_the_middle_half(drawn):
    start = np.array([[0.0, 0.2, 1.0], [0.0, 0.6, 0.8], [0.0, 0.4, 0.9]])
    interpolation({"latents": (start, 1 - start), "mixed": (start, 1 - start)}, ["x.png"])
    axes = drawn[0].axes[0]
    to_start, to_end, other, _ = axes.lines
    np.testing.assert_allclose(to_start.get_xydata(), [[0, 0], [0.5, 0.4], [1, 0.9]])
    np.testing.assert_allclose(to_end.get_ydata(), [1, 0.6, 0.1], atol=1e-12)
    assert (to_start.get_linestyle(), to_end.get_linestyle()) == ("-", "--")
    assert (to_start.get_color(), other.get_color()) == COLOURS[:2]
    band = axes.collections[0].get_paths()[0].vertices
    assert sorted({round(float(y), 6) for x, y in band if x == 0.5}) == [0.3, 0.5]
    assert legend(drawn[0]) == ["latents", "mixed", "from the start", "from the end"]
    assert inside(drawn[0])
