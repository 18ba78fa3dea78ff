"""Class ids of several instruments' labels as the inputs and outputs of a network."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models import losses
from models.crossmodal_config import Config


@dataclass(frozen=True)
class Slots:
    """One categorical variable (one of K) a label of each of I instruments, or as many independent bits.

    Ids are (N, I, L); a silent source has the id K in every slot, for which there is a further class or, in the binary form, one
    further bit an instrument. One-hots and logits are (N, W), instrument by instrument.
    """

    n_instruments: int
    counts: tuple[int, ...]  # classes of each label
    silence: bool
    binary: bool

    @classmethod
    def of(cls, config: Config) -> "Slots":
        """Return the slots of a configuration."""
        counts = tuple(len(config.classes[label]) for label in config.labels)
        return cls(len(config.instruments), counts, bool(config.zero_extra_class), config.label_type == "binary")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the widths of one instrument's slots."""
        if self.binary:
            return self.counts + (1,) * self.silence
        return tuple(k + self.silence for k in self.counts)

    @property
    def width(self) -> int:
        """Return W, the width of all slots together."""
        return self.n_instruments * sum(self.sizes)

    def one_hot(self, ids: Tensor) -> Tensor:
        """Return the concatenated one-hots (N, W) of class ids (N, I, L)."""
        if self.binary:
            silent = ids[..., :1] == self.counts[0]
            slots = [functional.one_hot(ids[..., l], k + 1)[..., :k] for l, k in enumerate(self.counts)]
            slots += [silent] * self.silence
        else:
            slots = [functional.one_hot(ids[..., l], k) for l, k in enumerate(self.sizes)]
        return torch.cat(slots, -1).flatten(1).float()

    def nll(self, logits: Tensor, ids: Tensor) -> Tensor:
        """Return -ln p(ids), (N,), for logits (N, W) and ids (N, I, L)."""
        if self.binary:
            return losses.bernoulli_nll(logits, self.one_hot(ids))
        slots = zip(self._split(logits), ids.unbind(-1), strict=True)
        return sum(losses.categorical_nll(slot.flatten(0, 1), true.flatten()).view_as(true).sum(1) for slot, true in slots)

    def _split(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Return the logits (N, I, size) of each slot."""
        return logits.unflatten(-1, (self.n_instruments, -1)).split(self.sizes, -1)

    def probabilities(self, logits: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the probability that a source is silent, (N, I), and of each label's classes if it is not, (N, I, K).

        Each label has an opinion on silence; a source is silent or not as a whole, so these are taken together as independent
        witnesses: their log-odds add up.
        """
        slots = self._split(logits)
        if self.binary:
            classes = [functional.normalize(label.sigmoid(), p=1, dim=-1) for label in slots[: len(self.counts)]]
            bits = slots[-1].sigmoid().squeeze(-1) if self.silence else torch.zeros_like(slots[0][..., 0])
            return bits, classes
        classes = [slot[..., :k].softmax(-1) for slot, k in zip(slots, self.counts, strict=True)]
        odds = [slot[..., k:].sum(-1) - slot[..., :k].logsumexp(-1) for slot, k in zip(slots, self.counts, strict=True)]
        return sum(odds).sigmoid() * self.silence, classes

    def classes(self, logits: Tensor, temperature: float = 0.0) -> Tensor:
        """Return class ids (N, I, L): the most likely at temperature 0, else drawn."""
        silent, classes = self.probabilities(logits)
        if temperature:
            drawn = [torch.multinomial(p.flatten(0, 1).pow(1 / temperature), 1).view(p.shape[:2]) for p in classes]
            return self._silenced(torch.rand_like(silent) < silent, torch.stack(drawn, -1))
        return self._silenced(silent > 0.5, torch.stack([p.argmax(-1) for p in classes], -1))

    def _silenced(self, silent: Tensor, ids: Tensor) -> Tensor:
        """Return class ids (N, I, L) with those of the sources that are `silent` (N, I) in their place."""
        return torch.where(silent[..., None], torch.tensor(self.counts, device=ids.device), ids)

    def confidence(self, logits: Tensor) -> Tensor:
        """Return the probability of each class that `classes` names, (N, I, L)."""
        silent, classes = self.probabilities(logits)
        best = torch.stack([p.amax(-1) for p in classes], -1) * (1 - silent[..., None])
        return torch.where(silent[..., None] > 0.5, silent[..., None], best)
