"""Statistics of sets of phrases: what is in them, how alike and how new they are, and how they change along a path.

Phrases are tokens (N, T), a step a sixteenth, or REMI's; of a groove or of the hits of drums, `tokens` makes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import HITS, LOWEST, hits_of
from data.drums import DRUMS, TOKENS, unpacked
from data.melody import NOTES, Melody
from data.notes import PITCH_CLASSES
from data.phrases import BAR
from data.remi_tokens import heard, vocabulary
from data.trio import PARTS, Trio
from utils.distributions import jensen_shannon

FROM_C = PITCH_CLASSES[3:] + PITCH_CLASSES[:3]
WIDEST = 12  # semitones: intervals that are wider count as that
CELLS = 2**24  # compared at once


class Histogram(NamedTuple):
    """How often each of K things occurs."""

    counts: Tensor  # (K,) float64
    names: tuple[str, ...]


def histograms(kind: str, x: Tensor) -> dict[str, Histogram]:
    """Return by name what occurs how often in phrases `x` (N, T, ...) of a `kind`, a key of `HISTOGRAMS`."""
    return HISTOGRAMS[kind](x)


def divergences(one: Mapping[str, Histogram], other: Mapping[str, Histogram]) -> dict[str, float]:
    """Return the Jensen-Shannon divergence, 0 to 1 bit, of each histogram of two sets."""
    return {name: jensen_shannon(one[name].counts, other[name].counts) for name in one}


def _counted(values: Tensor, names: Sequence[str]) -> Histogram:
    """Return how often each of 0, ..., K - 1 occurs in values of any shape; those beyond count as the nearest."""
    counts = values.flatten().long().clamp(0, len(names) - 1).bincount(minlength=len(names))
    return Histogram(counts.double(), tuple(names))


def _positions(onsets: Tensor) -> Histogram:
    """Return where in the bar onsets (N, T, ...) are."""
    return _counted(onsets.nonzero()[:, 1] % BAR, [str(step + 1) for step in range(BAR)])


def _a_bar(onsets: Tensor, width: int, bins: int) -> Histogram:
    """Return how many onsets (N, T, ...) a bar phrases have, `width` counts a bin; the last bin holds all that have more."""
    number = onsets.flatten(1).sum(1) * BAR // (onsets.shape[1] * width)
    starts = [f"{width * n}" for n in range(bins)]
    return _counted(number, [*starts[:-1], f"{starts[-1]}+"])


def _of_melody(x: Tensor) -> dict[str, Histogram]:
    onsets, pitch = x >= NOTES, x + LOWEST
    phrase, step = onsets.nonzero(as_tuple=True)
    sounding = pitch[phrase, step]
    jumps = sounding.diff()[phrase.diff() == 0]
    return {
        "notes a bar": _a_bar(onsets, 1, BAR + 1),
        "pitch class": _counted(sounding % 12, FROM_C),
        "interval": _counted(jumps + WIDEST, [f"{jump:+d}" if jump else "0" for jump in range(-WIDEST, WIDEST + 1)]),
        "onset position": _positions(onsets),
    }


def _of_hits(hits: Tensor) -> dict[str, Histogram]:
    return {
        "hits a bar": _a_bar(hits, 4, 13),
        "hit share": _counted(hits.nonzero()[:, 2], DRUMS),
        "onset position": _positions(hits),
    }


def _of_groove(x: Tensor) -> dict[str, Histogram]:
    hits = hits_of("groove", x)
    late = -x[..., 18:][hits] / 2  # steps
    return {
        **_of_hits(hits),
        "velocity": _counted((x[..., 9:18][hits] * 127).round() // 8, [str(8 * n) for n in range(16)]),
        "steps late": _counted((late + 0.5) * 20 + 0.5, [f"{(n - 10) / 20:+.2f}" if n != 10 else "0" for n in range(21)]),
    }


def _of_trio(x: Tensor) -> dict[str, Histogram]:
    parts = dict(zip(PARTS, (_of_melody(x[..., 0]), _of_melody(x[..., 1]), _of_hits(unpacked(x[..., 2]))), strict=True))
    return {f"{part} {name}": histogram for part, found in parts.items() for name, histogram in found.items()}


def _of_notes(x: Tensor) -> dict[str, Histogram]:
    notes = heard(x)
    number = notes.phrase.bincount(minlength=len(x))
    return {
        "notes a bar": _counted(number // notes.bars, [*map(str, range(24)), "24+"]),
        "pitch class": _counted(notes.pitch % 12, FROM_C),
        "onset position": _counted(notes.onset % BAR, [str(step + 1) for step in range(BAR)]),
        "duration": _counted(notes.duration - 1, [*map(str, range(1, BAR)), f"{BAR}+"]),  # steps
        "velocity": _counted(notes.velocity // 16, [str(16 * n) for n in range(8)]),
    }


HISTOGRAMS: dict[str, Callable[[Tensor], dict[str, Histogram]]] = {
    "melody": _of_melody,
    **{kind: lambda x, read=read: _of_hits(read(x)) for kind, read in HITS.items()},
    "groove": _of_groove,
    "trio": _of_trio,
    "remi": _of_notes,
}


def self_similarity(x: Tensor) -> Tensor:
    """Return the share of the steps of phrases (N, T) that are as the step a bar before, (N,); T is two bars or more."""
    return (x[:, BAR:] == x[:, :-BAR]).double().mean(1)


def distinct(x: Tensor) -> float:
    """Return how many different phrases there are among (N, ...), over N: 1 where none occurs twice."""
    return len(_rows(x).unique()) / len(x)


def verbatim(x: Tensor, known: Tensor) -> Tensor:
    """Return which of the phrases `x` (N, ...) are among `known` (M, ...) too, (N,) bool."""
    both = _rows(torch.cat([x, known.to(x)]))
    return torch.isin(both[: len(x)], both[len(x) :])


def _rows(x: Tensor) -> Tensor:
    """Return numbers (N,) that are alike where rows (N, ...) are."""
    return x.flatten(1).unique(dim=0, return_inverse=True)[1]


def hamming(x: Tensor, y: Tensor) -> Tensor:
    """Return in how many steps phrases `x` (M, T) and `y` (N, T) differ, (M, N) int16."""
    distance = torch.zeros(len(x), len(y), dtype=torch.int16, device=x.device)
    for one, other in zip(x.unbind(1), y.unbind(1), strict=True):
        distance += one[:, None] != other
    return distance


def nearest(x: Tensor, y: Tensor, apart: bool = False) -> tuple[Tensor, Tensor]:
    """Return in how many steps each of `x` (M, T) differs from the nearest of `y` (N, T), and which that is, (M,) each.

    Of equally near ones it is any.

    Parameters
    ----------
    apart : `x` and `y` are the same phrases, and none counts as its own neighbour; N is two or more.
    """
    distances, places = [], []
    some = max(1, CELLS // len(y))
    for start in range(0, len(x), some):
        distance = hamming(x[start : start + some], y)
        if apart:
            distance.diagonal(start).fill_(torch.iinfo(distance.dtype).max)
        distances.append(distance.amin(1))
        places.append(distance.argmin(1))
    return torch.cat(distances).long(), torch.cat(places)


class Course(NamedTuple):
    """How K points of paths between two phrases differ from its ends; shares of steps."""

    from_start: Tensor  # (N, K)
    from_end: Tensor  # (N, K)
    monotone: Tensor  # (N,) share of the K - 1 moves that neither return towards the start nor leave the end


def course(paths: Tensor) -> Course:
    """Return how phrases change along paths (N, K, T) from the first of K to the last; K is two or more."""
    from_start, from_end = ((paths != end).double().mean(2) for end in (paths[:, :1], paths[:, -1:]))
    onward = (from_start.diff(dim=1) >= 0) & (from_end.diff(dim=1) <= 0)
    return Course(from_start, from_end, onward.double().mean(1))


def mixed(start: Tensor, end: Tensor, points: int, random: torch.Generator) -> Tensor:
    """Return paths (N, K, T) between phrases (N, T) on which each step is drawn from either end: what interpolation has to beat.

    Roberts et al., ICML 2018: at a share s of the way a step is of the end with probability s.
    """
    share = torch.linspace(0, 1, points)[:, None]
    of_end = torch.rand(len(start), points, start.shape[1], generator=random) < share
    return torch.where(of_end.to(start.device), end[:, None], start[:, None])


def tokens(kind: str, x: Tensor) -> dict[str, tuple[Tensor, int]]:
    """Return by name the parts of phrases `x` (N, T, ...) of a kind as tokens (N, T), and how many tokens there are."""
    if kind == "trio":
        return {part: (x[..., place], size) for place, (part, size) in enumerate(zip(PARTS, Trio(BAR).widths, strict=True))}
    if kind == "melody":
        return {kind: (x, Melody(BAR).tokens)}
    if kind == "remi":
        return {kind: (x, len(vocabulary().types))}
    return {kind: (packed(hits_of(kind, x)), TOKENS)}


def packed(hits: Tensor) -> Tensor:
    """Return numbers (...) that have a bit for each of hits (..., D) bool, from the lowest; D is 62 or less."""
    return (hits.long() << torch.arange(hits.shape[-1], device=hits.device)).sum(-1)
