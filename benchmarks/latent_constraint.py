"""Measure personalisation: what a small model on a frozen MusicVAE costs, and whose phrases it then makes.

  python -m benchmarks.latent_constraint --base saves/groove_2bar --corpora groove/drummer3 groove/drummer7 --presets midime
  python -m benchmarks.latent_constraint --base saves/chorales_2bar --songs Jsb16thSeparated.json --presets "midime --latent_dim 8"

--songs makes a corpus of few pieces that a base of that table has not seen: of the songs to validate on the 16 with the fewest
notes a bar, as MIDI files. Each run has a new process, one thread and an empty cache. What was measured before is kept, but with
--repeat it is done anew. The tables are also in OUTPUT/tables.md, written after each run. Numbers of one seed have intervals of
95 %; those of several are means, with the least and the greatest. Seconds are of the processor, in brackets of the clock: the base,
read from disk; the pieces, read; their phrases, encoded, and found in the cache another time; training, until it stops; at last
reading, encoding and training together. Further flags are lt_train.py's.
"""

import argparse
import contextlib
import itertools
import math
import multiprocessing
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import lt_train
from benchmarks.runs import table
from models.latent_constraint_presets import PRESETS
from models.run_folder import HISTORY, is_run
from models.systems import SYSTEMS
from utils import cli, history
from utils.config import InputError, read_json
from utils.files import write_json, write_text
from utils.paths import make_folder

SYSTEM, MEASURED, TABLES = "latent_constraint", "measured.json", "tables.md"
SONGS = 16  # of a corpus that is made of a table
DRAWS = 1000  # of the model, and of the prior
WAYS = ("steps", "events")  # that phrases are compared in
BASE, READING, ENCODING, AGAIN, TRAINING = "base", "reading", "encoding", "from cache", "training"
NEEDED = (READING, ENCODING, TRAINING)  # once the base is there
WHOSE = ["corpus", "preset"]
COST = [*WHOSE, "phrases", BASE, READING, ENCODING, AGAIN, TRAINING, "steps, best", "all but the base"]
KEPT = [
    *WHOSE, "z_r2", "agreement", "KL, nats", "distinct", "verbatim", "silent", "as wished",
    "mmd: model", "spread 1", "prior", "real",
]  # fmt: skip
NEAR = [
    *WHOSE, "distance", "model", "at 0.5", "spread 1", "prior", "at 0.5", "real", "nearer than the prior", "at 0.5",
    "coverage: model", "spread 1", "prior",
]  # fmt: skip
SETS = ("model", "temperature 0.5", "spread 1", "prior", "prior, temperature 0.5", "real")
DRAWN = ("model", "spread 1", "prior")  # of them, not at a lower temperature
SAMPLES, LATENTS = "constraint_samples", "constraint_latents"

Measured = dict[str, Any]


class Case(NamedTuple):
    """Hold what a run is of; `preset` may be followed by flags."""

    base: Path
    corpus: Path
    preset: str
    seed: int
    output: Path

    @property
    def run(self) -> Path:
        """Return the folder of the run."""
        words = re.sub(r"[^\w.]+", "_", self.preset)
        return self.output / f"{self.base.name}__{self.corpus.name}__{words}__{self.seed}"

    def flags(self, cache: str) -> list[str]:
        """Return the command line of its training."""
        where = {"pretrained": self.base, "dbroot": self.corpus, "savedir": self.output, "name": self.run.name, "cache": cache}
        how = {"seed": self.seed, "threads": 1, "plot_epochs": 0}
        given = [word for name, value in (where | how).items() for word in (f"--{name}", str(value))]
        return ["--system", SYSTEM, "--preset", *shlex.split(self.preset), *given]


def alone(case: Case, repeat: bool) -> Measured:
    """Return what was measured of a run before, else what a process of its own measures."""
    path = case.run / MEASURED
    if path.is_file() and not repeat:
        return read_json(path)
    if is_run(case.run):
        shutil.rmtree(case.run)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def measure(case: Case) -> Measured:
    """Train and analyse a run; return what was measured, which then lies in it."""
    with tempfile.TemporaryDirectory() as cache:
        found = learn(case, cache)
        found["metrics"] = analysed(case.run)
    write_json(case.run / MEASURED, found)
    return found


# -- training ---------------------------------------------------------------------------------------------------------


