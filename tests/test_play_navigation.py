"""The mode free_navigation: scripts, and the whole in a pseudo-terminal."""

import argparse
import curses
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import types
from pathlib import Path

import pytest
import torch

import lt_play
from data.audio import Audio
from data.notes import Notes
from models.exploring import free_target
from models.play_navigation import free_navigation
from models.rendering import Player
from tests.runs import make_run
from tests.sound_only import SoundOnly
from utils.canvas import PLAIN
from utils.config import InputError

ROOT = Path(__file__).parent.parent
TERM = "xterm-256color"
SCRIPT = "to A4:f\nwait 0.5\nprint\nto C5:f\nwait 0.5\n"


@pytest.fixture(scope="module", autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "crossmodal__flute")


def navigate(*argv):
    return lt_play.main(["free_navigation", *map(str, argv), "--griffinlim_iters", "1", "-g", "0"])


def test_a_script_is_rendered(run, tmp_path, capsys):
    (tmp_path / "walk.txt").write_text(SCRIPT)
    assert navigate("-m", run, "-o", tmp_path / "out", "--script", tmp_path / "walk.txt") == 0
    first, *paths = capsys.readouterr().out.splitlines()
    assert re.match(r"0\.50. s  \S+ \(", first)
    assert sorted(paths) == [str(tmp_path / "out" / f"navigation.{end}") for end in ("csv", "mid", "txt", "wav")]
    assert Audio.load(tmp_path / "out" / "navigation.wav").duration == pytest.approx(1.0, abs=0.01)
    Notes.load(tmp_path / "out" / "navigation.mid")
    assert len((tmp_path / "out" / "navigation.csv").read_text().splitlines()) == pytest.approx(313, abs=2)


def test_a_session_is_replayed_and_replaces_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(SCRIPT))
    assert navigate("-m", run, "-o", tmp_path, "--script", "-") == 0
    assert navigate("-m", run, "-o", tmp_path, "--replay", tmp_path / "navigation.txt") == 0
    for end in ("wav", "csv", "mid", "txt"):
        assert (tmp_path / f"navigation.{end}").read_bytes() == (tmp_path / f"navigation_2.{end}").read_bytes()
    assert free_target(tmp_path) == tmp_path / "navigation_3"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("home\nto H4\n", "walk.txt, line 2: "),
        ("fly\n", "line 1: 'fly' is no command"),
        (b"\xff\xfe\x00", "it is no text"),
        (b"save a\0b\n", "it is no text"),
    ],
)
def test_bad_scripts_are_one_line(run, tmp_path, capsys, script, told):
    (tmp_path / "walk.txt").write_bytes(script if isinstance(script, bytes) else script.encode())
    assert navigate("-m", run, "-o", tmp_path / "out", "--script", tmp_path / "walk.txt") == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_terminal_a_script_is_asked_for(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert navigate("-m", run, "-o", tmp_path) == 2
    assert "--script FILE" in capsys.readouterr().err
    assert navigate("-m", run, "-o", tmp_path, "--script", "a", "--replay", "b") == 2
    assert navigate("-m", run, "-o", tmp_path, "--script", tmp_path / "none") == 2


def test_scripts_are_bounded_and_may_begin_with_a_mark(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "walk.txt").write_bytes(b"\xef\xbb\xbfprint\n")
    assert navigate("-m", run, "-o", tmp_path, "--script", tmp_path / "walk.txt") == 0
    (tmp_path / "long.txt").write_text("#" * (2**24 + 1))
    for path, told in (("/dev/zero", "it is no text"), (tmp_path / "long.txt", "it has more than 16,777,216 characters")):
        assert navigate("-m", run, "-o", tmp_path, "--script", path) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)  # as it is where it is closed
    assert navigate("-m", run, "-o", tmp_path) == 2
    assert "--script FILE" in capsys.readouterr().err


