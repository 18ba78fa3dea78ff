import json
import math

import numpy as np
import pytest

from tests import bundles
from utils.config import InputError
from utils.tfjs import read

RANDOM = np.random.default_rng(0)


def plain(name: str, array: np.ndarray) -> tuple[dict, bytes]:
    return {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}, array.tobytes()


def quantised(name: str, array: np.ndarray, dtype: str) -> tuple[dict, bytes]:
    """Return a tensor in whole numbers from its least value to its greatest."""
    if dtype == "float16":
        return {**plain(name, array)[0], "quantization": {"dtype": dtype}}, array.astype("<f2").tobytes()
    low, scale = float(array.min()), float(np.ptp(array)) / np.iinfo(dtype).max
    numbers = np.round((array - low) / scale).astype(dtype)
    return {**plain(name, array)[0], "quantization": {"dtype": dtype, "min": low, "scale": scale}}, numbers.tobytes()


ARRAYS = {
    name: RANDOM.normal(size=shape).astype("<f4") for name, shape in [("a", (7, 9)), ("b/bias", (5,)), ("c", (3, 1, 4)), ("d", ())]
}


@pytest.fixture
def folder(tmp_path):
    """Two groups, with tensors across the borders of files."""
    first = [quantised("a", ARRAYS["a"], "uint8"), plain("b/bias", ARRAYS["b/bias"])]
    second = [quantised("c", ARRAYS["c"], "uint16"), plain("d", ARRAYS["d"])]
    return bundles.write_js(tmp_path, [first, second], shard=17, config={"type": "MusicVAE"})


def test_what_was_written_is_read(folder):
    tensors, config = read(folder)
    assert config == {"type": "MusicVAE"}
    assert list(tensors) == list(ARRAYS)
    assert {name: array.shape for name, array in tensors.items()} == {name: array.shape for name, array in ARRAYS.items()}
    assert all(array.dtype == np.float32 for array in tensors.values())
    assert np.abs(tensors["a"] - ARRAYS["a"]).max() <= np.ptp(ARRAYS["a"]) / 255 / 2 + 1e-6
    assert np.abs(tensors["c"] - ARRAYS["c"]).max() <= np.ptp(ARRAYS["c"]) / 65535 / 2 + 1e-6
    np.testing.assert_array_equal(tensors["b/bias"], ARRAYS["b/bias"])
    np.testing.assert_array_equal(tensors["d"], ARRAYS["d"])


def test_the_manifest_itself_and_no_config(folder):
    (folder / "config.json").unlink()
    tensors, config = read(folder / "weights_manifest.json")
    assert config == {}
    assert list(tensors) == list(ARRAYS)


def test_a_quantised_value_is_q_scale_plus_min(tmp_path):
    weight = {"name": "x", "shape": [3], "dtype": "float32", "quantization": {"dtype": "uint8", "min": -1, "scale": 0.5}}
    tensors, _ = read(bundles.write_js(tmp_path, [[(weight, bytes([0, 1, 255]))]]))
    np.testing.assert_array_equal(tensors["x"], np.float32([-1, -0.5, 126.5]))


def test_halves_and_whole_numbers(tmp_path):
    halves = np.array([1.5, -2.25], "<f2")
    whole = np.array([3, -4], "<i4")
    weights = [plain("half", halves), quantised("stored", ARRAYS["b/bias"], "float16"), plain("whole", whole)]
    tensors, _ = read(bundles.write_js(tmp_path, [weights]))
    assert [array.dtype.name for array in tensors.values()] == ["float32", "float32", "int32"]
    np.testing.assert_array_equal(tensors["half"], halves)
    np.testing.assert_array_equal(tensors["stored"], ARRAYS["b/bias"].astype("<f2"))
    np.testing.assert_array_equal(tensors["whole"], whole)


def test_no_weights(tmp_path):
    assert read(bundles.write_js(tmp_path, [[]])) == ({}, {})


