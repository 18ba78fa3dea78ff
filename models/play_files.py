"""Files that are played: recordings transcribed and resynthesised, MIDI files performed."""

import math
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from data.audio import stream
from data.notes import Notes
from data.parts import assign, score
from data.representations import SUBFRAMES, Heard
from data.transcription import FLOOR_DB, SHORTEST, transcribe, write_table
from data.words import notes_in
from models.rendering import AUDIBLE, Counted, Player, up_to, write_sound
from utils.config import InputError
from utils.play_figures import Picture, spectrograms_and_roll

READ = 2**16  # samples of a recording that are read at once
RESULTS = (".wav", ".mid", ".csv", ".pdf", "_reconstruction.wav")


def audio(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Transcribe and resynthesise a recording of any length."""
    check_beside(path, target)
    signal, labels = player.representation("signal"), player.representation("symbol")
    heard, played, record = Picture(), Picture(), []
    recording = Counted(stream(path, signal.sample_rate, READ))
    latents = player.listened(_watched(heard, signal.listen(recording)), record)
    sound = up_to(player.sound([latents], [played]), lambda: recording.samples)
    write_sound(Path(f"{target}_reconstruction.wav"), sound, signal.sample_rate, least=AUDIBLE)
    ids, confidence, level = map(np.concatenate, zip(*record, strict=True))
    write_table(Path(f"{target}.csv"), labels, ids, confidence, {"level_db": level})
    made = ["_reconstruction.wav", ".csv"]
    notes = transcribe(labels, ids, confidence, level) if labels.pitched else Notes.empty()
    if labels.pitched:
        notes.save(f"{target}.mid")
        made.append(".mid")
    if args.graphs:
        made.append(".pdf")
        images = {"recording": heard.image, "reconstruction": played.image}
        seconds = recording.samples / signal.sample_rate
        spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(notes), labels.instruments, seconds)
    return [f"{target}{end}" for end in made]


def _watched(picture: Picture, pieces: Iterable[Heard]) -> Iterator[Heard]:
    """Yield pieces as they come, adding each to a picture.

    Raises
    ------
    InputError : at their end, so that nothing has been written: they were too short for a note, or silent.
    """
    frames, loudest = 0, -math.inf
    for heard in pieces:
        picture.add(heard.frames.numpy())
        frames, loudest = frames + len(heard.level), max(loudest, heard.level.max().item())
        yield heard
    if frames < SHORTEST:
        raise InputError(f"is shorter than {SHORTEST} frames, which a note needs at least; give more of it")
    if loudest < FLOOR_DB:
        raise InputError(f"is silent, no frame is above {FLOOR_DB:g} dB; give a recording with sound")


def midi(player: Player, path: Path, target: Path, args: Namespace) -> list[str]:
    """Play a MIDI file, true to its times and velocities, voice by voice."""
    check_beside(path, target)
    signal, labels = player.representation("signal"), player.representation("symbol")
    notes = Notes.load(path).transpose(args.transposition)
    notes = notes_in(labels, notes, args.dynamics) if args.dynamics else notes
    layers, seconds = assign(labels, notes), notes.duration
    rate, pictures = signal.frame_rate * SUBFRAMES, [Picture() for _ in layers]
    points = math.ceil(seconds * rate) + 1  # so that rounding leaves no sample out
    scores = [player.score(labels, layer, number, points, rate) for number, layer in enumerate(layers)]
    sound = up_to(player.sound(scores, pictures, fine=True), lambda: round(seconds * signal.sample_rate))
    write_sound(Path(f"{target}.wav"), sound, signal.sample_rate, seconds, AUDIBLE)
    write_table(Path(f"{target}.csv"), *score(labels, layers, seconds))
    if args.graphs:
        images = {"": sum(picture.image for picture in pictures)}
        names = [track.name or f"track {number}" for number, track in enumerate(notes.tracks, 1)]
        spectrograms_and_roll(Path(f"{target}.pdf"), images, signal.frequencies, vars(notes), names, seconds)
    return [f"{target}{end}" for end in (".wav", ".csv", ".pdf")[: 2 + args.graphs]]


def check_beside(path: Path, target: Path, ends: Iterable[str] = RESULTS) -> None:
    """Check that results named `target`, with these ends, would replace nothing that lies beside the input `path`.

    Raises
    ------
    InputError : they would.
    """
    there = [target.with_name(target.name + end) for end in ends]
    lost = [file for file in there if file.exists() and file.resolve() != path.resolve()]
    if lost and target.resolve().parent == path.resolve().parent:
        raise InputError(f"would replace {lost[0]}, which lies beside it; give another folder with -o")
