"""Checkpoints of Magenta's MusicVAE as models of this toolkit: which configuration they have, and their weights."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.melody import HIGHEST, NOTES
from data.melody import LOWEST as PIANO
from data.phrases import BAR
from models import musicvae_magenta
from models.config import TrainConfig
from models.musicvae_magenta import Sizes
from models.musicvae_presets import MAGENTA
from utils.config import InputError

log = logging.getLogger(__name__)

LONG = 16  # bars of a phrase with conductors, where nothing tells
LOWEST = 60  # MIDI pitch of the lowest note, where a checkpoint knows other pitches than a piano has
SIZES = ("kind", "encoder_size", "decoder_size", "latent_dim")  # by which published models are known
KINDS = {90: "melody", 512: "drums", 27: "groove", 692: "trio"}  # by columns of a decoded step


def configured(path: Path, config: TrainConfig, named: bool = False) -> TrainConfig:
    """Return a configuration with what a checkpoint decides: the kind of phrases, their bars, and the sizes.

    Parameters
    ----------
    path : of the checkpoint.
    config : all else, of the musicvae system.
    named : whether `config` tells all that sizes do not, as the bars of a phrase; else see `_told`.

    Raises
    ------
    InputError : no checkpoint, a damaged one, or of a kind that this toolkit has not.
    """
    sizes, _, told = musicvae_magenta.read(path)
    if sizes.controls:
        raise InputError(f"{path}: is told {sizes.controls} controls a step beside its phrases, as chords, which is not supported")
    if len(set(sizes.encoder)) > 1 or len(set(sizes.conductors)) > 1 or len(sizes.encoder) > 1:
        raise InputError(f"{path}: has an encoder of several levels, or conductors of different sizes, which are not supported")
    found = {
        **_phrases(path, sizes),
        "encoder_size": sizes.encoder[0],
        "decoder_size": sizes.decoder,
        "conductor_size": sizes.conductors[0] if sizes.conductors else (),
        "latent_dim": sizes.latent_dim,
    }
    if not named:
        config = replace(config, **_told(path, told, found | {"levels": bool(sizes.conductors)}, type(config)()))
    levels = ()
    if sizes.conductors:
        own = config.levels if named and len(config.levels) == len(sizes.conductors) + 1 else ()
        levels = own or _levels(config.bars * BAR, len(sizes.conductors))
    return replace(config, **found, levels=levels)


def _phrases(path: Path, sizes: Sizes) -> dict[str, Any]:
    """Return the kind of phrases that a checkpoint knows, with the pitches of melodies."""
    if sizes.nade:
        kind = {9: "hits", 61: "all_hits"}.get(sizes.width)
    else:
        kind = KINDS.get(sizes.width, "melody" if sizes.width == sizes.depth > NOTES + 1 else None)
    if kind is None or (kind == "melody" and sizes.width > HIGHEST - PIANO + 1 + NOTES):
        raise InputError(f"{path}: decodes {sizes.width} columns a step and reads {sizes.depth}, which is no kind of phrases here")
    if kind == "melody" and sizes.width not in KINDS:
        pitches = min(LOWEST, HIGHEST + 1 - sizes.width + NOTES)
        log.warning("%s: has melodies of %d pitches; they are taken as those from %d on", path, sizes.width - NOTES, pitches)
        return {"kind": kind, "lowest": pitches, "highest": pitches + sizes.width - NOTES - 1}
    return {"kind": kind}


def _told(path: Path, told: Mapping[str, Any], found: Mapping[str, Any], defaults: TrainConfig) -> dict[str, Any]:
    """Return what sizes do not tell: as the file says, or as the published model of its name has it, or one of these sizes."""
    converter = told.get("dataConverter")
    args = converter.get("args") if isinstance(converter, dict) else None
    steps = args.get("numSteps") if isinstance(args, dict) else None
    said = {"bars": steps // BAR} if isinstance(steps, int) and steps > 0 and steps % BAR == 0 else {}
    words = f"{path.absolute().parent.name} {path.name}"
    named = [name for name in MAGENTA if re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", words)]
    for preset in (MAGENTA[name] for name in sorted(named, key=len, reverse=True)):
        if preset["kind"] == found["kind"]:
            log.info("%s: is taken for %s, by its name", path, max(named, key=len))
            return {key: preset[key] for key in ("bars", "transform", "programs") if key in preset} | said
    if said:
        return said
    for preset in MAGENTA.values():
        if all(preset.get(key, getattr(defaults, key)) == value for key, value in found.items() if key in SIZES):
            return {"bars": preset.get("bars", defaults.bars)}
    bars = LONG if found["levels"] else defaults.bars
    log.warning("%s: does not tell how long its phrases are; they are taken as %d bars", path, bars)
    return {"bars": bars}


def _levels(steps: int, conductors: int) -> tuple[int, ...]:
    """Return levels whose smallest part is a bar."""
    return (*[1] * (conductors - 1), math.ceil(steps / BAR), BAR)
