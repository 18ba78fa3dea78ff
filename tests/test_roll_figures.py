"""The drawings of piano-rolls hold what they were given, in the colours of its key, and stay readable at any length."""

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import scores
from data.keys import LABELS, Key
from data.rolls import KEYS, from_steps
from utils import roll_figures
from utils.analysis_figures import COLOURS
from utils.roll_figures import COLUMNS, INKS, WIDEST, in_key, key_accuracy, key_path, rolls

NAN = float("nan")
CHORALES = Path(__file__).parent.parent.parent / "shared" / "data" / "jsb" / "jsb_all.json"
CADENCE = from_steps([[48, 60, 64, 67], [53, 60, 65, 69], [55, 59, 65, 67], [48, 60, 64, 70]])  # in C, but for the last
C = Key("C").scale


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def codes(axes):
    """Return the codes (columns, 88) that a roll is drawn with, 0 where it is silent."""
    return axes.images[0].get_array().filled(0).T


def noise(length, seed=0):
    return np.random.default_rng(seed).random((length, KEYS)) < 0.05


def softmax(length, classes):
    weights = np.exp(np.random.default_rng(0).normal(size=(length, classes)))
    return weights / weights.sum(1, keepdims=True)


def inside(figure):
    """Return whether all that is drawn lies within the figure, up to a pixel."""
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return min(box.x0, box.y0) >= -0.01 and box.x1 <= width + 0.01 and box.y1 <= height + 0.01


def apart(axis, low, high):
    """Return whether the names beside an axis do not touch."""
    boxes = sorted((label.get_window_extent() for label in axis.get_ticklabels()), key=lambda box: getattr(box, low))
    return all(getattr(a, high) <= getattr(b, low) + 1 for a, b in itertools.pairwise(boxes))


def draw_all(paths):
    """Draw one of each kind, with names that could be read as mathematics."""
    rolls([("$\\frac", CADENCE), ("b$", CADENCE[:2])], paths[:2], scales=[C, None], seeds=[1, 0])
    key_path(CADENCE, softmax(4, 3), ["$a", "$", "c_1$"], paths[2:4], scale=C)
    in_key({"$\\frac": (0.5, 0.4, 0.6)}, 7 / 12, paths[4:6])
    key_accuracy({"$\\frac": {"frame$": (0.5, 0.4, 0.6)}}, paths[6:8])


