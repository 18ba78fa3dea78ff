"""A headless Chromium, driven over its DevTools protocol by pipes, and checks of pages in it."""

import fcntl
import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
PATIENCE = 60.0  # s, until a browser that does not answer counts as broken

# Sounds load one after the other, as a browser refuses to hold many at once.
STATE = """(async () => {
  const sounds = []
  for (const audio of document.querySelectorAll("audio")) {
    audio.preload = "metadata"; audio.load()
    await new Promise(done => { audio.onloadedmetadata = audio.onerror = done; setTimeout(done, 5000) })
    sounds.push({name: audio.ariaLabel, ready: audio.readyState, seconds: audio.duration, shown: audio.offsetWidth})
  }
  const root = document.documentElement
  const targets = [...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href").slice(1))
  return {
    sounds,
    pictures: [...document.images].map(i => ({name: i.alt, width: i.naturalWidth, shown: i.clientWidth})),
    width: root.scrollWidth, height: root.scrollHeight,
    paper: getComputedStyle(document.body).backgroundColor,
    lost: targets.filter(id => !document.getElementById(id)),
  }
})()"""


def chromium() -> str | None:
    """Return the path of a Chromium: LT_CHROMIUM of the environment, or one on the PATH."""
    return os.environ.get("LT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A page in a headless Chromium; a context manager, as the process must end."""

    def __init__(self, program: str, profile: Path):
        self.out, answers = _pipe()
        commands, self.into = _pipe()
        connected = f'exec "$@" 3</dev/fd/{commands} 4>/dev/fd/{answers}'  # the protocol's numbers
        command = ["sh", "-c", connected, "sh", program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, pass_fds=(commands, answers), **quiet)
        os.close(commands)
        os.close(answers)
        self.rest, self.number, self.session, self.events = b"", 0, None, []

    def __enter__(self) -> "Browser":
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self.out)
        os.close(self.into)

    def send(self, method: str, **params) -> dict:
        """Return the result of a command of the protocol; keep the events that come before it."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        data = json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0"
        while data:
            data = data[os.write(self.into, data) :]
        while (answer := self._receive()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict:
        pieces = [self.rest]  # joined once: a screenshot comes in many
        while b"\0" not in pieces[-1]:
            assert select.select([self.out], [], [], PATIENCE)[0], "the browser does not answer"
            pieces.append(os.read(self.out, 1 << 20))
            assert pieces[-1], "the browser ended"
        message, _, self.rest = b"".join(pieces).partition(b"\0")
        return json.loads(message)

    def check(self, page: Path, width: int, height: int, scheme: str) -> dict:
        """Open a page at a size, CSS px, in a colour scheme, and return what there is to see and to complain about."""
        self.events.clear()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        result = self.send("Runtime.evaluate", expression=STATE, awaitPromise=True, returnByValue=True)["result"]
        return result["value"] | {"errors": self._errors(), "requests": self._requests(page)}

    def _errors(self) -> list[str]:
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in kinds]

    def _requests(self, page: Path) -> list[str]:
        sent = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url[:200] for url in sent if not url.startswith("data:") and url != page.resolve().as_uri()]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as PNG."""
        path.write_bytes(b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, to read and to write, numbered beyond the two that the protocol needs."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return high


def faults(state: dict, width: int) -> list[str]:
    """Return what is wrong with a page, of `Browser.check` at a width, CSS px."""
    wrong = [f"error: {error}" for error in state["errors"]] + [f"loaded from elsewhere: {url}" for url in state["requests"]]
    wrong += [f"picture not drawn: {p['name']}" for p in state["pictures"] if not p["width"]]
    wrong += [f"sound not decoded: {s['name']}" for s in state["sounds"] if s["ready"] < 1]
    wrong += [f"link to nowhere: #{name}" for name in state["lost"]]
    return wrong + ([f"{state['width']} px wide on a screen of {width}"] if state["width"] > width else [])
