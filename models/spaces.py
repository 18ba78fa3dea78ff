"""What an analysis finds in the latent space of a run that tells instruments apart: ratings, maps of descriptors, strangers."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models import recorded
from models.atlas import AXES, Atlas
from models.base import LatentModel
from models.descriptor_maps import DescriptorMap, descriptor_map
from models.dissimilarities import Dissimilarities, compare, left_out
from models.evaluation import Estimate, Observed
from models.strangers import Strangers, strangers
from utils.config import InputError

log = logging.getLogger(__name__)

USUAL = "balanced-no-grey"  # ratings that a run is compared with first, where it was not trained on any


@dataclass(frozen=True)
class Wanted:
    """What is asked about the space of a run's instruments."""

    ratings: str = ""  # kind to compare with first; those of the training where it is empty
    leave_one_out: int = 0  # epochs of each training without the ratings of one instrument; 0 = none
    steps: int = 24  # points an axis of a map of descriptors; 0 = no map
    labels: tuple[str, ...] = ()  # what the model is told there, one map each
    films: str = "none"  # of those maps: none, gif, mp4
    unseen: str = ""  # folder of instruments that the run does not know


@dataclass
class Space:
    """What was found; what was not asked for, or cannot be, is empty."""

    atlas: Atlas
    agreement: Dissimilarities | None = None
    left_out: dict[str, Estimate] = field(default_factory=dict)
    maps: dict[str, DescriptorMap] = field(default_factory=dict)  # what the model was told -> map
    strangers: Strangers | None = None

    def foretold(self, without: dict[str, np.ndarray], seed: int) -> None:
        """Add how well the ratings of instruments are foretold by the distances (K, K) in spaces made without them."""
        if self.agreement:
            target = next(iter(self.agreement.compared.values())).ratings.mean
            self.left_out = left_out(target, without, self.agreement.instruments, seed)

    def json(self) -> dict:
        """Return the numbers as JSON values."""
        return {
            "agreement": self.agreement.json() if self.agreement else None,
            "left_out": self.left_out,
            "unseen": self.strangers.json() if self.strangers else None,
        }


def explore(model: LatentModel, observed: Observed, wanted: Wanted, seed: int) -> Space | None:
    """Return what `observed` tells of the space of its instruments, None where it tells none apart.

    Raises
    ------
    InputError : what is asked for cannot be read, or needs what the run has not.
    """
    try:
        space = Space(Atlas.of(observed))
    except InputError as error:
        if wanted.unseen or wanted.leave_one_out or wanted.ratings or wanted.films != "none":
            raise InputError(f"--unseen, --leave_one_out, --ratings, --films: {error}") from None
        return None
    space.agreement = compare(observed, wanted.ratings or vars(model.config).get("ratings", USUAL), seed, bool(wanted.ratings))
    if wanted.steps and len(space.atlas.axes) < AXES:
        log.warning("no map of descriptors: it needs %d latent dimensions", AXES)
    elif wanted.steps and "signal" in model.representations:
        told = {word: recorded.spoken(model, word) for word in wanted.labels} or {"": recorded.usual(model)}
        space.maps = {word: descriptor_map(model, space.atlas, wanted.steps, condition) for word, condition in told.items()}
    if wanted.unseen:
        space.strangers = strangers(model, space.atlas, Path(wanted.unseen))
    return space
