"""Latents and attribute vectors in files: plain arrays, and a mark of the run whose they are."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from data.phrases import TEMPOS
from data.sequences import TEMPO
from models.base import LatentModel
from utils.config import InputError
from utils.files import atomic
from utils.paths import make_folder

RUN = "run"  # name of the mark among the arrays of a file
MAX_BYTES = 2**30  # of a file, unpacked
MARKED = 64  # numbers of each tensor that a mark is made of


def mark(model: LatentModel) -> str:
    """Return a hash of some of a model's weights: latents of one model mean nothing to another."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.flatten()[:MARKED].cpu().numpy().tobytes())
    return digest.hexdigest()


def write_arrays(path: Path, model: LatentModel, **arrays: np.ndarray) -> str:
    """Write arrays as an npz, with the mark of a model; return its name."""
    make_folder(path.parent)
    with atomic(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **arrays, **{RUN: np.array(mark(model))})
    return str(path)


def read_arrays(path: Path, model: LatentModel) -> dict[str, np.ndarray]:
    """Return the arrays of an npz by name, or that of an npy as ``mean``.

    Raises
    ------
    InputError : missing, damaged, or of another run than that of the model.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                    raise ValueError("too large")
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            arrays = {name: content[name] for name in content.files} if hasattr(content, "files") else {"mean": content}
    except Exception as error:  # a damaged file can provoke any
        reason = type(error).__name__
        raise InputError(f"{path}: is no readable file of plain arrays ({reason}); give an npz that was written here") from None
    own = arrays.pop(RUN, None)
    if own is not None and str(own) != mark(model):
        raise InputError(f"{path}: is of another run, or of other weights of this one; give what this one has written")
    return arrays


def read_latents(path: Path, model: LatentModel) -> tuple[np.ndarray, float]:
    """Return latents (N, Z), ``mean`` or ``z`` of a file, and their tempo in quarters a minute, 120 where none is told.

    Raises
    ------
    InputError : see `read_arrays`, or it holds no latents of that size, or some that are not finite.
    """
    arrays, (size,) = read_arrays(path, model), model.latent_shape
    z = arrays.get("mean", arrays.get("z"))
    if z is None or z.ndim != 2 or z.shape[1] != size or z.dtype.kind not in "fiu":
        there = "none" if z is None else f"{z.dtype} of the shape {z.shape}"
        raise InputError(f"{path}: must hold latents (N, {size}) called mean or z, and holds {there}")
    with np.errstate(over="ignore"):
        z = z.astype(np.float32)
    if not len(z) or not np.isfinite(z).all():
        raise InputError(f"{path}: holds {'latents that are not finite' if len(z) else 'no latent'}")
    tempo = arrays.get("tempo", np.float64(TEMPO))
    told = float(tempo) if tempo.shape == () and tempo.dtype.kind in "fiu" else TEMPO
    return z, told if TEMPOS[0] <= told <= TEMPOS[1] else TEMPO