def learn(case: Case, cache: str) -> Measured:
    """Train a run; return how long each part of that took, how many phrases there are of each split, and how far it came."""
    from models import musicvae_base, session
    from utils.device import set_threads

    spent: dict[str, list[float]] = {}
    set_threads(1)
    with timed(spent, BASE):
        musicvae_base.load(case.base)  # which then is at hand in this process
    with timed(spent, READING):
        config = configured(case.flags(cache))
    for name in (ENCODING, AGAIN):
        with timed(spent, name):
            phrases = encode(config)
    fit = mock.patch.object(session, "fit", timed(spent, TRAINING)(session.fit))
    with fit, contextlib.redirect_stdout(sys.stderr):
        code = lt_train.main(case.flags(cache))
    if code:
        raise InputError(f"{case.run}: was interrupted")
    rows = history.read(case.run / HISTORY)
    best = min(rows, key=lambda row: row.get("valid_total", -row["step"]))  # the last where nothing is held out
    return {"seconds": spent, "phrases": phrases, "steps": rows[-1]["step"], "best": best["step"]}


@contextlib.contextmanager
def timed(spent: dict[str, list[float]], name: str) -> Iterator[None]:
    """Note the seconds of processor and clock that something takes."""
    start = time.process_time(), time.monotonic()
    yield
    spent[name] = [time.process_time() - start[0], time.monotonic() - start[1]]


def configured(argv: list[str]) -> Any:
    """Return the configuration that a command line of training stands for."""
    args = lt_train.parser(SYSTEM).parse_args(argv)
    given = {name: value for name, value in vars(args).items() if name in SYSTEMS[SYSTEM].Config.__dataclass_fields__}
    return lt_train.configure(SYSTEM, args, given)[0]


def encode(config: Any) -> dict[str, int]:
    """Encode the phrases that training needs, or find them in the cache; return how many there are of each split."""
    import torch

    splits = SYSTEMS[SYSTEM].load().datasets(config)
    for name in ("train", "valid"):
        if len(splits[name]):
            splits[name].batch(torch.arange(1), torch.Generator())
    return {name: len(phrases) for name, phrases in splits.items()}


def analysed(run: Path) -> Measured:
    """Return the scores of a run on its test split, by column and section, as `lt_analyze.py` finds them."""
    import torch

    from models.analysis import Analyst, Request
    from models.phrasing import Wanted

    request = Request(figures=False, examples=0, phrases=Wanted(draws=0, phrases=DRAWS))
    return Analyst(run, request, torch.device("cpu")).analyse(run).metrics


# -- tables -----------------------------------------------------------------------------------------------------------


def tables(found: dict[Path, dict[tuple[str, str], list[Measured]]]) -> str:
    """Return three tables of each base: costs, what is kept, how near draws are; by corpus and preset, of all seeds."""
    return "\n\n".join(text for base, rows in found.items() for text in (base.name, *_of_base(rows)))


def _of_base(found: dict[tuple[str, str], list[Measured]]) -> Iterator[str]:
    for heads, cells in ((COST, cost), (KEPT, kept)):
        yield table(heads, [[*whose, *cells(runs)] for whose, runs in found.items()])
    yield table(NEAR, [[*whose, way, *near(runs, way)] for whose, runs in found.items() for way in WAYS])


def cost(runs: Sequence[Measured]) -> list[str]:
    """Return the cells of phrases, seconds and steps."""
    spent = [each["seconds"] for each in runs]
    all_ = [[sum(part) for part in zip(*(seconds[name] for name in NEEDED), strict=True)] for seconds in spent]
    cells = [_seconds([seconds[name] for seconds in spent]) for name in (BASE, READING, ENCODING, AGAIN, TRAINING)]
    steps = ", ".join(f"{_mean([each[name] for each in runs]):.0f}" for name in ("steps", "best"))
    return [str(runs[0]["phrases"]["train"]), *cells, steps, _seconds(all_)]


def kept(runs: Sequence[Measured]) -> list[str]:
    """Return the cells of what is kept of latents, and of how various draws are."""
    asked = [("constraint_reconstruction", "z_r2"), ("constraint_agreement", "accuracy"), (LATENTS, "kl_nats")]
    asked += [("phrase_samples", name) for name in ("distinct", "verbatim_of_training")] + [(SAMPLES, "silent")]
    far = [shown(runs, name, LATENTS, "mmd_to_training") for name in (*DRAWN, "real")]
    return [*(shown(runs, "model", *each) for each in asked), _wished(runs), *far]


def near(runs: Sequence[Measured], way: str) -> list[str]:
    """Return the cells of how near draws are to phrases of training, how much nearer than the prior's, and to how many."""
    far = [shown(runs, name, SAMPLES, f"{way}_from_training") for name in SETS]
    nearer = [shown(runs, name, SAMPLES, f"{way}_closer_to_training") for name in SETS[:2]]
    return [*far, *nearer, *(shown(runs, name, SAMPLES, f"{way}_coverage") for name in DRAWN)]


