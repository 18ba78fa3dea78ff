"""The loop: exact resume from any step, saves, schedules, early stopping, NaN, interruptions."""

import contextlib
import math
import os
import signal
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from models import training
from models.base import LatentModel, Losses, ParamGroup
from models.config import TrainConfig
from models.epochs import batches, evaluate, n_batches
from models.losses import Normal
from models.run_folder import BEST, HISTORY, LAST, numbered
from models.training import Interrupted, Trainer, fit
from utils import history
from utils.checkpoint import load_state
from utils.config import InputError
from utils.device import Ranks

CPU = torch.device("cpu")


class Points:
    """A dataset of random points, with fresh noise in every batch."""

    def __init__(self, n=23):
        self.x = torch.randn(n, 3, generator=torch.Generator().manual_seed(1))

    def __len__(self):
        return len(self.x)

    def order(self, random):
        return torch.randperm(len(self.x), generator=random)

    def batch(self, rows, random):
        return {"x": self.x[rows] + 0.01 * torch.randn(len(rows), 3, generator=random)}

    def fingerprint(self):
        return "points"


class Toy(LatentModel):
    """A small VAE with a second phase, noise, and batch statistics."""

    def __init__(self, config):
        super().__init__()
        self.config, self.latent_shape = config, (2,)
        self.encoder, self.norm, self.decoder, self.critic = nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Linear(3, 1)

    def phases(self, epoch=0):
        critic = list(self.critic.parameters())
        vae = [*self.encoder.parameters(), *self.norm.parameters(), *self.decoder.parameters()]
        return {"vae": ParamGroup(vae, self.config.lr), "critic": ParamGroup(critic, 1e-2)}

    def forward(self, batch, step=0, phase="vae"):
        if phase == "critic":
            loss = (self.critic(batch["x"]) - 1).square().mean()
            return Losses(loss, {"critic": loss})
        mean = self.norm(self.encoder(batch["x"]))
        z = Normal(mean, torch.full_like(mean, 0.01)).rsample() if self.training else mean
        error = (self.decoder(z) - batch["x"]).square().sum(-1).mean()
        return Losses(error, {"nll_x": error})


class Often(Toy):
    """Its critic is updated three times a step, each time with other noise."""

    def __init__(self, config):
        super().__init__(config)
        self.seen = []

    def phases(self, epoch=0):
        return {name: replace(group, times=3 if name == "critic" else 1) for name, group in super().phases(epoch).items()}

    def forward(self, batch, step=0, phase="vae"):
        noise = torch.randn_like(batch["x"]) if self.training else 0.0
        if self.training:
            self.seen.append((step, phase, noise.sum().item(), self.critic.bias.item()))
        return super().forward({"x": batch["x"] + 0.1 * noise}, step, phase)


@dataclass(frozen=True)
class ToyConfig(TrainConfig):
    epochs: int = 4
    batch_size: int = 5
    lr: float = 1e-2
    save_minutes: float = 0.0


def trainer(folder, model=Toy, **changes):
    torch.manual_seed(3)
    folder.mkdir(exist_ok=True)
    return Trainer(model(ToyConfig(**changes)), folder, CPU)


def run(folder, stop_after=None, resume=False, held_out=9, model=Toy, **changes):
    """Train in `folder`, ending the process' work without a further save after `stop_after` steps."""
    t = trainer(folder, model, **changes)
    if resume:
        t.restore(load_state(folder / LAST), folder / LAST)
        history.truncate(folder / HISTORY, t.at.epoch)
    if stop_after is not None:
        step = t.step

        def killed(batch):
            if t.at.step == stop_after:
                raise KeyError("killed")
            step(batch)

        t.step = killed
    with contextlib.suppress(KeyError):
        fit(t, Points(), Points(held_out))
    return t


def same_state(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_state(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_state, a, b))
    return a == b


def rows(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.read(folder / HISTORY)]


TOTAL = 4 * n_batches(Points(), 5)


@pytest.mark.parametrize("stop", range(1, TOTAL + 1))
def test_resume_is_exact_from_any_step(tmp_path, stop):
    run(tmp_path / "whole", save_steps=3)
    run(tmp_path / "broken", stop_after=stop, save_steps=1)
    torch.manual_seed(99)  # whatever the generators hold, the run does not depend on it
    run(tmp_path / "broken", resume=True, save_steps=3)
    for name in (LAST, BEST):
        assert same_state(load_state(tmp_path / "whole" / name), load_state(tmp_path / "broken" / name))
    assert rows(tmp_path / "whole") == rows(tmp_path / "broken")
    assert len(rows(tmp_path / "whole")) == 4


def test_saving_drawing_and_evaluating_do_not_change_the_run(tmp_path):
    run(tmp_path / "a", save_steps=1, save_epochs=1)
    run(tmp_path / "b", save_steps=0, save_epochs=100)
    assert same_state(load_state(tmp_path / "a" / LAST), load_state(tmp_path / "b" / LAST))


