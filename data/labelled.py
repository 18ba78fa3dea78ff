"""Frames of single notes of many instruments, with their labels; where asked for, as many of each instrument."""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from data.mixtures import Source, cycled

INSTRUMENT = "instrument"


class _Frames(NamedTuple):
    """The frames (n,) of all sources, those of one after those of another."""

    source: Tensor  # which one
    number: Tensor  # within it
    symbol: Tensor  # (n, L)
    item: Tensor
    group: Tensor


@dataclass(frozen=True, eq=False)
class Labelled:
    """Frames of K instruments, one an example.

    If `balanced`, an epoch has as many frames of each instrument as the mean instrument has, drawn anew each time; any stretch of
    its order has nearly as many of each, so that most pairs of instruments meet in a batch.
    """

    sources: Sequence[Source]  # one an instrument
    labels: tuple[str, ...]  # names of the columns of their symbols
    balanced: bool = False

    def __len__(self) -> int:
        frames = sum(map(len, self.sources))
        return -(-frames // len(self.sources)) * len(self.sources) if self.balanced else frames

    def order(self, random: torch.Generator) -> Tensor:
        """Return the frames of an epoch in random order, (len,); if balanced, in rounds of one of each instrument."""
        if not self.balanced:
            return torch.randperm(len(self), generator=random)
        rounds = len(self) // len(self.sources)
        starts = itertools.accumulate(map(len, self.sources), initial=0)
        columns = [start + cycled(len(source), rounds, random) for start, source in zip(starts, self.sources, strict=False)]
        turns = torch.rand(rounds, len(columns), generator=random).argsort(1)  # else a rank of two gets every other instrument
        return torch.stack(columns, 1).gather(1, turns).flatten()

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return ``signal`` (B, F) linear, ``instrument`` and each label (B,), ``item`` and ``group`` (B, 1) for `rows` (B,)."""
        frames = _Frames(*(column[rows] for column in self._frames))
        places = [torch.nonzero(frames.source == k)[:, 0] for k in range(len(self.sources))]
        fetched = [source.fetch(frames.number[place]) for source, place in zip(self.sources, places, strict=True)]
        return {
            "signal": torch.cat(fetched)[torch.cat(places).argsort()],
            INSTRUMENT: frames.source,
            **dict(zip(self.labels, frames.symbol.unbind(1), strict=True)),
            "item": frames.item[:, None],
            "group": frames.group[:, None],
        }

    @property
    def varies(self) -> bool:
        """Tell whether another order brings other frames."""
        return self.balanced

    def plain(self) -> "Labelled":
        """Return all frames, each once."""
        return replace(self, balanced=False)

    def passages(self, number: int, random: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield up to `number` recordings, of one instrument after another: their frames in the order of time."""
        frames = self._frames
        recordings = [frames.item[frames.source == k].unique() for k in range(len(self.sources))]
        shuffled = [column[torch.randperm(len(column), generator=random)].tolist() for column in recordings]
        turns = (item for turn in itertools.zip_longest(*shuffled) for item in turn if item is not None)
        for item in itertools.islice(turns, number):
            yield self.batch(torch.nonzero(frames.item == item)[:, 0], random)

    def fingerprint(self) -> str:
        """Return a hash of which frames of which notes are here."""
        return hashlib.sha256("\n".join(source.identity for source in self.sources).encode()).hexdigest()[:16]

    @functools.cached_property
    def _frames(self) -> _Frames:
        """All frames, with numbers of items and groups that no two instruments share."""
        parts = [
            (torch.full_like(source.item, k), torch.arange(len(source)), source.symbol) for k, source in enumerate(self.sources)
        ]
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return _Frames(*columns, *(_distinct([getattr(s, name) for s in self.sources]) for name in ("item", "group")))


def _distinct(columns: Sequence[Tensor]) -> Tensor:
    """Return numbers (n,) of the columns one after another, each raised above those of the one before."""
    starts = itertools.accumulate((int(column.max()) + 1 for column in columns), initial=0)
    return torch.cat([column + start for column, start in zip(columns, starts, strict=False)])
