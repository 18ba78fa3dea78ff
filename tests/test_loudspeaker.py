"""Live sound, on a device that plays nothing."""

import sys
import threading
import types

import numpy as np
import pytest

from tests.waiting import wait_until
from utils.config import InputError
from utils.loudspeaker import BLOCK, Loop, Loudspeaker, looped


class Device:
    """A sounddevice that plays nothing."""

    class PortAudioError(Exception):
        pass

    def __init__(self, broken=False):
        self.broken, self.closed = broken, False
        self.OutputStream = self.open

    def open(self, samplerate, blocksize, channels, dtype, callback):
        if self.broken:
            raise self.PortAudioError("Error querying device -1")
        self.callback = callback
        return types.SimpleNamespace(start=lambda: None, close=self.close)

    def close(self):
        self.closed = True

    def heard(self):
        out = np.full((BLOCK, 1), np.nan, np.float32)
        self.callback(out, BLOCK, None, None)
        return out[:, 0]


def test_grains_are_looped_in_a_thread_and_the_newest_wins(monkeypatch):
    device, made, gate = Device(), [], threading.Event()
    monkeypatch.setitem(sys.modules, "sounddevice", device)

    def make(order):
        gate.wait(5)
        made.append(order)
        return np.full(5000, order, np.float32)

    with Loudspeaker(make, 22050) as speaker:
        assert speaker.trouble == ""
        assert not device.heard().any()
        for order in (0.1, 0.2, 0.3):
            speaker.ask(order)
        gate.set()
        wait_until(lambda: made and made[-1] == 0.3 and speaker.loop.wanted.max() > 0.29)
        fading, steady = device.heard(), device.heard()
    assert len(made) <= 2 and device.closed and not speaker.thread.is_alive()
    assert fading[0] == 0 and fading[-1] > 0.29 and np.abs(np.diff(fading)).max() < 1e-3
    assert steady.min() > 0.29


def test_what_cannot_be_made_is_told(monkeypatch):
    def make(order):
        raise InputError("not finite")

    monkeypatch.setitem(sys.modules, "sounddevice", Device())
    with Loudspeaker(make, 22050) as speaker:
        speaker.ask(1)
        wait_until(lambda: speaker.trouble == "not finite")


def test_no_device_is_a_reason_not_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", Device(broken=True))
    with Loudspeaker(np.zeros, 22050) as speaker:
        speaker.ask(5)
        assert speaker.trouble == "no sound: no device for it"
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "not installed" in Loudspeaker(np.zeros, 22050).trouble


def test_portaudio_may_be_missing(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert Loudspeaker(np.zeros, 22050).trouble == "no sound: PortAudio is missing"


def test_loops_have_no_seam():
    sine = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050).astype(np.float32)
    grain, loop = looped(sine), Loop()
    loop.wanted = grain
    sound = np.concatenate([loop.take(BLOCK) for _ in range(60)])
    assert np.abs(np.diff(sound)).max() < 1.5 * np.abs(np.diff(sine)).max()
    assert np.sqrt(np.square(sound[5 * BLOCK :]).mean()) == pytest.approx(np.sqrt(0.5), rel=0.1)
