"""Drawings of arrays into files. The format is that of the file's name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save(figure, path: Path) -> None:
    """Write a matplotlib figure to `path`, atomically."""
    from utils.files import atomic

    with atomic(path) as aside:
        figure.savefig(aside, format=Path(path).suffix[1:], dpi=120)


def new(width: float, height: float):
    """Return an empty figure, inches, drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def learning_curves(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Draw every term of a history over the epochs that have it, training beside validation."""
    names = dict.fromkeys(name for row in rows for name in row)
    terms = list(dict.fromkeys(name[len("train_") :] for name in names if name.startswith(("train_", "valid_"))))
    if not terms:
        return
    columns = min(3, len(terms))
    figure = new(4 * columns, 2.6 * -(-len(terms) // columns))
    epochs = [row["epoch"] + 1 for row in rows]
    for place, term in enumerate(terms, 1):
        axes = figure.add_subplot(
            -(-len(terms) // columns), columns, place, title=term, xlabel="epoch", ylabel="share" if "right" in term else "nats"
        )
        for split in ("train", "valid"):
            if f"{split}_{term}" in names:
                axes.plot(epochs, [row.get(f"{split}_{term}", np.nan) for row in rows], label=split)
        axes.legend(frameon=False)
    save(figure, path)


def translations(examples: Sequence[dict[str, dict]], path: Path) -> None:
    """Draw examples, one a row: modality -> version ("original", "from signal", ...) -> curve (F,), image (T, P) or words."""
    figure = new(10, 2.4 * len(examples))
    for row, example in enumerate(examples):
        words = [
            f"{name}: {content}" for versions in example.values() for name, content in versions.items() if isinstance(content, str)
        ]
        drawn = [versions for versions in example.values() if not any(isinstance(v, str) for v in versions.values())]
        for column, versions in enumerate(drawn):
            axes = figure.add_subplot(len(examples), len(drawn), row * len(drawn) + column + 1)
            _draw(axes, versions)
            axes.set_title("\n".join(words), fontsize=8, loc="left")
    save(figure, path)


def _draw(axes, versions: dict[str, np.ndarray]) -> None:
    """Draw versions of one thing: curves over each other in dB, images one above another."""
    first = next(iter(versions.values()))
    if first.ndim == 1:
        for name, curve in versions.items():
            axes.plot(20 * np.log10(np.maximum(curve, 1e-6)), label=name, linewidth=0.8)
        axes.set(xlabel="band", ylabel="dB")
        axes.legend(frameon=False, fontsize=7)
        return
    axes.imshow(np.concatenate([image.T for image in versions.values()]), aspect="auto", origin="upper", cmap="magma")
    axes.set(xlabel="step", ylabel=", ".join(versions))
