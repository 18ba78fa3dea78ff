"""One self-contained HTML page: pictures and sound are embedded, nothing is loaded from elsewhere."""

import base64
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from numbers import Integral, Real
from pathlib import Path

from utils.files import write_text

MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif", ".wav": "audio/wav"}
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
NOTHING = "\N{EN DASH}"  # stands for a value that is missing

STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #5b626d; --paper: #fff;
  --tint: #f4f5f7; --line: #d9dce1; --link: #0b57b0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6ea; --soft: #a2a9b4; --paper: #14161a; --tint: #1e2127; --line: #363b44; --link: #8ab8ff } }
* { box-sizing: border-box }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100% }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2 }
h2 { margin: 3rem 0 1rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.3rem; line-height: 1.25 }
header p { margin: .4rem 0 0; color: var(--soft) }
p { max-width: 44rem }
a { color: var(--link) }
nav { margin: 1.5rem 0; padding: .75rem 1rem; background: var(--tint); border-radius: .5rem }
nav ol { margin: 0; padding-left: 1.4rem }
nav a { display: inline-block; padding: .2rem 0; text-decoration: none }
nav a:hover { text-decoration: underline }
figure { margin: 1.5rem 0 }
figcaption, .note { margin: .5rem 0; max-width: 44rem; color: var(--soft); font-size: .875rem; line-height: 1.45 }
.wide { overflow-x: auto; border-radius: .375rem }
.wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
img { display: block; max-width: max(100%, var(--legible, 0px)); height: auto; background: #fff; border-radius: .375rem }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.35 }
th, td { padding: .4rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: normal }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--line) }
tbody th { position: sticky; left: 0; max-width: 45vw; background: var(--paper); font-weight: 500 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
small { display: block; color: var(--soft); font-size: .75rem }
audio { display: block; width: 100%; height: 2.25rem }
.sounds table { width: 100%; table-layout: fixed; min-width: calc(7rem + var(--columns) * 10.5rem) }
.sounds th:first-child { width: 7rem; overflow-wrap: anywhere }
.sounds td { padding: .3rem .4rem; vertical-align: middle }
.sounds tbody th { vertical-align: middle }
pre { overflow-x: auto; padding: .75rem 1rem; background: var(--tint); border-radius: .5rem; font-size: .825rem; line-height: 1.45;
  overflow-wrap: normal; font-family: ui-monospace, Menlo, Consolas, monospace }
code { font-family: inherit }
details { margin: 1rem 0; padding: .25rem 1rem; border: 1px solid var(--line); border-radius: .5rem }
summary { padding: .5rem 0; cursor: pointer; font-weight: 500 }
@media (max-width: 40rem) {
  .sounds table { min-width: 0 }
  .sounds table, .sounds tbody, .sounds tr, .sounds th, .sounds td { display: block; width: auto; border: 0 }
  .sounds thead { display: none }
  .sounds tbody tr { padding: .5rem 0; border-bottom: 1px solid var(--line) }
  .sounds tbody th:first-child { width: auto; max-width: none; padding: 0; font-weight: 600 }
  .sounds td { display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); align-items: center; padding: .2rem 0 }
  .sounds td:not(:has(audio)) { display: none }
  .sounds td::before { content: attr(data-head); padding-right: .5rem; color: var(--soft); font-size: .825rem } }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --tint: #f4f5f7; --line: #bbb; --link: #000; color-scheme: light }
  body { max-width: none; padding: 0; font-size: 10pt }
  img { max-width: 100% } .wide { overflow: visible } .sounds { display: none }
  pre { white-space: pre-wrap; overflow-wrap: anywhere }
  figure, tr { break-inside: avoid } h2 { break-after: avoid }
  details::details-content { display: block; content-visibility: visible; height: auto } }
"""
SCRIPT = """
addEventListener("play", event => document.querySelectorAll("audio").forEach(a => a === event.target || a.pause()), true)
"""

Cell = str | Real | tuple[Real, Real, Real] | None


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    content: str


@dataclass(frozen=True)
class Table:
    """Rows of words, numbers, or numbers with their interval (value, low, high); None and NaN are missing values."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG, SVG or GIF; the caption also stands for it where it cannot be seen."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Sounds:
    """Wavs to compare: a row has a name and one file, or None, for each column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Path | None, ...]], ...]
    caption: str = ""


@dataclass(frozen=True)
class Code:
    """Lines as they are, in a fixed pitch."""

    content: str


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away under a title."""

    title: str
    blocks: Sequence["Block"]


Block = Text | Table | Picture | Sounds | Code | Details


@dataclass(frozen=True)
class Section:
    """Blocks under a heading of the page."""

    title: str
    blocks: Sequence[Block]


