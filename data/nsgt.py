"""Non-stationary Gabor transform: the constant-Q analysis of sound and its exact inverse, as functions of tensors.

The spectrum of a signal is cut by overlapping Hann windows, one a band, each centred on a frequency of a scale and as wide as
its two neighbours lie apart; the inverse Fourier transform of each cut is the course of that band in time. Dividing by the
sum of the squared windows undoes it (the "painless" case).

Sources: P. Balazs, M. Dörfler, F. Jaillet, N. Holighaus, G. Velasco, "Theory, implementation and applications of nonstationary
Gabor frames", J. Comput. Appl. Math. 236 (2011), section 4; G. A. Velasco, N. Holighaus, M. Dörfler, T. Grill, "Constructing an
invertible constant-Q transform with non-stationary Gabor frames", DAFx 2011; for slices N. Holighaus, M. Dörfler, G. A. Velasco,
T. Grill, "A framework for invertible, real-time constant-Q transforms", IEEE TASLP 21 (2013), section III.

Letters: B signals, S samples, F bands, M points in time. Positions, widths and offsets of windows are in bins of the Fourier
transform of the whole signal; an offset counts from its window's centre.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from utils.config import InputError

MIN_WIDTH = 4  # bins of the narrowest window
CHUNK = 1 << 18  # complex numbers worked on at once, for each call of an FFT: more would leave the cache
FORMS = ("matrix", "octave", "ragged")

_SCALES = {  # name: (Hz to even steps, even steps to Hz)
    "octave": (np.log2, np.exp2),
    "log": (np.log2, np.exp2),
    "linear": (np.positive, np.positive),
    "mel": (lambda f: 2595 * np.log10(1 + f / 700), lambda m: 700 * (10 ** (m / 2595) - 1)),  # O'Shaughnessy 1987
    "erb": (lambda f: 21.4 * np.log10(1 + 0.00437 * f), lambda e: (10 ** (e / 21.4) - 1) / 0.00437),  # Glasberg, Moore 1990
}


def frequencies(scale="octave", fmin=30.0, fmax=11000.0, bins_per_octave=48, n_bins=None) -> np.ndarray:
    """Return the centres of the bands, (F,) in Hz, evenly spaced on a scale, the first at fmin and the last at fmax.

    F is n_bins where that is given, otherwise ceil(bins_per_octave * log2(fmax / fmin)) + 1, whatever the scale.
    """
    if scale not in _SCALES:
        raise InputError(f"The scale {scale!r} is not known; choose one of {', '.join(_SCALES)}.")
    if not 0 < fmin < fmax:
        raise InputError(f"The range from {fmin} to {fmax} Hz is empty; fmin must be positive and below fmax.")
    if n_bins is None:
        n_bins = int(np.ceil(bins_per_octave * np.log2(fmax / fmin))) + 1
    if n_bins < 2:
        raise InputError(f"{n_bins} bands are too few; give at least 2.")
    warp, unwarp = _SCALES[scale]
    return unwarp(np.linspace(warp(fmin), warp(fmax), n_bins))


def geometry(centres: np.ndarray, length: int, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and widths, both (F + 2,) in bins, of the windows of DC, of the F bands and of Nyquist."""
    edges = np.concatenate([[0.0], centres, [sample_rate / 2]])
    spans = np.concatenate([[2 * edges[1]], edges[2:] - edges[:-2], [2 * (edges[-1] - edges[-2])]])
    widths = np.maximum(np.round(spans * length / sample_rate).astype(int), MIN_WIDTH)
    edges[-2] = (edges[-3] + edges[-1]) / 2  # the last window stands in the middle of the span that it has to fill
    return np.round(edges * length / sample_rate).astype(int), widths


def _largest_prime(n: int) -> int:
    """Return the largest prime factor of n, 1 for 1."""
    prime, largest = 2, 1
    while n > 1:
        while n % prime == 0:
            n, largest = n // prime, prime
        prime = prime + 1 if prime * prime <= n else max(n, prime + 1)
    return largest


