"""The classifying system through lt_train.py: on folders of MIDI files and tables, resumed, and what it refuses."""

import json
import math

import pytest
import torch

import lt_train
from data.keys import MAJOR
from models.classifying import datasets
from models.classifying_config import _pieces
from models.evaluation import means, observe, passes
from models.run_config import read_run
from models.run_folder import BEST, HISTORY, LAST, METRICS
from models.runs import load_run
from tests.classifying_runs import make_music
from tests.test_lt_train import assert_same_runs, resume, rows
from tests.test_timbre_training import interrupted
from utils.checkpoint import load_state
from utils.config import InputError

SMALL = "--latent_dim 2 --intermediate_dim 8 --seq_length 2 --batch_size 16 --epochs 2 --plot_epochs 0"


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    return make_music(tmp_path_factory.mktemp("music"))


@pytest.fixture
def train(music, tmp_path, capsys):
    """Return a function that trains in tmp_path/saves and gives (folder, printed metrics)."""

    def call(words="", name="run", root=music):
        fixed = f"--system classifying {SMALL} --save_minutes 0 --name {name}".split()
        where = ["--savedir", str(tmp_path / "saves"), *(["--dbroot", str(root)] if root else [])]
        capsys.readouterr()  # what a resumed run printed
        assert lt_train.main([*fixed, *where, *words.split()]) == 0
        return tmp_path / "saves" / name, json.loads(capsys.readouterr().out)

    return call


def config_of(folder):
    return read_run(folder)[1]


# -- whole runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["vae", "lstm"])
@pytest.mark.parametrize("classify", ["--classify", "--no-classify"])
@pytest.mark.parametrize("more", ["--use_x_prev", "--predict_next --prior learned --output autoregressive"])
def test_every_model_trains_and_reports(train, model, classify, more):
    if model == "vae" and classify == "--no-classify":
        more = more.replace("--prior learned", "")
    if model == "vae" and "--predict_next" in more:
        more += " --seq_length 1"
    folder, printed = train(f"--model {model} {classify} {more}")
    assert {p.name for p in folder.iterdir()} == {"config.json", LAST, BEST, HISTORY, METRICS, ".lock"}
    assert printed == json.loads((folder / METRICS).read_text())
    score = {f"score_to_score.{name}" for name in ("precision", "recall", "f_measure", "whole_frames", "nll")}
    key = {f"score_to_key.{name}" for name in ("key", "key_vote", "nll")} if classify == "--classify" else set()
    assert printed.keys() == score | key
    assert all(math.isfinite(value) for value in printed.values())
    found = rows(folder)
    assert [row["epoch"] for row in found] == [0, 1]
    assert found[1]["train_nll_score"] < found[0]["train_nll_score"]
    assert ("valid_right_key" in found[0]) == (classify == "--classify")
    loaded = load_run(folder)
    observed = observe(loaded, passes(datasets(loaded.config, ["test"])["test"], 1, 0), torch.device("cpu"))
    assert means(observed) == pytest.approx(printed)


def test_what_a_run_knows_of_its_corpus(train):
    config = config_of(train()[0])
    assert config.classes == {"key": ["C", "D", "E-"]}
    assert (config.batch_size, config.seq_length, config.lag) == (16, 2, 0)
    train_pieces = config.corpus().of("train")
    assert config.windows == sum(len(piece) - 1 for piece in train_pieces) == len(datasets(config)["train"])
    assert rows(train(name="again")[0])[0]["step"] == config.epoch_steps


def test_figures(train):
    folder, _ = train("--epochs 1 --plot_epochs 100 --plot_latentspace 1")
    drawn = {p.name for p in (folder / "figures").iterdir()}
    assert drawn == {"history.pdf", "translations_end.pdf", "latents_key_end.png"}


def test_flags_of_the_program_are_understood(train, music, tmp_path):
    """`--train_file` and `--num_epochs`, and its other flags by their names."""
    words = "--num_epochs 1 --model vae --latent_dim 3 --use_x_prev --class_weight 2 --w_log_var_prior 0.5 --kl_anneal 1"
    folder, _ = train(f"{words} --w_kl_anneal 1 --patience 0 --optimizer adam --train_file {music}", root=None)
    config = config_of(folder)
    assert (config.dbroot, config.epochs, config.latent_dim, config.w_log_var_prior) == (str(music), 1, 3, 0.5)
    assert len(rows(folder)) == 1


@pytest.mark.parametrize(("model", "length", "batch"), [("vae", 1, 100), ("lstm", 16, 200)])
def test_sizes_that_are_not_given(train, model, length, batch):
    config = config_of(train(f"--model {model} --seq_length 0 --batch_size 0 --epochs 1")[0])
    assert (config.seq_length, config.batch_size) == (length, batch)


