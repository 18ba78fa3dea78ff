import json

import numpy as np
import pytest
import torch

from benchmarks import aligned as benchmark
from data import instruments
from data.audio import Audio
from data.labels import Labels
from data.notes import PITCH_CLASSES, Notes, Track
from data.recordings import Pair, Recordings
from data.representations import NSGTMagnitude
from data.splits import split_of
from models import aligned, baselines, crossmodal
from models.aligned_files import table, write_results
from models.aligned_summary import flat, summary
from models.base import LatentModel
from models.losses import Normal
from models.rendering import Player
from models.run_folder import BEST
from tests import corpora
from tests.runs import CLASSES, make_run
from utils.checkpoint import save_state
from utils.config import InputError
from utils.files import write_json
from utils.paths import make_folder

RATE = 22050
PITCHES = range(60, 84)  # those of CLASSES
AMPLITUDES = {49: 0.03, 96: 0.5}  # by velocity, of p and f
MELODY = ((0.3, 0.9, 69, 96), (0.9, 1.5, 76, 49), (1.8, 2.4, 72, 96), (2.6, 3.2, 81, 49))


def sine(pitch, seconds, amplitude=0.5, cents=0.0):
    return amplitude * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69 + cents / 100) / 12) * np.arange(round(seconds * RATE)) / RATE)


def write_piece(folder, name, rows, cents=0.0, seconds=3.5, tracks=(Track("flute", 73),)):
    """Write a recording of sines, and its MIDI, of rows (onset, offset, pitch, velocity); return the pair."""
    sound = np.zeros(round(seconds * RATE))
    for onset, offset, pitch, velocity, *_ in rows:
        start = round(onset * RATE)
        note = sine(pitch, offset - onset, AMPLITUDES.get(velocity, 0.5), cents)
        fade = np.minimum(np.minimum(np.arange(len(note)), np.arange(len(note))[::-1]) / 200, 1)
        sound[start : start + len(note)] += note * fade
    pair = Pair(folder / f"{name}.wav", folder / f"{name}.mid")
    Audio(sound.astype(np.float32), RATE).save(pair.audio)
    columns = list(zip(*(row if len(row) == 5 else (*row, 0) for row in rows), strict=True))
    Notes(*map(np.array, columns), tracks).save(pair.midi)
    return pair


class Ear(LatentModel):
    """A model that knows sines: the latents are pitch and loudness, exactly."""

    latent_shape = (2,)

    def __init__(self):
        super().__init__()
        signal = NSGTMagnitude()
        classes = tuple((label, tuple(names)) for label, names in CLASSES.items())
        self.representations = {"signal": signal, "symbol": Labels(classes, ("flute",), False, signal.frame_rate)}
        spectra = [signal.forward(Audio(sine(pitch, 0.5, 1.0).astype(np.float32), RATE))[8] for pitch in PITCHES]
        self.register_buffer("spectra", torch.stack(spectra))
        self.unused = torch.nn.Parameter(torch.zeros(()))  # by which the device is known

    def encode(self, x, source, condition=None):
        if source == "signal":
            best = (torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(self.spectra, dim=1).T).argmax(1)
            z = torch.stack([best + PITCHES[0], x.amax(1) / self.spectra.amax(1)[best]], 1)
        else:
            pitch = torch.from_numpy(self.representations["symbol"].pitch(x[:, 0].numpy()))
            z = torch.stack([pitch, torch.where(x[:, 0, 2] > 0, AMPLITUDES[96], AMPLITUDES[49])], 1)
        return Normal(z.float(), torch.zeros_like(z).float())

    def decode(self, z, target, condition=None, temperature=0.0):
        pitch = z[:, 0].round().long()
        if target == "signal":
            return self.spectra[pitch - PITCHES[0]] * z[:, 1:]
        velocity = torch.where(z[:, 1] > 0.1, 96, 49).numpy()
        columns = [np.arange(len(z)), np.arange(len(z)) + 1, pitch.numpy(), velocity, np.zeros(len(z))]
        return torch.from_numpy(self.representations["symbol"].ids(Notes(*columns, (Track(),))))[:, None]

    def confidence(self, z, target, condition=None):
        return torch.ones(len(z), 1, 3)


@pytest.fixture(scope="module")
def player():
    with torch.no_grad():
        yield Player(Ear().eval(), 1)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def scored(player, pair, tuning=0.0, **options):
    """Score with a tolerance of 300 ms, as sines that begin at once are smeared by the transform."""
    heard, truth = aligned.read(player, pair, tuning)
    return aligned.score(player, heard, truth, 0.3, **options)