# ---- what is refused


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_files_that_do_not_fit(folder):
    refused(folder / "nowhere", "no such file")
    refused(folder / ("long" * 100), "cannot be read")
    shard = folder / "group1-shard2of5"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    refused(folder, "which hold less (82 bytes)")
    shard.write_bytes(content + b"0")
    refused(folder, "which hold more (84 bytes)")
    shard.unlink()
    refused(folder, "lacks 'group1-shard2of5'")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('[{"weights": [{"name": "x", "shape": [' + "9" * 5000 + "]}]}]", "no valid JSON"),
        ("{}", "no list of groups"),
        ("[1]", "no list of groups"),
        ('[{"weights": 3}]', "no list of groups"),
        ('[{"weights": []}]', "without names of files"),
        ('[{"weights": [], "paths": [3]}]', "without names of files"),
        ('[{"weights": [], "paths": ["a\\nb"]}]', "without names of files"),
        ('[{"weights": [], "paths": ["config.json", "config.json"]}]', "a file twice"),
    ],
)
def test_what_is_no_manifest(folder, text, words):
    (folder / "weights_manifest.json").write_text(text)
    refused(folder, words)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "..", "", "a/b", ".", "https://example.org/x"])
def test_files_elsewhere(folder, name):
    (folder / "weights_manifest.json").write_text(json.dumps([{"paths": [name], "weights": []}]))
    refused(folder, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None}, "without a name"),
        ({"shape": None}, "no sizes of 'x'"),
        ({"shape": [True, 3]}, "no sizes of 'x'"),
        ({"shape": [-3]}, "no sizes of 'x'"),
        ({"shape": [0]}, "no sizes of 'x'"),
        ({"shape": [1.5]}, "no sizes of 'x'"),
        ({"shape": [1] * 9}, "no sizes of 'x'"),
        ({"shape": [2**53] * 8}, "which hold less (12 bytes)"),
        ({"shape": [2**54]}, "no sizes of 'x'"),
        ({"dtype": "string"}, "stores 'x' as 'string'"),
        ({"dtype": ["float32"]}, "stores 'x' as"),
        ({"quantization": {"dtype": "uint32"}}, "stores 'x' as 'uint32'"),
        ({"quantization": 3}, "stores 'x' as 'None'"),
        ({"quantization": {"dtype": "uint8"}}, "no range of the quantised 'x'"),
        ({"quantization": {"dtype": "uint8", "min": math.nan, "scale": 1}}, "no range of the quantised 'x'"),
        ({"quantization": {"dtype": "uint8", "min": 0, "scale": math.inf}}, "no range of the quantised 'x'"),
        ({"quantization": {"dtype": "uint8", "min": 0, "scale": 10**400}}, "no range of the quantised 'x'"),
        ({"dtype": "int32", "quantization": {"dtype": "uint8", "min": 0, "scale": 1}}, "quantised from float32"),
    ],
)
def test_what_a_manifest_may_not_say(tmp_path, changes, words):
    weight, raw = plain("x", np.zeros(3, "<f4"))
    refused(bundles.write_js(tmp_path, [[(weight | changes, raw)]]), words)


def test_tensors_told_twice(tmp_path):
    pair = plain("x", np.zeros(3, "<f4"))
    refused(bundles.write_js(tmp_path, [[pair, pair]]), "lists 'x' twice")
    refused(bundles.write_js(tmp_path, [[pair], [pair]]), "lists 'x' twice")


def test_damage_gives_numbers_or_one_line(folder):
    manifest = folder / "weights_manifest.json"
    content = manifest.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(300):
        changed = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            changed[place] = random.choice([*b'0129-.e"[]{},:ntx', 0, 0xFF])
        manifest.write_bytes(changed)
        try:
            assert isinstance(read(folder)[0], dict)
        except InputError as error:
            assert "\n" not in str(error)


def test_a_damaged_config(folder):
    (folder / "config.json").write_text("[1]")
    refused(folder, "config.json", "no JSON object")
