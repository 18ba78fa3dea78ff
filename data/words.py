"""Labels in words: "A4:mf", "rest", and "A4:mf+C3:p" for several sources, which become class ids (N, I, L). See `Labels.text`."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from data.notes import Notes, name_of, parse_pitch, parse_pitch_class, velocities_of
from utils.config import InputError

REST = "rest"
LONGEST = 80  # characters of a file's name
_NOTE = ("octave", "pitch")  # labels that are one word together, in the order of `Labels.places`
_WHOLE = re.compile(r"[+-]?\d{1,9}")


def parse(labels: Labels, words: Sequence[str]) -> Tensor:
    """Return the class ids (N, I, L) of N words, or of N * I * L whole numbers, which are the ids themselves.

    A word is a note and its further classes, joined by ":"; several sources are joined by "+", in the order of the run's
    instruments, whose names may stand before them. A class may be given by its id, and one that is left out is the middle one.

    Raises
    ------
    InputError : no words, one that is no label of this run, a wrong number of sources or ids, or a rest that the run does not know.
    """
    if not words:
        raise InputError("no labels are given: write them like A4:mf")
    if all(_WHOLE.fullmatch(word) for word in words):
        return _of_ids(labels, [int(word) for word in words])
    return torch.tensor([_frame(labels, word) for word in words])


def _of_ids(labels: Labels, numbers: Sequence[int]) -> Tensor:
    """Return class ids (N, I, L) that are given one after another."""
    instruments, width = labels.shape
    if len(numbers) % (instruments * width):
        order = f"{', '.join(name for name, _ in labels.classes)} of {', '.join(labels.instruments)}"
        raise InputError(f"{len(numbers)} class ids are given: this run takes {instruments * width} a label, {order}")
    rows = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    for row in rows:
        if tuple(row) == labels.silent_ids:
            _check_silence(labels)
            continue
        for (label, names), number in zip(labels.classes, row, strict=True):
            if not 0 <= number < len(names):
                raise InputError(f"{number} is no {label} of this run, which knows {_listed(names)}")
    return torch.tensor(rows).unflatten(0, (-1, instruments))


def _frame(labels: Labels, word: str) -> list[list[int]]:
    """Return the ids (I, L) of one word."""
    parts = [part.strip() for part in word.split("+")]
    if len(parts) != len(labels.instruments):
        example = "+".join(["A4:mf"] * len(labels.instruments))
        raise InputError(f"{word!r} names {len(parts)} of this run's {', '.join(labels.instruments)}: write {example}")
    return [_source(labels, part.removeprefix(f"{name} ")) for part, name in zip(parts, labels.instruments, strict=True)]


def _source(labels: Labels, text: str) -> list[int]:
    """Return the ids (L,) of what one source plays."""
    if text == REST:
        _check_silence(labels)
        return list(labels.silent_ids)
    note = [label for label, _ in labels.classes if label in _NOTE]
    further = [label for label, _ in labels.classes if label not in _NOTE]
    parts = text.split(":")
    ids = _note(labels, parts.pop(0)) if note else {}
    if len(parts) > len(further):
        raise InputError(f"{text!r} says too much: this run knows {', '.join([' and '.join(note), *further])}")
    given = dict(zip(further, parts, strict=False))
    for label, names in labels.classes:
        ids.setdefault(label, class_id(labels, label, given[label]) if given.get(label) else len(names) // 2)
    return [ids[label] for label, _ in labels.classes]


def _check_silence(labels: Labels) -> None:
    if not labels.silence:
        raise InputError("a rest is asked for, but this run was never shown silence: leave it out")


def _note(labels: Labels, text: str) -> dict[str, int]:
    """Return the ids of a note's octave and pitch class, whichever the run has: as the run writes it, or in another spelling."""
    tables = {label: names for label, names in labels.classes if label in _NOTE}
    for i, pitch in enumerate(tables.get("pitch", [""])):
        for j, octave in enumerate(tables.get("octave", [""])):
            if text == pitch + octave:
                return {label: place for label, place in (("pitch", i), ("octave", j)) if label in tables}
    if "pitch" not in tables:
        raise InputError(f"{text!r} is no octave of this run, which knows {' '.join(tables['octave'])}")
    pitch = parse_pitch(text) if "octave" in tables else parse_pitch(f"{parse_pitch_class(text)}4")
    return dict(zip(tables, _of_pitch(labels, pitch, text), strict=True))


