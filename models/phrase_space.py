"""A latent space of phrases: what is written at its places, and where pieces of music lie in it."""

import itertools
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from data.attributes import DENSITY
from data.phrase_corpora import PhrasePiece, read
from data.phrase_windows import PhraseWindows
from data.phrases import Phrase
from data.sequences import QUARTER
from models.commands import MANY, Command, table, whole, with_fraction
from models.latent_space import Space, of_prior, principal
from models.navigation import Navigation
from models.phrase import PHRASE, PhraseModel, in_parts
from models.phrase_files import SOUNDS, named, phrase_at, write_phrases
from models.play_phrases import attributes, some
from models.rendering import Player
from utils.config import InputError
from utils.device import generator

log = logging.getLogger(__name__)

PIECES, DRAWS = 200, 100  # of a corpus, at most; of the prior, where there is none
FEWEST = 2  # axes of pieces, without which the coordinates are taken
FAINTEST = 0.05  # of the largest deviation: along axes on which pieces differ less nothing is heard
COORDINATES = "coordinates"  # what the axes are then


def _to(walk: Navigation, *words: str) -> None:
    name, fraction = with_fraction("to", *words)
    walk.approach(walk.space.middle(name), fraction)


def _phrase(walk: Navigation, *words: str) -> None:
    file, numbers = list(words), []
    while len(file) > 1 and len(numbers) < 2 and re.fullmatch(r"[+-]?\d+", file[-1]):
        numbers.insert(0, whole(file.pop(), "phrase", 1, 10**6))
    (bar, line), path = (*numbers, 1, 1)[:2], " ".join(file)
    model = walk.space.player.model
    try:
        found = phrase_at(model, path, line, bar)
    except OSError as error:
        raise InputError(f"phrase {path}: cannot be read ({error.strerror})") from None
    walk.move(model.encode(found.x, PHRASE).mean[0].cpu())


def _keep(walk: Navigation, *words: str) -> str:
    kept = walk.space.keep(walk.at(walk.clock), " ".join(words))
    return f"kept {' and '.join(kept)}"


def _axes(walk: Navigation, mark: str) -> None:
    if mark != walk.space.mark:
        what = "the coordinates" if mark == COORDINATES else "axes of other pieces"
        raise InputError(f"axes {mark}: this session was walked along {what}; give the same --corpus, or leave this line out")


class Manner(NamedTuple):
    """How phrases are written: at which tempo (quarters a minute) and temperature, what is wished (1, A), where they are kept."""

    tempo: float
    temperature: float
    wished: Tensor | None
    folder: Path


