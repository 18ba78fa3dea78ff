"""Sound one zone of a SoundFont: resampling, low-pass, envelopes, and what velocity does to loudness and brightness.

Sections are those of the SoundFont Technical Specification 2.04. Pitch is constant (no vibrato, no pitch envelope),
panning is ignored.
"""

from collections.abc import Callable, Mapping

import numpy as np

from data.sf2 import Zone

RATIOS = (2.0**-6, 2.0**5)  # source samples per sample; further off nothing is music, only memory
GUARD = 64  # samples (times the ratio) beyond the end, so that the resampler's filter never meets an edge
CONTROL = 256  # samples between two settings of the low-pass filter, 12 ms at 22050 Hz
EMU = 0.4  # share of the stated attenuation that the EMU8000 applied; fonts are balanced for it (FluidSynth does so, too)
OPEN = 0.45  # of the sample rate: a filter with its cutoff above this is left out

# Brightness, measured on recorded notes; see `darken`.
DARKEST = 33  # velocity (pp) at which SLOPE is reached
SLOPE = 8.0  # dB per octave
CORNER = 400.0  # Hz


def voice(
    zone: Zone, samples: np.ndarray, key: int, velocity: int, held: float, length: int, sample_rate: int, pitched: bool
) -> np.ndarray:
    """Return what one zone sounds like.

    Parameters
    ----------
    zone, samples
        The zone, and the samples of its file (int16).
    key, velocity
        The MIDI key that gives the pitch, and the MIDI velocity (1-127).
    held
        Seconds until the key is released.
    length
        Number of samples S to return.
    sample_rate
        Their rate in Hz.
    pitched
        Whether velocity also decides on brightness, and an offset (of a microphone, say) is taken away: not for drums.

    Returns
    -------
    np.ndarray
        (S,) float32.
    """
    values = zone.generators
    ratio = source_step(zone, key, sample_rate)
    count = int(np.ceil(length * ratio + GUARD * max(ratio, 1)))
    signal = resampled(unrolled(zone, samples, count, int(np.ceil(held * sample_rate * ratio))), ratio, length)
    seconds = np.arange(length) / sample_rate
    modulation = modulation_envelope(values, key, held)(seconds[::CONTROL])
    cents = values["initialFilterFc"] + values["modEnvToFilterFc"] * modulation
    signal = low_pass(signal, 440 * 2 ** ((cents - 6900) / 1200), values["initialFilterQ"], sample_rate)
    if pitched:
        signal = darken(without_offset(signal, key, sample_rate), key, velocity, sample_rate)
    gain = 10 ** (-EMU * values["initialAttenuation"] / 200) * (velocity / 127) ** 2  # 40 log10(v / 127) dB (8.4.1)
    return (signal * volume_envelope(values, key, held)(seconds) * gain).astype(np.float32)


def source_step(zone: Zone, key: int, sample_rate: int) -> float:
    """Return how many of the zone's samples pass in one sample at `sample_rate` Hz, so that `key` has its pitch."""
    cents = (key - zone.root) * zone.generators["scaleTuning"] + zone.cents
    return float(np.clip(zone.rate / sample_rate * 2.0 ** (cents / 1200), *RATIOS))


def unrolled(zone: Zone, samples: np.ndarray, count: int, released: int) -> np.ndarray:
    """Return the first `count` samples of a zone (count,) float32, its loop played out; zeros after its end.

    A zone that loops while the key is held plays on to its end from sample `released` (sampleModes 3, 8.1.2).
    """
    place = np.arange(zone.start, zone.start + count)
    if zone.loop != "none":
        period = zone.loop_end - zone.loop_start
        looped = np.where(place < zone.loop_end, place, zone.loop_start + (place - zone.loop_start) % period)
        if zone.loop == "held" and released < count:
            looped[released:] = looped[released] + np.arange(count - released)
        place = looped
    inside = place < zone.end
    signal = np.zeros(count, np.float32)
    signal[inside] = samples[place[inside]] / np.float32(32768)
    return signal


def resampled(signal: np.ndarray, ratio: float, length: int) -> np.ndarray:
    """Return `length` samples taken every `ratio` samples of `signal`, band-limited, so that nothing aliases."""
    if ratio == 1:
        return signal[:length]
    import soxr

    result = soxr.resample(signal, ratio, 1.0, quality="HQ")[:length]
    return np.pad(result, (0, length - len(result)))


