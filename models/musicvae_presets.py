"""Named sets of defaults of the MusicVAE: those that Magenta published, by its names, and small ones for processors.

The published ones have sizes up to 2048 and batches of 512, which are for a GPU. The small ones learn within an hour on a core.
"""

from typing import Any

Preset = dict[str, Any]
BIG = {"encoder_size": (2048,), "decoder_size": (2048, 2048, 2048), "latent_dim": 512}
SMALL = {"encoder_size": (512,), "decoder_size": (256, 256), "latent_dim": 256}
LONG = {"bars": 16, "encoder_size": (2048, 2048), "latent_dim": 512, "free_bits": 256.0, "beta": 0.2}
FLAT_LONG = LONG | {"decoder_size": (2048, 2048, 2048)}
CONDUCTED_LONG = LONG | {"decoder_size": (1024, 1024), "conductor_size": (1024, 1024), "levels": (16, 16)}
SAMPLED = {"sampling": "inverse_sigmoid", "sampling_rate": 1000.0}
MELODY = {"kind": "melody", "programs": (0, 31), "transpose": 5, "beta_rate": 0.99999, **SAMPLED}
DRUMS = {"kind": "drums", "free_bits": 48.0, "beta": 0.2, **SAMPLED}
NADE = {"encoder_size": (1024,), "decoder_size": (512, 512), "latent_dim": 256, "free_bits": 48.0, "beta": 0.2, **SAMPLED}
GROOVAE = {"kind": "groove", "free_bits": 48.0, "beta": 0.2, "dropout": 0.7, **SMALL}

MAGENTA: dict[str, Preset] = {
    "cat-mel_2bar_small": {**MELODY, **SMALL, "beta": 0.2},
    "cat-mel_2bar_big": {**MELODY, **BIG, "beta": 0.5},
    "cat-drums_2bar_small": {**DRUMS, **SMALL},
    "cat-drums_2bar_big": {**DRUMS, **BIG},
    "nade-drums_2bar_reduced": {"kind": "hits", **NADE},
    "nade-drums_2bar_full": {"kind": "all_hits", **NADE},
    "flat-mel_16bar": {"kind": "melody", **FLAT_LONG},
    "hierdec-mel_16bar": {"kind": "melody", **CONDUCTED_LONG},
    "flat-trio_16bar": {"kind": "trio", **FLAT_LONG, "free_bits": 0.0, "beta": 1.0, "batch_size": 256},
    "hierdec-trio_16bar": {"kind": "trio", **CONDUCTED_LONG, "batch_size": 256},
    "groovae_4bar": {**GROOVAE, "bars": 4},
    "groovae_2bar_humanize": {**GROOVAE, "transform": "humanize"},
    "groovae_2bar_tap_fixed_velocity": {**GROOVAE, "transform": "tap_fixed_velocity"},
    "groovae_2bar_add_closed_hh": {**GROOVAE, "transform": "add_closed_hh"},
}
CORE = {
    "encoder_size": (256,),
    "decoder_size": (256,),
    "latent_dim": 128,
    "hop": 4,
    "batch_size": 64,
    "epochs": 100_000,
    "num_steps": 12_000,
    "lr": 3e-3,
    "lr_min": 1e-4,
    "lr_decay": 0.9998,
    "free_bits": 48.0,
    "beta": 0.05,
    "beta_steps": 1000,
}
HITS = {"kind": "hits", "head": "boolean", **CORE}
LONG_CORE = {"bars": 16, "hop": 16, "batch_size": 16, "num_steps": 6000, "encoder_size": (128,), "decoder_size": (128,)}
LONG_HITS = {**HITS, **LONG_CORE, "free_bits": 256.0}
VOICES = {"kind": "melody", "transpose": 5, **CORE, "free_bits": 16.0}
PERFORMED = {"kind": "groove", "note_dropout": 0.2, **CORE}

OURS: dict[str, Preset] = {
    "groove_2bar": HITS,
    "groove_4bar": {**HITS, "bars": 4, "levels": (4, 16), "hop": 16},
    "groove_16bar": {**LONG_HITS, "levels": (16, 16)},
    "groove_16bar_flat": LONG_HITS,
    "humanize_2bar": {**PERFORMED, "transform": "humanize"},
    "tap_2bar": {**PERFORMED, "transform": "tap"},
    "chorales_2bar": VOICES,
    "chorales_16bar": {**VOICES, **LONG_CORE, "levels": (16, 16), "free_bits": 64.0},
    "tiny": {
        "encoder_size": (32,),
        "decoder_size": (32,),
        "latent_dim": 8,
        "batch_size": 32,
        "lr": 1e-2,
        "lr_decay": 1.0,
        "beta": 0.1,
    },
}
PUBLISHED: Preset = {"num_steps": 200_000, "epochs": 1_000_000}  # the updates of all of them
PRESETS: dict[str, Preset] = {**OURS, **{name: {**PUBLISHED, **preset} for name, preset in MAGENTA.items()}}
