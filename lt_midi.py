#!/usr/bin/env python3
"""Evaluate trained runs on a test set: recordings with aligned MIDI, or scores, as it is these or those that a run reads.

Recordings: every one below --dataroot is scored against the MIDI file of its name. Written are, for each run, results.json,
results.csv, and by file plots/, reconstructions/, transfers/ (the MIDI file as the run plays it) and transcriptions/; printed is a
table.
Scores: every piece below --dataroot (MIDI, MusicXML, tables of songs) is scored by how well the run knows it: bounds of its
likelihood, its reconstruction, its key. Written are results.json, results.csv, and by piece plots/ and reconstructions/.

  lt_midi.py --models saves/crossmodal__flute --dataroot Recordings --midiroot Aligned_files/mid_files
  lt_midi.py --models saves/crossmodal__flute saves/crossmodal__cello --dataroot pairs --output out --plot 0 --resynthesize 0
  lt_midi.py --models saves/classifying__cl_lstm__chorales --dataroot my_midi_files

docs/midi_evaluation.md says what is measured, and what the results mean.
"""

import argparse
import contextlib
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.run_folder import weights
from utils import cli
from utils.config import InputError
from utils.inputs import distinct

if TYPE_CHECKING:
    from data.recordings import Recordings
    from data.scores import Piece

