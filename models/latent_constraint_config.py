"""Configuration of the latent constraint: its flags, defaults and presets. Imports no torch."""

import functools
import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from models import musicvae_config
from models.config import DATA, SAVING, TRAINING, TrainConfig, epochs_until
from models.latent_constraint_presets import PRESETS
from models.musicvae_config import BAR, LONGEST, MOST_TRANSPOSED, WIDEST
from utils.config import InputError, derived, merge, option, to_json

if TYPE_CHECKING:
    from data.phrase_corpora import PhraseCorpus
    from data.phrases import Phrase

log = logging.getLogger(__name__)

PHRASES, MODEL, LOSSES = "phrases", "model", "losses"
ACTOR = "actor"
FORMS = ("mlp", "linear", "gated", ACTOR)
ONLY = {  # options of some forms
    **dict.fromkeys(("reconstruction", "noise", "beta", "beta_steps", "beta_rate", "free_bits", "sequence_loss"), FORMS[:3]),
    **dict.fromkeys(("distance", "critic_steps", "attributes"), (ACTOR,)),
    "latent_dim": FORMS[:3],
    "hidden": ("mlp", "gated", ACTOR),
}
DEEPEST, MOST_UPDATES = 32, 100
FEW = 8  # phrases, below which they are too few to tell what is common to them


