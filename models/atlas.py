"""Where a run's own notes lie in its latent space: on principal axes, with the centroid of each class of a label."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.base import LatentModel
from models.evaluation import BATCH, Observed, observe, passes
from models.run_config import read_run
from models.systems import SYSTEMS
from utils.config import InputError

AXES = 3
SURVEYED = 8192  # frames, at most


@dataclass(frozen=True, eq=False)
class Atlas:
    """Latents of notes that are known, and the axes along which they vary most.

    `means` (N, Z) are posterior means, `ids` (N,) the classes they are of, `names` (K,) those that occur; `axes` (A, Z) have length
    1, by falling variance, and A is 3 or Z, whichever is less.
    """

    names: tuple[str, ...]
    ids: Tensor
    means: Tensor
    centre: Tensor  # (Z,)
    axes: Tensor

    @classmethod
    def of(cls, observed: Observed, label: str = "instrument") -> "Atlas":
        """Make one of the latents of the first modality.

        Raises
        ------
        InputError : the run does not tell `label`, or its latent is a sequence.
        """
        means = next(iter(observed.latents.values())).mean
        if label not in observed.labels or means.dim() != 2:
            told = " ".join(observed.labels) or "none"
            raise InputError(f"needs a run that tells single notes of several instruments apart; this one's labels are {told}")
        facet = observed.labels[label]
        present, ids = facet.ids.unique(return_inverse=True)
        centre = means.mean(0)
        axes = torch.linalg.svd((means - centre).double(), full_matrices=False)[2][:AXES].float()
        axes *= axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()  # the same on every machine
        return cls(tuple(facet.names[k] for k in present), ids, means, centre, axes)

    @property
    def centroids(self) -> Tensor:
        """Return the mean latent of each class, (K, Z)."""
        sums = torch.zeros(len(self.names), self.means.shape[1]).index_add(0, self.ids, self.means)
        return sums / self.ids.bincount(minlength=len(self.names))[:, None]

    def project(self, z: Tensor) -> Tensor:
        """Return the coordinates (..., A) of latents (..., Z)."""
        return (z - self.centre) @ self.axes.T

    def latents(self, places: Tensor) -> Tensor:
        """Return the latents (..., Z) at coordinates (..., A), at the centre of what the axes leave out."""
        return self.centre + places @ self.axes

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return the least and the largest coordinates (A,) of the notes."""
        places = self.project(self.means)
        return places.amin(0), places.amax(0)


def survey(run: Path, model: LatentModel, label: str = "instrument") -> Atlas:
    """Return the atlas of the notes that a run was trained on, or of some of their frames where there are very many.

    Raises
    ------
    InputError : its corpus is not where it was, or it tells no instruments apart.
    """
    train = SYSTEMS[read_run(run)[0]].load().datasets(model.config, ["train"])["train"].plain()
    some = itertools.islice(passes(train, 1, 0), SURVEYED // BATCH)
    return Atlas.of(observe(model, some, model.device, translated=False), label)
