"""Make recordings with exactly aligned MIDI from recorded notes that training has not seen: a test set for lt_midi.py.

  python -m benchmarks.aligned --output saves/aligned --instruments flute cello flute+cello
  python lt_midi.py --models RUN --dataroot saves/aligned/flute

Held-out notes (the test split) follow one another along melodies, with rests; each begins where its recording begins to sound, and
ends where it is faded out or dies away. `flute+cello` makes pieces for both, one MIDI track each. Velocities are the nominal ones
of the dynamics. The sounds are real, the joints are not: no legato, no room, and no note is longer than its recording.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data import instruments
from data.audio import Audio
from data.instruments import Note
from data.notes import Notes, Track, pitch_of, velocity_of
from data.parts import program_of
from data.splits import split_of
from utils import cli
from utils.config import InputError
from utils.paths import make_folder

ROOT = Path(__file__).resolve().parent.parent
RATE = 44100  # Hz
SECONDS = (20.0, 60.0)  # of a piece
LENGTH = (0.2, 1.2)  # s of a note, where its recording is that long
REST, RESTS = 0.15, (0.2, 0.8)  # how often a rest follows a note, and how long it is in s
LEAP = 7  # semitones to the next note, at most, where there is such a note
AUDIBLE_DB = 30.0  # below its loudest that a note begins and ends
STEP = 0.005  # s between points at which that is asked
ATTACK, RELEASE = 0.003, 0.03  # s of fades
PEAK = 0.99


def trimmed(sound: np.ndarray) -> np.ndarray:
    """Return the part of a note's samples (S,) from where it begins to sound to where it has died away."""
    step = round(STEP * RATE)
    energy = np.square(sound[: len(sound) // step * step], dtype=np.float64).reshape(-1, step).mean(1)
    audible = np.flatnonzero(energy >= energy.max(initial=0.0) * 10 ** (-AUDIBLE_DB / 10))
    return sound[audible[0] * step : (audible[-1] + 1) * step]


def faded(sound: np.ndarray) -> np.ndarray:
    """Return samples (S,) that rise at once and fall to 0 at their end."""
    rise, fall = round(ATTACK * RATE), round(RELEASE * RATE)
    place = np.arange(len(sound))
    return sound * np.minimum(np.minimum((place + 1) / rise, (len(sound) - place) / fall), 1).astype(np.float32)


def melody(notes: Sequence[Note], seconds: float, track: Track, random: np.random.Generator) -> tuple[np.ndarray, Notes]:
    """Return the samples (S,) and the notes of one instrument's part, as a walk over recordings of notes."""
    pitches = np.array([pitch_of(note.labels["pitch"], int(note.labels["octave"])) for note in notes])
    sound, rows, time, last = np.zeros(round(seconds * RATE), np.float32), [], 0.1, int(np.median(pitches))
    while time < seconds - LENGTH[0]:
        near = np.flatnonzero(np.abs(pitches - last) <= LEAP)
        place = random.choice(near if len(near) else len(notes))
        recorded = trimmed(Audio.load(notes[place].path, RATE).samples)
        length = min(random.uniform(*LENGTH), len(recorded) / RATE, seconds - time)
        samples = faded(recorded[: round(length * RATE)])
        start, last = round(time * RATE), int(pitches[place])
        sound[start : start + len(samples)] += samples[: len(sound) - start]
        rows.append((time, time + length, last, velocity_of(notes[place].labels["dynamics"]), 0))
        time += length + (random.uniform(*RESTS) if random.random() < REST else 0.0)
    return sound, Notes(*zip(*rows, strict=True), (track,))


def piece(parts: dict[str, Sequence[Note]], random: np.random.Generator) -> tuple[Audio, Notes]:
    """Return a piece for instruments, each given by its recordings, and its notes."""
    seconds = random.uniform(*SECONDS)
    played = [melody(notes, seconds, Track(name, program_of(name)), random) for name, notes in parts.items()]
    sound = np.sum([samples for samples, _ in played], axis=0)
    return Audio(sound * min(1.0, PEAK / np.abs(sound).max()), RATE), Notes.merge(notes for _, notes in played)


def held_out(corpus: instruments.Corpus, name: str) -> list[Note]:
    """Return the recordings of an instrument's test split.

    Raises
    ------
    InputError : there are fewer than two.
    """
    (notes,) = corpus.select([name])
    found = [note for note in notes if "dynamics" in note.labels and split_of(note.identity) == "test"]
    if len(found) < 2:
        raise InputError(f"{name}: has {len(found)} recordings in the test split, too few for a melody; choose another instrument")
    return found


def make(output: Path, corpus: instruments.Corpus, names: Sequence[str], files: int, seed: int) -> list[Path]:
    """Write `files` pieces for instruments that play together, NAMES/NAMES_1.wav and .mid and so on; return the sounds' paths."""
    title = "_".join(names)
    folder, parts, made = make_folder(output / title), {name: held_out(corpus, name) for name in names}, []
    for number in range(1, files + 1):
        sound, notes = piece(parts, np.random.default_rng([seed, number, *title.encode()]))
        made.append(folder / f"{title}_{number}.wav")
        sound.save(made[-1])
        notes.save(made[-1].with_suffix(".mid"))
    return made


def main(argv: list[str]) -> int:
    """Make what the command line `argv` says; return the exit code."""
    parser = cli.Parser(description=__doc__)
    corpus = str(ROOT.parent / "shared" / "data" / "philharmonia")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    parser.add_argument("--dbroot", default=corpus, help="corpus of recorded notes (default: %(default)s)")
    parser.add_argument("--instruments", nargs="+", required=True, metavar="NAME", help="those of a set, joined by + if several")
    parser.add_argument("--files", type=int, default=4, help="of each set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one makes other pieces (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.files < 1 or args.seed < 0:
        raise InputError("--files must be 1 or more, --seed 0 or more")
    notes = instruments.read(args.dbroot)
    for asked in args.instruments:
        for path in make(args.output, notes, asked.split("+"), args.files, args.seed):
            print(path)
    return 0


if __name__ == "__main__":
    cli.run(main)
