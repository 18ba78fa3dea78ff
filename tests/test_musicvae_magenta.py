import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from models import musicvae_magenta
from models.musicvae_magenta import Sizes, looks_like, read, sizes, weights
from tests import bundles
from utils.config import InputError

FLAT = Sizes(9, 9, (9,), ((6,),), (7, 5), (), 4, False, 0)
CELL = "multi_rnn_cell/cell_0/lstm_cell"
KINDS = {
    "flat": FLAT,
    "drums": dataclasses.replace(FLAT, depth=5, width=8, outputs=(8,)),
    "deep": dataclasses.replace(FLAT, encoder=((6, 3, 4),), decoder=(3,)),
    "nade": dataclasses.replace(FLAT, depth=4, width=3, outputs=(131,), nade=True),
    "chords": dataclasses.replace(FLAT, controls=3),
    "hierarchical": dataclasses.replace(FLAT, conductors=((6, 8),)),
    "conductors": dataclasses.replace(FLAT, conductors=((6, 8), (5,)), controls=2),
    "trio": dataclasses.replace(FLAT, depth=12, width=12, outputs=(3, 3, 6), conductors=((6, 8),)),
    "levels": dataclasses.replace(FLAT, encoder=((6, 3), (4,), (2,)), conductors=((6, 8),)),
}


