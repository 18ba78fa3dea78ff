"""Call lt_analyze.py quickly, for its tests."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import lt_analyze
from data.audio import Audio
from data.representations import NSGTMagnitude
from models import examples, listening
from utils import analysis_figures, figures
from utils.files import atomic

QUICK = "--workers 1 --classifier_epochs 2 --griffinlim_iters 1 --n_samples 1 --generate_audio 1"
OFF = {  # leaves out every part
    **dict.fromkeys(("make_losses", "make_figures", "make_classifier", "evaluate_classifier", "conv_classifier", "conv_synth"), 0),
    "generate_audio": 0,
}
KEYS = [
    "format",
    "run",
    "system",
    "request",
    "examples",
    "bands",
    "metrics",
    "latent",
    "probe",
    "generated",
    "space",
    "music",
    "phrases",
    "constraint",
    "examples_named",
]
PIXEL = bytes.fromhex(  # the smallest PNG
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000000000200015d0b2a2d0000000049454e"
    "44ae426082"
)
SAVE = figures.save


@contextlib.contextmanager
def quickly():
    """Hear every note at 440 Hz without making it, write sounds of a tenth of a second and figures of one pixel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listening, "fundamental", lambda samples, rate, lowest: 440.0)
        patch.setattr(NSGTMagnitude, "invert", lambda self, frames, iterations: Audio(np.zeros(9), self.sample_rate))
        patch.setattr(examples, "SHORTEST", 0.1)
        for module in (figures, analysis_figures):
            patch.setattr(module, "save", save)
        yield


def save(figure, path: Path) -> None:
    """Write one pixel in the place of a figure, as carefully."""
    with atomic(path) as aside:
        aside.write_bytes(PIXEL)


def analyse(*runs, flags=(), **options) -> int:
    """Analyse quickly and return the exit code; `options` are flags of one value, `flags` further words."""
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return lt_analyze.main(["-m", *map(str, runs), *QUICK.split(), *given, *map(str, flags)])


def only(**options) -> dict:
    """Return options that leave out every part but those given."""
    return {**OFF, **options}


def read(folder: Path) -> dict:
    """Return the numbers of an analysis."""
    return json.loads((folder / "analysis.json").read_text())


def copied(run: Path, parent: Path, name: str = "run") -> Path:
    """Copy a run into the folder `parent`, without its analysis."""
    return shutil.copytree(run, parent / name, ignore=shutil.ignore_patterns("analysis"))
