"""What a model of phrases does beyond making them anew told nothing: told the truth, at random, by its prior, by its latents.

Reconstructions that are told the true steps before and those that are not have different names: they are different things.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data import phrase_baselines
from data.attributes import hits_of
from data.drums import DRUMS
from data.melody import NOTES
from data.phrase_statistics import Histogram
from data.phrase_windows import PhraseWindows
from data.phrases import Phrase
from data.trio import PARTS
from models.bounds import bounds
from models.evaluation import Estimate, Observed, Scores, estimate, passes
from models.losses import BIT
from models.phrase import PHRASE, PhraseModel, in_parts
from models.phrase_generation import STRENGTHS, Effect, Trained, between, from_prior, single, steered
from utils.device import generator
from utils.distributions import mmd_to_normal, purity

log = logging.getLogger(__name__)

COMPARED = 2000  # latents that are compared with the prior


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model of phrases.

    Parameters
    ----------
    draws : of latents, for bounds; 0 leaves them out.
    phrases : drawn from the prior; 0 leaves all out that is made by the model alone.
    """

    draws: int = 5
    phrases: int = 1000


class Example(NamedTuple):
    """A phrase, what is made of it, and how it sounds."""

    title: str
    versions: dict[str, Tensor]
    sounds: dict[str, Path]


@dataclass
class Phrases:
    """What was found: `metrics` by column and section; what is for figures alone beside it."""

    phrase: Phrase
    metrics: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    histograms: dict[str, dict[str, Histogram]] = field(default_factory=dict)  # set of phrases -> statistic
    courses: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # way -> distances to both ends
    effect: Effect | None = None
    examples: list[Example] = field(default_factory=list)
    drawn: list[Tensor] = field(default_factory=list)  # phrases of the prior, some
    drawn_sounds: list[Path] = field(default_factory=list)

    def json(self) -> dict:
        """Return what is not among the metrics as JSON values."""
        if not self.effect:
            return {}
        rows = dict(zip(self.effect.added, self.effect.change.tolist(), strict=True))
        changes = {added: dict(zip(self.effect.measured, row, strict=True)) for added, row in rows.items()}
        return {"attribute_change": changes, "strengths": list(STRENGTHS), "attributes_by_strength": self.effect.curves}


@torch.no_grad()
def examine(
    model: PhraseModel, observed: Observed, test: PhraseWindows, train: PhraseWindows | None, wanted: Wanted, seed: int
) -> Phrases:
    """Return what a model does with the phrases of a split; what compares with the training split is left out without it."""
    found, group = Phrases(model.representations[PHRASE]), observed.group
    x = torch.cat([batch[PHRASE] for batch in passes(test, 1, seed)])  # in the order of what was observed
    own = found.metrics["model"] = _remade(model, x, group, seed)
    if wanted.draws:
        own["phrase_bound"] = in_bits(model, bounds(model, passes(test, 1, seed), wanted.draws, seed), x.shape[1])
    known = None if train is None else Trained.of(model.config.kind, train, seed)
    for name in phrase_baselines.names(model.config.kind) if known else ():
        guess = phrase_baselines.fit(name, model.config.kind, known.x)
        found.metrics[name] = {"phrase_told": _compared(model, x, guess(x), group, seed)}
    own["phrase_latents"] = _latents(observed, seed)
    if wanted.phrases:
        metrics, found.histograms, found.drawn = from_prior(model, x, group, known, wanted.phrases, seed)
        for name, scores in metrics.items():
            found.metrics.setdefault(name, {})["phrase_samples"] = scores
        own["phrase_interpolation"], found.courses = between(model, observed, known, seed)
        found.effect = steered(model, known, x, seed) if known else None
    return found


def in_bits(model: PhraseModel, limits: Mapping[str, Estimate], steps: int) -> dict[str, Estimate]:
    """Return bounds in nats a step as bits; and the divergence of a phrase of so many steps.

    Where a model has no likelihood, as of grooves, the divergence alone is one.
    """
    bits = {name: _scaled(e, 1 / BIT) for name, e in limits.items() if model.likelihood or name.startswith("kl_")}
    return bits | {"kl_a_phrase": _scaled(bits["kl_phrase"], steps)}


