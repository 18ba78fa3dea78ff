"""How different instruments sound to listeners: ratings from five studies (`ratings.csv`), pooled in several ways, or a user's own.

Instruments are looked up by name, as corpora are: spelling and the other names of `data.instruments` do not matter.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.instruments import ALIASES, plain
from utils import geometry
from utils.config import InputError

TABLE = Path(__file__).with_name("ratings.csv")
STUDIES = {
    "grey": "Grey 1977",
    "krumhansl": "Krumhansl 1989",
    "mcadams": "McAdams et al. 1995",
    "lakatos": "Lakatos 2000",
    "iverson": "Iverson and Krumhansl 1993",
}
EACH = dict.fromkeys(STUDIES, 1)
COUNTS = {  # how often the ratings of each study count
    "pooled": {**EACH, "grey": 2},  # as in the system of DAFx 2018, whose file holds Grey's twice
    "dedup": EACH,
    "balanced": EACH,
    "balanced-no-grey": {**EACH, "grey": 0},
    **{study: {study: 1} for study in STUDIES},
}
BALANCED = ("balanced", "balanced-no-grey")  # in these studies weigh alike, in the others ratings do
KINDS = tuple(COUNTS)
SPLIT_HALF = 0.885  # correlation of mean ratings by either half of the listeners, within studies; see docs/ratings.md
MOST = 10**9  # ratings of a pair
LEAST = 3  # instruments between which distances say something
COLUMNS = ("instrument_a", "instrument_b", "dissimilarity")


@dataclass(frozen=True, eq=False)
class Ratings:
    """Hold rated dissimilarities of instruments (I), symmetric, 0 on the diagonal, NaN where there is no rating.

    Means are divided by the largest of all that `note` names, whichever instruments are asked for, so that two instruments have
    the same distance in every subset. Spreads are on the same scale: the standard deviation of single ratings.
    """

    instruments: tuple[str, ...]
    mean: np.ndarray  # (I, I), 0 to 1
    spread: np.ndarray  # (I, I); NaN also where a user's file gives none
    number: np.ndarray  # (I, I) of ratings; 0 where there is none
    note: str  # where they are from

    @property
    def known(self) -> np.ndarray:
        """Tell which pairs were rated, (I, I); an instrument and itself never were."""
        return ~np.isnan(self.mean) & ~np.eye(len(self.mean), dtype=bool)

    @property
    def rated(self) -> tuple[str, ...]:
        """Instruments that were compared with any other of these."""
        return tuple(name for name, any_known in zip(self.instruments, self.known.any(1), strict=True) if any_known)

    @property
    def reliability(self) -> float:
        """Correlation to be expected with the means of as many other listeners; NaN without spreads."""
        return geometry.reliability(self.mean, self.spread, self.number)

    def masked(self) -> np.ma.MaskedArray:
        """Return the means (I, I) with a mask over the unknown ones."""
        return np.ma.masked_invalid(self.mean)

    def subset(self, names: Sequence[str]) -> "Ratings":
        """Return the ratings among some of the instruments, in the order of `names`.

        Raises
        ------
        InputError
            If one is not there, or one is named twice.
        """
        return self._among(names, [self._place(name) for name in names])

    def without(self, names: Sequence[str]) -> "Ratings":
        """Return the same instruments, those named as if nobody had rated them.

        Raises
        ------
        InputError
            If one is not there, or fewer than 3 rated ones are left.
        """
        gone = [self._place(name) for name in names]
        mean, spread, number = self.mean.copy(), self.spread.copy(), self.number.copy()
        for values, nothing in ((mean, np.nan), (spread, np.nan), (number, 0)):
            values[gone], values[:, gone] = nothing, nothing
        for values in (mean, spread):
            np.fill_diagonal(values, 0)
        left = replace(self, mean=mean, spread=spread, number=number)
        if len(left.rated) < LEAST:
            raise InputError(f"ratings: {LEAST} rated instruments at least must be left, not {' '.join(left.rated) or 'none'}")
        return left

    def _among(self, names: Sequence[str], places: Sequence[int | None]) -> "Ratings":
        """Return the ratings at `places` under `names`; those at None are unknown."""
        for place in {*places} - {None}:
            same = [name for name, at in zip(names, places, strict=True) if at == place]
            if len(same) > 1:
                raise InputError(f"instruments {' and '.join(same)} are both {self.instruments[place]} in the ratings: name one")
        at = np.array([-1 if place is None else place for place in places], dtype=int)
        rows, columns = np.ix_(at, at)
        there = (rows >= 0) & (columns >= 0)
        mean, spread = (np.where(there, values[rows, columns], np.nan) for values in (self.mean, self.spread))
        for values in (mean, spread):
            np.fill_diagonal(values, 0)
        number = np.where(there, self.number[rows, columns], 0)
        return replace(self, instruments=tuple(names), mean=mean, spread=spread, number=number)

    def _place(self, name: str) -> int:
        if name not in self.instruments:
            raise InputError(f"instrument {name!r} is none of {' '.join(self.instruments)}")
        return self.instruments.index(name)


def ratings(kind: str, instruments: Sequence[str]) -> Ratings:
    """Return how different listeners found `instruments`, in their order; unknown ones and pairs are NaN.

    Parameters
    ----------
    kind
        ``pooled``, ``dedup``, ``balanced`` or ``balanced-no-grey``, all studies in one; a study's name; or a file ``*.csv`` of
        one's own, with columns instrument_a, instrument_b, dissimilarity and, if known, n and std, or with a square matrix
        under a row of names.

    Raises
    ------
    InputError
        If `kind` is unknown, the file damaged, one instrument is named twice, or fewer than 3 of them were rated.
    """
    if kind not in KINDS and not kind.lower().endswith(".csv"):
        raise InputError(f"ratings {kind!r} are unknown: give {', '.join(KINDS)}, or a file of your own that ends in .csv")
    full = _shipped(kind) if kind in KINDS else _own(Path(kind))
    found = full._among(instruments, [_meant(full.instruments, name) for name in instruments])
    if len(found.rated) < LEAST:
        there = " ".join(found.rated) or "none"
        raise InputError(
            f"ratings {kind}: compare too few of the instruments ({there}), give {LEAST} of {', '.join(full.instruments)}"
        )
    return found


def _meant(names: Sequence[str], asked: str) -> int | None:
    """Return the place of the instrument asked for: the same but for its spelling, or else the only one by alias."""
    spelled = [plain(name) for name in names]
    if plain(asked) in spelled:
        return spelled.index(plain(asked))
    group = next((group for group in ALIASES if plain(asked) in group), set())
    same = [place for place, name in enumerate(spelled) if name in group]
    if len(same) > 1:
        raise InputError(
            f"instrument {asked!r} may mean {' or '.join(names[place] for place in same)} in the ratings: use one name"
        )
    return same[0] if same else None


def _shipped(kind: str) -> Ratings:
    """Pool the studies in the table that comes with the project: weighted means, and spreads by the law of total variance."""
    pairs = _pairs(TABLE, _rows(TABLE))
    names = _names(pairs)
    studies = [_matrices([pair for pair in pairs if pair.study == study], names) for study in STUDIES]
    mean, spread, number = (np.stack(values) for values in zip(*studies, strict=True))  # (5, I, I)
    number, weight = _weighted(kind, number)
    mean, spread = np.nan_to_num(mean), np.nan_to_num(spread)  # where a study lacks a pair, which then has no weight
    pooled = (weight * mean).sum(0)
    variance = (weight * (spread**2 + (mean - pooled) ** 2)).sum(0)
    used = ", ".join(citation for citation, n in zip(STUDIES.values(), number, strict=True) if n.any())
    return _scaled(names, pooled, np.sqrt(variance), number.sum(0), f"{kind}: {used}; collected by Esling et al., DAFx 2018")


def _weighted(kind: str, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of each study's ratings count, and their weights, (5, I, I); those of a pair sum to 1, or are NaN."""
    counted = number * np.reshape([COUNTS[kind].get(study, 0) for study in STUDIES], (-1, 1, 1))
    weight = counted > 0 if kind in BALANCED else counted
    total = weight.sum(0)
    return counted, np.divide(weight, total, out=np.full(weight.shape, np.nan), where=total > 0)


