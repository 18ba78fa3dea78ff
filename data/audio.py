"""Mono audio: read any common file, write 16-bit wav, whole or in bounded memory.

Samples are float32, full scale at 1; rates are in Hz, durations in seconds.
"""

import contextlib
import os
import re
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.config import InputError
from utils.files import atomic

MAX_SECONDS = 3600.0  # of a file held in memory; longer ones are streamed
RATES = (1_000, 768_000)  # Hz; outside, a hostile header could make resampling fill the memory
SILENCE = 1e-4  # peak, -80 dBFS
READ_VALUES = 2**19  # samples over all channels that are read at a time
WAV_BYTES = 2**32 - 64  # what the 32-bit sizes of a wav header can say


@dataclass(frozen=True, eq=False)
class Audio:
    """Hold mono samples (S,) float32 and their rate in Hz."""

    samples: np.ndarray
    sample_rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def silent(self) -> bool:
        """Whether the peak lies below -80 dBFS."""
        return bool(np.abs(self.samples).max(initial=0.0) < SILENCE)

    @classmethod
    def load(cls, path: str | Path, sample_rate: int | None = None) -> "Audio":
        """Read a wav, flac, aiff, ogg or mp3 file; channels are averaged.

        Parameters
        ----------
        path
            The file.
        sample_rate
            Rate to resample to, in Hz; the file's own when None.

        Raises
        ------
        InputError
            If the file is missing, not audio, empty, cut short, not finite or longer than an hour.
        """
        with _opened(path, sample_rate) as file:
            rate = sample_rate or file.samplerate
            pieces, limit = [], MAX_SECONDS * rate
            for piece in _resampled(_mono(file, path), file.samplerate, rate):
                pieces.append(piece)
                limit -= len(piece)
                if limit < 0:
                    raise InputError(f"{path}: longer than {MAX_SECONDS / 3600:g} h, too long to hold: cut it or stream it")
        return cls(np.concatenate(pieces), rate)

    def save(self, path: str | Path) -> None:
        """Write a 16-bit wav that appears whole or not at all; samples beyond full scale are clipped."""
        with Writer(path, self.sample_rate) as writer:
            writer.write(self.samples)


def stream(path: str | Path, sample_rate: int | None, block: int) -> Iterator[np.ndarray]:
    """Yield mono blocks (block,) float32 at `sample_rate` Hz in bounded memory; the last one may be shorter.

    Raises
    ------
    InputError
        As `Audio.load`, but for the length; what only the end of a file can tell is raised there.
    """
    if block < 1:
        raise ValueError(f"a block holds at least one sample, not {block}")
    with _opened(path, sample_rate) as file:
        held = np.zeros(0, np.float32)
        for piece in _resampled(_mono(file, path), file.samplerate, sample_rate or file.samplerate):
            held = np.concatenate([held, piece])
            whole = len(held) - len(held) % block
            yield from held[:whole].reshape(-1, block)
            held = held[whole:]
        if len(held):
            yield held


class Writer:
    """Write a mono 16-bit wav piece by piece; the file appears under its name when the block ends without an error.

    Raises
    ------
    InputError
        If the folder or the disk does not take the file, or samples are not finite.
    """

    def __init__(self, path: str | Path, sample_rate: int):
        self.path, self.sample_rate = Path(path), int(sample_rate)
        self._bytes = 0

    def __enter__(self) -> "Writer":
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(stack.enter_context(atomic(self.path)), "wb"))
            self._wave = stack.enter_context(wave.open(file, "wb"))
            self._wave.setparams((1, 2, self.sample_rate, 0, "NONE", ""))
            self._close = stack.pop_all().__exit__
        return self

    def __exit__(self, *error) -> None:
        self._close(*error)

    def write(self, samples: np.ndarray) -> None:
        """Append samples (S,), full scale at 1; clipped, never wrapped."""
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"mono samples have one axis, not {samples.ndim}")
        if not np.isfinite(samples).all():
            raise InputError(f"{self.path}: not written, its samples are not finite (did the training diverge?)")
        self._bytes += 2 * len(samples)
        if self._bytes > WAV_BYTES:
            raise InputError(f"{self.path}: a wav file ends at 4 GiB: write it in parts")
        pcm = np.rint(np.clip(samples, -1, 1) * 32768).clip(max=32767).astype("<i2")
        self._wave.writeframesraw(pcm.tobytes())


