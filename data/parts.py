"""The parts of a score: which instrument plays which notes, and what of them sounds in each frame, and how loud.

Times are in seconds; frame n of a rate covers n / rate to (n + 1) / rate and is asked at its middle.
"""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from data.notes import Notes, Track
from utils.config import InputError

log = logging.getLogger(__name__)

ATTACK, RELEASE = 0.010, 0.030  # s that a note takes to rise and, before its offset, to fall

_FAMILIAR = {  # General MIDI program, 0-127 -> what the names of its instruments hold
    0: "piano keyboard", 6: "harpsichord", 8: "celesta", 9: "glockenspiel", 11: "vibraphone mallet", 12: "marimba", 13: "xylophone",
    19: "organ", 21: "accordion", 24: "guitar", 32: "bass", 40: "violin", 41: "viola", 42: "cello", 43: "contrabass doublebass",
    46: "harp", 47: "timpani", 48: "string", 52: "choir voice vocal", 56: "trumpet", 57: "trombone", 58: "tuba", 60: "horn",
    61: "brass", 64: "sopranosax", 65: "sax reed", 66: "tenorsax", 67: "baritonesax", 68: "oboe", 69: "englishhorn coranglais",
    70: "bassoon contrabassoon", 71: "clarinet", 72: "piccolo", 73: "flute", 74: "recorder", 105: "banjo",
}  # fmt: skip
PROGRAMS = {name: program for program, names in _FAMILIAR.items() for name in names.split()}

Layer = tuple[Notes, ...]  # one voice of each instrument, monophonic, sorted by onset


def assign(labels: Labels, notes: Notes) -> list[Layer]:
    """Deal notes out to the instruments of `labels`; layer j holds the j-th voice of each.

    One instrument plays all tracks but drums; of several, see `_players`. Notes that the tables do not have are left out.

    Raises
    ------
    InputError : no note is left.
    """
    drum = np.array([track.drum for track in notes.tracks], bool)
    pitched = notes.take(~drum[notes.track]) if len(notes) else notes
    if not len(pitched):
        raise InputError("has no notes to play" + (", only drums" if len(notes) else ""))
    playable = pitched.take(labels.ids(pitched)[:, 0] >= 0)
    if len(playable) < len(pitched):
        log.warning("%d of %d notes lie outside what this run can play", len(pitched) - len(playable), len(pitched))
    if not len(playable):
        raise InputError(f"none of its {len(pitched)} notes is one of the run's, {labels.span}: transpose it")
    player = _players(playable, labels.instruments)
    parts = [playable.take(player[playable.track] == i).voices() for i in range(len(labels.instruments))]
    return [tuple(part[j] if j < len(part) else Notes.empty() for part in parts) for j in range(max(map(len, parts)))]


# -- notes to frames --------------------------------------------------------------------------------------------------


def held(labels: Labels, layer: Layer, start: int, stop: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for the frames from `start` up to `stop` which note each instrument last began, and how loud it is.

    Returns
    -------
    note : (N, I) places in the instrument's voice; its first note before that has begun, -1 where there are no notes.
    gain : (N, I) an envelope times the square of velocity / nominal velocity; 0 where nothing sounds. The square is how
        synthesisers map velocity to amplitude: 40 log10(velocity / 127) dB (SoundFont 2.04, section 8.4.2).
    """
    times = (np.arange(start, stop) + 0.5) / rate
    columns = [_voice(labels, voice, times) for voice in layer]
    return np.stack([note for note, _ in columns], -1), np.stack([gain for _, gain in columns], -1)


def _voice(labels: Labels, voice: Notes, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(voice):
        return np.full(len(times), -1), np.zeros(len(times))
    place = np.maximum(np.searchsorted(voice.onset, times, side="right") - 1, 0)
    trim = np.square(voice.velocity / labels.velocity(labels.ids(voice)))
    return place, trim[place] * _envelope(times, voice.onset[place], voice.offset[place])


def _envelope(times: np.ndarray, onset: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return gains in 0-1 that rise and fall linearly within a note, faster where it is short, and are 0 around it."""
    shorter = np.minimum((offset - onset) / (ATTACK + RELEASE), 1)
    return np.clip(np.minimum((times - onset) / (ATTACK * shorter), (offset - times) / (RELEASE * shorter)), 0, 1)


def of_notes(labels: Labels, layer: Layer, note: np.ndarray) -> Tensor:
    """Return the ids (N, I, L) of one note an instrument, given as places in its voice (N, I); -1 is silent."""
    columns = []
    for voice, place in zip(layer, note.T, strict=True):
        columns.append(np.concatenate([labels.ids(voice), [labels.silent_ids]])[place])
    return torch.from_numpy(np.stack(columns, 1))


def frames(labels: Labels, layer: Layer, start: int, stop: int, rate: float) -> tuple[Tensor, Tensor]:
    """Return ids (N, I, L) and gains (N, I) of the frames from `start` up to `stop`; see `held`."""
    note, gain = held(labels, layer, start, stop, rate)
    return of_notes(labels, layer, np.where(gain > 0, note, -1)), torch.from_numpy(gain).float()


def score(labels: Labels, layers: Sequence[Layer], seconds: float) -> tuple[Labels, np.ndarray]:
    """Return the frames of a whole score as of one source a voice: their labels, and ids (N, voices, L)."""
    names = tuple(name if not j else f"{name} {j + 1}" for j in range(len(layers)) for name in labels.instruments)
    count = math.ceil(seconds * labels.rate)
    ids = [frames(labels, layer, 0, count, labels.rate)[0].numpy().astype(np.int16) for layer in layers]
    return replace(labels, instruments=names), np.concatenate(ids, 1)


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
