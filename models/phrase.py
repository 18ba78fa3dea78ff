"""What models of phrases share: windows of some bars of a melody, of drums, of a groove or of a trio."""

import torch
from torch import Tensor

from models.base import LatentModel

PHRASE = "phrase"  # the modality


class PhraseModel(LatentModel):
    """A model with the modality ``phrase``: N windows (N, T) of tokens, or (N, T, D) of several numbers a step.

    Its representation is a `data.phrases.Phrase`. Its configuration has `corpus()`, the pieces it is trained on.
    """

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
        """Return the phrases (N, T, ...) that latents stand for, each step following those that were written before it."""
        raise NotImplementedError

    def told(self, x: Tensor) -> Tensor:
        """Return what is most likely at each step of phrases (N, T, ...), by posterior means, told the true steps before it."""
        raise NotImplementedError
