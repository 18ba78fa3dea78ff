"""The drawings of a space hold what they were given, name it where it can be read, and survive what is missing."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import analysis_figures, space_figures
from utils.mds_figures import beside_ratings
from utils.space_figures import agreement, ellipse, ellipses, matrices, path_sheet, scatter

NAN = float("nan")
NAMES = (
    "Clarinet-Bb", "Alto-Sax", "Trumpet-C", "Violoncello", "French-Horn", "Oboe", "Flute", "English-Horn", "Bassoon",
    "Tenor-Trombone", "Piano", "Violin",
)  # fmt: skip
FREQUENCIES = np.geomspace(30, 11000, 40)
AXES = ("axis 1", "axis 2", "axis 3")


def cloud(dimensions, each=20, classes=12):
    """Return points (N, D) around classes, and their classes (N,)."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(classes, 1, dimensions))
    return (centres + 0.2 * random.normal(size=(classes, each, dimensions))).reshape(-1, dimensions), np.repeat(
        range(classes), each
    )


def words(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def lines(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


def boxes(axes):
    """Return where the names stand, without their lines, (K, 4) pixels."""
    from matplotlib.text import Text

    return np.array([Text.get_window_extent(text).extents for text in axes.texts])


def draw_all(*paths):
    """Draw one of each kind, with names that could be read as mathematics."""
    random = np.random.default_rng(0)
    points, ids = cloud(3)
    ellipses(points[:, :2], ids, NAMES, "$", ("$x", "y"), [paths[0]])
    ellipses(points, ids, ("$\\frac", *NAMES[1:]), "t", AXES, [paths[1]], ["Violin"])
    scatter({"$a": (np.arange(5.0) / 5, np.array([1.0, 3, 2, 5, 4]), ["$a, b", *"bcde"])}, [paths[2]])
    matrices({"m $": np.array([[0, 1], [NAN, 0]])}, ["$a", "b$"], [paths[3]])
    agreement({"$k": {"r $": (0.5, 0.4, 0.6), "other": 0.2}}, {"$k": 0.9}, [paths[4]])
    path_sheet({"a$": np.zeros(3), "b": np.ones(3)}, random.random((30, 3)), random.random((8, 40)), FREQUENCIES, [paths[5]], "$")


def test_every_drawing_is_written_in_readable_letters_and_leaves_no_style(tmp_path, monkeypatch):
    import matplotlib
    from matplotlib.image import imread
    from matplotlib.text import Text

    sizes, save = [], analysis_figures.save

    def measured(figure, path):
        save(figure, path)
        sizes.extend(text.get_fontsize() for text in figure.findobj(Text) if text.get_text())

    monkeypatch.setattr(analysis_figures, "save", measured)

    before = dict(matplotlib.rcParams)
    paths = [tmp_path / f"{name}.png" for name in "abcdef"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_all(*paths)
    assert sorted(tmp_path.iterdir()) == paths
    for path in paths:
        picture = imread(path)[..., :3]
        assert picture.std() > 0.02
        assert picture.shape[1] <= 900
    assert min(sizes) >= 8
    assert dict(matplotlib.rcParams) == before


def test_names_and_titles_are_in_the_file(tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        matrices({"listeners": 1 - np.eye(12)}, NAMES, [tmp_path / "a.svg"])
        agreement({name: {"Pearson": 0.5} for name in NAMES}, {}, [tmp_path / "b.svg"])
    for name in "ab":
        text = (tmp_path / f"{name}.svg").read_text()
        assert all(f">{word}<" in text for word in NAMES)


def test_an_ellipse_is_the_square_root_of_the_covariance():
    turn = np.deg2rad(30)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    points = np.array([5.0, -1]) + np.stack([3 * along, -3 * along, across, -across])
    found = ellipse(points)
    np.testing.assert_allclose(found.centre, [5, -1])
    np.testing.assert_allclose(found.axes, [3 / np.sqrt(2), 1 / np.sqrt(2)])
    assert found.angle == pytest.approx(turn)


@given(st.integers(0, 1000), st.integers(3, 30))
def test_an_outline_is_one_standard_deviation_from_the_mean(seed, number):
    points = np.random.default_rng(seed).normal(size=(number, 2)) * (3, 0.5)
    away = ellipse(points).outline() - points.mean(0)
    distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(points.T, bias=True)), away)  # Mahalanobis, squared
    np.testing.assert_allclose(distance, 1, rtol=1e-6)
    np.testing.assert_allclose(np.ptp(away, axis=0) / 2, points.std(0), rtol=0.01)  # its box


def test_ellipses_of_one_and_of_two_points():
    one, two = ellipse(np.array([[2.0, 3]])), ellipse(np.array([[0.0, 0], [0, 4]]))
    np.testing.assert_allclose(one.outline(), np.tile([2.0, 3], (101, 1)))
    np.testing.assert_allclose(two.axes, [2, 0], atol=1e-12)
    assert two.angle == pytest.approx(np.pi / 2)


def test_a_plane_has_every_class_that_is_there(drawn):
    points, ids = cloud(2)
    kept = ids != 3
    ellipses(points[kept], ids[kept], NAMES, "title", ("a", "b"), ["x.png"])
    axes = drawn[0].axes[0]
    assert sorted(words(axes)) == sorted({*NAMES} - {"Violoncello"})
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a", "b")
    means = np.concatenate([line.get_xydata() for line in axes.lines if line.get_markersize() == 7])
    np.testing.assert_allclose(means, [points[ids == k].mean(0) for k in range(12) if k != 3])
    assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(axes.get_ylim()))


def test_three_dimensions_are_seen_from_four_sides(drawn):
    points, ids = cloud(3)
    ellipses(points, ids, NAMES, "title", AXES, ["x.png"])
    *planes, view = drawn[0].axes
    assert [(axes.get_xlabel()[-1], axes.get_ylabel()[-1]) for axes in planes] == [("1", "2"), ("1", "3"), ("2", "3")]
    assert [sorted(words(axes)) for axes in drawn[0].axes] == [sorted(NAMES)] * 4
    first = planes[2].lines[2].get_xydata()[0]
    np.testing.assert_allclose(first, points[ids == 0].mean(0)[1:])
    seen = space_figures._projected(view, points)
    np.testing.assert_allclose(view.lines[2].get_xydata()[0], seen[ids == 0].mean(0))
    assert (np.abs(seen) < 0.1).all()  # within the view, whose plane is 0.2 wide


def test_names_hide_neither_each_other_nor_means(drawn):
    points, ids = cloud(2)
    ellipses(points, ids, NAMES, "title", ("a", "b"), ["x.png"])
    axes = drawn[0].axes[0]
    named = boxes(axes)
    shared = [space_figures._shared(box[None], np.delete(named, k, 0))[0] for k, box in enumerate(named)]
    assert max(shared) == 0
    at = axes.transData.transform([points[ids == k].mean(0) for k in range(12)])
    assert space_figures._shared(named, np.hstack([at - 3, at + 3])).max() == 0
    assert (named[:, :2] >= axes.bbox.min).all()
    assert (named[:, 2:] <= axes.bbox.max).all()


def test_highlighted_classes_leave_the_colours_of_the_others(drawn):
    points, ids = cloud(2, classes=4)
    ellipses(points, ids, ["new", "a", "b", "c"], "", ("", ""), ["x.png"], highlighted=["new"])
    ellipses(points[20:], ids[20:] - 1, ["a", "b", "c"], "", ("", ""), ["y.png"])
    marked, plain = (figure.axes[0] for figure in drawn)
    assert len(lines(marked, "D")) == 1
    assert lines(plain, "D") == []
    assert [line.get_color()[:3].tolist() for line in marked.lines[3:]] == [line.get_color()[:3].tolist() for line in plain.lines]
    assert {text.get_weight() for text in marked.texts if text.get_text() == "new"} == {"bold"}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_map_of_degenerate_classes(drawn, dimensions):
    points = np.array([[0.0, 0, 0], [1, 1, 1], [1, 1, 2], [NAN, 0, 0], [2, 2, 2]])[:, :dimensions]
    ellipses(points, np.array([0, 1, 1, 2, 0]), ["one", "two", "gone"], "", AXES[:dimensions], ["x.png"])
    assert sorted(words(drawn[0].axes[0])) == ["one", "two"]


@pytest.mark.parametrize("points", [np.zeros((5, 3)), np.full((5, 3), NAN), np.empty((0, 3)), np.ones((1, 2))])
def test_a_map_of_a_single_place_or_none(drawn, points):
    ellipses(points, np.zeros(len(points), int), ["a"], "", AXES[: points.shape[1]], ["x.png"])
    assert len(words(drawn[0].axes[0])) == (len(points) > 0 and np.isfinite(points).all())


def test_a_map_thins_out_evenly_and_is_not_spread_by_one_point(drawn):
    points, ids = cloud(2, each=1000)
    points[5] = 1e6
    ellipses(points, ids, NAMES, "", ("", ""), ["x.png"])
    axes = drawn[0].axes[0]
    dots = [len(line.get_xdata()) for line in axes.lines if line.get_markersize() == 2.5]
    assert sum(dots) == space_figures.DRAWN
    assert max(dots) - min(dots) <= 1
    assert axes.get_xlim()[1] < 1e5


def test_a_shepard_diagram_has_the_line_of_least_squares(drawn):
    ratings = np.linspace(0.1, 1, 10)
    distances = 2 * ratings + 0.5
    distances[4] += 1
    scatter({"kind": (np.append(ratings, NAN), np.append(distances, 3), [f"p{k}" for k in range(11)])}, ["x.png"])
    axes = drawn[0].axes[0]
    expected = np.polyfit(ratings, distances, 1)
    line = axes.lines[2]
    assert line.get_slope() == pytest.approx(expected[0])
    assert line._xy1 == pytest.approx((0, expected[1]))
    r = np.corrcoef(ratings, distances)[0, 1]
    assert axes.get_title(loc="left") == f"kind\nr = {r:.2f}, 10 pairs"
    assert "p4" in words(axes)
    assert len(words(axes)) == space_figures.LABELLED
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.stack([ratings, distances], 1))


