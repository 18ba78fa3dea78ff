"""The networks of a MusicVAE: a bidirectional encoder, and decoders that are flat or have conductors above them.

Roberts, Engel, Raffel, Hawthorne and Eck, "A hierarchical latent vector model for learning long-term structure in music", 2018
(arXiv 1803.05428), section 3. LSTMs of one stack may differ in size, so each layer is one of its own.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.losses import Normal

SMALL = 1e-3  # standard deviation of weights that should do next to nothing at first

State = tuple[Tensor, Tensor]  # hidden and cell, (N, H) each


def lstm(inputs: int, size: int, bidirectional: bool = False) -> nn.LSTM:
    """Return a layer that remembers at first: Glorot-uniform weights of inputs and memory as one matrix, forget biases of 1."""
    layer = nn.LSTM(inputs, size, batch_first=True, bidirectional=bidirectional)
    limit = math.sqrt(6 / (inputs + size + 4 * size))
    for name, parameter in layer.named_parameters():
        if name.startswith("weight"):
            nn.init.uniform_(parameter, -limit, limit)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                nn.init.ones_(parameter.data[size : 2 * size])
    return layer


def small(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer whose outputs are near 0 at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=SMALL)
    nn.init.zeros_(layer.bias)
    return layer


class Encoder(nn.Module):
    """Bidirectional LSTMs, level above level: those of the lowest read the steps of each segment, the next ones the segments.

    Parameters
    ----------
    inputs : columns of a step.
    sizes : of the layers of each level, in each direction.
    lengths : what a segment has of the level below, for each level from below; of the topmost all that there are.
    latent : Z.
    dropout : share of the inputs of each layer that is left out in training.
    """

    def __init__(self, inputs: int, sizes: Sequence[int], lengths: Sequence[int], latent: int, dropout: float):
        super().__init__()
        self.lengths, self.dropout, width = tuple(lengths), dropout, 2 * sizes[-1]
        self.levels = nn.ModuleList(self._layers(width if level else inputs, sizes) for level in range(len(lengths)))
        self.mean, self.spread = small(width, latent), small(width, latent)

    @staticmethod
    def _layers(inputs: int, sizes: Sequence[int]) -> nn.ModuleList:
        """Return layers of which each reads both directions of the one below."""
        below = [inputs, *(2 * size for size in sizes[:-1])]
        return nn.ModuleList(lstm(a, b, bidirectional=True) for a, b in zip(below, sizes, strict=True))

    def forward(self, x: Tensor) -> Normal:
        """Return the posterior (N, Z) of phrases (N, T, inputs)."""
        n = len(x)
        for layers, length in zip(self.levels, self.lengths, strict=True):
            x = self._summary(layers, x.reshape(-1, length, x.shape[-1])).unflatten(0, (n, -1))
        e = x[:, 0]
        return Normal(self.mean(e).float(), functional.softplus(self.spread(e).float()).square())

    def _summary(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        """Return what the topmost layer ends with in both directions, (N, 2 H), for (N, L, D)."""
        for layer in layers:
            x, (last, _) = layer(functional.dropout(x, self.dropout, self.training))
        return torch.cat(list(last), -1)


class Led(nn.Module):
    """LSTMs whose first states a latent decides."""

    def __init__(self, latent: int, inputs: int, sizes: Sequence[int], dropout: float):
        super().__init__()
        self.sizes, self.dropout = tuple(sizes), dropout
        self.start = small(latent, 2 * sum(sizes))
        self.layers = nn.ModuleList(lstm(a, b) for a, b in itertools.pairwise([inputs, *sizes]))

    def begin(self, z: Tensor) -> list[State]:
        """Return the first states of the layers for latents (N, Z): of each the cell, then what is hidden."""
        parts = self.start(z).tanh().split([size for size in self.sizes for _ in range(2)], -1)
        return list(zip(parts[1::2], parts[::2], strict=True))

    def run(self, x: Tensor, z: Tensor) -> Tensor:
        """Return what the topmost layer says, (N, L, H), for inputs (N, L, D) and latents (N, Z)."""
        for layer, (hidden, cell) in zip(self.layers, self.begin(z), strict=True):
            dropped = functional.dropout(x, self.dropout, self.training)
            x, _ = layer(dropped, (hidden[None].contiguous(), cell[None].contiguous()))
        return x


class Conductor(Led):
    """LSTMs that unfold a latent into one of each of its `parts`.

    Parameters
    ----------
    told : what they are told at each part: ``zeros``, that is nothing, ``learned``, always the same, or ``learned_per_step``.
    """

    def __init__(self, latent: int, parts: int, sizes: Sequence[int], dropout: float, told: str):
        width = 1 if told == "zeros" else latent
        super().__init__(latent, width, sizes, dropout)
        self.parts = parts
        given = torch.zeros(parts if told == "learned_per_step" else 1, width)
        if told == "zeros":
            self.register_buffer("given", given, persistent=False)
        else:
            self.given = nn.Parameter(nn.init.normal_(given, std=SMALL))

    def forward(self, z: Tensor) -> Tensor:
        """Return (N, parts, H) for latents (N, Z)."""
        return self.run(self.given.expand(len(z), self.parts, -1), z)


class Draws(NamedTuple):
    """How steps are drawn.

    Parameters
    ----------
    temperature : by which logits are divided; 0 takes the most likely.
    uniform : (L, N, draws) numbers from 0 to 1 that decide; of no use at temperature 0.
    truth, free : phrases (N, L, ...), and which of their steps (N, L) are drawn; None draws all of them.
    """

    temperature: float
    uniform: Tensor
    truth: Tensor | None = None
    free: Tensor | None = None

    def part(self, steps: slice) -> "Draws":
        """Return those of some steps."""
        truth, free = (None if t is None else t[:, steps] for t in (self.truth, self.free))
        return Draws(self.temperature, self.uniform[steps], truth, free)


class Core(Led):
    """LSTMs that write step after step, each told the latent and the step before."""

    def __init__(self, latent: int, head: nn.Module, sizes: Sequence[int], dropout: float):
        super().__init__(latent, head.width + latent, sizes, dropout)
        self.head, self.output = head, nn.Linear(sizes[-1], head.outputs)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, z: Tensor, before: Tensor) -> Tensor:
        """Return what is decoded of steps, (N, L, outputs), told the steps `before` them (N, L, width)."""
        x = torch.cat([before, z[:, None].expand(-1, before.shape[1], -1)], -1)
        return self.output(self.run(x, z)).float()

    def write(self, z: Tensor, last: Tensor | None, draws: Draws) -> Tensor:
        """Return the L steps (N, L, ...) that are written for latents (N, Z) after the step `last` (N, ...), or after nothing."""
        pace, states, written = Pace.of(self, z), self.begin(z), []
        for step, uniform in enumerate(draws.uniform):
            said, states = pace.step(states, None if last is None else self.head.told(last, pace.table))
            last = self.head.draw(self.output(said).float(), draws.temperature, uniform)
            if draws.truth is not None:
                free = draws.free[:, step].view(-1, *[1] * (last.ndim - 1))
                last = torch.where(free, last, draws.truth[:, step])
            written.append(last)
        return torch.stack(written, 1)


class Pace(NamedTuple):
    """The weights of the layers of a core as one step after another needs them."""

    table: Tensor  # (width, 4 H) of what the lowest layer is told of the step before
    constant: Tensor  # (N, 4 H) of what it is told of the latent
    above: list[tuple[Tensor, Tensor]]  # (H below, 4 H) and (4 H,), of the other layers
    memory: list[Tensor]  # (H, 4 H), of all layers

    @classmethod
    def of(cls, core: Core, z: Tensor) -> "Pace":
        """Return those of a core for latents (N, Z)."""
        first, *others = core.layers
        table, constant = first.weight_ih_l0.split([core.head.width, z.shape[-1]], 1)
        biases = [layer.bias_ih_l0 + layer.bias_hh_l0 for layer in core.layers]
        above = [(layer.weight_ih_l0.T, bias) for layer, bias in zip(others, biases[1:], strict=True)]
        return cls(table.T.contiguous(), z @ constant.T + biases[0], above, [layer.weight_hh_l0.T for layer in core.layers])

    def step(self, states: list[State], told: Tensor | None) -> tuple[Tensor, list[State]]:
        """Return what the topmost layer says (N, H), and the states after a step, told so much (N, 4 H) of the one before."""
        gates, after = self.constant if told is None else self.constant + told, []
        for place, (hidden, cell) in enumerate(states):
            if place:
                weight, bias = self.above[place - 1]
                gates = torch.addmm(bias, after[-1][0], weight)
            i, f, g, o = torch.addmm(gates, hidden, self.memory[place]).chunk(4, -1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            after.append((o.sigmoid() * cell.tanh(), cell))
        return after[-1][0], after


class Decoder(nn.Module):
    """Cores that write steps, all told the same latents: the phrase's own, or one a segment by conductors above them.

    Parameters
    ----------
    latent : Z.
    heads : of the cores; several write one kind of token each.
    sizes : of the layers of a core.
    conductors : of the layers of a conductor.
    levels : parts of the phrase, parts of these, and so on, and the steps of the smallest; none is flat.
    told : what conductors are told, see `Conductor`.
    """

    def __init__(
        self,
        latent: int,
        heads: Sequence[nn.Module],
        sizes: Sequence[int],
        conductors: Sequence[int],
        levels: Sequence[int],
        told: str,
        dropout: float,
    ):
        super().__init__()
        widths = [latent] + [conductors[-1]] * len(levels[:-1])
        pairs = zip(widths, levels[:-1], strict=False)
        self.conductors = nn.ModuleList(Conductor(w, parts, conductors, dropout, told) for w, parts in pairs)
        self.cores = nn.ModuleList(Core(widths[-1], head, sizes, dropout) for head in heads)

    def unfold(self, z: Tensor) -> Tensor:
        """Return the latents of segments (N, U, C) that latents (N, Z) stand for; a phrase without conductors is one."""
        c = z[:, None]
        for conductor in self.conductors:
            c = conductor(c.flatten(0, 1)).unflatten(0, (len(z), -1)).flatten(1, 2)
        return c

    def forward(self, z: Tensor, feeds: Sequence[Tensor]) -> list[Tensor]:
        """Return what each core decodes, (N, T, outputs), told the true steps of a phrase, (N, T, width) of each core."""
        c = self.unfold(z)
        segments = c.flatten(0, 1)
        return [self._told(core, segments, feed) for core, feed in zip(self.cores, feeds, strict=True)]

    def _told(self, core: Core, segments: Tensor, feed: Tensor) -> Tensor:
        before = functional.pad(feed, (0, 0, 1, -1))  # nothing before the first step; of each segment the end of the one before
        return core(segments, before.reshape(len(segments), -1, before.shape[-1])).view(*feed.shape[:2], -1)

    def write(self, z: Tensor, draws: Sequence[Draws]) -> list[Tensor]:
        """Return phrases (N, T, ...) of each core, written step after step, each told what was written before."""
        c = self.unfold(z)
        written = []
        for core, own in zip(self.cores, draws, strict=True):
            parts: list[Tensor] = []
            length = len(own.uniform) // c.shape[1]
            for number, segment in enumerate(c.unbind(1)):
                last = parts[-1][:, -1] if parts else None
                parts.append(core.write(segment, last, own.part(slice(number * length, (number + 1) * length))))
            written.append(torch.cat(parts, 1))
        return written
