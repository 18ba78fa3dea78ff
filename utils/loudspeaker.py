"""Sound while one looks: loops the newest grain it was given. Silent, with a reason, where there is nothing to play on."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.config import InputError

BLOCK = 1024  # samples that the device asks for at once, within which one grain fades into the next
FADE = 0.1  # of a grain, which fades into its own beginning


def looped(samples: np.ndarray) -> np.ndarray:
    """Return samples (S,) without their last tenth, which fades into the beginning: so they can be repeated without a click."""
    n = int(len(samples) * FADE)
    turn = np.linspace(0, np.pi / 2, n, endpoint=False, dtype=np.float32)
    result = samples[: len(samples) - n].copy()
    result[:n] = np.sin(turn) * result[:n] + np.cos(turn) * samples[len(samples) - n :]  # of equal power
    return result


class Loop:
    """Repeat a grain of sound (S,) endlessly; a new one fades in within a block, and goes on at the place of the one before."""

    def __init__(self):
        self.grain = self.wanted = np.zeros(1, np.float32)
        self.place = 0  # in the grain that sounds

    def take(self, n: int) -> np.ndarray:
        """Return the next samples (n,)."""
        wanted = self.wanted  # once, as another thread sets it
        samples = np.take(self.grain, np.arange(self.place, self.place + n), mode="wrap")
        if wanted is not self.grain:
            rise = np.linspace(0, 1, n, dtype=np.float32)
            self.grain, self.place = wanted, self.place % len(wanted)
            samples = (1 - rise) * samples + rise * np.take(wanted, np.arange(self.place, self.place + n), mode="wrap")
        self.place = (self.place + n) % len(self.grain)
        return samples


class Loudspeaker:
    """Play what `make` returns, samples (S,), over and over for the newest thing that was asked for. Use it as a context.

    `trouble` says in a few words why there is no sound, and is empty where there is some.

    Parameters
    ----------
    make : works in a thread of its own; what it was asked for in the meantime is forgotten but for the newest.
    """

    def __init__(self, make: Callable[[Any], np.ndarray], sample_rate: int):
        self.make, self.loop = make, Loop()
        self.order: Any = None
        self.news, self.ended = threading.Condition(), False
        self.stream, self.trouble = _opened(self.loop, sample_rate)
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Loudspeaker":
        if self.stream:
            self.thread.start()
        return self

    def __exit__(self, *error) -> None:
        with self.news:
            self.ended = True
            self.news.notify()
        if self.stream:
            self.thread.join()
            self.stream.close()

    def ask(self, order: Any) -> None:
        """Play this from now on; returns at once."""
        with self.news:
            self.order = order
            self.news.notify()

    def _work(self) -> None:
        while True:
            with self.news:
                self.news.wait_for(lambda: self.ended or self.order is not None)
                order, self.order = self.order, None
                if self.ended:
                    return
            try:
                grain = self.make(order)
            except InputError as error:
                self.trouble = str(error)
                continue
            self.loop.wanted = grain / max(1.0, float(np.abs(grain).max(initial=0.0)))


def _opened(loop: Loop, sample_rate: int) -> tuple[Any, str]:
    """Return a running stream that plays the loop and "", or None and why there is none."""
    try:
        import sounddevice
    except ImportError:
        return None, "no sound: sounddevice is not installed"
    except OSError:
        return None, "no sound: PortAudio is missing"

    def fill(out: np.ndarray, n: int, *_: Any) -> None:
        out[:, 0] = loop.take(n)

    try:
        stream = sounddevice.OutputStream(sample_rate, BLOCK, channels=1, dtype="float32", callback=fill)
        stream.start()
    except sounddevice.PortAudioError:
        return None, "no sound: no device for it"
    return stream, ""
