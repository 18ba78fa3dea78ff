"""The one training loop. It knows models only by the contract of `models.base`.

Every random number is a function of (seed, epoch, step, rank): the order of the data, what a dataset draws for a batch, and the
noise of the model, whose generator is seeded anew at each step. So a state holds no generators, a resumed run continues bit for
bit from any step, and evaluations and figures in between change nothing.
"""

import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from models.base import LatentModel
from models.epochs import Dataset, accumulate, batches, evaluate, means, n_batches, on_device, size_of, values
from models.run_folder import BEST, HISTORY, LAST, numbered
from utils import history
from utils.checkpoint import load_weights, save_state
from utils.cli import progress
from utils.config import InputError
from utils.device import Ranks, autocast, seed
from utils.files import atomic


class Interrupted(Exception):
    """Say that a signal ended training after a save; `code` is the exit code, 128 + the signal's number by convention."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@dataclass
class Position:
    """Where a run stands; everything here is saved."""

    epoch: int = 0  # the current one, from 0
    batch: int = 0  # batches of it that are done
    step: int = 0  # updates done
    best: float = math.inf  # lowest validation loss
    best_epoch: int = -1
    seconds: float = 0.0  # spent in training
    sums: dict[str, float] = field(default_factory=dict)  # over the current epoch's batches, of the terms


def _position(saved: dict[str, Any]) -> Position:
    """Return a position that was saved; TypeError where it is none."""
    position = Position(**saved)
    wrong = [name for name, value in vars(Position()).items() if not isinstance(getattr(position, name), type(value))]
    wrong += [name for name in ("epoch", "batch", "step", "seconds") if name not in wrong and getattr(position, name) < 0]
    if wrong:
        raise TypeError(f"its {wrong[0]} is {getattr(position, wrong[0])!r:.40}")
    return position


class Trainer:
    """A model, its optimizers and where they stand: what a save holds."""

    def __init__(self, model: LatentModel, run: Path, device: torch.device, ranks: Ranks = Ranks()):
        self.model, self.run, self.device, self.ranks = model.to(device), run, device, ranks
        config = model.config
        patience = config.plateau or sys.maxsize
        self.plateau = {"factor": config.shrink, "patience": patience, "threshold": 0.0, "threshold_mode": "abs", "eps": 1e-10}
        self.at = Position()
        self._equip()
        self.best: dict[str, Any] | None = None  # what the next save writes as the best

    def _equip(self) -> None:
        """Take up the phases of the current epoch, with fresh optimizers."""
        self.groups = self.model.phases(self.at.epoch)
        self.optimizers = {name: torch.optim.Adam(g.params, lr=g.lr, fused=True) for name, g in self.groups.items()}
        self.schedules = {name: ReduceLROnPlateau(o, **self.plateau) for name, o in self.optimizers.items()}

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(self, batch: dict[str, Tensor]) -> None:
        """Do one update of every phase on this rank's part of a batch.

        Raises
        ------
        InputError : a term is no finite number, or the gradient where it is clipped.
        """
        seed(self.model.config.seed, "noise", self.at.step, self.ranks.rank)
        terms: dict[str, float] = {}
        for name, group in self.groups.items():
            for _ in range(group.times):
                last = self._update(name, batch)
            terms = last | terms  # the first phase's total stands
        accumulate(self.at.sums, terms, size_of(batch))
        self.at.step, self.at.batch = self.at.step + 1, self.at.batch + 1

    def _update(self, phase: str, batch: dict[str, Tensor]) -> dict[str, float]:
        params = self.groups[phase].params
        with autocast(self.device, self.model.config.precision):
            losses = self.model(batch, self.at.step, phase)
        terms = values(losses)
        self._check(terms)
        self.optimizers[phase].zero_grad()
        losses.total.backward()
        self._share(params, size_of(batch))
        norm = torch.nn.utils.clip_grad_norm_(params, self.model.config.clip) if self.model.config.clip else None
        if norm is not None:
            self._check({f"gradient of phase {phase}": norm.item()})
        self._move(self.optimizers[phase])
        return terms

    def _move(self, optimizer: torch.optim.Optimizer) -> None:
        """Do a step at the optimizer's rate, which schedules shrink, times the model's pace."""
        group = optimizer.param_groups[0]
        rate, group["lr"] = group["lr"], group["lr"] * self.model.pace(self.at.step)
        optimizer.step()
        group["lr"] = rate

    def _check(self, terms: dict[str, float]) -> None:
        wrong = [name for name in sorted(terms, key="total".__eq__) if not math.isfinite(terms[name])]  # the total last
        if wrong:
            where = f"epoch {self.at.epoch}, step {self.at.step}"
            raise InputError(f"{wrong[0]} became {terms[wrong[0]]} at {where}; the last save is kept: try a lower --lr, or --clip")

    def _share(self, params: list[Tensor], n: int) -> None:
        """Average gradients over the ranks, weighted by their `n` examples, and the model's running statistics with them.

        So every rank holds the same state after every step, and the first one's save is everybody's.
        """
        if self.ranks.size == 1:
            return
        saved = self.model.state_dict().keys()  # what is not is never changed
        named = [b for name, b in self.model.named_buffers() if name in saved]
        buffers = [b for b in named if b.is_floating_point() and b.dtype != torch.float64]  # those are fixed, and kept exact
        shared = [p.grad for p in params if p.grad is not None] + buffers
        weight = torch.tensor([float(n)], device=self.device)
        total = self.ranks.add(torch.cat([weight, *(v.detach().flatten() * n for v in shared)]))
        for value, mean in zip(shared, (total[1:] / total[0]).split([v.numel() for v in shared]), strict=True):
            value.data.copy_(mean.view_as(value))

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def finish_epoch(self, valid: Dataset) -> dict[str, float]:
        """Validate, schedule, keep the best weights, and add a row to the history; return the row.

        Where nothing is held out, the learning rate follows the loss in training, and the last weights count.
        """
        at, train = self.at, means(self.at.sums, self.ranks, self.device)
        unseen = evaluate(self.model, valid, self.device, self.groups, self.ranks) if len(valid) else {}
        self._check(unseen)
        row = {"epoch": at.epoch, "step": at.step, "seconds": round(at.seconds, 3)}
        row |= {f"lr_{name}": o.param_groups[0]["lr"] * self.model.pace(at.step) for name, o in self.optimizers.items()}
        row |= {f"train_{k}": v for k, v in train.items()} | {f"valid_{k}": v for k, v in unseen.items()}
        for schedule in self.schedules.values():
            schedule.step((unseen or train)["total"])
        if not unseen:
            at.best_epoch = at.epoch  # nothing tells them apart
        elif unseen["total"] < at.best and at.epoch >= self.model.config.settled:
            at.best, at.best_epoch = unseen["total"], at.epoch
            weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.best = {"model": weights, "epoch": at.epoch, "loss": at.best}
        at.epoch, at.batch, at.sums = at.epoch + 1, 0, {}
        if self.ranks.first:
            history.append(self.run / HISTORY, row)
        return row

    def turn(self) -> bool:
        """Begin the phases of the epoch that comes, with a search of the best of their own; return whether they are others."""
        turned = self.model.phases(self.at.epoch).keys() != self.groups.keys()
        if turned:
            self.at.best, self.at.best_epoch = math.inf, self.at.epoch - 1
            self._equip()
        return turned

    @property
    def exhausted(self) -> bool:
        """Tell whether validation has not improved for the configured number of epochs, and no other phases are to come."""
        config = self.model.config
        last = self.model.phases(config.total_epochs - 1).keys() == self.groups.keys()
        since = max(self.at.best_epoch, config.settled - 1)
        return bool(config.patience) and last and self.at.epoch - 1 - since >= config.patience

    # -- saving -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that an exact continuation needs."""
        return {
            "model": self.model.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "schedules": {name: s.state_dict() for name, s in self.schedules.items()},
            "position": dict(vars(self.at)),
            "ranks": self.ranks.size,
        }

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Continue from `state`, which was read from `path`.

        Raises
        ------
        InputError : it is the state of another model, or of another number of processes.
        """
        try:
            load_weights(self.model, state["model"], path)
            self.at, ranks = _position(state["position"]), state["ranks"]
            self._equip()
            if state["optimizers"].keys() != self.optimizers.keys():
                was, now = ", ".join(state["optimizers"]), ", ".join(self.optimizers)
                raise InputError(
                    f"{path}: is of the phase {was}, this run would go on with {now}: try --twofold, or --load_epoch best"
                )
            for name, optimizer in self.optimizers.items():
                own = {key: type(value) for key, value in optimizer.param_groups[0].items()}
                optimizer.load_state_dict(state["optimizers"][name])
                if any(
                    type(value) is not own.get(key) for key, value in optimizer.param_groups[0].items() if own.get(key) is float
                ):
                    raise TypeError("a rate of an optimizer is no number")
                self.schedules[name].load_state_dict(state["schedules"][name])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(f"{path}: is not the state of this model ({error}); it may be damaged") from None
        if ranks != self.ranks.size:
            raise InputError(f"{path}: was trained by {ranks} processes, not {self.ranks.size}; start as many")

    def renew(self) -> None:
        """Keep weights, moments and counts, but begin the epoch, the rates, the schedules and the search of the best anew."""
        self.at = Position(epoch=self.at.epoch, step=self.at.step, best_epoch=self.at.epoch - 1)
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = self.groups[name].lr
            self.schedules[name] = ReduceLROnPlateau(optimizer, **self.plateau)

    def save(self, number: int | None = None) -> None:
        """Write the best weights where they are new, then the last state; keep it under epoch `number` too where that is given.

        Raises
        ------
        InputError : a weight is no finite number (what was saved before is kept), or the files cannot be written.
        """
        self._check({name: t.sum().item() for name, t in self.model.state_dict().items()})
        if self.ranks.first:
            if self.best is not None:
                save_state(self.run / BEST, self.best)
            save_state(self.run / LAST, self.state())
            if number is not None:
                _link(self.run / LAST, self.run / numbered(number))
        self.best = None
        self.ranks.wait()


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, which takes no space until the first is replaced; copy it where the disk knows no such names."""
    with atomic(target) as aside:
        aside.unlink()
        try:
            os.link(source, aside)
        except OSError:
            shutil.copyfile(source, aside)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; a second one acts as usual."""
    caught: list[int] = []
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(number, previous[number])

    for number in previous:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def check_enough(train: Dataset, valid: Dataset, batch_size: int, ranks: Ranks) -> None:
    """Check that every rank gets two examples of each batch to train on, and one to validate on where there are any.

    Raises
    ------
    InputError : there are too few.
    """
    if len(train) // n_batches(train, batch_size) < 2 * ranks.size or 0 < len(valid) < ranks.size:
        raise InputError(
            f"{len(train)} examples to train and {len(valid)} to validate on are too few; bring more, or take a larger --batch_size"
        )


def fit(trainer: Trainer, train: Dataset, valid: Dataset, minutes: float = 0.0, report: Callable | None = None) -> str:
    """Train until the epochs, the patience or the minutes run out, saving as configured; return in words why it ended.

    `report(trainer, row)` gets each epoch's row of the history, to draw and log it. `minutes` are of wall time, 0 for no limit.

    Raises
    ------
    Interrupted : SIGINT or SIGTERM, after a save.
    InputError : too few examples, or a term that is no finite number.
    """
    config, at, ranks = trainer.model.config, trainer.at, trainer.ranks
    check_enough(train, valid, config.batch_size, ranks)
    total = n_batches(train, config.batch_size)
    trainer.model.train()
    clock = Clock(at.seconds, minutes, config.save_minutes)
    with _signals() as caught, progress(total=config.total_epochs * total, initial=at.step, unit="step") as bar:
        while at.epoch < config.total_epochs and not trainer.exhausted:
            for batch in batches(train, config.batch_size, config.seed, at.epoch, skip=at.batch, ranks=ranks):
                trainer.step(on_device(batch, trainer.device))
                at.seconds = clock.seconds()
                bar.update()
                stop, due = ranks.any(bool(caught), trainer.device), ranks.any(clock.due(), trainer.device)
                over = ranks.any(clock.over(), trainer.device)
                if stop or over or due or (config.save_steps and at.step % config.save_steps == 0):
                    trainer.save()
                    clock.saved()
                if stop:
                    raise Interrupted(caught[0] if caught else signal.SIGTERM)
                if over:
                    return "the time is up"
            row = trainer.finish_epoch(valid)
            totals = {name: f"{row[f'{name}_total']:.1f}" for name in ("train", "valid") if f"{name}_total" in row}
            bar.set_postfix(epoch=row["epoch"], **totals)
            if trainer.turn() or at.epoch % config.save_epochs == 0:
                trainer.save(number=at.epoch)
            if report and ranks.first:
                report(trainer, row)
    trainer.save()
    return "validation no longer improves" if trainer.exhausted else "all epochs are done"


class Clock:
    """The time of this training: how long, when to save, when to stop."""

    def __init__(self, seconds: float, minutes: float, save_minutes: float):
        self.start, self.before = time.monotonic(), seconds
        self.limit, self.interval, self.last = 60 * minutes, 60 * save_minutes, self.start

    def seconds(self) -> float:
        """Return the seconds of training so far, earlier sittings included."""
        return self.before + time.monotonic() - self.start

    def over(self) -> bool:
        """Tell whether this sitting's time is up."""
        return bool(self.limit) and time.monotonic() - self.start >= self.limit

    def due(self) -> bool:
        """Tell whether the interval between saves has passed."""
        return bool(self.interval) and time.monotonic() - self.last >= self.interval

    def saved(self) -> None:
        """Start the interval anew."""
        self.last = time.monotonic()
