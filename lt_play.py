#!/usr/bin/env python3
"""Play with trained runs: hear what a model makes of recordings, scores, labels and places of its latent space."""

import argparse
import importlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from models.play_flags import add_flags, whole
from models.run_folder import weights
from utils import cli
from utils.config import InputError
from utils.inputs import distinct, found

WIDTH = 120  # characters of a line of the help
EXAMPLES = """info -m saves/crossmodal__flute
audio -m saves/crossmodal__flute -i solo.wav
midi -m saves/crossmodal__flute saves/crossmodal__cello -i songs -o out -t -12 -d mf
sequence -m saves/crossmodal__flute -i A4:mf C5:mf Eb5:ff
morphing -m saves/crossmodal__flute_cello -i A4:mf+C3:p C5+E3 --interp_order spherical
trajectory -m saves/crossmodal__flute --traj circle helix --n_generations 3 --radius 6
free_navigation -m saves/crossmodal__flute
full_instruments -m saves/timbre__l2_nsgt-octave
pairwise_paths -m saves/timbre__l2_nsgt-octave -i Flute Violin Oboe --path spherical expressive
random_paths -m saves/timbre__l2_nsgt-octave --shape spiralOut circle --centre note
perceptual_infer -m saves/timbre__l2_nsgt-octave -i viola tuba.wav
descriptor_synthesis -m saves/timbre__l2_nsgt-octave --descriptor centroid bandwidth --curve rise --curve=-exp
sample -m saves/classifying__cl_lstm -n 4 -t 64
sample -m saves/classifying__cl_lstm -i songs --infer_w --temperature 0.8
sample -m saves/classifying__cl_vae --key "f# minor" --seed_frames 0
interpolate -m saves/classifying__cl_lstm -i one.mid other.mid -t 64
key_path -m saves/classifying__cl_lstm --keys C G D a -t 48
midi -m saves/classifying__cl_lstm -i songs -o out"""


@dataclass(frozen=True)
class Mode:
    """One row of the table: what a mode is, the module that holds a function of its name, and what it takes."""

    text: str
    module: str
    flags: str = ""  # those that not all modes take
    needs: tuple[str, ...] = ()  # modalities of the model; a mode without any only reads the run's folder
    input: str = ""  # what -i takes
    suffixes: tuple[str, ...] = ()  # of files that are found in folders and played one by one; without any, -i is the mode's own
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of flags, where they are others than those of most modes
    scores: str = ""  # the module that does it with runs of scores, where these do it in their own way


