"""Keys of music: their names and scales, the key of a piece from its pitch classes, how much of it is in key.

Pitch classes count from C = 0. A label is a letter, upper case for major and lower case for minor, with ``-`` for flat and ``#``
for sharp: "C", "f#", "E-".
"""

import re
from dataclasses import dataclass

import numpy as np

from data.notes import PITCH_CLASSES, parse_pitch_class
from data.rolls import LOWEST
from utils.config import InputError

KEY = "key"  # name of what tells the key, in batches and results
MAJOR = ("C", "D-", "D", "E-", "E", "F", "F#", "G", "A-", "A", "B-", "B")  # by tonic
MINOR = ("c", "c#", "d", "e-", "e", "f", "f#", "g", "g#", "a", "b-", "b")
LABELS = MAJOR + MINOR  # a label for everything that sounds different; what `find_key` returns is a place in it

PROFILES = {  # name -> weights of the pitch classes of (major, minor), from the tonic up
    # Aarden (2003), Dynamic melodic expectancy, from the Essen folk songs
    "aarden-essen": (
        (17.7661, 0.145624, 14.9265, 0.160186, 19.8049, 11.3587, 0.291248, 22.062, 0.145624, 8.15494, 0.232998, 4.95122),
        (18.2648, 0.737619, 14.0499, 16.8599, 0.702494, 14.4362, 0.702494, 18.6161, 4.56621, 1.93186, 7.37619, 1.75623),
    ),
    # Krumhansl (1990), Cognitive Foundations of Musical Pitch, from ratings of listeners
    "krumhansl-kessler": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
}
_SCALES = {True: (0, 2, 4, 5, 7, 9, 11), False: (0, 2, 3, 5, 7, 8, 10)}  # major, natural minor; semitones from the tonic
_LABEL = re.compile(r"[A-Ga-g][-#]?")
_NAME = re.compile(
    r"(?P<letter>[A-Ga-g])(?:(?P<sharp>[#♯]|[ -]?sharp\b)|(?P<flat>[♭b]|[ -]?flat\b|-(?![A-Za-z])))?"
    r"[ :]?(?P<mode>M|m|(?i:major|maj|dur|minor|min|moll))?"
)


@dataclass(frozen=True)
class Key:
    """Name a key by its label: "C" is C major, "f#" F sharp minor, "E-" E flat major.

    Raises
    ------
    InputError
        Not such a label; `Key.parse` reads other spellings.
    """

    label: str

    def __post_init__(self):
        if not isinstance(self.label, str) or not _LABEL.fullmatch(self.label):
            raise InputError(f"{self.label!r} is no key: write it like C, f# (minor) or E- (flat)")

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read a key as people write it: "Eb", "E-", "e- minor", "C major", "A♭:min", "F sharp minor", "Bm".

        Without a word for the mode, a capital is major and a small letter minor.

        Raises
        ------
        InputError
            Not a key, or ambiguous like "A-minor", which may be flat or not.
        """
        found = _NAME.fullmatch(" ".join(str(text).split()))
        if not found:
            raise InputError(f"{str(text)[:40]!r} is no key: write it like C, f#, E-, 'Eb major' or 'c minor'")
        letter, mode = found["letter"], found["mode"]
        if mode:
            major = mode == "M" or mode.lower() in ("major", "maj", "dur")
            letter = letter.upper() if major else letter.lower()
        return cls(letter + ("#" if found["sharp"] else "-" if found["flat"] else ""))

    def __str__(self) -> str:
        return self.label

    @property
    def major(self) -> bool:
        """Whether it is major."""
        return self.label[0].isupper()

    @property
    def tonic(self) -> int:
        """Pitch class of the tonic, 0-11."""
        return (PITCH_CLASSES.index(parse_pitch_class(self.label.replace("-", "b"))) + 9) % 12

    @property
    def scale(self) -> tuple[int, ...]:
        """The 7 pitch classes of its scale from the tonic up; natural minor, so those of the relative major."""
        return tuple((self.tonic + step) % 12 for step in _SCALES[self.major])

    @property
    def relative_major(self) -> "Key":
        """The major key of the same notes, spelled by its letter: "a" C, "d#" F#, "e-" G-; a major key is its own."""
        if self.major:
            return self
        tonic = (self.tonic + 3) % 12
        letter = "ABCDEFG"[("abcdefg".index(self.label[0]) + 2) % 7]
        accidental = (tonic - Key(letter).tonic + 5) % 12 - 5
        return Key(letter + {-1: "-", 0: "", 1: "#"}[accidental]) if abs(accidental) <= 1 else Key(MAJOR[tonic])

    @property
    def plain(self) -> "Key":
        """The key that sounds the same and is in `LABELS`: "G-" is "F#"."""
        return self.moved(0)

    def moved(self, semitones: int) -> "Key":
        """Return the key so many semitones higher, in the spelling of `LABELS`."""
        return Key((MAJOR if self.major else MINOR)[(self.tonic + semitones) % 12])

    def shift_to(self, target: "Key") -> int:
        """Return the semitones from this tonic to the nearest one of `target`: -5 to 6."""
        return (target.tonic - self.tonic + 5) % 12 - 5


def find_key(counts: np.ndarray, profile: str = "aarden-essen") -> np.ndarray:
    """Find keys by the profile whose rotation correlates best with counts of pitch classes.

    Pearson's r with each of 24 keys (Krumhansl 1990, chapter 4). Counts that are all equal, as of no notes, give C major.

    Parameters
    ----------
    counts : (..., 12) how often each pitch class sounds, from C up.
    profile : one of `PROFILES`.

    Returns
    -------
    (...) places in `LABELS`.

    Raises
    ------
    InputError
        Not a profile.
    """
    if profile not in PROFILES:
        raise InputError(f"no profile of keys is called '{profile}': take {' or '.join(PROFILES)}")
    weights = np.array([np.roll(mode, tonic) for mode in PROFILES[profile] for tonic in range(12)])  # (24, 12)
    weights -= weights.mean(1, keepdims=True)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    counts = np.asarray(counts, float)
    centred = counts - counts.mean(-1, keepdims=True)  # their norm is the same for all keys
    return np.argmax(np.round(centred @ weights.T, 9), -1)  # rounded, so that ties fall the same way everywhere


def pitch_class_counts(roll: np.ndarray) -> np.ndarray:
    """Count the pitch classes (..., 12) of a roll (..., T, 88), from C up; a note counts once a step."""
    columns = np.asarray(roll).sum(-2, dtype=np.int64)  # (..., 88)
    classes = (np.arange(columns.shape[-1]) + LOWEST) % 12
    return columns @ np.eye(12, dtype=np.int64)[classes]


def in_key_counts(roll: np.ndarray, key: Key) -> np.ndarray:
    """Count notes on the scale of `key`, and all notes, of a roll (..., T, 88): (..., 2).

    Of many rolls, the quotient of the sums is the pooled fraction, the mean of the quotients that over samples.
    """
    counts = pitch_class_counts(roll)
    return np.stack([counts[..., list(key.scale)].sum(-1), counts.sum(-1)], -1)


def in_key_fraction(roll: np.ndarray, key: Key) -> float:
    """Return the share of the notes of a roll (T, 88) that are on the scale of `key`; NaN without notes.

    Twelve equally frequent pitch classes give 7/12.
    """
    inside, notes = in_key_counts(roll, key)
    return float(inside / notes) if notes else float("nan")