def _of_pitch(labels: Labels, pitch: int, text: str) -> list[int]:
    """Return the ids of the labels that tell a MIDI pitch, in the order of the run."""
    if not 0 <= pitch <= 127 or labels.places[pitch, 0] < 0:
        raise InputError(f"{text} is no note of this run: its notes lie within {labels.span}")
    told = dict(zip(_NOTE, labels.places[pitch].tolist(), strict=True))
    return [told[label] for label, _ in labels.classes if label in told]


def class_id(labels: Labels, label: str, word: str) -> int:
    """Return the id of a class of `label` that is given by its name or its id.

    Raises
    ------
    InputError : the run has no such class.
    """
    names = dict(labels.classes).get(label, ())
    if word in names:
        return names.index(word)
    if re.fullmatch(r"\d{1,9}", word) and int(word) < len(names):
        return int(word)
    raise InputError(f"{word!r} is no {label} of this run, which knows {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{i} {name}" for i, name in enumerate(names)) or "none at all"


# -- labels changed and named -----------------------------------------------------------------------------------------


def transposed(labels: Labels, ids: Tensor, semitones: int) -> Tensor:
    """Return ids (N, I, L) `semitones` higher; what is silent stays so.

    Raises
    ------
    InputError : the run names no pitch, or does not have one that is needed.
    """
    if not semitones:
        return ids
    columns = [place for place, (label, _) in enumerate(labels.classes) if label in _NOTE]
    result, pitches = ids.clone(), labels.pitch(ids)
    for n, i in np.argwhere(labels.sounding(ids.numpy())).tolist():
        pitch = int(pitches[n, i])
        text = f"{''.join(map(str, name_of(pitch)))} transposed by {semitones}"
        result[n, i, columns] = torch.tensor(_of_pitch(labels, pitch + semitones, text))
    return result


def with_dynamics(labels: Labels, ids: Tensor, dynamics: str) -> Tensor:
    """Return ids (N, I, L) all in one dynamics, given by its name or its class id; what is silent stays so.

    Raises
    ------
    InputError : the run has no such dynamics.
    """
    place = class_id(labels, "dynamics", dynamics)
    result = ids.clone()
    result[..., [label for label, _ in labels.classes].index("dynamics")] = place
    return torch.where(labels.sounding(ids)[..., None], result, ids)


def notes_in(labels: Labels, notes: Notes, dynamics: str) -> Notes:
    """Return `notes` at the nominal velocity of one dynamics, given by its name or its class id.

    Raises
    ------
    InputError : the run has no such dynamics.
    """
    place = class_id(labels, "dynamics", dynamics)
    return replace(notes, velocity=np.full(len(notes), velocities_of(dict(labels.classes)["dynamics"])[place]))


def file_name(labels: Labels, ids: Tensor) -> str:
    """Return a name for files that says which labels (N, I, L) they hold: A4-mf_As4-p; a long one is cut and ends in a hash."""
    words = ["+".join(map(labels.word, frame)) for frame in ids.tolist()]
    whole = "_".join(words).replace(":", "-").replace("#", "s").replace("♯", "s").replace("♭", "b")
    name = re.sub(r"[^\w+.-]", "", whole).lstrip(".-")
    digest = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
    return name if 0 < len(name) <= LONGEST else f"{name[: LONGEST - 9]}_{digest}"
