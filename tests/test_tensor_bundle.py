import re
import shutil
import tarfile
import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import bundles
from utils import tensor_bundle
from utils.config import InputError
from utils.tensor_bundle import crc32c, masked_crc32c, read

RANDOM = np.random.default_rng(0)
TENSORS = {
    "decoder/kernel": RANDOM.normal(size=(5, 8)).astype("<f4"),
    "decoder/bias": RANDOM.normal(size=8),
    "decoder/nade/w_enc": RANDOM.normal(size=(3, 1, 4)).astype("<f2"),
    "encoder/number": np.array(7, "<i4"),
    "encoder/numbers": np.arange(-3, 3),
    "encoder/é": RANDOM.normal(size=(2, 3)).astype("<f4"),
    "output": np.ones((1, 1, 1, 1), "<f4"),
}
SLOTS = {
    "global_step": np.array(3),
    "beta1_power": np.ones((), "<f4"),
    "beta2_power": np.ones((), "<f4"),
    "decoder/kernel/Adam": np.ones((5, 8), "<f4"),
    "decoder/kernel/Adam_1": np.ones((5, 8), "<f4"),
    "vae/decoder/bias/adam_1": np.ones(8, "<f4"),
}


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def is_mapped(array) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


@pytest.fixture
def prefix(tmp_path):
    return bundles.write(tmp_path, TENSORS)


# ---- checksums


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # RFC 3720, B.4, and the two that follow
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_of_the_standard(data, expected):
    assert crc32c(np.frombuffer(data, np.uint8)) == expected == bundles.crc32c(data)


@given(st.binary(max_size=70))
def test_crc32c_is_that_of_single_bits(data):
    assert crc32c(np.frombuffer(data, np.uint8)) == bundles.crc32c(data)
    assert masked_crc32c(np.frombuffer(data, np.uint8)) == bundles.masked(data)


def test_crc32c_over_several_chunks(monkeypatch):
    data = np.random.default_rng(1).integers(0, 256, 1000, dtype=np.uint8)
    whole = crc32c(data)
    monkeypatch.setattr(tensor_bundle, "_CHUNK", 64)
    assert crc32c(data) == whole == bundles.crc32c(data.tobytes())


# ---- what is read


def test_read_gives_what_was_written(prefix):
    found = read(prefix)
    assert_same(found, TENSORS)
    assert all(is_mapped(array) for array in found.values())
    assert_same(read(prefix.with_name("model.ckpt.index")), TENSORS)
    assert_same(read(prefix.parent), TENSORS)
    assert_same(read(str(prefix)), TENSORS)


@pytest.mark.parametrize("shards", [2, 3])
@pytest.mark.parametrize("per_block", [1, 3, 100])
def test_shards_and_blocks(tmp_path, shards, per_block):
    assert_same(read(bundles.write(tmp_path, TENSORS, shards=shards, per_block=per_block)), TENSORS)


def test_what_an_optimizer_keeps_is_left_out(tmp_path):
    kept = {"decoder/adam_layer/kernel": np.ones(3, "<f4"), "my_global_steps": np.ones(1, "<f4")}
    assert_same(read(bundles.write(tmp_path, TENSORS | SLOTS | kept)), TENSORS | kept)


def test_types_of_what_is_left_out_do_not_matter(tmp_path):
    tensors = {"global_step": np.array([b"text"]), "kernel": np.ones(2, "<f4")}
    assert list(read(bundles.write(tmp_path, tensors))) == ["kernel"]


def test_bfloat16_becomes_float32(tmp_path):
    array = np.array([1.0, -2.5, 3.0e38, 0.0, -np.inf], "<f4")
    found = read(bundles.write(tmp_path, {"x": array}, brief=["x"]))["x"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, array, rtol=2**-8)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), st.lists(st.floats(width=32), min_size=1)))
def test_any_names_and_numbers(tmp_path_factory, content):
    tensors = {name: np.array(values, "<f4") for name, values in content.items() if not tensor_bundle._OTHERS.fullmatch(name)}
    assert_same(read(bundles.write(tmp_path_factory.mktemp("any"), tensors)), tensors)


def test_read_from_a_tar_in_place(tmp_path):
    files = {f"checkpoints/model.ckpt{end}": content for end, content in bundles.bundle(TENSORS).items()}
    others = {"checkpoints/._model.ckpt.index": b"of a Mac", "checkpoints/checkpoint": b"", "checkpoints/model.ckpt.meta": b"graph"}
    path = bundles.write_tar(tmp_path / "model.tar", others | files)
    before = sorted(tmp_path.iterdir())
    found = read(path)
    assert_same(found, TENSORS)
    assert all(is_mapped(array) for array in found.values())
    assert sorted(tmp_path.iterdir()) == before


def test_long_names_in_a_tar(tmp_path):
    files = {f"{'long/' * 40}model.ckpt{end}": content for end, content in bundles.bundle(TENSORS).items()}
    assert_same(read(bundles.write_tar(tmp_path / "model.tar", files)), TENSORS)