def test_target_keys(train):
    """Pieces in C and D major, copied to both; copies stay in one split."""
    folder, _ = train("--target_keys C G --epochs 1")
    config = config_of(folder)
    assert config.classes == {"key": ["C", "G"]}
    splits = [{piece.identity for piece in config.corpus().of(split)} for split in ("train", "valid", "test")]
    assert sum(map(len, splits)) == len(set().union(*splits)) == len(config.corpus()) / 2
    test = datasets(config)["test"]
    assert len({piece.identity for piece in test.pieces}) == len(test.pieces) / 2


def test_transposition_in_training(train):
    folder, _ = train("--transpose 1 --epochs 1")
    config = config_of(folder)
    assert config.classes == {"key": ["B", "C", "D", "D-", "E", "E-"]}
    data = datasets(config)
    assert data["train"].varies and not data["valid"].varies and not data["test"].varies
    assert config_of(train("--transpose 11 --epochs 1", name="all")[0]).classes["key"] == sorted(MAJOR)


def test_sixteenths(train):
    folder, _ = train("--step 16th --reading onsets --epochs 1")
    config = config_of(folder)
    assert {piece.steps for piece in config.corpus()} == {4}
    assert all(len(piece) >= 45 for piece in config.corpus())
    assert load_run(folder).representations["score"].frame_rate == 4.0


def test_minor_keys_of_their_own(train, tmp_path):
    table = {"train": [[[60, 64, 67], [62, 65, 69]]] * 6, "train_key": ["C", "a"] * 3, "valid": [[[60], [64]]], "valid_key": ["a"]}
    (tmp_path / "songs.json").write_text(json.dumps({**table, "test": [[[62], [65]]], "test_key": ["C"]}))
    words = "--batch_size 4 --epochs 1"
    config = config_of(train(f"--no-relative_major {words}", root=tmp_path / "songs.json")[0])
    assert config.classes == {"key": ["C", "a"]}
    with pytest.raises(InputError, match="all pieces are in C"):
        train(words, name="relative", root=tmp_path / "songs.json")
    config = config_of(train(f"--no-classify {words}", name="plain", root=tmp_path / "songs.json")[0])
    assert config.classes == {"key": sorted(MAJOR)}


def test_it_learns(train):
    folder, scores = train("--epochs 40 --lr 3e-2 --intermediate_dim 32 --latent_dim 4 --model vae --seq_length 1")
    assert scores["score_to_score.f_measure"] > 0.75
    assert scores["score_to_key.key"] > 0.9
    usual = load_run(folder).usual
    assert (usual.argmax(1) == torch.arange(3)).all()


# -- annealing and patience -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["--kl_anneal 3", "--kl_anneal 1 --w_kl_anneal 3"])
def test_the_best_is_found_after_annealing(train, words):
    folder, _ = train(f"{words} --epochs 5 --lr 0.05 --batch_size 32")
    totals = [row["valid_total"] for row in rows(folder)]
    assert load_state(folder / BEST)["epoch"] == 3 + totals[3:].index(min(totals[3:]))


@pytest.mark.parametrize(
    ("words", "epochs"), [("", 3), ("--kl_anneal 4", 7), ("--w_kl_anneal 2 --kl_anneal 1", 5), ("--patience 0", 9)]
)
def test_patience_is_counted_after_annealing(train, words, epochs):
    """Nothing improves on the first epoch that counts, so training ends two epochs after it."""
    folder, _ = train(f"--epochs 9 --patience 2 --lr 1e-12 --batch_size 64 {words}")
    assert len(rows(folder)) == epochs


def test_annealing_weights_change_training_only(train):
    """What is minimised rises with the epochs; validation always has the whole bound."""
    plain, annealed = (train(f"--lr 1e-12 --epochs 2 {words}", name=f"run{n}")[0] for n, words in enumerate(("", "--kl_anneal 2")))
    a, b = rows(plain), rows(annealed)
    assert [row["valid_total"] for row in a] == pytest.approx([row["valid_total"] for row in b], rel=1e-5)
    for epoch, weight in enumerate((0.1, 0.55)):
        less = a[epoch]["train_total"] - b[epoch]["train_total"]
        assert less == pytest.approx((1 - weight) * b[epoch]["train_kl_score"], abs=2e-5)


# -- exactness --------------------------------------------------------------------------------------------------------

VARIED = "--model lstm --use_x_prev --prior learned --transpose 2 --dropout 0.2 --kl_anneal 1"


