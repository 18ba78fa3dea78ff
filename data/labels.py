"""Notes as class ids of labels, frame by frame, and the parts of a MIDI file that each instrument plays.

In every label of a source, the id K, one beyond its classes, means that the source is silent. Times are in seconds; frame n of a
rate covers n / rate to (n + 1) / rate and is asked at its middle.
"""

import functools
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data.notes import Notes, Track, name_of, nearest_dynamics, parse_pitch_class, pitch_of, velocities_of
from data.representations import Facet, Representation
from utils import metrics
from utils.config import InputError

log = logging.getLogger(__name__)

ATTACK, RELEASE = 0.010, 0.030  # s that a note takes to rise and, before its offset, to fall
ORDERS = {"octave": "line", "pitch": "circle", "dynamics": "line"}  # of the classes of labels
OCTAVE, VELOCITY = "4", 80  # of notes, where the labels do not tell

_FAMILIAR = {  # General MIDI program, 0-127 -> what the names of its instruments hold
    0: "piano keyboard", 6: "harpsichord", 8: "celesta", 9: "glockenspiel", 11: "vibraphone mallet", 12: "marimba", 13: "xylophone",
    19: "organ", 21: "accordion", 24: "guitar", 32: "bass", 40: "violin", 41: "viola", 42: "cello", 43: "contrabass doublebass",
    46: "harp", 47: "timpani", 48: "string", 52: "choir voice vocal", 56: "trumpet", 57: "trombone", 58: "tuba", 60: "horn",
    61: "brass", 64: "sopranosax", 65: "sax reed", 66: "tenorsax", 67: "baritonesax", 68: "oboe", 69: "englishhorn coranglais",
    70: "bassoon contrabassoon", 71: "clarinet", 72: "piccolo", 73: "flute", 74: "recorder", 105: "banjo",
}  # fmt: skip
PROGRAMS = {name: program for program, names in _FAMILIAR.items() for name in names.split()}

Layer = tuple[Notes, ...]  # one voice of each instrument, monophonic, sorted by onset