# -- scores -----------------------------------------------------------------------------------------------------------


def test_a_good_ear_scores_well(player, tmp_path):
    result = summary([scored(player, write_piece(tmp_path, "a", MELODY), classifier=player.model)], 0)
    assert (
        result["frames"]["total"] == int(np.ceil(3.5 * RATE / 704)) == sum(v for k, v in result["frames"].items() if k != "total")
    )
    assert result["transcription"] == result["classifier"]
    for name, least in {"pitch": 0.95, "octave": 0.95, "note": 0.95, "dynamics": 0.9}.items():
        found = result["transcription"][name]
        assert found["value"] >= least and found["groups"] == 4 and found["low"] <= found["value"] <= found["high"]
    for name in ("onset", "onset_velocity"):
        assert result["notes"][name]["f1"] == 1.0 and "f1_by_file" not in result["notes"][name]
    assert abs(result["onset_lateness_s"]["median"]) < 0.25 and result["onset_lateness_s"]["n"] == 4
    assert result["voicing"]["recall"]["value"] > 0.95 and result["voicing"]["false_alarm"]["n"] == result["frames"]["silent"]
    assert result["signal_to_signal"]["log_spectral_distance_db"]["value"] < 7
    assert abs(result["level_gain_db"]["median"]) < 2


def test_a_deaf_ear_scores_badly(player, tmp_path):
    pair = write_piece(tmp_path, "a", MELODY)
    wrong = Notes.load(pair.midi).transpose(1)
    wrong.save(pair.midi)
    result = summary([scored(player, pair)], 0)
    assert result["transcription"]["note"]["value"] < 0.05 and result["notes"]["onset"]["matched"] == 0
    assert result["onset_lateness_s"] is None
    right = summary([scored(player, write_piece(tmp_path, "b", MELODY))], 0)
    worse, better = (r["symbol_to_signal"]["log_spectral_distance_db"]["value"] for r in (result, right))
    assert worse > better + 1


def test_levels_are_matched_by_one_gain_a_file(player, tmp_path):
    pair = write_piece(tmp_path, "a", MELODY)
    samples = Audio.load(pair.audio).samples
    Audio(samples / 8, RATE).save(pair.audio)
    result = summary([scored(player, pair)], 0)
    assert result["level_gain_db"]["median"] == pytest.approx(-20 * np.log10(8), abs=2)
    name = "log_spectral_distance_db"
    assert result["symbol_to_signal_level_matched"][name]["value"] < result["symbol_to_signal"][name]["value"]


def test_dynamics_of_one_velocity_say_nothing(player, tmp_path):
    constant = [(onset, offset, pitch, 96) for onset, offset, pitch, _ in MELODY]
    flat_one, varied = write_piece(tmp_path, "a", constant), write_piece(tmp_path, "b", MELODY)
    first, second = scored(player, flat_one), scored(player, varied)
    result = summary([first], 0)
    assert result["transcription"]["dynamics"] is None and result["notes"]["onset_velocity"] is None
    assert result["transcription"]["note"]["value"] > 0.9
    together = summary([first, second], 0)
    assert together["transcription"]["dynamics"]["n"] == len(second.group)
    assert together["transcription"]["note"]["n"] == len(first.group) + len(second.group)
    assert together["transcription"]["note"]["groups"] == 2
    assert together["notes"]["onset_velocity"]["reference"] == 4 and together["notes"]["onset"]["reference"] == 8


def test_only_what_labels_tell_is_compared():
    notes = Notes([0, 1, 2], [1, 2, 3], [57, 69, 62], [40, 80, 90], [0, 0, 0], (Track(),))
    whole = Labels((("octave", ("3", "4")), ("pitch", ("A", "C")), ("dynamics", ("p", "f"))), ("flute",), False, 30.0)
    assert aligned.sheet(whole, notes).pitch.tolist() == [57, 69, 62] and aligned.sheet(whole, notes).dynamic
    classes = Labels((("pitch", ("A", "C")),), ("flute",), False, 30.0)
    assert aligned.sheet(classes, notes).pitch.tolist() == [69, 69, 62]  # D is none of the tables'
    assert not aligned.sheet(classes, notes).dynamic


