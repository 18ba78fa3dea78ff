#!/usr/bin/env python3
"""Play with trained runs: hear what a model makes of recordings, scores, labels and places of its latent space."""

import argparse
import importlib
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.play_flags import add_flags, whole
from models.play_modes import EXAMPLES, MODES, Mode, Way
from models.run_flags import add_base, is_of
from models.run_folder import home, weights
from utils import cli
from utils.config import InputError
from utils.inputs import distinct, found

if TYPE_CHECKING:
    from models.base import LatentModel

WIDTH = 120  # characters of a line of the help


def parser(modes: Sequence[str] = tuple(MODES)) -> argparse.ArgumentParser:
    """Return the command line of some modes."""
    lines = [textwrap.fill(MODES[m].text, WIDTH, initial_indent=f"  {m:<22}", subsequent_indent=" " * 24) for m in modes]
    notes = "Several runs may be given, several files, and folders of files. Results lie in RUN/MODE unless -o says otherwise."
    examples = [f"  lt_play.py {example}" for example in EXAMPLES.splitlines() if example.split()[0] in modes]
    texts = {"description": "\n".join([__doc__, "", *lines, "", notes]), "epilog": "\n".join(["examples:", *examples])}
    result = cli.Parser(conflict_handler="resolve", **texts)  # a mode's own short names win
    result.add_argument("mode", choices=list(MODES), help="what to do")
    add_runs(result)
    result.add_argument("--info", type=int, nargs="?", choices=(0, 1), const=1, default=0, help="say what the mode does, and end")
    result.add_argument(
        "--weights",
        type=weights,
        metavar="WHICH",
        help="best, last, or a saved epoch (default: best, or last if none are)",
    )
    result.add_argument("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    result.add_argument(
        "-c", "--cuda", type=int, default=-1, help="number of the GPU, the short form of --device (default: -1, CPU)"
    )
    result.add_argument("--threads", type=whole(0), default=0, help="threads to compute with (default: torch's choice)")

    several, short = len(modes) > 1, {"-m", "-c"}

    def add(*names: str, help: str, **options: Any) -> None:
        users = [m for m, row in MODES.items() if in_full(names).lstrip("-") in row.flags]
        if set(users) & set(modes):
            free = [name for name in names if not (several and name in short)]
            short.update(names)
            result.add_argument(*free, help=f"{help} [{', '.join(users)}]" if several else help, **options)

    add_flags(add)
    if not several:
        result.set_defaults(**MODES[modes[0]].defaults)
    return result


def add_runs(result: argparse.ArgumentParser) -> None:
    """Add the flags of which runs are played; with the names that other programs have for them."""
    add = result.add_argument
    add("--mode", default=argparse.SUPPRESS, metavar="MODE", help="what to do, instead of the first word")
    runs = "folders of trained runs, or checkpoints of Magenta's MusicVAE (TensorFlow or magenta.js)"
    also = ("--pretrained", "--checkpoint_file", "--run_dir")
    add("-m", "--models", *also, nargs="+", type=Path, default=[], metavar="RUN", help=runs)
    what = "of a checkpoint, what it is (default: by name and sizes); of a run, the preset that it is of"
    add("--config", default="", metavar="PRESET", help=what)
    add_base(add)


def mode_first(argv: Sequence[str]) -> list[str]:
    """Return a command line with the mode as its first word, where it has it as a flag."""
    first = cli.Parser(add_help=False)
    first.add_argument("--mode", choices=list(MODES))
    given, others = first.parse_known_args(argv)
    if given.mode is None:
        return list(argv)
    return others if others[:1] == [given.mode] else [given.mode, *others]


def in_full(names: Sequence[str]) -> str:
    """Return the name of a flag that is not short, the first where there are others."""
    return next(name for name in names if name.startswith("--"))


def long_name(word: str) -> str:
    """Return what a flag on the command line is called in full, without its value; another word as it is."""
    full = {}
    add_flags(lambda *names, **_: full.setdefault(names[0], in_full(names)))
    flag = word.partition("=")[0] if word.startswith("-") else word
    return full.get(flag, flag)


