"""The pitch of a sound, by an estimator that knows nothing of any model."""

import math

import numpy as np

IN_TUNE = 50.0  # cents, half a semitone
FMAX = 5000.0  # Hz
FINE = 44100  # Hz, at least: where a period has few samples, pYIN hears harmonic tones an octave or a twelfth too low
RATE = 20  # frames a second
GRID = 0.2  # semitones between the pitches that are told from each other; the time it takes grows with the square of their number
PERIODS = 3  # of the lowest pitch that a window holds, at least


def fundamental(samples: np.ndarray, sample_rate: int, fmin: float = 30.0) -> float | None:
    """Return the median fundamental in Hz of the voiced frames of `samples` (S,), None where there is none.

    What lies below `fmin` Hz is filtered out, as rumble too has a period. Mauch and Dixon, "pYIN: a fundamental frequency estimator
    using probabilistic threshold distributions", ICASSP 2014.
    """
    import librosa
    from scipy.signal import butter, resample_poly, sosfiltfilt

    finer = math.ceil(FINE / sample_rate)
    rate, fmax = finer * sample_rate, min(FMAX, sample_rate / 4)
    window = 2 ** math.ceil(math.log2(PERIODS * rate / fmin))
    if fmin >= fmax or finer * len(samples) < window or not np.abs(samples).max(initial=0.0):
        return None
    above = sosfiltfilt(butter(4, fmin, "highpass", fs=sample_rate, output="sos"), samples)
    hertz, voiced, _ = librosa.pyin(
        resample_poly(above, finer, 1),
        fmin=fmin,
        fmax=fmax,
        sr=rate,
        frame_length=window,
        hop_length=rate // RATE,
        resolution=GRID,
    )
    return float(np.median(hertz[voiced])) if voiced.any() else None


def hertz_of(pitch):
    """Return the frequency in Hz of a MIDI pitch, or an array of them; a pitch may have a fraction."""
    return 440 * 2 ** ((pitch - 69) / 12)


def cents_between(low: float, high: float) -> float:
    """Return the interval from `low` to `high` (Hz) in cents."""
    return 1200 * math.log2(high / low)