def test_totals_add_up(player, tmp_path):
    parts = [scored(player, write_piece(tmp_path, name, MELODY[:n])) for name, n in (("a", 1), ("b", 3))]
    together = summary(parts, 0)
    assert together["frames"]["playable"] == sum(part.frames["playable"] for part in parts)
    assert together["notes"]["onset"]["reference"] == 4 and together["notes"]["onset"]["f1_by_file"]["groups"] == 2
    values = torch.cat([part.values["transcription"]["pitch"] for part in parts])
    assert together["transcription"]["pitch"]["value"] == pytest.approx(values.mean().item())


def test_a_file_with_no_playable_frame(player, tmp_path):
    chords = [(0.3, 1.0, 69, 96), (0.3, 1.0, 76, 49)]
    result = summary([scored(player, write_piece(tmp_path, "a", chords))], 0)
    assert result["frames"]["playable"] == 0 and result["frames"]["polyphonic"] > 10
    assert result["transcription"]["note"] is result["signal_to_signal"]["itakura_saito"] is result["level_gain_db"] is None
    assert result["notes"]["onset"]["reference"] == 2
    json.dumps(result, allow_nan=False)


def test_several_instruments(tmp_path):
    folder = make_run(tmp_path / "duo", instruments=("flute", "cello"), random_mode="bernoulli")
    duo = aligned.load(folder, torch.device("cpu"), None, 1)
    tracks = (Track("cello", 42), Track("flute", 73))
    pair = write_piece(tmp_path, "a", [(0.2, 1.0, 69, 96, 0), (0.5, 1.4, 76, 49, 1)], tracks=tracks)
    result = summary([scored(duo, pair)], 0)
    assert {"note", "note_assigned", "octave", "dynamics_assigned", "sounding"} <= set(result["transcription"])
    assert result["notes"]["onset_instrument"]["matched"] <= result["notes"]["onset"]["matched"]
    chords = [(0.3, 1.0, 69, 96, 0), (0.3, 1.0, 76, 49, 0)]
    nothing = summary([scored(duo, write_piece(tmp_path, "b", chords, tracks=tracks))], 0)
    assert nothing["transcription"]["note_assigned"] is None


# -- tuning -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cents", [-40, 0, 30])
def test_tuning_is_found_and_undone(player, tmp_path, cents):
    pair = write_piece(tmp_path, "a", MELODY, cents)
    heard = aligned.listen(player, pair.audio, "auto")
    assert abs(heard.cents - cents) <= 16
    straight = aligned.listen(player, write_piece(tmp_path, "b", MELODY).audio)
    undone = aligned.listen(player, pair.audio, float(cents))
    assert undone.cents == cents
    off = (undone.frames.argmax(1) - straight.frames.argmax(1))[15:45].abs()
    assert off.float().median() == 0


def test_other_scales_have_no_tuning(tmp_path):
    folder = make_run(tmp_path / "run", scale="mel", bins_per_octave=20)
    mel = aligned.load(folder, torch.device("cpu"), None, 1)
    pair = write_piece(tmp_path, "a", MELODY)
    assert aligned.listen(mel, pair.audio, "auto").cents == 0
    with pytest.raises(InputError, match="--scale octave, not mel"):
        aligned.listen(mel, pair.audio, 10.0)


# -- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "amplitude", "message"),
    [(0.01, 0.5, "lasts 10 ms, a note at least 96 ms"), (1.0, 0.0, "is silent, it peaks below -80 dB")],
)
def test_recordings_without_notes(player, tmp_path, seconds, amplitude, message):
    Audio(sine(69, seconds, amplitude).astype(np.float32), RATE).save(tmp_path / "a.wav")
    with pytest.raises(InputError, match=message):
        aligned.listen(player, tmp_path / "a.wav")