log = logging.getLogger(__name__)
SETTINGS = ("tuning", "onset_tolerance", "weights", "suffix", "seed")  # that decide the numbers
MOST_DRAWS = 10_000
OF_SCORES = ("draws", "weights", "seed")  # likewise
ONLY = {  # flags that are for runs of one kind
    "recordings": ("midiroot", "suffix", "tuning", "onset_tolerance", "classifier", "griffinlim_iters"),
    "scores": ("draws",),
}
Evaluation = tuple[Callable[[Path, Path], Mapping[str, Any]], Callable[[Mapping], str]]  # (run, out) -> total; the table of totals
OTHER = {"recordings": "scores", "scores": "recordings"}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    add = result.add_argument
    add("--models", nargs="+", type=Path, required=True, metavar="RUN", help="folders of runs, as lt_train.py makes them")
    add("--output", type=Path, metavar="DIR", help="folder for the results (default: midi_evaluation in the run)")
    add("--dataroot", type=Path, required=True, metavar="DIR", help="folder of recordings, or folder or file of pieces")
    add("--midiroot", type=Path, metavar="DIR", help="folder of MIDI files (default: that of the recordings)")
    add("--suffix", help="what the name of a MIDI file has beyond the recording's (default: -lined, or else nothing)")
    add(
        "--tuning",
        default="auto",
        help="cents by which recordings are too high, none, or auto: what suits the run best (default: auto)",
    )
    add("--onset_tolerance", type=float, default=0.05, metavar="S", help="between onsets of notes that match (default: 0.05)")
    add("--losses", type=int, choices=(0, 1), default=1, help="score what is heard and played, or the pieces (default: 1)")
    add("--classifier", type=int, choices=(0, 1), default=1, help="score the run's direct classifier, too (default: 1)")
    add("--draws", type=int, default=50, metavar="N", help="of latents, for bounds of the likelihood of scores (default: 50)")
    add("--plot", type=int, choices=(0, 1), default=1, help="draw figures (default: 1)")
    add("--resynthesize", type=int, choices=(0, 1), default=1, help="write sounds and MIDI files (default: 1)")
    add("--griffinlim_iters", type=int, default=30, metavar="N", help="iterations of phase retrieval (default: 30)")
    add(
        "--weights",
        type=weights,
        metavar="WHICH",
        help="best, last, or a saved epoch (default: best, or last if none are)",
    )
    add("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    add("--cuda", type=int, default=-1, help="number of the GPU, -1 = CPU; the short form of --device (default: -1)")
    add("--threads", type=int, default=0, help="threads to compute with (default: torch's choice)")
    add("--seed", type=int, default=0, help="seed of the bootstrap, and of what bounds draw (default: 0)")
    return result


def main(argv: list[str]) -> int:
    """Evaluate as the command line `argv` says; return the exit code."""
    args = parser().parse_args(argv)
    if args.threads < 0 or args.griffinlim_iters < 1 or not 0 < args.onset_tolerance < 10:
        raise InputError("--threads must be 0 or more, --griffinlim_iters 1 or more, --onset_tolerance above 0 and below 10 s")
    if not 1 <= args.draws <= MOST_DRAWS:
        raise InputError(f"--draws {args.draws}: must be 1 to {MOST_DRAWS}; --losses 0 leaves bounds out")
    args.tuning = tuning(args.tuning)
    import torch

    from utils import device

    attempts = cli.Attempts()
    runs, totals = list(dict.fromkeys(args.models)), {}
    names = distinct([run.resolve().name for run in runs])
    outs = [
        (args.output / name if len(runs) > 1 else args.output) if args.output else run / "midi_evaluation"
        for run, name in zip(runs, names, strict=True)
    ]
    evaluate, table = {"recordings": on_recordings, "scores": on_scores}[kind(runs, args)](args, outs, attempts)
    device.set_threads(args.threads)
    with torch.no_grad():
        for run, out, name in zip(runs, outs, names, strict=True):
            total = attempts(evaluate, run, out)
            totals |= {name: total} if total else {}
    if totals:
        print(table(totals))
    return attempts.code


def kind(runs: Sequence[Path], args: argparse.Namespace) -> str:
    """Return what all runs read, scores or recordings.

    Raises
    ------
    InputError : some read these, some those; none is a run; or a flag is not for such runs.
    """
    from models.scored import reads_scores

    found = {}
    for run in runs:
        with contextlib.suppress(InputError):  # which is told when the run is loaded
            found["scores" if reads_scores(run) else "recordings"] = run
    if not found:
        reads_scores(runs[0])  # says why
    if len(found) > 1:
        named = " and ".join(f"{run} reads {what}" for what, run in found.items())
        raise InputError(f"--models: {named}; evaluate runs of one kind at a time, each on a --dataroot of its own")
    ((result, run),) = found.items()
    given = [f"--{name}" for name in ONLY[OTHER[result]] if getattr(args, name) != parser().get_default(name)]
    if given:
        raise InputError(f"{', '.join(given)}: only for runs that read {OTHER[result]}; leave out, as {run} reads {result}")
    return result


def tuning(text: str) -> float | str:
    """Return the cents of a text; "auto" stays as it is.

    Raises
    ------
    InputError : neither that nor a number.
    """
    if text == "auto":
        return text
    try:
        cents = 0.0 if text == "none" else float(text)
    except ValueError:
        cents = float("nan")
    if not -1200 <= cents <= 1200:
        raise InputError(f"--tuning {text}: give auto, none, or cents from -1200 to 1200")
    return cents


# -- recordings -------------------------------------------------------------------------------------------------------


def on_recordings(args: argparse.Namespace, outs: Sequence[Path], attempts: cli.Attempts) -> Evaluation:
    """Return how a run is evaluated on recordings.

    Raises
    ------
    InputError : there are none with MIDI files.
    """
    from data.recordings import Recordings
    from models.aligned_files import table

    recordings = Recordings.find(args.dataroot, args.midiroot, args.suffix)
    for line in recordings.unclear:
        attempts.code = cli.fail(line)
    for path in recordings.without_midi:
        log.warning("%s: left out, it has no MIDI file", path)
    return lambda run, out: evaluate(run, out, recordings, args, attempts), table


def evaluate(run: Path, out: Path, recordings: "Recordings", args: argparse.Namespace, attempts: cli.Attempts) -> dict[str, Any]:
    """Evaluate one run on all recordings, write the results, and return those of all recordings together.

    Raises
    ------
    InputError : no such run, one that knows no notes, or none of the recordings could be evaluated.
    """
    from models import aligned, aligned_files
    from models.aligned_summary import summary
    from utils import device
    from utils.paths import make_folder

    player = aligned.load(run, device.select(device.named(args.device, args.cuda)), args.weights, args.griffinlim_iters)
    classifier = aligned.load_classifier(run, player) if args.classifier and args.losses else None
    make_folder(out)
    failed, files, scores = {}, {}, []

    def one(pair, name: str) -> None:
        try:
            heard, truth = aligned.read(player, pair, args.tuning)
            found = aligned.score(player, heard, truth, args.onset_tolerance, classifier) if args.losses else None
            if args.plot:
                aligned_files.draw(player, heard, truth, out / "plots" / f"{name}.pdf")
            if args.resynthesize:
                aligned_files.resynthesise(player, heard, truth, out, name)
        except InputError as error:
            failed[str(pair.audio)] = str(error)
            raise
        files[name] = aligned.facts(pair, heard, truth) | (summary([found], args.seed) if found else {})
        scores.extend([found] if found else [])

    names = distinct([pair.audio.stem for pair in recordings.pairs])
    for pair, name in zip(cli.progress(recordings.pairs, desc=run.name, unit="file"), names, strict=True):
        attempts(one, pair, name)
    if not files:
        raise InputError(f"{run}: none of the {len(names)} recordings could be evaluated; nothing is written")
    total = summary(scores, args.seed) if scores else {}
    settings = {name: value for name, value in vars(args).items() if name in SETTINGS}
    heads = {"run": str(run), "settings": settings, **recordings.left_out(), "failed": failed}
    aligned_files.write_results(out, heads | {"files": files, "total": total})
    return total


# -- scores -----------------------------------------------------------------------------------------------------------


def on_scores(args: argparse.Namespace, outs: Sequence[Path], attempts: cli.Attempts) -> Evaluation:
    """Return how a run is evaluated on scores, which are read once for all runs of the same step and reading."""
    from models import scored, scored_files

    @functools.cache
    def corpus(step: str, reading: str) -> tuple[tuple["Piece", ...], dict[str, str]]:
        pieces, failed = scored.read(args.dataroot, step, reading, outs)
        for line in failed.values():
            attempts.code = cli.fail(line)
        return pieces, failed

    return lambda run, out: evaluate_scores(run, out, corpus, args, attempts), functools.partial(
        scored_files.table, draws=args.draws
    )


def evaluate_scores(run: Path, out: Path, corpus: Callable, args: argparse.Namespace, attempts: cli.Attempts) -> dict[str, Any]:
    """Evaluate one run on all pieces, write the results, and return those of all pieces together.

    Raises
    ------
    InputError : no such run, or no pieces.
    """
    from models import scored, scored_files
    from models.aligned_files import write_results
    from models.runs import load_run
    from utils import device
    from utils.paths import make_folder

    model = load_run(run, device.select(device.named(args.device, args.cuda)), args.weights)
    pieces, failed = corpus(model.config.step, model.config.reading)
    make_folder(out)
    names = distinct("_".join(Path(piece.name).parts) for piece in pieces)
    found = scored.score(model, pieces, args.draws if args.losses else 0, args.seed)
    files, several = {}, []
    for name, one in zip(names, cli.progress(found, total=len(pieces), desc=run.name, unit="piece"), strict=True):
        if args.plot:
            attempts(scored_files.draw, one, out / "plots" / f"{name}.pdf")
        if args.resynthesize:
            attempts(scored_files.resynthesise, one, out / "reconstructions" / name)
        files[name] = scored.row(one)
        several.append(one)
    total = scored.summary(several, args.seed) if args.losses else {}
    heads = {"run": str(run), "settings": {name: getattr(args, name) for name in OF_SCORES}, "failed": failed}
    write_results(out, heads | {"files": files, "total": total})
    return total


if __name__ == "__main__":
    cli.run(main)
