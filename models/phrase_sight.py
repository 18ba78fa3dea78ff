"""What there is at places of a space of phrases: a piano-roll, attributes, a loop. A `Sight` of `models.pilot`."""

from torch import Tensor

from data.phrases import bars
from models.phrase_space import PhraseSpace
from models.pilot import Landmarks
from models.play_phrases import attributes
from utils.insets import Numbers, Roll
from utils.loudspeaker import Loudspeaker

NAMED = 12  # letters of names, at most
FAR = "+"  # what stands for a piece


class PhraseSight:
    """Let phrases be seen and heard, over and over, and be kept by a key.

    Parameters
    ----------
    speaker : is asked for phrases (T, ...), arrays.
    """

    keys = "k keep"
    help = ("k: keep this phrase as a file    : or / and a line: any command below",)

    def __init__(self, space: PhraseSpace, speaker: Loudspeaker):
        self.space, self.speaker, self.x = space, speaker, None
        self.title = f"free navigation: {space.player.model.config.kind}, {bars(space.phrase.span)} at {space.manner.tempo:g}"
        names = [name[:NAMED] for name in space.names] or [FAR] * len(space.means)
        self.landmarks = Landmarks(names, FAR * len(names), space.means)

    @property
    def trouble(self) -> str:
        """Return why nothing is heard."""
        return self.speaker.trouble

    def look(self, z: Tensor) -> None:
        """Write the phrase of a latent (Z,); one that is as before sounds on."""
        before, phrase = self.x, self.space.phrase
        self.x = self.space.phrases(z[None])[0]
        if before is not None and self.x.equal(before):
            return
        x = self.x.numpy()
        self.speaker.ask(x)
        (found,) = attributes(self.space.player.model, self.x[None])
        self.panel = Numbers(tuple((name.replace("_", " "), value) for name, value in found.items()))
        self.foot = Roll(phrase.cells(x), phrase.rows, phrase.span)

    def press(self, key: str, goal: Tensor) -> str | None:
        """Keep the phrase."""
        return "keep" if key == "k" else None

    def typed(self, line: str, goal: Tensor) -> str:
        """Go to a piece."""
        return f"to {line}"
