"""What a model of phrases makes of pieces that it may not know: bounds and reconstructions, by piece and of all together."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data import phrase_corpora
from data.phrase_corpora import SUFFIXES, PhrasePiece
from data.phrases import Phrase
from models.bounds import window_bounds
from models.evaluation import Scores, estimate, translation
from models.losses import BIT
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import Line, whole_lines
from models.runs import checkpoint_system, read_config
from models.systems import SYSTEMS
from utils.config import InputError
from utils.device import generator
from utils.inputs import below, found

ANEW, TOLD, BOUND = translation(PHRASE, PHRASE), "phrase_told", "phrase_bound"  # sections, called as those of an analysis


def reads_phrases(run: Path) -> bool:
    """Tell whether the model of a run, or of a checkpoint of another program, reads phrases.

    Raises
    ------
    InputError : it is neither, or has a damaged configuration.
    """
    system = checkpoint_system(run) or read_config(run)[0]
    return issubclass(SYSTEMS[system].load().Model, PhraseModel)


def read(root: Path, phrase: Phrase, without: Sequence[Path] = ()) -> tuple[tuple[PhrasePiece, ...], dict[str, str]]:
    """Return the pieces in a file or folder, and for each file or song that gives no phrase, why.

    Parameters
    ----------
    phrase : what phrases are made of, and their length.
    without : folders that are passed over, as results of an earlier evaluation.

    Raises
    ------
    InputError : there are no pieces.
    """
    corpus = phrase_corpora.read(root, phrase)
    pieces = tuple(piece for piece in corpus if not below(piece.path, without))
    home = root if root.is_dir() else root.parent
    files = {path.with_suffix(""): path for path in found(root, SUFFIXES)}
    reasons = {files.get(home / name, home / name): why for name, why in corpus.reasons.items()}
    failed = {str(path): f"{path}: {why}" for path, why in reasons.items() if not below(path, without)}
    if not pieces:
        others = "".join(f"; {line}" for line in list(failed.values())[:1])
        raise InputError(f"{root}: holds no phrases but those that an evaluation has written; give a folder of pieces{others}")
    return pieces, failed


@dataclass(frozen=True, eq=False)
class Phrased:
    """What a model makes of one piece in N phrases.

    Parameters
    ----------
    piece : the piece.
    phrase : how its phrases are written.
    lines : its lines in phrases that follow each other.
    rebuilt : what is made of each line, (n, T, ...).
    steps : (N,) how many of its steps the piece has: the last phrase of a line may be filled up with silence.
    scores : section -> name -> (N,), of the lines one after another.
    """

    piece: PhrasePiece
    phrase: Phrase
    lines: tuple[Line, ...]
    rebuilt: tuple[Tensor, ...]
    steps: Tensor
    scores: dict[str, dict[str, Tensor]] = field(default_factory=dict)


@torch.no_grad()
def score(model: PhraseModel, pieces: Sequence[PhrasePiece], draws: int, seed: int) -> Iterator[Phrased]:
    """Yield what a model makes of each piece, in phrases that hold every step once; without scores for no `draws`.

    What bounds draw depends on the piece alone, not on those before it.
    """
    phrase: Phrase = model.representations[PHRASE]
    for piece in pieces:
        lines, random = tuple(whole_lines(model, piece)), generator(seed, "bounds", piece.identity)
        parts = torch.cat([line.x for line in lines]).split(model.at_once)
        made = [model.decode(model.encode(x, PHRASE).mean, PHRASE) for x in parts]
        scores: dict[str, dict[str, Tensor]] = {}
        if draws:
            several = [_scores(model, x, y, draws, random) for x, y in zip(parts, made, strict=True)]
            for section, name in several[0]:
                whole = torch.cat([one[section, name] for one in several]).double().cpu()
                scores.setdefault(section, {})[name] = whole
        rebuilt = torch.cat(made).cpu().split([len(line.x) for line in lines])
        yield Phrased(piece, phrase, lines, rebuilt, _steps(piece, lines, phrase.span), scores)


def _steps(piece: PhrasePiece, lines: Sequence[Line], length: int) -> Tensor:
    """Return how many steps of each phrase are the piece's own, (N,)."""
    left = [len(whole) - torch.from_numpy(line.first) for whole, line in zip(piece.lines, lines, strict=True)]
    return torch.cat(left).clamp_max(length).double()


def _scores(model: PhraseModel, x: Tensor, y: Tensor, draws: int, random: torch.Generator) -> dict[tuple[str, str], Tensor]:
    """Return by section and score a number a phrase of x (N, T, ...), which y (N, T, ...) was made of."""
    phrase: Phrase = model.representations[PHRASE]
    anew = phrase.compare(x, y) | {"nll": model.nll(x, PHRASE, x, PHRASE)}
    limits = window_bounds(model, {PHRASE: x}, draws, random)
    bits = {name: values / BIT for name, values in limits.items() if model.likelihood or name.startswith("kl_")}
    a_step = {name: values / phrase.steps for name, values in bits.items()} | {"kl_a_phrase": bits["kl_phrase"]}
    sections = {ANEW: anew, TOLD: phrase.compare(x, model.told(x)), BOUND: a_step}
    return {(section, name): values for section, own in sections.items() for name, values in own.items()}


# -- in numbers -------------------------------------------------------------------------------------------------------


def row(one: Phrased) -> dict[str, Any]:
    """Return what is told of a piece: what it is, and its scores."""
    piece = one.piece
    return {"path": str(piece.path), "piece": piece.name, "tempo": piece.tempo} | summary([one])


def summary(several: Sequence[Phrased], seed: int = 0) -> dict[str, Any]:
    """Return means of scores over phrases of several pieces, with 95 % intervals over pieces; copies count as one.

    A phrase counts by the steps of it that its piece has. Ends of an interval are None where there is one piece.
    """
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(one.piece.identity, len(numbers)) for one in several]
    group = torch.cat([torch.full((len(one.steps), 1), number) for one, number in zip(several, groups, strict=True)])
    steps, lines = torch.cat([one.steps for one in several]), sum(len(one.lines) for one in several)
    result: dict[str, Any] = {"pieces": len(several), "lines": lines, "phrases": len(steps), "steps": int(steps.sum())}
    for section, names in several[0].scores.items():
        result[section] = {
            name: _told(estimate(Scores(torch.cat([one.scores[section][name] for one in several]), group, steps), seed))
            for name in names
        }
    return result


def _told(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
