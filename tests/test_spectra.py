"""The cache of spectra: what it returns, and that no kill, torn file, full disk or rival changes that."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import spectra
from data.spectra import SpectraStore
from tests.waiting import wait_until
from utils.config import InputError

ROOT = Path(__file__).parent.parent
F = 5


def analyse(path: Path) -> np.ndarray:
    """Make magnitudes (N, F) that depend on the content alone; refuse content that says so."""
    content = path.read_text()
    if content.startswith("bad"):
        raise InputError("is no audio; give another file")
    rng = np.random.default_rng(list(content.encode()))
    return rng.random((int(rng.integers(1, 9)), F), dtype=np.float32)


def analyse_slowly(path: Path) -> np.ndarray:
    time.sleep(0.05)
    return analyse(path)


def make_files(folder: Path, n: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{i:03}.wav" for i in range(n)]
    for i, path in enumerate(paths):
        path.write_text(f"note {i}")
    return paths


def make_store(cache: Path, **changes) -> SpectraStore:
    return SpectraStore(cache, {"fmin": 30.0, "bins": 48} | changes, F)


def entries(cache: Path) -> int:
    return len(make_store(cache)._entries)


def index(store: SpectraStore) -> Path:
    (path,) = store.folder.glob("shard-*.jsonl")
    return path


def shard(store: SpectraStore) -> Path:
    return index(store).with_suffix(".f32")


def assert_holds(store: SpectraStore, paths: list[Path]) -> None:
    for path in paths:
        np.testing.assert_array_equal(store.get(path), analyse(path))


def assert_computes(store: SpectraStore, paths: list[Path], expected: list[Path]) -> None:
    """Check that preparing `paths` analyses just the `expected`, and that every spectrum is right afterwards."""
    analysed = []
    store.prepare(paths, lambda path: analysed.append(path) or analyse(path))
    assert analysed == expected
    assert_holds(store, paths)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path):
    return make_files(tmp_path / "files", 6)


@pytest.fixture
def store(cache, files):
    """A store that holds all `files`."""
    store = make_store(cache)
    store.prepare(files, analyse)
    return store


def test_get_is_a_read_only_view_of_the_map(store, files):
    assert_holds(store, files)
    got = store.get(files[0])
    assert got.dtype == np.float32
    assert np.shares_memory(got, store.get(files[0]))
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


def test_nothing_is_computed_twice(store, cache, files):
    copy = files[0].with_name("copy.wav")
    shutil.copy(files[0], copy)
    assert_computes(make_store(cache), [*files, copy], [])
    assert index(store)


def test_equal_contents_are_analysed_once(cache, files):
    files[1].write_text(files[0].read_text())
    assert_computes(make_store(cache), [*files, files[2]], [files[1], *files[2:]])


@pytest.mark.parametrize("settled_ns", [-1, spectra.SETTLED_NS])
def test_a_changed_file_is_recomputed(store, files, settled_ns, monkeypatch):
    monkeypatch.setattr(spectra, "SETTLED_NS", settled_ns)
    store.prepare(files, analyse)
    times = os.stat(files[2])
    time.sleep(0.05)  # more than a tick of the file system's clock
    files[2].write_text("tone 2")  # of the same size
    os.utime(files[2], ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match=r"002\.wav: no spectrum of this content"):
        store.get(files[2])
    assert_computes(store, files, [files[2]])


@pytest.mark.parametrize("changes", [{"fmin": 31.0}, {"erb": True}])
def test_other_settings_are_another_cache(store, cache, files, changes):
    other = make_store(cache, **changes)
    with pytest.raises(InputError, match="prepare it first"):
        other.get(files[0])
    assert_computes(other, files, files)
    assert json.loads((other.folder / "settings.json").read_text())["settings"] == {"fmin": 30.0, "bins": 48} | changes


def test_the_order_of_settings_does_not_matter(tmp_path):
    assert SpectraStore(tmp_path, {"a": 1, "b": 2}, F).folder == SpectraStore(tmp_path, {"b": 2, "a": 1}, F).folder
    assert SpectraStore(tmp_path, {"a": 1}, F).folder != SpectraStore(tmp_path, {"a": 1}, F + 1).folder


def test_only_changed_files_are_read_again(cache, files, monkeypatch):
    monkeypatch.setattr(spectra, "SETTLED_NS", -1)
    make_store(cache).prepare(files, analyse)
    with (cache / "contents.jsonl").open("ab") as log:
        log.write(b'{"path": "torn')
    files[3].write_text("other")
    read, digest = [], spectra._digest
    monkeypatch.setattr(spectra, "_digest", lambda path: read.append(path) or digest(path))
    make_store(cache).prepare(files, analyse)
    assert_holds(make_store(cache), files)
    assert read == [files[3]]


def prepare_in_process(cache: Path, folder: Path, workers: int = 1) -> subprocess.Popen:
    """Start a process that prepares slowly, in a session of its own; it runs this file as a script."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, __file__, cache, folder, str(workers)],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_preparation_continues(tmp_path, cache):
    files = make_files(tmp_path / "files", 60)
    with prepare_in_process(cache, tmp_path / "files") as process:
        wait_until(lambda: entries(cache))
        process.kill()
    done = entries(cache)
    assert 0 < done < len(files)
    assert_computes(make_store(cache), files, files[done:])
    assert_holds(make_store(cache), files)