def made(kind: Sizes, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random tensors of such a model, by the names of section 6.4 of the layout that Magenta saves."""
    random = np.random.default_rng(seed)
    tensors = {}

    def add(name, *shape):
        tensors[name] = random.normal(0, 0.5, shape).astype("<f4")

    def layer(name, inputs, outputs):
        add(f"{name}/kernel", inputs, outputs)
        add(f"{name}/bias", outputs)

    inputs = kind.depth + kind.controls
    for k, level in enumerate(kind.encoder):
        prefix = f"encoder/hierarchical_level_{k}" if len(kind.encoder) > 1 else "encoder"
        for i, units in enumerate(level):
            for way in ("fw", "bw"):
                layer(f"{prefix}/cell_{i}/bidirectional_rnn/{way}/{CELL}", inputs + units, 4 * units)
            inputs = 2 * units
    layer("encoder/mu", inputs, kind.latent_dim)
    layer("encoder/sigma", inputs, kind.latent_dim)
    above = kind.latent_dim
    for k, conductor in enumerate(kind.conductors):
        layer(f"decoder/hierarchical_level_{k}/initial_state", above, 2 * sum(conductor))
        for i, (below, units) in enumerate(zip((1, *conductor), conductor, strict=False)):
            layer(f"decoder/hierarchical_level_{k}/cell_{i}/lstm_cell", below + units, 4 * units)
        above = conductor[-1]
    for i, (outputs, width) in enumerate(zip(kind.outputs, kind.widths, strict=True)):
        prefix = f"core_decoder/core_decoder_{i}/decoder" if kind.cores > 1 else "core_decoder/decoder"
        prefix = prefix if kind.conductors else "decoder"
        layer(f"{prefix}/z_to_initial_state", above, 2 * sum(kind.decoder))
        for j, (below, units) in enumerate(zip((width + above + kind.controls, *kind.decoder), kind.decoder, strict=False)):
            layer(f"{prefix}/multi_rnn_cell/cell_{j}/lstm_cell", below + units, 4 * units)
        layer(f"{prefix}/output_projection", kind.decoder[-1], outputs)
        if kind.nade:
            add(f"{prefix}/nade/w_enc", width, 1, 128)
            add(f"{prefix}/nade/w_dec_t", width, 128, 1)
    return tensors


# ---- a small model of the weights


def lstm(state, prefix):
    """Return the layer whose weights have this prefix."""
    own = {name.removeprefix(f"{prefix}."): tensor for name, tensor in state.items() if name.startswith(f"{prefix}.weight_")}
    own |= {name.removeprefix(f"{prefix}."): tensor for name, tensor in state.items() if name.startswith(f"{prefix}.bias_")}
    units, inputs = own["weight_hh_l0"].shape[1], own["weight_ih_l0"].shape[1]
    layer = nn.LSTM(inputs, units, batch_first=True, bidirectional="weight_ih_l0_reverse" in own)
    layer.load_state_dict(own)
    return layer


def dense(state, prefix, x):
    return nn.functional.linear(x, state[f"{prefix}.weight"], state[f"{prefix}.bias"])


def encoded(state, kind: Sizes, x):
    """Return mean and deviation of x (B, T, D) by a flat encoder."""
    for i in range(len(kind.encoder[0])):
        layer = lstm(state, f"encoder.levels.0.{i}")
        x, (h, _) = layer(x)
    summary = torch.cat([h[0], h[1]], dim=1)
    return dense(state, "encoder.mean", summary), nn.functional.softplus(dense(state, "encoder.spread", summary))


def run(state, prefix, units, context, x):
    """Return what the top layer of a stack gives for x (B, T, D), begun by context (B, C)."""
    begin = torch.tanh(dense(state, f"{prefix}.start", context)).split([n for size in units for n in (size, size)], dim=1)
    for i in range(len(units)):
        c, h = begin[2 * i], begin[2 * i + 1]
        x, _ = lstm(state, f"{prefix}.layers.{i}")(x, (h[None].contiguous(), c[None].contiguous()))
    return x


def decoded(state, kind: Sizes, z, told, length):
    """Return logits (B, T, V) of one core under one conductor or none, told (B, T, V); segments of `length` steps."""
    contexts = z[:, None]
    if kind.conductors:
        contexts = run(state, "decoder.conductors.0", kind.conductors[0], z, torch.zeros(len(z), told.shape[1] // length, 1))
    results = []
    for u, part in enumerate(told.split(length, dim=1)):
        context = contexts[:, u]
        x = torch.cat([part, context[:, None].expand(-1, length, -1)], dim=2)
        results.append(dense(state, "decoder.cores.0.output", run(state, "decoder.cores.0", kind.decoder, context, x)))
    return torch.cat(results, dim=1)


@pytest.mark.skipif(not bundles.MAGENTA.is_dir(), reason="no fixtures")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny-flat", Sizes(9, 9, (9,), ((6,),), (7, 7), (), 5, False, 0)),
        ("tiny-hier", Sizes(9, 9, (9,), ((6, 8),), (7, 9), ((7, 9),), 5, False, 0)),
    ],
)
def test_what_tensorflow_gave_is_given_here(name, expected):
    golden = json.loads((bundles.MAGENTA / f"{name}.expected.json").read_text())
    kind, state, config = read(bundles.MAGENTA / f"{name}.ckpt")
    assert (kind, config) == (expected, {})
    tokens = torch.tensor(golden["tokens"])
    x = nn.functional.one_hot(tokens, golden["depth"]).float()
    mean, deviation = encoded(state, kind, x)
    told = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
    logits = decoded(state, kind, torch.tensor(golden["z"]), told, (golden["levels"] or [golden["max_seq_len"]])[-1])
    loss = nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none").sum(1)
    for found, key in ((mean, "mu"), (deviation, "sigma"), (logits, "teacher_forced_logits"), (loss, "reconstruction_loss_nats")):
        torch.testing.assert_close(found, torch.tensor(golden[key]), atol=1e-5, rtol=0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_an_lstm_is_that_of_the_formula():
    """One layer beside the equations of Magenta's cell, both directions."""
    tensors = made(FLAT)
    state = weights(tensors, FLAT)
    x = np.random.default_rng(1).normal(size=(2, 5, 9)).astype("<f4")
    found, _ = lstm(state, "encoder.levels.0.0")(torch.from_numpy(x))
    for k, way in enumerate(("fw", "bw")):
        kernel, bias = (tensors[f"encoder/cell_0/bidirectional_rnn/{way}/{CELL}/{part}"] for part in ("kernel", "bias"))
        c = h = np.zeros((2, 6))
        for t in range(5) if way == "fw" else reversed(range(5)):
            i, g, f, o = np.split(np.concatenate([x[:, t], h], axis=1) @ kernel + bias, 4, axis=1)
            c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            np.testing.assert_allclose(found[:, t, 6 * k : 6 * k + 6].detach(), h, atol=1e-5)


# ---- sizes and names


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_sizes_follow_from_the_tensors(kind):
    tensors = made(kind)
    assert sizes(tensors) == kind
    state = weights(tensors, kind)
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    constant = [name for name in state if name.rpartition(".")[2].startswith("bias_hh")]
    stored = sum(tensor.numel() for name, tensor in state.items() if name not in constant)
    assert stored == sum(array.size for array in tensors.values())
    assert not any(state[name].any() for name in constant)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Sizes(90, 90, (90,), ((512,),), (256, 256), (), 256, False, 0), 4_423_770),  # cat-mel_2bar_small
        (Sizes(90, 90, (90,), ((2048,),), (2048,) * 3, (), 512, False, 0), 134_571_098),  # cat-mel_2bar_big
        (Sizes(10, 512, (512,), ((512,),), (256, 256), (), 256, False, 0), 4_636_672),  # cat-drums_2bar_small
        (Sizes(27, 27, (27,), ((512,),), (256, 256), (), 256, False, 0), 4_085_019),  # groovae
        (Sizes(90, 90, (90,), ((2048,) * 2,), (1024,) * 2, ((1024,) * 2,), 512, False, 0), 176_061_530),  # hierdec-mel_16bar
        (Sizes(692, 692, (90, 90, 512), ((2048,) * 2,), (1024,) * 2, ((1024,) * 2,), 512, False, 0), 230_975_156),  # trio
    ],
)
def test_published_models_have_as_many_numbers(kind, expected):
    shapes = [shape for part in musicvae_magenta._parts(kind) for shape in part.shapes().values()]
    assert sum(map(math.prod, shapes)) == expected


