"""Configuration of the classifying system: its flags, defaults and presets. Imports no torch."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from data.keys import KEY, LABELS, MAJOR, Key
from data.rolls import READINGS, STEPS
from data.scores import Pieces, read
from data.windows import windows
from models.config import DATA, TRAINING, TrainConfig
from utils.config import InputError, derived, option
from utils.paths import cache_folder

MODEL, LOSSES = "model", "losses"
BATCH = {"vae": 100, "lstm": 200}  # where none is given
LENGTH = {"vae": 1, "lstm": 16}
MOST_SEMITONES = 11
MOST_LOG_VARIANCE = 30
LONGEST_WINDOW = 4096  # steps
WIDEST = 16384  # of layers


@dataclass(frozen=True)
class Config(TrainConfig):
    """A VAE, or VAE with LSTMs, of piano-rolls, with or without a latent for the key."""

    PRESETS: ClassVar[dict[str, dict[str, object]]] = {
        "frames": {"model": "vae", "use_x_prev": True, "latent_dim": 4},
        "windows": {"model": "lstm", "use_x_prev": True, "latent_dim": 4, "lr": 3e-3},
        "deep": {
            "model": "lstm",
            "use_x_prev": True,
            "prior": "learned",
            "shortcuts": True,
            "latent_dim": 16,
            "intermediate_dim": 128,
            "dropout": 0.2,
            "lr": 3e-3,
        },
        "autoregressive": {
            "model": "vae",
            "use_x_prev": True,
            "prior": "learned",
            "output": "autoregressive",
            "latent_dim": 8,
            "intermediate_dim": 200,
            "dropout": 0.2,
        },
    }
    dbroot: str = option("", "file or folder of pieces; without it Bach's chorales, which music21 has", DATA, also=("train_file",))
    workers: int = derived(int)  # none: reading scores takes seconds
    step: str = option("quarter", "length of a frame on the score", DATA, tuple(STEPS))
    reading: str = option(
        "sounding", f"the notes of a frame: {'; '.join(f'{k}, {v}' for k, v in READINGS.items())}", DATA, tuple(READINGS)
    )
    target_keys: tuple[str, ...] = option(
        (), "keys that pieces are transposed to, as C c; a piece is copied to all of its mode", DATA
    )
    transpose: int = option(0, "semitones that windows of training are moved up or down at random, at most", DATA, minimum=0)
    relative_major: bool = option(True, "let a minor key count as its relative major", DATA)

    epochs: int = option(200, "passes over the training split", TRAINING, minimum=1, also=("num_epochs",))
    batch_size: int = option(0, "windows a step, over all processes; 0 = 100 of the vae, 200 of the lstm", TRAINING, minimum=0)
    plateau: int = option(0, "epochs without improvement after which the learning rates shrink; 0 = never", TRAINING, minimum=0)
    patience: int = option(
        5, "epochs without improvement after which training stops, counted after annealing; 0 = never", TRAINING, minimum=0
    )
    optimizer: str = option("adam-wn", "Adam, with or without weight normalisation", TRAINING, ("adam-wn", "adam"))

    model: str = option("lstm", "vae: one latent a window; lstm: one a frame, beside what LSTMs remember", MODEL, ("vae", "lstm"))
    classify: bool = option(True, "infer the key of a window as a latent of its own", MODEL)
    latent_dim: int = option(2, "size of a latent", MODEL, minimum=1)
    intermediate_dim: int = option(88, "width of hidden layers, or of the LSTMs; of a vae 0 = none", MODEL, minimum=0)
    intermediate_class_dim: int = option(88, "width of the hidden layer that the key is inferred by", MODEL, minimum=1)
    seq_length: int = option(0, "frames of a window; 0 = 1 of the vae, 16 of the lstm", MODEL, minimum=0)
    predict_next: bool = option(False, "encode a frame, decode the next", MODEL)
    use_x_prev: bool = option(False, "tell the decoder the frame before", MODEL)
    prior: str = option(
        "standard", "of latents: the standard normal, or learned from what came before", MODEL, ("standard", "learned")
    )
    output: str = option(
        "independent",
        "notes of a frame, given its latent: independent, or each told those beneath it",
        MODEL,
        ("independent", "autoregressive"),
    )
    shortcuts: bool = option(False, "let what follows an LSTM see its inputs, too, past its memory", MODEL)
    dropout: float = option(0.0, "share of hidden units left out in training", MODEL, minimum=0)

    class_weight: float = option(1.0, "weight of the classification loss", LOSSES, minimum=0)
    w_log_var_prior: float = option(0.0, "log variance of the prior of the logits of the key", LOSSES)
    kl_anneal: int = option(0, "epochs over which the weight of the latents' divergence rises from 0.1 to 1", LOSSES, minimum=0)
    w_kl_anneal: int = option(0, "epochs over which the weight of the key's divergence rises from 0 to 1", LOSSES, minimum=0)
    symmetric_w: bool = option(True, "give the last key a logit, too, instead of 0, so that all keys are alike", MODEL)
    scale_w: bool = option(False, "divide the terms of the key by the frames of a window, as the bound does", LOSSES)

    classes: dict[str, list[str]] = derived(dict)  # of keys; a class id is a place
    windows: int = derived(int)  # of the training split
    class_windows: list[int] = derived(list)  # of it, in each class

    def validate(self) -> None:
        """Check what one field alone cannot tell.

        Raises
        ------
        InputError : options that do not go together.
        """
        super().validate()
        if self.batch_size == 1:
            raise InputError("--batch_size 1: must be 2 or more")
        if self.predict_next and self.use_x_prev:
            raise InputError("--predict_next and --use_x_prev: take one of them; both tell the frame before what is decoded")
        if max(self.kl_anneal, self.w_kl_anneal) > self.epochs:
            raise InputError(f"--kl_anneal and --w_kl_anneal: must not be longer than the {self.epochs} --epochs")
        if abs(self.w_log_var_prior) > MOST_LOG_VARIANCE:
            raise InputError(
                f"--w_log_var_prior {self.w_log_var_prior:g}: must lie within -{MOST_LOG_VARIANCE} and {MOST_LOG_VARIANCE}"
            )
        if self.predict_next and self.model == "vae" and self.seq_length > 1:
            raise InputError("--predict_next: of a vae, is of single frames; leave out --seq_length, or take --model lstm")
        if self.model == "lstm" and not self.intermediate_dim:
            raise InputError("--intermediate_dim 0: is for --model vae; an LSTM needs units")
        if self.shortcuts and self.model == "vae":
            raise InputError("--shortcuts: are past LSTMs; take --model lstm")
        self._check_key()
        if self.prior == "learned" and self.model == "vae" and not (self.classify or self.use_x_prev):
            raise InputError("--prior learned: has nothing to learn from; add --classify or --use_x_prev")
        if self.dropout >= 1:
            raise InputError(f"--dropout {self.dropout:g}: must be less than 1")
        if self.transpose > MOST_SEMITONES:
            raise InputError(f"--transpose {self.transpose}: must be {MOST_SEMITONES} or less")
        for name in ("latent_dim", "intermediate_dim", "intermediate_class_dim"):
            if getattr(self, name) > WIDEST:
                raise InputError(f"--{name} {getattr(self, name)}: must be {WIDEST} or less")
        if self.seq_length > LONGEST_WINDOW:
            raise InputError(f"--seq_length {self.seq_length}: must be {LONGEST_WINDOW} or less")
        for name in self.target_keys:
            Key.parse(name)
        if self.classes:
            self._check_derived()

    def _check_derived(self) -> None:
        """Raise an InputError where what the corpus once decided is no longer what it can have been."""
        names = self.classes.get(KEY) if isinstance(self.classes, dict) else None
        labels = isinstance(names, list) and all(isinstance(name, str) and Key(name).plain.label == name for name in names)
        if not labels or len(self.classes) > 1 or names != sorted(set(names)):
            raise InputError("classes: are no keys in order; it may be damaged")
        for value in (self.windows, self.batch_size, self.seq_length, *self.class_windows):
            if type(value) is not int or not 0 <= value < 2**53:
                raise InputError(
                    f"windows, class_windows, batch_size or seq_length: {str(value)[:20]} is no size; it may be damaged"
                )
        if not (self.windows and self.batch_size and self.seq_length) or len(self.class_windows) != len(names):
            raise InputError("windows, class_windows, batch_size, seq_length: are too small or too few; it may be damaged")

    def _check_key(self) -> None:
        """Raise an InputError for options of a key that is not inferred, or that change nothing."""
        options = ("class_weight", "w_log_var_prior", "w_kl_anneal", "scale_w", "symmetric_w", "intermediate_class_dim")
        idle = [name for name in options if getattr(self, name) != self.__dataclass_fields__[name].default]
        if not self.classify and idle:
            raise InputError(f"--{idle[0]}: is of the key, which --no-classify leaves out; leave out one of them")
        if self.scale_w and self.model == "vae":
            raise InputError("--scale_w: changes nothing for --model vae, whose terms are all of a window")

    @property
    def settled(self) -> int:
        """Return the epochs of annealing: only after them, or at the very end, is one the best."""
        return min(max(self.kl_anneal, self.w_kl_anneal), self.epochs - 1)

    @property
    def epoch_steps(self) -> int:
        """Return the steps of an epoch."""
        return max(1, round(self.windows / self.batch_size))

    @property
    def lag(self) -> int:
        """Return the frames that a window has before those that are decoded."""
        return int(self.predict_next or self.use_x_prev)

    def corpus(self) -> Pieces:
        """Return the pieces, transposed where that is asked for, with a part to test on.

        Raises
        ------
        InputError : they cannot be read, or have no target key of their mode.
        """
        pieces = _pieces(self.dbroot, self.cache, self.step, self.reading)
        return pieces.transposed(self.target_keys) if self.target_keys else pieces

    def resolved(self) -> "Config":
        """Return this configuration with its sizes, and the classes of keys and the number of windows from the corpus."""
        length = self.seq_length or LENGTH[self.model]
        pieces = self.corpus()
        labels = self._labels(pieces)
        if len(labels) < 2:
            raise InputError(f"{pieces.root}: all pieces are in {labels[0]}; there is nothing to tell apart, so --no-classify")
        train = pieces.of("train")
        total = len(windows(train, length))
        own = {label: [piece for piece in train if piece.class_of(self.relative_major) == label] for label in labels}
        counts = [total // len(labels) if self.transpose else len(windows(own[label], length)) for label in labels]
        return replace(
            self,
            seq_length=length,
            batch_size=self.batch_size or BATCH[self.model],
            classes={KEY: labels},
            windows=total,
            class_windows=counts,
        )

    def _labels(self, pieces: Pieces) -> list[str]:
        """Return the classes that a model tells apart, or by which the windows of one that does not are sorted."""
        if not self.classify:
            return sorted(MAJOR if self.relative_major else LABELS)
        labels, shifts = pieces.classes(self.relative_major), range(-self.transpose, self.transpose + 1)
        return sorted({Key(label).moved(shift).label for label in labels for shift in shifts})

    def title(self) -> str:
        """Return the run's name when the user gives none."""
        parts = ["classifying", "_".join(["cl" * self.classify, self.model]).strip("_"), Path(self.dbroot).stem or "chorales"]
        return "__".join(parts).replace(" ", "_")


@functools.lru_cache(maxsize=2)
def _pieces(dbroot: str, cache: str, step: str, reading: str) -> Pieces:
    """Return the pieces of a corpus, in three splits, read once in a process."""
    from data.chorales import default_pieces

    found = read(dbroot, step, reading) if dbroot else default_pieces(cache_folder(cache), step, reading)
    return found.with_all_splits()
