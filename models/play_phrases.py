"""Phrases that are written: drawn from the prior, one after another along a walk, between two of files; what is wished of them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.attributes import measure
from models.heard_notes import file_word
from models.latent_files import write_arrays
from models.music_files import check_length, write_rows
from models.phrase import PHRASE, ConstrainedModel, PhraseModel
from models.phrase_files import SOUNDS, check_free, named, phrase_at, tempo_of, write_phrases
from models.rendering import Player
from utils import phrase_figures
from utils.config import InputError
from utils.device import generator
from utils.trajectories import interpolate as points_between

DRAWN = 12  # phrases in a figure, at most
BESIDE = (".csv", ".pdf", ".npz")


def written(model: PhraseModel, z: Tensor, args: Namespace, *seeds: object, condition: Tensor | None = None) -> Tensor:
    """Return the phrases (N, T, ...) of latents (N, Z), as the flags say; `condition` (1, A) is what is `wished` of all of them."""
    random = generator(args.seed, *seeds)
    told = None if condition is None else condition.expand(len(z), -1)
    return torch.cat(
        [
            model.decode(part, PHRASE, None if told is None else told[: len(part)], args.temperature, random)
            for part in z.split(model.at_once)
        ]
    )


def spread_out(model: PhraseModel, z: Tensor, args: Namespace, *seeds: object, condition: Tensor | None = None) -> Tensor:
    """Return what `written` does; where ``--spread`` is given, of latents of the base that lie around what latents stand for."""
    if not args.spread:
        return written(model, z, args, *seeds, condition=condition)
    around = scattered(model, z, args, condition)
    return written(model.base, around, args, *seeds)


def scattered(model: PhraseModel, z: Tensor, args: Namespace, condition: Tensor | None) -> Tensor:
    """Return latents of the base (N, Z) around what latents (N, Z') stand for, as far as ``--spread`` says.

    Raises
    ------
    InputError : the model stands on no base, or leaves nothing open.
    """
    if not isinstance(model, ConstrainedModel) or model.residual is None:
        raise InputError(f"--spread {args.spread:g}: is for runs of a small VAE on a base, and this one is none; leave it out")
    told = None if condition is None else condition.expand(len(z), -1)
    return model.scattered(z, args.spread, generator(args.seed, "spread"), told)


def wished(model: PhraseModel, asked: Sequence[str]) -> Tensor | None:
    """Return the class ids (1, A) of what is asked for as ATTRIBUTE=CLASS, -1 of attributes that are not; None for nothing.

    Raises
    ------
    InputError : the model knows no such attribute or class, or one attribute is to be two.
    """
    if not asked:
        return None
    known = " ".join(f"{name}={'|'.join(classes)}" for name, classes in model.wishes.items())
    wishes: dict[str, str] = {}
    for word in asked:
        called, _, value = word.partition("=")
        name = next((name for name in model.wishes if called and name.endswith(f"_{called}")), called)  # density of hit_density
        if value not in model.wishes.get(name, ()):
            raise InputError(f"--wish {word}: this run knows {known or 'no wishes; leave it out'}")
        if wishes.setdefault(name, value) != value:
            raise InputError(f"--wish {word}: {name} is to be {wishes[name]} already; wish for one of them")
    ids = [classes.index(wishes[name]) if name in wishes else -1 for name, classes in model.wishes.items()]
    return torch.tensor([ids], device=model.device)


def attributes(model: PhraseModel, x: Tensor) -> list[dict[str, float]]:
    """Return columns about phrases (N, T, ...)."""
    found = measure(model.config.kind, model.representations[PHRASE].standard(x.cpu()))
    return [dict(zip(found, row, strict=True)) for row in torch.stack(list(found.values()), 1).tolist()]


def some(number: int, most: int = DRAWN) -> list[int]:
    """Return which of so many to draw: all up to `most`, else as many of them, evenly spread."""
    return np.linspace(0, number - 1, min(number, most)).round().astype(int).tolist()


def draw(path: Path, model: PhraseModel, titled: Sequence[tuple[str, Tensor]], most: int = 3) -> str:
    """Draw phrases with titles, `most` beside each other; return the name of the file."""
    phrase = model.representations[PHRASE]
    panels = [(title, phrase.cells(x.cpu().numpy()), phrase.rows) for title, x in titled]
    phrase_figures.phrases(panels, [path], phrase.span, most)
    return str(path)


def write_table(
    model: PhraseModel, target: Path, x: Tensor, titles: Sequence[str], args: Namespace, **columns: Sequence[float]
) -> list[str]:
    """Write attributes of phrases (N, T, ...) as `target` with .csv, behind other columns, and draw some; return their names."""
    rows = [
        {"phrase": place, "title": title} | {name: values[place] for name, values in columns.items()} | row
        for place, (title, row) in enumerate(zip(titles, attributes(model, x), strict=True))
    ]
    write_rows(Path(f"{target}.csv"), rows)
    titled = [(titles[place], x[place]) for place in some(len(x))]
    return [f"{target}.csv", *([draw(Path(f"{target}.pdf"), model, titled)] if args.graphs else [])]


def write_each(model: PhraseModel, target: Path, x: Tensor, tempo: float) -> list[str]:
    """Write phrases (N, T, ...) in files of their own, `target` with _NUMBER; return their names."""
    phrase = model.representations[PHRASE]
    return [name for place, one in enumerate(x) for name in write_phrases(Path(f"{target}_{place}"), phrase, one[None], tempo)]


def write_latents(model: PhraseModel, target: Path, z: Tensor, x: Tensor, tempo: float) -> str:
    """Write latents (N, Z) and the phrases (N, T, ...) that they became as `target` with .npz; return its name."""
    arrays = {"z": z.cpu().numpy(), "phrases": x.cpu().numpy(), "tempo": np.float64(tempo)}
    return write_arrays(Path(f"{target}.npz"), model, **arrays)


def series_files(target: Path, number: int) -> list[Path]:
    """Return the files that `write_series` writes of so many phrases."""
    return named(target, *SOUNDS, *BESIDE, *(f"_{place}{end}" for place in range(number) for end in SOUNDS))


def write_series(
    model: PhraseModel,
    target: Path,
    z: Tensor,
    x: Tensor,
    titles: Sequence[str],
    tempo: float,
    args: Namespace,
    **columns: Sequence[float],
) -> list[str]:
    """Write phrases (N, T, ...) of latents (N, Z) one after another and each by itself, with all about them; return the names."""
    made = write_phrases(target, model.representations[PHRASE], x, tempo) + write_each(model, target, x, tempo)
    made += write_table(model, target, x, titles, args, **columns)
    return [*made, write_latents(model, target, z, x, tempo)]


def sample(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases of latents that are drawn from the prior."""
    model, steps = player.model, player.representation(PHRASE).span
    check_length(args.n_generations * steps, "-n")
    tempo, condition = tempo_of(args.tempo, None, steps), wished(model, args.wish)
    z = model.sample(args.n_generations, generator(args.seed, "sample"))
    x, target = spread_out(model, z, args, "sample", "steps", condition=condition), folder / "samples"
    made = write_each(model, folder / "sample", x, tempo)
    made += write_table(model, target, x, [f"sample {place}" for place in range(len(x))], args)
    return [*made, write_latents(model, target, z, x, tempo)]


def walk(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write a piece of phrases along a random walk, from the prior or from a phrase of a file on.

    Each latent is sqrt(1 - s^2) times the one before and s times a new draw, s the stride: so all are draws from the prior.
    """
    model, phrase, random = player.model, player.representation(PHRASE), generator(args.seed, "walk")
    number, stride, target = args.n_generations, args.stride, folder / "walk"
    if len(args.input) > 1:
        raise InputError(f"{len(args.input)} files are given with -i: a walk begins with one")
    check_length(number * phrase.span, "-n")
    check_free(args.input, named(target, *SOUNDS, *BESIDE))
    start = phrase_at(model, args.input[0], args.line, args.bar) if args.input else None
    tempo = tempo_of(args.tempo, start and start.piece, number * phrase.span)
    path = [model.encode(start.x, PHRASE).mean if start else model.sample(1, random)]
    for _ in range(number - 1):
        path.append((1 - stride**2) ** 0.5 * path[-1] + stride * model.sample(1, random))
    z = torch.cat(path)
    x = spread_out(model, z, args, "walk", "steps", condition=wished(model, args.wish))
    made = write_phrases(target, phrase, x, tempo)
    made += write_table(model, target, x, [f"phrase {place}" for place in range(number)], args)
    return [*made, write_latents(model, target, z, x, tempo)]


def interpolate(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases from one of a file to one of another, each by itself and all one after another."""
    model, phrase, number = player.model, player.representation(PHRASE), args.n_generations
    if len(args.input) != 2:
        raise InputError(f"{len(args.input)} given: interpolate takes two files, the first and the last phrase")
    if number < 2:
        raise InputError(f"-n {number}: from one phrase to another there are 2 at least, these themselves")
    check_length(number * phrase.span, "-n")
    target = folder / "_".join(file_word(Path(path).stem) for path in args.input)
    check_free(args.input, series_files(target, number))
    ends = [phrase_at(model, path, args.line, args.bar) for path in args.input]
    tempo = tempo_of(args.tempo, ends[0].piece, number * phrase.span)
    z = points_between(torch.cat([model.encode(end.x, PHRASE).mean for end in ends]), number - 1, args.interp_order)
    x = written(model, z, args, "interpolate", condition=wished(model, args.wish))
    titles = [f"{place / (number - 1):.0%} of the way" for place in range(number)]
    return write_series(model, target, z, x, titles, tempo, args)
