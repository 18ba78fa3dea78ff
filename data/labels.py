"""Notes as class ids of labels, and how right such ids are.

In every label of a source, the id K, one beyond its classes, means that the source is silent.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.notes import Notes, name_of, nearest_dynamics, parse_pitch_class, pitch_of, velocities_of
from data.representations import Facet, Representation
from utils import metrics
from utils.config import InputError

ORDERS = {"octave": "line", "pitch": "circle", "dynamics": "line"}  # of the classes of labels
OCTAVE, VELOCITY = "4", 80  # of notes, where the labels do not tell


@dataclass(frozen=True)
class Labels(Representation):
    """The labels of I instruments as class ids, (N, I, L)."""

    classes: tuple[tuple[str, tuple[str, ...]], ...]  # (label, class names), in the order of the model
    instruments: tuple[str, ...]
    silence: bool  # whether a further class K, in every label, means "this source is silent"
    rate: float  # frames a second

    @property
    def shape(self) -> tuple[int, int]:
        """Return (I, L)."""
        return len(self.instruments), len(self.classes)

    @property
    def frame_rate(self) -> float:
        """Return the frames a second."""
        return self.rate

    @property
    def silent_ids(self) -> tuple[int, ...]:
        """Return the ids of a silent source, (L,)."""
        return tuple(len(names) for _, names in self.classes)

    @property
    def pitched(self) -> bool:
        """Tell whether the labels name pitches, so that they and notes can be told from each other."""
        return "pitch" in dict(self.classes)

    # -- ids, in words and as pitches ---------------------------------------------------------------------------------

    def sounding(self, ids):
        """Tell which sources sound, (N, I), for an array or tensor of ids (N, I, L)."""
        return ids[..., 0] != self.silent_ids[0]

    def class_names(self, ids: Sequence[int]) -> dict[str, str]:
        """Return the class of each label for the ids (L,) of one source that sounds."""
        return {label: names[i] for (label, names), i in zip(self.classes, ids, strict=True)}

    def text(self, ids) -> list[str]:
        """Write ids (N, I, L) for people: "A4:mf", or "flute A4:mf + cello rest" for several instruments."""
        sources = [[self.word(source) for source in frame] for frame in np.asarray(ids).tolist()]
        if len(self.instruments) == 1:
            return [words[0] for words in sources]
        return [" + ".join(map(" ".join, zip(self.instruments, words, strict=True))) for words in sources]

    def word(self, ids: Sequence[int]) -> str:
        """Write the ids (L,) of one source, as in `text`."""
        if ids[0] == self.silent_ids[0]:
            return "rest"
        names = self.class_names(ids)
        pitch = names.pop("pitch", "") + names.pop("octave", "")
        return ":".join([pitch, *names.values()] if pitch else names.values())

    def pitch(self, ids) -> np.ndarray:
        """Return the MIDI pitches (...,) of ids (..., L); -1 where the source is silent or MIDI has no such pitch."""
        octave, pitch_class = self._column(ids, "octave"), self._column(ids, "pitch")
        return np.where(self.sounding(np.asarray(ids)), self._pitches[octave, pitch_class], -1)

    def velocity(self, ids) -> np.ndarray:
        """Return the nominal MIDI velocities (...,) of ids (..., L) that sound."""
        return self._nominal[self._column(ids, "dynamics")]

    def ids(self, notes: Notes) -> np.ndarray:
        """Return the ids of M notes, (M, L): the nearest dynamics, the first class of labels that MIDI does not tell.

        A pitch outside the tables has -1 in every label.
        """
        known = {"octave": self.places[notes.pitch, 0], "pitch": self.places[notes.pitch, 1]}
        if "dynamics" in dict(self.classes):
            known["dynamics"] = self._nearest[notes.velocity]
        columns = [known.get(label, np.zeros(len(notes), np.int64)) for label, _ in self.classes]
        return np.where(self.places[notes.pitch, :1] < 0, -1, np.stack(columns, -1))

    def _column(self, ids, label: str) -> np.ndarray:
        """Return the ids (...,) of one label, zeros where the model has none such."""
        ids, order = np.asarray(ids), [name for name, _ in self.classes]
        return ids[..., order.index(label)] if label in order else np.zeros(ids.shape[:-1], np.int64)

    @functools.cached_property
    def _pitches(self) -> np.ndarray:
        """MIDI pitches by octave id and pitch class id, (K + 1, K' + 1); -1 where there is none."""
        tables = dict(self.classes)
        if not self.pitched:
            raise InputError(f"this run names no pitch, only {', '.join(tables)}: it cannot read or write notes")
        octaves = tables.get("octave", (OCTAVE,))
        result = np.full((len(octaves) + 1, len(tables["pitch"]) + 1), -1)
        for i, octave in enumerate(octaves):
            for j, name in enumerate(tables["pitch"]):
                result[i, j] = _midi(name, octave)
        return result

    @functools.cached_property
    def places(self) -> np.ndarray:
        """Return octave id and pitch class id by MIDI pitch, (128, 2); -1 where the tables have no such note."""
        result = np.full((128, 2), -1)
        octaves, pitch_classes = np.nonzero(self._pitches >= 0)
        result[self._pitches[octaves, pitch_classes]] = np.stack([octaves, pitch_classes], -1)
        if "octave" not in dict(self.classes):  # then every octave is as good as the one
            result = result[12 * (int(OCTAVE) + 1) + np.arange(128) % 12]
        return result

    @property
    def span(self) -> str:
        """Return the lowest and the highest note of the tables in words: "C3 to B5"."""
        low, high = (name_of(int(pitch)) for pitch in np.flatnonzero(self.places[:, 0] >= 0)[[0, -1]])
        return f"{low[0]}{low[1]} to {high[0]}{high[1]}"

    @functools.cached_property
    def _nominal(self) -> np.ndarray:
        """Velocities by dynamics id, (K + 1,)."""
        return np.array([*velocities_of(dict(self.classes).get("dynamics", (str(VELOCITY),))), VELOCITY])

    @functools.cached_property
    def _nearest(self) -> np.ndarray:
        """Dynamics ids by velocity, (128,)."""
        names = dict(self.classes)["dynamics"]
        return np.array([names.index(nearest_dynamics(velocity, names)) for velocity in range(128)])

    # -- how right ----------------------------------------------------------------------------------------------------

    def compare(self, reference: Tensor, estimate: Tensor) -> dict[str, Tensor]:
        """Return the share of the sources whose class is right, (N,) for each label and for all of its labels together.

        Of several instruments too under the assignment of estimates to sources that makes most right (``_assigned``): whether the
        notes are right, whoever is said to play them. Where silence is a class, also whether it is right who sounds.
        """
        found = self._shares(reference == estimate)
        if len(self.instruments) > 1:
            right = (reference[:, :, None] == estimate[:, None]).sum(-1)  # (N, I, I)
            best = metrics.assignment(right.cpu()).to(estimate.device)[..., None].expand_as(estimate)
            found |= {f"{name}_assigned": share for name, share in self._shares(reference == estimate.gather(1, best)).items()}
        if self.silence:
            found["sounding"] = (self.sounding(reference) == self.sounding(estimate)).double().mean(1)
        return found

    def _shares(self, right: Tensor) -> dict[str, Tensor]:
        """Return the share of sources (N,) of each label and of all together, for which labels are right, (N, I, L)."""
        return self._by_label(right.double().mean(1).T, right.all(-1).double().mean(1))

    def _by_label(self, each: Sequence[Tensor], every: Tensor) -> dict[str, Tensor]:
        return dict(zip([label for label, _ in self.classes], each, strict=True)) | {"all": every}

    def facets(self, x: Tensor) -> dict[str, Facet]:
        """Return the class of each label of each instrument for ids (N, I, L)."""
        several = len(self.instruments) > 1
        return {
            f"{name} {label}" if several else label: Facet(x[:, i, l].cpu(), (*classes, "silent"), ORDERS.get(label, "none"))
            for i, name in enumerate(self.instruments)
            for l, (label, classes) in enumerate(self.classes)
        }

    def poll(
        self, reference: Tensor, estimate: Tensor, item: Tensor, group: Tensor, weight: Tensor | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return for each recording of an instrument whether the class that most of its sounding frames are given is right."""
        parts = []
        for i in range(len(self.instruments)):
            sounds = self.sounding(reference)[:, i]
            true, named, own = reference[sounds, i], estimate[sounds, i], item[sounds, i]
            if not len(own):
                continue
            place = own.unique(return_inverse=True)[1]
            rows = torch.arange(len(own))
            first = torch.full((int(place.max()) + 1,), len(own)).scatter_reduce(0, place, rows, "amin")
            counts = None if weight is None else weight[sounds]
            elected = torch.stack([metrics.votes(column, own, counts) for column in named.unbind(1)], 1)
            parts.append((elected == true[first], group[sounds, i][first] * len(self.instruments) + i))
        if not parts:
            return {}
        right, groups = map(torch.cat, zip(*parts, strict=True))
        return {name: (share, groups) for name, share in self._by_label(right.double().T, right.all(1).double()).items()}


def _midi(pitch_class: str, octave: str) -> int:
    """Return the MIDI pitch of two class names, -1 where MIDI has none."""
    parse_pitch_class(pitch_class)
    if not re.fullmatch(r"-?\d+", octave):
        raise InputError(f"octave class {octave!r} is no number: this run cannot read or write notes")
    try:
        return pitch_of(pitch_class, int(octave))
    except InputError:
        return -1
