"""A latent space on its principal axes, and what the labels name in it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data.labels import Labels
from data.words import transposed
from models.rendering import Player
from utils.config import InputError
from utils.device import generator

COMBINATIONS = 4000  # of labels, at most, by which a latent space is surveyed
DRAWS = 500  # of the prior, where there are no labels
SMALLEST = 1e-3  # of the largest standard deviation: axes along which less happens are left out


@dataclass(frozen=True, eq=False)
class Space:
    """A latent space with its principal axes, and what the labels name in it.

    `centre` (Z,); `axes` (A, Z) of length 1, by falling `scales` (A,), the standard deviations; `ids` (P, I, L) of combinations of
    labels and `means` (P, Z) of their posteriors. Without labels the axes are the coordinates, and `means` are draws of the prior.
    """

    player: Player
    labels: Labels | None
    centre: Tensor
    axes: Tensor
    scales: Tensor
    ids: Tensor
    means: Tensor

    def coordinates(self, z: Tensor) -> Tensor:
        """Return latents (..., Z) on the axes, in standard deviations, (..., A)."""
        return (z - self.centre) @ self.axes.T / self.scales

    def spectra(self, z: Tensor | None = None) -> Tensor:
        """Return the linear magnitudes (N, F) of latents (N, Z); of `means` when not given."""
        z = (self.means if z is None else z).to(self.player.device)
        return self.player.model.decode(z, "signal", self.player.told(len(z))).cpu()

    def notes(self, instrument: int) -> tuple[list[str], Tensor]:
        """Return the notes (or classes of the first label) of one instrument, and the middle of each, (notes, Z)."""
        if self.labels is None:
            return [], self.means[:0]
        tables = [(place, *table) for place, table in enumerate(self.labels.classes)]
        told = [table for table in tables if table[1] == "pitch"] + [table for table in tables if table[1] == "octave"] or tables[
            :1
        ]
        own, group = torch.unique(self.ids[:, instrument, [place for place, _, _ in told]], dim=0, return_inverse=True)
        middles = torch.zeros(len(own), self.means.shape[1]).index_add(0, group, self.means) / group.bincount()[:, None]
        names = ["".join((*names, "rest")[k] for k, (_, _, names) in zip(row, told, strict=True)) for row in own.tolist()]
        return ["rest" if name.startswith("rest") else name for name in names], middles

    def named(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most likely class ids (I, L) of a latent (Z,), and their probabilities (I, L)."""
        model, z = self.player.model, z[None].to(self.player.device)
        return model.decode(z, "symbol")[0].cpu(), model.confidence(z, "symbol")[0].cpu()

    def latent(self, ids: Tensor) -> Tensor:
        """Return the latent (Z,) of class ids (I, L)."""
        return self.player.latents(ids[None], "symbol", [()])[0].cpu()

    def spoken(self) -> Labels:
        """Return the labels.

        Raises
        ------
        InputError : the model has none.
        """
        if self.labels is None:
            raise InputError("this run names nothing: move along its axes")
        return self.labels


def survey(player: Player) -> Space:
    """Find the principal axes of what the labels mean, (all combinations or a sample of them); without labels, of the prior.

    Raises
    ------
    InputError : the model makes no sound, or tells no labels apart.
    """
    player.representation("signal")
    size, labels = player.model.latent_shape[-1], player.model.representations.get("symbol")
    if not isinstance(labels, Labels):  # the prior is as wide in all directions
        draws, none = player.model.sample(DRAWS, generator("survey")).cpu(), torch.zeros(DRAWS, 0, 0, dtype=torch.int64)
        return Space(player, None, torch.zeros(size), torch.eye(size), torch.ones(size), none, draws)
    ids = combinations(labels, COMBINATIONS)
    means = player.model.encode(ids.to(player.device), "symbol").mean.cpu()
    centre = means.mean(0)
    _, extents, axes = torch.linalg.svd((means - centre).double(), full_matrices=False)
    kept = extents > SMALLEST * extents[0]
    if not kept.any():
        raise InputError("all labels have one latent in this run: it has learnt nothing yet")
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # else either direction would do
    return Space(player, labels, centre, axes[kept].float(), (extents[kept] / math.sqrt(len(ids))).float(), ids, means)


def combinations(labels: Labels, limit: int) -> Tensor:
    """Return the class ids of all combinations of labels, (P, I, L), or a sample of `limit` of them where there are more."""
    single = torch.cartesian_prod(*(torch.arange(len(names)) for _, names in labels.classes)).view(-1, len(labels.classes))
    if labels.silence:
        single = torch.cat([single, torch.tensor([labels.silent_ids])])
    sources = len(labels.instruments)
    if len(single) ** sources > limit:
        return single[torch.randint(len(single), (limit, sources), generator=generator("combinations"))]
    return single[torch.cartesian_prod(*[torch.arange(len(single))] * sources).view(-1, sources)]


def stepped(labels: Labels, ids: Tensor, instrument: int, label: str, steps: int) -> Tensor:
    """Return class ids (I, L) with a label of one instrument moved by `steps` classes; a pitch class carries over into the octave.

    Raises
    ------
    InputError : no such label, a silent instrument, or no class so far off.
    """
    order, name = [label for label, _ in labels.classes], labels.instruments[instrument]
    if label not in order:
        raise InputError(f"label {label}: this run has {', '.join(order)}")
    moved, own = ids.clone(), ids[instrument]
    if not labels.sounding(own[None])[0]:
        raise InputError(f"{name} is silent here: go to one of its notes first")
    if label == "pitch" and "octave" in order:
        moved[instrument] = transposed(labels, own[None, None], steps)[0, 0]
        return moved
    wanted, place = int(own[order.index(label)]) + steps, order.index(label)
    if not 0 <= wanted < labels.silent_ids[place]:
        raise InputError(f"{name} has no {label} {steps:+d} from {labels.class_names(own.tolist())[label]}")
    moved[instrument, place] = wanted
    return moved
