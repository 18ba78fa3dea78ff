"""A model of sound that names nothing."""

import torch

from data.representations import NSGTMagnitude
from models.base import LatentModel


class SoundOnly(LatentModel):
    """Noise that is the louder, the farther the sum of a latent (3,) lies from 0."""

    def __init__(self):
        super().__init__()
        self.representations, self.latent_shape = {"signal": NSGTMagnitude()}, (3,)
        self.weight = torch.nn.Parameter(torch.ones(()))

    def decode(self, z, target, condition=None, temperature=0.0):
        return self.weight * (z.sum(-1, keepdim=True).abs() + torch.zeros(NSGTMagnitude().shape))
