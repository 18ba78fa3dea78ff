"""The contract between the systems and everything that trains, evaluates and plays them."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.representations import Facet, Representation
from models.config import TrainConfig
from models.losses import Normal


@dataclass
class Losses:
    """What one forward pass gives the training loop."""

    total: Tensor  # scalar; minimised
    terms: dict[str, Tensor]  # scalars by name, unweighted: nll_signal, kl_signal, cross_signal, ...


@dataclass
class ParamGroup:
    """The parameters that one phase of a training step moves, at which learning rate, and how often."""

    params: list[nn.Parameter]
    lr: float
    times: int = 1  # updates a step, each with noise of its own


class LatentModel(nn.Module):
    """A model with one latent space and one or more modalities.

    `N` is frames or windows of one file; it stands where a batch stands, so a file is a batch. A `condition` (N, C) holds class
    ids, a column for each of `conditions`; it is None where there are none.
    """

    config: TrainConfig
    representations: Mapping[str, Representation]  # modality -> how files of it become tensors
    latent_shape: tuple[int, ...]  # (Z,) or, for one latent a step, (T, Z)
    conditions: Mapping[str, int] = {}  # label -> number of classes, that encoder and decoder are told

    @property
    def device(self) -> torch.device:
        """Return where the model is."""
        return next(itertools.chain(self.parameters(), self.buffers())).device

    @property
    def translations(self) -> list[tuple[str, str]]:
        """Return the pairs (source, target) that the model translates between; all of its modalities unless it says else."""
        return [(source, target) for target in self.representations for source in self.representations]

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of `batch` at `step` (updates done) in `phase`; noise only in training mode."""
        raise NotImplementedError

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior q(z|x) of `x` (N, *shape) in modality `source`; its mean is (N, *latent_shape)."""
        raise NotImplementedError

    def decode(self, z: Tensor, target: str, condition: Tensor | None = None, temperature: float = 0.0) -> Tensor:
        """Return (N, *shape) in modality `target` for `z` (N, *latent_shape); temperature 0 gives the most likely."""
        raise NotImplementedError

    def confidence(self, z: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return for each element of ``decode(z, target)`` the probability (0 to 1) that the model gives it, (N, *shape)."""
        raise NotImplementedError

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor | None:
        """Return -ln p(y | posterior mean of x) in nats, (N,), for `x` in modality `source` and `y` in `target`.

        None where the model gives no probabilities.
        """
        return None

    def transfer(self, x: Tensor, source: str, target: str, condition: Tensor | None = None) -> Tensor:
        """Translate `x` (N, *shape) from modality `source` to `target` by the posterior mean; reconstruct when they are one."""
        return self.decode(self.encode(x, source, condition).mean, target, condition)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` latents from the prior, (n, *latent_shape)."""
        z = torch.randn(n, *self.latent_shape, generator=generator)  # on the CPU: the same on every device
        return z.to(self.device)

    def condition(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Return what the model is told of a batch, (N, C); None where it is told nothing."""
        return torch.stack([batch[label] for label in self.conditions], 1) if self.conditions else None

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return by name what each example of a batch is of some classes: what its modalities tell, unless a system says else."""
        told = (representation.facets(batch[modality]) for modality, representation in self.representations.items())
        return {label: facet for facets in told for label, facet in facets.items()}

    def phases(self, epoch: int = 0) -> dict[str, ParamGroup]:
        """Return what each phase of a step of this epoch moves, in order; one phase with everything unless a system says else.

        Where an epoch has other phases than the one before, they start with fresh optimizers and their own search of the best.
        """
        return {"vae": ParamGroup([p for p in self.parameters() if p.requires_grad], self.config.lr)}

    def pace(self, step: int) -> float:
        """Return what all learning rates are multiplied by at `step` (updates done); 1 unless a system says else."""
        return 1.0

    def attach(self) -> None:
        """Load what the model needs and its own weights are without, as another run that it stands on; nothing by default.

        Raises
        ------
        InputError : it is not there, or is no longer what it was.
        """

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Fit what is fixed before the first step (statistics of the training split, frozen parts); nothing by default."""
