"""What models of phrases are compared with: guesses at each step from its place in the bar and the true steps before it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import HITS
from data.drums import DRUMS, EVEN
from data.phrase_kinds import GRID
from data.phrase_statistics import packed
from data.phrases import BAR
from data.trio import PARTS

Predict = Callable[[Tensor], Tensor]  # phrases (N, T, ...) -> guesses (N, T, ...), at each step told the true steps before
Place = Callable[[Tensor, int], Tensor]  # ids (N, T) of `size` tokens -> what is known before each step, numbers (N, T)


def _nothing(ids: Tensor, size: int) -> Tensor:
    return torch.zeros_like(ids)


def _position(ids: Tensor, size: int) -> Tensor:
    return (torch.arange(ids.shape[1], device=ids.device) % BAR).expand_as(ids)


def _previous(ids: Tensor, size: int) -> Tensor:
    return torch.cat([torch.full_like(ids[:, :1], size), ids[:, :-1]], 1)  # a number of its own before the first


def _position_and_previous(ids: Tensor, size: int) -> Tensor:
    return _position(ids, size) + BAR * _previous(ids, size)


KNOWN: dict[str, Place] = {
    "most_frequent": _nothing,
    "position": _position,
    "previous": _previous,
    "position_and_previous": _position_and_previous,
}
COPY = "bar_before"
BASELINES = (*KNOWN, COPY)
ANYWHERE = ("most_frequent", "previous")  # of tokens that have no place in a bar


def names(kind: str) -> tuple[str, ...]:
    """Return the baselines that there are of phrases of a kind."""
    return BASELINES if kind in GRID else ANYWHERE


def fit(name: str, kind: str, train: Tensor) -> Predict:
    """Return the baseline `name`, one of `names(kind)`, of phrases (M, T, ...) of a kind of `phrase_kinds.KINDS`; M is 1 or more.

    Of steps with one token, and of hits, the most frequent of all that is known is guessed, or where that never was in training,
    of the position; ``bar_before`` repeats the step a bar before, in the first bar it guesses by position. Parts of a trio are
    guessed each from itself. Velocities and offsets of a groove are the means of the drum at its position.
    """
    return FITS[kind](name, train)


def _fit_tokens(name: str, train: Tensor) -> Predict:
    """Return a baseline of tokens, or of other numbers, (N, T)."""
    if name == COPY:
        return _copying(_fit_tokens("position", train))
    known = train.unique()  # ascending
    ids, size = torch.searchsorted(known, train.contiguous()), len(known)
    place, fallback = KNOWN[name], _Modes.of(_position(ids, size), ids, BAR, size)
    modes = _Modes.of(place(ids, size), ids, BAR * (size + 2), size)

    def predict(x: Tensor) -> Tensor:
        at = torch.searchsorted(known, x.contiguous()).clamp_max(size - 1)
        ids = torch.where(known[at] == x, at, size + 1)  # a number of its own for what never was
        where = place(ids, size)
        return known[torch.where(modes.seen[where], modes.best[where], fallback.best[_position(ids, size)])]

    return predict


class _Modes(NamedTuple):
    """What is most frequent where something is known."""

    best: Tensor  # (P,) ids, the lowest of equals
    seen: Tensor  # (P,) whether that was known at all

    @classmethod
    def of(cls, where: Tensor, ids: Tensor, places: int, size: int) -> "_Modes":
        """Return the modes of ids (M, T) below `size` by the numbers (M, T), below `places`, of what was known."""
        keys, times = (where * size + ids).unique(return_counts=True)
        score = times * size + size - 1 - keys % size  # at least `size`
        best = torch.zeros(places, dtype=torch.long, device=ids.device).scatter_reduce(0, keys // size, score, "amax")
        return cls(size - 1 - best % size, best > 0)


def _copying(first: Predict) -> Predict:
    """Return a baseline that repeats the bar before, and guesses the first bar by another."""
    return lambda x: torch.cat([first(x[:, :BAR]), x[:, :-BAR]], 1)


def _fit_hits(name: str, train: Tensor) -> Predict:
    """Return a baseline of hits (N, T, D), 0 or 1: those of a step are one token together."""
    predict, bits = _fit_tokens(name, packed(train > EVEN)), torch.arange(train.shape[2])
    return lambda x: (predict(packed(x > EVEN))[..., None] >> bits.to(x.device) & 1).to(x.dtype)


def _fit_groove(name: str, train: Tensor) -> Predict:
    """Return a baseline of grooves (N, T, 27)."""
    hit = HITS["groove"](train)
    predict, means = _fit_hits(name, hit), _means(hit, train[..., len(DRUMS) :].unflatten(2, (2, -1)))

    def guess(x: Tensor) -> Tensor:
        hits = predict(HITS["groove"](x)).to(x.dtype)
        played = means.to(x)[_position(x[..., 0], 0)] * hits[:, :, None]  # (N, T, 2, 9)
        return torch.cat([hits, played.flatten(2)], 2)

    return guess


def _means(hit: Tensor, played: Tensor) -> Tensor:
    """Return the mean velocity and offset (16, 2, 9) of drums by position; where a drum never is, its mean, or 0.

    Parameters
    ----------
    hit : (M, T, 9).
    played : (M, T, 2, 9).
    """
    weight = hit[:, :, None].double()
    sums = [(values * weight).unflatten(1, (-1, BAR)).sum((0, 1)) for values in (played, torch.ones_like(played))]  # (16, 2, 9)
    total, count = sums
    overall = total.sum(0) / count.sum(0).clamp_min(1)
    return torch.where(count > 0, total / count.clamp_min(1), overall)


def _fit_trio(name: str, train: Tensor) -> Predict:
    """Return a baseline of trios (N, T, 3)."""
    parts = [_fit_tokens(name, train[..., part]) for part in range(len(PARTS))]
    return lambda x: torch.stack([predict(tokens) for predict, tokens in zip(parts, x.unbind(2), strict=True)], 2)


FITS: dict[str, Callable[[str, Tensor], Predict]] = {
    "melody": _fit_tokens,
    "drums": _fit_tokens,
    "hits": _fit_hits,
    "all_hits": _fit_hits,
    "groove": _fit_groove,
    "trio": _fit_trio,
    "remi": _fit_tokens,
}
