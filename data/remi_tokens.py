"""REMI tokens, as the package miditok writes them: what they are, notes to tokens, and tokens to notes.

Huang and Yang, "Pop Music Transformer: beat-based modeling and generation of expressive pop piano compositions", 2020 (arXiv
2002.00212), section 3: each bar, each position in it where something begins, and pitch, velocity and duration of each note.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.phrases import BAR
from data.sequences import QUARTER
from utils.config import InputError

LOWEST, HIGHEST = 21, 108  # MIDI pitches that have a token
BEATS, VELOCITIES = 16, 8  # longest duration, quarters; tokens of velocities
TYPES = ("PAD", "Bar", "Position", "Pitch", "Velocity", "Duration")
_, NEW_BAR, POSITION, PITCH, VELOCITY, DURATION = range(len(TYPES))


class Vocabulary(NamedTuple):
    """What writes V tokens, and what they say; 0 is PAD."""

    tokenizer: Any
    types: Tensor  # (V,) places in `TYPES`
    values: Tensor  # (V,) position (steps), pitch, velocity or duration (steps), 0 else


class Heard(NamedTuple):
    """Hold the M notes of N phrases."""

    phrase: Tensor  # (M,) rising
    onset: Tensor  # (M,) steps
    pitch: Tensor  # (M,)
    velocity: Tensor  # (M,)
    duration: Tensor  # (M,) steps
    bars: Tensor  # (N,) bars that are begun in each phrase, one at least


@functools.cache
def vocabulary() -> Vocabulary:
    """Return the tokens.

    Raises
    ------
    InputError
        The package miditok is not installed.
    """
    try:
        from miditok import REMI, TokenizerConfig
    except ImportError:
        raise InputError("--kind remi: the package miditok is not installed; pip install miditok") from None
    config = TokenizerConfig(
        pitch_range=(LOWEST, HIGHEST),
        beat_res={(0, BEATS): QUARTER},
        num_velocities=VELOCITIES,
        special_tokens=["PAD"],
        use_time_signatures=False,
        use_pitchdrum_tokens=False,
    )
    tokenizer = REMI(config)
    names = [name.split("_") for name in sorted(tokenizer.vocab, key=tokenizer.vocab.get)]
    numbers = torch.tensor([(TYPES.index(kind), _value(value)) for kind, value in names], device="cpu")  # whatever the default is
    return Vocabulary(tokenizer, *numbers.T)


def _value(text: str) -> int:
    """Return what a token's name ends in as a number: a duration is "quarters.parts.parts of a quarter"."""
    if "." in text:
        quarters, parts, of = map(int, text.split("."))
        return QUARTER * quarters + QUARTER * parts // of
    return 0 if text == "None" else int(text)


def encoded(start: np.ndarray, length: np.ndarray, pitch: np.ndarray, velocity: np.ndarray) -> list[int]:
    """Return the tokens of notes (M,), in steps, as miditok writes them."""
    from symusic.core import NoteTickList, ScoreTick, TrackTick

    track, score = TrackTick(), ScoreTick(QUARTER)
    times, rest = (start.astype(np.int32), length.astype(np.int32)), (pitch.astype(np.int8), velocity.astype(np.int8))
    track.notes = NoteTickList.from_numpy(*times, *rest)
    score.tracks.append(track)
    return vocabulary().tokenizer.encode(score)[0].ids


def heard(x: Tensor) -> Heard:
    """Return the notes of tokens (N, T), any at all: a note is a pitch, a velocity and a duration that follow each other.

    All phrases at once, as miditok decodes one.
    """
    types, values = (table.to(x.device)[x] for table in vocabulary()[1:])
    bars, positions = types == NEW_BAR, types == POSITION
    begun = bars.cumsum(1)
    early = (positions & (begun == 0)).any(1, keepdim=True)  # a position before any bar is in the first one
    latest = torch.where(bars | positions, torch.arange(x.shape[1], device=x.device), 0).cummax(1).values
    onset = BAR * (begun - 1 + early.long()).clamp_min(0) + (values * positions).gather(1, latest)
    phrase, at = ((types[:, :-2] == PITCH) & (types[:, 1:-1] == VELOCITY) & (types[:, 2:] == DURATION)).nonzero(as_tuple=True)
    played = (values[phrase, at + place] for place in range(3))
    return Heard(phrase, onset[phrase, at], *played, (begun[:, -1] + early[:, 0].long()).clamp_min(1))
