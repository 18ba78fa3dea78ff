"""Phase retrieval: samples whose transform has given magnitudes.

Sources: D. W. Griffin, J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32 (1984); its
fast form with momentum by N. Perraudin, P. Balazs, P. L. Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013. The start is
the idea of Z. Průša, P. Balazs, P. L. Søndergaard, "A noniterative method for reconstruction of phase from STFT magnitude",
IEEE TASLP 25 (2017), to integrate the phase's derivative that the magnitudes tell, in the form that Hann windows in frequency allow.

Letters: F bands, M points in time, S samples, K samples already known.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from data.nsgt import NSGT
from utils.config import InputError


@torch.no_grad()
def retrieve(
    magnitudes: Tensor,
    forward: Callable[[Tensor], Tensor],
    inverse: Callable[[Tensor], Tensor],
    iterations: int = 15,
    momentum: float = 0.99,
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
    known: Tensor | None = None,
) -> Tensor:
    """Return samples (..., S) whose coefficients have nearly the given magnitudes (..., F, M), by the fast Griffin-Lim algorithm.

    Parameters
    ----------
    magnitudes : Tensor
        Non-negative.
    forward, inverse : callable
        Samples (..., S) to complex coefficients (..., F, M), and back.
    iterations : int
        Number of inverse transforms.
    momentum : float
        0 is the plain algorithm of Griffin and Lim.
    start : Tensor, optional
        Complex numbers of modulus 1 (..., F, M) to start from, as `integrate` gives; random phases if left out.
    generator : torch.Generator, optional
        Of the random phases.
    known : Tensor, optional
        The first samples (..., K) of the result, to be kept.

    Raises
    ------
    InputError
        If a magnitude is negative or not a finite number.
    """
    if iterations < 1:
        raise InputError(f"{iterations} iterations cannot retrieve a phase; give at least 1.")
    if not (magnitudes.amin() >= 0 and magnitudes.amax() < torch.inf):
        raise InputError("The magnitudes hold negative, infinite or undefined numbers; give finite ones from 0 up.")
    if start is None:
        turns = torch.rand(magnitudes.shape, generator=generator, dtype=magnitudes.dtype, device=magnitudes.device)
        start = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
    coefficients, before = magnitudes * start, None
    for _ in range(iterations - 1):
        consistent = forward(_keep(inverse(coefficients), known))
        ahead = consistent if before is None else torch.lerp(before, consistent, 1 + momentum)
        coefficients, before = magnitudes * ahead.sgn(), consistent
    return _keep(inverse(coefficients), known)


def _keep(samples, known):
    """Put the known samples (..., K) in place of the first ones of samples (..., S)."""
    return samples if known is None else torch.cat([known, samples[..., known.shape[-1] :]], -1)


@torch.no_grad()
def integrate(magnitudes: Tensor, transform: NSGT, known: Tensor | None = None) -> Tensor:
    """Guess the phases of magnitudes (..., F, M) of sounds made of partials: complex numbers of modulus 1, (..., F, M).

    A partial shows in two neighbouring bands, by the Hann windows cos^2 and sin^2 of its place between their centres; so the
    root of their ratio is the tangent of that place, and its frequency times the distance of points the advance of its phase.
    Each band then takes over the phase of the larger neighbour with which it shares a partial. The phases continue
    those of known first samples (..., K), if there are any.
    """
    points = magnitudes.shape[-1]
    centres = transform.positions[:, None]  # (F, 1), cycles per signal
    roots = magnitudes.sqrt()
    place = torch.atan2(roots[..., 1:, :], roots[..., :-1, :]) * (2 / torch.pi)  # (..., F - 1, M), 0 to 1
    cycles = (centres[:-1] + (centres[1:] - centres[:-1]) * place) / points  # per point
    above, below = pad(magnitudes[..., 1:, :], (0, 0, 0, 1)), pad(magnitudes[..., :-1, :], (0, 0, 1, 0))
    upwards = above > below
    advance = torch.where(upwards, pad(cycles, (0, 0, 0, 1)), pad(cycles, (0, 0, 1, 0)))
    advance = advance - advance.round()  # whole cycles would cost precision
    phase = advance.cumsum(-1) - advance / 2
    carrier = centres * torch.arange(points, device=centres.device) % points / points  # coefficients turn against it
    if known is not None:
        middle = known.shape[-1] * points // (2 * transform.length)
        heard = transform.forward(pad(known, (0, transform.length - known.shape[-1])))[..., middle].angle() / (2 * torch.pi)
        phase = phase + (heard + carrier[:, middle] - phase[..., middle])[..., None]
    phase = torch.where(
        magnitudes >= torch.maximum(above, below),
        phase,
        torch.where(upwards, pad(phase[..., 1:, :], (0, 0, 0, 1)), pad(phase[..., :-1, :], (0, 0, 1, 0))),
    )
    return torch.polar(torch.ones_like(phase), 2 * torch.pi * (phase - carrier))