def test_every_drawing_is_written_to_every_path(tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in "abcd" for kind in ("png", "pdf")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_all(paths)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_notes_are_drawn_in_the_colours_of_the_key(drawn):
    rolls([("in C", CADENCE), ("no key", CADENCE)], ["x.png"], scales=[C, None])
    keyed, plain = drawn[0].axes
    expected = CADENCE * 2
    expected[3, 70 - 21] = 3
    np.testing.assert_array_equal(codes(keyed), expected)
    np.testing.assert_array_equal(codes(plain), CADENCE)
    assert [axes.get_title(loc="left") for axes in drawn[0].axes] == ["in C", "no key"]
    assert legend(drawn[0]) == ["in key", "out of key"]
    image = keyed.images[0]
    assert [image.cmap(image.norm(code)) for code in (2, 3)] == [image.cmap(1), image.cmap(2)]
    assert np.allclose(image.cmap(2)[:3], [int(INKS["out of key"][i : i + 2], 16) / 255 for i in (1, 3, 5)])


@given(st.sampled_from(LABELS), st.lists(st.integers(21, 108), min_size=1, max_size=5))
def test_colour_tells_whether_a_pitch_is_on_the_scale(label, pitches):
    from matplotlib.figure import Figure

    axes, scale = Figure().add_subplot(), Key(label).scale
    roll_figures._roll(axes, from_steps([pitches]), 1, frozenset(scale))
    shown = codes(axes)[0]
    assert {21 + column: code for column, code in enumerate(shown) if code} == {
        pitch: 2 if pitch % 12 in scale else 3 for pitch in pitches
    }


def test_rows_share_pitches_and_quarter_notes(drawn):
    rolls([("a", CADENCE), ("b", from_steps([[84]] * 12))], ["x.png"], steps=4)
    above, below = drawn[0].axes
    assert above.get_ylim() == below.get_ylim() == (46.5, 85.5)  # 48 to 84 and a semitone around
    assert labels(above.yaxis) == ["C3", "C4", "C5", "C6"]
    assert above.get_yticks().tolist() == [48, 60, 72, 84]
    assert above.get_xlim() == below.get_xlim() == (0, 3)
    assert [axes.images[0].get_extent() for axes in (above, below)] == [[0, 1, 20.5, 108.5], [0, 3, 20.5, 108.5]]
    assert below.get_xlabel() == "quarter notes"
    assert legend(drawn[0]) == []


def test_what_was_given_is_shaded_and_what_is_left_is_hatched(drawn):
    rolls([("a", noise(8)), ("b", noise(6))], ["x.png"], steps=2, seeds=[0, 4])
    first, second = drawn[0].axes
    assert len(first.patches) == len(first.lines) == 0
    given, rest = second.patches
    assert (given.get_x(), given.get_width()) == (0, 2)
    assert (rest.get_x(), rest.get_width(), rest.get_hatch()) == (3, 1, "///")
    assert second.lines[0].get_xdata() == [2, 2]
    assert legend(drawn[0]) == ["given"]


@pytest.mark.parametrize("length", [1, 60, 999, 1001, 5000])
def test_long_rolls_keep_every_note_and_the_width(drawn, length):
    roll = np.zeros((length, KEYS), bool)
    roll[length // 2, 40] = roll[-1, 41] = True
    rolls([("a", roll)], ["x.png"], steps=4)
    axes = drawn[0].axes[0]
    shown = codes(axes)
    some = -(-length // COLUMNS)
    assert len(shown) <= COLUMNS
    assert np.argwhere(shown).tolist() == [[length // 2 // some, 40], [(length - 1) // some, 41]]
    assert axes.images[0].get_extent()[1] == len(shown) * some / 4
    assert drawn[0].get_size_inches()[0] <= WIDEST
    assert apart(axes.xaxis, "x0", "x1")
    assert inside(drawn[0])


@pytest.mark.parametrize("roll", [np.zeros((0, KEYS)), np.zeros((1, KEYS)), np.zeros((9, KEYS), bool)], ids=len)
def test_silence_shows_an_octave(drawn, roll):
    rolls([("a", roll)], ["x.png"], scales=[C])
    key_path(roll, np.full((len(roll), 2), 0.5), ["a", "b"], ["x.png"])
    for figure in drawn:
        assert figure.axes[0].get_ylim() == (53.5, 66.5)
        assert labels(figure.axes[0].yaxis) == ["C4"]
        assert figure.axes[-1].get_xlim() == (0, len(roll) or 1)


@given(st.lists(st.integers(21, 108), max_size=4))
def test_pitches_shown_are_all_that_sound_and_a_c(pitches):
    low, high = roll_figures._span([from_steps([[]]), from_steps([pitches])])
    assert 21 <= low <= high - 12 <= 96
    assert all(low <= pitch <= high for pitch in pitches)
    assert high - low <= max(12, max(pitches, default=60) - min(pitches, default=60) + 2)


def test_titles_of_any_length_stay_inside(drawn):
    rolls([("many words " * 30, noise(20)), ("x" * 300, noise(2000)), ("c", noise(1))], ["x.png"])
    assert inside(drawn[0])
    rolls([(str(n), noise(64, n)) for n in range(12)], ["x.png"], scales=[C] * 12, seeds=[8] * 12)
    assert inside(drawn[1])
    assert all(apart(axes.yaxis, "y0", "y1") for axes in drawn[1].axes)


def areas(axes):
    """Return the upper edges of the areas at the start of each column, by name."""
    return {
        area.get_label(): [area.get_paths()[0].vertices[:, 1].min(), area.get_paths()[0].vertices[:, 1].max()]
        for area in axes.collections
    }


def test_key_path_stacks_weights_by_step(drawn):
    weights = np.array([[0.25, 0.75], [0.5, 0.5], [0.25, 0.75]])
    key_path(CADENCE[:3], weights, ["C", "a"], ["x.png"], steps=2, scale=C)
    above, below = drawn[0].axes
    np.testing.assert_array_equal(codes(above), CADENCE[:3] * 2)
    assert areas(below) == {"a": [0, 0.75], "C": [0.5, 1]}
    assert sorted(set(below.collections[0].get_paths()[0].vertices[:, 0])) == [0, 0.5, 1, 1.5]
    assert below.get_xlim() == above.get_xlim() == (0, 1.5)
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["C", "a"]  # as they lie above each other
    assert legend(drawn[0]) == ["in key", "out of key"]


@pytest.mark.parametrize(("length", "classes"), [(1, 1), (1, 24), (5000, 24), (30, 8), (30, 9)])
def test_key_path_names_at_most_eight(drawn, length, classes):
    key_path(noise(length), softmax(length, classes), LABELS[:classes], ["x.png"])
    below = drawn[0].axes[1]
    assert len(below.collections) == min(classes, 9)
    assert ("others" in areas(below)) == (classes > 8)
    assert max(top for _, top in areas(below).values()) == pytest.approx(1)
    colours = [area.get_facecolor().tobytes() for area in below.collections]
    assert len(set(colours)) == len(colours)
    assert inside(drawn[0])


def test_key_path_averages_over_neighbouring_steps(drawn):
    weights = np.tile([[1.0, 0.0], [0.0, 1.0]], (COLUMNS + 1, 1))  # 2 COLUMNS + 2 steps, so three a column
    key_path(noise(len(weights)), weights, "ab", ["x.png"])
    heights = {float(round(height, 6)) for height in drawn[0].axes[1].collections[0].get_paths()[0].vertices[:, 1]}
    assert heights <= {0, round(1 / 3, 6), round(2 / 3, 6), 0.5, 1}
    assert {round(1 / 3, 6), round(2 / 3, 6)} <= heights


def test_in_key_has_a_bar_an_interval_and_a_number_each(drawn):
    in_key({"data": (0.935, 0.93, 0.94), "generated": (0.8, 0.7, 0.9), "silent": (NAN, NAN, NAN)}, 7 / 12, ["x.png"])
    axes = drawn[0].axes[0]
    np.testing.assert_array_equal([bar.get_width() for bar in axes.patches], [0.935, 0.8, NAN])
    assert [line.get_xydata().tolist() for line in axes.lines[:2]] == [[[0.93, 0], [0.94, 0]], [[0.7, 1], [0.9, 1]]]
    assert axes.lines[-1].get_xdata() == [7 / 12, 7 / 12]
    assert axes.lines[-1].get_linestyle() == "--"
    assert [text.get_text() for text in axes.texts] == ["0.935", "0.800", "none", "chance 0.583"]
    assert labels(axes.yaxis) == ["data", "generated", "silent"]
    assert axes.get_ylim() == (2.5, -0.5)
    assert axes.get_xlim() == (0, 1)


@pytest.mark.parametrize("number", [1, 20])
def test_names_beside_bars_do_not_touch(drawn, number):
    in_key({f"{n} is a name of which there is more than one line holds": (0.5, 0, 1) for n in range(number)}, 0.5, ["x.png"])
    assert apart(drawn[0].axes[0].yaxis, "y0", "y1")
    assert inside(drawn[0])


def test_key_accuracy_keeps_a_method_in_its_place(drawn):
    rows = {
        "first": {"frame": (0.3, 0.2, 0.4), "song": (0.9, 0.8, 1.0)},
        "second": {"window": (0.5, 0.4, 0.6), "song": (NAN, NAN, NAN)},
        "third": {},
    }
    key_accuracy(rows, ["x.png"])
    axes = drawn[0].axes[0]
    assert labels(axes.xaxis) == ["frame", "song", "window"]
    first, second, third = axes.lines
    np.testing.assert_allclose(first.get_xydata(), [[-0.7 / 3, 0.3], [1 - 0.7 / 3, 0.9]])
    np.testing.assert_allclose(second.get_xydata(), [[2, 0.5], [1, NAN]])
    assert len(third.get_xdata()) == 0
    np.testing.assert_allclose(axes.collections[0].get_segments()[1], [[1 - 0.7 / 3, 0.8], [1 - 0.7 / 3, 1]])
    assert [line.get_color() for line in axes.lines] == list(COLOURS[:3])
    assert legend(drawn[0]) == ["first", "second", "third"]


@pytest.mark.parametrize("word", ["m", "a rather long name of a method"])
def test_key_accuracy_of_many_methods_is_readable(drawn, word):
    key_accuracy({f"{word} {n}": dict.fromkeys(("frame", "window", "song"), (0.5, 0.4, 1)) for n in range(20)}, ["x.png"])
    assert inside(drawn[0])
    assert drawn[0].axes[0].get_window_extent().height > 250


@pytest.mark.skipif(not CHORALES.exists(), reason="needs the chorales")
def test_chorales_are_mostly_in_key(drawn, tmp_path):
    songs = json.loads(CHORALES.read_text(encoding="utf-8"))
    (tmp_path / "few.json").write_text(json.dumps(songs | {"train": songs["train"][:5], "valid": []}), encoding="utf-8")
    pieces = list(scores.read(tmp_path / "few.json"))
    rolls([(piece.name, piece.frames) for piece in pieces], ["x.png"], scales=[piece.key.scale for piece in pieces])
    shown = np.concatenate([codes(axes) for axes in drawn[0].axes])
    assert 0.85 < (shown == 2).sum() / (shown > 0).sum() < 1
    assert inside(drawn[0])
