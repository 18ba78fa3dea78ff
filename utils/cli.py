"""What every script does around its work: logging, and errors as one line."""

import argparse
import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from utils.config import InputError

LONGEST = 1000  # characters of an error
INTERRUPTED = 130  # exit code of a process ended by Ctrl-C, by convention 128 + SIGINT


class Parser(argparse.ArgumentParser):
    """A command line whose errors are one line, as all others are."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise an `InputError` instead of printing the usage."""
        raise InputError(f"{message}; --help tells more")


def run(main: Callable[[list[str]], int | None]) -> None:
    """Run a script's `main` on the command line and exit.

    An `InputError` becomes one line on stderr and exit code 2, and so does what the system refuses to do with a file; Ctrl-C exit
    code 130; anything else keeps its traceback.
    """
    sys.stderr = sys.stderr or io.StringIO()  # None where it is closed
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        code = main(sys.argv[1:]) or 0
        print(end="", flush=True)  # so that a full disk is noticed here
    except BrokenPipeError:  # the reader of stdout has seen enough, as head does
        _forget_stdout()
        code = 0
    except (InputError, OSError) as error:
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None
        code = fail("stdout: the disk is full; free some space" if full else reason(error))
        if full:
            _forget_stdout()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def _forget_stdout() -> None:
    """Let what stdout still holds go nowhere: it cannot be written, and Python would complain at its end."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Attempts:
    """Try one thing after another: what fails is reported in one line and keeps nothing else from being tried."""

    def __init__(self):
        self.code = 0

    def __call__(self, task: Callable, *args: Any) -> Any:
        """Return what `task` returns, None where it fails."""
        try:
            return task(*args)
        except (InputError, OSError) as error:
            self.code = fail(reason(error))
            return None


def reason(error: Exception) -> str:
    """Return what an error says to the user; raise it again where the system says nothing of a file, as they cannot mend that."""
    if isinstance(error, InputError):
        return str(error)
    if getattr(error, "filename", None) is None:
        raise error
    return f"{os.fsdecode(error.filename)}: {error.strerror}; check the path and its permissions"


def fail(message: str) -> int:
    """Print `message` as one line on stderr, cut where what was given is very long, and return exit code 2."""
    line = " ".join(message.split())
    print("error: " + (line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."), file=sys.stderr)
    return 2


def progress(iterable=None, **options):
    """Return a tqdm bar over `iterable`, silent when stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(iterable, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options)
