"""Time the transform and the retrieval of phases beside the `nsgt` package and beside the Fourier transforms alone.

  python -m benchmarks.nsgt --threads 2 --recordings FOLDER

Prints Markdown tables. Times are the least of several runs that take turns; with one thread, of the time on the processor, so that
a loaded machine does not count. The package works in float64 and on one signal at a time. FFTs are those of the input and of all
bands, done by torch.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.audio import Audio
from data.nsgt import NSGT
from data.phase import integrate, retrieve
from tests import oracle

RATE = 22050  # Hz
SIGNALS = {"2 s": (1, 2), "10 s": (1, 10), "16 x 3 s": (16, 3)}  # name: signals, s of each
FORMS = {"matrix, exact": {}, "matrix, fast": {"frames": "fast"}, "octave": {"form": "octave"}}
REPEATS = 7
PLAIN, GUIDED = 30, 12  # iterations from random phases without momentum, and from integrated ones with it


def least(*functions: Callable) -> list[float]:
    """Return the least time of each function in ms; they run in turn."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    best = [float("inf")] * len(functions)
    for _ in range(REPEATS):
        for k, function in enumerate(functions):
            start = clock()
            function()
            best[k] = min(best[k], 1e3 * (clock() - start))
    return best


def package(length: int) -> tuple[float, float]:
    """Return the times of the package, ms, forward and inverse; NaN where it is not installed."""
    if oracle.load() is None:
        return float("nan"), float("nan")
    t, samples = oracle.build(length), np.random.default_rng(0).standard_normal(length)
    coefficients = list(t.forward(samples))
    forward, inverse = least(lambda: list(t.forward(samples)), lambda: t.backward(coefficients))
    return forward, inverse


def limits(t: NSGT, samples: Tensor) -> list[Callable]:
    """Return the Fourier transforms alone, those of a forward and those of an inverse transform."""
    coefficients = t.forward(samples)
    groups = [coefficients] if t.form == "matrix" else coefficients
    spectra = torch.fft.rfft(samples)
    return [
        lambda: (torch.fft.rfft(samples), [torch.fft.ifft(group) for group in groups]),
        lambda: (torch.fft.irfft(spectra, t.length), [torch.fft.fft(group) for group in groups]),
    ]


def transforms(dtype: torch.dtype) -> str:
    """Return the table of times of the transform in each form."""
    lines = ["| signal | form | forward ms | x nsgt | / FFTs | inverse ms | x nsgt | / FFTs |", "|---|---|" + "---:|" * 6]
    for name, (signals, seconds) in SIGNALS.items():
        theirs = [signals * ms for ms in package(seconds * RATE)]
        samples = torch.randn(signals, seconds * RATE, dtype=dtype)
        for form, config in FORMS.items():
            t = NSGT(seconds * RATE, dtype=dtype, **config)
            coefficients = t.forward(samples)
            ours = [lambda t=t, x=samples: t.forward(x), lambda t=t, c=coefficients: t.inverse(c)]
            *times, forward, inverse = least(*ours, *limits(t, samples))
            cells = [(ms, their / ms, ms / bare) for ms, their, bare in zip(times, theirs, (forward, inverse), strict=True)]
            lines.append(f"| {name} | {form} | " + " | ".join("{:.1f} | {:.1f} | {:.2f}".format(*cell) for cell in cells) + " |")
    return "\n".join(lines)


def plucked(length: int) -> Tensor:
    """Return samples (S,) of plucked notes of eight partials, two a second."""
    draw, t = np.random.default_rng(0), np.arange(length) / RATE
    sound = np.zeros(length)
    for onset in np.arange(0.2, length / RATE, 0.5):
        since, hz = np.maximum(t - onset, 0), 110 * 2 ** (draw.integers(0, 36) / 12)
        envelope = np.minimum(since / 0.01, 1) * np.exp(-3 * since)
        sound += sum(envelope / k * np.sin(2 * np.pi * k * hz * t + draw.uniform(0, 6)) for k in range(1, 9))
    return torch.as_tensor(sound, dtype=torch.float32)


def recorded(folder: Path, length: int) -> Tensor:
    """Return samples (S,) of recordings in a folder and below, in an arbitrary but fixed order, one after the other."""
    paths = sorted(folder.rglob("*.mp3")) + sorted(folder.rglob("*.wav"))
    order = np.random.default_rng(0).permutation(len(paths))
    sounds = (Audio.load(paths[k], RATE).samples for k in itertools.islice(itertools.cycle(order), 60))
    return torch.as_tensor(np.concatenate(list(sounds))[:length])


def retrieval(sounds: dict[str, Tensor]) -> str:
    """Return the table of times and spectral convergences of ten seconds brought back from their magnitudes."""
    t = NSGT(10 * RATE, frames="fast")
    theirs = PLAIN * sum(package(10 * RATE)) / 1e3
    lines = [f"| 10 s of | plain, {PLAIN} iterations | guided, {GUIDED} iterations | s | {PLAIN} iterations of nsgt, s |"]
    lines.append("|---|" + "---:|" * 4)
    for name, samples in sounds.items():
        magnitudes = t.forward(samples).abs()

        def guided(magnitudes=magnitudes):
            return retrieve(magnitudes, t.forward, t.inverse, GUIDED, start=integrate(magnitudes, t))

        plain = retrieve(magnitudes, t.forward, t.inverse, PLAIN, momentum=0)
        far = [(t.forward(found).abs() - magnitudes).norm() / magnitudes.norm() for found in (plain, guided())]
        (ms,) = least(guided)
        lines.append(f"| {name} | {far[0]:.4f} | {far[1]:.4f} | {ms / 1e3:.2f} | {theirs:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the package uses one")
    parser.add_argument("--recordings", type=Path, help="folder of recorded notes to bring back from their magnitudes, too")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="of the transform")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"{args.threads} thread(s), {args.dtype}\n\n{transforms(getattr(torch, args.dtype))}\n")
    sounds = {"plucked notes": plucked(10 * RATE), "white noise": torch.randn(10 * RATE)}
    if args.recordings:
        sounds["recorded notes"] = recorded(args.recordings, 10 * RATE)
    print(f"Spectral convergence, the lower the better, and time.\n\n{retrieval(sounds)}")


if __name__ == "__main__":
    main()
