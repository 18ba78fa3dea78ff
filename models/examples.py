"""Held-out recordings beside what a model makes of them: their reconstruction, and what it plays from their labels."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.representations import Representation
from models.base import LatentModel
from models.epochs import on_device
from models.rendering import write_sound
from utils.device import generator

SHORTEST, LONGEST = 1.5, 4.0  # s: passages are stretched to the one and cut at the other


@dataclass
class Example:
    """One passage of a dataset, and what became of it."""

    title: str  # its labels, as words
    named: dict[str, str] = field(default_factory=dict)  # source -> what was named, as words
    spectra: dict[str, np.ndarray] = field(default_factory=dict)  # version -> (F, N) linear
    sounds: dict[str, Path] = field(default_factory=dict)  # version -> wav


@torch.no_grad()
def examples(
    model: LatentModel, passages: Iterable[dict[str, Tensor]], samples: int, seed: int, folder: Path, iterations: int
) -> Iterator[Example]:
    """Yield an example for each passage (batches of N frames in the order of time), writing its sounds into `folder`.

    A sound is made of the original frames, of those decoded from each modality's posterior means, and of `samples` latents drawn
    from the posterior of each modality that is no sound; all of them by the same phase retrieval, so that they compare.
    """
    signal = model.representations["signal"]
    for earlier in folder.glob("example_*.wav"):  # there may have been more of them
        earlier.unlink()
    for number, passage in enumerate(passages, 1):
        example = Example(*_words(model, passage))
        for version, frames in _versions(model, passage, samples, (seed, number)):
            stretched = stretch(frames.cpu(), round(SHORTEST * signal.frame_rate), round(LONGEST * signal.frame_rate))
            path = folder / f"example_{number}_{version.replace(' ', '_')}.wav"
            write_sound(path, signal.synthesise([stretched], iterations), signal.sample_rate)
            example.spectra[version], example.sounds[version] = frames.cpu().numpy().T, path
        yield example


def _versions(model: LatentModel, passage: dict[str, Tensor], samples: int, seeds: tuple) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the magnitudes (N, F) of each version of a passage."""
    device = model.device
    yield "original", passage["signal"]
    condition = model.condition(on_device(passage, device))
    others = [source for source, target in model.translations if target == "signal" and source != "signal"]
    yield "reconstruction", model.transfer(passage["signal"].to(device), "signal", "signal", condition)
    for source in others:
        posterior = model.encode(passage[source].to(device), source, condition)
        yield f"from {source}", model.decode(posterior.mean, "signal", condition)
        for sample in range(1, samples + 1):  # one sample for all frames, so that nothing flutters
            noise = torch.randn(posterior.mean.shape[1:], generator=generator(*seeds, source, sample)).to(device)
            z = posterior.mean + posterior.variance.sqrt() * noise
            yield f"from {source} sample {sample}", model.decode(z, "signal", condition)


def _words(model: LatentModel, passage: dict[str, Tensor]) -> tuple[str, dict[str, str]]:
    """Return what a passage is of, and what it is taken for from each source, in words."""
    device, named = model.device, {}
    title = " ".join(facet.names[facet.ids[0]] for facet in model.facets(passage).values())
    for source, target in model.translations:
        representation = model.representations[target]
        truth = _most(representation, passage[target])
        if truth:
            title = truth
            named[source] = _most(representation, model.transfer(passage[source].to(device), source, target).cpu())
    return title, named


def _most(representation: Representation, x: Tensor) -> str:
    """Return what most of `x` (N, *shape) is in words, nothing where words cannot say it."""
    words = representation.text(x)
    return Counter(words).most_common(1)[0][0] if words else ""


def stretch(frames: Tensor, least: int, most: int) -> Tensor:
    """Return the first `most` of frames (N, F), interpolated to `least` where they are fewer."""
    if len(frames) >= least:
        return frames[:most]
    wide = functional.interpolate(frames.T[None], size=least, mode="linear", align_corners=True) if len(frames) > 1 else None
    return frames.expand(least, -1) if wide is None else wide[0].T
