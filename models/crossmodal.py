"""The crossmodal system: an audio VAE and a symbolic VAE with tied latents, so that one model transcribes and synthesises.

The tie is that of SCAN (Higgins et al., "SCAN: Learning Hierarchical Compositional Visual Concepts", ICLR 2018, section 4, eq. 5),
used for sound and symbols by Chemla--Romeu-Santos, Ntalampiras, Esling, Haus and Assayag ("Cross-Modal Variational Inference for
Bijective Signal-Symbol Translation", DAFx 2019). Both VAEs are trained together and gradients of the tie reach both.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.labels import Labels
from data.mixtures import Mixtures, Source, source, spectra_of, with_labels
from data.representations import NSGTMagnitude
from data.splits import SPLITS
from data.transposition import Transposition
from models import losses
from models.base import LatentModel, Losses, ParamGroup
from models.crossmodal_baselines import NETWORKS, baseline
from models.crossmodal_config import Config
from models.crossmodal_slots import Slots
from models.layers import Hidden, NormalHead, linear
from models.losses import Normal
from models.sound import SoundModel
from utils.paths import cache_folder

log = logging.getLogger(__name__)


FASTEST = 100.0  # frames a second beyond which --frames hardly means what was meant


class VAE(nn.Module):
    """A VAE with one or more layers of latents; what is observed is left to the subclasses.

    The generative model is p(x|z_0) p(z_0|z_1) ... p(z_top) with p(z_top) = N(0, I), the posterior is the chain
    q(z_0|x) q(z_1|z_0) ...
    (Rezende, Mohamed and Wierstra, "Stochastic Backpropagation", ICML 2014, section 3).
    """

    def __init__(self, inputs: int, config: Config, modality: int):
        super().__init__()
        below = [inputs, *config.dims[:-1]]
        hidden = [config.hidden(modality, layer) for layer in range(len(config.dims))]
        self.encoders = nn.ModuleList(Hidden(a, *h, config.dropout) for a, h in zip(below, hidden, strict=True))
        self.posteriors = nn.ModuleList(NormalHead(h[0], d) for h, d in zip(hidden, config.dims, strict=True))
        self.decoders = nn.ModuleList(Hidden(d, *h, config.dropout) for h, d in zip(hidden, config.dims, strict=True))
        self.priors = nn.ModuleList(NormalHead(h[0], d) for h, d in zip(hidden[1:], config.dims[:-1], strict=True))

    def infer(self, x: Tensor) -> tuple[list[Normal], list[Tensor]]:
        """Return the posterior of each layer and what the next one was given: samples in training, means in evaluation."""
        posteriors, latents = [], []
        for encoder, head in zip(self.encoders, self.posteriors, strict=True):
            posteriors.append(head(encoder(x)))
            x = posteriors[-1].rsample() if self.training else posteriors[-1].mean
            latents.append(x)
        return posteriors, latents

    def prior(self, layer: int, above: Tensor) -> Normal:
        """Return p(z_layer | z_above), (B, dims[layer]), for the sample `above` (B, dims[layer + 1])."""
        return self.priors[layer](self.decoders[layer + 1](above))

    def descend(self, z: Tensor) -> Tensor:
        """Return the lowest latent (B, dims[0]) by the means from the topmost one (B, dims[-1])."""
        for layer in reversed(range(len(self.priors))):
            z = self.prior(layer, z).mean
        return z

    def divergence(self, posteriors: list[Normal], latents: list[Tensor]) -> Tensor:
        """Return the sum over layers of KL(q(z_l) || p(z_l | z_{l+1})), (B,)."""
        top = losses.kl(posteriors[-1])
        return top + sum(losses.kl(posteriors[l], self.prior(l, latents[l + 1])) for l in range(len(self.priors)))


class AudioVAE(VAE):
    """Standardised log magnitudes (B, F) as diagonal Gaussians."""

    def __init__(self, n_bins: int, config: Config):
        super().__init__(n_bins, config, modality=1)
        self.observation = NormalHead(config.hidden(1, 0)[0], n_bins, config.noise**2)

    def observe(self, z: Tensor) -> Normal:
        """Return p(x | z_0), (B, F)."""
        return self.observation(self.decoders[0](z))


class SymbolicVAE(VAE):
    """Labels of I instruments, as `Slots` write them."""

    def __init__(self, config: Config):
        slots = Slots.of(config)
        super().__init__(slots.width, config, modality=2)
        self.slots = slots
        self.observation = linear(config.hidden(2, 0)[0], slots.width)

    def observe(self, z: Tensor) -> Tensor:
        """Return the logits of p(y | z_0), (B, W)."""
        return self.observation(self.decoders[0](z)).float()


class Critic(nn.Module):
    """Tell real standardised spectra (B, F) from reconstructions; output logits (B,), high for real."""

    def __init__(self, n_bins: int, width: int, layers: int):
        super().__init__()
        self.hidden = Hidden(n_bins, width, layers)
        self.verdict = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B,) of "real"."""
        return self.verdict(self.hidden(x)).squeeze(-1).float()


