"""What is wrong with what the modes for runs of scores are given is said in one line, and nothing is written."""

import pytest
import torch

import lt_play
from data import score_files
from data.keys import Key
from data.notes import Notes
from data.rolls import from_steps
from models import seeds, told_keys
from models.music_files import pace
from models.runs import load_run
from tests.pieces import piece_in
from tests.runs import make_run
from tests.score_runs import make_score_run, silent
from utils.config import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_score_run(tmp_path_factory.mktemp("keys"), model="lstm")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_score_run(tmp_path_factory.mktemp("plain"), model="lstm", classify=False)


@pytest.fixture(autouse=True)
def piano(monkeypatch):
    monkeypatch.setattr("data.performance.perform", silent)


def refused(capsys, out, mode, run, *argv):
    """Return the one line that says why nothing was written."""
    assert lt_play.main([mode, "-m", str(run), *map(str, argv), "-o", str(out)]) == 2
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and not told.out and not (out.exists() and list(out.iterdir()))
    return errors[0]


def song(run, tonic=60):
    return run.parent / "songs" / f"{tonic}_0.mid"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--key", "H"], "'H' is no key"),
        (["--key", "F"], "F: this run has not seen that key in training; it knows C E-"),
        (["--key", "Db"], "Db: this run has not seen that key in training"),
        (["--only", "nonsense"], "is no key"),
        (["--only", "F#", "--split", "all"], "--only F#: no piece is in that key; there are some in C D- E-"),
        (["-i", "there/is/none.mid"], "no such file or folder, nor a piece of the run's corpus, as 60_0, 60_1"),
        (["--infer_w", "--seed_frames", "13"], "--seed_frames 13: the longest piece has 12 steps; give less"),
        (["--discrete_w"], "--discrete_w: draws from what is inferred; give --infer_w, too"),
        (["--key", "C", "--infer_w"], "--key and --infer_w: a key is either told or inferred"),
        (["--w", "one_hot", "--infer_w"], "--w and --infer_w: what is inferred has its own weights"),
        (["--seed_frames", "0", "--infer_w"], "--infer_w: is of seeds, and with --seed_frames 0 there are none"),
        (["--seed_frames", "0", "-c", "C"], "--only: is of seeds"),
        (["--seed_frames", "0", "-i", "60_0"], "--input: is of seeds"),
        (["--split", "train", "-i", "60_0"], "--split and --input: a split is one of the run's corpus"),
        (["--tempo", "2000", "--infer_w"], "--tempo 2000: must lie within 4-1000"),
        (["-t", "30000", "--infer_w"], "30000 steps last longer than 3600 s at 120 quarters a minute: take 7200 at most"),
        (["-n", "999999999", "--infer_w"], "frames are asked for, and 1000000 can be written at once"),
    ],
)
def test_samples(run, tmp_path, capsys, flags, message):
    assert message in refused(capsys, tmp_path / "out", "sample", run, *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--temperature", "nan"], "argument --temperature: must be a finite number, 0 or more, not nan"),
        (["--temperature", "-1"], "must be a finite number, 0 or more, not -1"),
        (["--temperature", "inf"], "must be a finite number"),
        (["--tempo", "0"], "argument --tempo/--qpm: must be a finite number above 0"),
        (["-t", "0"], "argument -t/--frames: must be a whole number, 1 to 100000, not 0"),
        (["-t", "100001"], "must be a whole number, 1 to 100000, not 100001"),
        (["--seed_frames", "-1"], "argument --seed_frames: must be a whole number, 0 to 100000"),
        (["-n", "0"], "argument -n/--n_generations/--num_outputs: must be a whole number, 1 or more"),
        (["--w", "soft"], "argument --w: invalid choice: 'soft'"),
        (["--transposition", "3"], "sample: takes no --transposition; lt_play.py sample --info says what it takes"),
        (["-d", "mf"], "sample: takes no --dynamics"),
        (["--griffinlim_iters=3"], "sample: takes no --griffinlim_iters;"),
        (["--keyz", "C"], "sample: takes no --keyz"),
    ],
)
def test_flags_of_samples(run, flags, message):
    with pytest.raises(InputError, match=message):
        lt_play.main(["sample", "-m", str(run), *flags])