@pytest.mark.skipif(not bundles.MAGENTA.is_dir(), reason="no fixtures")
@pytest.mark.parametrize(("name", "number"), [("tiny-flat", 16), ("tiny-hier", 26)])
def test_checkpoints_of_tensorflow(name, number):
    found = read(bundles.MAGENTA / f"{name}.ckpt")
    assert len(found) == number
    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())


# ---- what is refused


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_where_nothing_is(tmp_path, prefix):
    refused(tmp_path / "other.ckpt", "no such checkpoint", "X.index")
    refused(tmp_path / "other.tar", "No such file")
    refused(tmp_path / ("long" * 100), "cannot be read")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no checkpoint")
    bundles.write(tmp_path, TENSORS, name="other")
    refused(tmp_path, "2 checkpoints ('model.ckpt.index', 'other.index')")
    (tmp_path / "checkpoint.tar.gz").touch()
    refused(tmp_path / "checkpoint.tar.gz", "compressed; unpack it")


def test_missing_data(tmp_path, prefix):
    (tmp_path / "model.ckpt.data-00000-of-00001").unlink()
    refused(prefix, "lacks 'model.ckpt.data-00000-of-00001'")
    two = bundles.write(tmp_path, TENSORS, name="two", shards=2)
    (tmp_path / "two.data-00001-of-00002").unlink()
    refused(two, "lacks 'two.data-00001-of-00002'")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2"])
def test_compressed_tars(tmp_path, mode):
    refused(bundles.write_tar(tmp_path / "model.tar", bundles.bundle(TENSORS), mode), "is no undamaged, uncompressed tar")


def test_links_and_names_that_lead_outside_a_tar(tmp_path, prefix):
    files = bundles.bundle(TENSORS)
    link = tarfile.TarInfo("model.ckpt.index")
    link.type, link.linkname = tarfile.SYMTYPE, str(prefix.with_name("model.ckpt.index"))
    data = {"model.ckpt.data-00000-of-00001": files[".data-00000-of-00001"]}
    refused(bundles.write_tar(tmp_path / "link.tar", data | {link.name: link}), "no checkpoint")
    for name in ("../model.ckpt.index", "/model.ckpt.index", "a/../../model.ckpt.index"):
        refused(bundles.write_tar(tmp_path / "outside.tar", data | {name: files[".index"]}), "no checkpoint")
    refused(bundles.write_tar(tmp_path / "lines.tar", {"a\nb.index": files[".index"]}), r"lacks 'a\nb.data-00000-of-00001'")


def test_truncated_tars(tmp_path):
    files = {f"model.ckpt{end}": content for end, content in bundles.bundle(TENSORS).items()}
    path = bundles.write_tar(tmp_path / "model.tar", files)
    content = path.read_bytes()
    used = len(content.rstrip(b"\0"))
    for length in [*range(0, used - 7, 97), used - 8]:
        path.write_bytes(content[:length])
        refused(path)


def index_of(tmp_path, *entries, header=None, data=bytes(64), **options):
    """Write a checkpoint of such an index and return its prefix."""
    pairs = [(b"", bundles.header() if header is None else header), *entries]
    (tmp_path / "bad.index").write_bytes(bundles.table(pairs, **options))
    (tmp_path / "bad.data-00000-of-00001").write_bytes(data)
    return tmp_path / "bad"


def described(*shape, name=b"x", dtype=1, size=None, **options):
    size = 4 * int(np.prod(shape, dtype=object)) if size is None else size
    return name, bundles.entry(dtype, shape, size, bundles.masked(bytes(min(size, 64))), **options)


def test_what_an_index_may_not_say(tmp_path):
    assert_same(read(index_of(tmp_path, described(4, 4))), {"x": np.zeros((4, 4), "<f4")})
    refused(index_of(tmp_path, described(5, 4)), "ends before 'x'")
    refused(index_of(tmp_path, described(2**40, 2**21)), "ends before 'x'")
    refused(index_of(tmp_path, described(4, offset=2**62)), "ends before 'x'")
    refused(index_of(tmp_path, described(0, size=0)), "size of 'x'")
    refused(index_of(tmp_path, described(0, 2**63, size=0)), "size of 'x'")
    refused(index_of(tmp_path, described(2**64 - 1, size=4)), "size of 'x'")
    refused(index_of(tmp_path, described(4, size=20)), "size of 'x'")
    refused(index_of(tmp_path, described(*[1] * 9)), "shape of 'x'")
    refused(index_of(tmp_path, described(4, dtype=7)), "a type that is not supported (7)")
    refused(index_of(tmp_path, described(4, shard=1)), "lacks 'bad.data-00001-of-00001'")
    refused(index_of(tmp_path, described(4, extra=bundles.field(7, b"slice"))), "in slices")
    refused(index_of(tmp_path, described(4), described(4, name=b"y", offset=12)), "'x' and 'y' lie in the same place")
    refused(index_of(tmp_path, described(4, name=b"y"), described(4, offset=16)), "out of order")
    refused(index_of(tmp_path, described(4), described(4, offset=16)), "out of order")
    refused(index_of(tmp_path, described(4, name=b"\xff")), "no text")
    refused(index_of(tmp_path, described(4, name=b"x" * 1001)), "beyond its block")
    refused(index_of(tmp_path, described(4), data=b"\1" + bytes(63)), "wrong checksum of 'x'")


