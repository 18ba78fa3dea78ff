"""What models of sound share: the standardisation of log magnitudes, fitted on the training split and saved with the weights."""

from collections.abc import Iterable

import torch
from torch import Tensor

from models.base import LatentModel
from models.losses import Normal


class SoundModel(LatentModel):
    """A model with the modality ``signal``, linear magnitudes (N, F), which it sees as standardised logarithms.

    `config.floor` is the magnitude below which all count as that.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(()))  # of the log magnitudes over the training split
        self.register_buffer("extent", torch.ones(()))  # their largest distance from the centre

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Fit the standardisation on the training split."""
        total, count, low, high = 0.0, 0, torch.inf, -torch.inf
        for batch in batches:
            y = batch["signal"].clamp_min(self.config.floor).log()
            total, count = total + y.double().sum().item(), count + y.numel()
            low, high = min(low, y.min().item()), max(high, y.max().item())
        centre = total / count
        self.centre.fill_(centre)
        self.extent.fill_(max(high - centre, centre - low, 1e-6))

    def standardise(self, magnitudes: Tensor) -> Tensor:
        """Return log magnitudes around 0 within about [-1, 1], for linear ones of the same shape."""
        return (magnitudes.clamp_min(self.config.floor).log() - self.centre) / self.extent

    def magnitudes(self, x: Tensor) -> Tensor:
        """Undo `standardise`."""
        return (x * self.extent + self.centre).exp()

    def heard(self, p: Normal, temperature: float) -> Tensor:
        """Return the linear magnitudes (N, F) that standardised ones distributed as `p` stand for.

        The model knows the floor only as "no more than this", so it is taken off: what sounds in all bands at once would be noise.
        """
        x = p.mean + temperature * p.variance.sqrt() * torch.randn_like(p.mean) if temperature else p.mean
        return (self.magnitudes(x) - self.config.floor).clamp_min(0)

    def density(self, standardised: Tensor, n_bins: int) -> Tensor:
        """Return the negative log-likelihoods (N,) of log magnitudes for those of standardised ones, so that runs compare."""
        return standardised + n_bins * self.extent.log()
