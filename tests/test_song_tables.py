"""Tables of songs: JSON, npz and pickles of every age, keys and steps that they tell, damage, and the chorales' known numbers."""

import json
import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import song_tables
from data.rolls import from_steps
from data.scores import identity_of, read
from tests.pieces import steps_of
from utils.config import InputError

CHORALES = Path(__file__).parent.parent.parent / "shared" / "data" / "jsb"
SONGS = {"train": [[[60, 64], [], [67]], [[62]]], "valid": [[[72, 60], [60]]], "test": [[[65]]]}
VOICES = {"train": [[[72, 60], [-1, 60], [-1, -1]]], "valid": [[[60, 64]]]}


def saved(path: Path, content, **options) -> Path:
    """Write a table in the form that the suffix tells."""
    if path.suffix == ".json":
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, **options))
    return path


def objects(songs) -> np.ndarray:
    """Return an array of objects, one a song."""
    array = np.empty(len(songs), object)
    array[:] = songs
    return array


def content_of(path: Path, **options):
    """Return the steps of each piece by split."""
    corpus = read(path, **options)
    return {split: [steps_of(piece.frames) for piece in corpus.of(split)] for split in ("train", "valid", "test")}


def refused(path: Path, message: str):
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


SORTED = {split: [[sorted(step) for step in song] for song in songs] for split, songs in SONGS.items()}

# --- forms


def test_json(tmp_path):
    assert content_of(saved(tmp_path / "x.json", SONGS)) == SORTED
    corpus = read(tmp_path)
    assert [piece.name for piece in corpus] == ["x/train/0", "x/train/1", "x/valid/0", "x/test/0"]
    assert {piece.tempo for piece in corpus} == {120} and {piece.bars for piece in corpus} == {None}
    assert not any(piece.given for piece in corpus)


def test_splits_that_a_table_lacks_are_empty(tmp_path):
    assert content_of(saved(tmp_path / "x.json", VOICES)) == {"train": [[[60, 72], [60], []]], "valid": [[[60, 64]]], "test": []}
    assert content_of(saved(tmp_path / "x.json", {"validation": [[[60]]]})) == {"train": [], "valid": [[[60]]], "test": []}


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(tmp_path, protocol):
    assert content_of(saved(tmp_path / "x.pickle", SONGS, protocol=protocol)) == SORTED
    as_tuples = {split: [tuple(tuple(step) for step in song) for song in songs] for split, songs in SONGS.items()}
    assert content_of(saved(tmp_path / "x.pickle", as_tuples, protocol=protocol)) == SORTED


def test_a_text_pickle_of_python_2(tmp_path):
    text = b"(dp1\nS'train'\np2\n(lp3\n(lp4\n(I60\nI64\ntp5\naa(lp6\n(L62L\nI-1\nltp7\naas"
    song = b"(dp1\nS'train'\np2\n(lp3\n(lp4\n(I60\nL64L\ntp5\na(I62\nI-1\nla(F65.0\ntag5\naas."
    assert content_of(saved(tmp_path / "x.pickle", song))["train"] == [[[60, 64], [62], [65], [60, 64]]]
    refused(saved(tmp_path / "x.pickle", text), "not a readable table of songs")


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.int8])
def test_arrays_of_voices(tmp_path, kind):
    silent = np.nan if kind is np.float64 else -1
    songs = [np.array([[72, 60], [silent, 60], [silent, silent]], kind), np.array([[61, silent]], kind)]
    expected = [[[60, 72], [60], []], [[61]]]
    assert content_of(saved(tmp_path / "x.npz", {"train": objects(songs)}))["train"] == expected
    assert content_of(saved(tmp_path / "x.npz", {"train": np.stack([songs[0], songs[0]])}))["train"] == 2 * expected[:1]
    for protocol in (2, 4):
        assert content_of(saved(tmp_path / "x.pkl", {"train": songs}, protocol=protocol))["train"] == expected


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_arrays_of_rolls(tmp_path, kind):
    roll = from_steps([[21, 60], [], [108]])
    (tmp_path / "npz").mkdir()
    path = saved(tmp_path / "npz" / "x.npz", {"valid": objects([roll.astype(kind), from_steps([[60]]).astype(kind)])})
    assert content_of(path)["valid"] == [[[21, 60], [], [108]], [[60]]]
    refused(saved(tmp_path / "x.npz", {"train": 2.0 * roll[None]}), "song 0 of train: a roll of 88 columns holds something else")