def test_other_seeds_are_other_runs(tmp_path):
    run(tmp_path / "a", seed=0)
    run(tmp_path / "b", seed=1)
    assert not same_state(load_state(tmp_path / "a" / LAST), load_state(tmp_path / "b" / LAST))


# -- phases of several updates ----------------------------------------------------------------------------------------


def test_a_phase_may_be_updated_several_times_a_step(tmp_path):
    seen = run(tmp_path / "a", model=Often).model.seen
    steps = [seen[place : place + 4] for place in range(0, len(seen), 4)]
    assert len(steps) == TOTAL
    for number, step in enumerate(steps):
        assert [row[:2] for row in step] == [(number, "vae")] + 3 * [(number, "critic")]
        assert len({row[2] for row in step}) == 4  # each has noise of its own
        assert len({row[3] for row in step[1:]}) == 3  # and moves on
    assert load_state(tmp_path / "a" / LAST)["optimizers"]["critic"]["state"][0]["step"] == 3 * TOTAL


def test_of_several_updates_the_last_is_told(tmp_path):
    t = trainer(tmp_path / "a", Often)
    told, forward = [], t.model.forward
    t.model.forward = lambda *given: told.append(forward(*given)) or told[-1]
    t.step(Points().batch(torch.arange(5), torch.Generator()))
    assert t.at.sums["critic"] == pytest.approx(5 * told[3].terms["critic"].item())
    assert t.at.sums["total"] == pytest.approx(5 * told[0].total.item())  # of the first phase


@pytest.mark.parametrize("stop", [1, 7, TOTAL])
def test_resume_is_exact_of_several_updates(tmp_path, stop):
    run(tmp_path / "whole", model=Often)
    run(tmp_path / "broken", stop_after=stop, save_steps=1, model=Often)
    run(tmp_path / "broken", resume=True, model=Often)
    assert same_state(load_state(tmp_path / "whole" / LAST), load_state(tmp_path / "broken" / LAST))
    assert rows(tmp_path / "whole") == rows(tmp_path / "broken")


# -- nothing held out -------------------------------------------------------------------------------------------------


def test_where_nothing_is_held_out_the_last_weights_count(tmp_path):
    t = run(tmp_path / "a", held_out=0, save_epochs=2)
    assert not (tmp_path / "a" / BEST).exists() and t.best is None
    assert same_state(load_state(tmp_path / "a" / LAST)["model"], t.model.state_dict())
    found = rows(tmp_path / "a")
    assert len(found) == 4 and {"train_total", "lr_vae"} <= found[0].keys()
    assert not any(name.startswith("valid") for row in found for name in row)


def test_what_is_held_out_changes_nothing_of_the_weights(tmp_path):
    run(tmp_path / "a", held_out=0)
    run(tmp_path / "b", held_out=9)
    assert same_state(*(load_state(tmp_path / name / LAST)["model"] for name in "ab"))


def test_patience_does_not_end_what_has_nothing_held_out(tmp_path):
    t = trainer(tmp_path / "a", epochs=12, patience=1, lr=1e-12)
    assert fit(t, Points(), Points(0)) == "all epochs are done" and t.at.epoch == 12


def test_rates_then_follow_the_loss_in_training(tmp_path):
    run(tmp_path / "a", held_out=0, epochs=60, plateau=2, lr=1.0)
    found, patience, best = rows(tmp_path / "a"), 0, math.inf
    for before, after in pairwise(found):
        patience, best = (0, before["train_total"]) if before["train_total"] < best else (patience + 1, best)
        assert (after["lr_vae"] < before["lr_vae"]) == (patience > 2)
        patience = 0 if patience > 2 else patience
    assert found[-1]["lr_vae"] < 1


@pytest.mark.parametrize("stop", range(1, TOTAL + 1, 3))
def test_resume_is_exact_where_nothing_is_held_out(tmp_path, stop):
    run(tmp_path / "whole", held_out=0, plateau=1, patience=1)
    run(tmp_path / "broken", stop_after=stop, held_out=0, save_steps=1, plateau=1, patience=1)
    run(tmp_path / "broken", resume=True, held_out=0, plateau=1, patience=1)
    assert same_state(load_state(tmp_path / "whole" / LAST), load_state(tmp_path / "broken" / LAST))
    assert rows(tmp_path / "whole") == rows(tmp_path / "broken") and not (tmp_path / "broken" / BEST).exists()


# -- saves and data ---------------------------------------------------------------------------------------------------


def test_numbered_saves_are_kept(tmp_path):
    run(tmp_path / "a", save_epochs=2)
    assert load_state(tmp_path / "a" / numbered(2))["position"]["epoch"] == 2
    assert same_state(load_state(tmp_path / "a" / numbered(4)), load_state(tmp_path / "a" / LAST))


def test_every_example_is_seen_once_an_epoch():
    seen = torch.cat([b["x"] for b in batches(Points(), 5, 0, 0)])
    assert len(seen) == 23
    sizes = {len(b["x"]) for b in batches(Points(), 5, 0, 0)}
    assert max(sizes) - min(sizes) <= 1
    assert len(seen.unique(dim=0)) == 23


