"""The configuration every system shares. It and the systems' own import no torch, so that ``--help`` is quick."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from utils.config import InputError, option

DATA, TRAINING, SAVING = "data", "training", "saving and drawing"


@dataclass(frozen=True)
class TrainConfig:
    """What a run is made of: each field is a flag of ``lt_train.py`` and a key of the run's ``config.json``."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = {}

    dbroot: str = option("", "folder or file with the corpus; without it the system's embedded corpus is made and used", DATA)
    cache: str = option("", "folder for spectra and rendered corpora; without it $LT_CACHE or ~/.cache/latent-transcription", DATA)
    workers: int = option(0, "processes that prepare the corpus; 0 = one a core", DATA, minimum=0)
    seed: int = option(0, "seed of the weights, the order, the mixtures and the noise", TRAINING, minimum=0)
    epochs: int = option(3000, "passes over the training split", TRAINING, minimum=1)
    batch_size: int = option(64, "examples a step, over all processes", TRAINING, minimum=2)
    lr: float = option(1e-3, "learning rate of Adam", TRAINING, minimum=0)
    clip: float = option(0.0, "largest norm of the gradient; 0 = no clipping", TRAINING, minimum=0)
    plateau: int = option(100, "epochs without improvement after which the learning rates shrink; 0 = never", TRAINING, minimum=0)
    shrink: float = option(0.2, "factor by which the learning rates shrink on a plateau", TRAINING, minimum=0)
    patience: int = option(0, "epochs without improvement on validation after which training stops; 0 = never", TRAINING, minimum=0)
    precision: str = option(
        "fp32", "arithmetic of the forward pass; bf16 is faster and not exactly repeatable", TRAINING, ("fp32", "bf16")
    )
    save_epochs: int = option(500, "epochs between numbered saves, which --load_epoch finds", SAVING, minimum=1)
    save_steps: int = option(0, "steps between saves of the last state; 0 = none by steps", SAVING, minimum=0)
    save_minutes: float = option(5.0, "minutes between saves of the last state; 0 = none by time", SAVING, minimum=0)
    plot_epochs: int = option(100, "epochs between figures; 0 = none", SAVING, minimum=0)
    plot_reconstructions: int = option(1, "draw held-out examples beside what is made of them", SAVING, (0, 1))
    plot_latentspace: int = option(0, "draw latents on their principal axes, coloured by each label", SAVING, (0, 1))
    plot_statistics: int = option(0, "draw how each class uses each latent dimension", SAVING, (0, 1))
    plot_npoints: int = option(10000, "held-out examples whose latents are counted, at most; maps show 4000", SAVING, minimum=2)

    def validate(self) -> None:
        """Check what one field alone cannot tell.

        Raises
        ------
        InputError : options that do not go together.
        """
        if self.lr <= 0:
            raise InputError(f"--lr {self.lr:g}: must be greater than 0")
        if not 0 < self.shrink < 1:
            raise InputError(f"--shrink {self.shrink:g}: must lie between 0 and 1")

    def check_most(self, limits: Mapping[str, float]) -> None:
        """Check options against the most that they may be, by name.

        Raises
        ------
        InputError : one is more.
        """
        for name, most in limits.items():
            if getattr(self, name) > most:
                raise InputError(f"--{name} {getattr(self, name)}: must be {most} or less")

    @property
    def resumable(self) -> set[str]:
        """Return what a resumed run may change: none of it decides a number of a step."""
        data = {"dbroot", "cache", "workers", "epochs", "patience", "save_epochs", "save_steps", "save_minutes"}
        return data | {f"plot_{what}" for what in ("epochs", "reconstructions", "latentspace", "statistics", "npoints")}

    @property
    def settled(self) -> int:
        """Return the epochs before the first that may be the best, as what is minimised still changes."""
        return 0

    @property
    def total_epochs(self) -> int:
        """Return the epochs of all phases."""
        return self.epochs

    def resolved(self) -> "TrainConfig":
        """Return this configuration with what the corpus, or another run, decides filled in."""
        return self

    def standing_on(self, base: str, preset: str) -> "TrainConfig":
        """Return this configuration on what is elsewhere now, and of which preset it is, a checkpoint; "" leaves either as it is.

        Raises
        ------
        InputError : it stands on nothing.
        """
        if base or preset:
            raise InputError(f"--{'base' if base else 'base_preset'} {base or preset}: this run stands on no other; leave it out")
        return self

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        raise NotImplementedError


def epochs_until(steps: int, examples: int, batch_size: int, epochs: int) -> int:
    """Return the passes over so many examples that reach a number of updates, `epochs` at most; these where `steps` is 0."""
    return min(epochs, math.ceil(steps / max(1, round(examples / batch_size)))) if steps else epochs


def check_frames(frames: tuple[str, ...]) -> None:
    """Check which frames of a note are asked for: ``A B``, one number, ``sustain``, ``sustain N``, or nothing.

    Raises
    ------
    InputError : they are none of these.
    """
    if frames[:1] == ("sustain",) and (len(frames) == 1 or re.fullmatch(r"[1-9]\d{0,8}", " ".join(frames[1:]))):
        return
    numbers = [int(f) for f in frames if re.fullmatch(r"\d{1,9}", f)]
    if len(numbers) < len(frames) or len(numbers) > 2 or (len(numbers) == 2 and numbers[0] >= numbers[1]):
        raise InputError(f"--frames {' '.join(frames)}: give A B with A < B, one number, sustain, sustain N, or nothing for all")
