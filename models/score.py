"""What models of scores share: bounds of the likelihood, and music that goes on from a seed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.base import LatentModel

SCORE = "score"  # the modality


@dataclass(frozen=True)
class Manner:
    """How music is generated.

    Parameters
    ----------
    temperature : by which logits are divided; 0 takes what is more likely.
    prior : draw latents from the prior instead of the posterior of the frame before.
    """

    temperature: float = 1.0
    prior: bool = False


class ScoreModel(LatentModel):
    """A model with the modality ``score``: windows of a piano-roll (N, lag + T, 88).

    One that infers keys has the modality ``key``, too, and `usual`, the mean weights (K, K) of the keys in windows of each class.
    Its configuration tells `classes`, `step`, `reading`, `relative_major`, and has `corpus()`.
    """

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return one draw of the terms of the bound of each window, (B,) each, in nats, summed over its steps.

        ``nll``, the divergences ``kl_score`` and, where a key is inferred, ``kl_key``; and ``log_weight``, ln p(x, z) / q(z) of all
        latents z.
        """
        raise NotImplementedError

    def decode(
        self,
        z: Tensor,
        target: str,
        condition: Tensor | None = None,
        temperature: float = 0.0,
        before: Tensor | None = None,
    ) -> Tensor:
        """Return what latents stand for; windows (N, lag + T, 88) that follow the frames `before` (N, lag, 88), or silence."""
        raise NotImplementedError

    def key_of(self, roll: Tensor) -> Tensor:
        """Return the weights (N, K) of the keys of rolls (N, S, 88), where the model knows keys."""
        raise NotImplementedError

    def seed_steps(self, steps: int) -> int:
        """Return how many steps of a seed generating `steps` more needs by itself."""
        raise NotImplementedError

    def generate(self, seed: Tensor, steps: int, told: Tensor | None, manner: Manner, random: torch.Generator) -> Tensor:
        """Return the `steps` frames (N, steps, 88) that follow `seed` (N, S, 88); with S = 0 a beginning.

        Parameters
        ----------
        told : (N, K) weights of the keys, or (N, steps, K) for each step; None lets the model do without.
        """
        raise NotImplementedError
