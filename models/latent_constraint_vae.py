"""A small VAE of the latents of a frozen MusicVAE: MidiMe's MLPs, linear maps, or the gated maps of Latent Translation.

Dinculescu, Engel and Roberts, "MidiMe: Personalizing a MusicVAE model with user data", Workshop on Machine Learning for Creativity
and Design, NeurIPS 2019.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from models import losses
from models.base import Losses, ParamGroup
from models.latent_constraint_config import Config
from models.latent_constraint_nets import Encoder, decoder
from models.losses import Normal
from models.musicvae import Model as MusicVAE
from models.musicvae import weight
from models.phrase import PHRASE

OF_LATE = 0.05  # share of the newest step in a running mean, at least


class SmallVAE(nn.Module):
    """Latents (N, Z) of a base <-> small ones (N, Z')."""

    wishes: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, config: Config):
        super().__init__()
        sizes = (config.standing.latent_dim, config.hidden, config.latent_dim)
        self.config, self.latent_shape = config, (config.latent_dim,)
        self.encoder = Encoder(config.form, *sizes)
        self.decoder = decoder(config.form, sizes[2], config.hidden, sizes[0])
        self.register_buffer("squares", torch.ones(sizes[0]))  # of what is wrong with latents in training, of late

    @property
    def residual(self) -> Tensor:
        """Return the deviations (Z,) of latents from what small ones, drawn from their posteriors, stand for."""
        return self.squares.sqrt()

    def phases(self) -> dict[str, ParamGroup]:
        """Return one phase with all parameters."""
        return {"vae": ParamGroup(list(self.parameters()), self.config.lr)}

    def prepare(self, examples: Iterable[tuple[Normal, dict[str, Tensor]]]) -> None:
        """Do nothing: nothing is fixed before the first step."""

    def loss(self, given: Normal, batch: dict[str, Tensor], base: MusicVAE, step: int, phase: str) -> Losses:
        """Return the losses of a batch: of latents made anew, the divergence, and of the phrases where that is asked for.

        The target is the mean of the base's posterior `given` (B, Z); what the encoder reads may be as noisy as its deviations say.
        """
        config = self.config
        noise = config.noise * torch.randn_like(given.mean) if self.training else 0.0
        q = self.encoder(given.mean + noise * given.variance.sqrt())
        made = self.decoder(q.rsample() if self.training else q.mean)
        if self.training:
            self.squares.lerp_((given.mean - made).detach().square().mean(0), max(OF_LATE, 1 / (step + 1)))
        error, kl, beta = self._error(given.mean, made).mean(), losses.kl(q), weight(config, step)
        cost = (kl - config.free_bits * losses.BIT).clamp_min(0).mean()
        total = error + beta * cost
        found = {"nll_latent": error, "kl_phrase": kl.mean(), "kl_beyond_free": cost, "beta": torch.tensor(beta)}
        if config.sequence_loss:
            found["nll_phrase"] = base.explain(made, batch[PHRASE]).mean()
            total = total + config.sequence_loss * found["nll_phrase"]
        return Losses(total, found)

    def _error(self, z: Tensor, made: Tensor) -> Tensor:
        """Return how wrong latents are, (B,): -ln N(z; made, 1) less its constant, or the distance."""
        squared = losses.squared_error(z, made)
        return squared / 2 if self.config.reconstruction == "nll" else squared.clamp_min(1e-12).sqrt()

    def posterior(self, given: Normal) -> Normal:
        """Return the posterior of the small latents (N, Z'), by the mean of the base's posterior."""
        return self.encoder(given.mean)

    def to_base(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Return the latents of the base (N, Z) that small ones stand for."""
        return self.decoder(z)
