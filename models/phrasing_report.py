"""The part of an analysis' page about phrases: figures, tables and sounds of what `models.phrasing` finds."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from data.phrases import Phrase
from models.phrase_generation import STRENGTHS
from models.phrasing import Phrases
from utils import phrase_figures
from utils.report import Picture, Section, Sounds, Text

TITLES = {
    "phrase_to_phrase": "Phrases made anew, told nothing but the latent: what is most likely, step after step",
    "phrase_drawn": "The same, drawn at temperature 1",
    "phrase_events": "The same as the first, over all notes or hits together",
    "phrase_told": "Guessed step by step, told the true steps before",
    "phrase_bound": "Bounds of the negative log-likelihood, bits a step; kl_a_phrase: bits a phrase",
    "phrase_latents": "Latents",
    "phrase_samples": "Phrases of the prior, beside real ones",
    "phrase_interpolation": "Between two phrases, halfway and all the way",
}
READING = (
    "accuracy: the share of steps that are wholly right, silent ones too; event_accuracy: of those where something begins. exact: "
    "of whole phrases. F1 of a phrase is 1 where it has none and none is named; over all together notes count. "
    "What is told the true steps before is easy by comparison: the baselines show how easy. nll is in nats a step at the posterior "
    "mean. mmd_to_prior: 0 where the latents of all phrases together are as the prior. neighbours: how many of the ten nearest of "
    "other pieces are of the same class, beside chance. js: Jensen-Shannon divergence from real phrases, 0 to 1 bit."
)
PHRASES = (
    "Phrases of this split, what the model makes of their latents, and what it draws at temperature 1; then draws from the prior. "
    "Adding a vector changes what it is named after, and more or less of the rest; in deviations over real phrases."
)
EXAMPLE, DRAWN, STEERED, CURVES, HISTOGRAMS, COURSES = (
    "phrases_example_",
    "phrases_of_the_prior",
    "phrases_attributes",
    "phrases_strength",
    "phrases_histograms",
    "phrases_between",
)


def draw(found: Phrases, phrase: Phrase, files: Callable[[str], list[Path]]) -> None:
    """Draw examples, histograms, interpolations and attributes into the paths that `files` gives for names."""
    for number, (_, versions, _) in enumerate(found.examples, 1):
        _panels(phrase, list(versions.items()), files(f"{EXAMPLE}{number}"))
    if found.drawn:
        _panels(phrase, [(f"draw {place + 1}", x) for place, x in enumerate(found.drawn)], files(DRAWN))
    if found.histograms:
        sets = {name: made for name, made in found.histograms.items() if made}
        names = {statistic: histogram.names for statistic, histogram in next(iter(sets.values())).items()}
        tables = {s: (n, {of: made[s].counts.numpy() for of, made in sets.items()}) for s, n in names.items()}
        phrase_figures.histograms(tables, files(HISTOGRAMS))
    if found.courses:
        phrase_figures.interpolation(found.courses, files(COURSES))
    if found.effect:
        unit = "standard deviations over real phrases"
        phrase_figures.attribute_table(found.effect.added, found.effect.measured, found.effect.change, files(STEERED), unit)
        phrase_figures.strength(STRENGTHS, found.effect.curves, files(CURVES))


def _panels(phrase: Phrase, titled: list[tuple[str, Tensor]], paths: list[Path]) -> None:
    phrase_figures.phrases([(title, phrase.cells(x.numpy()), phrase.rows) for title, x in titled], paths, phrase.span)


def section(found: Phrases, drawn: Mapping[str, Path]) -> Section:
    """Return the section of the page; `drawn` are all pictures by name."""
    return Section("Phrases", list(_blocks(found, drawn)))


def _blocks(found: Phrases, drawn: Mapping[str, Path]) -> Iterator:
    yield Text(PHRASES)
    if found.examples:
        versions = tuple(found.examples[0][2])
        yield Sounds(versions, tuple((title, tuple(sounds.get(v) for v in versions)) for title, _, sounds in found.examples), "")
    for number, (title, *_) in enumerate(found.examples, 1):
        if path := drawn.get(f"{EXAMPLE}{number}"):
            yield Picture(path, title)
    if found.drawn_sounds:
        heads = tuple(f"draw {place + 1}" for place in range(len(found.drawn_sounds)))
        yield Sounds(heads, (("of the prior, temperature 1", tuple(found.drawn_sounds)),), "")
    captions = {
        DRAWN: "Draws from the prior, at temperature 1",
        HISTOGRAMS: "What occurs how often, in real phrases and in draws from the prior",
        COURSES: "How phrases on the way differ from both ends: along great circles of latents, and with tokens mixed by chance",
        STEERED: "Attributes measured where a vector is added to draws from the prior",
        CURVES: "The attribute itself, by how much of its vector is added",
    }
    for name, caption in captions.items():
        if name in drawn:
            yield Picture(drawn[name], caption)