@pytest.mark.parametrize(("send", "ending"), [(os.kill, signal.SIGKILL), (os.killpg, signal.SIGINT)])
def test_no_worker_outlives_its_parent(tmp_path, cache, send, ending):
    files = make_files(tmp_path / "files", 200)
    process = prepare_in_process(cache, tmp_path / "files", workers=2)
    wait_until(lambda: entries(cache))
    send(process.pid, ending)  # a terminal's Ctrl-C goes to all of them
    stderr = process.communicate(timeout=20)[1]  # ends with the last process that may write there
    assert ending == signal.SIGKILL or stderr == "interrupted\n"
    assert 0 < entries(cache) < len(files)


def test_an_interruption_keeps_what_is_done(cache, files):
    def interrupted(path):
        if path == files[3]:
            raise KeyboardInterrupt
        return analyse(path)

    with pytest.raises(KeyboardInterrupt):
        make_store(cache).prepare(files, interrupted)
    assert_computes(make_store(cache), files, files[3:])


def test_two_preparations_at_once(tmp_path, cache, caplog):
    files = make_files(tmp_path / "files", 30)
    rivals = [prepare_in_process(cache, tmp_path / "files") for _ in range(2)]
    assert [rival.communicate(timeout=60)[1] for rival in rivals] == ["", ""]
    assert_computes(make_store(cache), files, [])
    assert len(list(make_store(cache).folder.glob("*.f32"))) == 2
    assert caplog.text == ""


def test_a_torn_index_loses_its_last_line_only(store, cache, files, caplog):
    whole = index(store).read_bytes()
    for torn in range(1, 20):
        index(store).write_bytes(whole[:-torn])
        assert entries(cache) == len(files) - 1
    assert_computes(make_store(cache), files, files[-1:])
    assert caplog.text == ""


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00" * 30,
        b'{"content": "a", "row": 0',
        b"[" * 100_000,
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"content": 1, "row": 0, "rows": 1}',
        b'{"content": "a", "row": -1, "rows": 1}',
        b'{"content": "a", "row": 0, "rows": 0}',
        b'{"content": "a", "row": 0, "rows": 1e30}',
        b'{"content": "a", "row": 99999999, "rows": 1}',
    ],
)
def test_a_damaged_line_is_ignored_with_a_warning(store, cache, files, damage, caplog):
    lines = index(store).read_bytes().split(b"\n")
    lines[2] = damage  # the first is empty
    index(store).write_bytes(b"\n".join(lines))
    assert_computes(make_store(cache), files, [files[1]])
    assert "damaged" in caplog.text


def test_a_cut_shard_loses_the_entries_that_were_cut(store, cache, files, caplog):
    os.truncate(shard(store), sum(analyse(path).nbytes for path in files[:4]) + 7)
    assert_computes(make_store(cache), files, files[4:])
    assert "2 entries are damaged or cut off" in caplog.text


def test_a_lost_shard_is_computed_again(store, cache, files):
    shard(store).unlink()
    assert_computes(make_store(cache), files, files)


def test_a_torn_tail_of_data_is_never_seen(cache, files):
    store = make_store(cache)
    store.prepare(files[:3], analyse)
    with shard(store).open("ab") as data:
        data.write(b"\x01" * (4 * F * 2 + 3))
    assert_computes(make_store(cache), files, files[3:])