class Model(SoundModel):
    """The pair of VAEs, their ties, and the critic."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.representations = representations(config)
        self.latent_shape = (config.dims[-1],)
        n_bins = self.representations["signal"].shape[0]
        self.audio, self.symbolic = AudioVAE(n_bins, config), SymbolicVAE(config)
        self.critic = Critic(n_bins, config.adv_dim, config.adv_num) if config.adversarial else None

    # -- training -----------------------------------------------------------------------------------------------------

    def phases(self, epoch: int = 0) -> dict[str, ParamGroup]:
        """Return the phase of the VAEs and, where there is a critic, its own."""
        vae = ParamGroup([*self.audio.parameters(), *self.symbolic.parameters()], self.config.lr)
        if self.critic is None:
            return {"vae": vae}
        return {"vae": vae, "adversary": ParamGroup(list(self.critic.parameters()), self.config.adv_lr)}

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = "vae") -> Losses:
        """Return the losses of a batch of signals (B, F) and symbols (B, I, L).

        The VAEs' phase leaves its reconstruction in `batch` for the critic's phase of the same step.
        """
        return self._judge(batch) if phase == "adversary" else self._translate(batch, step)

    def _translate(self, batch: dict[str, Tensor], step: int) -> Losses:
        x, y = self.standardise(batch["signal"]), batch["symbol"]
        q_x, z_x = self.audio.infer(x)
        q_y, z_y = self.symbolic.infer(self.symbolic.slots.one_hot(y))
        tie = losses.kl if self.config.regularization_type == "kld" else losses.l2
        reconstruction = self.audio.observe(z_x[0])
        terms = {
            "nll_signal": losses.gaussian_nll(reconstruction, x),
            "nll_symbol": self.symbolic.slots.nll(self.symbolic.observe(z_y[0]), y),
            "kl_signal": self.audio.divergence(q_x, z_x),
            "kl_symbol": self.symbolic.divergence(q_y, z_y),
            "cross_signal": tie(q_x[-1], q_y[-1]),
            "cross_symbol": tie(q_y[-1], q_x[-1]),
        }
        if self.config.transfer or not self.training:  # two more decodings, which the published loss does without
            terms |= self._transfers(x, y, z_x[-1], z_y[-1])
        if self.critic is not None:
            terms["deceit"] = self._deceit(reconstruction.mean)
            batch["reconstruction"] = reconstruction.mean.detach()
        means, weights = {name: term.mean() for name, term in terms.items()}, self._weights(step)
        return Losses(sum(weights[name] * mean for name, mean in means.items() if weights[name]), means)

    def _weights(self, step: int) -> dict[str, float]:
        """Return the weight of each term at `step`."""
        config, rise = self.config, losses.warm_up(step, self.config.warmup)
        return {
            "nll_signal": 1.0,
            "nll_symbol": config.symbol,
            "kl_signal": rise * config.beta_1,
            "kl_symbol": rise * config.beta_2,
            "cross_signal": rise * config.cross_1,
            "cross_symbol": rise * config.cross_2,
            "transfer_signal": config.transfer,
            "transfer_symbol": config.transfer * config.symbol,
            "deceit": config.adv_weight * self.training,  # a moving opponent: epochs would not compare
        }

    def _transfers(self, x: Tensor, y: Tensor, z_x: Tensor, z_y: Tensor) -> dict[str, Tensor]:
        """Return the negative log-likelihood of each modality under the other's latent, (B,)."""
        return {
            "transfer_signal": losses.gaussian_nll(self.audio.observe(self.audio.descend(z_y)), x),
            "transfer_symbol": self.symbolic.slots.nll(self.symbolic.observe(self.symbolic.descend(z_x)), y),
        }

    def _deceit(self, reconstruction: Tensor) -> Tensor:
        """Return the generator's loss, -ln p(real | reconstruction), (B,): Goodfellow et al. 2014, section 3, non-saturating form.

        The critic is held still: neither its statistics nor its gradients move.
        """
        training = self.critic.training
        self.critic.eval().requires_grad_(False)
        verdict = self.critic(reconstruction)
        self.critic.train(training).requires_grad_(True)
        return functional.softplus(-verdict)

    def _judge(self, batch: dict[str, Tensor]) -> Losses:
        """Return the critic's loss: binary cross-entropy of real spectra against the reconstructions of all of them."""
        x = self.standardise(batch["signal"])
        real, fake = self.critic(torch.cat([x, batch["reconstruction"]])).chunk(2)
        loss = functional.softplus(-real).mean() + functional.softplus(fake).mean()
        return Losses(loss, {"critic": loss})

    # -- translation --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of the topmost latent for linear magnitudes (N, F) or class ids (N, I, L)."""
        vae, x = (self.audio, self.standardise(x)) if source == "signal" else (self.symbolic, self.symbolic.slots.one_hot(x))
        return vae.infer(x)[0][-1]

    def decode(self, z: Tensor, target: str, condition: Tensor | None = None, temperature: float = 0.0) -> Tensor:
        """Return linear magnitudes (N, F) or class ids (N, I, L) for latents (N, Z)."""
        if target == "signal":
            return self.heard(self.audio.observe(self.audio.descend(z)), temperature)
        return self.symbolic.slots.classes(self._logits(z), temperature)

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(y | posterior mean of x), (N,): of the F log magnitudes of a frame, or of its labels."""
        z = self.encode(x, source).mean
        if target == "symbol":
            return self.symbolic.slots.nll(self.symbolic.observe(self.symbolic.descend(z)), y)
        return self.density(losses.gaussian_nll(self.audio.observe(self.audio.descend(z)), self.standardise(y)), y.shape[1])

    def confidence(self, z: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return the probability of each class that ``decode(z, "symbol")`` names, (N, I, L)."""
        if target != "symbol":
            raise NotImplementedError("only classes have probabilities")
        return self.symbolic.slots.confidence(self._logits(z))

    def _logits(self, z: Tensor) -> Tensor:
        return self.symbolic.observe(self.symbolic.descend(z))


