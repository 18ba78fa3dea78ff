"""Steering by keys, without a terminal: time is a number, rows are text."""

import sys
from pathlib import Path

import pytest
import torch

from models.navigation import Navigation, Script
from models.pilot import Pilot
from models.rendering import Player
from models.runs import load_run
from models.sound_sight import SoundSight
from models.sound_space import survey
from tests.runs import make_run
from tests.sound_only import SoundOnly
from utils.canvas import PLAIN, draw
from utils.loudspeaker import Loudspeaker


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


@pytest.fixture(scope="module")
def duo_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "duo", instruments=("flute", "cello"), random_mode="bernoulli")


@pytest.fixture
def no_sound(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)


def piloted(space, script=None, path=Path("navigation.txt")):
    """Return a pilot and the list that holds its time in seconds."""
    now = [0.0]
    speaker = Loudspeaker(lambda order: order, 22050)
    return Pilot(Navigation(space, recording=bool(script)), path, script, SoundSight(space, speaker), lambda: now[0]), now


@pytest.fixture
def pilot(run, no_sound):
    return piloted(survey(Player(load_run(run, torch.device("cpu")))))


@pytest.fixture
def duo(duo_run, no_sound):
    return piloted(survey(Player(load_run(duo_run, torch.device("cpu")))))[0]


def typed(pilot, line):
    for key in (*line, "enter"):
        pilot.press(key)


def text(rows):
    return "\n".join("".join(run for run, _ in row) for row in rows)


def test_keys_become_commands_with_waits_between(pilot):
    pilot, now = pilot
    pilot.press("right")
    now[0] = 0.5
    pilot.press("]")
    pilot.press("down")
    pilot.press("a")
    pilot.press("left")
    for key in ("u", "h", " "):
        pilot.press(key)
    log = pilot.navigation.log
    assert log[:6] == ["axis 1 0.5", "wait 0.5013", "axis 2 -1", "axis 3 -1", "undo", "home"] and log[6].startswith("random ")


def test_live_sessions_are_replayed_bit_for_bit(pilot):
    pilot, now = pilot
    for number, key in enumerate(["r", "right", "right", "up", "u", " ", "r", "h", "r", "left"]):
        now[0] = 0.037 * number**1.5
        pilot.press(key)
    now[0] += 0.7
    typed(pilot, ":print")
    script = Script(pilot.navigation.text.splitlines(), "session")
    again = Navigation(pilot.navigation.space)
    while script.left(again):
        script.step(again)
    assert torch.equal(again.trajectory, pilot.navigation.trajectory) and len(again.trajectory) > 100


def test_notes_are_typed(pilot):
    pilot, _ = pilot
    typed(pilot, "/A4 f")
    assert pilot.navigation.log == ["to A4 f"]
    typed(pilot, ":to C5:pX")
    assert "is no dynamics" in pilot.status
    for key in (":", "x", "backspace", "h", "o", "m", "e"):
        pilot.press(key)
    assert ":home " in text(pilot.rows(24, 80, PLAIN))
    pilot.press("escape")
    typed(pilot, ":")
    assert len(pilot.navigation.log) == 1


def test_labels_have_keys(pilot):
    pilot, _ = pilot
    assert pilot.sight.label_keys == {
        key: (label, sign) for label in ("octave", "pitch", "dynamics") for key, sign in ((label[0], 1), (label[0].upper(), -1))
    }
    typed(pilot, "/A4 f")
    ids = pilot.navigation.space.named(pilot.navigation.goal)[0]
    pilot.press("O" if ids[0, 0] else "o")
    assert pilot.navigation.log[-1] == f"label octave {-1 if ids[0, 0] else 1}"


def test_instruments_are_chosen_and_keep_their_notes(duo):
    duo.press("tab")
    typed(duo, "/C5:p")
    flute = duo.navigation.log[-1].removeprefix("to ").partition(" + ")[0]
    assert duo.navigation.log[-1] == f"to {flute} + C5:p" and duo.navigation.log[-1].count("+") == 1
    typed(duo, "/A4:f+A4:f")
    assert duo.navigation.log[-1] == "to A4:f+A4:f"
    duo.press("p")
    assert "cello" in duo.status
    picture = text(duo.rows(24, 80, PLAIN))
    assert ">cello" in picture and "flute" in picture