def write(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write the page to `path`, atomically."""
    write_text(path, page(title, subtitle, sections))


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Raises
    ------
    FileNotFoundError : a picture or a sound does not exist.
    KeyError : a file is neither PNG, SVG, GIF nor wav.
    """
    contents = "".join(f'<li><a href="#section-{n}">{_text(s.title)}</a></li>\n' for n, s in enumerate(sections, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<link rel="icon" href="data:,">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{_text(title)}</h1>\n<p>{_text(subtitle)}</p>\n</header>\n"
        f'<nav aria-label="Contents">\n<ol>\n{contents}</ol>\n</nav>\n<main>\n'
        f"{''.join(_section(number, section) for number, section in enumerate(sections, 1))}"
        f"</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    name = f"section-{number}"
    heading = f'<h2 id="{name}">{_text(section.title)}</h2>'
    return f'<section aria-labelledby="{name}">\n{heading}\n{_blocks(section.blocks)}</section>\n'


def _blocks(blocks: Iterable[Block]) -> str:
    return "".join(f"{_html(block)}\n" for block in blocks)


@singledispatch
def _html(block: Block) -> str:
    raise TypeError(f"{block!r} is no block of a page")


@_html.register
def _(block: Text) -> str:
    return f"<p>{_text(block.content)}</p>"


@_html.register
def _(block: Code) -> str:
    return f'<pre tabindex="0"><code>{_text(block.content)}</code></pre>'


@_html.register
def _(block: Details) -> str:
    return f"<details>\n<summary>{_text(block.title)}</summary>\n{_blocks(block.blocks)}</details>"


@_html.register
def _(block: Picture) -> str:
    name = _text(block.caption)
    picture = f'<img src="{_embedded(block.path)}" alt="{name}" style="--legible: {_legible(block.path)}px">'
    return f"<figure>\n{_wide(picture, block.caption)}\n{_caption(block.caption)}</figure>"


@_html.register
def _(block: Table) -> str:
    numeric = [_numeric(column) for column in zip(*block.rows, strict=True)] or [False] * len(block.heads)
    heads = "".join(f'<th scope="col"{_side(right)}>{_text(head)}</th>' for head, right in zip(block.heads, numeric, strict=True))
    rows = "".join(f"<tr>{_cells(row, numeric)}</tr>\n" for row in block.rows)
    table = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"
    note = f'<p class="note">{_text(block.note)}</p>\n' if block.note else ""
    return f"<figure>\n{_caption(block.caption)}{_wide(table, block.caption or ', '.join(block.heads))}\n{note}</figure>"


def _cells(row: Sequence[Cell], numeric: Sequence[bool]) -> str:
    """Return the cells of a row; the first names the row where it holds words."""
    tags = ["td" if numeric[0] else 'th scope="row"', *["td"] * (len(row) - 1)]
    return "".join(f"<{tag}{_side(right)}>{_cell(cell)}</{tag[:2]}>" for tag, cell, right in zip(tags, row, numeric, strict=True))


@_html.register
def _(block: Sounds) -> str:
    heads = "".join(f'<th scope="col">{_text(column)}</th>' for column in block.columns)
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th>'
        f"{''.join(_sound(name, column, path) for column, path in zip(block.columns, paths, strict=True))}</tr>\n"
        for name, paths in block.rows
    )
    table = f'<table>\n<thead><tr><th scope="col"></th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>'
    box = _wide(table, block.caption or ", ".join(block.columns))
    return f'<figure class="sounds" style="--columns: {len(block.columns)}">\n{_caption(block.caption)}{box}\n</figure>'


def _sound(row: str, column: str, path: Path | None) -> str:
    head = _text(column)
    if path is None:
        return f'<td data-head="{head}">{NOTHING}</td>'
    audio = f'<audio controls preload="none" aria-label="{_text(row)}, {head}" src="{_embedded(path)}"></audio>'
    return f'<td data-head="{head}">{audio}</td>'


def _wide(content: str, name: str) -> str:
    """Return a box that scrolls where its content is wider than the page, by keys as well."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{_text(name)}">{content}</div>'


def _caption(caption: str) -> str:
    return f"<figcaption>{_text(caption)}</figcaption>\n" if caption else ""


def _embedded(path: Path) -> str:
    """Return a file as a data: URI."""
    kind = MEDIA[Path(path).suffix.lower()]
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode('ascii')}"


def _legible(path: Path) -> int:
    """Return the width below which a PNG or GIF is scrolled rather than shrunk, CSS px: six inches at 120 dpi fit on any phone."""
    with open(path, "rb") as file:
        head = file.read(20)
    if head.startswith(b"\x89PNG"):
        return round(0.45 * int.from_bytes(head[16:20], "big"))
    return round(0.45 * int.from_bytes(head[6:8], "little")) if head.startswith(b"GIF8") else 0


def _text(text: str) -> str:
    """Return text safe in HTML and UTF-8, in attributes too; bytes of a file name that are no text become question marks."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def _side(right: bool) -> str:
    return ' class="number"' if right else ""


def _numeric(cells: Iterable[Cell]) -> bool:
    """Tell whether a column holds numbers, and no words."""
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(not isinstance(cell, (str, bool)) for cell in known)


def _cell(cell: Cell) -> str:
    if not isinstance(cell, tuple):
        return _number(cell, _decimals(cell)) if isinstance(cell, Real) and not isinstance(cell, bool) else _text(_word(cell))
    decimals = _decimals(*cell)
    value, low, high = (_number(number, decimals) for number in cell)
    return value if NOTHING in (value, low, high) else f"{value} <small>{low} {NOTHING} {high}</small>"


def _word(cell: str | bool | None) -> str:
    return {None: NOTHING, True: "yes", False: "no"}.get(cell, cell)


def _decimals(*numbers: Real) -> int:
    """Return how many decimals the largest of `numbers` needs for two digits below 1, for three from 1 on."""
    largest = max((abs(number) for number in numbers if math.isfinite(number)), default=0)
    exponent = math.floor(math.log10(largest)) if largest else 0
    return 1 - exponent if exponent < 0 else max(0, 2 - exponent)


def _number(number: Real, decimals: int) -> str:
    if math.isnan(number):
        return NOTHING
    if isinstance(number, Integral) or math.isinf(number):
        text = f"{number:,}"
    else:
        text = f"{number:,.{decimals}f}" if decimals <= 5 else f"{number:.1e}"
    return text.replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")
