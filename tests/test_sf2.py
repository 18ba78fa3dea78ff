"""SoundFonts made by hand: exact samples, pitches and envelopes; damaged ones."""

import struct
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import sf2
from data.sampler import GAIN, SoundFont
from tests.fonts import RAMP, RATE, font, frequency_of, loaded, play, tone
from utils.config import InputError


@pytest.fixture
def load(tmp_path):
    """Return a function that makes a font of zones and loads it."""
    return partial(loaded, tmp_path)


def test_unlooped_sample_is_played_as_it_is(load):
    assert play(load()) == pytest.approx(RAMP[:400])
    assert play(load(), samples=600) == pytest.approx(np.pad(RAMP, (0, 100)))


def test_last_sample_fades(load):
    note = load([{"sample": 0, "sampleModes": 1}]).note(0, 60, 127, 1.0, RATE, release=False)
    assert len(note) == RATE
    assert note[-1] == 0


def test_loop(load):
    expected = np.concatenate([RAMP[:200], RAMP[100:200], RAMP[100:200], RAMP[100:150]])
    assert play(load([{"sample": 0, "sampleModes": 1}]), samples=450) == pytest.approx(expected)


def test_loop_that_ends_with_the_key(load):
    sound = load([{"sample": 0, "sampleModes": 3, "releaseVolEnv": 8000}])  # a release of 100 s: the level stays
    note = sound.note(0, 60, 127, 330 / RATE, RATE, drum=True) / GAIN * 32768
    expected = np.concatenate([RAMP[:200], RAMP[100:200], RAMP[100:130], RAMP[130:]])
    assert note[:700] == pytest.approx(expected, rel=1e-2)
    assert note[700:] == pytest.approx(0)


def test_offsets_of_start_end_and_loop(load):
    zone = {"sample": 0, "startAddrsOffset": 10, "endAddrsOffset": -50, "sampleModes": 1}
    zone |= {"startloopAddrsOffset": 5, "endloopAddrsOffset": -5}
    expected = np.concatenate([RAMP[10:195], RAMP[105:195], RAMP[105:150]])
    assert play(load([zone]), samples=320) == pytest.approx(expected)
    assert play(load([{"sample": 0, "endAddrsOffset": -50}]), samples=500) == pytest.approx(np.pad(RAMP[:450], (0, 50)))


@pytest.mark.parametrize("loop", [(200, 100), (100, 100), (100, 501)])
def test_impossible_loops_are_not_looped(load, loop):
    assert play(load([{"sample": 0, "sampleModes": 1}], loop=loop), samples=510)[500:] == pytest.approx(np.zeros(10))


def test_velocity_is_40_log_gain(load):
    sound = load()
    assert play(sound, velocity=64) == pytest.approx(RAMP[:400] * (64 / 127) ** 2, rel=1e-5)


def test_attenuation_adds_up(load):
    presets = {(128, 0): [{"initialAttenuation": 999}, {"initialAttenuation": 50, "instrument": 0}]}
    sound = load([{"initialAttenuation": 100, "sampleModes": 1}, {"sample": 0}], presets=presets)
    assert play(sound, samples=300)[200:] == pytest.approx(RAMP[100:200] * 10 ** (-0.4 * 15 / 20))  # 10 + 5 dB, a global loop


def test_preset_global_zone(load):
    presets = {(128, 0): [{"initialAttenuation": 50}, {"instrument": 0}]}
    assert play(load(presets=presets)) == pytest.approx(RAMP[:400] * 10 ** (-0.4 * 5 / 20))


def test_keys_and_velocities_choose_zones(load):
    zones = [{"keys": (60, 60), "velocities": (1, 63), "sample": 0}, {"keys": (60, 61), "sample": 0, "initialAttenuation": 50}]
    sound = load(zones, presets={(128, 0): [{"keys": (0, 60), "instrument": 0}]})
    quiet, both = 10 ** (-0.4 * 5 / 20), 1 + 10 ** (-0.4 * 5 / 20)
    assert play(sound, velocity=127) == pytest.approx(RAMP[:400] * quiet, rel=1e-5)
    assert play(sound, velocity=63) == pytest.approx(RAMP[:400] * both * (63 / 127) ** 2, rel=1e-5)
    assert play(sound, key=61) == pytest.approx(np.zeros(400))  # the preset's own range ends at 60


