"""The timbre system: a conditional VAE of spectra whose latent distances follow how different listeners find instruments.

Esling, Chemla--Romeu-Santos and Bitton, "Generative timbre spaces: regularizing variational auto-encoders with perceptual metrics",
DAFx 2018. A first phase trains the VAE alone, a second one with the ratings; docs/timbre.md says where this departs from the paper.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from data.labelled import Labelled
from data.mixtures import source, spectra_of, with_labels
from data.representations import Facet
from data.spectral import transform
from data.splits import SPLITS
from models import losses, timbre_losses
from models.base import Losses, ParamGroup
from models.layers import Hidden, NormalHead, linear
from models.losses import Normal
from models.sound import SoundModel
from models.timbre_config import Config
from utils import geometry
from utils.paths import cache_folder

INSTRUMENT = "instrument"
PLAIN, REGULARISED = "plain", "regularised"  # the phases
ORDERS = {"octave": "line", "dynamics": "line", "pitch": "circle"}  # of the classes of labels
MEMORY = 0.01  # share of a batch in the running variance of the latents
LEAST_SPREAD = 0.01  # of an instrument's prior, before its scaling


class Net(nn.Module):
    """From inputs beside one-hot conditions to a diagonal Gaussian: hidden layers, and two heads."""

    def __init__(self, inputs: int, outputs: int, config: Config, floor: float, normalised: bool = True):
        super().__init__()
        self.hidden = Hidden(inputs, config.hidden_dims, config.hidden_layers, normalised=normalised)
        self.head = NormalHead(config.hidden_dims, outputs, floor)

    def forward(self, x: Tensor) -> Normal:
        """Return the Gaussian (B, outputs) for `x` (B, inputs)."""
        return self.head(self.hidden(x))


class Model(SoundModel):
    """The conditional VAE and what pulls its latents; without a condition, its decoder too normalises batches."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.representations = {"signal": transform(config.transform)}
        self.latent_shape = (config.latent_dims,)
        self.conditions = {label: len(config.classes[label]) for label in config.told}
        n_bins, told = self.representations["signal"].shape[0], sum(self.conditions.values())
        self.encoder = Net(n_bins + told, config.latent_dims, config, 1e-5)
        self.entrance = linear(config.latent_dims + told, config.latent_dims + told) if told else nn.Identity()
        self.decoder = Net(config.latent_dims + told, n_bins, config, config.noise**2, normalised=not told)
        self.register_buffer("variance", torch.zeros(config.latent_dims))  # of the posterior means, in the first phase
        self._register_ratings()

    def _register_ratings(self) -> None:
        """Keep the ratings (K, K), their spreads, and the instruments' own priors; they are of the configuration, not learned."""
        tables = {name: np.array(table, float) for name, table in self.config.dissimilarity.items()}
        if not tables:
            return
        if self.config.regularization == "prior" or self.config.form == "paper":
            tables["places"], tables["spreads"] = _own_priors(tables["mean"], tables["spread"], self.config)
        if self.config.form == "paper":
            tables["mean"] = geometry.distances(tables["places"])
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table, dtype=torch.float32, device="cpu"), persistent=False)
        rated = geometry.upper(tables["mean"])
        self.scale = math.sqrt(2 * self.config.target_count) / np.nanmean(rated)  # two draws of the prior are so far apart

    # -- training -----------------------------------------------------------------------------------------------------

    def phases(self, epoch: int = 0) -> dict[str, ParamGroup]:
        """Return the one phase of an epoch: without the ratings first, then with them."""
        name = PLAIN if epoch < self.config.epochs or self.config.regularization == "none" else REGULARISED
        return {name: ParamGroup(list(self.parameters()), self.config.lr)}

    def forward(self, batch: dict[str, Tensor], step: int = 0, phase: str = PLAIN) -> Losses:
        """Return the losses of a batch of signals (B, F), their instruments (B,) and conditions (B,)."""
        x, condition = self.standardise(batch["signal"]), self.condition(batch)
        q = self._infer(x, condition)
        z = q.rsample() if self.training else q.mean
        if self.training and phase == PLAIN:
            self.variance.lerp_(q.mean.detach().var(0), MEMORY)
        terms = {"nll_signal": losses.gaussian_nll(self._observe(z, condition), x).mean()}
        rise = losses.warm_up(step, self.config.warmup)
        weights = {"nll_signal": 1.0, "kl_signal": rise * self.config.beta, "ratings": self.config.weight}
        if phase == REGULARISED and self.config.regularization == "prior":
            terms["kl_signal"] = self._own_prior(q, batch[INSTRUMENT]).mean()
        else:
            terms["kl_signal"] = losses.kl(q).mean()
        if phase == REGULARISED and self.config.regularization != "prior":
            terms["ratings"] = self._disagreement(q.mean if self.config.form == "corrected" else z, batch[INSTRUMENT])
        return Losses(sum(weights[name] * term for name, term in terms.items()), terms)

    def _infer(self, x: Tensor, condition: Tensor | None) -> Normal:
        return self.encoder(torch.cat([x, *self._one_hot(condition)], 1))

    def _observe(self, z: Tensor, condition: Tensor | None) -> Normal:
        return self.decoder(self.entrance(torch.cat([z, *self._one_hot(condition)], 1)))

    def _one_hot(self, condition: Tensor | None) -> list[Tensor]:
        """Return class ids (N, C) as one-hot rows, a tensor for each condition."""
        if condition is None:
            return []
        return [functional.one_hot(ids, n).float() for ids, n in zip(condition.unbind(1), self.conditions.values(), strict=True)]

    # -- ratings ------------------------------------------------------------------------------------------------------

    def pulled(self) -> Tensor:
        """Return the numbers (D,) of the latent dimensions that are pulled.

        Those of most or least variance are chosen by a running estimate that the first phase leaves.
        """
        count = self.config.target_count
        if self.config.targetdims in ("maxvar", "minvar"):
            order = self.variance.argsort(descending=self.config.targetdims == "maxvar", stable=True)
            return order[:count].sort().values
        return torch.arange(count, device=self.variance.device)

    def _disagreement(self, z: Tensor, classes: Tensor) -> Tensor:
        """Return how far distances of latents (B, Z) are from the ratings of their instruments (B,): one number a batch."""
        z, form = z[:, self.pulled()], timbre_losses
        kind, tables = self.config.regularization, [self.mean, self.spread][: 2 if self.config.regularization == "gaussian" else 1]
        if self.config.between == "centroids" and self.config.form == "corrected":
            z, classes = form.centroids(z, classes)
        if self.config.form != "corrected":
            drawn = [self.training] if kind == "gaussian" else []
            return getattr(form, f"{self.config.form}_{kind}")(z, classes, *tables, *drawn)
        return getattr(form, kind)(z, classes, tables[0], self.scale, *tables[1:])

    def _own_prior(self, q: Normal, classes: Tensor) -> Tensor:
        """Return the divergence (B,) of posteriors from their instruments' priors, at the places of the ratings' MDS."""
        places = torch.zeros(len(self.places), len(self.variance), device=self.places.device)
        places[:, self.pulled()[: self.places.shape[1]]] = (self.scale if self.config.form == "corrected" else 1.0) * self.places
        return timbre_losses.prior(q, classes, places, self.spreads)

    # -- translation --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, source: str, condition: Tensor | None = None) -> Normal:
        """Return the posterior of the latent for linear magnitudes (N, F)."""
        return self._infer(self.standardise(x), condition)

    def decode(self, z: Tensor, target: str, condition: Tensor | None = None, temperature: float = 0.0) -> Tensor:
        """Return linear magnitudes (N, F) for latents (N, Z)."""
        return self.heard(self._observe(z, condition), temperature)

    def nll(self, x: Tensor, source: str, y: Tensor, target: str, condition: Tensor | None = None) -> Tensor:
        """Return -ln p(y | posterior mean of x), (N,), of the F log magnitudes of a frame."""
        p = self._observe(self.encode(x, source, condition).mean, condition)
        return self.density(losses.gaussian_nll(p, self.standardise(y)), y.shape[1])

    def facets(self, batch: dict[str, Tensor]) -> dict[str, Facet]:
        """Return instrument, octave, pitch class and dynamics of each example, where the corpus tells them."""
        tables = self.config.classes.items()
        return {label: Facet(batch[label], tuple(names), ORDERS.get(label, "none")) for label, names in tables if label in batch}


