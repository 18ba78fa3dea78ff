"""Measure training steps of the crossmodal system against a straightforward loop and against the limit of the machine.

The straightforward loop does what the original program of 2019 did in a step, in today's torch: plain Adam, losses that are kept
with their graphs for an epoch, samples of decoder outputs that nobody uses, a second preprocessing that is thrown away, and two
backward passes, one for each VAE, of which the second doubles every gradient. (There, each was followed by its VAE's update; torch
refuses a backward pass through updated weights by now, so both passes come first.)

The limit is what a step cannot do without: the matrix products of every linear layer, into memory at hand, and one pass of Adam's
fused kernel over all parameters, which takes as long as to read four and to write three numbers a parameter.

Each has a process of its own, as settings of the allocator are a process's. Their turns alternate, and the fastest of each counts.
With one thread times are CPU times, which other programs on the machine disturb least; with more they are of the clock on the wall.
"""

import argparse
import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn

from models.config import TrainConfig
from models.crossmodal import Model, representations
from models.crossmodal_config import Config
from models.training import Trainer
from utils import cli

COUNTS = {"octave": 9, "pitch": 12, "dynamics": 5}  # classes of a label
WIDTHS = ("dims", "hidden_dims_1", "hidden_num_1", "hidden_dims_2", "hidden_num_2")
EPOCH = 20  # steps after which the straightforward loop lets go of its losses
TURN = 0.2  # s; more than one step where steps are short, so that each finds the caches as in training
FEWEST = 3  # turns of each that count
Make = Callable[[TrainConfig], Callable[[], None]]  # a configuration -> what does a step of it


def configuration(sizes: str, batch: int, precision: str) -> Config:
    """Return the default configuration of one instrument, with the layers of the preset `sizes` where it is one."""
    layers = {name: value for name, value in Config.PRESETS.get(sizes, {}).items() if name in WIDTHS}
    classes = {label: [str(i) for i in range(n)] for label, n in COUNTS.items()}
    return replace(Config(instruments=("Flute",), classes=classes), batch_size=batch, precision=precision, **layers)


def examples(config: Config) -> dict[str, Tensor]:
    """Return a random batch as `data.mixtures.Mixtures` makes them."""
    shape, (n_bins,) = (config.batch_size, len(config.instruments)), representations(config)["signal"].shape
    return {
        "signal": torch.rand(config.batch_size, n_bins) + 1e-3,
        "symbol": torch.stack([torch.randint(len(names), shape) for names in config.classes.values()], -1),
    }


def project(config: Config) -> Callable[[], None]:
    """Return the training step of this project."""
    model, batch = Model(config), examples(config)
    model.prepare([batch])
    trainer = Trainer(model.train(), Path(), torch.device("cpu"))
    return lambda: trainer.step(batch)


# -- the straightforward loop ------------------------------------------------------------------------------------------


class Stack(nn.Module):
    """Linear, batch normalisation and ReLU layers of one width, residual where a layer keeps its width."""

    def __init__(self, inputs: int, width: int, layers: int):
        super().__init__()
        pairs = itertools.pairwise([inputs] + [width] * layers)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()) for a, b in pairs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width) for (B, inputs)."""
        for layer in self.layers:
            y = layer(x)
            x = torch.relu(y + x) if y.shape == x.shape else y
        return x


class PlainVAE(nn.Module):
    """A VAE with one layer of latents and one or more heads: a list of class numbers, or one number of real values."""

    def __init__(self, inputs: int, outputs: list[int] | int, latents: int, hidden: tuple[int, int]):
        super().__init__()
        width = hidden[0]
        self.encoder, self.decoder = Stack(inputs, *hidden), Stack(latents, *hidden)
        self.posterior = nn.ModuleList(nn.Linear(width, latents) for _ in range(2))
        sizes = outputs if isinstance(outputs, list) else [outputs, outputs]
        self.heads, self.categorical = nn.ModuleList(nn.Linear(width, n) for n in sizes), isinstance(outputs, list)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the parameters of the observation and of the posterior, and samples of both."""
        q = _normal(self.posterior, self.encoder(x))
        z = _sample(q)
        h = self.decoder(z)
        if not self.categorical:
            p = _normal(self.heads, h)
            return p, q, [z, _sample(p)]
        p = [head(h).softmax(-1) for head in self.heads]
        return p, q, [z, *(each.multinomial(1) for each in p)]