@pytest.mark.parametrize("space", [0, 50, 130, 200, 300, 350, 400])
def test_a_full_disk_is_one_line_and_nothing_half_written_counts(cache, files, space, monkeypatch, caplog):
    monkeypatch.setattr(spectra, "COMMIT_SECONDS", 0.0)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, hard))  # a file may hold this much, in bytes
    try:
        with pytest.raises(InputError, match="; free some space or name another cache folder") as caught:
            make_store(cache).prepare(files, analyse)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert_computes(make_store(cache), files, files[entries(cache) :])
    assert caplog.text == ""


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path, files):
    (tmp_path / "plain").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        make_store(tmp_path / "plain").prepare(files, analyse)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_agree_and_a_bad_file_loses_no_other(tmp_path, cache, workers):
    files = make_files(tmp_path / "files", 8)
    files[-1].write_text("bad")
    store = make_store(cache)
    with pytest.raises(InputError, match=r"007\.wav: is no audio; give another file"):
        store.prepare(files, analyse, workers)
    assert entries(cache) >= 8 - 2 * workers  # what is under way when it is met is given up
    store.prepare(files[:-1], analyse)
    assert_holds(store, files[:-1])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (np.zeros((0, F)), InputError, "too short for one frame"),
        (np.full((2, F), np.nan), InputError, "NaN or infinity"),
        (np.full((2, F), np.inf), InputError, "NaN or infinity"),
        (np.zeros(F), ValueError, "magnitudes of shape"),
        (np.zeros((2, F + 1)), ValueError, "magnitudes of shape"),
    ],
)
def test_useless_spectra_name_the_file(cache, files, result, error, message):
    with pytest.raises(error, match=rf"000\.wav: .*{message}"):
        make_store(cache).prepare(files, lambda path: result)


def test_other_errors_keep_their_kind_and_say_where(cache, files):
    with pytest.raises(ZeroDivisionError) as caught:
        make_store(cache).prepare(files, lambda path: 1 / 0)
    assert caught.value.__notes__ == [f"while analysing {files[0]}"]


def test_a_file_that_changes_meanwhile_is_refused(cache, files):
    with pytest.raises(InputError, match=r"000\.wav: changed while it was analysed"):
        make_store(cache).prepare(files, lambda path: np.ones((path.write_text("longer than before"), F)))
    assert entries(cache) == 0


def test_missing_files_and_folders_are_named(cache, tmp_path):
    with pytest.raises(InputError, match=r"none\.wav: No such file or directory; check the path"):
        make_store(cache).prepare([tmp_path / "none.wav"], analyse)
    with pytest.raises(InputError, match="Is a directory"):
        make_store(cache).prepare([tmp_path], analyse)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_are_the_files_end_to_end(data):
    shard_rows = data.draw(st.integers(1, 12))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(spectra, "SHARD_BYTES", shard_rows * 4 * F)
        files = make_files(Path(folder, "files"), data.draw(st.integers(1, 8)))
        store = make_store(Path(folder, "cache"))
        store.prepare(files, analyse)
        chosen = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=12))
        expected = np.concatenate([analyse(path) for path in chosen])
        rows = store.rows(chosen)
        ids = np.array(data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=30)), dtype=np.int64)
        assert len(rows) == len(expected)
        assert np.diff(rows.starts).tolist() == [len(analyse(path)) for path in chosen]
        np.testing.assert_array_equal(rows[ids], expected[ids])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows))[ids], expected[ids])


@pytest.mark.parametrize("ids", [[-1], [0, 10**6]])
def test_rows_out_of_range(store, files, ids):
    with pytest.raises(IndexError, match="asked for; there are"):
        store.rows(files)[np.array(ids)]


def test_rows_of_nothing(cache):
    rows = make_store(cache).rows([])
    assert len(rows) == 0
    assert rows[np.array([], dtype=np.int64)].shape == (0, F)


def test_a_shard_that_grows_is_mapped_anew(cache, files, monkeypatch):
    monkeypatch.setattr(spectra, "COMMIT_SECONDS", 0.0)
    reader = make_store(cache)

    def read_meanwhile(path):
        reader._refresh()
        assert_holds(reader, files[: files.index(path)])
        return analyse(path)

    make_store(cache).prepare(files, read_meanwhile)
    assert index(reader)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_gathering_keeps_memory_flat(cache, files, monkeypatch):
    monkeypatch.setattr(spectra, "RESIDENT_BYTES", 2**20)
    store = SpectraStore(cache, {}, n_bins=1024)
    store.prepare(files, lambda path: np.ones((2048, 1024), dtype=np.float32))  # 48 MiB in all
    rows, rng = store.rows(files), np.random.default_rng(0)
    before = mapped_mib()
    for _ in range(100):
        rows[rng.integers(0, len(rows), 512)]
    assert mapped_mib() - before < 8


def mapped_mib() -> float:
    """Return how much of mapped files this process holds in memory, in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background hands on that it is ignored
    try:
        make_store(Path(sys.argv[1])).prepare(sorted(Path(sys.argv[2]).iterdir()), analyse_slowly, int(sys.argv[3]))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
