"""The Groove MIDI Dataset, fetched once into the cache: Gillick et al. 2019, "Learning to Groove with Inverse Sequence
Transformations". It is Google's, under CC BY 4.0.

A download that breaks off goes on where it stopped, also in another process. Nothing is unpacked before its checksum is right.
"""

import contextlib
import hashlib
import logging
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from utils.cli import progress
from utils.config import InputError
from utils.files import locked
from utils.paths import make_folder

log = logging.getLogger(__name__)

TRIES = 3  # at most, of a download that breaks off
PATIENCE = (10, 60)  # s until a connection stands, and between two pieces of an answer
CHUNK = 2**12  # bytes: what is lost, at most, of an answer that breaks off
MAX_BYTES = 256 * 2**20  # unpacked
MAX_FILES = 10_000


class Archive(NamedTuple):
    """Hold where an archive is, what is known of it, and the folder within it that is the corpus."""

    url: str
    size: int  # bytes
    sha256: str
    folder: str

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return PurePosixPath(self.url).name


GROOVE = Archive(
    url="https://storage.googleapis.com/magentadata/datasets/groove/groove-v1.0.0-midionly.zip",
    size=3_260_318,
    sha256="651cbc524ffb891be1a3e46d89dc82a1cecb09a57c748c7b45b844c4841dcc1e",
    folder="groove",
)


def fetch(cache_folder: str | Path, archive: Archive = GROOVE) -> Path:
    """Return the folder of the dataset, fetched and unpacked now (some seconds) or before.

    Parameters
    ----------
    cache_folder : where it is kept. An archive that was put there by hand is taken instead of a download.
    archive : what is fetched.

    Raises
    ------
    InputError
        There is no network, or something else than the archive was sent or put there, or it cannot be written.
    """
    packed = make_folder(Path(cache_folder)) / archive.name
    folder = packed.with_suffix("")
    with locked(packed.with_suffix(".lock")):
        if not folder.is_dir():
            try:
                if not packed.exists():
                    _download(packed, archive)
                _unpack(packed, folder, archive)
            except OSError as error:
                raise InputError(f"{folder}: cannot be written ({error.strerror or error}); free some space") from None
    return folder / archive.folder


def _download(packed: Path, archive: Archive) -> None:
    """Fetch an archive into the file `packed`, which appears whole and with the right checksum."""
    log.warning("the Groove MIDI Dataset (Google, CC BY 4.0) is fetched once, %.1f MB; then it is kept", archive.size / 1e6)
    part = packed.with_name(f"{packed.name}.part")
    for _ in range(TRIES):
        why = _receive(part, archive) if _size(part) < archive.size else ""
        if not why and _is_whole(part, archive):
            part.replace(packed)
            return
        if not why:
            part.unlink()
            why = "what came has another checksum and was removed"
    by_hand = f"run it again, or put the file by hand at {packed}, or give its unpacked folder as --dbroot"
    raise InputError(f"{archive.url}: cannot be fetched, {_size(part)} of {archive.size} bytes are there ({why}); {by_hand}")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _receive(part: Path, archive: Archive) -> str:
    """Append to `part` what a server sends of the rest of an archive; return why it ended too soon, if it did."""
    import requests

    try:
        with _answer(_size(part), archive) as (answer, start), open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            return _write(answer, file, archive.size - start)
    except requests.HTTPError as error:
        if error.response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # it is longer than what is there now
        return f"HTTP {error.response.status_code}"
    except requests.RequestException as error:
        return type(error).__name__


@contextlib.contextmanager
def _answer(start: int, archive: Archive) -> Iterator[tuple[Any, int]]:
    """Ask for an archive from a byte on; yield the answer and the byte that it begins with, 0 where the server knows no parts."""
    import requests

    wanted = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(archive.url, headers=wanted, stream=True, timeout=PATIENCE) as answer:
        answer.raise_for_status()
        given = answer.headers.get("Content-Range", "") if answer.status_code == requests.codes.partial_content else ""
        if given and not given.startswith(f"bytes {start}-"):
            raise requests.exceptions.InvalidHeader(given)
        yield answer, start if given else 0


def _write(answer: Any, file: BinaryIO, rest: int) -> str:
    """Write an answer of `rest` bytes to a file with a bar; return why it has more or less, if so."""
    start = file.tell()
    with progress(desc="Fetching the dataset", total=start + rest, initial=start, unit="B", unit_scale=True) as bar:
        for piece in answer.iter_content(CHUNK):
            if len(piece) > rest:
                file.truncate(0)  # it is another file
                return "more bytes came than the archive has"
            file.write(piece)
            rest -= len(piece)
            bar.update(len(piece))
    return "the connection ended" if rest else ""


def _is_whole(path: Path, archive: Archive) -> bool:
    """Return whether a file is the archive."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256


def _unpack(packed: Path, folder: Path, archive: Archive) -> None:
    """Unpack an archive into `folder`, which appears with all that is in it; then remove the archive."""
    if not _is_whole(packed, archive):
        raise InputError(f"{packed}: has another checksum than {archive.url}; remove it, and it is fetched anew")
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)  # what a kill has left
    try:
        with zipfile.ZipFile(packed) as content:
            _check(content.infolist(), packed)
            content.extractall(aside)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{packed}: is no whole archive ({error}); remove it, and it is fetched anew") from None
    if not (aside / archive.folder).is_dir():
        raise InputError(f"{packed}: holds no folder {archive.folder}; it is not the dataset")
    aside.rename(folder)
    packed.unlink()


def _check(entries: list[zipfile.ZipInfo], packed: Path) -> None:
    """Raise InputError if entries would leave their folder, are links, or are too many or too large."""
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename:
            raise InputError(f"{packed}: its entry {entry.filename!r} leads out of the archive; take it anew from its source")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(f"{packed}: its entry {entry.filename!r} is a link or a device; take it anew from its source")
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or size > MAX_BYTES:
        raise InputError(
            f"{packed}: {len(entries)} files of {size >> 20} MiB are too much; the limits are {MAX_FILES}, {MAX_BYTES >> 20}"
        )
