"""Pieces that are made anew, and melted into each other, window by window."""

import logging
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.excerpts import Excerpts
from data.keys import LABELS
from data.rolls import KEYS, transposed
from data.scores import Piece, read
from models import told_keys
from models.base import LatentModel
from models.heard_notes import file_word
from models.music_files import check_length, check_read, numbers, pace, write_music, write_rows
from models.play_files import check_beside
from models.rendering import Player
from models.score import SCORE
from models.seeds import one_piece
from utils import device, roll_figures
from utils.config import InputError
from utils.trajectories import interpolate as points_between

log = logging.getLogger(__name__)

EVEN = 0.5  # probability from which a key sounds
DRAWN = 12  # points in a figure, at most
RESULTS = ("_reconstruction.mid", "_reconstruction.wav", ".csv", ".pdf")  # of a piece that is made anew


def windows_of(model: LatentModel, piece: Piece) -> tuple[Tensor, Tensor]:
    """Return the windows (W, lag + T, 88) that hold every step of a piece once, and how many steps each has, (W,)."""
    score = model.representations[SCORE]
    excerpts = Excerpts((piece,), LABELS, score.steps, score.lag, relative_major=False)
    batch = excerpts.batch(torch.arange(len(excerpts)), torch.Generator())
    return batch[SCORE], batch["weight"]


def joined(model: LatentModel, windows: Tensor, length: int) -> np.ndarray:
    """Return the roll (`length`, 88) bool of windows (W, lag + T, 88) one after another."""
    return windows[:, model.representations[SCORE].lag :].flatten(0, 1)[:length].cpu().numpy() >= EVEN


# -- one piece --------------------------------------------------------------------------------------------------------


class Remade(NamedTuple):
    """What a model makes of the W windows of a piece."""

    roll: np.ndarray  # (T, 88) bool
    weights: Tensor | None  # (W, K) of keys; None where it knows none
    nll: Tensor  # (W,) nats a step
    steps: Tensor  # (W,) of each window

    @property
    def mean(self) -> Tensor:
        """Return the mean weights (K,) of keys, each window's as often as it has steps."""
        return self.weights.T @ self.steps.to(self.weights) / self.steps.sum()


def midi(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Make a piece anew from the means of its latents, or from samples, and tell its key."""
    check_beside(path, target, RESULTS)
    model, piece = player.model, _moved(_read(player.model, path), args.transposition)
    score = model.representations[SCORE]
    tempo = pace(None, piece, len(piece), score.quarter)
    found = remade(player, piece)
    nll = (found.nll * found.steps).sum() / found.steps.sum()
    keys = f"key {piece.key} {'as given' if piece.given else 'by profile'}"
    by_model = "" if found.weights is None else "{} {:.2f} by the model".format(*_heaviest(model, found.mean))
    log.info("%s: %s, %s%.2f nats a step", path, keys, by_model and f"{by_model}, ", nll)
    made = write_music(target.with_name(f"{target.name}_reconstruction"), found.roll, score.quarter, tempo)
    write_rows(Path(f"{target}.csv"), list(_rows(model, found, score.steps)))
    made.append(f"{target}.csv")
    if args.graphs:
        made.append(f"{target}.pdf")
        titles = f"{path.stem}, {keys}", f"reconstruction{by_model and f', key {by_model}'}, {nll:.2f} nats a step"
        rolls = list(zip(titles, (piece.frames, found.roll), strict=True))
        roll_figures.rolls(rolls, [Path(made[-1])], score.quarter, [piece.key.scale] * 2)
    return made


def _read(model: LatentModel, path: Path) -> Piece:
    """Return the piece in a file, on the run's grid."""
    found = read(path, model.config.step, model.config.reading).pieces
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} pieces; give files of one")
    return found[0]


def _moved(piece: Piece, semitones: int) -> Piece:
    """Return a piece so many semitones higher."""
    if abs(semitones) >= KEYS:
        raise InputError(f"-t {str(semitones)[:20]}: transpose by less than the {KEYS} keys of a piano")
    return replace(piece, frames=transposed(piece.frames, semitones), key=piece.key.moved(semitones)) if semitones else piece


def remade(player: Player, piece: Piece) -> Remade:
    """Return what a model makes of a piece: of means of latents, told the true frames before; of samples, window by window."""
    model = player.model
    x, steps = (tensor.to(player.device) for tensor in windows_of(model, piece))
    if player.sample:
        z = player.latents(x, SCORE, range(len(x)))
        windows, weights = model.decode(z, SCORE, before=x[:, : model.representations[SCORE].lag]), _weights(model, z)
    else:
        windows = model.transfer(x, SCORE, SCORE)
        weights = model.transfer(x, SCORE, told_keys.KEY) if told_keys.knows_keys(model) else None
    return Remade(joined(model, windows, len(piece)), weights, model.nll(x, SCORE, x, SCORE), steps)