@pytest.mark.parametrize("flags", [["--key", "C"], ["--infer_w"], ["--discrete_w"], ["--w", "mean"]])
def test_keys_of_a_run_that_is_told_none(plain, tmp_path, capsys, flags):
    message = refused(capsys, tmp_path / "out", "sample", plain, *flags)
    assert f"{flags[0]}: this run was trained with --no-classify, and is told no key" in message


def test_a_split_without_pieces(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("data.scores.Pieces.of", lambda pieces, split: ())
    assert "has no test pieces: try --split all" in refused(capsys, tmp_path / "out", "sample", run)


def test_a_corpus_that_is_gone(run, tmp_path, capsys, monkeypatch):
    def gone(config):
        raise InputError("songs: is gone")

    monkeypatch.setattr("models.classifying_config.Config.corpus", gone)
    assert "songs: is gone" in refused(capsys, tmp_path / "a", "sample", run)
    assert "x: no such file or folder, and the run's corpus cannot be read" in refused(
        capsys, tmp_path / "b", "sample", run, "-i", "x"
    )
    assert lt_play.main(["sample", "-m", str(run), "-i", str(song(run)), "-t", "2", "-g", "0", "-o", str(tmp_path / "c")]) == 0


def test_keys_that_training_has_not_seen(run, tmp_path, capsys):
    message = refused(capsys, tmp_path / "out", "sample", run, "-i", song(run, 61))
    assert "training has not seen the keys of these pieces, D-: tell another by --key, or take --infer_w" in message


def test_a_run_that_has_seen_nothing_yet(run):
    model = load_run(run)
    model.usual.fill_(1 / 3)
    with pytest.raises(InputError, match="training has not seen any key yet"):
        told_keys.seen(model)


def test_files_without_notes(run, tmp_path, capsys):
    Notes.empty().save(tmp_path / "empty.mid")
    (tmp_path / "text.mid").write_text("no music")
    for name, mode in (("empty", "sample"), ("empty", "midi"), ("text", "sample"), ("text", "midi")):
        assert str(tmp_path / f"{name}.mid") in refused(capsys, tmp_path / "out", mode, run, "-i", tmp_path / f"{name}.mid")


def test_pieces_that_are_too_short(run, tmp_path, capsys):
    score_files.write(tmp_path / "short.mid", from_steps([[60, 64, 67]] * 3))
    message = refused(capsys, tmp_path / "out", "sample", run, "-i", tmp_path / "short.mid", "--infer_w")
    assert "a seed takes 4 steps, and the longest piece has 3" in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--keys: give two keys or more"),
        (["--keys", "C"], "--keys: give two keys or more"),
        (["--keys", "C", "x"], "'x' is no key"),
        (["--keys", "C", "Db"], "Db: this run has not seen that key"),
        (["--keys", "C", "Eb", "--seed_frames", "3"], "--seed_frames 3: give pieces that the seed is from with -i"),
        (["--keys", "C", "Eb", "-i", "60_0", "--seed_frames", "0"], "--input: is of seeds"),
        (["--keys", *["C"] * 11, "-t", "100000"], "1100000 frames are asked for"),
        (["--keys", "C", "Eb", "-t", "4000"], "8000 steps last longer than 3600 s"),
    ],
)
def test_paths(run, tmp_path, capsys, flags, message):
    assert message in refused(capsys, tmp_path / "out", "key_path", run, *flags)


def test_a_path_of_a_run_without_keys(plain, tmp_path, capsys):
    message = refused(capsys, tmp_path / "out", "key_path", plain, "--keys", "C", "Eb")
    assert "needs a run with the modality key; this one has score" in message


def test_interpolation(run, tmp_path, capsys):
    out, songs = tmp_path / "out", song(run).parent
    with pytest.raises(InputError, match="interpolate: give two pieces with -i"):
        lt_play.main(["interpolate", "-m", str(run)])
    assert "1 are given with -i: interpolate takes two pieces" in refused(capsys, out, "interpolate", run, "-i", "60_0")
    assert "is 12 pieces, of which one is needed" in refused(capsys, out, "interpolate", run, "-i", songs, "60_0")
    two = ("-i", "60_0", "63_0")
    assert "there are 2 at least" in refused(capsys, out, "interpolate", run, *two, "--n_steps", 1)
    assert "last longer than 3600 s" in refused(capsys, out, "interpolate", run, *two, "--n_steps", 1000)
    assert "frames are asked for" in refused(capsys, out, "interpolate", run, *two, "--n_steps", 999999999)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-t", "88"], "-t 88: transpose by less than the 88 keys"),
        (["-t", "-" + "9" * 50], "transpose by less"),
    ],
)
def test_pieces_made_anew(run, tmp_path, capsys, flags, message):
    told = refused(capsys, tmp_path / "out", "midi", run, "-i", song(run), *flags)
    assert message in told and str(song(run)) in told


