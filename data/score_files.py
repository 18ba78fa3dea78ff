"""Files of scores: standard MIDI and MusicXML to notes in quarters of the score, and piano-rolls to MIDI.

Positions are those that are written, whatever the tempo: a quarter note of a MIDI file is its division in ticks.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data import midi
from data.rolls import notes_of
from utils.config import InputError
from utils.files import atomic
from utils.paths import make_folder

MIDI = (".mid", ".midi")
MUSICXML = (".mxl", ".musicxml", ".xml")
MAX_QUARTERS = 30_000  # of a piece: four hours at 120 a minute
MAX_BYTES = 64 * 2**20  # of a MusicXML file, unpacked
TEMPO = 120.0  # quarters a minute, where a file states none
LONGEST_DENOMINATOR = 64  # of a time signature that is believed


class Score(NamedTuple):
    """Hold N >= 1 notes and where bars begin, in quarters from the start, and the mean tempo in quarters a minute."""

    onset: np.ndarray  # (N,)
    offset: np.ndarray  # (N,)
    pitch: np.ndarray  # (N,)
    bars: np.ndarray  # (M,)
    tempo: float


def read(path: Path) -> Score:
    """Read a MIDI or MusicXML file, by its suffix.

    Raises
    ------
    InputError
        The file is damaged or of another kind, holds no pitched notes or some before its start, or lasts longer than 30 000
        quarters; for MusicXML, music21 is not installed.
    """
    return _musicxml(path) if path.suffix.lower() in MUSICXML else _midi(path)


def _midi(path: Path) -> Score:
    """Read a MIDI file without its drums. Notes of no length are left out."""
    content = midi.parse(path)
    seconds = midi.clock(content, path)
    tracks = [track.notes.numpy() for track in content.tracks if not track.is_drum]
    start, length, pitch = (
        np.concatenate([np.zeros(0, np.int64), *(notes[name] for notes in tracks)]).astype(np.int64)
        for name in ("time", "duration", "pitch")
    )
    sounds = length != 0
    start, end, pitch = start[sounds], (start + length)[sounds], pitch[sounds]
    division = content.ticks_per_quarter
    _check(start / division, end / division, path)
    tempo = 60 * end.max() / division / seconds(end.max())
    bars = _bars(content, end.max()) / division
    return Score(start / division, end / division, pitch, bars, float(tempo))


def _check(onset: np.ndarray, offset: np.ndarray, path: Path) -> None:
    if not len(offset):
        raise InputError(f"{path}: holds no notes with a pitch; give a file that does")
    if onset.min() < 0 or (offset < onset).any():  # ticks beyond 2^31 wrap
        raise InputError(f"{path}: its times do not make sense; write it anew from its source")
    if offset.max() > MAX_QUARTERS:
        raise InputError(f"{path}: lasts {offset.max():.0f} quarter notes; cut it in pieces of up to {MAX_QUARTERS}")


def _bars(content: Any, end: int) -> np.ndarray:
    """Return the ticks at which bars begin; 4/4 until a time signature says otherwise. One that makes no sense is passed over."""
    changes = content.time_signatures.numpy()
    order = np.argsort(changes["time"], kind="stable")
    metres = [(0, 4, 4)]
    metres += [
        (time, beats, unit)
        for time, beats, unit in zip(*(changes[name][order].tolist() for name in ("time", "numerator", "denominator")), strict=True)
        if beats and 1 <= unit <= LONGEST_DENOMINATOR and 0 <= time < end
    ]
    stops = [time for time, _, _ in metres[1:]] + [end]
    whole = 4 * content.ticks_per_quarter
    return np.concatenate(
        [np.arange(time, stop, whole * beats / unit) for (time, beats, unit), stop in zip(metres, stops, strict=True)]
    )


def _musicxml(path: Path) -> Score:
    """Read MusicXML by music21, at sounding pitch, as written: repeats are not played twice. Its own pickles are not used."""
    parser = _music21(path)
    _refuse_large(path)
    try:
        parser.parseFileNoPickle(path, format="musicxml", forceSource=True)
        score = parser.stream.toSoundingPitch()
        notes = np.array([note for part in score.parts for note in _notes(part)], float).reshape(-1, 3).T
        bars = np.unique([float(offset) for part in score.parts[:1] for offset in _measures(part)])
        marks = [mark.getQuarterBPM() for mark in score.recurse().getElementsByClass("MetronomeMark")]
    except Exception as error:  # a damaged file can provoke any
        raise InputError(f"{path}: not readable as MusicXML ({type(error).__name__}); export it anew, or as MIDI") from None
    _check(notes[0], notes[1], path)
    return Score(notes[0], notes[1], notes[2].astype(np.int64), bars, float(next(filter(None, marks), TEMPO)))


def _music21(path: Path) -> Any:
    """Return a new parser of music21."""
    try:
        from music21.converter import Converter
    except ImportError:
        raise InputError(f"{path}: MusicXML is read by music21: pip install music21, or export the piece as MIDI") from None
    return Converter()


def _refuse_large(path: Path) -> None:
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a MusicXML file") from None
    if size > MAX_BYTES:
        raise InputError(f"{path}: {size / 2**20:.0f} MiB is too much for MusicXML; the limit is {MAX_BYTES >> 20} MiB")


def _notes(part: Any) -> Iterator[tuple[float, float, int]]:
    """Yield onset, offset and pitch of the notes of a part; tied ones are one, chord symbols and grace notes none."""
    for element in part.stripTies().flatten().notes:
        if element.quarterLength > 0 and "Harmony" not in element.classes:
            onset = float(element.offset)
            yield from ((onset, onset + float(element.quarterLength), pitch.midi) for pitch in getattr(element, "pitches", ()))


def _measures(part: Any) -> Iterator[float]:
    """Yield where whole bars begin; a bar that begins with an upbeat does not."""
    for measure in part.getElementsByClass("Measure"):
        if not measure.paddingLeft:
            yield measure.offset


def write(path: str | Path, frames: np.ndarray, steps: int = 1, tempo: float = TEMPO) -> None:
    """Write frames (T, 88) as a MIDI file with its tempo, for the piano, atomically; a pitch that is held is one note.

    Parameters
    ----------
    path : of the file.
    frames : the piano-roll.
    steps : frames in a quarter note.
    tempo : quarters a minute.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    from symusic.core import NoteTickList, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

    start, end, pitch = notes_of(frames)
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, tempo))
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    ticks = (np.array([start, end - start]) * 480 // steps).astype(np.int32)
    track = TrackTick("Piano", 0, False)
    track.notes = NoteTickList.from_numpy(*ticks, pitch.astype(np.int8), np.full(len(pitch), 100, np.int8))
    score.tracks.append(track)
    make_folder(Path(path).parent)
    with atomic(Path(path)) as aside:
        aside.write_bytes(score.dumps_midi())
