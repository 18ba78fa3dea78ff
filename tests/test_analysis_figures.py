"""The drawings hold what they were given, whole and in the right place, and survive what is missing."""

import itertools
import warnings

import numpy as np
import pytest

from utils import analysis_figures
from utils.analysis_figures import (
    COLOURS,
    DRAWN,
    class_use,
    comparison,
    confusions,
    examples,
    generated_pitch,
    latent_map,
    latent_use,
    loudness,
)

NAN = float("nan")
FREQUENCIES = np.geomspace(30, 11000, 40)


def words(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots(axes):
    """Return the points that are drawn without a line, (N, 2)."""
    return np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() not in ("None", "", None)])


def draw_all(paths):
    """Draw one of each kind, with names that could be read as mathematics."""
    random = np.random.default_rng(0)
    confusions({"a $x": (np.eye(3), ["$", "$\\frac", "c_1"])}, paths[:2])
    latent_map({"signal $": random.normal(size=(9, 2))}, {"signal $": np.arange(9) % 2}, ["$a", "b$"], "$", ("x$", "y"), paths[2:4])
    latent_use({"s": np.arange(3.0)}, {"s": np.arange(3.0)}, paths[4:6])
    examples([("$a$ $", {"$": random.random((40, 5))})], FREQUENCIES, paths[6:8])
    comparison({"$": {"a$": (0.5, 0.4, 0.6)}}, paths[8:10])
    generated_pitch(np.array([60, 61]), np.array([3.0, NAN]), paths[10:12])
    loudness({"$C4": np.array([-20.0, -10])}, ["$p", "f"], paths[12:14])
    class_use(random.random((2, 3)), random.random((2, 3)), ["$a", "b$"], "$", paths[14:])


def test_every_drawing_is_written_to_every_path(tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in "abcdefgh" for kind in ("png", "pdf")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_all(paths)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_styles_do_not_leak(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    loudness({"C4": np.array([0.0, 1])}, ["p", "f"], [tmp_path / "a.png"])
    assert dict(matplotlib.rcParams) == before


def test_confusions_are_shares_of_rows_without_absent_classes(drawn):
    counts = np.array([[3, 0, 1, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]])
    confusions({"octave": (counts, list("abcd"))}, ["x.png"])
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert axes.images[0].get_clim() == (0, 1)
    assert labels(axes.xaxis) == labels(axes.yaxis) == ["a", "c"]
    assert words(axes) == ["3", "1", "2"]
    assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0), (1, 1)]


def test_a_class_that_is_named_but_never_true_is_kept(drawn):
    confusions({"x": (np.array([[0, 1], [0, 0]]), "ab")}, ["x.png"])
    np.testing.assert_allclose(drawn[0].axes[0].images[0].get_array(), [[0, 1], [0, 0]])


def test_counts_are_left_out_where_they_do_not_fit(drawn):
    confusions({"few": (np.eye(12) * 999, range(12)), "many": (np.eye(12) * 99999, range(12))}, ["x.png"])
    assert [len(words(axes)) for axes in drawn[0].axes[:2]] == [12, 0]


def test_confusions_of_nothing(drawn):
    confusions({"x": (np.zeros((3, 3)), "abc")}, ["x.png"])
    assert labels(drawn[0].axes[0].xaxis) == []


@pytest.mark.parametrize(("number", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3))])
def test_confusions_stand_three_in_a_row(drawn, number, shape):
    confusions({str(n): (np.eye(2), "ab") for n in range(number)}, ["x.png"])
    shown = [axes for axes in drawn[0].axes if axes.images]
    assert len(shown) == number
    assert shown[0].get_subplotspec().get_gridspec().get_geometry() == shape


def test_latent_map_draws_both_modalities_in_the_colours_of_their_classes(drawn):
    points = {"signal": np.array([[0.0, 1], [2, 3]]), "symbol": np.array([[4.0, 5]])}
    latent_map(points, {"signal": np.array([0, 2]), "symbol": np.array([2])}, ["a", "b", "c"], "map", ("x", "y"), ["x.png"])
    signal, _, symbol = drawn[0].axes[0].collections[:3]
    np.testing.assert_array_equal(signal.get_offsets(), points["signal"])
    np.testing.assert_array_equal(symbol.get_offsets(), points["symbol"])
    assert signal.get_facecolor()[1, :3].tolist() == symbol.get_facecolor()[0, :3].tolist()
    assert signal.get_paths()[0].vertices.shape != symbol.get_paths()[0].vertices.shape
    assert legend(drawn[0]) == ["signal", "symbol", "a", "c"]


