"""The page is whole in itself, says everything it was given, and lets nothing it was given become markup."""
# ruff: noqa: RUF001

import base64
import html.parser
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.report import Code, Details, Picture, Section, Sounds, Table, Text, page, write

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>'
VOID = {"meta", "link", "img"}
NAN = float("nan")


class Reader(html.parser.HTMLParser):
    """Reads tags, their attributes and the text between them; asserts that what opens is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def read(*blocks):
    return Reader(page("Title", "subtitle", [Section("Part", blocks)]))


def cells(*row):
    """Return the cells of a table with one row, as HTML."""
    text = page("", "", [Section("", [Table(["name"] * (len(row) + 1), [("x", *row)])])])
    return re.findall(r"<td[^>]*>(.*?)</td>", text)


def test_sections_and_their_links():
    found = Reader(page("Title", "about", [Section("One", [Text("first")]), Section("Two", [])]))
    links = [a["href"] for a in found.all("a")]
    assert links == [f"#{h['id']}" for h in found.all("h2")] == ["#section-1", "#section-2"]
    assert [s["aria-labelledby"] for s in found.all("section")] == ["section-1", "section-2"]
    assert {"Title", "about", "One", "first"} <= set(found.words)
    assert len(found.all("h1")) == len(found.all("main")) == len(found.all("nav")) == 1


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    (tmp_path / "a.svg").write_text(SVG)
    text = page("t", "s", [Section("x", [Picture(tmp_path / "a.svg", "c")])])
    found = Reader(text)
    sources = [a[key] for _, a in found.tags for key in ("src", "href") if key in a]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "url(" not in text
    assert "@import" not in text
    assert any("default-src 'none'" in a.get("content", "") for a in found.all("meta"))


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (1000).to_bytes(4, "big") + b"rest"
GIF = b"GIF89a" + (900).to_bytes(2, "little") + (440).to_bytes(2, "little") + b"rest"


@pytest.mark.parametrize(
    ("name", "kind", "data", "legible"),
    [
        ("a.svg", "image/svg+xml", SVG.encode(), 0),
        ("b.PNG", "image/png", PNG, 450),
        ("c.gif", "image/gif", GIF, 405),
    ],
)
def test_pictures_are_embedded(tmp_path, name, kind, data, legible):
    (tmp_path / name).write_bytes(data)
    (image,) = read(Picture(tmp_path / name, 'a "b" <c>')).all("img")
    head, _, content = image["src"].partition(",")
    assert head == f"data:{kind};base64"
    assert base64.b64decode(content) == data
    assert image["alt"] == 'a "b" <c>'
    assert image["style"] == f"--legible: {legible}px"


def test_sounds_are_embedded_and_named(tmp_path):
    path = tmp_path / "odd \"'&<#%.wav"
    path.write_bytes(b"RIFF")
    found = read(Sounds(("original", "from <symbols>"), (("A4 & B4", (path, None)), ("C2", (path, path))), "heard"))
    sounds = found.all("audio")
    assert [s["aria-label"] for s in sounds] == ["A4 & B4, original", "C2, original", "C2, from <symbols>"]
    assert all(s["src"] == "data:audio/wav;base64,UklGRg==" and s["preload"] == "none" and "controls" in s for s in sounds)
    assert [c["data-head"] for c in found.all("td")] == ["original", "from <symbols>"] * 2
    assert "–" in found.words


def test_a_row_of_sounds_has_a_file_for_each_column(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        read(Sounds(("a", "b"), (("x", (None,)),)))


@pytest.mark.parametrize("block", [Picture, lambda path, _: Sounds(("a",), (("x", (path,)),))])
def test_a_missing_file_is_an_error(tmp_path, block):
    with pytest.raises(FileNotFoundError):
        read(block(tmp_path / "none.png", "c"))


def test_an_unknown_kind_of_file_is_an_error(tmp_path):
    with pytest.raises(KeyError):
        read(Picture(tmp_path / "page.html", "c"))


@pytest.mark.parametrize("block", ["words", None, Section("s", [])])
def test_what_is_no_block_is_an_error(block):
    with pytest.raises(TypeError, match="no block"):
        read(block)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (0.934, "0.93"),
        (0.9999, "1.00"),
        (3.14159, "3.14"),
        (31.4159, "31.4"),
        (1234.5, "1,234"),
        (0.0512, "0.051"),
        (0.00012, "0.00012"),
        (1e-7, "1.0e−07"),
        (0.0, "0.00"),
        (-0.5, "−0.50"),
        (7, "7"),
        (-56690884, "−56,690,884"),
        (np.float32(0.25), "0.25"),
        (np.int64(3), "3"),
        (float("inf"), "∞"),
        (NAN, "–"),
        (None, "–"),
        (True, "yes"),
        ("a<b", "a&lt;b"),
        ((0.934, 0.901, 0.96), "0.93 <small>0.90 – 0.96</small>"),
        ((0.004, 0.0, 0.02), "0.004 <small>0.000 – 0.020</small>"),
        ((-1.2, -1.5, 0.3), "−1.20 <small>−1.50 – 0.30</small>"),
        ((0.9, NAN, NAN), "0.90"),
        ((NAN, NAN, NAN), "–"),
    ],
)
def test_cells(cell, shown):
    assert cells(cell) == [shown]


def test_columns_of_numbers_stand_to_the_right():
    rows = [("run", 1, (0.5, 0.4, 0.6), None, "a"), ("other", NAN, None, None, 2)]
    found = read(Table(["name", "n", "share", "none", "mixed"], rows, "caption", "note"))
    classes = [a.get("class") for tag, a in found.tags if tag in ("th", "td")]
    assert classes == [None, "number", "number", None, None] * 3
    assert [a.get("scope") for a in found.all("th")] == ["col"] * 5 + ["row"] * 2
    assert {"caption", "note"} <= set(found.words)


def test_a_table_of_numbers_only_and_one_without_rows():
    assert len(read(Table(["a", "b"], [(1, 2)])).all("td")) == 2
    assert read(Table(["a", "b"], [])).all("td") == []


@pytest.mark.parametrize("rows", [[(1,)], [(1, 2), (1, 2, 3)]])
def test_a_table_with_too_few_or_too_many_cells_is_an_error(rows):
    with pytest.raises(ValueError, match="argument 2"):
        read(Table(["a", "b"], rows))


def test_details_hold_blocks_and_code_keeps_its_lines():
    found = read(Details("more", [Code("a\n  b <c>"), Details("still more", [Text("deep")])]))
    assert {"more", "a\n  b <c>", "still more", "deep"} <= set(found.words)
    assert len(found.all("details")) == len(found.all("summary")) == 2


@given(st.text(alphabet=st.characters(exclude_characters="\r\0")))
def test_no_text_becomes_markup(text):
    """Reading gives every text back, whatever it is; half a surrogate pair becomes a question mark."""
    blocks = [
        Text(text),
        Code(text),
        Details(text, []),
        Table([text], [(text,)], text, text),
        Sounds((text,), ((text, (None,)),), text),
    ]
    found = Reader(page(text, text, [Section(text, blocks)]))
    plain = Reader(
        page(
            "",
            "",
            [
                Section(
                    "", [Text(""), Code(""), Details("", []), Table([""], [("",)], "c", "n"), Sounds(("",), (("", (None,)),), "c")]
                )
            ],
        )
    )
    assert len(found.tags) == len(plain.tags) - (0 if text else 3)
    known = text.encode("utf-8", "replace").decode()
    assert not text.strip() or sum(word == known for word in found.words) >= 13


def test_write(tmp_path):
    path = tmp_path / "report.html"
    write(path, "Flöte ♯ \udcff", "s", [Section("x", [Text("𝄞")])])
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    assert "Flöte ♯ ?" in text
    assert "𝄞" in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_keeps_the_previous_page(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(FileNotFoundError):
        write(path, "t", "s", [Section("x", [Picture(tmp_path / "none.png", "c")])])
    assert path.read_text() == "before"
