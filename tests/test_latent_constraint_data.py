"""Latents that a base gives to phrases: of all transpositions, and once for all processes that train together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

import lt_train
from data.melody import Melody
from models.epochs import batches
from models.latent_constraint import datasets
from models.latent_constraint_data import EncodedWindows
from models.phrase import PHRASE
from models.runs import load_run
from tests.constraint_runs import APT, make_base
from tests.test_lt_train import same
from utils.checkpoint import load_state

TRANSPOSED = "--preset tiny --plot_epochs 0 --save_minutes 0 --num_steps 6 --batch_size 16 --transpose 4"


def test_transposed_latents_are_those_of_transposed_phrases(tmp_path):
    """Drawn anew each time; what would leave the range stays."""
    base = make_base(tmp_path / "base", "melody")
    settings = {"system": "latent_constraint", "pretrained": base, "dbroot": base.parent / "songs", "cache": tmp_path / "cache"}
    given = [word for flag, value in settings.items() for word in (f"--{flag}", str(value))]
    assert lt_train.main([*given, *TRANSPOSED.split(), "--savedir", str(tmp_path), "--name", "run"]) == 0
    made = load_run(tmp_path / "run")
    dataset = datasets(made.config, ["train"])["train"]
    assert isinstance(dataset, EncodedWindows) and dataset.varies and dataset._latents["mean"].shape == (9, len(dataset), 8)
    still, shifts = dataset.plain().batch(torch.arange(len(dataset)), torch.Generator())[PHRASE], []
    for batch in batches(dataset, 5, "some"):
        q = made.base.encode(batch[PHRASE], PHRASE)
        assert torch.allclose(q.mean, batch["mean"], atol=1e-5) and torch.allclose(q.variance, batch["variance"], atol=1e-5)
        shifts += batch["shift"].tolist()
    assert len(set(shifts)) > 3 and min(shifts) >= -4 and max(shifts) <= 4
    moved = Melody(32).transposed(still, torch.full((len(still),), 4))
    assert torch.allclose(made.base.encode(moved, PHRASE).mean, dataset._latents["mean"][8], atol=1e-5)
    assert (datasets(made.config, ["valid"])["valid"].transpose, dataset.plain().transpose) == (0, 0)


# -- two processes ----------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent
RANK = """
import json, logging, os, sys
from pathlib import Path

import lt_train
from models.latent_constraint_data import EncodedWindows
from models.training import Trainer
from utils import cli
from utils.checkpoint import save_state

folder, rank, lines = Path(sys.argv[1]), os.environ["RANK"], json.loads(sys.argv[2])
logging.getLogger("models.latent_constraint_data").setLevel(logging.WARNING)  # of all processes, not of the first alone
save, made, encoded = Trainer.save, EncodedWindows._made, []


def saved(trainer, number=None):
    save_state(folder / f"{Path(trainer.run).name}_{rank}", trainer.state() | {"encoded": len(encoded)})
    save(trainer, number)


Trainer.save = saved
EncodedWindows._made = lambda data: encoded.append(1) or made(data)
for port, line in lines:
    os.environ["MASTER_PORT"] = str(port)
    encoded.clear()
    sys.argv = ["lt_train.py", *line]
    lt_train.main(line)
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_two_processes_share_latents_and_states(tmp_path):
    base = make_base(tmp_path / "base", **APT)
    tiny = "--plot_epochs 0 --save_minutes 0 --num_steps 3 --batch_size 16 --threads 1 --system latent_constraint --hidden 16 16"
    given = {"pretrained": base, "dbroot": base.parent / "songs", "cache": tmp_path / "cache", "savedir": tmp_path}
    where = [word for flag, value in given.items() for word in (f"--{flag}", str(value))]
    forms = {"small": "--preset tiny --noise 1", "actor": "--preset realism --critic_steps 2 --attributes density kick_share"}
    lines = [(free_port(), [*tiny.split(), *where, "--name", name, *words.split()]) for name, words in forms.items()]
    (tmp_path / "rank.py").write_text(RANK)
    command = [sys.executable, str(tmp_path / "rank.py"), str(tmp_path), json.dumps(lines)]
    alike = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**alike, "RANK": str(rank)})
        for rank in range(2)
    ]
    told = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert not any(word in err for err in told for word in ("not kept", "anew", "damaged", "Traceback"))
    assert len(list((tmp_path / "cache" / "latents").glob("*.safetensors"))) == len(forms)
    for name in forms:
        one, other = (load_state(tmp_path / f"{name}_{rank}") for rank in range(2))
        assert one["encoded"] + other["encoded"] == 1
        assert one["ranks"] == 2 and one["position"]["step"] == 3
        assert same(one["model"], other["model"]) and same(one["optimizers"], other["optimizers"])
        fixed = [key for key in one["model"] if key.rpartition(".")[2] in ("squares", "deviation", "limits")]
        assert fixed and all((one["model"][key] != 1).any() for key in fixed)
