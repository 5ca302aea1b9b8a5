"""Pictures of an HTML page as a reader sees it: wide and narrow, light and dark, whole length.

Drives a headless Chromium over a pipe (Chrome DevTools Protocol); standard library only.

    python3 tools/screenshots.py PAGE.html [FOLDER]     (default: beside the page)

Writes PAGE-1280-light.png, PAGE-1280-dark.png, PAGE-390-light.png, PAGE-390-dark.png and prints
what the page wrote to its console. Set CHROMIUM to use another browser than the one on the path.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
TALLEST_PX = 16000
"""What Chromium can still put into one picture."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--remote-debugging-pipe",
)  # fmt: skip
LAUNCHER = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3])
os.dup2(reads, 3), os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads from descriptor 3 and writes to 4."""
SETTLED = """new Promise(done => {
  document.querySelectorAll(OPENED).forEach(one => { one.open = true; });
  setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 700);
})"""


class Browser:
    """A Chromium of our own, with one page; a context manager."""

    def __init__(self, folder: str) -> None:
        to_browser, self.to_browser = os.pipe()
        self.from_browser, from_browser = os.pipe()
        command = [_chromium(), *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(to_browser), str(from_browser), *command],
            pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self.answers = os.fdopen(self.from_browser, "rb")
        self.events: list[dict[str, Any]] = []
        self.calls, self.session = 0, ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.session = ""
        self.call("Browser.close")
        self.process.wait(10)
        self.answers.close()
        os.close(self.to_browser)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Call a method of the protocol and return its result."""
        self.calls += 1
        message: dict[str, Any] = {"id": self.calls, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.calls:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            if not byte:
                sys.exit("tools/screenshots.py: the browser ended")
            content += byte
        return json.loads(content)

    def wait_for(self, method: str) -> None:
        """Wait for an event of the protocol."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """Value of an expression of JavaScript, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"].get("value")

    def height(self) -> int:
        """Pixels of the whole page."""
        return int(self.call("Page.getLayoutMetrics")["cssContentSize"]["height"])

    def said(self) -> list[str]:
        """Errors and messages of the page so far."""
        notes = []
        for event in self.events:
            content = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                notes.append(str(content["exceptionDetails"].get("exception", content)))
            elif event.get("method") == "Runtime.consoleAPICalled":
                notes.append(str([one.get("value") for one in content["args"]]))
        return notes


def _chromium() -> str:
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    result = next((path for name in names if name and (path := shutil.which(name))), None)
    return result or sys.exit("tools/screenshots.py: no Chromium on the path; set CHROMIUM")


@contextlib.contextmanager
def opened(page: Path, width: int, scheme: str, details: str = "") -> Generator[Browser]:
    """Browser with a page, all of it in view and drawn.

    Parameters
    ----------
    page : Path
    width : int
        Pixels.
    scheme : {"light", "dark"}
        What the reader prefers.
    details : str
        CSS selector of details that are opened.
    """
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as profile, Browser(profile) as browser:
        browser.call("Page.enable")
        browser.call("Runtime.enable")
        preference = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=preference)
        device = {"width": width, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.call("Emulation.setDeviceMetricsOverride", height=900, **device)
        browser.call("Page.navigate", url=page.resolve().as_uri())
        browser.wait_for("Page.loadEventFired")
        settled = SETTLED.replace("OPENED", json.dumps(details or "none"))
        browser.evaluate(settled)
        height = min(TALLEST_PX, browser.height())
        browser.call("Emulation.setDeviceMetricsOverride", height=height, **device)
        browser.evaluate(settled)
        yield browser


def screenshots(browser: Browser, width: int, piece: int = 0) -> list[bytes]:
    """PNG of the whole page, or of its pieces of so many pixels."""
    height = browser.height()
    tops = range(0, height, piece or height)
    return [_clip(browser, width, y, min(height - y, piece or height)) for y in tops]


def _clip(browser: Browser, width: int, top: int, height: int) -> bytes:
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    shot = browser.call(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
    )
    return base64.b64decode(shot["data"])


def main() -> None:
    """Write the four pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--open", default="", help="CSS selector of details to open")
    parser.add_argument("--piece", type=int, default=0, help="cut long pages, pixels")
    chosen = parser.parse_args()
    folder = chosen.folder or chosen.page.parent
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for scheme in SCHEMES:
            with opened(chosen.page, width, scheme, chosen.open) as browser:
                pictures, note = screenshots(browser, width, chosen.piece), browser.said()
            for i, picture in enumerate(pictures):
                number = f"-{i + 1}" if len(pictures) > 1 else ""
                path = folder / f"{chosen.page.stem}-{width}-{scheme}{number}.png"
                path.write_bytes(picture)
                print(path)
            print(*note, sep="\n", end="\n" * bool(note))


if __name__ == "__main__":
    main()