def test_latent_map_thins_out_evenly(drawn):
    line = np.arange(10_000.0)
    points = {"signal": np.stack([line, line], 1), "symbol": np.zeros((5, 2))}
    latent_map(points, {"signal": np.zeros(10_000, int), "symbol": np.zeros(5, int)}, ["a"], "", ("", ""), ["x.png"])
    signal, _, symbol = (collection.get_offsets() for collection in drawn[0].axes[0].collections[:3])
    assert len(signal) == DRAWN // 2
    assert (signal[0, 0], signal[-1, 0]) == (0, 9999)
    assert set(np.diff(signal[:, 0])) <= {5, 6}
    assert len(symbol) == 5


SEEN = {  # linear RGB as it is seen: Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, severity 1
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(linear):
    """Return linear sRGB (N, 3) in CIELAB, white D65."""
    xyz = linear @ XYZ.T / XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


@pytest.mark.parametrize("eye", SEEN)
def test_colours_stay_apart_for_the_colour_blind(eye):
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(colour) for colour in COLOURS])
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    seen = lab(np.clip(linear @ np.transpose(SEEN[eye]), 0, 1))
    distances = np.linalg.norm(seen[:, None] - seen, axis=2)
    assert distances[~np.eye(len(COLOURS), dtype=bool)].min() > 16


@pytest.mark.parametrize("order", ["none", "line", "circle"])
@pytest.mark.parametrize("number", [1, 5, 12, 40])
def test_classes_have_different_colours(order, number):
    colours = analysis_figures.class_colours(number, order)
    assert colours.shape == (number, 4)
    assert len(np.unique(colours.round(4), axis=0)) == number


def test_a_circle_of_colours_closes():
    colours = analysis_figures.class_colours(12, "circle")
    steps = np.abs(np.diff(colours, axis=0, append=colours[:1])).sum(1)
    assert steps.max() < 2 * steps.min()


def test_latent_use_sorts_by_the_first_modality(drawn):
    kl = {"signal": np.array([0.1, 3, 1]), "symbol": np.array([0.2, 0.3, 0.4])}
    spread = {"signal": np.array([0.001, 0.9, 0.0]), "symbol": np.array([0.5, 0.6, 0.7])}
    latent_use(kl, spread, ["x.png"])
    above, below = drawn[0].axes
    heights = [[bar.get_height() for bar in bars] for axes in (above, below) for bars in axes.containers]
    assert heights == [[3, 1, 0.1], [0.3, 0.4, 0.2], [0.9, 1e-5, 0.001], [0.6, 0.7, 0.5]]
    assert labels(below.xaxis) == ["1", "2", "0"]
    assert below.lines[0].get_ydata()[0] == 0.01
    assert below.get_ylim()[0] < 0.01 < below.get_ylim()[1]


def test_latent_use_of_a_collapsed_model(drawn):
    latent_use({"s": np.zeros(100)}, {"s": np.zeros(100)}, ["x.png"])
    low, high = drawn[0].axes[1].get_ylim()
    assert low < 0.01 < high


def test_class_use_leaves_out_classes_without_examples(drawn):
    spread, deviation = np.array([[0.0, 2, 1], [NAN, NAN, NAN], [0.5, 0, 0]]), np.array([[1, 0.1, 0.5], [NAN] * 3, [0.9, 1, 1]])
    class_use(spread, deviation, ["a", "b", "c"], "octave", ["x.png"])
    above, below = drawn[0].axes[:2]
    np.testing.assert_array_equal(above.images[0].get_array(), spread[[0, 2]])
    np.testing.assert_array_equal(below.images[0].get_array(), deviation[[0, 2]])
    assert above.images[0].get_clim() == (0, 2)
    assert below.images[0].get_clim() == (0, 1)
    assert labels(above.yaxis) == labels(below.yaxis) == ["a", "c"]
    assert labels(below.xaxis) == ["0", "1", "2"]
    titles = ["octave: standard deviation of the means", "octave: mean standard deviation of the posterior"]
    assert [axes.get_title(loc="left") for axes in (above, below)] == titles
    deep, light = (below.images[0].cmap(level)[:3] for level in (0.0, 1.0))
    assert sum(deep) < sum(light)  # a sure posterior is dark, as is a wide spread
    assert sum(above.images[0].cmap(1.0)[:3]) < sum(above.images[0].cmap(0.0)[:3])


