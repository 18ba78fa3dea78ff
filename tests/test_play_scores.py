"""The modes of lt_play.py for runs of scores: music from seeds and through keys, pieces made anew and melted into each other."""

import math

import numpy as np
import pytest
import torch

import lt_play
from data import score_files
from data.audio import Audio
from data.keys import Key, in_key_fraction
from data.scores import read
from models.classifying import Model
from models.play_pieces import joined, windows_of
from models.play_scores import between
from models.runs import load_run
from models.score import Manner
from tests.score_runs import make_score_run, roll_of, silent, table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_score_run(tmp_path_factory.mktemp("keys"), model="lstm", use_x_prev=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_score_run(tmp_path_factory.mktemp("plain"), model="vae", classify=False, seq_length=1)


@pytest.fixture(autouse=True)
def piano(request, monkeypatch):
    """Play nothing on the piano, which takes long, unless a test is about sound."""
    if "sound" not in request.node.name:
        monkeypatch.setattr("data.performance.perform", silent)


@pytest.fixture
def asked(monkeypatch):
    """Note what models are asked to go on from."""
    calls, generate = [], Model.generate

    def noting(model, seed, steps, told, manner, random):
        calls.append((seed, steps, told, manner))
        return generate(model, seed, steps, told, manner, random)

    monkeypatch.setattr(Model, "generate", noting)
    return calls


def play(mode, run, *argv):
    return lt_play.main([mode, "-m", str(run), *map(str, argv)])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def song(run, tonic=60, number=0):
    return run.parent / "songs" / f"{tonic}_{number}.mid"


# -- sample -----------------------------------------------------------------------------------------------------------


def test_samples_go_on_from_places_of_pieces(run, tmp_path, capsys):
    assert play("sample", run, "-n", 2, "-t", 6, "--split", "all", "-o", tmp_path, "--infer_w") == 0
    ends = (".mid", ".wav", "_seed.mid", "_seed.wav", ".pdf")
    made = [f"sample_{number}{end}" for number in range(2) for end in ends]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in [*made, "samples.csv"]]
    assert names(tmp_path) == sorted([*made, "samples.csv"])
    pieces = {piece.name: piece for piece in read(run.parent / "songs")}
    for number, row in enumerate(table(tmp_path / "samples.csv")):
        piece, first = pieces[row["piece"]], int(row["first_step"])
        assert (row["sample"], row["seed_steps"], row["key_of_piece"], row["how"]) == (
            str(number),
            "6",
            piece.key.label,
            "inferred",
        )
        np.testing.assert_array_equal(roll_of(tmp_path / f"sample_{number}_seed.mid", 6), piece.frames[first : first + 6])
        roll = roll_of(tmp_path / f"sample_{number}.mid", 6)
        assert float(row["in_key"]) == pytest.approx(in_key_fraction(roll, Key(row["key"])), abs=1e-4)
        assert float(row["in_key_of_piece"]) == pytest.approx(in_key_fraction(roll, piece.key), abs=1e-4)
        assert float(row["notes_a_frame"]) == pytest.approx(roll.sum() / 6, abs=1e-4)
        assert float(row["empty_frames"]) == pytest.approx((~roll.any(1)).mean(), abs=1e-4)
        assert Audio.load(tmp_path / f"sample_{number}.wav").duration == pytest.approx(6 * 0.5)


def test_the_sound_lasts_as_long_as_the_music(run, tmp_path):
    assert play("sample", run, "-t", 2, "--tempo", 60, "-i", song(run), "-o", tmp_path, "-g", 0) == 0
    sound = Audio.load(tmp_path / "sample_0_seed.wav")
    assert 2 <= sound.duration <= 5 and np.abs(sound.samples).max() > 0.01


NAMES = ("C", "D-", "E-")
C, FLAT = [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]


@pytest.mark.parametrize(
    ("flags", "weights", "how", "key"),
    [
        ([], C, "told", "C"),
        (["--key", "Eb"], FLAT, "told", "E-"),
        (["--key", "c minor"], FLAT, "told", "E-"),
        (["--w", "one_hot"], [1, 0, 0], "told", "C"),
        (["--key", "E- major", "--w", "one_hot"], [0, 0, 1], "told", "E-"),
    ],
)
def test_keys_are_told(run, tmp_path, asked, flags, weights, how, key):
    assert play("sample", run, "-i", song(run), "-n", 2, "-t", 3, "-g", 0, "-o", tmp_path, *flags) == 0
    ((_, _, told, _),) = asked
    assert told.numpy() == pytest.approx(np.array([weights] * 2), abs=1e-6)
    for row in table(tmp_path / "samples.csv"):
        assert (row["how"], row["key"], float(row["weight"])) == (how, key, pytest.approx(max(weights), abs=1e-4))