def test_songs_with_keys(tmp_path):
    songs = [
        {"key": "g", "mode": "minor", "relative_major": "B-", "frames": [[55, 58]]},
        {"key": "C", "mode": "minor", "frames": [[60]]},
        {"key": "Eb", "frames": [[63]]},
        {"frames": [[57, 60, 64]]},
    ]
    table = {"format": "chorale-rolls/1", "pitch": "midi", "train": songs, "valid": [], "test": songs[:1]}
    corpus = read(saved(tmp_path / "x.json", table))
    assert [(piece.key.label, piece.given) for piece in corpus.of("train")] == [
        ("g", True),
        ("c", True),
        ("E-", True),
        ("a", False),
    ]
    assert corpus.classes() == {"B-": 1, "C": 1, "E-": 2}
    assert (len(corpus.of("valid")), len(corpus.of("test"))) == (0, 1)


def test_keys_beside_songs(tmp_path):
    table = {**SONGS, "train_key": ["C", "b-"], "train_mode": [True, False], "valid_key": ["f#"], "test_mode": [True]}
    for path in (saved(tmp_path / "x.pickle", table, protocol=2), saved(tmp_path / "x.json", table)):
        pieces = read(path).pieces
        assert [piece.key.label for piece in pieces[:3]] == ["C", "b-", "f#"]
        assert [piece.given for piece in pieces] == [True, True, True, False]


# --- steps


def test_steps_that_a_table_tells(tmp_path):
    song = [[60], [60, 64], [], [67], [67], [67]]
    table = {"train": [song], "steps_per_quarter": 4}
    path = saved(tmp_path / "x.json", table)
    assert content_of(path, step="16th")["train"] == [song]
    assert content_of(path)["train"] == [[[60, 64, 67], [67]]]
    assert content_of(path, reading="beat")["train"] == [[[60], [67]]]
    assert content_of(path, reading="onsets")["train"] == [[[60, 64, 67], []]]
    assert content_of(path, step="8th")["train"] == [[[60, 64], [67], [67]]]
    assert read(path, "8th").pieces[0].steps == 2
    refused(saved(path, {**table, "steps_per_quarter": 3}), "steps_per_quarter is 3; only 1, 2, 4 are known")


def test_steps_by_the_name(tmp_path):
    for name, expected in {"Jsb16thSeparated": 1, "a-8ths": 2, "jsb-chorales-quarter": 4, "plain": 4}.items():
        path = saved(tmp_path / f"{name}.json", {"train": [[[60]] * 4]})
        assert len(read(path).pieces[0]) == expected
    with pytest.raises(InputError, match=r"quarter.json: has 1 frames in a quarter note; ask for steps of that length or longer"):
        read(tmp_path / "jsb-chorales-quarter.json", "8th")


