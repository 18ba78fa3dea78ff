"""Sounds in which a descriptor follows a curve, from a note on."""

import itertools
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data.labels import Labels
from data.representations import SUBFRAMES
from data.transcription import write_table
from models.atlas import survey
from models.following import Followed, Scale, follow
from models.heard_notes import draw_path, encode, file_word, numbered, told
from models.play_notes import chosen, drawn
from models.play_paths import check_length
from models.rendering import AUDIBLE, Player, write_sound
from utils import curves
from utils.cli import progress
from utils.curves import Curve
from utils.descriptor_figures import curve as draw_curve
from utils.descriptors import UNITS
from utils.inputs import distinct
from utils.play_figures import Picture


def descriptor_synthesis(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Let descriptors of sound follow curves, from the frames of most energy of loud notes on (DAFx 2018, section 4.5).

    The model is told what the note is; or --labels.
    """
    check_length(player, args.n_steps, least=2)
    asked, made = _asked(args), []
    atlas = survey(player.run, player.model)
    pool = list(itertools.chain(*chosen(player, args.split, args.input).values()))
    starts = [encode(player, note) for note in drawn(pool, args.n_generations, args.seed)]
    names = distinct(file_word(told(known.note)) for known in starts)
    tasks = list(itertools.product(zip(names, starts, strict=True), dict.fromkeys(args.descriptor), asked.items()))
    for (name, known), descriptor, (word, curve) in progress(tasks, desc="paths"):
        own = player if args.labels else replace(player, condition=known.condition)
        scale, target = Scale(own, descriptor), folder / f"{name}_{descriptor}_{word}"
        path = follow(scale, known.z[known.peak], curve, atlas, args.by, args.n_steps)
        print(f"{target.name}: r = {path.correlation:.3f}, {path.distance:.2f} {scale.unit} from the target on average", flush=True)
        made += _write(scale, path, target, args.graphs)
        if args.graphs:
            made += draw_path(own, atlas, path.z, f"{descriptor} along {word}, from {told(known.note)}", target)
    return made


def _asked(args: Namespace) -> dict[str, Curve]:
    """Return the curves that the flags ask for, by names for files."""
    asked = {name: curves.named(name) for name in args.curve}
    if args.curve_file:
        asked[file_word(args.curve_file.stem)] = curves.read(args.curve_file)
    return asked or {"rise": curves.named("rise")}


def _write(scale: Scale, path: Followed, target: Path, graphs: bool | int) -> list[str]:
    """Write a path as sound, as a table, and where wanted as a figure; return the names of the files."""
    player, picture, record = scale.player, Picture(), []
    signal, labels = player.representation("signal"), player.model.representations.get("symbol", Labels((), (), False, 1.0))
    rate = signal.frame_rate * SUBFRAMES
    pieces = player.path(path.z, torch.ones(len(path.z)), record)
    sound = player.sound([pieces], [picture], fine=True)
    write_sound(Path(f"{target}.wav"), sound, signal.sample_rate, len(path.z) / rate, AUDIBLE)
    ids, confidence, _ = map(np.concatenate, zip(*record, strict=True))
    sought, reached = scale.leave(path.target), scale.leave(path.reached)
    columns = {"target": sought, "reached": reached, **numbered(path.z)}
    write_table(Path(f"{target}.csv"), labels, ids, confidence, columns, rate)
    if not graphs:
        return [f"{target}{end}" for end in (".wav", ".csv")]
    bands, seconds = signal.frequencies, len(path.z) / rate
    draw_curve(scale.name, UNITS[scale.name], sought, reached, picture.image, bands, seconds, Path(f"{target}.pdf"))
    return [f"{target}{end}" for end in (".wav", ".csv", ".pdf")]
