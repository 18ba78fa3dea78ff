"""Paths through a latent space along which a descriptor of the sound follows a target.

Descriptors are followed on scales like those of hearing: frequencies in octaves, flatness and loudness in dB.
"""

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.atlas import Atlas
from models.rendering import BLOCK, Player
from utils.config import InputError
from utils.curves import Curve, spanned
from utils.descriptors import UNITS, describe
from utils.trajectories import resampled

MOVES = 40  # of a path, joined by lines
CELLS = 30  # of the grid, from one end of the known notes to the other
STEPS, FARTHEST = 3, 0.5  # along gradients in a move, and standard deviations of the known notes that each is long at most
LENGTHS = torch.tensor([1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0])  # of it that are tried
LOOSE = 0.1  # of what the known notes span, that the loudness may be off, about
WEIGHTS = torch.tensor([1.0, LOOSE])  # of errors of the descriptor and the loudness
CLOSE = 1e-3  # of what the known notes span, that is near enough to a target
EDGES = (0.05, 0.95)  # quantiles of the known notes, between which a descriptor is taken to be reachable
SOME = 1000  # of them, about, that are asked
LOUDNESS = "loudness"
SCALES = {"Hz": torch.log2, "": lambda x: 10 * x.log10(), "dB": lambda x: x}  # by units


@dataclass(frozen=True)
class Scale:
    """The descriptor `name` of what a player's model decodes, in octaves above 1 Hz or in dB."""

    player: Player
    name: str

    @property
    def unit(self) -> str:
        """Return the unit of distances on the scale."""
        return "octaves" if UNITS[self.name] == "Hz" else "dB"

    def __call__(self, z: Tensor) -> Tensor:
        """Return the descriptor (N,) of each of the latents (N, Z), NaN where there is silence; differentiable."""
        return self.with_loudness(z)[:, 0]

    def with_loudness(self, z: Tensor) -> Tensor:
        """Return the descriptor and the loudness of each of the latents (N, Z), (N, 2), or the loudness once, (N, 1)."""
        return torch.cat([self._of(part) for part in z.to(self.player.device).split(BLOCK)]).cpu()

    def _of(self, z: Tensor) -> Tensor:
        signal, names = self.player.representation("signal"), list(dict.fromkeys([self.name, LOUDNESS]))
        magnitudes = self.player.model.decode(z, "signal", self.player.told(len(z)))
        values = describe(magnitudes, torch.as_tensor(signal.frequencies), signal.full_scale, names)
        return torch.stack([SCALES[UNITS[name]](values[name]) for name in names], 1)

    def enter(self, values: np.ndarray) -> np.ndarray:
        """Return where values (N,) in the descriptor's own unit lie on the scale.

        Raises
        ------
        InputError : one is not above 0, and has no logarithm.
        """
        if UNITS[self.name] == "dB":
            return values
        if values.min() <= 0:
            raise InputError(f"the {self.name} cannot be {values.min():g}: give values above 0, or relative ones")
        return np.log2(values) if UNITS[self.name] else 10 * np.log10(values)

    def leave(self, values: np.ndarray) -> np.ndarray:
        """Undo `enter`."""
        return values if UNITS[self.name] == "dB" else 2**values if UNITS[self.name] else 10 ** (values / 10)


class Followed(NamedTuple):
    """A path, and what of it follows what, on a scale."""

    z: Tensor  # (N, Z)
    target: np.ndarray  # (N,)
    reached: np.ndarray  # (N,), NaN where it is silent

    @property
    def correlation(self) -> float:
        """Return Pearson's r of target and reached; NaN where either does not vary."""
        there = np.isfinite(self.reached)
        pair = self.target[there], self.reached[there]
        return float(np.corrcoef(*pair)[0, 1]) if there.sum() > 1 and min(map(np.ptp, pair)) > 0 else math.nan

    @property
    def distance(self) -> float:
        """Return how far from each other both are on average."""
        return float(np.nanmean(np.abs(self.reached - self.target)))


