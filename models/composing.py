"""What a model of scores does with a split: bounds of its likelihood, and how what it makes of seeds keeps to their key.

Beside all numbers of generated music stand those of the real pieces: a share in key says nothing alone, as one chord has all.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.excerpts import Excerpts
from data.keys import KEY, Key, in_key_counts
from data.performance import save
from data.scores import Piece
from models.bounds import BOUNDS, bounds
from models.evaluation import Estimate, Scores, estimate, passes
from models.score import Manner, ScoreModel
from utils.config import InputError
from utils.device import generator

log = logging.getLogger(__name__)

CHANCE = 7 / 12  # of notes in key where all pitch classes are equally frequent
SHOWN = {  # kinds of generated music that are worth hearing beside the piece itself
    "free": "the model",
    "free_prior": "the model, latents of the prior",
    "inferred": "key inferred",
    "inferred_prior": "key inferred, latents of the prior",
    "told": "key told",
}


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model of scores.

    Parameters
    ----------
    draws : of latents, for bounds; 0 leaves them out.
    frames : that are generated after each seed.
    rounds : seeds of each piece; 0 generates nothing.
    """

    draws: int = 50
    frames: int = 32
    rounds: int = 5


@dataclass
class Example:
    """One seed of a piece, how the piece goes on, and how models do."""

    title: str
    key: Key
    rolls: dict[str, np.ndarray]  # version -> (T, 88)
    sounds: dict[str, Path]  # version -> wav
    named: str  # the key that was inferred
    seed_steps: int
    steps: int  # in a quarter note


@dataclass
class Music:
    """What was found: by name of a part, metric by metric."""

    metrics: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    seeded: int = 0  # pieces long enough for a seed
    examples: list[Example] = field(default_factory=list)

    def json(self) -> dict:
        """Return what is not among the metrics as JSON values."""
        named = [{"piece": e.title, "class": str(e.key), "inferred": e.named} for e in self.examples]
        return {"seeded_pieces": self.seeded, "examples": named}


@dataclass(frozen=True)
class Seeds:
    """Places in pieces: what comes before each, and what comes after."""

    pieces: tuple[Piece, ...]  # one a seed
    roll: Tensor  # (N, S, 88)
    after: tuple[np.ndarray, ...]  # (up to frames, 88) each
    keys: tuple[Key, ...]  # of the classes
    ids: Tensor  # (N,)

    def some(self, places: list[int]) -> "Seeds":
        """Return those at some places."""
        pieces, after, keys = (tuple(column[i] for i in places) for column in (self.pieces, self.after, self.keys))
        return Seeds(pieces, self.roll[places], after, keys, self.ids[places])


