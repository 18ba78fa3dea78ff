"""Phrases along single axes of a latent space, and between a frozen model and a run that stands on it."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.music_files import check_length
from models.phrase import PHRASE, ConstrainedModel, PhraseModel
from models.phrase_files import Line, check_free, phrase_at, tempo_of
from models.play_flags import FEW_AXES, MOST_AXES
from models.play_phrases import series_files, wished, write_series, written
from models.rendering import Player
from utils.config import InputError
from utils.device import generator
from utils.trajectories import interpolate as points_between


def sweep(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases along axes of the latent space, one axis after another; on all others they stay at one place."""
    model, number, span = player.model, args.n_generations, player.representation(PHRASE).span
    _check_sweep(args)
    targets = {axis: folder / f"sweep_axis{axis}" for axis in _axes(model, args)}
    check_length(len(targets) * number * span, "-n or --axis")
    check_free(args.input, [file for target in targets.values() for file in series_files(target, number)])
    condition, start = wished(model, args.wish), _start(model, args)
    tempo = tempo_of(args.tempo, start and start.piece, number * span)
    rest, places, made = _rest(model, start, args), np.linspace(args.low, args.high, number), []
    for axis, target in targets.items():
        z = rest.repeat(number, 1)
        z[:, axis - 1] = torch.from_numpy(places).to(z)
        x = written(model, z, args, "sweep", axis, condition=condition)
        titles = [f"axis {axis} at {place:.4g}" for place in places]
        made += write_series(model, target, z, x, titles, tempo, args, value=places)
    return made


def _check_sweep(args: Namespace) -> None:
    """Raise an InputError for flags that make no sweep."""
    if args.n_generations < 2:
        raise InputError(f"-n {args.n_generations}: along an axis there are 2 places at least, its ends")
    if args.low >= args.high:
        raise InputError(f"--low {args.low:g} --high {args.high:g}: the first must be less than the second")
    if args.from_prior and args.input:
        raise InputError("--from_prior and -i: the other axes stay at a draw or at a phrase; take one of them")


def _axes(model: PhraseModel, args: Namespace) -> list[int]:
    """Return the numbers of the axes that are asked for, from 1; without any all, or the first of many.

    Raises
    ------
    InputError : there is no such axis.
    """
    (size,) = model.latent_shape
    for axis in args.axis:
        if axis > size:
            raise InputError(f"--axis {axis}: this run has the axes 1 to {size}")
    few = size if size <= MOST_AXES else FEW_AXES
    return list(dict.fromkeys(args.axis)) or list(range(1, few + 1))


def _start(model: PhraseModel, args: Namespace) -> Line | None:
    """Return the phrase of a file, None where none is given.

    Raises
    ------
    InputError : there are several files, or see `phrase_at`.
    """
    if len(args.input) > 1:
        raise InputError(f"{len(args.input)} files are given with -i: {args.mode} takes a phrase of one")
    return phrase_at(model, args.input[0], args.line, args.bar) if args.input else None


def _rest(model: PhraseModel, start: Line | None, args: Namespace) -> Tensor:
    """Return where all axes stay but the one that is swept, (1, Z)."""
    if start:
        return model.encode(start.x, PHRASE).mean
    draw = model.sample(1, generator(args.seed, "sweep"))
    return draw if args.from_prior else torch.zeros_like(draw)


def blend(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases between draws of a frozen model and draws, or a phrase, of the run that stands on it, in the former's space."""
    model, number, span = player.model, args.n_generations, player.representation(PHRASE).span
    if not isinstance(model, ConstrainedModel):
        raise InputError("blend: takes a run that stands on another one, and this one decodes by itself; give such a run with -m")
    if number < 2:
        raise InputError(f"-n {number}: from one phrase to another there are 2 at least, these themselves")
    check_length(args.pairs * number * span, "-n or --pairs")
    targets = [folder / f"blend_{pair}" for pair in range(args.pairs)]
    check_free(args.input, [file for target in targets for file in series_files(target, number)])
    condition, start = wished(model, args.wish), _start(model, args)
    tempo, shares, made = tempo_of(args.tempo, start and start.piece, number * span), np.linspace(0, 1, number), []
    for pair, target in enumerate(targets):
        random = generator(args.seed, "blend", pair)
        plain, own = model.base.sample(1, random), model.sample(1, random)
        ends = [plain, model.to_base(model.encode(start.x, PHRASE).mean if start else own, condition)]
        z = points_between(torch.cat(ends), number - 1, args.interp_order)
        x = written(model.base, z, args, "blend", pair)
        titles = [f"{share:.0%} of the way to the run" for share in shares]
        made += write_series(model.base, target, z, x, titles, tempo, args, share=shares)
    return made
