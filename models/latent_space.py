"""A latent space on some axes. Knows nothing of what its latents stand for: that is told by its kinds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from models.commands import Command
from models.rendering import Player
from utils.device import generator

SMALLEST = 1e-3  # of the largest standard deviation: axes along which less happens are left out


@dataclass(frozen=True, eq=False)
class Space:
    """A latent space with axes, and some places in it, of which these are the principal axes or which are spread along them.

    `centre` (Z,); `axes` (A, Z) of length 1, with `scales` (A,), the standard deviations; `means` (P, Z), the places.
    """

    player: Player
    centre: Tensor
    axes: Tensor
    scales: Tensor
    means: Tensor

    commands: ClassVar[Mapping[str, Command]] = {}  # those that only this kind of space has, by their first words

    @property
    def rate(self) -> float:
        """Return the points in time a second, each of which has a latent."""
        raise NotImplementedError

    @property
    def preamble(self) -> tuple[str, ...]:
        """Return lines that sessions begin with."""
        return ()

    def told(self, z: Tensor) -> str:
        """Return in words what a latent (Z,) stands for."""
        raise NotImplementedError

    def coordinates(self, z: Tensor) -> Tensor:
        """Return latents (..., Z) on the axes, in standard deviations, (..., A)."""
        return (z - self.centre) @ self.axes.T / self.scales

    def drawn(self, number: int) -> Tensor:
        """Return a draw of the prior (Z,), always the same for a number."""
        return self.player.model.sample(1, generator("random", number))[0].cpu()


def principal(means: Tensor, smallest: float = SMALLEST) -> tuple[Tensor, Tensor, Tensor]:
    """Return the centre (Z,) of places (P, Z), their principal axes (A, Z), and the deviations (A,); no axes if all are one.

    Axes are left out whose deviation is less than the share `smallest` of the largest.
    """
    centre = means.mean(0)
    _, extents, axes = torch.linalg.svd((means - centre).double(), full_matrices=False)
    kept = extents > smallest * extents[0]
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # else either direction would do
    return centre, axes[kept].float(), (extents[kept] / math.sqrt(len(means))).float()


def of_prior(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, axes and deviations of the prior of latents (Z,): as wide in all directions, so these are the coordinates."""
    return torch.zeros(size), torch.eye(size), torch.ones(size)