def main(argv: list[str]) -> int:
    """Play as the command line `argv` says; return the exit code."""
    argv = mode_first(argv)
    name = argv[0] if argv and argv[0] in MODES else parser().parse_known_args(argv)[0].mode
    mode, own = MODES[name], parser([name])
    given, strange = own.parse_known_args(argv)
    if given.info:
        print(own.format_help())
        return 0
    if strange:
        raise InputError(f"{name}: takes no {long_name(strange[0])}; lt_play.py {name} --info says what it takes")
    args = argparse.Namespace(**vars(parser().parse_args([name])) | vars(given))
    args.input = [path for path in (args.input_midi_1, *args.input, args.input_midi_2) if path is not None]
    if not args.models:
        raise InputError(f"{name}: give the folders of trained runs with -m")
    if mode.input and not args.input:
        raise InputError(f"{name}: give {mode.input} with -i")
    attempts = cli.Attempts()
    paths = [path for given in args.input for path in attempts(found, Path(given), mode.suffixes) or ()] if mode.suffixes else []
    files = dict(zip(paths := list(dict.fromkeys(paths)), distinct([path.stem for path in paths]), strict=True))
    if mode.suffixes and not files:
        return attempts.code
    runs = list(dict.fromkeys(args.models))
    import torch

    from utils import device

    device.set_threads(args.threads)
    with torch.no_grad():
        for run, folder in zip(runs, distinct([run.resolve().name for run in runs]), strict=True):
            shared = args.output and (args.output / folder if len(runs) > 1 else args.output)
            attempts(perform, mode, run, shared or home(run) / name, files, args, attempts)
    return attempts.code


def perform(mode: Mode, run: Path, out: Path, files: dict[Path, str], args: argparse.Namespace, attempts: cli.Attempts) -> None:
    """Do what a mode does with one run, file by file where it takes files, and print the names of what it writes."""
    if not mode.ways[0].needs:
        function(mode.ways[0].module, args.mode)(run)
        return
    from models import recorded
    from models.rendering import Player
    from models.runs import load_run
    from utils import device
    from utils.paths import make_folder

    where = device.select(device.named(args.device, args.cuda))
    preset = "" if is_of(run, args.config, "--config") else args.config
    base_preset = "" if is_of(args.base, args.base_preset, "--base_preset") else args.base_preset
    model = load_run(run, where, args.weights, preset, args.base, base_preset)
    way = naming(run, partial(way_of, mode, model, args))
    args = argparse.Namespace(**vars(args) | {flag: value for flag, value in way.defaults.items() if getattr(args, flag) is None})
    condition = recorded.spoken(model, args.labels) if args.labels else recorded.usual(model)
    player = Player(model, args.griffinlim_iters, bool(args.latent_sample), args.seed, condition, run)
    for modality in way.needs:
        naming(run, partial(player.representation, modality))
    make_folder(out)
    play = function(way.module, args.mode)
    tasks = {path: partial(play, player, path, out / name, args) for path, name in files.items()}
    for about, task in (tasks or {run: partial(play, player, out, args)}).items():
        for result in attempts(naming, about, task) or ():
            print(result, flush=True)


def way_of(mode: Mode, model: "LatentModel", args: argparse.Namespace) -> Way:
    """Return the first way of a mode that a model can go; where there is but one, this one.

    Raises
    ------
    InputError : it can go none of several, or a flag is given that is of another way.
    """
    has = ", ".join(model.representations)
    able = [way for way in mode.ways if set(way.needs) <= set(model.representations)]
    if not able and len(mode.ways) > 1:
        needed = ", or ".join(" and ".join(way.needs) for way in mode.ways)
        raise InputError(f"this mode needs a run with the modality {needed}; this one has {has}")
    way, usual = (able or mode.ways)[0], parser([args.mode])
    for flag in mode.flags:
        if flag not in way.flags.split() and getattr(args, flag, None) != usual.get_default(flag):
            raise InputError(f"--{flag}: is for runs of another kind than this one, which has {has}")
    return way


def function(module: str, name: str) -> Callable:
    """Return the function `name` of a module."""
    return getattr(importlib.import_module(module), name)


def naming(path: Path, task: Callable) -> Any:
    """Return what `task` returns; name `path` in errors that do not."""
    try:
        return task()
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


if __name__ == "__main__":
    cli.run(main)