def test_runs_that_know_no_notes(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", labels=("dynamics",))
    with pytest.raises(InputError, match="names no pitch"):
        aligned.load(folder, torch.device("cpu"), None, 1)
    ear = Ear()
    ear.representations = {"signal": ear.representations["signal"]}
    monkeypatch.setattr("models.aligned.load_run", lambda *args: ear)
    with pytest.raises(InputError, match="knows no symbol, only signal"):
        aligned.load(folder, torch.device("cpu"), None, 1)


def test_a_classifier_that_is_not_there(tmp_path, caplog):
    folder = make_run(tmp_path / "run")
    assert aligned.load_classifier(folder, aligned.load(folder, torch.device("cpu"), None, 1)) is None
    assert "no classifier is scored" in caplog.text


def test_a_classifier_that_is_there(tmp_path):
    folder = make_run(tmp_path / "run")
    player = aligned.load(folder, torch.device("cpu"), None, 1)
    network = crossmodal.baselines(player.model)[aligned.CLASSIFIER]
    place = make_folder(baselines.folder(folder, aligned.CLASSIFIER))
    save_state(place / BEST, {"model": network.state_dict()})
    write_json(place / baselines.RECORD, baselines.record(aligned.CLASSIFIER, player.model, {"train": None, "valid": None}))
    loaded = aligned.load_classifier(folder, player)
    result = summary([scored(player, write_piece(tmp_path, "a", MELODY), classifier=loaded)], 0)
    assert set(result["classifier"]) == set(result["transcription"])


# -- results ----------------------------------------------------------------------------------------------------------


def test_flat_names():
    assert dict(flat({"a": {"b": 1, "c": {"d": None}}, "e": 2.5})) == {"a.b": 1, "a.c.d": None, "e": 2.5}


def test_tables_say_what_is_not_known(tmp_path):
    known = {"frames": {"playable": 3}, "transcription": {"note": {"value": 0.25}}, "onset_lateness_s": {"median": 0.0314}}
    row = table({"x": known}).splitlines()[-1]
    assert row.startswith("| x | 3 | - | - | 0.250 | - | - |") and "| 31 |" in row
    write_results(tmp_path, {"files": {"a": {"n": None, "m": 1}}, "total": {"m": 2}})
    assert (tmp_path / "results.csv").read_text().splitlines() == ["file,n,m", "a,,1", "total,,2"]


# -- the benchmark that makes aligned recordings ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return instruments.read(corpora.instruments(folder, octaves=(4, 5), pitches=PITCH_CLASSES))


def test_pieces_are_made_of_held_out_notes_at_their_times(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", (3.0, 4.0))
    paths = benchmark.make(tmp_path, corpus, ["Reed"], 2, 0)
    assert [path.name for path in paths] == ["Reed_1.wav", "Reed_2.wav"] and len(Recordings.find(tmp_path).pairs) == 2
    allowed = {note.labels["pitch"] + note.labels["octave"] for note in benchmark.held_out(corpus, "Reed")}
    assert all(split_of(note.identity) == "test" for note in benchmark.held_out(corpus, "Reed"))
    notes, sound = Notes.load(paths[0].with_suffix(".mid")), Audio.load(paths[0])
    names = {PITCH_CLASSES[(pitch - 9) % 12] + str(pitch // 12 - 1) for pitch in notes.pitch.tolist()}
    assert names <= allowed and set(notes.velocity.tolist()) <= {49, 96} and notes.tracks[0].name == "Reed"
    assert 3 <= sound.duration <= 4 and notes.duration <= sound.duration + 1e-3
    loud = np.abs(sound.samples) > 0.003
    for onset, offset in zip(notes.onset, notes.offset, strict=True):
        assert loud[round((onset + 0.01) * sound.sample_rate) : round((offset - 0.02) * sound.sample_rate)].mean() > 0.5
    rest = np.ones(len(loud), bool)
    for onset, offset in zip(notes.onset, notes.offset, strict=True):
        rest[round((onset - 0.002) * sound.sample_rate) : round((offset + 0.002) * sound.sample_rate)] = False
    assert not loud[rest].any()


def test_pieces_depend_on_the_seed_alone(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", (3.0, 4.0))
    first, again, other = (benchmark.make(tmp_path / str(i), corpus, ["Reed"], 1, seed)[0] for i, seed in enumerate((0, 0, 1)))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_pieces_for_two(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", (3.0, 4.0))
    (path,) = benchmark.make(tmp_path, corpus, ["Reed", "Brass"], 1, 0)
    notes = Notes.load(path.with_suffix(".mid"))
    assert [track.name for track in notes.tracks] == ["Reed", "Brass"] and np.abs(Audio.load(path).samples).max() < 1


def test_trimming_and_fading():
    rate = benchmark.RATE
    sound = np.concatenate([np.zeros(rate // 10), np.ones(rate // 5), np.zeros(rate // 10)]).astype(np.float32)
    assert len(benchmark.trimmed(sound)) == pytest.approx(rate // 5, abs=2 * benchmark.STEP * rate)
    faded = benchmark.faded(np.ones(rate, np.float32))
    assert faded[0] < 0.01 and faded[-1] < 0.01 and faded[rate // 2] == 1


@pytest.mark.parametrize(("argv", "message"), [(["--files", "0"], "--files must be 1"), (["--dbroot", "none"], "does not exist")])
def test_bad_requests(tmp_path, argv, message):
    with pytest.raises(InputError, match=message):
        benchmark.main(["--output", str(tmp_path), "--instruments", "flute", *argv])