def test_the_session_survives_an_interruption(run, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    (tmp_path / "walk.txt").write_text(SCRIPT)
    monkeypatch.setattr("models.play_navigation.write_path", interrupted)
    with pytest.raises(KeyboardInterrupt):
        navigate("-m", run, "-o", tmp_path, "--script", tmp_path / "walk.txt")
    assert "to A4:f" in (tmp_path / "navigation.txt").read_text()


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """Let keys be pressed on what `utils.screen.run` is given: a list of them, or errors to raise."""
    keys = []

    def run(app):
        for key in keys:
            if isinstance(key, BaseException):
                raise key
            app.rows(24, 80, PLAIN)
            app.press(key) if isinstance(key, str) else time.sleep(key)

    monkeypatch.setattr("utils.screen.run", run)
    monkeypatch.setattr("models.exploring.sys", types.SimpleNamespace(stdin=Tty(), stdout=Tty()))
    return keys


def test_what_was_recorded_is_rendered_in_the_end(run, tmp_path, screen):
    screen += ["right", 0.1, "r", 0.2, "r", 0.1, "q"]
    assert navigate("-m", run, "-o", tmp_path) == 0
    assert 0.2 <= Audio.load(tmp_path / "navigation.wav").duration < 10
    screen[:] = ["right", "q"]
    assert navigate("-m", run, "-o", tmp_path) == 0
    assert (tmp_path / "navigation_2.txt").exists() and not (tmp_path / "navigation_2.wav").exists()


@pytest.mark.parametrize("end", [KeyboardInterrupt(), curses.error("hangup")])
def test_sessions_are_saved_however_they_end(run, tmp_path, screen, end):
    screen += ["right", end]
    with pytest.raises(type(end)):
        navigate("-m", run, "-o", tmp_path)
    assert "axis 1 0.5" in (tmp_path / "navigation.txt").read_text()


def test_a_replay_that_is_quit_is_rendered_whole(run, tmp_path, screen):
    (tmp_path / "walk.txt").write_text(SCRIPT)
    screen += ["right", "q"]
    assert navigate("-m", run, "-o", tmp_path, "--replay", tmp_path / "walk.txt") == 0
    assert Audio.load(tmp_path / "navigation.wav").duration == pytest.approx(1.0, abs=0.01)


def test_a_model_without_symbols_is_walked_along_its_coordinates(tmp_path):
    (tmp_path / "walk.txt").write_text("axis 2 1.5\nwait 0.3\nrandom\nwait 0.3\nprint\n")
    args = argparse.Namespace(script=tmp_path / "walk.txt", replay=None, graphs=0)
    made = free_navigation(Player(SoundOnly(), 1), tmp_path, args)
    assert {Path(path).suffix for path in made} == {".txt", ".wav", ".csv"}
    (tmp_path / "walk.txt").write_text("to A4\n")
    with pytest.raises(InputError, match="names nothing"):
        free_navigation(Player(SoundOnly(), 1), tmp_path, args)


# -- a terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """The script in a pseudo-terminal of its own."""

    def __init__(self, *argv):
        self.ours, self.theirs = pty.openpty()
        self.size(24, 80)
        self.modes, self.output = termios.tcgetattr(self.theirs), b""
        curses.setupterm(TERM, self.theirs)
        self.mouse = curses.tigetstr("kmous")
        env = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            [sys.executable, "lt_play.py", "free_navigation", *map(str, argv), "-g", "0"],
            cwd=ROOT, env=env | {"TERM": TERM, "OMP_NUM_THREADS": "1"}, stdin=self.theirs, stdout=self.theirs,
            stderr=self.theirs, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def size(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, keys):
        os.write(self.ours, keys)

    def wait(self, reached, seconds=60):
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end and self.process.poll() in (None, 0, 130), self.output[-2000:]
            if select.select([self.ours], [], [], 0.02)[0]:
                self.output += os.read(self.ours, 65536)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(run, tmp_path):
    terminal = Terminal("-m", run, "-o", tmp_path, "--griffinlim_iters", "1")
    yield terminal
    terminal.close()


def test_in_a_terminal(terminal, tmp_path):
    session = tmp_path / "navigation.txt"

    def saved(words):
        terminal.send(b"s")
        terminal.wait(lambda: session.exists() and words in session.read_text())

    terminal.wait(lambda: b"quit" in terminal.output)
    assert termios.tcgetattr(terminal.theirs) != terminal.modes
    terminal.send(b"/A4 f\r")
    saved("to A4 f")
    terminal.send(b"r\x1bOC\x1b[A")  # arrows as terminals send them in either mode
    terminal.send(b"\x1b[1;5D")  # with Ctrl: no key of ours
    saved("axis 2 0.5")
    terminal.send(b"\x1b[<0;13;6M" if terminal.mouse == b"\x1b[<" else b"\x1b[M -&")  # a click, in the terminal's way
    terminal.send(b"h")
    saved("home")
    assert re.search(r"axis 1 \S+ 2 \S+\n", session.read_text())
    terminal.size(10, 40)
    terminal.wait(lambda: b"too small" in terminal.output)
    terminal.size(30, 100)
    saved("wait")
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.send(b"\x03")
    terminal.wait(lambda: terminal.process.poll() is not None)
    assert terminal.process.returncode == 130
    assert termios.tcgetattr(terminal.theirs) == terminal.modes
    assert "label dynamics" not in session.read_text() and "axis 1 0.5" in session.read_text()