def test_two_runs_are_equal_and_another_seed_is_another(train):
    first, again, other = (train(f"{VARIED} --seed {seed}", name=f"run{n}")[0] for n, seed in enumerate((0, 0, 1)))
    assert_same_runs(first, again)
    assert rows(first) != rows(other)


@pytest.mark.parametrize("words", [VARIED, "--model vae --predict_next --seq_length 1"])
@pytest.mark.parametrize("at", [1, 7])
def test_resume_equals_an_uninterrupted_run(train, monkeypatch, words, at):
    whole, _ = train(words, name="whole")
    assert load_state(whole / LAST)["position"]["step"] > 7
    interrupted(monkeypatch, at, lambda: train(words, name="broken"))
    broken = whole.parent / "broken"
    assert load_state(broken / LAST)["position"]["step"] == at
    assert resume(broken) == 0
    assert_same_runs(whole, broken)


def test_a_longer_run_is_the_same_as_one_made_longer(train):
    folder, _ = train("--epochs 1", name="short")
    assert resume(folder, "--num_epochs", 2) == 0
    assert_same_runs(folder, train(name="long")[0])
    with pytest.raises(InputError, match="--classify cannot change"):
        resume(folder, "--no-classify")


def test_a_corpus_that_has_changed_is_not_resumed(train, tmp_path):
    root = make_music(tmp_path / "mine")
    folder, _ = train(root=root)
    make_music(root, pieces=6)
    _pieces.cache_clear()  # as in another process
    with pytest.raises(InputError, match="its corpus has changed since"):
        resume(folder, "--epochs", 3)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--predict_next --use_x_prev", "take one of them"),
        ("--model vae --no-classify --prior learned", "--prior learned: has nothing to learn from"),
        ("--seq_length 100000", "--seq_length 100000: must be 4096 or less"),
        ("--seq_length -1", "seq_length"),
        ("--batch_size 1", "--batch_size 1: must be 2 or more"),
        ("--intermediate_dim 0", "--intermediate_dim 0: is for --model vae"),
        ("--kl_anneal 3", "must not be longer than the 2 --epochs"),
        ("--num_epochs 5 --w_kl_anneal 6", "must not be longer than the 5 --epochs"),
        ("--target_keys c", "is in major; add a key for those"),
        ("--target_keys C H", "'H' is no key"),
        ("--target_keys C", "all pieces are in C; there is nothing to tell apart, so --no-classify"),
        ("--transpose 12", "--transpose 12: must be 11 or less"),
        ("--dropout 1", "--dropout 1: must be less than 1"),
        ("--model gru", "gru"),
        ("--step 32nd", "32nd"),
        ("--optimizer sgd", "sgd"),
        ("--classify yes", "yes"),
        ("--dbroot no/such/folder", "no such file or folder"),
        ("--w_log_var_prior nan", "finite"),
        ("--w_log_var_prior -1000", "--w_log_var_prior -1000: must lie within -30 and 30"),
        ("--no-classify --class_weight 2", "--class_weight: is of the key, which --no-classify leaves out"),
        ("--no-classify --w_kl_anneal 1", "--w_kl_anneal: is of the key"),
        ("--model vae --scale_w", "--scale_w: changes nothing for --model vae"),
        ("--model vae --shortcuts", "--shortcuts: are past LSTMs"),
        ("--model vae --predict_next", "--predict_next: of a vae, is of single frames"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(train, tmp_path, words, message):
    with pytest.raises(InputError, match=message) as caught:
        train(words)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "saves" / "run" / BEST).exists()


def test_corpora_that_will_not_do(train, tmp_path):
    one = make_music(tmp_path / "one", tonics=(60,), pieces=3)
    with pytest.raises(InputError, match="one: all pieces are in C"):
        train(root=one)
    assert train("--no-classify --batch_size 4", root=one)[1]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.mid").write_bytes(b"MThd")
    with pytest.raises(InputError, match=r"x\.mid"):
        train(root=tmp_path / "broken", name="none")
    two = make_music(tmp_path / "two", tonics=(60, 61), pieces=1)
    with pytest.raises(InputError, match="2 different pieces or notes cannot be split in three"):
        train(root=two, name="none")
    assert not (tmp_path / "saves" / "none").exists()


def test_windows_longer_than_every_piece(train):
    """They are filled with what does not count."""
    folder, printed = train("--seq_length 40 --use_x_prev --batch_size 4")
    assert all(math.isfinite(value) for value in printed.values())
    assert config_of(folder).windows == len(config_of(folder).corpus().of("train"))
