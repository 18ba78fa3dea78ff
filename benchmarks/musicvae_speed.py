"""How fast a MusicVAE trains and writes, beside a straightforward loop and the limit of the machine.

The straightforward loop goes over time in Python, as ports usually do: `nn.LSTMCell` for every layer and direction of the encoder
and for the decoder, which is told at each step the one before and the latent, and gives its output there. It has the same
parameters in the same order and computes the same loss. Where a preset samples steps, it samples within this loop.

The limit is what a training step cannot do without: the matrix products of all layers, forward and backward, at the shapes that
they have in the project; those with the memory, which follow each other, one after another. Activations, the loss and Adam are
left out, and so is the pass that samples steps, as one pass could do.

Each has a process of its own, and their turns alternate (`benchmarks.training`); the median of each counts. With one thread
times are CPU times, which other programs on the machine disturb least.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.training import measure
from models import losses
from models.losses import Normal
from models.musicvae import Model, heads, sampled_share, weight
from models.musicvae_config import Config
from models.musicvae_heads import DRUMS
from models.phrase import PHRASE
from models.training import Trainer

HIT = 0.15  # share of cells that are struck
HEADS = [
    "preset", "batch", "parameters", "ms/step", "phrases/s", "straightforward", "times", "limit", "of the limit",
    "written phrases/s", "straightforward", "times",
]  # fmt: skip
State = tuple[Tensor, Tensor]  # hidden and cell, (N, H) each


def configuration(preset: str, batch: int = 0) -> Config:
    """Return the configuration of a preset, with another batch size where one is given."""
    config = replace(Config(), **Config.PRESETS[preset])
    return replace(config, batch_size=batch) if batch else config


def phrases(config: Config) -> Tensor:
    """Return a batch of random phrases."""
    phrase = config.phrase()
    if len(phrase.shape) == 1:
        return torch.randint(phrase.width, (config.batch_size, *phrase.shape))
    performed = config.kind == "groove"
    struck = (torch.rand(config.batch_size, phrase.steps, DRUMS if performed else phrase.width) < HIT).float()
    if not performed:
        return struck
    return torch.cat([struck, struck * torch.rand_like(struck), struck * (torch.rand_like(struck) - 0.5)], -1)


def project(config: Config) -> Callable[[], None]:
    """Return the training step of this project."""
    trainer, batch = Trainer(Model(config).train(), Path(), torch.device("cpu")), {PHRASE: phrases(config)}
    return lambda: trainer.step(batch)


def writing(config: Config) -> Callable[[], None]:
    """Return what writes a batch of phrases of the prior, step after step."""
    model = Model(config).eval()
    z = model.sample(config.batch_size)
    return torch.no_grad()(lambda: model.decode(z, PHRASE, temperature=1.0))


# -- the straightforward loop ------------------------------------------------------------------------------------------


class Cells(nn.Module):
    """Layers of LSTM cells, which begin as a latent says."""

    def __init__(self, latent: int, inputs: int, sizes: tuple[int, ...], dropout: float):
        super().__init__()
        self.sizes, self.dropout = sizes, dropout
        self.start = nn.Linear(latent, 2 * sum(sizes))
        self.layers = nn.ModuleList(nn.LSTMCell(a, b) for a, b in itertools.pairwise([inputs, *sizes]))

    def begin(self, z: Tensor) -> list[State]:
        """Return the states of all layers before the first step."""
        parts = torch.tanh(self.start(z)).split([size for size in self.sizes for _ in range(2)], -1)
        return [(parts[2 * i + 1], parts[2 * i]) for i in range(len(self.sizes))]

    def forward(self, x: Tensor, states: list[State]) -> tuple[Tensor, list[State]]:
        """Return what the topmost layer says of one step (N, D), and the states after it."""
        after = []
        for cell, state in zip(self.layers, states, strict=True):
            after.append(cell(functional.dropout(x, self.dropout, self.training), state))
            x = after[-1][0]
        return x, after


class Plain(nn.Module):
    """A MusicVAE that loops over time; flat, or with one conductor."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, self.phrase = config, config.phrase()
        widths = [self.phrase.depth, *(2 * size for size in config.encoder_size)]
        pairs = list(itertools.pairwise(widths))
        self.encoder = nn.ModuleList(nn.ModuleList(nn.LSTMCell(a, b // 2) for _ in range(2)) for a, b in pairs)
        self.mean, self.spread = (nn.Linear(widths[-1], config.latent_dim) for _ in range(2))
        (self.parts, self.length), told = config.levels or (1, self.phrase.steps), config.latent_dim
        if config.levels:
            self.conductor = Cells(told, 1, config.conductor_size or config.decoder_size, config.dropout)
            told = self.conductor.sizes[-1]
        (head,) = heads(config, self.phrase)
        self.core, self.head = Cells(told, head.width + told, config.decoder_size, config.dropout), head
        self.output = nn.Linear(config.decoder_size[-1], head.outputs)

    def encoded(self, x: Tensor) -> Normal:
        """Return the posterior of phrases."""
        steps = list(self.phrase.inputs(x).unbind(1))
        for cells in self.encoder:
            forth = self._over(cells[0], steps)
            back = self._over(cells[1], steps[::-1])[::-1]
            steps = [torch.cat(pair, -1) for pair in zip(forth, back, strict=True)]
        e = torch.cat([forth[-1], back[0]], -1)
        return Normal(self.mean(e), functional.softplus(self.spread(e)).square())

    def _over(self, cell: nn.LSTMCell, steps: list[Tensor]) -> list[Tensor]:
        state, said = None, []
        for x in steps:
            state = cell(functional.dropout(x, self.config.dropout, self.training), state)
            said.append(state[0])
        return said

    def segments(self, z: Tensor) -> list[Tensor]:
        """Return what the core is told in each part of a phrase."""
        if self.parts == 1:
            return [z]
        states, said = self.conductor.begin(z), []
        for _ in range(self.parts):
            c, states = self.conductor(z.new_zeros(len(z), 1), states)
            said.append(c)
        return said

    def decoded(self, z: Tensor, x: Tensor | None = None, share: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return phrases, and the sum of -ln p of true ones `x`, (N,), each step told the one before.

        That is the true one, but for a `share` of the steps, or for all without truth, the model's own draw.
        """
        before, nll, written = z.new_zeros(len(z), self.head.width), z.new_zeros(len(z)), []
        for c in self.segments(z):
            states = self.core.begin(c)
            for _ in range(self.length):
                said, states = self.core(torch.cat([before, c], -1), states)
                logits, last = self.output(said), None if x is None else x[:, len(written)]
                if x is not None:
                    nll = nll + self.head.nll(logits, last)
                if x is None or share:
                    own = self.head.draw(logits.detach(), 1.0, torch.rand(len(z), self.head.draws))
                    free = torch.rand(len(z), *[1] * (own.ndim - 1)) < share
                    last = own if x is None else torch.where(free, own, last)
                written.append(last)
                before = self.phrase.feed(last[:, None])[:, 0]
        return torch.stack(written, 1), nll

    def forward(self, x: Tensor, step: int = 0) -> Tensor:
        """Return the loss of phrases after so many updates."""
        config, q = self.config, self.encoded(x)
        z = q.rsample() if self.training else q.mean
        _, nll = self.decoded(z, x, sampled_share(config, step) if self.training else 0.0)
        cost = (losses.kl(q) - config.free_bits * losses.BIT).clamp_min(0)
        return (nll + weight(config, step) * cost).mean()


def straightforward(config: Config) -> Callable[[], None]:
    """Return the training step of the straightforward loop."""
    model, x = Plain(config).train(), phrases(config)
    adam = torch.optim.Adam(model.parameters(), lr=config.lr)

    def step() -> None:
        adam.zero_grad()
        model(x).backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        adam.step()

    return step


def straightforward_writing(config: Config) -> Callable[[], None]:
    """Return what writes a batch of phrases of the prior by the straightforward loop."""
    model = Plain(config).eval()
    z = torch.randn(config.batch_size, config.latent_dim)
    return torch.no_grad()(lambda: model.decoded(z))


# -- the limit ---------------------------------------------------------------------------------------------------------


def limit(config: Config) -> Callable[[], None]:
    """Return what computes the matrix products of a training step."""
    products = [product for layer, x, back in layers(config) for product in _products(layer, x, back)]

    def step() -> None:
        for product in products:
            product()

    return step


def layers(config: Config) -> list[tuple[nn.Module, Tensor, bool]]:
    """Return the LSTMs and linear layers of a model, what each reads in a training step, and whether gradients flow to that."""
    model, found = Model(replace(config, sampling="none")).train(), []
    for layer in model.modules():
        if isinstance(layer, nn.LSTM | nn.Linear):
            layer.register_forward_hook(lambda layer, x, _: found.append((layer, x[0].detach(), x[0].requires_grad)))
    model({PHRASE: phrases(config)})
    return found


def _products(layer: nn.Module, x: Tensor, back: bool) -> list[Callable[[], None]]:
    """Return what multiplies forward, and back to the weights and, with `back`, to the input."""
    if isinstance(layer, nn.Linear):
        return [_product(layer.weight, x.flatten(0, -2), back)]
    (n, length), weights = x.shape[:2], dict(layer.named_parameters())
    inputs = [_product(w, x.flatten(0, 1), back) for name, w in weights.items() if name.startswith("weight_ih")]
    memory = [_memory(w, n, length) for name, w in weights.items() if name.startswith("weight_hh")]
    return inputs + memory


def _product(weight: Tensor, x: Tensor, back: bool) -> Callable[[], None]:
    """Return the products of a weight (G, D) with inputs (M, D), all at once."""
    weight, gates = weight.detach(), torch.randn(len(x), len(weight))
    out, x_out, weight_out = torch.empty_like(gates), torch.empty_like(x), torch.empty_like(weight)

    def multiply() -> None:
        torch.mm(x, weight.t(), out=out)
        torch.mm(gates.t(), x, out=weight_out)
        if back:
            torch.mm(gates, weight, out=x_out)

    return multiply


def _memory(weight: Tensor, n: int, length: int) -> Callable[[], None]:
    """Return the products of a weight (4 H, H) with the memory of `n` phrases: step by step, but for the weight's gradient."""
    weight, hidden, gates = weight.detach(), torch.randn(n, weight.shape[1]), torch.randn(n, len(weight))
    out, hidden_out, weight_out = torch.empty_like(gates), torch.empty_like(hidden), torch.empty_like(weight)
    every, of_every = torch.randn(n * length, weight.shape[1]), torch.randn(n * length, len(weight))

    def multiply() -> None:
        for _ in range(length):
            torch.mm(hidden, weight.t(), out=out)
        for _ in range(length):
            torch.mm(gates, weight, out=hidden_out)
        torch.mm(of_every.t(), every, out=weight_out)

    return multiply


# -- the measurement ---------------------------------------------------------------------------------------------------


def row(preset: str, batch: int, threads: int, seconds: float) -> list[str]:
    """Measure a preset; return its cells, see `HEADS`."""
    config = configuration(preset, batch)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Model(config).parameters())
    makes = (project, straightforward, limit, writing, straightforward_writing)
    ours, plain, least, written, plainly = map(median, measure(makes, config, threads, seconds))
    n = config.batch_size
    training = [f"{n / ours:.0f}", f"{n / plain:.0f}", f"{plain / ours:.2f}", f"{n / least:.0f}", f"{100 * least / ours:.0f} %"]
    decoding = [f"{n / written:.0f}", f"{n / plainly:.0f}", f"{plainly / written:.2f}"]
    return [preset, str(n), f"{parameters / 1e6:.2f} M", f"{1e3 * ours:.0f}", *training, *decoding]