# --- what is wrong


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("{", "is no valid JSON"),
        ("[[[60]]]", "holds no JSON object"),
        ("{}", "holds none of train, valid, test; give lists of songs"),
        ({"train": 3}, "train is no list, but a int"),
        ({"train": {"a": [[60]]}}, "train is no list, but a dict"),
        ({"train": ["abc"]}, "song 0 of train is no list, but a str"),
        ({"train": [[60, 62]]}, "song 0 of train: a step is no list, but a int"),
        ({"train": [[["C4"]]]}, "song 0 of train: a song is no list of steps"),
        ({"train": [[[[60]]]]}, "song 0 of train: a song is no list of steps .*: a list stands for a pitch"),
        ({"train": [[[60]], [[128]]]}, "song 1 of train: 128 is no MIDI pitch"),
        ('{"train": [[[1e400]]]}', "song 0 of train: inf is no MIDI pitch"),
        ({"train": [[[60, True]]]}, "a bool stands for a pitch"),
        ({"train": [[["60"]]]}, "a str stands for a pitch"),
        ({"train": [[[None]]]}, "a NoneType stands for a pitch"),
        ({"train": [[[10**400]]]}, "a song is no list of steps"),
        ({"train": [[[60]]], "steps_per_quarter": True}, "steps_per_quarter is a bool"),
        ({"train": [[[60]]], "steps_per_quarter": [4]}, "steps_per_quarter is a list"),
        ({"train": [[[60]]], "train_key": [5]}, "song 0 of train: its key is told by a int"),
        ({"train": [[[60]]], "train_key": ["C"], "train_mode": [{"a": 1}]}, "song 0 of train: its key is told by a dict"),
        ({"train": [[[60.5]]]}, "song 0 of train: 60.5 is no MIDI pitch"),
        ({"train": [[[60] * 129]]}, "song 0 of train: a step has more than 128 notes"),
        ({"train": [{"key": "C"}]}, "song 0 of train is no list, but a NoneType"),
        ({"train": [{"key": "H", "frames": [[60]]}]}, "song 0 of train: 'H' is no key"),
        ({"train": [[[60]]], "train_key": ["C", "C"]}, "train_key has 2 entries for 1 songs"),
        ({"train": [[[60]]], "train_key": "C"}, "train_key is no list, but a str"),
        ({"train": [], "valid": []}, "holds no songs, only empty lists"),
        ({"train": [[], [[], [-1]]]}, "2 of its 2 songs have no notes"),
    ],
)
def test_tables_that_are_no_songs(tmp_path, table, message):
    refused(saved(tmp_path / "x.json", table), message)


def test_songs_without_notes_are_left_out(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(read(saved(tmp_path / "x.json", {"train": [[[60]], [], [[]]]}))) == 1
    assert "2 of its 3 songs have no notes" in caplog.text


def test_too_much_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "x.npz", {"train": np.full((40, 10, 4), 60)})
    monkeypatch.setattr(song_tables, "MAX_STEPS", 399)
    refused(path, "it holds more than 399 steps")
    monkeypatch.setattr(song_tables, "MAX_NOTES", 1599)
    monkeypatch.setattr(song_tables, "MAX_STEPS", 400)
    refused(path, "it holds more than 1599 notes")
    monkeypatch.setattr(song_tables, "MAX_SONGS", 39)
    refused(path, "it holds more than 39 songs")
    monkeypatch.setattr(song_tables, "MAX_BYTES", 10_000)
    refused(path, "is too much for a table of songs")


class Call:
    """Pickle as a call."""

    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(5))
def test_hostile_pickles_execute_nothing(tmp_path, protocol):
    canary = tmp_path / "canary"
    call = Call(os.system, f"touch {canary}")
    refused(saved(tmp_path / "x.pickle", {"train": [[[60, call]]]}, protocol=protocol), "not a readable table of songs .*no data")
    refused(saved(tmp_path / "x.pickle", call, protocol=protocol), "not a readable")
    refused(saved(tmp_path / "x.npz", {"train": objects([[[60]], call])}), "not a readable table")
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"(lp0\n.",
        b"(dp0\n(lp1\n(lp2\nsS'train'\n(ls.",  # a list as a key
        b"((lI1\nd.",
        b"(I1\nd.",  # half an entry
        b"I" + 5000 * b"1" + b"\n.",
        b"S'unterminated\n.",
        b"g7\n.",
        b"(lp-1\n.",
        b"ios\nsystem\n.",
        200_000 * b"(l" + b".",
    ],
)
def test_damaged_text_pickles(tmp_path, content):
    refused(saved(tmp_path / "x.p", content), "not a readable table of songs|holds a list, not songs")


