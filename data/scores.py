"""Corpora of pieces of music: files of scores and tables of songs -> piano-rolls with a key and a split.

The files' own modules find notes and songs (`data.score_files`, `data.song_tables`); here they become pieces, in one way for all.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data import rolls, score_files, song_tables
from data.keys import LABELS, Key, find_key, pitch_class_counts
from data.pieces import Collection, folder_split
from data.score_files import MIDI, MUSICXML, TEMPO, Score
from data.song_tables import JSON, NPZ, PICKLES, Song
from data.splits import split_of
from utils.cli import progress
from utils.config import InputError
from utils.inputs import found

log = logging.getLogger(__name__)

SUFFIXES = MIDI + MUSICXML + JSON + NPZ + PICKLES
SHOWN = 5  # names in a warning


@dataclass(frozen=True, eq=False)
class Piece:
    """Hold one piece of music on a grid of steps.

    Parameters
    ----------
    name : path within the corpus without its suffix; of a song, the table, the split and its number.
    path : the file that it is from.
    frames : (T, 88) bool; T >= 1, at least one note.
    key : given or found.
    given : whether the file told the key.
    split : the file's own, or by a hash of the identity.
    identity : what is played, whatever the transposition, step and reading; equal pieces have the same.
    steps : in a quarter note.
    tempo : quarters a minute; 120 where the file tells none.
    bars : (T,) bool, the steps in which a bar begins; None where the file tells none.
    """

    name: str
    path: Path
    frames: np.ndarray
    key: Key
    given: bool
    split: str
    identity: str
    steps: int
    tempo: float = TEMPO
    bars: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def class_of(self, relative_major: bool = True) -> str:
        """Return the label of its class: of the key, or of the relative major, in the plain spelling of `LABELS`."""
        return (self.key.relative_major if relative_major else self.key).plain.label

    def transposed(self, target: Key) -> "Piece":
        """Return the piece in another key: to the nearest tonic, an octave back where it would leave the piano."""
        return replace(self, frames=rolls.transposed(self.frames, self.key.shift_to(target)), key=target)


@dataclass(frozen=True, eq=False)
class Pieces(Collection):
    """Hold pieces in the order of files, and of songs within one."""

    pieces: tuple[Piece, ...]

    def classes(self, relative_major: bool = True) -> dict[str, int]:
        """Return the classes of all splits, sorted in ASCII, with how many pieces of the train split each has.

        A minor key counts as its relative major unless `relative_major` is false. A class id is a place among them.
        """
        labels = sorted({piece.class_of(relative_major) for piece in self.pieces})
        counts = Counter(piece.class_of(relative_major) for piece in self.of("train"))
        return {label: counts[label] for label in labels}

    def transposed(self, targets: Sequence[str] = LABELS) -> "Pieces":
        """Return every piece in each of the target keys of its mode: ``("C", "c")`` gives one, all keys give twelve.

        Copies keep their identity and split, so that none leaves the split of its original.

        Raises
        ------
        InputError
            If a target is no key, or a piece has no target of its mode.
        """
        keys = list(dict.fromkeys(Key.parse(target) for target in targets))
        by_mode = {major: [key for key in keys if key.major == major] for major in (True, False)}
        for piece in self.pieces:
            if not by_mode[piece.key.major]:
                mode = "major" if piece.key.major else "minor"
                raise InputError(f"target keys '{' '.join(targets)}': {piece.name} is in {mode}; add a key for those, like C or c")
        return replace(self, pieces=tuple(piece.transposed(key) for piece in self.pieces for key in by_mode[piece.key.major]))


def read(root: str | Path, step: str = "quarter", reading: str = "sounding") -> Pieces:
    """Read a corpus of pieces: MIDI, MusicXML (by music21) and tables of songs, one file or a folder of any depth and mixture.

    Splits that tables, or folders called train, valid and test, give are kept; other pieces are split by a hash. What cannot be
    read, or has no notes, is left out and named in one warning. A table that does not tell its step is taken as it is.

    Parameters
    ----------
    root
        A file, or a folder of files.
    step
        Length of a frame on the score: ``"quarter"``, ``"8th"`` or ``"16th"``, whatever the metre and tempo.
    reading
        Which notes a step holds: ``"sounding"`` at any time of it, ``"beat"``: at its beginning, ``"onsets"``: begun within it.

    Raises
    ------
    InputError
        If nothing of that is there or none is readable, or there is no such step or reading.
    """
    root = Path(root)
    rolls.check(step, reading)
    pieces, reasons = [], {}
    for path in progress(_files(root), desc="Reading scores", unit="file"):
        try:
            songs = _pieces(path, root, step, reading)
        except InputError as error:
            reasons[str(path)] = str(error)
            continue
        readable = [piece for piece in songs if piece]
        pieces += readable
        if len(readable) < len(songs):
            reasons[str(path)] = f"{path}: {len(songs) - len(readable)} of its {len(songs)} songs have no notes"
    _report(root, len(pieces), reasons)
    return Pieces(root, tuple(pieces))


def _files(root: Path) -> list[Path]:
    files = found(root, SUFFIXES)
    if files[0].suffix.lower() not in SUFFIXES:
        raise InputError(f"{root}: is no corpus of scores; give a folder or a file that ends in {' '.join(SUFFIXES)}")
    return files


def _report(root: Path, read: int, reasons: Mapping[str, str]) -> None:
    """Say in one line what was left out; raise InputError if that is all."""
    first = next(iter(reasons.values()), "")
    if not read:
        others = f"; neither can {len(reasons) - 1} other files be read" if len(reasons) > 1 else ""
        raise InputError(f"{first}{others}")
    if reasons:
        names = ", ".join(list(reasons)[1:SHOWN])
        more = f", and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        others = f"; also {names}{more}" if names else ""
        log.warning("%s: %d files left out, wholly or in part: %s%s", root, len(reasons), first, others)


def _pieces(path: Path, root: Path, step: str, reading: str) -> list[Piece | None]:
    """Read a file; None stands for a song without notes."""
    steps = rolls.STEPS[step]
    name = str(path.relative_to(root).with_suffix("")) if path != root else path.stem
    name = name.encode("utf-8", "replace").decode("utf-8")  # names of files that are not UTF-8 could not be written
    if path.suffix.lower() in MIDI + MUSICXML:
        return [piece_of(score_files.read(path), name, path, steps, reading, folder_split(path, root))]
    return [_of_song(song, name, path, steps, reading) for song in song_tables.read(path)]


def piece_of(score: Score, name: str, path: Path, steps: int, reading: str = "sounding", split: str | None = None) -> Piece | None:
    """Put a score on a grid of `steps` in a quarter note; None if no note is left."""
    frames = rolls.from_notes(score.onset, score.offset, score.pitch, steps, reading)
    bars = np.zeros(len(frames), bool)
    places = rolls.snapped(score.bars, steps) // rolls.FINE
    bars[places[places < len(bars)]] = True
    finest = rolls.from_notes(score.onset, score.offset, score.pitch, max(rolls.STEPS.values()))
    return _piece(frames, finest, None, split, name=name, path=path, steps=steps, tempo=score.tempo, bars=bars)


def _of_song(song: Song, name: str, path: Path, steps: int, reading: str) -> Piece | None:
    """Put a song on a grid of `steps` in a quarter note."""
    finer = song.steps or steps
    if finer % steps:
        raise InputError(f"{path}: has {finer} frames in a quarter note; ask for steps of that length or longer")
    frames = rolls.folded(song.frames, finer // steps, reading) if finer > steps else song.frames
    return _piece(frames, song.frames, song.key, song.split, name=f"{name}/{song.name}", path=path, steps=steps)


def _piece(frames: np.ndarray, finest: np.ndarray, key: Key | None, split: str | None, **told) -> Piece | None:
    """Make a piece of its frames, of the finest frames known of it, and of what the file told; None without notes."""
    if not frames.any():
        return None
    identity = identity_of(finest)
    heard = key or Key(LABELS[find_key(pitch_class_counts(frames))])
    return Piece(frames=frames, key=heard, given=key is not None, split=split or split_of(identity), identity=identity, **told)


def identity_of(frames: np.ndarray) -> str:
    """Hash frames (T, 88) with their lowest note moved to the lowest key, so that transposed copies fall in one split."""
    lowest = int(frames.any(0).argmax())
    packed = np.packbits(np.roll(frames, -lowest, axis=1))
    return hashlib.blake2b(packed.tobytes(), digest_size=16).hexdigest()
