"""Take the weights of Magenta's MusicVAE, from TensorFlow's checkpoints or from magenta.js, into the networks of this toolkit.

What a model consists of is told by the names and shapes of its tensors alone. From them follow the sizes; from the sizes follows a
list of parts, each of which knows what TensorFlow calls its tensors, their shapes, and what becomes of them here.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils import tensor_bundle, tfjs
from utils.config import InputError

NADE = 128  # hidden units of the NADE that decodes drums
_GATES = (0, 2, 1, 3)  # TensorFlow's blocks i, g, f, o in torch's order i, f, g, o
_CELL = "multi_rnn_cell/cell_0/lstm_cell"  # of one direction of the encoder


@dataclass(frozen=True)
class Sizes:
    """Say what a MusicVAE consists of.

    Parameters
    ----------
    depth
        Columns of a step that the encoder reads, without controls.
    width
        Columns of a step that the decoder is told of the step before: of all cores together.
    outputs
        Numbers that each core gives a step; with a NADE its hidden biases and its visible ones.
    encoder
        Units of each layer per direction, for each level from the steps upwards; one level where the model is flat.
    decoder
        Units of each layer of a core.
    conductors
        Units of each layer of each conductor, from the latent downwards; none where the model is flat.
    latent_dim
        Z.
    nade
        Whether outputs are the biases of a NADE.
    controls
        Columns of a step that both are told besides, such as chords.
    """

    depth: int
    width: int
    outputs: tuple[int, ...]
    encoder: tuple[tuple[int, ...], ...]
    decoder: tuple[int, ...]
    conductors: tuple[tuple[int, ...], ...]
    latent_dim: int
    nade: bool
    controls: int

    @property
    def cores(self) -> int:
        """Number of decoders side by side, one a part of a trio."""
        return len(self.outputs)

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of a step that each core is told of the step before."""
        return tuple(output - NADE * self.nade for output in self.outputs)


