"""What is known of single files, and of files together, in numbers: the content of results.json."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.recordings import KINDS
from models.evaluation import Scores, estimate
from utils import note_metrics
from utils.note_metrics import Matches


@dataclass
class FileScores:
    """All that is known of one file: counts, and a number a frame, so that files can be taken together."""

    frames: dict[str, int]  # kind -> how many
    notes: dict[str, Matches | None]
    voicing: dict[str, tuple[int, int]]  # name -> of how many frames the transcription has a note, of how many
    late: np.ndarray  # s, by which onsets come late
    values: dict[str, dict[str, Tensor]] = field(default_factory=dict)  # section -> score -> (P,) of playable frames, or none
    group: Tensor | None = None  # (P,) which of them are of one note
    gain_db: float = 0.0  # that would make what is played as loud as the recording


def summary(files: Sequence[FileScores], seed: int) -> dict[str, Any]:
    """Return the scores of files taken together; None for what they do not tell.

    Intervals are by bootstrap over files, or over notes where there is one file.
    """
    result: dict[str, Any] = {
        "frames": {"total": sum(sum(f.frames.values()) for f in files)} | {k: sum(f.frames[k] for f in files) for k in KINDS},
        "voicing": {name: _share(f.voicing[name] for f in files) for name in ("recall", "false_alarm")},
        "notes": {name: _note_scores([f.notes[name] for f in files], seed) for name in files[0].notes},
        "onset_lateness_s": _quartiles(np.concatenate([f.late for f in files])),
        "level_gain_db": _quartiles(np.array([f.gain_db for f in files if len(f.group)])),
    }
    for section, scores in files[0].values.items():
        result[section] = {name: _estimate(files, section, name, seed) for name in scores}
    return result


def _share(counts: Iterable[tuple[int, int]]) -> dict[str, float] | None:
    right, n = map(sum, zip(*counts, strict=True))
    return {"value": right / n, "n": n} if n else None


def _note_scores(parts: Sequence[Matches | None], seed: int) -> dict[str, Any] | None:
    """Return the scores of the sums of matches and, of several files, also the mean of their F1."""
    whole = note_metrics.total(parts)
    if whole is None:
        return None
    each = torch.tensor([part.scores()["f1"] for part in parts if part is not None], dtype=torch.double)
    by_file = {"f1_by_file": estimate(Scores(each, torch.arange(len(each))[:, None]), seed)} if len(parts) > 1 else {}
    return whole.scores() | by_file


def _quartiles(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return {"median": median, "low_quartile": low, "high_quartile": high, "n": len(values)}


def _estimate(files: Sequence[FileScores], section: str, name: str, seed: int) -> dict[str, float] | None:
    parts = [f.values[section][name] for f in files]
    values = torch.cat(parts)
    own = [files[0].group] if len(files) == 1 else [torch.full((len(part),), i) for i, part in enumerate(parts)]
    return estimate(Scores(values, torch.cat(own)[: len(values), None]), seed) if len(values) else None


def flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers of a summary by dotted names: ``transcription.pitch.value``."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
