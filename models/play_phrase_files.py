"""Phrases of files: made anew, cut out, turned into latents and back."""

import logging
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.latent_files import read_latents, write_arrays
from models.music_files import check_length, write_rows
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import BAR, SOUNDS, Line, check_free, every_phrase, named, piece_in, tempo_of, whole_lines, write_phrases
from models.play_phrases import DRAWN, draw, some, write_each, write_table, written
from models.rendering import Player
from utils.config import InputError

log = logging.getLogger(__name__)

ANEW, TABLE = ("_reconstruction.mid", "_reconstruction.wav"), (".csv", ".pdf")
ABLE = {"humanize": ("humanize",), "tap": ("tap", "tap_fixed_velocity"), "fixed_velocity": ("fixed_velocity",)}


def reconstruct(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Make the phrases of a file anew, from the means of their latents or from samples."""
    model = player.model
    lines = {named(target, line.suffix)[0]: line for line in whole_lines(model, piece_in(model, path))}
    check_free(args.input, [file for out in lines for file in named(out, *ANEW, *TABLE)], path)
    tempos = [tempo_of(args.tempo, line.piece, len(line.x) * model.representations[PHRASE].span) for line in lines.values()]
    return [
        name for (out, line), tempo in zip(lines.items(), tempos, strict=True) for name in _anew(player, line, out, tempo, args)
    ]


midi = reconstruct


def _anew(player: Player, line: Line, out: Path, tempo: float, args: Namespace) -> list[str]:
    """Write what a line becomes, and how right it is; return the names of the files."""
    model, phrase = player.model, player.representation(PHRASE)
    z = player.latents(line.x, PHRASE, [(line.number, first) for first in line.first.tolist()])
    x = written(model, z, args, "reconstruct")
    made = write_phrases(named(out, "_reconstruction")[0], phrase, x, tempo)
    scores = phrase.compare(line.x.cpu(), x.cpu()) | {"nll": model.nll(line.x, PHRASE, line.x, PHRASE).cpu()}
    rows = torch.stack([values.double() for values in scores.values()], 1).tolist()
    bars = (line.first // BAR + 1).tolist()
    write_rows(
        Path(f"{out}.csv"), [{"bar": bar} | dict(zip(scores, row, strict=True)) for bar, row in zip(bars, rows, strict=True)]
    )
    log.info("%s: %s", out.name, ", ".join(f"{name} {scores[name].double().mean():.3f}" for name in ("accuracy", "nll")))
    made.append(f"{out}.csv")
    if args.graphs:
        pairs = [
            (f"bar {bars[place]}{word}", which[place])
            for place in some(len(x), DRAWN // 2)
            for word, which in (("", line.x), (", anew", x))
        ]
        made.append(draw(Path(f"{out}.pdf"), model, pairs, 2))
    return made


def humanize(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Make up what a run with this transform is not told of drums."""
    trained = getattr(player.model.config, "transform", "none")
    if trained not in ABLE[args.mode]:
        able = " or ".join(f"--transform {name}" for name in ABLE[args.mode])
        raise InputError(f"{args.mode}: takes a run that was trained with {able}; this one has {trained}")
    return reconstruct(player, path, target, args)


tap = fixed_velocity = humanize


def encode(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write the posteriors of the phrases of a file."""
    model: PhraseModel = player.model
    lines = list(whole_lines(model, piece_in(model, path)))
    check_free(args.input, named(target, ".npz"), path)
    x = torch.cat([line.x for line in lines])
    q = model.encode(x, PHRASE)
    arrays = {
        "mean": q.mean.cpu().numpy(),
        "deviation": q.variance.sqrt().cpu().numpy(),
        "phrases": x.cpu().numpy(),
        "line": np.concatenate([np.full(len(line.x), line.number) for line in lines]),
        "first_step": np.concatenate([line.first for line in lines]),
        "tempo": np.float64(lines[0].piece.tempo),
    }
    return [write_arrays(Path(f"{target}.npz"), model, **arrays)]


def decode(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write the phrases that latents in a file stand for."""
    model, steps = player.model, player.representation(PHRASE).span
    latents, told = read_latents(path, model)
    check_length(len(latents) * steps, "latents")
    tempo = tempo_of(args.tempo or told, None, steps)
    ends = [f"_{place}{end}" for place in range(len(latents)) for end in SOUNDS]
    check_free(args.input, named(target, *ends, *TABLE), path)
    x = written(model, torch.from_numpy(latents).to(model.device), args, "decode")
    made = write_each(model, target, x, tempo)
    return made + write_table(model, target, x, [f"phrase {place}" for place in range(len(x))], args)


def extract(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write every phrase of a file that begins at a bar and is not silent, so that one can be chosen."""
    model, phrase = player.model, player.representation(PHRASE)
    piece = piece_in(model, path)
    tempo = tempo_of(None, piece, phrase.span)
    found: dict[str, Tensor] = {}
    for line in every_phrase(model, piece):
        bars = (line.first // BAR + 1).tolist()
        found |= {f"{line.suffix}_bar{bar}": one for bar, one in zip(bars, line.x, strict=True) if one.any()}
    check_free(args.input, named(target, *(f"{name}{end}" for name in found for end in SOUNDS), *TABLE), path)
    made = [name for end, one in found.items() for name in write_phrases(Path(f"{target}{end}"), phrase, one[None], tempo)]
    titles = [name.strip("_").replace("_", ", ").replace("bar", "bar ").replace("line", "line ") for name in found]
    return made + write_table(model, target, torch.stack(list(found.values())), titles, args)
