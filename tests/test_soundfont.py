"""The default SoundFont, renderings of notes, the rendered corpus."""

import csv
from functools import partial

import numpy as np
import pytest

from data import soundfont
from data.notes import Notes, Track
from data.sampler import SoundFont
from data.soundfont import INSTRUMENTS, Instrument, default_corpus, make_corpus
from tests.fonts import RATE, frequency_of, loaded
from utils.config import InputError


@pytest.fixture
def load(tmp_path):
    """Return a function that makes a font of zones and loads it."""
    return partial(loaded, tmp_path)


# --- the default font


@pytest.fixture(scope="module")
def default() -> SoundFont:
    return SoundFont.load()


CHOSEN = [(name, key) for name, (_, low, high) in INSTRUMENTS.items() for key in (low, (low + high) // 2, high - 12)]


@pytest.mark.parametrize(("name", "key"), CHOSEN)
def test_default_font_is_in_tune(default, name, key):
    """The autocorrelation peaks at the period: within a quarter tone, and no higher at half of it."""
    expected = RATE / (440 * 2 ** ((key - 69) / 12))  # samples
    x = default.note(INSTRUMENTS[name].program, key, 80, 1.0, release=False)[RATE // 5 : -RATE // 5]
    power = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    factor = 16
    correlation = np.fft.irfft(power, factor * 2 * len(x))  # interpolated 16 times
    near = np.arange(int(factor * expected * 0.9), int(factor * expected * 1.1))
    period = near[np.argmax(correlation[near])] / factor
    assert abs(1200 * np.log2(expected / period)) < 40
    assert correlation[round(factor * period)] > correlation[round(factor * period / 2)]


@pytest.mark.parametrize(("name", "key"), CHOSEN)
def test_louder_is_brighter(default, name, key):
    levels, centroids = [], []
    for velocity in (33, 49, 80, 96, 112):
        power = np.abs(np.fft.rfft(default.note(INSTRUMENTS[name].program, key, velocity, 0.5))) ** 2
        levels.append(10 * np.log10(power.sum()))
        centroids.append((power * np.arange(len(power))).sum() / power.sum())
    assert (np.diff(levels) > 0).all()
    assert (np.diff(centroids) > 0).all()
    assert levels[-1] - levels[0] > 40 * np.log10(112 / 33)


def test_nothing_clips_and_nothing_is_silent(default):
    for program, low, high in INSTRUMENTS.values():
        for key in range(low, high + 1, 6):
            assert 0.05 < np.abs(default.note(program, key, 112, 0.3)).max() < 1


def test_silent_key_borrows_and_keeps_its_pitch(default):
    assert frequency_of(default.note(65, 64, 100, 1.0)) == pytest.approx(440 * 2 ** (-5 / 12), rel=0.01)
    assert not default._preset(65, False)[6].covers(64, 100)


def test_same_note_same_samples(default):
    again = SoundFont.load().note(0, 60, 64, 0.5)
    assert again.dtype == np.float32
    assert np.array_equal(again, default.note(0, 60, 64, 0.5))


# --- rendering


def test_render_places_notes_and_drums(default):
    tracks = (Track("piano", 0), Track("kit", 0, True))
    notes = Notes([0.5, 1.0], [0.75, 1.1], [60, 36], [100, 90], [0, 1], tracks)
    sound = default.render(notes)
    piano, drum = default.note(0, 60, 100, 0.25), default.note(0, 36, 90, 0.1, drum=True)
    expected = np.zeros(len(sound), np.float32)
    for onset, part in ((0.5, piano), (1.0, drum)):
        expected[round(onset * RATE) :][: len(part)] += part
    assert sound == pytest.approx(expected, abs=1e-6)
    assert len(sound) == max(round(0.5 * RATE) + len(piano), RATE + len(drum))


def test_render_turns_down_what_would_clip(default):
    chord = Notes([0] * 12, [0.2] * 12, range(60, 72), [127] * 12, [0] * 12, (Track("", 56),))
    assert np.abs(default.render(chord)).max() == pytest.approx(1)
    assert len(default.render(Notes.empty())) == 0


def test_render_takes_the_nearest_program(load, caplog):
    notes = Notes([0, 0], [0.1, 0.1], [60, 36], [100, 90], [0, 1], (Track("", 40), Track("", 0, True)))
    sound = load(presets={(0, 7): [{"instrument": 0}]})
    assert np.array_equal(sound.render(notes)[:100], sound.note(7, 60, 100, 0.1)[:100])
    assert "no program 40; taking 7" in caplog.text
    assert "no drum kit 0; leaving it out" in caplog.text


def test_render_refuses_hours(load):
    with pytest.raises(InputError, match="cut them"):
        load().render(Notes([0], [4000], [60], [64], [0], (Track(),)))


# --- the corpus


@pytest.fixture
def small(monkeypatch):
    """Make the corpus small: three keys of two instruments."""
    monkeypatch.setitem(INSTRUMENTS, "Flute", Instrument(73, 68, 70))
    monkeypatch.setitem(INSTRUMENTS, "Alto-Sax", Instrument(65, 63, 65))
    return {"instruments": ("Flute", "Alto-Sax"), "seconds": 0.2, "progress": False}


def contents(folder) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_corpus(tmp_path, small):
    import soundfile

    folder = make_corpus(tmp_path / "corpus", **small)
    rows = list(csv.DictReader((folder / "notes.csv").read_text().splitlines()))
    assert len(rows) == 2 * 3 * 5
    assert rows[7] == {"file": "Flute/Flute_A4_mf.flac", "instrument": "Flute", "pitch": "A", "octave": "4", "dynamics": "mf"}
    assert {row["dynamics"] for row in rows} == {"pp", "p", "mf", "f", "ff"}
    for row in rows:
        file = soundfile.info(folder / row["file"])
        assert (file.frames, file.samplerate, file.channels, file.subtype) == (4410, RATE, 1, "PCM_16")
    samples = soundfile.read(folder / "Alto-Sax" / "Alto-Sax_E4_ff.flac")[0]
    assert samples == pytest.approx(SoundFont.load().note(65, 64, 112, 0.2, release=False), abs=2e-5)
    assert sorted(contents(folder)) == sorted([row["file"] for row in rows] + ["notes.csv", "rendering.json"])


def test_interrupted_corpus_goes_on(tmp_path, small, monkeypatch):
    whole = make_corpus(tmp_path / "whole", **small)
    left, render = [4], soundfont._render

    def interrupted(*job):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        render(*job)

    monkeypatch.setattr(soundfont, "_render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_corpus(tmp_path / "corpus", workers=1, **small)
    assert not (tmp_path / "corpus" / "notes.csv").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus").rglob("*.flac")}
    assert len(before) == 20
    (tmp_path / "corpus" / ".rendering.json.part").touch()  # what a kill may leave

    monkeypatch.setattr(soundfont, "_render", render)
    make_corpus(tmp_path / "corpus", **small)
    (tmp_path / "corpus" / ".rendering.json.part").unlink()
    assert contents(tmp_path / "corpus") == contents(whole)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_finished_corpus_is_not_rendered_again(tmp_path, small, monkeypatch):
    make_corpus(tmp_path, **small)
    monkeypatch.setattr(soundfont, "_render", None)
    make_corpus(tmp_path, **small)
    for changes in ({"seconds": 0.3}, {"sample_rate": 44100}, {"instruments": ("Flute",)}):
        with pytest.raises(InputError, match="choose another folder"):
            make_corpus(tmp_path, **small | changes)


def test_silent_keys_are_left_out(tmp_path, small, load):
    load([{"sample": 0, "keys": (0, 60)}], presets={(0, 73): [{"instrument": 0}]})
    folder = make_corpus(tmp_path / "corpus", **small | {"instruments": ["Flute"]}, soundfont=tmp_path / "x.sf2")
    assert len((folder / "notes.csv").read_text().splitlines()) == 1


def test_default_corpus_is_named_by_its_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(soundfont, "make_corpus", lambda folder, *_: folder)
    names = {default_corpus(tmp_path, chosen).name for chosen in (None, ("Flute",), ("Piano",), ("Flute",))}
    assert len(names) == 3
    assert default_corpus(tmp_path, soundfont.DEFAULT_INSTRUMENTS) == default_corpus(tmp_path)


def test_corpus_refuses(tmp_path, load):
    with pytest.raises(InputError, match="unknown instrument Kazoo: choose from Piano"):
        make_corpus(tmp_path / "a", ("Kazoo",))
    for wrong in ({"instruments": ()}, {"instruments": ("Flute", "Flute")}, {"seconds": 0}, {"seconds": 1e9}, {"sample_rate": 0}):
        with pytest.raises(InputError):
            make_corpus(tmp_path / "a", **wrong)
    load()
    with pytest.raises(InputError, match="no Flute"):
        make_corpus(tmp_path / "a", ("Flute",), soundfont=tmp_path / "x.sf2")
    assert not (tmp_path / "a").exists()
    with pytest.raises(InputError, match="something else"):
        make_corpus(tmp_path, ("Flute",))
    with pytest.raises(InputError, match="cannot be made"):
        make_corpus(tmp_path / "x.sf2", ("Flute",))
