"""Show the main job from nothing: train a small run on the embedded corpus, play a melody with it, transcribe a recording with it.

``make demo`` runs this; every command is printed before it runs, so that it can be tried again by hand.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from data.audio import Audio
from data.notes import Notes, Track, name_of, parse_pitch
from data.sampler import SoundFont
from models.run_folder import METRICS
from utils import cli
from utils.config import read_json
from utils.paths import make_folder

MELODY = ["C5", "E5", "G5", "C6", "B5", "G5", "A5", "F5", "D5", "E5", "D5", "C5"]
VELOCITIES = (96, 80, 80, 112, 80, 64, 80, 64, 49, 64, 49, 80)
BEAT, HELD = 0.5, 0.9  # s from note to note, and the part of it that sounds
FLUTE = 73  # General MIDI program
RATE = 22050  # Hz


def melody() -> Notes:
    """Return the demonstration's melody, for one flute."""
    onset = BEAT * np.arange(len(MELODY))
    pitch = [parse_pitch(name) for name in MELODY]
    return Notes(onset, onset + HELD * BEAT, pitch, VELOCITIES, np.zeros(len(pitch)), (Track("Flute", FLUTE),))


def run(*words: object) -> None:
    """Print a command of the project, run it, and end with its exit code where it fails."""
    command = [str(word) for word in words]
    print("\n$ python " + shlex.join(command), flush=True)
    code = subprocess.run([sys.executable, *command], check=False).returncode
    if code:
        sys.exit(code)


def names(notes: Notes) -> str:
    """Return the pitches of `notes` as text."""
    return " ".join("{}{}".format(*name_of(pitch)) for pitch in notes.pitch)


def main(argv: list[str]) -> int:
    """Run the demonstration as the command line `argv` says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="folder for everything that is made (default: demo)")
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes of training (default: 3)")
    args = parser.parse_args(argv)
    folder, start = make_folder(args.folder), time.monotonic()
    name = time.strftime("flute-%Y%m%d-%H%M%S")
    score, recording, made = folder / "melody.mid", folder / "recording.wav", folder / name
    melody().save(score)
    Audio(SoundFont.load().render(melody(), RATE), RATE).save(recording)
    print(f"made {score} and {recording}, the same melody as a score and as a recording of a sampled flute")
    train = ["lt_train.py", "--preset", "quick", "--instruments", "Flute", "--time_budget", args.minutes]
    run(*train, "--savedir", folder, "--name", name)
    run("lt_play.py", "midi", "-m", made, "-i", score, "-o", made)
    run("lt_play.py", "audio", "-m", made, "-i", recording, "-o", made)
    print(f"\nDone in {(time.monotonic() - start) / 60:.1f} minutes.")
    print(f"the score as sound:   {made / 'melody.wav'}")
    print(f"the recording:        {recording}")
    print(f"  as a score:         {made / 'recording.mid'}")
    print(f"  resynthesised:      {made / 'recording_reconstruction.wav'}")
    print(f"  its notes:          {' '.join(MELODY)}")
    print(f"  transcribed:        {names(Notes.load(made / 'recording.mid'))}")
    print(f"on notes held out of training: {json.dumps(read_json(made / METRICS), indent=2)}")
    return 0


if __name__ == "__main__":
    cli.run(main)
