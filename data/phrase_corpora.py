"""Corpora of phrases: MIDI files and tables of voices -> lines of melodies, drums or several parts, with labels and a split.

A line is what a kind of phrase makes of one stretch or instrument of a file, whole bars long; phrases are windows of it.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import sequences, voice_tables
from data import voices as chorale_voices
from data.groove_table import Entry, GrooveTables
from data.phrases import LONGEST, ONLY_FIRST, Phrase, bars
from data.pieces import Collection, folder_split
from data.score_files import MIDI, TEMPO
from data.song_tables import JSON
from data.splits import split_of
from utils.cli import progress
from utils.config import InputError
from utils.inputs import found

log = logging.getLogger(__name__)

SUFFIXES = MIDI + JSON
CHORALES = chorale_voices.FILE
VOICE = "voice"  # label of a line
SHOWN = 4  # reasons in a warning

Labels = Mapping[str, str]
Stretch = tuple[sequences.Sequence, Labels]  # and what is known of it


@dataclass(frozen=True, eq=False)
class PhrasePiece:
    """Hold the lines of one file, or of one song of a table.

    Parameters
    ----------
    name : path within the corpus without its suffix; of a song, the table, the split and its number.
    path : the file that it is from.
    split : the file's own, or by a hash of the identity.
    identity : what is played, whatever the transposition; equal pieces have the same.
    lines : (L, ...) each, at least as long as a phrase.
    tempo : quarters a minute; 120 where the file tells none.
    labels : what is known of the piece: ``drummer``, ``style``, ``beat_type``.
    line_labels : what is known of each line: ``voice``, a number from the top.
    given : whether the split is the file's own.
    """

    name: str
    path: Path
    split: str
    identity: str
    lines: tuple[np.ndarray, ...]
    tempo: float = TEMPO
    labels: Labels = field(default_factory=dict)
    line_labels: tuple[Labels, ...] = ()
    given: bool = False

    def label(self, name: str, line: int) -> str | None:
        """Return what is known of a line by a name, of itself or of the piece."""
        own = self.line_labels[line] if self.line_labels else {}
        return own.get(name, self.labels.get(name))


@dataclass(frozen=True, eq=False)
class PhraseCorpus(Collection):
    """Hold pieces in the order of files, and what is known of all.

    Parameters
    ----------
    root : the file or folder that was read.
    pieces : in their order.
    reasons : why some files or songs gave nothing, by name.
    """

    pieces: tuple[PhrasePiece, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    def classes(self) -> dict[str, tuple[str, ...]]:
        """Return for each label that is known of every line its classes in all splits, sorted, where they are two or more."""
        lines = [(piece, line) for piece in self.pieces for line in range(len(piece.lines))]
        names = dict.fromkeys(name for piece in self.pieces for known in (piece.labels, *piece.line_labels) for name in known)
        classes = {name: {piece.label(name, line) for piece, line in lines} for name in names}
        return {name: tuple(sorted(found)) for name, found in classes.items() if None not in found and len(found) > 1}


class Made(NamedTuple):
    """Hold the piece that was made of a file or song, None where it gives no phrase, and in words what was dropped."""

    name: str
    piece: PhrasePiece | None
    reasons: list[str]


def read(root: str | Path, phrase: Phrase, voices: Sequence[int] = ()) -> PhraseCorpus:
    """Read a corpus of phrases: a MIDI file, a JSON table of voices, or a folder of any depth with MIDI files, or else with tables.

    Splits that the Groove dataset's table, tables of voices, or folders called train, valid and test, give are kept; other pieces
    are split by a hash. What gives no line as long as a phrase is left out, and one warning says how much, and why. The file of
    `data.voices.default_voices` is read, too.

    Parameters
    ----------
    root
        A file, or a folder of files.
    phrase
        What phrases are made of, and their length. Where its drum map may be any, files of the Groove dataset are read by the
        Roland kit's, all others by General MIDI's.
    voices
        Of tables of voices, those to read, by number from the top; all where none is given.

    Raises
    ------
    InputError
        If nothing of that is there, or there is no phrase in any of it.
    """
    root, tables = Path(root), GrooveTables()
    paths = _files(root)
    made = []
    for path in progress(paths, desc="Reading phrases", unit="file"):
        try:
            made += _pieces(path, root, phrase, voices, tables)
        except InputError as error:
            made.append(Made(_name(path, root), None, [str(error).removeprefix(f"{path}: ")]))
    reasons = {each.name: list(dict.fromkeys(each.reasons)) for each in made if not each.piece}
    _report(root, len(made), phrase, reasons)
    cut = [each.name for each in made if each.piece and any(ONLY_FIRST in reason for reason in each.reasons)]
    if cut:
        log.warning("%s: lines of %d pieces, as %s, are long: %s %s are read", root, len(cut), cut[0], ONLY_FIRST, bars(LONGEST))
    pieces = tuple(each.piece for each in made if each.piece)
    return PhraseCorpus(root, pieces, {name: "; ".join(why) for name, why in reasons.items()})


def _files(root: Path) -> list[Path]:
    """Return the MIDI files of a folder or, where it has none, the JSON files; or the one file that is given."""
    files = found(root, SUFFIXES)
    if files[0].suffix.lower() not in SUFFIXES and files[0].name != CHORALES:
        raise InputError(f"{root}: is no corpus of phrases; give a folder or a file that ends in {' '.join(SUFFIXES)}")
    return [path for path in files if path.suffix.lower() in MIDI] or files


def _report(root: Path, count: int, phrase: Phrase, reasons: Mapping[str, Sequence[str]]) -> None:
    """Say in one line which of so many pieces gave nothing, and why; raise InputError if all did."""
    if not reasons:
        return
    (first, why), others = next(iter(reasons.items())), len(reasons) - 1
    kind = f"no {type(phrase).__name__.lower()} of {bars(phrase.span)}"
    if count == 1:
        raise InputError(f"{root}: {kind}: {'; '.join(why)}")
    tally = Counter(reason for each in reasons.values() for reason in each).most_common()
    shown = ", ".join(f"{number} x {reason}" for reason, number in tally[:SHOWN])
    more = f", and {len(tally) - SHOWN} more reasons" if len(tally) > SHOWN else ""
    text = f"{root}: {kind} in {len(reasons)} of {count} pieces: {first} ({'; '.join(why)}) and {others} others: {shown}{more}"
    if len(reasons) == count:
        raise InputError(text)
    log.warning("%s", text)


def _pieces(path: Path, root: Path, phrase: Phrase, chosen: Sequence[int], tables: GrooveTables) -> Iterator[Made]:
    """Yield what is made of a file, or of each song of a table."""
    name = _name(path, root)
    if path.suffix.lower() in MIDI:
        known = tables.entry(path)
        entry, phrase = known or Entry(None, {}), phrase.of_kit("roland" if known else "gm")
        stretches = [(notes, {}) for notes in sequences.read_midi(path)]
        yield _made(stretches, phrase, name, path, entry.split or folder_split(path, root), entry.labels)
        return
    for song in (chorale_voices if path.name == CHORALES else voice_tables).read(path, chosen):
        stretches = [(notes, {VOICE: str(number)}) for number, notes in song.voices]
        yield _made(stretches, phrase, f"{name}/{song.name}", path, song.split, {})


def _name(path: Path, root: Path) -> str:
    name = str(path.relative_to(root).with_suffix("")) if path != root else path.stem
    return name.encode("utf-8", "replace").decode("utf-8")  # names of files that are not UTF-8 could not be written


def _made(stretches: Sequence[Stretch], phrase: Phrase, name: str, path: Path, split: str | None, labels: Labels) -> Made:
    """Make a piece of what one file or song holds."""
    lines, reasons = [], []
    for notes, known in stretches:
        found_lines, why = phrase.lines(notes)
        lines += [(line, known, notes.tempo) for line in found_lines]
        reasons += why
    long = [(part, known, tempo) for line, known, tempo in lines for part in phrase.parts(line)]
    if not long:
        return Made(name, None, reasons or ["no notes"])
    identity = identity_of([line for line, _, _ in lines], phrase)  # shorter lines, too: the same whatever the length of phrases
    kept, known, tempos = zip(*long, strict=True)
    piece = PhrasePiece(name, path, split or split_of(identity), identity, kept, tempos[0], labels, known, bool(split))
    return Made(name, piece, reasons)


def identity_of(lines: Sequence[np.ndarray], phrase: Phrase) -> str:
    """Hash what lines play, with the lowest pitch of instruments moved to 0, so that transposed copies fall in one split."""
    digest = hashlib.blake2b(digest_size=16)
    parts = [phrase.of_line(line) for line in lines]
    drums = [np.array([track.drum for track in part.tracks], bool)[part.track] for part in parts]
    lowest = min((int(part.pitch[~drum].min()) for part, drum in zip(parts, drums, strict=True) if not drum.all()), default=0)
    for part, drum, line in zip(parts, drums, lines, strict=True):
        pitch = np.where(drum, part.pitch, part.pitch - lowest)
        times = [np.floor(time + 0.5) for time in (part.onset, part.offset)]
        digest.update(f"{len(line)} {len(pitch)} ".encode())
        digest.update(np.column_stack([*times, pitch, drum]).astype("<i4").tobytes())
    return digest.hexdigest()
