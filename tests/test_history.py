"""The history of a run keeps every row, whichever terms an epoch has, and loses only what a kill has torn."""

import pytest

from utils import figures, history
from utils.config import InputError

PLAIN = {"epoch": 0, "lr_plain": 0.5, "train_total": 3.5, "valid_total": 4.0}
PULLED = {"epoch": 1, "lr_regularised": 0.25, "train_total": 3.0, "train_ratings": 0.125, "valid_total": 3.5, "valid_ratings": 0.5}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.csv"


def test_rows_of_one_kind(path):
    assert history.read(path) == []
    for epoch in range(3):
        history.append(path, PLAIN | {"epoch": epoch})
    assert history.read(path) == [PLAIN | {"epoch": epoch} for epoch in range(3)]
    assert path.read_text().splitlines()[:2] == ["epoch,lr_plain,train_total,valid_total", "0,0.5,3.5,4.0"]


def test_rows_may_have_other_terms_than_those_before(path):
    rows = [PLAIN, PULLED, PULLED | {"epoch": 2}, PLAIN | {"epoch": 3}]
    for row in rows:
        history.append(path, row)
    assert history.read(path) == rows
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,lr_plain,train_total,valid_total,lr_regularised,train_ratings,valid_ratings"
    assert {line.count(",") for line in lines} == {6}


def test_rows_of_every_kind_are_cut_off_after_an_epoch(path):
    for row in (PLAIN, PULLED, PULLED | {"epoch": 2}):
        history.append(path, row)
    history.truncate(path, 2)
    assert history.read(path) == [PLAIN, PULLED]
    history.append(path, PULLED | {"epoch": 2})
    assert history.read(path) == [PLAIN, PULLED, PULLED | {"epoch": 2}]


def test_a_torn_row_is_left_out(path):
    for row in (PLAIN, PULLED):
        history.append(path, row)
    path.write_bytes(path.read_bytes() + b"2,,3")
    assert history.read(path) == [PLAIN, PULLED]
    history.truncate(path, 9)
    assert history.read(path) == [PLAIN, PULLED]


def test_what_is_no_history(path):
    path.write_text("epoch,total\n1,x\n")
    with pytest.raises(InputError, match="no history"):
        history.read(path)
    with pytest.raises(InputError, match="cannot be written"):
        history.append(path.parent / "none" / "history.csv", PLAIN)


def test_learning_curves_show_terms_where_there_are_some(path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, _: drawn.append(figure))
    figures.learning_curves([PLAIN, PULLED], path)
    assert [axes.get_title() for axes in drawn[0].axes] == ["total", "ratings"]
    total, pulls = (axes.lines for axes in drawn[0].axes)
    assert [line.get_ydata().tolist() for line in total] == [[3.5, 3.0], [4.0, 3.5]]
    assert pulls[1].get_ydata()[1] == 0.5
    assert pulls[1].get_ydata()[0] != pulls[1].get_ydata()[0]
    figures.learning_curves([], path)
    assert len(drawn) == 1


def test_learning_curves_of_what_has_nothing_held_out(path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, _: drawn.append(figure))
    row = {"epoch": 0, "step": 1, "lr_vae": 0.5, "train_total": 3.5, "train_beta": 1.0}
    figures.learning_curves([row, row | {"epoch": 1, "train_total": 3.0}], path)
    assert [(axes.get_title(), len(axes.lines)) for axes in drawn[0].axes] == [("total", 1), ("beta", 1)]
