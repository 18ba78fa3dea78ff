"""Explore a latent space by keys or by a script, and write what was recorded: the same for spaces of every kind."""

import contextlib
import io
import itertools
import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from models.latent_space import Space
from models.navigation import Navigation, Script
from models.pilot import Pilot, Sight
from utils import screen
from utils.config import InputError
from utils.files import write_text

log = logging.getLogger(__name__)

LONGEST = 2**24  # characters of a script
SESSION = ".txt"
RESULTS = (SESSION, ".wav", ".mid", ".csv", ".pdf", ".npz")


class Land(NamedTuple):
    """What one kind of space brings along."""

    survey: Callable[[], Space]
    sight: Callable[[Space], AbstractContextManager[Sight]]  # opens eyes and ears
    write: Callable[[Space, Tensor, Path], list[str]]  # what was recorded, (N, Z), into files of a path less its suffix


def explore(land: Land, folder: Path, args: Namespace) -> list[str]:
    """Walk through a latent space; return the names of the files written.

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
    navigation, target = Navigation(land.survey(), recording=bool(script)), free_target(folder)
    if terminal and not args.script:
        _show(land, navigation, target, script)
    while script and script.left(navigation):
        if answer := script.step(navigation):
            print(answer)
    navigation.settle()
    if any(Path(f"{target}{end}").exists() for end in RESULTS if end != SESSION):  # which was kept under this name meanwhile
        target = free_target(folder)
    made = _save(navigation, target)
    if navigation.recorded:
        made += land.write(navigation.space, navigation.trajectory, target)
    return made


def free_target(folder: Path, name: str = "navigation") -> Path:
    """Return the path, less its suffix, under which results replace nothing: navigation, navigation_2 ..."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
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


def _show(land: Land, navigation: Navigation, target: Path, script: Script | None) -> None:
    """Let a session be seen, heard and steered; it is saved however it ends."""
    try:
        with land.sight(navigation.space) as sight:
            screen.run(Pilot(navigation, Path(f"{target}.txt"), script, sight))
    finally:
        for saved in _save(navigation, target):
            log.info("the session can be repeated with --replay %s", saved)
