"""Notes of a run's own corpus, played again and melted into each other, and random paths around them."""

import itertools
import logging
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from data.instruments import Note
from models import recorded
from models.atlas import Atlas, survey
from models.heard_notes import Encoded, draw_path, encode, file_word, told, write_note
from models.play_paths import check_length, write_path
from models.rendering import Player
from utils.cli import progress
from utils.config import InputError
from utils.device import generator
from utils.inputs import distinct
from utils.trajectories import line, resampled, slerp, spiral

log = logging.getLogger(__name__)

OWN_NOTE = "note"  # of --select, and of --centre
SPREAD = 0.2  # standard deviation of random centres, of the prior's


def full_instruments(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Play loud notes again, whole: all their frames through the latent space and back, told their own labels."""
    atlas = survey(player.run, player.model)
    found = chosen(player, args.split)
    notes = [note for name, group in found.items() for note in drawn(group, args.n_generations, args.seed, name)]
    names, made = distinct(file_word(told(note)) for note in notes), []
    for name, note in progress(list(zip(names, notes, strict=True)), desc="notes"):
        known = encode(player, note)
        made += write_note(player, known, folder / name, args.graphs)
        if args.graphs:
            own = replace(player, condition=known.condition)
            made += draw_path(own, atlas, known.z[known.sounding], told(note), folder / name)
    return made


def drawn(group: Sequence[Note], number: int, seed: int, *key: object) -> list[Note]:
    """Return so many of the loud ones among notes, at random, or all where there are fewer."""
    loud = recorded.loud(group)
    return [loud[k] for k in torch.randperm(len(loud), generator=generator(seed, "note", *key))[:number]]


def chosen(player: Player, split: str, asked: Sequence[str] = ()) -> dict[str, tuple[Note, ...]]:
    """Return the notes of a split by instrument: of those asked for, in that order, or of all.

    Raises
    ------
    InputError : there are none, or an instrument is not in the corpus or none of this run in the split.
    """
    found = recorded.notes(player.model, split)
    if not found:
        raise InputError(f"the corpus of this run has no {split} notes: try --split all")
    if not asked:
        return found
    names = [group[0].labels["instrument"] for group in player.model.config.corpus().select(asked)]
    if strange := [name for name in names if name not in found]:
        raise InputError(f"instrument '{strange[0]}': the {split} notes of this run are of {' '.join(found)}")
    return {name: found[name] for name in names}


# -- between notes ----------------------------------------------------------------------------------------------------


def pairwise_paths(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Melt a loud note of each instrument into one of each other, from its frame of most energy to that of the other.

    The model is told what the first note is for the first half of the time, and then what the second is; or --labels throughout.
    """
    check_length(player, args.n_steps, least=2)
    atlas = survey(player.run, player.model)
    notes = _one_each(chosen(player, args.split, args.input), args.select, args.seed)
    known = [encode(player, note) for note in progress(notes, desc="notes")]
    pairs = list(itertools.product(itertools.combinations(known, 2), dict.fromkeys(args.path)))
    made = []
    for (first, second), kind in progress(pairs, desc="paths"):
        z = between(first, second, kind, args.n_steps, args.expression)
        target = folder / file_word(f"{first.note.labels['instrument']} {second.note.labels['instrument']} {kind}")
        condition = None if args.labels else _halves(first.condition, second.condition, args.n_steps)
        made += write_path(player, z, target, args.graphs, condition=condition)
        if args.graphs:
            title = f"{kind} path from {told(first.note)} to {told(second.note)}"
            made += draw_path(player, atlas, z, title, target, condition)
    return made


def _one_each(groups: Mapping[str, Sequence[Note]], select: str, seed: int) -> list[Note]:
    """Return a loud note of each instrument; for ``note`` those that play the most common pitch class, and octave where they can.

    Raises
    ------
    InputError : fewer than two instruments are left.
    """
    loud = {name: recorded.loud(group) for name, group in groups.items()}
    if select == OWN_NOTE:
        loud = _alike(loud, "pitch")
        loud = {**loud, **_alike(loud, "octave")}
        if missing := groups.keys() - loud.keys():
            log.warning("left out, as they have no loud note of that pitch: %s", " ".join(sorted(missing)))
    if len(loud) < 2:
        raise InputError(f"a path joins notes of two instruments, and there are {len(loud)}: try --select loudest or --split all")
    return [note for name, group in loud.items() for note in drawn(group, 1, seed, name)]


def _alike(groups: Mapping[str, Sequence[Note]], label: str) -> dict[str, list[Note]]:
    """Keep the notes of the class of `label` that most instruments have, and the instruments that have some."""
    having = Counter(kind for group in groups.values() for kind in {note.labels[label] for note in group})
    common = max(sorted(having), key=having.__getitem__, default=None)
    alike = {name: [note for note in group if note.labels[label] == common] for name, group in groups.items()}
    return {name: group for name, group in alike.items() if group}


def between(first: Encoded, second: Encoded, kind: str, n: int, expression: float) -> Tensor:
    """Return a path (N, Z) from the frame of most energy of one note to that of another.

    Along an expressive one (the paper's support page, corrected), both ends move meanwhile as their notes do: by a share
    `expression` of the way of the whole note from that frame.
    """
    ends = [note.z[[note.peak]] for note in (first, second)]
    if kind == "linear":
        return line(ends[0][0], ends[1][0], n)
    own = expression if kind == "expressive" else 0.0
    moving = [end + own * (resampled(note.z[note.sounding], n) - end) for end, note in zip(ends, (first, second), strict=True)]
    return slerp(*moving, torch.linspace(0, 1, n)[:, None])


def _halves(first: Tensor | None, second: Tensor | None, n: int) -> Tensor | None:
    """Return what the model is told of `n` points (n, C): the one half of them `first` (C,), the other `second`."""
    return None if first is None else torch.cat([first.expand(n - n // 2, -1), second.expand(n // 2, -1)])


# -- random paths -----------------------------------------------------------------------------------------------------


def random_paths(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Play spirals and circles in random planes, around a draw near the middle of the prior or around a note.

    The model is told what a random note is, the one in the centre if there is one; or --labels.
    """
    check_length(player, args.n_steps, least=2)
    atlas = survey(player.run, player.model)
    notes, made = list(itertools.chain(*chosen(player, args.split).values())), []
    paths = list(itertools.product(dict.fromkeys(args.shape), range(args.n_generations)))
    for shape, number in progress(paths, desc="paths"):
        random = generator(args.seed, "path", shape, args.centre, number)
        known = encode(player, notes[torch.randint(len(notes), (), generator=random)])
        own = player if args.labels else replace(player, condition=known.condition)
        centre = known.z[known.sounding].mean(0)
        if args.centre != OWN_NOTE:
            centre = SPREAD * torch.randn(centre.shape, generator=random)
        z, course = winding(shape, centre, atlas, args.n_steps, random)
        target = folder / f"{shape}_{args.centre}_{number}"
        made += write_path(own, z, target, args.graphs)
        if args.graphs:
            around = told(known.note) if args.centre == OWN_NOTE else "a random place"
            made += draw_path(own, atlas, z, f"{shape} around {around}: {course}", target)
    return made


def winding(shape: str, centre: Tensor, atlas: Atlas, n: int, random: torch.Generator) -> tuple[Tensor, str]:
    """Return a spiral or circle (N, Z) around a centre (Z,), of random size, plane and number of turns, and these in words.

    With R the largest coordinate of a centroid on the principal axes and U in 0-1, a spiral goes from a = 0.7 (0.9 U + 0.1) to
    a + U R or back; a circle has the radius U R + 0.1; both turn 3 (U + 0.025) times.
    """
    reach = atlas.project(atlas.centroids).abs().max().item()
    u, v, w = torch.rand(3, generator=random).tolist()
    inner, turns = 0.7 * (0.9 * u + 0.1), 3 * (w + 0.025)
    outer = inner + v * reach
    start, end = {"spiralOut": (inner, outer), "spiralIn": (outer, inner), "circle": (v * reach + 0.1,) * 2}[shape]
    course = f"{turns:.2f} turns, radius {start:.2f}" + ("" if start == end else f" to {end:.2f}")
    return spiral(centre, start, turns, n, random, end), course