@dataclass(frozen=True)
class Config(TrainConfig):
    """A small model of the latents of a MusicVAE, which stays as it is."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = PRESETS

    dbroot: str = option(
        "", "the pieces to be like: a MIDI file, a folder of them, or a table of voices", DATA, also=("examples_path",)
    )
    workers: int = derived(int)  # none: reading takes seconds
    pretrained: str = option(
        "",
        "the MusicVAE to stand on: a run, or a checkpoint of Magenta's",
        DATA,
        also=("base", "pretrained_path", "vae_checkpoint_file"),
    )
    base_preset: str = option(
        "", "of a base that is a checkpoint, what it is; without it its name and sizes tell", DATA, also=("vae_config",)
    )

    hop: int = option(
        16, "steps, sixteenths, from one phrase of training to the next; all others begin at bars", PHRASES, minimum=1
    )
    transpose: int = option(0, "semitones that melodies of training are moved up or down at random, at most", PHRASES, minimum=0)
    voices: tuple[int, ...] = option((), "of tables of voices, counted from the top; none = as the base", PHRASES, minimum=1)
    programs: tuple[int, ...] = option(
        (), "first and last General MIDI program that is read; none = as the base", PHRASES, minimum=0
    )
    drum_map: str = option("", "to read drums by: gm, roland or auto; none = as the base", PHRASES)

    epochs: int = option(100_000, "passes over the phrases of training", TRAINING, minimum=1, also=("num_epochs",))
    num_steps: int = option(1000, "updates after which training ends with the epoch; 0 = by --epochs", TRAINING, minimum=0)
    batch_size: int = option(128, "phrases a step, over all processes", TRAINING, minimum=2)
    plateau: int = option(0, "epochs without improvement after which the learning rates shrink; 0 = never", TRAINING, minimum=0)
    patience: int = option(
        50, "epochs without improvement on what is held out after which training stops; 0 = never", TRAINING, minimum=0
    )
    save_epochs: int = option(100_000, "epochs between numbered saves, which --load_epoch finds", SAVING, minimum=1)
    plot_epochs: int = option(100_000, "epochs between figures, beside those of the end; 0 = none", SAVING, minimum=0)

    form: str = option(
        "mlp", "of the small model: a VAE of MLPs, linear or gated, or an actor that a critic trains", MODEL, FORMS, also=("kind",)
    )
    latent_dim: int = option(4, "size of the small VAE's latent", MODEL, minimum=1)
    hidden: tuple[int, ...] = option((1024, 256, 64), "widths of the encoder; the decoder has them in reverse", MODEL, minimum=1)

    reconstruction: str = option(
        "nll", "of latents: half the squared error, as a Gaussian of variance 1, or its root", LOSSES, ("nll", "l2norm")
    )
    noise: float = option(
        0.0, "deviations of the base's posterior that are added to what the small encoder reads", LOSSES, minimum=0
    )
    beta: float = option(1.0, "weight of the divergence, at most", LOSSES, minimum=0)
    beta_steps: int = option(100, "steps over which it rises linearly", LOSSES, minimum=0)
    beta_rate: float = option(0.0, "share of the way to it that is left after a step, instead; 0 = none", LOSSES, minimum=0)
    free_bits: float = option(0.0, "bits of divergence of a phrase that cost nothing", LOSSES, minimum=0)
    sequence_loss: float = option(
        0.0, "weight of the phrases themselves, told the true steps before, by the base's decoder", LOSSES, minimum=0
    )
    distance: float = option(0.1, "of an actor: weight of how far it moves latents", LOSSES, minimum=0)
    critic_steps: int = option(10, "of an actor: updates of its critic for each of its own", LOSSES, minimum=1)
    attributes: tuple[str, ...] = option((), "of an actor: attributes that can be wished for, as density", LOSSES)

    base: dict[str, Any] = derived(dict)  # configuration of the MusicVAE
    base_hash: str = derived(str)  # of its weights
    windows: int = derived(int)  # of the training split

    def validate(self) -> None:
        """Check what one field alone cannot tell.

        Raises
        ------
        InputError : options that do not go together.
        """
        super().validate()
        given = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        for name in given:
            if self.form not in ONLY.get(name, FORMS):
                raise InputError(f"--{name}: means nothing for --form {self.form}")
        self.check_most({"latent_dim": WIDEST, "transpose": MOST_TRANSPOSED, "critic_steps": MOST_UPDATES, "hop": LONGEST * BAR})
        if max(self.hidden, default=0) > WIDEST:
            raise InputError(f"--hidden {max(self.hidden)}: must be {WIDEST} or less")
        if len(self.hidden) > DEEPEST:
            raise InputError(f"--hidden: has {len(self.hidden)} layers; give {DEEPEST} or less")
        if self.form != "linear" and not self.hidden:
            raise InputError("--hidden: give the width of a layer, or of several")
        if self.beta_rate and self.beta_steps:
            raise InputError("--beta_rate and --beta_steps: are two ways to raise beta; take one, as by --beta_steps 0")
        if self.beta_rate >= 1:
            raise InputError(f"--beta_rate {self.beta_rate:g}: must be less than 1")
        self._check_derived()

    def _check_derived(self) -> None:
        """Raise an InputError where what the base and the corpus once decided is no longer what it can have been."""
        if not isinstance(self.base, dict) or not isinstance(self.base_hash, str):
            raise InputError("base: is no configuration of a MusicVAE; it may be damaged")
        if type(self.windows) is not int or not 0 <= self.windows < 2**53:
            raise InputError("windows: is no number of phrases; it may be damaged")
        if self.base:
            self.standing.validate()
            if len({self._named(word) for word in self.attributes}) < len(self.attributes):
                raise InputError(f"--attributes {' '.join(self.attributes)}: names one twice")
            if self.transpose and self.kind not in musicvae_config.ONLY["transpose"]:
                raise InputError(f"--transpose {self.transpose}: means nothing for phrases of {self.kind}; give 0")

    def __post_init__(self) -> None:
        """Take the base's path as one that holds from anywhere, as it is needed wherever the run is used."""
        if self.pretrained:
            object.__setattr__(self, "pretrained", str(Path(self.pretrained).absolute()))

    @property
    def known(self) -> musicvae_config.Config:
        """Return the configuration that the base had when the run began."""
        return merge(musicvae_config.Config(), self.base)

    @functools.cached_property
    def standing(self) -> musicvae_config.Config:
        """Return the configuration of the MusicVAE that this stands on, as it reads the pieces of this run."""
        own = {"dbroot": self.dbroot, "cache": self.cache, "hop": self.hop, "transpose": 0}
        told = {name: getattr(self, name) for name in ("voices", "programs", "drum_map") if getattr(self, name)}
        return merge(musicvae_config.Config(), {**self.base, **own, **told})

    @property
    def kind(self) -> str:
        """Return what phrases are of."""
        return self.standing.kind

    @property
    def transform(self) -> str:
        """Return what of grooves the encoder is not told."""
        return self.standing.transform

    @property
    def root(self) -> Path:
        """Return where the corpus is."""
        return self.standing.root

    def phrase(self) -> "Phrase":
        """Return how phrases are read and written."""
        return self.standing.phrase()

    def corpus(self) -> "PhraseCorpus":
        """Return the pieces, with splits as `data.phrase_sections.personal` makes them.

        Raises
        ------
        InputError : they cannot be read, or nothing in them is of the base's kind.
        """
        standing = self.standing
        return _personal(standing.root, standing.phrase(), standing.voices)

    def resolved(self) -> "Config":
        """Return this configuration with what the base decides, and the corpus: names of attributes, and number of phrases."""
        if not self.pretrained:
            raise InputError("--pretrained: give the MusicVAE to stand on, a run or a checkpoint of Magenta's")
        if not self.dbroot:
            raise InputError("--dbroot: give the pieces to be like, a MIDI file or a folder of them")
        from models import musicvae_base

        base = musicvae_base.load(Path(self.pretrained), self.base_preset)
        mark = musicvae_base.fingerprint(base)
        if self.base_hash not in ("", mark):
            raise InputError(
                f"{self.pretrained}: is not the MusicVAE that the earlier run stands on, or no longer; begin a new run on it"
            )
        found = replace(self, base=to_json(base.config), base_hash=mark)
        found = replace(found, attributes=tuple(found._named(word) for word in self.attributes))
        found.validate()
        return found._of_corpus()

    def standing_on(self, base: str, preset: str) -> "Config":
        """Return this configuration with the base in another place.

        Raises
        ------
        InputError : the preset that it is said to be of has other phrases.
        """
        presets = musicvae_config.Config.PRESETS
        if preset and preset not in presets:
            raise InputError(f"--base_preset {preset}: there is none of that name; leave it out, as the run knows its base")
        for name in ("kind", "bars"):
            own = getattr(self.known, name)
            if presets.get(preset, {}).get(name, own) != own:
                raise InputError(f"--base_preset {preset}: has {name} {presets[preset][name]}, and the run's base {own}")
        return replace(self, pretrained=base or self.pretrained, base_preset=preset or self.base_preset)

    def _named(self, word: str) -> str:
        """Return the attribute that a word is, or that ends with it, of the base's kind of phrases."""
        from data.attributes import ATTRIBUTES

        there = ATTRIBUTES[self.kind]
        found = [name for name in there if name == word] or [name for name in there if name.endswith(f"_{word}")]
        if not found:
            raise InputError(f"--attributes {word}: of {self.kind} there are {' '.join(there)}")
        return found[0]

    def _of_corpus(self) -> "Config":
        from data.phrase_windows import PhraseWindows

        corpus = self.corpus()
        number, held = (len(PhraseWindows(corpus.of(split), self.phrase(), hop=self.hop)) for split in ("train", "valid"))
        if number < 2:
            raise InputError(f"{self.dbroot}: has one phrase of {self.standing.bars} bars at most; bring longer pieces, or more")
        if number < FEW:
            log.warning("%s: has %d phrases to be like, which is little; with %d or more it works better", self.dbroot, number, FEW)
        if not held:
            log.warning("%s: nothing is held out of so little: the last weights count, and there are no scores", self.dbroot)
        return replace(self, windows=number)

    @property
    def total_epochs(self) -> int:
        """Return the epochs of training: as many as are asked for, or that reach the number of steps, if these are fewer."""
        return epochs_until(self.num_steps, self.windows, self.batch_size, self.epochs)

    @property
    def resumable(self) -> set[str]:
        """Return what a resumed run may change."""
        return super().resumable | {"num_steps", "pretrained", "base_preset"}

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        return "__".join(["latent_constraint", self.form, Path(self.dbroot).stem or "default"]).replace(" ", "_")


@functools.lru_cache(maxsize=2)
def _personal(root: Path, phrase: "Phrase", voices: tuple[int, ...]) -> "PhraseCorpus":
    """Return the pieces of a corpus of one's own, in splits, made once in a process."""
    from data.phrase_sections import personal

    return personal(musicvae_config.pieces_of(root, phrase, voices), phrase)
