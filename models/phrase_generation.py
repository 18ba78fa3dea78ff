"""What a model of phrases makes by itself: draws from the prior beside real phrases, paths between others, added attributes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data import phrase_statistics as statistics
from data.attributes import measure
from data.melody import NOTES
from data.ngrams import NGram
from data.phrase_statistics import Histogram
from data.phrase_windows import PhraseWindows
from data.phrases import BAR, Phrase
from models.attribute_vectors import vectors
from models.evaluation import Estimate, Observed, Scores, estimate
from models.phrase import PHRASE, PhraseModel, in_parts
from utils.device import generator
from utils.trajectories import slerp

TEMPERATURES = (1.0, 0.5)  # that phrases are drawn at
PATHS, POINTS = 100, 9  # of interpolation
STEERED, STRENGTHS = 200, (-2.0, -1.0, 0.0, 1.0, 2.0)  # phrases of the prior that attributes are added to, and how much
ORDER = 5  # of n-grams
SOME = 20_000  # training phrases that statistics are of, at most
LOOKED_AT = 2**23  # steps of training phrases that copies are looked for among, at most
SHOWN = 12  # draws that are kept to be seen
REAL = "real"


class Effect(NamedTuple):
    """What adding attribute vectors does to phrases of the prior."""

    added: tuple[str, ...]
    measured: tuple[str, ...]
    change: np.ndarray  # (A, M) at strength 1, in standard deviations over real phrases
    curves: dict[str, list[tuple[float, float, float]]]  # attribute -> what it is at each strength, with intervals


class Drawn(NamedTuple):
    """Draws from the prior beside real phrases."""

    metrics: dict[str, dict[str, Estimate]]  # set of phrases -> what they are like
    histograms: dict[str, dict[str, Histogram]]
    some: list[Tensor]  # phrases at temperature 1


class Trained(NamedTuple):
    """Phrases that a model was trained on, some of them at most."""

    x: Tensor  # (M, T, ...) at bar lines
    tokens: Tensor  # (M, T, P) of all their parts
    grams: dict[str, NGram]  # of each of them
    copied: Tensor  # (M', T, P) all that training has seen, up to transposition where it was transposed
    moved: bool  # whether it was

    @classmethod
    def of(cls, kind: str, dataset: PhraseWindows, seed: int) -> "Trained":
        """Return those of a dataset."""
        still = PhraseWindows(dataset.pieces, dataset.phrase, dataset.hop)
        x, all_ = _some(dataset.plain(), SOME, seed), _some(still, LOOKED_AT // dataset.phrase.steps, seed)
        all_, moved = dataset.phrase.standard(all_), dataset.transpose > 0
        parts = statistics.tokens(kind, dataset.phrase.standard(x))
        grams = {part: NGram(each, n, ORDER) for part, (each, n) in parts.items() if (n + 1) ** ORDER < 2**63}
        tokens = torch.stack([each for each, _ in parts.values()], -1)
        return cls(x, tokens, grams, _parts(kind, all_, moved), moved)


def _some(dataset: PhraseWindows, most: int, seed: int) -> Tensor:
    """Return phrases (N, T, ...) of a dataset in random order, `most` at most."""
    rows = torch.randperm(len(dataset), generator=generator(seed, "order"))[:most]
    return dataset.batch(rows, generator("phrases"))[PHRASE]


def _parts(kind: str, x: Tensor, moved: bool) -> Tensor:
    """Return all parts of phrases as tokens (N, T, P); where they may be `moved`, notes from the lowest of the phrase on."""
    parts = statistics.tokens(kind, x)
    return torch.stack([_from_lowest(each) if moved and part != "drums" else each for part, (each, _) in parts.items()], -1)


def _from_lowest(tokens: Tensor) -> Tensor:
    notes = tokens >= NOTES
    lowest = torch.where(notes, tokens, tokens.amax()).amin(1, keepdim=True)
    return torch.where(notes, tokens - lowest + NOTES, tokens)


# -- from the prior ---------------------------------------------------------------------------------------------------


def from_prior(model: PhraseModel, x: Tensor, group: Tensor, known: Trained | None, number: int, seed: int) -> Drawn:
    """Return what phrases of the prior are like, beside the real ones `x` (N, T, ...)."""
    kind, phrase = model.config.kind, model.representations[PHRASE]
    real = statistics.histograms(kind, phrase.standard(x))
    found = Drawn({REAL: _sampled(phrase, kind, x, group, known, seed)}, {REAL: real}, [])
    for temperature in TEMPERATURES:
        name = f"temperature {temperature:g}" if temperature != 1 else "model"
        draws, random = model.sample(number, generator(seed, "prior")), generator(seed, "prior", "steps")
        y = in_parts(lambda z, t=temperature, r=random: model.decode(z, PHRASE, temperature=t, random=r), model, draws)
        made = found.histograms[name] = statistics.histograms(kind, phrase.standard(y))
        apart = {f"js_{what.replace(' ', '_')}": single(bits, len(y)) for what, bits in statistics.divergences(made, real).items()}
        found.metrics[name] = _sampled(phrase, kind, y, torch.arange(len(y))[:, None], known, seed) | apart
        found.some.extend(y[: SHOWN - len(found.some)])
    return found


def _sampled(phrase: Phrase, kind: str, x: Tensor, group: Tensor, known: Trained | None, seed: int) -> dict[str, Estimate]:
    """Return what a set of phrases is like: full, repetitive, various, new, and likely by 5-grams of the training split."""
    standard = phrase.standard(x)
    tokens = statistics.tokens(kind, standard)
    whole = _parts(kind, standard, False)
    result = {name: estimate(Scores(values, group), seed) for name, values in measure(kind, standard).items()}
    for part, (each, _) in tokens.items() if phrase.steps == phrase.span > BAR else ():
        result["as_the_bar_before" + _of(part, tokens)] = estimate(Scores(statistics.self_similarity(each), group), seed)
    result["distinct"] = single(statistics.distinct(whole), len(x))
    if known:
        copied = statistics.verbatim(_parts(kind, standard, known.moved), known.copied)
        result["verbatim_of_training"] = estimate(Scores(copied.double(), group), seed)
        apart = statistics.nearest(whole.flatten(1), known.tokens.flatten(1))[0] / whole[0].numel()
        result["from_nearest_of_training"] = estimate(Scores(apart, group), seed)
        for part, gram in known.grams.items():
            result["bits_by_5_grams" + _of(part, tokens)] = estimate(Scores(gram.bits(tokens[part][0]), group), seed)
    return result


def _of(part: str, parts: Mapping[str, object]) -> str:
    """Return what ends the name of a number of a part; nothing where there is one only."""
    return f"_of_{part}" if len(parts) > 1 else ""


def single(value: float, n: int) -> Estimate:
    """Return a number without an interval."""
    return {"value": value, "low": float("nan"), "high": float("nan"), "n": n, "groups": n}


# -- along paths ------------------------------------------------------------------------------------------------------

Courses = dict[str, tuple[np.ndarray, np.ndarray]]  # way -> distances to both ends


def between(model: PhraseModel, observed: Observed, known: Trained | None, seed: int) -> tuple[dict[str, Estimate], Courses]:
    """Return how phrases change between others, along great circles of latents, and where their tokens are mixed."""
    random, mean = generator(seed, "paths"), observed.latents[PHRASE].mean
    start, end = mean[torch.randint(len(mean), (2, PATHS), generator=random)]
    points = [slerp(start, end, torch.full((PATHS, 1), share)) for share in torch.linspace(0, 1, POINTS).tolist()]
    y = in_parts(lambda part: model.decode(part, PHRASE), model, torch.stack(points, 1).flatten(0, 1))
    standard = model.representations[PHRASE].standard(y)
    tokens = {
        name: each.unflatten(0, (PATHS, POINTS)) for name, (each, _) in statistics.tokens(model.config.kind, standard).items()
    }
    grams, result, courses = known.grams if known else {}, {}, {}
    for part, all_ in tokens.items():
        paths, of = all_[(all_[:, 0] != all_[:, -1]).any(1)], _of(part, tokens)  # between equal phrases there is no way
        alone = torch.arange(len(paths))[:, None]
        if not len(paths):
            continue
        ways = {"latents": paths, "mixed": statistics.mixed(paths[:, 0], paths[:, -1], POINTS, random)}
        for way, each in ways.items():
            course = statistics.course(each)
            result[f"{way}_monotone{of}"] = estimate(Scores(course.monotone, alone), seed)
            if part in grams:
                bits = grams[part].bits(each[:, POINTS // 2])
                result[f"{way}_bits_by_5_grams_half_way{of}"] = estimate(Scores(bits, alone), seed)
            courses[f"{way}{of}"] = (course.from_start.numpy(), course.from_end.numpy())
    return result, courses


# -- attributes -------------------------------------------------------------------------------------------------------


def steered(model: PhraseModel, known: Trained, x: Tensor, seed: int) -> Effect | None:
    """Return what attributes become when vectors found in the training split are added to draws of the prior.

    Roberts et al. 2018: the table of an attribute that is added and one that is measured. None where phrases do not differ.
    """
    directions = vectors(model, ({PHRASE: part} for part in known.x.split(model.at_once))).vectors
    if not directions:
        return None
    z, kind, phrase = model.sample(STEERED, generator(seed, "steered")), model.config.kind, model.representations[PHRASE]
    spread = {name: values.std().item() or 1.0 for name, values in measure(kind, phrase.standard(x)).items()}

    def at(name: str, strength: float) -> dict[str, Tensor]:
        y = in_parts(lambda part: model.decode(part, PHRASE), model, z + strength * directions[name].to(z))
        return measure(kind, phrase.standard(y))

    found = {name: [at(name, strength) for strength in STRENGTHS] for name in directions}
    nothing, more = STRENGTHS.index(0.0), STRENGTHS.index(1.0)
    change = [[(steps[more][m] - steps[nothing][m]).mean().item() / spread[m] for m in spread] for steps in found.values()]
    alone, curves = torch.arange(STEERED)[:, None], {}
    for name, steps in found.items():
        estimates = [estimate(Scores(step[name], alone), seed) for step in steps]
        curves[name] = [(e["value"], e["low"], e["high"]) for e in estimates]
    return Effect(tuple(directions), tuple(spread), np.array(change), curves)
