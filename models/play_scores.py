"""Music that is written: going on from seeds, and through keys.

A key is told as weights of the classes of a run, the mean weights of its windows in training unless --w says else. Along a path
these move in straight lines: networks are told the weights themselves, so each step changes what they are told by as much.
"""

import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.keys import Key
from data.scores import Piece
from models import seeds, told_keys
from models.music_files import check_length, check_read, in_key, numbers, pace, write_music, write_rows
from models.rendering import Player
from models.score import SCORE, Manner, ScoreModel
from models.seeds import NOTHING, Seed
from utils import roll_figures
from utils.config import InputError
from utils.device import generator


class Telling(NamedTuple):
    """What a model is told of the keys of N pieces."""

    how: str  # "told", "drawn" or "inferred"; nothing where the model knows no keys
    labels: list[str]  # of the keys that weigh most; of a model that knows none, those of the seeds
    weights: Tensor | None  # (N, K)

    def weight(self, model: ScoreModel, number: int) -> float:
        """Return the weight of a piece's key; NaN where there is none."""
        known = self.weights is not None
        return self.weights[number, told_keys.names(model).index(self.labels[number])].item() if known else math.nan


# -- from seeds -------------------------------------------------------------------------------------------------------


def sample(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write pieces that go on from seeds drawn at random, all of them together."""
    model, random = player.model, generator(args.seed, "sample")
    _check_flags(model, args)
    number, long = args.n_generations, model.seed_steps(args.frames) if args.seed_frames is None else args.seed_frames
    check_length(number * (args.frames + long), "-n, -t or --seed_frames")
    check_read(args.input, (folder / f"sample_{place}{end}" for place in range(number) for end in ("", "_seed")))
    drawn = [NOTHING] * number if args.seed_frames == 0 else _seeds(model, _fitting(model, args), number, args, random)
    steps = model.representations[SCORE].quarter
    paces = [pace(args.tempo, seed.piece, max(args.frames, len(seed.roll)), steps) for seed in drawn]
    telling = _tell(player, drawn, args, random)
    music = _continued(player, drawn, args, telling.weights, random)
    made = []
    for place, (seed, roll, tempo) in enumerate(zip(drawn, music, paces, strict=True)):
        target = folder / f"sample_{place}"
        made += write_music(target, roll, steps, tempo)
        made += write_music(folder / f"sample_{place}_seed", seed.roll, steps, tempo) if seed.piece else []
        if args.graphs:
            made.append(f"{target}.pdf")
            _draw(Path(made[-1]), seed, roll, steps, telling.labels[place], telling.how)
    rows = [_row(model, telling, place, seed, roll) for place, (seed, roll) in enumerate(zip(drawn, music, strict=True))]
    write_rows(folder / "samples.csv", rows)
    return [*made, str(folder / "samples.csv")]


def _row(model: ScoreModel, telling: Telling, place: int, seed: Seed, roll: np.ndarray) -> dict[str, Any]:
    """Return the row of a table that tells of one piece."""
    origin, own = (seed.piece.name, seed.piece.key.label) if seed.piece else ("", "")
    row = {"sample": place, "piece": origin, "first_step": seed.first if origin else "", "seed_steps": len(seed.roll)}
    row |= {"key_of_piece": own, "how": telling.how, "key": telling.labels[place], "weight": telling.weight(model, place)}
    return row | {"in_key": in_key(roll, telling.labels[place]), "in_key_of_piece": in_key(roll, own)} | numbers(roll)


def _check_flags(model: ScoreModel, args: Namespace) -> None:
    """Raise an InputError where flags do not go together, or not with this run."""
    told = {"--key": args.key, "--infer_w": args.infer_w, "--discrete_w": args.discrete_w, "--w": args.w}
    of_seeds = {"--infer_w": args.infer_w, "--only": args.only, "--input": args.input}
    given, untold = [flag for flag, value in told.items() if value], not told_keys.knows_keys(model)
    lost = [flag for flag, value in of_seeds.items() if value and args.seed_frames == 0]
    wrong = {
        f"{' '.join(given)}: this run was trained with --no-classify, and is told no key": given and untold,
        "--discrete_w: draws from what is inferred; give --infer_w, too": args.discrete_w and not args.infer_w,
        "--key and --infer_w: a key is either told or inferred; take one of them": args.key and args.infer_w,
        "--w and --infer_w: what is inferred has its own weights; --discrete_w draws one key of it": args.w and args.infer_w,
        f"{' '.join(lost)}: is of seeds, and with --seed_frames 0 there are none; leave one of them out": lost,
        "--split and --input: a split is one of the run's corpus; take one of them": args.input and args.split != "test",
    }
    for message, is_so in wrong.items():
        if is_so:
            raise InputError(message)


def _fitting(model: ScoreModel, args: Namespace) -> Sequence[Piece]:
    """Return the pieces that the flags ask for, whose keys can be told where they have to be."""
    found = seeds.pieces(model, args.input, args.split)
    if args.only:
        found = seeds.in_key(found, Key.parse(args.only), model.config.relative_major)
    told = told_keys.knows_keys(model) and not (args.key or args.infer_w)
    return _known(model, found) if told else found


def _known(model: ScoreModel, found: Sequence[Piece]) -> list[Piece]:
    """Return the pieces in keys that training has seen, and warn of others.

    Raises
    ------
    InputError : there are none.
    """
    label, labels = model.config.relative_major, told_keys.seen(model)
    known = [piece for piece in found if piece.class_of(label) in labels]
    if not known:
        keys = " ".join(sorted({piece.class_of(label) for piece in found}))
        raise InputError(f"training has not seen the keys of these pieces, {keys}: tell another by --key, or take --infer_w")
    seeds.warn("are in keys that training has not seen", (piece for piece in found if piece.class_of(label) not in labels))
    return known


def _seeds(model: ScoreModel, found: Sequence[Piece], number: int, args: Namespace, random: torch.Generator) -> list[Seed]:
    """Draw seeds from pieces, as long as the flags say, or as the model needs them.

    Raises
    ------
    InputError : all pieces are too short.
    """
    steps, longest = args.seed_frames or model.seed_steps(args.frames), max(map(len, found))
    if args.seed_frames and steps > longest:
        raise InputError(f"--seed_frames {steps}: the longest piece has {longest} steps; give less")
    return seeds.draw(found, number, steps, min(steps, model.representations[SCORE].steps), random)


def _tell(player: Player, drawn: Sequence[Seed], args: Namespace, random: torch.Generator) -> Telling:
    """Return what the model is told of the keys of seeds."""
    model = player.model
    own = [seed.piece.class_of(model.config.relative_major) if seed.piece else "" for seed in drawn]
    if not told_keys.knows_keys(model):
        return Telling("", own, None)
    if args.infer_w:
        weights = torch.cat([model.key_of(_tensor(player, [seed])) for seed in drawn]).cpu()
        if args.discrete_w:
            chosen = torch.multinomial(weights, 1, generator=random)[:, 0]
            weights = functional.one_hot(chosen, weights.shape[1]).float()
        return Telling("inferred", [told_keys.names(model)[k] for k in weights.argmax(1).tolist()], weights)
    how, labels = "told", own
    if args.key:
        labels = [told_keys.asked(model, args.key)] * len(drawn)
    elif not drawn[0].piece:
        known = told_keys.seen(model)
        how, labels = "drawn", [known[k] for k in torch.randint(len(known), (len(drawn),), generator=random).tolist()]
    return Telling(how, labels, told_keys.told(model, labels, args.w or told_keys.MEAN))


def _tensor(player: Player, drawn: Sequence[Seed]) -> Tensor:
    """Return the rolls of seeds of one length, (N, S, 88)."""
    return torch.from_numpy(np.stack([seed.roll for seed in drawn])).float().to(player.device)


def _continued(
    player: Player, drawn: Sequence[Seed], args: Namespace, weights: Tensor | None, random: torch.Generator, steps: int = 0
) -> np.ndarray:
    """Return what follows seeds, (N, T, 88) bool: those of one length together.

    Parameters
    ----------
    weights : (N, K) or (N, T, K) of keys, as `ScoreModel.generate` takes them.
    steps : T; --frames when not given.
    """
    steps = steps or args.frames
    music = np.zeros((len(drawn), steps, roll_figures.KEYS), bool)
    manner, lengths = Manner(args.temperature, args.use_z_prior), np.array([len(seed.roll) for seed in drawn])
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        told = None if weights is None else weights[torch.from_numpy(rows)].to(player.device)
        roll = player.model.generate(_tensor(player, [drawn[row] for row in rows]), steps, told, manner, random)
        music[rows] = roll.cpu().numpy() > 0
    return music


def _draw(path: Path, seed: Seed, roll: np.ndarray, steps: int, label: str, how: str) -> None:
    """Draw a seed and what follows it, coloured by the key."""
    title = f"{seed.place}; key {label or 'unknown'} {how}".strip()
    scale = Key(label).scale if label else None
    roll_figures.rolls([(title, np.concatenate([seed.roll, roll]))], [path], steps, [scale], [len(seed.roll)])


# -- through keys -----------------------------------------------------------------------------------------------------


def key_path(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write music that goes through keys, --frames in each; from one to the next over half of that time."""
    model, random = player.model, generator(args.seed, "key path")
    if len(args.keys) < 2:
        raise InputError("--keys: give two keys or more, one after another, as C G D a")
    if not told_keys.knows_keys(model):
        raise InputError("key_path: this run was trained with --no-classify, and is told no key")
    labels, steps = [told_keys.asked(model, key) for key in args.keys], len(args.keys) * args.frames
    if args.seed_frames and not args.input:
        raise InputError(f"--seed_frames {args.seed_frames}: give pieces that the seed is from with -i")
    if args.input and args.seed_frames == 0:
        raise InputError("--input: is of seeds, and with --seed_frames 0 there are none; leave one of them out")
    check_length(steps, "--keys or -t")
    check_read(args.input, [folder / "key_path"])
    seed = _seeds(model, seeds.pieces(model, args.input), 1, args, random)[0] if args.input else NOTHING
    quarter = model.representations[SCORE].quarter
    tempo = pace(args.tempo, seed.piece, steps, quarter)
    weights = between(told_keys.told(model, labels, args.w or told_keys.MEAN), args.frames)
    (roll,) = _continued(player, [seed], args, weights[None], random, steps)
    rows = []
    for number, (text, label) in enumerate(zip(args.keys, labels, strict=True)):
        part = roll[number * args.frames : (number + 1) * args.frames]
        row = {"key": Key.parse(text).label, "first_step": number * args.frames, "told": label}
        rows.append(row | {"in_key": in_key(part, label), "key_by_profile": told_keys.by_profile(part)} | numbers(part))
    target = folder / "key_path"
    made = write_music(target, roll, quarter, tempo)
    write_rows(Path(f"{target}.csv"), rows)
    made.append(f"{target}.csv")
    if args.graphs:
        made.append(f"{target}.pdf")
        roll_figures.key_path(roll, weights.numpy(), told_keys.names(model), [Path(made[-1])], quarter)
    return made


def between(points: Tensor, frames: int) -> Tensor:
    """Return weights (N * frames, K) that stay at each of points (N, K) and go straight to the next within `frames` / 2 steps.

    Half of a change is before the next key's time begins, and half is in it.
    """
    time = (np.arange(len(points) * frames) + 0.5) / frames
    ends = np.array([(n + 0.25, n + 0.75) for n in range(len(points))])
    place = torch.from_numpy(np.interp(time, ends.ravel(), np.arange(len(points)).repeat(2))).float()
    before = place.long().clamp(max=len(points) - 2)
    return torch.lerp(points[before], points[before + 1], (place - before)[:, None])
