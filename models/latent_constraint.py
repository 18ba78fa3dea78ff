"""The latent constraint: models of the latents that a frozen MusicVAE gives to pieces of one's own.

docs/latent_constraint.md says what of them is published where, and where this departs from it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from data.phrase_windows import PhraseWindows
from data.representations import Facet
from data.splits import SPLITS
from models import musicvae_base
from models.base import Losses, ParamGroup
from models.latent_constraint_config import ACTOR, Config
from models.latent_constraint_critic import ActorCritic
from models.latent_constraint_data import EncodedWindows
from models.latent_constraint_vae import SmallVAE
from models.losses import Normal
from models.musicvae import Model as MusicVAE
from models.phrase import PHRASE, ConstrainedModel, terms
from utils.config import InputError
from utils.paths import cache_folder


class Model(ConstrainedModel):
    """A small VAE, or an actor, on a frozen MusicVAE, which reads and writes the phrases."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.representations = {PHRASE: config.phrase()}
        self.likelihood = config.kind != "groove"
        self.constraint = ActorCritic(config) if config.form == ACTOR else SmallVAE(config)
        self.latent_shape, self.wishes = self.constraint.latent_shape, self.constraint.wishes

    @property
    def edges(self) -> Mapping[str, Tensor]:
        """Return where the classes of attributes that can be wished for begin, but the first, ascending, by name."""
        return self.constraint.edges

    @property
    def residual(self) -> Tensor | None:
        """Return the deviations (Z,) of the base's latents from what latents stand for; None where there are none, of an actor."""
        return self.constraint.residual

    def attach(self) -> None:
        """Load the base.

        Raises
        ------
        InputError : it is not where it was, or is another.
        """
        self.stand_on(base_of(self.config).to(self.device))

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Fit what is fixed before the first step."""
        self.constraint.prepare(self._with_posteriors(batches))

    def _with_posteriors(self, batches: Iterable[dict[str, Tensor]]) -> Iterator[tuple[Normal, dict[str, Tensor]]]:
        for batch in batches:
            yield self.posterior(batch), batch

    def phases(self, epoch: int = 0) -> dict[str, ParamGroup]:
        """Return what the constraint's training consists of."""
        return self.constraint.phases()

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of a batch in a phase of the constraint."""
        return self.constraint.loss(self.posterior(batch), batch, self.base, step, phase)

    def posterior(self, batch: dict[str, Tensor]) -> Normal:
        """Return the base's posterior of a batch: what it holds already, else of its phrases."""
        if "mean" in batch:
            return Normal(batch["mean"], batch["variance"])
        with torch.no_grad():
            return self.base.encode(batch[PHRASE], PHRASE)

    # -- translation --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of latents (N, Z') of phrases."""
        return self.constraint.posterior(self.base.encode(x, source))

    def to_base(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the latents of the base (N, Z) that latents (N, Z') stand for; `condition` as of `decode`."""
        return self.constraint.to_base(z, condition)

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return what the base does."""
        return self.base.facets(batch)

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


def base_of(config: Config) -> MusicVAE:
    """Return the MusicVAE that a configuration stands on.

    Raises
    ------
    InputError : it is not where it was, or is another.
    """
    try:
        base = musicvae_base.load(Path(config.pretrained), config.base_preset, config.known)
    except InputError as error:
        raise InputError(f"{error}; the run stands on it: --base says where it is now") from None
    if musicvae_base.fingerprint(base) != config.base_hash:
        raise InputError(
            f"{config.pretrained}: is not the MusicVAE that this run stands on, or no longer; give that one with --base"
        )
    return base


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> Mapping[str, PhraseWindows]:
    """Return the phrases of each split with their latents; valid and test may be empty.

    Raises
    ------
    InputError : the corpus or the base cannot be read, or nothing is to be trained on.
    """
    corpus, phrase, found = config.corpus(), config.phrase(), {}
    labels = {label: tuple(names) for label, names in config.standing.labels.items()}
    kept = {"base": base_of(config), "mark": config.base_hash, "folder": cache_folder(config.cache) / "latents"}
    for split in splits:
        varied = {"hop": config.hop, "transpose": config.transpose} if split == "train" else {}
        found[split] = EncodedWindows(corpus.of(split), phrase, labels=labels, decoded=bool(config.attributes), **varied, **kept)
    if "train" in found and not len(found["train"]):
        raise InputError(f"{corpus.root}: has no phrase to train on, as all that there are are silent")
    return found
