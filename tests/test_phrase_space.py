"""A walk through a latent space of phrases: its axes, its commands, what is there."""

import numpy as np
import pytest
import torch

from data.attributes import measure
from data.sequences import read_midi
from models.latent_space import principal
from models.navigation import Navigation, Script
from models.phrase import PHRASE
from models.phrase_files import phrase_at
from models.phrase_space import COORDINATES, FAINTEST, Manner, survey
from models.rendering import Player
from models.runs import load_run
from tests.constraint_runs import APT
from tests.phrase_runs import FILES, make_phrase_run, names, silent
from tests.test_play_constraint import Small
from utils.config import InputError


@pytest.fixture(autouse=True)
def instruments(monkeypatch):
    monkeypatch.setattr("models.phrase_files.save_notes", silent)
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("hits"))


@pytest.fixture(scope="module")
def apt(tmp_path_factory):
    """A run of which latents make different phrases."""
    return make_phrase_run(tmp_path_factory.mktemp("apt"), **APT)


@pytest.fixture(scope="module")
def model(run):
    return load_run(run)


def surveyed(model, folder, temperature=0.0, tempo=120.0, corpus="", wished=None):
    return survey(Player(model), Manner(tempo, temperature, wished, folder), corpus)


@pytest.fixture
def space(model, tmp_path):
    return surveyed(model, tmp_path)


def walk(space, *lines, recording=True):
    navigation = Navigation(space, recording)
    for line in lines:
        navigation.execute(line)
    return navigation


def song(run, number=0):
    return sorted((run.parent / "songs").iterdir())[number]


# -- axes -------------------------------------------------------------------------------------------------------------


def test_the_axes_are_those_of_the_pieces(model, space):
    assert space.names == tuple(f"beat_{number}" for number in range(FILES)) and space.means.shape == (FILES, 8)
    centre, axes, scales = principal(space.means, FAINTEST)
    assert torch.equal(space.axes, axes) and torch.equal(space.centre, centre) and torch.equal(space.scales, scales)
    piece = next(piece for piece in model.config.corpus() if piece.name == "beat_2")
    (line,) = piece.lines
    two = np.stack([line[:32], line[32:64]])
    expected = model.encode(torch.from_numpy(two).float(), PHRASE).mean.mean(0)
    assert torch.allclose(space.means[2], expected, atol=1e-5)
    assert len(space.mark) == 16


def test_without_a_corpus_they_are_the_coordinates(model, tmp_path, monkeypatch, caplog):
    def gone(config):
        raise InputError("songs: no such folder")

    monkeypatch.setattr(type(model.config), "corpus", gone)
    space = surveyed(model, tmp_path)
    assert torch.equal(space.axes, torch.eye(8)) and space.names == () and space.mark == COORDINATES
    assert "no such folder; the map shows the prior" in caplog.text
    with pytest.raises(InputError, match="shows no pieces"):
        walk(space, "to beat_1")
    with pytest.raises(InputError, match="no such file or folder"):
        surveyed(model, tmp_path, corpus=str(tmp_path / "none"))


def test_another_corpus_can_be_shown_however_small(model, run, tmp_path):
    space = surveyed(model, tmp_path, corpus=str(song(run, 1)))
    assert space.names == ("beat_1",) and torch.equal(space.axes, torch.eye(8)) and space.mark == COORDINATES


def test_checkpoints_have_no_corpus(model, tmp_path, monkeypatch):
    monkeypatch.setattr(type(model.config), "corpus", None)
    monkeypatch.setattr(model, "config", model.config.__class__(**{**vars(model.config), "windows": 0}))
    assert surveyed(model, tmp_path).names == ()


def test_runs_on_a_frozen_model_have_spaces_too(model, tmp_path):
    small = Small(model)
    small.eval()
    space = surveyed(small, tmp_path)
    assert space.means.shape == (FILES, 3) and len(space.axes) == 3
    path = walk(space, "axis 1 1", "wait 4", "random", "wait 8").trajectory
    assert path.shape == (3, 3)
    assert torch.equal(space.phrases(path), model.decode(small.to_base(path, torch.full((3, 2), -1)), PHRASE))
    much = surveyed(small, tmp_path, wished=torch.tensor([[2, -1]]))
    assert torch.equal(much.phrases(path), small.decode(path, PHRASE, torch.tensor([[2, -1]] * 3)))