def test_batches_follow_their_seeds_and_can_be_skipped():
    first = [b["x"] for b in batches(Points(), 5, 0, 7)]
    again = [b["x"] for b in batches(Points(), 5, 0, 7, skip=2)]
    assert all(torch.equal(a, b) for a, b in zip(first[2:], again, strict=True))
    assert not torch.equal(first[0], next(batches(Points(), 5, 0, 8))["x"])


def test_ranks_share_a_batch():
    whole = Points().order(torch.Generator().manual_seed(0))
    parts = [torch.cat([b["x"].round(decimals=0) for b in batches(Points(), 6, 1, ranks=Ranks(r, 2))]) for r in (0, 1)]
    assert sum(map(len, parts)) == len(whole)


def test_the_best_weights_are_those_of_the_lowest_validation_loss(tmp_path):
    t = run(tmp_path / "a", lr=0.5, epochs=12)
    losses = [row["valid_total"] for row in rows(tmp_path / "a")]
    best = load_state(tmp_path / "a" / BEST)
    assert best["epoch"] == losses.index(min(losses))
    t.model.load_state_dict(best["model"])
    assert evaluate(t.model, Points(9), CPU, t.groups)["total"] == pytest.approx(min(losses))


def test_patience_stops(tmp_path):
    t = trainer(tmp_path / "a", epochs=1000, patience=3, lr=1.0)
    assert "no longer improves" in fit(t, Points(), Points(9))
    assert t.at.epoch == t.at.best_epoch + 4


def test_a_plateau_shrinks_the_rates(tmp_path):
    run(tmp_path / "a", epochs=60, plateau=2, lr=1.0)
    rates = [row["lr_vae"] for row in rows(tmp_path / "a")]
    falls = [after / before for before, after in pairwise(rates) if after != before]
    assert falls
    assert falls == pytest.approx([0.2] * len(falls))


def test_clipping_bounds_the_update(tmp_path):
    t = trainer(tmp_path / "a", clip=1e-3)
    t.step(Points().batch(torch.arange(5), torch.Generator()))
    norm = torch.cat([p.grad.flatten() for p in t.groups["vae"].params]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_the_time_budget_ends_with_a_save(tmp_path):
    t = trainer(tmp_path / "a", epochs=10**9)
    assert "time" in fit(t, Points(), Points(9), minutes=0.003)
    assert load_state(tmp_path / "a" / LAST)["position"]["step"] == t.at.step


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_stop(tmp_path, number):
    t = trainer(tmp_path / "a", epochs=10**9)
    step = t.step

    def interrupted(batch):
        step(batch)
        if t.at.step == 7:
            os.kill(os.getpid(), number)

    t.step = interrupted
    with pytest.raises(Interrupted) as caught:
        fit(t, Points(), Points(9))
    assert caught.value.code == 128 + number
    assert load_state(tmp_path / "a" / LAST)["position"]["step"] == 7


def test_nan_stops_with_term_and_step_and_keeps_the_last_save(tmp_path):
    t = trainer(tmp_path / "a", save_steps=1)
    step = t.step

    def poisoned(batch):
        if t.at.step == 6:
            batch["x"][0, 0] = math.nan
        step(batch)

    t.step = poisoned
    with pytest.raises(InputError, match=r"nll_x became nan at epoch 1, step 6"):
        fit(t, Points(), Points(9))
    assert load_state(tmp_path / "a" / LAST)["position"]["step"] == 6


def test_too_little_data_is_one_line(tmp_path):
    with pytest.raises(InputError, match="too few"):
        fit(trainer(tmp_path / "a"), Points(1), Points(9))
    two = trainer(tmp_path / "a")
    two.ranks = Ranks(0, 2)
    with pytest.raises(InputError, match="too few"):
        fit(two, Points(), Points(1))  # one to validate on, for two processes


def test_a_state_of_another_model_or_world_is_refused(tmp_path):
    t = run(tmp_path / "a")
    state = load_state(tmp_path / "a" / LAST)
    torn = {**state["position"], "step": "7"}
    for broken in ({}, [], {"model": state["model"]}, {**state, "ranks": 2}, {**state, "optimizers": {}}, {**state, "model": 7}):
        with pytest.raises(InputError):
            t.restore(broken, tmp_path)
    for broken in ({**state, "position": {"epoch": 1, "no": 2}}, {**state, "position": torn}, {**state, "position": 7}):
        with pytest.raises(InputError):
            t.restore(broken, tmp_path)


def test_bf16_trains(tmp_path):
    t = run(tmp_path / "a", precision="bf16")
    assert math.isfinite(t.at.best)


def test_validate_refuses_what_does_not_go_together():
    with pytest.raises(InputError, match="lr"):
        replace(ToyConfig(), lr=0.0).validate()
    assert training.Clock(0.0, 0.0, 0.0).over() is False
