"""Ratings against what is known of the five studies, and files of a user's own, whole and damaged."""

import csv
import functools
import itertools
import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import dissimilarity
from data.dissimilarity import ratings
from utils import geometry
from utils.config import InputError

ROOT = Path(__file__).parent.parent
STORED = ROOT.parent / "shared" / "data" / "timbre"
needs_stored = pytest.mark.skipif(not STORED.is_dir(), reason="the statistics as they were extracted are not here")

INSTRUMENTS = [  # as corpora of Studio On Line name them, in the order of the ratings
    *("Clarinet-Bb", "Alto-Sax", "Trumpet-C", "Violoncello", "French-Horn", "Oboe"),
    *("Flute", "English-Horn", "Bassoon", "Tenor-Trombone", "Piano", "Violin"),
]
CELLO, VIOLIN, TROMBONE, HORN = (INSTRUMENTS.index(name) for name in ("Violoncello", "Violin", "Tenor-Trombone", "French-Horn"))
CLASS_IDS = [7, 4, 9, 2, 10, 11, 3, 1, 8, 0, 6, 5]  # places in the original's data set of those in its ratings
PAIRS = "instrument_a,instrument_b,dissimilarity\nflute,oboe,1\noboe,cello,4\ncello,flute,2\n"
BAND = ("Flute", "Oboe", "Cello")


@functools.cache
def full(kind: str) -> dissimilarity.Ratings:
    return ratings(kind, INSTRUMENTS)


def own(folder: Path, text: str, instruments=BAND) -> dissimilarity.Ratings:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return ratings(str(path), instruments)


def pearson(a: str, b: str) -> float:
    return geometry.correlations(full(a).mean, full(b).mean)["pearson"]


def test_the_pooled_ratings_are_those_of_the_original():
    """66 pairs, 7516 values; cello and violin 0.0892, cello and trombone 0.7262, the largest."""
    pooled = full("pooled")
    assert geometry.upper(pooled.number).sum() == 7516
    assert geometry.upper(pooled.known).sum() == 66
    assert pooled.mean[CELLO, TROMBONE] == 1 == np.nanmax(pooled.mean)
    assert pooled.mean[CELLO, VIOLIN] == pytest.approx(0.0892 / 0.7262, abs=1e-4)
    assert pooled.spread[HORN, TROMBONE] == pytest.approx(0.3864 / 0.7262, abs=1e-4) == pooled.spread.max()
    assert geometry.upper(pooled.spread).min() == pytest.approx(0.1244 / 0.7262, abs=1e-4)


def test_the_spreads_of_instruments_are_those_of_the_original():
    """2 (v - min v + 0.01) / max v of the row means v of the spreads, divided by the largest."""
    spread = full("pooled").spread
    v = (spread / spread.max()).mean(1)
    expected = [0.320, 0.363, 0.327, 0.138, 0.415, 0.190, 0.386, 0.269, 0.205, 0.436, 0.034, 0.164]
    assert 2 * (v - v.min() + 0.01) / v.max() == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("kind", "instruments", "pairs", "number"),
    [
        ("dedup", 12, 66, 5052),
        ("balanced", 12, 66, 5052),
        ("balanced-no-grey", 12, 66, 2588),
        ("grey", 10, 45, 2464),
        ("krumhansl", 8, 28, 252),
        ("mcadams", 7, 21, 504),
        ("lakatos", 8, 28, 1139),
        ("iverson", 12, 66, 693),
    ],
)
def test_each_kind_covers_what_its_studies_do(kind, instruments, pairs, number):
    found = full(kind)
    assert len(found.rated) == instruments
    assert geometry.upper(found.known).sum() == pairs
    assert geometry.upper(found.number).sum() == number
    assert np.nanmax(found.mean) == 1
    assert found.note.startswith(kind)


