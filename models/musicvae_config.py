"""Configuration of the MusicVAE: its flags, defaults and presets. Imports no torch."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from models.config import DATA, TRAINING, TrainConfig, epochs_until
from models.musicvae_presets import PRESETS
from utils.config import InputError, derived, option
from utils.paths import cache_folder

if TYPE_CHECKING:
    from data.phrase_corpora import PhraseCorpus
    from data.phrases import Phrase

PHRASES, MODEL, LOSSES, LEARNING = "phrases", "model", "losses", "learning rate and what is told in training"
BAR = 16  # steps
GROOVE = "groove"  # the corpus that is fetched by this name
KINDS = ("melody", "drums", "hits", "all_hits", "groove", "trio", "remi")
TRANSFORMS = ("none", "humanize", "tap", "fixed_velocity", "tap_fixed_velocity", "add_closed_hh")
SCHEDULES = ("none", "constant", "exponential", "inverse_sigmoid")
CONDUCTED = ("zeros", "learned", "learned_per_step")
ONLY = {  # options of some kinds of phrases
    **dict.fromkeys(("lowest", "highest", "skip_polyphony"), ("melody",)),
    **dict.fromkeys(("voices", "programs"), ("melody", "remi")),
    **dict.fromkeys(("transform", "struck_only"), ("groove",)),
    "transpose": ("melody", "trio", "remi"),
    "note_dropout": ("drums", "hits", "all_hits", "groove"),
    "drum_map": ("drums", "hits", "groove", "trio"),
    "head": ("hits", "all_hits"),
    "tokens": ("remi",),
}
WIDEST, LONGEST = 16384, 256  # of layers; bars of a phrase
MOST_TRANSPOSED, MOST_TOKENS = 24, 1024  # semitones; tokens a bar


@dataclass(frozen=True)
class Config(TrainConfig):
    """A MusicVAE of melodies, drums, grooves or trios, flat or with conductors."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = PRESETS

    dbroot: str = option(
        "",
        "folder of MIDI files, table of voices, or groove, which fetches that dataset; without it drums take groove, melodies the "
        "voices of Bach's chorales, which music21 has",
        DATA,
        also=("examples_path",),
    )
    workers: int = derived(int)  # none: reading takes seconds
    pretrained: str = option("", "checkpoint of Magenta's to start from, of TensorFlow or magenta.js; it decides the sizes", DATA)

    kind: str = option("melody", "what phrases are of; remi: notes of all instruments as tokens of miditok's", PHRASES, KINDS)
    bars: int = option(2, "bars of a phrase", PHRASES, minimum=1)
    hop: int = option(
        BAR, "steps, sixteenths, from one phrase of training to the next; all others begin at bars", PHRASES, minimum=1
    )
    transpose: int = option(0, "semitones that pitches of training are moved up or down at random, at most", PHRASES, minimum=0)
    voices: tuple[int, ...] = option((), "of tables of voices, counted from the top; none takes all", PHRASES, minimum=1)
    programs: tuple[int, ...] = option((0, 127), "first and last General MIDI program that is read", PHRASES, minimum=0)
    lowest: int = option(21, "lowest MIDI pitch of a melody", PHRASES, minimum=0)
    highest: int = option(108, "highest MIDI pitch of a melody", PHRASES, minimum=0)
    skip_polyphony: bool = option(False, "leave out tracks with notes that begin together, instead of taking the highest", PHRASES)
    drum_map: str = option(
        "auto",
        "to read drums by: gm, General MIDI; roland, of Groove; auto takes that for files of Groove, else gm",
        PHRASES,
        ("auto", "gm", "roland"),
    )
    transform: str = option(
        "none", "of grooves: what the encoder is not told, so that the decoder makes it up", PHRASES, TRANSFORMS
    )
    tokens: int = option(64, "of remi: tokens a bar, on average; phrases that take more are left out", PHRASES, minimum=8)
    note_dropout: float = option(0.0, "share of hits that the encoder is not told in training, at most", PHRASES, minimum=0)

    epochs: int = option(200, "passes over the training split", TRAINING, minimum=1, also=("num_epochs",))
    num_steps: int = option(
        0, "updates after which training ends with the epoch, sooner than by --epochs; 0 = never", TRAINING, minimum=0
    )
    batch_size: int = option(512, "phrases a step, over all processes", TRAINING, minimum=2)
    clip: float = option(1.0, "largest norm of the gradient; 0 = no clipping", TRAINING, minimum=0)
    plateau: int = option(0, "epochs without improvement after which the learning rate shrinks; 0 = never", TRAINING, minimum=0)
    patience: int = option(0, "epochs without improvement on validation after which training stops; 0 = never", TRAINING, minimum=0)
    lr_min: float = option(1e-5, "learning rate that decay ends at", LEARNING, minimum=0)
    lr_decay: float = option(0.9999, "share of the way to it that is left after a step; 1 = no decay", LEARNING, minimum=0)
    sampling: str = option("none", "how often a step is told its own draw instead of the true one: schedule", LEARNING, SCHEDULES)
    sampling_rate: float = option(0.0, "of that schedule: share; base of its power; steps", LEARNING, minimum=0)

    encoder_size: tuple[int, ...] = option((256,), "LSTMs of the encoder, in each direction", MODEL, minimum=1)
    decoder_size: tuple[int, ...] = option((512,), "LSTMs of the decoder", MODEL, minimum=1)
    conductor_size: tuple[int, ...] = option((), "LSTMs of conductors; none = as the decoder's", MODEL, minimum=1)
    levels: tuple[int, ...] = option(
        (), "parts of a phrase, parts of these, and steps of the smallest; none = flat", MODEL, minimum=1
    )
    encoder_levels: tuple[int, ...] = option((), "the same for the encoder", MODEL, minimum=1)
    conductor_input: str = option("zeros", "what conductors are told at each part", MODEL, CONDUCTED)
    latent_dim: int = option(32, "size of the latent", MODEL, minimum=1)
    head: str = option("nade", "of hits: each told those before it of a step, or independent", MODEL, ("nade", "boolean"))
    dropout: float = option(0.0, "share of the inputs of every LSTM that is left out in training", MODEL, minimum=0)

    free_bits: float = option(0.0, "bits of divergence of a phrase that cost nothing", LOSSES, minimum=0)
    beta: float = option(1.0, "weight of the divergence, at most", LOSSES, minimum=0)
    beta_rate: float = option(0.0, "share of the way to it that is left after a step; 0 = none", LOSSES, minimum=0)
    beta_steps: int = option(0, "steps over which it rises linearly, instead", LOSSES, minimum=0)
    struck_only: bool = option(False, "of grooves: count errors of velocities and offsets at hits only", LOSSES)

    labels: dict[str, list[str]] = derived(dict)  # what the corpus tells of pieces: name -> classes
    windows: int = derived(int)  # of the training split

    def validate(self) -> None:
        """Check what one field alone cannot tell.

        Raises
        ------
        InputError : options that do not go together.
        """
        super().validate()
        limits = {"bars": LONGEST, "transpose": MOST_TRANSPOSED, "latent_dim": WIDEST, "hop": LONGEST * BAR}
        self.check_most(limits | {"lr_decay": 1, "note_dropout": 1, "tokens": MOST_TOKENS})
        for name in ("encoder_size", "decoder_size", "conductor_size"):
            if max(getattr(self, name), default=0) > WIDEST:
                raise InputError(f"--{name} {max(getattr(self, name))}: must be {WIDEST} or less")
        for name in ("encoder_size", "decoder_size"):
            if not getattr(self, name):
                raise InputError(f"--{name}: give the size of a layer, or of several")
        for name in ("levels", "encoder_levels"):
            if (given := getattr(self, name)) and (len(given) < 2 or math.prod(given) != self.steps):
                raise InputError(f"--{name} {' '.join(map(str, given))}: must be two or more whose product is {self.steps} steps")
        for name in ("dropout", "beta_rate"):
            if getattr(self, name) >= 1:
                raise InputError(f"--{name} {getattr(self, name):g}: must be less than 1")
        self._check_phrases()
        self._check_schedules()
        self._check_derived()

    def _check_phrases(self) -> None:
        """Raise an InputError for options of other kinds of phrases than the run's."""
        if len(self.programs) != 2 or not 0 <= self.programs[0] <= self.programs[1] <= 127:
            raise InputError("--programs: takes the first and the last, of 0 to 127")
        if self.kind == "remi" and self.hop % BAR:
            raise InputError(f"--hop {self.hop}: phrases of remi begin at bars: give {BAR}, or a multiple of it")
        if not Config.lowest <= self.lowest < self.highest <= Config.highest:
            raise InputError(
                f"--lowest {self.lowest} --highest {self.highest}: must be of {Config.lowest}-{Config.highest}, the lower first"
            )
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        for name in given:
            if self.kind not in ONLY.get(name, KINDS):
                raise InputError(f"--{name}: means nothing for --kind {self.kind}")
            if name.startswith("conductor") and not self.levels:
                raise InputError(f"--{name}: means nothing for a flat decoder; give --levels")

    def _check_schedules(self) -> None:
        """Raise an InputError for rates that make no schedule."""
        rate, most = self.sampling_rate, math.inf if self.sampling == "inverse_sigmoid" else 1
        if self.sampling != "none" and not 0 < rate <= most:
            raise InputError(f"--sampling_rate {rate:g}: of {self.sampling} must be above 0" + ("" if most > 1 else ", 1 at most"))
        if self.sampling == "none" and rate:
            raise InputError(f"--sampling_rate {rate:g}: of which schedule? give --sampling")
        if self.beta_rate and self.beta_steps:
            raise InputError("--beta_rate and --beta_steps: are two ways to raise beta; take one of them")
        if self.lr_min > self.lr and self.lr_decay < 1:
            raise InputError(f"--lr_min {self.lr_min:g}: must not be above --lr {self.lr:g}")

    def _check_derived(self) -> None:
        """Raise an InputError where what the corpus once decided is no longer what it can have been."""
        names = self.labels.values() if isinstance(self.labels, dict) else [None]
        if not all(isinstance(of, list) and of and all(isinstance(name, str) for name in of) for of in names):
            raise InputError("labels: are no names of classes; it may be damaged")
        if type(self.windows) is not int or not 0 <= self.windows < 2**53:
            raise InputError("windows: is no number of phrases; it may be damaged")

    @property
    def steps(self) -> int:
        """Return the steps of a phrase: sixteenths, or tokens."""
        return self.bars * (self.tokens if self.kind == "remi" else BAR)

    def phrase(self) -> "Phrase":
        """Return how phrases are read and written."""
        from data.phrase_kinds import KINDS as REPRESENTATIONS

        return REPRESENTATIONS[self.kind](self.steps, **self._options())

    def _options(self) -> Mapping[str, Any]:
        """Return what else decides the representation of this kind of phrases."""
        melody = {"lowest": self.lowest, "highest": self.highest, "programs": self.programs, "skip_polyphony": self.skip_polyphony}
        drums = {"kit": self.drum_map, "written": "gm" if self.drum_map == "auto" else self.drum_map}
        notes = {"tokens": self.tokens, "programs": self.programs}
        return {"melody": melody, "remi": notes, "groove": drums | {"transform": self.transform}}.get(self.kind, drums)

    def corpus(self) -> "PhraseCorpus":
        """Return the pieces, with some to validate and to test on.

        Raises
        ------
        InputError : they cannot be read, or nothing in them is of this kind.
        """
        return _split(self.root, self.phrase(), self.voices)

    @property
    def root(self) -> Path:
        """Return where the corpus is, fetching it where that is asked for."""
        return _root(self.dbroot, self.cache, self.kind)

    def resolved(self) -> "Config":
        """Return this configuration with what a checkpoint decides, and the corpus: labels, number of phrases."""
        return self._of_checkpoint()._of_corpus()

    def _of_checkpoint(self) -> "Config":
        """Return this configuration with the sizes of the checkpoint that it starts from, if any; a run has them already."""
        if not self.pretrained or self.windows:
            return self
        from models.musicvae_pretrained import configured

        found = configured(Path(self.pretrained), self, named=(self.bars, self.levels) != (Config.bars, Config.levels))
        found.validate()
        return found

    def _of_corpus(self) -> "Config":
        from data.phrase_windows import PhraseWindows

        corpus = self.corpus()
        windows = len(PhraseWindows(corpus.of("train"), self.phrase(), hop=self.hop))
        labels = {name: list(classes) for name, classes in corpus.classes().items()}
        return replace(self, labels=labels, windows=windows)

    @property
    def total_epochs(self) -> int:
        """Return the epochs of training: as many as are asked for, or that reach the number of steps, if these are fewer."""
        return epochs_until(self.num_steps, self.windows, self.batch_size, self.epochs)

    @property
    def resumable(self) -> set[str]:
        """Return what a resumed run may change."""
        return super().resumable | {"num_steps"}

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        told = "" if self.transform == "none" else f"_{self.transform}"
        shape = f"{self.kind}{told}_{self.bars}bar_{'hier' if self.levels else 'flat'}"
        return "__".join(["musicvae", shape, Path(self.dbroot).stem or "default"]).replace(" ", "_")