def test_names_of_a_flat_model():
    layer = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    expected = [f"encoder.levels.0.0.{name}{way}" for name in layer for way in ("", "_reverse")]
    expected += [f"decoder.cores.0.layers.{i}.{name}" for i in range(2) for name in layer]
    linear = ["encoder.mean", "encoder.spread", "decoder.cores.0.start", "decoder.cores.0.output"]
    expected += [f"{name}.{part}" for name in linear for part in ("weight", "bias")]
    assert sorted(weights(made(FLAT), FLAT)) == sorted(expected)


def test_names_of_the_rest():
    levels = weights(made(KINDS["levels"]), KINDS["levels"])
    assert {name.rpartition(".")[0] for name in levels if name.startswith("encoder.levels")} == {
        f"encoder.levels.{place}" for place in ("0.0", "0.1", "1.0", "2.0")
    }
    conductors = weights(made(KINDS["conductors"]), KINDS["conductors"])
    assert conductors["decoder.conductors.1.start.weight"].shape == (10, 8)
    assert conductors["decoder.conductors.0.layers.0.weight_ih_l0"].shape == (24, 1)
    assert conductors["decoder.cores.0.layers.0.weight_ih_l0"].shape == (28, 9 + 5 + 2)
    trio = weights(made(KINDS["trio"]), KINDS["trio"])
    assert [len(trio[f"decoder.cores.{i}.output.bias"]) for i in range(3)] == [3, 3, 6]
    nade = made(KINDS["nade"])
    state = weights(nade, KINDS["nade"])
    np.testing.assert_array_equal(state["decoder.cores.0.head.w_enc"], nade["decoder/nade/w_enc"][:, 0])
    np.testing.assert_array_equal(state["decoder.cores.0.head.w_dec"], nade["decoder/nade/w_dec_t"][:, :, 0])


def test_rows_and_gates():
    tensors = made(FLAT)
    state = weights(tensors, FLAT)
    kernel = tensors["decoder/multi_rnn_cell/cell_0/lstm_cell/kernel"]  # rows: 9 tokens, 4 latents, 7 units
    bias = tensors["decoder/multi_rnn_cell/cell_0/lstm_cell/bias"]
    np.testing.assert_array_equal(state["decoder.cores.0.layers.0.weight_ih_l0"][:7, 9:], kernel[9:13, :7].T)
    np.testing.assert_array_equal(state["decoder.cores.0.layers.0.weight_hh_l0"][7:14], kernel[13:, 14:21].T)
    np.testing.assert_array_equal(state["decoder.cores.0.layers.0.bias_ih_l0"][7:14], bias[14:21] + 1)
    np.testing.assert_array_equal(state["decoder.cores.0.layers.0.bias_ih_l0"][14:21], bias[7:14])


def test_weights_are_copies():
    tensors = {name: array.astype("<f2") for name, array in made(FLAT).items()}
    state = weights(tensors, FLAT)
    bias = tensors["encoder/mu/bias"].copy()
    state["encoder.mean.bias"] += 1
    np.testing.assert_array_equal(tensors["encoder/mu/bias"], bias)


