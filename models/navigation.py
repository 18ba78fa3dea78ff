"""Walk through a model's latent space: where one stands, and the commands that move one. Knows neither sound nor terminal.

A session is a list of commands, one a line. Time passes only in `wait`; a move starts a glide, linear in time, that goes on while
one waits, and whatever comes next starts from where it has come to. So keys that are pressed in haste and a script that is written
at leisure are the same thing, and a saved session is replayed bit for bit.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.commands import MANY, Command, number, table, whole
from models.latent_space import Space
from utils.config import InputError
from utils.device import seed_of
from utils.files import write_text

FARTHEST = 10.0  # standard deviations from the centre along an axis
LONGEST = 1800.0  # s that are recorded, or waited at once
GLIDE, SLOWEST = 0.2, 60.0  # s that a move takes, at first and at most; or so many points in time, if these are longer


class Glide(NamedTuple):
    """A way from one latent (Z,) to another, between two points in time."""

    start: Tensor
    goal: Tensor
    begin: int
    end: int

    def at(self, points: Tensor) -> Tensor:
        """Return the latents (N, Z) at points in time (N,)."""
        share = torch.where(points < self.end, (points - self.begin) / max(self.end - self.begin, 1), 1.0).clamp(min=0)
        return torch.lerp(self.start, self.goal, share[:, None])


class Navigation:
    """Where one stands in a space, where one has been, and what brought one there."""

    def __init__(self, space: Space, recording: bool = True):
        self.space, self.rate = space, space.rate  # points a second
        self.commands = {**space.commands, **COMMANDS}
        self.clock, self.seconds, self.ended = 0, GLIDE, False
        self.glide = Glide(space.centre, space.centre, 0, 0)
        self.recording, self.recorded_first = recording, recording
        self.path: list[Tensor] = []  # what was recorded
        self.log: list[str] = []
        self.before: list[Tensor] = []  # goals, for undo
        self.marks: dict[str, Tensor] = {}
        self.drawn = 0  # times that chance was asked

    def execute(self, line: str) -> str:
        """Do what a line says, and return what there is to tell of it.

        Raises
        ------
        InputError : the line makes no sense; nothing has changed then.
        """
        words = line.split()
        if not words or words[0].startswith("#"):
            return ""
        command = self.commands.get(words[0])
        if command is None:
            raise InputError(f"{words[0]!r} is no command: {' '.join(self.commands)} are")
        if not command.least <= len(words) - 1 <= command.most:
            raise InputError(f"write it as: {command.usage}")
        if words == ["random"]:  # so that a replay depends on no seed
            words.append(str(seed_of(self.space.player.seed, "random", self.drawn) % 10**6))
        answer = command.do(self, *words[1:])
        if command.kept:
            self.log.append(" ".join(words))
        return answer or ""

    @property
    def goal(self) -> Tensor:
        """Return where the last move leads to, (Z,)."""
        return self.glide.goal

    def at(self, point: int) -> Tensor:
        """Return where one is, (Z,), at a point in time from now on, if nothing is done until then."""
        return self.glide.at(torch.tensor([point]))[0]

    def settle(self) -> None:
        """Wait until the last glide has come to its end."""
        if self.clock < self.glide.end:
            self.pass_time(self.glide.end - self.clock)

    def pass_time(self, points: int) -> None:
        """Wait for some points in time."""
        self.execute(f"wait {points / self.rate:.4f}")

    @property
    def recorded(self) -> int:
        """Return the points in time that were recorded."""
        return sum(map(len, self.path))

    @property
    def trajectory(self) -> Tensor:
        """Return what was recorded, (N, Z)."""
        return torch.cat(self.path) if self.path else self.space.centre.new_zeros(0, len(self.space.centre))

    @property
    def text(self) -> str:
        """Return the session as a script. Where nothing was ever recorded, its replay records everything."""
        quiet = ["record off"] if not self.recorded_first and "record on" in self.log else []
        return "\n".join(["# a session of lt_play.py free_navigation", *self.space.preamble, *quiet, *self.log]) + "\n"

    def move(self, goal: Tensor, remember: bool = True) -> None:
        """Glide to a latent (Z,) from now on."""
        if remember:
            self.before.append(self.goal)
        self.glide = Glide(self.at(self.clock), goal, self.clock, self.clock + round(self.seconds * self.rate))

    def approach(self, goal: Tensor, fraction: float) -> None:
        """Glide a fraction of the way to a latent (Z,)."""
        self.move(torch.lerp(self.goal, goal, fraction))

    # -- commands -----------------------------------------------------------------------------------------------------

    def _axis(self, *words: str) -> None:
        if len(words) % 2:
            raise InputError(f"write it as: {COMMANDS['axis'].usage}")
        goal = self.goal
        for name, amount in zip(words[::2], words[1::2], strict=True):
            axis = whole(name, "axis", 1, len(self.space.axes)) - 1
            before = self.space.coordinates(goal)[axis]
            goal = goal + number(amount, "axis", -2 * FARTHEST, 2 * FARTHEST) * self.space.scales[axis] * self.space.axes[axis]
            if abs(self.space.coordinates(goal)[axis]) > max(FARTHEST, abs(before)):  # one may always come nearer
                raise InputError(f"axis {name} {amount}: leads more than {FARTHEST:g} standard deviations away from the centre")
        self.move(goal)

    def _home(self) -> None:
        self.move(self.space.centre)

    def _random(self, name: str) -> None:
        self.move(self.space.drawn(whole(name, "random", 0, 10**9)))
        self.drawn += 1

    def _undo(self) -> None:
        if not self.before:
            raise InputError("undo: there is nothing to undo")
        self.move(self.before.pop(), remember=False)

    def _mark(self, name: str) -> None:
        self.marks[name] = self.goal

    def _goto(self, name: str) -> None:
        if name not in self.marks:
            raise InputError(f"goto {name}: there is no such mark, {'only ' + ' '.join(self.marks) if self.marks else 'nor any'}")
        self.move(self.marks[name])

    def _wait(self, seconds: str) -> str:
        points = round(number(seconds, "wait", 0, LONGEST) * self.rate)
        if self.recording:
            if self.recorded + points > LONGEST * self.rate:
                raise InputError(f"wait {seconds}: more than {LONGEST:g} s would be recorded; record less in one session")
            self.path.append(self.glide.at(torch.arange(self.clock, self.clock + points)))
        self.clock += points
        idle = not points and float(seconds) > 0
        return f"wait {seconds}: nothing passes, as time goes by in steps of {1 / self.rate:g} s here" if idle else ""

    def _glide(self, seconds: str) -> None:
        self.seconds = number(seconds, "glide", 0, max(SLOWEST, SLOWEST / self.rate))

    def _record(self, word: str) -> None:
        if word not in ("on", "off"):
            raise InputError(f"record {word}: write on or off")
        self.recording = word == "on"

    def _save(self, *words: str) -> str:
        path = Path(" ".join(words))
        if os.path.lexists(path):
            raise InputError(f"save {path}: is there already; take another name")
        write_text(path, self.text)
        return f"saved {path}"

    def _print(self) -> str:
        z = self.at(self.clock)
        axes = " ".join(f"{axis}:{value:.2f}" for axis, value in enumerate(self.space.coordinates(z)[:8].tolist(), 1))
        return "  ".join(filter(None, (f"{self.clock / self.rate:.3f} s", self.space.told(z), f"axes {axes}")))

    def _help(self) -> str:
        return "\n".join(f"{command.usage:<42} {command.summary}" for command in self.commands.values())

    def _quit(self) -> None:
        self.ended = True


COMMANDS = table(
    Command("axis N AMOUNT [N AMOUNT ...]", "move along axes, in deviations", Navigation._axis, 2, MANY),
    Command("home", "glide to the centre", Navigation._home),
    Command("random [NUMBER]", "glide to a draw of the prior", Navigation._random, 0, 1),
    Command("undo", "glide back to before the last move", Navigation._undo),
    Command("mark NAME", "remember where this leads to", Navigation._mark, 1, 1),
    Command("goto NAME", "glide to a mark", Navigation._goto, 1, 1),
    Command("glide SECONDS", "time that a move takes", Navigation._glide, 1, 1),
    Command("wait SECONDS", "let time pass", Navigation._wait, 1, 1),
    Command("record on|off", "what is to be rendered", Navigation._record, 1, 1),
    Command("print", "tell where this is", Navigation._print, kept=False),
    Command("save FILE", "save the session so far", Navigation._save, 1, MANY, kept=False),
    Command("help", "list the commands", Navigation._help, kept=False),
    Command("quit", "end the session", Navigation._quit, kept=False),
)


class Script:
    """Lines that are executed one after another; `name` is for errors."""

    def __init__(self, lines: Sequence[str], name: str):
        self.lines, self.name, self.done = lines, name, 0

    def step(self, navigation: Navigation) -> str:
        """Execute the next line and return what there is to tell of it.

        Raises
        ------
        InputError : the line makes no sense; says which it is.
        """
        self.done += 1
        try:
            return navigation.execute(self.lines[self.done - 1])
        except InputError as error:
            raise InputError(f"{self.name}, line {self.done}: {error}") from None

    def left(self, navigation: Navigation) -> bool:
        """Tell whether there is more to do."""
        return self.done < len(self.lines) and not navigation.ended
