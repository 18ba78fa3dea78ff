"""What models of scores are compared with: nothing but how often each note sounds, in all keys or in each."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from data.piano_roll import Classes, exists
from data.rolls import KEYS
from models.classifying_config import KEY
from models.score import ScoreModel


class Counts(NamedTuple):
    """How often notes sound in windows of each class, and of how many frames and windows."""

    notes: Tensor  # (K, 88)
    frames: Tensor  # (K,)
    windows: Tensor  # (K,)


def counted(classes: int, lag: int, examples: Iterable[dict[str, Tensor]]) -> Counts:
    """Return the counts of windows that come in batches."""
    counts = Counts(torch.zeros(classes, KEYS), torch.zeros(classes), torch.zeros(classes))
    for batch in examples:
        roll, key = batch["score"][:, lag:], batch[KEY]
        found = (key.T @ roll.clamp_min(0).sum(1), key.T @ exists(roll).sum(1).float(), key.sum(0))
        counts = Counts(*(one + other for one, other in zip(counts, found, strict=True)))
    return counts


class Rates(ScoreModel):
    """Notes that sound independently of each other, each at its rate in the training split, in all keys alike."""

    def __init__(self, model: ScoreModel, counts: Counts):
        super().__init__()
        self.config, self.latent_shape, self.lag = model.config, (), model.config.lag
        self.representations = {**model.representations, KEY: Classes(KEY, tuple(model.config.classes[KEY]))}
        self.register_buffer("share", counts.windows / counts.windows.sum())  # of the classes
        self.register_buffer("logits", self._fitted(counts.notes, counts.frames))  # (K, 88)

    def _fitted(self, notes: Tensor, frames: Tensor) -> Tensor:
        """Return the logits (K, 88) of notes, with one more frame in which they sound and one in which they do not."""
        return ((notes.sum(0) + 1) / (frames.sum() - notes.sum(0) + 1)).log().expand(len(frames), -1)

    @property
    def translations(self) -> list[tuple[str, str]]:
        """Return the one pair: keys are named."""
        return [("score", KEY)]

    def transfer(self, x: Tensor, source: str, target: str, condition: Tensor | None = None) -> Tensor:
        """Return the probabilities (N, K) of the keys of windows."""
        return (self._log_likelihood(x) + self.share.log()).softmax(1)

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return minus the log-likelihood of each window, (B,), which is exact here; given its key where that is told."""
        each = self._log_likelihood(batch["score"])  # (B, K)
        log = (each + self.share.log()).logsumexp(1) if condition is None else each.gather(1, condition)[:, 0]
        return {"nll": -log, "log_weight": log}

    def _log_likelihood(self, x: Tensor) -> Tensor:
        """Return ln p(window | key), (N, K)."""
        roll = x[:, self.lag :]
        silent = functional.softplus(self.logits).sum(1)  # (K,), of -ln p of an empty frame
        return roll.clamp_min(0).sum(1) @ self.logits.T - exists(roll).sum(1, keepdim=True) * silent


class NaiveBayes(Rates):
    """Notes that sound independently of each other, given the key, each at its rate in the windows of that key."""

    def _fitted(self, notes: Tensor, frames: Tensor) -> Tensor:
        return ((notes + 1) / (frames[:, None] - notes + 1)).log()


def anchors(model: ScoreModel, examples: Iterable[dict[str, Tensor]]) -> dict[str, ScoreModel]:
    """Return them by name, fitted on windows that hold every step of the training split once."""
    counts = counted(len(model.config.classes[KEY]), model.config.lag, examples)
    return {name: kind(model, counts).to(model.device).eval() for name, kind in (("rates", Rates), ("naive_bayes", NaiveBayes))}
