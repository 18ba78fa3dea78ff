"""What the screen keeps from being spoiled. The whole is seen in test_play_navigation."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys
from utils.screen import _held_back
try:
    with _held_back():
        print("a warning", file=sys.stderr)
        assert not sys.stderr.isatty()  # so bars are silent
        os.write(1, b"picture ")
        1 / int(sys.argv[1])
except ZeroDivisionError:
    print("error", file=sys.stderr)
"""


@pytest.mark.parametrize(("divisor", "after"), [(1, b"a warning\n"), (0, b"a warning\nerror\n")])
def test_what_is_written_to_stderr_follows(divisor, after):
    ours, theirs = pty.openpty()
    try:
        root = Path(__file__).parent.parent
        subprocess.run([sys.executable, "-c", CODE, str(divisor)], cwd=root, stdout=theirs, stderr=theirs, check=True, timeout=60)
        assert os.read(ours, 4096).replace(b"\r", b"") == b"picture " + after
    finally:
        os.close(ours)
        os.close(theirs)


def test_where_stderr_is_no_terminal_nothing_is_held(capfd):
    from utils.screen import _held_back

    with _held_back():
        os.write(2, b"noise")
        assert capfd.readouterr().err == "noise"
