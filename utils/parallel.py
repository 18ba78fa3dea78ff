"""Work on many files in several processes."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any

from utils.config import InputError


def each(job: Callable[[Path], Any], paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, Any]]:
    """Yield each path with its result as it is done; few are under way at a time, so memory stays flat.

    `job` must be picklable where `workers` is above 1. Workers never see Ctrl-C, and end with their parent.

    Raises
    ------
    InputError : a worker died.
    """
    if workers <= 1:
        yield from ((path, job(path)) for path in paths)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that has threads, as torch's, may hang
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(job,))
    waiting, running = iter(paths), {}
    try:
        while True:
            handled = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # workers never see Ctrl-C
            try:
                running |= {pool.submit(_work, path): path for path in islice(waiting, 2 * workers - len(running))}
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, handled)
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise InputError(f"--workers {workers}: a worker died, perhaps for want of memory; take fewer") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(job: Callable[[Path], Any]) -> None:
    """Ready a worker: its job, sent once with whatever plan it carries; one thread; no life after its parent."""
    global _work_of
    _work_of = job
    os.environ["OMP_NUM_THREADS"] = "1"  # for what is imported later
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _work(path: Path) -> Any:
    return _work_of(path)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
