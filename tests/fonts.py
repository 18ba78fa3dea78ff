"""SoundFonts made by hand, whose samples are known."""

import struct
from pathlib import Path

import numpy as np

from data.sampler import FADE, GAIN, SoundFont
from data.sf2 import GENERATORS

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
    presets = presets or {(0, 0): [{"instrument": 0}], (128, 0): [{"instrument": 0}]}
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


def loaded(folder: Path, zones=({"sample": 0},), **options) -> SoundFont:
    """Make a font of zones in x.sf2 and load it."""
    (folder / "x.sf2").write_bytes(font(list(zones), **options))
    return SoundFont.load(folder / "x.sf2")


def play(sound: SoundFont, key=60, velocity=127, samples=400) -> np.ndarray:
    """Return the samples of a note before its fade, as 16-bit numbers; of drums, whose spectrum is left as it is."""
    note = sound.note(0, key, velocity, (samples + FADE * RATE) / RATE, RATE, release=False, drum=True)
    return note[:samples] / GAIN * 32768


def tone(frequency: float, count: int, rate: int = RATE) -> np.ndarray:
    return np.round(20000 * np.sin(2 * np.pi * frequency * np.arange(count) / rate)).astype(np.int16)


def frequency_of(signal: np.ndarray, rate: int = RATE) -> float:
    """Return the frequency of the highest peak, interpolated."""
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal)), 2**19))
    return np.argmax(spectrum) * rate / 2**19
