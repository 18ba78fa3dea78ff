#!/usr/bin/env python3
"""Evaluate trained runs on a test set: recordings with aligned MIDI, scores, or phrases, as it is that which a run reads.

Recordings: every one below --dataroot is scored against the MIDI file of its name. Written are results.json, results.csv, and by
file plots/, reconstructions/, transfers/ (the MIDI file as the run plays it) and transcriptions/; printed is a table.
Scores: every piece below --dataroot (MIDI, MusicXML, tables of songs) is scored by how well the run knows it: bounds of its
likelihood, its reconstruction, its key. Written are results.json, results.csv, and by piece plots/ and reconstructions/.
Phrases: what a run, or checkpoint of Magenta's MusicVAE, reads in MIDI files or tables of voices is scored in phrases that follow
each other: bounds; how right they are made anew from latents alone, and told the true steps before. Written is the same.

  lt_midi.py --models saves/crossmodal__flute --dataroot Recordings --midiroot Aligned_files/mid_files
  lt_midi.py --models saves/crossmodal__flute saves/crossmodal__cello --dataroot pairs --output out --plot 0 --resynthesize 0
  lt_midi.py --models saves/classifying__cl_lstm__chorales --dataroot my_midi_files
  lt_midi.py --models saves/musicvae__hits_2bar_flat__groove cat-drums_2bar_small.tar --dataroot my_drums --output out

docs/midi_evaluation.md says what is measured, and what the results mean.
"""

import argparse
import contextlib
import functools
import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from models.run_flags import add_base
from models.run_folder import home, weights
from utils import cli
from utils.config import InputError
from utils.inputs import distinct

if TYPE_CHECKING:
    from data.recordings import Recordings
    from models.base import LatentModel

log = logging.getLogger(__name__)
SETTINGS = ("tuning", "onset_tolerance", "weights", "suffix", "seed")  # that decide the numbers of recordings
MOST_DRAWS = 10_000
ONLY = {  # flags that are for runs of some kinds
    ("midiroot", "suffix", "tuning", "onset_tolerance", "classifier", "griffinlim_iters"): ("recordings",),
    ("draws",): ("scores", "phrases"),
    ("base", "base_preset"): ("phrases",),
}
Evaluation = tuple[Callable[[Path, Path], Mapping[str, Any]], Callable[[Mapping], str]]  # (run, out) -> total; the table of totals


class Pieces(NamedTuple):
    """How runs are evaluated that read pieces, alike whatever these are made of."""

    module: str  # that reads and scores pieces; its name with _files draws them, plays them, and writes a table
    draws: int  # where none are asked for
    reading: "Callable[[LatentModel], tuple]"  # how a model reads files


