"""Cache of spectra: float32 magnitudes in memory-mapped shards, found again by what the files hold.

::

    folder/contents.jsonl              which content a file (path, size, times) had when it was last read
    folder/<settings>/settings.json    the settings of the transform, for the reader
    folder/<settings>/shard-*.f32      rows (R, F), float32 little-endian, those of one file after those of another
    folder/<settings>/shard-*.jsonl    which rows hold which content: {"content": ..., "row": ..., "rows": ...}

Each writer has shards of its own, nothing is rewritten, and an entry is written only after its rows are safely on the
disk. So a kill, a full disk or a second preparation at the same time leaves complete entries only.
"""

import functools
import hashlib
import json
import logging
import mmap
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.cli import progress
from utils.config import InputError
from utils.parallel import each
from utils.paths import make_folder

FORMAT = 1  # part of the settings' hash: another layout is another folder
SHARD_BYTES = 256 * 2**20  # a shard that reaches this is closed
COMMIT_SECONDS = 1.0  # the work that a kill may cost; waiting for the disk after each file would cost more
RESIDENT_BYTES = 2**30  # a corpus that is larger does not stay in the memory of the process
SETTLED_NS = 2 * 10**9  # a file changed more recently may change again within one tick of its file system's clock

Analyse = Callable[[Path], np.ndarray]
log = logging.getLogger(__name__)


class SpectraStore:
    """Keep the spectra of audio files under one transform.

    Parameters
    ----------
    folder : the cache, shared by all transforms; made when first written.
    settings : everything that decides the spectra, as JSON values; other settings never meet the same entries.
    n_bins : frequency bins F of a row.
    """

    def __init__(self, folder: Path, settings: Mapping, n_bins: int):
        description = {"format": FORMAT, "n_bins": n_bins, "settings": dict(settings)}
        self._description = json.dumps(description, sort_keys=True, indent=1)
        self.n_bins = n_bins
        self.folder = Path(folder) / hashlib.sha256(self._description.encode()).hexdigest()[:16]
        self._contents = _Contents(Path(folder) / "contents.jsonl")
        self._logs: dict[Path, _Log] = {}
        self._entries: dict[str, _Entry] = {}
        self._refresh()

    def prepare(self, paths: Iterable[Path], analyse: Analyse, workers: int = 1) -> None:
        """Compute the spectra that are missing; what is done stays, however this ends.

        Parameters
        ----------
        paths : audio files; those of equal content are analysed once.
        analyse : from a path to magnitudes (N, F); picklable if `workers` is above 1.
        workers : processes; 1 works in this one.

        Raises
        ------
        InputError : a file is missing, cannot be analysed or changes meanwhile, or the cache cannot be written.
        """
        versions = self._contents.of(paths)
        self._refresh()
        missing = {version.content: path for path, version in versions.items() if version.content not in self._entries}
        if not missing:
            return
        job = functools.partial(_spectrum, analyse, self.n_bins)
        writer = _Writer(self.folder, self._description)
        try:
            with closing(each(job, list(missing.values()), min(workers, len(missing)))) as results:
                for path, magnitudes in progress(results, total=len(missing), desc="spectra", unit="file"):
                    if _signature(path) != versions[path].signature:
                        raise InputError(f"{path}: changed while it was analysed; run again when it rests")
                    writer.append(versions[path].content, magnitudes)
        finally:
            writer.commit()
            self._refresh()

    def get(self, path: Path) -> np.ndarray:
        """Return the magnitudes (N, F) of a prepared file: a read-only view of the memory map.

        Raises
        ------
        InputError : the file is not prepared, or changed since.
        """
        (entry,) = self._find([path])
        return _mapped(entry.shard, self.n_bins)[1][entry.row : entry.row + entry.rows]

    def rows(self, paths: Iterable[Path]) -> "Rows":
        """Return the rows of prepared files as if they stood one after another, in the order of `paths`.

        Raises
        ------
        InputError : a file is not prepared, or changed since.
        """
        return Rows(self._find(paths), self.n_bins)

    def _find(self, paths: Iterable[Path]) -> list["_Entry"]:
        paths = [Path(path) for path in paths]
        versions = self._contents.of(paths)
        for path in paths:
            if versions[path].content not in self._entries:
                raise InputError(f"{path}: no spectrum of this content is in {self.folder}; prepare it first")
        return [self._entries[versions[path].content] for path in paths]

    def _refresh(self) -> None:
        """Take in what the indexes gained, from any process; leave out what is not wholly in its shard."""
        for index in sorted(self.folder.glob("shard-*.jsonl")):
            records = list(self._logs.setdefault(index, _Log(index)).fresh())
            shard = index.with_suffix(".f32")  # measured after its index is read: both may be growing
            present = shard.stat().st_size // (4 * self.n_bins) if shard.exists() else 0
            dropped = 0
            for record in records:
                match record:
                    case {"content": str(content), "row": int(row), "rows": int(rows)} if 0 <= row < row + rows <= present:
                        self._entries[content] = _Entry(content, shard, row, rows)
                    case _:
                        dropped += 1
            if dropped:
                log.warning("%s: %d entries are damaged or cut off; they will be computed again", shard, dropped)


