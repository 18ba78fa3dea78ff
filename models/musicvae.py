"""The musicvae system: variational autoencoders of some bars of music.

Roberts, Engel, Raffel, Hawthorne and Eck, "A hierarchical latent vector model for learning long-term structure in music", 2018
(arXiv 1803.05428). docs/musicvae.md says where this departs from it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from data.attributes import DENSITY, density
from data.phrase_windows import PhraseWindows
from data.representations import Facet
from data.splits import SPLITS
from models import losses, musicvae_magenta
from models.base import Losses
from models.losses import Normal
from models.musicvae_config import Config
from models.musicvae_heads import HEADS, Categorical, Performed, Several
from models.musicvae_nets import Decoder, Draws, Encoder
from models.musicvae_pretrained import configured
from models.phrase import PHRASE, PhraseModel, terms
from utils.checkpoint import load_weights
from utils.config import InputError, merge

OTHER = "other"  # class of what the run's corpus has not


class Model(PhraseModel):
    """A latent for a phrase; what it is decoded to is written step after step."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, phrase = config, config.phrase()
        self.representations = {PHRASE: phrase}
        lengths = tuple(reversed(config.encoder_levels)) or (phrase.steps,)
        self.encoder = Encoder(phrase.depth, config.encoder_size, lengths, config.latent_dim, config.dropout)
        conductors = config.conductor_size or config.decoder_size
        levels = (conductors, config.levels or (phrase.steps,), config.conductor_input)
        self.decoder = Decoder(config.latent_dim, heads(config, phrase), config.decoder_size, *levels, config.dropout)
        self.latent_shape = (config.latent_dim,)
        self.likelihood = config.kind != "groove"

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return what the corpus tells of the pieces that phrases are from, as their style, and how dense they are."""
        found = {}
        for label, names in self.config.labels.items():
            if label in batch:
                ids, known = batch[label], len(names)  # other corpora have classes that this run does not know
                found[label] = Facet(torch.where(ids < 0, known, ids), (*names, OTHER))
        return found | {DENSITY: density(self.config.kind, self.representations[PHRASE].standard(batch[PHRASE]))}

    def prepare(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Take the weights of the checkpoint to start from, if any."""
        if self.config.pretrained:
            load_weights(self, musicvae_magenta.read(Path(self.config.pretrained))[1], Path(self.config.pretrained))

    # -- training -----------------------------------------------------------------------------------------------------

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of a batch of phrases (B, T, ...): sums over steps, means over phrases; in evaluation always told.

        The divergence costs beyond the free bits, which are of a phrase as a whole; docs/musicvae.md says more.
        """
        config, x = self.config, batch[PHRASE]
        q = self.encoder(self._inputs(x))
        z = q.rsample() if self.training else q.mean
        share = sampled_share(config, step) if self.training else 0.0
        logits = self.decoder(z, self._feeds(self._mixed(x, z, share) if share else x))
        nll, kl, beta = self._nll(logits, x).sum(1).mean(), losses.kl(q), weight(config, step)
        cost = (kl - config.free_bits * losses.BIT).clamp_min(0).mean()
        terms = {"nll_phrase": nll, "kl_phrase": kl.mean(), "kl_beyond_free": cost, "beta": torch.tensor(beta)}
        return Losses(nll + beta * cost, terms | ({"own_steps": torch.tensor(share)} if config.sampling != "none" else {}))

    def pace(self, step: int) -> float:
        """Return the share of the learning rate at a step: it decays exponentially towards the least."""
        config = self.config
        return (config.lr_min + (config.lr - config.lr_min) * config.lr_decay**step) / config.lr

    def _inputs(self, x: Tensor) -> Tensor:
        """Return what the encoder reads of phrases, (N, T, depth); in training without some hits."""
        phrase, most = self.representations[PHRASE], self.config.note_dropout
        if not (most and self.training):
            return phrase.inputs(x)
        share = most * torch.rand(len(x), device=x.device)  # of each phrase
        return phrase.inputs(phrase.thinned(x, share))

    def _mixed(self, x: Tensor, z: Tensor, share: float) -> Tensor:
        """Return phrases of which about a `share` of the steps are the model's own draws, each told those before it.

        Bengio, Vinyals, Jaitly and Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", 2015,
        section 2.4. No gradient flows through draws, so they can be made first, and the loss then be computed as always.
        """
        free = (torch.rand(x.shape[:2]) < share).to(x.device)
        rows = free.any(1)
        if not rows.any():
            return x
        with torch.no_grad():
            return x.index_put((rows,), self._write(z[rows], 1.0, None, x[rows], free[rows]))

    def _parts(self, x: Tensor) -> Sequence[Tensor]:
        """Return what each core writes of phrases."""
        return x.unbind(-1) if len(self.decoder.cores) > 1 else (x,)

    def _feeds(self, x: Tensor) -> Sequence[Tensor]:
        """Return what each core is told of phrases, (N, T, width)."""
        return self.representations[PHRASE].feed(x).split([core.head.width for core in self.decoder.cores], -1)

    def _nll(self, logits: Sequence[Tensor], x: Tensor) -> Tensor:
        """Return -ln p of each step (N, T)."""
        return sum(core.head.nll(own, part) for core, own, part in zip(self.decoder.cores, logits, self._parts(x), strict=True))

    # -- translation --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of the latents (N, Z) of phrases."""
        return self.encoder(self._inputs(x))

    def decode(
        self,
        z: Tensor,
        target: str,
        condition: Tensor | None = None,
        temperature: float = 0.0,
        random: torch.Generator | None = None,
    ) -> Tensor:
        """Return the phrases (N, T, ...) that latents (N, Z) stand for, each step told those written before it."""
        return self._write(z, temperature, random)

    def _write(
        self,
        z: Tensor,
        temperature: float,
        random: torch.Generator | None,
        truth: Tensor | None = None,
        free: Tensor | None = None,
    ) -> Tensor:
        steps, cores = self.representations[PHRASE].steps, self.decoder.cores
        true = [None] * len(cores) if truth is None else self._parts(truth)
        draws = []
        for core, part in zip(cores, true, strict=True):
            shape = (steps, len(z), core.head.draws)
            uniform = (
                torch.rand(shape, generator=random) if temperature else torch.zeros(1).expand(shape)
            )  # the same on all devices
            draws.append(Draws(temperature, uniform.to(z.device), part, free))
        written = self.decoder.write(z, draws)
        return torch.stack(written, -1) if len(cores) > 1 else written[0]

    def told(self, x: Tensor, z: Tensor | None = None) -> Tensor:
        """Return what is most likely at each step of phrases (N, T, ...), told the true steps before it; by `z` if given."""
        logits, drawn = self.decoder(self.encode(x, PHRASE).mean if z is None else z, self._feeds(x)), []
        for core, own in zip(self.decoder.cores, logits, strict=True):
            flat = own.flatten(0, 1)
            drawn.append(
                core.head.draw(flat, 0.0, flat.new_zeros(1).expand(len(flat), core.head.draws)).unflatten(0, own.shape[:2])
            )
        return torch.stack(drawn, -1) if len(drawn) > 1 else drawn[0]

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(y | posterior mean of x), (N,), of a step on average."""
        return self.explain(self.encode(x, source).mean, y) / y.shape[1]

    def explain(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -ln p(x | z) of phrases (N, T, ...) by latents (N, Z), (N,), in nats, summed over steps."""
        return self._nll(self.decoder(z, self._feeds(x)), x).sum(1)

    def bound(self, batch: dict[str, Tensor], random: torch.Generator, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return one draw of the terms of the bound of each phrase, (B,)."""
        x = batch[PHRASE]
        q = self.encode(x, PHRASE)
        z = q.mean + q.variance.sqrt() * torch.randn(q.mean.shape, generator=random).to(q.mean)
        return terms(q, z, self.explain(z, x))


def heads(config: Config, phrase) -> list[torch.nn.Module]:
    """Return the heads of the cores: one, but of a trio with conductors one for each part."""
    if config.kind == "groove":
        return [Performed(config.struck_only)]
    if config.kind == "trio":
        return [Categorical(n) for n in phrase.widths] if config.levels else [Several(phrase.widths)]
    return [HEADS[config.head if config.kind.endswith("hits") else "categorical"](phrase.width)]


def weight(config: Config, step: int) -> float:
    """Return the weight of the divergence after `step` updates: at once, exponentially or linearly rising to `beta`."""
    return config.beta * (losses.warm_up(step, config.beta_steps) if config.beta_steps else 1 - config.beta_rate**step)


def sampled_share(config: Config, step: int) -> float:
    """Return the share of steps that are told a draw instead of the truth: Bengio et al. 2015, section 2.4."""
    rate = config.sampling_rate
    if config.sampling == "inverse_sigmoid":
        return 1 / (1 + rate * math.exp(-step / rate))  # 1 - k / (k + e^(t / k)), without overflow
    return {"none": 0.0, "constant": rate, "exponential": 1 - rate**step}[config.sampling]


def reads_checkpoint(path: Path) -> bool:
    """Tell whether a file or folder is a checkpoint of another program that `from_checkpoint` reads."""
    return musicvae_magenta.looks_like(path)


def from_checkpoint(path: Path, preset: str = "") -> Model:
    """Return the model of a checkpoint of Magenta's.

    Parameters
    ----------
    path : see `models.musicvae_magenta.read`.
    preset : what else it is; by itself told by its sizes and its name.

    Raises
    ------
    InputError : it is none, or damaged.
    """
    if preset and preset not in Config.PRESETS:
        raise InputError(f"--config {preset}: there is none of that name; there are {' '.join(Config.PRESETS)}")
    said = merge(Config(), Config.PRESETS.get(preset, {}))
    config = configured(path, said, named=bool(preset))
    if preset and config.kind != said.kind:
        raise InputError(f"--config {preset}: has phrases of {said.kind}, and {path} those of {config.kind}")
    config.validate()
    model = Model(replace(config, pretrained=str(path)))
    model.prepare(())
    return model


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> Mapping[str, PhraseWindows]:
    """Return the phrases of each split; those of training may begin off the bar line, and be transposed.

    Raises
    ------
    InputError : the corpus cannot be read, or a split has no phrase.
    """
    corpus, phrase, found = config.corpus(), config.phrase(), {}
    labels = {label: tuple(names) for label, names in config.labels.items()}
    for split in splits:
        varied = {"hop": config.hop, "transpose": config.transpose} if split == "train" else {}
        found[split] = PhraseWindows(corpus.of(split), phrase, labels=labels, **varied)
        if not len(found[split]):
            raise InputError(
                f"{corpus.root}: of {split}, no piece has a phrase of {config.bars} bars; bring longer ones, or --bars 1"
            )
    return found