@pytest.mark.parametrize(("classes", "dimensions"), [(1, 1), (1, 3), (12, 64), (300, 700)])
def test_class_use_is_readable(drawn, classes, dimensions):
    """Numbers and names do not touch, and a figure of very many stays within bounds."""
    values = np.random.default_rng(0).random((classes, dimensions))
    class_use(values, values, [f"English-Horn {k}" for k in range(classes)], "instrument", ["x.png"])
    above, below = drawn[0].axes[:2]
    assert (drawn[0].get_size_inches() <= (12.5, 18)).all()
    for axis, low, high in ((below.xaxis, "x0", "x1"), (above.yaxis, "y0", "y1")):
        boxes = sorted((label.get_window_extent() for label in axis.get_ticklabels()), key=lambda box: getattr(box, low))
        assert all(getattr(a, high) <= getattr(b, low) + 1 for a, b in itertools.pairwise(boxes))
    assert len(labels(below.xaxis)) == (dimensions if dimensions <= 64 else 70)


def test_examples_are_in_decibels_on_one_scale_a_row(drawn):
    loud, soft = np.ones((40, 3)), np.full((40, 2), 0.1)
    examples([("one", {"original": loud, "other": soft}), ("two", {"original": soft})], FREQUENCIES, ["x.png"])
    levels = [axes.images[0].get_array().max() for axes in drawn[0].axes if axes.images]
    np.testing.assert_allclose(levels, [0, -20, 0])
    pitch = drawn[0].axes[0]
    assert dict(zip(labels(pitch.yaxis), pitch.get_yticks(), strict=True))["2000"] == pytest.approx(
        np.interp(2000, FREQUENCIES, np.arange(40))
    )


def test_examples_of_silence_and_of_one_frame(drawn):
    examples([("silence", {"original": np.zeros((40, 1))})], FREQUENCIES, ["x.png"])
    assert np.isfinite(drawn[0].axes[0].images[0].get_array()).all()


def test_comparison_keeps_a_run_in_its_line(drawn):
    metrics = {
        "first": {"a": (0.5, 0.4, 0.6), "b": (0.7, NAN, NAN)},
        "second": {"b": (1.0, 0.9, 1.1)},
        "third": {"c": (NAN, NAN, NAN)},
    }
    comparison(metrics, ["x.png"])
    first, second, third = drawn[0].axes[:3]
    assert dots(first).tolist() == [[0.5, 0], [0.7, 1]]
    assert dots(second).tolist() == [[1.0, 1]]
    assert np.isnan(dots(third)[0, 0])
    assert first.lines[0].get_xdata().tolist() == [0.4, 0.6]
    assert labels(first.yaxis) == ["a", "b", "c"]
    assert first.get_ylim() == (2.5, -0.5)
    assert second.lines[1].get_color() == COLOURS[1]


def test_comparison_of_more_runs_than_colours(drawn):
    comparison({"x": {str(n): (n, n - 1, n + 1) for n in range(20)}}, ["x.png"])
    assert len(dots(drawn[0].axes[0])) == 20


def test_generated_pitch_tells_near_from_far_from_none(drawn):
    generated_pitch(np.array([60, 61, 62, 63, 64]), np.array([50.0, -50.5, NAN, -1200, 7000]), ["x.png"])
    near, far, none = drawn[0].axes[0].lines
    assert near.get_xydata().tolist() == [[60, 50]]
    assert far.get_xydata().tolist() == [[61, -50.5], [63, -1200], [64, 7000]]
    assert none.get_xdata().tolist() == [62]
    assert legend(drawn[0]) == ["within 50: 1", "further off: 3", "no pitch: 1"]
    assert drawn[0].axes[0].get_ylim()[1] > 7000
    assert labels(drawn[0].axes[0].xaxis) == ["C4"]


def test_generated_pitch_where_none_was_heard(drawn):
    generated_pitch(np.array([60]), np.array([NAN]), ["x.png"])
    assert legend(drawn[0])[-1] == "no pitch: 1"


def test_loudness_names_a_few_notes(drawn):
    loudness({"C4": np.array([-30.0, NAN, -10]), "C5": np.array([-20.0, -15, -9])}, ["p", "mf", "f"], ["x.png"])
    assert legend(drawn[0]) == ["C4", "C5"]
    assert labels(drawn[0].axes[0].xaxis) == ["p", "mf", "f"]


def test_loudness_draws_the_mean_of_many(drawn):
    levels = {str(n): np.array([float(n), NAN, NAN if n else 4.0]) for n in range(9)}
    loudness(levels, ["p", "mf", "f"], ["x.png"])
    assert legend(drawn[0]) == ["a note", "mean"]
    np.testing.assert_array_equal(drawn[0].axes[0].lines[-1].get_ydata(), [4, NAN, 4])
