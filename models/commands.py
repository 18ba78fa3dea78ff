"""Commands that move one through a latent space: what a line may begin with, and the numbers in it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from utils.config import InputError

MANY = 1000  # words, at most


@dataclass(frozen=True)
class Command:
    """What a line may begin with."""

    usage: str
    summary: str
    do: Callable[..., str | None]  # (navigation, words...) -> what there is to tell
    least: int = 0  # words after the first
    most: int = 0
    kept: bool = True  # in the session


def table(*commands: Command) -> dict[str, Command]:
    """Return commands by the words that they begin with."""
    return {command.usage.split()[0]: command for command in commands}


def is_number(word: str) -> bool:
    """Tell whether a word is a finite number."""
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def number(word: str, command: str, low: float, high: float) -> float:
    """Return the number that a word is.

    Raises
    ------
    InputError : it is none from `low` to `high`.
    """
    if not is_number(word) or not low <= float(word) <= high:
        raise InputError(f"{command}: takes a number from {low:g} to {high:g}, not {word}")
    return float(word)


def whole(word: str, command: str, low: int, high: int) -> int:
    """Return the whole number that a word is.

    Raises
    ------
    InputError : it is none from `low` to `high`.
    """
    if not re.fullmatch(r"[+-]?\d{1,9}", word) or not low <= int(word) <= high:
        raise InputError(f"{command}: takes a whole number from {low} to {high}, not {word}")
    return int(word)


def with_fraction(command: str, *words: str) -> tuple[str, float]:
    """Return what words name, and the fraction from 0 to 1 of the way to it, written with a point, that may stand behind it.

    Raises
    ------
    InputError : the fraction is out of range.
    """
    if len(words) > 1 and "." in words[-1] and is_number(words[-1]):
        return " ".join(words[:-1]), number(words[-1], command, 0, 1)
    return " ".join(words), 1.0
