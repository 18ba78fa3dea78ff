"""How a latent space sounds: descriptors of what is decoded on a grid over the principal axes of its notes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.atlas import AXES, Atlas
from models.base import LatentModel
from utils.config import InputError
from utils.descriptors import NAMES, describe

CHUNK = 4096  # points that are decoded at once


@dataclass(frozen=True, eq=False)
class DescriptorMap:
    """Descriptors (n, n, n) at the coordinates `axes`, three times (n,), and the instruments' centroids (3,) among them."""

    values: dict[str, np.ndarray]
    axes: list[np.ndarray]
    points: dict[str, np.ndarray]


@torch.no_grad()
def descriptor_map(model: LatentModel, atlas: Atlas, steps: int, condition: Tensor | None) -> DescriptorMap:
    """Return descriptors on `steps` points an axis of the box around an atlas' notes, in the plane of its three axes.

    Parameters
    ----------
    condition : (C,) what the model is told everywhere.

    Raises
    ------
    InputError : the latent has fewer than three dimensions.
    """
    if len(atlas.axes) < AXES:
        raise InputError(f"a map of descriptors needs {AXES} latent dimensions, this run has {len(atlas.axes)}")
    low, high = atlas.bounds()
    axes = [torch.linspace(a, b, steps) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, AXES)
    parts = [_described(model, atlas.latents(some), condition) for some in places.split(CHUNK)]
    values = {name: torch.cat([part[name] for part in parts]).view(steps, steps, steps).numpy() for name in NAMES}
    points = dict(zip(atlas.names, atlas.project(atlas.centroids).numpy(), strict=True))
    return DescriptorMap(values, [axis.numpy() for axis in axes], points)


def _described(model: LatentModel, z: Tensor, condition: Tensor | None) -> dict[str, Tensor]:
    device, signal = model.device, model.representations["signal"]
    told = None if condition is None else condition.expand(len(z), -1).to(device)
    frequencies = torch.from_numpy(signal.frequencies).float()
    return describe(model.decode(z.to(device), "signal", told).cpu(), frequencies, signal.full_scale)
