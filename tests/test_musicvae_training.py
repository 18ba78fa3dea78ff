"""The musicvae system through lt_train.py: on folders of MIDI files, resumed, from checkpoints, and what it refuses."""

import csv
import json
import math

import pytest
import torch

import lt_train
from models.musicvae import datasets, from_checkpoint
from models.phrase import PHRASE
from models.run_config import read_run
from models.run_folder import BEST, HISTORY, LAST, METRICS
from models.runs import checkpoint_system, load_run, origin
from tests.bundles import write
from tests.phrase_music import drum_files, melody_files
from tests.test_lt_train import assert_same_runs, resume, rows
from tests.test_timbre_training import interrupted
from utils.checkpoint import load_state
from utils.config import InputError

TINY = "--preset tiny --plot_epochs 0 --save_minutes 0 --epochs 2 --batch_size 8"


@pytest.fixture(scope="module")
def drums(tmp_path_factory):
    return drum_files(tmp_path_factory.mktemp("drums"), 20)


@pytest.fixture(scope="module")
def tunes(tmp_path_factory):
    return melody_files(tmp_path_factory.mktemp("tunes"), 20)


@pytest.fixture
def train(drums, tmp_path, capsys):
    """Return a function that trains in tmp_path/saves and gives (folder, printed metrics)."""

    def call(words="--kind drums", root=drums, name="run"):
        capsys.readouterr()
        fixed = f"--system musicvae {TINY} --name {name} {words}".split()
        assert lt_train.main([*fixed, "--savedir", str(tmp_path / "saves"), "--dbroot", str(root)]) == 0
        return tmp_path / "saves" / name, json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(
    "words",
    [
        "--kind drums --levels 2 16 --encoder_levels 2 16",
        "--kind hits --note_dropout 0.3 --dropout 0.2",
        "--kind hits --head boolean --hop 4",
        "--kind groove --transform humanize --struck_only",
        "--kind drums --sampling constant --sampling_rate 0.5 --beta_rate 0.99",
    ],
)
def test_every_kind_of_drums_trains_and_reports(train, words):
    folder, printed = train(words)
    assert json.loads((folder / METRICS).read_text()) == printed
    assert 0 <= printed["phrase_to_phrase.accuracy"] <= 1
    assert {BEST, LAST, HISTORY} <= {path.name for path in folder.iterdir()}
    with open(folder / HISTORY) as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["valid_total"]) < math.inf and float(last["lr_vae"]) > 0


def test_melodies_are_transposed_in_training_alone(train, tunes):
    folder, _ = train("--kind melody --transpose 5", tunes)
    splits = datasets(read_run(folder)[1])
    assert (splits["train"].transpose, splits["valid"].transpose, splits["test"].transpose) == (5, 0, 0)
    rows = torch.arange(4)
    once, again = (splits["train"].batch(rows, torch.Generator().manual_seed(seed))[PHRASE] for seed in (1, 2))
    assert not torch.equal(once, again)  # drawn anew each time, not once for all


@pytest.mark.parametrize("at", [1, 8])
def test_a_resumed_run_is_the_same_as_one_that_was_not_interrupted(train, monkeypatch, at):
    words = "--kind drums --sampling constant --sampling_rate 0.3 --dropout 0.1 --note_dropout 0.2 --epochs 3"
    whole, _ = train(words, name="whole")
    assert load_state(whole / LAST)["position"]["step"] > 8
    interrupted(monkeypatch, at, lambda: train(words, name="broken"))
    broken = whole.parent / "broken"
    assert load_state(broken / LAST)["position"]["step"] == at
    assert resume(broken) == 0
    assert_same_runs(whole, broken)


@pytest.mark.parametrize(("words", "epochs"), [("--epochs 100 --num_steps 7", None), ("--epochs 1 --num_steps 1000", 1)])
def test_training_ends_by_steps_or_epochs_whichever_is_sooner(train, words, epochs):
    folder, _ = train(f"--kind drums {words}")
    config = read_run(folder)[1]
    steps = max(1, round(config.windows / config.batch_size))
    assert config.total_epochs == (epochs or math.ceil(7 / steps)) == len(rows(folder))


def test_sixteen_phrases_are_learned_by_heart(tmp_path):
    """Phrases that training has seen are remade, told nothing, at 99 of 100 steps or more."""
    root = drum_files(tmp_path / "few", 6, 5)
    words = (
        "--system musicvae --preset tiny --kind hits --head boolean --beta 0 --latent_dim 32 --encoder_size 64 --decoder_size 64"
    )
    fixed = (
        f"{words} --plot_epochs 0 --save_minutes 0 --batch_size 16 --lr 2e-2 --lr_decay 0.996 --lr_min 1e-4 --epochs 450".split()
    )
    lt_train.main([*fixed, "--dbroot", str(root), "--savedir", str(tmp_path), "--name", "few"])
    made = load_run(tmp_path / "few", weights="last")
    dataset = datasets(made.config, ["train"])["train"]
    x = dataset.batch(torch.arange(len(dataset)), torch.Generator())[PHRASE]
    assert len(x) == 16
    with torch.no_grad():
        scores = made.representations[PHRASE].compare(x, made.transfer(x, PHRASE, PHRASE))
    assert scores["accuracy"].mean() > 0.99


# -- checkpoints ------------------------------------------------------------------------------------------------------