@pytest.mark.parametrize(("flag", "value"), [("dynamics", "mf"), ("griffinlim_iters", "9"), ("temperature", "1")])
def test_flags_of_other_runs(run, tmp_path, capsys, flag, value):
    told = refused(capsys, tmp_path / "out", "midi", run, "-i", song(run), f"--{flag}", value)
    assert f"{run}: --{flag}: is for runs of another kind than this one, which has score, key" in told


def test_tables_are_no_one_piece(run, tmp_path, capsys):
    songs = '{"train": [[[60], [62]], [[64], [65]]], "test": []}'
    (tmp_path / "songs.json").write_text(songs)
    assert "holds 2 pieces; give files of one" in refused(capsys, tmp_path / "out", "midi", run, "-i", tmp_path / "songs.json")


def test_nothing_beside_a_piece_is_replaced(run, tmp_path, capsys):
    path = tmp_path / "a.mid"
    path.write_bytes(song(run).read_bytes())
    (tmp_path / "a.pdf").write_text("mine")
    assert lt_play.main(["midi", "-m", str(run), "-i", str(path), "-o", str(tmp_path)]) == 2
    assert f"would replace {tmp_path / 'a.pdf'}" in capsys.readouterr().err and (tmp_path / "a.pdf").read_text() == "mine"


def test_runs_of_sound_write_no_music(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    for mode, flags in (("sample", []), ("key_path", ["--keys", "C", "G"]), ("interpolate", ["-i", "a", "b"])):
        assert "needs a run with the modality score" in refused(capsys, tmp_path / "out", mode, run, *flags)


def test_runs_of_scores_make_no_sound(run, tmp_path, capsys):
    for mode in ("trajectory", "random_paths"):
        assert "needs a run with the modality signal; this one has score, key" in refused(capsys, tmp_path / "out", mode, run)


def test_a_pace_is_kept_within_what_can_be_said():
    piece = piece_in("C", [[60]])
    assert pace(None, None, 10, 1) == 120 and pace(None, piece, 10, 1) == piece.tempo and pace(90, piece, 10, 1) == 90
    assert pace(None, piece.__class__(**{**vars(piece), "tempo": 1e6}), 10, 1) == 1000


def test_pieces_of_a_key_go_by_its_class():
    pieces = [piece_in("a", [[60]]), piece_in("C", [[60]]), piece_in("G", [[60]])]
    assert [piece.key.label for piece in seeds.in_key(pieces, Key("C"), True)] == ["a", "C"]
    assert [piece.key.label for piece in seeds.in_key(pieces, Key("C"), False)] == ["C"]
    with pytest.raises(InputError, match="there are some in C G a"):
        seeds.in_key(pieces, Key("D"), False)


def test_each_place_is_as_likely():
    pieces = [piece_in("C", [[60]] * 4), piece_in("C", [[62]] * 6)]
    drawn = seeds.draw(pieces, 4000, 3, 3, torch.Generator().manual_seed(0))
    places = [(seed.piece is pieces[1], seed.first) for seed in drawn]
    assert {places.count(place) // 100 for place in set(places)} <= {5, 6, 7} and len(set(places)) == 6


@pytest.mark.parametrize(("mode", "name", "flags"), [("sample", "sample_0", ()), ("key_path", "key_path", ("--keys", "C", "E-"))])
def test_what_is_read_is_not_replaced(run, tmp_path, capsys, mode, name, flags):
    path = tmp_path / f"{name}.mid"
    score_files.write(path, from_steps([[60, 64, 67]] * 12))
    before = path.read_bytes()
    for given in (path, tmp_path):
        assert lt_play.main([mode, "-m", str(run), "-i", str(given), "-t", "4", "-g", "0", "-o", str(tmp_path), *flags]) == 2
        assert "which is read; give another folder with -o" in capsys.readouterr().err
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]