def follow(scale: Scale, start: Tensor, curve: Curve, atlas: Atlas, way: str, n: int) -> Followed:
    """Return a path of `n` points from the latent `start` (Z,) on: 40 moves, by ``grid`` or ``gradient``, joined by lines.

    Relative curves go between the edges of what the known notes sound like when the model is told the same of all of them.

    Raises
    ------
    InputError : what is decoded at the start is silent.
    """
    first, known = scale(start[None]).item(), scale.with_loudness(atlas.means[:: -(-len(atlas.means) // SOME)])
    if not math.isfinite(first):
        raise InputError(f"the {scale.name} cannot be followed from a start that sounds silent: try another --seed or --labels")
    low, high = known[known.isfinite().all(1)].quantile(torch.tensor(EDGES), dim=0)
    edges = first, low[0].item(), high[0].item()
    target, aims = (spanned(curve.at(m), *edges) if curve.relative else scale.enter(curve.at(m)) for m in (n, MOVES + 1))
    z = resampled(WAYS[way](scale, start, aims[1:].tolist(), atlas, high - low), n)
    return Followed(z, target, scale(z).double().numpy())


def by_grid(scale: Scale, start: Tensor, targets: list[float], atlas: Atlas, _: Tensor) -> Tensor:
    """Return a walk (M + 1, Z) on a grid of the principal axes, from neighbour to neighbour, to the best of 26 for each target.

    DAFx 2018, algorithm 1, which compares changes, so that what was missed is never made up for; here it is the values. It stays
    where it is if no neighbour is better. What the axes leave out stays as it is at the start.
    """
    low, high = atlas.bounds()
    step, origin = (high - low) / CELLS, atlas.project(start)
    least, most = (((edge - origin) / step).nan_to_num() for edge in (torch.minimum(low, origin), torch.maximum(high, origin)))
    moves = sorted(itertools.product((-1, 0, 1), repeat=len(step)), key=lambda move: not any(move))  # staying comes last
    cell, path = torch.zeros(len(step)), [start]
    for target in targets:
        around = (cell + torch.tensor(moves)).clamp(least.ceil(), most.floor())
        z = start + around * step @ atlas.axes
        best = (scale(z) - target).abs().nan_to_num(torch.inf).argmin()
        cell = around[best]
        path.append(z[best])
    return torch.stack(path)


def by_gradient(scale: Scale, start: Tensor, targets: list[float], atlas: Atlas, spans: Tensor) -> Tensor:
    """Return a walk (M + 1, Z) along gradients, by likely moves that reach each target and leave the loudness nearly as it is.

    With errors e, their gradients J, and N what they may be off (nothing, but for the loudness), a step goes along
    S J' (J S J' + N)^-1 e: the mean of a Gaussian of the covariance S of the known notes, given its effect. So it goes where these
    vary, and not where no sound has ever been; it is as long as helps most. Without the loudness, the way to a lower centroid
    would be a bass louder than any sound.

    Parameters
    ----------
    spans : of the known notes, (2,), or of the loudness alone (1,): the units of errors.
    """
    spread, units = torch.atleast_2d(atlas.means.T.cov()), spans.clamp_min(1e-6)
    path, goal = [start], scale.with_loudness(start[None])[0]
    for target in targets:
        z, goal[0] = path[-1], target
        for _ in range(STEPS):
            around = z + LENGTHS[:, None] * _newton(scale, z, goal, spread, units)
            errors = ((scale.with_loudness(around) - goal) / units * WEIGHTS[: len(goal)]).norm(dim=1).nan_to_num(torch.inf)
            z = around[errors.argmin()]
            if errors.min() < CLOSE:
                break
        path.append(z)
    return torch.stack(path)


def _newton(scale: Scale, z: Tensor, goal: Tensor, spread: Tensor, units: Tensor) -> Tensor:
    """Return Newton's step (Z,) towards a goal (C,), or the part of it that lies near; none where there is no gradient."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        values = scale.with_loudness(z[None])[0] / units
        gradients = torch.stack([torch.autograd.grad(value, z, retain_graph=True)[0] for value in values])
    errors, along = goal / units - values.detach(), gradients @ spread  # (C,), (C, Z)
    noise = torch.tensor([1e-9, LOOSE**2])[: len(errors)].diag()
    pull = torch.linalg.solve(along @ gradients.T + noise, errors)
    length = (errors @ pull).clamp_min(1e-12).sqrt()  # standard deviations
    return (pull @ along * (FARTHEST / length).clamp(max=1)).nan_to_num(0.0)


WAYS = {"grid": by_grid, "gradient": by_gradient}