def test_where_studies_agree_and_where_not():
    expected = {
        ("grey", "krumhansl"): 0.04,
        ("grey", "mcadams"): 0.05,
        ("grey", "iverson"): 0.01,
        ("grey", "lakatos"): 0.53,
        ("krumhansl", "mcadams"): 0.89,
        ("krumhansl", "lakatos"): 0.71,
        ("krumhansl", "iverson"): 0.50,
        ("mcadams", "lakatos"): 0.83,
        ("mcadams", "iverson"): 0.64,
        ("lakatos", "iverson"): 0.73,
        ("pooled", "balanced"): 0.81,
        ("pooled", "balanced-no-grey"): 0.50,
    }
    assert {pair: pearson(*pair) for pair in expected} == {pair: pytest.approx(r, abs=5e-3) for pair, r in expected.items()}


def test_greys_trombone_is_another():
    """It is muted; without it Grey's ratings come nearer to the others'."""
    names = [name for name in INSTRUMENTS if name != "Tenor-Trombone"]
    grey = full("grey").subset(names).mean
    found = [
        geometry.correlations(grey, full(study).subset(names).mean)["pearson"] for study in ("krumhansl", "mcadams", "iverson")
    ]
    assert found == pytest.approx([0.27, 0.47, 0.23], abs=5e-3)


def test_listeners_of_one_study_agree():
    """Spreads and numbers foretell the 0.94 that halves of the listeners gave."""
    found = [full(study).reliability for study in dissimilarity.STUDIES]
    assert np.mean(found) == pytest.approx(geometry.spearman_brown(dissimilarity.SPLIT_HALF), abs=0.02)
    assert min(found) > 0.88


@pytest.mark.parametrize(
    ("dimensions", "raw_stress", "stress", "correlation"),
    [
        (2, 1.595, 0.228, 0.815),
        (3, 0.582, 0.135, 0.882),
        (4, 0.211, 0.081, 0.938),
        (6, 0.078, 0.049, 0.976),
        (8, 0.067, 0.0455, 0.982),
    ],
)
def test_scaling_reaches_the_stress_that_is_known(dimensions, raw_stress, stress, correlation):
    target = full("pooled").mean
    found = geometry.mds(target, dimensions, starts=4)
    between = geometry.distances(found.positions)
    assert found.raw_stress == pytest.approx(raw_stress, abs=5e-4)
    assert found.stress1 == pytest.approx(stress, abs=5e-4 if stress > 0.0455 else 5e-5)
    assert geometry.correlations(between, target)["pearson"] == pytest.approx(correlation, abs=5e-4)
    assert geometry.stress1(target, 3 * between) == pytest.approx(found.stress1, abs=1e-5)


def test_more_than_8_dimensions_say_no_more():
    target = full("pooled").mean
    assert geometry.mds(target, 32, starts=1).raw_stress == pytest.approx(geometry.mds(target, 8, starts=1).raw_stress, abs=1e-6)


def test_names_decide_not_places():
    """In the order of another table the ratings would mean nothing: r = -0.145."""
    pooled = full("pooled")
    wrong = pooled.mean[np.ix_(CLASS_IDS, CLASS_IDS)]
    assert geometry.correlations(pooled.mean, wrong)["pearson"] == pytest.approx(-0.145, abs=5e-4)
    shuffled = ratings("pooled", [INSTRUMENTS[i] for i in CLASS_IDS])
    assert np.array_equal(shuffled.mean, wrong)


@settings(max_examples=40, deadline=None)
@given(st.permutations(INSTRUMENTS), st.integers(3, 12), st.sampled_from(dissimilarity.KINDS))
def test_distances_are_the_same_in_every_subset(order, size, kind):
    names = order[:size]
    whole = full(kind).subset(names)
    if len(whole.rated) < 3:
        with pytest.raises(InputError, match="too few"):
            ratings(kind, names)
        return
    found = ratings(kind, names)
    for one, other in ((found.mean, whole.mean), (found.spread, whole.spread), (found.number, whole.number)):
        assert np.array_equal(one, other, equal_nan=True)
        assert np.array_equal(one, one.T, equal_nan=True)
    assert np.array_equal(found.known, found.number > 0)
    assert np.array_equal(np.diag(found.mean), np.zeros(size))


