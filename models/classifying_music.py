"""How a classifying model goes on from a seed, frame by frame; many pieces at once.

With latents of the posterior, what the original program does (its section 6): the frame before is inferred again, and drawn anew
with the noise of its latent, which carries the music on. With latents of the prior, each frame follows the last one.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from data.rolls import KEYS
from models.losses import Normal
from models.score import Manner


def play(model, seed: Tensor, steps: int, w: Tensor, manner: Manner, random: torch.Generator) -> Tensor:
    """Return the `steps` frames (N, steps, 88) that follow `seed` (N, S, 88) in keys with the weights `w` (N, steps, K)."""
    follow = _windows if model.config.model == "vae" else _sequence
    with parametrize.cached():
        frames = list(follow(model, seed, -(-steps // model.body.length), w, manner, random))
    return torch.cat(frames, 1)[:, :steps]


def _windows(model, seed: Tensor, count: int, w: Tensor, manner: Manner, random: torch.Generator) -> Iterator[Tensor]:
    """Yield windows (N, L, 88), one after another."""
    length, body = model.body.length, model.body
    padded = torch.cat([seed.new_zeros(len(seed), max(0, length - seed.shape[1]), KEYS), seed], 1)
    last = padded[:, -length:]
    before = padded[:, -length - 1 : -length] if padded.shape[1] > length else last[:, :1]
    for number in range(count):
        told, memory = w[:, number * length], body.start(seed)
        if manner.prior or not seed.shape[1]:
            before = last[:, -1:]
            z = _new(model, before, told, memory, random)
        else:
            z = drawn(body.infer(last, told, memory)[0], random)
        base, _, _ = body.emit(z, _history(model, before), told, memory)
        before, last = last[:, -1:], model.frames(base, manner.temperature, random)
        yield last


def _sequence(model, seed: Tensor, count: int, w: Tensor, manner: Manner, random: torch.Generator) -> Iterator[Tensor]:
    """Yield frames (N, 1, 88), one after another."""
    body, memory, last = model.body, model.body.start(seed), seed.new_zeros(len(seed), 1, KEYS)
    anew = manner.prior or not seed.shape[1]
    if seed.shape[1]:
        q, memory = body.infer(seed, w[:, 0], memory)
        history = torch.cat([last, seed[:, :-1]], 1) if anew else seed
        base, _, memory = body.emit(drawn(q, random), _history(model, history), w[:, 0], memory)
        last = seed[:, -1:]
        if not anew:  # what is decoded from the last frame of the seed is the first that is new
            last = model.frames(base[:, -1:], manner.temperature, random)
            yield last
    for number in range(count - (not anew)):
        told = w[:, number + (not anew)]
        if anew:
            z = _new(model, last, told, memory, random)
        else:
            q, memory = body.infer(last, told, memory)
            z = drawn(q, random)
        base, _, memory = body.emit(z, _history(model, last), told, memory)
        last = model.frames(base, manner.temperature, random)
        yield last


def dreamt(model, w: Tensor, random: torch.Generator | None) -> Tensor:
    """Draw the latents (N, n, Z) of a window that begins after silence, in keys with the weights `w` (N, K), from the prior."""
    body, memory, last, latents = model.body, model.body.start(w), w.new_zeros(len(w), 1, KEYS), []
    for _ in range(body.n):
        latents.append(_new(model, last, w, memory, random))
        base, _, memory = body.emit(latents[-1], _history(model, last), w, memory)
        last = model.frames(base, 1.0, random)[:, -1:]
    return torch.cat(latents, 1)


def _history(model, frames: Tensor) -> Tensor:
    """Return what the decoder is told of the frames before, nothing where it is told nothing."""
    return frames if model.config.use_x_prev else frames[..., :0]


def _new(model, before: Tensor, w: Tensor, memory, random: torch.Generator) -> Tensor:
    """Draw a latent (N, 1, Z) from the prior."""
    if model.config.prior == "learned":
        return drawn(model.body.expect(_history(model, before), w, memory), random)
    shape = (len(before), 1, model.config.latent_dim)
    return torch.randn(shape, generator=random).to(before.device)


def drawn(q: Normal, random: torch.Generator | None) -> Tensor:
    """Draw from a Gaussian, by the global generator where there is none."""
    noise = torch.randn_like(q.mean) if random is None else torch.randn(q.mean.shape, generator=random).to(q.mean.device)
    return q.mean + q.variance.sqrt() * noise
