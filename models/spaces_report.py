"""The figures and the section of a report about the space of a run's instruments."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from models.descriptor_maps import DescriptorMap
from models.dissimilarities import MEASURES, Dissimilarities
from models.evaluation import Estimate
from models.spaces import Space
from utils import descriptor_figures, geometry, mds_figures, space_figures
from utils.cli import progress
from utils.descriptors import UNITS
from utils.report import Picture, Section, Table, Text

AXES = ("component 1", "component 2", "component 3")
SHOWN = (*MEASURES, "triplets")
SPACE = (
    "Posterior means of this split on their three principal axes. An ellipse is one standard deviation of an instrument, and holds "
    "all its pitches and dynamics."
)
RATINGS = (
    "Distances between the instruments' mean latents beside how different listeners found these instruments. The interval of "
    "correlations is that of other notes of the same instruments, that of triplets (which of two instruments is nearer to a third; "
    "chance is 0.5) of other instruments. mantel_p: share of permutations of the instruments that correlate as well. listeners: "
    "the correlation to be expected with as many other listeners."
)
LEFT_OUT = (
    "For each instrument the second phase was trained once more without its ratings, and its distances to the others were read off "
    "that space, scaled by the other pairs. error: root of the mean squared error of ratings from 0 to 1; error_of_the_mean: that "
    "of predicting the mean of the others."
)
MAPS = (
    "What is decoded on a grid over the same axes, in numbers: by true centre frequencies, levels relative to a full-scale sine in "
    "every band. Between and beyond the instruments these are sounds that nobody has played."
)
UNSEEN = "Instruments that the run has not heard, among those it knows: distances of mean latents, the nearest first."


def draw(space: Space, films: str, files: Callable[[str], list[Path]]) -> dict[str, Path]:
    """Draw everything of a space; `files` returns the paths of a figure by its name. Return films for the page by name."""
    atlas, title, shown = space.atlas, "latents by instrument", {}
    places = atlas.project(atlas.means).numpy()
    if places.shape[1] > 1:
        space_figures.ellipses(places[:, :2], atlas.ids.numpy(), atlas.names, title, AXES[:2], files("space_2d"))
    if places.shape[1] > 2:
        space_figures.ellipses(places, atlas.ids.numpy(), atlas.names, title, AXES, files("space_3d"))
    if space.agreement:
        _draw_agreement(space.agreement, files)
        first = next(iter(space.agreement.compared.values())).ratings
        mds_figures.beside_ratings(first.mean, atlas.centroids.numpy(), first.instruments, files("ratings_scaling"))
    for word, found in space.maps.items():
        name = f"descriptors{word and '_'}{word.replace(':', '_')}"
        descriptor_figures.sheet(found.values, found.axes, found.points, files(name), UNITS)
        if films != "none":
            made = _film(name, found, films, files(name)[0].parent)
            shown |= {path.stem: path for path in made if films == "gif" and path.stem.endswith("axis1")}
    if space.strangers:
        known, ids = places, atlas.ids.numpy()
        theirs, numbers = space.strangers.places(atlas)
        names = (*atlas.names, *space.strangers.names)
        both, every = np.concatenate([known, theirs]), np.concatenate([ids, numbers + len(atlas.names)])
        space_figures.ellipses(
            both, every, names, "unseen instruments", AXES[: both.shape[1]], files("unseen"), space.strangers.names
        )
    return shown


def _draw_agreement(found: Dissimilarities, files: Callable[[str], list[Path]]) -> None:
    pairs = [f"{a} - {b}" for k, a in enumerate(found.instruments) for b in found.instruments[k + 1 :]]
    latent = geometry.upper(found.distances)
    some = dict(list(found.compared.items())[:4])
    space_figures.scatter(
        {kind: (geometry.upper(c.ratings.mean), latent, pairs) for kind, c in some.items()}, files("ratings_pairs")
    )
    first = next(iter(found.compared.values()))
    both = {"ratings": first.ratings.mean, "latent distances": found.distances}
    space_figures.matrices(both, found.instruments, files("ratings_matrices"))
    rows = {kind: {m: tuple(c.scores[m][k] for k in ("value", "low", "high")) for m in SHOWN} for kind, c in found.compared.items()}
    ceilings = {kind: c.ceiling for kind, c in found.compared.items()}
    space_figures.agreement(rows, ceilings, files("ratings_agreement"))


def _film(name: str, found: DescriptorMap, suffix: str, folder: Path) -> list[Path]:
    """Write a film for each descriptor and axis; return their paths."""
    paths = []
    for descriptor, values in progress(found.values.items(), desc="films", unit="descriptor"):
        for axis in range(3):
            paths.append(folder / f"{name}_{descriptor}_axis{axis + 1}.{suffix}")
            descriptor_figures.film(descriptor, values, found.axes, found.points, paths[-1], axis, UNITS[descriptor])
    return paths


def section(space: Space, drawn: dict[str, Path]) -> Section:
    """Return the section of a page; `drawn` are figures by name."""
    return Section("Space of instruments", list(_blocks(space, drawn)))


def _blocks(space: Space, drawn: dict[str, Path]) -> Iterator:
    def pictures(*starts: str) -> Iterator[Picture]:
        return (
            Picture(path, CAPTIONS.get(name, name.replace("_", " "))) for name, path in drawn.items() if name.startswith(starts)
        )

    yield Text(SPACE)
    yield from pictures("space_")
    if space.agreement:
        yield Text(RATINGS)
        yield _table(space.agreement)
        yield from pictures("ratings_")
    if space.left_out:
        yield Text(LEFT_OUT)
        yield Table(["", "value"], [[name, _cell(e)] for name, e in space.left_out.items()], "Ratings predicted without them")
    if space.maps:
        yield Text(MAPS)
        yield from pictures("descriptors")
    if space.strangers:
        yield Text(UNSEEN)
        heads, rows = space.strangers.table()
        yield Table(heads, rows, "Nearest instruments")
        yield from pictures("unseen")


def _table(found: Dissimilarities) -> Table:
    measures = [*MEASURES, "stress1", "triplets", "mantel_p"]
    rows = [[kind, *(_cell(c.scores[m]) for m in measures), c.ceiling] for kind, c in found.compared.items()]
    return Table(["ratings", *measures, "listeners"], rows, f"Agreement of {len(found.instruments)} instruments")


def _cell(estimate: Estimate) -> tuple[float, float, float] | float:
    sure = np.isfinite(estimate["low"]) and np.isfinite(estimate["high"])
    return (estimate["value"], estimate["low"], estimate["high"]) if sure else estimate["value"]


CAPTIONS = {
    "space_2d": "The two axes along which latents vary most",
    "space_3d": "The three axes along which latents vary most",
    "ratings_pairs": "Latent distance of each pair of instruments over its rated dissimilarity",
    "ratings_matrices": "Rated dissimilarities beside latent distances",
    "ratings_scaling": "Where the ratings put the instruments, and where the latents have them",
    "ratings_agreement": "Agreement with each kind of ratings; the line is what other listeners would reach",
    "unseen": "Unseen instruments (dashed) among the known",
}