# -- made anew --------------------------------------------------------------------------------------------------------


def _remade(model: PhraseModel, x: Tensor, group: Tensor, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return how right phrases are that are told the true steps before, and that are drawn at temperature 1."""
    told = in_parts(model.told, model, x)
    random = generator(seed, "drawn")
    drawn = in_parts(lambda part: model.decode(model.encode(part, PHRASE).mean, PHRASE, temperature=1.0, random=random), model, x)
    free = in_parts(lambda part: model.decode(model.encode(part, PHRASE).mean, PHRASE), model, x)
    named = {"phrase_told": told, "phrase_drawn": drawn}
    found = {name: _compared(model, x, estimate_, group, seed) for name, estimate_ in named.items()}
    return found | {"phrase_events": _events(model, x, free, group, seed)}


def _compared(model: PhraseModel, x: Tensor, y: Tensor, group: Tensor, seed: int) -> dict[str, Estimate]:
    scores = model.representations[PHRASE].compare(x, y)
    return {name: estimate(Scores(values, group), seed) for name, values in scores.items()}


def _events(model: PhraseModel, x: Tensor, y: Tensor, group: Tensor, seed: int) -> dict[str, Estimate]:
    """Return F1 of the hits of each drum, or of notes, over all phrases together: of sums, no mean of phrases' own."""
    phrase, kind = model.representations[PHRASE], model.config.kind
    true, named = _struck(phrase, kind, x), _struck(phrase, kind, y)
    result = {}
    for name in true:
        there, said = ((each[name] > 0).flatten(1) for each in (true, named))
        both, total = (there & (true[name] == named[name]).flatten(1)).sum(1), there.sum(1) + said.sum(1)
        if total.sum():
            result[name] = estimate(Scores(2 * both / total.clamp_min(1), group, total.double()), seed)
    drums = [result[f"hit_f1_{name}"]["value"] for name in DRUMS if f"hit_f1_{name}" in result]
    return result | ({"hit_f1_macro": single(float(np.mean(drums)), len(x))} if drums else {})


def _struck(phrase: Phrase, kind: str, x: Tensor) -> dict[str, Tensor]:
    """Return by name what begins where in phrases, (N, T, ...): a number above 0 that says what, or 0."""
    if kind == "trio":
        of_parts = {f"{part}_note_f1": _struck(phrase, "melody", x[..., i])["note_f1"] for i, part in enumerate(PARTS[:2])}
        return of_parts | _struck(phrase, "drums", x[..., 2])
    if kind == "melody":
        return {"onset_f1": (x >= NOTES).long(), "note_f1": torch.where(x >= NOTES, x, 0)}
    if kind == "remi":
        notes = phrase.grid(x)
        return {"onset_f1": notes.any(2).long(), "note_f1": notes.long()}
    hits = hits_of(kind, x).long()
    return {"hit_f1": hits} | {f"hit_f1_{name}": hits[..., i] for i, name in enumerate(DRUMS)}


# -- latents ----------------------------------------------------------------------------------------------------------


def _latents(observed: Observed, seed: int) -> dict[str, Estimate]:
    """Return how far the latents of all phrases together are from the prior, and how alike neighbours of other pieces are."""
    posterior, group = observed.latents[PHRASE], observed.group[:, 0]
    z = posterior.mean + posterior.variance.sqrt() * torch.randn(posterior.mean.shape, generator=generator(seed, "posterior"))
    result = {
        "mmd_to_prior": single(mmd_to_normal(z[torch.randperm(len(z), generator=generator(seed, "order"))[:COMPARED]]), len(z))
    }
    for label, facet in observed.labels.items():
        if len(facet.ids.unique()) > 1 and len(group.unique()) > 1:
            for name, values in purity(posterior.mean, facet.ids, group).items():
                known = values.isfinite()
                result[f"neighbours_{label}_{name}"] = estimate(Scores(values[known], group[known, None]), seed)
    return result


def _scaled(e: Estimate, factor: float) -> Estimate:
    return e | {key: e[key] * factor for key in ("value", "low", "high")}