@dataclass(frozen=True, eq=False)
class PhraseSpace(Space):
    """A latent space with the principal axes of pieces, whose `means` (P, Z) are those of their phrases, and their `names` (P,).

    Without pieces the axes are the coordinates, and `means` are draws of the prior without names. `mark` tells axes apart.
    """

    manner: Manner
    names: tuple[str, ...]
    mark: str

    commands = table(
        Command("to PIECE [FRACTION]", "glide to a piece of the map, or part of the way", _to, 1, MANY),
        Command("phrase FILE [BAR [LINE]]", "glide to a phrase of a MIDI file", _phrase, 1, MANY),
        Command("keep [NAME]", "write this phrase at once, as NAME.mid and NAME.wav", _keep, 0, MANY, kept=False),
        Command("axes MARK", "check that a session is walked on its axes", _axes, 1, 1, kept=False),
    )

    @property
    def phrase(self) -> Phrase:
        """Return how phrases are written."""
        return self.player.model.representations[PHRASE]

    @property
    def seconds(self) -> float:
        """Return how long a phrase lasts."""
        return self.phrase.span * 60 / self.manner.tempo / QUARTER

    @property
    def rate(self) -> float:
        """Return the phrases a second."""
        return 1 / self.seconds

    @property
    def preamble(self) -> tuple[str, ...]:
        """Return a line by which a session finds that it is on other axes."""
        return (f"axes {self.mark}",)

    def phrases(self, z: Tensor) -> Tensor:
        """Return the phrases (N, T, ...) of latents (N, Z): of one latent always the same, at any temperature."""
        different, place = z.unique(dim=0, return_inverse=True)
        return torch.cat([self._decoded(one[None].to(self.player.device)).cpu() for one in different])[place]

    def _decoded(self, z: Tensor) -> Tensor:
        random = generator(self.player.seed, "free_navigation", "steps")
        return self.player.model.decode(z, PHRASE, self.manner.wished, self.manner.temperature, random)

    def told(self, z: Tensor) -> str:
        """Return how dense the phrase of a latent (Z,) is."""
        (found,) = attributes(self.player.model, self.phrases(z[None]))
        return " ".join(f"{name} {value:.2f}" for name, value in found.items() if name.endswith(DENSITY))

    def middle(self, name: str) -> Tensor:
        """Return the latent (Z,) of the piece of a name, or else of the only one whose name has it as a part.

        Raises
        ------
        InputError : there is none, or several.
        """
        if not self.names:
            raise InputError(f"to {name}: this map shows no pieces; go to one of a file by: phrase FILE")
        places = [place for place, own in enumerate(self.names) if own == name]
        places = places or [place for place, own in enumerate(self.names) if name in own]
        if len(places) != 1:
            there = ", ".join(self.names[place] for place in (places or range(len(self.names)))[:3])
            raise InputError(f"to {name}: there are {len(places) or 'no'} such pieces on the map; there is {there} ...")
        return self.means[places[0]]

    def keep(self, z: Tensor, name: str) -> list[str]:
        """Write the phrase of a latent (Z,) as sound and notes, under the next free name where none is given; return their names.

        Raises
        ------
        InputError : there is something of that name, or it is no name of a file.
        """
        if Path(name).name != name or name == "..":
            raise InputError(f"keep {name}: give a name without folders")
        wanted = [name] if name else (f"keep_{number}" for number in itertools.count(1))
        free = next((own for own in wanted if not self._taken(own)), None)
        if free is None:
            raise InputError(f"keep {name}: is there already; take another name")
        return write_phrases(self.manner.folder / free, self.phrase, self.phrases(z[None]), self.manner.tempo)

    def _taken(self, name: str) -> bool:
        return any(os.path.lexists(path) for path in named(self.manner.folder / name, *SOUNDS))


def survey(player: Player, manner: Manner, corpus: str = "") -> PhraseSpace:
    """Find the principal axes of the pieces of a corpus, by default of the run's; where that is not at hand, of the prior.

    Raises
    ------
    InputError : a corpus that was asked for cannot be read.
    """
    model = player.model
    prior = of_prior(model.latent_shape[-1])
    pieces = _pieces(model, corpus)
    shown, phrase = tuple(pieces[place] for place in some(len(pieces), PIECES)), model.representations[PHRASE]
    windows = PhraseWindows(shown, phrase, hop=phrase.span)
    if not len(windows):
        return PhraseSpace(player, *prior, model.sample(DRAWS, generator("survey")).cpu(), manner, (), COORDINATES)
    names, means = _middles(model, windows)
    found = principal(means, FAINTEST)
    enough = len(found[1]) >= FEWEST
    return PhraseSpace(
        player, *(found if enough else prior), means, manner, names, windows.fingerprint() if enough else COORDINATES
    )


def _pieces(model: PhraseModel, corpus: str) -> Sequence[PhrasePiece]:
    """Return the pieces of a corpus, or of the run's, none where that is not at hand."""
    if corpus:
        return read(corpus, model.representations[PHRASE]).pieces
    if not model.config.windows:
        log.info("nobody knows what a checkpoint was trained on: the map shows its prior; show your own music with --corpus")
        return ()
    try:
        return model.config.corpus().pieces
    except InputError as error:
        log.warning("%s; the map shows the prior instead of pieces; show others with --corpus", error)
        return ()


def _middles(model: PhraseModel, windows: PhraseWindows) -> tuple[tuple[str, ...], Tensor]:
    """Return the names (P,) of the pieces that windows are of, and the mean latents (P, Z) of their phrases."""
    x = windows.batch(torch.arange(len(windows)), generator("survey"))[PHRASE]
    z = in_parts(lambda part: model.encode(part, PHRASE).mean, model, x)
    of = [windows.pieces[place].name for place in windows.rows[:, 0].tolist()]  # sections of one piece share its name
    names = list(dict.fromkeys(of))
    group = torch.tensor([names.index(name) for name in of])
    means = torch.zeros(len(names), z.shape[1]).index_add(0, group, z) / group.bincount()[:, None]
    return tuple(Path(name).name for name in names), means