@dataclass(frozen=True)
class Labels(Representation):
    """The labels of I instruments as class ids, (N, I, L)."""

    classes: tuple[tuple[str, tuple[str, ...]], ...]  # (label, class names), in the order of the model
    instruments: tuple[str, ...]
    silence: bool  # whether a further class K, in every label, means "this source is silent"
    rate: float  # frames a second

    @property
    def shape(self) -> tuple[int, int]:
        """Return (I, L)."""
        return len(self.instruments), len(self.classes)

    @property
    def frame_rate(self) -> float:
        """Return the frames a second."""
        return self.rate

    @property
    def silent_ids(self) -> tuple[int, ...]:
        """Return the ids of a silent source, (L,)."""
        return tuple(len(names) for _, names in self.classes)

    @property
    def pitched(self) -> bool:
        """Tell whether the labels name pitches, so that they and notes can be told from each other."""
        return "pitch" in dict(self.classes)

    # -- ids, in words and as pitches ---------------------------------------------------------------------------------

    def sounding(self, ids):
        """Tell which sources sound, (N, I), for an array or tensor of ids (N, I, L)."""
        return ids[..., 0] != self.silent_ids[0]

    def class_names(self, ids: Sequence[int]) -> dict[str, str]:
        """Return the class of each label for the ids (L,) of one source that sounds."""
        return {label: names[i] for (label, names), i in zip(self.classes, ids, strict=True)}

    def text(self, ids) -> list[str]:
        """Write ids (N, I, L) for people: "A4:mf", or "flute A4:mf + cello rest" for several instruments."""
        sources = [[self.word(source) for source in frame] for frame in np.asarray(ids).tolist()]
        if len(self.instruments) == 1:
            return [words[0] for words in sources]
        return [" + ".join(map(" ".join, zip(self.instruments, words, strict=True))) for words in sources]

    def word(self, ids: Sequence[int]) -> str:
        """Write the ids (L,) of one source, as in `text`."""
        if ids[0] == self.silent_ids[0]:
            return "rest"
        names = self.class_names(ids)
        pitch = names.pop("pitch", "") + names.pop("octave", "")
        return ":".join([pitch, *names.values()] if pitch else names.values())

    def pitch(self, ids) -> np.ndarray:
        """Return the MIDI pitches (...,) of ids (..., L); -1 where the source is silent or MIDI has no such pitch."""
        octave, pitch_class = self._column(ids, "octave"), self._column(ids, "pitch")
        return np.where(self.sounding(np.asarray(ids)), self._pitches[octave, pitch_class], -1)

    def velocity(self, ids) -> np.ndarray:
        """Return the nominal MIDI velocities (...,) of ids (..., L) that sound."""
        return self._nominal[self._column(ids, "dynamics")]

    def ids(self, notes: Notes) -> np.ndarray:
        """Return the ids of M notes, (M, L): the nearest dynamics, the first class of labels that MIDI does not tell.

        A pitch outside the tables has -1 in every label.
        """
        known = {"octave": self._places[notes.pitch, 0], "pitch": self._places[notes.pitch, 1]}
        if "dynamics" in dict(self.classes):
            known["dynamics"] = self._nearest[notes.velocity]
        columns = [known.get(label, np.zeros(len(notes), np.int64)) for label, _ in self.classes]
        return np.where(self._places[notes.pitch, :1] < 0, -1, np.stack(columns, -1))

    def _column(self, ids, label: str) -> np.ndarray:
        """Return the ids (...,) of one label, zeros where the model has none such."""
        ids, order = np.asarray(ids), [name for name, _ in self.classes]
        return ids[..., order.index(label)] if label in order else np.zeros(ids.shape[:-1], np.int64)

    @functools.cached_property
    def _pitches(self) -> np.ndarray:
        """MIDI pitches by octave id and pitch class id, (K + 1, K' + 1); -1 where there is none."""
        tables = dict(self.classes)
        if not self.pitched:
            raise InputError(f"this run names no pitch, only {', '.join(tables)}: it cannot read or write notes")
        octaves = tables.get("octave", (OCTAVE,))
        result = np.full((len(octaves) + 1, len(tables["pitch"]) + 1), -1)
        for i, octave in enumerate(octaves):
            for j, name in enumerate(tables["pitch"]):
                result[i, j] = _midi(name, octave)
        return result

    @functools.cached_property
    def _places(self) -> np.ndarray:
        """Octave id and pitch class id by MIDI pitch, (128, 2); -1 where the tables have no such note."""
        result = np.full((128, 2), -1)
        octaves, pitch_classes = np.nonzero(self._pitches >= 0)
        result[self._pitches[octaves, pitch_classes]] = np.stack([octaves, pitch_classes], -1)
        if "octave" not in dict(self.classes):  # then every octave is as good as the one
            result = result[12 * (int(OCTAVE) + 1) + np.arange(128) % 12]
        return result

    @functools.cached_property
    def _nominal(self) -> np.ndarray:
        """Velocities by dynamics id, (K + 1,)."""
        return np.array([*velocities_of(dict(self.classes).get("dynamics", (str(VELOCITY),))), VELOCITY])

    @functools.cached_property
    def _nearest(self) -> np.ndarray:
        """Dynamics ids by velocity, (128,)."""
        names = dict(self.classes)["dynamics"]
        return np.array([names.index(nearest_dynamics(velocity, names)) for velocity in range(128)])

    # -- how right ----------------------------------------------------------------------------------------------------

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return the share of the sources whose class is right, (N,) for each label and for all of its labels together.

        Of several instruments too under the assignment of estimates to sources that makes most right (``_assigned``): whether the
        notes are right, whoever is said to play them. Where silence is a class, also whether it is right who sounds.
        """
        found = self._shares(reference == estimate)
        if len(self.instruments) > 1:
            right = (reference[:, :, None] == estimate[:, None]).sum(-1)  # (N, I, I)
            best = metrics.assignment(right.cpu()).to(estimate.device)[..., None].expand_as(estimate)
            found |= {f"{name}_assigned": share for name, share in self._shares(reference == estimate.gather(1, best)).items()}
        if self.silence:
            found["sounding"] = (self.sounding(reference) == self.sounding(estimate)).double().mean(1)
        return found

    def _shares(self, right: Tensor) -> dict[str, Tensor]:
        """Return the share of sources (N,) of each label and of all together, for which labels are right, (N, I, L)."""
        return self._by_label(right.double().mean(1).T, right.all(-1).double().mean(1))

    def _by_label(self, each: Sequence[Tensor], every: Tensor) -> dict[str, Tensor]:
        return dict(zip([label for label, _ in self.classes], each, strict=True)) | {"all": every}

    def facets(self, x: Tensor) -> dict[str, Facet]:
        """Return the class of each label of each instrument for ids (N, I, L)."""
        several = len(self.instruments) > 1
        return {
            f"{name} {label}" if several else label: Facet(x[:, i, l].cpu(), (*classes, "silent"), ORDERS.get(label, "none"))
            for i, name in enumerate(self.instruments)
            for l, (label, classes) in enumerate(self.classes)
        }

    def poll(self, reference: Tensor, estimate: Tensor, item: Tensor, group: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return for each recording of an instrument whether the class that most of its sounding frames are given is right."""
        parts = []
        for i in range(len(self.instruments)):
            sounds = self.sounding(reference)[:, i]
            true, named, own = reference[sounds, i], estimate[sounds, i], item[sounds, i]
            if not len(own):
                continue
            place = own.unique(return_inverse=True)[1]
            rows = torch.arange(len(own))
            first = torch.full((int(place.max()) + 1,), len(own)).scatter_reduce(0, place, rows, "amin")
            elected = torch.stack([metrics.votes(column, own) for column in named.unbind(1)], 1)
            parts.append((elected == true[first], group[sounds, i][first] * len(self.instruments) + i))
        if not parts:
            return {}
        right, groups = map(torch.cat, zip(*parts, strict=True))
        return {name: (share, groups) for name, share in self._by_label(right.double().T, right.all(1).double()).items()}

    # -- notes to frames ----------------------------------------------------------------------------------------------

    def with_dynamics(self, notes: Notes, dynamics: str) -> Notes:
        """Return `notes` all in one dynamics, which is given by its name or its class id.

        Raises
        ------
        InputError : the run has no such dynamics.
        """
        names = dict(self.classes).get("dynamics", ())
        if dynamics in names:
            place = names.index(dynamics)
        elif dynamics.isdecimal() and int(dynamics) < len(names):
            place = int(dynamics)
        else:
            known = ", ".join(f"{i} {name}" for i, name in enumerate(names)) or "none at all"
            raise InputError(f"--dynamics {dynamics}: this run knows {known}")
        return replace(notes, velocity=np.full(len(notes), self._nominal[place]))

    def assign(self, notes: Notes) -> list[Layer]:
        """Deal notes out to the instruments; layer j holds the j-th voice of each.

        One instrument plays all tracks but drums; of several, see `_players`. Notes that the tables do not have are left out.

        Raises
        ------
        InputError : no note is left.
        """
        drum = np.array([track.drum for track in notes.tracks], bool)
        pitched = notes.take(~drum[notes.track]) if len(notes) else notes
        if not len(pitched):
            raise InputError("has no notes to play" + (", only drums" if len(notes) else ""))
        playable = pitched.take(self.ids(pitched)[:, 0] >= 0)
        if len(playable) < len(pitched):
            log.warning("%d of %d notes lie outside what this run can play", len(pitched) - len(playable), len(pitched))
        if not len(playable):
            raise InputError(f"none of its {len(pitched)} notes is one of the run's, {self._span()}: transpose it")
        player = _players(playable, self.instruments)
        parts = [playable.take(player[playable.track] == i).voices() for i in range(len(self.instruments))]
        return [tuple(part[j] if j < len(part) else Notes.empty() for part in parts) for j in range(max(map(len, parts)))]

    def _span(self) -> str:
        pitches = self._pitches[self._pitches >= 0]
        low, high = name_of(int(pitches.min())), name_of(int(pitches.max()))
        return f"{low[0]}{low[1]} to {high[0]}{high[1]}"

    def held(self, layer: Layer, start: int, stop: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Return for the frames from `start` up to `stop` which note each instrument last began, and how loud it is.

        Returns
        -------
        note : (N, I) places in the instrument's voice; its first note before that has begun, -1 where there are no notes.
        gain : (N, I) an envelope times the square of velocity / nominal velocity; 0 where nothing sounds. The square is how
            synthesisers map velocity to amplitude: 40 log10(velocity / 127) dB (SoundFont 2.04, section 8.4.2).
        """
        times = (np.arange(start, stop) + 0.5) / rate
        columns = [self._voice(voice, times) for voice in layer]
        return np.stack([note for note, _ in columns], -1), np.stack([gain for _, gain in columns], -1)

    def _voice(self, voice: Notes, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(voice):
            return np.full(len(times), -1), np.zeros(len(times))
        place = np.maximum(np.searchsorted(voice.onset, times, side="right") - 1, 0)
        trim = np.square(voice.velocity / self.velocity(self.ids(voice)))
        return place, trim[place] * _envelope(times, voice.onset[place], voice.offset[place])

    def of_notes(self, layer: Layer, note: np.ndarray) -> Tensor:
        """Return the ids (N, I, L) of one note an instrument, given as places in its voice (N, I); -1 is silent."""
        columns = []
        for voice, place in zip(layer, note.T, strict=True):
            columns.append(np.concatenate([self.ids(voice), [self.silent_ids]])[place])
        return torch.from_numpy(np.stack(columns, 1))

    def frames(self, layer: Layer, start: int, stop: int, rate: float) -> tuple[Tensor, Tensor]:
        """Return ids (N, I, L) and gains (N, I) of the frames from `start` up to `stop`; see `held`."""
        note, gain = self.held(layer, start, stop, rate)
        return self.of_notes(layer, np.where(gain > 0, note, -1)), torch.from_numpy(gain).float()

    def score(self, layers: Sequence[Layer], seconds: float) -> tuple["Labels", np.ndarray]:
        """Return the frames of a whole score as of one source a voice: their labels, and ids (N, voices, L)."""
        names = tuple(name if not j else f"{name} {j + 1}" for j in range(len(layers)) for name in self.instruments)
        frames = math.ceil(seconds * self.rate)
        ids = [self.frames(layer, 0, frames, self.rate)[0].numpy().astype(np.int16) for layer in layers]
        return replace(self, instruments=names), np.concatenate(ids, 1)


def _envelope(times: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return gains in 0-1 that rise and fall linearly within a note, faster where it is short, and are 0 around it."""
    shorter = np.minimum((offset - onset) / (ATTACK + RELEASE), 1)
    return np.clip(np.minimum((times - onset) / (ATTACK * shorter), (offset - times) / (RELEASE * shorter)), 0, 1)


def _midi(pitch_class: str, octave: str) -> int:
    """Return the MIDI pitch of two class names, -1 where MIDI has none."""
    parse_pitch_class(pitch_class)
    if not re.fullmatch(r"-?\d+", octave):
        raise InputError(f"octave class {octave!r} is no number: this run cannot read or write notes")
    try:
        return pitch_of(pitch_class, int(octave))
    except InputError:
        return -1


# -- who plays what ---------------------------------------------------------------------------------------------------


def program_of(instrument: str) -> int:
    """Guess the General MIDI program (0-127) of an instrument from its name; the piano's for unknown ones."""
    return PROGRAMS[max((key for key in PROGRAMS if key in _plain(instrument)), key=len, default="piano")]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _players(notes: Notes, instruments: Sequence[str]) -> np.ndarray:
    """Return which instrument plays each track, (tracks,); -1 for tracks without notes.

    A track goes to the instrument whose name it bears; else to a free one of its General MIDI program, of its family, or the next
    free one; where none is free, to one of its family or the first.
    """
    used = np.unique(notes.track)
    result = np.full(len(notes.tracks), -1)
    if len(instruments) == 1:
        result[used] = 0
        return result
    for t in used:
        result[t] = _namesake(notes.tracks[t], instruments)
    programs = np.array([program_of(name) for name in instruments])
    for coarseness in (1, 8, 128):  # programs, families of eight, any
        for t in used[result[used] < 0]:
            alike = programs // coarseness == notes.tracks[t].program // coarseness
            free = alike & ~np.isin(np.arange(len(instruments)), result)
            if free.any():
                result[t] = free.argmax()
    for t in used[result[used] < 0]:
        result[t] = (programs // 8 == notes.tracks[t].program // 8).argmax()
    for t in used:
        log.info("track %d %r is played by %s", t + 1, notes.tracks[t].name, instruments[result[t]])
    return result


def _namesake(track: Track, instruments: Sequence[str]) -> int:
    """Return the instrument whose name the track's name holds, the longest of them; -1 where there is none."""
    held = [i for i, name in enumerate(instruments) if _plain(name) and _plain(name) in _plain(track.name)]
    return max(held, key=lambda i: len(_plain(instruments[i])), default=-1)