def _opened(path, sample_rate):
    """Open a sound file for reading, once what can be wrong with it from outside has been refused."""
    import soundfile

    if sample_rate is not None and not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(f"sample rate {sample_rate} Hz: choose one from {RATES[0]} to {RATES[1]}")
    if not Path(path).is_file():
        found = "a folder, not an audio file" if Path(path).is_dir() else "no such audio file"
        raise InputError(f"{path}: {found}: check the path")
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # bytes, as a name need be no text
    except (soundfile.SoundFileError, TypeError):  # TypeError: headerless .raw
        raise InputError(f"{path}: not readable audio: give wav, flac, aiff, ogg or mp3") from None
    if not RATES[0] <= file.samplerate <= RATES[1]:
        file.close()
        raise InputError(f"{path}: claims {file.samplerate} Hz: rates from {RATES[0]} to {RATES[1]} can be read")
    return file


def _mono(file, path) -> Iterator[np.ndarray]:
    """Yield the mean of the channels (n,) float32, refusing what is empty, not finite or cut short."""
    import soundfile

    count, size = 0, max(1, READ_VALUES // file.channels)
    while True:
        try:
            samples = file.read(size, dtype="float32", always_2d=True)  # (n, channels)
        except soundfile.SoundFileError:
            raise InputError(f"{path}: damaged or cut short after {count / file.samplerate:.2f} s: get it anew") from None
        if not len(samples):
            break
        with np.errstate(over="ignore", invalid="ignore"):
            mono = samples.mean(axis=1)
        if not np.isfinite(mono).all():
            raise InputError(f"{path}: holds samples that are NaN or infinite: export it anew")
        count += len(mono)
        yield mono
    if _cut_short(file, path, count):
        raise InputError(f"{path}: cut short after {count / file.samplerate:.2f} s: get it anew")
    if not count:
        raise InputError(f"{path}: holds no samples: give a file with sound")


def _resampled(pieces: Iterable[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """Resample pieces (n,) from `rate` to `target` Hz; together they equal the resampled whole."""
    if rate == target:
        yield from pieces
        return
    import soxr

    resampler = soxr.ResampleStream(rate, target, 1)
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _cut_short(file, path, count: int) -> bool:
    """Tell whether a file promises clearly more than the `count` frames that it gave.

    The library passes over a missing end in these formats; it reports it in the others.
    """
    if file.format == "MP3":  # without a length tag the number of frames is only guessed from the file's size
        return _mp3_tells_length(path) and count < file.frames - 1152
    if file.format == "OGG":
        return not _ogg_ends(path)
    promise = re.search(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if not promise:
        return False
    promised, found = map(int, promise.groups())  # bytes
    return promised - found > 1024 and promised < 0x7FFFF000  # sizes from there on mean "unknown", as pipes write them


def _mp3_tells_length(path) -> bool:
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # its size comes in 7-bit bytes
            file.seek(10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10]))))
        else:
            file.seek(0)
        frame = file.read(256)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    return place >= 0 and bool(frame[place + 7 : place + 8] > b"" and frame[place + 7] & 1)


def _ogg_ends(path) -> bool:
    """Tell whether the last Ogg page is whole and flagged as the end of its stream (RFC 3533, section 6)."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 2**17))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27:
        return False
    segments = 27 + page[26]
    return bool(page[5] & 4) and len(page) >= segments + sum(page[27:segments])