@dataclass(frozen=True)
class _Dense:
    """A linear layer: its kernel (inputs, outputs) is turned."""

    source: str
    target: str
    inputs: int
    outputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{self.source}/kernel": (self.inputs, self.outputs), f"{self.source}/bias": (self.outputs,)}

    def weights(self, tensors: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        kernel, bias = (tensors[name] for name in self.shapes())
        return {f"{self.target}.weight": _tensor(kernel.T), f"{self.target}.bias": _tensor(bias)}


@dataclass(frozen=True)
class _Lstm:
    """One layer of one direction: (inputs + units, 4 units) in blocks i, g, f, o; 1 is added to the forget gate when it runs."""

    source: str
    target: str
    inputs: int
    units: int
    suffix: str = "l0"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        gates = 4 * self.units
        return {f"{self.source}/kernel": (self.inputs + self.units, gates), f"{self.source}/bias": (gates,)}

    def weights(self, tensors: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        kernel, bias = (tensors[name].reshape(-1, 4, self.units)[:, _GATES] for name in self.shapes())
        kernel = kernel.reshape(-1, 4 * self.units).T  # (4 units, inputs + units)
        bias = bias[0] + np.float32([[0], [1], [0], [0]])
        return {
            f"{self.target}.weight_ih_{self.suffix}": _tensor(kernel[:, : self.inputs]),
            f"{self.target}.weight_hh_{self.suffix}": _tensor(kernel[:, self.inputs :]),
            f"{self.target}.bias_ih_{self.suffix}": _tensor(bias.reshape(-1)),
            f"{self.target}.bias_hh_{self.suffix}": torch.zeros(4 * self.units),
        }


@dataclass(frozen=True)
class _Nade:
    """The two tables of a NADE, (columns, 1, hidden) and (columns, hidden, 1)."""

    source: str
    target: str
    columns: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {f"{self.source}/w_enc": (self.columns, 1, NADE), f"{self.source}/w_dec_t": (self.columns, NADE, 1)}

    def weights(self, tensors: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        encoding, decoding = (_tensor(tensors[name].reshape(self.columns, NADE)) for name in self.shapes())
        return {f"{self.target}.w_enc": encoding, f"{self.target}.w_dec": decoding}


_Part = _Dense | _Lstm | _Nade


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))  # a copy: what is read is mapped, and not to be written


# ---- from the sizes to the parts


def _parts(sizes: Sizes) -> Iterator[_Part]:
    """Yield all that a model of these sizes consists of."""
    yield from _encoder(sizes)
    above = sizes.latent_dim
    for k, units in enumerate(sizes.conductors):
        source, target = f"decoder/hierarchical_level_{k}", f"decoder.conductors.{k}"
        yield _Dense(f"{source}/initial_state", f"{target}.start", above, 2 * sum(units))
        yield from _stack(f"{source}/cell_{{}}/lstm_cell", target, 1, units)
        above = units[-1]
    cores = _cores(sizes.cores, bool(sizes.conductors))
    for i, (source, width, output) in enumerate(zip(cores, sizes.widths, sizes.outputs, strict=True)):
        target = f"decoder.cores.{i}"
        yield _Dense(f"{source}/z_to_initial_state", f"{target}.start", above, 2 * sum(sizes.decoder))
        yield from _stack(f"{source}/multi_rnn_cell/cell_{{}}/lstm_cell", target, width + above + sizes.controls, sizes.decoder)
        yield _Dense(f"{source}/output_projection", f"{target}.output", sizes.decoder[-1], output)
        if sizes.nade:
            yield _Nade(f"{source}/nade", f"{target}.head", width)


def _encoder(sizes: Sizes) -> Iterator[_Part]:
    inputs = sizes.depth + sizes.controls
    for k, (source, level) in enumerate(zip(_levels(len(sizes.encoder)), sizes.encoder, strict=True)):
        for i, units in enumerate(level):
            for direction, suffix in (("fw", "l0"), ("bw", "l0_reverse")):
                name = f"{source}/cell_{i}/bidirectional_rnn/{direction}/{_CELL}"
                yield _Lstm(name, f"encoder.levels.{k}.{i}", inputs, units, suffix)
            inputs = 2 * units
    yield _Dense("encoder/mu", "encoder.mean", inputs, sizes.latent_dim)
    yield _Dense("encoder/sigma", "encoder.spread", inputs, sizes.latent_dim)


def _stack(source: str, target: str, inputs: int, units: tuple[int, ...]) -> Iterator[_Part]:
    """Yield the layers of a decoder; `source` has a place for their numbers."""
    for i, (below, size) in enumerate(zip((inputs, *units), units, strict=False)):
        yield _Lstm(source.format(i), f"{target}.layers.{i}", below, size)


def _levels(number: int) -> list[str]:
    """Return what TensorFlow calls the levels of an encoder, from the steps upwards."""
    return [f"encoder/hierarchical_level_{k}" for k in range(number)] if number > 1 else ["encoder"]


def _cores(number: int, conducted: bool) -> list[str]:
    """Return what TensorFlow calls the cores."""
    if number > 1:
        return [f"core_decoder/core_decoder_{i}/decoder" for i in range(number)]
    return ["core_decoder/decoder" if conducted else "decoder"]


# ---- from the tensors to the sizes


def sizes(tensors: Mapping[str, np.ndarray]) -> Sizes:
    """Return what the model consists of whose tensors these are, by TensorFlow's names.

    Raises
    ------
    InputError
        They lack what every MusicVAE has, or some have shapes that no MusicVAE has.
    """
    levels = _levels(_count(tensors, f"encoder/hierarchical_level_{{}}/cell_0/bidirectional_rnn/fw/{_CELL}"))
    encoder = tuple(_units(tensors, f"{level}/cell_{{}}/bidirectional_rnn/fw/{_CELL}") for level in levels)
    number = _count(tensors, "decoder/hierarchical_level_{}/cell_0/lstm_cell")
    conductors = tuple(_units(tensors, f"decoder/hierarchical_level_{k}/cell_{{}}/lstm_cell") for k in range(number))
    cores = _cores(_count(tensors, "core_decoder/core_decoder_{}/decoder/output_projection"), bool(conductors))
    decoder = _units(tensors, f"{cores[0]}/multi_rnn_cell/cell_{{}}/lstm_cell")
    latent_dim = _shape(tensors, "encoder/mu/kernel")[1]
    outputs = tuple(_shape(tensors, f"{core}/output_projection/kernel")[1] for core in cores)
    nade = f"{cores[0]}/nade/w_enc" in tensors

    told = [output - NADE * nade for output in outputs]
    above = conductors[-1][-1] if conductors else latent_dim
    controls = _shape(tensors, f"{cores[0]}/multi_rnn_cell/cell_0/lstm_cell/kernel")[0] - told[0] - above - decoder[0]
    depth = _shape(tensors, f"{levels[0]}/cell_0/bidirectional_rnn/fw/{_CELL}/kernel")[0] - controls - encoder[0][0]
    if min(controls, depth - 1, *(width - 1 for width in told)) < 0:
        raise InputError(f"is no MusicVAE: its first layers would read {depth} columns, {controls} controls and {told} tokens")
    return Sizes(depth, sum(told), outputs, encoder, decoder, conductors, latent_dim, nade, controls)


def _count(names: Iterable[str], source: str) -> int:
    """Return how many of the layers that `source` names one after the other have a kernel."""
    return next(i for i in itertools.count() if f"{source.format(i)}/kernel" not in names)


def _units(tensors: Mapping[str, np.ndarray], source: str) -> tuple[int, ...]:
    """Return the units of the LSTM layers that `source` names, at least one."""
    kernels = [f"{source.format(i)}/kernel" for i in range(max(1, _count(tensors, source)))]
    gates = [_shape(tensors, kernel)[1] for kernel in kernels]
    if wrong := [kernel for kernel, width in zip(kernels, gates, strict=True) if width % 4]:
        raise InputError(f"is no MusicVAE: {wrong[0]} has no four gates")
    return tuple(width // 4 for width in gates)


def _shape(tensors: Mapping[str, np.ndarray], name: str) -> tuple[int, int]:
    if name not in tensors:
        raise InputError(f"is no MusicVAE that this program knows: it lacks {name} and has {_listed(tensors)}")
    if tensors[name].ndim != 2:
        raise InputError(f"is no MusicVAE: {name} has shape {tensors[name].shape} instead of two dimensions")
    return tensors[name].shape


def _listed(names: Iterable[str]) -> str:
    """Return the first of some names, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(name if name.isprintable() else repr(name) for name in names[:4]) + more or "nothing"


# ---- weights


def weights(tensors: Mapping[str, np.ndarray], sizes: Sizes) -> dict[str, Tensor]:
    """Return the weights of our networks, float32, by their names in a state of torch.

    Raises
    ------
    InputError
        Tensors are missing, are left over, or have other shapes than the sizes ask for; or they are not finite.
    """
    parts = list(_parts(sizes))
    expected = {name: shape for part in parts for name, shape in part.shapes().items()}
    wrong = [f"{name} {tensors[name].shape}" for name in expected.keys() & tensors.keys() if tensors[name].shape != expected[name]]
    reasons = {
        "lacks": expected.keys() - tensors.keys(),
        "has also": tensors.keys() - expected.keys(),
        "has other shapes of": wrong,
        "has no finite numbers in": [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()],
    }
    if any(reasons.values()):
        words = "; ".join(f"it {reason} {_listed(names)}" for reason, names in reasons.items() if names)
        raise InputError(f"is no MusicVAE that this program knows: {words}")
    return {name: tensor for part in parts for name, tensor in part.weights(tensors).items()}


# ---- files


def looks_like(path: Path) -> bool:
    """Tell whether `path` is a checkpoint of TensorFlow or magenta.js, by the names of files alone."""
    path = Path(path)
    if os.path.isdir(path):  # which, unlike Path.is_dir, tells of no names that cannot be
        return _is_js(path) or any(path.glob("[!.]*.index"))
    known = path.suffix in (".index", ".tar") or path.name == tfjs.MANIFEST
    return (known and os.path.isfile(path)) or os.path.isfile(f"{path}.index")


def _is_js(path: Path) -> bool:
    return os.path.isfile(path / tfjs.MANIFEST) or path.name == tfjs.MANIFEST


def read(path: Path) -> tuple[Sizes, dict[str, Tensor], dict[str, Any]]:
    """Return sizes, weights, and what config.json of magenta.js says; {} of a checkpoint of TensorFlow.

    Parameters
    ----------
    path
        X.index, X, a .tar, or a folder of one of them or of magenta.js.

    Raises
    ------
    InputError
        It cannot be read, is damaged, or is no MusicVAE.
    """
    path = Path(path)
    tensors, config = tfjs.read(path) if _is_js(path) else (tensor_bundle.read(path), {})
    try:
        found = sizes(tensors)
        return found, weights(tensors, found), config
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
