"""Attribute vectors: directions in which phrases get more of something; found in a corpus, added to phrases."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.attributes import ATTRIBUTES
from data.phrase_windows import PhraseWindows
from models.attribute_vectors import vectors
from models.epochs import batches
from models.evaluation import BATCH
from models.heard_notes import file_word
from models.latent_files import read_arrays, write_arrays
from models.music_files import check_length, write_rows
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import SOUNDS, check_free, named, phrase_at, tempo_of, write_phrases
from models.play_phrases import attributes, draw, some, written
from models.rendering import Player
from utils.config import InputError
from utils.device import generator
from utils.inputs import distinct


class Start(NamedTuple):
    """Hold what attributes are added to."""

    name: str
    z: Tensor  # (1, Z)
    tempo: float  # quarters a minute


def attribute(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases of the prior, or of files, with attributes added in several strengths."""
    model, names = player.model, _names(player.model, args.attribute)
    number, steps = len(args.input) or args.n_generations, len(args.strength) * player.representation(PHRASE).span
    check_length(number * len(names) * steps, "-n, --attribute or --strength")
    starts = _starts(model, args, steps)
    targets = [folder / f"{start.name}_{name}" for start in starts for name in names]
    check_free([*args.input, args.vectors or ""], [file for target in targets for file in named(target, *SOUNDS, ".pdf")])
    found, made, rows = _vectors(model, args, names), [], []
    if not args.vectors:
        arrays = {name: vector.numpy() for name, vector in found.items()}
        made.append(write_arrays(folder / "vectors.npz", model, **arrays))
    for start in starts:
        for name, vector in found.items():
            added, files = _added(model, start, name, vector, folder, args)
            rows, made = rows + added, made + files
    write_rows(folder / "attributes.csv", rows)
    return [*made, str(folder / "attributes.csv")]


def _starts(model: PhraseModel, args: Namespace, steps: int) -> list[Start]:
    """Return the phrases of files, or else some of the prior, of which so many steps are written."""
    if not args.input:
        tempo = tempo_of(args.tempo, None, steps)
        draws = model.sample(args.n_generations, generator(args.seed, "sample"))
        return [Start(f"sample_{place}", z, tempo) for place, z in enumerate(draws.split(1))]
    lines = [phrase_at(model, path, args.line, args.bar) for path in args.input]
    words = distinct([file_word(Path(path).stem) for path in args.input])
    return [
        Start(word, model.encode(line.x, PHRASE).mean, tempo_of(args.tempo, line.piece, steps))
        for word, line in zip(words, lines, strict=True)
    ]


def _added(
    model: PhraseModel, start: Start, name: str, vector: Tensor, folder: Path, args: Namespace
) -> tuple[list[dict[str, object]], list[str]]:
    """Write a phrase with different strengths of a vector; return the rows of a table about them, and the names of the files."""
    z, target = start.z + torch.tensor(args.strength)[:, None].to(start.z) * vector.to(start.z), folder / f"{start.name}_{name}"
    x = written(model, z, args, "attribute")
    made, measured = write_phrases(target, model.representations[PHRASE], x, start.tempo), attributes(model, x)
    known = {"phrase": start.name, "added": name}
    rows = [known | {"strength": strength} | row for strength, row in zip(args.strength, measured, strict=True)]
    if args.graphs:
        word = name.replace("_", " ")
        titles = [f"{strength:+g}: {word} {row[name]:.2f}" for strength, row in zip(args.strength, measured, strict=True)]
        made.append(draw(Path(f"{target}.pdf"), model, [(titles[place], x[place]) for place in some(len(x))]))
    return rows, made


def _names(model: PhraseModel, asked: Sequence[str]) -> list[str]:
    """Return the attributes that are asked for, all where none are.

    Raises
    ------
    InputError : there is no such attribute of this kind of phrases.
    """
    there = ATTRIBUTES[model.config.kind]
    for name in asked:
        if name not in there:
            raise InputError(f"--attribute {name}: of {model.config.kind} there are {' '.join(there)}")
    return list(dict.fromkeys(asked)) or list(there)


def _vectors(model: PhraseModel, args: Namespace, names: Sequence[str]) -> dict[str, Tensor]:
    """Return attribute vectors (Z,) by name: those of a file, or found in a corpus.

    Raises
    ------
    InputError : the file lacks one, or in the corpus phrases do not differ by one.
    """
    if args.vectors:
        known, where = _stored(args.vectors, model), f"{args.vectors}: holds"
    else:
        known, where = _found(model, args)
    missing = [name for name in names if name not in known]
    if missing and (args.attribute or not known):
        raise InputError(f"--attribute {missing[0]}: {where} {' '.join(known) or 'nothing'} only")
    return {name: known[name] for name in names if name in known}


def _stored(path: Path, model: PhraseModel) -> dict[str, Tensor]:
    """Return the attribute vectors of a file.

    Raises
    ------
    InputError : one has another size than the latents of the run, or is not finite.
    """
    arrays, (size,) = read_arrays(path, model), model.latent_shape
    known = {name: array for name, array in arrays.items() if name in ATTRIBUTES[model.config.kind]}
    for name, array in known.items():
        if array.shape != (size,) or array.dtype.kind != "f":
            raise InputError(f"{path}: {name} is {array.dtype} of the shape {array.shape}; of this run it must be ({size},)")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} is not finite; write it anew without --vectors")
    return {name: torch.from_numpy(array).float() for name, array in known.items()}


def _found(model: PhraseModel, args: Namespace) -> tuple[dict[str, Tensor], str]:
    """Return the attribute vectors of a corpus, and in words where they are from.

    Raises
    ------
    InputError : it cannot be read, or has no phrases of the split.
    """
    if not (args.corpus or model.config.windows):  # a checkpoint, of which nobody knows what it was trained on
        raise InputError("attribute vectors are found in a corpus, and a checkpoint has none: give one with --corpus, or --vectors")
    config = replace(model.config, dbroot=args.corpus) if args.corpus else model.config
    try:
        pieces = config.corpus().of(args.split)
    except InputError as error:
        raise InputError(f"{error}; attribute vectors are found in a corpus: give one with --corpus, or --vectors") from None
    if not pieces:
        raise InputError(f"the corpus has no {args.split} pieces: try --split all")
    windows = PhraseWindows(pieces, model.representations[PHRASE])
    return vectors(model, batches(windows, BATCH, "attributes")).vectors, f"in {config.root} phrases differ by"
