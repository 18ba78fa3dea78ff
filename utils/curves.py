"""Curves over time that a number is to follow: a few by name, or read from a table."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.config import InputError

SHARE = 0.8  # of the way from the start to an edge, that a relative curve goes
LEAST = 0.2  # of what is between the edges: it goes through as much, even where the start is near one
POINTS = 1001  # of a curve that has a name
RISING = {"rise": lambda t: t, "exp": lambda t: np.expm1(t) / math.expm1(1), "log": lambda t: np.log1p(t) / math.log(2)}
FALLING = {"fall": "rise", "-exp": "exp", "-log": "log"}
NAMES = (*RISING, *FALLING)


@dataclass(frozen=True, eq=False)
class Curve:
    """Lines through values (M,) at rising times (M,), of which only the proportions count.

    Relative values are shares of the way to what is the most (1) and the least (-1).
    """

    times: np.ndarray
    values: np.ndarray
    relative: bool = True

    def at(self, n: int) -> np.ndarray:
        """Return the values (n,) at even times from the first to the last."""
        return np.interp(np.linspace(self.times[0], self.times[-1], n), self.times, self.values)


def named(name: str) -> Curve:
    """Return the relative curve of a name: from 0 to 1 or -1 as t, e^t or ln(1 + t) goes, t from 0 to 1."""
    t = np.linspace(0, 1, POINTS)
    return Curve(t, RISING[name](t) if name in RISING else -RISING[FALLING[name]](t))


def read(path: Path) -> Curve:
    """Return the curve in a CSV table with the columns ``time`` and ``value``, or ``time`` and ``relative``.

    Raises
    ------
    InputError : no such table, fewer than two rows, times that do not rise, or relative values beyond -1 to 1.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        column = "relative" if rows and "relative" in rows[0] else "value"
        times, values = np.array([(float(row["time"]), float(row[column])) for row in rows]).reshape(-1, 2).T
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a CSV table of time and value") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise InputError(f"{path}: is no CSV table of numbers with the columns time and value, or time and relative") from None
    if len(times) < 2 or not np.isfinite([times, values]).all() or (np.diff(times) <= 0).any():
        raise InputError(f"{path}: needs two rows or more, of finite numbers and with rising times")
    if column == "relative" and np.abs(values).max() > 1:
        raise InputError(f"{path}: relative values lie from -1, the least, to 1, the most; one is {np.abs(values).max():g}")
    return Curve(times, values, column == "relative")


def spanned(shares: np.ndarray, start: float, low: float, high: float) -> np.ndarray:
    """Return a relative curve (N,) from a start on: 1 is 0.8 of the way to `high`, -1 that to `low`.

    A start near an edge, or beyond it, goes at least through 0.2 of what is between both.
    """
    up, down = (max(SHARE * room, LEAST * (high - low)) for room in (high - start, start - low))
    return start + np.where(shares > 0, up, down) * shares