def test_other_kinds_of_index(tmp_path):
    refused(index_of(tmp_path, described(4), header=bundles.header(endianness=1)), "big-endian")
    refused(index_of(tmp_path, described(4), compression=1), "compressed, which is not supported")
    refused(index_of(tmp_path, described(4), header=bundles.header(shards=2)), "lacks 'bad.data-00000-of-00002'")
    (tmp_path / "bad.index").write_bytes(bundles.table([described(4)]))
    refused(tmp_path / "bad", "lists no tensors")
    (tmp_path / "bad.index").write_bytes(bundles.table([]))
    refused(tmp_path / "bad", "a block without entries")
    (tmp_path / "bad.index").write_bytes(b"no index at all " * 10)
    refused(tmp_path / "bad", "no index of a TensorFlow checkpoint")
    (tmp_path / "bad.index").write_bytes(b"")
    refused(tmp_path / "bad", "has 0 bytes")


def test_more_tensors_or_bytes_than_any_checkpoint(tmp_path, monkeypatch, prefix):
    monkeypatch.setattr(tensor_bundle, "MOST_TENSORS", len(TENSORS))
    refused(prefix, f"over {len(TENSORS)}")
    monkeypatch.setattr(tensor_bundle, "LARGEST_INDEX", 100)
    refused(prefix, "its .index has")


def damaged(content: bytes, random) -> bytes:
    """Flip a bit, cut, or overwrite a few bytes."""
    kind, place = random.integers(3), int(random.integers(len(content)))
    if kind == 0:
        return content[:place] + bytes([content[place] ^ 1 << int(random.integers(8))]) + content[place + 1 :]
    if kind == 1:
        return content[:place]
    noise = random.integers(0, 256, int(random.integers(1, 12)), dtype=np.uint8).tobytes()
    return content[:place] + noise + content[place + len(noise) :]


@pytest.mark.parametrize("end", [".index", ".data-00000-of-00001"])
def test_damage_is_found_or_does_no_harm(tmp_path, prefix, end):
    file = tmp_path / f"model.ckpt{end}"
    content = file.read_bytes()
    random = np.random.default_rng(2)
    found = 0
    for _ in range(200):
        file.write_bytes(damaged(content, random))
        try:
            assert_same(read(prefix), TENSORS)
        except InputError as error:
            assert re.fullmatch(".*", str(error))  # one line
            found += 1
    assert found > 150


def test_every_byte_of_an_index_matters_or_does_no_harm(tmp_path):
    prefix = bundles.write(tmp_path, {"kernel": TENSORS["decoder/kernel"]})
    content = prefix.with_name("model.ckpt.index").read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        prefix.with_name("model.ckpt.index").write_bytes(changed)
        try:
            assert_same(read(prefix), {"kernel": TENSORS["decoder/kernel"]})
        except InputError:
            continue


def test_damage_with_right_checksums(tmp_path, prefix, monkeypatch):
    """What a hostile hand writes has right checksums: it is refused or read, and never takes much memory."""
    monkeypatch.setattr(tensor_bundle, "masked_crc32c", lambda data: mock.ANY)
    file = tmp_path / "model.ckpt.index"
    content = file.read_bytes()
    random = np.random.default_rng(3)
    read_anyway = 0
    tracemalloc.start()
    for _ in range(300):
        changed = bytearray(content)
        for place in random.integers(0, len(content) - 8, random.integers(1, 4)):
            changed[place] = random.integers(256)
        file.write_bytes(changed)
        try:
            read_anyway += isinstance(read(prefix), dict)
        except InputError as error:
            assert "\n" not in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert 30 < read_anyway < 270


def test_damaged_headers_of_tars(tmp_path):
    files = {f"model.ckpt{end}": content for end, content in bundles.bundle({"kernel": TENSORS["decoder/kernel"]}).items()}
    path = bundles.write_tar(tmp_path / "model.tar", files)
    content = path.read_bytes()
    random = np.random.default_rng(4)
    for _ in range(300):
        changed = bytearray(content)
        for place in random.choice([*range(100), *range(124, 148), 156], 2):
            changed[place] = random.choice([0, 0x30, 0x37, 0x4B, 0x4C, 0x53, 0x78, 0x80, 0xFF])
        changed[148:156] = b" " * 8
        changed[148:156] = b"%06o\0 " % sum(changed[:512])
        path.write_bytes(changed)
        try:
            assert_same(read(path), {"kernel": TENSORS["decoder/kernel"]})
        except InputError as error:
            assert "\n" not in str(error)


def test_files_that_may_not_be_read(tmp_path, prefix, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "memmap", forbidden)
    refused(prefix, "cannot be read (Permission denied)")


def test_a_folder_moved_elsewhere(tmp_path, prefix):
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert_same(read(tmp_path / "copy"), TENSORS)