@pytest.mark.parametrize("drawn", [False, True])
def test_keys_are_inferred(run, tmp_path, asked, drawn):
    flags = ["--discrete_w"] if drawn else []
    assert play("sample", run, "--split", "all", "--infer_w", *flags, "-n", 20, "-t", 5, "-g", 0, "-o", tmp_path) == 0
    ((seed, _, told, _),) = asked
    own = load_run(run).key_of(seed).detach()
    if not drawn:
        assert told.numpy() == pytest.approx(own.numpy(), abs=1e-6)
        return
    assert told.sum(1).tolist() == [1.0] * 20 and told.amax(1).tolist() == [1.0] * 20
    assert told.mean(0).tolist() == pytest.approx(own.mean(0).tolist(), abs=0.3)


def test_music_may_begin_from_nothing(run, tmp_path, asked):
    assert play("sample", run, "--seed_frames", 0, "-n", 12, "-t", 3, "-g", 0, "-o", tmp_path) == 0
    ((seed, steps, told, _),) = asked
    assert seed.shape == (12, 0, 88) and steps == 3
    rows = table(tmp_path / "samples.csv")
    assert {row["key"] for row in rows} == {"C", "E-"} and {row["how"] for row in rows} == {"drawn"}
    expected = np.array([C if row["key"] == "C" else FLAT for row in rows])
    assert told.numpy() == pytest.approx(expected, abs=1e-6)
    assert play("sample", run, "--seed_frames", 0, "-t", 3, "--key", "C", "-o", tmp_path) == 0
    assert (
        (tmp_path / "sample_0.pdf").exists()
        and not list(tmp_path.glob("*_seed*"))
        and rows[0]["piece"] == rows[0]["in_key_of_piece"] == ""
    )


def test_manners_arrive(run, tmp_path, asked):
    assert play("sample", run, "-i", song(run), "--use_z_prior", "--temperature", 0, "-t", 3, "-g", 0, "-o", tmp_path) == 0
    assert asked[0][3] == Manner(temperature=0.0, prior=True)


def test_equal_seeds_of_the_random_numbers_make_equal_music(run, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert play("sample", run, "--infer_w", "-t", 8, "--seed", seed, "-g", 0, "-o", tmp_path / folder) == 0
    same, again, other = ((tmp_path / folder / "sample_0.mid").read_bytes() for folder in "abc")
    assert same == again != other


def test_only_seeds_in_a_key(run, tmp_path):
    assert play("sample", run, "--split", "all", "-c", "eb", "-n", 9, "-t", 3, "-g", 0, "-o", tmp_path, "--infer_w") == 2
    assert play("sample", run, "--split", "all", "-c", "Eb", "-n", 9, "-t", 3, "-g", 0, "-o", tmp_path, "--infer_w") == 0
    assert {row["piece"].split("_")[0] for row in table(tmp_path / "samples.csv")} == {"63"}


def test_pieces_in_keys_that_training_has_not_seen_are_left_out(run, tmp_path, caplog):
    assert play("sample", run, "-i", song(run, 61), song(run), "-n", 9, "-t", 3, "-g", 0, "-o", tmp_path) == 0
    assert "left out, as they are in keys that training has not seen: 61_0" in caplog.text
    assert {row["piece"] for row in table(tmp_path / "samples.csv")} == {"60_0"}


def test_short_pieces_are_seeds_as_a_whole(run, tmp_path, caplog, asked):
    short, shorter = tmp_path / "short.mid", tmp_path / "shorter.mid"
    for path, steps in ((short, 5), (shorter, 3)):
        frames = read(song(run)).pieces[0].frames[:steps]
        score_files.write(path, frames)
    pieces = [song(run), short, shorter]
    assert (
        play("sample", run, "-i", *pieces, "--infer_w", "-n", 30, "--seed_frames", 8, "-t", 2, "-g", 0, "-o", tmp_path / "o") == 0
    )
    assert "left out, as they have less than 4 steps: shorter" in caplog.text
    assert [seed.shape[1] for seed, *_ in asked] == [5, 8]
    rows = table(tmp_path / "o" / "samples.csv")
    assert {(row["piece"], row["seed_steps"]) for row in rows} == {("60_0", "8"), ("short", "5")}


def test_a_run_that_is_told_no_key(plain, tmp_path):
    assert play("sample", plain, "-i", song(plain, 63), "-t", 3, "-o", tmp_path) == 0
    (row,) = table(tmp_path / "samples.csv")
    assert (row["how"], row["key"], row["weight"], row["seed_steps"]) == ("", "E-", "", "1")


def test_pieces_go_by_their_names_too(run, tmp_path):
    assert play("sample", run, "-i", "63_1", "-t", 3, "-g", 0, "-o", tmp_path) == 0
    assert table(tmp_path / "samples.csv")[0]["piece"] == "63_1"


# -- key_path ---------------------------------------------------------------------------------------------------------


def test_weights_rest_and_then_go_straight():
    weights = between(torch.eye(3), 8).numpy()
    assert weights.shape == (24, 3) and weights.sum(1) == pytest.approx(1)
    assert (weights[:6] == [1, 0, 0]).all() and (weights[10:14] == [0, 1, 0]).all() and (weights[18:] == [0, 0, 1]).all()
    assert weights[6:10, 0].tolist() == pytest.approx([0.875, 0.625, 0.375, 0.125])
    assert weights[6:10, 1].tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])