@pytest.mark.parametrize(
    "names",
    [
        [
            "clarinet",
            "saxophone",
            "trumpet",
            "cello",
            "horn",
            "oboe",
            "flute",
            "coranglais",
            "bassoon",
            "trombone",
            "piano",
            "violin",
        ],
        ["Bb-Clarinet", "alto_saxophone", "TrumpetC", "Vc", "FrenchHorn", "OBOE", "flute", "EnglishHorn", *INSTRUMENTS[8:]],
        ["Clarinet in Bb", "sax", "Trumpet in C", "Cello", "French horn", "oboe", "flute", "cor anglais", *INSTRUMENTS[8:]],
    ],
)
def test_instruments_go_by_many_names(names):
    found = ratings("balanced-no-grey", names)
    assert found.instruments == tuple(names)
    assert np.array_equal(found.mean, full("balanced-no-grey").mean)


def test_instruments_without_ratings_are_masked():
    found = ratings("lakatos", ["Flute", "Tuba", "Bassoon", "Violin", "Piano"])
    assert found.rated == ("Flute", "Violin", "Piano")
    assert np.isnan(found.mean[1]).tolist() == [True, False, True, True, True]
    assert found.number[1].sum() == found.known[1].sum() == found.known[:, 2].sum() == 0
    assert found.masked().mask.sum() == 20 - 6
    assert found.masked().count() == 5 + 6
    assert found.subset(found.rated).known.sum() == 6


def test_pairs_of_a_users_own(tmp_path):
    found = own(tmp_path, PAIRS)
    assert found.instruments == BAND
    assert found.mean.tolist() == [[0, 0.25, 0.5], [0.25, 0, 1], [0.5, 1, 0]]
    assert found.number.tolist() == (1 - np.eye(3)).tolist()
    assert np.isnan(found.spread[found.known]).all()
    assert math.isnan(found.reliability)
    assert found.note == "mine.csv: ratings of 3 instruments"


def test_pairs_with_numbers_and_spreads(tmp_path):
    text = "# mine\n\nn;std;Instrument_A;instrument_b;dissimilarity\n12;2;vc;Fl;8\n7;;vc;Ob;4\n;1;Fl;Ob;2\n"
    found = own(tmp_path, text, ["Cello", "fl", "ob", "Tuba"])
    assert found.mean[0].tolist() == pytest.approx([0, 1, 0.5, math.nan], nan_ok=True)
    assert found.spread[0].tolist() == pytest.approx([0, 0.25, math.nan, math.nan], nan_ok=True)
    assert found.number[:, 2].tolist() == [7, 1, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        ",Flute,Oboe,Cello\nflute,0,1,2\noboe,1,0,4\nvioloncello,2,4,0",
        "Flute\tOboe\tCello\n0\t1\t2\n1\t0\t4\n2\t4\t0\n",
        "Flute;Oboe;Cello\n;1;2\n;;4\n;;\n",
        "\ufeffname,Cello,Oboe,Flute\nCello,0,,\nOboe,4,0,\nFlute,2,1.0000000001,0\n",
        "Flute,Oboe,Cello\nFlute,0,1,2\nOboe,1,0,4\nCello,2,4,0\n",
    ],
)
def test_square_matrices_of_a_users_own(tmp_path, text):
    if "violoncello" in text:
        text = text.replace("violoncello", "CELLO")
    assert own(tmp_path, text).mean == pytest.approx(own(tmp_path, PAIRS).mean)


def test_a_matrix_may_leave_pairs_open(tmp_path):
    found = own(tmp_path, "Flute,Oboe,Cello\n0,1,\n1,0,4\n,4,0\n")
    assert np.isnan(found.mean[0, 2])
    assert found.number.sum() == 4


