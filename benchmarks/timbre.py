"""Measure how far latent distances follow human ratings, and what that costs, by transform and by regulariser, on unseen notes.

  python -m benchmarks.timbre train --preset quick            further flags are lt_train.py's, as --dbroot
  python -m benchmarks.timbre score                           further flags are lt_analyze.py's

Each transform is trained once without ratings. From there every regulariser starts (--twofold); so does "none", the same number of
epochs more without ratings, as what is trained twice as long is better for that alone. The table stands beside table 1 of Esling,
Chemla--Romeu-Santos and Bitton, DAFx 2018, and is in units in which transforms of other sizes compare: the negative log-likelihood
is that of log magnitudes, a band. Distances are compared by correlation, which knows no scale.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.runs import MINUTES, run, table, train
from models.timbre_config import REGULARIZERS, TRANSFORMS, Config
from utils import cli
from utils.config import read_json
from utils.paths import make_folder

HEADS = [
    "transform", "regulariser", "nll a band, nats", "spectral distance, dB", "Pearson", "Spearman", "stress-1", "triplets",
    "minutes",
]  # fmt: skip


def runs(args: argparse.Namespace) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield transform, regulariser, name and flags of each run, those without ratings first."""
    epochs = str(Config.PRESETS[args.preset]["twofold_epochs"] if args.epochs is None else args.epochs)
    best = ["--load_epoch", "best"]
    start = ["--system", "timbre", "--preset", args.preset, "--regularization", "none", "--epochs", epochs]
    for transform in args.transforms:
        earlier = str(args.output / transform)
        yield transform, "first phase", transform, [*start, "--transform", transform]
        for kind in args.regularizations if transform == args.transforms[0] else args.regularizations[:1]:
            if kind == "none":
                yield transform, kind, f"{transform}_none", ["--load", earlier, *best, "--epochs", epochs, "--warmup", "0"]
            else:
                yield (
                    transform,
                    kind,
                    f"{transform}_{kind}",
                    ["--twofold", earlier, *best, "--twofold_epochs", epochs, "--regularization", kind],
                )


def score(args: argparse.Namespace, further: Sequence[str]) -> str:
    """Analyse every run; return the table."""
    minutes, rows = read_json(args.output / MINUTES), []
    for transform, kind, name, _ in runs(args):
        out = args.output / "analysis" / name
        quick = ["--make_figures", 0, "--generate_audio", 0, "--descriptors_steps", 0, "--ratings", args.ratings]
        run("lt_analyze.py", "-m", args.output / name, "-o", out, "--threads", 1, *quick, *further)
        rows.append([transform, kind, *_cells(read_json(out / "analysis.json"), args), f"{minutes.get(name, 0):.1f}"])
    return table(HEADS, rows)


def _cells(found: dict, args: argparse.Namespace) -> list[str]:
    scores = found["metrics"]["model"]["signal_to_signal"]
    agreement = found["space"]["agreement"]["ratings"][args.ratings]
    nll = {key: value and value / found["bands"] for key, value in scores["nll"].items()}
    cells = [nll, scores["log_spectral_distance_db"], *(agreement[m] for m in ("pearson", "spearman", "stress1", "triplets"))]
    return [f"{cell['value']:.2f}" + ("" if cell["low"] is None else " ({low:.2f} - {high:.2f})".format(**cell)) for cell in cells]


def main(argv: list[str]) -> int:
    """Do what the command line `argv` says; return the exit code."""
    result = cli.Parser(description=__doc__)
    result.add_argument("command", choices=("train", "score"))
    result.add_argument("--output", type=Path, default=Path("saves/timbre"), help="folder of the runs (default: %(default)s)")
    result.add_argument("--preset", default="quick", choices=list(Config.PRESETS))
    result.add_argument("--epochs", type=int, help="of each phase (default: the preset's)")
    result.add_argument("--transforms", nargs="+", choices=TRANSFORMS, default=list(TRANSFORMS))
    kinds = ("l2", "none", *(kind for kind in REGULARIZERS if kind not in ("l2", "none")))
    which = "the first of them of every transform, all of the first transform (default: %(default)s)"
    result.add_argument("--regularizations", nargs="+", choices=kinds, default=list(kinds), help=which)
    result.add_argument("--ratings", default=Config.ratings, help="to compare with (default: %(default)s)")
    args, further = result.parse_known_args(argv)
    args.output = make_folder(args.output).resolve()
    print(train(runs(args), args.output, further) if args.command == "train" else score(args, further))
    return 0


if __name__ == "__main__":
    cli.run(main)
