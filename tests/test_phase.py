"""Phase retrieval: how near it comes to magnitudes, where it starts, and how blocks of a long sound join."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from data.audio import Audio
from data.nsgt import NSGT
from data.phase import integrate, retrieve, stream
from data.representations import NSGTMagnitude
from utils.config import InputError

RATE = 22050
RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "philharmonia"
PLAN = NSGT(704 * 64, frames=640)  # 2 s
SHORT = NSGT(704 * 32, frames=320)


def partials(seconds, seed=0):
    """Return samples (S,) of plucked notes, two a second, of eight partials."""
    draw = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros(len(t))
    for onset in np.arange(0.2, seconds, 0.5):
        since = np.maximum(t - onset, 0)
        envelope = np.minimum(since / 0.01, 1) * np.exp(-3 * since)
        hz = 110 * 2 ** (draw.integers(0, 36) / 12)
        sound += sum(envelope / k * np.sin(2 * np.pi * k * hz * t + draw.uniform(0, 6)) for k in range(1, 9))
    return torch.as_tensor(sound / np.abs(sound).max(), dtype=torch.float32)


def recorded(seconds, instrument="flute"):
    """Return samples (S,) of recorded notes, one after the other."""
    soundfile = pytest.importorskip("soundfile")
    notes = (soundfile.read(path, dtype="float32") for path in sorted((RECORDINGS / instrument).glob("*.mp3")))
    sound = np.concatenate([note[:: rate // RATE] for note, rate in itertools.islice(notes, int(2 * seconds))])
    return torch.as_tensor(sound[: int(seconds * RATE)])


def convergence(samples, magnitudes, transform=PLAN):
    """Return the spectral convergence: how far the samples' magnitudes are from those wanted, relative to these."""
    return float((transform.forward(samples).abs() - magnitudes).norm() / magnitudes.norm())


def magnitudes_of(samples, transform=PLAN):
    return transform.forward(samples[: transform.length]).abs()


def solve(magnitudes, iterations, transform=PLAN, **options):
    return retrieve(magnitudes, transform.forward, transform.inverse, iterations, **options)


# -- retrieval --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sound", ["partials", "recorded"])
def test_few_guided_iterations_reach_what_thirty_random_ones_do(sound):
    if sound == "recorded" and not RECORDINGS.exists():
        pytest.skip("the recordings are not here")
    magnitudes = magnitudes_of(partials(3) if sound == "partials" else recorded(3))
    plain = solve(magnitudes, 30, momentum=0, generator=torch.Generator().manual_seed(0))
    guided = solve(magnitudes, 12, start=integrate(magnitudes, PLAN))
    assert convergence(guided, magnitudes) < min(0.07, convergence(plain, magnitudes))


def test_momentum_helps():
    magnitudes = magnitudes_of(partials(3))
    slow, fast = (solve(magnitudes, 20, momentum=m, generator=torch.Generator().manual_seed(0)) for m in (0, 0.99))
    assert convergence(fast, magnitudes) < 0.8 * convergence(slow, magnitudes)


def test_the_right_phases_are_kept():
    exact = NSGT(SHORT.length, frames=320, ends=True)
    samples = partials(2)[: exact.length]
    coefficients = exact.forward(samples)
    found = solve(coefficients.abs(), 3, exact, start=coefficients.sgn())
    assert (found - samples).norm() < 1e-5 * samples.norm()


