"""Recordings with aligned MIDI: which files belong together, and what the notes say about each frame of a recording.

Two layouts are known: files of equal stems (X.wav, X.mid), and those of the flute database of Cantos et al. (Zenodo 1408985), where
Aligned_files/mid_files/X-lined.mid goes with Recordings/**/X.wav.
"""

import difflib
import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.labels import Labels
from data.notes import Notes
from data.parts import assign, held, of_notes
from utils.config import InputError
from utils.inputs import found

log = logging.getLogger(__name__)

AUDIO = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3", ".wave", ".au")
MIDI = (".mid", ".midi")
SUFFIXES = ("-lined", "")  # of MIDI stems, tried in this order
KINDS = ("silent", "polyphonic", "outside", "partial", "playable")  # of frames; each is the first that it can be


class Pair(NamedTuple):
    """A recording and its notes."""

    audio: Path
    midi: Path


@dataclass(frozen=True)
class Recordings:
    """A test set: pairs, and what has no partner."""

    pairs: tuple[Pair, ...]
    without_midi: tuple[Path, ...]
    without_audio: tuple[Path, ...]
    unclear: tuple[str, ...]  # a line for each recording with several MIDI files, none of them nearer than the others

    @classmethod
    def find(cls, dataroot: Path, midiroot: Path | None = None, suffix: str | None = None) -> "Recordings":
        """Find the recordings below one folder, and below another, or the same, their MIDI files.

        Where several folders hold a MIDI file of the name, it is the one whose folders are most like the recording's.

        Parameters
        ----------
        suffix : what the stem of a MIDI file has beyond that of the recording; "-lined" and nothing are tried when not given.

        Raises
        ------
        InputError : no such folder, no audio, no MIDI, or no pair.
        """
        midiroot = midiroot or dataroot
        audio, midi = _below(dataroot, AUDIO), _below(midiroot, MIDI)
        stems: dict[str, list[Path]] = {}
        for path in midi:
            stems.setdefault(_plain(path.stem), []).append(path)
        pairs, alone, unclear = [], [], []
        suffixes = SUFFIXES if suffix is None else (suffix,)
        for path in audio:
            named = next((stems[name] for end in suffixes if (name := _plain(path.stem + end)) in stems), [])
            nearest = _nearest(path.relative_to(dataroot).parent, named, midiroot)
            if len(nearest) > 1:
                unclear.append(f"{path}: may belong to {' or '.join(map(str, nearest))}; keep one, or name folders alike")
            elif nearest:
                pairs.append(Pair(path, nearest[0]))
            else:
                alone.append(path)
        if not pairs and not unclear:
            raise InputError(_no_pair(audio[0], midiroot, suffixes, midi))
        used = {pair.midi for pair in pairs}
        return cls(tuple(pairs), tuple(alone), tuple(path for path in midi if path not in used), tuple(unclear))

    def left_out(self) -> dict[str, list[str]]:
        """Return what has no partner, or none that is clear, in words."""
        return {name: list(map(str, getattr(self, name))) for name in ("without_midi", "without_audio", "unclear")}


def _below(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if root.is_file():
        raise InputError(f"{root}: is a file; give its folder")
    return found(root, suffixes)


def _plain(stem: str) -> str:
    """Write a stem so that stems which file systems take for one are equal."""
    return unicodedata.normalize("NFC", stem).casefold()


def _nearest(folder: Path, candidates: Sequence[Path], root: Path) -> list[Path]:
    """Return the candidates below `root` whose folders differ least from the relative `folder`."""
    differences = [len(set(folder.parts) ^ set(path.relative_to(root).parent.parts)) for path in candidates]
    return [path for path, d in zip(candidates, differences, strict=True) if d == min(differences)]


def _no_pair(audio: Path, midiroot: Path, suffixes: Sequence[str], midi: Sequence[Path]) -> str:
    looked = " or ".join(f"{audio.stem}{end}.mid" for end in suffixes)
    near = difflib.get_close_matches(audio.stem, [path.stem for path in midi], n=3, cutoff=0) or [midi[0].stem]
    return f"{midiroot}: no MIDI file belongs to a recording; looked for {looked}, nearest: {', '.join(near)}; try --suffix"


# -- what notes say about frames --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """What notes say about the N frames of a recording, asked at their middle.

    Of the kinds of frames, "silent" ones have no note; "polyphonic" ones more than one of an instrument; "outside" ones a note that
    is none of the model's; "partial" ones a silent instrument, of which the model has no notion; all others are "playable".
    """

    notes: Notes  # all but drums
    parts: tuple[Notes, ...]  # those that each instrument plays; without what it cannot play
    ids: Tensor  # (N, I, L) of playable frames
    kind: np.ndarray  # (N,) places in `KINDS`
    group: Tensor  # (N,) number of the note, or the notes together, that sound

    @property
    def playable(self) -> Tensor:
        """Return the numbers of the frames that a model can be held against, (P,)."""
        return torch.from_numpy(np.flatnonzero(self.kind == KINDS.index("playable")))

    @property
    def silent(self) -> np.ndarray:
        """Tell which frames are silent, (N,)."""
        return self.kind == KINDS.index("silent")

    def counts(self) -> dict[str, int]:
        """Return the number of frames of each kind."""
        return dict(zip(KINDS, np.bincount(self.kind, minlength=len(KINDS)).tolist(), strict=True))


def reference(labels: Labels, notes: Notes, frames: int) -> Reference:
    """Return what `notes` say about `frames` frames.

    Raises
    ------
    InputError : there is no note, or none that the labels know.
    """
    layers = assign(labels, notes)
    drum = np.array([track.drum for track in notes.tracks], bool)
    pitched = notes.take(~drum[notes.track])
    sounded = [held(labels, layer, 0, frames, labels.rate) for layer in layers]
    sounds = np.stack([gain > 0 for _, gain in sounded])  # (layers, N, I)
    first, count = sounds.argmax(0), sounds.sum(0)  # (N, I)
    ids = torch.stack(
        [of_notes(labels, layer, np.where(gain > 0, note, -1)) for layer, (note, gain) in zip(layers, sounded, strict=True)]
    )
    place = torch.from_numpy(first)[None, ..., None].expand(1, *ids.shape[1:])
    numbers = np.stack([note for note, _ in sounded]) * len(layers) + np.arange(len(layers))[:, None, None]
    number = np.where(count > 0, np.take_along_axis(numbers, first[None], 0)[0], -1)
    outside = sounding(pitched.take(labels.ids(pitched)[:, 0] < 0), frames, labels.rate)
    kind = np.select(
        [(count == 0).all(1) & (outside == 0), (count > 1).any(1), outside > 0, (count == 0).any(1) & (not labels.silence)],
        range(len(KINDS) - 1),
        len(KINDS) - 1,
    )
    group = torch.from_numpy(number).unique(dim=0, return_inverse=True)[1]
    parts = tuple(_together(voices) for voices in zip(*layers, strict=True))
    return Reference(pitched, parts, ids.gather(0, place)[0], kind, group)


def _together(voices: Sequence[Notes]) -> Notes:
    """Return the notes of one instrument's voices, sorted by onset."""
    merged = Notes.merge(voices)
    return merged.take(np.lexsort((merged.pitch, merged.onset)))


def sounding(notes: Notes, frames: int, rate: float) -> np.ndarray:
    """Return how many notes sound at the middle of each of `frames` frames, (N,)."""
    times = (np.arange(frames) + 0.5) / rate
    begun = np.searchsorted(np.sort(notes.onset), times, side="right")
    return begun - np.searchsorted(np.sort(notes.offset), times, side="right")
