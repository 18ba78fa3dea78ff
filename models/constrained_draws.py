"""Draws of a model that stands for latents of a frozen one: whose phrases they are like, and whether they are as was wished.

Beside them draws from the prior of the frozen model, its base: what anybody gets who does not constrain it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import measure
from data.phrase_closeness import WAYS, Nearest, coverage, once, parts, silent
from data.phrase_windows import PhraseWindows
from models.evaluation import Estimate, Scores, estimate
from models.phrase import PHRASE, ConstrainedModel, in_parts
from models.phrase_generation import REAL, TEMPERATURES, single
from utils.device import generator

MOST, STEPS = 4000, 2**19  # phrases of the user, and steps of them, that others are held against, at most
WISHED = 300  # draws for each wish, at most
SHOWN = 6  # draws that are kept to be seen
TRAINING, SPLIT, MODEL, PRIOR, NO_WISH, SPREAD = "training", "split", "model", "prior", "no wish", "spread 1"

Metrics = dict[str, dict[str, Estimate]]  # set of phrases -> what it is like
Near = dict[str, dict[str, Nearest]]  # set of phrases -> way and part, "steps_from_training"


class Own(NamedTuple):
    """Hold phrases of the user of one part, some of them at most."""

    x: Tensor  # (N, T, ...) in random order
    group: Tensor  # (N, 1) the piece that each is of
    z: Tensor  # (N, Z) their latents of the base: posterior means
    distinct: Tensor  # (M, T, ...) those of them that are left where equal ones count once

    @classmethod
    def of(cls, model: ConstrainedModel, x: Tensor, group: Tensor, seed: int) -> "Own":
        """Return those of all phrases `x` (N, T, ...) of a part."""
        some = torch.randperm(len(x), generator=generator(seed, "own"))[: _most(x.shape[1])]
        first = once(parts(model.representations[PHRASE], model.config.kind, x[some]))
        return cls(x[some], group[some], encoded(model, x[some]), x[some][first])

    @classmethod
    def of_training(cls, model: ConstrainedModel, train: PhraseWindows, seed: int) -> "Own":
        """Return those of the training split, as they are, at bar lines."""
        plain = train.plain()
        some = torch.randperm(len(plain), generator=generator(seed, "training"))[: _most(plain.phrase.steps)]
        batch = plain.batch(some, generator("phrases"))
        return cls.of(model, batch[PHRASE], batch["group"], seed)


class Beside(NamedTuple):
    """Hold a draw and the phrase of the user that is nearest to it by what begins."""

    draw: Tensor
    nearest: Tensor
    f1: float  # of what begins


class Wish(NamedTuple):
    """Hold which class of an attribute draws are of, by the class that was wished."""

    names: tuple[str, ...]
    counts: Tensor  # (K, K) wished, then measured


def _most(steps: int) -> int:
    return max(1, min(MOST, STEPS // steps))


def encoded(model: ConstrainedModel, x: Tensor) -> Tensor:
    """Return the latents of the base (N, Z), posterior means, of phrases (N, T, ...)."""
    return in_parts(lambda part: model.base.encode(part, PHRASE).mean, model, x)


def drawn(model: ConstrainedModel, number: int, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return phrases by the set they are of, and latents of the base: of the model, of its base's prior, and scattered ones.

    The same latents are decoded at each temperature; the sets have nothing in common.
    """
    phrases, latents = {}, {}
    for name, of in ((MODEL, model), (PRIOR, model.base)):
        z = of.sample(number, generator(seed, "drawn", name))
        latents[name] = in_parts(model.to_base, model, z) if name == MODEL else z.cpu()
        for temperature in TEMPERATURES:
            random = generator(seed, "steps", name)
            phrases[column(name, temperature)] = in_parts(
                lambda part, of=of, t=temperature, r=random: of.decode(part, PHRASE, temperature=t, random=r), model, z
            )
    if model.residual is not None:
        around = generator(seed, "spread")
        z = latents[SPREAD] = in_parts(lambda part: model.scattered(part, 1.0, around), model, model.sample(number, around))
        random = generator(seed, "steps", SPREAD)
        phrases[SPREAD] = in_parts(lambda part: model.base.decode(part, PHRASE, temperature=1.0, random=random), model, z)
    return phrases, latents


def column(name: str, temperature: float) -> str:
    """Return the name of a set of draws at a temperature: that of what they are drawn from alone at 1."""
    if temperature == 1:
        return name
    return f"temperature {temperature:g}" if name == MODEL else f"{name}, temperature {temperature:g}"


# -- closeness --------------------------------------------------------------------------------------------------------


def near(model: ConstrainedModel, made: Mapping[str, Tensor], own: Mapping[str, Own]) -> Near:
    """Return how near sets of phrases are to the user's of each part; as ``real`` his own of the other part."""
    phrase, kind = model.representations[PHRASE], model.config.kind

    def of(x: Tensor, part: str) -> dict[str, Nearest]:
        return {f"{way}_from_{part}": measured(phrase, kind, x, own[part].distinct) for way, measured in WAYS.items()}

    found = {name: {what: n for part in own for what, n in of(x, part).items()} for name, x in made.items()}
    if len(own) == 2:
        found[REAL] = of(own[SPLIT].x, TRAINING) | of(own[TRAINING].x, SPLIT)
    return found


