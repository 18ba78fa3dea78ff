"""A critic that tells latents of one's own phrases from others, and an actor that moves draws of the prior to where it is fooled.

Engel, Hoffman and Roberts, "Latent constraints: learning to generate conditionally from unconditional generative models", ICLR 2018
(arXiv 1711.05772), sections 3 and 4. The base is neither trained nor differentiated: attributes may be any rule of phrases.
"""

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
UNTOLD = 0.5  # share of the labels that are left out in training, so that nothing need be wished
DRAWS = 1000  # of the prior, that are compared with what is held out


class Actor(nn.Module):
    """A latent of the base, drawn from its prior, moved to where latents of one's own phrases are, and have what is wished."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        size, told = config.standing.latent_dim, len(CLASSES) * len(config.attributes)
        self.actor = Gated(size, config.hidden, size, told, kept=True)
        self.critic = Plain(size + told, config.hidden, 1)
        self.latent_shape = (size,)
        self.wishes = dict.fromkeys(config.attributes, CLASSES)
        self.register_buffer("deviation", torch.ones(size))  # of the base's posteriors, on average
        self.register_buffer("limits", torch.zeros(len(config.attributes), len(CLASSES) - 1))

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
        InputError : phrases do not differ by an attribute.
        """
        deviations, values = [], []
        for given, batch in examples:
            deviations.append(given.variance.sqrt())
            values.append(self._measured(batch))
        self.deviation.copy_(torch.cat(deviations).mean(0))
        shares = torch.arange(1, len(CLASSES), dtype=torch.float64) / len(CLASSES)
        for place, (name, of) in enumerate(zip(self.wishes, torch.cat(values, 1), strict=True)):
            if (of == of[0]).all():
                raise InputError(f"--attributes {name}: is the same in all phrases of training; leave it out")
            self.limits[place] = of.quantile(shares)

    def _measured(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the attributes of what the base makes of a batch, (A, B) float64."""
        if not self.wishes:
            return torch.zeros(0, len(batch[PHRASE]), dtype=torch.float64)
        found = measure(self.config.kind, self.config.phrase().standard(batch["decoded"]))
        return torch.stack([found[name] for name in self.wishes])

    def _labels(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the classes of attributes of a batch, some left out, (B, A) ids, -1 where one is."""
        values = self._measured(batch)
        ids = [torch.bucketize(of, edges.double(), right=True) for of, edges in zip(values, self.limits, strict=True)]
        ids = torch.stack(ids, 1) if ids else torch.zeros(len(batch[PHRASE]), 0, dtype=torch.int64, device=batch[PHRASE].device)
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < UNTOLD, -1)

    def _columns(self, ids: Tensor) -> Tensor:
        """Return class ids (B, A) as (B, 3 A): a 1 at each class, nothing where the id is -1."""
        return functional.one_hot(ids + 1, len(CLASSES) + 1)[..., 1:].flatten(1).float()

    # -- training -----------------------------------------------------------------------------------------------------

    def loss(self, given: Normal, batch: dict[str, Tensor], base: MusicVAE, step: int, phase: str) -> Losses:
        """Return the loss of the critic or of the actor; in evaluation how far what the actor makes is from what is held out."""
        if not self.training:
            return self._distance(given.mean)
        labels = self._labels(batch)
        wish = self._columns(labels[torch.randperm(len(labels))])
        prior = torch.randn_like(given.mean)
        if phase == CRITIC:
            return self._judge(given.rsample(), self._columns(labels), prior, wish)
        made = self.actor(prior, wish)
        fooled = functional.softplus(-self._score(made, wish)).mean()
        moved = ((made - prior).square().log1p() / self.deviation.square()).mean()
        return Losses(fooled + self.config.distance * moved, {"actor_realism": fooled, "actor_moved": moved})

    def _score(self, z: Tensor, label: Tensor) -> Tensor:
        """Return the critic's logit of latents (B, Z) with labels (B, 3 A), (B,)."""
        return self.critic(torch.cat([z, label], 1))[:, 0]

    def _judge(self, z: Tensor, label: Tensor, prior: Tensor, wish: Tensor) -> Losses:
        """Return the critic's cross-entropy: one's own latents are real; draws, what the actor makes, and wrong labels are not.

        That latents with labels of others are not, is of Reed et al., "Generative adversarial text to image synthesis", ICML 2016,
        section 4.2: without it a critic may ignore labels.
        """
        real = functional.softplus(-self._score(z, label)).mean()
        others = [self._score(prior, wish), self._score(self.actor(prior, wish).detach(), wish)]
        wrong = (label != wish).any(1) & (wish.sum(1) > 0)
        others += [self._score(z[wrong], wish[wrong])] if wrong.any() else []
        false = sum(functional.softplus(score).mean() for score in others)
        return Losses(real + false, {"critic_real": real, "critic_false": false})

    def _distance(self, z: Tensor) -> Losses:
        """Return the squared maximum mean discrepancy of what the actor makes to latents `z` (B, Z); to one, a squared distance."""
        prior = torch.randn(DRAWS, z.shape[1], generator=generator("validation")).to(z)
        made = self.actor(prior, self._columns(torch.full((DRAWS, len(self.wishes)), -1, device=z.device)))
        apart = mmd(made, z) if len(z) > 1 else (made.mean(0) - z[0]).square().sum().item()
        return Losses(torch.tensor(apart, device=z.device), {"mmd_to_held_out": torch.tensor(apart)})

    # -- translation --------------------------------------------------------------------------------------------------

    def posterior(self, given: Normal) -> Normal:
        """Return the base's own posterior."""
        return given

    def to_base(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Return where the actor moves latents (N, Z) to; `condition` (N, A) are ids of what is wished, or -1."""
        none = torch.full((len(z), len(self.wishes)), -1, device=z.device)
        return self.actor(z, self._columns(none if condition is None else condition.to(z.device)))
