"""What a model of phrases does beyond making them anew told nothing: told the truth, at random, by its prior, by its latents.

Reconstructions that are told the true steps before and those that are not have different names: they are different things.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data import phrase_baselines
from data import phrase_statistics as statistics
from data.attributes import hits_of, measure
from data.drums import DRUMS
from data.melody import NOTES
from data.ngrams import NGram
from data.phrase_kinds import GRID
from data.phrase_statistics import Histogram
from data.phrase_windows import PhraseWindows
from data.phrases import BAR, Phrase
from models.attribute_vectors import vectors
from models.bounds import bounds
from models.epochs import batches
from models.evaluation import BATCH, Estimate, Observed, Scores, estimate, passes
from models.phrase import PHRASE, PhraseModel
from utils.device import generator
from utils.distributions import mmd_to_normal, purity
from utils.trajectories import slerp

log = logging.getLogger(__name__)

BIT = float(np.log(2))  # nats
TEMPERATURES = (1.0, 0.5)  # that phrases are drawn at
PATHS, POINTS = 100, 9  # of interpolation
STEERED, STRENGTHS = 200, (-2.0, -1.0, 0.0, 1.0, 2.0)  # phrases of the prior that attributes are added to, and how much
ORDER = 5  # of n-grams
MOST, COMPARED = 20_000, 2000  # training phrases, and latents, that samples are compared with
FOUND_IN = 8000  # training phrases that attribute vectors are found in, at most
REAL = "real"


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


class Effect(NamedTuple):
    """What adding attribute vectors does to phrases of the prior."""

    added: tuple[str, ...]
    measured: tuple[str, ...]
    change: np.ndarray  # (A, M) at strength 1, in standard deviations over real phrases
    curves: dict[str, list[tuple[float, float, float]]]  # attribute -> what it is at each strength, with intervals


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


class Trained(NamedTuple):
    """Phrases that a model was trained on, some at most, and 5-grams of their parts."""

    x: Tensor  # (M, T, ...)
    tokens: Tensor  # (M, T, P) of all parts
    grams: dict[str, NGram]

    @classmethod
    def of(cls, kind: str, dataset: PhraseWindows, seed: int) -> "Trained":
        """Return those of a dataset."""
        x = _shuffled(everything(dataset), seed)[:MOST]
        tokens = statistics.tokens(kind, x)
        grams = {part: NGram(each, n) for part, (each, n) in tokens.items() if (n + 1) ** ORDER < 2**63}
        return cls(x, torch.stack([each for each, _ in tokens.values()], -1), grams)


def examine(
    model: PhraseModel, observed: Observed, test: PhraseWindows, train: PhraseWindows | None, wanted: Wanted, seed: int
) -> Phrases:
    """Return what a model does with the phrases of a split; what compares with the training split is left out without it."""
    found, own, group = Phrases(model.representations[PHRASE]), "model", observed.group
    x = torch.cat([batch[PHRASE] for batch in passes(test, 1, seed)])  # in the order of what was observed
    found.metrics[own] = _remade(model, x, group, seed)
    if wanted.draws:
        limits = bounds(model, batches(test, BATCH, seed, "evaluation"), wanted.draws, seed)
        bits = {name: {key: e[key] / (BIT if key in ("value", "low", "high") else 1) for key in e} for name, e in limits.items()}
        found.metrics[own]["phrase_bound"] = bits | {"kl_a_phrase": _scaled(bits["kl_phrase"], x.shape[1])}
    known = None if train is None else Trained.of(model.config.kind, train, seed)
    if known:
        for name in phrase_baselines.names(model.config.kind):
            guess = phrase_baselines.fit(name, model.config.kind, known.x)
            found.metrics[name] = {"phrase_told": _compared(model, x, guess(x), group, seed)}
    found.metrics[own]["phrase_latents"] = _latents(observed, seed)
    if wanted.phrases:
        _from_prior(model, found, x, group, known, wanted, seed)
        found.metrics[own]["phrase_interpolation"] = _interpolated(model, found, observed, x, known, seed)
        found.effect = _steered(model, known, x, seed) if known else None
    return found


def everything(dataset: PhraseWindows) -> Tensor:
    """Return all phrases (N, T, ...) of a dataset, as they are, in their order."""
    plain = dataset.plain()
    return plain.batch(torch.arange(len(plain)), generator("phrases"))[PHRASE]


def _shuffled(x: Tensor, seed: int) -> Tensor:
    return x[torch.randperm(len(x), generator=generator(seed, "order"))]


def in_parts(function: Callable[[Tensor], Tensor], model: PhraseModel, x: Tensor) -> Tensor:
    """Return what a function of phrases, or latents, on the model's device gives, on the CPU, many at a time."""
    return torch.cat([function(part.to(model.device)).cpu() for part in x.split(BATCH)])


