"""SoundFonts: a font made by hand with known samples, damaged fonts, the default font, the rendered corpus."""

import csv
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import soundfont
from data.notes import Notes, Track
from data.sampler import FADE, GAIN, SoundFont
from data.sf2 import GENERATORS
from data.soundfont import INSTRUMENTS, Instrument, default_corpus, make_corpus
from data.synthesis import darken, low_pass
from utils.config import InputError

RATE = 22050
OPERATORS = {name: number for number, (name, *_) in GENERATORS.items()} | {"instrument": 41, "keys": 43, "velocities": 44}
RAMP = np.arange(-1000, 1000, 4, dtype=np.int16)  # 500 samples, all different


def chunk(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def zones_of(zones: list[dict]) -> tuple[bytes, bytes]:
    """Return the bag and the generator list of some zones."""
    bags, generators = [], b""
    for zone in [*zones, {}]:
        bags.append(struct.pack("<HH", len(generators) // 4, 0))
        for name, value in zone.items():
            value = value[0] | value[1] << 8 if isinstance(value, tuple) else value
            number = 53 if name == "sample" else OPERATORS[name]
            generators += struct.pack("<Hh", number, value)
    return b"".join(bags), generators + bytes(4)


def font(zones, presets=None, pcm=RAMP, loop=(100, 200), rate=RATE, root=60, correction=0, version=2, kind=1) -> bytes:
    """Return the bytes of a font of one instrument and one sample; presets: (bank, program) -> zones."""
    presets = presets or {(0, 0): [{"instrument": 0}]}
    headers, bag = b"", 0
    for (bank, program), outer in presets.items():
        headers += struct.pack("<20sHHHIII", b"preset", program, bank, bag, 0, 0, 0)
        bag += len(outer)
    headers += struct.pack("<20sHHHIII", b"EOP", 0, 0, bag, 0, 0, 0)
    preset_bags, preset_generators = zones_of([zone for outer in presets.values() for zone in outer])
    bags, generators = zones_of(zones)
    sample = struct.pack("<20sIIIIIBbHH", b"sample", 0, len(pcm), *loop, rate, root, correction, 0, kind)
    lists = {
        "phdr": headers,
        "pbag": preset_bags,
        "pmod": bytes(10),
        "pgen": preset_generators,
        "inst": struct.pack("<20sH", b"instrument", 0) + struct.pack("<20sH", b"EOI", len(zones)),
        "ibag": bags,
        "imod": bytes(10),
        "igen": generators,
        "shdr": sample + bytes(46),
    }
    info = b"INFO" + chunk("ifil", struct.pack("<HH", version, 1))
    data = b"sdta" + chunk("smpl", pcm.astype("<i2").tobytes())
    body = b"pdta" + b"".join(chunk(name, content) for name, content in lists.items())
    return chunk("RIFF", b"sfbk" + b"".join(chunk("LIST", part) for part in (info, data, body)))


@pytest.fixture
def load(tmp_path):
    """Return a function that makes a font of zones and loads it."""

    def loaded(zones=({"sample": 0},), **options) -> SoundFont:
        (tmp_path / "x.sf2").write_bytes(font(list(zones), **options))
        return SoundFont.load(tmp_path / "x.sf2")

    return loaded


def play(sound: SoundFont, key=60, velocity=127, samples=400, **options) -> np.ndarray:
    """Return the samples of a note before its fade, as 16-bit numbers."""
    options = {"release": False} | options
    note = sound.note(0, key, velocity, (samples + FADE * RATE) / RATE, RATE, **options)
    return note[:samples] / GAIN * 32768


# --- exact samples of a font made by hand


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
    note = sound.note(0, 60, 127, 330 / RATE, RATE) / GAIN * 32768
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
    sound = load(presets={(128, 0): [{"instrument": 0}]})  # drums: loudness alone
    ratio = play(sound, velocity=64, drum=True) / play(sound, drum=True)
    assert ratio[:200] == pytest.approx((64 / 127) ** 2, rel=1e-5)


def test_attenuation_adds_up(load):
    presets = {(0, 0): [{"initialAttenuation": 999}, {"initialAttenuation": 50, "instrument": 0}]}
    sound = load([{"initialAttenuation": 100, "sampleModes": 1}, {"sample": 0}], presets=presets)
    assert play(sound, samples=300)[200:] == pytest.approx(RAMP[100:200] * 10 ** (-0.4 * 15 / 20))  # 10 + 5 dB, a global loop


def test_preset_global_zone(load):
    presets = {(0, 0): [{"initialAttenuation": 50}, {"instrument": 0}]}
    assert play(load(presets=presets)) == pytest.approx(RAMP[:400] * 10 ** (-0.4 * 5 / 20))


def test_keys_and_velocities_choose_zones(load):
    zones = [{"keys": (60, 60), "velocities": (1, 63), "sample": 0}, {"keys": (60, 61), "sample": 0, "initialAttenuation": 50}]
    sound = load(zones, presets={(128, 0): [{"keys": (0, 60), "instrument": 0}]})
    quiet, both = 10 ** (-0.4 * 5 / 20), 1 + 10 ** (-0.4 * 5 / 20)
    assert play(sound, velocity=127, drum=True) == pytest.approx(RAMP[:400] * quiet, rel=1e-5)
    assert play(sound, velocity=63, drum=True) == pytest.approx(RAMP[:400] * both * (63 / 127) ** 2, rel=1e-5)
    assert play(sound, key=61, drum=True) == pytest.approx(np.zeros(400))  # the preset's own range ends at 60


def tone(frequency: float, count: int, rate: int = RATE) -> np.ndarray:
    return np.round(20000 * np.sin(2 * np.pi * frequency * np.arange(count) / rate)).astype(np.int16)


def frequency_of(signal: np.ndarray, rate: int = RATE) -> float:
    """Return the frequency of the highest peak, interpolated."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), 2**19))
    return np.argmax(spectrum) * rate / 2**19


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
    note = sound.note(0, 60, 127, 1.0, RATE) / GAIN / 0.5
    at = {0.04: 0, 0.1: 0.5, 0.2: 1, 0.35: 10**-0.5, 0.9: 0.1, 1.1: 0.01, 1.3: 1e-4}  # s: amplitude
    assert [note[round(t * RATE)] for t in at] == pytest.approx(list(at.values()), rel=5e-3, abs=1e-7)
    assert len(note) == round((1.0 + 0.8 * 0.5) * RATE)  # 80 dB of release


def test_hold_and_decay_follow_the_key(load):
    pcm = np.full(100, 16384, np.int16)
    zone = {"holdVolEnv": timecents(0.5), "keynumToVolEnvHold": 100, "decayVolEnv": timecents(1), "keynumToVolEnvDecay": 50}
    sound = load([zone | {"sample": 0, "sampleModes": 1, "sustainVolEnv": 1440}], pcm=pcm, loop=(0, 100))
    note = sound.note(0, 72, 127, 1.0, RATE, release=False) / GAIN / 0.5  # hold 0.25 s, decay 2 ** -0.5 s
    assert note[round(0.245 * RATE)] == pytest.approx(1, rel=1e-3)
    assert note[round(0.35 * RATE)] == pytest.approx(10 ** (-0.1 * 2**0.5 * 5), rel=1e-2)


def test_filter_follows_its_envelope(load):
    cents = 6900  # 440 Hz; the envelope opens it by four octaves, then closes it within 0.2 s
    zone = {"initialFilterFc": cents, "modEnvToFilterFc": 4800, "decayModEnv": timecents(0.2), "sustainModEnv": 1000}
    sound = load([zone | {"sample": 0}], pcm=tone(1760, 30000))
    note = np.abs(play(sound, samples=20000)) / 20000
    assert note[:1000].max() > 0.9
    assert note[15000:].max() == pytest.approx(1 / 16, rel=0.1)  # two octaves above: 24 dB


# --- filters against closed forms


@pytest.mark.parametrize("resonance", [0, 60, 200])
def test_low_pass_at_its_cutoff(resonance):
    x = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    y = low_pass(x, np.full(100, 1000.0), resonance, RATE)
    assert np.abs(y[RATE // 2 :]).max() == pytest.approx(2**-0.5 * 10 ** (resonance / 200), rel=1e-2)


def test_low_pass_in_blocks_equals_low_pass_at_once():
    x = np.random.default_rng(0).standard_normal(5000)
    cutoff = np.full(20, 2000.0)
    nearly = cutoff + 1e-9 * np.arange(20)
    assert low_pass(x, nearly, 0, RATE) == pytest.approx(low_pass(x, cutoff, 0, RATE), abs=1e-5)
    assert low_pass(x, np.full(20, 20000.0), 0, RATE) is x


@pytest.mark.parametrize(("velocity", "slope"), [(33, 8.0), (80, 4.0), (127, 0.0)])
@pytest.mark.parametrize("frequency", [300, 1000, 5000])
def test_darken(velocity, slope, frequency):
    x = np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    y = darken(x, 69, velocity, RATE)
    octaves = 0.5 * np.log2(1 + frequency**2 / (440**2 + 400**2))
    assert 20 * np.log10(np.abs(y[5000:-5000]).max()) == pytest.approx(-slope * octaves, abs=0.05)


def test_darken_is_causal():
    x = np.zeros(4000)
    x[2000] = 1
    assert np.abs(darken(x, 40, 33, RATE)[:1990]).max() < 1e-4


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


def test_endless_links_are_refused(tmp_path):
    zones, presets = [{"sample": 0}] * 300, {(0, 0): [{"instrument": 0}] * 300}
    (tmp_path / "x.sf2").write_bytes(font(zones, presets=presets))
    with pytest.raises(InputError, match="over 10000 zones"):
        SoundFont.load(tmp_path / "x.sf2").note(0, 60, 64, 0.1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        for key in range(low, high + 1, 4):
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
