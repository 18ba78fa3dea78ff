"""Measure transcription and synthesis of single recorded notes that training has not seen, one instrument a run, beside peers.

  python -m benchmarks.notes train --minutes 10 --jobs 2 --preset quick     further flags are lt_train.py's
  python -m benchmarks.notes peers --python peers/bin/python                see benchmarks/peers.py
  python -m benchmarks.notes score

Each command works on the runs and files in --output, writes its figures there as JSON, and prints them as Markdown tables.

All see the same test split. It holds out notes (what is played), of which there may be several recordings, each with many frames.
Intervals are of 95 %: of shares Wilson's with one trial a note, which is on the safe side, as the recordings of one note are
alike; of distances by bootstrap over notes. The model names a recording by the vote of its frames; peers hear all of the file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from data import instruments
from data.instruments import Note
from data.mixtures import Source, with_labels
from data.notes import pitch_of
from data.splits import split_of
from models.crossmodal import Model, datasets
from models.runs import load_run
from utils import cli, metrics
from utils.config import InputError, read_json
from utils.device import generator
from utils.files import write_json
from utils.paths import cache_folder, make_folder

ROOT = Path(__file__).resolve().parent.parent
INSTRUMENTS = ("flute", "saxophone", "clarinet", "cello", "bassoon")
LABELS = ("octave", "pitch", "dynamics")
SHOWN = ("octave", "pitch", "both", "dynamics")  # both: octave and pitch
HELD = 1.0  # s that a generated note sounds
TOLERANCE = 50.0  # cents
TRAINING, PEERS, SCORES = "training.json", "peers.json", "scores.json"

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


def score(args: argparse.Namespace, _: list[str]) -> str:
    """Score the runs in the output folder; return the tables, with the peers' rows where they have been measured."""
    scores = {name: score_run(args, name) for name in args.instruments}
    write_json(args.output / SCORES, scores)
    measured = args.output / PEERS
    rivals = read_json(measured)["scores"] if measured.is_file() else {}
    rows = [row for name, found in scores.items() for row in success_rows(name, found["transcription"] | rivals.get(name, {}))]
    synthesis = [
        [name, s["generated"], f"{s['floor']:g}", shown(s["distance_db"], 1), shown(s["on_pitch"])]
        for name, s in ((name, found["synthesis"]) for name, found in scores.items())
    ]
    heads = ["instrument", "notes", "floor", "spectral distance, dB", f"within {TOLERANCE:.0f} cents"]
    return success_table(rows) + "\n\n" + table(heads, synthesis)


@torch.no_grad()
def score_run(args: argparse.Namespace, instrument: str) -> dict:
    """Return the scores of the run of one instrument.

    Raises
    ------
    InputError : there is no such run, or not of these labels.
    """
    model = load_run(args.output / instrument)
    if model.config.labels != LABELS or len(model.config.instruments) != 1:
        raise InputError(f"{args.output / instrument}: give a run of one instrument and the labels {' '.join(LABELS)}")
    source = datasets(replace(model.config, dbroot=args.dbroot, cache=args.cache), ["test"])["test"].sources[0]
    return {"transcription": transcription(model, source), "synthesis": synthesis(model, source)}


def transcription(model: Model, source: Source) -> dict[str, dict]:
    """Return the shares of frames, and of recordings by vote, whose classes are named right."""
    every = torch.arange(len(source)).split(4096)
    named = torch.cat([model.transfer(source.fetch(rows), "signal", "symbol")[:, 0] for rows in every])
    by_note = metrics.right_by_note(source.symbol, named, source.note)
    notes = len(source.symbol.unique(dim=0))
    return {"model, frames": shares(source.symbol == named, notes), "model, recordings": shares(by_note, notes)}


def shares(right: Tensor, notes: int) -> dict:
    """Return the share of each label, and of octave and pitch together, that is `right` (N, 2 or more) of so many notes."""
    columns = {label: right[:, i] for i, label in enumerate(LABELS[: right.shape[1]])}
    columns["both"] = right[:, :2].all(1)
    return {"n": len(right), "notes": notes} | {name: share(column, notes) for name, column in columns.items()}


def share(right: Tensor, notes: int) -> Estimate:
    """Return the share of `right` (N,) with its interval for so many independent notes."""
    value = right.double().mean().item()
    low, high = metrics.wilson_interval(value, notes)
    return {"value": value, "low": low, "high": high}