def shown(runs: Sequence[Measured], column: str, section: str, metric: str) -> str:
    """Return an estimate with its interval; of several seeds the mean, with the least and the greatest."""
    found = [each["metrics"].get(column, {}).get(section, {}).get(metric) for each in runs]
    if None in found:
        return "-"
    values = [each["value"] for each in found]
    ends = (min(values), max(values)) if len(values) > 1 else (found[0]["low"], found[0]["high"])
    digits = ".3f" if abs(_mean(values)) < 2 else ".2f"
    return f"{_mean(values):{digits}}" + ("" if math.isnan(ends[0]) else f" ({ends[0]:{digits}} - {ends[1]:{digits}})")


def _wished(runs: Sequence[Measured]) -> str:
    """Return the share of draws that are of the class that was wished, over all classes; by chance that is one by their number."""
    wishes = [estimate["value"] for each in runs for estimate in each["metrics"]["model"].get("constraint_wishes", {}).values()]
    return f"{_mean(wishes):.3f}" if wishes else "-"


def _seconds(spent: Sequence[Sequence[float]]) -> str:
    return "{:.1f} ({:.1f})".format(*(_mean(part) for part in zip(*spent, strict=True)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# -- the command line -------------------------------------------------------------------------------------------------


def calm(path: Path, folder: Path) -> Path:
    """Write the songs to validate on of a table that have the fewest notes a bar as MIDI files into `folder`; return it.

    Raises
    ------
    InputError : the table cannot be read, or has no such songs.
    """
    from data import phrases, voice_tables

    def rate(song: voice_tables.Song) -> float:  # notes a step of all voices together
        return sum(len(notes) for _, notes in song.voices) / max(notes.offset.max(initial=1) for _, notes in song.voices)

    songs = [song for song in voice_tables.read(path) if song.split == "valid"]
    if not songs:
        raise InputError(f"{path}: has no songs to validate on; give pieces of your own as --corpora")
    for song in sorted(songs, key=rate)[:SONGS]:
        phrases.write(make_folder(folder) / f"{song.name.replace('/', '_')}.mid", _together(song.voices))
    return folder


def _together(voices: Sequence[tuple[int, Any]]) -> Any:
    """Return the notes of voices, each on a track."""
    import numpy as np

    from data.notes import Track
    from data.phrases import StepNotes

    columns = [np.concatenate([getattr(notes, name) for _, notes in voices]) for name in ("onset", "offset", "pitch", "velocity")]
    track = np.repeat(np.arange(len(voices)), [len(notes) for _, notes in voices])
    return StepNotes(*columns, track, tuple(Track(f"Voice {number}", 0) for number, _ in voices))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = cli.Parser(description=__doc__)
    add = result.add_argument
    add("--base", nargs="+", type=Path, required=True, metavar="RUN", help="MusicVAEs to stand on")
    add("--corpora", nargs="+", type=Path, default=[], metavar="DIR", help="pieces to be like, folders or files")
    add("--songs", type=Path, metavar="FILE", help="a table of voices that a corpus is made of")
    presets = "each may have flags with it, in quotes (default: %(default)s)"
    add("--presets", nargs="+", default=["midime", "personal", "realism"], metavar="PRESET", help=presets)
    add("-o", "--output", type=Path, default=Path(f"saves/{SYSTEM}"), metavar="DIR", help="of the runs (default: %(default)s)")
    add("--seeds", nargs="+", type=int, default=[0], metavar="N", help="of training (default: 0)")
    add("--repeat", action="store_true", help="measure anew what was measured before")
    return result


def check(args: argparse.Namespace) -> None:
    """Check what the command line says.

    Raises
    ------
    InputError : no such preset, no corpus, or two of one name.
    """
    wrong = [preset for preset in args.presets if preset.split(" ")[0] not in PRESETS]
    if wrong:
        raise InputError(f"--presets {wrong[0]}: there are {' '.join(PRESETS)}")
    if not (args.corpora or args.songs):
        raise InputError("give --corpora, or --songs")
    for paths in (args.base, args.corpora):
        if len({path.name for path in paths}) < len(paths):
            raise InputError(f"{' '.join(map(str, paths))}: two have one name, as runs would; give them to two --output")


def main(argv: list[str]) -> int:
    """Do what the command line `argv` says; return the exit code."""
    args, further = parser().parse_known_args(argv)
    check(args)
    output = make_folder(args.output).resolve()
    corpora = [corpus.resolve() for corpus in args.corpora] + ([calm(args.songs, output / "calm")] if args.songs else [])
    presets = [" ".join([preset, *further]) for preset in args.presets]
    attempts, found = cli.Attempts(), {base.resolve(): {} for base in args.base}
    for base, corpus, preset, seed in itertools.product(found, corpora, presets, args.seeds):
        if measured := attempts(alone, Case(base, corpus, preset, seed, output), args.repeat):
            found[base].setdefault((corpus.name, preset), []).append(measured)
            write_text(output / TABLES, f"{tables(found)}\n")
    print(tables(found))
    return attempts.code


if __name__ == "__main__":
    cli.run(main)
