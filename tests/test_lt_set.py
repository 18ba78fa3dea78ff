import io
import logging
import os
import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import lt_set, safe_pickle
from data.instruments import OCTAVES, read
from data.notes import PITCH_CLASSES
from utils.config import InputError

BANDS = 7
METADATA = {
    "instrument": np.array([0, 0, 1, 1]),
    "pitch": np.array([0.0, 1.0, 3.0, 11.0]),
    "octave": np.array([4.0, 4.0, 0.0, 8.0]),
    "dynamics": np.array([1, 0, 2, 1]),
    "family": np.array([0, 0, 1, 1]),
}
CLASSES = {
    "instrument": {"Flute": 0, "Violin": 1, "_length": 2},
    "pitch": None,
    "octave": None,
    "dynamics": {"mf": 0, "pp": 1, "ff": 2, "_length": 5},
    "family": {"Winds": 0, "Strings": 1, "_length": 2},
}
LABELS = [
    {"instrument": "Flute", "pitch": "A", "octave": "4", "dynamics": "pp", "family": "Winds"},
    {"instrument": "Flute", "pitch": "A#", "octave": "4", "dynamics": "mf", "family": "Winds"},
    {"instrument": "Violin", "pitch": "C", "octave": "0", "dynamics": "ff", "family": "Strings"},
    {"instrument": "Violin", "pitch": "G#", "octave": "8", "dynamics": "pp", "family": "Strings"},
]


def spectra(lengths=(3, 5, 2, 4), bands=BANDS):
    random = np.random.default_rng(0)
    return [random.standard_normal((n, bands)) + 1j * random.standard_normal((n, bands)) for n in lengths]


def ragged(entries):
    data = np.empty(len(entries), object)
    data[:] = entries
    return data


def saved(folder, save=np.savez, **parts):
    content = {"data": ragged(spectra()), "metadata": METADATA, "classes": CLASSES, "files": np.array(list("abcd")), **parts}
    save(folder / "lt_set.npz", **{key: value for key, value in content.items() if value is not None}, hash={"a": 0}, labels=[])
    return folder / "lt_set.npz"


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        lt_set.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_labels_and_magnitudes(tmp_path, save):
    content = lt_set.read(saved(tmp_path, save))
    assert content.labels == LABELS
    assert content.dynamics == ("mf", "pp", "ff")
    for magnitudes, entry in zip(content.magnitudes, spectra(), strict=True):
        assert magnitudes.dtype == np.float32 and type(magnitudes) is np.ndarray
        np.testing.assert_allclose(magnitudes, np.abs(entry), rtol=1e-6)


def test_dense_data(tmp_path):
    dense = np.stack(spectra([3] * 4))
    content = lt_set.read(saved(tmp_path, data=dense))
    np.testing.assert_allclose(content.magnitudes, np.abs(dense), rtol=1e-6)


@pytest.mark.parametrize("kind", [">c16", "<c8", "<f4", ">f8", "<i2"])
def test_other_types_and_orders_of_bytes(tmp_path, kind):
    entries = [entry.astype(kind) if "c" in kind else (9 * entry.real).astype(kind) for entry in spectra()]
    entries[1] = np.asfortranarray(entries[1])
    content = lt_set.read(saved(tmp_path, data=ragged(entries)))
    for magnitudes, entry in zip(content.magnitudes, entries, strict=True):
        np.testing.assert_allclose(magnitudes, np.abs(entry), rtol=1e-6)


def test_labels_as_lists_objects_and_scalars(tmp_path):
    metadata = {
        "instrument": [0, 0, 1, 1],
        "pitch": np.array([0, 1, 3, 11], dtype=object),
        "octave": [np.float64(4), np.int32(4), 0, 8],
        "dynamics": ["pp", "mf", "ff", "pp"],
        "take": np.array([1.0, 2.0, 10.0, 2.5]),
    }
    labels = lt_set.read(saved(tmp_path, metadata=metadata)).labels
    assert [{**note, "family": LABELS[i]["family"]} for i, note in enumerate(labels)] == [
        {**note, "take": take} for note, take in zip(LABELS, ["1", "2", "10", "2.5"], strict=True)
    ]


