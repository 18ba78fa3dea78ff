"""Frames of notes, of one instrument or of several mixed in the linear domain."""

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.instruments import Note
from data.representations import SoundRepresentation
from data.spectra import Rows, SpectraStore
from data.splits import belongs
from data.transposition import Transposition
from utils.config import InputError

log = logging.getLogger(__name__)

IN_MEMORY = 2**30  # bytes of frames that are copied into memory; more stay in the memory-mapped cache
SUSTAIN_DB = 12.0  # frames within this of a note's loudest are its sustained part
SILENT = 1e-5  # a frame whose largest magnitude is below this sounds nothing (a sine of amplitude 1 has 35)


@dataclass(frozen=True)
class Source:
    """The frames of one instrument in one split: labels, where they come from, and how to fetch magnitudes."""

    symbol: Tensor  # (n, L) class ids
    item: Tensor  # (n,) number of the recording a frame is of
    group: Tensor  # (n,) number of the note that is played there; several recordings may be of one note
    fetch: Callable[[Tensor], Tensor]  # frame numbers (B,) -> linear magnitudes (B, F)
    identity: str  # a text that changes when the frames change

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True)
class Mixtures:
    """Mixtures of one frame of each of I sources, paired anew each epoch.

    An epoch has as many examples as the largest source has frames; smaller sources come round more than once. A mixture is the
    weighted sum of linear magnitudes. Weights are 1 (constant), 0 or 1 with probability 1/2 (bernoulli), or uniform in [0, 1); a
    source of weight 0 has the ids `silence` as its labels, where those are given.
    """

    sources: Sequence[Source]
    random_mode: str = "constant"
    silence: Tensor | None = None  # (L,) class ids of "this source is silent"
    augment: Transposition | None = None  # drawn anew for every example

    def __len__(self) -> int:
        return max(map(len, self.sources))

    def order(self, random: torch.Generator) -> Tensor:
        """Return the frames of each example of an epoch, (len, I)."""
        return torch.stack([cycled(len(source), len(self), random) for source in self.sources], 1)

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return ``signal`` (B, F) linear, ``symbol`` (B, I, L) class ids, ``item`` and ``group`` (B, I) for `rows` (B, I)."""
        columns = list(zip(self.sources, rows.unbind(1), strict=True))
        weights = _weights(self.random_mode, rows.shape, random)
        frames = [(source.fetch(row), source.symbol[row]) for source, row in columns]
        if self.augment is not None:
            frames = [self.augment(signal, symbol, random) for signal, symbol in frames]
        signal = sum(frame * weights[:, [i]] for i, (frame, _) in enumerate(frames))
        symbol = torch.stack([ids for _, ids in frames], 1)
        if self.silence is not None:
            symbol = torch.where((weights == 0).unsqueeze(-1), self.silence, symbol)
        return {
            "signal": signal,
            "symbol": symbol,
            "item": torch.stack([source.item[row] for source, row in columns], 1),
            "group": torch.stack([source.group[row] for source, row in columns], 1),
        }

    @property
    def varies(self) -> bool:
        """Tell whether another order brings other mixtures."""
        return len(self.sources) > 1 or self.random_mode != "constant"

    def plain(self) -> "Mixtures":
        """Return these mixtures of frames as they were recorded, none of them transposed."""
        return replace(self, augment=None)

    def passages(self, number: int, random: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield up to `number` passages: the frames of one recording of each source in the order of time, all sources sounding."""
        chosen = [source.item.unique()[torch.randperm(len(source.item.unique()), generator=random)] for source in self.sources]
        for items in zip(*(column[:number].tolist() for column in chosen), strict=False):
            rows = [torch.nonzero(source.item == item)[:, 0] for source, item in zip(self.sources, items, strict=True)]
            rows = torch.stack([row[: min(map(len, rows))] for row in rows], 1)
            yield replace(self.plain(), random_mode="constant").batch(rows, random)

    def fingerprint(self) -> str:
        """Return a hash of which frames of which notes are here."""
        return hashlib.sha256("\n".join(source.identity for source in self.sources).encode()).hexdigest()[:16]


