"""Configuration of the crossmodal system: its flags, defaults and presets. Imports no torch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from models.config import DATA, TrainConfig, check_frames
from utils.config import InputError, derived, option
from utils.paths import cache_folder

if TYPE_CHECKING:
    from data.instruments import Corpus

MODELS, LOSSES, CRITIC, TRANSFORM = "models", "losses", "critic", "transform"


@dataclass(frozen=True)
class Config(TrainConfig):
    """A pair of VAEs, on spectra and on labels, with tied latents."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = {
        "quick": {  # some minutes on a processor, for a few hundred notes an instrument
            "frames": ("sustain",),
            "transpose": 2,
            "detune": 10.0,  # more would blur what the decoder learns, as the labels do not say it
            "floor": 3e-3,
            "hidden_dims_1": (512,),
            "hidden_dims_2": (256,),
            "dropout": 0.3,
            "noise": 0.04,
            "symbol": 20.0,
            "transfer": 1.0,
            "beta_1": 0.3,
            "beta_2": 0.3,
            "cross_1": 1.0,
            "batch_size": 128,
            "lr": 2e-3,
            "plateau": 10,
            "shrink": 0.5,
            "epochs": 300,
            "plot_epochs": 20,
        },
    }

    instruments: tuple[str, ...] = option((), "the sources that are mixed; without it the instrument with the most notes", DATA)
    labels: tuple[str, ...] = option(
        ("octave", "pitch", "dynamics"), "labels of a note, from the corpus' tables, in this order", DATA
    )
    frames: tuple[str, ...] = option(
        ("10", "25"),
        "frames of a note: A B, from A up to B; one number; sustain, by energy; sustain N, at most N; nothing for all",
        DATA,
    )
    transpose: int = option(0, "transpose training frames, with their labels, by up to this many semitones", DATA, minimum=0)
    detune: float = option(0.0, "detune training frames by up to this many cents; the labels stay", DATA, minimum=0)
    split: str = option(
        "notes",
        "what is held out: whole notes, or single frames as the original did (test is then almost train)",
        DATA,
        ("notes", "frames"),
    )
    random_mode: str = option("constant", "weights of the sources in a mixture", DATA, ("constant", "bernoulli", "uniform"))
    zero_extra_class: int = option(1, "give each label a further class, 'this source is silent'", DATA, (0, 1))
    label_pattern: str = option(
        "", "regular expression on file paths, with groups instrument, pitch, octave, dynamics or note, midi", DATA
    )
    soundfont: str = option("", "SoundFont (.sf2) to render the embedded corpus from; without it the one inside pretty_midi", DATA)

    sample_rate: int = option(22050, "samples a second", TRANSFORM, minimum=1000)
    fmin: float = option(30.0, "lowest band, Hz", TRANSFORM, minimum=1)
    fmax: float = option(11000.0, "highest band, Hz", TRANSFORM, minimum=2)
    bins_per_octave: int = option(48, "bands an octave", TRANSFORM, minimum=1)
    scale: str = option("octave", "spacing of the bands", TRANSFORM, ("octave", "mel", "erb"))
    floor: float = option(
        1e-6, "magnitudes below this count as this before the logarithm (a sine of amplitude 1 has 35)", TRANSFORM
    )

    dims: tuple[int, ...] = option((32,), "size of each latent layer, the lowest first", MODELS, minimum=1)
    hidden_dims_1: tuple[int, ...] = option(
        (5000,), "width of the signal VAE's hidden layers, one a latent layer or one for all", MODELS, minimum=1
    )
    hidden_num_1: tuple[int, ...] = option((2,), "hidden layers of the signal VAE, likewise", MODELS, minimum=1)
    hidden_dims_2: tuple[int, ...] = option((800,), "width of the symbol VAE's hidden layers, likewise", MODELS, minimum=1)
    hidden_num_2: tuple[int, ...] = option((2,), "hidden layers of the symbol VAE, likewise", MODELS, minimum=1)
    dropout: float = option(0.0, "share of hidden units that are dropped in training", MODELS, minimum=0)
    label_type: str = option(
        "categorical", "likelihood of the labels: one of K, or independent bits", MODELS, ("binary", "categorical")
    )

    regularization_type: str = option(
        "kld", "what ties the two posteriors: Kullback-Leibler divergence, or distance of means", LOSSES, ("kld", "l2")
    )
    noise: float = option(3e-3, "least standard deviation of a reconstructed band, in standardised units", LOSSES, minimum=0)
    beta_1: float = option(1.0, "weight of KL(q(z|signal) || prior)", LOSSES, minimum=0)
    beta_2: float = option(1.0, "weight of KL(q(z|symbol) || prior)", LOSSES, minimum=0)
    cross_1: float = option(10.0, "weight of the tie with the signal's posterior first", LOSSES, minimum=0)
    cross_2: float = option(0.0, "weight of the tie with the symbol's posterior first", LOSSES, minimum=0)
    transfer: float = option(
        0.0, "weight of the likelihood of each modality given the other's latent; 0 as published", LOSSES, minimum=0
    )
    symbol: float = option(1.0, "weight of every likelihood of symbols beside that of signals", LOSSES, minimum=0)
    warmup: int = option(0, "steps over which the weights of all divergences rise from 0", LOSSES, minimum=0)

    adversarial: int = option(0, "train a critic of reconstructions beside the VAEs", CRITIC, (0, 1))
    adv_weight: float = option(1.0, "weight of the critic's verdict in the signal VAE's loss", CRITIC, minimum=0)
    adv_dim: int = option(500, "width of the critic", CRITIC, minimum=1)
    adv_num: int = option(2, "hidden layers of the critic", CRITIC, minimum=1)
    adv_lr: float = option(1e-5, "learning rate of the critic", CRITIC, minimum=0)

    classes: dict[str, list[str]] = derived(dict)  # label -> class names of the corpus

    def validate(self) -> None:
        """Check what one field alone cannot tell."""
        super().validate()
        if not self.dims:
            raise InputError("--dims: give at least one latent size")
        for name in ("hidden_dims_1", "hidden_num_1", "hidden_dims_2", "hidden_num_2"):
            if len(getattr(self, name)) not in (1, len(self.dims)):
                raise InputError(f"--{name}: give one value, or one for each of the {len(self.dims)} latent layers of --dims")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise InputError("--labels: give at least one label, none twice")
        if len(set(self.instruments)) < len(self.instruments):
            raise InputError("--instruments: the same instrument twice")
        check_frames(self.frames)
        for name in ("dropout", "noise"):
            if getattr(self, name) >= 1:
                raise InputError(f"--{name} {getattr(self, name):g}: must be less than 1")
        if not self.fmin < self.fmax < self.sample_rate / 2:
            raise InputError(
                f"--fmin {self.fmin:g} --fmax {self.fmax:g}: must rise and stay below half of --sample_rate {self.sample_rate}"
            )
        for name in ("floor", "adv_lr", "noise"):
            if getattr(self, name) <= 0:
                raise InputError(f"--{name}: must be greater than 0")

    def hidden(self, modality: int, layer: int) -> tuple[int, int]:
        """Return (width, layers) of the hidden stacks of VAE 1 (signal) or 2 (symbol) at latent layer `layer`."""
        dims, nums = getattr(self, f"hidden_dims_{modality}"), getattr(self, f"hidden_num_{modality}")
        return dims[layer if len(dims) > 1 else 0], nums[layer if len(nums) > 1 else 0]

    def corpus(self) -> "Corpus":
        """Return the corpus at `dbroot`, or the embedded one, rendered first where it is not yet there.

        Raises
        ------
        InputError : it cannot be read or rendered.
        """
        from data import instruments
        from data.soundfont import DEFAULT_INSTRUMENTS, INSTRUMENTS, default_corpus

        if not self.dbroot:
            further = tuple(name for name in self.instruments if name in INSTRUMENTS and name not in DEFAULT_INSTRUMENTS)
            rendered = default_corpus(cache_folder(self.cache), (*DEFAULT_INSTRUMENTS, *further), self.soundfont or None)
        return instruments.read(Path(self.dbroot or rendered), self.label_pattern or None)

    def resolved(self) -> "Config":
        """Fill in the instruments and the class tables of the corpus.

        Raises
        ------
        InputError : the corpus cannot be read, lacks an instrument, or has no such label.
        """
        if self.dbroot and self.soundfont:
            raise InputError("--soundfont: renders the embedded corpus, and --dbroot names another; give one of them")
        corpus = self.corpus()
        names = self.instruments or (corpus.most_common(),)
        notes = corpus.select(names)
        missing = [label for label in self.labels if label not in corpus.classes]
        if missing:
            raise InputError(f"--labels {missing[0]}: the corpus has no such label; it has {' '.join(sorted(corpus.classes))}")
        instruments = tuple(group[0].labels["instrument"] for group in notes)
        classes = {label: list(corpus.classes[label]) for label in self.labels}
        return replace(self, instruments=instruments, classes=classes)

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        return "crossmodal__" + "_".join(self.instruments)
