"""What every script does with errors: one line on stderr, exit code 2, and no traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils import cli
from utils.config import InputError
from utils.inputs import found

ROOT = Path(__file__).parent.parent


def ended(monkeypatch, main):
    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as end:
        cli.run(main)
    return end.value.code


def refuse(*_):
    raise InputError("this\nis wrong")


def too_long(*_):
    os.stat("x" * 300)


def nothing_of_a_file(*_):
    raise OSError(errno.EIO, "the disk is on fire")


@pytest.mark.parametrize(("task", "told"), [(refuse, "error: this is wrong\n"), (too_long, ": File name too long; check the path")])
def test_what_users_can_mend_is_one_line(monkeypatch, capsys, task, told):
    attempts = cli.Attempts()
    assert (attempts(task), attempts.code) == (None, 2)
    assert ended(monkeypatch, task) == 2
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert len(lines) == 2 and len(set(lines)) == 1
    assert told in lines[0]


def test_other_errors_keep_their_traceback(monkeypatch):
    for task in (lambda: cli.Attempts()(nothing_of_a_file), lambda: ended(monkeypatch, nothing_of_a_file)):
        with pytest.raises(OSError, match="on fire"):
            task()


def test_a_full_disk_behind_stdout_is_one_line():
    code = "from utils import cli; cli.run(lambda _: cli.Attempts()(print, 'x' * {}))"
    for size in (1, 10**6):
        with open("/dev/full", "w") as full:
            told = subprocess.run(
                [sys.executable, "-c", code.format(size)], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert (told.returncode, told.stderr) == (2, "error: stdout: the disk is full; free some space\n")


def test_a_closed_stderr_is_no_trouble():
    code = "from utils import cli; cli.run(lambda _: list(cli.progress([cli.fail('wrong')]))[0])"
    told = subprocess.run(["bash", "-c", '"$0" -c "$1" 2>&-', sys.executable, code], cwd=ROOT, stdout=subprocess.PIPE)
    assert (told.returncode, told.stdout) == (2, b"")


def test_a_long_error_is_cut(capsys):
    assert cli.fail("x" * 10**6) == 2
    assert len(capsys.readouterr().err) < 1100


def test_pipes_and_devices_are_no_input(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    for path in (tmp_path / "a.wav", "/dev/zero"):
        with pytest.raises(InputError, match="no regular file"):
            found(type(tmp_path)(path), (".wav",))
    with pytest.raises(InputError, match="holds no file"):
        found(tmp_path, (".wav",))
