"""Instruments that a run does not know, among those it knows."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import instruments
from data.instruments import Note
from models import recorded
from models.atlas import Atlas
from models.base import LatentModel
from utils.cli import progress
from utils.config import InputError

MOST = 200  # notes of an instrument, evenly chosen where there are more


@dataclass(frozen=True, eq=False)
class Strangers:
    """Latents (N, Z) of unseen instruments `names`, which instrument each is of (N,), and distances (U, K) to the known ones."""

    names: tuple[str, ...]
    means: Tensor
    ids: Tensor
    known: tuple[str, ...]
    distances: np.ndarray

    def places(self, atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
        """Return their coordinates (N, A) and instruments (N,)."""
        return atlas.project(self.means).numpy(), self.ids.numpy()

    def nearest(self) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Yield each instrument with the known ones and their distances, the nearest first."""
        for name, row in zip(self.names, self.distances, strict=True):
            yield name, [(self.known[k], float(row[k])) for k in np.argsort(row)]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the three nearest of each as a table: its heads, its rows."""
        rows = [[name, *(f"{known} ({d:.2f})" for known, d in order[:3])] for name, order in self.nearest()]
        return ["unseen", "nearest", "second", "third"], rows

    def json(self) -> dict:
        """Return all distances as JSON values."""
        return {name: dict(order) for name, order in self.nearest()}


@torch.no_grad()
def strangers(model: LatentModel, atlas: Atlas, folder: Path) -> Strangers:
    """Return where the instruments of a corpus lie that are none of an atlas'; notes are told to the model as they are labelled.

    Raises
    ------
    InputError : the corpus cannot be read, or has no other instrument.
    """
    corpus = instruments.read(folder).below(model.config.filter)
    known = model.config.instruments
    names = tuple(name for name in corpus.classes["instrument"] if not any(instruments.alike(name, other) for other in known))
    if not names:
        raise InputError(f"{folder}: has no instrument that the run does not know; it has {' '.join(corpus.classes['instrument'])}")
    parts = [torch.cat([*_latents(model, group)]) for group in progress(corpus.select(names), desc="unseen", unit="instrument")]
    means, ids = torch.cat(parts), torch.arange(len(parts)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    centroids = torch.stack([part.mean(0) for part in parts])
    return Strangers(names, means, ids, atlas.names, torch.cdist(centroids, atlas.centroids).numpy())


def _latents(model: LatentModel, group: tuple[Note, ...]) -> Iterator[Tensor]:
    """Yield the posterior means (n, Z) of notes of one instrument: of those frames that the run was trained on.

    Raises
    ------
    InputError : no note has labels that the run knows.
    """
    device, said = model.device, [note for note in group if recorded.known(model, note)]
    if not said:
        raise InputError(f"{group[0].path}: no note of {group[0].labels['instrument']} has {' and '.join(model.conditions)}")
    for note in itertools.islice(said, 0, None, -(-len(said) // MOST)):
        frames = recorded.frames(model, note)
        frames = frames[recorded.trained_on(model, frames)]
        condition = recorded.told(model, note.labels)
        told = None if condition is None else condition.expand(len(frames), -1).to(device)
        yield model.encode(frames.to(device), "signal", told).mean.cpu()
