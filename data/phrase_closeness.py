"""How near phrases are to the nearest of some others, by two distances, and how many of these others are the nearest to any.

By its steps a drum more or less is as far off as another beat, since all that is hit in a step is one token, and where few notes
begin, silence is near. By its events neither is so, but how long notes last does not count.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import hits_of
from data.drums import unpacked
from data.melody import NOTES, Melody
from data.phrase_statistics import nearest, tokens
from data.phrases import BAR, Phrase

CELLS = 2**24  # compared at once
AT_ONCE = 1000  # phrases whose events are looked at


class Nearest(NamedTuple):
    """Hold of N phrases how far each is from the nearest of some others, and which that is."""

    distance: Tensor  # (N,) float64, 0 to 1
    place: Tensor  # (N,)


def parts(phrase: Phrase, kind: str, x: Tensor) -> Tensor:
    """Return all parts of phrases `x` (N, T, ...) of a kind as tokens, (N, C)."""
    return torch.cat([part for part, _ in tokens(kind, phrase.standard(x)).values()], 1)


def begun(phrase: Phrase, kind: str, x: Tensor) -> Tensor:
    """Return which drum, or pitch, begins at which step of phrases `x` (N, T, ...) of a kind, (N, C) bool."""
    if kind == "remi":
        return phrase.grid(x).flatten(1)
    if kind == "trio":
        melody, bass, drums = phrase.standard(x).unbind(2)
        return torch.cat([_pitches(melody), _pitches(bass), unpacked(drums).flatten(1)], 1)
    return _pitches(phrase.standard(x)) if kind == "melody" else hits_of(kind, x).flatten(1)


def _pitches(x: Tensor) -> Tensor:
    return (x[..., None] == torch.arange(NOTES, Melody(BAR).tokens)).flatten(1)


def silent(phrase: Phrase, kind: str, x: Tensor) -> Tensor:
    """Return in which of phrases `x` (N, T, ...) of a kind nothing begins, (N,) bool."""
    return torch.cat([~begun(phrase, kind, part).any(1) for part in x.split(AT_ONCE)])


def by_steps(phrase: Phrase, kind: str, x: Tensor, y: Tensor) -> Nearest:
    """Return which of phrases `y` (M, T, ...) is nearest to each of `x` (N, T, ...), by the share of tokens that differ."""
    own, others = parts(phrase, kind, x), parts(phrase, kind, y)
    distance, place = nearest(own, others)
    return Nearest(distance.double() / own.shape[1], place)


def by_events(phrase: Phrase, kind: str, x: Tensor, y: Tensor) -> Nearest:
    """Return which of phrases `y` (M, T, ...) is nearest to each of `x` (N, T, ...) by 1 - F1 of what begins (Dice, 1945).

    0 of two phrases in which nothing begins, 1 of such a one and another.
    """
    others = begun(phrase, kind, y)
    used, number = others.any(0), others.sum(1)
    others, found = others[:, used].float(), []
    for part in x.split(max(1, min(AT_ONCE, CELLS // max(others.shape)))):
        own = begun(phrase, kind, part)
        both, total = (own[:, used].float() @ others.T).double(), own.sum(1)[:, None] + number
        found.append(torch.where(total > 0, 1 - 2 * both / total, 0.0).min(1))
    return Nearest(*(torch.cat(each) for each in zip(*found, strict=True)))


WAYS: dict[str, Callable[[Phrase, str, Tensor, Tensor], Nearest]] = {"steps": by_steps, "events": by_events}


def once(x: Tensor) -> Tensor:
    """Return the places of the first of equal rows of `x` (N, C), (M,) ascending."""
    found = x.unique(dim=0, return_inverse=True)[1]
    first = torch.full((int(found.max()) + 1,), len(x)).scatter_reduce(0, found, torch.arange(len(x)), "amin")
    return first.sort().values


def coverage(place: Tensor, number: int, draws: int) -> float:
    """Return the share of `number` phrases that are the nearest to one of some draws or to several, on average.

    Rarefied as numbers of species are: Hurlbert, "The nonconcept of species diversity", Ecology 52(4), 1971, so that sets of
    different sizes compare. Drawing from the very phrases, as many as there are, would reach 1 - 1 / e, 0.63.

    Parameters
    ----------
    place : (N,) which of them is the nearest to each of all draws.
    draws : of these N that are taken, without replacement.
    """
    left = len(place) - place.bincount(minlength=number).double()  # draws that are nearest to others, (number,)
    missed = torch.lgamma(left + 1) - torch.lgamma((left - draws).clamp_min(0) + 1)
    missed += torch.lgamma(torch.tensor(len(place) - draws + 1.0).double()) - torch.lgamma(torch.tensor(len(place) + 1.0).double())
    return 1 - torch.where(left >= draws, missed.exp(), 0.0).mean().item()
