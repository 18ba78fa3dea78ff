"""Commands and geometry of a walk through a latent space, on a tiny model."""

import pytest
import torch

from data.labels import Labels
from models.navigation import GLIDE, LONGEST, Navigation, Script
from models.rendering import Player
from models.runs import load_run
from models.sound_space import combinations, stepped, survey
from tests.runs import CLASSES, make_run
from utils.config import InputError

TABLES = tuple((label, tuple(names)) for label, names in CLASSES.items())
LABELS = Labels(TABLES, ("flute",), False, 31.3)


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return survey(Player(load_run(make_run(tmp_path_factory.mktemp("runs") / "flute"), torch.device("cpu"))))


@pytest.fixture(scope="module")
def duo(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("runs") / "duo", instruments=("flute", "cello"), random_mode="bernoulli")
    return survey(Player(load_run(run, torch.device("cpu"))))


def walk(space, *lines, recording=True):
    """Return a navigation after some lines."""
    navigation = Navigation(space, recording)
    for line in lines:
        navigation.execute(line)
    return navigation


# -- geometry ---------------------------------------------------------------------------------------------------------


def test_axes_are_the_principal_ones(space):
    assert space.ids.shape == (2 * 12 * 2, 1, 3)
    centred = (space.means - space.means.mean(0)).double()
    variances, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    assert torch.allclose(space.scales.double(), variances.flip(0).sqrt()[: len(space.scales)], rtol=1e-4)
    assert torch.allclose((space.axes.double() @ vectors.flip(1)).abs()[:2, :2], torch.eye(2, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(space.axes @ space.axes.T, torch.eye(len(space.axes)), atol=1e-5)
    assert torch.allclose(space.coordinates(space.means).square().mean(0), torch.ones(len(space.axes)), rtol=1e-3)


def test_combinations_are_all_or_a_sample(duo):
    assert len(combinations(LABELS, 48).unique(dim=0)) == 48
    assert combinations(LABELS, 47).shape == (47, 1, 3)
    labels = duo.labels
    assert len(combinations(labels, 10**4).unique(dim=0)) == 49 * 49  # silence counts
    assert torch.equal(combinations(labels, 100), combinations(labels, 100))
    silent = ~labels.sounding(combinations(labels, 10**4))
    assert silent.all(1).sum() == 1


def test_notes_have_their_middles(space, duo):
    names, middles = space.notes(0)
    assert len(names) == 24 and {"A4", "G#5"} <= set(names)
    a4 = [space.latent(torch.tensor([[0, 0, dynamics]])) for dynamics in (0, 1)]
    assert torch.allclose(middles[names.index("A4")], torch.stack(a4).mean(0), atol=1e-6)
    assert "rest" in duo.notes(1)[0]


@pytest.mark.parametrize(
    ("label", "steps", "expected"),
    [
        ("pitch", 1, [0, 1, 0]),
        ("pitch", 3, [1, 3, 0]),
        ("pitch", 12, [1, 0, 0]),
        ("octave", 1, [1, 0, 0]),
        ("dynamics", 1, [0, 0, 1]),
    ],
)
def test_steps_carry_over_into_the_octave(label, steps, expected):
    assert stepped(LABELS, torch.tensor([[0, 0, 0]]), 0, label, steps).tolist() == [expected]  # from A4:p


@pytest.mark.parametrize(("label", "steps"), [("pitch", 50), ("pitch", -127), ("octave", 2), ("dynamics", -1), ("colour", 1)])
def test_steps_end_with_the_tables(label, steps):
    with pytest.raises(InputError):
        stepped(LABELS, torch.tensor([[0, 0, 0]]), 0, label, steps)


def test_silence_has_no_steps(duo):
    silent = torch.tensor([[0, 0, 0], [2, 12, 2]])
    with pytest.raises(InputError, match="cello is silent"):
        stepped(duo.labels, silent, 1, "pitch", 1)
    assert stepped(duo.labels, silent, 0, "pitch", 1).tolist() == [[0, 1, 0], [2, 12, 2]]


# -- moves ------------------------------------------------------------------------------------------------------------


def test_a_glide_is_linear_in_time_and_arrives(space):
    navigation = walk(space, "to A4:p", "wait 0.1", "wait 0.2")
    goal, path = space.latent(torch.tensor([[0, 0, 0]])), navigation.trajectory
    points = round(GLIDE * navigation.rate)
    share = torch.arange(len(path)).clamp(max=points)[:, None] / points
    assert torch.allclose(path, space.centre + share * (goal - space.centre), atol=1e-6)
    assert torch.equal(path[-1], goal) and len(path) == navigation.clock


def test_a_move_in_mid_glide_starts_where_one_is(space):
    navigation = walk(space, "glide 1", "to A4:p", "wait 0.5", "to C5:f", "wait 2")
    steps = navigation.trajectory.diff(dim=0).norm(dim=1)
    assert steps.max() < 2 * max((space.latent(torch.tensor([ids])) - space.centre).norm() for ids in ([0, 0, 0], [1, 3, 1])) / 300


def test_no_glide_is_a_jump(space):
    navigation = walk(space, "glide 0", "to A4:p", "wait 0.01")
    assert torch.equal(navigation.trajectory[0], space.latent(torch.tensor([[0, 0, 0]])))


def test_axes_move_by_deviations_and_add_up(space):
    navigation = walk(space, "axis 1 0.5 2 -1", "axis 1 0.25")
    expected = torch.zeros(len(space.scales)).index_put((torch.tensor([0, 1]),), torch.tensor([0.75, -1.0]))
    assert torch.allclose(space.coordinates(navigation.goal), expected, atol=1e-5)


@pytest.mark.parametrize("line", ["to A4:f", "to A4 f", "to  A4  f", "to flute A4:f"])
def test_notes_can_be_written_in_several_ways(space, line):
    assert torch.equal(walk(space, line).goal, space.latent(torch.tensor([[0, 0, 1]])))


def test_fractions_of_the_way(space):
    half = walk(space, "to A4:f 0.5").goal
    assert torch.allclose(half, (space.centre + space.latent(torch.tensor([[0, 0, 1]]))) / 2, atol=1e-6)


def test_mixtures_take_a_note_an_instrument(duo):
    goal = duo.latent(torch.tensor([[0, 0, 1], [1, 3, 0]]))
    assert torch.equal(walk(duo, "to A4:f+C5:p").goal, goal)
    assert torch.equal(walk(duo, "to flute A4 f + cello C5 p").goal, goal)
    assert torch.equal(walk(duo, "to A4:f + rest").goal, duo.latent(torch.tensor([[0, 0, 1], [2, 12, 2]])))


def test_labels_move_what_is_decoded(duo):
    navigation = walk(duo, "to A4:f+C5:p")
    ids = duo.named(navigation.goal)[0]
    instrument = int(duo.labels.sounding(ids).nonzero()[0, 0])
    steps = 1 if ids[instrument, 2] == 0 else -1
    before = navigation.goal
    navigation.execute(f"label dynamics {steps} 0.5 {duo.labels.instruments[instrument]}")
    moved = ids.clone()
    moved[instrument, 2] += steps
    assert torch.allclose(navigation.goal, torch.lerp(before, duo.latent(moved), 0.5))


def test_undo_home_and_marks(space):
    navigation = walk(space, "to A4:p", "mark here", "axis 1 1", "undo")
    a4 = space.latent(torch.tensor([[0, 0, 0]]))
    assert torch.equal(navigation.goal, a4)
    navigation.execute("undo")
    assert torch.equal(navigation.goal, space.centre)
    navigation.execute("goto here")
    assert torch.equal(navigation.goal, a4)
    navigation.execute("home")
    assert torch.equal(navigation.goal, space.centre)


def test_chance_is_written_down(space):
    navigation = walk(space, "random", "random")
    first, second = navigation.log
    assert first != second and len(first.split()) == 2
    assert torch.equal(walk(space, first, second).goal, navigation.goal)


def test_only_what_is_recorded_is_rendered(space):
    navigation = walk(space, "wait 1", "record on", "wait 0.5", "record off", "wait 1", recording=False)
    assert len(navigation.trajectory) == round(0.5 * navigation.rate) and navigation.clock > 2 * navigation.rate
    assert len(walk(space, "record off", "wait 1").trajectory) == 0


def test_settling_ends_the_glide(space):
    navigation = walk(space, "to A4:p")
    navigation.settle()
    navigation.settle()
    assert navigation.clock == navigation.glide.end and len(navigation.log) == 2


def test_what_is_told(space):
    navigation = walk(space, "to A4:p", "wait 1")
    assert navigation.execute("print").startswith("0.999 s  ") and "axes 1:" in navigation.execute("print")
    assert [line.split()[0] for line in navigation.execute("help").splitlines()] == list(navigation.commands)
    assert navigation.log == ["to A4:p", "wait 1"]


@pytest.mark.parametrize(
    "line",
    [
        "fly",
        "axis",
        "axis 1",
        "axis 1 1 2",
        "axis 0 1",
        "axis 99 1",
        "axis 1.5 1",
        "axis +-1 1",
        f"axis {'9' * 5000} 1",
        "axis 1 nan",
        "axis 1 1e9",
        "axis 1 11",
        "label pitch",
        "label pitch one",
        "label pitch 1 2",
        "label pitch 1 0.5 tuba",
        "label colour 1",
        "to",
        "to H4",
        "to A4:f+C5:p",
        "to A4:f 1.5",
        "to A9:f",
        "wait",
        "wait -1",
        "wait inf",
        "wait 1 2",
        f"wait {LONGEST + 1}",
        "glide -1",
        "record",
        "record maybe",
        "undo",
        "goto nowhere",
        "mark",
        "random x",
        "save",
        "quit now",
    ],
)
def test_senseless_lines_change_nothing(space, line):
    navigation = walk(space)
    with pytest.raises(InputError) as told:
        navigation.execute(line)
    assert "\n" not in str(told.value) and len(str(told.value)) < 10_000
    assert navigation.log == [] and navigation.before == [] and navigation.clock == 0 and torch.equal(navigation.goal, space.centre)


def test_recordings_have_an_end(space):
    navigation = walk(space, f"wait {LONGEST}")
    with pytest.raises(InputError, match="record less"):
        navigation.execute("wait 1")
    walk(space, f"wait {LONGEST}", f"wait {LONGEST}", recording=False)


# -- sessions ---------------------------------------------------------------------------------------------------------


def replayed(space, text):
    navigation, script = Navigation(space), Script(text.splitlines(), "session")
    while script.left(navigation):
        script.step(navigation)
    return navigation


@pytest.mark.parametrize("recording", [True, False])
def test_a_saved_session_is_replayed_bit_for_bit(space, tmp_path, recording):
    lines = [
        "wait 0.0333",
        "to A4:p",
        "wait 0.1234",
        "axis 1 0.5",
        "record on",
        "wait 0.05",
        "random",
        "wait 0.3",
        "undo",
        "wait 0.1",
    ]
    navigation = walk(space, *lines, recording=recording)
    navigation.execute(f"save {tmp_path / 'a session.txt'}")
    again = replayed(space, (tmp_path / "a session.txt").read_text())
    assert torch.equal(again.trajectory, navigation.trajectory) and len(again.trajectory)
    assert again.text.splitlines()[-len(lines) :] == navigation.text.splitlines()[-len(lines) :]


def test_a_session_without_recording_is_replayed_whole(space):
    navigation = walk(space, "to A4:p", "wait 0.5", recording=False)
    assert len(navigation.trajectory) == 0 and len(replayed(space, navigation.text).trajectory) == navigation.clock


def test_saving_replaces_nothing(space, tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="take another name"):
        walk(space, "home", f"save {tmp_path / 'a.txt'}")
    assert (tmp_path / "a.txt").read_text() == "mine"
    for impossible in (tmp_path / ("n" * 300), tmp_path / "a.txt" / "b"):
        with pytest.raises(InputError, match="cannot be written"):
            walk(space, "home", f"save {impossible}")


def test_scripts_skip_comments_and_end_with_quit(space):
    navigation = replayed(space, "# a comment\n\n  to A4:p\nquit\nnonsense\n")
    assert navigation.log == ["to A4:p"] and navigation.ended


def test_errors_of_scripts_name_the_line(space):
    with pytest.raises(InputError, match="session, line 3: 'fly' is no command"):
        replayed(space, "home\n\nfly\n")
