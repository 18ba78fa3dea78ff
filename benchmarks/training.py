"""Measure training steps of the crossmodal system against a straightforward loop and against the limit of the machine.

The straightforward loop does what the original program of 2019 did in a step, in today's torch: plain Adam, losses that are kept
with their graphs for an epoch, samples of decoder outputs that nobody uses, a second preprocessing that is thrown away, and two
backward passes, one for each VAE, of which the second doubles every gradient. (There, each was followed by its VAE's update; torch
refuses a backward pass through updated weights by now, so both passes come first.)

The limit is what a step cannot do without: the matrix products of every linear layer, into memory at hand, and one pass of Adam's
fused kernel over all parameters, which takes as long as to read four and to write three numbers a parameter.

Rounds of all of them alternate, and the fastest of each counts. With one thread times are CPU times, which other programs on the
machine disturb least; with more they are of the clock on the wall.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal, kl_divergence

from models.crossmodal import Model
from models.crossmodal_config import Config
from models.training import Trainer
from utils import cli

CLASSES = {"octave": list("012345678"), "pitch": ["A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#"], "dynamics": ["pp", "p", "mf", "f", "ff"]}
SLOTS = [len(names) + 1 for names in CLASSES.values()]  # with the class "silent"
WIDTHS = ("dims", "hidden_dims_1", "hidden_num_1", "hidden_dims_2", "hidden_num_2")
EPOCH = 10  # steps after which the straightforward loop lets go of its losses
FEWEST = 3  # rounds


def configuration(preset: str, batch: int, precision: str) -> Config:
    """Return the default configuration of one instrument with the sizes of `preset`, the default ones where it names none."""
    sizes = {name: value for name, value in Config.PRESETS.get(preset, {}).items() if name in WIDTHS}
    return replace(Config(instruments=("Flute",), classes=CLASSES), batch_size=batch, precision=precision, **sizes)


def examples(config: Config, n_bins: int) -> dict[str, Tensor]:
    """Return a random batch as `data.mixtures.Mixtures` makes them."""
    shape = (config.batch_size, len(config.instruments))
    return {
        "signal": torch.rand(config.batch_size, n_bins) + 1e-3,
        "symbol": torch.stack([torch.randint(len(names), shape) for names in config.classes.values()], -1),
        "note": torch.zeros(shape, dtype=torch.long),
    }


# -- the straightforward loop ---------------------------------------------------------------------------------------------------------


class Stack(nn.Module):
    """Linear, batch normalisation and ReLU layers of one width, residual where a layer keeps its width."""

    def __init__(self, inputs: int, width: int, layers: int):
        super().__init__()
        pairs = pairwise([inputs] + [width] * layers)
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

    def forward(self, x: Tensor) -> tuple[list, Normal, list[Tensor]]:
        """Return the distributions of the observation, the posterior, and samples of all of them."""
        q = _normal(self.posterior, self.encoder(x))
        z = q.rsample()
        h = self.decoder(z)
        p = [Categorical(head(h).softmax(-1)) for head in self.heads] if self.categorical else [_normal(self.heads, h)]
        return p, q, [z, *(each.sample() if self.categorical else each.rsample() for each in p)]


def _normal(heads: nn.ModuleList, h: Tensor) -> Normal:
    mean, spread = (head(h) for head in heads)
    return Normal(mean, torch.sigmoid(spread))


class Straightforward:
    """The pair of VAEs with the original's training step."""

    def __init__(self, config: Config, batch: dict[str, Tensor]):
        (latents,), n_bins = config.dims, batch["signal"].shape[1]
        self.signal = PlainVAE(n_bins, n_bins, latents, config.hidden(1, 0))
        self.symbol = PlainVAE(sum(SLOTS), SLOTS, latents, config.hidden(2, 0))
        self.optimizers = [torch.optim.Adam(vae.parameters(), lr=1e-5) for vae in (self.signal, self.symbol)]
        self.losses: tuple[Tensor, ...] = ()
        self.precision = config.precision
        self.sources, self.ids = batch["signal"], batch["symbol"][:, 0]
        y = self.sources.log()
        self.centre, self.extent = y.mean(), (y - y.mean()).abs().max()
        self.x = self.preprocess()

    def preprocess(self) -> Tensor:
        """Return standardised log magnitudes of the sources."""
        return (self.sources.log() - self.centre) / self.extent

    def step(self) -> None:
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
        one_hot = torch.cat([nn.functional.one_hot(ids[:, l], k) for l, k in enumerate(SLOTS)], -1).float()
        (p_x,), q_x, _ = self.signal(x)
        p_y, q_y, _ = self.symbol(one_hot)
        prior = Normal(torch.zeros_like(q_x.mean), torch.ones_like(q_x.mean))
        nll = -p_x.log_prob(x).sum(-1).mean() - sum(p.log_prob(ids[:, l]).mean() for l, p in enumerate(p_y))
        own = kl_divergence(q_x, prior).sum(-1).mean() + kl_divergence(q_y, prior).sum(-1).mean()
        return nll + own + 10 * kl_divergence(q_x, q_y).sum(-1).mean() + 0 * kl_divergence(q_y, q_x).sum(-1).mean()


