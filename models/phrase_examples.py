"""Phrases of an analysis to look at and to listen to: real ones beside what a model makes of them, and draws from the prior."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.phrase_windows import PhraseWindows
from data.phrases import BAR, TEMPOS
from data.sequences import TEMPO
from models.epochs import on_device
from models.phrase import PHRASE, PhraseModel
from models.phrase_files import write_phrases
from models.phrasing import Example, Phrases
from utils.device import generator


def examples(
    model: PhraseModel, dataset: PhraseWindows, number: int, seed: int, save: Callable[[str, Tensor, float], Path]
) -> Iterator[Example]:
    """Yield up to `number` phrases, each of another piece.

    Parameters
    ----------
    save : writes a phrase, given its name and tempo, and returns the file of its sound.
    """
    first = [int((dataset.rows[:, 0] == place).nonzero()[0]) for place in dataset.rows[:, 0].unique().tolist()]
    chosen = torch.randperm(len(first), generator=generator(seed, "examples"))[:number].tolist()
    for count, place in enumerate(chosen, 1):
        batch = dataset.batch(torch.tensor([first[place]]), generator("examples"))
        piece, start = dataset.pieces[int(batch["item"])], int(dataset.rows[first[place], 2])
        x = on_device(batch, model.device)[PHRASE]
        z = model.encode(x, PHRASE).mean
        versions = {"the piece": x, "made anew": model.decode(z, PHRASE)}
        versions["drawn at temperature 1"] = model.decode(z, PHRASE, temperature=1.0, random=generator(seed, "example", count))
        rolls = {name: one[0].cpu() for name, one in versions.items()}
        sounds = {name: save(f"example_{count}_{name.replace(' ', '_')}", one, piece.tempo) for name, one in rolls.items()}
        yield Example(f"{piece.name}, bar {start // BAR + 1}", rolls, sounds)


@torch.no_grad()
def add_examples(found: Phrases, model: PhraseModel, dataset: PhraseWindows, number: int, seed: int, folder: Path) -> None:
    """Add examples to what was found, and write them, and some phrases of the prior, as MIDI and sound into `folder`."""
    for earlier in [*folder.glob("example_*"), *folder.glob("draw_*")]:  # there may have been more of them
        earlier.unlink()

    def save(name: str, x: Tensor, tempo: float) -> Path:
        write_phrases(folder / name, model.representations[PHRASE], x[None], float(np.clip(tempo, *TEMPOS)))
        return folder / f"{name}.wav"

    found.examples = list(examples(model, dataset, number, seed, save))
    found.drawn_sounds = [save(f"draw_{place + 1}", x, TEMPO) for place, x in enumerate(found.drawn[:number])]
