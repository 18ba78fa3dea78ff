#!/usr/bin/env python3
"""Train a system on your notes or pieces.

Without --dbroot a small corpus of sampled instruments is rendered once and used. A run is a folder under --savedir: config.json,
last.safetensors (everything that --resume needs), best.safetensors (weights of the best validation epoch), history.csv,
metrics.json (on the test split), figures/.

  lt_train.py --preset quick --dbroot my_notes --instruments flute --time_budget 5
  lt_train.py --resume saves/crossmodal__flute --epochs 6000
  lt_train.py --load saves/crossmodal__flute --load_epoch 500 --name warm
"""

import argparse
from dataclasses import fields
from pathlib import Path

from models.config import TrainConfig
from models.run_folder import BEST, LAST, numbered, read_run
from models.systems import SYSTEMS
from utils import cli
from utils.config import InputError, add_flags, merge

DEFAULT = "crossmodal"
# what a resumed run may change: none of it decides a number of a step
RESUMABLE = {
    "dbroot",
    "cache",
    "workers",
    "epochs",
    "patience",
    "save_epochs",
    "save_steps",
    "save_minutes",
    "plot_epochs",
}


def parser(system: str) -> argparse.ArgumentParser:
    """Return the command line of training one system."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    result.add_argument("--system", choices=list(SYSTEMS), default=system, help="what to train (default: %(default)s)")
    result.add_argument("--preset", choices=list(SYSTEMS[system].Config.PRESETS), help="a named set of defaults; flags still win")
    run = result.add_argument_group("run")
    run.add_argument("--savedir", type=Path, default=Path("saves"), help="folder of all runs (default: %(default)s)")
    run.add_argument("--name", default="", help="name of the run (default: the system and what it is trained on)")
    start = run.add_mutually_exclusive_group()
    start.add_argument("--resume", type=Path, metavar="RUN", help="continue a run in its folder, bit for bit")
    start.add_argument("--load", type=Path, metavar="RUN", help="start a new run from the state of another")
    run.add_argument(
        "--load_epoch",
        default="last",
        help="with --load: last, best (weights only), or a numbered save (default: last)",
    )
    run.add_argument("--time_budget", type=float, default=0.0, metavar="MINUTES", help="stop after this time (default: no limit)")
    run.add_argument("--tensorboard", type=int, choices=(0, 1), default=0, help="write TensorBoard logs too (default: 0)")
    run.add_argument("--device", default="", help="auto (best available), cpu, cuda or cuda:N (default: cpu)")
    run.add_argument("--cuda", type=int, default=-1, help="number of the GPU, -1 = CPU; the short form of --device (default: -1)")
    run.add_argument("--threads", type=int, default=0, help="threads to compute with (default: torch's choice)")
    add_flags(result, SYSTEMS[system].Config)
    return result


def main(argv: list[str]) -> int:
    """Train as the command line `argv` says; return the exit code."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--system", choices=list(SYSTEMS), default=DEFAULT)
    first.add_argument("--resume", type=Path)
    first.add_argument("--load", type=Path)
    early = first.parse_known_args(argv)[0]
    earlier = early.resume or early.load
    system = read_run(earlier)[0] if earlier else early.system
    args = parser(system).parse_args(argv)
    given = {f.name: getattr(args, f.name) for f in fields(SYSTEMS[system].Config) if hasattr(args, f.name)}
    if args.time_budget < 0 or args.threads < 0:
        raise InputError("--time_budget and --threads must not be negative")
    from models.session import Session, train

    session = Session(
        system,
        lambda: configure(system, args, given),
        args.resume is not None,
        args.time_budget,
        bool(args.tensorboard),
    )
    return train(session, args.device or (f"cuda:{args.cuda}" if args.cuda >= 0 else "cpu"), args.threads)


def configure(system: str, args: argparse.Namespace, given: dict[str, object]) -> tuple[TrainConfig, Path, Path | None]:
    """Return the configuration, the run's folder, and the state to start from, if any.

    Raises
    ------
    InputError : options that do not go together, a run that is there already, or one that cannot be continued.
    """
    if args.resume:
        fixed = sorted(set(given) - RESUMABLE)
        if fixed or args.preset:
            raise InputError(
                f"--{(fixed or ['preset'])[0]} cannot change when a run is resumed; start a new one from it with --load"
            )
        return merge(read_run(args.resume)[1], given), args.resume, args.resume / LAST
    Config = SYSTEMS[system].Config
    earlier = read_run(args.load)[1] if args.load else merge(Config(), Config.PRESETS[args.preset] if args.preset else {})
    config = merge(earlier, given)
    config.validate()
    config = config.resolved()
    folder = args.savedir / (args.name or config.title())
    if (folder / LAST).exists():
        raise InputError(f"{folder}: there is a run already; continue it with --resume, or choose another --name")
    return config, folder, args.load / saved_name(args.load_epoch) if args.load else None


def saved_name(epoch: str) -> str:
    """Return the file that ``--load_epoch`` means.

    Raises
    ------
    InputError : neither last, best nor a number.
    """
    if epoch.isdecimal():
        return numbered(int(epoch))
    if epoch not in ("last", "best"):
        raise InputError(f"--load_epoch {epoch}: give last, best, or the number of a saved epoch")
    return LAST if epoch == "last" else BEST


if __name__ == "__main__":
    cli.run(main)
