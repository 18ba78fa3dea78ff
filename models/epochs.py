"""Passes over a dataset: batches that are a function of their seeds, and means over them."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from models.base import LatentModel, Losses
from utils.device import Ranks, generator

LATE = 2**31  # a step beyond every warm-up, so that the losses of different epochs compare


class Dataset(Protocol):
    """What training and evaluation ask of data."""

    def __len__(self) -> int:
        """Return the number of examples an epoch."""

    def order(self, random: torch.Generator) -> Tensor:
        """Return an epoch's examples in random order, one row each, (len, ...)."""

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return the examples of some rows of `order`, drawing what is drawn anew each time.

        A tensor for each modality, and ``item`` and ``group`` (B, G): the files that an example is of, and what of them is split.
        """

    @property
    def varies(self) -> bool:
        """Tell whether another order brings other examples."""

    def plain(self) -> "Dataset":
        """Return these examples as they are, without what training varies."""

    def passages(self, number: int, random: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yield up to `number` batches of examples that follow each other in time."""

    def fingerprint(self) -> str:
        """Return a text that changes when the examples change."""


def n_batches(dataset: Dataset, size: int) -> int:
    """Return the number of batches of an epoch."""
    return max(1, round(len(dataset) / size))


def batches(dataset: Dataset, size: int, *seeds: object, skip: int = 0, ranks: Ranks = Ranks()) -> Iterator[dict[str, Tensor]]:
    """Yield an epoch of `dataset` in batches of nearly `size`, the same for the same `seeds`; each rank its part.

    The batches of an epoch differ by one example at most, so that none is dropped and none is too small to normalise.
    """
    rows = dataset.order(generator(*seeds, "order"))
    for number, chunk in enumerate(rows.tensor_split(n_batches(dataset, size))):
        if number >= skip:
            yield dataset.batch(chunk[ranks.rank :: ranks.size], generator(*seeds, number, ranks.rank))


def at_once(dataset: Dataset, most: int) -> int:
    """Return how many examples are evaluated at once: `most`, or fewer where a dataset of long ones says so."""
    return min(most, getattr(dataset, "at_once", most))


def on_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return `batch` on `device`."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def size_of(batch: dict[str, Tensor]) -> int:
    """Return the number of examples in `batch`."""
    return len(next(iter(batch.values())))


def held_out(model: LatentModel, dataset: Dataset, device: torch.device, ranks: Ranks = Ranks()) -> Iterator[dict[str, Tensor]]:
    """Yield `dataset` in large batches on `device`, always the same ones."""
    for batch in batches(dataset, at_once(dataset, 4 * model.config.batch_size), "evaluation", ranks=ranks):
        if size_of(batch):
            yield on_device(batch, device)


@torch.no_grad()
def evaluate(
    model: LatentModel, dataset: Dataset, device: torch.device, phases: Iterable[str], ranks: Ranks = Ranks()
) -> dict[str, float]:
    """Return the mean loss and terms of `phases` over `dataset`, with posterior means; ``total`` is that of the first phase."""
    sums: dict[str, float] = {}
    model.eval()
    for batch in held_out(model, dataset, device, ranks):
        terms: dict[str, float] = {}
        for phase in phases:
            losses = model(batch, step=LATE, phase=phase)
            terms = values(losses) | terms  # the first phase's total stands
        accumulate(sums, terms, size_of(batch))
    model.train()
    return means(sums, ranks, device)


def values(losses: Losses) -> dict[str, float]:
    """Return the total and the terms as numbers."""
    return {"total": losses.total.item()} | {name: term.item() for name, term in losses.terms.items()}


def accumulate(sums: dict[str, float], terms: dict[str, float], n: int) -> None:
    """Add the means `terms` of `n` examples to `sums`; the key "" counts the examples."""
    for name, value in {**terms, "": 1.0}.items():
        sums[name] = sums.get(name, 0.0) + n * value


def means(sums: dict[str, float], ranks: Ranks, device: torch.device) -> dict[str, float]:
    """Return the means over the examples of all ranks of what `accumulate` has summed."""
    names = sorted(sums)
    total = ranks.add(torch.tensor([sums[name] for name in names], dtype=torch.float64, device=device)).tolist()
    added = dict(zip(names, total, strict=True))
    return {name: added[name] / added[""] for name in sums if name}