def _root(dbroot: str, cache: str, kind: str) -> Path:
    """Return the folder or file of a corpus; that which is there by itself, or is fetched, where none is given.

    Raises
    ------
    InputError : it cannot be fetched, or there is none of this kind.
    """
    from data.groove_midi import fetch
    from data.voices import default_voices

    if dbroot and (dbroot != GROOVE or Path(dbroot).exists()):
        return Path(dbroot)
    if kind == "trio":
        raise InputError(
            "--dbroot: give a folder of MIDI files with a melody, a bass and drums; no corpus of trios is there by itself"
        )
    return default_voices(cache_folder(cache)) if kind in ("melody", "remi") and not dbroot else fetch(cache_folder(cache))


@functools.lru_cache(maxsize=2)
def pieces_of(root: Path, phrase: "Phrase", voices: tuple[int, ...]) -> "PhraseCorpus":
    """Return the pieces of a corpus, read once in a process."""
    from data.phrase_corpora import read

    return read(root, phrase, voices)


@functools.lru_cache(maxsize=2)
def _split(root: Path, phrase: "Phrase", voices: tuple[int, ...]) -> "PhraseCorpus":
    """Return the pieces of a corpus, in three splits, made once in a process."""
    return pieces_of(root, phrase, voices).with_all_splits()