def _scaled(names: Sequence[str], mean: np.ndarray, spread: np.ndarray, number: np.ndarray, note: str) -> Ratings:
    """Divide by the largest mean, and leave out instruments that nothing rates."""
    largest = np.nanmax(mean)
    full = Ratings(tuple(names), mean / largest, spread / largest, number, note)
    return full.subset(full.rated)


def _own(path: Path) -> Ratings:
    """Read a user's own ratings: pairs, or a square matrix."""
    rows = _rows(path)
    if {*COLUMNS} & {name.lower() for name in rows[0].cells}:
        pairs = _pairs(path, rows)
        names = _names(pairs)
        mean, spread, number = _matrices(pairs, names)
    else:
        names, mean = _square(path, rows)
        spread, number = np.full_like(mean, np.nan), (~np.isnan(mean)).astype(int)
    if not np.nanmax(mean, initial=0) > 0:
        raise InputError(f"{path}: holds no dissimilarity above 0: give larger numbers to pairs that sound less alike")
    return _scaled(names, mean, spread, number, f"{path.name}: ratings of {len(names)} instruments")


class _Row(NamedTuple):
    line: int
    cells: list[str]


class _Pair(NamedTuple):
    where: str  # it was read
    a: str
    b: str
    mean: float
    spread: float
    number: int
    study: str