@pytest.mark.parametrize(
    ("ratings", "distances", "pairs"),
    [([0.5, 0.5, 0.5], [1, 2, 3], 3), ([0.1, 0.5, NAN], [1, 2, 3], 2), ([NAN], [1], 0), ([0.1, 0.2, 0.3], [0, 0, 0], 3)],
)
def test_a_diagram_without_correlation_says_so(drawn, ratings, distances, pairs):
    scatter({"x": (np.array(ratings, float), np.array(distances, float), "abc")}, ["x.png"])
    assert drawn[0].axes[0].get_title(loc="left") == f"x\nno correlation, {pairs} pairs"


def test_diagrams_stand_two_in_a_row(drawn):
    one = (np.arange(4.0), np.arange(4.0), "abcd")
    scatter(dict.fromkeys("abc", one), ["x.png"])
    shown = [axes for axes in drawn[0].axes if axes.axison]
    assert len(shown) == 3
    assert shown[0].get_subplotspec().get_gridspec().get_geometry() == (2, 2)


def test_matrices_have_mean_one_on_one_scale(drawn):
    small = np.array([[0, 1, 2], [1, 0, NAN], [2, NAN, 0]])
    matrices({"small": small, "large": 100 * (1 - np.eye(3))}, ["a", "b", "c"], ["x.png"])
    one, two = (axes.images[0] for axes in drawn[0].axes[:2])
    np.testing.assert_allclose(np.ma.filled(one.get_array(), NAN), small / 1.5)
    np.testing.assert_allclose(two.get_array(), 1 - np.eye(3))
    assert one.get_clim() == two.get_clim() == (0, pytest.approx(2 / 1.5))
    assert drawn[0].axes[0].patch.get_hatch()
    assert labels(drawn[0].axes[0].xaxis) == labels(drawn[0].axes[0].yaxis) == ["a", "b", "c"]


