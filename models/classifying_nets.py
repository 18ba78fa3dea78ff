"""The networks of the classifying system: what infers the key, what infers and decodes latents, and what of a frame depends.

A body has one of two time models. `Frames`: one latent a window, whose frames are one long vector. `Sequences`: one latent a frame,
LSTMs that remember. n is the number of latents of a window, 1 or T.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from data.rolls import KEYS
from models.losses import Normal

SPREAD = 0.1  # of the initial weights of heads and outputs of sequences
UNITS_A_KEY = 4  # hidden units of autoregressive outputs

State = tuple[Tensor, Tensor]  # of an LSTM: (1, B, H) each


def glorot(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer with Glorot-uniform weights and no bias at first (Glorot and Bengio 2010, section 4.2.1)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def narrow(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer with weights drawn from N(0, 0.1^2) and no bias at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=SPREAD)
    nn.init.zeros_(layer.bias)
    return layer


def hidden(inputs: int, width: int, dropout: float) -> tuple[nn.Module, int]:
    """Return a rectified layer and its width; none at all, and the width of the input, where the width is 0."""
    if not width:
        return nn.Dropout(dropout), inputs
    return nn.Sequential(glorot(inputs, width), nn.ReLU(), nn.Dropout(dropout)), width


class Head(nn.Module):
    """Two linear layers to the mean and the log variance of a diagonal Gaussian."""

    def __init__(self, inputs: int, outputs: int, layer=glorot):
        super().__init__()
        self.mean, self.log_variance = layer(inputs, outputs), layer(inputs, outputs)

    def forward(self, h: Tensor) -> Normal:
        """Return the Gaussian (..., outputs) that `h` (..., inputs) stands for."""
        return Normal(self.mean(h).float(), self.log_variance(h).float().exp())


class KeyEncoder(nn.Module):
    """From a whole window to logits of keys."""

    def __init__(self, length: int, width: int, logits: int):
        super().__init__()
        self.hidden, _ = hidden(length * KEYS, width, 0.0)
        self.head = Head(width, logits)

    def forward(self, x: Tensor) -> Normal:
        """Return the Gaussian (B, logits) of the logits for `x` (B, T, 88)."""
        return self.head(self.hidden(x.flatten(1)))


class Recurrent(nn.Module):
    """One LSTM with one vector of biases, as Keras has it: orthogonal recurrent weights, forget gates open at first."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.width = width
        self.input = nn.Parameter(nn.init.xavier_uniform_(torch.empty(4 * width, inputs)))
        self.recurrent = nn.Parameter(nn.init.orthogonal_(torch.empty(4 * width, width)))
        self.bias = nn.Parameter(torch.zeros(4 * width))
        with torch.no_grad():
            self.bias[width : 2 * width] = 1

    def start(self, x: Tensor) -> State:
        """Return the state before the first of `x` (B, ...)."""
        return x.new_zeros(1, len(x), self.width), x.new_zeros(1, len(x), self.width)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return all outputs (B, T, H) for `x` (B, T, inputs), and the state after them."""
        weights = [self.input, self.recurrent, self.bias, torch.zeros_like(self.bias)]
        outputs, h, c = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, True)
        return outputs, (h, c)


class Memory(NamedTuple):
    """What a body remembers of the frames so far: the states of what infers and of what decodes; None where it forgets all."""

    inferring: State | None = None
    decoding: State | None = None


class Frames(nn.Module):
    """One latent for a window of T frames, which are one long vector; nothing is remembered."""

    def __init__(self, config, told: int):
        super().__init__()
        width, size, lag = config.intermediate_dim, config.latent_dim, KEYS * config.use_x_prev
        self.length, self.n = config.seq_length, 1
        self.encode_hidden, wide = hidden(self.length * KEYS + told, width, config.dropout)
        self.posterior = Head(wide, size)
        self.decode_hidden, wide = hidden(told + lag + size, width, config.dropout)
        self.output = glorot(wide, self.length * KEYS)
        if config.prior == "learned":
            self.prior_hidden, wide = hidden(told + lag, width, config.dropout)
            self.prior = Head(wide, size)

    def start(self, x: Tensor) -> Memory:
        """Return the memory before the first window."""
        return Memory()

    def infer(self, x: Tensor, w: Tensor, memory: Memory) -> tuple[Normal, Memory]:
        """Return q(z | x, w), (B, 1, Z), for `x` (B, T, 88) and `w` (B, K)."""
        q = self.posterior(self.encode_hidden(torch.cat([x.flatten(1), w], 1)))
        return Normal(q.mean[:, None], q.variance[:, None]), memory

    def expect(self, history: Tensor, w: Tensor, memory: Memory) -> Normal:
        """Return the learned p(z | history, w), (B, 1, Z), for `history` (B, T, 88), of which the first frame counts, if any."""
        p = self.prior(self.prior_hidden(torch.cat([w, history[:, :1].flatten(1)], 1)))
        return Normal(p.mean[:, None], p.variance[:, None])

    def emit(self, z: Tensor, history: Tensor, w: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """Return logits (B, T, 88), and nothing that a prior needs."""
        g = self.decode_hidden(torch.cat([w, history[:, :1].flatten(1), z[:, 0]], 1))
        return self.output(g).unflatten(1, (self.length, KEYS)), g, memory

    def expect_all(self, history: Tensor, w: Tensor, g: Tensor, memory: Memory) -> Normal:
        """Return the learned priors of all latents of a window."""
        return self.expect(history, w, memory)


class Sequences(nn.Module):
    """One latent a frame: LSTMs over frames, and over latents beside frames before them."""

    def __init__(self, config, told: int):
        super().__init__()
        width, size, lag = config.intermediate_dim, config.latent_dim, KEYS * config.use_x_prev
        self.length, self.n = 1, config.seq_length
        self.shortcuts = config.shortcuts
        self.encoder = Recurrent(KEYS + told, width)
        self.decoder = Recurrent(lag + size + told, width)
        self.encode_hidden, wide = self._hidden(width, KEYS + told, config.dropout)
        self.posterior = Head(wide, size, narrow)
        self.decode_hidden, wide = self._hidden(width, lag + size + told, config.dropout)
        self.output = narrow(wide, KEYS)
        if config.prior == "learned":
            self.prior_hidden, wide = hidden(width + lag + told, width, config.dropout)
            self.prior = Head(wide, size, narrow)

    def _hidden(self, width: int, inputs: int, dropout: float) -> tuple[nn.Module, int]:
        """Return what stands behind an LSTM, and its width: nothing, or a rectified layer that sees the LSTM's inputs, too."""
        return hidden(width + inputs, width, dropout) if self.shortcuts else (nn.Dropout(dropout), width)

    def start(self, x: Tensor) -> Memory:
        """Return the memory before the first of `x` (B, ...)."""
        return Memory(self.encoder.start(x), self.decoder.start(x))

    def infer(self, x: Tensor, w: Tensor, memory: Memory) -> tuple[Normal, Memory]:
        """Return q(z_t | x_1 .. x_t, w), (B, T, Z), for `x` (B, T, 88) and `w` (B, K)."""
        given = torch.cat([x, along(w, x)], 2)
        outputs, state = self.encoder(given, memory.inferring)
        return self.posterior(self.encode_hidden(self._beside(outputs, given))), memory._replace(inferring=state)

    def _beside(self, outputs: Tensor, given: Tensor) -> Tensor:
        return torch.cat([outputs, given], 2) if self.shortcuts else outputs

    def expect(self, history: Tensor, w: Tensor, memory: Memory) -> Normal:
        """Return the learned p(z_t | all before, w), (B, 1, Z), of the next frame; `history` (B, 1, 88) is the frame before it."""
        return self._expect(memory.decoding[0].transpose(0, 1), history, w)

    def _expect(self, before: Tensor, history: Tensor, w: Tensor) -> Normal:
        return self.prior(self.prior_hidden(torch.cat([before, history, along(w, before)], 2)))

    def emit(self, z: Tensor, history: Tensor, w: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """Return logits (B, T, 88), and the outputs (B, T, H) of the LSTM, for latents (B, T, Z)."""
        given = torch.cat([history, z, along(w, z)], 2)
        g, state = self.decoder(given, memory.decoding)
        return self.output(self.decode_hidden(self._beside(g, given))), g, memory._replace(decoding=state)

    def expect_all(self, history: Tensor, w: Tensor, g: Tensor, memory: Memory) -> Normal:
        """Return the learned priors of all latents of a window, (B, T, Z), of what `emit` remembered of those before."""
        return self._expect(torch.cat([memory.decoding[0].transpose(0, 1), g[:, :-1]], 1), history, w)


def along(w: Tensor, x: Tensor) -> Tensor:
    """Repeat `w` (B, K) along the frames of `x` (B, T, ...)."""
    return w[:, None].expand(-1, x.shape[1], -1)


class Independent(nn.Module):
    """Keys of a frame that are independent, given what is decoded."""

    def forward(self, base: Tensor, x: Tensor) -> Tensor:
        """Return the logits (..., 88) of frames."""
        return base

    def draw(self, base: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return frames (N, 88) of 0 and 1, drawn by numbers between 0 and 1; the most likely ones at temperature 0."""
        return decided(base, temperature, uniform)


class Autoregressive(nn.Module):
    """Keys of a frame of which each is told all beneath it, by masked layers.

    Germain, Gregor, Murray and Larochelle, "MADE", 2015, sections 3 and 4.2 (with direct connections); the likelihood is that of
    NADE (Larochelle and Murray 2011, section 3), of which this is the parallel form.
    """

    def __init__(self):
        super().__init__()
        units = KEYS * UNITS_A_KEY
        degree = torch.arange(units) // UNITS_A_KEY  # a hidden unit is told the keys below its degree
        key = torch.arange(KEYS)
        self.inner, self.context, self.outer = glorot(KEYS, units), glorot(KEYS, units), glorot(units, KEYS)
        self.direct = nn.Parameter(nn.init.xavier_uniform_(torch.empty(KEYS, KEYS)))
        for name, mask in (
            ("told", key[None] < degree[:, None]),
            ("heard", degree[None] <= key[:, None]),
            ("beneath", key[None] < key[:, None]),
        ):
            self.register_buffer(name, mask.float(), persistent=False)

    def forward(self, base: Tensor, x: Tensor) -> Tensor:
        """Return the logits (..., 88) of frames `x` (..., 88), each key's given those beneath it."""
        linear = nn.functional.linear
        h = torch.relu(linear(x, self.inner.weight * self.told, self.inner.bias) + self.context(base))
        outer = linear(h, self.outer.weight * self.heard, self.outer.bias)
        return base + outer + linear(x, self.direct * self.beneath)

    def draw(self, base: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """Return frames (N, 88) of 0 and 1, drawn key by key; the more likely of two at each key at temperature 0."""
        x = torch.zeros_like(base)
        told, heard, beneath = self.inner.weight * self.told, self.outer.weight * self.heard, self.direct * self.beneath
        a = self.inner.bias + self.context(base)
        for key in range(KEYS):
            units = (key + 1) * UNITS_A_KEY
            logit = base[:, key] + self.outer.bias[key] + a[:, :units].relu() @ heard[key, :units] + x[:, :key] @ beneath[key, :key]
            x[:, key] = decided(logit, temperature, uniform[:, key])
            a = a + x[:, key, None] * told[:, key]
        return x


OUTPUTS = {"independent": Independent, "autoregressive": Autoregressive}


def decided(logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Return 1 where a number between 0 and 1 is below the probability, at temperature 0 where that is above a half."""
    return (logits > 0).float() if temperature == 0 else (uniform < torch.sigmoid(logits / temperature)).float()


def normalise_weights(module: nn.Module) -> None:
    """Write every matrix of weights as its rows' lengths times their directions.

    Salimans and Kingma, "Weight normalization", 2016, section 2. At first nothing changes.
    """
    for owner, name in list(_matrices(module)):
        weight_norm(owner, name, dim=0)


def _matrices(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.ndim > 1:
                yield owner, name