def test_from_far_away_one_may_come_nearer(space):
    navigation = walk(space)
    navigation.move(space.centre + 12 * space.scales[1] * space.axes[1])
    with pytest.raises(InputError, match="more than 10 standard deviations"):
        navigation.execute("axis 2 0.5")
    navigation.execute("axis 2 -1")
    assert space.coordinates(navigation.goal)[1] == pytest.approx(11, abs=1e-4)


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_point_in_time_is_a_phrase(space):
    navigation = walk(space, "wait 4", "axis 1 1", "wait 8", "home", "wait 4")
    path = navigation.trajectory
    assert space.seconds == 4 and len(path) == 4 and navigation.clock == 4
    assert torch.equal(path[0], space.centre) and torch.equal(path[1], path[2]) and torch.equal(path[3], space.centre)
    assert torch.allclose(space.coordinates(path[1])[0], torch.tensor(1.0))


def test_the_tempo_says_how_long_it_is(model, tmp_path):
    space = surveyed(model, tmp_path, tempo=60.0)
    assert space.seconds == 8 and len(walk(space, "wait 8", "wait 16").trajectory) == 3


def test_glides_go_by_phrases(space):
    path = walk(space, "glide 16", "axis 1 2", "wait 24").trajectory
    assert space.coordinates(path)[:, 0].tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2], abs=1e-5)
    slow = walk(space, "glide 240")
    assert slow.seconds == 240
    with pytest.raises(InputError):
        slow.execute("glide 241")


def test_shorter_waits_say_that_nothing_passes(space):
    navigation = Navigation(space)
    assert "in steps of 4 s" in navigation.execute("wait 1.9") and navigation.execute("wait 0") == ""
    assert navigation.recorded == 0 and navigation.execute("wait 3") == ""


def test_recordings_have_an_end(space):
    navigation = walk(space, "wait 1800")
    assert navigation.recorded == 450
    with pytest.raises(InputError, match="record less"):
        navigation.execute("wait 4")


# -- what is there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_phrase_of_a_place_is_always_the_same(model, tmp_path, temperature):
    space = surveyed(model, tmp_path, temperature)
    path = walk(space, "random 1", "wait 8", "random 2", "wait 4", "random 1", "wait 4").trajectory
    x = space.phrases(path)
    assert torch.equal(x[0], x[1]) and torch.equal(x[0], x[3]) and torch.equal(space.phrases(path[2:3])[0], x[2])
    assert temperature or torch.equal(x, model.decode(path, PHRASE))


def test_what_is_told(space, model):
    navigation = walk(space, "random 3", "wait 4")
    density = measure("hits", space.phrases(navigation.goal[None]))["hit_density"].item()
    assert navigation.execute("print").startswith(f"4.000 s  hit_density {density:.2f}  axes 1:")


# -- commands ---------------------------------------------------------------------------------------------------------


def test_phrases_of_files_are_gone_to(space, model, run):
    for line, bar in ((f"phrase {song(run)}", 1), (f"phrase {song(run)} 3", 3), (f"phrase {song(run)} 2 1", 2)):
        expected = model.encode(phrase_at(model, song(run), 1, bar).x, PHRASE).mean[0]
        assert torch.equal(walk(space, line).goal, expected)


def test_files_may_have_spaces_and_end_in_numbers(space, model, run, tmp_path):
    path = tmp_path / "my own 12 beats.mid"
    path.write_bytes(song(run).read_bytes())
    expected = model.encode(phrase_at(model, path, 1, 2).x, PHRASE).mean[0]
    assert torch.equal(walk(space, f"phrase {path} 2").goal, expected)


def test_pieces_of_the_map_are_gone_to(space):
    assert torch.equal(walk(space, "to beat_3").goal, space.means[3])
    assert torch.equal(walk(space, "to 3").goal, space.means[3])
    assert torch.allclose(walk(space, "to beat_3 0.5").goal, (space.centre + space.means[3]) / 2, atol=1e-6)
    with pytest.raises(InputError, match="there are 6 such pieces"):
        walk(space, "to beat")


