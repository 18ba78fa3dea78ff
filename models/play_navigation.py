"""The mode `free_navigation` of runs that make sound: walk through their latent space, hear it, and write what was recorded."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from models.exploring import Land, explore
from models.play_paths import write_path
from models.rendering import Player
from models.sound_sight import SoundSight
from models.sound_space import SoundSpace, survey
from utils.loudspeaker import Loudspeaker, looped

HELD, ITERATIONS = 48, 5  # frames of a grain of live sound, and how often its phase is refined
LOUDNESS = 0.3  # about the amplitude of the loudest of live sounds


def free_navigation(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Walk through the latent space of a run; return the names of the files written.

    Raises
    ------
    InputError : see `explore`.
    """

    def write(space: SoundSpace, z: Tensor, target: Path) -> list[str]:
        return write_path(player, z, target, bool(args.graphs))

    return explore(Land(partial(survey, player), _sight, write), folder, args)


@contextmanager
def _sight(space: SoundSpace) -> Iterator[SoundSight]:
    signal = space.player.representation("signal")
    gain = LOUDNESS / (space.spectra().norm(dim=1).max().item() / signal.full_scale + 1e-9)

    def grain(spectrum: Tensor) -> np.ndarray:
        return looped(gain * signal.invert(spectrum.expand(HELD, -1), ITERATIONS).samples)

    with Loudspeaker(grain, signal.sample_rate) as speaker:
        yield SoundSight(space, speaker)