def synthesis(model: Model, source: Source) -> dict:
    """Return how far decoded spectra are from recorded ones, and how many generated notes are on pitch."""
    ids, place = source.symbol.unique(dim=0, return_inverse=True)  # (notes, L), (N,)
    decoded = model.transfer(ids[:, None], "symbol", "signal")  # (notes, F)
    floor, every = model.config.floor, torch.arange(len(source)).split(4096)
    distance = torch.cat([metrics.log_spectral_distance(source.fetch(rows), decoded[place[rows]], floor) for rows in every])
    low, high = metrics.bootstrap_interval(distance, place, generator(0, "bootstrap"))
    generated = [generate(model, names, spectrum) for names, spectrum in zip(class_names(model, ids), decoded, strict=True)]
    right = torch.tensor([note["cents"] is not None and abs(note["cents"]) <= TOLERANCE for note in generated])
    return {
        "generated": len(generated),
        "floor": floor,
        "distance_db": {"value": distance.mean().item(), "low": low, "high": high},
        "on_pitch": share(right, len(generated)),
        "each": generated,
    }


def class_names(model: Model, ids: Tensor) -> list[dict[str, str]]:
    """Return label -> class name for each of class ids (N, L)."""
    return [model.representations["symbol"].class_names(row) for row in ids.tolist()]


def generate(model: Model, names: dict[str, str], spectrum: Tensor) -> dict:
    """Let a decoded spectrum (F,) sound, and tell how many cents its fundamental is off the pitch of its labels."""
    signal = model.representations["signal"]
    sound = signal.invert(spectrum.expand(round(HELD * signal.frame_rate), -1))
    if sound.sample_rate != peers.RATE:
        raise InputError(f"--sample_rate {sound.sample_rate}: the benchmark listens at {peers.RATE} Hz")
    hertz = peers.pyin(sound.samples)
    asked = pitch_of(names["pitch"], int(names["octave"]))
    return {"asked": names, "hertz": hertz, "cents": hertz and 100 * (midi(hertz) - asked)}


def midi(hertz: float) -> float:
    """Return the MIDI pitch of a frequency in Hz, with fractions."""
    return 69 + 12 * float(np.log2(hertz / 440))


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
    return success_table([row for name, found in scores.items() for row in success_rows(name, found)])


def recordings(notes: Sequence[Note]) -> Iterator[Note]:
    """Yield the notes that the model is tested on, too."""
    return (note for note in with_labels(notes, LABELS) if split_of(note.identity) == "test")


def rival(notes: Sequence[Note], named: dict[str, dict], method: str) -> dict:
    """Return the shares of octaves and pitch classes that one peer names right, and its processor time for a recording."""
    found = [named[str(note.path)][method] for note in notes]
    right = torch.tensor([right_name(note, f["hertz"]) for note, f in zip(notes, found, strict=True)])
    times = {"cpu_ms": float(np.median([f["cpu_ms"] for f in found]))}
    return shares(right, len({note.identity for note in notes})) | times


def right_name(note: Note, hertz: float | None) -> tuple[bool, bool]:
    """Tell whether the octave and the pitch class of a fundamental, to the nearest semitone, are the note's."""
    if not hertz:
        return False, False
    octave, pitch_class = divmod(round(midi(hertz)), 12)
    asked_octave, asked_class = divmod(pitch_of(note.labels["pitch"], int(note.labels["octave"])), 12)
    return octave == asked_octave, pitch_class == asked_class


# -- tables -----------------------------------------------------------------------------------------------------------


def success_rows(instrument: str, scores: dict[str, dict]) -> list[list[str]]:
    """Return a row of cells for each namer of an instrument's notes."""
    return [
        [instrument, by, f"{s['notes']} / {s['n']}", *(shown(s[label]) if label in s else "-" for label in SHOWN)]
        for by, s in scores.items()
    ]


def success_table(rows: list[list[str]]) -> str:
    """Return the table of success ratios."""
    return table(["instrument", "named by", "notes / n", *SHOWN], rows)


def shown(estimate: Estimate, digits: int = 2) -> str:
    """Write a number with its interval."""
    return "{value:.{d}f} ({low:.{d}f}-{high:.{d}f})".format(**estimate, d=digits)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


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
    if further and args.work is not train:
        raise InputError(f"{further[0]}: is no option of this command; see --help")
    args.output, args.dbroot = make_folder(args.output.resolve()), str(Path(args.dbroot).resolve())
    args.cache = str(cache_folder(args.cache).resolve())
    print(args.work(args, further))
    return 0


if __name__ == "__main__":
    cli.run(main)
