"""Measure transcription and synthesis of single recorded notes that training has not seen, one instrument a run, beside peers.

  python -m benchmarks.notes train --minutes 10 --jobs 2 --preset quick     further flags are lt_train.py's
  python -m benchmarks.notes peers --python peers/bin/python                see benchmarks/peers.py
  python -m benchmarks.notes score                                          further flags are lt_analyze.py's

Each command works on the runs and files in --output, writes its figures there as JSON, and prints them as Markdown tables.

All see the same test split. It holds out notes (what is played), of which there may be several recordings, each with many frames.
Intervals are of 95 %: of the model and its baselines those of lt_analyze.py; of peers Wilson's with one trial a note, which is on
the safe side, as the recordings of one note are alike. The model names a recording by the vote of its frames; peers hear all of the
file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.runs import table
from data import instruments
from data.instruments import Note
from data.notes import pitch_of
from data.splits import split_of
from utils import cli, metrics
from utils.config import InputError, read_json
from utils.files import write_json
from utils.paths import cache_folder, make_folder

ROOT = Path(__file__).resolve().parent.parent
INSTRUMENTS = ("flute", "saxophone", "clarinet", "cello", "bassoon")
LABELS = ("octave", "pitch", "dynamics")
HEADS = ["instrument", "named by", "notes / recordings", "octave", "pitch", "dynamics", "all"]
TRAINING, PEERS = "training.json", "peers.json"

Estimate = dict[str, float]  # value, low, high


# -- training ---------------------------------------------------------------------------------------------------------


def train(args: argparse.Namespace, further: list[str]) -> str:
    """Train a run an instrument, each in a process of one thread; return a table of the time they took.

    Raises
    ------
    InputError : a process has failed.
    """
    with ThreadPoolExecutor(args.jobs) as pool:
        times = dict(zip(args.instruments, pool.map(partial(train_one, args, further), args.instruments), strict=True))
    write_json(args.output / TRAINING, times)
    rows = [[name, f"{t['cpu_minutes']:.1f}", f"{t['wall_minutes']:.1f}"] for name, t in times.items()]
    return table(["instrument", "processor, min", "clock, min"], rows)


def train_one(args: argparse.Namespace, further: list[str], instrument: str) -> dict[str, float]:
    """Train one run for the minutes asked; return the minutes it took, preparing and testing included."""
    command = [sys.executable, "lt_train.py", "--instruments", instrument, "--dbroot", args.dbroot, "--savedir", args.output]
    command += ["--name", instrument, "--time_budget", str(args.minutes), "--threads", "1", "--cache", args.cache, *further]
    start, log = time.monotonic(), args.output / f"{instrument}.log"
    with open(log, "w", encoding="utf-8") as file:
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=one_thread, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)  # tells the time of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise InputError(f"{instrument}: lt_train.py ended with exit code {process.returncode}; {log} says why")
    return {"cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60, "wall_minutes": (time.monotonic() - start) / 60}


# -- scores of runs ---------------------------------------------------------------------------------------------------


def score(args: argparse.Namespace, further: list[str]) -> str:
    """Let lt_analyze.py score the runs in the output folder, with their baselines; return tables, with what peers have reached.

    Raises
    ------
    InputError : a run cannot be analysed.
    """
    found = {name: analysed(args, further, name) for name in args.instruments}
    measured = args.output / PEERS
    rivals = read_json(measured)["scores"] if measured.is_file() else {}
    named = [row for name, metrics in found.items() for row in transcription_rows(name, metrics, rivals.get(name, {}))]
    made = [row for name, metrics in found.items() for row in synthesis_rows(name, metrics)]
    heads = ["instrument", "made by", "spectral distance, dB", "Itakura-Saito", "within 50 cents", "louder if asked"]
    return table(HEADS, named) + "\n\n" + table(heads, made)


def analysed(args: argparse.Namespace, further: list[str], instrument: str) -> dict:
    """Return model or baseline -> translation -> metric -> estimate of one run, as lt_analyze.py finds them."""
    folder = args.output / "analysis" / instrument
    command = [sys.executable, "lt_analyze.py", "-m", args.output / instrument, "-d", args.dbroot, "-o", folder, "--threads", "1"]
    command += ["--cache", args.cache, *further]
    with open(args.output / f"{instrument}.analysis.log", "w", encoding="utf-8") as log:
        if subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode:
            raise InputError(f"{instrument}: lt_analyze.py failed; {log.name} says why")
    return read_json(folder / "analysis.json")["metrics"]


def transcription_rows(instrument: str, metrics: dict, rivals: dict) -> list[list[str]]:
    """Return a row of cells for each namer of an instrument's recordings: the model by its frames' vote, baselines and peers."""
    rows = []
    for name, translations in metrics.items():
        found = translations.get("signal_to_symbol", {})
        votes = [found[f"{label}_vote"] for label in (*LABELS, "all") if f"{label}_vote" in found]
        if votes:
            rows.append([instrument, name, f"{votes[0]['groups']} / {votes[0]['n']}", *map(shown, votes)])
    for name, s in rivals.items():
        rows.append([instrument, name, f"{s['notes']} / {s['n']}", shown(s["octave"]), shown(s["pitch"]), "-", "-"])
    return rows


def synthesis_rows(instrument: str, metrics: dict) -> list[list[str]]:
    """Return a row of cells for each maker of spectra from labels."""
    rows = []
    for name, translations in metrics.items():
        if found := translations.get("symbol_to_signal"):
            heard = translations.get("symbol_to_sound", {})
            cells = [shown(found["log_spectral_distance_db"], 1), shown(found["itakura_saito"], 1)]
            cells += [shown(heard[key]) if key in heard else "-" for key in ("within_50_cents", "loudness_order")]
            rows.append([instrument, name, *cells])
    return rows


# -- peers ------------------------------------------------------------------------------------------------------------


def rivals(args: argparse.Namespace, _: list[str]) -> str:
    """Let the peers name the test recordings; return their table.

    Raises
    ------
    InputError : they cannot run.
    """
    corpus = instruments.read(args.dbroot)
    held_out = {name: list(recordings(notes)) for name, (notes,) in ((n, corpus.select([n])) for n in args.instruments)}
    files = [str(note.path) for notes in held_out.values() for note in notes]
    command = [args.python, ROOT / "benchmarks" / "peers.py", "--methods", *args.methods, "--", *files]
    try:
        named = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        raise InputError(f"--python {args.python}: the peers do not run in it; benchmarks/peers.py says how to make one") from None
    scores = {name: {method: rival(notes, named, method) for method in args.methods} for name, notes in held_out.items()}
    write_json(args.output / PEERS, {"scores": scores, "named": named})
    return table(HEADS, [row for name, found in scores.items() for row in transcription_rows(name, {}, found)])


def recordings(notes: Sequence[Note]) -> Iterator[Note]:
    """Yield the notes that the model is tested on, too."""
    return (note for note in notes if all(label in note.labels for label in LABELS) and split_of(note.identity) == "test")


def rival(notes: Sequence[Note], named: dict[str, dict], method: str) -> dict:
    """Return the shares of octaves and pitch classes that one peer names right, and its processor time for a recording."""
    found = [named[str(note.path)][method] for note in notes]
    right = torch.tensor([right_name(note, f["hertz"]) for note, f in zip(notes, found, strict=True)])
    times = {"cpu_ms": float(np.median([f["cpu_ms"] for f in found]))}
    return shares(right, len({note.identity for note in notes})) | times


def shares(right: Tensor, notes: int) -> dict:
    """Return the share of octaves and of pitch classes that are `right` (N, 2), of so many independent notes."""
    values = right.double().mean(0).tolist()
    bounds = [metrics.wilson_interval(value, notes) for value in values]
    found = {label: {"value": v, "low": b[0], "high": b[1]} for label, v, b in zip(LABELS[:2], values, bounds, strict=True)}
    return {"n": len(right), "notes": notes} | found


def right_name(note: Note, hertz: float | None) -> tuple[bool, bool]:
    """Tell whether the octave and the pitch class of a fundamental, to the nearest semitone, are the note's."""
    if not hertz:
        return False, False
    octave, pitch_class = divmod(round(69 + 12 * float(np.log2(hertz / 440))), 12)
    asked_octave, asked_class = divmod(pitch_of(note.labels["pitch"], int(note.labels["octave"])), 12)
    return octave == asked_octave, pitch_class == asked_class