def _rows(path: Path) -> list[_Row]:
    """Read the lines of a table between commas, semicolons or tabs, the header first, without empty ones and those after ``#``."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
        delimiter = max(",;\t", key=kept[0][1].count) if kept else ","
        rows = [_Row(n, [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]) for n, line in kept]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table of ratings ({error}): save it as CSV in UTF-8") from None
    if len(rows) < 2:
        raise InputError(f"{path}: has no ratings under a header: give columns {', '.join(COLUMNS)}, or a matrix under names")
    return rows


def _pairs(path: Path, rows: Sequence[_Row]) -> list[_Pair]:
    """Read a table of one pair a line."""
    columns = [name.lower() for name in rows[0].cells]
    lacking = [name for name in COLUMNS if name not in columns]
    if lacking:
        raise InputError(f"{path}: has no column {lacking[0]}, but {', '.join(columns)[:200]}")
    pairs = []
    for line, cells in rows[1:]:
        if len(cells) != len(columns):
            raise InputError(f"{path}: line {line} has {len(cells)} cells under {len(columns)} names: give one to each")
        pairs.append(_pair(f"{path}: line {line}", dict(zip(columns, cells, strict=True))))
    return pairs


def _pair(where: str, fields: Mapping[str, str]) -> _Pair:
    a, b, mean = (fields[name] for name in COLUMNS)
    if not a or not b or plain(a) == plain(b):
        raise InputError(f"{where} compares {a!r} with {b!r}: name two instruments")
    number = _number(where, fields.get("n") or "1")
    if not 1 <= number <= MOST or number % 1:
        raise InputError(f"{where} has {number:g} ratings: give n as a whole number from 1, or none")
    spread = _number(where, fields["std"]) if fields.get("std") else math.nan
    return _Pair(where, a, b, _number(where, mean), spread, int(number), fields.get("study", ""))


def _number(where: str, text: str) -> float:
    """Read a number from 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(f"{where}: {text!r} is no dissimilarity: give numbers from 0, 0 for the same sound")
    return value


def _square(path: Path, rows: Sequence[_Row]) -> tuple[list[str], np.ndarray]:
    """Read a matrix under a row of names, and maybe a column of them; of two mirrored cells one may be empty."""
    header = rows[0].cells
    cornered = not header[0] or plain(rows[1].cells[0]) == plain(header[1 % len(header)])
    names = header[cornered:]
    if len(names) != len(rows) - 1 or len({*map(plain, names)}) < len(names):
        raise InputError(
            f"{path}: has {len(rows) - 1} rows under {' '.join(names)[:200]}: give each instrument one, of its own name"
        )
    matrix = np.array(
        [_row(f"{path}: line {line}", cells, names, name) for (line, cells), name in zip(rows[1:], names, strict=True)]
    )
    np.fill_diagonal(matrix, np.nan)
    for i, j in zip(*np.nonzero((matrix != matrix.T) & ~np.isnan(matrix + matrix.T)), strict=True):
        if not math.isclose(matrix[i, j], matrix[j, i], rel_tol=1e-6):
            raise InputError(f"{path}: {names[i]} to {names[j]} is {matrix[i, j]:g}, but {matrix[j, i]:g} back: give one number")
    return names, np.where(np.isnan(matrix), matrix.T, matrix)


def _row(where: str, cells: Sequence[str], names: Sequence[str], name: str) -> list[float]:
    """Read the row of one instrument, NaN where a cell is empty."""
    size = len(names)
    if len(cells) - size not in (0, 1) or (len(cells) > size and plain(cells[0]) != plain(name)):
        raise InputError(f"{where} is not the row of {name}: give it {size} numbers, its name before them or none")
    values = [_number(where, text) if text else math.nan for text in cells[-size:]]
    if values[names.index(name)] > 0:
        raise InputError(f"{where}: {name} differs from itself: give dissimilarities, 0 for the same sound")
    return values


def _names(pairs: Sequence[_Pair]) -> list[str]:
    """Return the instruments in the order they come, as first spelled."""
    names: dict[str, str] = {}
    for pair in pairs:
        for name in (pair.a, pair.b):
            names.setdefault(plain(name), name)
    return list(names.values())


def _matrices(pairs: Sequence[_Pair], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, spreads and numbers of ratings (I, I) of pairs; NaN and 0 where there is none."""
    place = {plain(name): i for i, name in enumerate(names)}
    mean, spread = np.full((2, len(names), len(names)), np.nan)
    number = np.zeros((len(names), len(names)), dtype=int)
    for pair in pairs:
        i, j = sorted((place[plain(pair.a)], place[plain(pair.b)]))
        if number[i, j]:
            raise InputError(f"{pair.where} compares {pair.a} and {pair.b} again: give each pair once")
        mean[[i, j], [j, i]], spread[[i, j], [j, i]], number[[i, j], [j, i]] = pair.mean, pair.spread, pair.number
    return mean, spread, number