@settings(deadline=None)
@given(st.data())
def test_any_damage_is_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("table")
    suffix = data.draw(st.sampled_from([".npz", ".pickle", ".json"]))
    path = saved(folder / f"x{suffix}", {"train": objects(VOICES["train"])} if suffix == ".npz" else VOICES)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read(path)
    except InputError as error:
        assert "\n" not in str(error)


# --- chorales

needs_chorales = pytest.mark.skipif(not CHORALES.is_dir(), reason="needs the chorales")


@needs_chorales
@pytest.mark.parametrize(
    ("name", "sizes", "frames", "notes"),
    [
        ("jsb_all", (209, 68, 0), 18232, 4.50),
        ("jsb_cs", (229, 76, 0), 18409, 3.90),
        ("jsb-chorales-quarter", (229, 76, 0), 18409, 3.90),
    ],
)
def test_chorales(name, sizes, frames, notes):
    corpus = read(CHORALES / f"{name}.json")
    assert tuple(len(corpus.of(split)) for split in ("train", "valid", "test")) == sizes
    assert sum(map(len, corpus)) == frames
    train = np.concatenate([piece.frames for piece in corpus.of("train")])
    assert train.sum(1).mean() == pytest.approx(notes, abs=0.005)
    if name == "jsb_all":
        classes = dict(
            zip(("A", "A-", "B-", "C", "D", "D-", "E", "E-", "F", "G"), (21, 1, 37, 35, 35, 1, 3, 13, 26, 37), strict=True)
        )
        assert corpus.classes() == classes and list(corpus.classes()) == sorted(classes)
        assert (~train.any(1)).mean() == pytest.approx(0.089, abs=0.0005)


@needs_chorales
def test_two_tables_of_the_same_chorales():
    keys, quarter = (read(CHORALES / f"{name}.json").pieces for name in ("jsb_cs", "jsb-chorales-quarter"))
    assert [piece.identity for piece in keys] == [piece.identity for piece in quarter]  # but for transposition
    separated = read(CHORALES / "Jsb16thSeparated.json", reading="beat")
    played = {piece.identity for piece in quarter}
    assert sum(identity_of(piece.frames) in played for piece in separated) == 184


@needs_chorales
@pytest.mark.parametrize(("name", "anchors"), [("jsb_all", (17.92, 12.85, 11.54)), ("jsb_cs", (15.87, 11.14, 10.53))])
def test_rates_of_keys_as_models(name, anchors):
    """Nats a frame of the valid split under Bernoulli rates of the train split; half a note is added on both sides."""
    corpus = read(CHORALES / f"{name}.json")

    def rates(pieces):
        frames = np.concatenate([np.zeros((0, 88), bool), *(piece.frames for piece in pieces)])
        return (frames.sum(0) + 0.5) / (len(frames) + 1)

    def nll(rate_of):
        parts = [(piece.frames, np.broadcast_to(rate_of(piece), 88)) for piece in corpus.of("valid")]
        total = sum(-(np.log(rate) * frames + np.log1p(-rate) * ~frames).sum() for frames, rate in parts)
        return total / sum(len(frames) for frames, _ in parts)

    train = corpus.of("train")
    by_class = {label: rates([piece for piece in train if piece.class_of() == label]) for label in corpus.classes()}
    everywhere = rates(train)
    assert nll(lambda piece: 0.5) == pytest.approx(88 * np.log(2))
    assert nll(lambda piece: everywhere.mean()) == pytest.approx(anchors[0], abs=0.005)
    assert nll(lambda piece: everywhere) == pytest.approx(anchors[1], abs=0.005)
    assert nll(lambda piece: by_class[piece.class_of()]) == pytest.approx(anchors[2], abs=0.005)
