"""Phrases that are written: drawn from the prior, between two others, one after another, made anew from files or latents."""

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.attributes import measure
from models import phrase_files
from models.heard_notes import file_word
from models.music_files import check_length, check_read, write_rows
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import phrase_at, tempo_of, write_phrases
from models.play_files import check_beside
from models.rendering import Player
from utils import phrase_figures
from utils.config import InputError
from utils.device import generator
from utils.trajectories import interpolate as points_between

log = logging.getLogger(__name__)

AT_ONCE = 512  # phrases that are decoded together
DRAWN = 12  # phrases in a figure, at most
RESULTS = ("_reconstruction.mid", "_reconstruction.wav", ".csv", ".pdf", ".npz")


def written(model: PhraseModel, z: Tensor, args: Namespace, *seeds: object) -> Tensor:
    """Return the phrases (N, T, ...) of latents (N, Z), as the flags say."""
    random = generator(args.seed, *seeds)
    parts = [model.decode(part, PHRASE, temperature=args.temperature, random=random) for part in z.split(AT_ONCE)]
    return torch.cat(parts)


def attributes(model: PhraseModel, x: Tensor) -> list[dict[str, float]]:
    """Return columns about phrases (N, T, ...)."""
    found = measure(model.config.kind, x.cpu())
    return [dict(zip(found, row, strict=True)) for row in torch.stack(list(found.values()), 1).tolist()]


def draw(path: Path, model: PhraseModel, titled: Sequence[tuple[str, Tensor]]) -> str:
    """Draw phrases, some of them where there are many; return the name of the file."""
    phrase = model.representations[PHRASE]
    some = np.unique(np.linspace(0, len(titled) - 1, min(len(titled), DRAWN)).round().astype(int))
    chosen = [titled[place] for place in some]
    phrase_figures.phrases([(t, phrase.cells(x.cpu().numpy()), phrase.rows) for t, x in chosen], [path], phrase.steps)
    return str(path)


# -- from the prior ---------------------------------------------------------------------------------------------------


