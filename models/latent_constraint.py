"""The latent constraint: small models of the latents that a frozen MusicVAE gives to pieces of one's own.

A small VAE is that of Dinculescu, Engel and Roberts, "MidiMe: Personalizing a MusicVAE model with user data", Workshop on Machine
Learning for Creativity and Design, NeurIPS 2019. docs/latent_constraint.md says where this departs from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from data.phrase_windows import PhraseWindows
from data.splits import SPLITS
from models import losses, musicvae_base
from models.base import Losses
from models.latent_constraint_config import ACTOR, Config
from models.latent_constraint_critic import Actor
from models.latent_constraint_data import EncodedWindows
from models.latent_constraint_nets import Encoder, decoder
from models.latent_constraint_standing import Standing
from models.losses import Normal
from models.musicvae import weight
from models.phrase import PHRASE
from utils.config import InputError
from utils.paths import cache_folder


class SmallVAE(Standing):
    """A VAE of the base's latents: MidiMe's MLPs, linear maps, or the gated maps of Latent Translation."""

    def __init__(self, config: Config):
        super().__init__(config)
        sizes = (config.standing.latent_dim, config.hidden, config.latent_dim)
        self.encoder = Encoder(config.form, *sizes)
        self.decoder = decoder(config.form, sizes[2], config.hidden, sizes[0])
        self.latent_shape = (config.latent_dim,)

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of a batch: of the latents' reconstruction, the divergence, and of the phrases where that is asked for.

        The target is the mean of the base's posterior; what the encoder reads may be noisy, as its deviations say.
        """
        config, given = self.config, self.posterior(batch)
        noise = config.noise * torch.randn_like(given.mean) if self.training else 0.0
        q = self.encoder(given.mean + noise * given.variance.sqrt())
        made = self.decoder(q.rsample() if self.training else q.mean)
        error, kl, beta = self._error(given.mean, made).mean(), losses.kl(q), weight(config, step)
        cost = (kl - config.free_bits * losses.BIT).clamp_min(0).mean()
        total = error + beta * cost
        found = {"nll_latent": error, "kl_phrase": kl.mean(), "kl_beyond_free": cost, "beta": torch.tensor(beta)}
        if config.sequence_loss:
            found["nll_phrase"] = self.base.explain(made, batch[PHRASE]).mean()
            total = total + config.sequence_loss * found["nll_phrase"]
        return Losses(total, found)

    def _error(self, z: Tensor, made: Tensor) -> Tensor:
        """Return how wrong latents are, (B,): -ln N(z; made, 1) less its constant, or the distance."""
        squared = losses.squared_error(z, made)
        return squared / 2 if self.config.reconstruction == "nll" else squared.clamp_min(1e-12).sqrt()

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of the small latents (N, Z') of phrases, given the mean of the base's."""
        return self.encoder(self.base.encode(x, source).mean)

    def to_base(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the latents of the base (N, Z) that small ones (N, Z') stand for."""
        return self.decoder(z)


def Model(config: Config) -> Standing:
    """Return the model of a configuration."""
    return Actor(config) if config.form == ACTOR else SmallVAE(config)


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> Mapping[str, PhraseWindows]:
    """Return the phrases of each split with their latents; valid and test may be empty.

    Raises
    ------
    InputError : the corpus or the base cannot be read, or nothing is to be trained on.
    """
    corpus, phrase, found = config.corpus(), config.phrase(), {}
    labels = {label: tuple(names) for label, names in config.standing.labels.items()}
    base = musicvae_base.load(Path(config.pretrained), config.base_preset)
    kept = {"base": base, "mark": config.base_hash, "folder": cache_folder(config.cache) / "latents"}
    for split in splits:
        varied = {"hop": config.hop, "transpose": config.transpose} if split == "train" else {}
        found[split] = EncodedWindows(corpus.of(split), phrase, labels=labels, decoded=bool(config.attributes), **varied, **kept)
    if "train" in found and not len(found["train"]):
        raise InputError(f"{corpus.root}: has no phrase to train on, as all that there are are silent")
    return found
