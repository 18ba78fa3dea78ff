"""Instruments that a run has not seen: where they lie among those it knows, and what it makes of them."""

import csv
import logging
import math
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data import instruments
from data.audio import Audio
from data.instruments import Note
from data.notes import name_of
from models.atlas import Atlas, survey
from models.base import LatentModel
from models.heard_notes import Encoded, encode, file_word, told, write_note
from models.rendering import Player
from utils.cli import progress
from utils.config import InputError
from utils.files import atomic
from utils.inputs import distinct, found
from utils.pitch import fundamental
from utils.space_figures import ellipses

log = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")
ESTIMATED = {"pitch", "octave"}
GIVEN = " (given)"  # added to names that the run knows, too


def perceptual_infer(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Place instruments by frames of their notes among the centroids of those that the run was trained on."""
    atlas = survey(player.run, player.model)
    notes, sounding = _notes(player, args.input, bool(args.labels))
    if folder.resolve() in {note.path.resolve().parent for note in notes}:
        raise InputError(f"{folder}: holds what is given, which results might replace; give another folder with -o")
    heard = _heard(player, notes, player.condition if args.labels else None)
    latents = _by_instrument(heard, atlas.names, player.model)
    means = torch.stack([z.mean(0) for z in latents.values()])
    distances = torch.cdist(means, atlas.centroids)
    _tell(list(latents), atlas.names, distances)
    made = _tables(folder, latents, means, atlas.names, distances)
    if args.graphs:
        made += _map(folder, atlas, latents)
    played = [known for known in heard if known.note in sounding]
    names = distinct(file_word(told(known.note)) for known in played)
    for name, known in progress(list(zip(names, played, strict=True)), desc="reconstructions"):
        made += write_note(player, known, folder / name, args.graphs)
    return made


# -- what is given ----------------------------------------------------------------------------------------------------


def _notes(player: Player, given: Sequence[str], told_all: bool) -> tuple[list[Note], list[Note]]:
    """Return the notes of corpora and files, and those that are to be heard: of a corpus the first of each instrument.

    Raises
    ------
    InputError : no such file or folder, or no pitch can be heard in a file that the model has to be told the pitch of.
    """
    notes, sounding = [], []
    for path in map(Path, given):
        corpus = _corpus(path, player.model.config.filter)
        if corpus is None:
            files = found(path, SUFFIXES)
            own = [_note(player, file, path, told_all) for file in progress(files, desc="pitches")]
            sounding += own
        else:
            own = list(corpus.notes)
            sounding += {note.labels["instrument"]: note for note in reversed(own)}.values()
        notes += own
    return notes, sounding


def _corpus(path: Path, limit: int) -> instruments.Corpus | None:
    """Return the notes of octaves up to `limit` of the corpus at a path, None where there is none that can be read."""
    if path.suffix in SUFFIXES or not path.exists():
        return None
    try:
        return instruments.read(path).below(limit)
    except InputError as error:
        log.info("%s: its files are taken one by one", str(error).split(": give ")[0])
        return None


def _note(player: Player, file: Path, given: Path, told_all: bool) -> Note:
    """Return a file as a note: its instrument is the folder below `given` that it lies in, or else its name's first part."""
    inside = file.relative_to(given).parts[:-1] if given.is_dir() else ()
    labels = {"instrument": inside[-1] if inside else re.split("[_.]", file.stem.strip("_."))[0] or file.name}
    if told_all or not player.model.conditions:
        return Note(file, labels)
    tables = player.model.config.classes
    usual = {label: tables[label][k] for label, k in zip(player.model.conditions, player.condition.tolist(), strict=True)}
    return Note(file, labels | usual | (_pitch(file) if ESTIMATED & usual.keys() else {}))


def _pitch(file: Path) -> dict[str, str]:
    """Return the pitch class and octave that a recording sounds."""
    sound = Audio.load(file)
    hertz = fundamental(sound.samples, sound.sample_rate)
    if hertz is None:
        raise InputError(f"{file}: no pitch can be heard in it, and the run is told the pitch; say with --labels which")
    pitch, octave = name_of(round(69 + 12 * math.log2(hertz / 440)))
    log.info("%s: sounds %s%d", file, pitch, octave)
    return {"pitch": pitch, "octave": str(octave)}


def _heard(player: Player, notes: Sequence[Note], condition: Tensor | None) -> list[Encoded]:
    """Return notes as the model hears them, without those that it cannot, and say how many these are.

    Raises
    ------
    InputError : it cannot hear any.
    """
    heard, reasons = [], []
    for note in progress(notes, desc="notes"):
        try:
            heard.append(encode(player, note, condition))
        except InputError as error:
            reasons.append(str(error))
    if not heard:
        raise InputError(f"none of {len(notes)} notes can be heard, as {reasons[0]}" if notes else "no notes are given")
    if reasons:
        log.warning("%d of %d notes are left out, as %s", len(reasons), len(notes), reasons[0])
    return heard


def _by_instrument(heard: Sequence[Encoded], known: Sequence[str], model: LatentModel) -> dict[str, Tensor]:
    """Return the latents (n, Z) of each instrument, by name: of those frames of its notes that training takes."""
    latents: dict[str, list[Tensor]] = {}
    for one in heard:
        name = one.note.labels["instrument"]
        is_known = any(instruments.alike(name, other) for other in known)
        latents.setdefault(name + GIVEN * is_known, []).append(one.trained_on(model))
    return {name: torch.cat(parts) for name, parts in sorted(latents.items())}


# -- what is found ----------------------------------------------------------------------------------------------------


def _tell(names: Sequence[str], known: Sequence[str], distances: Tensor) -> None:
    """Print the known instruments by their distance (M, K) from each, nearest first."""
    width = max(map(len, names))
    for name, row in zip(names, distances, strict=True):
        print(f"{name:<{width}}  {', '.join(f'{known[k]} {row[k]:.2f}' for k in row.argsort())}", flush=True)


def _tables(folder: Path, latents: dict[str, Tensor], means: Tensor, known: Sequence[str], distances: Tensor) -> list[str]:
    """Write means.csv, the mean latent of each, and distances.csv, the known instruments by distance, nearest first."""
    header = ("instrument", "frames", *(f"z{number}" for number in range(1, means.shape[1] + 1)))
    rows = [(name, len(z), *(f"{x:.5f}" for x in mean)) for (name, z), mean in zip(latents.items(), means.tolist(), strict=True)]
    by_distance = [
        (name, rank, known[k], f"{row[k]:.5f}")
        for name, row in zip(latents, distances, strict=True)
        for rank, k in enumerate(row.argsort().tolist(), 1)
    ]
    tables = {"means.csv": (header, *rows), "distances.csv": (("instrument", "rank", "known", "distance"), *by_distance)}
    for name, table in tables.items():
        with atomic(folder / name) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table)
    return [str(folder / name) for name in tables]


def _map(folder: Path, atlas: Atlas, latents: dict[str, Tensor]) -> list[str]:
    """Draw the notes of the run and those given, on the principal axes of the first."""
    z = torch.cat([atlas.means, *latents.values()])
    ids = torch.cat([atlas.ids, torch.arange(len(latents)).repeat_interleave(torch.tensor([*map(len, latents.values())]))])
    ids[len(atlas.ids) :] += len(atlas.names)
    shares = atlas.project(atlas.means).var(0) / atlas.means.var(0).sum()
    places = np.pad(atlas.project(z).numpy(), ((0, 0), (0, max(0, 2 - len(shares)))))
    axes = [f"axis {k} ({share:.0%})" for k, share in enumerate(shares.tolist(), 1)]
    paths = [folder / "space.pdf", folder / "space.png"]
    title = "unseen instruments (bold) among those that the run knows"
    ellipses(places, ids.numpy(), (*atlas.names, *latents), title, [*axes, "none"][: places.shape[1]], paths, list(latents))
    return list(map(str, paths))
