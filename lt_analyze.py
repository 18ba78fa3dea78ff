#!/usr/bin/env python3
"""Evaluate trained runs on notes or pieces that they have not seen, and write a report to look at and to listen to.

Each run gets a folder (RUN/analysis, or one in --output) with report.html, analysis.json, metrics.csv, confusion_*.csv, figures/
and audio/. Several runs are compared in one table. Baselines are trained once, on the run's own training split, and kept in
RUN/baselines.

  lt_analyze.py -m saves/crossmodal__flute
  lt_analyze.py -m saves/crossmodal__flute saves/crossmodal__cello -o comparison --make_classifier 0
  lt_analyze.py -m saves/crossmodal__flute -d another_corpus --split all -o elsewhere
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from data.splits import ALL, SPLITS
from models.run_flags import add_base
from models.run_folder import home, weights
from utils import cli
from utils.config import InputError
from utils.inputs import distinct

if TYPE_CHECKING:
    from models.analysis import Request

ALIKE = ("split", "dbroot", "cache", "workers", "seed", "weights", "config", "base_preset")  # flags and fields of a request
BASELINES = {"make_classifier": "pca_mlp", "conv_classifier": "conv_classifier", "conv_synth": "conv_synth"}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    what = result.add_argument_group("what is analysed")
    add = what.add_argument
    runs = "folders of runs, or checkpoints of Magenta's MusicVAE"
    add("-m", "--models", nargs="+", type=Path, required=True, metavar="RUN", help=runs)
    add("--config", default="", metavar="PRESET", help="of a checkpoint, what it is (default: by name and sizes)")
    add_base(add)
    add("-d", "--dbroot", default="", help="another corpus than the run's own")
    add("--split", choices=(*SPLITS, ALL), default="test", help="the part of the corpus (default: test)")
    add("-o", "--output", type=Path, metavar="DIR", help="folder for the results (default: RUN/analysis)")
    add("-n", "--nb_passes", type=int, default=1, metavar="N", help="times that mixtures are paired anew (default: 1)")
    add(
        "--weights",
        type=weights,
        metavar="WHICH",
        help="best, last, or a saved epoch (default: best, or last if none are)",
    )
    add("--cache", default="", help="folder for spectra (default: that of the run)")
    add("--workers", type=int, default=0, metavar="N", help="processes that prepare a corpus (default: one a core)")
    add("--seed", type=int, default=0, help="seed of pairings, examples, samples, baselines and intervals (default: 0)")
    parts = result.add_argument_group("parts, 0 leaves one out")
    add = parts.add_argument
    switch = {"type": int, "choices": (0, 1), "default": 1}
    add("--make_losses", **switch, help="scores, linear probes, and the pitch of what is generated (default: 1)")
    add("--make_figures", **switch, help="figures (default: 1)")
    add("--make_classifier", **switch, help="train the baseline PCA + MLP, where it is not trained yet (default: 1)")
    add("--evaluate_classifier", **switch, help="evaluate it (default: 1)")
    add("--conv_classifier", **switch, help="train and evaluate the convolutional classifier (default: 1)")
    add("--conv_synth", **switch, help="train and evaluate the convolutional synthesiser (default: 1)")
    add(
        "--generate_audio",
        type=int,
        default=4,
        metavar="N",
        help="recordings or pieces to hear beside what is made of them (default: 4)",
    )
    add("--n_samples", type=int, default=4, metavar="N", help="latents sampled for each of them (default: 4)")
    add("--projections", nargs="*", default=["pca"], metavar="NAME", help="maps of the latents: pca, umap (default: pca)")
    add_kinds(result)
    how = result.add_argument_group("how")
    add = how.add_argument
    add("--classifier_epochs", type=int, default=1000, metavar="N", help="most epochs of a baseline (default: 1000)")
    add("--classifier_bs", type=int, default=64, metavar="N", help="batch size of a baseline (default: 64)")
    add("--griffinlim_iters", type=int, default=30, metavar="N", help="iterations of phase retrieval (default: 30)")
    add("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    add("-c", "--cuda", type=int, default=-1, help="number of the GPU, -1 = CPU; the short form of --device (default: -1)")
    add("--threads", type=int, default=0, help="threads to compute with (default: torch's choice)")
    return result


def add_kinds(result: argparse.ArgumentParser) -> None:
    """Add the flags of what only some kinds of runs are analysed for."""
    space = result.add_argument_group("the space of instruments, of runs that tell several apart")
    add = space.add_argument
    add("--ratings", default="", metavar="KIND", help="to compare with first: a kind, a study or a CSV (default: the training's)")
    add("--leave_one_out", type=int, default=0, metavar="EPOCHS", help="train once without each instrument's ratings (default: 0)")
    add(
        "--descriptors_steps",
        type=int,
        default=24,
        metavar="N",
        help="points an axis of maps of descriptors; 0 = none (default: 24)",
    )
    add(
        "--labels",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="what the run is told there, as A, A4:mf, or a class id (default: A, 4, mf)",
    )
    add("--films", choices=("none", "gif", "mp4"), default="none", help="of these maps, along each axis (default: none)")
    add("--unseen", default="", metavar="DIR", help="corpus of instruments that the run does not know, to place among the known")
    music = result.add_argument_group("music, of runs of scores")
    add = music.add_argument
    of_latents = "of latents for bounds of the likelihood; 0 = none (default: 50; of phrases 5)"
    add("--draws", type=int, metavar="N", help=of_latents)
    add("--rounds", type=int, default=5, metavar="N", help="seeds of each piece to go on from; 0 = none (default: 5)")
    add("--frames", type=int, default=32, metavar="N", help="steps that are generated after each (default: 32)")
    add("--phrases", type=int, default=1000, metavar="N", help="phrases of the prior, of runs of phrases; 0 = none (default: 1000)")


def main(argv: list[str]) -> int:
    """Analyse as the command line `argv` says; return the exit code."""
    args = parser().parse_args(argv)
    check(args)
    from models.analysis import Analyst
    from models.analysis_report import as_text, check_names, write_all, write_comparison
    from models.training import Interrupted
    from utils import device
    from utils.paths import make_folder

    check_names(args.projections)
    device.set_threads(args.threads)
    where, asked, attempts = device.select(device.named(args.device, args.cuda)), request(args), cli.Attempts()
    runs, found = list(dict.fromkeys(args.models)), {}

    def analyse(run: Path, name: str) -> None:
        folder = home(run) / "analysis" if args.output is None else args.output / name if len(runs) > 1 else args.output
        analysis = Analyst(run, asked, where).analyse(make_folder(folder))
        write_all(analysis, folder)
        found.update({name if method == "model" else f"{name}, {method}": m for method, m in analysis.metrics.items()})
        print(folder / "report.html", flush=True)

    try:
        for run, name in zip(runs, distinct([run.resolve().name for run in runs]), strict=True):
            attempts(analyse, run, name)
    except Interrupted as signal:
        return signal.code
    if any(found.values()):
        if len(runs) > 1 and args.output:
            attempts(write_comparison, args.output, found)
        print(as_text(found))
    return attempts.code


def request(args: argparse.Namespace) -> "Request":
    """Return the command line as a request to `models.analysis`."""
    from models import composing, phrasing, spaces
    from models.analysis import Request

    make = [name for flag, name in BASELINES.items() if getattr(args, flag)]
    evaluate = [name for name in make if name != "pca_mlp"] + ["pca_mlp"] * args.evaluate_classifier
    return Request(
        **{name: getattr(args, name) for name in ALIKE},
        base=str(args.base or ""),
        passes=args.nb_passes,
        losses=bool(args.make_losses),
        figures=bool(args.make_figures),
        examples=args.generate_audio,
        samples=args.n_samples,
        iterations=args.griffinlim_iters,
        make=tuple(make),
        evaluate=tuple(sorted(evaluate, reverse=True)),
        epochs=args.classifier_epochs,
        batch_size=args.classifier_bs,
        projections=tuple(args.projections),
        music=composing.Wanted(composing.Wanted.draws if args.draws is None else args.draws, args.frames, args.rounds),
        phrases=phrasing.Wanted(phrasing.Wanted.draws if args.draws is None else args.draws, args.phrases),
        space=spaces.Wanted(args.ratings, args.leave_one_out, args.descriptors_steps, tuple(args.labels), args.films, args.unseen),
    )


def check(args: argparse.Namespace) -> None:
    """Check the options.

    Raises
    ------
    InputError : a value that cannot be.
    """
    if not args.make_losses and (args.unseen or args.leave_one_out or args.ratings or args.films != "none"):
        raise InputError("--make_losses 0: leaves out what --unseen, --leave_one_out, --ratings and --films ask for")
    least = {"frames": 1, "nb_passes": 1, "classifier_epochs": 1, "classifier_bs": 2, "griffinlim_iters": 1}
    least |= dict.fromkeys(
        ("generate_audio", "n_samples", "workers", "threads", "seed", "leave_one_out", "descriptors_steps", "rounds", "phrases"), 0
    )
    if args.draws is not None and args.draws < 0:
        raise InputError(f"--draws {args.draws}: takes 0 or more")
    for name, maximum in {"rounds": 1000, "draws": 10_000, "frames": 10_000, "phrases": 100_000}.items():
        if (getattr(args, name) or 0) > maximum:
            raise InputError(f"--{name} {getattr(args, name)}: takes {maximum} or less")
    for name, minimum in least.items():
        if getattr(args, name) < minimum:
            raise InputError(f"--{name} {getattr(args, name)}: takes {minimum} or more")


if __name__ == "__main__":
    cli.run(main)
