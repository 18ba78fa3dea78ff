"""The mode `free_navigation` of runs of phrases: walk through their latent space, hear phrases over and over, and write the way."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from data.performance import looped
from data.phrases import to_notes
from models.exploring import Land, explore
from models.phrase import PHRASE
from models.phrase_files import RATE, tempo_of, write_phrases
from models.phrase_sight import PhraseSight
from models.phrase_space import Manner, PhraseSpace, survey
from models.play_phrases import wished, write_latents, write_table
from models.rendering import Player
from utils.loudspeaker import Loudspeaker


def free_navigation(player: Player, folder: Path, args: Namespace) -> list[str]:
    """Walk through the latent space of a run, of which a point in time is a phrase; return the names of the files written.

    Raises
    ------
    InputError : see `explore`.
    """
    tempo = tempo_of(args.tempo, None, player.representation(PHRASE).span)
    manner = Manner(tempo, args.temperature, wished(player.model, args.wish), folder)
    land = Land(partial(survey, player, manner, args.corpus), _sight, partial(_write, args))
    return explore(land, folder, args)


@contextmanager
def _sight(space: PhraseSpace) -> Iterator[PhraseSight]:
    def loop(x: np.ndarray) -> np.ndarray:
        return looped(to_notes(space.phrase.notes(x), space.manner.tempo), space.seconds, RATE).samples

    with Loudspeaker(loop, RATE) as speaker:
        yield PhraseSight(space, speaker)


def _write(args: Namespace, space: PhraseSpace, z: Tensor, target: Path) -> list[str]:
    """Write the phrases of latents (N, Z), one after another, with all about them; return the names of the files."""
    model, tempo, x = space.player.model, space.manner.tempo, space.phrases(z)
    made = write_phrases(target, space.phrase, x, tempo)
    made += write_table(model, target, x, [f"phrase {place}" for place in range(len(x))], args)
    return [*made, write_latents(model, target, z, x, tempo)]
