"""The split of a corpus into train, valid and test, by a hash of what a note or piece is."""

import hashlib
import math
from collections.abc import Sequence

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


def completed(identities: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return splits of examples so that there are some in each, where a corpus gives some splits only.

    Where train and valid are given, valid becomes the test, so that nothing was selected on what is reported, and the part of
    train that its hash says validates; where train and test are, only the latter. Without a part to train on, and where one split
    is given alone, all is split by the hash. A split that is empty even then gets the identity with the least hash of the largest.

    Parameters
    ----------
    identities, given : of each example.

    Raises
    ------
    InputError
        There are less than three identities.
    """
    if len(set(identities)) < len(SPLITS):
        raise InputError(f"{len(set(identities))} different pieces or notes cannot be split in three; bring more")
    there = set(given)
    if len(there) == 1 or "train" not in there:
        splits = [split_of(identity) for identity in identities]
    else:
        stands_for = {"valid": "test"} if "test" not in there else {}
        parts = ["valid" if split_of(identity) == "valid" else "train" for identity in identities]
        splits = [part if split == "train" else stands_for.get(split, split) for part, split in zip(parts, given, strict=True)]
    for empty in [split for split in SPLITS if split not in splits]:
        members = {split: {i for i, of in zip(identities, splits, strict=True) if of == split} for split in SPLITS}
        largest = max(SPLITS, key=lambda split: len(members[split]))
        moved = min(members[largest], key=lambda identity: hashlib.blake2b(identity.encode("utf-8", "surrogatepass")).digest())
        splits = [empty if (i, of) == (moved, largest) else of for i, of in zip(identities, splits, strict=True)]
    return splits
