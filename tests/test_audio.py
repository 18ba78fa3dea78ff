import os
import shutil
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data import audio
from data.audio import Audio, Writer, stream
from utils.config import InputError

RATE = 22050


def tone(seconds=0.5, rate=RATE, hz=440.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix, tolerance", [("wav", 4e-5), ("flac", 4e-5), ("aiff", 4e-5), ("ogg", 0.02), ("mp3", 0.02)])
def test_every_format_loads(tmp_path, suffix, tolerance):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([tone(), 0 * tone()], 1), RATE)
    loaded = Audio.load(path)
    assert loaded.samples.dtype == np.float32 and loaded.samples.shape == (RATE // 2,)
    assert (loaded.sample_rate, loaded.duration) == (RATE, 0.5)
    middle = slice(2000, -2000)
    np.testing.assert_allclose(loaded.samples[middle], tone()[middle] / 2, atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 12000, 44100, 48000, 96000])
def test_resampling_keeps_the_tone(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(0.5, rate), rate, subtype="FLOAT")
    loaded = Audio.load(tmp_path / "a.wav", RATE)
    assert loaded.samples.shape == (RATE // 2,)
    np.testing.assert_allclose(loaded.samples[1000:-1000], tone()[1000:-1000], atol=1e-3)


@pytest.mark.parametrize("block", [1, 1000, 4096, 100_000])
@pytest.mark.parametrize("rate", [RATE, 44100])
def test_stream_equals_load(tmp_path, monkeypatch, rate, block):
    monkeypatch.setattr(audio, "READ_VALUES", 3000)  # several reads
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, (20_001, 2)), rate)
    blocks = list(stream(tmp_path / "a.wav", RATE, block))
    assert all(len(b) == block for b in blocks[:-1]) and 0 < len(blocks[-1]) <= block
    np.testing.assert_array_equal(np.concatenate(blocks), Audio.load(tmp_path / "a.wav", RATE).samples)


def test_stream_reads_no_further_than_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "READ_VALUES", 1000)
    samples = tone(1.0)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    blocks = stream(tmp_path / "a.wav", None, 500)
    np.testing.assert_array_equal(next(blocks), samples[:500])
    with pytest.raises(InputError, match="NaN"):
        list(blocks)


@given(hnp.arrays(np.int16, st.integers(1, 300)))
def test_16_bit_round_trip_is_exact(tmp_path_factory, pcm):
    path = tmp_path_factory.mktemp("a") / "a.wav"
    Audio(pcm.astype(np.float32) / 32768, 8000).save(path)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (1, 2, 8000, len(pcm))
        np.testing.assert_array_equal(np.frombuffer(file.readframes(len(pcm)), "<i2"), pcm)
    np.testing.assert_array_equal(Audio.load(path).samples, pcm.astype(np.float32) / 32768)


def test_loud_samples_are_clipped_not_wrapped(tmp_path):
    Audio(np.array([1.0, 1.5, 3e38, -1.0, -7.0, 0.0], np.float32), RATE).save(tmp_path / "a.wav")
    np.testing.assert_allclose(Audio.load(tmp_path / "a.wav").samples, [1, 1, 1, -1, -1, 0], atol=4e-5)


def test_silence_loads_and_says_so(tmp_path):
    Audio(np.zeros(100, np.float32), RATE).save(tmp_path / "a.wav")
    assert Audio.load(tmp_path / "a.wav").silent
    assert Audio(tone(amplitude=0.99e-4), RATE).silent
    assert not Audio(tone(amplitude=1.01e-4), RATE).silent


# ---- what cannot be read


def refused(path, message, sample_rate=None):
    with pytest.raises(InputError, match=message) as caught:
        Audio.load(path, sample_rate)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        list(stream(path, sample_rate, 1000))


def test_missing_folder_and_nonsense_are_refused(tmp_path):
    refused(tmp_path / "no.wav", "no such audio file")
    refused(tmp_path, "a folder")
    for name, content in {"a.wav": b"", "b.wav": b"hello" * 100, "c.mp3": b"\0" * 5000, "d.raw": b"\1\2" * 100}.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "not readable audio")


def saved(folder, name, samples=None, rate=RATE, **options):
    soundfile.write(folder / name, tone() if samples is None else samples, rate, **options)
    return folder / name


@pytest.mark.parametrize("name", [b"bad\xff.wav", b"new\nline.wav", b"-dash 'quotes\".wav"])
def test_any_name_of_a_file_will_do(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    shutil.copy(saved(tmp_path, "a.wav"), path)
    assert Audio.load(path).duration == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, value):
    refused(saved(tmp_path, "a.wav", np.array([0, value, 0]), subtype="FLOAT"), "NaN or infinite")


def test_channels_that_overflow_together_are_refused(tmp_path):
    refused(saved(tmp_path, "a.wav", np.full((10, 2), 3e38), subtype="FLOAT"), "NaN or infinite")


def test_empty_file_is_refused(tmp_path):
    refused(saved(tmp_path, "a.wav", np.zeros(0)), "holds no samples")


