"""What every script does around its work: logging, and errors as one line."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from utils.config import InputError

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

    An `InputError` becomes one line on stderr and exit code 2; Ctrl-C exit code 130; anything else keeps its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        code = main(sys.argv[1:]) or 0
    except InputError as error:
        code = fail(str(error))
    except BrokenPipeError:  # the reader of stdout has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


class Attempts:
    """Try one thing after another: what fails is reported in one line and keeps nothing else from being tried."""

    def __init__(self):
        self.code = 0

    def __call__(self, task: Callable, *args: Any) -> Any:
        """Return what `task` returns, None where it fails."""
        try:
            return task(*args)
        except InputError as error:
            self.code = fail(str(error))
            return None


def fail(message: str) -> int:
    """Print `message` as one line on stderr and return exit code 2."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def progress(iterable=None, **options):
    """Return a tqdm bar over `iterable`, silent when stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(iterable, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options)
