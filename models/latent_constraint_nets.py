"""Networks of the latent constraint: maps of latents, plain and gated."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.losses import Normal

FLOOR = 1e-4  # of deviations, so that divergences stay finite


def stack(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Return linear layers with ReLUs, from `inputs` columns to the last of `widths`; Glorot's weights, as in MidiMe."""
    layers = [part for a, b in itertools.pairwise([inputs, *widths]) for part in (_linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Plain(nn.Module):
    """A linear map of what hidden layers give; of the input itself where there are none."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int):
        super().__init__()
        self.hidden = stack(inputs, hidden)
        self.out = _linear([inputs, *hidden][-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs) of `x` (B, inputs)."""
        return self.out(self.hidden(x))


class Gated(nn.Module):
    """A gated residual map: (1 - g) A x + g d of a gate g, hidden layers' d, and a linear map A.

    Tian and Engel, "Latent translation: crossing modalities by bridging generative models", 2019 (arXiv 1902.08261), section 3.

    Parameters
    ----------
    told : columns of a label beside the input, which hidden layers read, too.
    kept : whether A is the identity; inputs and outputs are of one size then.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, told: int = 0, kept: bool = False):
        super().__init__()
        self.hidden, self.out = stack(inputs + told, hidden), _linear(hidden[-1], 2 * outputs)
        self.straight = nn.Identity() if kept else _linear(inputs, outputs)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Return (B, outputs) of `x` (B, inputs) and a `label` (B, told)."""
        told = x if label is None else torch.cat([x, label], 1)
        new, gate = self.out(self.hidden(told)).float().chunk(2, 1)
        return torch.lerp(self.straight(x).float(), new, torch.sigmoid(gate))


FORMS = {"mlp": Plain, "linear": Plain, "gated": Gated}


class Encoder(nn.Module):
    """Latents (B, Z) of the base -> the posterior of the small latents, (B, Z'): a mean, and a deviation by a softplus."""

    def __init__(self, form: str, inputs: int, hidden: Sequence[int], outputs: int):
        super().__init__()
        hidden = () if form == "linear" else hidden
        self.net, self.outputs = FORMS[form](inputs, hidden, 2 * outputs), outputs

    def forward(self, z: Tensor) -> Normal:
        """Return the posterior of latents `z` (B, Z)."""
        mean, spread = self.net(z).float().chunk(2, 1)
        return Normal(mean, (functional.softplus(spread) + FLOOR).square())


def decoder(form: str, inputs: int, hidden: Sequence[int], outputs: int) -> nn.Module:
    """Return what maps small latents (B, Z') to the base's, (B, Z): the encoder's hidden layers in reverse."""
    return FORMS[form](inputs, () if form == "linear" else hidden[::-1], outputs)