def test_clicks_go_where_they_point(pilot):
    pilot, now = pilot
    pilot.rows(24, 80, PLAIN)
    pilot.click(5, 12, 24, 80)
    now[0] = 1.0
    assert pilot.rows(24, 80, PLAIN) is not None
    assert text(pilot.rows(25, 80, PLAIN)[:0]) == "" and text(draw(pilot.view, 24, 80, PLAIN)).splitlines()[5][12] == "@"
    before = len(pilot.navigation.log)
    pilot.click(5, 70, 24, 80)
    pilot.click(23, 2, 24, 80)
    assert len(pilot.navigation.log) == before


def test_help_saving_and_quitting(pilot, tmp_path):
    pilot, _ = pilot
    pilot.path = tmp_path / "navigation.txt"
    pilot.press("?")
    assert "label NAME STEPS" in text(pilot.rows(24, 80, PLAIN))
    pilot.press("right")  # leaves the help
    assert pilot.page == () and pilot.navigation.log == []
    pilot.press("right")
    pilot.press("s")
    assert "axis 1 0.5" in pilot.path.read_text()
    pilot.path = tmp_path / "none" / "navigation.txt"
    pilot.press("s")
    assert "cannot be written" in pilot.status and not pilot.ended
    pilot.press("q")
    assert pilot.ended


def test_nothing_is_drawn_where_nothing_changed(pilot):
    pilot, now = pilot
    assert pilot.rows(24, 80, PLAIN) is not None
    assert pilot.rows(24, 80, PLAIN) is None
    assert pilot.rows(25, 80, PLAIN) is not None
    pilot.press("right")
    assert pilot.rows(25, 80, PLAIN) is not None and pilot.patience() < 0.05
    now[0] = 0.1
    assert pilot.rows(25, 80, PLAIN) is not None
    now[0] = 5.0
    assert pilot.rows(25, 80, PLAIN) is not None and pilot.patience() > 0.1
    assert pilot.rows(25, 80, PLAIN) is None


def test_idle_hours_are_not_kept(pilot):
    pilot, now = pilot
    pilot.press("right")
    now[0] = 7200.0
    pilot.press("right")
    assert pilot.navigation.log[1] == "wait 10.0000" or float(pilot.navigation.log[1].split()[1]) == pytest.approx(10, abs=0.01)
    pilot.press("r")
    now[0] = 4 * 7200.0
    pilot.press("h")
    assert pilot.navigation.log[-1] == "home" and pilot.navigation.recorded <= 1800 * pilot.navigation.rate


def test_a_replay_runs_by_the_clock(run, no_sound):
    space = survey(Player(load_run(run, torch.device("cpu"))))
    pilot, now = piloted(space, Script(["to A4:f", "wait 1", "to C5:f", "wait 1"], "session"))
    seen = []
    for now[0] in (0.0, 0.9, 1.1, 1.9, 2.1):
        pilot.rows(24, 80, PLAIN)
        pilot.press("right")  # is ignored
        seen.append((pilot.script.done, pilot.ended))
    assert seen == [(2, False), (2, False), (4, False), (4, False), (4, True)]
    pilot, _ = piloted(space, Script(["wait 1", "home"], "session"))
    pilot.press("q")
    assert pilot.ended and pilot.script.left(pilot.navigation)


def test_a_model_without_symbols_has_coordinates_alone(no_sound):
    pilot, _ = piloted(survey(Player(SoundOnly())))
    for key in ("up", "p", "tab", "a"):
        pilot.press(key)
    assert pilot.navigation.log == ["axis 2 0.5"]
    typed(pilot, "/A4")
    assert "names nothing" in text(pilot.rows(24, 80, PLAIN))
