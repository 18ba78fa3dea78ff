"""Keys that a model of scores is told: by their names, as weights of its classes."""

import torch
from torch import Tensor
from torch.nn import functional

from data.keys import KEY, LABELS, Key, find_key, pitch_class_counts
from models.score import ScoreModel
from utils.config import InputError

MEAN = "mean"  # form of a told key: the mean weights of its windows in training
MOVED = 1e-6  # by which training has moved the mean weights of a class that it has seen


def knows_keys(model: ScoreModel) -> bool:
    """Tell whether a model has a latent for the key."""
    return KEY in model.representations


def names(model: ScoreModel) -> tuple[str, ...]:
    """Return the labels of its keys."""
    return model.representations[KEY].names


def seen(model: ScoreModel) -> list[str]:
    """Return the labels of the keys that training has seen: the mean weights of others are still uniform.

    Raises
    ------
    InputError : there are none.
    """
    moved = (model.usual - 1 / len(model.usual)).abs().amax(1) > MOVED
    found = [name for name, there in zip(names(model), moved.tolist(), strict=True) if there]
    if not found:
        raise InputError("training has not seen any key yet: wait until it has, or take --infer_w")
    return found


def asked(model: ScoreModel, text: str) -> str:
    """Return the label of the class of a key that somebody names.

    Raises
    ------
    InputError : is no key, or none that training has seen.
    """
    key = Key.parse(text)
    label = (key.relative_major if model.config.relative_major else key).plain.label
    if label not in (known := seen(model)):
        raise InputError(f"{text}: this run has not seen that key in training; it knows {' '.join(known)}")
    return label


def told(model: ScoreModel, labels: list[str], form: str = MEAN) -> Tensor:
    """Return the weights (N, K) that tell keys by their labels: those that are usual in each, or all on it."""
    ids = torch.tensor([names(model).index(label) for label in labels])
    return model.usual.cpu()[ids] if form == MEAN else functional.one_hot(ids, len(names(model))).float()


def by_profile(roll) -> str:
    """Return the key of a roll (T, 88) by its pitch classes; nothing for one without notes."""
    return LABELS[find_key(pitch_class_counts(roll))] if roll.any() else ""
