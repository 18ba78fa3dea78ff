"""Files that survive a kill: written aside, flushed to disk, renamed."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.config import InputError


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path to write aside; on success flush it to disk and rename it to `path`, on failure remove it.

    A reader sees the previous file or the new one, whole, whatever happens in between, a power cut included.

    Raises
    ------
    InputError : no space, no permission, or no such folder.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.part")  # one name, so that what a kill leaves is overwritten and never piles up
    try:
        aside.touch()
        yield aside
        _flush(aside)
        os.replace(aside, path)
        _flush(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); the previous file is kept") from None
    finally:
        with contextlib.suppress(OSError):  # whose reason is told already
            aside.unlink()


def _flush(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock that the file `path` stands for; a process that ends in any way lets go of it.

    Raises
    ------
    InputError : the file cannot be written, or another process holds the lock and `wait` is false.
    """
    with contextlib.ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context(open(path, "a")), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise InputError(f"{path.parent}: another process is at work there; wait until it ends") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
        yield


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, atomically."""
    with atomic(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON to `path`, atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")