def volume_envelope(values: Mapping[str, int], key: int, held: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the gain as a function of seconds (8.1.2, generators 33-40).

    The attack is linear in amplitude, decay and release in decibels: 100 dB in the time that they state.
    """
    rise, fall, release = _stages(values, "VolEnv", key)
    sustain = values["sustainVolEnv"] / 10  # dB

    def gain(seconds: np.ndarray) -> np.ndarray:
        while_held = np.minimum(seconds, held)
        drop = np.minimum(100 * fall(while_held), sustain) + 100 * (seconds - while_held) / release
        return rise(while_held) * 10 ** (-drop / 20)

    return gain


def modulation_envelope(values: Mapping[str, int], key: int, held: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return the modulation envelope, 0-1, as a function of seconds (8.1.2, generators 25-32), linear throughout."""
    rise, fall, release = _stages(values, "ModEnv", key)
    sustain = values["sustainModEnv"] / 1000

    def level(seconds: np.ndarray) -> np.ndarray:
        while_held = np.minimum(seconds, held)
        peak = rise(while_held) * (1 - np.minimum(fall(while_held), sustain))
        return np.maximum(peak - (seconds - while_held) / release, 0)

    return level


def _stages(values: Mapping[str, int], envelope: str, key: int) -> tuple[Callable, Callable, float]:
    """Return rise (0-1) and fall (0 and up, 1 after the decay time) as functions of seconds, and the release in s."""

    def time(stage: str, follow: str = "") -> float:
        timecents = values[stage + envelope] + (values[f"keynumTo{envelope}{follow}"] * (60 - key) if follow else 0)
        return 2.0 ** (min(timecents, 8000) / 1200) if timecents > -12000 else 0.0

    start = time("delay")
    attack, hold, decay = time("attack"), time("hold", "Hold"), max(time("decay", "Decay"), 1e-3)
    peak = start + attack + hold

    def rise(seconds: np.ndarray) -> np.ndarray:
        return np.clip((seconds - start) / attack, 0, 1) if attack else (seconds >= start).astype(float)

    def fall(seconds: np.ndarray) -> np.ndarray:
        return np.maximum(seconds - peak, 0) / decay

    return rise, fall, max(time("release"), 1e-3)


def low_pass(signal: np.ndarray, cutoff: np.ndarray, resonance: int, sample_rate: int) -> np.ndarray:
    """Return the signal (S,) through a two-pole low-pass whose cutoff in Hz is set anew every `CONTROL` samples.

    `resonance` is in centibels above the gain of a filter without a peak (8.1.2, generators 8 and 9). Coefficients
    by R. Bristow-Johnson, Cookbook formulae for audio equalizer biquad filter coefficients.
    """
    if cutoff.min() >= OPEN * sample_rate:
        return signal
    from scipy.signal import lfilter

    step = len(signal) if np.ptp(cutoff) == 0 else CONTROL
    w = 2 * np.pi * np.minimum(cutoff, OPEN * sample_rate) / sample_rate
    alpha = np.sin(w) / 2 * np.sqrt(2) * 10 ** (-resonance / 200)
    scale = (1 - np.cos(w)) / 2 / (1 + alpha)
    numerators = scale[:, None] * [1, 2, 1]
    denominators = np.stack([np.ones_like(w), -2 * np.cos(w) / (1 + alpha), (1 - alpha) / (1 + alpha)], axis=1)
    filtered, state = np.empty(len(signal)), np.zeros(2)
    for start, b, a in zip(range(0, len(signal), step), numerators, denominators, strict=False):
        filtered[start : start + step], state = lfilter(b, a, signal[start : start + step], zi=state)
    return filtered.astype(np.float32)


def without_offset(signal: np.ndarray, key: int, sample_rate: int) -> np.ndarray:
    """Return the signal (S,) through a one-pole high-pass at an eighth of the pitch, at most 20 Hz.

    The samples of TimGM6mb's saxophone have an offset as large as their level, which would click at either end. The
    pitch itself loses 0.07 dB.
    """
    from scipy.signal import lfilter

    pole = np.exp(-2 * np.pi * min(frequency_of(key) / 8, 20) / sample_rate)
    return lfilter([(1 + pole) / 2, -(1 + pole) / 2], [1, -pole], signal)


def frequency_of(key: int) -> float:
    """Return the frequency of a MIDI key in Hz."""
    return 440 * 2.0 ** ((key - 69) / 12)


def darken(signal: np.ndarray, key: int, velocity: int, sample_rate: int) -> np.ndarray:
    """Return the signal as bright as a note played at `velocity`: the softer, the weaker its high partials.

    The gain is (1 + (f / fc)^2)^(-a / 2) with fc = sqrt(f0^2 + (400 Hz)^2): above fc it falls by 6.02 a dB per octave,
    that is 0 at velocity 127 and 8 dB per octave at velocity 33. The two constants are a fit to how the partials of
    the softest and the loudest recording of a note differ, over 165 notes of flute, saxophone, clarinet, cello and
    bassoon (Philharmonia Orchestra samples). The phase is that of (1 + i f / fc)^-a, a filter that is causal.
    """
    order = SLOPE / (20 * np.log10(2)) * (127 - velocity) / (127 - DARKEST)
    if order == 0 or not len(signal):
        return signal
    from scipy import fft

    corner = np.hypot(frequency_of(key), CORNER)
    size = fft.next_fast_len(len(signal) + sample_rate // 20, real=True)  # room for the filter to ring out
    relative = fft.rfftfreq(size, corner / sample_rate).astype(np.float32)
    phase = order * np.arctan(relative)
    response = (1 + relative**2) ** (-order / 2) * (np.cos(phase) - 1j * np.sin(phase))
    return fft.irfft(fft.rfft(signal.astype(np.float32), size) * response, size)[: len(signal)]
