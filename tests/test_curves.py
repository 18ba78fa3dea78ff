import math

import numpy as np
import pytest

from utils import curves
from utils.config import InputError


@pytest.mark.parametrize(
    ("name", "middle"),
    [("rise", 0.5), ("exp", (math.sqrt(math.e) - 1) / (math.e - 1)), ("log", math.log(1.5) / math.log(2))],
)
def test_named_curves(name, middle):
    falling = {"rise": "fall"}.get(name, f"-{name}")
    assert curves.named(name).at(3) == pytest.approx([0, middle, 1], abs=1e-6)
    assert curves.named(falling).at(3) == pytest.approx([0, -middle, -1], abs=1e-6)
    assert {name, falling} <= set(curves.NAMES) and curves.named(name).relative


def test_relative_curves_span_what_is_reachable():
    shares = np.array([0, 0.5, 1, -1])
    assert curves.spanned(shares, 4, 0, 10) == pytest.approx([4, 6.4, 8.8, 0.8])
    assert curves.spanned(shares, 11, 0, 10) == pytest.approx([11, 12, 13, 2.2])  # a start beyond an edge


@pytest.mark.parametrize(("column", "relative"), [("value", False), ("relative", True)])
def test_tables_are_read_and_stretched(tmp_path, column, relative):
    path = tmp_path / "curve.csv"
    path.write_text(f"time,{column}\n2,0\n3,1\n6,-0.5\n")
    curve = curves.read(path)
    assert curve.relative == relative and curve.at(5) == pytest.approx([0, 1, 0.5, 0, -0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "two rows or more"),
        ("time,value\n", "two rows or more"),
        ("time,value\n0,1\n", "two rows or more"),
        ("time,value\n0,1\n0,2\n", "rising times"),
        ("time,value\n0,1\n1,nan\n", "finite numbers"),
        ("time,value\n0,1\n1,loud\n", "is no CSV table of numbers"),
        ("time,value\n0,1\n1\n", "is no CSV table of numbers"),
        ("when,what\n0,1\n1,2\n", "with the columns time and value"),
        ("time,relative\n0,0\n1,1.5\n", "from -1, the least, to 1, the most; one is 1.5"),
        ("time,value\n0,\xff\n", "is no CSV table"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "curve.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        curves.read(path)


def test_no_table(tmp_path):
    with pytest.raises(InputError, match="no such file; give a CSV table"):
        curves.read(tmp_path / "none.csv")
