"""Named sets of defaults of the latent constraint: the published ones, by their names, and those with a critic and an actor."""

from typing import Any

Preset = dict[str, Any]
MIDIME = {"form": "mlp", "hidden": (1024, 256, 64), "latent_dim": 4, "reconstruction": "nll", "beta": 1.0}
ELVENSON = {**MIDIME, "noise": 1.0, "transpose": 5, "clip": 1.0}
LC = {
    "form": "linear",
    "reconstruction": "l2norm",
    "sequence_loss": 0.02,
    "transpose": 5,
    "clip": 1.0,
    "lr": 1e-2,
    "num_steps": 200,
}
CRITIC = {"form": "actor", "hidden": (256, 256), "lr": 3e-4, "critic_steps": 1, "patience": 0}  # losses of both wander

PUBLISHED: dict[str, Preset] = {
    "midime": MIDIME,
    "ae-cat-mel_2bar_big": {**ELVENSON, "beta": 0.5},
    "ae-hierdec-mel_16bar": {**ELVENSON, "beta": 0.2},
    "lc-cat-mel_2bar_small": {**LC, "latent_dim": 8, "beta": 0.2},
    "lc-cat-mel_2bar_big": {**LC, "latent_dim": 8, "beta": 0.2},
    "lc-hierdec-mel_16bar": {**LC, "latent_dim": 128, "beta": 0.2, "batch_size": 32},
}
PRESETS: dict[str, Preset] = {
    **PUBLISHED,
    "personal": {"form": "mlp", "hidden": (1024, 256, 64), "latent_dim": 16},
    "gated": {"form": "gated", "hidden": (512, 512, 512, 512), "latent_dim": 16, "lr": 3e-4},
    "latent_transfer": {"form": "gated", "hidden": (2048, 2048, 2048, 2048), "latent_dim": 100, "lr": 3e-4},
    "realism": CRITIC,
    "attributes": {**CRITIC, "attributes": ("density",)},
    "tiny": {"form": "mlp", "hidden": (32, 16), "latent_dim": 2, "num_steps": 20, "batch_size": 64},
}
