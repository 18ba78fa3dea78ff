"""The direct networks that the crossmodal system is compared with: from spectra to labels, and from labels to spectra.

They have no latent space and go one way. Each sees the same splits, is selected on validation and is trained by the same loop.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.representations import Representation
from models import losses
from models.base import LatentModel, Losses
from models.config import TrainConfig
from models.crossmodal_config import Config
from models.crossmodal_slots import Slots
from models.layers import Hidden, linear
from utils.config import InputError

CHANNELS, KERNEL, STRIDE = 32, 11, 2  # of the convolution over bands


@dataclass(frozen=True)
class Direct(TrainConfig):
    """How a baseline is trained."""

    width: int = 800  # of hidden layers
    layers: int = 2
    components: int = 32  # of the PCA


class Baseline(LatentModel):
    """A network from one modality to another; `source` and `target` name them."""

    source: str
    target: str
    latent_shape = ()

    def __init__(self, config: Direct, run: Config, representations: dict[str, Representation]):
        super().__init__()
        self.config, self.representations, self.slots, self.floor = config, representations, Slots.of(run), run.floor
        self.n_bins = representations["signal"].shape[0]
        self.register_buffer("centre", torch.zeros(self.n_bins))  # of each band's log magnitudes over the training split
        self.register_buffer("extent", torch.ones(()))  # their standard deviation, of all bands

    @property
    def translations(self) -> list[tuple[str, str]]:
        """Return the one way that the network goes."""
        return [(self.source, self.target)]

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Fit the standardisation on the training split."""
        logs = torch.cat([batch["signal"].to(self.centre.device).clamp_min(self.floor).log() for batch in batches])
        self.centre.copy_(logs.mean(0))
        self.extent.copy_((logs - self.centre).std().clamp_min(1e-6))

    def standardise(self, magnitudes: Tensor) -> Tensor:
        """Return log magnitudes (N, F) of mean 0 in each band and variance 1 over all."""
        return (magnitudes.clamp_min(self.floor).log() - self.centre) / self.extent


class Classifier(Baseline):
    """From spectra to labels, by a network `logits` on standardised spectra; trained by cross-entropy summed over slots."""

    source, target = "signal", "symbol"

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, W) of all slots for standardised spectra (N, F)."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the loss of a batch."""
        nll = self.slots.nll(self.logits(self.standardise(batch["signal"])), batch["symbol"]).mean()
        return Losses(nll, {"nll_symbol": nll})

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(labels | spectrum), (N,)."""
        return self.slots.nll(self.logits(self.standardise(x)), y)

    def transfer(self, x: Tensor, source: str, target: str, condition: Tensor | None = None) -> Tensor:
        """Return the most likely class ids (N, I, L) for magnitudes (N, F)."""
        return self.slots.classes(self.logits(self.standardise(x)))


class PCAClassifier(Classifier):
    """Principal components, then hidden layers as those of the symbolic VAE."""

    def __init__(self, config: Direct, run: Config, representations: dict[str, Representation]):
        super().__init__(config, run, representations)
        self.register_buffer("components", torch.zeros(self.n_bins, config.components))
        self.hidden = Hidden(config.components, config.width, config.layers)
        self.output = linear(config.width, self.slots.width)

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Fit the standardisation and the components, scaled to variance 1, on the training split."""
        batches = list(batches)
        super().prepare(batches)
        x = self.standardise(torch.cat([batch["signal"].to(self.centre.device) for batch in batches]))
        variance, vectors = torch.linalg.eigh(x.T.double().cov())
        order = variance.argsort(descending=True)[: self.config.components]
        self.components.copy_(vectors[:, order] / variance[order].clamp_min(1e-9).sqrt())

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, W)."""
        return self.output(self.hidden(x @ self.components)).float()


class ConvClassifier(Classifier):
    """A convolution over bands, then a hidden layer with dropout."""

    def __init__(self, config: Direct, run: Config, representations: dict[str, Representation]):
        super().__init__(config, run, representations)
        if self.n_bins < KERNEL:
            raise InputError(f"the convolutional classifier needs {KERNEL} bands, the run has {self.n_bins}; --conv_classifier 0")
        length = (self.n_bins - KERNEL) // STRIDE + 1
        self.convolution = nn.Sequential(nn.Conv1d(1, CHANNELS, KERNEL, STRIDE), nn.BatchNorm1d(CHANNELS), nn.ReLU(), nn.Flatten())
        self.hidden = Hidden(CHANNELS * length, config.width, 1, dropout=0.3)
        self.output = linear(config.width, self.slots.width)

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits (N, W)."""
        return self.output(self.hidden(self.convolution(x[:, None]))).float()


class ConvSynth(Baseline):
    """From labels to spectra: a hidden layer, then transposed convolutions; trained by squared error of log magnitudes."""

    source, target = "symbol", "signal"

    def __init__(self, config: Direct, run: Config, representations: dict[str, Representation]):
        super().__init__(config, run, representations)
        self.points = -(-self.n_bins // STRIDE**2)
        self.hidden = Hidden(self.slots.width, config.width, 1)
        self.unfold = linear(config.width, CHANNELS * self.points)
        self.convolution = nn.Sequential(
            nn.ConvTranspose1d(CHANNELS, CHANNELS // 2, 5, STRIDE),
            nn.BatchNorm1d(CHANNELS // 2),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.ConvTranspose1d(CHANNELS // 2, 1, KERNEL, STRIDE),
        )

    def spectra(self, ids: Tensor) -> Tensor:
        """Return standardised spectra (N, F) for class ids (N, I, L)."""
        h = self.unfold(self.hidden(self.slots.one_hot(ids))).unflatten(1, (CHANNELS, self.points))
        return self.convolution(torch.relu(h))[:, 0, : self.n_bins].float()

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the loss of a batch."""
        error = losses.squared_error(self.spectra(batch["symbol"]), self.standardise(batch["signal"])).mean()
        return Losses(error, {"error_signal": error})

    def transfer(self, x: Tensor, source: str, target: str, condition: Tensor | None = None) -> Tensor:
        """Return magnitudes (N, F) for class ids (N, I, L), without the floor, as `Model.decode` does."""
        return ((self.spectra(x) * self.extent + self.centre).exp() - self.floor).clamp_min(0)


NETWORKS = {"pca_mlp": PCAClassifier, "conv_classifier": ConvClassifier, "conv_synth": ConvSynth}
WIDTHS = {"conv_synth": 200}


def baseline(name: str, run: Config, representations: dict[str, Representation], **training: object) -> Baseline:
    """Return the baseline called `name` for the configuration of a run; `training` are fields of `Direct`."""
    components = min(run.dims[-1], representations["signal"].shape[0])
    own = {"components": components, "width": WIDTHS.get(name, run.hidden(2, 0)[0]), "plateau": 10}
    return NETWORKS[name](Direct(**own, **training), run, representations)
