"""The latent constraint through lt_train.py: on every kind of phrase, resumed, moved, and with latents that are encoded once."""

import json
import shutil

import pytest
import torch

import lt_play
import lt_train
from models.latent_constraint import Model, datasets
from models.musicvae import Model as MusicVAE
from models.phrase import PHRASE
from models.run_config import read_run
from models.run_folder import BEST, CONFIG, HISTORY, LAST, METRICS, numbered
from models.runs import load_run
from models.training import Trainer
from tests.bundles import MAGENTA
from tests.constraint_runs import APT, make_base
from tests.phrase_music import drum_files, melody_files
from tests.phrase_runs import names, table
from tests.test_lt_train import assert_same_runs, resume, rows, same
from tests.test_musicvae_base import trained_further
from tests.test_musicvae_training import checkpoint
from tests.test_timbre_training import interrupted
from utils.checkpoint import load_state
from utils.config import InputError

TINY = "--preset tiny --plot_epochs 0 --save_minutes 0 --num_steps 6 --batch_size 16"
REALISM = "--preset realism --hidden 16 16 --critic_steps 2 --plot_epochs 0 --save_minutes 0 --num_steps 6 --batch_size 16"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("base"), **APT)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Pieces of which some are held out."""
    return drum_files(tmp_path_factory.mktemp("many"), 20)


@pytest.fixture
def train(base, tmp_path, capsys, monkeypatch):
    """Return a function that trains in tmp_path/saves and gives (folder, printed metrics)."""

    monkeypatch.setattr("models.latent_constraint_critic.DRAWS", 100)  # as 1000 take long

    def call(words=TINY, on=base, root=None, name="run"):
        capsys.readouterr()
        where = {
            "pretrained": on,
            "dbroot": root or on.parent / "songs",
            "cache": tmp_path / "cache",
            "savedir": tmp_path / "saves",
        }
        given = [word for flag, value in where.items() for word in (f"--{flag}", str(value))]
        assert lt_train.main(["--system", "latent_constraint", *given, "--name", name, *words.split()]) == 0
        out = capsys.readouterr().out
        return tmp_path / "saves" / name, json.loads(out) if out else None

    return call


def columns(folder):
    """Return the names of what the history has."""
    return {name for row in table(folder / HISTORY) for name, value in row.items() if value}


# -- every kind -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hits", ""),
        ("melody", "--transpose 3 --noise 1"),
        ("groove", "--sequence_loss 0.02"),
        ("trio", "--hop 8 --form gated"),
        ("remi", "--transpose 2"),
    ],
)
def test_every_kind_of_phrase_trains(train, tmp_path, caplog, kind, words):
    """There are few: all are trained on."""
    if kind == "remi":
        pytest.importorskip("miditok")
    folder, printed = train(f"{TINY} {words}", make_base(tmp_path / kind, kind))
    assert printed is None and "nothing is held out to test on, so there are no scores" in caplog.text
    assert names(folder) == sorted([".lock", CONFIG, HISTORY, LAST])
    assert not any(name.startswith("valid") for name in columns(folder)) and {"train_total", "train_beta"} <= columns(folder)
    made = load_run(folder)
    assert len(made.decode(made.sample(2, torch.Generator().manual_seed(0)), PHRASE)) == 2
    assert lt_play.main(["sample", "-m", str(folder), "-n", "2", "-g", "0", "-o", str(tmp_path / "out")]) == 0


LEARNING = "--num_steps 40 --lr 0.01"
FOOLING = "--num_steps 40 --lr 0.003 --critic_steps 4 --distance 0.0001 --hidden 32 32"


@pytest.mark.parametrize(
    ("words", "term"),
    [
        (f"{TINY} {LEARNING} --reconstruction l2norm --beta 0.01 --beta_steps 0 --beta_rate 0.9 --free_bits 2", "nll_latent"),
        (f"--preset lc-cat-mel_2bar_small --transpose 0 --plot_epochs 0 --batch_size 16 {LEARNING}", "nll_latent"),
        (f"{TINY} {LEARNING} --beta 0.01 --form gated --sequence_loss 0.1", "nll_latent"),
        (f"{REALISM} {FOOLING}", "distance_to_held_out"),
        (f"{REALISM} {FOOLING} --critic_steps 2 --lr 0.01 --attributes density kick_share", "distance_to_held_out"),
    ],
    ids=["mlp", "lc", "gated", "realism", "attributes"],
)
def test_every_form_learns_and_reports(train, many, words, term):
    """Better than the same form untrained makes what it is trained on; history and scores are those of the weights."""
    folder, printed = train(words, root=many)
    found = rows(folder)
    best, last = load_run(folder), load_run(folder, weights="last")
    splits = datasets(best.config)
    batch = {name: dataset.batch(torch.arange(len(dataset)), torch.Generator()) for name, dataset in splits.items()}
    untrained = Model(best.config).eval()
    untrained.attach()
    untrained.prepare([batch["train"]])

    def scored(model, split):
        with torch.no_grad():
            return model(batch[split], 0, next(iter(model.phases()))).terms[term].item()

    assert scored(last, "train") < 0.7 * scored(untrained, "train")
    chosen = found[load_state(folder / BEST)["epoch"]]
    assert chosen["valid_total"] == min(row["valid_total"] for row in found)
    assert chosen[f"valid_{term}"] == pytest.approx(scored(best, "valid"), rel=1e-4)
    assert printed == json.loads((folder / METRICS).read_text())
    x = batch["test"][PHRASE]
    again = best.decode(best.encode(x, PHRASE).mean, PHRASE)
    assert printed["phrase_to_phrase.accuracy"] == pytest.approx((again == x).flatten(2).all(2).double().mean().item(), abs=1e-6)
    assert {BEST, LAST, HISTORY, METRICS} <= set(names(folder))
    assert resume(folder, "--num_steps", 45) == 0 and rows(folder)[: len(found)] == found and len(rows(folder)) > len(found)


def test_figures_of_what_is_trained_on_where_nothing_is_held_out(train):
    folder, _ = train(f"{TINY} --plot_epochs 100")
    assert names(folder / "figures") == ["history.pdf", "translations_end.pdf"]


def test_wishes_are_heard_of_a_run(train, tmp_path):
    folder, _ = train(f"{REALISM} --attributes density")
    flags = ["-n", "2", "-g", "0", "-o", str(tmp_path / "out")]
    assert lt_play.main(["sample", "-m", str(folder), "--wish", "hit_density=much", *flags]) == 0
    assert lt_play.main(["sample", "-m", str(folder), "--wish", "density=huge", *flags]) == 2


# -- schedules --------------------------------------------------------------------------------------------------------


def test_the_warm_up_acts_within_the_run(train):
    folder, _ = train(f"{TINY} --beta 0.5 --beta_steps 4 --num_steps 8")
    assert [row["train_beta"] for row in rows(folder)] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5])


def test_training_stops_where_what_is_held_out_no_longer_improves(train, many):
    folder, _ = train(f"{TINY} --num_steps 0 --epochs 400 --patience 3 --lr 0.1 --batch_size 64", root=many)
    found = rows(folder)
    best = min(range(len(found)), key=lambda place: found[place]["valid_total"])
    assert len(found) == best + 4 < 400 and load_state(folder / BEST)["epoch"] == best


def test_patience_never_ends_what_has_nothing_held_out(train):
    folder, _ = train(f"{TINY} --num_steps 12 --patience 1 --lr 1e-12")
    assert len(rows(folder)) == 12


# -- the base ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [f"{TINY} --sequence_loss 1", f"{REALISM} --attributes density"], ids=["phrases", "wishes"])
def test_a_base_is_left_as_it_is(train, base, monkeypatch, words):
    files = {name: (base / name).read_bytes() for name in names(base)}
    before, training = {name: tensor.clone() for name, tensor in load_run(base).state_dict().items()}, []
    step, models = Trainer.step, []

    def watched(self, batch):
        step(self, batch)
        training.append((self.model.constraint.training, self.model.base.training))
        models.append(self.model)

    monkeypatch.setattr(Trainer, "step", watched)
    folder, _ = train(words)
    assert set(training) == {(True, False)}
    assert all(torch.equal(before[name], tensor) for name, tensor in models[-1].base.state_dict().items())
    assert {name: (base / name).read_bytes() for name in names(base)} == files
    saved = load_state(folder / LAST)
    assert all(name.startswith("constraint.") for name in saved["model"])
    weights = sum(tensor.numel() for tensor in saved["model"].values())
    assert (folder / LAST).stat().st_size < 3 * 4 * weights + 20_000  # weights and two moments


def test_a_run_stands_on_its_base_alone(train, base, tmp_path):
    own = shutil.copytree(base.parent, tmp_path / "own") / "run"
    folder, _ = train(on=own)
    moved = shutil.move(own, tmp_path / "moved")
    with pytest.raises(InputError, match="own/run: there is no such run or checkpoint; the run stands on it: --base says"):
        load_run(folder)
    assert load_run(folder, base=moved).config.pretrained == str(moved)
    assert resume(folder, "--pretrained", moved, "--num_steps", 8) == 0 and len(rows(folder)) == 8
    assert read_run(folder)[1].pretrained == str(moved) and load_run(folder) is not None
    state = (folder / LAST).read_bytes()
    trained_further(moved)
    no_longer = rf"{moved}: is not the MusicVAE that this run stands on, or no longer; give that one with --base"
    for call in (
        lambda: load_run(folder),
        lambda: load_run(folder, base=moved),
        lambda: resume(folder, "--num_steps", 10),
        lambda: resume(folder, "--num_steps", 10, "--pretrained", moved),
    ):
        with pytest.raises(InputError, match=no_longer):
            call()
    with pytest.raises(InputError, match="is not the MusicVAE that the earlier run stands on, or no longer; begin a new run on it"):
        lt_train.main(["--load", str(folder), "--num_steps", "10", "--savedir", str(tmp_path), "--name", "second"])
    assert (folder / LAST).read_bytes() == state and not (tmp_path / "second").exists()


def test_no_base_of_another_form_is_taken(train, tmp_path):
    folder, _ = train()
    other = make_base(tmp_path / "other", latent_dim=5)
    with pytest.raises(InputError, match="is not the MusicVAE that this run stands on"):
        load_run(folder, base=other)
    with pytest.raises(InputError, match="--base_preset tiny: is for checkpoints"):
        load_run(folder, base_preset="tiny")


def test_a_checkpoint_is_a_base(train, tmp_path):
    path = checkpoint(tmp_path / "cat-drums_2bar_small.ckpt")
    folder, _ = train(f"{TINY} --base_preset cat-drums_2bar_small", path, drum_files(tmp_path / "songs", 3))
    made = load_run(folder)
    assert (made.config.kind, made.base.latent_shape, made.config.base["pretrained"]) == ("drums", (3,), str(path))
    assert made.decode(made.sample(2), PHRASE).shape == (2, 32)
    for file in tmp_path.glob("cat-drums*"):
        file.rename(file.with_name(file.name.replace("cat-drums_2bar_small", "any")))
    for preset in ("", "cat-drums_2bar_small"):  # the run knows what the name told
        moved = load_run(folder, base=tmp_path / "any.ckpt", base_preset=preset)
        assert moved.decode(made.sample(2), PHRASE).shape == (2, 32)
    with pytest.raises(InputError, match="--base_preset flat-mel_16bar: has kind melody, and the run's base drums"):
        load_run(folder, base=tmp_path / "any.ckpt", base_preset="flat-mel_16bar")
    with pytest.raises(InputError, match="there is no such run or checkpoint"):
        load_run(folder)


@pytest.mark.parametrize("name", ["tiny-flat.ckpt", "tiny-hier.ckpt"])
def test_magentas_checkpoints_are_bases(train, tmp_path, name):
    if not (MAGENTA / f"{name}.index").exists():
        pytest.skip("the checkpoint is not here")
    corpus = melody_files(tmp_path / "tunes", 3, 40)
    folder, _ = train(TINY, MAGENTA / name, corpus)
    made = load_run(folder)
    assert made.decode(made.sample(2), PHRASE).shape == (2, *made.representations[PHRASE].shape)


# -- resuming ---------------------------------------------------------------------------------------------------------

LONGER = {
    "midime": f"{TINY} --noise 1 --save_steps 1 --sequence_loss 0.1",
    "realism": f"{REALISM} --save_steps 1 --attributes density",
}


@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize("words", LONGER.values(), ids=LONGER)
def test_a_resumed_run_is_the_same_as_one_that_was_not_interrupted(train, many, monkeypatch, words, at):
    whole, _ = train(words, root=many, name="whole")
    assert load_state(whole / LAST)["position"]["step"] > 4
    interrupted(monkeypatch, at, lambda: train(words, root=many, name="broken"))
    broken = whole.parent / "broken"
    assert load_state(broken / LAST)["position"]["step"] == at
    assert resume(broken) == 0
    assert_same_runs(whole, broken)
    for name in (LAST, BEST):
        kept = [load_state(folder / name)["model"] for folder in (whole, broken)]
        fixed = {key for key in kept[0] if key.rpartition(".")[2] in ("squares", "deviation", "limits")}
        assert fixed and all(torch.equal(kept[0][key], kept[1][key]) and (kept[0][key] != 1).any() for key in fixed)


@pytest.mark.parametrize("words", LONGER.values(), ids=LONGER)
def test_a_run_that_was_killed_goes_on_as_if_it_were_not(train, monkeypatch, words):
    """Where nothing is held out; rows of the history after the last save are done again."""
    whole, _ = train(words, name="whole")
    step = Trainer.step

    def killed(self, batch):
        if self.at.step == 3:
            raise KeyError("killed")
        step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", killed)
        with pytest.raises(KeyError):
            train(words, name="broken")
    broken = whole.parent / "broken"
    assert resume(broken) == 0
    assert same(load_state(whole / LAST), load_state(broken / LAST)) and rows(whole) == rows(broken)
    assert not (whole / BEST).exists() and not (broken / BEST).exists()


def test_another_run_goes_on_from_one(train, tmp_path):
    first, _ = train(f"{TINY} --save_epochs 3")
    where = ["--savedir", str(tmp_path / "saves"), "--cache", str(tmp_path / "cache")]
    assert lt_train.main(["--load", str(first), "--load_epoch", "3", *where, "--name", "second"]) == 0
    second = tmp_path / "saves" / "second"
    assert same(load_state(first / LAST)["model"], load_state(second / LAST)["model"]) and rows(second) == rows(first)[3:]
    with pytest.raises(InputError, match="give it more"):
        lt_train.main(["--load", str(first), *where, "--name", "third"])
    with pytest.raises(InputError, match=numbered(7)):
        lt_train.main(["--load", str(first), "--load_epoch", "7", *where, "--name", "third"])


# -- latents on disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def encoded(monkeypatch):
    """The numbers of phrases that a base encodes, as they come."""
    numbers, encode = [], MusicVAE.encode
    monkeypatch.setattr(MusicVAE, "encode", lambda self, x, *rest: numbers.append(len(x)) or encode(self, x, *rest))
    return numbers


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "latents").glob("*.safetensors"))


def test_phrases_are_encoded_once(train, tmp_path, encoded):
    first, _ = train()
    assert sum(encoded) == 18 and len(kept(tmp_path)) == 1
    encoded.clear()
    second, _ = train(name="second")
    assert not encoded and len(kept(tmp_path)) == 1
    assert same(load_state(first / LAST), load_state(second / LAST))
    train(f"{REALISM} --attributes density", name="third")  # which asks for what is decoded, too
    assert sum(encoded) == 18 and len(kept(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_damaged_latents_are_made_anew(train, tmp_path, encoded, caplog, content):
    first, _ = train()
    (path,) = kept(tmp_path)
    whole = load_state(path)
    content = path.read_bytes()[:-20] if content is None else content
    path.unlink()  # as what was read of it is mapped into memory
    path.write_bytes(content)
    encoded.clear()
    second, _ = train(name="second")
    assert sum(encoded) == 18 and path.name in caplog.text and "it is made anew" in caplog.text
    assert same(load_state(path), whole) and same(load_state(first / LAST), load_state(second / LAST))


def test_latents_that_cannot_be_kept_are_only_told_of(train, tmp_path, caplog):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "latents").write_text("in the way")
    folder, _ = train()
    assert "latents are not kept" in caplog.text and (folder / LAST).exists()


def test_other_bases_and_phrases_have_latents_of_their_own(train, base, tmp_path, encoded):
    train()
    other = shutil.copytree(base.parent, tmp_path / "other") / "run"
    trained_further(other)
    train(on=other, root=base.parent / "songs", name="second")
    train(f"{TINY} --hop 8", name="third")
    assert len(kept(tmp_path)) == 3 and len(encoded) == 3


# -- what it is for ---------------------------------------------------------------------------------------------------


def hits_apart(x, own):
    """Return how many hits differ between phrases (N, T, 9) and the nearest of others, on average."""
    return torch.cdist(x.flatten(1), own.flatten(1), p=1).min(1).values.mean().item()


def test_draws_are_like_ones_own_phrases(train, base, tmp_path):
    """Specification, 10, check 9: trained on 32 phrases, R^2 rises, and draws are nearer to these than the base's."""
    root = drum_files(tmp_path / "mine", 1, 33)  # variations of a bar
    words = "--preset tiny --hidden 64 32 --latent_dim 4 --beta 0.05 --plot_epochs 0 --num_steps 300 --lr 3e-3"
    folder, _ = train(words, root=root)
    made = load_run(folder)
    dataset = datasets(made.config, ["train"])["train"]
    assert len(dataset) == 32
    batch, untrained = dataset.batch(torch.arange(len(dataset)), torch.Generator()), Model(made.config)
    z, spread = batch["mean"], (batch["mean"] - batch["mean"].mean(0)).square().sum()
    shares = []
    with torch.no_grad():
        for model in (untrained, made):
            error = (model.to_base(model.constraint.posterior(model.posterior(batch)).mean) - z).square().sum()
            shares.append(1 - (error / spread).item())
        random = [torch.Generator().manual_seed(3) for _ in range(2)]
        own, plain = (model.decode(model.sample(100, r), PHRASE) for model, r in zip((made, made.base), random, strict=True))
        known = made.base.decode(z, PHRASE)  # what the base can write of them
    assert shares[0] < 0.2 < 0.5 < shares[1]
    assert hits_apart(own, known) < 0.5 * hits_apart(plain, known)
    assert hits_apart(own, batch[PHRASE]) < 0.9 * hits_apart(plain, batch[PHRASE])
