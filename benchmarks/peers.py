"""Name the fundamental of single notes with the usual free tools: librosa's YIN and probabilistic YIN, and basic-pitch.

basic-pitch wants a virtual environment of its own, with the model that comes inside its package (0.6 GB, no TensorFlow):

  python3.11 -m venv peers
  peers/bin/pip install onnxruntime librosa mir_eval pretty_midi resampy
  peers/bin/pip install --no-deps basic-pitch==0.4.0
  peers/bin/python benchmarks/peers.py note.wav ... > named.json

For each file this prints the fundamental in Hz (null where a tool hears none) and the processor time in ms. It stands alone, since
that environment has nothing of the project. Sources: A. de Cheveigné and H. Kawahara, "YIN", JASA 111(4), 2002; M. Mauch and
S. Dixon, "pYIN", ICASSP 2014; R. M. Bittner et al., "A lightweight instrument-agnostic model", ICASSP 2022.
"""

import argparse
import contextlib
import functools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 22050  # Hz; basic-pitch works at it, too
FMIN, FMAX = 30.0, 4500.0  # Hz
WINDOW = 4096  # samples; more than two periods of FMIN
SUSTAIN_DB = 12.0  # YIN always names something; frames within this of the loudest are asked
LOWEST = 21  # MIDI pitch of the first band of basic-pitch's notes


def yin(samples: np.ndarray) -> float | None:
    """Return the median fundamental in Hz of the loud frames of `samples` (S,), None for silence."""
    import librosa

    hertz = librosa.yin(samples, fmin=FMIN, fmax=FMAX, sr=RATE, frame_length=WINDOW)
    level = librosa.feature.rms(y=samples, frame_length=WINDOW, hop_length=WINDOW // 4)[0]
    loud = level >= max(level.max() * 10 ** (-SUSTAIN_DB / 20), 1e-9)
    return float(np.median(hertz[loud])) if loud.any() else None


def pyin(samples: np.ndarray) -> float | None:
    """Return the median fundamental in Hz of the voiced frames of `samples` (S,), None where there is none."""
    import librosa

    hertz, voiced, _ = librosa.pyin(samples, fmin=FMIN, fmax=FMAX, sr=RATE, frame_length=WINDOW)
    return float(np.median(hertz[voiced])) if voiced.any() else None


def basic_pitch(samples: np.ndarray) -> float | None:
    """Return in Hz the pitch of highest mean posterior over `samples` (S,), brought to full scale; None for silence."""
    peak = np.abs(samples).max(initial=0.0)
    if not peak:
        return None
    import soundfile
    from basic_pitch.inference import run_inference

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "note.wav"
        soundfile.write(path, samples / peak, RATE)
        posterior = run_inference(path, _network())["note"]  # (T, 88)
    return 440 * 2 ** ((LOWEST + int(posterior.mean(0).argmax()) - 69) / 12)


@functools.cache
def _network():
    from basic_pitch import ICASSP_2022_MODEL_PATH
    from basic_pitch.inference import Model

    return Model(ICASSP_2022_MODEL_PATH)


METHODS = {"yin": yin, "pyin": pyin, "basic-pitch": basic_pitch}


def named(path: str, methods: list[str]) -> dict[str, dict[str, float | None]]:
    """Return for each method the fundamental in Hz of the note in `path`, and the processor time that it took in ms."""
    import librosa

    samples, _ = librosa.load(path, sr=RATE)
    result = {}
    for method in methods:
        start = time.process_time()
        hertz = METHODS[method](samples)
        result[method] = {"hertz": hertz, "cpu_ms": round(1000 * (time.process_time() - start), 1)}
    return result


def main(argv: list[str]) -> None:
    """Print file -> method -> result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording of one note")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), help="the tools (default: all)")
    args = parser.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # the tools talk
        result = {file: named(file, args.methods) for file in args.files}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
