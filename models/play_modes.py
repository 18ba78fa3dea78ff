"""The modes of lt_play.py: what each does, and how runs of every kind do it. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = """info -m saves/crossmodal__flute
audio -m saves/crossmodal__flute -i solo.wav
midi -m saves/crossmodal__flute saves/crossmodal__cello -i songs -o out -t -12 -d mf
sequence -m saves/crossmodal__flute -i A4:mf C5:mf Eb5:ff
morphing -m saves/crossmodal__flute_cello -i A4:mf+C3:p C5+E3 --interp_order spherical
trajectory -m saves/crossmodal__flute --traj circle helix --n_generations 3 --radius 6
free_navigation -m saves/crossmodal__flute
full_instruments -m saves/timbre__l2_nsgt-octave
pairwise_paths -m saves/timbre__l2_nsgt-octave -i Flute Violin Oboe --path spherical expressive
random_paths -m saves/timbre__l2_nsgt-octave --shape spiralOut circle --centre note
perceptual_infer -m saves/timbre__l2_nsgt-octave -i viola tuba.wav
descriptor_synthesis -m saves/timbre__l2_nsgt-octave --descriptor centroid bandwidth --curve rise --curve=-exp
sample -m saves/classifying__cl_lstm -n 4 -t 64
sample -m saves/classifying__cl_lstm -i songs --infer_w --temperature 0.8
sample -m saves/classifying__cl_vae --key "f# minor" --seed_frames 0
interpolate -m saves/classifying__cl_lstm -i one.mid other.mid -t 64
key_path -m saves/classifying__cl_lstm --keys C G D a -t 48
midi -m saves/classifying__cl_lstm -i songs -o out
sample -m saves/musicvae__drums -n 10 --temperature 0.8 --tempo 100
interpolate -m saves/musicvae__drums --input_midi_1 one.mid --input_midi_2 other.mid --num_outputs 7 --output_dir out
reconstruct -m saves/musicvae__drums -i songs
attribute -m saves/musicvae__drums --attribute hit_density --strength -2 -1 0 1 2
walk -m saves/musicvae__drums -n 16 --stride 0.3
sweep -m saves/musicvae__drums --axis 1 2 --low -3 --high 3 -n 7
blend -m saves/my_songs -n 5 --pairs 3
sample -m cat-drums_2bar_small.lokl.tar -n 4 -o out"""


@dataclass(frozen=True)
class Way:
    """How runs of one kind do what a mode does: the module that holds a function of its name, and what it takes."""

    module: str
    flags: str = ""  # those that not all modes take
    needs: tuple[str, ...] = ()  # modalities of the model; a way without any only reads the run's folder
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of flags that have none, as kinds differ


@dataclass(frozen=True)
class Mode:
    """One row of the table: what a mode is, and the ways to do it, of which the first that a run can is taken."""

    text: str
    ways: tuple[Way, ...]
    input: str = ""  # what -i takes
    suffixes: tuple[str, ...] = ()  # of files that are found in folders and played one by one; without any, -i is the mode's own
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of flags, where they are others than those of most modes

    @property
    def flags(self) -> list[str]:
        """Return the flags of all ways."""
        return list(dict.fromkeys(flag for way in self.ways for flag in way.flags.split()))


FILES, LABELS, ONE, TWO = "files", "labels", "one piece", "two pieces"
BOTH, SIGNAL, SCORE, PHRASE = ("signal", "symbol"), ("signal",), ("score",), ("phrase",)
AUDIO, MIDI = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3"), (".mid", ".midi")
OUT = "output graphs griffinlim_iters "
TOLD = OUT + "labels "
WRITTEN = "output graphs input seed frames use_z_prior seed_frames temperature tempo w "
OF_PHRASES = "output graphs seed temperature tempo "
FIVE_SECONDS, LIKELY, CAREFUL = {"n_steps": 1565}, {"temperature": 1.0}, {"temperature": 0.5}
ANEW = Way("models.play_phrase_files", OF_PHRASES + "input latent_sample", PHRASE, {"temperature": 0.0})
MODES = {
    "info": Mode("print what a run is: its configuration, size, training and scores", (Way("models.play_info"),)),
    "audio": Mode(
        "transcribe and resynthesise recordings: FILE_reconstruction.wav, FILE.mid, FILE.csv, FILE.pdf",
        (Way("models.play_files", OUT + "input latent_sample seed", BOTH),),
        *(FILES, AUDIO),
    ),
    "midi": Mode(
        "play MIDI files: FILE.wav, FILE.csv, FILE.pdf; for mixtures one MIDI track an instrument, by its name; runs of scores "
        "and of phrases make them anew: FILE_reconstruction.mid, FILE_reconstruction.wav, FILE.csv, FILE.pdf",
        (
            Way("models.play_pieces", "output graphs input latent_sample seed transposition", SCORE),
            ANEW,
            Way("models.play_files", OUT + "input latent_sample seed transposition dynamics", BOTH),
        ),
        *(FILES, MIDI),
    ),
    "sequence": Mode(
        "play labels one after another: LABELS.wav, LABELS.mid, LABELS.csv, LABELS.pdf",
        (Way("models.play_paths", OUT + "input latent_sample seed transposition dynamics n_steps", BOTH),),
        LABELS,
    ),
    "morphing": Mode(
        "melt labels into each other, through what lies between their latents: LABELS_interp_ORDER.wav, .mid, .csv, .pdf",
        (Way("models.play_paths", OUT + "input transposition dynamics n_steps interp_order", BOTH, {"interp_order": "1"}),),
        LABELS,
    ),
    "trajectory": Mode(
        "play curves through the latent space, drawn at random where the prior has its mass: TYPE_NUMBER.wav, .mid, .csv, .pdf",
        (Way("models.play_paths", TOLD + "seed n_steps n_generations traj radius turns", SIGNAL),),
    ),
    "free_navigation": Mode(
        "move through the latent space by hand and hear what is there: navigation.txt, .wav, .mid, .csv, .pdf, .npz",
        (
            Way("models.play_navigation", TOLD + "seed script replay", SIGNAL),
            Way("models.play_phrase_navigation", OF_PHRASES + "script replay corpus wish", PHRASE, {"temperature": 0.0}),
        ),
    ),
    "full_instruments": Mode(
        "play a loud held-out note of each instrument again: INSTRUMENT_NOTE.wav, _original.wav, .csv, .pdf, _path.png",
        (Way("models.play_notes", OUT + "seed split n_generations", SIGNAL),),
        defaults={"n_generations": 1},
    ),
    "pairwise_paths": Mode(
        "melt loud notes of each pair of instruments into each other: INSTRUMENT_INSTRUMENT_PATH.wav, .csv, .pdf, _path.png",
        (Way("models.play_notes", TOLD + "input seed split path select expression n_steps", SIGNAL),),
        defaults=FIVE_SECONDS,
    ),
    "random_paths": Mode(
        "play spirals and circles around places drawn at random: SHAPE_CENTRE_NUMBER.wav, .csv, .pdf, _path.png",
        (Way("models.play_notes", TOLD + "seed split shape centre n_steps n_generations", SIGNAL),),
        defaults={**FIVE_SECONDS, "n_generations": 3},
    ),
    "perceptual_infer": Mode(
        "find where unseen instruments lie: space.pdf, means.csv, distances.csv, NOTE.wav, _original.wav, .csv, .pdf",
        (Way("models.play_unseen", TOLD + "input", SIGNAL),),
        "recordings, folders of them, or corpora",
    ),
    "descriptor_synthesis": Mode(
        "let a descriptor of sound follow a curve, from a loud note on: NOTE_DESCRIPTOR_CURVE.wav, .csv, .pdf, _path.png",
        (
            Way(
                "models.play_descriptors",
                TOLD + "input seed split descriptor curve curve_file by n_steps n_generations",
                SIGNAL,
            ),
        ),
        defaults={**FIVE_SECONDS, "n_generations": 1},
    ),
    "sample": Mode(
        "write music: going on from a seed, or phrases from the prior: sample_NUMBER.mid, .wav, .pdf, _seed.mid, samples.csv",
        (
            Way("models.play_scores", WRITTEN + "n_generations only key infer_w discrete_w split", SCORE, LIKELY),
            Way("models.play_phrases", OF_PHRASES + "n_generations wish spread", PHRASE, CAREFUL),
        ),
        defaults={"n_generations": 1},
    ),
    "interpolate": Mode(
        "melt two pieces of music into each other, place after place: PIECE_PIECE.mid, .wav, .csv, .pdf; of phrases, whose bars "
        "--bar tells, each place has files of its own, too",
        (
            Way(
                "models.play_pieces",
                "output graphs input input_midi_1 input_midi_2 frames n_steps interp_order temperature tempo seed",
                SCORE,
                {**LIKELY, "interp_order": "1"},
            ),
            Way(
                "models.play_phrases",
                OF_PHRASES + "input input_midi_1 input_midi_2 n_generations interp_order bar line wish",
                PHRASE,
                {**CAREFUL, "interp_order": "spherical"},
            ),
        ),
        TWO,
        defaults={"n_steps": 8, "n_generations": 5},
    ),
    "key_path": Mode(
        "write music that goes through keys: key_path.mid, .wav, .csv, .pdf",
        (Way("models.play_scores", WRITTEN + "keys", (*SCORE, "key"), LIKELY),),
    ),
    "reconstruct": Mode(
        "make phrases of files anew: FILE_reconstruction.mid, FILE_reconstruction.wav, FILE.csv, FILE.pdf",
        *((ANEW,), FILES, MIDI),
    ),
    "humanize": Mode(
        "give drums velocities and times, by a run with that --transform; files as of reconstruct", (ANEW,), FILES, MIDI
    ),
    "tap": Mode("make drums of one that taps, by a run with that --transform; files as of reconstruct", (ANEW,), FILES, MIDI),
    "fixed_velocity": Mode("give drums velocities, by a run with that --transform; files as of reconstruct", (ANEW,), FILES, MIDI),
    "walk": Mode(
        "write a longer piece: phrase after phrase along a random walk through the latent space: walk.mid, .wav, .csv, .pdf",
        (Way("models.play_phrases", OF_PHRASES + "input n_generations stride bar line wish spread", PHRASE, CAREFUL),),
        defaults={"n_generations": 8},
    ),
    "sweep": Mode(
        "move phrases along an axis of the latent space while the others stay: sweep_axisNUMBER.mid, .wav, .csv, .pdf, .npz, "
        "sweep_axisNUMBER_PLACE.mid, .wav",
        (
            Way(
                "models.play_constraint",
                OF_PHRASES + "input n_generations axis low high from_prior bar line wish",
                PHRASE,
                {"temperature": 0.0},
            ),
        ),
        defaults={"n_generations": 7},
    ),
    "blend": Mode(
        "go from phrases of a frozen model to phrases of a run that stands on it: blend_PAIR.mid, .wav, .csv, .pdf, .npz, "
        "blend_PAIR_PLACE.mid, .wav",
        (
            Way(
                "models.play_constraint",
                OF_PHRASES + "input n_generations pairs interp_order bar line wish",
                PHRASE,
                {**CAREFUL, "interp_order": "spherical"},
            ),
        ),
        defaults={"n_generations": 5},
    ),
    "attribute": Mode(
        "add attributes, as density, to phrases of the prior or of files: PHRASE_ATTRIBUTE.mid, .wav, .csv, .pdf, vectors.npz",
        (
            Way(
                "models.play_attributes",
                OF_PHRASES + "input n_generations attribute strength vectors corpus split bar line",
                PHRASE,
                {"temperature": 0.0},
            ),
        ),
        defaults={"n_generations": 1, "split": "train"},
    ),
    "encode": Mode(
        "write the latents of files: FILE.npz with mean, deviation, phrases, line, first_step, tempo",
        (Way("models.play_phrase_files", "output input", PHRASE),),
        *(FILES, MIDI),
    ),
    "decode": Mode(
        "write what latents stand for, an npz with mean or z (N, size), or an npy: FILE_NUMBER.mid, .wav, FILE.csv, FILE.pdf",
        (Way("models.play_phrase_files", OF_PHRASES + "input", PHRASE, {"temperature": 0.0}),),
        *(FILES, (".npz", ".npy")),
    ),
    "extract": Mode(
        "write the phrases that begin at the bars of files, as a run reads them: FILE_barNUMBER.mid, .wav, FILE.csv, FILE.pdf",
        (Way("models.play_phrase_files", "output graphs input", PHRASE),),
        *(FILES, MIDI),
    ),
}
