"""The files that an evaluation on aligned recordings leaves: sounds, scores, drawings, tables."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.notes import Notes
from data.parts import Layer, assign
from data.recordings import Reference
from data.representations import SUBFRAMES
from models.aligned import Heard
from models.aligned_summary import flat
from models.rendering import Player, up_to, write_sound
from utils.files import atomic, write_json
from utils.paths import make_folder
from utils.play_figures import Picture, spectrograms_and_roll

VERSION = 1  # of results.json
COLUMNS = {  # of the table on stdout -> number of a summary
    "frames": "frames.playable",
    "octave": "transcription.octave.value",
    "pitch": "transcription.pitch.value",
    "note": "transcription.note.value",
    "dynamics": "transcription.dynamics.value",
    "onset F1": "notes.onset.f1",
    "+offset": "notes.onset_offset.f1",
    "+offset+velocity": "notes.onset_offset_velocity.f1",
    "late, ms": "onset_lateness_s.median",
    "transfer, dB": "symbol_to_signal.log_spectral_distance_db.value",
    "rebuilt, dB": "signal_to_signal.log_spectral_distance_db.value",
    "classifier": "classifier.note.value",
}


def resynthesise(player: Player, heard: Heard, truth: Reference, out: Path, name: str) -> None:
    """Write the reconstruction of a recording, what its MIDI file sounds like, and its transcription."""
    signal, labels = player.representation("signal"), player.representation("symbol")
    samples = round(heard.seconds * signal.sample_rate)
    points = math.ceil(heard.seconds * signal.frame_rate * SUBFRAMES) + 1
    layers = assign(labels, truth.notes)
    scores = [player.score(labels, layer, number, points, signal.frame_rate * SUBFRAMES) for number, layer in enumerate(layers)]
    sounds = {
        "reconstructions": player.sound([heard.pieces], [Picture()]),
        "transfers": player.sound(scores, [Picture() for _ in layers], fine=True),
    }
    for folder, sound in sounds.items():
        path = make_folder(out / folder) / f"{name}.wav"
        write_sound(path, up_to(sound, lambda: samples), signal.sample_rate, heard.seconds)
    heard.notes.save(out / "transcriptions" / f"{name}.mid")


def draw(player: Player, heard: Heard, truth: Reference, path: Path) -> None:
    """Draw the spectra of a recording, of its reconstruction and of the transfer from MIDI, above the notes of both."""
    signal, labels = player.representation("signal"), player.representation("symbol")
    recording, rebuilt = Picture(), Picture()
    recording.add(heard.frames.numpy())
    for frames in player.magnitudes(heard.pieces):
        rebuilt.add(frames.numpy())
    layers = assign(labels, truth.notes)
    images = {"recording": recording.image, "reconstruction": rebuilt.image}
    images["transfer from MIDI"] = sum(_played(player, layer, number, len(heard.frames)) for number, layer in enumerate(layers))
    make_folder(path.parent)
    rolls = _over_each_other(truth.notes, heard.notes)
    spectrograms_and_roll(path, images, signal.frequencies, rolls, ("MIDI", "transcription"), heard.seconds)


def _played(player: Player, layer: Layer, number: int, frames: int) -> np.ndarray:
    """Return an image (F, columns) of one layer of a score."""
    labels, picture = player.representation("symbol"), Picture()
    for magnitudes in player.magnitudes(player.score(labels, layer, number, frames, labels.rate)):
        picture.add(magnitudes.numpy())
    return picture.image


def _over_each_other(reference: Notes, estimate: Notes) -> dict[str, np.ndarray]:
    """Return the columns of two tracks, a little apart in pitch so that one does not hide the other."""
    columns = {name: np.concatenate([getattr(reference, name), getattr(estimate, name)]) for name in ("onset", "offset", "pitch")}
    track = np.repeat([0, 1], [len(reference), len(estimate)])
    return columns | {"pitch": columns["pitch"] + np.where(track, -0.2, 0.2), "track": track}


# -- tables -----------------------------------------------------------------------------------------------------------


def write_results(out: Path, results: Mapping[str, Any]) -> None:
    """Write results.json, and results.csv with a row a file and one of the total."""
    write_json(out / "results.json", {"version": VERSION, **results})
    rows = {**results["files"], "total": results["total"]}
    numbers = {name: dict(flat(row)) for name, row in rows.items()}
    columns = list(dict.fromkeys(column for row in numbers.values() for column in row))
    with atomic(out / "results.csv") as aside, open(aside, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns])
        for name, row in numbers.items():
            writer.writerow([name, *("" if row.get(column) is None else row[column] for column in columns)])


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Write summaries, run -> summary, as a Markdown table."""
    cells = [[name, *_cells(dict(flat(row)))] for name, row in rows.items()]
    lines = [["run", *COLUMNS], ["---"] * (len(COLUMNS) + 1), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(numbers: Mapping[str, Any]) -> Sequence[str]:
    return [_cell(head, numbers.get(key)) for head, key in COLUMNS.items()]


def _cell(head: str, number: float | None) -> str:
    if number is None:
        return "-"
    if isinstance(number, int):
        return str(number)
    if head.endswith("ms"):
        return f"{1000 * number:.0f}"
    return f"{number:.1f}" if head.endswith("dB") else f"{number:.3f}"
