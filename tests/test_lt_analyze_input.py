"""Bad input to lt_analyze.py: one line, exit code 2, and what is good is analysed all the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lt_analyze
from data.notes import PITCH_CLASSES
from data.splits import SPLITS, split_of
from models.run_folder import BEST, HISTORY
from models.training import Trainer
from tests.analyses import KEYS, OFF, analyse, copied, only, quickly, read
from tests.corpora import instruments
from tests.runs import make_run
from utils import cli
from utils.config import InputError

UNUSED = next(split for split in SPLITS if split not in {split_of(f"Brass/A/4/{dynamics}") for dynamics in "pf"})
CLASSES = {"octave": list("012345678"), "pitch": list(PITCH_CLASSES), "dynamics": ["p", "f"]}


@pytest.fixture(autouse=True, scope="module")
def quick():
    with quickly():
        yield


@pytest.fixture(scope="module")
def solo(tmp_path_factory):
    """Return a run of random weights on a corpus of its own."""
    corpus, cache = instruments(tmp_path_factory.mktemp("corpus")), tmp_path_factory.mktemp("cache")
    return make_run(
        tmp_path_factory.mktemp("runs") / "solo",
        instruments=("Brass",),
        classes=CLASSES,
        frames=("2", "8"),
        dbroot=str(corpus),
        cache=str(cache),
    )


# -- the command line -------------------------------------------------------------------------------------------------


def test_help_imports_no_torch():
    code = "import sys, lt_analyze; lt_analyze.parser().format_help(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(lt_analyze.__file__).parent, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-n 0", "--nb_passes 0: takes 1 or more"),
        ("--n_samples -1", "n_samples -1"),
        ("--generate_audio -1", "generate_audio -1"),
        ("--classifier_bs 1", "classifier_bs 1: takes 2 or more"),
        ("--classifier_epochs 0", "classifier_epochs 0"),
        ("--griffinlim_iters 0", "griffinlim_iters 0"),
        ("--seed -1", "seed -1"),
        ("--projections pca tsne", "tsne: is unknown"),
        ("--split half", "half"),
        ("--make_losses 2", "make_losses"),
        ("--weights worst", "worst"),
        ("--device abacus", "abacus"),
        ("--cuda 99", "cuda:99"),
        ("--no_such_flag", "no_such_flag"),
    ],
)
def test_values_are_checked(solo, words, message):
    with pytest.raises(InputError, match=message) as caught:
        lt_analyze.main(["-m", str(solo), *words.split()])
    assert "\n" not in str(caught.value)


def test_errors_are_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    for words in (["-m", str(tmp_path / "none")], []):
        monkeypatch.setattr(sys, "argv", ["lt_analyze.py", *words])
        with pytest.raises(SystemExit, match="2"):
            cli.run(lt_analyze.main)
        told = capsys.readouterr()
        assert told.out == "" and told.err.startswith("error: ") and told.err.count("\n") == 1


# -- runs -------------------------------------------------------------------------------------------------------------


def damaged(solo, tmp_path, kind):
    """Return a run that cannot be analysed."""
    run = tmp_path / "bad"
    if kind == "missing":
        return run
    shutil.copytree(solo, run)
    config = run / "config.json"
    if kind == "half-written":
        config.write_text(config.read_text()[:100])
    elif kind == "weights":
        (run / BEST).unlink()
    elif kind == "torn weights":
        (run / BEST).write_bytes((run / BEST).read_bytes()[:-100])
    elif kind == "history":
        (run / HISTORY).write_bytes(b"\xff\xfe\x00,1\n")
    else:
        key, value = kind
        content = json.loads(config.read_text())
        (content if key in content else content["config"])[key] = value
        config.write_text(json.dumps(content))
    return run


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "half-written",
        "weights",
        "torn weights",
        "history",
        ("system", "cubism"),
        ("fingerprints", ["a"]),
        ("classes", 5),
        ("dims", ["x"]),
        ("dims", [10**6]),
        ("instruments", ["Kazoo"]),
        ("dbroot", "/no/such/corpus"),
        ("label_pattern", "("),
    ],
    ids=str,
)
def test_a_bad_run_keeps_no_other_from_being_analysed(solo, tmp_path, capsys, kind):
    bad, out = damaged(solo, tmp_path, kind), tmp_path / "out"
    assert analyse(bad, solo, output=out, **only(make_figures=int(kind == "history"))) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and told.err.count("\n") == 1
    assert told.out == f"{out / 'solo' / 'report.html'}\n"
    assert list(read(out / "solo")) == KEYS


def test_where_nothing_could_be_analysed_nothing_is_compared(tmp_path, capsys):
    assert analyse(tmp_path / "a", tmp_path / "b", output=tmp_path / "out") == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("error: ") == told.err.count("\n") == 2
    assert not (tmp_path / "out").exists()


def test_a_history_of_something_else_is_not_drawn(solo, tmp_path):
    run = damaged(solo, tmp_path, ("seed", 0))
    (run / HISTORY).write_text("a,b\n1,2\n")
    assert analyse(run, **only(make_figures=1)) == 0
    assert "Training</h2>" not in (run / "analysis" / "report.html").read_text()


# -- corpora and folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        ({"names": ("Reed",)}, "all", "'Brass' is not in the corpus"),
        ({"octaves": (4,), "pitches": ("A",), "names": ("Brass",)}, UNUSED, f"no {UNUSED} note"),
        ("no dynamics", "all", "no note has all of the labels"),
        ("no corpus", "all", "is no corpus"),
        ("torn", "all", "wav"),
    ],
    ids=str,
)
def test_a_corpus_that_does_not_suit_is_named(solo, tmp_path, capsys, change, split, message):
    other = instruments(tmp_path / "other", **{"octaves": (3,), **(change if isinstance(change, dict) else {})})
    if change == "no dynamics":
        rows = [line.rsplit(",", 1)[0] for line in (other / "notes.csv").read_text().splitlines()]
        (other / "notes.csv").write_text("\n".join(rows) + "\n")
    elif change == "torn":
        for file in other.glob("*.wav"):
            file.write_bytes(b"not audio")
    given = __file__ if change == "no corpus" else other
    assert analyse(solo, output=tmp_path / "out", dbroot=given, split=split, **OFF) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("thing", ["", "analysis.json", "metrics.csv", "report.html", "figures", "figures/latent_use.png", "audio"])
def test_an_output_that_cannot_be_written(solo, tmp_path, capsys, thing):
    """Where a file should be there is a folder, and the other way round."""
    place, other = tmp_path / "out" / "bad" / thing, copied(solo, tmp_path, "bad")
    if thing in ("", "figures", "audio"):
        place.parent.mkdir(parents=True)
        place.write_text("x")
    else:
        place.mkdir(parents=True)
    parts = only(make_figures=int("figures" in thing), generate_audio=int(thing == "audio"))
    assert analyse(other, solo, output=tmp_path / "out", **parts) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ") and told.err.count("\n") == 1 and str(place) in told.err
    assert (tmp_path / "out" / "solo" / "report.html").is_file()


def test_an_output_that_cannot_be_made_is_noticed_before_the_work(solo, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(Trainer, "step", None)
    assert analyse(solo, output=tmp_path / "file") == 2


def test_garbage_in_the_folder_is_left_alone(solo, tmp_path):
    (tmp_path / "analysis.json").write_text("garbage")
    (tmp_path / "notes.txt").write_text("mine")
    assert analyse(solo, output=tmp_path, **OFF) == 0
    assert list(read(tmp_path)) == KEYS and (tmp_path / "notes.txt").read_text() == "mine"
