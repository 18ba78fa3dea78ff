"""Scores as pure functions of arrays."""

import torch
from torch import Tensor


def success(true: Tensor, named: Tensor) -> list[float]:
    """Return for each label the share of classes named right, over (N, I, L) true and named class ids."""
    return (true == named).double().mean((0, 1)).tolist()


def success_by_note(true: Tensor, named: Tensor, note: Tensor) -> list[float]:
    """Return for each label the share of notes for which the class that most of its frames name is right.

    Parameters
    ----------
    true, named : (N, L) class ids of frames; `true` is the same in all frames of a note.
    note : (N,) which note a frame is of.
    """
    votes = [named[note == n].mode(0).values == true[note == n][0] for n in note.unique()]
    return torch.stack(votes).double().mean(0).tolist()


def log_spectral_distance(reference: Tensor, estimate: Tensor, floor: float) -> Tensor:
    """Return the root mean square over bands of the difference in dB, (N,), of linear magnitudes (N, F) not below `floor`.

    Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24(5), 1976, section III.
    """
    difference = 20 * (reference.clamp_min(floor).log10() - estimate.clamp_min(floor).log10())
    return difference.square().mean(-1).sqrt()
