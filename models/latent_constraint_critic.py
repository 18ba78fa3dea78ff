"""A critic that tells latents of one's own phrases from others, and an actor that moves draws of the prior to where it is fooled.

Engel, Hoffman and Roberts, "Latent constraints: learning to generate conditionally from unconditional generative models", ICLR 2018
(arXiv 1711.05772), sections 3 and 4. The base is neither trained nor differentiated: attributes may be any rule of phrases.
"""

import itertools
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from data.attributes import measure
from models.base import Losses, ParamGroup
from models.latent_constraint_config import Config
from models.latent_constraint_nets import Gated, Plain
from models.losses import Normal
from models.musicvae import Model as MusicVAE
from models.phrase import PHRASE
from utils.config import InputError
from utils.device import generator
from utils.distributions import mmd

CLASSES = ("little", "middle", "much")  # thirds of the phrases of training
CRITIC, ACTOR = "critic", "actor"
UNTOLD = 0.5  # share of the wishes that are left out in training, so that nothing need be wished
DRAWS = 1000  # of the prior, that are compared with what is held out
LOOKED_AT = 32  # of what the actor makes, whose phrases are measured in a step


class ActorCritic(nn.Module):
    """A latent of the base, drawn from its prior, moved to where latents of one's own phrases are, and have what is wished."""

    residual = None

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        size, told = config.standing.latent_dim, len(CLASSES) * len(config.attributes)
        self.actor = Gated(size, config.hidden, size, told, kept=True)
        self.critic = Plain(size, config.hidden, 1 + told)
        self.latent_shape = (size,)
        self.wishes = dict.fromkeys(config.attributes, CLASSES)
        self.register_buffer("deviation", torch.ones(size))  # of the base's posteriors, on average
        limits = torch.zeros(len(config.attributes), len(CLASSES) - 1, dtype=torch.float64)  # exact: phrases lie on them
        self.register_buffer("limits", limits)

    @property
    def edges(self) -> Mapping[str, Tensor]:
        """Return where the classes of an attribute begin, but the first, (2,) each, by its name."""
        return dict(zip(self.wishes, self.limits, strict=True))

    def phases(self) -> dict[str, ParamGroup]:
        """Return the critic's updates, and the actor's one."""
        critic, actor = (list(part.parameters()) for part in (self.critic, self.actor))
        return {CRITIC: ParamGroup(critic, self.config.lr, self.config.critic_steps), ACTOR: ParamGroup(actor, self.config.lr)}

    @torch.no_grad()
    def prepare(self, examples: Iterable[tuple[Normal, dict[str, Tensor]]]) -> None:
        """Find how wide posteriors are, and the classes of attributes: thirds of what the base makes of the phrases.

        Raises
        ------
        InputError : phrases hardly differ by an attribute.
        """
        deviations, values = [], []
        for given, batch in examples:
            deviations.append(given.variance.sqrt())
            values.append(self._measured(batch))
        self.deviation.copy_(torch.cat(deviations).mean(0))
        shares = torch.arange(1, len(CLASSES), dtype=torch.float64) / len(CLASSES)
        for place, (name, of) in enumerate(zip(self.wishes, torch.cat(values, 1), strict=True)):
            self.limits[place] = edges = of.quantile(shares)
            if not torch.bucketize(of, edges, right=True).bincount(minlength=len(CLASSES)).all():
                raise InputError(f"--attributes {name}: has too few values in these phrases for three classes; leave it out")

    def _measured(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the attributes of what the base makes of a batch, (A, B) float64."""
        if not self.wishes:
            return torch.zeros(0, len(next(iter(batch.values()))), dtype=torch.float64)
        found = measure(self.config.kind, self.config.phrase().standard(batch["decoded"]))
        return torch.stack([found[name] for name in self.wishes])

    def _classes(self, measured: Tensor) -> Tensor:
        """Return which classes measured attributes (A, B) are of, (B, A) ids."""
        ids = [torch.bucketize(of, edges.to(of.device), right=True) for of, edges in zip(measured, self.limits, strict=True)]
        return torch.stack(ids, 1) if ids else torch.zeros(measured.shape[1], 0, dtype=torch.int64)

    def _columns(self, ids: Tensor) -> Tensor:
        """Return class ids (B, A) as (B, 3 A): a 1 at each class, nothing where the id is -1."""
        return functional.one_hot(ids + 1, len(CLASSES) + 1)[..., 1:].flatten(1).float()

    # -- training -----------------------------------------------------------------------------------------------------

    def loss(self, given: Normal, batch: dict[str, Tensor], base: MusicVAE, step: int, phase: str) -> Losses:
        """Return the loss of the critic or of the actor; in evaluation how far what the actor makes is from what is held out."""
        known = self._classes(self._measured(batch)).to(given.mean.device)
        if not self.training:
            return self._distance(given.mean, known, base) if phase == CRITIC else Losses(given.mean.new_zeros(()), {})
        wish = known[torch.randperm(len(known))]
        wish = wish.masked_fill(torch.rand(wish.shape, device=wish.device) < UNTOLD, -1)
        prior = torch.randn_like(given.mean)
        made = self.to_base(prior, wish)
        if phase == CRITIC:
            return self._judge(given.rsample(), known, prior, made.detach(), base)
        real, logits = self._verdict(made)
        fooled, moved = functional.softplus(-real).mean(), ((made - prior).square().log1p() / self.deviation.square()).mean()
        found, total = {"actor_realism": fooled, "actor_moved": moved}, fooled + self.config.distance * moved
        if self.wishes:
            found["actor_wishes"] = _cross_entropy(logits, wish)
            total = total + found["actor_wishes"]
        return Losses(total, found)

    def _verdict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of latents (B, Z): whether they are of one's own phrases (B,), and of which classes (B, A, 3)."""
        said = self.critic(z)
        return said[:, 0], said[:, 1:].unflatten(1, (len(self.wishes), len(CLASSES)))

    def _judge(self, z: Tensor, known: Tensor, prior: Tensor, made: Tensor, base: MusicVAE) -> Losses:
        """Return the critic's cross-entropy: of what is one's own, what a draw and what made, and of classes of attributes.

        The classes of what the actor makes are those of the phrases that the base writes of it, so that it cannot cheat the critic.
        """
        (real, classes), (drawn, _), (false, _) = (self._verdict(each) for each in (z, prior, made))
        own = functional.softplus(-real).mean()
        others = functional.softplus(drawn).mean() + functional.softplus(false).mean()
        found, total = {"critic_own": own, "critic_others": others}, own + others
        if self.wishes:
            some = made[:LOOKED_AT]
            found["critic_classes"] = _cross_entropy(classes, known) + _cross_entropy(
                self._verdict(some)[1], self._become(some, base)
            )
            total = total + found["critic_classes"]
        return Losses(total, found)

    def _distance(self, z: Tensor, known: Tensor, base: MusicVAE) -> Losses:
        """Return how far what the actor makes is from latents `z` (B, Z) of classes `known` (B, A), and from what is wished.

        That is the squared maximum mean discrepancy, the mean of it for no wish and for each, and the share of wishes that do not
        come true in what the base writes.
        """
        prior = torch.randn(DRAWS, z.shape[1], generator=generator("validation")).to(z)
        nothing = torch.full((DRAWS, len(self.wishes)), -1, device=z.device)
        apart, missed = [_apart(self.to_base(prior, nothing), z)], []
        for place, label in itertools.product(range(len(self.wishes)), range(len(CLASSES))):
            wish = nothing.index_fill(1, torch.tensor([place], device=z.device), label)
            made, own = self.to_base(prior, wish), z[known[:, place] == label]
            apart += [_apart(made, own)] if len(own) > 1 else []
            missed.append((self._become(made[:LOOKED_AT], base)[:, place] != label).double().mean().item())
        found = {"distance_to_held_out": torch.tensor(sum(apart) / len(apart))}
        found |= {"wishes_missed": torch.tensor(sum(missed) / len(missed))} if missed else {}
        return Losses(sum(found.values()), found)

    @torch.no_grad()
    def _become(self, made: Tensor, base: MusicVAE) -> Tensor:
        """Return of which classes the phrases are that the base writes of latents (B, Z), (B, A) ids."""
        return self._classes(self._measured({"decoded": base.decode(made, PHRASE)})).to(made.device)

    # -- translation --------------------------------------------------------------------------------------------------

    def posterior(self, given: Normal) -> Normal:
        """Return the base's own posterior."""
        return given

    def to_base(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Return where the actor moves latents (N, Z) to; `condition` (N, A) are ids of what is wished, or -1."""
        none = torch.full((len(z), len(self.wishes)), -1, device=z.device)
        return self.actor(z, self._columns(none if condition is None else condition.to(z.device)))


def _cross_entropy(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the mean of -ln p(class) of logits (B, A, 3), but where an id (B, A) is -1; 0 where all are."""
    total = functional.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=-1, reduction="sum")
    return total / (ids >= 0).sum().clamp_min(1)


def _apart(made: Tensor, z: Tensor) -> float:
    """Return the squared maximum mean discrepancy of two sets of latents; to one alone, how little it is like those made."""
    if len(z) > 1:
        return mmd(made, z)
    return 1 - (-(made - z).square().mean(1) / 2).exp().mean().item()
