"""Make tiny runs of phrases, trained for a moment, with the corpus of MIDI files that they are of."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from data import phrases
from data.melody import Melody
from data.notes import Notes, Track
from data.phrase_windows import PhraseWindows
from data.phrases import StepNotes
from models.epochs import batches
from models.losses import Normal
from models.musicvae import Model
from models.musicvae_config import Config
from models.musicvae_presets import PRESETS
from models.phrase import PHRASE, PhraseModel
from models.run_config import write_run
from models.run_folder import BEST
from models.runs import load_run
from tests.phrase_music import SCALE, drum_files, melody_files
from utils.checkpoint import save_state

FILES, STEPS, RATE = 6, 5, 0.03  # of the corpus, of training
TRIO = (Track("Melody", 0), Track("Bass", 33), Track("Drums", 0, True))


def trio_file(path: Path, bars: int = 4, shift: int = 0, tempo: float = 100.0) -> Path:
    """Write a melody in quarters, a bass in halves and a drum at each eighth."""
    onset = [np.arange(0, 16 * bars, step) for step in (4, 8, 2)]
    pitch = [
        np.resize(SCALE, len(onset[0])) + shift,
        np.resize((36, 43, 41), len(onset[1])),
        np.resize((36, 42, 38, 42), len(onset[2])),
    ]
    length, track = ([np.full(len(part), n) for part, n in zip(onset, each, strict=True)] for each in ((4, 8, 1), (0, 1, 2)))
    start, pitches, tracks = (np.concatenate(parts) for parts in (onset, pitch, track))
    end = start + np.concatenate(length)
    phrases.write(path, StepNotes(start.astype(float), end.astype(float), pitches, np.full(len(start), 80), tracks, TRIO), tempo)
    return path


def make_corpus(folder: Path, kind: str) -> Path:
    """Write files of four bars of a kind of phrases; melodies with 120 quarters a minute, drums with 90 and more."""
    if kind in ("melody", "remi"):
        return melody_files(folder, FILES)
    if kind != "trio":
        return drum_files(folder, FILES)
    for number in range(FILES):
        trio_file(folder / f"trio_{number}.mid", shift=number)
    return folder


def make_phrase_run(folder: Path, kind: str = "hits", steps: int = STEPS, rate: float = RATE, **changes) -> Path:
    """Write a corpus and a run of it, trained for some steps, into `folder`; return the run."""
    corpus = make_corpus(folder / "songs", kind)
    config = replace(Config(), **{**PRESETS["tiny"], "kind": kind, "dbroot": str(corpus), **changes}).resolved()
    torch.manual_seed(config.seed)
    model = Model(config)
    (batch,) = batches(PhraseWindows(config.corpus().of("all"), config.phrase()), 1000, "once")
    for _ in range(steps):
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(model(batch).total, parameters)
        with torch.no_grad():  # torch.optim takes seconds to import
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient.sign()
    run = folder / "run"
    run.mkdir()
    write_run(run, "musicvae", config, {})
    save_state(run / BEST, {"model": model.state_dict(), "epoch": 0, "loss": 0.0})
    return run


class Tokens(PhraseModel):
    """A model whose latents are the tokens of a melody of `steps`, a tenth of each, so that all is remade."""

    def __init__(self, steps: int):
        super().__init__()
        self.config = SimpleNamespace(kind="melody")
        self.representations, self.latent_shape = {PHRASE: Melody(steps)}, (steps,)
        self.register_buffer("some", torch.zeros(1))

    def encode(self, x, source, condition=None):
        return Normal(x / 10, torch.full(x.shape, 1e-4))

    def decode(self, z, target, condition=None, temperature=0.0, random=None):
        return (10 * z).round().clamp(0, 89).long()


def silent(path: Path, notes: Notes, seconds: float, sample_rate: int = 44100) -> None:
    """Write no sound but the seconds it would last: what takes the place of instruments where tests do not listen."""
    Path(path).write_text(f"{seconds:.6f}")


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    """Return the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def whole(path: Path, run: Path) -> torch.Tensor:
    """Return what a run reads of a file, phrase after phrase, (N, T, ...)."""
    from models.phrase_files import piece_in, whole_lines

    model = load_run(run)
    return torch.cat([line.x for line in whole_lines(model, piece_in(model, path))])
