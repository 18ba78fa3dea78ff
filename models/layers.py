"""Networks that two systems or more use."""

import itertools
import math

import torch
from torch import Tensor, nn

from models.losses import Normal


def linear(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    """Return a linear layer with Xavier-normal weights (Glorot and Bengio 2010, section 4.2.1) and biases of 0.01."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight, gain)
    nn.init.constant_(layer.bias, 0.01)
    return layer


class Hidden(nn.Module):
    """A stack of linear, batch normalisation, ReLU and dropout layers of one width; residual where a layer keeps its width.

    Input (B, inputs), output (B, width). Batches are normalised unless `normalised` is false.
    """

    def __init__(self, inputs: int, width: int, layers: int, dropout: float = 0.0, normalised: bool = True):
        super().__init__()
        norm = nn.BatchNorm1d if normalised else nn.Identity
        widths = [inputs] + [width] * layers
        pairs = itertools.pairwise(widths)
        self.layers = nn.ModuleList(
            nn.Sequential(linear(a, b, math.sqrt(2)), norm(b), nn.ReLU(), nn.Dropout(dropout)) for a, b in pairs
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's output, (B, width)."""
        for layer in self.layers:
            y = layer(x)
            x = torch.relu(y + x) if y.shape == x.shape else y
        return x


class NormalHead(nn.Module):
    """Two linear layers to the mean and the variance of a diagonal Gaussian.

    The variance is a sigmoid between `floor` and 1: data are standardised, so more than 1 is never needed, and the floor keeps the
    likelihood of a constant bounded.
    """

    def __init__(self, inputs: int, outputs: int, floor: float = 1e-5):
        super().__init__()
        self.mean = linear(inputs, outputs)
        self.spread = linear(inputs, outputs)
        self.floor = floor

    def forward(self, h: Tensor) -> Normal:
        """Return the Gaussian (B, outputs) that `h` (B, inputs) stands for."""
        return Normal(self.mean(h).float(), self.floor + (1 - self.floor) * torch.sigmoid(self.spread(h).float()))
