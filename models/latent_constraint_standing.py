"""What all models on a frozen MusicVAE share."""

from pathlib import Path

import torch
from torch import Tensor

from data.representations import Facet
from models import musicvae_base
from models.latent_constraint_config import Config
from models.losses import Normal
from models.phrase import PHRASE, ConstrainedModel, terms
from utils.config import InputError


class Standing(ConstrainedModel):
    """A model on a frozen MusicVAE, which reads and writes the phrases."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.representations = {PHRASE: config.phrase()}
        self.likelihood = config.kind != "groove"

    def attach(self) -> None:
        """Load the base.

        Raises
        ------
        InputError : it is not where it was, or is another.
        """
        config = self.config
        base = musicvae_base.load(Path(config.pretrained), config.base_preset)
        if musicvae_base.fingerprint(base) != config.base_hash:
            raise InputError(
                f"{config.pretrained}: is not the MusicVAE that this run stands on, or no longer; give that one with --base"
            )
        object.__setattr__(self, "base", base.to(self.device))  # no part of this module: neither trained nor saved

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return what the base does."""
        return self.base.facets(batch)

    def posterior(self, batch: dict[str, Tensor]) -> Normal:
        """Return the base's posterior of a batch: what it holds already, else of its phrases."""
        if "mean" in batch:
            return Normal(batch["mean"], batch["variance"])
        with torch.no_grad():
            return self.base.encode(batch[PHRASE], PHRASE)

    def decode(
        self,
        z: Tensor,
        target: str,
        condition: Tensor | None = None,
        temperature: float = 0.0,
        random: torch.Generator | None = None,
    ) -> Tensor:
        """Return the phrases (N, T, ...) that the base writes of what latents (N, Z') stand for."""
        return self.base.decode(self.to_base(z, condition), target, None, temperature, random)

    def explain(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x | z) of phrases (N, T, ...) by latents (N, Z'), (N,), in nats, summed over steps."""
        return self.base.explain(self.to_base(z), x)

    def told(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return what is most likely at each step of phrases (N, T, ...), told the true steps before it; by `z` if given."""
        return self.base.told(x, self.to_base(self.encode(x, PHRASE).mean if z is None else z))

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(y | posterior mean of x), (N,), of a step on average."""
        return self.explain(self.encode(x, source).mean, y) / y.shape[1]

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return one draw of the terms of the bound of each phrase, (B,); its latents are those of this model, not of the base."""
        q = self.encode(batch[PHRASE], PHRASE)
        z = q.mean + q.variance.sqrt() * torch.randn(q.mean.shape, generator=random).to(q.mean)
        return terms(q, z, self.explain(z, batch[PHRASE]))
