"""The split of a corpus into train, valid and test, by a hash of what a note or piece is."""

import hashlib
import math

from utils.config import InputError

SPLITS = ("train", "valid", "test")
ALL = "all"  # of them together


def split_of(identity: str, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2), seed: int = 0) -> str:
    """Name the split that an identity falls in.

    The choice depends on nothing but the arguments, so adding a file moves no other, and two recordings of one identity
    never sit on two sides.

    Parameters
    ----------
    identity
        What the example is, for instance ``"flute/A#/4/mf"`` or a piece's name.
    fractions
        Expected shares of train, valid and test; they sum to 1.
    seed
        Another seed gives another, independent split.

    Returns
    -------
    str
        ``"train"``, ``"valid"`` or ``"test"``.

    Raises
    ------
    InputError
        If the fractions are not three numbers of at least 0 that sum to 1.
    """
    fractions = tuple(fractions)
    if len(fractions) != 3 or not all(f >= 0 for f in fractions) or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        given = " ".join(f"{f:g}" for f in fractions)
        raise InputError(f"split fractions '{given}': give three shares (train valid test) of at least 0 that sum to 1")
    train, valid, test = fractions
    key = f"{seed}:{identity}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(key, digest_size=8).digest()
    place = (int.from_bytes(digest, "big") >> 14) / 2**50  # [0, 1)
    place *= train + valid + test  # 1 but for rounding, which must not leak into an empty share
    if place < train:
        return "train"
    return "valid" if place < train + valid else "test"


def belongs(identity: str, split: str) -> bool:
    """Tell whether an identity falls in `split`, which may be ``"all"``."""
    return split in (ALL, split_of(identity))
