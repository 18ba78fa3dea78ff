"""Load the `nsgt` package as an oracle: its 0.19 needs a small mend to run on numpy 1.25 and later."""

import sys
import types
import warnings

import numpy as np


def _clip(values, low, high, out):
    """Clip integers in place through a float copy, which newer numpy no longer casts back by itself."""
    out[...] = np.clip(values.astype(float), low, high)
    return out


def load():
    """Return the mended `nsgt` package, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import nsgt
        except ImportError:
            return None
    sys.modules["nsgt.nsgfwin_sl"].np = types.SimpleNamespace(**{**vars(np), "clip": _clip})
    return nsgt


def build(length, scale=None, reduced=1, matrix=True, sample_rate=22050):
    """Build the package's transform in the reference's configuration, without its warnings on low bands."""
    nsgt = load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale = scale or nsgt.OctScale(30, 11000, 48)
        return nsgt.NSGT(scale, sample_rate, length, real=True, matrixform=matrix, reducedform=reduced)
