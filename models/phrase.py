"""What models of phrases share: windows of some bars of a melody, of drums, of a groove or of a trio."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models import losses
from models.base import LatentModel
from models.losses import Normal

PHRASE = "phrase"  # the modality
STEPS = 2**15  # of phrases that are decoded or evaluated at once


class PhraseModel(LatentModel):
    """A model with the modality ``phrase``: N windows (N, T) of tokens, or (N, T, D) of several numbers a step.

    Its representation is a `data.phrases.Phrase`. Its configuration has `kind`, of phrases, a key of `data.phrase_kinds.KINDS`, and
    `corpus()`, the pieces it is trained on.
    """

    likelihood: bool = True  # whether its nll is one: of velocities and times that are guessed by squared errors it is not
    wishes: Mapping[str, tuple[str, ...]] = {}  # attribute -> classes that `decode` can be asked for, by a condition (N, A) of ids

    @property
    def at_once(self) -> int:
        """Return how many phrases are decoded together: fewer of longer ones."""
        return max(1, STEPS // self.representations[PHRASE].steps)

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return one draw of the terms of the bound of each phrase, (B,) each, in nats, summed over its steps.

        ``nll``, the divergence ``kl_phrase``, and ``log_weight``, ln p(x, z) / q(z) of the latents z.
        """
        raise NotImplementedError

    def decode(
        self,
        z: Tensor,
        target: str,
        condition: Tensor | None = None,
        temperature: float = 0.0,
        random: torch.Generator | None = None,
    ) -> Tensor:
        """Return the phrases (N, T, ...) that latents stand for, each step following those that were written before it.

        Where there are `wishes`, `condition` (N, A) has class ids, -1 where nothing is wished; without one nothing is.
        """
        raise NotImplementedError

    def told(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return what is most likely at each step of phrases (N, T, ...), told the true steps before it.

        Parameters
        ----------
        z : (N, Z) latents to go by, the posterior means when not given.
        """
        raise NotImplementedError

    def explain(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x | z) of phrases (N, T, ...) by latents (N, Z), (N,), in nats, summed over steps."""
        raise NotImplementedError


def terms(q: Normal, z: Tensor, nll: Tensor) -> dict[str, Tensor]:
    """Return what `PhraseModel.bound` does, of a posterior `q` (B, Z), one draw `z` of it, and its -ln p(x | z) (B,)."""
    prior = Normal(torch.zeros_like(z), torch.ones_like(z))
    ratio = losses.gaussian_nll(q, z) - losses.gaussian_nll(prior, z)
    return {"nll": nll, "kl_phrase": losses.kl(q), "log_weight": ratio - nll}


class ConstrainedModel(PhraseModel):
    """A model whose latents (N, Z') stand for latents (N, Z) of a frozen one, `base`, which writes and reads the phrases."""

    base: PhraseModel  # in evaluation mode, on the same device; neither trained nor saved
    residual: Tensor | None = None  # (Z,) deviations of the base's latents from what latents stand for, where they are known

    def stand_on(self, base: PhraseModel) -> None:
        """Take a model as the base. It is no part of this module: it is neither trained, saved nor moved with it."""
        object.__setattr__(self, "base", base)

    def to_base(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the latents of the base (N, Z) that latents (N, Z') stand for; `condition` as of `decode`."""
        raise NotImplementedError

    def scattered(self, z: Tensor, spread: float, random: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Return latents of the base (N, Z) drawn around what latents (N, Z') stand for, `spread` times its deviations wide."""
        centre = self.to_base(z, condition)
        return centre + spread * self.residual * torch.randn(centre.shape, generator=random).to(centre)


def in_parts(function: Callable[[Tensor], Tensor], model: PhraseModel, x: Tensor) -> Tensor:
    """Return what a function of phrases, or latents, on the model's device gives, on the CPU, many at a time."""
    return torch.cat([function(part.to(model.device)).cpu() for part in x.split(model.at_once)])