@pytest.mark.parametrize(
    ("key", "zone", "options", "ratio"),
    [
        (60, {}, {}, 1),
        (72, {}, {}, 2),
        (48, {}, {}, 1 / 2),
        (61, {}, {}, 2 ** (1 / 12)),
        (60, {"overridingRootKey": 55}, {}, 2 ** (5 / 12)),
        (60, {"coarseTune": -3, "fineTune": 50}, {"correction": 7}, 2 ** (-2.43 / 12)),
        (67, {"scaleTuning": 50}, {}, 2 ** (3.5 / 12)),
        (67, {"scaleTuning": 0}, {}, 1),
        (60, {}, {"rate": 44100}, 2),
    ],
)
def test_pitch(load, key, zone, options, ratio):
    sound = load([{"sample": 0, **zone}], pcm=tone(500, 40000), **options)
    assert frequency_of(play(sound, key, samples=15000)) == pytest.approx(500 * ratio, rel=1e-4)


def test_resampling_is_exact_and_never_aliases(load):
    sound = load(pcm=tone(3000, 40000))
    expected = 20000 * np.sin(2 * np.pi * 3000 * 2 ** (3 / 12) * np.arange(8000) / RATE)
    assert play(sound, 63, samples=8000)[1000:] == pytest.approx(expected[1000:], abs=3)
    sound = load(pcm=tone(8000, 40000))
    assert np.abs(play(sound, 72, samples=8000)[1000:]).max() < 2  # 16 kHz, above Nyquist


def timecents(seconds: float) -> int:
    return round(1200 * np.log2(seconds))


def test_volume_envelope(load):
    pcm = np.full(100, 16384, np.int16)
    times = {"delay": 0.05, "attack": 0.1, "hold": 0.1, "decay": 1.0, "release": 0.5}
    zone = {f"{stage}VolEnv": timecents(seconds) for stage, seconds in times.items()} | {"sustainVolEnv": 200}
    sound = load([zone | {"sample": 0, "sampleModes": 1}], pcm=pcm, loop=(0, 100))
    note = sound.note(0, 60, 127, 1.0, RATE, drum=True) / GAIN / 0.5
    at = {0.04: 0, 0.1: 0.5, 0.2: 1, 0.35: 10**-0.5, 0.9: 0.1, 1.1: 0.01, 1.3: 1e-4}  # s: amplitude
    assert [note[round(t * RATE)] for t in at] == pytest.approx(list(at.values()), rel=5e-3, abs=1e-7)
    assert len(note) == round((1.0 + 0.8 * 0.5) * RATE)  # 80 dB of release


def test_hold_and_decay_follow_the_key(load):
    pcm = np.full(100, 16384, np.int16)
    zone = {"holdVolEnv": timecents(0.5), "keynumToVolEnvHold": 100, "decayVolEnv": timecents(1), "keynumToVolEnvDecay": 50}
    sound = load([zone | {"sample": 0, "sampleModes": 1, "sustainVolEnv": 1440}], pcm=pcm, loop=(0, 100))
    note = sound.note(0, 72, 127, 1.0, RATE, release=False, drum=True) / GAIN / 0.5  # hold 0.25 s, decay 2 ** -0.5 s
    assert note[round(0.245 * RATE)] == pytest.approx(1, rel=1e-3)
    assert note[round(0.35 * RATE)] == pytest.approx(10 ** (-0.1 * 2**0.5 * 5), rel=1e-2)