# ---- what is refused


def refused(tensors, *words):
    with pytest.raises(InputError) as caught:
        weights(tensors, sizes(tensors))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_missing_and_extra_names():
    tensors = made(FLAT)
    refused({}, "it lacks encoder/cell_0", "has nothing")
    refused({"a\nb": np.zeros(3)}, r"has 'a\nb'")
    refused({name: tensors[name] for name in tensors if name != "encoder/mu/bias"}, "it lacks encoder/mu/bias")
    refused(
        tensors | {f"control_preprocessing/cell_{i}/kernel": np.zeros(3) for i in range(6)}, "it has also control_pre", "and 2 more"
    )
    less = {name: array for name, array in tensors.items() if name != "encoder/sigma/bias"}
    refused(less | {"critic/bias": np.zeros(2)}, "it lacks encoder/sigma/bias; it has also critic/bias")


def test_shapes_of_no_musicvae():
    tensors = made(FLAT)
    core = "decoder/multi_rnn_cell/cell_0/lstm_cell/kernel"
    refused(tensors | {"decoder/z_to_initial_state/bias": np.zeros(3)}, "other shapes of decoder/z_to_initial_state/bias (3,)")
    refused(tensors | {core: np.zeros((20, 26))}, "has no four gates")
    refused(tensors | {core: np.zeros(28)}, "instead of two dimensions")
    refused(tensors | {core: np.zeros((12, 28))}, "-8 controls")
    refused(tensors | {"encoder/mu/bias": np.full(4, np.nan)}, "no finite numbers in encoder/mu/bias")
    conducted = made(KINDS["hierarchical"])
    autoregressive = {"decoder/hierarchical_level_0/cell_0/lstm_cell/kernel": np.zeros((13, 24))}
    refused(conducted | autoregressive, "other shapes of decoder/hierarchical_level_0/cell_0/lstm_cell/kernel (13, 24)")


def test_a_gap_between_layers():
    tensors = made(KINDS["deep"])
    gap = {name.replace("encoder/cell_2", "encoder/cell_3"): array for name, array in tensors.items()}
    refused(gap, "it has also encoder/cell_3", "other shapes of encoder/mu/kernel")


# ---- files


def test_read_takes_both_kinds_of_files(tmp_path):
    tensors = made(KINDS["trio"])
    expected = weights(tensors, KINDS["trio"])
    (tmp_path / "js").mkdir()
    group = [
        ({"name": name, "shape": list(array.shape), "dtype": "float32"}, array.tobytes())
        for name, array in reversed(tensors.items())
    ]
    js = bundles.write_js(tmp_path / "js", [group], shard=1000, config={"type": "MusicVAE"})
    tar = bundles.write_tar(tmp_path / "x.tar", {f"x.ckpt{end}": content for end, content in bundles.bundle(tensors).items()})
    prefix = bundles.write(tmp_path, tensors | {"global_step": np.array(3), "encoder/mu/bias/Adam": np.zeros(4, "<f4")})
    places = [js, js / "weights_manifest.json", tar, prefix, prefix.with_name("model.ckpt.index"), tmp_path]
    for path in places:
        assert looks_like(path)
        kind, state, config = read(path)
        assert kind == KINDS["trio"]
        assert config == ({"type": "MusicVAE"} if "js" in path.parts else {})
        assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_what_does_not_look_like_a_checkpoint(tmp_path):
    (tmp_path / ".hidden.index").touch()
    (tmp_path / "config.json").touch()
    (tmp_path / "x.pt").touch()
    places = [
        tmp_path,
        tmp_path / "x.pt",
        tmp_path / "config.json",
        tmp_path / "no.tar",
        tmp_path / "no.index",
        tmp_path / ("x" * 400),
    ]
    assert not any(looks_like(path) for path in places)


def test_errors_name_the_file(tmp_path):
    prefix = bundles.write(tmp_path, {"kernel": np.ones(3, "<f4")})
    with pytest.raises(
        InputError, match=f"^{prefix}: is no MusicVAE that this program knows: it lacks encoder/cell_0.* has kernel$"
    ):
        read(prefix)
    with pytest.raises(InputError, match="no such checkpoint"):
        read(tmp_path / "other")