def test_phrases_are_kept_and_replace_nothing(space, tmp_path):
    navigation = walk(space, "random 5", "wait 4")
    assert navigation.execute("keep") == f"kept {tmp_path / 'keep_1.mid'} and {tmp_path / 'keep_1.wav'}"
    (tmp_path / "keep_2.wav").write_text("mine")
    navigation.execute("keep")
    navigation.execute("keep my groove")
    assert names(tmp_path) == sorted(
        ["keep_1.mid", "keep_1.wav", "keep_2.wav", "keep_3.mid", "keep_3.wav", "my groove.mid", "my groove.wav"]
    )
    for taken in ("keep keep_1", "keep keep_2", "keep my groove"):
        with pytest.raises(InputError, match="is there already"):
            navigation.execute(taken)
    assert (tmp_path / "keep_2.wav").read_text() == "mine" and (tmp_path / "keep_1.wav").read_text() == "4.000000"
    assert navigation.log == ["random 5", "wait 4"]
    (stretch,) = read_midi(tmp_path / "keep_1.mid")
    expected = space.phrase.notes(space.phrases(navigation.goal[None])[0].numpy())
    assert sorted(stretch.pitch.tolist()) == sorted(expected.pitch.tolist())


def test_what_is_kept_is_what_is_heard_now(apt, tmp_path):
    """Half of a glide is done: it is neither what was, nor what will be."""
    space = surveyed(load_run(apt), tmp_path)
    navigation = walk(space, "axis 1 3", "glide 16", "axis 1 -6", "wait 8", "keep")
    (kept,) = read_midi(tmp_path / "keep_1.mid")
    heard = [struck(space, z) for z in (navigation.at(2), navigation.at(0), navigation.goal)]
    assert sorted(zip(kept.onset.tolist(), kept.pitch.tolist(), strict=True)) == heard[0] not in heard[1:]


def struck(space, z):
    """Return what begins in the phrase of a latent (Z,), as (onset in steps, pitch)."""
    notes = space.phrase.notes(space.phrases(z[None])[0].numpy())
    return sorted(zip(notes.onset.tolist(), notes.pitch.tolist(), strict=True))


@pytest.mark.parametrize(
    "line",
    [
        "phrase",
        "phrase nowhere.mid",
        "phrase FILE 9",
        "phrase FILE 0",
        "phrase FILE -1",
        "phrase FILE 1 2",
        f"phrase {'n' * 5000}",
        f"phrase FILE {'9' * 5000}",
        "to",
        "to nowhere",
        "to beat_1 1.5",
        "keep ../out",
        "keep a/b",
        "keep ..",
        "keep /",
        f"keep {'n' * 300}",
        "axes",
        "axes 0123456789abcdef",
        "axes coordinates",
        "label pitch 1",
        "axis 99 1",
    ],
)
def test_senseless_lines_change_nothing(space, run, tmp_path, line):
    navigation = walk(space)
    with pytest.raises(InputError) as told:
        navigation.execute(line.replace("FILE", str(song(run))))
    assert "\n" not in str(told.value) and len(str(told.value)) < 20_000
    assert navigation.log == [] and navigation.before == [] and torch.equal(navigation.goal, space.centre)
    assert names(tmp_path) == []


# -- sessions ---------------------------------------------------------------------------------------------------------


def replayed(space, text):
    navigation, script = Navigation(space), Script(text.splitlines(), "session")
    while script.left(navigation):
        script.step(navigation)
    return navigation


def test_sessions_are_replayed_bit_for_bit(space, run):
    lines = ["wait 4", "random", f"phrase {song(run)} 2", "glide 8", "wait 12", "to beat_4 0.7", "wait 8", "undo", "wait 4"]
    navigation = walk(space, *lines)
    again = replayed(space, navigation.text)
    assert torch.equal(again.trajectory, navigation.trajectory) and again.text == navigation.text
    assert navigation.text.splitlines()[1] == f"axes {space.mark}"


def test_sessions_on_other_axes_are_not_repeated(space, model, run, tmp_path):
    other = surveyed(model, tmp_path, corpus=str(song(run)))
    with pytest.raises(InputError, match=r"session, line 2: .* axes of other pieces; give the same --corpus"):
        replayed(other, walk(space, "home").text)
    with pytest.raises(InputError, match="along the coordinates"):
        replayed(space, walk(other, "home").text)
