"""The part of an analysis' page about music: figures, tables and sounds of what `models.composing` finds."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from models.composing import CHANCE, Music
from models.evaluation import Estimate
from utils import roll_figures
from utils.report import Picture, Section, Sounds, Table, Text

TITLES = {
    "score_to_score": "Reconstruction of scores",
    "score_to_key": "The key of windows, and of pieces (vote)",
    "score_bound": "Bounds of the negative log-likelihood, nats a step",
    "score_bound_key_told": "The same, given the true key",
    "score_real": "Real pieces of this split",
    "score_generated_free": "Music from seeds; latents of the posterior",
    "score_generated_free_prior": "Music from seeds; latents of the prior",
    "score_generated_inferred": "Music from seeds, key inferred; latents of the posterior",
    "score_generated_inferred_prior": "Music from seeds, key inferred; latents of the prior",
    "score_generated_told": "Music from seeds, key told as the mean weights of its class",
    "score_generated_told_one_hot": "Music from seeds, key told one-hot",
}
READING = (
    "With _vote, a score is of whole pieces, each named by the mean weights of its windows; without, of windows, each as often as "
    "it has steps. The nll of a reconstruction is at the posterior mean and no bound. bound: the negative evidence lower bound, "
    "the sum of nll and the divergences above it; bound_K: the tighter one of K importance weights. Both are totals over all steps "
    "of the split divided by their number. in_key: the share of notes on the scale of the (relative major) key."
)
MUSIC = (
    "From seeds at random places of the pieces of this split, the model goes on by itself. Twelve equally frequent pitch classes "
    "have 7/12 in key; more than the real pieces have is too regular. Compare the notes a frame, too."
)
EXAMPLE = "music_example_"  # name of a picture, before its number
EXAMPLES = "Each begins with the same seed; then the piece itself goes on, or the model. Played by the piano of the SoundFont."


def draw(music: Music, metrics: Mapping[str, Mapping], files: Callable[[str], list[Path]]) -> None:
    """Draw shares in key, accuracies of keys, and examples, into the paths that `files` gives for names."""
    kinds = {TITLES[name]: _numbers(found["in_key"]) for name, found in music.metrics.items() if "in_key" in found}
    if kinds:
        roll_figures.in_key(kinds, CHANCE, files("music_in_key"))
    accuracies = {method: _accuracies(found.get("score_to_key", {})) for method, found in metrics.items()}
    if accuracies := {method: found for method, found in accuracies.items() if found}:
        roll_figures.key_accuracy(accuracies, files("music_keys"))
    for number, example in enumerate(music.examples, 1):
        scales = [example.key.scale] * len(example.rolls)
        seeds = [example.seed_steps] * len(example.rolls)
        roll_figures.rolls(list(example.rolls.items()), files(f"{EXAMPLE}{number}"), example.steps, scales, seeds)


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    return estimate["value"], estimate["low"], estimate["high"]


def _accuracies(scores: Mapping[str, Estimate]) -> dict[str, tuple[float, float, float]]:
    return {shown: _numbers(scores[name]) for name, shown in (("key", "window"), ("key_vote", "song")) if name in scores}


def section(music: Music, drawn: Mapping[str, Path]) -> Section:
    """Return the section of the page; `drawn` are all pictures by name."""
    return Section("Music", list(_blocks(music, drawn)))


def _blocks(music: Music, drawn: Mapping[str, Path]) -> Iterator:
    yield Text(MUSIC)
    if "music_in_key" in drawn:
        yield Picture(drawn["music_in_key"], f"Shares of notes in key; seeds in {music.seeded} pieces")
    if "music_keys" in drawn:
        yield Picture(drawn["music_keys"], "How often the key is named right")
    if music.examples:
        versions = tuple(music.examples[0].sounds)
        rows = tuple((e.title, tuple(e.sounds.get(version) for version in versions)) for e in music.examples)
        yield Sounds(versions, rows, EXAMPLES)
        named = [[e.title, str(e.key), e.named] for e in music.examples if e.named]
        if named:
            yield Table(["piece", "class", "inferred from the seed"], named)
    for number, example in enumerate(music.examples, 1):
        if path := drawn.get(f"{EXAMPLE}{number}"):
            yield Picture(path, example.title)
