"""lt_train.py end to end on tiny corpora: new runs, resume, load, kills, processes, presets, bad input."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lt_train
from models.run_config import read_run
from models.run_folder import BEST, HISTORY, LAST, METRICS
from tests.corpora import instruments
from utils import history
from utils.checkpoint import load_state
from utils.config import InputError
from utils.files import locked

ROOT = Path(__file__).parent.parent
SMALL = "--dims 4 --hidden_dims_1 16 --hidden_dims_2 16 --batch_size 16 --frames 2 8 --plot_epochs 0 --epochs 3 --workers 1".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return instruments(tmp_path_factory.mktemp("corpus"), octaves=(2, 3, 4, 5))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(corpus, cache, tmp_path, capsys):
    """Return a function that trains in tmp_path/saves and gives (exit code, folder, printed metrics)."""

    def call(*words, small=True, name="run"):
        fixed = ["--dbroot", corpus, "--cache", cache, "--savedir", tmp_path / "saves", "--name", name, *(SMALL if small else [])]
        code = lt_train.main([str(word) for word in [*fixed, *words]])
        out = capsys.readouterr().out
        return code, tmp_path / "saves" / name, json.loads(out) if out else None

    return call


def resume(folder, *words):
    return lt_train.main(["--resume", str(folder), *map(str, words)])


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k not in ("seconds",))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def rows(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.read(folder / HISTORY)]


def assert_same_runs(a, b):
    for name in (LAST, BEST):
        assert same(load_state(a / name), load_state(b / name))
    assert rows(a) == rows(b)


def test_a_run_has_what_it_needs(train):
    code, folder, printed = train("--plot_epochs", 2)
    assert code == 0
    assert {p.name for p in folder.iterdir()} == {"config.json", LAST, BEST, HISTORY, METRICS, "figures", ".lock"}
    assert {p.name for p in (folder / "figures").iterdir()} == {"history.pdf", "translations_000002.pdf", "translations_end.pdf"}
    assert printed == json.loads((folder / METRICS).read_text())
    assert {"signal_to_symbol.pitch_vote", "signal_to_symbol.octave", "symbol_to_signal.log_spectral_distance_db"} <= printed.keys()
    assert len(rows(folder)) == 3
    system, config, prints = read_run(folder)
    assert system == "crossmodal"
    assert config.instruments == ("Brass",)  # of equals, the first by name
    assert set(prints) == {"train", "valid", "test"}


def test_it_learns(train):
    words = "--split frames --frames --epochs 40 --dims 16 --hidden_dims_1 64 --transfer 1 --symbol 30 --noise 0.05 --lr 5e-3"
    _, folder, scores = train(*words.split(), "--instruments", "reed")
    assert rows(folder)[-1]["valid_total"] < rows(folder)[0]["valid_total"]
    assert scores["signal_to_symbol.octave"] >= 0.9
    assert scores["signal_to_symbol.pitch"] >= 0.9


@pytest.mark.parametrize(
    "words",
    [
        "--instruments Reed Brass --random_mode bernoulli",
        "--instruments Reed Brass --random_mode uniform --zero_extra_class 0",
        "--label_type binary",
        "--label_type binary --zero_extra_class 0 --instruments Brass Reed",
        "--regularization_type l2 --cross_2 1",
        "--dims 6 3 --hidden_dims_1 16 8 --hidden_num_2 1 2",
        "--labels dynamics pitch",
        "--labels instrument octave pitch",
        "--adversarial 1 --adv_dim 8 --adv_weight 2",
        "--frames sustain --split frames",
        "--frames",
        "--frames 4",
        "--precision bf16 --warmup 20 --clip 5 --patience 2 --plateau 1",
        "--transpose 2 --detune 30 --transfer 1 --symbol 5",
        "--scale mel --fmax 8000 --bins_per_octave 24",
    ],
)
def test_every_kind_of_run_trains_and_resumes(train, words):
    code, folder, printed = train(*words.split(), "--epochs", 2)
    assert code == 0
    assert printed
    assert resume(folder, "--epochs", 3) == 0
    assert len(rows(folder)) == 3 or "--patience" in words


def test_splitting_by_frames_says_so(train, caplog):
    train("--split", "frames", "--epochs", 1)
    assert "nothing about unseen notes" in caplog.text


def test_resume_equals_an_uninterrupted_run(train, monkeypatch):
    _, whole, _ = train("--adversarial", 1, "--adv_dim", 8, "--random_mode", "bernoulli", name="whole")
    steps = 0

    def interrupting(self, batch, step=lt_train_step()):
        nonlocal steps
        step(self, batch)
        steps += 1
        if steps == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("models.training.Trainer.step", interrupting)
        code, broken, _ = train("--adversarial", 1, "--adv_dim", 8, "--random_mode", "bernoulli", name="broken")
    assert code == 128 + signal.SIGTERM
    assert load_state(broken / LAST)["position"]["step"] == 7
    assert resume(broken) == 0
    assert_same_runs(whole, broken)


def lt_train_step():
    from models.training import Trainer

    return Trainer.step


def start(corpus, cache, folder, *words, python=(sys.executable,)):
    fixed = [
        "--dbroot",
        corpus,
        "--cache",
        cache,
        "--savedir",
        folder.parent,
        "--name",
        folder.name,
        *SMALL,
        "--threads",
        "1",
        *words,
    ]
    command = [*python, str(ROOT / "lt_train.py"), *map(str, fixed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def test_resume_after_kills_at_any_moment(corpus, cache, tmp_path):
    words = ["--epochs", 6, "--save_steps", 1]
    process = start(corpus, cache, tmp_path / "whole", *words)
    assert process.communicate()[0]
    assert process.returncode == 0
    random.seed(0)
    broken = tmp_path / "broken"
    process = start(corpus, cache, broken, *words)
    for _ in range(3):
        before = progress_of(broken)
        deadline = time.monotonic() + 60
        while progress_of(broken) < before + 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(random.random() * 0.1)
        process.kill()
        process.communicate()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(ROOT / "lt_train.py"), "--resume", str(broken)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    process.communicate()
    assert process.returncode == 0
    assert_same_runs(tmp_path / "whole", broken)
    assert not list(broken.glob(".*.part"))


def progress_of(folder):
    try:
        return load_state(folder / LAST)["position"]["step"]
    except InputError:
        return -1


def test_two_processes_train_together_and_resume_exactly(corpus, cache, tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    for name, words in (("whole", ["--epochs", 2]), ("broken", ["--epochs", 1])):
        process = start(corpus, cache, tmp_path / name, *words, python=torchrun)
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    command = [*torchrun, str(ROOT / "lt_train.py"), "--resume", str(tmp_path / "broken"), "--epochs", "2"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240)
    assert_same_runs(tmp_path / "whole", tmp_path / "broken")
    with pytest.raises(InputError, match="2 processes"):
        resume(tmp_path / "broken", "--epochs", "3")


def test_load_starts_a_new_run(train):
    _, first, _ = train("--save_epochs", 2, "--epochs", 4, name="first")
    _, second, _ = train("--load", first, "--load_epoch", 2, "--epochs", 4, name="second", small=False)
    assert rows(second) == rows(first)[2:]
    assert same(load_state(first / LAST)["model"], load_state(second / LAST)["model"])
    code, warm, _ = train("--load", first, "--load_epoch", "best", "--epochs", 1, "--lr", "1e-4", name="warm", small=False)
    assert code == 0
    assert rows(warm)[0]["epoch"] == 0
    for epoch, word in (("7", "epoch-000007"), ("soon", "soon")):
        with pytest.raises(InputError, match=word):
            train("--load", first, "--load_epoch", epoch, name="none", small=False)


def test_resume_refuses_what_would_change_the_run(train):
    _, folder, _ = train()
    with pytest.raises(InputError, match="lr"):
        resume(folder, "--lr", "0.1")
    with pytest.raises(InputError, match="is a run already"):
        train()


def test_a_changed_corpus_is_noticed(train, corpus, tmp_path):
    mine = shutil.copytree(corpus, tmp_path / "mine")
    _, folder, _ = train("--dbroot", mine)
    lines = (mine / "notes.csv").read_text().splitlines()
    (mine / "notes.csv").write_text("\n".join(lines[:-9]) + "\n")
    with pytest.raises(InputError, match="corpus has changed"):
        resume(folder, "--epochs", 4)


def test_what_does_not_go_together_is_said(train):
    _, folder, _ = train()
    for words, message in (
        (["--resume", folder, "--name", "x"], "name"),
        (["--load_epoch", "best"], "load_epoch"),
        (["--name", "../x"], "name"),
        (["--name", ".."], "name"),
        (["--resume", folder, "--load", folder], "not allowed with"),
        (["--no_such_flag"], "no_such_flag"),
        (["--epochs", "many"], "epochs"),
        (["--system", "abacus"], "abacus"),
    ):
        with pytest.raises(InputError, match=message):
            lt_train.main([str(word) for word in words])


def test_a_loaded_run_with_other_settings_begins_its_schedules_anew(train):
    _, first, _ = train("--epochs", 2, "--save_epochs", 2, name="first")
    train("--load", first, "--load_epoch", 2, "--lr", "1e-4", "--plateau", 7, "--epochs", 3, name="second", small=False)
    state = load_state(first.parent / "second" / LAST)
    assert state["optimizers"]["vae"]["param_groups"][0]["lr"] == 1e-4
    assert state["schedules"]["vae"]["patience"] == 7
    assert state["position"]["epoch"] == 3


def test_one_process_at_a_time_trains_in_a_run(train):
    _, folder, _ = train()
    with locked(folder / ".lock"), pytest.raises(InputError, match="another process"):
        resume(folder, "--epochs", 4)


def test_a_run_that_has_come_meanwhile_is_kept(train, monkeypatch):
    _, folder, _ = train()
    before = (folder / LAST).read_bytes()
    monkeypatch.setattr(lt_train, "LAST", "none")  # so that it is not seen when the folder is looked at first
    with pytest.raises(InputError, match="meanwhile"):
        train()
    assert (folder / LAST).read_bytes() == before


def test_tensorboard_is_optional(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        train("--tensorboard", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--instruments", "Kazoo"], "Kazoo"),
        (["--labels", "colour"], "colour"),
        (["--dbroot", "no/such/folder"], "no/such/folder"),
        (["--dbroot", __file__], "test_lt_train"),
        (["--frames", "5000"], "frame"),
        (["--frames", "5" * 5000], "--frames"),
        (["--load_epoch", "5" * 5000], "load_epoch"),
        (["--lr", "1e15"], "became|not finite"),
        (["--hidden_dims_1", 10**9], "not enough memory.*--batch_size"),
        (["--hidden_dims_1", 2**53], "not enough memory"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--device", "abacus"], "abacus"),
        (["--time_budget", "-1"], "time_budget"),
        (["--threads", 10**8], "--threads"),
        (["--load", "no/such/run"], "no/such/run"),
        (["--dims", "0"], "dims"),
        (["--cache", __file__], "test_lt_train"),
        (["--savedir", __file__], "test_lt_train"),
        (["--transpose", "1", "--labels", "pitch"], "transpose"),
    ],
)
def test_bad_input_is_one_line(train, words, message):
    with pytest.raises(InputError, match=message) as caught:
        train(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["config", "half", "weights", "missing", "other"])
def test_a_damaged_run_is_refused(train, damage):
    _, folder, _ = train()
    if damage == "config":
        (folder / "config.json").write_text('{"format": 1, "system"')
    elif damage == "half":
        (folder / LAST).write_bytes((folder / LAST).read_bytes()[:-100])
    elif damage == "weights":
        (folder / LAST).write_bytes(b"x" * 1000)
    elif damage == "missing":
        (folder / LAST).unlink()
    else:
        content = json.loads((folder / "config.json").read_text())
        content["system"] = "cubism"
        (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        resume(folder)


def test_a_bad_file_in_the_corpus_is_named(train, corpus, tmp_path):
    mine = shutil.copytree(corpus, tmp_path / "mine")
    with open(mine / "notes.csv", newline="") as file:
        first = next(csv.DictReader(file))["file"]
    (mine / first).write_bytes(b"not audio")
    with pytest.raises(InputError, match=first):
        train("--dbroot", mine, "--instruments", "Reed")


def test_errors_reach_the_user_as_one_line_and_code_2(tmp_path):
    command = [sys.executable, str(ROOT / "lt_train.py"), "--dbroot", str(tmp_path / "none"), "--savedir", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert os.listdir(tmp_path) == []