def checkpoint(path, depth=10, width=512, size=4, latent=3):
    """Write a TensorFlow bundle of a flat model of random weights."""
    random = torch.Generator().manual_seed(0)
    cell, one = "multi_rnn_cell/cell_0/lstm_cell", "encoder/cell_0/bidirectional_rnn"
    shapes = {f"{one}/{way}/{cell}/kernel": (depth + size, 4 * size) for way in ("fw", "bw")}
    shapes |= {f"{one}/{way}/{cell}/bias": (4 * size,) for way in ("fw", "bw")}
    for name in ("mu", "sigma"):
        shapes |= {f"encoder/{name}/kernel": (2 * size, latent), f"encoder/{name}/bias": (latent,)}
    shapes |= {"decoder/z_to_initial_state/kernel": (latent, 2 * size), "decoder/z_to_initial_state/bias": (2 * size,)}
    shapes |= {f"decoder/{cell}/kernel": (width + latent + size, 4 * size), f"decoder/{cell}/bias": (4 * size,)}
    shapes |= {"decoder/output_projection/kernel": (size, width), "decoder/output_projection/bias": (width,)}
    return write(path.parent, {name: torch.randn(shape, generator=random).numpy() for name, shape in shapes.items()}, path.name)


def test_training_starts_from_a_checkpoint(train, tmp_path):
    path = checkpoint(tmp_path / "some.ckpt")
    folder, _ = train(f"--pretrained {path} --lr 1e-12")
    made, start = load_run(folder), from_checkpoint(path)
    assert (made.config.kind, made.config.encoder_size, made.config.latent_dim) == ("drums", (4,), 3)
    for (name, tensor), other in zip(made.state_dict().items(), start.state_dict().values(), strict=True):
        assert torch.allclose(tensor, other, atol=1e-6), name
    assert (checkpoint_system(path), checkpoint_system(folder), origin(path)) == ("musicvae", None, ("musicvae", {}))


@pytest.mark.parametrize(
    ("name", "kind", "bars"),
    [("cat-drums_2bar_small.lokl.ckpt", "drums", 2), ("destiny_16bar.ckpt", "drums", 2), ("anything.ckpt", "drums", 2)],
)
def test_the_name_of_a_checkpoint_tells_how_long_its_phrases_are(tmp_path, name, kind, bars):
    made = from_checkpoint(checkpoint(tmp_path / name))
    assert (made.config.kind, made.config.bars) == (kind, bars)


def test_a_name_tells_what_a_published_model_was_not_told(tmp_path):
    path = checkpoint(tmp_path / "groovae_2bar_humanize.ckpt", 27, 27)
    assert (from_checkpoint(path).config.kind, from_checkpoint(path).config.transform) == ("groove", "humanize")
    melody = checkpoint(tmp_path / "cat-mel_2bar_big.ckpt", 90, 90)
    assert from_checkpoint(melody).config.programs == (0, 31)


def test_a_loaded_run_has_something_to_train(train):
    folder, _ = train("--kind drums --num_steps 4")
    with pytest.raises(InputError, match="give it more"):
        train(f"--kind drums --load {folder}", name="none")
    with pytest.raises(InputError, match="--pretrained and --load"):
        train(f"--kind drums --load {folder} --pretrained x", name="both")
    again, _ = train(f"--kind drums --load {folder} --load_epoch best --num_steps 8", name="more")
    assert len(rows(again)) == 2


def test_checkpoints_that_fit_no_kind_of_phrase_are_refused(tmp_path):
    with pytest.raises(InputError, match="no kind of phrases"):
        from_checkpoint(checkpoint(tmp_path / "odd.ckpt", 20, 33))
    with pytest.raises(InputError, match="--config groovae_4bar: has phrases of groove"):
        from_checkpoint(checkpoint(tmp_path / "x.ckpt"), "groovae_4bar")
    with pytest.raises(InputError, match="--config nothing"):
        from_checkpoint(checkpoint(tmp_path / "x.ckpt"), "nothing")
    damaged = checkpoint(tmp_path / "damaged.ckpt")
    content = damaged.with_name("damaged.ckpt.data-00000-of-00001")
    content.write_bytes(content.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"damaged\.ckpt"):
        from_checkpoint(damaged)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--kind drums --transpose 3", "--transpose: means nothing for --kind drums"),
        ("--kind all_hits --drum_map gm", "--drum_map: means nothing for --kind all_hits"),
        ("--kind trio", "no trio of 2 bars"),
        ("--kind melody", "no melody of 2 bars"),
        ("--kind drums --bars 16", "no drums of 16 bars"),
        ("--kind drums --levels 3 16", "product is 32 steps"),
        ("--kind drums --levels 32", "two or more"),
        ("--kind drums --conductor_size 8", "a flat decoder"),
        ("--kind drums --sampling exponential --sampling_rate 2", "--sampling_rate 2"),
        ("--kind drums --sampling_rate 0.5", "of which schedule"),
        ("--kind drums --beta_rate 0.9 --beta_steps 5", "take one of them"),
        ("--kind drums --encoder_size", "--encoder_size: give the size"),
        ("--kind drums --encoder_size 100000", "16384 or less"),
        ("--kind hits --struck_only", "means nothing for --kind hits"),
        ("--kind drums --pretrained nowhere", "nowhere"),
        ("--kind melody --programs 5", "--programs: takes the first and the last"),
        ("--kind melody --lowest 80 --highest 70", "--lowest 80 --highest 70: must be of 21-108"),
        ("--kind drums --dropout 1", "--dropout 1: must be less than 1"),
        ("--kind drums --beta_rate 1", "--beta_rate 1"),
    ],
)
def test_what_is_refused(drums, tmp_path, words, message):
    fixed = ["--system", "musicvae", *TINY.split(), *words.split(), "--dbroot", str(drums), "--savedir", str(tmp_path / "saves")]
    with pytest.raises(InputError, match=message):
        lt_train.main(fixed)
    assert not (tmp_path / "saves").exists() or not list((tmp_path / "saves").iterdir())
