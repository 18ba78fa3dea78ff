"""The classifying system: VAEs of piano-rolls, by frames or with LSTMs, with a logistic-normal latent for the key.

Hennig, Umakantha and Williamson, "A classifying variational autoencoder with application to polyphonic music generation", 2017
(arXiv 1711.07050), sections 2 and 3. docs/classifying.md says where this departs from it.

The latent of a window is the U logits u of the keys, if they are inferred, then the n latents z of its frames; the weights of the
keys are w = softmax(u), U = K, or those of the paper, w = softmax([u, 0]), U = K - 1.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from data.excerpts import Excerpts
from data.piano_roll import Classes, PianoRoll, exists
from data.representations import Facet
from data.rolls import KEYS, STEPS
from data.splits import SPLITS
from models import losses
from models.base import Losses
from models.classifying_anchors import anchors as anchors
from models.classifying_config import KEY, Config
from models.classifying_music import drawn, dreamt, play
from models.classifying_nets import OUTPUTS, Frames, KeyEncoder, Memory, Sequences, normalise_weights
from models.losses import Normal
from models.score import SCORE, Manner, ScoreModel
from utils.config import InputError
from utils.device import generator

log = logging.getLogger(__name__)

BODIES = {"vae": Frames, "lstm": Sequences}
CERTAIN = 1e-6  # variance of logits that were told
TINY = 1e-6  # weight of a key, at least, when it is told


class Parts(NamedTuple):
    """A window as the model sees it, silent beyond the end of a piece."""

    inputs: Tensor  # (B, T, 88), that latents are inferred from
    history: Tensor  # (B, T, 88), that the decoder is told; (B, T, 0) where it is told nothing
    targets: Tensor  # (B, T, 88), that are decoded
    there: Tensor  # (B, T), 1 within the piece


class Explained(NamedTuple):
    """How one draw of latents explains windows, (B, T) or (B, n) each, in nats, 0 beyond the end of a piece."""

    nll: Tensor
    kl: Tensor
    log_ratio: Tensor  # ln p(z) / q(z) of what was drawn
    logits: Tensor  # (B, T, 88)


class Model(ScoreModel):
    """One model of four: by frames or with LSTMs, with or without a latent for the key."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, names = config, tuple(config.classes[KEY])
        self.representations = {SCORE: PianoRoll(config.seq_length, config.lag, STEPS[config.step])}
        self.classes = len(names) if config.classify else 0
        if config.classify:
            self.representations[KEY] = Classes(KEY, names)
            self.key_encoder = KeyEncoder(config.seq_length, config.intermediate_class_dim, self.logits)
            self.register_buffer("usual", torch.full((self.classes, self.classes), 1 / self.classes))  # mean weights of a class
            horizon = torch.tensor(config.class_windows, device="cpu").float().clamp_min(1)[:, None]
            self.register_buffer("horizon", horizon, persistent=False)
        self.body = BODIES[config.model](config, self.classes)
        self.output = OUTPUTS[config.output]()
        self.latent_shape = (self.logits + self.body.n * config.latent_dim,)
        if config.optimizer == "adam-wn":
            normalise_weights(self)

    @property
    def logits(self) -> int:
        """Return the number of logits among the latents: K - 1, or K where all keys are alike."""
        return self.classes if self.config.symmetric_w else max(self.classes - 1, 0)

    @property
    def translations(self) -> list[tuple[str, str]]:
        """Return the pairs (source, target): a score is made anew, and its key named."""
        return [(SCORE, target) for target in self.representations]

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return the key of each window, which is known to those who look even where the model does not."""
        return {KEY: Facet(batch[KEY].argmax(-1), tuple(self.config.classes[KEY]))}

    # -- training -----------------------------------------------------------------------------------------------------

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of a batch of windows (B, lag + T, 88) and keys (B, K); evaluation always draws the same.

        Section 5.1 of the program: of LSTMs, what frames cost is a mean over them, what the key costs is not, unless `scale_w`.
        """
        config, parts = self.config, self._parts(batch[SCORE])
        random = None if self.training else generator("evaluation", batch[SCORE].sum().item())
        frames = parts.there.sum(1) if config.model == "lstm" else torch.ones_like(parts.there[:, 0])
        q = self._infer_key(parts.inputs)
        u = drawn(q, random)
        found = self._explain(parts, self.weights(u), random)
        terms = {"nll_score": (found.nll.sum(1) / frames).mean(), "kl_score": (found.kl.sum(1) / frames).mean()}
        epoch = step // config.epoch_steps
        scale = {"nll_score": 1.0, "kl_score": annealed(epoch, config.kl_anneal, 0.1)}
        if config.classify:
            named = (batch[KEY] * functional.log_softmax(self._of_all(u), 1)).sum(1)
            share = frames if config.scale_w else torch.ones_like(frames)
            terms |= {"kl_key": (losses.kl(q, self._key_prior(len(u))) / share).mean(), "nll_key": -(named / share).mean()}
            terms["right_key"] = (self._of_all(u).argmax(1) == batch[KEY].argmax(1)).float().mean()
            scale |= {"kl_key": annealed(epoch, config.w_kl_anneal, 0.0), "nll_key": config.class_weight * (self.classes - 1)}
            if self.training:
                self._remember(self.weights(q.mean.detach()), batch[KEY])
        return Losses(sum(weight * terms[name] for name, weight in scale.items()), terms)

    def _remember(self, weights: Tensor, key: Tensor) -> None:
        """Let the mean weights (K, K) of the classes follow those (B, K) of windows in known keys (B, K).

        They forget within an epoch or so, those of a rare class like those of a common one.
        """
        count = key.sum(0)[:, None]
        mean = key.T @ weights / count.clamp_min(1)
        self.usual.copy_(mean + (self.usual - mean) * torch.exp(-count / self.horizon))

    def _parts(self, windows: Tensor) -> Parts:
        """Return the parts of windows (B, lag + T, 88)."""
        there, frames, lag = exists(windows[:, self.config.lag :]).float(), windows.clamp_min(0), self.config.lag
        inputs = frames[:, : frames.shape[1] - lag] if self.config.predict_next else frames[:, lag:]
        history = frames[:, :-1] if self.config.use_x_prev else frames[:, lag:, :0]
        return Parts(inputs, history, frames[:, lag:], there)

    def _infer_key(self, x: Tensor) -> Normal:
        """Return the Gaussian (B, U) of the logits of keys; empty where none is inferred."""
        return self.key_encoder(x) if self.classes else Normal(x.new_zeros(len(x), 0), x.new_ones(len(x), 0))

    def _key_prior(self, n: int) -> Normal:
        zeros = torch.zeros(n, self.logits, device=self.body.output.bias.device)
        return Normal(zeros, (zeros + self.config.w_log_var_prior).exp())

    def weights(self, u: Tensor) -> Tensor:
        """Return the weights (..., K) of keys for their logits (..., U); (..., 0) for none."""
        return self._of_all(u).softmax(-1) if self.classes else u

    def _of_all(self, u: Tensor) -> Tensor:
        """Return the logits (..., K) of all keys; that of the last is 0 where it is no latent."""
        return u if self.config.symmetric_w else functional.pad(u, (0, 1))

    def _explain(self, parts: Parts, w: Tensor, random: torch.Generator | None) -> Explained:
        """Return how one draw of latents explains windows, whose keys have the weights `w` (B, K)."""
        memory = self.body.start(w)
        q, _ = self.body.infer(parts.inputs, w, memory)
        z = drawn(q, random)
        base, g, _ = self.body.emit(z, parts.history, w, memory)
        p = self._prior(parts.history, w, g, memory, q)
        logits = self.output(base, parts.targets).float()
        there = parts.there if self.body.n == parts.there.shape[1] else parts.there[:, :1]
        kl, ratio = losses.kl(q, p) * there, (losses.gaussian_nll(q, z) - losses.gaussian_nll(p, z)) * there
        return Explained(losses.bernoulli_nll(logits, parts.targets) * parts.there, kl, ratio, logits)

    def _prior(self, history: Tensor, w: Tensor, g: Tensor, memory: Memory, q: Normal) -> Normal:
        """Return the prior of all latents of windows (B, n, Z)."""
        if self.config.prior == "learned":
            return self.body.expect_all(history, w, g, memory)
        return Normal(torch.zeros_like(q.mean), torch.ones_like(q.variance))

    # -- translation --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of the latents (N, U + n Z) of windows; of z given the mean of u, or the key that is told.

        Parameters
        ----------
        condition : (N, 1) class ids of keys that are told; None infers them.
        """
        parts = self._parts(x)
        u = self._infer_key(parts.inputs) if condition is None else self._told(condition[:, 0])
        q, _ = self.body.infer(parts.inputs, self.weights(u.mean), self.body.start(x))
        return Normal(*(torch.cat([a, b.flatten(1)], 1) for a, b in zip(u, q, strict=True)))

    def _told(self, ids: Tensor) -> Normal:
        """Return the logits (N, U) that are usual in a class."""
        log = self.usual[ids].clamp_min(TINY).log() if self.classes else torch.zeros(len(ids), 1, device=ids.device)
        u = log - log.mean(1, keepdim=True) if self.config.symmetric_w else log[:, :-1] - log[:, -1:]
        return Normal(u, torch.full_like(u, CERTAIN))

    def split(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights (N, K) of keys and the latents (N, n, Z) of frames in latents (N, U + n Z)."""
        return self.weights(latents[:, : self.logits]), latents[:, self.logits :].unflatten(1, (self.body.n, -1))

    def decode(
        self,
        z: Tensor,
        target: str,
        condition: Tensor | None = None,
        temperature: float = 0.0,
        before: Tensor | None = None,
    ) -> Tensor:
        """Return windows (N, lag + T, 88), or weights of keys (N, K), for latents (N, U + n Z).

        A window begins after the frames `before` (N, lag, 88), or silence; where the decoder is told the frame before, it is the
        one that it has decoded itself.
        """
        w, latents = self.split(z)
        if target == KEY:
            return w
        config, memory = self.config, self.body.start(z)
        frames = [z.new_zeros(len(z), config.lag, KEYS) if before is None else before]
        for step in range(self.body.n):
            before = frames[-1][:, -1:] if config.use_x_prev else z.new_zeros(len(z), 1, 0)
            base, _, memory = self.body.emit(latents[:, step : step + 1], before, w, memory)
            frames.append(self.frames(base, temperature, None))
        return torch.cat(frames, 1)

    def frames(self, base: Tensor, temperature: float, random: torch.Generator | None) -> Tensor:
        """Return frames (N, T, 88) of 0 and 1 for what was decoded, (N, T, 88)."""
        uniform = torch.rand(base.shape, generator=random).to(base.device)
        flat = self.output.draw(base.flatten(0, 1), temperature, uniform.flatten(0, 1))
        return flat.view_as(base)

    def transfer(self, x: Tensor, source: str, target: str, condition: Tensor | None = None) -> Tensor:
        """Return windows made anew by posterior means, told the true frames before; or the weights of keys."""
        z = self.encode(x, source, condition).mean
        if target == KEY:
            return self.decode(z, target)
        probabilities = self._logits_at(z, self._parts(x)).sigmoid()
        return torch.cat([x[:, : self.config.lag], probabilities], 1)

    def _logits_at(self, z: Tensor, parts: Parts) -> Tensor:
        w, latents = self.split(z)
        return self.output(self.body.emit(latents, parts.history, w, self.body.start(z))[0], parts.targets)

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(y | posterior mean of x), (N,): of a frame, on average, or of the key."""
        z = self.encode(x, source, condition).mean
        if target == KEY:
            return -(y * functional.log_softmax(self._of_all(z[:, : self.logits]), 1)).sum(1)
        parts = self._parts(y)
        return (losses.bernoulli_nll(self._logits_at(z, parts), parts.targets) * parts.there).sum(1) / parts.there.sum(1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` latents (n, U + n Z) from the prior; a learned one is that of music that begins from silence."""
        u = drawn(self._key_prior(n), generator)
        if self.config.prior == "standard":
            return torch.cat([u, super().sample(n, generator)[:, self.logits :]], 1)
        return torch.cat([u, dreamt(self, self.weights(u), generator).flatten(1)], 1)

    # -- bounds and music ---------------------------------------------------------------------------------------------

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return one draw of the terms of the bound of each window, (B,); of p(x | key) where the key is told.

        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, section 3, for the weight.
        """
        parts = self._parts(batch[SCORE])
        q = self._infer_key(parts.inputs) if condition is None else self._told(condition[:, 0])
        u = drawn(q, random) if condition is None else q.mean
        found, p = self._explain(parts, self.weights(u), random), self._key_prior(len(u))
        terms = {"nll": found.nll.sum(1), "kl_score": found.kl.sum(1)}
        log_weight = found.log_ratio.sum(1) - terms["nll"]
        if condition is None and self.classes:
            terms["kl_key"] = losses.kl(q, p)
            log_weight = log_weight + losses.gaussian_nll(q, u) - losses.gaussian_nll(p, u)
        return terms | {"log_weight": log_weight}

    def seed_steps(self, steps: int) -> int:
        """Return the steps of a seed: a window of frames, or as many steps as are to be generated."""
        return self.config.seq_length if self.config.model == "vae" else steps

    def key_of(self, roll: Tensor) -> Tensor:
        """Return the weights (N, K) of keys of rolls (N, S, 88): means over whole windows, or of one that ends in silence."""
        length = self.config.seq_length
        whole = roll[:, : max(roll.shape[1] // length, 1) * length]
        windows = functional.pad(whole, (0, 0, 0, -whole.shape[1] % length)).unflatten(1, (-1, length))
        q = self._infer_key(windows.flatten(0, 1))
        return self.weights(q.mean).unflatten(0, (len(roll), -1)).mean(1)

    def generate(self, seed: Tensor, steps: int, told: Tensor | None, manner: Manner, random: torch.Generator) -> Tensor:
        """Return the `steps` frames (N, steps, 88) that follow `seed` (N, S, 88); see `models.classifying_music`."""
        if told is None:
            told = self.key_of(seed) if seed.shape[1] else self.weights(drawn(self._key_prior(len(seed)), random))
        w = told if told.ndim == 3 else told[:, None].expand(-1, steps, -1)
        return play(self, seed, steps, w, manner, random)


def annealed(epoch: int, epochs: int, start: float) -> float:
    """Return a weight that rises from `start` to 1 in equal steps, one an epoch."""
    return min(1.0, start + (1 - start) * epoch / epochs) if epochs else 1.0


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> Mapping[str, Excerpts]:
    """Return the windows of each split: all of them to train on, else those that hold every step once.

    Raises
    ------
    InputError : the corpus cannot be read, or a split has no piece in a key that is told apart.
    """
    corpus, classes, found = config.corpus(), tuple(config.classes[KEY]), {}
    for split in splits:
        pieces = corpus.of(split)
        known = tuple(piece for piece in pieces if piece.class_of(config.relative_major) in classes)
        if not known:
            raise InputError(f"{corpus.root}: of {split}, no piece is in one of the keys {' '.join(classes)}; bring others")
        if len(known) < len(pieces):
            log.warning("%s: %d of %s are in keys that the run does not know", corpus.root, len(pieces) - len(known), split)
        training = split == "train"
        shifts = config.transpose if training else 0
        found[split] = Excerpts(known, classes, config.seq_length, config.lag, training, shifts, config.relative_major)
    return found