def _weights(model: LatentModel, z: Tensor) -> Tensor | None:
    """Return the weights of keys that latents stand for, (N, K); None where the model knows none."""
    return model.decode(z, told_keys.KEY) if told_keys.knows_keys(model) else None


def _heaviest(model: LatentModel, weights: Tensor) -> tuple[str, float]:
    """Return the key that weighs most among weights (K,), and its weight."""
    weight, place = weights.max(0)
    return told_keys.names(model)[place], weight.item()


def _key_columns(model: LatentModel, weights: Tensor | None) -> dict[str, Any]:
    """Return columns about weights (K,); nothing in them where there are none."""
    key, weight = ("", "") if weights is None else _heaviest(model, weights)
    return {"key": key, "weight": weight}


def _rows(model: LatentModel, found: Remade, length: int) -> Iterator[dict[str, Any]]:
    """Yield a row a window of so many steps."""
    for number, nll in enumerate(found.nll.tolist()):
        weights = None if found.weights is None else found.weights[number]
        yield {"first_step": number * length, **_key_columns(model, weights), "nll": nll}


# -- between two pieces -----------------------------------------------------------------------------------------------


def interpolate(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write what lies between the beginnings of two pieces: their latents, and those at even distances in between."""
    model = player.model
    pieces = _two(model, args)
    length, score = len(pieces[0]), model.representations[SCORE]
    check_length(args.n_steps * length, "--n_steps or -t")
    tempo = pace(args.tempo, pieces[0], args.n_steps * length, score.quarter)
    ends = [player.latents(windows_of(model, piece)[0], SCORE, [()]) for piece in pieces]
    points = torch.stack(
        [points_between(torch.stack(pair), args.n_steps - 1, args.interp_order) for pair in zip(*ends, strict=True)]
    )
    rolls = [joined(model, _drawn(model, z, args), length) for z in points.unbind(1)]
    weights = [None if (w := _weights(model, z)) is None else w.mean(0) for z in points.unbind(1)]
    rows = [
        {"point": number, **_key_columns(model, w), "key_by_profile": told_keys.by_profile(roll), **numbers(roll)}
        for number, (roll, w) in enumerate(zip(rolls, weights, strict=True))
    ]
    target = folder / "_".join(file_word(piece.name) for piece in pieces)
    check_read(args.input, [target])
    made = write_music(target, np.concatenate(rolls), score.quarter, tempo)
    write_rows(Path(f"{target}.csv"), rows)
    made.append(f"{target}.csv")
    if args.graphs:
        made.append(f"{target}.pdf")
        _draw(Path(made[-1]), pieces, rolls, rows, score.quarter)
    return made


def _drawn(model: LatentModel, z: Tensor, args: Namespace) -> Tensor:
    """Return windows (W, lag + T, 88) of latents (W, Z), each following the one before.

    They are drawn by the same numbers for all latents: only what latents change, changes.
    """
    device.seed(args.seed, "interpolate")
    windows, before, lag = [], None, model.representations[SCORE].lag
    for latent in z.split(1):
        windows.append(model.decode(latent, SCORE, temperature=args.temperature, before=before))
        before = windows[-1][:, windows[-1].shape[1] - lag :]
    return torch.cat(windows)


def _two(model: LatentModel, args: Namespace) -> list[Piece]:
    """Return the beginnings of two pieces, as long as the flags say or as the shorter one is."""
    if len(args.input) != 2:
        raise InputError(f"{len(args.input)} are given with -i: interpolate takes two pieces")
    if args.n_steps < 2:
        raise InputError(f"--n_steps {args.n_steps}: from one piece to another there are 2 at least, the pieces themselves")
    pieces = [one_piece(model, word) for word in args.input]
    length = min(args.frames, *map(len, pieces))
    if length < args.frames:
        log.warning("the shorter piece has %d steps: so many are taken of both", length)
    return [replace(piece, frames=piece.frames[:length]) for piece in pieces]


def _draw(path: Path, pieces: Sequence[Piece], rolls: Sequence[np.ndarray], rows: Sequence[dict[str, Any]], steps: int) -> None:
    """Draw the pieces, and some of the points between them, all where there are few."""
    first, last = ((piece.name, piece.frames) for piece in pieces)
    some = np.unique(np.linspace(0, len(rolls) - 1, min(len(rolls), DRAWN)).round().astype(int))
    titles = [f"point {n}" + (f", key {rows[n]['key']} {rows[n]['weight']:.2f}" if rows[n]["key"] else "") for n in some]
    roll_figures.rolls([first, *((title, rolls[n]) for title, n in zip(titles, some, strict=True)), last], [path], steps)