def sample(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases of latents that are drawn from the prior."""
    model, phrase = player.model, player.representation(PHRASE)
    check_length(args.n_generations * phrase.steps, "-n")
    tempo = tempo_of(args.tempo, None, phrase.steps)
    z = model.sample(args.n_generations, generator(args.seed, "sample"))
    x, made = written(model, z, args, "sample", "steps"), []
    for place in range(len(x)):
        made += write_phrases(folder / f"sample_{place}", phrase, x[place : place + 1], tempo)
    if args.graphs:
        made.append(draw(folder / "samples.pdf", model, [(f"sample {place}", one) for place, one in enumerate(x)]))
    write_rows(folder / "samples.csv", [{"sample": place, **row} for place, row in enumerate(attributes(model, x))])
    latents = phrase_files.write_latents(
        folder / "samples.npz", z=z.cpu().numpy(), phrases=x.cpu().numpy(), tempo=np.float64(tempo)
    )
    return [*made, str(folder / "samples.csv"), latents]


def walk(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write a piece of phrases along a random walk, from the prior or from a phrase of a file on.

    Each latent is sqrt(1 - s^2) times the one before and s times a new draw, s the stride: so all are draws from the prior.
    """
    model, phrase, random = player.model, player.representation(PHRASE), generator(args.seed, "walk")
    if len(args.input) > 1:
        raise InputError(f"{len(args.input)} files are given with -i: a walk begins with one")
    check_length(args.n_generations * phrase.steps, "-n")
    check_read(args.input, [folder / "walk"])
    start = phrase_at(model, args.input[0], args.line, args.bar) if args.input else None
    tempo = tempo_of(args.tempo, start.piece if start else None, args.n_generations * phrase.steps)
    path = [model.encode(start.x, PHRASE).mean if start else model.sample(1, random)]
    for _ in range(args.n_generations - 1):
        path.append((1 - args.stride**2) ** 0.5 * path[-1] + args.stride * model.sample(1, random))
    z = torch.cat(path)
    return _path(model, z, written(model, z, args, "walk", "steps"), folder / "walk", tempo, args)


def _path(model: PhraseModel, z: Tensor, x: Tensor, target: Path, tempo: float, args: Namespace) -> list[str]:
    """Write phrases one after another, with a table, a figure, and their latents."""
    made = write_phrases(target, model.representations[PHRASE], x, tempo)
    rows = [{"phrase": place, **row} for place, row in enumerate(attributes(model, x))]
    write_rows(Path(f"{target}.csv"), rows)
    made.append(f"{target}.csv")
    if args.graphs:
        made.append(draw(Path(f"{target}.pdf"), model, [(f"phrase {place}", one) for place, one in enumerate(x)]))
    made.append(
        phrase_files.write_latents(Path(f"{target}.npz"), z=z.cpu().numpy(), phrases=x.cpu().numpy(), tempo=np.float64(tempo))
    )
    return made


# -- between two ------------------------------------------------------------------------------------------------------


def interpolate(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases from one of a file to one of another, all one after another and each by itself."""
    model, phrase = player.model, player.representation(PHRASE)
    if len(args.input) != 2:
        raise InputError(f"{len(args.input)} files are given: interpolate takes two, the first and the last phrase")
    if args.n_generations < 2:
        raise InputError(f"-n {args.n_generations}: from one phrase to another there are 2 at least, these themselves")
    check_length(args.n_generations * phrase.steps, "-n")
    ends = [phrase_at(model, path, args.line, args.bar) for path in args.input]
    tempo = tempo_of(args.tempo, ends[0].piece, args.n_generations * phrase.steps)
    target = folder / "_".join(file_word(Path(path).stem) for path in args.input)
    check_read(args.input, [target])
    points = torch.cat([model.encode(end.x, PHRASE).mean for end in ends])
    z = points_between(points, args.n_generations - 1, args.interp_order)
    x = written(model, z, args, "interpolate")
    made = _path(model, z, x, target, tempo, args)
    for place in range(len(x)):
        made += write_phrases(Path(f"{target}_{place}"), phrase, x[place : place + 1], tempo)
    return made


# -- of files ---------------------------------------------------------------------------------------------------------


def reconstruct(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Make the phrases of a file anew, from the means of their latents or from samples."""
    model, phrase = player.model, player.representation(PHRASE)
    piece = phrase_files.piece_in(model, path)
    made: list[str] = []
    for line in phrase_files.whole_lines(model, piece):
        out = target.with_name(f"{target.name}{line.suffix}")
        check_beside(path, out, RESULTS)
        tempo = tempo_of(args.tempo, piece, len(line.x) * phrase.steps)
        z = player.latents(line.x, PHRASE, [(line.number, place) for place in line.first])
        x = written(model, z, args, "reconstruct")
        made += write_phrases(out.with_name(f"{out.name}_reconstruction"), phrase, x, tempo)
        scores = phrase.compare(line.x.cpu(), x.cpu()) | {"nll": model.nll(line.x, PHRASE, line.x, PHRASE).cpu()}
        rows = torch.stack([values.double() for values in scores.values()], 1).tolist()
        bars = (line.first // phrase_files.BAR + 1).tolist()
        write_rows(
            Path(f"{out}.csv"), [{"bar": bar, **dict(zip(scores, row, strict=True))} for bar, row in zip(bars, rows, strict=True)]
        )
        made.append(f"{out}.csv")
        log.info("%s: %s", path, ", ".join(f"{name} {scores[name].double().mean():.3f}" for name in ("accuracy", "nll")))
        if args.graphs:
            pairs = [
                pair for bar, a, b in zip(bars, line.x, x, strict=True) for pair in ((f"bar {bar}", a), (f"bar {bar}, anew", b))
            ]
            made.append(draw(Path(f"{out}.pdf"), model, pairs[:DRAWN]))
    return made


midi = reconstruct


def humanize(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Make up what a run with this transform is not told of drums."""
    trained = getattr(player.model.config, "transform", "none")
    if trained not in (args.mode, f"tap_{args.mode}", f"{args.mode}_fixed_velocity"):
        raise InputError(f"{args.mode}: takes a run that was trained with --transform {args.mode}; this one has {trained}")
    return reconstruct(player, path, target, args)


tap = fixed_velocity = humanize


def encode(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write the posteriors of the phrases of a file."""
    model = player.model
    piece = phrase_files.piece_in(model, path)
    lines = list(phrase_files.whole_lines(model, piece))
    x = torch.cat([line.x for line in lines])
    q = model.encode(x, PHRASE)
    arrays: dict[str, Any] = {
        "mean": q.mean.cpu().numpy(),
        "deviation": q.variance.sqrt().cpu().numpy(),
        "phrases": x.cpu().numpy(),
        "line": np.concatenate([np.full(len(line.x), line.number) for line in lines]),
        "first_step": np.concatenate([line.first for line in lines]),
        "tempo": np.float64(piece.tempo),
    }
    return [phrase_files.write_latents(Path(f"{target}.npz"), **arrays)]


def decode(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write the phrases that latents in a file stand for."""
    model, phrase = player.model, player.representation(PHRASE)
    latents, tempo = phrase_files.read_latents(path, model.latent_shape[0])
    check_length(len(latents) * phrase.steps, "latents")
    tempo = args.tempo or tempo
    x, made = written(model, torch.from_numpy(latents).to(model.device), args, "decode"), []
    tempo_of(tempo, None, phrase.steps)
    for place in range(len(x)):
        made += write_phrases(Path(f"{target}_{place}"), phrase, x[place : place + 1], tempo)
    return [*made, *_table(model, target, x, args, [f"phrase {place}" for place in range(len(x))])]


def extract(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Write every phrase of a file that begins at a bar, so that one can be chosen."""
    model, phrase, made = player.model, player.representation(PHRASE), []
    piece = phrase_files.piece_in(model, path)
    lines, names = list(phrase_files.every_phrase(model, piece)), []
    for line in lines:
        for place, one in zip(line.first, line.x, strict=True):
            bar = place // phrase_files.BAR + 1
            names.append(f"line {line.number}, bar {bar}" if line.suffix else f"bar {bar}")
            made += write_phrases(Path(f"{target}{line.suffix}_bar{bar}"), phrase, one[None], tempo_of(None, piece, phrase.steps))
    return [*made, *_table(model, target, torch.cat([line.x for line in lines]), args, names)]


def _table(model: PhraseModel, target: Path, x: Tensor, args: Namespace, names: Sequence[str]) -> list[str]:
    """Write attributes of phrases, and draw them."""
    rows = [{"phrase": name, **row} for name, row in zip(names, attributes(model, x), strict=True)]
    write_rows(Path(f"{target}.csv"), rows)
    figure = [draw(Path(f"{target}.pdf"), model, list(zip(names, x, strict=True)))] if args.graphs else []
    return [f"{target}.csv", *figure]
