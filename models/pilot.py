"""Steer a navigation by keys: what they do, and what is to be seen."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from models.navigation import COMMANDS, LONGEST, Navigation, Script
from utils.canvas import Rows, Source, Symbols, View, clicked, draw
from utils.config import InputError
from utils.files import write_text
from utils.loudspeaker import Loudspeaker

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)  # standard deviations that an arrow key moves
QUIET = 10.0  # s of idleness that a session keeps, where it is not recorded
TRAIL = 60  # places where one has been
RANGE_DB = 60.0  # of the spectrum that is seen, from the loudest band that labels lead to
KEYS = "arrows move  [ ] step  a A axes  {labels}  : command  u undo  ? help  q quit"
HELP = (
    "arrows, mouse: move on the map    [ ]: by less, by more    a A: other axes",
    "o O, p P, d D ...: a label up, down    Tab: of another instrument",
    ": or / and a line: any command below, or a note such as C4 mf",
    "u: undo   h: home   space: random   r: record   s: save   q: quit",
    "",
)


class Pilot:
    """What keys do, and what is to be seen: an `App` for `utils.screen`.

    Keys become commands, with waits between them that let the session's time follow the clock.
    """

    def __init__(
        self,
        navigation: Navigation,
        path: Path,
        script: Script | None,
        speaker: Loudspeaker,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.navigation, self.path, self.script, self.speaker, self.clock = navigation, path, script, speaker, clock
        self.origin = clock()  # when the session's time was 0
        self.shown, self.step, self.chosen = (0, min(1, len(navigation.space.axes) - 1)), 3, 0
        self.prompt: str | None = None
        self.page: tuple[str, ...] = ()
        self.status = speaker.trouble or "with sound"
        self.trail: deque[Tensor] = deque(maxlen=TRAIL)
        self.stopped, self.view, self.seen = False, None, None
        self.labels = navigation.space.labels
        self.label_keys = _label_keys(self.labels) if self.labels else {}
        self.map = [navigation.space.notes(i) for i in range(len(self.labels.instruments) if self.labels else 1)]
        places = navigation.space.coordinates(navigation.space.means)
        self.bounds = torch.stack([places.amin(0), places.amax(0)]).numpy()
        self.loudest = navigation.space.spectra().max()

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
            self.page = (*HELP, *answer.splitlines())
        else:
            self.status = answer or line

    def _catch_up(self) -> None:
        """Let the session's time pass up to now: idleness is cut short, and a recording does not become too long."""
        walk = self.navigation
        most = int(LONGEST * walk.rate) - walk.recorded if walk.recording else int(QUIET * walk.rate)
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
        elif key in self.label_keys:
            self._turn(*self.label_keys[key])
        elif key in COMMAND_KEYS:
            self.command(COMMAND_KEYS[key])
        elif key in ARROWS:
            axis, sign = ARROWS[key]
            self.command(f"axis {self.shown[axis] + 1} {sign * STEPS[self.step]:g}")
        elif key in ACTIONS:
            ACTIONS[key](self)

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
                self.command(line if line.split()[0] in COMMANDS else f"to {self._whole(line)}")
        elif key == "backspace":
            self.prompt = self.prompt[:-1]
        elif len(key) == 1 and key.isprintable():
            self.prompt += key

    def _whole(self, note: str) -> str:
        """Let a note of one instrument be that of the chosen one, while the others keep theirs."""
        if not self.labels or len(self.labels.instruments) == 1 or "+" in note:
            return note
        words = _words(self.labels, self.navigation.space.named(self.navigation.goal)[0])
        words[self.chosen] = note
        return " + ".join(words)

    def _turn(self, label: str, steps: int) -> None:
        instrument = self.labels.instruments[self.chosen]
        self.command(f"label {label} {steps}" + (f" 1 {instrument}" if len(self.labels.instruments) > 1 else ""))

    def _resize_step(self, by: int) -> None:
        self.step = min(max(self.step + by, 0), len(STEPS) - 1)

    def _next_axis(self, which: int) -> None:
        shown, number = list(self.shown), len(self.navigation.space.axes)
        shown[which] = (shown[which] + 1) % number
        if shown[0] == shown[1]:
            shown[which] = (shown[which] + 1) % number
        self.shown = shown[0], shown[1]

    def _next_instrument(self) -> None:
        self.chosen = (self.chosen + 1) % len(self.labels.instruments) if self.labels else 0

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
            self._look(z)
        state = self._state(symbols)
        options = (self.shown, self.chosen, self.prompt, self.page, self.status, state, height, width)
        if not moved and options == self.seen:
            return None
        self.seen, self.view = options, self._view(z, state)
        return draw(self.view, height, width, symbols)

    def _look(self, z: Tensor) -> None:
        """Decode a latent (Z,)."""
        space = self.navigation.space
        spectrum = space.spectra(z[None])[0]
        self.speaker.ask(spectrum)
        self.levels = (20 * (spectrum / self.loudest).clamp(1e-9, 1e9).log10() / RANGE_DB + 1).numpy()
        self.sources = _sources(self.labels, *space.named(z)) if self.labels else ()

    def _state(self, symbols: Symbols) -> str:
        seconds = self.navigation.recorded + (self.now - self.navigation.clock) * self.navigation.recording
        minutes, seconds = divmod(int(max(seconds, 0) / self.navigation.rate), 60)
        recorder = f"{symbols.record} {minutes}:{seconds:02d}" if self.navigation.recording else f"recorded {minutes}:{seconds:02d}"
        return f"step {STEPS[self.step]:g}  {recorder}"

    def _on_map(self, z: Tensor) -> np.ndarray:
        return self.navigation.space.coordinates(z)[..., list(self.shown)].numpy()

    def _view(self, z: Tensor, state: str) -> View:
        space, (names, centres) = self.navigation.space, self.map[self.chosen]
        order = (centres - z).square().sum(1).argsort(descending=True).tolist()  # what is near lies on top
        keys = "replay: q to its end" if self.script else KEYS.format(labels=" ".join(f"{k}{k.upper()}" for k in self.lower_keys))
        return View(
            title="free navigation" + (f" of {', '.join(self.labels.instruments)}" if self.labels else ""),
            state=state,
            points=self._on_map(centres)[order],
            names=tuple(names[place] for place in order),
            bounds=self.bounds[:, list(self.shown)],
            trail=self._on_map(torch.stack(list(self.trail))),
            position=self._on_map(z),
            axes=self.shown,
            sources=self.sources,
            chosen=self.chosen,
            coordinates=space.coordinates(z).numpy(),
            levels=self.levels,
            frequencies=space.player.representation("signal").frequencies,
            status=self.status,
            keys=keys,
            prompt=self.prompt,
            page=self.page,
        )

    @property
    def lower_keys(self) -> list[str]:
        """Return the keys that move labels up."""
        return [key for key in self.label_keys if key.islower()]


