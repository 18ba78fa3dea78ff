"""What a model that stands for latents of a frozen one, its base, does to them: how much is kept, and whose phrases it makes.

The user's phrases are those of the training split; those of the split that is analysed are, too, but nothing was fitted to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from data.phrase_statistics import Histogram
from data.phrase_windows import PhraseWindows
from data.sequences import TEMPO
from models import constrained_draws as draws
from models.constrained_draws import MODEL, PRIOR, SPLIT, SPREAD, TRAINING, Beside, Near, Own, Wish
from models.evaluation import Estimate, Observed, Scores, estimate, passes
from models.losses import BIT, Normal, kl
from models.phrase import PHRASE, ConstrainedModel, in_parts
from models.phrase_files import write_phrases
from models.phrase_generation import REAL, Drawn, Trained, from_prior, single
from utils.device import generator
from utils.distributions import mmd
from utils.metrics import ACTIVE

COMPARED = 2000  # latents that are compared with others, at most
BASE = "base"  # the name of its own reconstructions

Metrics = dict[str, dict[str, dict[str, Estimate]]]  # column -> section -> metric


@dataclass
class Constraint:
    """What was found: `metrics` by column and section; what is for figures alone, and sounds, beside it."""

    metrics: Metrics = field(default_factory=dict)
    histograms: dict[str, dict[str, Histogram]] = field(default_factory=dict)  # of draws from the prior of the base
    latents: dict[str, Tensor] = field(default_factory=dict)  # of the base (N, Z): the user's by part, and drawn
    near: Near = field(default_factory=dict)
    beside: dict[str, list[Beside]] = field(default_factory=dict)  # set -> some draws
    own: Tensor | None = None  # some phrases of the user
    wishes: dict[str, Wish] = field(default_factory=dict)  # by attribute
    sounds: dict[str, list[Path]] = field(default_factory=dict)  # set -> some phrases

    def json(self) -> dict:
        """Return what is not among the metrics as JSON values."""
        return {"wishes": {name: {"classes": w.names, "measured": w.counts.tolist()} for name, w in self.wishes.items()}}

    def add(self, section: str, metrics: Mapping[str, dict[str, Estimate]]) -> None:
        """Add a section of metrics by column."""
        for column, scores in metrics.items():
            self.metrics.setdefault(column, {})[section] = scores


@torch.no_grad()
def examine(
    model: ConstrainedModel, observed: Observed, test: PhraseWindows, train: PhraseWindows | None, number: int, seed: int
) -> Constraint:
    """Return what a model does to the latents of the phrases of a split, and what `number` draws are like.

    What needs the training split is left out without it.
    """
    found, group, posterior = Constraint(), observed.group, observed.latents[PHRASE]
    x = torch.cat([batch[PHRASE] for batch in passes(test, 1, seed)])  # in the order of what was observed
    own = {} if train is None else {TRAINING: Own.of_training(model, train, seed)}
    own[SPLIT] = Own.of(model, x, group, seed)
    found.latents = {part: phrases.z for part, phrases in own.items()}
    found.own = next(iter(own.values())).distinct
    _reconstruct(model, found, x, posterior, group, own.get(TRAINING), seed)
    if number:
        made, latents = draws.drawn(model, number, seed)
        found.latents |= latents
        found.near = draws.near(model, made, own)
        found.beside = {name: draws.beside(made[name], found.near[name], own) for name in (MODEL, PRIOR)}
        found.add("constraint_samples", draws.closeness(model, made, own, found.near, seed))
        wished, found.wishes = draws.wishes(model, made, own[SPLIT], number, seed)
        found.add("constraint_wishes", wished)
        known = None if train is None else Trained.of(model.config.kind, train, seed)
        _add_prior(found, from_prior(model.base, x, group, known, number, seed))
    found.add("constraint_latents", _latents(found.latents, posterior, group, seed))
    return found


def _add_prior(found: Constraint, prior: Drawn) -> None:
    """Add what draws from the prior of the base are like, beside what is told of those of the model."""
    names = {name: PRIOR if name == MODEL else f"{PRIOR}, {name}" for name in prior.metrics if name != REAL}
    found.add("phrase_samples", {new: prior.metrics[old] for old, new in names.items()})
    found.histograms = {PRIOR: prior.histograms[MODEL]}


# -- latents ----------------------------------------------------------------------------------------------------------


def _reconstruct(
    model: ConstrainedModel, found: Constraint, x: Tensor, posterior: Normal, group: Tensor, own: Own | None, seed: int
) -> None:
    """Add how much is kept of the latents of phrases `x` (N, T, ...), and of what the base makes of them."""
    z, back = draws.encoded(model, x), in_parts(model.to_base, model, posterior.mean)
    there, again = (in_parts(lambda part: model.base.decode(part, PHRASE), model, each) for each in (z, back))
    compare = model.representations[PHRASE].compare
    found.add("phrase_to_phrase", {BASE: _estimates(compare(x, there), group, seed)})  # all that can be reached
    found.add("constraint_agreement", {MODEL: _estimates(compare(there, again), group, seed)})
    if own:
        active, centre = own.z.var(0, correction=0) > ACTIVE, own.z.mean(0)
        kept = {"z_r2": _r2(z, back, centre, group, seed)}
        if active.any():
            kept["z_r2_active"] = _r2(z[:, active], back[:, active], centre[active], group, seed)
        kept["active_of_base"] = single(float(active.sum()), len(own.z))
        found.add("constraint_reconstruction", {MODEL: kept})


def _r2(z: Tensor, back: Tensor, centre: Tensor, group: Tensor, seed: int) -> Estimate:
    """Return 1 - sum |z - back|^2 / sum |z - centre|^2 of latents (N, Z), of all dimensions together.

    `centre` (Z,) is the mean of latents of training: who says nothing else than that gets 0.
    """
    z, back = z.double(), back.double()
    spread = (z - centre).square().sum(1).clamp_min(1e-12)
    return estimate(Scores(1 - (z - back).square().sum(1) / spread, group, spread), seed)  # weighted, a ratio of sums


def _latents(latents: Mapping[str, Tensor], posterior: Normal, group: Tensor, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return by column how many nats latents hold, and how far sets of latents of the base (N, Z) are from the user's."""
    nats = kl(Normal(posterior.mean.double(), posterior.variance.double()))
    some = {name: z[torch.randperm(len(z), generator=generator(seed, "order"))[:COMPARED]] for name, z in latents.items()}
    parts = [name for name in (TRAINING, SPLIT) if name in latents]
    result = {
        name: {f"mmd_to_{part}": single(mmd(some[name], some[part]), len(some[name])) for part in parts}
        for name in (MODEL, SPREAD, PRIOR)
        if name in some
    }
    if TRAINING in latents:
        result[REAL] = {f"mmd_to_{TRAINING}": single(mmd(some[SPLIT], some[TRAINING]), len(some[SPLIT]))}
    active = single(float((posterior.mean.var(0, correction=0) > ACTIVE).sum()), len(nats))
    used = _estimates({"kl_nats": nats, "kl_bits": nats / BIT}, group, seed) | {"active": active}
    return result | {MODEL: used | result.get(MODEL, {})}


def _estimates(scores: Mapping[str, Tensor], group: Tensor, seed: int) -> dict[str, Estimate]:
    return {name: estimate(Scores(values, group), seed) for name, values in scores.items()}


# -- sounds -----------------------------------------------------------------------------------------------------------


def add_sounds(found: Constraint, model: ConstrainedModel, number: int, folder: Path) -> None:
    """Write some draws of both kinds and some phrases of the user, as MIDI and sound, into `folder`."""
    for earlier in folder.glob("constraint_*"):  # there may have been more of them
        earlier.unlink()
    sets = {name: [each.draw for each in found.beside[name]] for name in found.beside}
    sets |= {"user": [] if found.own is None else list(found.own)}
    for name, phrases in sets.items():
        found.sounds[name] = [folder / f"constraint_{name}_{place}.wav" for place in range(1, len(phrases[:number]) + 1)]
        for path, x in zip(found.sounds[name], phrases, strict=False):
            write_phrases(path.with_suffix(""), model.representations[PHRASE], x[None], TEMPO)
