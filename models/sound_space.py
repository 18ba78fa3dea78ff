"""A latent space of sounds: what is heard at its places, and what the labels name in it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.labels import Labels
from data.representations import SUBFRAMES
from data.words import parse, transposed
from models.commands import MANY, Command, is_number, number, table, whole, with_fraction
from models.latent_space import Space, of_prior, principal
from models.navigation import Navigation
from models.rendering import Player
from utils.config import InputError
from utils.device import generator

COMBINATIONS = 4000  # of labels, at most, by which a latent space is surveyed
DRAWS = 500  # of the prior, where there are no labels


def _label(walk: Navigation, name: str, steps: str, *rest: str) -> None:
    space = walk.space
    labels = space.spoken()
    fraction, rest = (number(rest[0], "label", 0, 1), rest[1:]) if rest and is_number(rest[0]) else (1.0, rest)
    instrument = " ".join(rest) or labels.instruments[0]
    if instrument not in labels.instruments:
        raise InputError(f"label: this run has no {instrument}, only {', '.join(labels.instruments)}")
    ids = space.named(walk.goal)[0]
    ids = stepped(labels, ids, labels.instruments.index(instrument), name, whole(steps, "label", -127, 127))
    walk.approach(space.latent(ids), fraction)


def _to(walk: Navigation, *words: str) -> None:
    note, fraction = with_fraction("to", *words)
    labels = walk.space.spoken()
    walk.approach(walk.space.latent(parse(labels, [_joined(note, labels.instruments)])[0]), fraction)


def _joined(note: str, instruments: Sequence[str]) -> str:
    """Return "A4:mf+C3:p" for "flute A4 mf + cello C3:p"."""
    parts = [part.strip() for part in note.split("+")]
    names = itertools.chain(instruments, itertools.repeat(""))
    return "+".join(":".join(part.removeprefix(f"{name} ").split()) for part, name in zip(parts, names, strict=False))


@dataclass(frozen=True, eq=False)
class SoundSpace(Space):
    """A latent space with the principal axes of what the labels name in it.

    `ids` (P, I, L) of combinations of labels; `means` (P, Z) are those of their posteriors. Without labels the axes are the
    coordinates, and `means` are draws of the prior.
    """

    labels: Labels | None
    ids: Tensor

    commands = table(
        Command("to NOTE [FRACTION]", "glide to a note, or part of the way", _to, 1, MANY),
        Command("label NAME STEPS [FRACTION] [INSTRUMENT]", "move a label by so many classes", _label, 2, MANY),
    )

    @property
    def rate(self) -> float:
        """Return the points in time of the transform a second."""
        return self.player.representation("signal").frame_rate * SUBFRAMES

    def spectra(self, z: Tensor | None = None) -> Tensor:
        """Return the linear magnitudes (N, F) of latents (N, Z); of `means` when not given."""
        z = (self.means if z is None else z).to(self.player.device)
        return self.player.model.decode(z, "signal", self.player.told(len(z))).cpu()

    def notes(self, instrument: int) -> tuple[list[str], Tensor]:
        """Return the notes (or classes of the first label) of one instrument, and the middle of each, (notes, Z)."""
        if self.labels is None:
            return [], self.means[:0]
        tables = [(place, *table) for place, table in enumerate(self.labels.classes)]
        told = [table for table in tables if table[1] == "pitch"] + [table for table in tables if table[1] == "octave"] or tables[
            :1
        ]
        own, group = torch.unique(self.ids[:, instrument, [place for place, _, _ in told]], dim=0, return_inverse=True)
        middles = torch.zeros(len(own), self.means.shape[1]).index_add(0, group, self.means) / group.bincount()[:, None]
        names = ["".join((*names, "rest")[k] for k, (_, _, names) in zip(row, told, strict=True)) for row in own.tolist()]
        return ["rest" if name.startswith("rest") else name for name in names], middles

    def named(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most likely class ids (I, L) of a latent (Z,), and their probabilities (I, L)."""
        model, z = self.player.model, z[None].to(self.player.device)
        return model.decode(z, "symbol")[0].cpu(), model.confidence(z, "symbol")[0].cpu()

    def told(self, z: Tensor) -> str:
        """Return the note of a latent (Z,), and the probabilities of its labels; nothing where there are none."""
        if self.labels is None:
            return ""
        ids, sure = self.named(z)
        return f"{self.labels.text(ids[None])[0]} ({' '.join(f'{p:.2f}' for p in sure.flatten().tolist())})"

    def latent(self, ids: Tensor) -> Tensor:
        """Return the latent (Z,) of class ids (I, L)."""
        return self.player.latents(ids[None], "symbol", [()])[0].cpu()

    def spoken(self) -> Labels:
        """Return the labels.

        Raises
        ------
        InputError : the model has none.
        """
        if self.labels is None:
            raise InputError("this run names nothing: move along its axes")
        return self.labels


def survey(player: Player) -> SoundSpace:
    """Find the principal axes of what the labels mean, (all combinations or a sample of them); without labels, of the prior.

    Raises
    ------
    InputError : the model makes no sound, or tells no labels apart.
    """
    player.representation("signal")
    labels = player.model.representations.get("symbol")
    if not isinstance(labels, Labels):
        draws, none = player.model.sample(DRAWS, generator("survey")).cpu(), torch.zeros(DRAWS, 0, 0, dtype=torch.int64)
        return SoundSpace(player, *of_prior(player.model.latent_shape[-1]), draws, None, none)
    ids = combinations(labels, COMBINATIONS)
    means = player.model.encode(ids.to(player.device), "symbol").mean.cpu()
    centre, axes, scales = principal(means)
    if not len(axes):
        raise InputError("all labels have one latent in this run: it has learnt nothing yet")
    return SoundSpace(player, centre, axes, scales, means, labels, ids)


def combinations(labels: Labels, limit: int) -> Tensor:
    """Return the class ids of all combinations of labels, (P, I, L), or a sample of `limit` of them where there are more."""
    single = torch.cartesian_prod(*(torch.arange(len(names)) for _, names in labels.classes)).view(-1, len(labels.classes))
    if labels.silence:
        single = torch.cat([single, torch.tensor([labels.silent_ids])])
    sources = len(labels.instruments)
    if len(single) ** sources > limit:
        return single[torch.randint(len(single), (limit, sources), generator=generator("combinations"))]
    return single[torch.cartesian_prod(*[torch.arange(len(single))] * sources).view(-1, sources)]


def stepped(labels: Labels, ids: Tensor, instrument: int, label: str, steps: int) -> Tensor:
    """Return class ids (I, L) with a label of one instrument moved by `steps` classes; a pitch class carries over into the octave.

    Raises
    ------
    InputError : no such label, a silent instrument, or no class so far off.
    """
    order, name = [label for label, _ in labels.classes], labels.instruments[instrument]
    if label not in order:
        raise InputError(f"label {label}: this run has {', '.join(order)}")
    moved, own = ids.clone(), ids[instrument]
    if not labels.sounding(own[None])[0]:
        raise InputError(f"{name} is silent here: go to one of its notes first")
    if label == "pitch" and "octave" in order:
        moved[instrument] = transposed(labels, own[None, None], steps)[0, 0]
        return moved
    wanted, place = int(own[order.index(label)]) + steps, order.index(label)
    if not 0 <= wanted < labels.silent_ids[place]:
        raise InputError(f"{name} has no {label} {steps:+d} from {labels.class_names(own.tolist())[label]}")
    moved[instrument, place] = wanted
    return moved