def fast_length(n: int) -> int:
    """Return the least length not below n whose prime factors are 2, 3 and 5, fit for fast Fourier transforms."""
    while _largest_prime(n) > 5:
        n += 1
    return n


class _Fourier:
    """Take the windowed spectra of bands to n points in time, and back."""

    def __init__(self, n: int):
        self.n = self.cells = n

    def place(self, offsets: np.ndarray) -> np.ndarray:
        """Return the cell of a band where the bin at an offset from its window's centre goes."""
        return offsets % self.n

    def forward(self, grid: Tensor) -> Tensor:
        """Return the points (B, F, n) of the cells (B, F, n)."""
        return torch.fft.ifft(grid)

    def inverse(self, points: Tensor) -> Tensor:
        """Return the cells of the points, both (B, F, n)."""
        return torch.fft.fft(points)


class _Factored:
    """Do the same for a length n = p q that FFTs are slow for, as two matrix products on the occupied bins only.

    With offset p a + b and time q i + k: exp(2 pi i offset time / n) splits into factors of (a, k), (b, k) and (b, i)
    (J. W. Cooley, J. W. Tukey, 1965). Windows are narrow, so few a occur.
    """

    def __init__(self, n: int, p: int, width: int, dtype: torch.dtype, device: torch.device):
        q, self.n, self.p = n // p, n, p
        self.low, high = -(width // 2) // p, (width - width // 2 - 1) // p
        self.span = high - self.low + 1
        self.cells = p * self.span
        a, b, k = np.arange(self.low, high + 1), np.arange(p), np.arange(q)

        def turns(i, j, n):
            return torch.as_tensor(np.exp(2j * np.pi * (np.outer(i, j) % n) / n), dtype=dtype, device=device)

        self.coarse, self.twiddle, self.fine = turns(a, k, q), turns(b, k, n), turns(b, b, p)

    def place(self, offsets):
        return offsets % self.p * self.span + offsets // self.p - self.low

    def forward(self, grid):
        columns = (grid.unflatten(-1, (self.p, self.span)) @ self.coarse).mul_(self.twiddle / self.n)  # (B, F, p, q)
        return (self.fine @ columns).flatten(-2)

    def inverse(self, points):
        columns = (self.fine.conj() @ points.unflatten(-1, (self.p, -1))).mul_(self.twiddle.conj())  # (B, F, p, q)
        return (columns @ self.coarse.mH).flatten(-2)


def _factor(n: int) -> int | None:
    """Return p for which n is worth treating as p times n / p by matrix products, or None if an FFT is faster (measured)."""
    if n <= 1024 or _largest_prime(n) <= 13:
        return None
    cost, p = min((p + n / p / 6, p) for p in range(1, n + 1) if n % p == 0)  # windows fill about a sixth of n
    return p if cost < 128 else None


class NSGT:
    """Transform signals of one length to bands and back.

    Parameters
    ----------
    length : int
        S, samples.
    sample_rate : float
        Hz.
    fmin, fmax, bins_per_octave, scale, n_bins
        See `frequencies`; fmax must lie below half the sample rate.
    form : str
        ``matrix``: all bands have the same M points in time, a tensor (..., F, M).
        ``octave``: bands of similar width share a length fit for FFTs, a list of tensors (..., F_g, M_g), lowest bands first.
        ``ragged``: each band has as many points as its window has bins, a list like that; F_g consecutive bands are as long.
    frames : int, "fast" or None
        M of the matrix form: as many points as the widest window has bins (None), the next length that suits FFTs ("fast"), or
        any number from that of None up.
    ends : bool
        Keep the bands of DC and Nyquist, first and last, without which the inverse is exact only between fmin and fmax.
    dtype, device
        Of the samples.

    A sine of amplitude 1 has the magnitude S / 2 M where it meets the centre of a band.
    """

    def __init__(
        self, length: int, sample_rate: float = 22050, fmin: float = 30.0, fmax: float = 11000.0, bins_per_octave: float = 48,
        scale: str = "octave", n_bins: int | None = None, form: str = "matrix", frames: int | str | None = None,
        ends: bool = False, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu",
    ):  # fmt: skip
        if length < MIN_WIDTH:
            raise InputError(f"A signal of {length} samples is too short to transform; give at least {MIN_WIDTH}.")
        if fmax >= sample_rate / 2:
            raise InputError(f"fmax {fmax} Hz is not below half the sample rate, {sample_rate / 2} Hz; choose a lower fmax.")
        if form not in FORMS:
            raise InputError(f"The form {form!r} is not known; choose one of {', '.join(FORMS)}.")
        self.length, self.form, self.dtype, self.device = length, form, dtype, torch.device(device)
        self.frequencies = frequencies(scale, fmin, fmax, bins_per_octave, n_bins)
        positions, widths = geometry(self.frequencies, length, sample_rate)
        kept = np.arange(len(widths)) if ends else np.arange(1, len(widths) - 1)
        self.positions = torch.as_tensor(positions[kept], device=self.device)
        lengths = _lengths(form, frames, widths, int(widths[kept].max()))
        self.frames = int(lengths[0]) if form == "matrix" else None
        self.groups = self._groups(positions, widths, lengths, kept)

    def _groups(self, positions, widths, lengths, kept):
        """Return the runs of kept bands that are transformed together."""
        band, offset, bins, sign, gain = _windows(positions, widths, self.length)
        dual = _dual(band, bins, sign, gain, lengths, self.length)
        factor = _factor(self.frames) if self.form == "matrix" else None
        labels = np.log2(widths[kept].max() / widths[kept]).astype(int) if factor else lengths[kept]
        groups, like = [], (self.dtype.to_complex(), self.device)
        for run in np.split(kept, np.flatnonzero(np.diff(labels)) + 1):
            n, own = int(lengths[run[0]]), slice(*np.searchsorted(band, [run[0], run[-1] + 1]))
            kernel = _Factored(n, factor, int(widths[run].max()), *like) if factor else _Fourier(n)
            cells = (band[own] - run[0]) * kernel.cells + kernel.place(offset[own])
            entries = [bins[own], *(np.stack([g[own], (g * sign)[own]], -1) for g in (gain, dual))]  # real, imaginary parts
            if self.form != "matrix":  # few cells are empty: rather fill them than place the others
                entries, cells = [_set_out(e, cells, len(run) * kernel.cells) for e in entries], None
            groups.append(_Group(kernel, len(run), cells, *entries, self.dtype, self.device))
        return groups

    def forward(self, samples: Tensor) -> Tensor | list[Tensor]:
        """Return the coefficients of samples (..., S): complex, a tensor or a list of tensors as the form says."""
        if samples.shape[-1:] != (self.length,):
            raise ValueError(f"samples of shape {tuple(samples.shape)} given to a transform of {self.length} samples")
        spectra = torch.fft.rfft(samples.to(self.dtype).reshape(-1, self.length))  # (B, S / 2 + 1)
        groups = [group.analyse(spectra) for group in self.groups]  # (B, F_g, M_g) each
        groups = [c.reshape(*samples.shape[:-1], *c.shape[1:]) for c in groups]
        if self.form != "matrix":
            return groups
        return groups[0] if len(groups) == 1 else torch.cat(groups, -2)

    def inverse(self, coefficients: Tensor | list[Tensor]) -> Tensor:
        """Return the samples (..., S) of coefficients in the shape that `forward` gives."""
        bands = [group.bands for group in self.groups]
        parts = coefficients.split(bands, -2) if self.form == "matrix" else coefficients
        batch = parts[0].shape[:-2]
        spectra = parts[0].new_zeros(batch.numel(), self.length // 2 + 1)
        for group, part in zip(self.groups, parts, strict=True):
            bins, values = group.synthesise(part.reshape(-1, *part.shape[-2:]))
            spectra.scatter_add_(-1, bins, values)
        return torch.fft.irfft(spectra, self.length).reshape(*batch, self.length)


class _Group:
    """Bands that are transformed together: which W bins of the spectrum go to which cells, or to all, and with what weights."""

    def __init__(self, kernel, bands, cells, bins, weights, dual, dtype, device):
        self.kernel, self.bands = kernel, bands
        self.rows = max(1, CHUNK // (bands * kernel.cells))
        self._cells = None if cells is None else torch.as_tensor(cells, device=device)  # (W,)
        self._bins = torch.as_tensor(bins, device=device)  # (W,)
        self._weights, self._dual = (torch.as_tensor(w, dtype=dtype, device=device) for w in (weights, dual))  # (W, 2)

    def analyse(self, spectra):
        """Return the coefficients (B, F_g, M_g) of spectra (B, S / 2 + 1)."""
        return _stack((self._analyse(part, len(part)) for part in spectra.split(self.rows)), len(spectra))

    def _analyse(self, spectra, rows):
        values = _weigh(spectra.gather(-1, self._bins.expand(rows, -1)), self._weights)  # (B, W)
        if self._cells is not None:
            grid = spectra.new_zeros(rows, self.bands * self.kernel.cells)
            values = grid.scatter_(-1, self._cells.expand(rows, -1), values)
        return self.kernel.forward(values.view(rows, self.bands, -1))

    def synthesise(self, coefficients):
        """Return bins and values to be added there, both (B, W), of coefficients (B, F_g, M_g)."""
        parts = (self._synthesise(part, len(part)) for part in coefficients.split(self.rows))
        values = _stack(parts, len(coefficients))
        return self._bins.expand(len(values), -1), values

    def _synthesise(self, coefficients, rows):
        values = self.kernel.inverse(coefficients).flatten(-2)
        if self._cells is not None:
            values = values.gather(-1, self._cells.expand(rows, -1))
        return _weigh(values, self._dual)  # (B, W)


@functools.lru_cache(maxsize=8)
def transform(length: int, **config) -> NSGT:
    """Return `NSGT` of these arguments, planned once for each configuration in use."""
    return NSGT(length, **config)


def _stack(parts, rows):
    """Join parts along the first dimension, `rows` in all, as they come, so that each can have the memory of the one before."""
    first = next(parts)
    if len(first) == rows:
        return first
    if first.requires_grad:
        return torch.cat([first, *parts])
    joined, row = first.new_empty(rows, *first.shape[1:]), 0
    for part in itertools.chain([first], parts):
        joined[row : row + len(part)] = part
        row += len(part)
    return joined


def _weigh(values, weights):
    """Multiply real parts and imaginary parts of values (B, W) by weights (W, 2), in place."""
    torch.view_as_real(values).mul_(weights)
    return values


def _set_out(entries, cells, size):
    """Return entries in the order of cells, (size, ...): empty cells get any bin, with weights of zero."""
    filled = np.resize(entries, size) if entries.ndim == 1 else np.zeros((size, 2))
    filled[cells] = entries
    return filled


def _lengths(form, frames, widths, widest):
    """Return the number of points in time of each band, like widths."""
    if frames is not None and form != "matrix":
        raise InputError(f"frames={frames!r} does not go with the {form} form; leave it out or choose the matrix form.")
    if form == "ragged":
        return widths
    if form == "octave":
        halvings = np.log2(np.maximum(widest / widths, 1)).astype(int)
        lengths = np.array([fast_length(-(-widest // 2**i)) for i in range(halvings.max() + 1)])
        return np.maximum(lengths[halvings], widths)
    frames = {None: widest, "fast": fast_length(widest)}.get(frames, frames)
    if not isinstance(frames, int) or frames < widest:
        raise InputError(
            f"frames={frames!r} does not do for bands {widest} bins wide; give a whole number from there up, or 'fast'."
        )
    return np.full_like(widths, frames)


def _windows(positions, widths, length):
    """Return band, offset, bin (0 to S / 2), sign of its imaginary part and gain, (W,) each, of the bins of all windows."""
    band = np.repeat(np.arange(len(widths)), widths)
    offset = np.arange(len(band)) - np.repeat(np.cumsum(widths) - widths, widths) - widths[band] // 2
    gain = 0.5 + 0.5 * np.cos(2 * np.pi * offset / widths[band])
    bins = (positions[band] + offset) % length
    return band, offset, np.minimum(bins, length - bins), np.where(2 * bins > length, -1, 1), gain


def _dual(band, bins, sign, gain, lengths, length):
    """Return the dual window (W,): the window over the sum of all squared windows, each times its number of points.

    The windows of DC and Nyquist are their own mirror images; those of other bands have one, which doubles the bins 0 and S / 2.
    """
    end = (band == 0) | (band == band[-1])
    share = np.where(end, sign > 0, np.where(2 * bins % length == 0, 2, 1)) * lengths[band] * gain
    total = np.bincount(bins, share * gain, length // 2 + 1)
    return share / np.maximum(total, np.finfo(float).tiny)[bins]


class SlicedNSGT:
    """Transform signals of any length in bounded memory, by tapered slices that overlap by half.

    A slice is two blocks long; its taper is flat but for two slopes, sums to one over the slices, and is zero at both ends, so
    that the responses of narrow bands have room to fade.

    Parameters
    ----------
    block : int
        Samples that a slice advances; the transform inside is one of 2 * block samples.
    slope : int
        Samples of a slope, at most block.
    config
        Of `NSGT`, the matrix form, for a slice of 2 * block samples.
    """

    def __init__(self, block: int, slope: int, **config):
        if not 0 < slope <= block:
            raise InputError(f"A slope of {slope} samples does not fit a block of {block}; give 1 to {block}.")
        self.block, self.transform = block, transform(2 * block, **config)
        if self.transform.form != "matrix" or self.transform.frames % 2:
            raise InputError("Slices need the matrix form with an even number of frames; give frames=, an even number.")
        like = {"dtype": self.transform.dtype, "device": self.transform.device}
        place = (torch.arange(block, **like) - (block - slope) / 2 + 0.5) / slope  # 0 to 1 on the slope
        rise = torch.sin(torch.pi / 2 * place.clamp(0, 1)) ** 2
        self.taper = torch.cat([rise, 1 - rise])  # (2 block,)
        self.sign = 1 - 2 * (self.transform.positions % 2)[:, None]  # (F, 1): half a slice turns odd positions by half a period

    def forward(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the coefficients (..., F, M) of each slice of a signal that comes in blocks (..., block): one more than blocks."""
        before = None
        for block in blocks:
            before = torch.zeros_like(block) if before is None else before
            yield self.transform.forward(torch.cat([before, block], -1) * self.taper)
            before = block
        if before is not None:
            yield self.transform.forward(torch.cat([before, torch.zeros_like(before)], -1) * self.taper)

    def inverse(self, slices: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the blocks (..., block) of the signal whose slices' coefficients (..., F, M) come."""
        before = None
        for coefficients in slices:
            first, second = self.transform.inverse(coefficients).split(self.block, -1)
            if before is not None:
                yield before + first
            before = second

    def joined(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the coefficients (..., F, M / 2) of each block as a transform of the whole signal has them.

        They agree up to the rounding of positions and widths of windows to the bins of a slice, and in phase up to a turn that
        is constant in a block and a band.
        """
        before = None
        for coefficients in self.forward(blocks):
            first, second = coefficients.chunk(2, -1)
            if before is not None:
                yield before * self.sign + first
            before = second