# -- made anew --------------------------------------------------------------------------------------------------------


def _remade(model: PhraseModel, x: Tensor, group: Tensor, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return how right phrases are that are told the true steps before, and that are drawn at temperature 1."""
    told = in_parts(model.told, model, x)
    drawn = in_parts(
        lambda part: model.decode(model.encode(part, PHRASE).mean, PHRASE, temperature=1.0, random=generator(seed, "drawn")),
        model,
        x,
    )
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
        both, all_ = (true[name] & named[name]).flatten(1).sum(1), true[name].flatten(1).sum(1) + named[name].flatten(1).sum(1)
        if all_.sum():
            result[name] = estimate(Scores(2 * both / all_.clamp_min(1), group, all_.double()), seed)
    drums = [result[f"hit_f1_{name}"]["value"] for name in DRUMS if f"hit_f1_{name}" in result]
    return result | ({"hit_f1_macro": _single(float(np.mean(drums)), len(x))} if drums else {})


def _struck(phrase: Phrase, kind: str, x: Tensor) -> dict[str, Tensor]:
    """Return by name what begins where in phrases, (N, T, ...) bool."""
    if kind == "trio":
        return {"melody": x[..., 0] >= NOTES, "bass": x[..., 1] >= NOTES} | _struck(phrase, "drums", x[..., 2])
    if kind == "melody":
        pitch = torch.nn.functional.one_hot((x - NOTES + 1).clamp_min(0))
        return {"onset_f1": x >= NOTES, "note_f1": pitch[..., 1:] > 0}
    if kind == "remi":
        notes = phrase.grid(x)
        return {"onset_f1": notes.any(2), "note_f1": notes}
    hits = hits_of(kind, x)
    return {"hit_f1": hits} | {f"hit_f1_{name}": hits[..., i] for i, name in enumerate(DRUMS)}


# -- latents ----------------------------------------------------------------------------------------------------------


def _latents(observed: Observed, seed: int) -> dict[str, Estimate]:
    """Return how far the latents of all phrases together are from the prior, and how alike neighbours of other pieces are."""
    posterior, group = observed.latents[PHRASE], observed.group[:, 0]
    z = posterior.mean + posterior.variance.sqrt() * torch.randn(posterior.mean.shape, generator=generator(seed, "posterior"))
    result = {"mmd_to_prior": _single(mmd_to_normal(_shuffled(z, seed)[:COMPARED]), len(z))}
    for label, facet in observed.labels.items():
        if len(facet.ids.unique()) > 1 and len(group.unique()) > 1:
            for name, values in purity(posterior.mean, facet.ids, group).items():
                known = values.isfinite()
                result[f"neighbours_{label}_{name}"] = estimate(Scores(values[known], group[known, None]), seed)
    return result


def _single(value: float, n: int) -> Estimate:
    """Return a number without an interval."""
    return {"value": value, "low": float("nan"), "high": float("nan"), "n": n, "groups": n}


def _scaled(e: Estimate, factor: float) -> Estimate:
    return e | {key: e[key] * factor for key in ("value", "low", "high")}


# -- from the prior ---------------------------------------------------------------------------------------------------


def _from_prior(
    model: PhraseModel, found: Phrases, x: Tensor, group: Tensor, known: Trained | None, wanted: Wanted, seed: int
) -> None:
    """Add what phrases of the prior are like, beside real ones."""
    kind = model.config.kind
    real = found.histograms[REAL] = statistics.histograms(kind, x)
    found.metrics[REAL] = {"phrase_samples": _sampled(kind, x, group, known, seed)}
    for temperature in TEMPERATURES:
        name = f"temperature {temperature:g}" if temperature != 1 else "model"
        draws, random = model.sample(wanted.phrases, generator(seed, "prior")), generator(seed, "prior", "steps")
        y = in_parts(lambda z, t=temperature, r=random: model.decode(z, PHRASE, temperature=t, random=r), model, draws)
        alone = torch.arange(len(y))[:, None]
        made = statistics.histograms(kind, y)
        apart = {
            f"js_{what.replace(' ', '_')}": _single(value, len(y)) for what, value in statistics.divergences(made, real).items()
        }
        found.metrics.setdefault(name, {})["phrase_samples"] = _sampled(kind, y, alone, known, seed) | apart
        found.histograms[name] = made
        found.drawn = found.drawn or list(y[:12])


def _sampled(kind: str, x: Tensor, group: Tensor, known: Trained | None, seed: int) -> dict[str, Estimate]:
    """Return what a set of phrases is like: full, repetitive, various, new, and likely by 5-grams of the training split."""
    tokens = statistics.tokens(kind, x)
    whole = torch.stack([part for part, _ in tokens.values()], -1)
    result = {name: estimate(Scores(values, group), seed) for name, values in measure(kind, x).items()}
    if x.shape[1] > BAR and kind in GRID:
        result["as_the_bar_before"] = estimate(Scores(statistics.self_similarity(next(iter(tokens.values()))[0]), group), seed)
    result["distinct"] = _single(statistics.distinct(whole), len(x))
    if known:
        result["verbatim_of_training"] = estimate(Scores(statistics.verbatim(whole, known.tokens).double(), group), seed)
        for part, gram in known.grams.items():
            name = "bits_by_5_grams" + (f"_{part}" if len(tokens) > 1 else "")
            result[name] = estimate(Scores(gram.bits(tokens[part][0]), group), seed)
    return result


# -- along paths ------------------------------------------------------------------------------------------------------


def _interpolated(
    model: PhraseModel, found: Phrases, observed: Observed, x: Tensor, known: Trained | None, seed: int
) -> dict[str, Estimate]:
    """Return how phrases change between others, along great circles of latents, and where their tokens are mixed."""
    random, mean = generator(seed, "paths"), observed.latents[PHRASE].mean
    ends = torch.randint(len(x), (2, PATHS), generator=random)
    share = torch.linspace(0, 1, POINTS)
    z = torch.stack([torch.stack([slerp(mean[a], mean[b], t) for t in share]) for a, b in ends.T.tolist()])  # (N, K, Z)
    y = in_parts(lambda part: model.decode(part, PHRASE), model, z.flatten(0, 1))
    kind = model.config.kind
    tokens = {name: (part.unflatten(0, (PATHS, POINTS)), n) for name, (part, n) in statistics.tokens(kind, y).items()}
    grams = known.grams if known else {}
    result, alone = {}, torch.arange(PATHS)[:, None]
    for name, (paths, _) in tokens.items():
        suffix = f"_{name}" if len(tokens) > 1 else ""
        ways = {"latents": paths, "mixed": statistics.mixed(paths[:, 0], paths[:, -1], POINTS, random)}
        for way, each in ways.items():
            course = statistics.course(each)
            result[f"{way}_monotone{suffix}"] = estimate(Scores(course.monotone, alone), seed)
            if name in grams:
                middle = grams[name].bits(each[:, POINTS // 2])
                result[f"{way}_bits_by_5_grams_half_way{suffix}"] = estimate(Scores(middle, alone), seed)
            found.courses.setdefault(f"{way}{suffix}", (course.from_start.numpy(), course.from_end.numpy()))
    return result


def _steered(model: PhraseModel, known: Trained, x: Tensor, seed: int) -> Effect | None:
    """Return what attributes become when vectors found in the training split are added to draws of the prior.

    Roberts et al. 2018, section 5.4: the table of an attribute that is added and one that is measured.
    """
    directions = vectors(model, ({PHRASE: part} for part in known.x[:FOUND_IN].split(BATCH))).vectors
    if not directions:
        return None
    z, kind = model.sample(STEERED, generator(seed, "steered")), model.config.kind
    spread = {name: values.std().item() or 1.0 for name, values in measure(kind, x).items()}

    def at(name: str, strength: float) -> dict[str, Tensor]:
        return measure(kind, in_parts(lambda part: model.decode(part, PHRASE), model, z + strength * directions[name].to(z)))

    found = {name: [at(name, strength) for strength in STRENGTHS] for name in directions}
    plain_, more = STRENGTHS.index(0.0), STRENGTHS.index(1.0)
    change = [[(steps[more][m] - steps[plain_][m]).mean().item() / spread[m] for m in spread] for steps in found.values()]
    alone, curves = torch.arange(STEERED)[:, None], {}
    for name, steps in found.items():
        estimates = [estimate(Scores(step[name], alone), seed) for step in steps]
        curves[name] = [(e["value"], e["low"], e["high"]) for e in estimates]
    return Effect(tuple(directions), tuple(spread), np.array(change), curves)
