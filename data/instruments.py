"""Corpora of single instrument notes, in the layouts that people have: audio files, or spectra, and their labels.

The layouts' own modules find paths and fields of text, as the corpus gives them; here fields become labels, in one way for all.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data import lt_set
from data.filenames import by_pattern, by_style
from data.note_tables import by_table
from data.notes import DYNAMICS, PITCH_CLASSES, name_of, nearest_dynamics, parse_pitch, velocity_of
from utils.config import InputError

log = logging.getLogger(__name__)

OCTAVES = tuple("012345678")
LAYOUTS = (
    "a folder with notes.csv (file, instrument, pitch, octave, dynamics), TinySOL or OrchideaSOL, NSynth (examples.json), "
    "files named as Philharmonia's or Iowa's, files of any names with --label_pattern, or the original's lt_set.npz"
)
ALIASES = (  # names of one instrument, as `plain` writes them
    {"altosax", "altosaxophone", "asax", "saxalto", "saxophone", "sax"},
    {"violoncello", "cello", "vc"},
    {"clarinetbb", "clarinet", "bbclarinet", "bbclar", "clarinetinbb", "clarinetinbflat"},
    {"trumpetc", "trumpet", "trumpetinc"},
    {"frenchhorn", "horn"},
    {"trombone", "tenortrombone"},
    {"basstuba", "tuba"},
    {"contrabass", "doublebass"},
    {"englishhorn", "coranglais"},
)
SHOWN = 40  # names in a message


@dataclass(frozen=True, eq=False)
class Note:
    """Hold one recorded note: its file, its labels, and its spectrum where the corpus brings that instead of audio.

    Labels are texts: instrument, pitch (a class, ``"A#"``), octave (scientific, ``"4"``), where known dynamics (``"mf"``), and what
    else the corpus tells.
    """

    path: Path
    labels: Mapping[str, str]
    magnitudes: np.ndarray | None = None  # (N, F) float32, linear

    @property
    def identity(self) -> str:
        """What is played: notes that differ in nothing of it belong to one split."""
        return "/".join(self.labels.get(label, "") for label in ("instrument", "pitch", "octave", "dynamics"))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Hold notes sorted by path, and the classes of each label in order; a class id is a place among them."""

    root: Path
    notes: tuple[Note, ...]
    classes: Mapping[str, tuple[str, ...]]

    def most_common(self) -> str:
        """Name the instrument with the most notes; of equals, the first by name."""
        counts = Counter(note.labels["instrument"] for note in self.notes)
        return max(sorted(counts), key=counts.__getitem__)

    def select(self, instruments: Sequence[str]) -> tuple[tuple[Note, ...], ...]:
        """Return the notes of each instrument, in the order asked; capitals, ``-``, ``_`` and spaces do not matter.

        Raises
        ------
        InputError
            If an instrument does not exist, is meant twice, or none is asked for.
        """
        names = [self._name(asked) for asked in instruments]
        if not names or len(set(names)) < len(names):
            raise InputError(f"instruments '{' '.join(instruments)}': name one or more, each once")
        return tuple(tuple(note for note in self.notes if note.labels["instrument"] == name) for name in names)

    def below(self, octave: int) -> "Corpus":
        """Return the notes of octaves up to `octave`.

        Raises
        ------
        InputError
            If there is none.
        """
        kept = tuple(note for note in self.notes if int(note.labels["octave"]) <= octave)
        if not kept:
            raise InputError(f"{self.root}: has no notes in octaves up to {octave}")
        played = {note.labels["instrument"] for note in kept}
        names = tuple(name for name in self.classes["instrument"] if name in played)
        return Corpus(self.root, kept, {**self.classes, "instrument": names})

    def _name(self, asked: str) -> str:
        """Return the corpus' own name of an instrument: the one asked, or but for its spelling, or the only one by alias."""
        names = self.classes["instrument"]
        if asked in names:
            return asked
        same = [name for name in names if plain(name) == plain(asked)]
        meant = next((group for group in ALIASES if plain(asked) in group), set())
        same = same or [name for name in names if plain(name) in meant]
        if len(same) == 1:
            return same[0]
        wrong = f"may mean {' or '.join(same)}" if same else "is not in the corpus"
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise InputError(f"instrument '{asked}' {wrong}: {self.root} has {' '.join(names[:SHOWN])}{more}")


def plain(name: str) -> str:
    """Return a name without what does not matter in it: capitals, ``-``, ``_`` and spaces."""
    return re.sub("[-_ ]", "", name).casefold()


def alike(name: str, other: str) -> bool:
    """Tell whether two names mean one instrument, by spelling or by alias."""
    both = {plain(name), plain(other)}
    return len(both) == 1 or any(both <= group for group in ALIASES)