def test_filter_follows_its_envelope(load):
    cents = 6900  # 440 Hz; the envelope opens it by four octaves, then closes it within 0.2 s
    zone = {"initialFilterFc": cents, "modEnvToFilterFc": 4800, "decayModEnv": timecents(0.2), "sustainModEnv": 1000}
    sound = load([zone | {"sample": 0}], pcm=tone(1760, 30000))
    note = np.abs(play(sound, samples=20000)) / 20000
    assert note[:1000].max() > 0.9
    assert note[15000:].max() == pytest.approx(1 / 16, rel=0.1)  # two octaves above: 24 dB


# --- bad fonts

GOOD = font([{"keys": (0, 100), "sampleModes": 1}, {"sample": 0, "decayVolEnv": 0}])


def patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


BAD = {
    "empty": b"",
    "text": b"this is not a SoundFont, whatever its name says",
    "wav": patched(GOOD, 8, b"WAVE"),
    "sf3": font([{"sample": 0}], version=3),
    "sf3 by its sample": font([{"sample": 0}], kind=0x11),
    "version 1": font([{"sample": 0}], version=1),
    "absurd size": patched(GOOD, GOOD.index(b"smpl") + 4, b"\xff\xff\xff\xff"),
    "no presets": patched(GOOD, GOOD.index(b"phdr"), b"none"),
    "no samples": patched(GOOD, GOOD.index(b"smpl"), b"none"),
    "odd records": patched(GOOD, GOOD.index(b"shdr") + 4, struct.pack("<I", 91)),
    "wild index": patched(GOOD, GOOD.index(b"ibag") + 8, struct.pack("<H", 60000)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_fonts(tmp_path, name):
    (tmp_path / "x.sf2").write_bytes(BAD[name])
    with pytest.raises(InputError, match=r"x\.sf2: ") as error:
        SoundFont.load(tmp_path / "x.sf2")
    assert "\n" not in str(error.value)
    assert ("sf3" in str(error.value)) == name.startswith("sf3")


@pytest.mark.parametrize("cut", range(0, len(GOOD), 61))
def test_truncated_fonts(tmp_path, cut):
    (tmp_path / "x.sf2").write_bytes(GOOD[:cut])
    with pytest.raises(InputError):
        SoundFont.load(tmp_path / "x.sf2")


def test_missing_font_and_folder(tmp_path):
    for path in (tmp_path / "none.sf2", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            SoundFont.load(path)


def test_samples_beyond_the_file_are_silent(load):
    zone = {"sample": 0, "startAddrsCoarseOffset": 2}
    assert play(load([zone])) == pytest.approx(np.zeros(400))
    assert play(load([{"sample": 7}])) == pytest.approx(np.zeros(400))


def test_endless_links_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sf2, "MAX_ZONES", 100)
    zones, presets = [{"sample": 0}] * 20, {(0, 0): [{"instrument": 0}] * 20}
    (tmp_path / "x.sf2").write_bytes(font(zones, presets=presets))
    with pytest.raises(InputError, match="over 100 zones"):
        SoundFont.load(tmp_path / "x.sf2").note(0, 60, 64, 0.1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=5), data=st.data())
def test_damaged_fonts_never_crash(tmp_path, flips, data):
    content = bytearray(GOOD)
    for place, value in flips:
        place = place if data.draw(st.booleans()) else GOOD.index(b"pdta") + place % (len(GOOD) - GOOD.index(b"pdta"))
        content[place] = value
    (tmp_path / "x.sf2").write_bytes(content)
    try:
        sound = SoundFont.load(tmp_path / "x.sf2")
        for program in sound.programs():
            for key in (0, 60, 127):
                assert np.isfinite(sound.note(program, key, 100, 0.02)).all()
    except InputError:
        return


@pytest.mark.parametrize(
    "arguments",
    [(0, 128, 64, 1), (0, -1, 64, 1), (0, 60, 0, 1), (0, 60, 128, 1), (0, 60, 64, 1e9), (0, 60, 64, -1), (9, 60, 64, 1)],
)
def test_impossible_notes(load, arguments):
    with pytest.raises(InputError):
        load().note(*arguments)
    with pytest.raises(InputError):
        load().note(0, 60, 64, 1.0, sample_rate=1)
