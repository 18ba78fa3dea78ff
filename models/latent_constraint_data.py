"""Phrases with their latents by a frozen model: encoded once, and kept on disk."""

import hashlib
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from data.phrase_windows import PhraseWindows
from models.musicvae import Model
from models.phrase import PHRASE
from utils.checkpoint import load_state, save_state
from utils.cli import progress
from utils.config import InputError
from utils.files import locked
from utils.paths import make_folder

log = logging.getLogger(__name__)

LOCK = ".lock"


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedWindows(PhraseWindows):
    """Phrases of which a batch has the posterior of the base's latents, too: ``mean`` and ``variance`` (B, Z).

    Parameters
    ----------
    base : the frozen model.
    mark : a hash of its weights.
    folder : where latents are kept.
    decoded : whether a batch has what the base makes of the means, too: ``decoded`` (B, T, ...).
    """

    base: Model
    mark: str
    folder: Path
    decoded: bool

    def plain(self) -> PhraseWindows:
        """Return the phrases of the same pieces that begin with a bar, as they are and without latents."""
        return PhraseWindows(self.pieces, self.phrase, labels=self.labels)

    def batch(self, rows: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Return what `PhraseWindows.batch` does, with ``mean``, ``variance`` and where it is asked for ``decoded``."""
        found = super().batch(rows, random)
        shift = found.get("shift", torch.zeros(len(rows), dtype=torch.int64)) + self.transpose
        return found | {name: values[shift, rows] for name, values in self._latents.items()}

    @cached_property
    def _latents(self) -> dict[str, Tensor]:
        """What the base makes of all phrases in each transposition, (2 * transpose + 1, W, ...)."""
        path, found = self.folder / f"{self._key}.safetensors", None
        try:
            with locked(make_folder(self.folder) / LOCK):  # so that processes of one training encode but once
                if (found := self._kept(path)) is None:
                    save_state(path, found := self._made())
        except InputError as error:
            log.warning("%s; latents are not kept", error)
        return self._made() if found is None else found

    def _kept(self, path: Path) -> dict[str, Tensor] | None:
        """Return latents that were kept in a file; None where there are none, or it is damaged."""
        try:
            found = load_state(path)
        except InputError as error:
            if path.exists():
                log.warning("%s; it is made anew", error)
            return None
        if self._fit(found):
            return found
        log.warning("%s: holds no latents of these phrases; it is made anew", path)
        return None

    def _fit(self, found: object) -> bool:
        """Tell whether what was found in a file can be the latents of these phrases."""
        shape = (2 * self.transpose + 1, len(self))
        names = {"mean", "variance"} | ({"decoded"} if self.decoded else set())
        if not isinstance(found, dict) or found.keys() != names or not all(isinstance(v, Tensor) for v in found.values()):
            return False
        sizes = {name: (*shape, *(self.phrase.shape if name == "decoded" else self.base.latent_shape)) for name in names}
        if any(tuple(found[name].shape) != size for name, size in sizes.items()):
            return False
        mean, variance = found["mean"], found["variance"]
        return mean.dtype == variance.dtype == torch.float32 and bool(mean.isfinite().all() and (variance > 0).all())

    def _made(self) -> dict[str, Tensor]:
        moved = [self._encoded(shift) for shift in range(-self.transpose, self.transpose + 1)]
        return {name: torch.stack([part[name] for part in moved]) for name in moved[0]}

    @property
    def _key(self) -> str:
        """Return a name for the latents of these phrases: a hash of all that they depend on."""
        content = self._windows.content.contiguous()
        known = f"{self.mark} {self.phrase} {self.transpose} {self.decoded} {content.dtype} {tuple(content.shape)}"
        digest = hashlib.blake2b(known.encode(), digest_size=16)
        digest.update(content.numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def _encoded(self, shift: int) -> dict[str, Tensor]:
        """Return what the base makes of the phrases, transposed by so many semitones."""
        still, parts = PhraseWindows(self.pieces, self.phrase, self.hop), []
        for rows in progress(torch.arange(len(self)).split(self.at_once), desc="Encoding", unit="batch"):
            x = still.batch(rows, torch.Generator())[PHRASE]
            x = self.phrase.transposed(x, torch.full((len(x),), shift)) if shift else x
            q = self.base.encode(x.to(self.base.device), PHRASE)
            part = q._asdict() | ({"decoded": self.base.decode(q.mean, PHRASE)} if self.decoded else {})
            parts.append({name: values.cpu() for name, values in part.items()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