class _Entry(NamedTuple):
    content: str
    shard: Path
    row: int
    rows: int


class Rows:
    """See the rows of several files as one array (R, F) that stays on the disk; picklable.

    `starts` (files + 1,) says which rows are whose: those of file i are ``starts[i]`` to ``starts[i + 1] - 1``.
    """

    def __init__(self, entries: Sequence[_Entry], n_bins: int):
        places = {shard: place for place, shard in enumerate(sorted({entry.shard for entry in entries}))}
        self.n_bins = n_bins
        self.starts = np.cumsum([0, *(entry.rows for entry in entries)], dtype=np.int64)
        self._first = np.array([entry.row for entry in entries], dtype=np.int64)  # (files,) a row of the shard
        self._place = np.array([places[entry.shard] for entry in entries], dtype=np.int64)  # (files,) a place in shards
        self._shards = tuple(places)
        self.contents = tuple(entry.content for entry in entries)  # (files,) hash of what each file held

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        """Return a copy (B, F) float32 of the rows `ids` (B,), in any order: one sorted pass over each shard.

        Of a large corpus, the process lets go of a shard's pages after the pass (they stay in the system's cache, which
        shrinks at need), so memory stays flat, however large it is.

        Raises
        ------
        IndexError : an id is not from 0 to R - 1.
        """
        ids = np.asarray(ids, dtype=np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self):
            raise IndexError(f"rows {ids.min()} to {ids.max()} asked for; there are {len(self)}")
        file = np.searchsorted(self.starts, ids, side="right") - 1
        row = self._first[file] + ids - self.starts[file]
        shard = self._place[file]
        order = np.lexsort((row, shard))
        gathered = np.empty((ids.size, self.n_bins), dtype=np.float32)
        for part in np.split(order, np.flatnonzero(np.diff(shard[order])) + 1):
            if part.size:
                pages, magnitudes = _mapped(self._shards[shard[part[0]]], self.n_bins)
                gathered[part] = magnitudes[row[part]]
                if 4 * self.n_bins * len(self) > RESIDENT_BYTES:
                    pages.madvise(mmap.MADV_DONTNEED)
        return gathered