FILES, LABELS = "files", "labels"
SCORE = ("score",)
OUT, BOTH = "output graphs griffinlim_iters ", ("signal", "symbol")
WRITTEN = "output graphs input seed frames use_z_prior seed_frames temperature tempo w "
TOLD = OUT + "labels "
FIVE_SECONDS = {"n_steps": 1565}
MODES = {
    "info": Mode("print what a run is: its configuration, size, training and scores", "models.play_info"),
    "audio": Mode(
        "transcribe and resynthesise recordings: FILE_reconstruction.wav, FILE.mid, FILE.csv, FILE.pdf",
        *("models.play_files", OUT + "input latent_sample seed", BOTH, FILES, (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")),
    ),
    "midi": Mode(
        "play MIDI files: FILE.wav, FILE.csv, FILE.pdf; for mixtures one MIDI track an instrument, by its name; runs of scores "
        "make them anew and tell their key: FILE_reconstruction.mid, FILE_reconstruction.wav, FILE.csv, FILE.pdf",
        *("models.play_files", OUT + "input latent_sample seed transposition dynamics", BOTH, FILES, (".mid", ".midi")),
        scores="models.play_pieces",
    ),
    "sequence": Mode(
        "play labels one after another: LABELS.wav, LABELS.mid, LABELS.csv, LABELS.pdf",
        *("models.play_paths", OUT + "input latent_sample seed transposition dynamics n_steps", BOTH, LABELS),
    ),
    "morphing": Mode(
        "melt labels into each other, through what lies between their latents: LABELS_interp_ORDER.wav, .mid, .csv, .pdf",
        *("models.play_paths", OUT + "input transposition dynamics n_steps interp_order", BOTH, LABELS),
    ),
    "trajectory": Mode(
        "play curves through the latent space, drawn at random where the prior has its mass: TYPE_NUMBER.wav, .mid, .csv, .pdf",
        *("models.play_paths", TOLD + "seed n_steps n_generations traj radius turns", ("signal",)),
    ),
    "free_navigation": Mode(
        "move through the latent space by hand and hear what is there: navigation.txt, .wav, .mid, .csv, .pdf",
        *("models.play_navigation", TOLD + "seed script replay", ("signal",)),
    ),
    "full_instruments": Mode(
        "play a loud held-out note of each instrument again: INSTRUMENT_NOTE.wav, _original.wav, .csv, .pdf, _path.png",
        *("models.play_notes", "output graphs griffinlim_iters seed split n_generations", ("signal",)),
        defaults={"n_generations": 1},
    ),
    "pairwise_paths": Mode(
        "melt loud notes of each pair of instruments into each other: INSTRUMENT_INSTRUMENT_PATH.wav, .csv, .pdf, _path.png",
        *("models.play_notes", TOLD + "input seed split path select expression n_steps", ("signal",)),
        defaults=FIVE_SECONDS,
    ),
    "random_paths": Mode(
        "play spirals and circles around places drawn at random: SHAPE_CENTRE_NUMBER.wav, .csv, .pdf, _path.png",
        *("models.play_notes", TOLD + "seed split shape centre n_steps n_generations", ("signal",)),
        defaults={**FIVE_SECONDS, "n_generations": 3},
    ),
    "perceptual_infer": Mode(
        "find where unseen instruments lie: space.pdf, means.csv, distances.csv, NOTE.wav, _original.wav, .csv, .pdf",
        *("models.play_unseen", TOLD + "input", ("signal",), "recordings, folders of them, or corpora"),
    ),
    "descriptor_synthesis": Mode(
        "let a descriptor of sound follow a curve, from a loud note on: NOTE_DESCRIPTOR_CURVE.wav, .csv, .pdf, _path.png",
        *("models.play_descriptors", TOLD + "input seed split descriptor curve curve_file by n_steps n_generations", ("signal",)),
        defaults={**FIVE_SECONDS, "n_generations": 1},
    ),
    "sample": Mode(
        "write music that goes on from a seed: sample_NUMBER.mid, .wav, .pdf, _seed.mid, _seed.wav, and samples.csv",
        *("models.play_scores", WRITTEN + "n_generations only key infer_w discrete_w split", SCORE),
        defaults={"n_generations": 1},
    ),
    "interpolate": Mode(
        "melt two pieces of music into each other, place after place: PIECE_PIECE.mid, .wav, .csv, .pdf",
        *("models.play_pieces", "output graphs input frames n_steps interp_order temperature tempo seed", SCORE, "two pieces"),
        defaults={"n_steps": 8},
    ),
    "key_path": Mode(
        "write music that goes through keys: key_path.mid, .wav, .csv, .pdf",
        *("models.play_scores", WRITTEN + "keys", (*SCORE, "key")),
    ),
}


def parser(modes: Sequence[str] = tuple(MODES)) -> argparse.ArgumentParser:
    """Return the command line of some modes."""
    lines = [textwrap.fill(MODES[m].text, WIDTH, initial_indent=f"  {m:<22}", subsequent_indent=" " * 24) for m in modes]
    notes = "Several runs may be given, several files, and folders of files. Results lie in RUN/MODE unless -o says otherwise."
    examples = [f"  lt_play.py {example}" for example in EXAMPLES.splitlines() if example.split()[0] in modes]
    texts = {"description": "\n".join([__doc__, "", *lines, "", notes]), "epilog": "\n".join(["examples:", *examples])}
    result = cli.Parser(conflict_handler="resolve", **texts)  # a mode's own short names win
    result.add_argument("mode", choices=list(MODES), help="what to do")
    result.add_argument("-m", "--models", nargs="+", type=Path, default=[], metavar="RUN", help="folders of trained runs")
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
        users = [m for m, row in MODES.items() if names[-1].lstrip("-") in row.flags.split()]
        if set(users) & set(modes):
            free = [name for name in names if not (several and name in short)]
            short.update(names)
            result.add_argument(*free, help=f"{help} [{', '.join(users)}]" if several else help, **options)

    add_flags(add)
    if not several:
        result.set_defaults(**MODES[modes[0]].defaults)
    return result


def long_name(word: str) -> str:
    """Return what a flag on the command line is called in full, without its value; another word as it is."""
    full = {}
    add_flags(lambda *names, **_: full.setdefault(names[0], names[-1]))
    flag = word.partition("=")[0] if word.startswith("-") else word
    return full.get(flag, flag)


def main(argv: list[str]) -> int:
    """Play as the command line `argv` says; return the exit code."""
    name = argv[0] if argv and argv[0] in MODES else parser().parse_known_args(argv)[0].mode
    mode, own = MODES[name], parser([name])
    given, strange = own.parse_known_args(argv)
    if given.info:
        print(own.format_help())
        return 0
    if strange:
        raise InputError(f"{name}: takes no {long_name(strange[0])}; lt_play.py {name} --info says what it takes")
    args = argparse.Namespace(**vars(parser().parse_args([name])) | vars(given))
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
            attempts(perform, mode, run, shared or run / name, files, args, attempts)
    return attempts.code


def perform(mode: Mode, run: Path, out: Path, files: dict[Path, str], args: argparse.Namespace, attempts: cli.Attempts) -> None:
    """Do what a mode does with one run, file by file where it takes files, and print the names of what it writes."""
    if not mode.needs:
        function(mode.module, args.mode)(run)
        return
    from models import recorded
    from models.rendering import Player
    from models.runs import load_run
    from utils import device
    from utils.paths import make_folder

    where = device.select(device.named(args.device, args.cuda))
    model = load_run(run, where, args.weights)
    condition = recorded.spoken(model, args.labels) if args.labels else recorded.usual(model)
    player = Player(model, args.griffinlim_iters, bool(args.latent_sample), args.seed, condition, run)
    module, needs = (mode.scores, SCORE) if mode.scores and set(SCORE) <= set(model.representations) else (mode.module, mode.needs)
    for modality in needs:
        naming(run, partial(player.representation, modality))
    make_folder(out)
    play = function(module, args.mode)
    tasks = {path: partial(play, player, path, out / name, args) for path, name in files.items()}
    for about, task in (tasks or {run: partial(play, player, out, args)}).items():
        for result in attempts(naming, about, task) or ():
            print(result, flush=True)


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
