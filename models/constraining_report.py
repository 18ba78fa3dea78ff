"""The part of an analysis' page about constraints: figures, tables and sounds of what `models.constraining` finds."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from data.phrases import Phrase
from models.constrained_draws import MODEL, PRIOR, SPLIT, SPREAD, TRAINING, Beside, Wish
from models.constraining import Constraint
from models.phrase_generation import REAL
from utils import constraint_figures, phrase_figures
from utils.report import Picture, Section, Sounds, Table, Text

TITLES = {
    "constraint_reconstruction": "Latents of the base that are kept",
    "constraint_agreement": "What the base makes of its own latents, and of those that are kept: how alike both are",
    "constraint_latents": "What latents hold, and how far those of draws are from the user's",
    "constraint_samples": "How near draws are to the nearest phrase of the user",
    "constraint_wishes": "How often draws are as was wished, and where nothing was",
}
READING = (
    "The base is the model that was frozen; whether it was trained on these pieces, this page cannot tell. The user's phrases are "
    "those of the training split, to which the model was fitted, and those that are analysed. model: draws of this model; prior: "
    "draws of the base's own prior; at temperature 1 where nothing else is said; spread 1: latents of the base drawn around what "
    "the model says; real: phrases of the user of one part held against the other, as near as an imitator need be. z_r2: the share "
    "of the variance of the base's latents that is kept; 0 is as good as their mean over training. steps_from: the share of steps "
    "that differ from the nearest phrase; events_from: 1 - F1 of the notes or hits that begin, by which silence is never near. "
    "Lower is nearer. closer_to: by how much draws are nearer than those of the base's prior. coverage: the share of the user's "
    "phrases that are the nearest to some draw. A model that copies is near, too: see distinct and verbatim_of_training in the "
    "table of phrases of the prior. Intervals of less than five pieces say little."
)
POINTS = 1000  # of a set in the plane, at most
PLANE, DISTANCES, BESIDE = "constraint_latents", "constraint_distances", "constraint_beside_"
CALLED = {
    TRAINING: "the user's, of training",
    SPLIT: "the user's, of this split",
    PRIOR: "draws of the base's prior",
    MODEL: "draws of the model",
    SPREAD: "draws of the model, --spread 1",
    REAL: "the user's, of this split",
    "user": "the user's",
}
LOOKS = {CALLED[name]: look for name, look in {MODEL: 0, PRIOR: 1, TRAINING: 2, SPREAD: 3, SPLIT: 6}.items()}  # in all figures
WAYS = {"steps": "share of steps that differ", "events": "1 - F1 of what begins"}


def draw(found: Constraint, phrase: Phrase, files: Callable[[str], list[Path]]) -> None:
    """Draw latents, distances, and draws beside their nearest into the paths that `files` gives for names."""
    if not found.near:
        return
    order = [name for name in (PRIOR, TRAINING, SPLIT, SPREAD, MODEL) if name in found.latents]
    points, names = _plane({name: found.latents[name][:POINTS].double() for name in order}, found.latents)
    constraint_figures.plane({CALLED[name]: places for name, places in points.items()}, names, LOOKS, files(PLANE))
    part = TRAINING if TRAINING in found.latents else SPLIT
    sets = {name: found.near[name] for name in (MODEL, SPREAD, PRIOR, REAL) if name in found.near}
    panels = {
        title: {CALLED[name]: near[f"{way}_from_{part}"].distance.numpy() for name, near in sets.items()}
        for way, title in WAYS.items()
    }
    constraint_figures.distances(panels, LOOKS, files(DISTANCES))
    for name, pairs in found.beside.items():
        panels = [panel for place, pair in enumerate(pairs, 1) for panel in _pair(phrase, pair, place)]
        phrase_figures.phrases(panels, files(f"{BESIDE}{name}"), phrase.span, most=2)


def _plane(latents: Mapping[str, torch.Tensor], all_: Mapping[str, torch.Tensor]) -> tuple[dict[str, np.ndarray], tuple[str, str]]:
    """Return latents (N, Z) on the two principal axes of the user's, (N, 2), and what these are."""
    own = all_[TRAINING if TRAINING in all_ else SPLIT].double()
    centre = own.mean(0)
    _, spread, axes = torch.linalg.svd(own - centre, full_matrices=False)
    shares = torch.cat([spread.square() / spread.square().sum().clamp_min(1e-12), torch.zeros(2)])[:2].tolist()
    two = torch.cat([axes[:2], torch.zeros(2 - len(axes[:2]), own.shape[1])])  # of one phrase, or one latent, there is one axis
    names = tuple(f"principal axis {n} of the user's latents ({share:.0%})" for n, share in enumerate(shares, 1))
    return {name: ((z - centre) @ two.T).numpy() for name, z in latents.items()}, names


def _pair(phrase: Phrase, pair: Beside, place: int) -> Iterator[tuple]:
    alike = f"the nearest of the user: F1 {pair.f1:.2f}"
    for title, x in ((f"draw {place}", pair.draw), (alike, pair.nearest)):
        yield title, phrase.cells(x.numpy()), phrase.rows


def section(found: Constraint, drawn: Mapping[str, Path]) -> Section:
    """Return the section of the page; `drawn` are all pictures by name."""
    return Section("Constraint", list(_blocks(found, drawn)))


def _blocks(found: Constraint, drawn: Mapping[str, Path]) -> Iterator:
    yield Text(READING)
    if sounds := {name: paths for name, paths in found.sounds.items() if paths}:
        heads = tuple(str(place + 1) for place in range(max(map(len, sounds.values()))))
        rows = tuple((CALLED[name], (*paths, *[None] * (len(heads) - len(paths)))) for name, paths in sounds.items())
        yield Sounds(heads, rows, "")
    captions = {
        PLANE: "Latents of the base",
        DISTANCES: "How far phrases are from the nearest of the user's; broken lines: means",
        f"{BESIDE}{MODEL}": "Draws of the model, beside the phrases of the user that are nearest by what begins",
        f"{BESIDE}{PRIOR}": "Draws of the base's prior, beside the nearest likewise",
    }
    for name, caption in captions.items():
        if name in drawn:
            yield Picture(drawn[name], caption)
    for attribute, wish in found.wishes.items():
        yield _table(attribute, wish)


def _table(attribute: str, wish: Wish) -> Table:
    """Return how many draws for each wish are of each class."""
    rows = [[name, *counts] for name, counts in zip(wish.names, wish.counts.tolist(), strict=True)]
    caption = f"{attribute.replace('_', ' ').capitalize()}: what was wished, and how many draws are of which class"
    return Table(["wished", *wish.names], rows, caption)
