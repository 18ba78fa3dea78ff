"""Saved states: exact round trips, atomic writes, and refusal of whatever is damaged."""

import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from utils.checkpoint import FORMAT, load_state, load_weights, save_state
from utils.config import InputError
from utils.files import atomic, write_text

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5)
tensors = st.lists(st.floats(width=32), max_size=4).map(lambda v: torch.tensor(v, dtype=torch.float32))
states = st.recursive(
    scalars | tensors,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(state=states)
def test_round_trip_keeps_every_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "s.safetensors"
    save_state(path, state)
    assert same(state, load_state(path))


def test_tensors_that_share_memory_are_saved_apart(tmp_path):
    base = torch.arange(6.0).view(2, 3)
    save_state(tmp_path / "s", {"a": base, "b": base.T, "c": base[1]})
    loaded = load_state(tmp_path / "s")
    assert torch.equal(loaded["b"], base.T)
    assert torch.equal(loaded["c"], base[1])


def test_a_failed_write_keeps_the_previous_file(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "x") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert (tmp_path / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_is_one_line_and_keeps_the_previous_file(tmp_path):
    save_state(tmp_path / "s", {"a": torch.zeros(10)})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
        with pytest.raises(InputError, match="previous file is kept"):
            save_state(tmp_path / "s", {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert torch.equal(load_state(tmp_path / "s")["a"], torch.zeros(10))
    assert os.listdir(tmp_path) == ["s"]


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        save_state(tmp_path / "no" / "s", {})


@given(data=st.data())
def test_damaged_files_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("state") / "s"
    save_state(path, {"a": torch.arange(10.0), "b": [1, 2]})
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 41))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        load_state(path)  # a flip inside a name or a number may leave a valid file
    except InputError as error:
        assert "\n" not in str(error)


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    torch.save(Hostile(), tmp_path / "s")
    with pytest.raises(InputError):
        load_state(tmp_path / "s")
    assert not canary.exists()


@pytest.mark.parametrize("plain", ['{"pairs": 5}', '{"pairs": [[[], 1]]}', '{"other": 1}', "[[]", '{"__tensor__": []}'])
def test_an_impossible_state_is_refused(tmp_path, plain):
    save_file({"0": torch.zeros(2)}, tmp_path / "s", metadata={"format": FORMAT, "state": plain})
    with pytest.raises(InputError, match="is damaged"):
        load_state(tmp_path / "s")


def test_weights_of_another_model_are_refused(tmp_path):
    layer = torch.nn.Linear(2, 3)
    for wrong in ({}, {"weight": torch.zeros(3, 2)}, {"weight": torch.zeros(2, 2), "bias": torch.zeros(3)}):
        with pytest.raises(InputError, match="do not fit"):
            load_weights(layer, wrong, tmp_path)
    for wrong in (None, [torch.zeros(3)], {"weight": 1, "bias": torch.zeros(3)}):
        with pytest.raises(InputError, match="holds no weights"):
            load_weights(layer, wrong, tmp_path)
    with pytest.raises(InputError, match="not finite"):
        load_weights(layer, {"weight": torch.full((3, 2), torch.nan), "bias": torch.zeros(3)}, tmp_path)


KILLED = """
import sys, torch
from pathlib import Path
from utils.checkpoint import save_state
n = 0
while True:
    n += 1
    save_state(Path(sys.argv[1]), {"n": n, "a": torch.full((500_000,), float(n))})
    print(n, flush=True)
"""


def test_a_kill_during_saving_leaves_a_whole_file(tmp_path):
    path = tmp_path / "s"
    for count in (2, 5):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
            saved = [int(process.stdout.readline()) for _ in range(count)]
            process.kill()
        state = load_state(path)
        assert state["n"] >= saved[-1]
        assert torch.equal(state["a"], torch.full((500_000,), float(state["n"])))


def test_others_may_read_what_they_may_read_else(tmp_path):
    (tmp_path / "text").touch()
    save_state(tmp_path / "state", {"x": torch.zeros(2)})
    assert (tmp_path / "state").stat().st_mode == (tmp_path / "text").stat().st_mode
