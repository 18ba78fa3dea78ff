"""Bach's chorales from the corpus that comes with music21: the pieces that are there when the user has none.

The scores are read once and kept in the cache as notes, of which pieces on any step are made.
"""

import logging
from pathlib import Path

import numpy as np

from data import rolls, score_files
from data.score_files import Score
from data.scores import Pieces, piece_of
from utils.cli import progress
from utils.config import InputError
from utils.files import atomic, locked
from utils.paths import make_folder

log = logging.getLogger(__name__)

FILE = "chorales-1.npz"  # another number when the same scores would be read otherwise
COLUMNS = {"onset": np.float64, "offset": np.float64, "pitch": np.int64, "bars": np.float64}  # of a score, in the file


def default_pieces(cache_folder: str | Path, step: str = "quarter", reading: str = "sounding") -> Pieces:
    """Return the chorales of Riemenschneider's edition that music21's corpus has, read now (minutes) or before.

    Parameters
    ----------
    cache_folder : where the notes are kept.
    step, reading : as `scores.read` has them.

    Raises
    ------
    InputError
        The chorales have not been read before and music21 is not installed, or there is no such step or reading.
    """
    rolls.check(step, reading)
    path = make_folder(Path(cache_folder)) / FILE
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            _save(path, _read_corpus())
    scores = _load(path)
    made = (piece_of(score, name, path, rolls.STEPS[step], reading) for name, score in scores.items())
    return Pieces(path, tuple(filter(None, made)))


def _read_corpus() -> dict[str, Score]:
    scores = {}
    log.warning("Bach's chorales are read once, which takes some minutes; then they are kept")
    for path in progress(paths(), desc="Reading Bach's chorales once", unit="score"):
        try:
            scores[path.stem] = score_files.read(path)
        except InputError as error:
            log.warning("left out: %s", error)
    if not scores:
        raise InputError("music21 has no readable chorales of Bach: install it anew with its corpus, or give scores of your own")
    return scores


def paths() -> list[Path]:
    """Return the files of the chorales, each once, sorted."""
    try:
        from music21 import corpus
        from music21.corpus.chorales import ChoraleListRKBWV
    except ImportError:
        raise InputError("the default pieces come with music21: pip install music21, or give a folder of scores") from None
    works = {f"bwv{entry['bwv']}" for entry in ChoraleListRKBWV().byRiemenschneider.values()}
    files = {path.name.removesuffix(path.suffix): path for path in map(Path, corpus.getComposer("bach"))}
    return [files[work] for work in sorted(works & set(files))]


def _save(path: Path, scores: dict[str, Score]) -> None:
    """Write scores as the columns of all of them, and how long each one's are."""
    arrays: dict[str, object] = {"names": list(scores), "tempo": [score.tempo for score in scores.values()]}
    for column, kind in COLUMNS.items():
        parts = [getattr(score, column) for score in scores.values()]
        arrays[column] = np.concatenate(parts).astype(kind)
        arrays[f"{column}_lengths"] = [len(part) for part in parts]
    with atomic(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **arrays)


def _load(path: Path) -> dict[str, Score]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            columns = [np.split(arrays[column], np.cumsum(arrays[f"{column}_lengths"])[:-1]) for column in COLUMNS]
            names, tempo = arrays["names"].tolist(), arrays["tempo"].tolist()
    except Exception as error:  # a damaged file can provoke any
        raise InputError(f"{path}: damaged ({type(error).__name__}); remove it, and it is made anew") from None
    return {name: Score(*parts) for name, *parts in zip(names, *columns, tempo, strict=True)}