def test_a_path_through_keys(run, tmp_path, asked, capsys):
    assert play("key_path", run, "--keys", "C", "Eb", "a", "-t", 4, "-o", tmp_path) == 0
    made = [f"key_path{end}" for end in (".mid", ".wav", ".csv", ".pdf")]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in made]
    ((seed, steps, told, _),) = asked
    assert (seed.shape, steps, told.shape) == ((1, 0, 88), 12, (1, 12, 3))
    assert told[0, [0, 6, 11]].numpy() == pytest.approx(np.array([C, FLAT, C]), abs=1e-6)
    roll, rows = roll_of(tmp_path / "key_path.mid", 12), table(tmp_path / "key_path.csv")
    assert [(row["key"], row["first_step"], row["told"]) for row in rows] == [("C", "0", "C"), ("E-", "4", "E-"), ("a", "8", "C")]
    for number, row in enumerate(rows):
        share = in_key_fraction(roll[4 * number : 4 * number + 4], Key(row["key"]))
        assert row["in_key"] == "" if math.isnan(share) else float(row["in_key"]) == pytest.approx(share, abs=1e-4)


def test_a_path_may_go_on_from_a_piece(run, tmp_path, asked):
    assert (
        play("key_path", run, "--keys", "C", "Eb", "-t", 4, "-i", song(run, 61), "--seed_frames", 5, "-o", tmp_path, "-g", 0) == 0
    )
    assert asked[0][0].shape == (1, 5, 88) and asked[0][0].any()


# -- interpolate ------------------------------------------------------------------------------------------------------


def test_between_two_pieces(run, tmp_path, capsys):
    flags = ("--n_steps", 3, "-t", 6, "--temperature", 0, "-o", tmp_path)
    assert play("interpolate", run, "-i", song(run), "63_0", *flags) == 0
    made = [f"60_0_63_0{end}" for end in (".mid", ".wav", ".csv", ".pdf")]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in made]
    model, rows = load_run(run), table(tmp_path / "60_0_63_0.csv")
    assert [row["point"] for row in rows] == ["0", "1", "2"]
    x = windows_of(model, read(song(run, 63)).pieces[0])[0][:2]
    x[1, 3:] = -1  # beyond the sixth step
    mean = model.transfer(x, "score", "key").mean(0)
    assert (rows[2]["key"], float(rows[2]["weight"])) == (NAMES[mean.argmax()], pytest.approx(mean.max().item(), abs=1e-4))
    assert Audio.load(tmp_path / made[1]).duration == pytest.approx(3 * 6 * 0.5)


@pytest.mark.parametrize("order", ["0", "1", "3", "spherical"])
def test_the_ends_are_the_pieces_themselves(run, tmp_path, order, monkeypatch):
    decoded, decode = [], Model.decode

    def noting(model, z, target, *args, **options):
        decoded.append((target, z))
        return decode(model, z, target, *args, **options)

    monkeypatch.setattr(Model, "decode", noting)
    flags = ("--n_steps", 4, "-t", 6, "--interp_order", order, "-g", 0, "-o", tmp_path)
    assert play("interpolate", run, "-i", song(run), song(run, 63), *flags) == 0
    points = torch.cat([z for target, z in decoded if target == "score"]).unflatten(0, (4, -1))
    model = load_run(run)
    for point, tonic in ((points[0], 60), (points[-1], 63)):
        (piece,) = read(song(run, tonic))
        x = windows_of(model, piece)[0][:2]
        x[1, 3:] = -1  # beyond the sixth step
        assert point.numpy() == pytest.approx(model.encode(x, "score").mean.detach().numpy(), abs=1e-5)
    assert (order == "0") == torch.equal(points[1], points[0])
    if order == "1":
        assert points[1].numpy() == pytest.approx(torch.lerp(points[0], points[3], 1 / 3).numpy(), abs=1e-5)