def likelihood(model: ScoreModel, dataset: Excerpts, draws: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return bounds in nats a step over all steps of a split, and where the model knows keys, those given the true one."""
    if not draws:
        return {}
    told = {section: label for section, label in BOUNDS.items() if not label or label in model.representations}
    return {section: bounds(model, passes(dataset.plain(), 1, seed), draws, seed, label) for section, label in told.items()}


@torch.no_grad()
def generated(model: ScoreModel, dataset: Excerpts, wanted: Wanted, seed: int) -> Music:
    """Return what is to be told of real pieces and of what the model makes of seeds at random places of each."""
    music = Music()
    if not wanted.rounds:
        return music
    found = places(model, dataset, wanted, seed)
    music.seeded = len({piece.identity for piece in found.pieces})
    real = [piece.frames for piece in dataset.pieces]
    music.metrics["score_real"] = _told(real, [dataset.key(piece) for piece in dataset.pieces], dataset.pieces, seed)
    for kind, weights, manner in kinds(model, found):
        frames = model.generate(found.roll, wanted.frames, weights, manner, generator(seed, "music", kind))
        scores = _told(frames.cpu().numpy() > 0, found.keys, found.pieces, seed)
        if kind.startswith("inferred"):
            right = (model.key_of(found.roll).argmax(1) == found.ids).double().cpu()
            scores["right_key"] = estimate(Scores(right, _groups(found.pieces)), seed)
        music.metrics[f"score_generated_{kind}"] = scores
    return music


def kinds(model: ScoreModel, seeds: Seeds) -> Iterator[tuple[str, Tensor | None, Manner]]:
    """Yield each way to generate: its name, the weights of keys (N, K) that are told, None for none, and the manner."""
    by_prior = Manner(prior=True)
    if KEY not in model.representations:
        yield "free", None, Manner()
        yield "free_prior", None, by_prior
        return
    yield "inferred", None, Manner()
    yield "inferred_prior", None, by_prior
    yield "told", model.usual[seeds.ids], Manner()
    yield "told_one_hot", torch.eye(len(model.usual), device=model.usual.device)[seeds.ids], Manner()


def places(model: ScoreModel, dataset: Excerpts, wanted: Wanted, seed: int) -> Seeds:
    """Return seeds at random places of each piece that is long enough.

    Raises
    ------
    InputError : none is.
    """
    steps, random = model.seed_steps(wanted.frames), generator(seed, "seeds")
    long = [piece for piece in dataset.pieces if len(piece) >= steps]
    if not long:
        raise InputError(f"no piece has the {steps} steps that a seed takes; bring longer ones, or ask for fewer --frames")
    if len(long) < len(dataset.pieces):
        log.info("%d of %d pieces are shorter than a seed of %d steps", len(dataset.pieces) - len(long), len(dataset.pieces), steps)
    pieces = [piece for _ in range(wanted.rounds) for piece in long]
    ends = [steps + int(torch.randint(len(piece) - steps + 1, (1,), generator=random)) for piece in pieces]
    roll = np.stack([piece.frames[end - steps : end] for piece, end in zip(pieces, ends, strict=True)])
    after = tuple(piece.frames[end : end + wanted.frames] for piece, end in zip(pieces, ends, strict=True))
    keys = tuple(dataset.key(piece) for piece in pieces)
    ids = torch.tensor([dataset.classes.index(key.label) for key in keys])
    return Seeds(tuple(pieces), torch.from_numpy(roll).float().to(model.device), after, keys, ids.to(model.device))


def _told(rolls: Sequence[np.ndarray], keys: Sequence[Key], pieces: Sequence[Piece], seed: int) -> dict[str, Estimate]:
    """Return how music keeps to its keys and how full it is; ``in_key`` is of all notes, ``in_key_mean`` a mean over samples."""
    inside, notes = np.array([in_key_counts(roll, key) for roll, key in zip(rolls, keys, strict=True)]).T
    frames = np.array([len(roll) for roll in rolls])
    empty = np.array([(~roll.any(1)).sum() for roll in rolls])
    same = np.array([(roll[1:] == roll[:-1]).all(1).sum() for roll in rolls])
    fraction = inside / np.maximum(notes, 1)
    some = (notes > 0).astype(float)
    columns = {
        "in_key": (fraction, notes),
        "in_key_mean": (fraction, some),
        "notes_a_frame": (notes / frames, frames),
        "empty_frames": (empty / frames, frames),
        "repeated_frames": (same / np.maximum(frames - 1, 1), frames - 1),
    }
    group = _groups(pieces)
    scores = {
        name: Scores(*map(torch.from_numpy, (value,)), group, torch.tensor(weight)) for name, (value, weight) in columns.items()
    }
    return {name: estimate(score, seed) for name, score in scores.items() if score.weight.sum() > 0}


def _groups(pieces: Sequence[Piece]) -> Tensor:
    """Return the numbers (N, 1) of what is played."""
    numbers: dict[str, int] = {}
    return torch.tensor([[numbers.setdefault(piece.identity, len(numbers))] for piece in pieces])


@torch.no_grad()
def examples(model: ScoreModel, dataset: Excerpts, wanted: Wanted, number: int, seed: int, folder: Path) -> Iterator[Example]:
    """Yield seeds of up to `number` pieces with how they go on, writing MIDI files and sounds into `folder`."""
    for earlier in folder.glob("example_*"):  # there may have been more of them
        earlier.unlink()
    found = places(model, dataset, Wanted(0, wanted.frames, 1), (seed, "examples"))
    found = found.some(torch.randperm(len(found.pieces), generator=generator(seed, "examples"))[:number].tolist())
    continued = {
        SHOWN[kind]: model.generate(found.roll, wanted.frames, weights, manner, generator(seed, "examples", kind)).cpu().numpy() > 0
        for kind, weights, manner in kinds(model, found)
        if kind in SHOWN
    }
    named = model.key_of(found.roll).argmax(1).tolist() if KEY in model.representations else None
    for place in range(len(found.pieces)):
        piece, given = found.pieces[place], found.roll[place].cpu().numpy() > 0
        inferred = dataset.classes[named[place]] if named else ""
        example = Example(f"{piece.name} ({piece.key})", found.keys[place], {}, {}, inferred, len(given), piece.steps)
        versions: Mapping[str, np.ndarray] = {"the piece": found.after[place]} | {k: v[place] for k, v in continued.items()}
        for version, roll in versions.items():
            whole = np.concatenate([given, roll])
            path = folder / f"example_{place + 1}_{version.replace(', ', '_').replace(' ', '_')}"
            save(path, whole, piece.steps, piece.tempo, sample_rate=22050)
            example.rolls[version], example.sounds[version] = whole, path.with_name(f"{path.name}.wav")
        yield example
