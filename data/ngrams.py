"""How likely phrases are by the last few tokens: n-grams, whose bits a step say how like a set of phrases another is."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

DISCOUNT = 0.75  # that each count gives to what never was


class Table(NamedTuple):
    """What was counted of contexts of one length."""

    grams: Tensor  # (G,) keys of a context and the token after it, ascending
    times: Tensor  # (G,) how often each occurs
    contexts: Tensor  # (C,) keys, ascending
    total: Tensor  # (C,) tokens after each
    kinds: Tensor  # (C,) different tokens after each


class NGram:
    """An n-gram with the interpolated smoothing of Kneser and Ney, which knows where phrases begin.

    p(w | h) = (max(c(h w) - D, 0) + D k(h) p(w | h')) / c(h), with counts c, k(h) different tokens after the context h, and h
    without its oldest token h'. Of contexts below the longest, c(h w) is the number of different tokens before h w. Where h never
    was, p(w | h'), and in the end 1 / V. Probabilities of the V tokens add up to 1 after any context. Chen and Goodman, "An
    empirical study of smoothing techniques for language modeling", Computer Speech and Language 13(4), 1999.

    Parameters
    ----------
    x : (N, T) tokens 0, ..., `vocabulary` - 1 to count; N may be 0.
    order : tokens of a gram; a context has up to `order` - 1.
    """

    def __init__(self, x: Tensor, vocabulary: int, order: int = 5):
        if (vocabulary + 1) ** order >= 2**63:
            raise ValueError(f"{order}-grams of {vocabulary} tokens have no 64-bit keys")
        self.vocabulary, self.order, self.base = vocabulary, order, vocabulary + 1
        grams, times = (self._contexts(x)[-1] * self.base + x).unique(return_counts=True)
        self.tables = [self._counted(grams, times)]  # by length of context
        for length in range(order - 1, 0, -1):
            grams, times = (grams % self.base**length).unique(return_counts=True)
            self.tables.insert(0, self._counted(grams, times))

    def _contexts(self, x: Tensor) -> list[Tensor]:
        """Return keys (N, T) of the 0, 1, ..., order - 1 tokens before each; before the first stands a token of its own."""
        padded = functional.pad(x.long(), (self.order - 1, 0), value=self.vocabulary)
        keys = [torch.zeros_like(x, dtype=torch.long)]
        for back in range(1, self.order):
            older = padded[:, self.order - 1 - back : padded.shape[1] - back]
            keys.append(keys[-1] + older * self.base ** (back - 1))
        return keys

    def _counted(self, grams: Tensor, times: Tensor) -> Table:
        """Return the table of grams (G,), ascending, and how often each occurs."""
        contexts, place, kinds = (grams // self.base).unique(return_inverse=True, return_counts=True)
        return Table(grams, times, contexts, torch.zeros_like(kinds).index_add(0, place, times), kinds)

    def probability(self, x: Tensor) -> Tensor:
        """Return how likely each token of phrases (N, T) is after those before it, (N, T) float64."""
        likely = torch.full(x.shape, 1 / self.vocabulary, dtype=torch.double)
        for table, context in zip(self.tables, self._contexts(x), strict=True):
            times = _found(table.grams, table.times, context * self.base + x).double()
            total, kinds = (_found(table.contexts, values, context) for values in (table.total, table.kinds))
            known = ((times - DISCOUNT).clamp_min(0) + DISCOUNT * kinds * likely) / total.clamp_min(1)
            likely = torch.where(total > 0, known, likely)
        return likely

    def bits(self, x: Tensor) -> Tensor:
        """Return the cross-entropy of phrases (N, T), in bits a step, (N,)."""
        return -self.probability(x).log2().mean(1)


def _found(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """Return the values (K,) of ascending keys (K,) at those `wanted` (...), 0 where they are absent."""
    if not len(keys):
        return torch.zeros_like(wanted)
    place = torch.searchsorted(keys, wanted.contiguous()).clamp_max(len(keys) - 1)
    return torch.where(keys[place] == wanted, values[place], 0)
