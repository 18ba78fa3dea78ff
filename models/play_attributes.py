"""Attribute vectors: directions in which phrases get more of something; found in a corpus, added to phrases."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from data.attributes import ATTRIBUTES, measure
from data.phrase_windows import PhraseWindows
from models.attribute_vectors import vectors
from models.epochs import batches
from models.evaluation import BATCH
from models.heard_notes import file_word
from models.music_files import check_length, check_read, write_rows
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import phrase_at, read_arrays, tempo_of, write_latents, write_phrases
from models.play_phrases import draw, written
from models.rendering import Player
from utils.config import InputError
from utils.device import generator


def attribute(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Write phrases of the prior, or of files, with attributes added in several strengths."""
    model, phrase = player.model, player.representation(PHRASE)
    names = _names(model, args.attribute)
    starts = [(Path(path).stem, phrase_at(model, path, args.line, args.bar)) for path in args.input]
    number = len(starts) or args.n_generations
    check_length(number * len(names) * len(args.strength) * phrase.steps, "-n, --attribute or --strength")
    words = [file_word(stem) for stem, _ in starts] or [f"sample_{place}" for place in range(number)]
    check_read(args.input, [folder / f"{word}_{name}" for word in words for name in names])
    tempos = [tempo_of(args.tempo, line.piece, len(args.strength) * phrase.steps) for _, line in starts]
    tempos = tempos or [tempo_of(args.tempo, None, len(args.strength) * phrase.steps)] * number
    found = _vectors(model, args, names)
    latents = [model.encode(line.x, PHRASE).mean for _, line in starts] or model.sample(
        number, generator(args.seed, "sample")
    ).split(1)
    made, rows = [write_latents(folder / "vectors.npz", **{name: vector.numpy() for name, vector in found.items()})], []
    for word, z, tempo in zip(words, latents, tempos, strict=True):
        for name, vector in found.items():
            points = z + torch.tensor(args.strength)[:, None].to(z) * vector.to(z)
            x, target = written(model, points, args, "attribute"), folder / f"{word}_{name}"
            made += write_phrases(target, phrase, x, tempo)
            measured = {key: values.tolist() for key, values in measure(model.config.kind, x.cpu()).items()}
            for place, strength in enumerate(args.strength):
                own = {key: values[place] for key, values in measured.items()}
                rows.append({"phrase": word, "added": name, "strength": strength, **own})
            if args.graphs:
                titles = [f"{name} {strength:+g}: {measured[name][place]:.2f}" for place, strength in enumerate(args.strength)]
                made.append(draw(Path(f"{target}.pdf"), model, list(zip(titles, x, strict=True))))
    write_rows(folder / "attributes.csv", rows)
    return [*made, str(folder / "attributes.csv")]


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


def _vectors(model: PhraseModel, args: Namespace, names: Sequence[str]) -> Mapping[str, Tensor]:
    """Return attribute vectors (Z,) by name: those of a file, or found in a corpus.

    Raises
    ------
    InputError : the file lacks one, or in the corpus phrases do not differ by one.
    """
    if args.vectors:
        known = {name: torch.from_numpy(vector) for name, vector in read_arrays(args.vectors).items() if vector.dtype.kind == "f"}
        where = f"{args.vectors}: holds"
    else:
        config = replace(model.config, dbroot=args.corpus) if args.corpus else model.config
        pieces = config.corpus().of(args.split)
        if not pieces:
            raise InputError(f"the corpus has no {args.split} pieces: try --split all")
        known = vectors(model, batches(PhraseWindows(pieces, model.representations[PHRASE]), BATCH, "attributes")).vectors
        where = f"{config.root}: phrases differ by"
    missing = [name for name in names if name not in known or known[name].shape != model.latent_shape]
    if missing and args.attribute or not set(names) - set(missing):
        raise InputError(
            f"--attribute {missing[0]}: {where} {' '.join(known) or 'nothing'} only, of {model.latent_shape[0]} numbers each"
        )
    return {name: known[name].float() for name in names if name not in missing}
