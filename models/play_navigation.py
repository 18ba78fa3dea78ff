"""The mode `free_navigation`: explore a latent space by keys or by a script, hear it, and write what was recorded."""

import contextlib
import io
import itertools
import logging
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
from torch import Tensor

from models.latent_space import survey
from models.navigation import Navigation, Script
from models.pilot import Pilot
from models.play_paths import write_path
from models.rendering import Player
from utils import screen
from utils.config import InputError
from utils.files import write_text
from utils.loudspeaker import Loudspeaker

log = logging.getLogger(__name__)

LONGEST = 2**24  # characters of a script
RESULTS = (".txt", ".wav", ".mid", ".csv", ".pdf")
HELD, ITERATIONS = 48, 5  # frames of a grain of live sound, and how often its phase is refined
LOUDNESS = 0.3  # about the amplitude of the loudest of live sounds


def free_navigation(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Walk through the latent space of a run; return the names of the files written.

    Raises
    ------
    InputError : a line of a script makes no sense, or there is neither a script nor a terminal.
    """
    if args.script and args.replay:
        raise InputError("give either --script or --replay")
    terminal = all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout))  # None where it is closed
    if not (args.script or args.replay or terminal):
        raise InputError(
            "there is no terminal to show this on: give a script with --script FILE, or --script - to read it from stdin"
        )
    given = args.script or args.replay
    script = Script(*_read(given)) if given else None
    navigation, target = Navigation(survey(player), recording=bool(script)), free_target(folder)
    if terminal and not args.script:
        _show(navigation, target, script)
    while script and script.left(navigation):
        if answer := script.step(navigation):
            print(answer)
    navigation.settle()
    made = _save(navigation, target)
    if navigation.recorded:
        made += write_path(player, navigation.trajectory, target, bool(args.graphs))
    return made


def free_target(folder: Path) -> Path:
    """Return the path, less its suffix, under which results replace nothing: navigation, navigation_2 ..."""
    names = itertools.chain(["navigation"], (f"navigation_{number}" for number in itertools.count(2)))
    return next(folder / name for name in names if not any((folder / f"{name}{end}").exists() for end in RESULTS))


def _read(given: Path) -> tuple[list[str], str]:
    """Return the lines of a script, "-" being stdin, and its name."""
    name = "stdin" if str(given) == "-" else str(given)
    try:
        with contextlib.nullcontext(sys.stdin or io.StringIO()) if name == "stdin" else open(given, encoding="utf-8-sig") as file:
            text = file.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read as a script ({getattr(error, 'strerror', '') or 'it is no text'})") from None
    if len(text) > LONGEST or "\x00" in text:
        wrong = "is no text" if "\x00" in text else f"has more than {LONGEST:,} characters"
        raise InputError(f"{name}: cannot be read as a script (it {wrong})")
    return text.splitlines(), name


def _save(navigation: Navigation, target: Path) -> list[str]:
    if not navigation.log:
        return []
    write_text(Path(f"{target}.txt"), navigation.text)
    return [f"{target}.txt"]


def _show(navigation: Navigation, target: Path, script: Script | None) -> None:
    """Let a session be seen, heard and steered; it is saved however it ends."""
    signal = navigation.space.player.representation("signal")
    gain = LOUDNESS / (navigation.space.spectra().norm(dim=1).max().item() / signal.full_scale + 1e-9)

    def grain(spectrum: Tensor) -> np.ndarray:
        return gain * signal.invert(spectrum.expand(HELD, -1), ITERATIONS).samples

    try:
        with Loudspeaker(grain, signal.sample_rate) as speaker:
            screen.run(Pilot(navigation, Path(f"{target}.txt"), script, speaker))
    finally:
        for saved in _save(navigation, target):
            log.info("the session can be repeated with --replay %s", saved)