@pytest.mark.parametrize("matrix", [np.full((3, 3), NAN), np.zeros((3, 3)), np.diag([0, NAN, 0])])
def test_matrices_of_nothing(drawn, matrix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrices({"x": matrix}, "abc", ["x.png"])
    assert drawn[0].axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("number", "classes", "shape"), [(1, 12, (1, 1)), (3, 12, (1, 3)), (4, 12, (2, 2)), (3, 19, (2, 2)), (2, 40, (2, 1))]
)
def test_matrices_stand_as_many_in_a_row_as_have_room_for_names(drawn, number, classes, shape):
    matrices({str(k): np.zeros((classes, classes)) for k in range(number)}, list(range(classes)), ["x.png"])
    grid = [axes for axes in drawn[0].axes if axes.images]
    assert grid[0].get_subplotspec().get_gridspec().get_geometry() == shape
    assert all(any(label.get_visible() for label in axes.get_xticklabels()) for axes in grid[-shape[1] :])


def test_agreement_keeps_a_kind_in_its_line(drawn):
    rows = {
        "one": {"Pearson": (0.5, 0.4, 0.6), "Kendall": 0.3},
        "two": {"Pearson": NAN},
        "three": {"Pearson": -0.2, "Kendall": 0.1},
    }
    agreement(rows, {"three": 0.9}, ["x.png"])
    first, second = drawn[0].axes
    assert [first.get_title(loc="left"), second.get_title(loc="left")] == ["Pearson", "Kendall"]
    np.testing.assert_array_equal(first.lines[0].get_xydata(), [[0.5, 0], [NAN, 1], [-0.2, 2]])
    np.testing.assert_array_equal(second.lines[0].get_xydata(), [[0.3, 0], [NAN, 1], [0.1, 2]])
    spans = [segment.tolist() for segment in first.collections[0].get_segments() if len(segment)]
    assert spans[0] == [[0.4, 0], [0.6, 0]]
    ceilings = [segment.tolist() for segment in first.collections[1].get_segments() if np.isfinite(segment).all() and len(segment)]
    assert ceilings == [[[0.9, 1.6], [0.9, 2.4]]]
    assert labels(first.yaxis) == ["one", "two", "three"]
    assert first.get_ylim() == (2.5, -0.5)
    assert drawn[0].legends


