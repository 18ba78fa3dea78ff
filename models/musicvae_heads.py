"""What a decoder says of a step, and how it is scored and drawn.

A head has `outputs`, how many numbers a step is decided by; `width`, how many a decoder is told of a step; and `draws`, how many
uniform numbers drawing a step takes. Roberts, Engel, Raffel, Hawthorne and Eck, "A hierarchical latent vector model for learning
long-term structure in music", 2018 (arXiv 1803.05428), section 4; Gillick, Roberts, Engel, Eck and Bamman, "Learning to groove with
inverse sequence transformations", 2019 (arXiv 1905.06118), section 4, for grooves.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

DRUMS = 9  # that a groove tells hits, velocities and offsets of
HIDDEN = 128  # of the NADE


class Categorical(nn.Module):
    """One token of V a step."""

    draws = 1

    def __init__(self, tokens: int):
        super().__init__()
        self.outputs = self.width = tokens

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x) in nats, (...), for `logits` (..., V) and tokens `x` (...)."""
        return functional.cross_entropy(logits.flatten(0, -2), x.flatten(), reduction="none").view_as(x)

    def draw(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return tokens (N,) for `logits` (N, V), by the uniform numbers (N, 1); the most likely at temperature 0."""
        if not temperature:
            return logits.argmax(-1)
        ladder = (logits.double() / temperature).softmax(-1).cumsum(-1)
        return torch.searchsorted(ladder, uniform.double() * ladder[:, -1:], right=True)[:, 0].clamp_max(self.outputs - 1)

    def told(self, x: Tensor, table: Tensor) -> Tensor:
        """Return what tokens (N,) add to the gates (N, G), by their rows of `table` (V, G)."""
        return table[x]


class Several(nn.Module):
    """One token of each of several kinds a step, (..., P), independent given what came before."""

    def __init__(self, tokens: tuple[int, ...]):
        super().__init__()
        self.parts = [Categorical(n) for n in tokens]
        self.sizes, self.draws = tokens, len(tokens)
        self.outputs = self.width = sum(tokens)

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the sum of -ln p of all kinds, (...), for `logits` (..., sum of V) and tokens `x` (..., P)."""
        pairs = zip(self.parts, logits.split(self.sizes, -1), x.unbind(-1), strict=True)
        return sum(part.nll(own, tokens) for part, own, tokens in pairs)

    def draw(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return tokens (N, P)."""
        columns = zip(self.parts, logits.split(self.sizes, -1), uniform.split(1, -1), strict=True)
        return torch.stack([part.draw(own, temperature, u) for part, own, u in columns], -1)

    def told(self, x: Tensor, table: Tensor) -> Tensor:
        """Return what tokens (N, P) add to the gates (N, G)."""
        rows = zip(self.parts, x.unbind(-1), table.split(self.sizes), strict=True)
        return sum(part.told(tokens, own) for part, tokens, own in rows)


class Bernoulli(nn.Module):
    """D bits a step, independent given what came before."""

    def __init__(self, bits: int):
        super().__init__()
        self.outputs = self.width = self.draws = bits

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x), (...), for `logits` and bits `x` (..., D)."""
        return functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)

    def draw(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return bits (N, D) as 0 and 1."""
        return hit(logits, temperature, uniform)

    def told(self, x: Tensor, table: Tensor) -> Tensor:
        """Return what bits (N, D) add to the gates (N, G)."""
        return x @ table


class Nade(Bernoulli):
    """D bits a step, each told those before it of the same step.

    Larochelle and Murray, "The neural autoregressive distribution estimator", 2011, section 2; the decoder gives the biases of its
    128 hidden units, then those of the bits.
    """

    def __init__(self, bits: int):
        super().__init__(bits)
        self.outputs = HIDDEN + bits
        self.w_enc, self.w_dec = (nn.Parameter(torch.empty(bits, HIDDEN)) for _ in range(2))
        for weight in (self.w_enc, self.w_dec):
            nn.init.trunc_normal_(weight, std=bits**-0.5, a=-2 * bits**-0.5, b=2 * bits**-0.5)

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x), (...), for `logits` (..., 128 + D) and bits `x` (..., D)."""
        hidden, visible = logits.split([HIDDEN, self.width], -1)
        added = x[..., None] * self.w_enc  # (..., D, 128)
        before = hidden[..., None, :] + added.cumsum(-2) - added
        return super().nll(visible + (before.sigmoid() * self.w_dec).sum(-1), x)

    def draw(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return bits (N, D), one after another."""
        hidden, visible = logits.split([HIDDEN, self.width], -1)
        bits = []
        for i in range(self.width):
            logit = visible[:, i] + hidden.sigmoid() @ self.w_dec[i]
            bits.append(hit(logit, temperature, uniform[:, i]))
            hidden = hidden + bits[-1][:, None] * self.w_enc[i]
        return torch.stack(bits, -1)


class Performed(Bernoulli):
    """Nine hits a step, each with a velocity from 0 to 1 and an offset from -1 to 1: 27 numbers.

    Its nll is that of the hits plus squared errors, which is no likelihood of velocities and offsets.

    Parameters
    ----------
    struck : whether errors of velocities and offsets count at hits only; else everywhere, where a silent cell has 0.
    """

    draws = DRUMS

    def __init__(self, struck: bool = False):
        super().__init__(3 * DRUMS)
        self.draws, self.struck = DRUMS, struck

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the loss, (...), for what is decoded and grooves `x` (..., 27)."""
        (hits, velocities, offsets), (struck, velocity, offset) = (t.chunk(3, -1) for t in (logits, x))
        error = (velocities.sigmoid() - velocity).square() + (offsets.tanh() - offset).square()
        return super().nll(hits, struck) + (error * struck if self.struck else error).sum(-1)

    def draw(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return a step (N, 27): hits that are drawn, with the velocities and offsets that are expected; silent cells are 0."""
        hits, velocities, offsets = logits.chunk(3, -1)
        struck = hit(hits, temperature, uniform)
        return torch.cat([struck, struck * velocities.sigmoid(), struck * offsets.tanh()], -1)


def hit(logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Return 1 with the probability that `logits` over `temperature` give, else 0; at temperature 0 what is more likely."""
    return (logits > 0).to(logits) if not temperature else (uniform < (logits / temperature).sigmoid()).to(logits)


HEADS = {"categorical": Categorical, "nade": Nade, "boolean": Bernoulli}
