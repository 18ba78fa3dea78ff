#!/usr/bin/env python3
"""Play with trained runs: hear what a model makes of recordings and scores.

  info    print what a run is: its configuration, size, training and scores
  audio   transcribe and resynthesise recordings: FILE_reconstruction.wav, FILE.mid, FILE.csv, FILE.pdf
  midi    play MIDI files: FILE.wav, FILE.csv, FILE.pdf; for mixtures one MIDI track an instrument, by its name

Several runs and files may be given, and folders of files. Results lie in RUN/audio and RUN/midi unless -o says otherwise.

  lt_play.py info -m saves/crossmodal__flute
  lt_play.py audio -m saves/crossmodal__flute -i solo.wav
  lt_play.py midi -m saves/crossmodal__flute saves/crossmodal__cello -i songs -o out -t -12 -d mf
"""

import argparse
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import cli
from utils.config import InputError, read_json, shown

if TYPE_CHECKING:
    from models.rendering import Player

AUDIO = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")
MIDI = (".mid", ".midi")
PROGRESS = ("epoch", "step", "seconds", "train_total", "valid_total")  # columns of a history that `info` shows
RESULTS = (".wav", ".mid", ".csv", ".pdf", "_reconstruction.wav")
READ = 2**16  # samples of a recording that are read at once


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    add = result.add_argument
    add("mode", choices=list(MODES), help="what to do")
    add("-m", "--models", nargs="+", type=Path, required=True, metavar="RUN", help="folders of runs, as lt_train.py makes them")
    add("-i", "--input", nargs="+", type=Path, default=[], metavar="FILE", help="files, or folders of them")
    add("-o", "--output", type=Path, metavar="DIR", help="folder for the results (default: one in the run, named as the mode)")
    add("-t", "--transposition", type=int, default=0, metavar="SEMITONES", help="midi: transpose by so much (default: 0)")
    add("-d", "--dynamics", default="", metavar="CLASS", help="midi: play everything in this dynamics, given by name or class id")
    add("-g", "--graphs", type=int, choices=(0, 1), default=1, help="draw figures (default: 1)")
    add(
        "-s",
        "--latent_sample",
        type=int,
        choices=(0, 1),
        default=0,
        help="1: sample the posterior, once a note (audio: once a file), instead of taking its mean (default: 0)",
    )
    add("--griffinlim_iters", type=int, default=30, metavar="N", help="iterations of phase retrieval (default: 30)")
    add(
        "--weights", choices=("best", "last"), help="which weights of the run (default: the best, or the last where there are none)"
    )
    add("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    add("-c", "--cuda", type=int, default=-1, help="number of the GPU, -1 = CPU; the short form of --device (default: -1)")
    add("--threads", type=int, default=0, help="threads to compute with (default: torch's choice)")
    add("--seed", type=int, default=0, help="seed of what is drawn with -s 1 (default: 0)")
    return result


def main(argv: list[str]) -> int:
    """Play as the command line `argv` says; return the exit code."""
    args = parser().parse_args(argv)
    mode = MODES[args.mode]
    if args.threads < 0 or args.griffinlim_iters < 1:
        raise InputError("--threads must be 0 or more, --griffinlim_iters 1 or more")
    if mode.suffixes and not args.input:
        raise InputError(f"{args.mode}: give files with -i, or folders of them")
    attempts = Attempts()
    paths = [path for given in args.input for path in attempts(found, given, mode.suffixes) or ()] if mode.suffixes else []
    files = dict(zip(paths := list(dict.fromkeys(paths)), distinct([path.stem for path in paths]), strict=True))
    runs = list(dict.fromkeys(args.models))
    import torch

    from utils import device

    device.set_threads(args.threads)
    with torch.no_grad():
        for run, name in zip(runs, distinct([run.resolve().name for run in runs]), strict=True):
            shared = args.output and (args.output / name if len(runs) > 1 else args.output)
            attempts(mode.play, run, shared or run / args.mode, files, args, attempts)
    return attempts.code


class Attempts:
    """Try one thing after another: what fails is reported in one line and keeps nothing else from being tried."""

    def __init__(self):
        self.code = 0

    def __call__(self, task: Callable, *args: Any) -> Any:
        """Return what `task` returns, None where it fails."""
        try:
            return task(*args)
        except InputError as error:
            self.code = cli.fail(str(error))
            return None


# -- files and names --------------------------------------------------------------------------------------------------


def found(given: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the file `given`, or the files with one of the suffixes that lie in the folder `given` or its folders.

    Raises
    ------
    InputError : no such file or folder, or none in it.
    """
    if not given.is_dir():
        if not given.exists():
            raise InputError(f"{given}: no such file or folder")
        return [given]
    files = sorted(p for p in given.rglob("*") if p.suffix.lower() in suffixes and p.is_file() and not p.name.startswith("."))
    if not files:
        raise InputError(f"{given}: holds no file that ends in {' '.join(suffixes)}")
    return files


def distinct(names: Iterable[str]) -> list[str]:
    """Return `names`, numbered from the second on where several are equal but for capitals."""
    taken: dict[str, str] = {}  # casefolded -> as it is
    for name in names:
        numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        free = next(candidate for candidate in numbered if candidate.casefold() not in taken)
        taken[free.casefold()] = free
    return list(taken.values())


# -- modes ------------------------------------------------------------------------------------------------------------


def by_file(play: Callable, run: Path, out: Path, files: dict[Path, str], args: argparse.Namespace, attempts: Attempts) -> None:
    """Load a run, let `play(player, path, target, args)` render each file as `target` with suffixes, and print what there is."""
    from models.rendering import Player
    from models.runs import load_run
    from utils import device
    from utils.paths import make_folder

    if not files:
        return
    where = device.select(device.named(args.device, args.cuda))
    player = Player(load_run(run, where, args.weights), args.griffinlim_iters, bool(args.latent_sample), args.seed)
    for modality in ("signal", "symbol"):
        _naming(run, player.representation, modality)
    make_folder(out)
    for path, name in files.items():
        for result in attempts(_naming, path, _beside, path, out / name, play, player, path, out / name, args) or ():
            print(result, flush=True)


def _naming(path: Path, task: Callable, *args: Any) -> Any:
    """Return what `task` returns; name `path` in errors that do not."""
    try:
        return task(*args)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _beside(path: Path, target: Path, task: Callable, *args: Any) -> Any:
    """Return what `task` returns, unless its results would replace what lies beside the input `path`.

    Raises
    ------
    InputError : they would.
    """
    there = [target.with_name(target.name + end) for end in RESULTS]
    lost = [file for file in there if file.exists() and file.resolve() != path.resolve()]
    if lost and target.resolve().parent == path.resolve().parent:
        raise InputError(f"would replace {lost[0]}, which lies beside it; give another folder with -o")
    return task(*args)


def audio(player: "Player", path: Path, target: Path, args: argparse.Namespace) -> list[str]:
    """Transcribe and resynthesise a recording of any length."""
    import numpy as np

    from data.audio import stream
    from data.notes import Notes
    from data.transcription import transcribe, write_table
    from models.rendering import Counted, up_to, write_sound
    from utils.play_figures import Picture, spectrograms_and_roll

    signal, labels = player.representation("signal"), player.representation("symbol")
    heard, played, record = Picture(), Picture(), []
    recording = Counted(stream(path, signal.sample_rate, READ))
    latents = player.listened(heard.watching(signal.analyse(recording)), record)
    sound = up_to(player.sound([latents], [played]), lambda: recording.samples)
    write_sound(Path(f"{target}_reconstruction.wav"), sound, signal.sample_rate)
    ids, confidence, level = map(np.concatenate, zip(*record, strict=True))
    write_table(Path(f"{target}.csv"), labels, ids, confidence, {"level_db": level})
    made = ["_reconstruction.wav", ".csv"]
    notes = transcribe(labels, ids, confidence, level) if labels.pitched else Notes.empty()
    if labels.pitched:
        notes.save(f"{target}.mid")
        made.append(".mid")
    if args.graphs:
        made.append(".pdf")
        images = {"recording": heard.image, "reconstruction": played.image}
        seconds = recording.samples / signal.sample_rate
        spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(notes), labels.instruments, seconds)
    return [f"{target}{end}" for end in made]


def midi(player: "Player", path: Path, target: Path, args: argparse.Namespace) -> list[str]:
    """Play a MIDI file, true to its times and velocities, voice by voice."""
    from data.notes import Notes
    from data.representations import SUBFRAMES
    from data.transcription import write_table
    from models.rendering import up_to, write_sound
    from utils.play_figures import Picture, spectrograms_and_roll

    signal, labels = player.representation("signal"), player.representation("symbol")
    notes = Notes.load(path).transpose(args.transposition)
    notes = labels.with_dynamics(notes, args.dynamics) if args.dynamics else notes
    layers, seconds = labels.assign(notes), notes.duration
    rate, pictures = signal.frame_rate * SUBFRAMES, [Picture() for _ in layers]
    points = math.ceil(seconds * rate) + 1  # so that rounding leaves no sample out
    scores = [player.score(labels, layer, number, points, rate) for number, layer in enumerate(layers)]
    sound = up_to(player.sound(scores, pictures, fine=True), lambda: round(seconds * signal.sample_rate))
    write_sound(Path(f"{target}.wav"), sound, signal.sample_rate, seconds)
    write_table(Path(f"{target}.csv"), *labels.score(layers, seconds))
    if args.graphs:
        images = {"": sum(picture.image for picture in pictures)}
        names = [track.name or f"track {number}" for number, track in enumerate(notes.tracks, 1)]
        spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(notes), names, seconds)
    return [f"{target}{end}" for end in (".wav", ".csv", ".pdf")[: 2 + args.graphs]]


def info(run: Path, out: Path, files: dict, args: argparse.Namespace, attempts: Attempts) -> None:
    """Print what a run is."""
    from models.run_folder import BEST, HISTORY, LAST, METRICS
    from models.runs import parameters, read_config, read_state
    from models.systems import SYSTEMS
    from utils import history

    system, config = read_config(run)
    parts, rows, saved = parameters(run), history.read(run / HISTORY), [name for name in (BEST, LAST) if (run / name).is_file()]
    print(f"{run}\n  {system}: {SYSTEMS[system].summary}")
    print(f"  parameters: {sum(parts.values()):,} ({', '.join(f'{name} {n:,}' for name, n in parts.items())})")
    print(f"  weights: {', '.join(saved) or 'none saved yet'}")
    if rows:
        print("  last epoch: " + ", ".join(f"{name} {rows[-1][name]:g}" for name in PROGRESS if name in rows[-1]))
    if BEST in saved:
        best = read_state(run, "best")[0]
        print(f"  best epoch: epoch {best.get('epoch')}, valid_total {best.get('loss')}")
    if (run / METRICS).is_file():
        print("  on the test split: " + ", ".join(f"{name} {value}" for name, value in read_json(run / METRICS).items()))
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
            lines.append(f"    {f'{field.name} {name}'.strip():<22}{words}")
    for group, lines in groups.items():
        yield f"  {group}"
        yield from lines


@dataclass(frozen=True)
class Mode:
    """One row of the table."""

    play: Callable  # (run, out, files, args, attempts)
    suffixes: tuple[str, ...] = ()  # of the files it takes, where it takes any


MODES = {
    "info": Mode(info),
    "audio": Mode(functools.partial(by_file, audio), AUDIO),
    "midi": Mode(functools.partial(by_file, midi), MIDI),
}

if __name__ == "__main__":
    cli.run(main)
