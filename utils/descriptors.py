"""What a spectrum sounds like in single numbers, as differentiable functions of its linear magnitudes.

The formulas take the frequency of every band as it is, so that bands may be spaced in any way. They must be the true centres:
librosa's functions of the same names take bands to lie evenly from 0 Hz up unless they are told otherwise, and the octave, mel and
ERB bands of an NSGT do not. A sum over bands weighs a region of frequency by how many bands lie in it, so numbers compare between
sounds on the same bands only.

Peeters, "A large set of audio features for sound description (similarity and classification) in the CUIDADO project", IRCAM,
2004, sections 6.1.1 (centroid) and 6.1.2 (spread, here bandwidth); flatness and rolloff also in Peeters, Giordano, Susini,
Misdariis and McAdams, "The Timbre Toolbox: extracting audio descriptors from musical signals", JASA 130(5), 2011.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from utils.config import InputError

UNITS = {"centroid": "Hz", "bandwidth": "Hz", "flatness": "", "rolloff": "Hz", "loudness": "dB"}
NAMES = tuple(UNITS)
FLOOR = 1e-10  # power relative to full scale, -100 dB: what is softer counts as that
SHARE = 0.85  # of all magnitudes, that lies below the rolloff
NARROWEST = 1e-3  # Hz: a root has no gradient at 0, and single precision cannot tell less apart


def describe(magnitudes: Tensor, frequencies: Tensor, full_scale: float, names: Sequence[str] = NAMES) -> dict[str, Tensor]:
    """Return the descriptors of spectra by name, each (...).

    A silent spectrum, of which no band is above -100 dB of full scale, has no shape: centroid, bandwidth, flatness and rolloff
    are NaN there, and the loudness is -100 dB, the least there is. Gradients are finite everywhere, and 0 for silent spectra.

    Parameters
    ----------
    magnitudes : (..., F) linear, not negative.
    frequencies : (F,) Hz, the true centres of the bands, ascending.
    full_scale : the modulus of a sine of amplitude 1.
    names : of `NAMES`; their units are in `UNITS`.

    Raises
    ------
    InputError : a name that is none of these.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise InputError(f"descriptor {unknown[0]!r} is not known; there are {', '.join(NAMES)}")
    levels = magnitudes / full_scale
    frequencies = frequencies.to(levels)
    silent = levels.amax(-1) <= math.sqrt(FLOOR)
    sounding = torch.where(silent[..., None], 1.0, levels)  # whose gradient is finite
    return {
        name: _loudness(levels) if name == "loudness" else torch.where(silent, math.nan, SHAPES[name](sounding, frequencies))
        for name in names
    }


def _centroid(levels: Tensor, frequencies: Tensor) -> Tensor:
    """Return the mean frequency, weighted by magnitude: sum f S / sum S."""
    return levels @ frequencies / levels.sum(-1)


def _bandwidth(levels: Tensor, frequencies: Tensor) -> Tensor:
    """Return the standard deviation of frequency about the centroid c: the root of sum S (f - c)^2 / sum S."""
    away = frequencies - _centroid(levels, frequencies)[..., None]  # (..., F)
    return ((levels * away**2).sum(-1) / levels.sum(-1)).clamp_min(NARROWEST**2).sqrt()


def _flatness(levels: Tensor, _: Tensor) -> Tensor:
    """Return the geometric over the arithmetic mean of power, 0 to 1; no band has less than `FLOOR`."""
    power = levels.square().clamp_min(FLOOR)
    return power.log().mean(-1).exp() / power.mean(-1)


def _rolloff(levels: Tensor, frequencies: Tensor) -> Tensor:
    """Return the lowest frequency up to which 0.85 of the sum of all magnitudes lies.

    The sum grows linearly from one band's frequency to the next, so that there is a gradient, and jumps are over silent bands
    only. The usual rolloff is this one rounded up to the next band.
    """
    cumulative = levels.cumsum(-1)
    share = SHARE * cumulative[..., -1:]
    k = torch.searchsorted(cumulative.detach(), share.detach())  # the first band with the share or more, (..., 1)
    reached = torch.cat([torch.zeros_like(share), cumulative], -1)
    before, at = reached.gather(-1, k), reached.gather(-1, k + 1)
    low, high = frequencies[(k - 1).clamp_min(0)], frequencies[k]
    return (low + (high - low) * (share - before) / (at - before))[..., 0]


def _loudness(levels: Tensor) -> Tensor:
    """Return the root of the mean square in dB of full scale, at least -100."""
    return 10 * levels.square().mean(-1).clamp_min(FLOOR).log10()


SHAPES = {"centroid": _centroid, "bandwidth": _bandwidth, "flatness": _flatness, "rolloff": _rolloff}