@given(st.lists(st.floats(0, 100), min_size=6, max_size=6).filter(any))
def test_pairs_and_matrix_say_the_same(tmp_path_factory, values):
    folder, names = tmp_path_factory.mktemp("ratings"), [*BAND, "Piano"]
    places = list(itertools.combinations(range(4), 2))
    pairs = [f"{names[i]},{names[j]},{value}" for (i, j), value in zip(places, values, strict=True)]
    rows = [["" if i >= j else str(values[places.index((i, j))]) for j in range(4)] for i in range(4)]
    one = own(folder, "\n".join(["instrument_a,instrument_b,dissimilarity", *pairs]), names)
    other = own(folder, "\n".join(map(",".join, [names, *rows])), names)
    assert np.array_equal(one.mean, other.mean)


BAD = {
    PAIRS.replace("1\n", "x\n"): "line 2: 'x' is no dissimilarity",
    PAIRS.replace("1\n", "-1\n"): "line 2: '-1' is no dissimilarity",
    PAIRS.replace(",4", ",nan"): "line 3: 'nan' is no dissimilarity",
    "# note\n\n" + PAIRS.replace(",4", ",inf"): "line 5: 'inf' is no dissimilarity",
    PAIRS.replace(",4", ","): "line 3: '' is no dissimilarity",
    PAIRS.replace(",4", ""): "line 3 has 2 cells under 3 names",
    PAIRS.replace(",4", ",0,4"): "line 3 has 4 cells under 3 names",
    PAIRS.replace("oboe,cello", "Flute,flute"): "line 3 compares 'Flute' with 'flute'",
    PAIRS.replace("oboe,cello", ",cello"): "line 3 compares '' with 'cello'",
    PAIRS + "Oboe,FLUTE,1": "line 5 compares Oboe and FLUTE again",
    PAIRS.replace("dissimilarity", "distance"): "has no column dissimilarity, but instrument_a, instrument_b, distance",
    PAIRS.replace("1\n", "0\n").replace("4", "0").replace("2", "0"): "holds no dissimilarity above 0",
    "instrument_a,instrument_b,dissimilarity,n\nflute,oboe,1,0\n": "line 2 has 0 ratings",
    "instrument_a,instrument_b,dissimilarity,n\nflute,oboe,1,2.5\n": "line 2 has 2.5 ratings",
    "instrument_a,instrument_b,dissimilarity,std\nflute,oboe,1,-2\n": "line 2: '-2' is no dissimilarity",
    "": "has no ratings under a header",
    "# only this\n": "has no ratings under a header",
    "instrument_a,instrument_b,dissimilarity\n": "has no ratings under a header",
    'instrument_a,instrument_b,dissimilarity\n"flute"x,oboe,1\n': "not a table of ratings",
    "flute,oboe,cello\n0,1,2\n1,0,4\n": "has 2 rows under flute oboe cello",
    ",flute,oboe,cello\nflute,0,1,2\noboe,1,0,4\n": "has 2 rows under flute oboe cello",
    ",flute,oboe\ncello,0,1\noboe,1,0\n": "line 2 is not the row of flute",
    "flute\n0\n": "too few of the instruments|holds no dissimilarity",
    "flute,Flute,cello\n0,1,2\n1,0,4\n2,4,0\n": "has 3 rows under flute Flute cello",
    "flute,oboe,cello\n0,1,2\n1,0,4\n2,3,0\n": "oboe to cello is 4, but 3 back",
    "flute,oboe,cello\n0,1,2\n1,1,4\n2,4,0\n": "line 3: oboe differs from itself",
    "flute,oboe,cello\n0,1,2\n1,0\n2,4,0\n": "line 3 is not the row of oboe",
    ",flute,oboe,cello\nflute,0,1,2\ncello,1,0,4\noboe,2,4,0\n": "line 3 is not the row of oboe",
    "flute,oboe,cello\n0,1,2\n1,0,-4\n2,-4,0\n": "line 3: '-4' is no dissimilarity",
    "flute,oboe,cello\n,,\n,,\n,,\n": "holds no dissimilarity above 0",
    "flute,oboe,cello\n0,nan,2\nnan,0,4\n2,4,0\n": "line 2: 'nan' is no dissimilarity",
    "flute,oboe\n0,1\n1,0\n": "too few of the instruments .Flute Oboe., give 3 of flute, oboe",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_damaged_files_are_told_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        own(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_files_that_are_no_text(tmp_path, content):
    path = tmp_path / "mine.csv"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a table of ratings"):
        ratings(str(path), BAND)


@pytest.mark.parametrize("kind", ["Pooled", "mine.txt", "grey1977", ""])
def test_unknown_kinds_are_told_the_known_ones(kind):
    with pytest.raises(InputError, match=r"unknown: give pooled, dedup, balanced, balanced-no-grey, grey, .*ends in \.csv"):
        ratings(kind, INSTRUMENTS)


@pytest.mark.parametrize("names", [[], ["Tuba", "Harp", "Viola"], ["Flute", "Oboe", "Tuba"]])
def test_too_few_rated_instruments(names):
    with pytest.raises(InputError, match=r"ratings balanced: compare too few of the instruments .*, give 3 of Clarinet, Saxophone"):
        ratings("balanced", names)


def test_instruments_are_named_once(tmp_path):
    with pytest.raises(InputError, match="instruments sax and Alto-Sax are both Saxophone"):
        ratings("balanced", ["sax", "Flute", "Alto-Sax", "Oboe"])
    text = "instrument_a,instrument_b,dissimilarity\nsax,alto sax,1\nsax,flute,2\nalto sax,flute,3\n"
    assert own(tmp_path, text, ["Alto-Sax", "SAX", "Flute"]).mean[0, 2] == 1
    with pytest.raises(InputError, match="'Saxophone' may mean sax or alto sax"):
        own(tmp_path, text, ["Saxophone", "Flute"])


def test_subsets_are_by_the_names_asked_for():
    found = ratings("balanced", ["Flute", "Oboe", "Cello"])
    assert found.subset(["Cello", "Flute"]).mean[0, 1] == found.mean[2, 0]
    with pytest.raises(InputError, match="'Violoncello' is none of Flute Oboe Cello"):
        found.subset(["Violoncello"])
    with pytest.raises(InputError, match="are both Flute"):
        found.subset(["Flute", "Flute"])


def test_the_table_travels_with_the_package():
    """Every file beside the code is named in the packaging, and the table is read from beside its module."""
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    beside = {path.name for path in (ROOT / "data").iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert dissimilarity.TABLE.name in beside == set(packaged["data"])
    assert dissimilarity.TABLE.parent == Path(dissimilarity.__file__).parent


def test_the_table_credits_its_sources():
    text = dissimilarity.TABLE.read_text(encoding="ascii")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    for name in ("Grey", "Krumhansl", "McAdams", "Lakatos", "Iverson", "Esling", *dissimilarity.STUDIES):
        assert any(name in line for line in comments), name


@needs_stored
def test_all_kinds_are_those_that_were_extracted():
    """Means and spreads of single ratings, and of studies, to the six digits of the table."""
    stored = json.loads((STORED / "dissimilarity_matrices.json").read_text(encoding="utf-8"))
    names = {
        "pooled": "pooled_mean_as_stored",
        "dedup": "pooled_mean_dedup",
        "balanced": "study_balanced_mean",
        "balanced-no-grey": "study_balanced_mean_excl_grey",
    }
    for kind, name in names.items():
        mean = np.array(stored[name])
        assert ratings(kind, stored["dataset_names"]).mean == pytest.approx(mean / mean.max(), abs=3e-6)
    for kind in ("as_stored", "dedup"):
        spread, mean = (np.array(stored[f"pooled_{of}_{kind}"]) for of in ("std", "mean"))
        found = ratings("pooled" if kind == "as_stored" else kind, stored["dataset_names"])
        assert found.spread == pytest.approx(spread / mean.max(), abs=3e-6)


@needs_stored
def test_stored_positions_are_the_ones_found():
    with (STORED / "mds3_positions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    stored = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    target = ratings("pooled", [row["dataset_name"] for row in rows]).mean
    errors = geometry.upper(geometry.distances(stored) - target)
    assert errors @ errors == pytest.approx(0.5820, abs=5e-5)
    found = geometry.mds(target, 3, starts=4).positions
    assert geometry.procrustes(found, stored)[1] < 1e-4
