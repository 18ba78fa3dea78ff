"""The mode free_navigation of runs of phrases: scripts, keys, sounds, and the whole in a pseudo-terminal."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import lt_play
from data import midi, performance
from data.audio import Audio
from data.notes import Notes, Track
from data.sampler import SoundFont
from models.navigation import Navigation, Script
from models.phrase import PHRASE
from models.phrase_sight import PhraseSight
from models.phrase_space import Manner, PhraseSpace, survey
from models.pilot import Pilot
from models.rendering import Player
from models.runs import load_run
from tests.phrase_runs import make_phrase_run, names, silent, table, whole
from tests.test_loudspeaker import Device
from tests.test_play_navigation import Terminal, Tty
from tests.test_play_phrases import arrays, expected, struck
from tests.waiting import wait_until
from utils.canvas import PLAIN
from utils.loudspeaker import BLOCK, Loop, Loudspeaker

SCRIPT = "wait 4\nprint\nrandom 7\nwait 8\nto {piece}\nwait 4\n"
PIECES = {"hits": "beat_1", "melody": "tune_1"}


@pytest.fixture(autouse=True)
def instruments(request, monkeypatch):
    """Play nothing, which takes long, unless a test is about sound."""
    if "sound" not in request.node.name:
        monkeypatch.setattr("models.phrase_files.save_notes", silent)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("hits"))


@pytest.fixture(scope="module")
def melodies(tmp_path_factory):
    return make_phrase_run(tmp_path_factory.mktemp("melody"), "melody")


def navigate(run, *argv):
    return lt_play.main(["free_navigation", "-m", str(run), *map(str, argv)])


def scripted(folder, text=SCRIPT.format(piece="beat_1")):
    (folder / "walk.txt").write_text(text)
    return folder / "walk.txt"


# -- scripts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hits", "melody"])
def test_a_script_is_written(kind, tmp_path, capsys, request):
    run, out = request.getfixturevalue("run" if kind == "hits" else "melodies"), tmp_path / "out"
    assert navigate(run, "-o", out, "--script", scripted(tmp_path, SCRIPT.format(piece=PIECES[kind]))) == 0
    told, *paths = capsys.readouterr().out.splitlines()
    assert told.startswith("4.000 s  ") and "density" in told and "axes 1:0.00" in told
    assert paths == [str(out / f"navigation.{end}") for end in ("txt", "mid", "wav", "csv", "pdf", "npz")]
    known, model = arrays(out / "navigation.npz"), load_run(run)
    assert known["z"].shape == (4, 8) and known["tempo"] == 120
    with torch.no_grad():
        x = model.decode(torch.from_numpy(known["z"]), PHRASE)
    assert np.array_equal(known["phrases"], x.numpy()) and np.array_equal(known["z"][1], known["z"][2])
    assert struck(out / "navigation.mid") == expected(run, known["phrases"])
    assert (out / "navigation.wav").read_text() == "16.000000"
    assert [row["title"] for row in table(out / "navigation.csv")] == [f"phrase {place}" for place in range(4)]


@pytest.mark.parametrize("kind", ["drums", "all_hits", "groove", "trio"])
def test_phrases_of_every_kind(kind, tmp_path):
    run = make_phrase_run(tmp_path, kind, steps=1)
    assert navigate(run, "-o", tmp_path / "out", "-g", 0, "--script", scripted(tmp_path, "random 1\nwait 4\nprint\nkeep\n")) == 0
    assert {"keep_1.mid", "navigation.mid"} <= set(names(tmp_path / "out"))
    with torch.no_grad():
        space = survey(Player(load_run(run)), Manner(120.0, 1.0, None, tmp_path))
        pilot, _ = piloted(space)
        assert [len(line) for line in shown(pilot, 24, 80)] == [80] * 24


def test_sessions_are_replayed_bit_for_bit_and_replace_nothing(run, tmp_path):
    flags = ("-g", 0, "--temperature", 0.9, "--seed", 3, "--tempo", 90, "-o", tmp_path / "out")
    assert navigate(run, *flags, "--script", scripted(tmp_path, "random\nwait 11\nglide 16\nto beat_2\nwait 16\n")) == 0
    assert navigate(run, *flags, "--replay", tmp_path / "out" / "navigation.txt") == 0
    for end in ("mid", "wav", "csv", "txt", "npz"):
        first, again = ((tmp_path / "out" / f"navigation{number}.{end}").read_bytes() for number in ("", "_2"))
        assert first == again
    assert midi.parse(tmp_path / "out" / "navigation.mid").tempos[0].qpm == pytest.approx(90, abs=0.01)
    assert len(arrays(tmp_path / "out" / "navigation.npz")["z"]) == 5  # of 5.33 s


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("home\nto nowhere\n", "walk.txt, line 2: to nowhere: there are no such pieces"),
        ("fly\n", "line 1: 'fly' is no command: to phrase keep axes axis"),
        ("phrase gone.mid\n", "line 1: gone.mid: no such file"),
        ("keep a/b\n", "line 1: keep a/b: give a name without folders"),
        ("axes 01234567\n", "line 1: axes 01234567: this session was walked along axes of other pieces"),
        ("wait 99999\n", "line 1: wait: takes a number from 0 to 1800"),
    ],
)
def test_bad_scripts_are_one_line(run, tmp_path, capsys, text, told):
    assert navigate(run, "-o", tmp_path / "out", "--script", scripted(tmp_path, text)) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and names(tmp_path / "out") == []


def test_without_a_terminal_a_script_is_asked_for(run, tmp_path, capsys):
    assert navigate(run, "-o", tmp_path) == 2
    assert "--script FILE" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--labels", "A4"), ("--griffinlim_iters", 1), ("--tempo", 1), ("--corpus", "nowhere")])
def test_flags_that_make_no_sense(run, tmp_path, capsys, flags):
    assert navigate(run, "-o", tmp_path / "out", "--script", scripted(tmp_path), *flags) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_kept_and_what_is_recorded_do_without_each_other(run, tmp_path, capsys):
    assert navigate(run, "-o", tmp_path / "out", "--script", scripted(tmp_path, "record off\nwait 8\nkeep loop\n")) == 0
    assert names(tmp_path / "out") == ["loop.mid", "loop.wav", "navigation.txt"]
    assert navigate(run, "-o", tmp_path / "out", "--script", scripted(tmp_path, "keep loop\n")) == 2
    assert "keep loop: is there already; take another name" in capsys.readouterr().err


# -- keys -------------------------------------------------------------------------------------------------------------


def piloted(space, script=None, path=Path("navigation.txt")):
    """Return a pilot and the list that holds its time in seconds."""
    now = [0.0]
    speaker = types.SimpleNamespace(trouble="no sound", asked=[])
    speaker.ask = speaker.asked.append
    return Pilot(Navigation(space, recording=bool(script)), path, script, PhraseSight(space, speaker), lambda: now[0]), now


@pytest.fixture
def spaces(run, melodies, tmp_path):
    with torch.no_grad():
        yield {
            kind: survey(Player(load_run(where)), Manner(120.0, 0.0, None, tmp_path))
            for kind, where in (("hits", run), ("melody", melodies))
        }


def shown(pilot, height, width):
    return ["".join(run for run, _ in row) for row in pilot.rows(height, width, PLAIN)]


def test_keys_become_commands_with_waits_of_whole_phrases(spaces, tmp_path):
    pilot, now = piloted(spaces["hits"])
    for key, seconds in (("r", 0), ("right", 0.1), ("up", 1.0), ("u", 8.2), ("k", 12.0), (" ", 12.1), ("r", 16.4), ("s", 16.5)):
        now[0] = seconds
        pilot.path = tmp_path / "session.txt"
        pilot.press(key)
    log = pilot.navigation.log
    assert log[:6] == ["record on", "axis 1 0.5", "axis 2 0.5", "wait 8.0000", "undo", "wait 4.0000"]
    assert log[6].startswith("random ") and log[7:] == ["wait 4.0000", "record off"] and pilot.navigation.recorded == 4
    assert names(tmp_path) == ["keep_1.mid", "keep_1.wav", "session.txt"]
    again, script = Navigation(pilot.navigation.space), Script((tmp_path / "session.txt").read_text().splitlines(), "session")
    while script.left(again):
        script.step(again)
    assert torch.equal(again.trajectory, pilot.navigation.trajectory)


def test_drums_are_seen_row_by_row(spaces):
    space = spaces["hits"]
    pilot, _ = piloted(space)
    pilot.command("random 4")
    lines, x = shown(pilot, 24, 80), space.phrases(pilot.navigation.goal[None])[0]
    assert lines[0].startswith("free navigation: hits, 2 bars at 120")
    for drum, line in zip(x.T, reversed(lines[12:21]), strict=True):
        assert [letter == "#" for letter in line[11:75:2]] == (drum > 0.5).tolist()
    assert lines[12].startswith("ride") and lines[20].startswith("kick") and lines[21].strip() == f"|1{' ' * 30}|2"
    assert f"hit density{(x > 0.5).sum() / 32:18.2f}" in lines[1] and "axis 1" in lines[8]
    assert any("beat_" in line for line in lines[1:12]) and "k keep" in lines[23]


def test_melodies_are_seen_as_a_roll(spaces, melodies, monkeypatch):
    space = spaces["melody"]
    x = whole(melodies.parent / "songs" / "tune_2.mid", melodies)[:1]
    monkeypatch.setattr(PhraseSpace, "phrases", lambda space, z: x)
    lines, notes = shown(piloted(space)[0], 40, 120), space.phrase.notes(x[0].numpy())
    roll = {line.split()[0]: line[4:] for line in lines[21:37]}
    assert len(roll) == 16 and len(notes.pitch) > 5
    for onset, pitch in zip(notes.onset.astype(int).tolist(), notes.pitch.tolist(), strict=True):
        assert roll[space.phrase.rows[int(pitch) - space.phrase.lowest]][3 * onset] == "#"
    assert sum(line.count("##") for line in roll.values()) == len(notes.pitch)


def test_every_phrase_is_asked_for_once(spaces):
    pilot, now = piloted(spaces["hits"])
    for now[0] in (0.0, 1.0, 5.0, 9.0):
        pilot.rows(24, 80, PLAIN)
    pilot.command("random 4")
    shown(pilot, 24, 80)
    assert len(pilot.sight.speaker.asked) == 2 and pilot.rows(24, 80, PLAIN) is None


def test_long_phrases_do_not_stop_time(run, tmp_path):
    with torch.no_grad():
        space = survey(Player(load_run(run)), Manner(10.0, 0.0, None, tmp_path))  # of 48 s, longer than idleness is kept
        pilot, now = piloted(space, path=tmp_path / "session.txt")
        pilot.command("glide 96")
        pilot.command("axis 1 1")
        for now[0] in (60.0, 120.0):
            pilot.press("s")
        assert pilot.navigation.clock == 2 and torch.equal(pilot.navigation.at(2), pilot.navigation.goal)


def test_pieces_are_typed_and_pages_fit(spaces):
    pilot, _ = piloted(spaces["hits"])
    for key in (*"/beat_3", "enter"):
        pilot.press(key)
    assert pilot.navigation.log == ["to beat_3"]
    pilot.press("?")
    page = shown(pilot, 24, 80)
    assert "keep [NAME]" in "\n".join(page) and any(line.startswith(" quit ") for line in page)


def test_maps_of_the_prior_have_points_without_names(spaces, run, tmp_path):
    with torch.no_grad():
        space = survey(Player(load_run(run)), Manner(120.0, 0.0, None, tmp_path))
        object.__setattr__(space, "names", ())
        lines = shown(piloted(space)[0], 24, 80)
    assert "+" in "".join(line[:48] for line in lines[1:12])


# -- sound ------------------------------------------------------------------------------------------------------------


def test_loops_keep_their_length_and_ring_on():
    notes = Notes(np.array([0.0, 1.5]), np.array([0.5, 2.0]), np.array([60, 64]), np.full(2, 80), np.zeros(2), [Track("Piano")])
    grain, whole = performance.looped(notes, 2.0, 22050).samples, SoundFont.load().render(notes, 22050)
    tail = len(whole) - len(grain)
    assert len(grain) == 44100 and 0 < tail < 44100
    np.testing.assert_allclose(grain[tail:], whole[tail:44100], atol=1e-6)
    np.testing.assert_allclose(grain[:tail], whole[:tail] + whole[44100:], atol=1e-6)


def test_silence_can_be_looped():
    silence = performance.looped(Notes(*[np.zeros(0)] * 5, [Track("Piano")]), 2.0, 22050).samples
    assert len(silence) == 44100 and not silence.any()


def test_a_new_phrase_goes_on_in_time():
    loop, first, second = Loop(), np.arange(5000, dtype=np.float32), -np.arange(5000, dtype=np.float32)
    loop.wanted = first
    loop.take(BLOCK)
    loop.take(BLOCK)
    loop.wanted = second
    loop.take(BLOCK)
    assert loop.take(3).tolist() == [-(place % 5000) for place in range(3 * BLOCK, 3 * BLOCK + 3)]


def test_live_sound_is_the_phrase(run, tmp_path, monkeypatch):
    heard, device = [], Device()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    monkeypatch.setattr(
        "models.play_phrase_navigation.Loudspeaker", lambda make, rate: heard.append((make, rate)) or Loudspeaker(make, rate)
    )

    def show(app):
        app.rows(24, 80, PLAIN)
        speaker = app.sight.speaker
        wait_until(lambda: len(speaker.loop.wanted) > 1, 60)
        heard.append(speaker.loop.wanted)
        app.press("q")

    monkeypatch.setattr("utils.screen.run", show)
    monkeypatch.setattr("models.exploring.sys", types.SimpleNamespace(stdin=Tty(), stdout=Tty()))
    assert navigate(run, "-o", tmp_path, "--tempo", 240) == 0
    (_, rate), grain = heard
    assert rate == 44100 and len(grain) == 2 * 44100 and device.closed


def test_the_sound_that_is_written_has_all_phrases(run, tmp_path):
    assert navigate(run, "-o", tmp_path / "out", "-g", 0, "--tempo", 240, "--script", scripted(tmp_path, "wait 4\nkeep")) == 0
    assert 4 <= Audio.load(tmp_path / "out" / "navigation.wav").duration < 8
    assert 2 <= Audio.load(tmp_path / "out" / "keep_1.wav").duration < 6


# -- a terminal -------------------------------------------------------------------------------------------------------


def test_in_a_terminal(run, tmp_path):
    terminal = Terminal("-m", run, "-o", tmp_path, "--tempo", "240")
    try:
        terminal.wait(lambda: b"quit" in terminal.output and b"kick" in terminal.output)
        terminal.send(b"r/beat_2\r")
        terminal.wait(lambda: b"to beat_2" in terminal.output)
        terminal.send(b"k")
        terminal.wait((tmp_path / "keep_1.wav").exists)
        terminal.wait(lambda: b"kept" in terminal.output)
        terminal.send(b"\x1b[A")
        terminal.wait(lambda: b"axis 2 0.5" in terminal.output)
        terminal.send(b"q")
        terminal.wait(lambda: terminal.process.poll() is not None)
    finally:
        terminal.close()
    assert {"navigation.txt", "keep_1.mid"} <= set(names(tmp_path))
    assert "to beat_2" in (tmp_path / "navigation.txt").read_text()
