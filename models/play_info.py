"""What a run is, in words."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from models.run_folder import BEST, HISTORY, LAST, METRICS
from models.runs import checkpoint_system, load_run, parameters, read_config
from models.systems import SYSTEMS
from utils import history
from utils.checkpoint import load_state
from utils.config import read_json, shown

PROGRESS = ("epoch", "step", "seconds", "train_total", "valid_total")  # columns of a history that are shown


def info(run: Path) -> None:
    """Print what a run is, or a checkpoint of another program."""
    if other := checkpoint_system(run):
        model = load_run(run)
        print(f"{run}\n  {other}: {SYSTEMS[other].summary}, a checkpoint of another program")
        for line in _configuration(model.config):
            print(line)
        return
    system, config = read_config(run)
    parts, rows, saved = parameters(run), history.read(run / HISTORY), [name for name in (BEST, LAST) if (run / name).is_file()]
    print(f"{run}\n  {system}: {SYSTEMS[system].summary}")
    print(f"  parameters: {sum(parts.values()):,} ({', '.join(f'{name} {n:,}' for name, n in parts.items())})")
    print(f"  weights: {', '.join(saved) or 'none saved yet'}")
    if rows:
        print("  last epoch: " + ", ".join(f"{name} {rows[-1][name]:g}" for name in PROGRESS if name in rows[-1]))
    if BEST in saved:
        best = load_state(run / BEST)
        print(f"  best epoch: epoch {best.get('epoch')}, valid_total {best.get('loss')}")
    if (run / METRICS).is_file():
        print("  on the test split")
        for name, value in read_json(run / METRICS).items():
            print(f"    {name:<44}{f'{value:.3g}' if isinstance(value, float) else value}")
    for line in _configuration(config):
        print(line)


def _configuration(config: Any) -> Iterator[str]:
    """Yield the lines that say what a run was made with, under the headings of ``lt_train.py --help``."""
    groups: dict[str, list[str]] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        tables = value.items() if isinstance(value, dict) else [("", value)]
        lines = groups.setdefault(field.metadata.get("group", "from the corpus"), [])
        for name, content in tables:
            words = shown(tuple(content) if isinstance(content, list) else content)
            lines.append(f"    {f'{field.name} {name}'.strip():<24} {words}")
    for group, lines in groups.items():
        yield f"  {group}"
        yield from lines