def closeness(model: ConstrainedModel, made: Mapping[str, Tensor], own: Mapping[str, Own], found: Near, seed: int) -> Metrics:
    """Return estimates of how near sets of phrases are, how many of the user's are the nearest to some, how many are silent."""
    result: Metrics = {}
    for name, distances in found.items():
        x = made.get(name, own[SPLIT].x)
        alone = torch.arange(len(x))[:, None]
        group = {TRAINING: own[SPLIT].group, SPLIT: own[TRAINING].group} if name == REAL else dict.fromkeys(own, alone)
        result[name] = {what: estimate(Scores(n.distance, group[_part(what)]), seed) for what, n in distances.items()}
        empty = silent(model.representations[PHRASE], model.config.kind, x)
        result[name]["silent"] = estimate(Scores(empty.double(), alone if name in made else own[SPLIT].group), seed)
        if TRAINING in own:
            result[name] |= _coverage(distances, len(own[TRAINING].distinct), len(made[MODEL]))
    for temperature in TEMPERATURES:
        result[column(MODEL, temperature)] |= _closer(found, temperature, seed)
    return result


def _part(what: str) -> str:
    return what.rpartition("_")[2]


def _coverage(distances: Mapping[str, Nearest], number: int, draws: int) -> Metrics:
    """Return the shares of so many phrases of training that are the nearest to some of as many draws, or of all there are."""
    draws = min(draws, number)
    places = {way: distances[f"{way}_from_{TRAINING}"].place for way in WAYS}
    return {
        f"{way}_coverage": single(coverage(place, number, draws), draws) for way, place in places.items() if len(place) >= draws
    }


def _closer(found: Near, temperature: float, seed: int) -> dict[str, Estimate]:
    """Return by how much draws of the model are nearer than those of the prior of its base, as pairs.

    The sets are as large as each other and independent, so that it does not matter which are paired.
    """
    ours, others = found[column(MODEL, temperature)], found[column(PRIOR, temperature)]
    gains = {what.replace("_from_", "_closer_to_"): others[what].distance - n.distance for what, n in ours.items()}
    return {name: estimate(Scores(gain, torch.arange(len(gain))[:, None]), seed) for name, gain in gains.items()}


def beside(x: Tensor, distances: Mapping[str, Nearest], own: Mapping[str, Own]) -> list[Beside]:
    """Return the first of draws beside their nearest of the user: of training, where that is at hand."""
    part = next(iter(own))
    distance, place = (each[:SHOWN] for each in distances[f"events_from_{part}"])
    return [Beside(*each) for each in zip(x, own[part].distinct[place], (1 - distance).tolist(), strict=False)]


# -- wishes -----------------------------------------------------------------------------------------------------------


def wishes(
    model: ConstrainedModel, made: Mapping[str, Tensor], own: Own, number: int, seed: int
) -> tuple[Metrics, dict[str, Wish]]:
    """Return how often draws are of the class of an attribute that was wished, and by chance, where nothing was."""
    if not model.wishes:
        return {}, {}
    alone = torch.arange(len(made[MODEL]))[:, None]
    unasked = {NO_WISH: (made[MODEL], alone), PRIOR: (made[PRIOR], alone), REAL: (own.x, own.group)}
    result: Metrics = {MODEL: {}, **{name: {} for name in unasked}}
    tables = {}
    classes = {name: _classes(model, x) for name, (x, _) in unasked.items()}
    for place, (attribute, names) in enumerate(model.wishes.items()):
        measured = [_wished(model, place, k, min(number, WISHED), seed)[attribute] for k in range(len(names))]
        tables[attribute] = Wish(tuple(names), torch.stack([ids.bincount(minlength=len(names)) for ids in measured]))
        for k, name in enumerate(names):
            metric, ids = f"wish_{attribute}_{name}", measured[k]
            result[MODEL][metric] = estimate(Scores((ids == k).double(), torch.arange(len(ids))[:, None]), seed)
            for set_, (_, group) in unasked.items():
                result[set_][metric] = estimate(Scores((classes[set_][attribute] == k).double(), group), seed)
    return result, tables


def _wished(model: ConstrainedModel, place: int, wish: int, number: int, seed: int) -> dict[str, Tensor]:
    """Return the classes (N,) of each attribute of draws for which one of an attribute is wished, and nothing else."""
    condition = torch.full((1, len(model.wishes)), -1, device=model.device)
    condition[0, place] = wish
    random = generator(seed, "wished", place, wish)
    x = in_parts(
        lambda z: model.decode(z, PHRASE, condition.expand(len(z), -1), temperature=1.0, random=random),
        model,
        model.sample(number, generator(seed, "wishes", place, wish)),
    )
    return _classes(model, x)


def _classes(model: ConstrainedModel, x: Tensor) -> dict[str, Tensor]:
    """Return for each attribute that there are wishes of in which class phrases `x` (N, T, ...) are, (N,)."""
    values = measure(model.config.kind, model.representations[PHRASE].standard(x))
    return {name: torch.bucketize(values[name], model.edges[name].cpu().double(), right=True) for name in model.wishes}