PIECES = {
    "scores": Pieces("models.scored", 50, lambda model: (model.config.step, model.config.reading)),
    "phrases": Pieces("models.phrased", 5, lambda model: (model.representations["phrase"],)),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    add = result.add_argument
    add("-m", "--models", nargs="+", type=Path, required=True, metavar="RUN", help="folders of runs, or Magenta's checkpoints")
    add("--config", default="", metavar="PRESET", help="of a checkpoint, what it is (default: by name and sizes)")
    add_base(add)
    add("-o", "--output", type=Path, metavar="DIR", help="folder for the results (default: one in the run, or beside a file)")
    add("--dataroot", type=Path, required=True, metavar="DIR", help="folder of recordings; folder or file of pieces")
    add("--midiroot", type=Path, metavar="DIR", help="folder of MIDI files (default: that of the recordings)")
    add("--suffix", help="what the name of a MIDI file has beyond the recording's (default: -lined, or else nothing)")
    add("--tuning", default="auto", help="cents by which recordings are too high, none, or auto: what suits best (default: auto)")
    add("--onset_tolerance", type=float, default=0.05, metavar="S", help="between onsets of notes that match (default: 0.05)")
    add("--losses", type=int, choices=(0, 1), default=1, help="score what is heard and played, or the pieces (default: 1)")
    add("--classifier", type=int, choices=(0, 1), default=1, help="score the run's direct classifier, too (default: 1)")
    add("--draws", type=int, metavar="N", help="of latents, for bounds of pieces (default: 50 of scores, 5 of phrases)")
    add("--plot", type=int, choices=(0, 1), default=1, help="draw figures (default: 1)")
    add("--resynthesize", type=int, choices=(0, 1), default=1, help="write sounds and MIDI files (default: 1)")
    add("--griffinlim_iters", type=int, default=30, metavar="N", help="iterations of phase retrieval (default: 30)")
    add("--weights", type=weights, metavar="WHICH", help="best, last, or a saved epoch (default: best, or last if none are)")
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
    if args.draws is not None and not 1 <= args.draws <= MOST_DRAWS:
        raise InputError(f"--draws {args.draws}: must be 1 to {MOST_DRAWS}; --losses 0 leaves bounds out")
    args.tuning = tuning(args.tuning)
    import torch

    from utils import device

    attempts = cli.Attempts()
    runs, totals = list(dict.fromkeys(args.models)), {}
    names = distinct([run.resolve().name for run in runs])
    outs = [output(run, name, args.output, len(runs) > 1) for run, name in zip(runs, names, strict=True)]
    read = PIECES.get(kind(runs, args))
    evaluate, table = on_pieces(read, args, outs, attempts) if read else on_recordings(args, attempts)
    device.set_threads(args.threads)
    with torch.no_grad():
        for run, out, name in zip(runs, outs, names, strict=True):
            total = attempts(evaluate, run, out)
            totals |= {name: total} if total else {}
    if totals:
        print(table(totals))
    return attempts.code


def output(run: Path, name: str, given: Path | None, several: bool) -> Path:
    """Return the folder of a run's results: as given, in the run's own, or beside a checkpoint that has none."""
    return (given / name if several else given) if given else home(run) / "midi_evaluation"


def reads(run: Path) -> str:
    """Return what a run reads: phrases, scores or recordings.

    Raises
    ------
    InputError : no run, or a damaged configuration.
    """
    from models.phrased import reads_phrases
    from models.scored import reads_scores

    return "phrases" if reads_phrases(run) else "scores" if reads_scores(run) else "recordings"


def kind(runs: Sequence[Path], args: argparse.Namespace) -> str:
    """Return what all runs read.

    Raises
    ------
    InputError : some read this, some that; none is a run; or a flag is not for such runs.
    """
    found = {}
    for run in runs:
        with contextlib.suppress(InputError):  # which is told when the run is loaded
            found[reads(run)] = run
    if not found:
        reads(runs[0])  # says why
    if len(found) > 1:
        named = " and ".join(f"{run} reads {what}" for what, run in found.items())
        raise InputError(f"--models: {named}; evaluate runs of one kind at a time, each on a --dataroot of its own")
    ((result, run),) = found.items()
    for flags, kinds in ONLY.items():
        given = ", ".join(f"--{name}" for name in flags if getattr(args, name) != parser().get_default(name))
        if given and result not in kinds:
            raise InputError(f"{given}: only for runs that read {' or '.join(kinds)}; leave out, as {run} reads {result}")
    return result


def tuning(text: str) -> float | str:
    """Return the cents of a text; "auto" stays as it is.

    Raises
    ------
    InputError : neither that nor a number.
    """
    if text == "auto":
        return text
    cents = 0.0 if text == "none" else float("nan")
    with contextlib.suppress(ValueError):
        cents = float(text)
    if not -1200 <= cents <= 1200:
        raise InputError(f"--tuning {text}: give auto, none, or cents from -1200 to 1200")
    return cents


# -- recordings -------------------------------------------------------------------------------------------------------


def on_recordings(args: argparse.Namespace, attempts: cli.Attempts) -> Evaluation:
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


# -- pieces -----------------------------------------------------------------------------------------------------------


def on_pieces(kind: Pieces, args: argparse.Namespace, outs: Sequence[Path], attempts: cli.Attempts) -> Evaluation:
    """Return how a run is evaluated on pieces, which are read once for all runs that read them alike."""
    numbers, files = (importlib.import_module(kind.module + end) for end in ("", "_files"))
    args.draws = args.draws or kind.draws

    @functools.cache
    def read(reading: tuple) -> tuple[Sequence, dict[str, str]]:
        pieces, failed = numbers.read(args.dataroot, *reading, outs)
        for line in failed.values():
            attempts.code = cli.fail(line)
        return pieces, failed

    def one(run: Path, out: Path) -> dict[str, Any]:
        return evaluate_pieces(run, out, numbers, files, lambda model: read(kind.reading(model)), args, attempts)

    return one, functools.partial(files.table, draws=args.draws)


def evaluate_pieces(
    run: Path, out: Path, numbers: Any, files: Any, corpus: Callable, args: argparse.Namespace, attempts: cli.Attempts
) -> dict[str, Any]:
    """Evaluate one run on all pieces of a corpus, write the results, and return those of all pieces together.

    Raises
    ------
    InputError : no such run, or no pieces.
    """
    from models.aligned_files import write_results
    from models.runs import load_run
    from utils import device
    from utils.paths import make_folder

    where = device.select(device.named(args.device, args.cuda))
    model = load_run(run, where, args.weights, args.config, args.base, args.base_preset)
    pieces, failed = corpus(model)
    make_folder(out)
    names = distinct("_".join(Path(piece.name).parts) for piece in pieces)
    found = numbers.score(model, pieces, args.draws if args.losses else 0, args.seed)
    made = {}
    for name, one in zip(names, cli.progress(found, total=len(pieces), desc=run.name, unit="piece"), strict=True):
        if args.plot:
            attempts(files.draw, one, out / "plots" / f"{name}.pdf")
        if args.resynthesize:
            attempts(files.resynthesise, one, out / "reconstructions" / name)
        made[name] = one
    rows = {name: numbers.row(one) for name, one in made.items()}
    total = numbers.summary(list(made.values()), args.seed) if args.losses else {}
    told = {"config": args.config, "base": str(args.base or ""), "base_preset": args.base_preset}
    settings = {"draws": args.draws, "weights": args.weights, "seed": args.seed} | {k: v for k, v in told.items() if v}
    write_results(out, {"run": str(run), "settings": settings, "failed": failed, "files": rows, "total": total})
    return total


if __name__ == "__main__":
    cli.run(main)
