"""Phase retrieval: samples whose transform has given magnitudes.

Sources: D. W. Griffin, J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 32 (1984); its
fast form with momentum by N. Perraudin, P. Balazs, P. L. Søndergaard, "A fast Griffin-Lim algorithm", WASPAA 2013. Where to
start: Z. Průša, P. Balazs, P. L. Søndergaard, "A noniterative method for reconstruction of phase from STFT magnitude", IEEE TASLP
25 (2017), integrate the derivatives of the phase that magnitudes tell; here in the form that Hann windows in frequency allow.

Letters: F bands, M points in time, S samples, K samples already known.
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from data.nsgt import NSGT
from utils.config import InputError

NOTHING = 1e-20  # magnitudes below this are not made larger, so that none becomes infinite


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
    held: int = 1,
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
        Numbers of modulus 1 (..., F, M) to start from, as `integrate` gives; random phases if left out.
    generator : torch.Generator, optional
        Of the random phases.
    known : Tensor, optional
        The first samples (..., K) of the result, to be kept.
    held : int
        Points in time of which only the mean magnitude is given; how it is shared out among them is found. It divides M.

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
        ahead = consistent.clone() if before is None else before.lerp_(consistent, 1 + momentum)
        coefficients, before = _impose(ahead, magnitudes, held), consistent
    return _keep(inverse(coefficients), known)


def _impose(coefficients, magnitudes, held):
    """Change coefficients (..., F, M) so that they have these magnitudes, or so many points at a time their mean, in place."""
    if held == 1:
        return coefficients.sgn_().mul_(magnitudes)
    points, wanted = (values.unflatten(-1, (-1, held)) for values in (coefficients, magnitudes))  # (..., F, M / held, held)
    return points.mul_(wanted.mean(-1, keepdim=True) / points.abs().mean(-1, keepdim=True).clamp_min(NOTHING)).flatten(-2)


def _keep(samples, known):
    """Put the known samples (..., K) in place of the first ones of samples (..., S)."""
    return samples if known is None else torch.cat([known, samples[..., known.shape[-1] :]], -1)


def between_hann_bands(magnitudes: Tensor) -> Tensor:
    """Return where a partial lies between two bands, (..., F - 1, M) from 0 to 1: windows show cos^2 and sin^2 of its place."""
    roots = magnitudes.sqrt()
    return torch.atan2(roots[..., 1:, :], roots[..., :-1, :]) * (2 / torch.pi)


@torch.no_grad()
def integrate(
    magnitudes: Tensor,
    transform: NSGT,
    known: Tensor | None = None,
    place: Callable[[Tensor], Tensor] = between_hann_bands,
    turning: bool = True,
) -> Tensor:
    """Guess the phases of magnitudes (..., F, M) of sounds made of partials: complex numbers of modulus 1, (..., F, M).

    A partial shows in two neighbouring bands, whose ratio tells its place between their centres; its frequency times the distance
    of points is the advance of its phase. Each band then takes over the phase of the larger neighbour with which it shares a
    partial. The phases continue those of known first samples (..., K), if there are any.

    Parameters
    ----------
    magnitudes : Tensor
    transform
        What the magnitudes are of: `NSGT`, or another with `positions`, `length` and `forward`.
    known : Tensor, optional
    place : callable
        Magnitudes to the places (..., F - 1, M), 0 to 1, of a partial between each two bands.
    turning : bool
        Whether coefficients turn against the centres of their bands, as those of `NSGT`, or each has its phase at its point.
    """
    points = magnitudes.shape[-1]
    centres = transform.positions[:, None]  # (F, 1), cycles per signal
    cycles = (centres[:-1] + (centres[1:] - centres[:-1]) * place(magnitudes)) / points  # per point
    above, below = pad(magnitudes[..., 1:, :], (0, 0, 0, 1)), pad(magnitudes[..., :-1, :], (0, 0, 1, 0))
    upwards = above > below
    own = magnitudes >= torch.maximum(above, below)

    def shared(values):  # of the band itself or of the neighbour on whose partial it lies
        neighbour = torch.where(upwards, pad(values[..., 1:, :], (0, 0, 0, 1)), pad(values[..., :-1, :], (0, 0, 1, 0)))
        return torch.where(own, values, neighbour)

    advance = torch.where(upwards, pad(cycles, (0, 0, 0, 1)), pad(cycles, (0, 0, 1, 0)))
    advance = shared(advance - advance.round())  # whole cycles would cost precision
    phase = advance.cumsum(-1) - advance / 2
    carrier = centres * torch.arange(points, device=centres.device) % points / points * turning
    if known is not None:
        middle = known.shape[-1] * points // (2 * transform.length)
        heard = transform.forward(pad(known, (0, transform.length - known.shape[-1])))[..., middle].angle() / (2 * torch.pi)
        phase = phase + (heard + carrier[:, middle] - phase[..., middle])[..., None]
    return torch.polar(torch.ones_like(phase), 2 * torch.pi * (shared(phase) - carrier))


def stream(
    chunks: Iterable[Tensor],
    transform: NSGT,
    context: int,
    iterations: int = 15,
    momentum: float = 0.99,
    start: Callable[[Tensor, Tensor], Tensor] | None = None,
    held: int = 1,
) -> Iterator[Tensor]:
    """Yield samples (..., n) of magnitudes that come in chunks (..., F, m) of any lengths, in bounded memory.

    The transform works on blocks of M points. The first `context` points of a block are samples made before, which it continues;
    as many points at its end only look ahead and are made again, and a part of them fades into the next block. `start` guesses
    phases from magnitudes and known first samples, as `integrate` does if left out; for `held` see `retrieve`.

    Raises
    ------
    InputError
        If `context` leaves no room in a block or is no whole number of samples.
    """
    if not 0 < 2 * context < transform.frames or context * transform.length % transform.frames:
        raise InputError(
            f"A context of {context} points does not fit blocks of {transform.frames} points and {transform.length} samples; "
            f"give a whole number of samples and less than half a block."
        )
    k = context * transform.length // transform.frames  # samples of context
    new = transform.length - 2 * k
    before = None
    for magnitudes, points in _blocks(chunks, transform.frames, context):
        known = magnitudes.new_zeros(*magnitudes.shape[:-2], k) if before is None else before[..., new : new + k]
        guess = start(magnitudes, known) if start else integrate(magnitudes, transform, known)
        samples = retrieve(magnitudes, transform.forward, transform.inverse, iterations, momentum, guess, None, known, held)
        before = samples if before is None else _fade(before[..., new:], samples, k)  # what begins at once is not faded in
        yield before[..., k : k + points * transform.length // transform.frames]


def _fade(old, new, k):
    """Return samples new (..., S) that from k on come out of old ones (..., 2 k), which stand at the same places."""
    n = k // 8
    weight = torch.arange(1, n + 1, dtype=new.dtype, device=new.device) / (n + 1)
    return torch.cat([new[..., :k], torch.lerp(old[..., k : k + n], new[..., k : k + n], weight), new[..., k + n :]], -1)


def _blocks(chunks, points, context):
    """Yield (block of magnitudes (..., F, points), number of points in it that are new), the first after silence."""
    hop, buffer = points - 2 * context, None
    for chunk in chunks:
        buffer = pad(chunk, (context, 0)) if buffer is None else torch.cat([buffer, chunk], -1)
        while buffer.shape[-1] >= points:
            yield buffer[..., :points], hop
            buffer = buffer[..., hop:]
    while buffer is not None and buffer.shape[-1] > context:
        yield pad(buffer, (0, points - buffer.shape[-1])), min(hop, buffer.shape[-1] - context)
        buffer = buffer[..., hop:]
