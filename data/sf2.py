"""Read SoundFont 2 files: presets, zones and samples, all generators resolved.

Sections are those of the SoundFont Technical Specification, version 2.04 (E-mu Systems / Creative Labs, 2006).
Modulators, the low-frequency oscillators and 24-bit extensions are not read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.config import InputError

DRUMS = 128  # the bank of percussion (7.2)
MAX_ZONES = 10_000  # of a preset

# The records of the "pdta" list (7.2-7.10), without modulators.
_RECORDS = {
    b"phdr": np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "<u4", 3)]),
    b"pbag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"pgen": np.dtype([("operator", "<u2"), ("amount", "<i2")]),
    b"inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    b"ibag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    b"igen": np.dtype([("operator", "<u2"), ("amount", "<i2")]),
    b"shdr": np.dtype(
        [
            ("name", "S20"),
            *((field, "<u4") for field in ("start", "end", "loop_start", "loop_end", "rate")),
            ("key", "u1"),
            ("correction", "i1"),
            ("link", "<u2"),
            ("type", "<u2"),
        ]
    ),
}
_INDICES = (
    ("phdr", "bag", "pbag"),
    ("pbag", "generator", "pgen"),
    ("inst", "bag", "ibag"),
    ("ibag", "generator", "igen"),
)
_INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE = 41, 43, 44, 53  # operators that link and select (8.1.2)
_ROM, _VORBIS = 0x8000, 0x10  # sample types: in the synthesizer's memory (7.10); compressed, in sf3 files

# operator: (name, default, lowest, highest, added to by presets), sections 8.1.2 and 8.1.3
GENERATORS = {
    0: ("startAddrsOffset", 0, -32768, 32767, False),
    1: ("endAddrsOffset", 0, -32768, 32767, False),
    2: ("startloopAddrsOffset", 0, -32768, 32767, False),
    3: ("endloopAddrsOffset", 0, -32768, 32767, False),
    4: ("startAddrsCoarseOffset", 0, -32768, 32767, False),
    8: ("initialFilterFc", 13500, 1500, 13500, True),
    9: ("initialFilterQ", 0, 0, 960, True),
    11: ("modEnvToFilterFc", 0, -12000, 12000, True),
    12: ("endAddrsCoarseOffset", 0, -32768, 32767, False),
    25: ("delayModEnv", -12000, -12000, 5000, True),
    26: ("attackModEnv", -12000, -12000, 8000, True),
    27: ("holdModEnv", -12000, -12000, 5000, True),
    28: ("decayModEnv", -12000, -12000, 8000, True),
    29: ("sustainModEnv", 0, 0, 1000, True),
    30: ("releaseModEnv", -12000, -12000, 8000, True),
    31: ("keynumToModEnvHold", 0, -1200, 1200, True),
    32: ("keynumToModEnvDecay", 0, -1200, 1200, True),
    33: ("delayVolEnv", -12000, -12000, 5000, True),
    34: ("attackVolEnv", -12000, -12000, 8000, True),
    35: ("holdVolEnv", -12000, -12000, 5000, True),
    36: ("decayVolEnv", -12000, -12000, 8000, True),
    37: ("sustainVolEnv", 0, 0, 1440, True),
    38: ("releaseVolEnv", -12000, -12000, 8000, True),
    39: ("keynumToVolEnvHold", 0, -1200, 1200, True),
    40: ("keynumToVolEnvDecay", 0, -1200, 1200, True),
    45: ("startloopAddrsCoarseOffset", 0, -32768, 32767, False),
    48: ("initialAttenuation", 0, 0, 1440, True),
    50: ("endloopAddrsCoarseOffset", 0, -32768, 32767, False),
    51: ("coarseTune", 0, -120, 120, True),
    52: ("fineTune", 0, -99, 99, True),
    54: ("sampleModes", 0, 0, 3, False),
    56: ("scaleTuning", 100, 0, 1200, True),
    58: ("overridingRootKey", -1, -1, 127, False),
}


@dataclass(frozen=True)
class Zone:
    """Say how one sample sounds for a range of keys and velocities.

    `start`, `end`, `loop_start` and `loop_end` are places in the file's samples; `loop` is "none", "always" or
    "held", that is, while the key is down. `root` is the key of the recorded pitch at `rate` Hz, `cents` a
    correction. `generators` holds every other value of `GENERATORS`, by name, in the units of section 8.1.3.
    """

    keys: tuple[int, int]
    velocities: tuple[int, int]
    start: int
    end: int
    loop_start: int
    loop_end: int
    loop: str
    rate: int
    root: int
    cents: int
    generators: Mapping[str, int]

    def covers(self, key: int, velocity: int) -> bool:
        """Whether the zone sounds at this key and velocity."""
        return self.keys[0] <= key <= self.keys[1] and self.velocities[0] <= velocity <= self.velocities[1]


class Bank:
    """Hold the contents of one SoundFont file.

    Parameters
    ----------
    content
        The file, (bytes,) uint8; it is not copied.
    name
        What errors call it.

    Raises
    ------
    InputError
        It is not SoundFont 2, is truncated, compressed (sf3) or inconsistent.
    """

    def __init__(self, content: np.ndarray, name: str | Path):
        self.name = name
        chunks = _chunks_of(content, name)
        self.samples = chunks[b"smpl"][: len(chunks[b"smpl"]) // 2 * 2].view("<i2")  # (S,) int16
        self._records = {key.decode(): _records(chunks, key, name) for key in _RECORDS}
        for parent, field, child in _INDICES:
            index = self._records[parent][field].astype(np.int64)
            if (np.diff(index) < 0).any() or index[-1] >= len(self._records[child]):
                raise InputError(f"{name}: the {parent} list does not fit the {child} list; take an undamaged SoundFont")
        if (self._records["shdr"]["type"] & _VORBIS).any():
            raise InputError(f"{name}: its samples are compressed (sf3); convert it to sf2, say with sf3convert -x")

    @cached_property
    def presets(self) -> dict[tuple[int, int], int]:
        """Index of each preset by (bank, program); bank 128 are the drums."""
        headers = self._records["phdr"][:-1]
        presets = {}
        for i, (bank, program) in enumerate(zip(headers["bank"].tolist(), headers["program"].tolist(), strict=True)):
            presets.setdefault((bank, program), i)
        return presets

    def zones(self, preset: int) -> tuple[Zone, ...]:
        """Return every zone of every instrument of a preset, generators resolved (9.4): preset values are added.

        Raises
        ------
        InputError
            There are more than 10,000: only a damaged file links so many.
        """
        zones: list[Zone | None] = []
        for outer in self._layers("phdr", "pbag", "pgen", preset, _INSTRUMENT):
            if outer[_INSTRUMENT] >= len(self._records["inst"]) - 1:
                continue
            inner = self._layers("inst", "ibag", "igen", outer[_INSTRUMENT], _SAMPLE)
            zones += [self._zone(outer, values) for values in inner]
            if len(zones) > MAX_ZONES:
                raise InputError(f"{self.name}: a preset has over {MAX_ZONES} zones; take an undamaged SoundFont")
        return tuple(zone for zone in zones if zone is not None)

    def _layers(self, headers: str, bags: str, lists: str, index: int, link: int) -> Iterator[dict[int, int]]:
        """Yield operator -> amount for each zone with the `link`; a first zone without it is global (7.3, 7.7)."""
        first, last = self._records[headers]["bag"][index : index + 2]
        shared: dict[int, int] = {}
        for bag in range(first, last):
            start, end = self._records[bags]["generator"][bag : bag + 2]
            pairs = self._records[lists][start:end]
            own = dict(zip(pairs["operator"].tolist(), pairs["amount"].tolist(), strict=True))
            if link in own:
                yield shared | own | {link: own[link] & 0xFFFF}
            elif bag == first:
                shared = own

    def _zone(self, outer: dict[int, int], inner: dict[int, int]) -> Zone | None:
        """Join a preset's zone and an instrument's; None where they never sound."""
        keys, velocities = _overlap(outer, inner, _KEYS), _overlap(outer, inner, _VELOCITIES)
        headers = self._records["shdr"]
        if keys[0] > keys[1] or velocities[0] > velocities[1] or inner[_SAMPLE] >= len(headers) - 1:
            return None
        header = headers[inner[_SAMPLE]]
        values = {}
        for operator, (name, default, lowest, highest, additive) in GENERATORS.items():
            value = inner.get(operator, default) + (outer.get(operator, 0) if additive else 0)
            values[name] = min(max(value, lowest), highest)
        places = self._places(header, values)
        if places is None or header["type"] & _ROM:
            return None
        root = values["overridingRootKey"]
        return Zone(
            keys,
            velocities,
            *places,
            rate=int(np.clip(header["rate"], 400, 50000)),  # "the nearest practical value" (7.10)
            root=root if root >= 0 else int(header["key"]) if header["key"] <= 127 else 60,
            cents=100 * values["coarseTune"] + values["fineTune"] + int(header["correction"]),
            generators=values,
        )

    def _places(self, header: np.void, values: Mapping[str, int]) -> tuple[int, int, int, int, str] | None:
        """Return start, end, loop start, loop end and loop mode; None where there is nothing to play."""

        def place(field: str, generator: str) -> int:
            fine, coarse = values[f"{generator}AddrsOffset"], values[f"{generator}AddrsCoarseOffset"]
            return int(header[field]) + fine + 32768 * coarse

        start, end = max(place("start", "start"), 0), min(place("end", "end"), len(self.samples))
        if start >= end:
            return None
        loop_start, loop_end = place("loop_start", "startloop"), place("loop_end", "endloop")
        loop = {1: "always", 3: "held"}.get(values["sampleModes"], "none")
        if not start <= loop_start < loop_end <= end:
            loop, loop_start, loop_end = "none", start, end
        return start, end, loop_start, loop_end, loop


def _overlap(outer: dict[int, int], inner: dict[int, int], operator: int) -> tuple[int, int]:
    """Return the range (low byte to high byte, 8.1.2) that both zones cover."""
    ranges = [values[operator] & 0xFFFF for values in (outer, inner) if operator in values]
    return max([0, *(r & 0xFF for r in ranges)]), min([127, *(r >> 8 for r in ranges)])


def _chunks_of(content: np.ndarray, name: str | Path) -> dict[bytes, np.ndarray]:
    """Return the chunks of a file by their names (4.1-4.4)."""
    head = content[:12].tobytes()
    if head[:4] != b"RIFF" or head[8:12] != b"sfbk":
        raise InputError(f"{name}: not a SoundFont; give an .sf2 file")
    chunks: dict[bytes, np.ndarray] = {}
    for _, body in _walk(content, name):  # one RIFF chunk; what follows it is none of ours
        for key, part in _walk(body[4:], name):
            chunks |= dict(_walk(part[4:], name)) if key == b"LIST" else {}
        break
    version = int.from_bytes(chunks.get(b"ifil", np.zeros(0, np.uint8))[:2].tobytes(), "little")
    if version == 3:
        raise InputError(f"{name}: a compressed SoundFont (sf3); convert it to sf2, say with sf3convert -x")
    if version != 2:
        raise InputError(f"{name}: SoundFont version {version} instead of 2; give an .sf2 file")
    missing = [key.decode() for key in (b"smpl", *_RECORDS) if key not in chunks]
    if missing:
        raise InputError(f"{name}: it lacks its {missing[0]} chunk; take an undamaged SoundFont")
    return chunks


def _walk(content: np.ndarray, name: str | Path) -> Iterator[tuple[bytes, np.ndarray]]:
    """Yield the name and the body of each chunk (3.2); bodies are views, and sizes are checked."""
    place = 0
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8].tobytes(), "little")
        if place + 8 + size > len(content):
            raise InputError(f"{name}: truncated, a chunk of {size} bytes goes beyond its end; take it anew from its source")
        yield content[place : place + 4].tobytes(), content[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _records(chunks: Mapping[bytes, np.ndarray], key: bytes, name: str | Path) -> np.ndarray:
    """Return the records of one list; the last one only ends it (7.2)."""
    dtype, body = _RECORDS[key], chunks[key]
    if not len(body) or len(body) % dtype.itemsize:
        raise InputError(f"{name}: its {key.decode()} chunk has {len(body)} bytes, not whole records; take an undamaged one")
    return body.view(dtype)