def _mapped(shard: Path, n_bins: int) -> tuple[mmap.mmap, np.ndarray]:
    """Return the pages of a shard and its whole rows (R, F), read-only; a shard that has grown is mapped anew."""
    return _map(shard, n_bins, shard.stat().st_size // (4 * n_bins))


@functools.lru_cache(maxsize=256)  # far below the usual limit of 1024 open files
def _map(shard: Path, n_bins: int, n_rows: int) -> tuple[mmap.mmap, np.ndarray]:
    with open(shard, "rb") as file:
        pages = mmap.mmap(file.fileno(), 4 * n_bins * n_rows, access=mmap.ACCESS_READ)
    return pages, np.frombuffer(pages, dtype="<f4").reshape(n_rows, n_bins)


@contextmanager
def _mendable(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; {remedy}") from error


_writing = functools.partial(_mendable, remedy="free some space or name another cache folder")
_reading = functools.partial(_mendable, remedy="check the path and its permissions")


def _append(path: Path, buffer, safely: bool = False) -> None:
    """Append all of `buffer`; if `safely`, wait until the disk has it."""
    rest = memoryview(buffer).cast("B")
    with open(path, "ab", buffering=0) as file:
        while rest:
            rest = rest[file.write(rest) :]  # a disk that fills up first takes a part, then raises
        if safely:
            os.fsync(file.fileno())


class _Log:
    """Append and follow JSON lines. A last line without its end is being written, or torn: it is left unread."""

    def __init__(self, path: Path):
        self.path = path
        self._read = 0  # bytes

    def fresh(self) -> Iterator[object]:
        """Yield what came since the last call; warn of lines that are no JSON."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self._read)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        for line in filter(None, data.split(b"\n")):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                log.warning("%s: a damaged line is ignored: %.60r", self.path, line)

    def append(self, records: Iterable[Mapping]) -> None:
        """Append a line for each record, on a new line lest the first joins a torn one."""
        lines = "\n" + "".join(json.dumps(record) + "\n" for record in records)
        _append(self.path, lines.encode(), safely=True)


class _Writer:
    """Append spectra to shards of its own. An entry counts once it is committed."""

    def __init__(self, folder: Path, description: str):
        make_folder(folder)
        with _writing(folder):
            (folder / "settings.json").write_text(description + "\n", encoding="utf-8")
        self._folder = folder
        self._begin_shard()

    def append(self, content: str, magnitudes: np.ndarray) -> None:
        """Add the rows (N, F) of a content."""
        with _writing(self._folder):
            _append(self._shard, magnitudes)
        self._pending.append({"content": content, "row": self._rows, "rows": len(magnitudes)})
        self._rows += len(magnitudes)
        full = self._rows * magnitudes[0].nbytes >= SHARD_BYTES
        if full or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()
        if full:
            self._begin_shard()

    def _begin_shard(self) -> None:
        self._shard = self._folder / f"shard-{uuid.uuid4().hex}.f32"
        self._rows = 0
        self._pending: list[dict] = []
        self._committed = time.monotonic()

    def commit(self) -> None:
        """Wait until the rows are on the disk, then enter them in the index."""
        records, self._pending = self._pending, []  # taken at once: a line that the disk refused is not tried again
        if records:
            with _writing(self._folder):
                _append(self._shard, b"", safely=True)
                _Log(self._shard.with_suffix(".jsonl")).append(records)
        self._committed = time.monotonic()


class _Version(NamedTuple):
    signature: tuple[int, ...]  # size in bytes, times of modification and of change in ns
    content: str  # SHA-256


class _Contents:
    """Know files by the hash of their content, and remember it: a large corpus is not read again at each start."""

    def __init__(self, path: Path):
        self._log = _Log(path)
        self._known: dict[str, _Version] = {}

    def of(self, paths: Iterable[Path]) -> dict[Path, _Version]:
        """Return the version of each file, reading only those that are new or changed."""
        for record in self._log.fresh():
            match record:
                case {"path": str(path), "signature": [*signature], "content": str(content)}:
                    self._known[path] = _Version(tuple(signature), content)
        signatures = {Path(path): _signature(path) for path in paths}
        versions = {path: self._known.get(os.path.abspath(path)) for path in signatures}
        stale = [path for path, version in versions.items() if not version or version.signature != signatures[path]]
        settled = {}
        try:
            for path in progress(stale, desc="hashing", unit="file", delay=1):
                now = time.time_ns()
                versions[path] = _Version(signatures[path], _digest(path))
                if now - max(signatures[path][1:]) > SETTLED_NS:
                    settled[os.path.abspath(path)] = versions[path]
        finally:
            if settled:
                with _writing(make_folder(self._log.path.parent)):
                    self._log.append({"path": path, **version._asdict()} for path, version in settled.items())
                self._known.update(settled)
        return versions


def _signature(path: Path) -> tuple[int, ...]:
    with _reading(path):
        status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(path: Path) -> str:
    with _reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spectrum(analyse: Analyse, n_bins: int, path: Path) -> np.ndarray:
    """Return the magnitudes (N, F), float32 little-endian, checked; name the file in whatever goes wrong."""
    try:
        magnitudes = np.ascontiguousarray(analyse(path), dtype="<f4")
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:
        error.add_note(f"while analysing {path}")
        raise
    if magnitudes.ndim != 2 or magnitudes.shape[1] != n_bins:
        raise ValueError(f"{path}: magnitudes of shape {magnitudes.shape}, not (N, {n_bins})")
    if not len(magnitudes):
        raise InputError(f"{path}: too short for one frame of its spectrum; leave it out")
    if not np.isfinite(magnitudes).all():
        raise InputError(f"{path}: its spectrum holds NaN or infinity; mend the file or leave it out")
    return magnitudes
