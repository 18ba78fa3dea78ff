"""Stretches of music that tests make: from lists of notes, from what phrases are heard as, and MIDI files with metres."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.phrases import StepNotes
from data.sequences import Sequence

SHARED = Path(__file__).resolve().parents[2] / "shared"  # data that is not part of the project


def sequence(notes, program=0, track=0, drum=False, **known) -> Sequence:
    """Return notes (onset, offset, pitch[, velocity]), in steps, of one track."""
    rows = [(*note, 80)[:4] for note in notes]
    onset, offset, pitch, velocity = np.array(rows, float).reshape(-1, 4).T
    same = np.ones(len(rows), np.int64)
    return Sequence(onset, offset, pitch, velocity, same * program, same * track, same * drum, **known)


def hits(notes, **known) -> Sequence:
    """Return drum hits (onset, pitch[, velocity]), one step long."""
    return sequence([(onset, onset + 1, *rest) for onset, *rest in notes], drum=True, **known)


def together(*parts: Sequence) -> Sequence:
    """Return the notes of all parts, each on a track of its own."""
    columns = ("onset", "offset", "pitch", "velocity", "program", "drum")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return Sequence(**joined, track=np.repeat(np.arange(len(parts)), [len(part) for part in parts]))


def heard(notes: StepNotes) -> Sequence:
    """Return what is heard as a stretch that can be read."""
    program, drum = (np.array([getattr(track, name) for track in notes.tracks])[notes.track] for name in ("program", "drum"))
    return Sequence(notes.onset, notes.offset, notes.pitch, notes.velocity, program, notes.track, drum)


def midi_file(path: Path, notes=(), metres=(), tempos=(), ticks=480, drum=False) -> Path:
    """Write notes (tick, ticks, pitch[, velocity]), metres (tick, beats, unit) and tempos (tick, quarters a minute)."""
    from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

    score = ScoreTick(ticks)
    track = TrackTick("", 0, drum)
    for note in notes:
        track.notes.append(NoteTick(*(*note, 80)[:4]))
    score.tracks.append(track)
    for metre in metres:
        score.time_signatures.append(TimeSignatureTick(*metre))
    for tempo in tempos:
        score.tempos.append(TempoTick(*tempo))
    path.write_bytes(score.dumps_midi())
    return path


def golden(name: str) -> dict:
    """Return what the original makes of some notes, or skip the test where the file is absent."""
    path = SHARED / "fixtures" / "magenta" / "representation_golden.json"
    if not path.exists():
        pytest.skip("the stored values are not here")
    return json.loads(path.read_text())[name]
