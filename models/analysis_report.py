"""What an analysis leaves on disk: analysis.json, tables, figures, and one page to look at and to listen to."""

import csv
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from models import composing_report, constraining_report, latents, phrasing_report, spaces_report
from models.analysis import SOUND, Analysis, describe
from models.evaluation import Estimate, confusions
from models.run_folder import HISTORY
from utils import analysis_figures as draw
from utils import figures, history
from utils.config import InputError, shown, to_json
from utils.files import atomic, write_json
from utils.paths import make_folder
from utils.report import Code, Details, Picture, Section, Sounds, Table, Text, write

COLUMNS = ("name", "translation", "metric", "value", "low", "high", "n", "groups")
TITLES = {
    "signal_to_symbol": "Transcription: sound to symbols",
    "symbol_to_signal": "Synthesis: symbols to sound",
    SOUND: "Synthesis, as it is heard",
    "signal_to_signal": "Reconstruction of sound",
    **composing_report.TITLES,
    **phrasing_report.TITLES,
    **constraining_report.TITLES,
}
NOTE = "Beneath, the 95 % interval: by bootstrap over notes or pieces; where all is right or wrong, Wilson's with one trial each."
READING = (
    "Without _vote, a score is of single frames; with it, of recordings, each named by most of its frames. _assigned: of several "
    "instruments, whoever is said to play a note. nll: minus the log-likelihood in nats a frame, lower is better. "
    "log_spectral_distance_db and itakura_saito: 0 is best; levels more than 80 dB below full scale count as that."
)

Shown = Mapping[str, Mapping[str, Mapping[str, Estimate]]]  # column -> translation -> metric -> estimate


def write_all(found: Analysis, folder: Path) -> None:
    """Write everything of an analysis into `folder`.

    Raises
    ------
    InputError : the disk does not take it, or a package for a projection is absent.
    """
    make_folder(folder)
    write_json(folder / "analysis.json", json_safe(found.json()))
    write_metrics(folder / "metrics.csv", found.metrics)
    for translation, labels in confusions(found.observed).items():
        for label, (counts, names) in labels.items():
            _write_confusion(folder / f"confusion_{translation}_{_file_name(label)}.csv", counts.numpy(), names)
    drawn = _draw(found, make_folder(folder / "figures")) if found.request.figures else {}
    where = f"{describe(found.request.split)} of {found.request.dbroot or found.config.dbroot or 'the embedded corpus'}"
    write(folder / "report.html", found.run.resolve().name, f"{found.system}, on {where}", list(_sections(found, drawn)))


def json_safe(value):
    """Return JSON values with None in the place of numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: json_safe(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(element) for element in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_metrics(path: Path, metrics: Shown) -> None:
    """Write estimates as CSV, one a row; `name` is the run's model or a baseline."""
    with atomic(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name, translations in metrics.items():
            for translation, scores in translations.items():
                rows = ({"name": name, "translation": translation, "metric": metric, **score} for metric, score in scores.items())
                writer.writerows(rows)


def _file_name(label: str) -> str:
    """Return a label, which a corpus names as it likes, as a part of the name of a file."""
    return re.sub(r"[^\w.+#-]", "_", label)


def _write_confusion(path: Path, counts: np.ndarray, names: Sequence[str]) -> None:
    with atomic(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["true \\ named", *names])
        writer.writerows([name, *row] for name, row in zip(names, counts.tolist(), strict=True))


# -- tables -----------------------------------------------------------------------------------------------------------


def rows(metrics: Shown) -> Iterator[tuple[str, str, list[Estimate | None]]]:
    """Yield translation, metric and the estimate of each column, None where a column has none."""
    found = {(t, m): None for translations in metrics.values() for t, scores in translations.items() for m in scores}
    for translation, metric in sorted(found, key=lambda key: key[0]):
        yield translation, metric, [column.get(translation, {}).get(metric) for column in metrics.values()]


def as_text(metrics: Shown) -> str:
    """Write estimates as Markdown tables, one a translation, with a column for each model or baseline that has something in it."""
    sections: dict[str, list[tuple[str, list[Estimate | None]]]] = {}
    for translation, metric, estimates in rows(metrics):
        sections.setdefault(translation, []).append((metric, estimates))
    return "\n\n".join(_in_text(translation, list(metrics), lines) for translation, lines in sections.items())


def _in_text(title: str, columns: Sequence[str], lines: Sequence[tuple[str, list[Estimate | None]]]) -> str:
    kept = [place for place in range(len(columns)) if any(estimates[place] for _, estimates in lines)]
    heads = [title, *(columns[place] for place in kept)]
    body = [[metric, *(_cell(estimates[place]) for place in kept)] for metric, estimates in lines]
    widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
    ruled = [heads, ["-" * width for width in widths], *body]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in ruled
    )


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return "{value:.3g} ({low:.3g} - {high:.3g})".format(**estimate) if np.isfinite(estimate["low"]) else f"{estimate['value']:.3g}"