def cycled(n: int, length: int, random: torch.Generator) -> Tensor:
    """Return `length` numbers below `n`: permutations one after another."""
    return torch.cat([torch.randperm(n, generator=random) for _ in range(-(-length // n))])[:length]


def _weights(mode: str, shape: torch.Size, random: torch.Generator) -> Tensor:
    if mode == "constant":
        return torch.ones(shape)
    drawn = torch.rand(shape, generator=random)
    return (drawn < 0.5).float() if mode == "bernoulli" else drawn


def choose(magnitudes: np.ndarray, frames: Sequence[str]) -> np.ndarray:
    """Return the numbers of the frames of one note to use.

    Parameters
    ----------
    magnitudes : (N, F) linear.
    frames : ``A B`` for those from A up to B, one number for that frame, ``sustain`` for those within 12 dB of the note's loudest
        frame, ``sustain N`` for N of them at equal distances, nothing for all. Frames that the note has not are left out; so are
        silent ones.
    """
    numbers = np.arange(len(magnitudes))
    if list(frames[:1]) == ["sustain"]:
        energy = np.square(magnitudes, dtype=np.float64).sum(1)
        numbers = numbers[energy >= energy.max() * 10 ** (-SUSTAIN_DB / 10)]
        most = int(frames[1]) if len(frames) > 1 else len(numbers)
        numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, most).round().astype(int))] if most < len(numbers) else numbers
    elif frames:
        first, last = int(frames[0]), int(frames[-1]) + (len(frames) == 1)
        numbers = numbers[first:last]
    return numbers[magnitudes[numbers].max(1, initial=0) > SILENT]


@dataclass(frozen=True)
class Spectra:
    """The magnitudes of some notes as if they stood one after another."""

    starts: np.ndarray  # (notes + 1,) the first row of each note, then the number of rows
    rows: Rows | np.ndarray  # indexed by row numbers (B,), gives (B, F)
    contents: tuple[str, ...]  # a hash of what each note was made from

    def of(self, note: int) -> np.ndarray:
        """Return the magnitudes (N, F) of one note."""
        return self.rows[np.arange(self.starts[note], self.starts[note + 1])]


def spectra_of(notes: Sequence[Note], transform: SoundRepresentation, cache: Path, workers: int) -> Spectra:
    """Return the magnitudes of `notes`: those that the corpus brings, or else computed once and kept in `cache`.

    Raises
    ------
    InputError : a file cannot be analysed, or brought magnitudes have another number of bands.
    """
    if notes[0].magnitudes is not None:
        brought = [note.magnitudes for note in notes]
        if brought[0].shape[1] != transform.shape[0]:
            raise InputError(f"{notes[0].path}: its spectra have {brought[0].shape[1]} bands, the transform {transform.shape[0]}")
        contents = tuple(hashlib.sha256(array.tobytes()).hexdigest() for array in brought)
        return Spectra(np.cumsum([0, *map(len, brought)]), np.concatenate(brought), contents)
    store = SpectraStore(cache / "spectra", transform.settings, transform.shape[0])
    paths = [note.path for note in notes]
    store.prepare(paths, functools.partial(_analysed, transform), workers or len(os.sched_getaffinity(0)))
    rows = store.rows(paths)
    return Spectra(rows.starts, rows, rows.contents)


def _analysed(transform: SoundRepresentation, path: Path) -> np.ndarray:
    return transform.read(path).numpy()


def with_labels(notes: Sequence[Note], classes: Mapping[str, Sequence[str]]) -> list[Note]:
    """Return the notes that have all labels of `classes`, and one of its classes in each, saying how many have not.

    Raises
    ------
    InputError : none has.
    """
    kept = [note for note in notes if all(note.labels.get(label) in names for label, names in classes.items())]
    name = notes[0].labels["instrument"]
    if not kept:
        raise InputError(f"{name}: no note has all of the labels {' '.join(classes)}, in classes that the run knows")
    if len(kept) < len(notes):
        lost = len(notes) - len(kept)
        log.warning("%s: %d of %d notes lack a known class of %s and are left out", name, lost, len(notes), " or ".join(classes))
    return kept


def source(
    notes: Sequence[Note],
    spectra: Spectra,
    classes: Mapping[str, Sequence[str]],
    frames: Sequence[str],
    split: str,  # or "all"
    by_frame: bool = False,
) -> Source:
    """Choose the frames of one instrument's notes that belong to `split`.

    Parameters
    ----------
    notes : of one instrument.
    spectra : their magnitudes.
    classes : label -> class names; a class id is a place among them.
    frames : see `choose`.
    by_frame : split single frames instead of notes, as the original did.

    Raises
    ------
    InputError : no frame is left.
    """
    name, wanted = notes[0].labels["instrument"], " ".join(frames) or "all"
    rows = [_rows(note, spectra, i, frames, split, by_frame) for i, note in enumerate(notes)]
    empty = sum(r is not None and not len(r) for r in rows)
    if empty:
        log.warning("%s: %d of the %s notes are too short or silent for --frames %s", name, empty, split, wanted)
    counts = [0 if r is None else len(r) for r in rows]
    if not sum(counts):
        raise InputError(
            f"{name}: no {split} note has a sounding frame (--frames {wanted}); bring more or longer notes, or change it"
        )
    ids = np.concatenate([spectra.starts[i] + r for i, r in enumerate(rows) if r is not None])
    labels = np.array([[list(names).index(note.labels[label]) for label, names in classes.items()] for note in notes])
    names = [(note.identity, note.path.name) for note in notes]
    identity = hashlib.sha256(repr((names, spectra.contents, labels.tolist())).encode() + ids.tobytes()).hexdigest()
    played = np.unique([note.identity for note in notes], return_inverse=True)[1]
    columns = [torch.from_numpy(np.repeat(column, counts, axis=0)) for column in (labels, np.arange(len(notes)), played)]
    return Source(*columns, _fetcher(spectra.rows, ids), identity)


def _rows(note: Note, spectra: Spectra, i: int, frames: Sequence[str], split: str, by_frame: bool) -> np.ndarray | None:
    """Return the chosen frames of the note with number `i`, None where it belongs to another split."""
    if not by_frame:
        return choose(spectra.of(i), frames) if belongs(note.identity, split) else None
    name = f"{note.path.parent.name}/{note.path.name}/{note.identity}"
    return np.array([n for n in choose(spectra.of(i), frames) if belongs(f"{name}#{n}", split)], dtype=np.int64)


def _fetcher(rows: Rows | np.ndarray, ids: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Return how to fetch frames: from a copy in memory where that is small, else from the cache."""
    if rows[ids[:1]].nbytes * len(ids) > IN_MEMORY:
        return lambda chosen: torch.from_numpy(rows[ids[chosen.numpy()]])
    frames = torch.from_numpy(rows[ids])
    return lambda chosen: frames[chosen]
