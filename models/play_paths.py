"""Paths through the latent space, made audible: labels held or melted into each other, and curves.

A path has one latent for each time point of the transform, ten a frame: at the defaults 313 a second.
"""

import itertools
import math
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from data.notes import Notes
from data.representations import SUBFRAMES
from data.transcription import transcribe, write_table
from data.words import file_name, parse, transposed, with_dynamics
from models.rendering import AUDIBLE, Player, write_sound
from utils.config import InputError
from utils.device import generator
from utils.play_figures import Picture, spectrograms_and_roll
from utils.trajectories import circle, helix, interpolate, line, spiral

LONGEST = 600.0  # s that one label, transition or curve may last
TURNING = {"circle": circle, "helix": helix, "spiral": spiral}


def sequence(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Play labels one after another, each held: the mean of its posterior, or one sample of it; rests are silent."""
    labels, ids = _asked(player, args)
    z = player.latents(ids, "symbol", range(len(ids)))
    gain = torch.as_tensor(labels.sounding(ids)).any(1).float()
    z, gain = (column.repeat_interleave(args.n_steps, 0) for column in (z, gain))
    return write_path(player, z, folder / file_name(labels, ids), args.graphs, gain)


def morphing(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Melt labels into each other: a path through the means of their posteriors."""
    labels, ids = _asked(player, args)
    if len(ids) < 2:
        raise InputError("one label alone has nothing to melt into: give at least two")
    z = interpolate(player.latents(ids, "symbol", [()]), args.n_steps, args.interp_order)
    return write_path(player, z, folder / f"{file_name(labels, ids)}_interp_{args.interp_order}", args.graphs)


def trajectory(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Play curves; where lines begin and end and what the others turn around is drawn from the prior, the standard normal."""
    check_length(player, args.n_steps)
    made = []
    for kind, number in itertools.product(dict.fromkeys(args.traj), range(args.n_generations)):
        z = _curve(kind, player.model.latent_shape, args, generator(args.seed, "trajectory", kind, number))
        made += write_path(player, z, folder / f"{kind}_{number}", args.graphs)
    return made


def _curve(kind: str, shape: tuple[int, ...], args: Namespace, random: torch.Generator) -> Tensor:
    """Return a curve (N, Z); its radius is half of what two draws from the prior are apart on average when not given."""
    place = torch.randn(shape, generator=random)
    if kind == "line":
        return line(place, torch.randn(shape, generator=random), args.n_steps)
    return TURNING[kind](place, args.radius or math.sqrt(place.numel() / 2), args.turns, args.n_steps, random)


def _asked(player: Player, args: Namespace) -> tuple[Labels, Tensor]:
    """Return the run's labels, and the ids (N, I, L) that the flags ask for."""
    check_length(player, args.n_steps)
    labels = player.representation("symbol")
    ids = transposed(labels, parse(labels, args.input), args.transposition)
    return labels, with_dynamics(labels, ids, args.dynamics) if args.dynamics else ids


def check_length(player: Player, steps: int, least: int = 1) -> None:
    """Raise an InputError where so many time points would last too long, or are fewer than a mode needs."""
    if steps < least:
        raise InputError(f"--n_steps {steps}: a path from one place to another has {least} at least")
    most = int(LONGEST * player.representation("signal").frame_rate * SUBFRAMES)
    if steps > most:
        raise InputError(f"--n_steps {steps} would last longer than {LONGEST:g} s: give at most {most}")


def write_path(
    player: Player, z: Tensor, target: Path, graphs: bool | int, gain: Tensor | None = None, condition: Tensor | None = None
) -> list[str]:
    """Write what latents (N, Z), one a time point, sound like and are named: `target` with .wav, .mid, .csv and .pdf.

    Parameters
    ----------
    graphs : draw the figure.
    gain : (N,) how loud each of them is; 1 when not given.
    condition : (N, C) what the model is told of each; what the player is told when not given.

    Returns
    -------
    The names of the files. Where the model names no pitches there are no notes and no .mid.

    Raises
    ------
    InputError : the model has no signal.
    """
    signal, labels = player.representation("signal"), player.model.representations.get("symbol", Labels((), (), False, 1.0))
    picture, record, rate = Picture(), [], signal.frame_rate * SUBFRAMES
    pieces = player.path(z, torch.ones(len(z)) if gain is None else gain, record, condition)
    sound = player.sound([pieces], [picture], fine=True)
    louder = write_sound(Path(f"{target}.wav"), sound, signal.sample_rate, len(z) / rate, AUDIBLE)
    ids, confidence, level = map(np.concatenate, zip(*record, strict=True))
    latents = z.cpu().numpy()
    columns = {f"z{number}": column for number, column in enumerate(latents.T, 1)}
    write_table(Path(f"{target}.csv"), labels, ids, confidence, columns, rate)
    made, notes = [".wav", ".csv"], Notes.empty()
    if labels.pitched:
        middle = slice(min(SUBFRAMES, len(z)) // 2, None, SUBFRAMES)  # of each frame, as transcription goes by frames
        level = level[middle] + 20 * np.log10(louder)
        notes = transcribe(labels, ids[middle], confidence[middle], level, signal.frame_rate)
        notes.save(f"{target}.mid")
        made.insert(1, ".mid")
    if graphs:
        made.append(".pdf")
        tracks, images = labels.instruments if labels.pitched else (), {"": picture.image}
        spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(notes), tracks, len(z) / rate, latents)
    return [f"{target}{end}" for end in made]