def representations(config: Config) -> dict[str, NSGTMagnitude | Labels]:
    """Return how audio and notes become the tensors of this configuration."""
    transform = NSGTMagnitude(config.sample_rate, config.fmin, config.fmax, config.bins_per_octave, config.scale)
    classes = tuple((label, tuple(config.classes[label])) for label in config.labels)
    silence = bool(config.zero_extra_class) and config.random_mode == "bernoulli"  # else it is never shown to the model
    labels = Labels(classes, config.instruments, silence, transform.frame_rate)
    return {"signal": transform, "symbol": labels}


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> dict[str, Mixtures]:
    """Return the frames of each split as mixtures of the configured instruments.

    Raises
    ------
    InputError : the corpus cannot be read or leaves no frame.
    """
    if config.split == "frames":
        log.warning("--split frames: frames of one note fall on both sides, so the scores say nothing about unseen notes")
    transform = representations(config)["signal"]
    if transform.frame_rate > FASTEST:
        log.warning(
            "frames last only %.1f ms, as the band above --fmax %g is so wide; an --fmax nearer to half of --sample_rate helps",
            *(1000 / transform.frame_rate, config.fmax),
        )
    if config.random_mode == "bernoulli" and not config.zero_extra_class:
        log.warning("--zero_extra_class 0: sources that are silent in a mixture keep their labels, which nothing can hear")
    sources: dict[str, list[Source]] = {split: [] for split in splits}
    for notes in config.corpus().select(config.instruments):
        labelled = with_labels(notes, config.classes)
        spectra = spectra_of(labelled, transform, cache_folder(config.cache), config.workers)
        for split in splits:
            sources[split].append(source(labelled, spectra, config.classes, config.frames, split, config.split == "frames"))
    silence = torch.tensor([len(config.classes[label]) for label in config.labels]) if config.zero_extra_class else None
    return {split: Mixtures(sources[split], config.random_mode, silence, _augment(config, transform, split)) for split in splits}


def _augment(config: Config, transform: NSGTMagnitude, split: str) -> Transposition | None:
    """Return how frames of a split are varied: those of training, where the configuration says so."""
    if split != "train" or not (config.transpose or config.detune):
        return None
    return Transposition.of(config.transpose, config.detune, transform, config.classes)


def baselines(model: Model, **training: object) -> dict[str, LatentModel]:
    """Return the direct networks that a model is compared with, by name, untrained; `training` are fields of `TrainConfig`."""
    return {name: baseline(name, model.config, model.representations, **training) for name in NETWORKS}