def _normal(heads: nn.ModuleList, h: Tensor) -> list[Tensor]:
    return [heads[0](h), heads[1](h).sigmoid()]


def _sample(p: list[Tensor]) -> Tensor:
    mean, spread = p
    return mean + spread * torch.randn_like(mean)  # here a deviation, in the losses a variance: so did the original


def _divergence(q: list[Tensor], p: list[Tensor]) -> Tensor:
    """Return KL(q || p) in nats, a mean over the batch."""
    (a, v), (b, w) = q, p
    return 0.5 * (w.log() - v.log() + v / w + (a - b) ** 2 / w - 1).sum(-1).mean()


class Straightforward:
    """The pair of VAEs with the original's training step; call it to do one."""

    def __init__(self, config: Config):
        batch, (latents,) = examples(config), config.dims
        self.sources, self.ids, self.precision = batch["signal"], batch["symbol"][:, 0], config.precision
        self.sizes = [len(names) + 1 for names in config.classes.values()]  # with the class "silent"
        n_bins = self.sources.shape[1]
        self.signal = PlainVAE(n_bins, n_bins, latents, config.hidden(1, 0))
        self.symbol = PlainVAE(sum(self.sizes), self.sizes, latents, config.hidden(2, 0))
        self.optimizers = [torch.optim.Adam(vae.parameters(), lr=1e-5) for vae in (self.signal, self.symbol)]
        self.losses: tuple[Tensor, ...] = ()
        y = self.sources.log()
        self.centre, self.extent = y.mean(), (y - y.mean()).abs().max()
        self.x = self.preprocess()

    def preprocess(self) -> Tensor:
        """Return standardised log magnitudes of the sources."""
        return (self.sources.log() - self.centre) / self.extent

    def __call__(self) -> None:
        """Update both VAEs."""
        self.preprocess()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            loss = self._loss()
        self.losses = (self.losses if len(self.losses) < EPOCH else ()) + (loss,)
        for _ in self.optimizers:
            loss.backward(retain_graph=True)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()

    def _loss(self) -> Tensor:
        x, ids = self.x, self.ids
        one_hot = torch.cat([nn.functional.one_hot(ids[:, l], k) for l, k in enumerate(self.sizes)], -1).float()
        (mean, variance), q_x, _ = self.signal(x)
        p_y, q_y, _ = self.symbol(one_hot)
        prior = [torch.zeros_like(q_x[0]), torch.ones_like(q_x[0])]
        nll_x = 0.5 * (variance.log() + (x - mean) ** 2 / variance + math.log(2 * math.pi)).sum(-1).mean()
        nll_y = sum(-p.gather(1, ids[:, [l]]).mean() for l, p in enumerate(p_y))  # no logarithm: so did the original
        own = _divergence(q_x, prior) + _divergence(q_y, prior)
        return nll_x + nll_y + own + 10 * _divergence(q_x, q_y) + 0 * _divergence(q_y, q_x)


# -- the limit ---------------------------------------------------------------------------------------------------------


def limit(config: Config) -> Callable[[], None]:
    """Return what computes the matrix products and the pass of Adam of one step."""
    model = Model(config)
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    observed = {vae.encoders[0].layers[0][0] for vae in (model.audio, model.symbolic)}  # nothing to pass back to data
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    products = [_products(layer, config.batch_size, dtype, backward=layer not in observed) for layer in layers]
    numbers = nn.Parameter(torch.zeros(sum(p.numel() for p in model.parameters())))
    numbers.grad = torch.randn_like(numbers)
    adam = torch.optim.Adam([numbers], fused=True)

    def step() -> None:
        for product in products:
            product()
        adam.step()

    return step