# -- tables -----------------------------------------------------------------------------------------------------------


def shown(estimate: Estimate, digits: int = 2) -> str:
    """Write a number with its interval."""
    return "{value:.{d}f} ({low:.{d}f}-{high:.{d}f})".format(**estimate, d=digits)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    shared = argparse.ArgumentParser(add_help=False)
    corpus = str(ROOT.parent / "shared" / "data" / "philharmonia")
    shared.add_argument("--dbroot", default=corpus, help="corpus of recorded notes (default: %(default)s)")
    shared.add_argument("--instruments", nargs="+", default=list(INSTRUMENTS), help="(default: %(default)s)")
    shared.add_argument("--output", type=Path, default=Path("saves/notes"), help="folder for all of it (default: %(default)s)")
    shared.add_argument("--cache", default="", help="folder for spectra (default: as of lt_train.py)")
    commands = result.add_subparsers(required=True, metavar="COMMAND")
    for name, work in {"train": train, "score": score, "peers": rivals}.items():
        command = commands.add_parser(name, parents=[shared], help=work.__doc__.splitlines()[0], allow_abbrev=False)
        command.set_defaults(work=work)
        if work is train:
            command.add_argument("--minutes", type=float, default=10.0, help="of training a run (default: %(default)s)")
            command.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
        if work is rivals:
            command.add_argument("--python", default=sys.executable, help="of the peers' environment (default: this one)")
            command.add_argument("--methods", nargs="+", choices=list(peers.METHODS), default=list(peers.METHODS))
    return result


def main(argv: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    args, further = parser().parse_known_args(argv)
    if further and args.work is rivals:
        raise InputError(f"{further[0]}: is no option of this command; see --help")
    args.output, args.dbroot = make_folder(args.output.resolve()), str(Path(args.dbroot).resolve())
    args.cache = str(cache_folder(args.cache).resolve())
    print(args.work(args, further))
    return 0


if __name__ == "__main__":
    cli.run(main)
