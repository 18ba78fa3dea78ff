"""Attributes of phrases: numbers that a listener could name, by which a latent space may be steered.

Those of melodies are of Roberts, Engel, Raffel, Hawthorne and Eck, "A Hierarchical Latent Vector Model for Learning Long-Term
Structure in Music", ICML 2018. A step is a sixteenth. A phrase without what is measured has 0, never NaN.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from data.drums import DRUMS, EVEN, FIRST, LAST, MAPS, unpacked
from data.melody import NOTES, Melody
from data.phrases import BAR
from data.remi_tokens import Heard, heard
from data.representations import Facet
from data.sequences import QUARTER

LOWEST = Melody(0).lowest - NOTES  # the MIDI pitch of a note less its token
C_MAJOR = (0, 2, 4, 5, 7, 9, 11)  # pitch classes
KICK, SNARE, CLOSED, OPEN = (DRUMS.index(name) for name in ("kick", "snare", "closed_hat", "open_hat"))

DENSITY = "density"
CLASSES, WIDTHS = 6, {"note_density": 2, "hit_density": 6}  # of densities, and how wide they are, in notes or hits a bar

Attribute = Callable[[Tensor], Tensor]


def measure(kind: str, x: Tensor) -> dict[str, Tensor]:
    """Return by name every attribute of phrases `x` (N, T, ...) of a `kind`, a key of `ATTRIBUTES`, (N,) float64 each."""
    return {name: attribute(x) for name, attribute in ATTRIBUTES[kind].items()}


def hits_of(kind: str, x: Tensor) -> Tensor:
    """Return which of nine drums are hit in phrases `x` (N, T, ...) of a kind with drums alone, (N, T, 9) bool."""
    return HITS[kind](x)


def _nine(x: Tensor) -> Tensor:
    """Return the hits (N, T, 9) of hits (N, T, 61) of pitches, by the map of General MIDI."""
    pitches = range(FIRST, LAST + 1)
    return torch.stack([(x[..., [pitch in drum for pitch in pitches]] > EVEN).any(-1) for drum in MAPS["gm"]], -1)


HITS: dict[str, Callable[[Tensor], Tensor]] = {
    "drums": unpacked,
    "hits": lambda x: x > EVEN,
    "all_hits": _nine,
    "groove": lambda x: x[..., : len(DRUMS)] > EVEN,
}


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return part / whole of counts, 0 where there is no whole; (N,) each."""
    return part.double() / whole.double().clamp_min(1)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of values (N, ...) where a mask of their shape is true, 0 where it nowhere is, (N,)."""
    return _ratio((values.double() * where).flatten(1).sum(1), where.flatten(1).sum(1))


def _syncopation(onsets: Tensor, unit: int) -> Tensor:
    """Return the share of onsets (N, T) on odd multiples of `unit` steps, without an onset on the multiple before."""
    lonely = torch.zeros_like(onsets)
    lonely[:, unit :: 2 * unit] = onsets[:, unit :: 2 * unit] & ~onsets[:, : -unit : 2 * unit]
    return _mean(lonely, onsets)


def _onsets(x: Tensor) -> Tensor:
    return x >= NOTES


def c_diatonic(x: Tensor) -> Tensor:
    """Return the share of the notes of melodies (N, T) that are in C major."""
    return _mean(torch.isin((x + LOWEST) % 12, torch.tensor(C_MAJOR, device=x.device)), _onsets(x))


def note_density(x: Tensor) -> Tensor:
    """Return the notes a step of melodies (N, T)."""
    return _onsets(x).double().mean(1)


def average_interval(x: Tensor) -> Tensor:
    """Return the mean distance in semitones between a note and the next of melodies (N, T)."""
    steps = torch.arange(x.shape[1], device=x.device).expand_as(x)
    latest = torch.where(_onsets(x), steps, -1).cummax(1).values[:, :-1]  # onset at each step or before, (N, T - 1)
    distance = (x[:, 1:] - x.gather(1, latest.clamp_min(0))).abs()
    return _mean(distance, _onsets(x)[:, 1:] & (latest >= 0))


def _share(*drums: int) -> Attribute:
    return lambda hits: _ratio(hits[..., list(drums)].flatten(1).sum(1), hits.flatten(1).sum(1))


def _off_beat(hits: Tensor) -> Tensor:
    return _mean(hits & (torch.arange(hits.shape[1], device=hits.device) % QUARTER != 0)[:, None], hits)


OF_HITS: dict[str, Attribute] = {  # of hits (N, T, 9) bool
    "hit_density": lambda hits: hits.double().sum(2).mean(1),  # hits a step
    "kick_share": _share(KICK),  # of all hits
    "snare_share": _share(SNARE),
    "hat_share": _share(CLOSED, OPEN),
    "off_beat_share": _off_beat,  # of all hits: those between the beats
    "hat_openness": lambda hits: _share(1)(hits[..., [CLOSED, OPEN]]),  # of the hits of the hi-hat: those that are open
}
OF_MELODY: dict[str, Attribute] = {  # of tokens (N, T)
    "c_diatonic": c_diatonic,
    "note_density": note_density,
    "average_interval": average_interval,
    "syncopation_16": lambda x: _syncopation(_onsets(x), 1),
    "syncopation_8": lambda x: _syncopation(_onsets(x), 2),
}


def _by_phrase(notes: Heard, values: Tensor) -> Tensor:
    """Return the sum over the notes (M,) of each phrase, (N,)."""
    return torch.zeros(len(notes.bars), dtype=torch.float64, device=values.device).index_add(0, notes.phrase, values.double())


def _number(notes: Heard) -> Tensor:
    """Return how many notes phrases have, (N,)."""
    return notes.phrase.bincount(minlength=len(notes.bars)).double()


def _mean_note(read: Callable[[Heard], Tensor]) -> Callable[[Heard], Tensor]:
    """Return the mean over the notes of a phrase of what `read` tells of each."""
    return lambda notes: _ratio(_by_phrase(notes, read(notes)), _number(notes))


def _begun_together(notes: Heard) -> Tensor:
    """Return how many notes begin at once, on average over the times at which some do."""
    last = notes.onset.max() + 1 if len(notes.onset) else 1
    when = (notes.phrase * last + notes.onset).unique()
    return _ratio(_number(notes), (when // last).bincount(minlength=len(notes.bars)))


OF_NOTES: dict[str, Callable[[Heard], Tensor]] = {
    "c_diatonic": _mean_note(lambda notes: torch.isin(notes.pitch % 12, torch.tensor(C_MAJOR, device=notes.pitch.device))),
    "note_density": lambda notes: _number(notes) / (BAR * notes.bars),  # notes a step, of the bars that are begun
    "notes_at_once": _begun_together,
    "mean_velocity": _mean_note(lambda notes: notes.velocity),  # MIDI, 0-127
    "mean_duration": _mean_note(lambda notes: notes.duration),  # steps
}


def _after(read: Callable[[Tensor], Any], attributes: dict[str, Callable[[Any], Tensor]], prefix: str = "") -> dict[str, Attribute]:
    """Return attributes of what `read` makes of phrases."""
    return {prefix + name: lambda x, attribute=attribute: attribute(read(x)) for name, attribute in attributes.items()}


ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "melody": OF_MELODY,
    **{kind: _after(read, OF_HITS) for kind, read in HITS.items()},
    "groove": {
        **_after(HITS["groove"], OF_HITS),
        "mean_velocity": lambda x: _mean(127 * x[..., 9:18], HITS["groove"](x)),  # MIDI, 0-127
        "mean_timing": lambda x: _mean(x[..., 18:].abs() / 2, HITS["groove"](x)),  # steps off the grid
    },
    "trio": {
        **_after(lambda x: x[..., 0], OF_MELODY, "melody_"),
        **_after(lambda x: unpacked(x[..., 2]), OF_HITS, "drums_"),
    },
    "remi": _after(heard, OF_NOTES),
}


def density(kind: str, x: Tensor) -> Facet:
    """Return in which of six classes phrases `x` (N, T, ...) of a kind are by what begins in a bar, on average."""
    name = next(name for name in ATTRIBUTES[kind] if name.endswith("density"))
    width = WIDTHS[name.removeprefix("melody_")]
    ids = (BAR * ATTRIBUTES[kind][name](x) / width).long().clamp_max(CLASSES - 1)
    names = [f"{width * n} to {width * (n + 1)}" for n in range(CLASSES - 1)]
    return Facet(ids, (*names, f"{width * (CLASSES - 1)} and more"), "line")
