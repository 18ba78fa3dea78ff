"""Steer a navigation by keys: what they do, and what is to be seen."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from models.navigation import LONGEST, Navigation, Script
from utils.canvas import Inset, Rows, Symbols, View, clicked, draw
from utils.config import InputError
from utils.files import write_text

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)  # standard deviations that an arrow key moves
QUIET = 10.0  # s of idleness that a session keeps, where it is not recorded
TRAIL = 60  # places where one has been
KEYS = "arrows move  [ ] step  a A axes  {own}  : command  u undo  ? help  q quit"
MOVES = "arrows, mouse: move on the map    [ ]: by less, by more    a A: other axes"
ENDS = "u: undo   h: home   space: random   r: record   s: save   q: quit"


class Landmarks(NamedTuple):
    """Latents (P, Z) that a map shows, with names, and the letters that stand for names where these lie far away."""

    names: Sequence[str]
    letters: Sequence[str]
    z: Tensor


class Sight(Protocol):
    """What there is at places of a space, to be seen and heard."""

    title: str
    keys: str  # of its own, for the last row
    help: tuple[str, ...]  # about these
    trouble: str  # why nothing is heard; "" where something is

    @property
    def landmarks(self) -> Landmarks:
        """Return what the map shows."""

    @property
    def panel(self) -> Inset:
        """Return what is seen beside the map of the place that was looked at."""

    @property
    def foot(self) -> Inset:
        """Return what is seen beneath."""

    def look(self, z: Tensor) -> None:
        """Look at a latent (Z,), and let it be heard."""

    def press(self, key: str, goal: Tensor) -> str | None:
        """Take a key; return the command that it stands for, "" where it changes but what is seen, None where it is no own key."""

    def typed(self, line: str, goal: Tensor) -> str:
        """Return the command that a line stands for which begins with none."""


class Pilot:
    """What keys do, and what is to be seen: an `App` for `utils.screen`.

    Keys become commands, with waits between them that let the session's time follow the clock.
    """

    def __init__(
        self,
        navigation: Navigation,
        path: Path,
        script: Script | None,
        sight: Sight,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.navigation, self.path, self.script, self.sight, self.clock = navigation, path, script, sight, clock
        self.origin = clock()  # when the session's time was 0
        self.shown, self.step = (0, min(1, len(navigation.space.axes) - 1)), 3
        self.prompt: str | None = None
        self.page: tuple[str, ...] = ()
        self.status = sight.trouble or "with sound"
        self.trail: deque[Tensor] = deque(maxlen=TRAIL)
        self.stopped, self.view, self.seen = False, None, None
        places = navigation.space.coordinates(navigation.space.means)
        self.bounds = torch.stack([places.amin(0), places.amax(0)]).numpy()

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Return the point in the session's time."""
        return round((self.clock() - self.origin) * self.navigation.rate)

    @property
    def ended(self) -> bool:
        """Tell whether the session is over."""
        if self.script:
            return self.stopped or (not self.script.left(self.navigation) and self.now >= self.navigation.clock)
        return self.navigation.ended

    def patience(self) -> float:
        """Return for how many seconds nothing new will be seen."""
        return 0.03 if self.script or self.now < self.navigation.glide.end else 0.25

    def command(self, line: str) -> None:
        """Execute a command now."""
        self._catch_up()
        try:
            answer = self.navigation.execute(line)
        except InputError as error:
            self.status = str(error)
            return
        if "\n" in answer:
            self.page = (MOVES, *self.sight.help, ENDS, "", *answer.splitlines())
        else:
            self.status = answer or line

    def _catch_up(self) -> None:
        """Let the session's time pass up to now: idleness is cut short, and a recording does not become too long."""
        walk = self.navigation
        most = int(LONGEST * walk.rate) - walk.recorded if walk.recording else max(int(QUIET * walk.rate), 1)
        if (late := self.now - walk.clock - most) > 0:
            self.origin += late / walk.rate
        if self.now > walk.clock:
            walk.pass_time(self.now - walk.clock)

    def _replay(self) -> None:
        while self.script.left(self.navigation) and self.navigation.clock <= self.now:
            self.status = self.script.lines[self.script.done]
            self.script.step(self.navigation)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Take a key."""
        if self.script:
            self.stopped |= key == "q"
        elif self.prompt is not None:
            self._edit(key)
        elif self.page:
            self.page = ()
        elif (line := self.sight.press(key, self.navigation.goal)) is not None:
            self._do(line)
        elif key in COMMAND_KEYS:
            self.command(COMMAND_KEYS[key])
        elif key in ARROWS:
            axis, sign = ARROWS[key]
            self.command(f"axis {self.shown[axis] + 1} {sign * STEPS[self.step]:g}")
        elif key in ACTIONS:
            ACTIONS[key](self)

    def _do(self, line: str) -> None:
        """Execute the command of a key; without one only what is seen has changed."""
        self.seen = None
        if line:
            self.command(line)

    def click(self, y: int, x: int, height: int, width: int) -> None:
        """Go to a place on the map."""
        place = clicked(self.view, y, x, height, width) if self.view and not self.script else None
        if place is not None:
            way = place - self._on_map(self.navigation.goal)
            self.command(" ".join(["axis", *(f"{axis + 1} {amount:.3f}" for axis, amount in zip(self.shown, way, strict=True))]))

    def _edit(self, key: str) -> None:
        """Take a key while a line is typed."""
        if key in ("escape", "enter"):
            line, self.prompt = self.prompt.strip(), None
            if key == "enter" and line:
                known = line.split()[0] in self.navigation.commands
                self.command(line if known else self.sight.typed(line, self.navigation.goal))
        elif key == "backspace":
            self.prompt = self.prompt[:-1]
        elif len(key) == 1 and key.isprintable():
            self.prompt += key

    def _resize_step(self, by: int) -> None:
        self.step = min(max(self.step + by, 0), len(STEPS) - 1)

    def _next_axis(self, which: int) -> None:
        shown, number = list(self.shown), len(self.navigation.space.axes)
        shown[which] = (shown[which] + 1) % number
        if shown[0] == shown[1]:
            shown[which] = (shown[which] + 1) % number
        self.shown = shown[0], shown[1]

    def _open_prompt(self) -> None:
        self.prompt = ""

    def _record(self) -> None:
        self.command(f"record {'off' if self.navigation.recording else 'on'}")

    def _save(self) -> None:
        self._catch_up()
        try:
            write_text(self.path, self.navigation.text)
            self.status = f"saved {self.path}"
        except InputError as error:
            self.status = str(error)

    # -- what is to be seen -------------------------------------------------------------------------------------------

    def rows(self, height: int, width: int, symbols: Symbols) -> Rows | None:
        """Return what is to be seen, None where it is as before."""
        if self.script:
            self._replay()
        z = self.navigation.at(self.now)
        moved = not self.trail or not torch.equal(z, self.trail[-1])
        if moved:
            self.trail.append(z)
            self.sight.look(z)
        state = self._state(symbols)
        options = (self.shown, self.prompt, self.page, self.status, state, height, width)
        if not moved and options == self.seen:
            return None
        self.seen, self.view = options, self._view(z, state)
        return draw(self.view, height, width, symbols)

    def _state(self, symbols: Symbols) -> str:
        seconds = self.navigation.recorded + (self.now - self.navigation.clock) * self.navigation.recording
        minutes, seconds = divmod(int(max(seconds, 0) / self.navigation.rate), 60)
        recorder = f"{symbols.record} {minutes}:{seconds:02d}" if self.navigation.recording else f"recorded {minutes}:{seconds:02d}"
        return f"step {STEPS[self.step]:g}  {recorder}"

    def _on_map(self, z: Tensor) -> np.ndarray:
        return self.navigation.space.coordinates(z)[..., list(self.shown)].numpy()

    def _view(self, z: Tensor, state: str) -> View:
        space, (names, letters, places) = self.navigation.space, self.sight.landmarks
        order = (places - z).square().sum(1).argsort(descending=True).tolist()  # what is near lies on top
        return View(
            title=self.sight.title,
            state=state,
            points=self._on_map(places)[order],
            names=tuple(names[place] for place in order),
            letters=tuple(letters[place] for place in order),
            bounds=self.bounds[:, list(self.shown)],
            trail=self._on_map(torch.stack(list(self.trail))),
            position=self._on_map(z),
            axes=self.shown,
            coordinates=space.coordinates(z).numpy(),
            panel=self.sight.panel,
            foot=self.sight.foot,
            status=self.status,
            keys="replay: q to its end" if self.script else KEYS.format(own=self.sight.keys),
            prompt=self.prompt,
            page=self.page,
        )


ARROWS = {"right": (0, 1), "left": (0, -1), "up": (1, 1), "down": (1, -1)}
COMMAND_KEYS = {"u": "undo", "h": "home", " ": "random", "?": "help", "q": "quit"}
ACTIONS = {
    "[": lambda pilot: pilot._resize_step(-1),
    "]": lambda pilot: pilot._resize_step(1),
    "a": lambda pilot: pilot._next_axis(0),
    "A": lambda pilot: pilot._next_axis(1),
    ":": Pilot._open_prompt,
    "/": Pilot._open_prompt,
    "r": Pilot._record,
    "s": Pilot._save,
}
TAKEN = (*COMMAND_KEYS, *ACTIONS)