ARROWS = {"right": (0, 1), "left": (0, -1), "up": (1, 1), "down": (1, -1)}
COMMAND_KEYS = {"u": "undo", "h": "home", " ": "random", "?": "help", "q": "quit"}
ACTIONS = {
    "[": lambda pilot: pilot._resize_step(-1),
    "]": lambda pilot: pilot._resize_step(1),
    "a": lambda pilot: pilot._next_axis(0),
    "A": lambda pilot: pilot._next_axis(1),
    "tab": Pilot._next_instrument,
    ":": Pilot._open_prompt,
    "/": Pilot._open_prompt,
    "r": Pilot._record,
    "s": Pilot._save,
}


def _label_keys(labels: Labels) -> dict[str, tuple[str, int]]:
    """Return which key moves which label by how much: the first letter of its name that is free, large for downwards."""
    keys: dict[str, tuple[str, int]] = {}
    taken = {key.lower() for key in (*COMMAND_KEYS, *ACTIONS)}
    for label, _ in labels.classes:
        letter = next((c for c in label.lower() if c.isalpha() and c not in taken), None)
        if letter:
            taken.add(letter)
            keys |= {letter: (label, 1), letter.upper(): (label, -1)}
    return keys


def _words(labels: Labels, ids: Tensor) -> list[str]:
    """Return what each source plays (I, L), in words."""
    alone = replace(labels, instruments=("",))
    return [alone.text(own[None, None])[0] for own in ids]


def _sources(labels: Labels, ids: Tensor, sure: Tensor) -> tuple[Source, ...]:
    """Return ids (I, L) and their probabilities (I, L) as what is to be seen of each source."""
    tables = [(label, (*names, "-")) for label, names in labels.classes]
    rows = [
        tuple((label, names[k], p) for (label, names), k, p in zip(tables, own, shares, strict=True))
        for own, shares in zip(ids.tolist(), sure.tolist(), strict=True)
    ]
    return tuple(Source(*parts) for parts in zip(labels.instruments, _words(labels, ids), rows, strict=True))