def read(root: str | Path, label_pattern: str | None = None) -> Corpus:
    """Read a corpus of single notes, whichever layout it has.

    Notes whose instrument, pitch or plain dynamics cannot be told are left out, and counted in a warning.

    Parameters
    ----------
    root
        A folder that holds ``notes.csv``, TinySOL or OrchideaSOL (with or without their metadata table), NSynth, notes named as
        Philharmonia's or Iowa's, or ``lt_set.npz``; or that file itself.
    label_pattern
        A regular expression that finds the labels in each audio file's path relative to `root`; it has the named groups
        ``instrument`` and ``note`` (``A#4``), ``midi``, or ``pitch`` and ``octave``; any others become labels.

    Raises
    ------
    InputError
        If nothing of a known layout is there, a table is damaged or lists files that are missing, or no note is readable.
    """
    root = Path(root)
    spectra = root if root.suffix == ".npz" else root / "lt_set.npz"
    if spectra.is_file() and not label_pattern:
        return _read_lt_set(spectra)
    if not root.is_dir():
        found = "is no corpus" if root.exists() else "does not exist"
        raise InputError(f"{root}: {found}: give {LAYOUTS}")
    rows = by_pattern(root, label_pattern) if label_pattern else by_table(root)
    return _corpus(root, by_style(root) if rows is None else rows)


def _read_lt_set(path: Path) -> Corpus:
    """Read the original's set; its dynamics keep the order of their ids there."""
    content = lt_set.read(path)
    corpus = _corpus(path, ((path, *entry) for entry in zip(content.labels, content.magnitudes, strict=True)))
    if "dynamics" not in corpus.classes:
        return corpus
    return replace(corpus, classes={**corpus.classes, "dynamics": tuple(map(_letters, content.dynamics))})


def _corpus(root: Path, rows: Iterable[tuple]) -> Corpus:
    """Make a corpus of rows (path, fields) or (path, fields, magnitudes); say in one line how many cannot be read."""
    notes, unread = [], []
    for path, fields, *magnitudes in rows:
        labels = _labels(fields)
        if labels:
            notes.append(Note(path, labels, *magnitudes))
        else:
            unread.append(path)
    if not notes:
        found = f"the labels of {len(unread)} notes cannot be read, as of {unread[0].name}" if unread else "holds no notes"
        raise InputError(f"{root}: {found}: give {LAYOUTS}")
    if unread:
        total = len(notes) + len(unread)
        reason = "no instrument, no single pitch of octaves 0-8, or no plain dynamics to be read"
        log.warning("%s: %d of %d notes skipped, as %s: %s", root, len(unread), total, unread[0].name, reason)
    notes.sort(key=lambda note: note.path)
    return Corpus(root, tuple(notes), _classes(notes))


def _labels(fields: Mapping[str, str | None]) -> dict[str, str]:
    """Turn fields into labels; empty where the instrument or the pitch cannot be read."""
    given = {name: text.strip() for name, text in fields.items() if name and text and text.strip()}
    try:
        pitch, octave = name_of(_midi(given))
    except (KeyError, InputError):
        return {}
    if "instrument" not in given or str(octave) not in OCTAVES:
        return {}
    if "dynamics" in given:
        given["dynamics"] = _letters(given["dynamics"])
    others = {name: text for name, text in given.items() if name not in ("note", "midi")}
    return others | {"pitch": pitch, "octave": str(octave)}


def _midi(fields: Mapping[str, str]) -> int:
    """Return the MIDI pitch from ``midi``, ``note``, ``pitch`` and ``octave``, or ``pitch`` alone; alone, it may be a number."""
    text = fields.get("midi") or fields.get("note")
    if not text and "octave" in fields:
        return parse_pitch(fields["pitch"] + fields["octave"].removesuffix(".0"))
    text = text or fields["pitch"]
    return int(float(text)) if re.fullmatch(r"\d{1,3}(\.0+)?", text, re.ASCII) else parse_pitch(text)


def _letters(dynamics: str) -> str:
    """Write "mezzo-forte" as "mf"; leave numbers and what is unknown."""
    if dynamics.isdecimal():
        return dynamics
    try:
        return nearest_dynamics(velocity_of(dynamics), DYNAMICS)
    except InputError:
        return dynamics


def _classes(notes: Sequence[Note]) -> dict[str, tuple[str, ...]]:
    """Return the classes of each label in order; a label need not be on every note."""
    found: dict[str, set[str]] = {}
    for note in notes:
        for label, name in note.labels.items():
            found.setdefault(label, set()).add(name)
    return {label: _ordered(label, names) for label, names in found.items()}


def _ordered(label: str, names: Iterable[str]) -> tuple[str, ...]:
    if label in ("pitch", "octave"):
        return PITCH_CLASSES if label == "pitch" else OCTAVES
    ranks = {name: place for place, name in enumerate(DYNAMICS)} if label == "dynamics" else {}
    return tuple(sorted(names, key=lambda name: (ranks.get(name, len(ranks)), *_natural(name))))


def _natural(name: str) -> tuple[float, str]:
    """Sort numbers by their value, before other names."""
    return (float(name) if re.fullmatch(r"-?\d+(\.\d+)?", name, re.ASCII) else float("inf"), name)