def test_the_shorter_piece_decides(plain, tmp_path, caplog):
    assert play("interpolate", plain, "-i", song(plain), song(plain, 63), "-t", 30, "--n_steps", 2, "-o", tmp_path) == 0
    assert "the shorter piece has 12 steps" in caplog.text
    assert Audio.load(tmp_path / "60_0_63_0.wav").duration == pytest.approx(24 * 0.5)
    assert [row["key"] for row in table(tmp_path / "60_0_63_0.csv")] == ["", ""]


# -- midi -------------------------------------------------------------------------------------------------------------


def test_a_piece_made_anew(run, tmp_path, capsys, caplog):
    with caplog.at_level("INFO"):
        assert play("midi", run, "-i", song(run), "-o", tmp_path) == 0
    made = ["60_0_reconstruction.mid", "60_0_reconstruction.wav", "60_0.csv", "60_0.pdf"]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in made]
    model, (piece,) = load_run(run), read(song(run))
    x, steps = windows_of(model, piece)
    rows, nll = table(tmp_path / "60_0.csv"), model.nll(x, "score", x, "score").detach()
    assert [int(row["first_step"]) for row in rows] == [0, 4, 8] and steps.tolist() == [4, 4, 4]
    assert [float(row["nll"]) for row in rows] == pytest.approx(nll.tolist(), abs=1e-4)
    weights = model.transfer(x, "score", "key").detach()
    assert [float(row["weight"]) for row in rows] == pytest.approx(weights.amax(1).tolist(), abs=1e-4)
    assert f"key {piece.key} by profile" in caplog.text and f"{nll.mean():.2f} nats a step" in caplog.text


def test_what_a_model_knows_by_heart_comes_back(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "transfer", lambda model, x, source, target: x if target == source else model.key_of(x))
    assert play("midi", run, "-i", song(run), "-t", -3, "-o", tmp_path, "-g", 0) == 0
    expected = np.roll(read(song(run)).pieces[0].frames, -3, axis=1)
    np.testing.assert_array_equal(roll_of(tmp_path / "60_0_reconstruction.mid", 12), expected)


def test_samples_of_latents_differ_from_their_means(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        Model, "decode", lambda model, z, target, **_: asked.append((target, z)) or torch.ones(3, *SHAPES[target]) / 3
    )
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert play("midi", run, "-i", song(run), "-s", 1, "--seed", seed, "-g", 0, "-o", tmp_path / folder) == 0
    first, again, other = (z for target, z in asked if target == "score")
    assert torch.equal(first, again) and not torch.equal(first, other)


SHAPES = {"score": (5, 88), "key": (3,)}


def test_windows_hold_a_piece(run, plain):
    for folder in (run, plain):
        model, (piece,) = load_run(folder), read(song(run))
        x, steps = windows_of(model, piece)
        np.testing.assert_array_equal(joined(model, x, len(piece)), piece.frames)
        assert steps.sum() == len(piece)


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "told", "lacking"),
    [
        ("sample", ["-t STEPS, --frames", "-c KEY, --only", " --cuda"], ["-c CUDA", "--transposition"]),
        ("midi", ["-t SEMITONES, --transposition", "-c CUDA, --cuda"], ["--frames", "--only"]),
        ("interpolate", ["-t STEPS, --frames", "-c CUDA, --cuda", "(default: 8;"], ["--only"]),
    ],
)
def test_short_names_are_those_of_the_mode(mode, told, lacking, capsys):
    assert lt_play.main([mode, "--info"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(words in text for words in told) and not any(words in text for words in lacking)


def test_the_whole_help_has_each_short_name_once():
    text = " ".join(lt_play.parser().format_help().split())
    assert "-t SEMITONES, --transposition" in text and "-c CUDA, --cuda" in text and "-t STEPS" not in text and "-c KEY" not in text


def test_a_mode_need_not_come_first(run, tmp_path):
    assert lt_play.main(["--seed", "3", "sample", "-m", str(run), "-t", "2", "--infer_w", "-g", "0", "-o", str(tmp_path)]) == 0