def test_a_seed_decides():
    magnitudes = magnitudes_of(partials(2), SHORT)
    one, same, other = (solve(magnitudes, 2, SHORT, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_batches_are_their_members():
    magnitudes = torch.stack([magnitudes_of(partials(2, seed), SHORT) for seed in range(3)])
    start = integrate(magnitudes, SHORT)
    together = solve(magnitudes, 4, SHORT, start=start)
    assert together.shape == (3, SHORT.length)
    torch.testing.assert_close(together[1], solve(magnitudes[1], 4, SHORT, start=start[1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(start[1], integrate(magnitudes[1], SHORT), rtol=0, atol=1e-5)


def test_known_samples_stay():
    samples = partials(3)[: PLAN.length]
    found = solve(magnitudes_of(samples), 3, known=samples[:5000])
    assert torch.equal(found[:5000], samples[:5000])


def test_silence_is_silent():
    silence = torch.zeros(410, 320)
    assert torch.equal(solve(silence, 3, SHORT, start=integrate(silence, SHORT)), torch.zeros(SHORT.length))


# -- the start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [440, 1234.5, 9876])
def test_the_start_of_a_steady_tone_is_its_phase(hz):
    tone = torch.sin(2 * torch.pi * hz * torch.arange(PLAN.length, dtype=torch.float64) / RATE).float()
    tone *= torch.hann_window(PLAN.length)
    magnitudes = magnitudes_of(tone)
    found = PLAN.inverse(magnitudes * integrate(magnitudes, PLAN))
    assert convergence(found, magnitudes) < 0.05


def test_the_start_continues_known_samples():
    tone = torch.sin(2 * torch.pi * 900 * torch.arange(PLAN.length) / PLAN.length)  # whole periods
    magnitudes = magnitudes_of(tone)
    found = PLAN.inverse(magnitudes * integrate(magnitudes, PLAN, known=tone[: PLAN.length // 2]))
    middle = slice(PLAN.length // 4, -PLAN.length // 4)
    assert (found - tone)[middle].norm() < 0.1 * tone[middle].norm()


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_has_the_samples_of_its_points():
    for points in (1, 99, 100, 320, 555):
        pieces = list(stream([torch.rand(410, points)], SHORT, 100, iterations=1))
        assert sum(len(piece) for piece in pieces) == points * 704 // 10
    assert list(stream([], SHORT, 100)) == []


def test_the_cut_of_a_stream_does_not_matter():
    magnitudes = torch.rand(410, 500)
    one, many = (torch.cat(list(stream(magnitudes.split(n, -1), SHORT, 100, iterations=2))) for n in (500, 37))
    assert torch.equal(one, many)


def test_a_stream_runs_on_as_its_magnitudes_come():
    seen = []
    chunks = (seen.append(k) or torch.rand(410, 100) for k in range(20))
    next(stream(chunks, SHORT, 100, iterations=1))
    assert len(seen) <= 3


def test_blocks_of_a_stream_join():
    whole = NSGT(704 * 192, frames=1920)
    samples = partials(whole.length / RATE)
    samples[-RATE:] = 0  # the whole transform is circular, a stream is not
    magnitudes = magnitudes_of(samples, whole)
    found = torch.cat(list(stream(magnitudes.split(500, -1), PLAN, 160)))
    assert convergence(found, magnitudes, whole) < 0.1
    bends = found.diff(n=3).abs()  # a click is a bend beyond those of the sound
    for joint in range(320 * 704 // 10, whole.length - RATE, 320 * 704 // 10):
        assert bends[joint - 5 : joint + 5].max() < bends[joint - 4000 : joint + 4000].max() * 0.9


def test_a_steady_tone_stays_steady_over_joints():
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(PLAN.length) / RATE)
    middle = magnitudes_of(tone)[:, 320:321].expand(-1, 1500)
    found = torch.cat(list(stream([middle], PLAN, 160)))
    inner = found[RATE // 2 : -RATE // 2]
    peaks = inner.unfold(0, 200, 200).abs().amax(-1)
    assert peaks.min() > 0.9 and peaks.max() < 1.1


# -- what a user can mend ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_bad_magnitudes(bad):
    magnitudes = torch.rand(410, 320)
    magnitudes[3, 4] = bad
    with pytest.raises(InputError, match="finite ones from 0 up"):
        solve(magnitudes, 2, SHORT)


def test_no_iterations():
    with pytest.raises(InputError, match="0 iterations"):
        solve(torch.rand(410, 320), 0, SHORT)


@pytest.mark.parametrize("context", [0, 160, 33])
def test_bad_contexts(context):
    with pytest.raises(InputError, match=f"context of {context} points"):
        next(stream([torch.rand(410, 320)], SHORT, context))


def test_a_sound_that_begins_at_once_is_not_faded_in():
    kind = NSGTMagnitude()
    t = np.arange(2 * kind.sample_rate) / kind.sample_rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    rebuilt = kind.invert(kind.forward(Audio(tone, kind.sample_rate))).samples
    start, middle = (np.sqrt(np.mean(np.square(rebuilt[a:b]))) for a, b in ((100, 600), (20000, 24000)))
    assert start > 0.2 * middle  # the frames at the very start see silence before it; faded in, it would be 0.08