def test_zero_channels_are_refused(tmp_path):
    content = bytearray(saved(tmp_path, "a.wav").read_bytes())
    content[22:24] = struct.pack("<H", 0)
    (tmp_path / "a.wav").write_bytes(content)
    refused(tmp_path / "a.wav", "not readable audio")


@pytest.mark.parametrize("share", [0.4, 0.8, 0.9])
@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg", "mp3"])
def test_files_cut_short_are_refused(tmp_path, suffix, share):
    content = saved(tmp_path, f"a.{suffix}", np.random.default_rng(0).uniform(-0.5, 0.5, 44100)).read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(content[: int(share * len(content))])
    refused(tmp_path / f"b.{suffix}", "cut short|not readable")


def test_wav_of_unknown_length_from_a_pipe_loads(tmp_path):
    content = bytearray(saved(tmp_path, "a.wav").read_bytes())
    place = content.index(b"data")
    content[4:8] = content[place + 4 : place + 8] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_allclose(Audio.load(tmp_path / "a.wav").samples, tone(), atol=4e-5)


def test_mp3_without_a_length_tag_loads_though_its_length_is_overestimated(tmp_path):
    content = saved(tmp_path, "a.mp3", bitrate_mode="CONSTANT").read_bytes()
    untagged = content.replace(b"Info", b"\0\0\0\0").replace(b"Xing", b"\0\0\0\0")
    picture = b"ID3\x03\0\0" + bytes([0, 0, 1 << 5, 0]) + b"\0" * (1 << 12)
    (tmp_path / "b.mp3").write_bytes(picture + untagged)
    assert soundfile.info(tmp_path / "b.mp3").frames > RATE // 2
    assert abs(len(Audio.load(tmp_path / "b.mp3").samples) - RATE // 2) < 3 * 1152


def test_long_files_are_refused_whole_but_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SECONDS", 0.25)
    path = saved(tmp_path, "a.wav")
    with pytest.raises(InputError, match="too long to hold"):
        Audio.load(path)
    assert sum(map(len, stream(path, None, 1000))) == RATE // 2


def test_absurd_rates_are_refused(tmp_path):
    refused(saved(tmp_path, "a.wav", rate=1), "claims 1 Hz", RATE)
    for rate in (0, -1, 999, 10**9):
        refused(saved(tmp_path, "b.wav"), "choose one from", rate)


def test_a_block_holds_a_sample(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        next(stream(saved(tmp_path, "a.wav"), None, 0))


@given(st.sampled_from(["wav", "flac", "aiff"]), st.data())
def test_any_damage_is_one_line_or_sound(tmp_path_factory, suffix, data):
    path = saved(tmp_path_factory.mktemp("a"), f"a.{suffix}", tone(0.02))
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, 100))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert np.isfinite(Audio.load(path, 8000).samples).all()
    except InputError as error:
        assert "\n" not in str(error)


# ---- writing


def test_writer_joins_pieces_and_leaves_no_other_file(tmp_path):
    with Writer(tmp_path / "a.wav", RATE) as writer:
        for piece in np.array_split(tone(), 7):
            writer.write(piece)
            assert not (tmp_path / "a.wav").exists()
    assert os.listdir(tmp_path) == ["a.wav"]
    np.testing.assert_allclose(Audio.load(tmp_path / "a.wav").samples, tone(), atol=4e-5)


def test_failure_keeps_the_older_file(tmp_path):
    before = saved(tmp_path, "a.wav").read_bytes()
    with pytest.raises(KeyboardInterrupt), Writer(tmp_path / "a.wav", RATE) as writer:
        writer.write(tone())
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="not finite"):
        Audio(np.array([0, np.nan], np.float32), RATE).save(tmp_path / "a.wav")
    assert os.listdir(tmp_path) == ["a.wav"] and (tmp_path / "a.wav").read_bytes() == before


def test_places_that_take_no_file_are_named(tmp_path):
    sound = Audio(tone(), RATE)
    with pytest.raises(InputError, match="No such file"):
        sound.save(tmp_path / "no" / "a.wav")
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        sound.save(tmp_path / "folder.wav")
    assert os.listdir(tmp_path) == ["folder.wav"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("samples", [tone(0.01), tone(30.0)], ids=["at the end", "in the middle"])
def test_full_disk_is_one_line(tmp_path, samples):
    (tmp_path / ".a.wav.part").symlink_to("/dev/full")  # where the file is written aside
    with pytest.raises(InputError, match="No space left"), Writer(tmp_path / "a.wav", RATE) as writer:
        writer.write(samples)
    assert os.listdir(tmp_path) == []


def test_wav_beyond_4_gib_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "WAV_BYTES", 100)
    with pytest.raises(InputError, match="4 GiB"):
        Audio(tone(), RATE).save(tmp_path / "a.wav")
    assert os.listdir(tmp_path) == []


def test_samples_with_two_axes_are_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="one axis"):
        Audio(np.zeros((2, 3), np.float32), RATE).save(tmp_path / "a.wav")