def tables(metrics: Shown) -> list[Table]:
    """Return estimates as a table for each translation."""
    by: dict[str, list] = {}
    for translation, metric, estimates in rows(metrics):
        by.setdefault(translation, []).append([metric, *(e and (e["value"], e["low"], e["high"]) for e in estimates)])
    return [_table(lines, list(metrics), TITLES.get(t, t.replace("_", " "))) for t, lines in by.items()]


def _table(lines: Sequence[list], columns: Sequence[str], title: str) -> Table:
    """Return a table without the columns that have nothing in it."""
    filled = [place for place in range(len(columns)) if any(line[place + 1] for line in lines)]
    body = [[line[0], *(line[place + 1] for place in filled)] for line in lines]
    return Table(["", *(columns[place] for place in filled)], body, title)


def _reading(metrics: Shown) -> str:
    """Return how to read the scores."""
    there = {translation for translations in metrics.values() for translation in translations}
    return next((page.READING for page in (composing_report, phrasing_report) if there & set(page.TITLES)), READING)


def write_comparison(folder: Path, metrics: Shown) -> None:
    """Write the estimates of several runs side by side: comparison.csv, comparison.png and .pdf, and a page."""
    make_folder(folder)
    write_metrics(folder / "comparison.csv", metrics)
    scores = [(f"{m} ({t})".replace("_", " "), es) for t, m, es in rows(metrics) if t != "symbol_to_symbol"]
    shown_by = {title: dict(zip(metrics, es, strict=True)) for title, es in scores}
    nothing = (np.nan,) * 3
    points = {
        metric: {name: (e["value"], e["low"], e["high"]) if e else nothing for name, e in columns.items()}
        for metric, columns in shown_by.items()
    }
    draw.comparison(points, [folder / "comparison.png", folder / "comparison.pdf"])
    sections = [
        Section("Scores", [Text(_reading(metrics)), *tables(metrics)]),
        Section("Picture", [Picture(folder / "comparison.png", NOTE)]),
    ]
    write(folder / "comparison.html", "Comparison", ", ".join(metrics), sections)


# -- figures ----------------------------------------------------------------------------------------------------------


def _draw(found: Analysis, folder: Path) -> dict[str, Path]:
    """Draw all figures as PNG and PDF; return the PNGs by name."""
    drawn: dict[str, Path] = {}

    def files(name: str) -> list[Path]:
        drawn[name] = folder / f"{name}.png"
        return [drawn[name], folder / f"{name}.pdf"]

    for translation, labels in confusions(found.observed).items():
        draw.confusions(
            {label: (counts.numpy(), names) for label, (counts, names) in labels.items()}, files(f"confusion_{translation}")
        )
    used = latents.summary(found.observed.latents)
    kl, spread = ({modality: np.array(u[key]) for modality, u in used.items()} for key in ("kl", "variance"))
    draw.latent_use(kl, spread, files("latent_use"))
    shown_rows = latents.chosen(len(found.observed.group), found.request.seed)
    for projection, (points, axes) in latents.maps(found.observed, found.request.projections, found.request.seed).items():
        for label, facet in found.observed.labels.items():
            ids = facet.ids[shown_rows].numpy()
            name = f"latent_{projection}_{_file_name(label)}"
            draw.latent_map(points, dict.fromkeys(points, ids), facet.names, label, axes, files(name), facet.order)
    if found.heard and found.heard.notes:
        asked, cents = zip(*((note.asked, np.nan if note.cents is None else note.cents) for note in found.heard.notes), strict=True)
        draw.generated_pitch(np.array(asked), np.array(cents), files("generated_pitch"))
    if found.heard and found.heard.loudness:
        levels = {f"{pitch.instrument} {pitch.note}": np.array(pitch.levels) for pitch in found.heard.loudness}
        draw.loudness(levels, found.heard.dynamics, files("loudness"))
    if found.space:
        drawn |= spaces_report.draw(found.space, found.request.space.films, files)
    if found.music:
        composing_report.draw(found.music, found.metrics, files)
    if found.phrases:
        phrasing_report.draw(found.phrases, found.phrases.phrase, files)
    if found.constraint:
        constraining_report.draw(found.constraint, found.phrases.phrase, files)
    if found.examples:
        frequencies = found.frequencies
        draw.examples([(e.title, _few(e.spectra)) for e in found.examples], frequencies, files("examples"))
    rows_of_history = history.read(found.run / HISTORY)
    if rows_of_history and any(name.startswith("valid_") for name in rows_of_history[0]):
        for path in files("history"):
            figures.learning_curves(rows_of_history, path)
    return drawn


