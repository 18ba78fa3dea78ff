"""Pieces of music that the tests make themselves: MIDI files and piano-rolls."""

from pathlib import Path

import numpy as np
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from data import rolls
from data.keys import Key
from data.rolls import from_steps
from data.scores import Piece, read

DIVISION = 480
SCALE = [60, 62, 64, 65, 67, 69, 71, 72]


def midi_file(path, notes, tempos=(), metres=(), drums=(), division=DIVISION):
    """Write notes (onset, length, pitch) in quarters, tempos (quarter, qpm) and metres (quarter, beats, unit)."""
    score = ScoreTick(division)
    for rows, drum in ((notes, False), (drums, True)):
        track = TrackTick("x", 0, drum)
        for onset, length, pitch in rows:
            track.notes.append(NoteTick(round(onset * division), round(length * division), pitch, 64))
        score.tracks.append(track)
    for quarter, qpm in tempos:
        score.tempos.append(TempoTick(round(quarter * division), qpm))
    for quarter, beats, unit in metres:
        score.time_signatures.append(TimeSignatureTick(round(quarter * division), beats, unit))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(score.dumps_midi())
    return path


def melody(start=0, length=1, pitches=SCALE):
    return [(start + i * length, length, pitch) for i, pitch in enumerate(pitches)]


def steps_of(frames):
    """Return the pitches of each frame."""
    return [(np.flatnonzero(frame) + rolls.LOWEST).tolist() for frame in frames]


def one(path, *given) -> Piece:
    (piece,) = read(path, *given)
    return piece


def piece_in(label, steps, split="train") -> Piece:
    frames = from_steps(steps)
    return Piece("x", Path("x"), frames, Key(label), True, split, "same", 1)
