"""The Groove MIDI Dataset is fetched from a server, here a small one of our own on the loopback."""

import hashlib
import http.server
import io
import stat
import threading
import zipfile

import pytest

from data import groove_midi
from data.groove_midi import GROOVE, Archive, fetch
from utils.config import InputError

PIECE = groove_midi.CHUNK
TABLE = b"midi_filename,split\ndrummer1/x.mid,train\n"
FILES = {"groove/info.csv": TABLE, "groove/drummer1/x.mid": bytes(range(256)) * 400}


def packed(files=FILES, link=None):
    """Return a zip of files by name; one of them a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            if name == link:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class Server:
    """Serve one content; what is set decides how badly."""

    def __init__(self):
        self.content = packed()
        self.cuts: list[int] = []  # bytes after which the next answers break off
        self.ranges = True  # whether it knows parts
        self.status = 0  # of all answers, if any
        self.asked: list[str | None] = []  # ranges
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set-1.zip"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def archive(self):
        return Archive(self.url, len(self.content), hashlib.sha256(self.content).hexdigest(), "groove")

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if self.status or start >= len(self.content):
            request.send_error(self.status or 416)
            return
        body = self.content[start:]
        request.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def refused(folder, archive, match):
    with pytest.raises(InputError, match=match) as caught:
        fetch(folder, archive)
    assert "\n" not in str(caught.value)


def check(folder, root):
    assert root == folder / "set-1" / "groove"
    assert {str(path.relative_to(root.parent)): path.read_bytes() for path in root.rglob("*") if path.is_file()} == FILES
    assert sorted(path.name for path in folder.iterdir()) == ["set-1", "set-1.lock"]


def test_fetched_once(tmp_path, server):
    check(tmp_path, fetch(tmp_path, server.archive))
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked == [None]


def test_goes_on_where_it_broke_off(tmp_path, server):
    server.cuts = [PIECE + 1, 2 * PIECE]
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked == [None, f"bytes={PIECE}-", f"bytes={3 * PIECE}-"]


def test_goes_on_in_another_process(tmp_path, server):
    server.cuts = [PIECE] * 3
    refused(
        tmp_path,
        server.archive,
        rf"{3 * PIECE} of {len(server.content)} bytes are there .*run it again, or put the file by hand at",
    )
    assert (tmp_path / "set-1.zip.part").read_bytes() == server.content[: 3 * PIECE]
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked[-1] == f"bytes={3 * PIECE}-"


def test_begins_anew_where_the_server_knows_no_parts(tmp_path, server):
    server.cuts, server.ranges = [PIECE], False
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked == [None, f"bytes={PIECE}-"]


def test_a_finished_part_is_not_asked_for(tmp_path, server):
    (tmp_path / "set-1.zip.part").write_bytes(server.content)
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked == []


def test_another_content(tmp_path, server):
    archive = server.archive
    server.content = server.content[:-1] + b"?"
    refused(tmp_path, archive, "what came has another checksum and was removed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set-1.lock"]
    server.content += b"more"
    refused(tmp_path, archive, "more bytes came than the archive has")
    server.content = b"less"
    refused(tmp_path, archive, r"4 of .*\(the connection ended\)")
    server.content = packed()
    check(tmp_path, fetch(tmp_path, archive))


def test_no_server(tmp_path, server):
    refused(tmp_path, server.archive._replace(url="http://127.0.0.1:1/set-1.zip"), r"cannot be fetched, 0 of .*\(ConnectionError\)")
    server.status = 404
    refused(tmp_path, server.archive, r"cannot be fetched, 0 of .*\(HTTP 404\)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set-1.lock"]


def test_put_there_by_hand(tmp_path, server):
    (tmp_path / "set-1.zip").write_bytes(b"another")
    refused(tmp_path, server.archive, r"set-1.zip: has another checksum than .*; remove it")
    (tmp_path / "set-1.zip").write_bytes(server.content)
    check(tmp_path, fetch(tmp_path, server.archive))
    assert server.asked == []


@pytest.mark.parametrize("name", ["../x", "/x", "groove/../../x", "groove\\x", "c:x"])
def test_entries_that_lead_out(tmp_path, server, name):
    server.content = packed(FILES | {name: b""})
    refused(tmp_path / "cache", server.archive, "leads out of the archive")
    assert not (tmp_path / "x").exists() and not (tmp_path / "cache" / "set-1").exists()


def test_hostile_archives(tmp_path, server, monkeypatch):
    server.content = packed(FILES | {"groove/link": b"/etc"}, link="groove/link")
    refused(tmp_path / "link", server.archive, "is a link or a device")
    server.content = packed({"other/x": b""})
    refused(tmp_path / "other", server.archive, "holds no folder groove")
    server.content = b"PK" + bytes(99)
    refused(tmp_path / "no", server.archive, "is no whole archive")
    server.content = packed()
    monkeypatch.setattr(groove_midi, "MAX_BYTES", 1000)
    refused(tmp_path / "large", server.archive, "too much; the limits are")
    assert not (tmp_path / "large" / "set-1").exists()


def test_what_a_kill_left_is_replaced(tmp_path, server):
    (tmp_path / ".set-1.part" / "groove").mkdir(parents=True)
    (tmp_path / ".set-1.part" / "groove" / "stale").write_text("x")
    check(tmp_path, fetch(tmp_path, server.archive))


def test_a_full_disk(tmp_path, server, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(groove_midi, "_write", full)
    refused(tmp_path, server.archive, "cannot be written .No space left on device.; free some space")


def test_the_official_archive():
    assert (GROOVE.name, GROOVE.size, len(GROOVE.sha256)) == ("groove-v1.0.0-midionly.zip", 3_260_318, 64)
