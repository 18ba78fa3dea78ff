#!/usr/bin/env python3
"""Train a system on your notes or pieces.

Without --dbroot the system's own corpus is used: notes of sampled instruments, rendered once, Bach's chorales, Groove. A run is a
folder under --savedir: config.json, last.safetensors (everything that --resume needs), best.safetensors (weights of the best
validation epoch), history.csv, metrics.json (on the test split), figures/.

  lt_train.py --preset quick --dbroot my_notes --instruments flute --time_budget 5
  lt_train.py --resume saves/crossmodal__flute --epochs 6000
  lt_train.py --load saves/crossmodal__flute --load_epoch 500 --name warm
  lt_train.py --system classifying --preset windows --dbroot my_midi_files
  lt_train.py --system musicvae --preset groove_2bar --dbroot groove
  lt_train.py --system latent_constraint --preset midime --pretrained saves/drums --dbroot my_drum_midi
"""

import argparse
import functools
from dataclasses import fields
from pathlib import Path

from models.config import TrainConfig
from models.run_config import read_run
from models.run_folder import LAST, saved_name
from models.systems import SYSTEMS
from utils import cli
from utils.config import InputError, add_flags, merge

DEFAULT = "crossmodal"


def parser(system: str) -> argparse.ArgumentParser:
    """Return the command line of training one system."""
    result = cli.Parser(description=__doc__)
    result.add_argument("--system", choices=list(SYSTEMS), default=system, help="what to train (default: %(default)s)")
    presets = {"choices": list(SYSTEMS[system].Config.PRESETS), "help": "a named set of defaults; flags still win"}
    result.add_argument("--preset", "--config", **presets)
    run = result.add_argument_group("run")
    add = run.add_argument
    add("--savedir", "--saveroot", type=Path, help="folder of all runs (default: saves)")
    add("--name", default="", help="name of the run (default: the system and what it is trained on)")
    add("--run_dir", type=Path, metavar="RUN", help="folder of the run: --savedir and --name in one")
    start = run.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, metavar="RUN", help="continue a run in its folder, bit for bit")
    start.add_argument("--load", type=Path, metavar="RUN", help="start a new run from the state of another")
    if hasattr(SYSTEMS[system].Config, "twofold"):
        start.add_argument(
            "--twofold", type=Path, metavar="RUN", help="start a new run in its second phase, from another's weights"
        )
    else:
        result.set_defaults(twofold=None)
    add("--load_epoch", default="", help="of another RUN: last, best (weights only), or the number of a save (default: last)")
    add("--time_budget", type=float, default=0.0, metavar="MINUTES", help="stop training after this time (default: no limit)")
    add("--tensorboard", type=int, choices=(0, 1), default=0, help="write TensorBoard logs too (default: 0)")
    add("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    add("--cuda", type=int, default=-1, help="number of the GPU, -1 = CPU; the short form of --device (default: -1)")
    add("--threads", type=int, default=0, help="threads to compute with (default: torch's choice)")
    add_flags(result, SYSTEMS[system].Config)
    return result


def main(argv: list[str]) -> int:
    """Train as the command line `argv` says; return the exit code."""
    first = cli.Parser(add_help=False)
    first.add_argument("--system", choices=list(SYSTEMS))
    first.add_argument("--resume", type=Path)
    first.add_argument("--load", type=Path)
    first.add_argument("--twofold", type=Path)
    early = first.parse_known_args(argv)[0]
    earlier = early.resume or early.load or early.twofold
    system = read_run(earlier)[0] if earlier else early.system or DEFAULT
    if early.system not in (None, system):
        raise InputError(f"--system {early.system}: {earlier} is a run of the system {system}")
    args = parser(system).parse_args(argv)
    check(args)
    given = {f.name: getattr(args, f.name) for f in fields(SYSTEMS[system].Config) if hasattr(args, f.name)}
    from models.session import Session, train
    from utils.device import named

    configured = functools.partial(configure, system, args, given)
    weights_only = bool(args.twofold) or args.load_epoch == "best"
    session = Session(system, configured, args.resume is not None, weights_only, args.time_budget, bool(args.tensorboard))
    return train(session, named(args.device, args.cuda), args.threads)


def check(args: argparse.Namespace) -> None:
    """Check the options of a run that are no part of its configuration.

    Raises
    ------
    InputError : a value that cannot be, or options that do not go together.
    """
    if not 0 <= args.time_budget < float("inf") or args.threads < 0:
        raise InputError("--time_budget and --threads take 0 or more")
    if args.load_epoch and not (args.load or args.twofold):
        raise InputError("--load_epoch: says which state of another run to --load, and there is none")
    wrong = [flag for flag in ("savedir", "name", "run_dir", "preset") if getattr(args, flag)]
    if args.resume and wrong:
        raise InputError(f"--{wrong[0]} cannot change when a run is resumed; start a new one from it with --load")
    if args.run_dir and (args.savedir or args.name):
        raise InputError("--run_dir: is --savedir and --name in one; leave these out")
    if args.name != Path(args.name).name or args.name == "..":
        raise InputError(f"--name {args.name}: is a name within --savedir, without / and ..")


def configure(system: str, args: argparse.Namespace, given: dict[str, object]) -> tuple[TrainConfig, Path, Path | None]:
    """Return the configuration, the run's folder, and the state to start from, if any.

    Raises
    ------
    InputError : options that do not go together, a run that is there already, or one that cannot be continued.
    """
    if args.resume:
        resumed = read_run(args.resume)[1]
        fixed = sorted(set(given) - resumed.resumable)
        if fixed:
            raise InputError(f"--{fixed[0]} cannot change when a run is resumed; start a new one from it with --load")
        return merge(resumed, given), args.resume, args.resume / LAST
    if args.twofold and "epochs" in given:
        raise InputError("--epochs: are those of the first phase, which --twofold leaves out; --twofold_epochs are the second's")
    Config, start = SYSTEMS[system].Config, args.load or args.twofold
    if start and "pretrained" in given:
        raise InputError("--pretrained and --load: a run starts from one of them; leave out the other")
    earlier = read_run(start)[1] if start else Config()
    config = merge(earlier, {**(Config.PRESETS[args.preset] if args.preset else {}), **given})
    config = config.twofold() if args.twofold else config
    config.validate()
    config = config.resolved()
    folder = args.run_dir or (args.savedir or Path("saves")) / (args.name or config.title().replace("/", "-"))
    if (folder / LAST).exists():
        raise InputError(f"{folder}: there is a run already; continue it with --resume, or choose another --name")
    return config, folder, start / saved_name(args.load_epoch or "last") if start else None


if __name__ == "__main__":
    cli.run(main)