def test_corpus_from_folder_or_file(tmp_path, caplog):
    metadata = {**METADATA, "octave": np.array([4.0, np.nan, 0.0, 8.0]), "dynamics": np.array([1, 0, 7, 1])}
    path = saved(tmp_path, metadata=metadata)
    for root in (path, tmp_path):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            corpus = read(root)
        assert "1 of 4 notes skipped" in caplog.text
        assert corpus.classes["pitch"] == PITCH_CLASSES and corpus.classes["octave"] == OCTAVES
        assert corpus.classes["dynamics"] == ("mf", "pp", "ff")  # by id, though none is mf
        assert corpus.classes["instrument"] == ("Flute", "Violin")
        assert [note.identity for note in corpus.notes] == ["Flute/A/4/pp", "Violin/C/0/", "Violin/G#/8/pp"]
        assert [note.magnitudes.shape for note in corpus.notes] == [(3, BANDS), (2, BANDS), (4, BANDS)]
        assert {note.path for note in corpus.notes} == {path}


def test_entries_without_frames_are_unreadable(tmp_path):
    assert lt_set.read(saved(tmp_path, data=ragged(spectra([3, 0, 2, 4])))).labels[1] == {}


# ---- Python 2


def npy_of_objects(content: bytes, shape="()") -> bytes:
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def with_pickles(path, **pickles):
    """Replace arrays of a good set by pickles as they are, or by whole npy files."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for key, made in pickles.items():
        content[f"{key}.npy"] = made if made[:1] == b"\x93" else npy_of_objects(made)
    with zipfile.ZipFile(path, "w") as archive:
        for name, made in content.items():
            archive.writestr(name, made)
    return path


def text(name):
    return b"U" + bytes([len(name)]) + name.encode("latin1")  # SHORT_BINSTRING, a str of Python 2


def python_2_array(values: np.ndarray) -> bytes:
    shape = b"".join(b"K" + bytes([n]) for n in values.shape)
    kind = text(values.dtype.str[1:]) + b"K\0K\1\x87R(K\3" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    body = values.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text("b") + b"\x87R(K\1(" + shape + b"t"
        b"cnumpy\ndtype\n" + kind + b"\x89T" + struct.pack("<i", len(body)) + body + b"tb"
    )


def test_python_2_pickles(tmp_path):
    arrays = {task: ids for task, ids in METADATA.items() if task != "family"}
    items = b"".join(text(task) + python_2_array(ids) for task, ids in arrays.items())
    table = b"}(" + text("Flûte") + b"K\0" + text("Violin") + b"K\1" + text("_length") + b"K\2u"
    classes = b"\x80\2}(" + text("instrument") + table + text("pitch") + b"Nu."
    path = with_pickles(saved(tmp_path), metadata=b"\x80\2}(" + items + b"u.", classes=classes)
    labels = lt_set.read(path).labels
    assert [note["instrument"] for note in labels] == ["Flûte", "Flûte", "Violin", "Violin"]
    assert [(note["pitch"], note["octave"]) for note in labels] == [(note["pitch"], note["octave"]) for note in LABELS]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_protocols(tmp_path, protocol):
    metadata = {**METADATA, "instrument": [np.int64(0), 0, 1, 1]}
    path = with_pickles(
        saved(tmp_path),
        data=npy_of_objects(pickle.dumps(ragged(spectra()), protocol), "(4,)"),
        metadata=pickle.dumps(np.array(metadata), protocol),
        classes=pickle.dumps(np.array(CLASSES), protocol),
    )
    assert lt_set.read(path).labels == LABELS


# ---- sets that do not fit together


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"data": ragged(spectra([3, 4, 5]))}, "3 spectra but 4 values of 'instrument'"),
        ({"data": ragged([*spectra()[:3], spectra(bands=6)[3]])}, "entry 3 of its data is complex128 .4, 6., not frames x 7 bands"),
        ({"data": ragged([*spectra()[:3], np.ones(7)])}, "entry 3"),
        ({"data": ragged([*spectra()[:3], np.full((2, 7), "x")])}, "entry 3"),
        ({"data": ragged(spectra(bands=0))}, "entry 0"),
        ({"data": np.ones((4, 7))}, "entry 0"),
        ({"data": np.array(0)}, "holds no spectra"),
        ({"data": np.zeros((0, 3, 7))}, "holds no spectra"),
        ({"data": ragged([*spectra()[:3], np.full((2, 7), np.nan)])}, "entry 3 of its data holds NaN"),
        ({"data": ragged([*spectra()[:3], np.full((2, 7), 1e300)])}, "entry 3 of its data holds NaN or infinite"),
        ({"metadata": np.arange(3)}, "not a readable"),
        ({"metadata": {**METADATA, "pitch": [[1, 2], [3]]}}, "not a readable"),
        ({"classes": {"instrument": {"Flute": "x"}}}, "not a readable"),
        ({"classes": None}, "lacks the array 'classes'"),
        ({"data": None}, "lacks the array 'data'"),
    ],
)
def test_parts_that_do_not_fit(tmp_path, parts, message):
    refused(saved(tmp_path, **parts), message)


def test_sets_without_a_readable_note_are_refused(tmp_path):
    with pytest.raises(InputError, match="labels of 4 notes cannot be read"):
        read(saved(tmp_path, metadata={"pitch": METADATA["pitch"]}))


def test_files_that_are_no_set(tmp_path):
    path = tmp_path / "lt_set.npz"
    for content in (b"", b"PK\x03\x04 nothing", saved(tmp_path).read_bytes()[:-50]):
        path.write_bytes(content)
        refused(path, "not a readable lt_set.npz")
    refused(tmp_path / "no.npz", "not a readable")


@given(st.data())
def test_any_damage_is_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("set")
    path = saved(folder, np.savez_compressed if data.draw(st.booleans()) else np.savez)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        lt_set.read(path)
    except InputError as error:
        assert "\n" not in str(error)


@given(st.data())
def test_any_damage_to_a_pickle_is_one_line(tmp_path_factory, data):
    content = bytearray(pickle.dumps(np.array(METADATA), data.draw(st.sampled_from([2, 3, 4]))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = with_pickles(saved(tmp_path_factory.mktemp("set")), metadata=bytes(content))
    try:
        lt_set.read(path)
    except InputError as error:
        assert "\n" not in str(error)


# ---- hostile sets


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    path = saved(tmp_path, np.savez_compressed, data=np.zeros((4, 100, BANDS)))
    monkeypatch.setattr(lt_set, "MAX_BYTES", 20_000)
    monkeypatch.setattr(lt_set, "read_array", None)
    refused(path, "unpacks to more than")


def test_one_array_named_many_times_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lt_set, "MAX_BYTES", 10_000)
    refused(saved(tmp_path, data=ragged(4 * [np.zeros((60, BANDS))])), "unpacks to more than")


def test_headers_that_promise_too_much_are_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 1000000, 7), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(800)
    refused(with_pickles(saved(tmp_path), data=array), "claims shape")


class Call:
    """Pickle as a call."""

    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


def hostile(canary):
    command = f"touch {canary}"
    system = Call(os.system, command)
    yield "reduce", pickle.dumps(system)
    yield "protocol 0", pickle.dumps(system, 0)
    yield "nested in a table", pickle.dumps({**METADATA, "pitch": [1, {"x": (system,)}]})
    yield "nested in an array", pickle.dumps(ragged([system, 1]))
    yield "eval", pickle.dumps(Call(eval, f"open({str(canary)!r}, 'w')"))
    yield "open", pickle.dumps(Call(open, str(canary), "w"))
    yield "getattr", pickle.dumps(Call(getattr, Call(__import__, "os"), "system"))
    yield "fromfile", pickle.dumps(Call(np.fromfile, "/etc/passwd"))
    yield "memmap", pickle.dumps(Call(np.memmap, str(canary), "u1", "w+", 0, (10,)))
    arg = b"(" + text(command)
    yield "inst", b"(" + text(command) + b"iposix\nsystem\n."
    yield "obj", b"(cposix\nsystem\n" + text(command) + b"o."
    yield "from the memo", b"cposix\nsystem\nq\0" + b"0h\0" + arg + b"tR."
    yield "by stack", b"\x80\4\x8c\5posix\x8c\6system\x93" + arg + b"tR."
    yield "by a dotted name", b"\x80\4\x8c\5numpy\x8c\x0ef2py.os.system\x93" + arg + b"tR."
    yield "under a known module", b"cnumpy\nos\n" + arg + b"tR."
    yield "by extension", b"\x82\1" + arg + b"tR."
    yield "by a persistent name", b"Pposix.system\n."
    yield "by dtype", b"cnumpy\ndtype\n" + arg + b"tR."
    yield "class from a constructor", b"cnumpy\ndtype\n(\x8c\5posixo."
    yield "attributes of a function", b"c_codecs\nencode\nN}" + text("__code__") + text(command) + b"s\x86b."


def test_hostile_pickles_execute_nothing(tmp_path):
    canary = tmp_path / "canary"
    for name, content in hostile(canary):
        for key in ("metadata", "classes", "data"):
            refused(with_pickles(saved(tmp_path), **{key: content}), "not a readable|no table")
            assert not canary.exists(), name


def array_of(shape: bytes, code: str, content: bytes) -> bytes:
    """Return a pickled array whose parts say what they are told to."""
    dtype = b"cnumpy\ndtype\n" + text(code) + b"\x85R"
    return b"cnumpy.core.multiarray\n_reconstruct\n)R(K\1" + shape + dtype + b"\x89" + content + b"tb."


@pytest.mark.parametrize(
    "content",
    [
        array_of(b"J\0\0\0\x7fJ\0\0\0\x7f\x86", "f8", text("x" * 8)),  # a shape beyond its content
        array_of(b"J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86", "i1", text("x")),  # negative lengths
        array_of(b"J\0\0\0\x7f\x85", "O", b"]"),
        array_of(b"K\1\x85", "O", text("12345678")),  # bytes as pointers
        array_of(b"K\1\x85", "V8", text("12345678")),
        array_of(b"K\1\x85", "i8,O", text("12345678")),
        b"cnumpy\ndtype\n" + text("f8") + b"\x85R(K\3" + text("<") + b"NN}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb.",  # fields
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + text("O") + b"\x85R" + text("12345678") + b"\x86R.",
        b"]r\xff\xff\xff\x7f.",  # a memo of 2^31 places
        b"\x80\4\x96\xff\xff\xff\xff\xff\xff\xff\x3f.",  # a bytearray of 2^62 bytes
        b"\x80\4\x8e\xff\xff\xff\xff\xff\xff\xff\x3f.",  # bytes of that size
        b"}" + b")" + 200_000 * b"\x85" + b"Ns.",  # a key so deep that its hash overflows the stack
        200_000 * b"]" + 199_999 * b"a" + b".",
        b")" + 200_000 * b"\x85" + b".",
    ],
    ids=range(14),
)
def test_pickles_that_would_break_memory(tmp_path, content):
    refused(with_pickles(saved(tmp_path), metadata=content), "not a readable")


def test_deeply_nested_arrays_are_refused(tmp_path):
    opening = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\1K\1\x85cnumpy\ndtype\nU\1O\x85R\x89]"
    refused(with_pickles(saved(tmp_path), metadata=1000 * opening + b"N" + 1000 * b"atb" + b"."), "nested arrays")


def test_nothing_else_than_data_is_known():
    made = [pickletools.code2op[chr(code)].name for code in safe_pickle._Unpickler.dispatch]
    assert not {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"} & set(made)
    for module, name in [("builtins", "eval"), ("numpy", "load"), ("numpy.core.multiarray", "fromfile"), ("", "")]:
        with pytest.raises(pickle.UnpicklingError, match="no data"):
            safe_pickle._Unpickler(io.BytesIO()).find_class(module, name)