def _products(layer: nn.Linear, batch: int, dtype: torch.dtype, backward: bool) -> Callable[[], None]:
    """Return what multiplies forward and back to the weights, and with `backward` to the input, too."""
    x, y = torch.randn(batch, layer.in_features, dtype=dtype), torch.randn(batch, layer.out_features, dtype=dtype)
    weight, bias = layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)
    y_out, x_out, weight_out = torch.empty_like(y), torch.empty_like(x), torch.empty_like(weight)

    def multiply() -> None:
        torch.addmm(bias, x, weight.t(), out=y_out)
        torch.mm(y.t(), x, out=weight_out)
        if backward:
            torch.mm(y, weight, out=x_out)

    return multiply


# -- the measurement ---------------------------------------------------------------------------------------------------


def serve(make: Make, config: TrainConfig, threads: int, pipe: Connection) -> None:
    """Make a step in this process, and at each message take a turn and answer with the seconds of one step."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step, clock = make(config), time.process_time if threads == 1 else time.perf_counter
    while pipe.recv():
        start, done, seconds = clock(), 0, 0.0
        while seconds < TURN:
            step()
            done, seconds = done + 1, clock() - start
        pipe.send(seconds / done)


def measure(makes: Sequence[Make], config: TrainConfig, threads: int, seconds: float) -> list[tuple[float, ...]]:
    """Return the seconds of a step that each of `makes` makes, a tuple for each: one number a turn.

    Turns alternate for about `seconds`; the first of each, which warms up, does not count.
    """
    context, pipes = multiprocessing.get_context("spawn"), []
    for make in makes:
        pipe, other = context.Pipe()
        context.Process(target=serve, args=(make, config, threads, other), daemon=True).start()
        other.close()  # so that a process that fails ends the wait for its answer
        pipes.append(pipe)
    rounds = [[_turn(pipe) for pipe in pipes]]
    end = time.monotonic() + seconds
    while len(rounds) <= FEWEST or time.monotonic() < end:
        rounds.append([_turn(pipe) for pipe in pipes])
    for pipe in pipes:
        pipe.send(False)
    for process in multiprocessing.active_children():
        process.join()
    return list(zip(*rounds[1:], strict=True))


def _turn(pipe: Connection) -> float:
    pipe.send(True)
    return pipe.recv()


def row(sizes: str, config: Config, threads: int, seconds: float) -> str:
    """Measure and return one line of the table."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Model(config).parameters())
    ours, plain, least = times = [min(turns) for turns in measure((project, Straightforward, limit), config, threads, seconds)]
    cells = [sizes, config.batch_size, config.precision, f"{parameters / 1e6:.2f} M", f"{1e3 * ours:.1f}"]
    cells += [f"{config.batch_size / t:.0f}" for t in times]
    return "| " + " | ".join(map(str, [*cells, f"{plain / ours:.2f}", f"{100 * least / ours:.0f} %"])) + " |"


def main(argv: list[str]) -> None:
    """Print the table that the command line `argv` asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("default", *Config.PRESETS)
    parser.add_argument("--sizes", nargs="+", default=["default", "quick"], choices=names, help="layers: default, or a preset's")
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256], help="batch sizes (default: 64 256)")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"), help="default: fp32")
    parser.add_argument("--threads", type=int, default=1, help="threads to compute with (default: 1)")
    parser.add_argument("--seconds", type=float, default=25.0, help="time of each line of the table (default: 25)")
    args = parser.parse_args(argv)
    print(f"torch {torch.__version__}, threads: {args.threads}, {'CPU' if args.threads == 1 else 'wall'} time\n")
    print("| sizes | batch | precision | parameters | ms/step | examples/s | straightforward | limit | times | of the limit |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for sizes, batch, precision in itertools.product(args.sizes, args.batches, args.precision):
        print(row(sizes, configuration(sizes, batch, precision), args.threads, args.seconds), flush=True)


if __name__ == "__main__":
    cli.run(main)
