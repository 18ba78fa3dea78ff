"""The flags that not all modes of lt_play.py take, and how their values are read. Imports no torch."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from data.splits import ALL, SPLITS
from utils import curves

ITERATIONS = 30  # of phase retrieval
MOST_FRAMES = 100_000  # of music that is generated at once
MOST_AXES, FEW_AXES = 16, 4  # of a latent space that are all swept; else so many of them
FARTHEST = 1000  # deviations of the prior from its mean
DESCRIPTORS = ("centroid", "bandwidth", "flatness", "rolloff", "loudness")  # utils.descriptors.NAMES, which needs torch


def add_flags(add: Callable) -> None:
    """Add all of them by `add`, which takes what `argparse` takes."""
    number = {"type": whole(1), "metavar": "N"}
    given = (
        "files, or folders of them; labels: words like A4:mf and rest, A4:mf+C3:p for a mixture, or their class ids; "
        "names of instruments (default: all of the run); or pieces: files or folders of MIDI, MusicXML and tables, or names of "
        "pieces of the run's corpus"
    )
    add("-i", "--input", nargs="+", default=[], action="extend", metavar="INPUT", help=given)
    for count, place in enumerate(("first", "second"), 1):
        add(f"--input_midi_{count}", metavar="FILE", help=f"the {place} of two pieces, instead of -i")
    add(
        "-o",
        "--output",
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="folder for the results (default: one in the run, named as the mode)",
    )
    add("-t", "--transposition", type=int, default=0, metavar="SEMITONES", help="transpose by so much (default: 0)")
    add("-d", "--dynamics", default="", metavar="CLASS", help="play everything in this dynamics, given by name or class id")
    sampled = (
        "1: sample the posterior, once a note or label, in audio once a file, of a score once a window, instead of taking its mean "
        "(default: 0)"
    )
    add("-s", "--latent_sample", type=int, choices=(0, 1), default=0, help=sampled)
    add("-g", "--graphs", type=int, choices=(0, 1), default=1, help="draw figures (default: 1)")
    add("--griffinlim_iters", default=ITERATIONS, help="iterations of phase retrieval (default: %(default)s)", **number)
    steps = (
        "points in time a label, from label to label, or a path, at the default transform 313 a second; between two pieces, places "
        "(default: %(default)s; 1565 in modes between notes, 8 between pieces)"
    )
    add("--n_steps", default=500, help=steps, **number)
    orders = ("0", "1", "2", "3", "spherical")
    add("--interp_order", choices=orders, help="degree of the spline, or along great circles (default: 1; of phrases spherical)")
    kinds = ("line", "circle", "helix", "spiral")
    add("--traj", nargs="+", choices=kinds, default=["line"], help="kinds of curves (default: line)")
    many = (
        "curves of each kind, notes of each instrument, notes to start from, pieces or phrases of music, or places between two "
        "phrases or along an axis, these included (default: %(default)s; 3 random paths, 1 note, 1 piece; 5 places, 7 along an "
        "axis, 8 phrases of a walk)"
    )
    add("-n", "--n_generations", "--num_outputs", default=10, help=many, **number)
    add_space_flags(add)
    add_score_flags(add)
    add_phrase_flags(add)
    told = "what a run with --conditioning is told, as A, A4 or A4:mf, or a class id (default: A, 4, mf, or what a note itself is)"
    add("--labels", default="", metavar="LABEL", help=told)
    add("--seed", type=int, default=0, help="seed of what is drawn (default: 0)")


def add_space_flags(add: Callable) -> None:
    """Add those of curves and paths in the latent space."""
    positive, several = {"type": above_0, "metavar": "X"}, {"nargs": "+"}
    apart = "of curves (default: half of what two draws from the prior are apart on average, 4 with 32 latent dimensions)"
    add("--radius", help=apart, **positive)
    add("--turns", default=1.0, help="of curves (default: 1)", **positive)
    add("--script", type=Path, metavar="FILE", help="commands to follow, instead of those of a terminal; - for stdin")
    add("--replay", type=Path, metavar="FILE", help="a saved session to repeat")
    add("--split", choices=(*SPLITS, ALL), default="test", help="of the run's corpus, that notes or pieces are of (default: test)")
    kinds = ("linear", "spherical", "expressive")
    add("--path", choices=kinds, default=["spherical"], help="kinds of paths between notes (default: spherical)", **several)
    same = "loud notes of the pitch class and octave that most instruments share, or any (default: note)"
    add("--select", choices=("note", "loudest"), default="note", help=same)
    own = "share of the notes' own ways that an expressive path goes along (default: 0.7)"
    add("--expression", default=0.7, help=own, **positive)
    shapes = ("spiralOut", "spiralIn", "circle")
    add("--shape", choices=shapes, default=["spiralOut", "spiralIn"], help="of random paths (default: both spirals)", **several)
    add("--centre", choices=("prior", "note"), default="prior", help="of random paths: a draw, or a note (default: prior)")
    add("--descriptor", choices=DESCRIPTORS, default=["centroid"], help="what is to change (default: centroid)", **several)
    change = "how it is to change, --curve=-exp for those with a minus; several may be given (default: rise)"
    add("--curve", choices=curves.NAMES, default=[], action="extend", help=change, **several)
    table = "how it is to change: a table of time and value, in Hz, dB or without a unit, or of time and relative, from -1 to 1"
    add("--curve_file", type=Path, metavar="CSV", help=table)
    way = "move on a grid of the three principal axes, or along the gradient in the whole space (default: gradient)"
    add("--by", choices=("grid", "gradient"), default="gradient", help=way)


def add_score_flags(add: Callable) -> None:
    """Add those of music that is written."""
    steps = {"type": whole(1, MOST_FRAMES), "metavar": "STEPS"}
    add("-t", "--frames", default=32, help="steps to write, in key_path in each key, of interpolate to read (default: 32)", **steps)
    add("-c", "--only", default="", metavar="KEY", help="take only seeds of pieces in this key, as training counts it")
    told = "tell this key, as C, f#, Eb or 'a minor' (default: the key of the seed's piece; without a seed one drawn at random)"
    add("--key", default="", metavar="KEY", help=told)
    add("--infer_w", action="store_true", help="tell what the model infers from the seed, instead of a key")
    add("--discrete_w", action="store_true", help="tell one key, drawn by the weights that --infer_w infers")
    form = "how a key is told: by the mean weights of its windows in training, or by itself alone (default: mean)"
    add("--w", choices=("mean", "one_hot"), help=form)
    add("--use_z_prior", action="store_true", help="draw latents from the prior instead of the posterior of the frame before")
    own = "steps of a seed; 0 = none, everything from the prior (default: a window of frames; of a model with LSTMs as many as -t)"
    add("--seed_frames", type=whole(0, MOST_FRAMES), metavar="STEPS", help=own)
    likely = "by which logits are divided; 0 takes what is most likely (default: 1; of phrases 0.5, or 0 where they are made anew)"
    add("--temperature", type=from_0, metavar="X", help=likely)
    add("--tempo", "--qpm", type=above_0, metavar="QPM", help="quarter notes a minute (default: the piece's own)")
    add("--keys", nargs="+", default=[], metavar="KEY", help="that music goes through, one after another")


def add_phrase_flags(add: Callable) -> None:
    """Add those of phrases, some bars of music."""
    number = {"type": whole(1), "metavar": "N"}
    add("--bar", default=1, help="of a line, at which a phrase begins (default: 1)", **number)
    several = "of files with several, as melodies, or stretches between silent bars or of other metres, which one (default: 1)"
    add("--line", default=1, help=several, **number)
    apart = "how far phrases of a walk are from each other: near 0 they hardly change, at 1 each is new (default: 0.4)"
    add("--stride", type=share, default=0.4, metavar="X", help=apart)
    add_constraint_flags(add)
    add("--attribute", nargs="+", default=[], metavar="NAME", help="attributes to add (default: all of this kind of phrases)")
    times = "how much of them, in distances from phrases with little to phrases with much (default: -2 -1 0 1 2)"
    add("--strength", nargs="+", type=finite, default=[-2.0, -1.0, 0.0, 1.0, 2.0], metavar="X", help=times)
    add("--vectors", type=Path, metavar="NPZ", help="attribute vectors that were written before, by this run")
    add(
        "--corpus", default="", metavar="DIR", help="to find attribute vectors in, or whose pieces a map shows (default: the run's)"
    )


def add_constraint_flags(add: Callable) -> None:
    """Add those of single axes, of runs that stand on another, and of what may be wished of phrases."""
    which = f"axes, from 1 (default: all, or the first {FEW_AXES} of more than {MOST_AXES})"
    add("--axis", nargs="+", type=whole(1), default=[], metavar="N", help=which)
    place = {"type": place_of_prior, "metavar": "X"}
    add("--low", default=-3.0, help="where an axis begins, in deviations of the prior (default: -3)", **place)
    add("--high", default=3.0, help="where it ends (default: 3)", **place)
    add("--from_prior", action="store_true", help="let the other axes stay at a draw of the prior (default: at its mean, 0)")
    add("--pairs", type=whole(1), default=1, metavar="N", help="draws of both, each pair blended by itself (default: 1)")
    wish = "what phrases are to be like, of runs that know wishes, as hit_density=much"
    wide = "of small VAEs on a base: how far latents of the base scatter around their means; 1: as one's own do (default: 0)"
    add("--spread", type=to_10, default=0.0, metavar="X", help=wide)
    add("--wish", nargs="+", default=[], action="extend", metavar="ATTRIBUTE=CLASS", help=wish)


def whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Return what reads whole numbers from `least` to `most`."""
    limits = f"{least} or more" if most == 10**9 else f"{least} to {most}"

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            digits = ", of nine digits at most" if text.isdecimal() and len(text) > 9 else ""
            raise argparse.ArgumentTypeError(f"must be a whole number{digits}, {limits}, not {text[:20]}")
        return int(text)

    return read


def real(rule: Callable[[float], bool], said: str) -> Callable[[str], float]:
    """Return what reads finite numbers that keep a rule, which is said in words."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and rule(value)):
            raise argparse.ArgumentTypeError(f"must be a finite number{said}, not {text[:20]}")
        return value

    return read


above_0 = real(lambda value: value > 0, " above 0")
from_0 = real(lambda value: value >= 0, ", 0 or more")
to_10 = real(lambda value: 0 <= value <= 10, ", 0 or more, 10 at most")
share = real(lambda value: 0 < value <= 1, " above 0, 1 at most")
finite = real(lambda value: True, "")
place_of_prior = real(lambda value: abs(value) <= FARTHEST, f" from -{FARTHEST} to {FARTHEST}")
