"""Checkpoints of Magenta's MusicVAE as models of this toolkit: which configuration they have, and their weights."""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.phrases import BAR
from models import musicvae_magenta
from models.config import TrainConfig
from models.musicvae_magenta import Sizes
from models.musicvae_presets import PRESETS
from utils.config import InputError

log = logging.getLogger(__name__)

LONG = 16  # bars of a phrase with conductors, where nothing tells
LOWEST = 60  # MIDI pitch of the lowest note, where a checkpoint knows other pitches than a piano has
NOTES = 2  # tokens of a melody that are no notes
SIZES = ("kind", "encoder_size", "decoder_size", "latent_dim")  # by which published models are known
KINDS = {90: "melody", 512: "drums", 27: "groove", 692: "trio"}  # by columns of a decoded step


def configured(path: Path, config: TrainConfig, named: bool = False) -> TrainConfig:
    """Return a configuration with what a checkpoint decides: the kind of phrases, their bars, and the sizes.

    Parameters
    ----------
    path : of the checkpoint.
    config : all else, of the musicvae system.
    named : whether `config` tells the bars of a phrase; else they are those of the published model of these sizes.

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
    bars = config.bars if named else _bars(path, told, found | {"levels": bool(sizes.conductors)}, type(config)())
    levels = ()
    if sizes.conductors:
        own = config.levels if named and len(config.levels) == len(sizes.conductors) + 1 else ()
        levels = own or _levels(bars * BAR, len(sizes.conductors))
    return replace(config, **found, bars=bars, levels=levels)


def _phrases(path: Path, sizes: Sizes) -> dict[str, Any]:
    """Return the kind of phrases that a checkpoint knows, with the pitches of melodies."""
    if sizes.nade:
        kind = {9: "hits", 61: "all_hits"}.get(sizes.width)
    else:
        kind = KINDS.get(sizes.width, "melody" if sizes.width == sizes.depth > NOTES + 1 else None)
    if kind is None or (kind == "melody" and sizes.width > 128 + NOTES):
        raise InputError(f"{path}: decodes {sizes.width} columns a step and reads {sizes.depth}, which is no kind of phrases here")
    if kind == "melody" and sizes.width not in KINDS:
        pitches = min(LOWEST, 128 - sizes.width + NOTES)
        log.warning("%s: has melodies of %d pitches; they are taken as those from %d on", path, sizes.width - NOTES, pitches)
        return {"kind": kind, "lowest": pitches, "highest": pitches + sizes.width - NOTES - 1}
    return {"kind": kind}


def _bars(path: Path, told: Mapping[str, Any], found: Mapping[str, Any], defaults: TrainConfig) -> int:
    """Return the bars of a phrase: as the file says, or its name, or as of the published model of these sizes."""
    steps = told.get("dataConverter", {}).get("args", {}).get("numSteps") if isinstance(told.get("dataConverter"), dict) else None
    if isinstance(steps, int) and steps > 0 and steps % BAR == 0:
        return steps // BAR
    for name in sorted((name for name in PRESETS if name in str(path)), key=len, reverse=True):
        return PRESETS[name].get("bars", defaults.bars)
    for preset in PRESETS.values():
        if all(preset.get(key, getattr(defaults, key)) == value for key, value in found.items() if key in SIZES):
            return preset.get("bars", defaults.bars)
    bars = LONG if found["levels"] else defaults.bars
    log.warning("%s: does not tell how long its phrases are; they are taken as %d bars", path, bars)
    return bars


def _levels(steps: int, conductors: int) -> tuple[int, ...]:
    """Return levels whose smallest part is a bar."""
    return (*[1] * (conductors - 1), math.ceil(steps / BAR), BAR)
