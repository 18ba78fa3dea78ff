"""Measure models of piano-rolls and keys on chorales: bounds of the likelihood, keys named, and music that keeps to its key.

  python -m benchmarks.classifying train --data chorales/jsb_all.json             further flags are lt_train.py's
  python -m benchmarks.classifying score --data chorales/jsb_all.json             further flags are lt_analyze.py's

Every file of --data is trained on by frames and by windows, with the key and without, and by the presets that explain chorales
best. What needs no training, and the real pieces, stand beneath.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.runs import MINUTES, run, table, train
from utils import cli
from utils.config import read_json
from utils.paths import make_folder

MODELS = {
    "VAE": ["--preset", "frames", "--no-classify"],
    "classifying VAE": ["--preset", "frames"],
    "VAE + LSTM": ["--preset", "windows", "--no-classify"],
    "classifying VAE + LSTM": ["--preset", "windows"],
    "VAE + LSTM, deep": ["--preset", "deep", "--no-classify"],
    "VAE, autoregressive": ["--preset", "autoregressive", "--no-classify"],
}
HEADS = [
    "data", "model", "nll", "KL z", "KL w", "bound", "bound of 50 weights", "key of windows", "of pieces",
    "in key", "told", "notes a frame", "minutes",
]  # fmt: skip


def runs(args: argparse.Namespace) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield data, model, name and flags of each run."""
    for path in args.data:
        for model in args.models:
            name = f"{path.stem}_{model}".replace(" ", "_").replace(",", "").replace("+", "and")
            yield path.stem, model, name, ["--system", "classifying", "--dbroot", str(path.resolve()), *MODELS[model]]


def score(args: argparse.Namespace, further: Sequence[str]) -> str:
    """Analyse every run; return the table, with what needs no training beneath the models of each file."""
    minutes, rows = read_json(args.output / MINUTES), []
    for number, (data, model, name, _) in enumerate(runs(args), 1):
        out = args.output / "analysis" / name
        quick = ["--make_figures", 0, "--generate_audio", 0, "--threads", 1]
        run("lt_analyze.py", "-m", args.output / name, "-o", out, *quick, *further)
        found = read_json(out / "analysis.json")["metrics"]
        rows.append([data, model, *_cells(found["model"]), f"{minutes.get(name, 0):.1f}"])
        if number % len(args.models) == 0:
            rows += [[data, anchor, *_cells(found[anchor]), "-"] for anchor in ("rates", "naive_bayes")]
            rows.append([data, "real pieces", *_cells({"score_generated_free": found["model"]["score_real"]}), "-"])
    return table(HEADS, rows)


def _cells(found: dict) -> list[str]:
    bound, key = found.get("score_bound", {}), found.get("score_to_key", {})
    music = found.get("score_generated_inferred") or found.get("score_generated_free", {})
    terms = [bound.get(name) for name in ("nll", "kl_score", "kl_key", "bound", "bound_50")]
    told = found.get("score_generated_told", {}).get("in_key")
    cells = [*terms, key.get("key"), key.get("key_vote"), music.get("in_key"), told, music.get("notes_a_frame")]
    return [_cell(cell) for cell in cells]


def _cell(found: dict | None) -> str:
    if found is None:
        return "-"
    digits = ".3f" if found["value"] <= 1 else ".2f"
    interval = "" if found["low"] is None else f" ({found['low']:{digits}} - {found['high']:{digits}})"
    return f"{found['value']:{digits}}{interval}"


def main(argv: list[str]) -> int:
    """Do what the command line `argv` says; return the exit code."""
    result = cli.Parser(description=__doc__)
    result.add_argument("command", choices=("train", "score"))
    result.add_argument("--data", nargs="+", type=Path, required=True, help="files or folders of pieces")
    result.add_argument("--output", type=Path, default=Path("saves/classifying"), help="folder of the runs (default: %(default)s)")
    result.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="which (default: all)")
    args, further = result.parse_known_args(argv)
    args.output = make_folder(args.output).resolve()
    print(train(runs(args), args.output, further) if args.command == "train" else score(args, further))
    return 0


if __name__ == "__main__":
    cli.run(main)
