"""The `nsgt` package as an oracle for `data.nsgt`, and numbers of it that stand in where it is not installed.

``python -m tests.oracle`` writes the numbers anew. nsgt 0.19 needs a small mend to run on numpy 1.25 and later.
"""

import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "nsgt.json"
SCALES = {"octave": "OctScale", "log": "LogScale", "mel": "MelScale", "linear": "LinScale"}
CASES = [(3000, 1, True), (3000, 0, True), (3001, 1, True), (3001, 0, True), (3000, 1, False), (3001, 0, False), (220500, 1, True)]
AT = [(0, 0), (1, 1), (100, 2), (186, 3), (300, 5), (408, 7), (409, 8)]  # (band, point modulo the number of points)


def _clip(values, low, high, out):
    """Clip integers in place through a float copy, which newer numpy no longer casts back by itself."""
    out[...] = np.clip(values.astype(float), low, high)
    return out


def load():
    """Return the mended package, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import nsgt
        except ImportError:
            return None
    sys.modules["nsgt.nsgfwin_sl"].np = types.SimpleNamespace(**{**vars(np), "clip": _clip})
    return nsgt


def build(length, reduced=1, matrix=True, scale="octave", fmin=30, fmax=11000, bins=48):
    """Return the package's transform at 22050 Hz; `bins` are of an octave on the octave scale and of all on the others."""
    nsgt = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that low bands are narrow
        scale = getattr(nsgt, SCALES[scale])(fmin, fmax, bins)
        return nsgt.NSGT(scale, 22050, length, real=True, matrixform=matrix, reducedform=reduced)


def signal(length):
    """Return samples (S,) that sound everywhere: a rising tone with a click."""
    t = np.arange(length) / length
    return np.sin(length * t**2) + 0.5 * np.cos(0.9 * length * t) + (np.arange(length) == length // 3)


def coefficients(widths):
    """Return numbers that are no signal's coefficients, one array a band."""
    return [np.cos(np.arange(n) * (k + 1)) + 1j * np.sin(np.arange(n) ** 2 + k) for k, n in enumerate(widths)]


def numbers(forward, backward):
    """Return a few numbers, all real, that tell one transform from another: of its coefficients and of its inverse."""
    bands = forward()
    some = [bands[k][n % len(bands[k])] for k, n in AT]
    back = backward(coefficients([len(band) for band in bands]))
    return {
        "widths": [len(bands), min(map(len, bands)), max(map(len, bands))],
        "energy": float(sum((np.abs(band) ** 2).sum() for band in bands)),
        "coefficients": [[c.real, c.imag] for c in some],
        "samples": back[:: len(back) // 7].tolist(),
    }


def write():
    """Store the numbers of all cases."""
    stored = []
    for length, reduced, matrix in CASES:
        t = build(length, reduced, matrix)
        found = numbers(lambda t=t, length=length: list(t.forward(signal(length))), t.backward)
        stored.append({"length": length, "ends": not reduced, "form": "matrix" if matrix else "ragged", **found})
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("[\n" + ",\n".join(map(json.dumps, stored)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    write()