def test_agreement_without_ceilings(drawn):
    agreement({"one": {"Pearson": NAN}}, {}, ["x.png"])
    assert drawn[0].legends == []


def test_agreement_of_ten_kinds_can_be_read(drawn):
    agreement({name: dict.fromkeys("abcd", 0.5) for name in NAMES[:10]}, {}, ["x.png"])
    ticks = [label.get_window_extent() for label in drawn[0].axes[0].get_yticklabels()]
    assert all(below.y1 <= above.y0 for above, below in itertools.pairwise(ticks))


def test_a_path_sheet_has_the_path_and_equal_steps_of_spectra(drawn):
    points = dict(zip(NAMES, np.random.default_rng(0).normal(size=(12, 3)), strict=True))
    path = np.linspace(points["Flute"], points["Oboe"], 50)
    spectra = np.geomspace(1, 1e-3, 8)[:, None] * np.ones(40)
    path_sheet(points, path, spectra, FREQUENCIES, ["x.png"], "from Flute to Oboe")
    view, *panels = drawn[0].subfigs[0].axes + drawn[0].subfigs[1].axes
    assert sorted(words(view)) == sorted([*NAMES, "0%", "100%"])
    assert [axes.get_title(loc="left").split("%")[0] for axes in panels] == ["0", "14", "29", "43", "57", "71", "86", "100"]
    np.testing.assert_allclose([axes.lines[0].get_ydata()[0] for axes in panels], np.linspace(0, -60, 8), atol=1e-9)
    assert panels[0].get_xscale() == "log"
    dots = np.stack(view.collections[1]._offsets3d, 1)
    np.testing.assert_allclose(dots, path[[0, 7, 14, 21, 28, 35, 42, 49]])


def test_a_path_sheet_of_silence_that_stays_where_it_is(drawn):
    frequencies = np.linspace(0, 8000, 20)  # a band at 0 Hz has no place on a logarithmic axis
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path_sheet({"a": np.zeros(3)}, np.zeros((2, 3)), np.zeros((8, 20)), frequencies, ["x.png"], "")
    level = drawn[0].subfigs[1].axes[0].lines[0].get_ydata()
    assert np.isfinite(level).all()


def test_places_beside_those_of_the_ratings(tmp_path):
    names = [f"n{k}" for k in range(5)]
    places = np.random.default_rng(0).standard_normal((5, 2))
    ratings = np.linalg.norm(places[:, None] - places[None], axis=-1)
    ratings[4, :4] = ratings[:4, 4] = np.nan  # one that nobody rated
    turned = np.pad(places @ np.array([[0.0, -2.0], [2.0, 0.0]]), ((0, 0), (0, 3)))
    beside_ratings(ratings, turned, names, [tmp_path / "a.svg"])
    drawn = (tmp_path / "a.svg").read_text()
    assert "stress-1 0.00" in drawn and "0% of the places" in drawn
