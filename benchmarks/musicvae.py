"""Measure MusicVAEs on Groove's drums and on chorale melodies: what they reconstruct, told and free, what they draw, and how fast.

  python -m benchmarks.musicvae train --groove groove --chorales Jsb16thSeparated.json    further flags are lt_train.py's
  python -m benchmarks.musicvae score --groove groove --chorales Jsb16thSeparated.json    further flags are lt_analyze.py's
  python -m benchmarks.musicvae speed --presets groove_2bar cat-drums_2bar_small

Every preset for processors is trained on the corpus that it is for. Beneath each model stand guesses from the place in the bar and
the true steps before, which are told as the model's own column "told" is.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.runs import MINUTES, run, table, train
from data.phrase_baselines import BASELINES
from models.musicvae_presets import OURS, PRESETS
from models.phrase_generation import REAL
from utils import cli
from utils.config import InputError, read_json
from utils.paths import make_folder

TRAINED = [name for name in OURS if name != "tiny"]
TIMED = [name for name, preset in PRESETS.items() if preset.get("kind") != "trio"]
HEADS = [
    "preset", "by", "accuracy, free", "accuracy, told", "events, free", "events, told", "hits or onsets, F", "exact", "bits a step",
    "KL, bits", "distinct", "verbatim", "bits by 5-grams", "minutes",
]  # fmt: skip
FREE, TOLD, EVENTS, BOUND, DRAWN = "phrase_to_phrase", "phrase_told", "phrase_events", "phrase_bound", "phrase_samples"


def runs(args: argparse.Namespace) -> Iterator[tuple[str, str, list[str]]]:
    """Yield preset, name and flags of each run.

    Raises
    ------
    InputError : there is no corpus for a preset.
    """
    for preset in args.presets:
        melodic = PRESETS[preset].get("kind", "melody") == "melody"
        corpus = args.chorales if melodic else args.groove
        if corpus is None:
            raise InputError(f"{preset}: give {'--chorales FILE' if melodic else '--groove DIR'}, or other --presets")
        yield preset, preset, ["--system", "musicvae", "--preset", preset, "--dbroot", str(corpus.resolve())]


def learn(args: argparse.Namespace, further: Sequence[str]) -> str:
    """Train every run, within so many minutes each; return a table of processor time."""
    return train(runs(args), args.output, ["--time_budget", str(args.minutes), "--plot_epochs", "0", *further])


def score(args: argparse.Namespace, further: Sequence[str]) -> str:
    """Analyse every run; return the table, with what needs no training beneath each."""
    minutes, rows = read_json(args.output / MINUTES), []
    for preset, name, _ in runs(args):
        out = args.output / "analysis" / name
        quick = ["--make_figures", 0, "--generate_audio", 0, "--threads", 1]
        run("lt_analyze.py", "-m", args.output / name, "-o", out, *quick, *further)
        rows += scored(preset, read_json(out / "analysis.json")["metrics"], minutes.get(name))
    return table(HEADS, rows)


def scored(preset: str, found: dict, minutes: float | None) -> Iterator[list[str]]:
    """Yield the rows of a run: the model, its draws at a lower temperature, the baselines, and real phrases."""
    last = {"model": "-" if minutes is None else f"{minutes:.1f}"}
    for name in dict.fromkeys(("model", *found, *BASELINES, REAL)):
        if name in found:
            yield [preset, name, *_cells(found[name]), last.get(name, "-")]


def _cells(found: dict) -> list[str]:
    events = found.get(EVENTS, {})
    struck = next((events[name] for name in ("hit_f1", "onset_f1") if name in events), None)
    asked = [(FREE, "accuracy"), (TOLD, "accuracy"), (FREE, "event_accuracy"), (TOLD, "event_accuracy"), (FREE, "exact")]
    asked += [(BOUND, "bound"), (BOUND, "kl_a_phrase"), (DRAWN, "distinct"), (DRAWN, "verbatim_of_training")]
    asked += [(DRAWN, "bits_by_5_grams")]
    estimates = [found.get(section, {}).get(name) for section, name in asked]
    return [_cell(e) for e in [*estimates[:4], struck, *estimates[4:]]]


def _cell(found: dict | None) -> str:
    if found is None or found["value"] is None:
        return "-"
    digits = ".3f" if abs(found["value"]) <= 1 else ".2f"
    interval = "" if found["low"] is None else f" ({found['low']:{digits}} - {found['high']:{digits}})"
    return f"{found['value']:{digits}}{interval}"


def speed(args: argparse.Namespace, further: Sequence[str]) -> str:
    """Time training and writing at the sizes of presets, beside a straightforward loop and the limit; return the table.

    Raises
    ------
    InputError : there are further flags.
    """
    import torch

    from benchmarks import musicvae_speed

    if further:
        raise InputError(f"{further[0]}: is no option of speed; see --help")
    print(f"torch {torch.__version__}, threads: {args.threads}, {'CPU' if args.threads == 1 else 'wall'} time\n", flush=True)
    pairs = itertools.product(args.presets, args.batches)
    return table(musicvae_speed.HEADS, [musicvae_speed.row(*pair, args.threads, args.seconds) for pair in pairs])


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    commands = result.add_subparsers(required=True, metavar="COMMAND")
    for name, work in {"train": learn, "score": score, "speed": speed}.items():
        command = commands.add_parser(name, help=work.__doc__.splitlines()[0])
        command.set_defaults(work=work)
        add = command.add_argument
        if work is speed:
            add("--presets", nargs="+", choices=TIMED, default=["groove_2bar"], help="(default: %(default)s)")
            add("--batches", nargs="+", type=int, default=[0], metavar="N", help="phrases a step (default: the preset's)")
            add("--threads", type=int, default=1, metavar="N", help="threads to compute with (default: 1)")
            add("--seconds", type=float, default=30.0, metavar="S", help="time of each line of the table (default: 30)")
            continue
        add("--groove", type=Path, metavar="DIR", help="the Groove MIDI Dataset, for presets of drums")
        add("--chorales", type=Path, metavar="FILE", help="melodies, as a table of voices, for presets of melodies")
        add("--output", type=Path, default=Path("saves/musicvae"), metavar="DIR", help="folder of the runs (default: %(default)s)")
        add("--presets", nargs="+", choices=TRAINED, default=TRAINED, help="which (default: all for processors)")
        if work is learn:
            add("--minutes", type=float, default=60.0, metavar="N", help="of training a run, at most (default: 60)")
    return result


def main(argv: list[str]) -> int:
    """Do what the command line `argv` says; return the exit code."""
    args, further = parser().parse_known_args(argv)
    if hasattr(args, "output"):
        args.output = make_folder(args.output).resolve()
    print(args.work(args, further))
    return 0


if __name__ == "__main__":
    cli.run(main)
