"""Whole notes of a run's own corpus: their frames, and what the model may be told of them."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from data.instruments import Note
from data.mixtures import choose
from data.notes import name_of, parse_pitch
from data.splits import belongs
from models.base import LatentModel
from utils.config import InputError

LOUD = ("f", "ff", "fff", "forte", "fortissimo")
WORD = re.compile(r"(?P<pitch>[A-Ga-g][#b]?)?(?P<octave>\d)?(:(?P<dynamics>\w+))?")
USUAL = {"pitch": "A", "octave": "4", "dynamics": "mf"}  # what a model is told where nobody says anything


def notes(model: LatentModel, split: str = "test") -> dict[str, tuple[Note, ...]]:
    """Return the notes of a split of a run's corpus by instrument, those without any left out.

    Raises
    ------
    InputError : the corpus cannot be read, or lacks an instrument of the run.
    """
    config = model.config
    groups = zip(config.instruments, config.corpus().select(config.instruments), strict=True)
    found = {name: tuple(note for note in group if belongs(note.identity, split) and known(model, note)) for name, group in groups}
    return {name: group for name, group in found.items() if group}


def known(model: LatentModel, note: Note) -> bool:
    """Tell whether a note has all that the model is told, in classes that it knows."""
    return all(note.labels.get(label) in model.config.classes[label] for label in model.conditions)


def loud(group: Sequence[Note]) -> tuple[Note, ...]:
    """Return the loud ones among notes, or all where none is called so."""
    return tuple(note for note in group if note.labels.get("dynamics") in LOUD) or tuple(group)


def frames(model: LatentModel, note: Note) -> Tensor:
    """Return the linear magnitudes (N, F) of a whole note.

    Raises
    ------
    InputError : its file cannot be read.
    """
    if note.magnitudes is not None:
        return torch.from_numpy(note.magnitudes)
    return model.representations["signal"].read(note.path)


def trained_on(model: LatentModel, frames: Tensor) -> np.ndarray:
    """Return the numbers of those of a note's frames (N, F) that training takes; of too short a note the sustained ones."""
    numbers = choose(frames.numpy(), model.config.frames)
    return numbers if len(numbers) else choose(frames.numpy(), ("sustain",))


def told(model: LatentModel, labels: dict[str, str]) -> Tensor | None:
    """Return what a model is told of a note with these labels, (C,) class ids; None where it is told nothing.

    Raises
    ------
    InputError : a label is missing, or of no class that the run knows.
    """
    if not model.conditions:
        return None
    tables = model.config.classes
    wrong = [label for label in model.conditions if labels.get(label) not in tables[label]]
    if wrong:
        raise InputError(f"the run is told {wrong[0]}, one of {' '.join(tables[wrong[0]])}, not {labels.get(wrong[0])!r}")
    return torch.tensor([tables[label].index(labels[label]) for label in model.conditions])


def spoken(model: LatentModel, word: str) -> Tensor | None:
    """Return what a model is told by a word such as ``A``, ``A4:mf`` or ``:mf``, or by the number of a class of its one condition.

    Raises
    ------
    InputError : the word says too little, or what the run does not know.
    """
    conditions = list(model.conditions)
    if not conditions:
        raise InputError(f"--labels {word}: the run was trained with --conditioning none, and is told nothing")
    if len(conditions) == 1 and word.isdecimal():
        names = model.config.classes[conditions[0]]
        if int(word) >= len(names):
            raise InputError(f"--labels {word}: {conditions[0]} has the classes 0 to {len(names) - 1}")
        return torch.tensor([int(word)])
    found = WORD.fullmatch(word)
    labels = {label: text for label, text in found.groupdict().items() if text} if found else {}
    if "pitch" in labels:
        labels["pitch"] = name_of(parse_pitch(f"{labels['pitch']}4"))[0]
    try:
        return told(model, labels)
    except InputError as error:
        raise InputError(f"--labels {word}: {error}") from None


def usual(model: LatentModel) -> Tensor | None:
    """Return what a model is told where nobody says anything: A, octave 4 and mf, or the middle one of its classes."""
    if not model.conditions:
        return None
    tables = {label: model.config.classes[label] for label in model.conditions}
    return torch.tensor(
        [names.index(USUAL[label]) if USUAL.get(label) in names else len(names) // 2 for label, names in tables.items()]
    )
