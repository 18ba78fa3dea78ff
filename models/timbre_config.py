"""Configuration of the timbre system: its flags, defaults and presets. Imports no torch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.config import DATA, SAVING, TRAINING, TrainConfig, check_frames
from utils.config import InputError, derived, option
from utils.paths import cache_folder

if TYPE_CHECKING:
    from data.instruments import Corpus

TRANSFORM, MODEL, LOSSES = "transform", "model", "losses"
TRANSFORMS = ("nsgt-octave", "nsgt-mel", "nsgt-erb", "stft", "dct")
ALPHA = {"l2": 10.0, "gaussian": 100.0, "student": 100.0, "prior": 1.0}  # that suit the corrected forms
SUITING = ", ".join(f"{name} {alpha:g}" for name, alpha in ALPHA.items()) + ", original 1"
REGULARIZERS = ("prior", "l2", "gaussian", "student", "none")
LABELS = ("instrument", "octave", "pitch", "dynamics")  # of which those that all notes have are kept: for maps and probes


@dataclass(frozen=True)
class Config(TrainConfig):
    """A conditional VAE of spectra whose latent distances follow dissimilarity ratings."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = {
        "quick": {  # some minutes on a processor
            "frames": ("sustain", "15"),
            "floor": 3e-3,
            "latent_dims": 16,
            "hidden_dims": 512,
            "hidden_layers": 2,
            "noise": 0.04,
            "batch_size": 128,
            "epochs": 15,
            "twofold_epochs": 15,
            "warmup": 500,
            "plateau": 5,
            "shrink": 0.5,
            "save_epochs": 15,
            "plot_epochs": 15,
        },
        "paper": {  # what DAFx 2018 tells of its models
            "frames": ("20",),
            "conditioning": ("none",),
            "regularization": "student",
            "ratings": "pooled",
            "latent_dims": 64,
            "hidden_dims": 2000,
            "epochs": 10000,
            "twofold_epochs": 10000,
            "alpha": 0.1,
            "beta": 2.0,
            "lr": 1e-4,
            "form": "paper",
            "between": "frames",
        },
    }
    epochs: int = option(4000, "epochs of the first phase, without ratings", TRAINING, minimum=0)
    twofold_epochs: int = option(2000, "epochs of the second phase, with them", TRAINING, minimum=0)
    plot_latentspace: int = option(1, "draw latents on their principal axes, coloured by each label", SAVING, (0, 1))
    plot_statistics: int = option(1, "draw how each class uses each latent dimension", SAVING, (0, 1))

    instruments: tuple[str, ...] = option((), "instruments; without it all of the corpus that the ratings know", DATA)
    frames: tuple[str, ...] = option(
        ("10", "25"),
        "frames of a note: A B, from A up to B; one number; sustain, by energy; sustain N, at most N; nothing for all",
        DATA,
    )
    filter: int = option(5, "highest octave of notes that are used; 9 for all", DATA, minimum=0)
    label_pattern: str = option("", "regular expression on file paths that finds instrument and pitch; see docs/data.md", DATA)
    soundfont: str = option("", "SoundFont (.sf2) to render the embedded corpus from; without it the one inside pretty_midi", DATA)

    transform: str = option("nsgt-octave", "what spectra are", TRANSFORM, TRANSFORMS)
    floor: float = option(1e-6, "magnitudes below this count as this before the logarithm", TRANSFORM)

    latent_dims: int = option(32, "size of the latent", MODEL, minimum=1)
    hidden_dims: int = option(3000, "width of the hidden layers", MODEL, minimum=1)
    hidden_layers: int = option(3, "hidden layers of encoder and decoder, each", MODEL, minimum=1)
    conditioning: tuple[str, ...] = option(
        ("pitch",), "labels that encoder and decoder are told, or none", MODEL, ("pitch", "octave", "dynamics", "none")
    )

    regularization: str = option("l2", "what pulls latents to the ratings in the second phase", LOSSES, REGULARIZERS)
    form: str = option(
        "corrected",
        "the regulariser as corrected here, as the original program has it, or (student alone) as the paper prints it",
        LOSSES,
        ("corrected", "original", "paper"),
    )
    between: str = option(
        "centroids", "pulled are the instruments' means in a batch, or all single frames", LOSSES, ("centroids", "frames")
    )
    ratings: str = option(
        "balanced-no-grey", "pooled, dedup, balanced, balanced-no-grey, the name of one study, or a CSV file of your own", LOSSES
    )
    unrated: tuple[str, ...] = option((), "instruments whose ratings are withheld, to see whether they are predicted", LOSSES)
    alpha: float = option(-1.0, "weight of the regulariser; -1 = what suits it: " + SUITING, LOSSES, minimum=-1)
    beta: float = option(1.0, "weight of KL(q(z|x) || prior)", LOSSES, minimum=0)
    warmup: int = option(0, "steps over which the weight of the divergence rises from 0", LOSSES, minimum=0)
    noise: float = option(3e-3, "least standard deviation of a reconstructed band, in standardised units", LOSSES, minimum=0)
    mds_dims: int = option(
        3, "dimensions of the ratings' MDS; with --targetdims other than all, of the latents that are pulled", LOSSES, minimum=1
    )
    targetdims: str = option(
        "all", "latent dimensions that are pulled: all, or as many as --mds_dims: the first, or those of most or least variance",
        LOSSES, ("all", "first", "maxvar", "minvar"),
    )  # fmt: skip

    classes: dict[str, list[str]] = derived(dict)  # label -> class names; those of instrument are the chosen ones
    dissimilarity: dict[str, list] = derived(dict)  # mean and spread of the ratings (K, K), None where there is none

    def validate(self) -> None:
        """Check what one field alone cannot tell."""
        super().validate()
        if len(set(self.instruments)) < len(self.instruments):
            raise InputError("--instruments: the same instrument twice")
        for name in ("floor", "noise"):
            if getattr(self, name) <= 0:
                raise InputError(f"--{name}: must be greater than 0")
        if self.form == "paper" and self.regularization not in ("student", "none"):
            raise InputError(f"--form paper: the paper has the student form alone, not {self.regularization}")
        if -1 < self.alpha < 0:
            raise InputError(f"--alpha {self.alpha:g}: takes 0 or more, or -1")
        if self.noise >= 1:
            raise InputError(f"--noise {self.noise:g}: must be less than 1")
        if self.target_count > self.latent_dims:
            raise InputError(f"--mds_dims {self.mds_dims}: there are only {self.latent_dims} latent dimensions")
        if len(set(self.conditioning)) < len(self.conditioning) or ("none" in self.conditioning and self.told):
            raise InputError(f"--conditioning {' '.join(self.conditioning)}: give labels, each once, or none")
        if not self.total_epochs:
            raise InputError("there is no epoch to train: give --epochs, or --twofold_epochs and a --regularization")
        check_frames(self.frames)

    @property
    def resumable(self) -> set[str]:
        """Return what a resumed run may change: where its second phase begins is fixed."""
        longer = "epochs" if self.regularization == "none" else "twofold_epochs"
        return super().resumable - {"epochs"} | {longer}

    @property
    def total_epochs(self) -> int:
        """Return the epochs of both phases; of the first, where nothing regularises the second."""
        return self.epochs + (self.twofold_epochs if self.regularization != "none" else 0)

    @property
    def rated(self) -> list[str]:
        """Return the instruments whose ratings are used."""
        rows = zip(self.instruments, self.dissimilarity.get("mean", []), strict=False)
        return [name for name, row in rows if sum(value is not None for value in row) > 1]

    def withholding(self, name: str) -> "Config":
        """Return this configuration without the ratings of one instrument."""
        k = self.instruments.index(name)
        tables = {
            kind: [[x if (i == k) == (j == k) or i == j else None for j, x in enumerate(row)] for i, row in enumerate(table)]
            for kind, table in self.dissimilarity.items()
        }
        return replace(self, unrated=(*self.unrated, name), dissimilarity=tables)

    def twofold(self) -> "Config":
        """Return this configuration with its second phase alone, in which the divergence has its whole weight."""
        return replace(self, epochs=0, warmup=0)

    @property
    def told(self) -> tuple[str, ...]:
        """Return the labels that encoder and decoder are told."""
        return tuple(label for label in self.conditioning if label != "none")

    @property
    def weight(self) -> float:
        """Return the weight of the regulariser."""
        suiting = ALPHA.get(self.regularization, 1.0) if self.form == "corrected" else 1.0
        return self.alpha if self.alpha >= 0 else suiting

    @property
    def target_count(self) -> int:
        """Return how many latent dimensions are pulled."""
        return self.latent_dims if self.targetdims == "all" else self.mds_dims

    def corpus(self) -> "Corpus":
        """Return the corpus at `dbroot`, or the embedded one with all rated instruments, rendered first where it is not yet there.

        Raises
        ------
        InputError : it cannot be read or rendered.
        """
        from data import instruments
        from data.soundfont import INSTRUMENTS, default_corpus

        root = self.dbroot or default_corpus(cache_folder(self.cache), tuple(INSTRUMENTS), self.soundfont or None)
        return instruments.read(Path(root), self.label_pattern or None).below(self.filter)

    def resolved(self) -> "Config":
        """Fill in the instruments and the class tables of the corpus.

        Raises
        ------
        InputError : the corpus cannot be read, lacks an instrument or a condition, or too few of its instruments are rated.
        """
        from data.dissimilarity import ratings

        if self.dbroot and self.soundfont:
            raise InputError("--soundfont: renders the embedded corpus, and --dbroot names another; give one of them")
        corpus = self.corpus()
        notes = corpus.select(self.instruments or corpus.classes["instrument"])
        chosen = tuple(group[0].labels["instrument"] for group in notes)
        if self.regularization != "none" and not self.instruments:
            rated = ratings(self.ratings, chosen).rated
            notes, chosen = [group for group in notes if group[0].labels["instrument"] in rated], rated
        withheld = tuple(group[0].labels["instrument"] for group in corpus.select(self.unrated)) if self.unrated else ()
        everywhere = {label for label in LABELS if all(label in note.labels for group in notes for note in group)}
        missing = [label for label in self.told if label not in everywhere]
        if missing:
            raise InputError(f"--conditioning {missing[0]}: not all notes of the corpus have it; choose another")
        classes = {label: list(corpus.classes[label]) for label in LABELS if label in everywhere} | {"instrument": list(chosen)}
        config = replace(self, instruments=chosen, unrated=withheld, classes=classes)
        return replace(config, dissimilarity=config._rated(chosen))

    def _rated(self, instruments: tuple[str, ...]) -> dict[str, list]:
        """Return the ratings of instruments, without those that are withheld, as JSON values: a run goes on without their file."""
        from data.dissimilarity import ratings

        if self.regularization == "none":
            return {}
        found = ratings(self.ratings, instruments).without(self.unrated)
        if self.regularization == "gaussian" and not np.isfinite(found.spread[found.known]).all():
            raise InputError(
                f"--regularization gaussian: {self.ratings} tells no spreads of its ratings; choose another, or add std"
            )
        tables = {"mean": found.mean, "spread": found.spread}
        return {name: [[None if np.isnan(x) else float(x) for x in row] for row in table] for name, table in tables.items()}

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        return f"timbre__{self.regularization}_{self.transform}"
