"""A terminal as a screen: paints rows of styled text by curses, and passes on keys and clicks."""

import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Protocol

from utils.canvas import FANCY, PLAIN, Rows, Symbols
from utils.config import InputError

ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}  # last letters of their sequences


class App(Protocol):
    """What `run` shows and tells of keys."""

    ended: bool

    def rows(self, height: int, width: int, symbols: Symbols) -> Rows | None:
        """Return what is to be seen, None where that has not changed."""

    def press(self, key: str) -> None:
        """Take a key: a character, or the name of one: up down left right tab enter escape backspace."""

    def click(self, y: int, x: int, height: int, width: int) -> None:
        """Take a click on a cell."""

    def patience(self) -> float:
        """Return after how many seconds there may be something new to see without a key."""


def run(app: App) -> None:
    """Show an app until it has ended; Ctrl-C ends it at once, as does the loss of the terminal, and leaves the terminal in order.

    Raises
    ------
    InputError : the terminal cannot show it.
    KeyboardInterrupt : Ctrl-C, a hangup, or a request to terminate.
    """
    import curses

    os.environ.setdefault("ESCDELAY", "50")  # ms that a lone escape waits for what may follow it
    name = os.environ.get("TERM", "")
    try:
        curses.setupterm(name or "unknown", sys.__stdout__.fileno())
        known = curses.tigetstr("cup") is not None
    except curses.error:
        known = False
    if not known:
        raise InputError(f"TERM={name}: this terminal cannot be drawn on; run a script with --script FILE instead")
    ends = signal.SIGINT, signal.SIGHUP, signal.SIGTERM  # the first is ignored where a shell starts jobs behind it
    with _ended_by(*ends), _held_back():
        curses.wrapper(_show, app)


@contextlib.contextmanager
def _ended_by(*signals: int) -> Iterator[None]:
    """Let these signals end what is done as Ctrl-C does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keep what is written to stderr, as warnings and bars, from spoiling the screen: let it follow."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield
        return
    number = sys.stderr.fileno()
    before = os.dup(number)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), number)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, number)
            os.close(before)
            aside.seek(0)
            sys.stderr.write(aside.read().decode(errors="replace"))


def _show(window, app: App) -> None:
    import curses

    symbols, styles = _symbols(), _styles()
    with contextlib.suppress(curses.error):
        curses.curs_set(0)
    curses.mousemask(curses.BUTTON1_PRESSED | curses.BUTTON1_CLICKED)
    curses.mouseinterval(0)
    while not app.ended:
        height, width = window.getmaxyx()
        rows = app.rows(height, width, symbols)
        if rows is not None:
            _paint(window, rows, styles)
        window.timeout(max(int(1000 * app.patience()), 1))
        while (key := _key(window)) and not app.ended:
            if key == "click":
                _click(app, height, width)
            elif key != "other":
                app.press(key)
            window.timeout(0)  # what has piled up is drawn once
        if not key and not os.isatty(sys.stdin.fileno()):
            return  # it was closed


def _symbols() -> Symbols:
    import locale

    return FANCY if locale.nl_langinfo(locale.CODESET).upper() in ("UTF-8", "UTF8") else PLAIN


def _styles() -> dict[str, int]:
    """Return the attributes of each style, with colours where there are some."""
    import curses

    styles = {"dim": curses.A_DIM, "bold": curses.A_BOLD, "here": curses.A_BOLD, "trail": 0, "alert": curses.A_BOLD}
    styles |= {"invert": curses.A_REVERSE, "spectrum": 0}
    if curses.has_colors():
        with contextlib.suppress(curses.error):
            curses.use_default_colors()
        colours = {"here": curses.COLOR_RED, "trail": curses.COLOR_YELLOW, "alert": curses.COLOR_RED, "spectrum": curses.COLOR_CYAN}
        for number, (style, colour) in enumerate(colours.items(), 1):
            with contextlib.suppress(curses.error):
                curses.init_pair(number, colour, -1)
                styles[style] |= curses.color_pair(number)
    return styles


def _paint(window, rows: Rows, styles: dict[str, int]) -> None:
    import curses

    window.erase()
    for y, runs in enumerate(rows):
        x = 0
        for text, style in runs:
            with contextlib.suppress(curses.error):  # the last cell of all, and whatever a resize has cut off
                window.addstr(y, x, text, styles.get(style, 0))
            x += len(text)
    window.refresh()


def _key(window) -> str:
    """Return the next key, "" where there is none in time."""
    import curses

    names = {curses.KEY_UP: "up", curses.KEY_DOWN: "down", curses.KEY_LEFT: "left", curses.KEY_RIGHT: "right"}
    names |= {curses.KEY_BACKSPACE: "backspace", curses.KEY_ENTER: "enter", curses.KEY_MOUSE: "click"}
    names |= {"\n": "enter", "\r": "enter", "\t": "tab", "\x1b": "escape", "\x7f": "backspace", "\b": "backspace"}
    try:
        key = window.get_wch()
    except curses.error:
        return ""
    if key == "\x1b" and (text := _sequence(window)):
        return ARROWS.get(text[-1], "other") if len(text) == 2 else "other"
    return names.get(key, key if isinstance(key, str) else "other")


def _sequence(window) -> str:
    """Return what follows an escape in a sequence that curses does not know as a key: else its letters would be keys."""
    import curses

    window.timeout(0)
    text = ""
    with contextlib.suppress(curses.error):
        while not re.fullmatch(r"[^O\[]|O.|\[[\d;<?]*[^\d;<?]", text):
            text += str(window.get_wch())
    return text


def _click(app: App, height: int, width: int) -> None:
    import curses

    with contextlib.suppress(curses.error):
        _, x, y, _, _ = curses.getmouse()
        app.click(y, x, height, width)