# -- the limit ------------------------------------------------------------------------------------------------------------------------


class Products:
    """The matrix products of one step of every linear layer in `model`: forward, and backward to the weights and to the input."""

    def __init__(self, model: nn.Module, batch: int, dtype: torch.dtype):
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        observed = {vae.encoders[0].layers[0][0] for vae in (model.audio, model.symbolic)}  # nothing to pass back to data
        self.operands = [self._operands(layer, batch, dtype, layer in observed) for layer in layers]

    @staticmethod
    def _operands(layer: nn.Linear, batch: int, dtype: torch.dtype, first: bool) -> tuple[Tensor, ...]:
        x, y = torch.randn(batch, layer.in_features, dtype=dtype), torch.randn(batch, layer.out_features, dtype=dtype)
        weight, bias = layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)
        return x, y, weight, bias, torch.empty_like(weight), torch.empty_like(y), None if first else torch.empty_like(x)

    def step(self) -> None:
        """Compute all products."""
        for x, y, weight, bias, weight_grad, out, x_grad in self.operands:
            torch.addmm(bias, x, weight.t(), out=out)
            torch.mm(y.t(), x, out=weight_grad)
            if x_grad is not None:
                torch.mm(y, weight, out=x_grad)


def adam_pass(model: nn.Module) -> Callable[[], None]:
    """Return one update of as many numbers as `model` has parameters, in one piece."""
    numbers = nn.Parameter(torch.zeros(sum(p.numel() for p in model.parameters())))
    numbers.grad = torch.randn_like(numbers)
    return torch.optim.Adam([numbers], fused=True).step


# -- the measurement ------------------------------------------------------------------------------------------------------------------


def contenders(config: Config) -> tuple[int, dict[str, Callable[[], None]]]:
    """Return the number of parameters, and by name what is to be timed."""
    torch.manual_seed(0)
    model = Model(config)
    batch = examples(config, model.representations["signal"].shape[0])
    model.prepare([batch])
    trainer = Trainer(model.train(), Path(), torch.device("cpu"))
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    return sum(p.numel() for p in model.parameters()), {
        "project": lambda: trainer.step(batch),
        "straightforward": Straightforward(config, batch).step,
        "products": Products(model, config.batch_size, dtype).step,
        "adam": adam_pass(model),
    }


def measure(steps: dict[str, Callable[[], None]], seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Return the least time of each of `steps` in seconds, over as many alternating rounds as fit into `seconds`."""
    end, times = time.monotonic() + seconds, {name: [] for name in steps}
    while len(times["project"]) <= FEWEST or time.monotonic() < end:
        for name, step in steps.items():
            start = clock()
            step()
            times[name].append(clock() - start)
    return {name: min(values[1:]) for name, values in times.items()}  # the first is for warming up


def row(preset: str, config: Config, parameters: int, best: dict[str, float]) -> str:
    """Return one line of the table."""
    project, plain, limit = best["project"], best["straightforward"], best["products"] + best["adam"]
    cells = [preset, config.batch_size, config.precision, f"{parameters / 1e6:.2f} M", f"{1e3 * project:.1f}"]
    cells += [f"{config.batch_size / t:.0f}" for t in (project, plain, limit)]
    return "| " + " | ".join(map(str, [*cells, f"{plain / project:.2f}", f"{100 * limit / project:.0f} %"])) + " |"


def main(argv: list[str]) -> None:
    """Print the table that the command line `argv` asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["default", "quick"], help="'default', or a preset, whose widths to take")
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256], help="batch sizes (default: 64 256)")
    parser.add_argument("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"), help="default: fp32")
    parser.add_argument("--threads", type=int, default=1, help="threads to compute with (default: 1)")
    parser.add_argument("--seconds", type=float, default=25.0, help="time for each line of the table (default: 25)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    print(f"torch {torch.__version__}, threads: {args.threads}, {'CPU' if args.threads == 1 else 'wall'} time\n")
    print("| sizes | batch | precision | parameters | ms/step | examples/s | straightforward | limit | times | of the limit |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for preset in args.sizes:
        for batch in args.batches:
            for precision in args.precision:
                config = configuration(preset, batch, precision)
                parameters, steps = contenders(config)
                print(row(preset, config, parameters, measure(steps, args.seconds, clock)), flush=True)


if __name__ == "__main__":
    cli.run(main)
