"""The page in a browser, where there is one: a Chromium on the PATH or in LT_CHROMIUM. Nothing else needs it."""

import wave

import pytest

from tests.browser import Browser, chromium, faults
from utils.figures import new, save
from utils.report import Code, Details, Picture, Section, Sounds, Table, Text, write

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH or in LT_CHROMIUM")

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="2000" height="40"><rect width="2000" height="40"/></svg>'


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(chromium(), tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with everything that could be too wide for a phone, and odd names."""
    folder = tmp_path_factory.mktemp("odd #%? name")
    figure = new(12, 1)
    figure.add_subplot().plot([1, 2])
    save(figure, folder / "wide.png")
    (folder / "wide.svg").write_text(SVG)
    sound = folder / "A♯ \"'<&>.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(bytes(4410))
    blocks = [
        Text("word" * 100),
        Table(["a heading of words"] * 9, [["a cell of words", 1, (0.5, 0.4, 0.6), None, 1e9, "x" * 60, 1, 2, 3]] * 3, "c", "n"),
        Picture(folder / "wide.png", "a figure"),
        Picture(folder / "wide.svg", "a drawing"),
        Sounds(tuple("abcdef"), ((f"{sound.name} " * 3, (sound,) * 5 + (None,)),) * 2, "sounds"),
        Details("x" * 200, [Code("x" * 500)]),
        Code("x" * 500),
    ]
    write(folder / "report.html", "A_title_that_does_not_end_" * 5, "s", [Section("<Part> ♯", blocks), Section("y" * 99, [])])
    return folder / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 640), (375, 800), (1200, 900)])
def test_the_page_works(browser, report, width, height, scheme):
    state = browser.check(report, width, height, scheme)
    assert faults(state, width) == []
    assert len(state["pictures"]) == 2
    assert len(state["sounds"]) == 10
    assert all(sound["seconds"] == pytest.approx(0.1) and sound["shown"] > 120 for sound in state["sounds"])
    assert state["paper"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 22, 26)"}[scheme]


def test_faults_are_found(browser, tmp_path):
    """What the checks say of a page that is wrong in every way."""
    page = tmp_path / "wrong.html"
    page.write_text(
        '<meta name="viewport" content="width=device-width"><a href="#nowhere"></a><div style="width: 900px">wide</div>'
        '<img src="data:image/png;base64,AAAA"><audio src="data:audio/wav;base64,AAAA"></audio>'
        '<img src="missing.png"><script>console.error("no"); throw Error()</script>'
    )
    found = " ".join(faults(browser.check(page, 375, 800, "light"), 375))
    for fault in ("error", "loaded from elsewhere", "picture not drawn", "sound not decoded", "link to nowhere", "908 px wide"):
        assert fault in found