def _few(spectra: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out all samples but the first: they look alike."""
    return {version: image for version, image in spectra.items() if "sample" not in version or version.endswith("sample 1")}


# -- the page ---------------------------------------------------------------------------------------------------------


def _sections(found: Analysis, drawn: Mapping[str, Path]) -> Iterator[Section]:
    """Yield the sections of the page, leaving out what was not asked for."""

    def pictures(*starts: str) -> list[Picture]:
        chosen = [name for name in drawn if name.startswith(starts)]
        return [Picture(drawn[name], CAPTIONS.get(name, name.replace("_", " ").capitalize())) for name in chosen]

    counts = f"{len(found.observed.group)} examples, passes: {found.request.passes}."
    yield Section("Scores", [Text(f"{counts} {NOTE}"), Text(_reading(found.metrics)), *tables(found.metrics)])
    if found.constraint:
        yield constraining_report.section(found.constraint, drawn)
    if found.examples:
        named = [[e.title, *(e.named.get(source, "") for source in found.examples[0].named)] for e in found.examples]
        heads = ["recording", *(f"named from {source}" for source in found.examples[0].named)]
        versions = tuple(found.examples[0].sounds)
        sounds = tuple((e.title, tuple(e.sounds.get(v) for v in versions)) for e in found.examples)
        listen = Sounds(versions, sounds, "Everything, the original too, went through the same phase retrieval.")
        yield Section("Examples", [Text(EXAMPLES), listen, Table(heads, named), *pictures("examples")])
    if heard := pictures("generated_pitch", "loudness"):
        yield Section("Notes made from symbols", [Text(HEARD), *heard])
    if confused := pictures("confusion"):
        yield Section("Which class is taken for which", confused)
    if drawn or found.probe:
        yield Section("Latent space", [Text(LATENT), *_probe(found), *pictures("latent")])
    if found.space:
        yield spaces_report.section(found.space, dict(drawn))
    if found.music:
        yield composing_report.section(found.music, drawn)
    if found.phrases:
        yield phrasing_report.section(found.phrases, drawn)
    if trained := pictures("history"):
        yield Section("Training", trained)
    lines = "\n".join(f"{name:<22}{shown(tuple(v) if isinstance(v, list) else v)}" for name, v in to_json(found.config).items())
    yield Section("Configuration", [Details("of the run", [Code(lines)]), Details("of this analysis", [Code(_request(found))])])


def _probe(found: Analysis) -> list[Table]:
    labels = list(dict.fromkeys(label for modality in found.probe.values() for label in modality))
    lines = [[m, *((e["value"], e["low"], e["high"]) for e in scores.values())] for m, scores in found.probe.items()]
    caption = "How often a linear classifier of the posterior means, fitted on the training split, is right"
    return [Table(["latents of", *labels], lines, caption)] if found.probe else []


def _request(found: Analysis) -> str:
    return json.dumps(found.json()["request"], indent=1)


EXAMPLES = (
    "Recordings of this split: as they are, as the model reconstructs them, and as it plays their labels, by the mean of the "
    "labels' posterior and by samples of it. Short ones are stretched."
)
HEARD = (
    "Each note of this split is made from its labels alone and held for a second. Its pitch is named by pYIN, which knows nothing "
    "of the model; its level is A-weighted."
)
LATENT = (
    "The posterior means, of all modalities, in one plane. A dimension is used where the variance of its means is above 0.01. What "
    "a linear probe cannot read off may still be there."
)
CAPTIONS = {
    "generated_pitch": "How far the notes that are heard are from those that were asked for",
    "loudness": "Level of each pitch in all dynamics that the instrument has in this split",
    "latent_use": "Divergence from the prior and variance of the means of each latent dimension",
    "history": "Terms of the loss over the epochs",
    "examples": "Spectra of the examples",
}


def check_names(names: Sequence[str]) -> None:
    """Raise an InputError where a projection is unknown, or its package absent."""
    for name in names:
        if name not in latents.PROJECTIONS:
            raise InputError(f"--projections {name}: is unknown; there are {' '.join(latents.PROJECTIONS)}")
    if "umap" in names and not importlib.util.find_spec("umap"):
        raise InputError(latents.NO_UMAP)
