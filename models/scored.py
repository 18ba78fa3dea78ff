"""What a model of scores makes of pieces that it may not know: bounds, reconstructions and keys, by piece and of all together."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data import scores
from data.excerpts import Excerpts
from data.keys import KEY, Key
from data.piano_roll import EVEN, exists
from data.scores import SUFFIXES, Piece
from data.windows import covering
from models import told_keys
from models.bounds import BOUNDS, window_bounds
from models.epochs import on_device
from models.evaluation import Scores, estimate, observe, translation
from models.runs import read_config
from models.score import SCORE, ScoreModel
from models.systems import SYSTEMS
from utils.config import InputError
from utils.device import generator
from utils.inputs import below, found

TO_KEY = translation(SCORE, KEY)
OF_KEYS = (TO_KEY, "score_bound_key_told")  # sections that need a key that the model knows
VOTE = f"{KEY}_vote"
STEPS = 2**14  # of windows that are evaluated at once, about


def reads_scores(run: Path) -> bool:
    """Tell whether the model of a run reads scores.

    Raises
    ------
    InputError : no run, or a damaged configuration.
    """
    system, _ = read_config(run)
    return issubclass(SYSTEMS[system].load().Model, ScoreModel)


def read(root: Path, step: str, reading: str, without: Sequence[Path] = ()) -> tuple[tuple[Piece, ...], dict[str, str]]:
    """Return the pieces in a file or folder, and for each file that cannot be read, why.

    Parameters
    ----------
    step, reading : see `data.scores.read`.
    without : folders that are passed over, as results of an earlier evaluation.

    Raises
    ------
    InputError : there are no pieces.
    """
    pieces = [piece for piece in scores.read(root, step, reading) if not below(piece.path, without)]
    if not pieces:
        raise InputError(f"{root}: holds only what an evaluation has written; give a folder of pieces")
    known, failed = {piece.path for piece in pieces}, {}
    for path in found(root, SUFFIXES):
        if path not in known and not below(path, without):
            try:
                scores.read(path, step, reading)
            except InputError as error:
                failed[str(path)] = str(error)
    return tuple(pieces), failed


@dataclass(frozen=True)
class Scored:
    """What a model makes of one piece in W windows."""

    piece: Piece
    label: str  # of the class of its key
    steps: Tensor  # (W,)
    rebuilt: np.ndarray  # (T, 88) bool
    named: tuple[str, ...] = ()  # keys of windows, where the model infers any
    best: tuple[str, float] | None = None  # the key that weighs most in the mean of windows, and that weight
    scores: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)  # section -> score -> (W,); `OF_KEYS` in known keys

    @property
    def right(self) -> bool | None:
        """Tell whether its key is named right; None where there is nothing to name, or not known by the model."""
        return self.best[0] == self.label if self.best and TO_KEY in self.scores else None


# -- one piece after another ------------------------------------------------------------------------------------------


def score(model: ScoreModel, pieces: Sequence[Piece], draws: int, seed: int) -> Iterator[Scored]:
    """Yield what a model makes of each piece, in windows that hold every step once; without scores for no `draws`.

    Many windows are evaluated at once, so what bounds draw for a piece depends on the pieces before it.
    """
    config, form, count = model.config, model.representations[SCORE], itertools.count()
    for some in _together(pieces, form.steps):
        labels = [piece.class_of(config.relative_major) for piece in some]
        excerpts = Excerpts(
            tuple(_in_a_known_key(some, labels, config.classes[KEY])),
            tuple(config.classes[KEY]),
            form.steps,
            form.lag,
            relative_major=config.relative_major,
        )
        rows = torch.arange(len(excerpts)).split(max(1, STEPS // form.steps))
        batches = (excerpts.batch(part, generator(seed)) for part in rows)
        parts = [_windows(model, batch, draws, (seed, "bounds", next(count))) for batch in batches]
        whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        for place, (piece, label) in enumerate(zip(some, labels, strict=True)):
            own = excerpts.rows[:, 0] == place
            yield _scored(model, piece, label, {name: values[own] for name, values in whole.items()})


def _together(pieces: Sequence[Piece], length: int) -> Iterator[list[Piece]]:
    """Yield the pieces in lists of about as many windows of `length` steps as are evaluated at once."""
    counts = np.bincount(covering(pieces, length)[:, 0])
    batch = (counts.cumsum() - counts) * length // STEPS
    for number in np.unique(batch):
        yield [pieces[place] for place in np.flatnonzero(batch == number)]


def _in_a_known_key(pieces: Sequence[Piece], labels: Sequence[str], classes: Sequence[str]) -> Iterator[Piece]:
    """Yield the pieces, those in keys that the model does not know as if in another: windows have a class, if one unused."""
    for piece, label in zip(pieces, labels, strict=True):
        yield piece if label in classes else replace(piece, key=Key(classes[0]))


@torch.no_grad()
def _windows(model: ScoreModel, batch: dict[str, Tensor], draws: int, seeds: tuple) -> dict[tuple[str, ...], Tensor]:
    """Return by section and score a number a window, (B,); by "steps", "roll" and "weights" what else is known of them."""
    here, lag = on_device(batch, model.device), model.representations[SCORE].lag
    rebuilt = model.transfer(here[SCORE], SCORE, SCORE)[:, lag:].cpu() >= EVEN
    result = {("steps",): batch["weight"], ("roll",): rebuilt, ("there",): exists(batch[SCORE][:, lag:])}
    if told_keys.knows_keys(model):
        result["weights",] = model.transfer(here[SCORE], SCORE, KEY).cpu()
    if not draws:
        return result
    for section, label in BOUNDS.items():
        if not label or told_keys.knows_keys(model):
            terms = window_bounds(model, here, draws, generator(*seeds), label)
            result |= {(section, name): values.cpu() / batch["weight"] for name, values in terms.items()}
    for section, found_there in observe(model, [batch], model.device).scores.items():
        result |= {(section, name): s.values.double() for name, s in found_there.items() if name != VOTE}
    return result


def _scored(model: ScoreModel, piece: Piece, label: str, windows: dict[tuple[str, ...], Tensor]) -> Scored:
    """Return what is known of a piece by its windows."""
    roll, there = windows.pop(("roll",)), windows.pop(("there",))
    result = Scored(piece, label, windows.pop(("steps",)), roll[there].numpy())
    names = ()
    if ("weights",) in windows:
        weights, names = windows.pop(("weights",)), told_keys.names(model)
        weight, best = (weights.double().T @ result.steps / result.steps.sum()).max(0)
        named = tuple(names[i] for i in weights.argmax(1).tolist())
        result = replace(result, named=named, best=(names[best], weight.item()))
    sections: dict[str, dict[str, Tensor]] = {}
    for (section, name), values in windows.items():
        if label in names or section not in OF_KEYS:
            sections.setdefault(section, {})[name] = values
    return replace(result, scores=sections)


# -- in numbers -------------------------------------------------------------------------------------------------------


def row(one: Scored) -> dict[str, Any]:
    """Return what is told of a piece: what it is, its key and the one that the model names, and its scores."""
    piece = one.piece
    best, weight = one.best or (None, None)
    key = {"label": piece.key.label, "from": "file" if piece.given else "profile", "class": one.label}
    key |= {"named": best, "weight": weight, "right": one.right, "windows": " ".join(one.named)}
    return {"path": str(piece.path), "piece": piece.name, KEY: key} | summary([one])


def summary(several: Sequence[Scored], seed: int = 0) -> dict[str, Any]:
    """Return the means of scores over all steps of several pieces, with 95 % intervals over pieces; copies count as one.

    ``key_vote`` is the share of pieces whose key is named right. Ends of an interval are None where there is one piece.
    """
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(one.piece.identity, len(numbers)) for one in several]
    steps = torch.cat([one.steps for one in several])
    result: dict[str, Any] = {"pieces": len(several), "windows": len(steps), "steps": int(steps.sum())}
    for section in dict.fromkeys(section for one in several for section in one.scores):
        some = [(one, group) for one, group in zip(several, groups, strict=True) if section in one.scores]
        group = torch.cat([torch.full((len(one.steps), 1), number) for one, number in some])
        steps = torch.cat([one.steps for one, _ in some])
        result[section] = {
            name: _interval(Scores(torch.cat([one.scores[section][name] for one, _ in some]), group, steps), seed)
            for name in some[0][0].scores[section]
        }
    voted = [(one.right, group) for one, group in zip(several, groups, strict=True) if one.right is not None]
    if voted:
        right, group = torch.tensor(voted).unbind(1)
        result[TO_KEY][VOTE] = _interval(Scores(right.double(), group[:, None]), seed)
    return result


def _interval(scores_: Scores, seed: int) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in estimate(scores_, seed).items()}