def _own_priors(mean: np.ndarray, spread: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return the instruments' places (K, D) in the MDS of ratings (K, K) and the variances (K,) of their priors; NaN where unrated.

    A variance grows with how far listeners disagreed about an instrument: 2 (v - min v + 0.01) / max v, of the mean spread v as a
    share of the largest; it is 1 where the spreads are not known.
    """
    rated = np.flatnonzero((~np.isnan(mean)).sum(1) > 1)
    own = np.ix_(rated, rated)
    dimensions = min(config.latent_dims if config.targetdims == "all" else config.mds_dims, len(rated) - 1)
    places, spreads = np.full((len(mean), dimensions), np.nan), np.full(len(mean), np.nan)
    places[rated] = geometry.mds(mean[own], dimensions, seed=config.seed).positions
    spreads[rated] = 1.0
    if np.array_equal(np.isnan(spread[own]), np.isnan(mean[own])) and np.nanmax(spread[own], initial=0) > 0:
        v = np.nanmean(spread[own] / np.nanmax(spread[own]), 1)
        spreads[rated] = 2 * (v - v.min() + LEAST_SPREAD) / v.max()
    return places, spreads


def datasets(config: Config, splits: Sequence[str] = SPLITS) -> dict[str, Labelled]:
    """Return the frames of each split with their labels; those of training in even shares of the instruments.

    Raises
    ------
    InputError : the corpus cannot be read or leaves no frame.
    """
    signal, labels = transform(config.transform), {k: v for k, v in config.classes.items() if k != INSTRUMENT}
    sources = {split: [] for split in splits}
    for notes in config.corpus().select(config.instruments):
        labelled = with_labels(notes, labels)
        spectra = spectra_of(labelled, signal, cache_folder(config.cache), config.workers)
        for split in splits:
            sources[split].append(source(labelled, spectra, labels, config.frames, split))
    return {split: Labelled(sources[split], tuple(labels), balanced=split == "train") for split in splits}
