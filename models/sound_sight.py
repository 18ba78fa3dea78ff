"""What there is at places of a space of sounds: a spectrum, and what the labels name in it. A `Sight` of `models.pilot`."""

from dataclasses import replace

from torch import Tensor

from data.labels import Labels
from models.pilot import TAKEN, Landmarks
from models.sound_space import SoundSpace
from utils.insets import Source, Sources, Spectrum
from utils.loudspeaker import Loudspeaker

RANGE_DB = 60.0  # of the spectrum that is seen, from the loudest band that labels lead to


class SoundSight:
    """Let sounds be seen and heard, and labels be moved by keys.

    Parameters
    ----------
    speaker : is asked for spectra (F,).
    """

    help = (
        "o O, p P, d D ...: a label up, down    Tab: of another instrument",
        ": or / and a line: any command below, or a note such as C4 mf",
    )

    def __init__(self, space: SoundSpace, speaker: Loudspeaker):
        self.space, self.speaker, self.labels, self.chosen = space, speaker, space.labels, 0
        self.instruments = self.labels.instruments if self.labels else ()
        self.title = "free navigation" + (f" of {', '.join(self.instruments)}" if self.instruments else "")
        self.label_keys = _label_keys(self.labels) if self.labels else {}
        self.keys = " ".join(f"{key}{key.upper()}" for key in self.label_keys if key.islower())
        self.maps = [_landmarks(space, place) for place in range(max(len(self.instruments), 1))]
        self.loudest = space.spectra().max()
        self.sources: tuple[Source, ...] = ()

    @property
    def trouble(self) -> str:
        """Return why nothing is heard."""
        return self.speaker.trouble

    @property
    def landmarks(self) -> Landmarks:
        """Return the notes of the chosen instrument."""
        return self.maps[self.chosen]

    @property
    def panel(self) -> Sources:
        """Return what instruments play."""
        return Sources(self.sources, self.chosen)

    @property
    def foot(self) -> Spectrum:
        """Return the spectrum."""
        return Spectrum(self.levels, self.space.player.representation("signal").frequencies)

    def look(self, z: Tensor) -> None:
        """Decode a latent (Z,)."""
        spectrum = self.space.spectra(z[None])[0]
        self.speaker.ask(spectrum)
        self.levels = (20 * (spectrum / self.loudest).clamp(1e-9, 1e9).log10() / RANGE_DB + 1).numpy()
        self.sources = _sources(self.labels, *self.space.named(z)) if self.labels else ()

    def press(self, key: str, goal: Tensor) -> str | None:
        """Move a label of the chosen instrument, or choose the next instrument."""
        if key == "tab":
            self.chosen = (self.chosen + 1) % len(self.maps)
            return ""
        if key not in self.label_keys:
            return None
        label, steps = self.label_keys[key]
        return f"label {label} {steps}" + (f" 1 {self.instruments[self.chosen]}" if len(self.instruments) > 1 else "")

    def typed(self, line: str, goal: Tensor) -> str:
        """Go to a note; one of one instrument is that of the chosen one, while the others keep theirs."""
        if len(self.instruments) <= 1 or "+" in line:
            return f"to {line}"
        words = _words(self.labels, self.space.named(goal)[0])
        words[self.chosen] = line
        return f"to {' + '.join(words)}"


def _landmarks(space: SoundSpace, instrument: int) -> Landmarks:
    names, middles = space.notes(instrument)
    return Landmarks(names, [name[0].lower() if "#" in name else name[0] for name in names], middles)


def _label_keys(labels: Labels) -> dict[str, tuple[str, int]]:
    """Return which key moves which label by how much: the first letter of its name that is free, large for downwards."""
    keys: dict[str, tuple[str, int]] = {}
    taken = {key.lower() for key in TAKEN}
    for label, _ in labels.classes:
        letter = next((c for c in label.lower() if c.isalpha() and c not in taken), None)
        if letter:
            taken.add(letter)
            keys |= {letter: (label, 1), letter.upper(): (label, -1)}
    return keys


def _words(labels: Labels, ids: Tensor) -> list[str]:
    """Return what each source plays (I, L), in words."""
    alone = replace(labels, instruments=("",))
    return [alone.text(own[None, None])[0] for own in ids]


def _sources(labels: Labels, ids: Tensor, sure: Tensor) -> tuple[Source, ...]:
    """Return ids (I, L) and their probabilities (I, L) as what is to be seen of each source."""
    tables = [(label, (*names, "-")) for label, names in labels.classes]
    rows = [
        tuple((label, names[k], p) for (label, names), k, p in zip(tables, own, shares, strict=True))
        for own, shares in zip(ids.tolist(), sure.tolist(), strict=True)
    ]
    return tuple(Source(*parts) for parts in zip(labels.instruments, _words(labels, ids), rows, strict=True))
