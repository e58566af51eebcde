"""Chromium without a screen, its microphone a file; and ``fullband voip web`` as a process."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.servers import poll, stop_group

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

#: The fake microphone plays a file in a loop, and nobody is asked whether it may.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

#: A node of Web Audio would lose blocks whenever the page is busy; a reader has them kept until it comes to them.
_LISTEN = """async () => {
  const [track] = document.getElementById("heard").srcObject.getAudioTracks();
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 3000 }).readable.getReader();
  const blocks = (window.heardBlocks = []);
  (async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const block = new Float32Array(read.value.numberOfFrames);
      read.value.copyTo(block, { planeIndex: 0, format: "f32-planar" });
      if (read.value.sampleRate !== 48000) throw new Error(`${read.value.sampleRate} Hz`);
      blocks.push(block);
      read.value.close();
    }
  })();
}"""

_HEARD = """() => {
  const blocks = window.heardBlocks.splice(0);
  const bytes = new Uint8Array(blocks.reduce((size, block) => size + block.byteLength, 0));
  let end = 0;
  for (const block of blocks) {
    bytes.set(new Uint8Array(block.buffer), end);
    end += block.byteLength;
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}"""

_PIXELS = """(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return btoa(text);
}"""


class WebHost:
    """``fullband voip web`` on a free port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.records = folder / "sessions.jsonl"
        self.figures = folder / "figures.json"
        self._log = folder / "host.log"
        program = "import sys; sys.argv[0] = 'fullband'; from realtime.cli import main; main()"
        command = [
            sys.executable, "-c", program, "voip", "web", "--listen", "127.0.0.1:0",
            "--records", str(self.records), "--json", str(self.figures), *arguments,
        ]  # fmt: skip
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        poll(lambda: "listening on" in self.log or self.process.poll() is not None, "fullband voip web", 240.0)
        found = re.search(r"listening on (\S+)", self.log)
        assert found, self.log
        self.address = found.group(1)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def end(self) -> int:
        """As Ctrl-C does, and again where it would wait for a session; gives the exit status."""
        self.process.send_signal(signal.SIGINT)
        poll(lambda: "once more hangs up" in self.log or self.process.poll() is not None, "the end of the host", 30.0)
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30.0)


@contextmanager
def web_host(folder: Path, *arguments: str) -> Iterator[WebHost]:
    host = WebHost(folder, *arguments)
    try:
        yield host
    finally:
        stop_group(host.process)


@contextmanager
def chromium(microphone: Path) -> Iterator[Any]:
    """A browser (of Playwright) whose microphone is the WAV file *microphone*."""
    from playwright.sync_api import sync_playwright

    flags = [*_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One page, and what the browser complained of."""

    def __init__(self, browser: Any, address: str) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1000, "height": 1400})
        self.page.on("console", lambda message: self._note(message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def listen(self) -> None:
        """Hear what the page plays from now on."""
        self.page.evaluate(_LISTEN)

    def heard(self) -> NDArray[np.float32]:
        """What came since :meth:`listen` or the last call, [n] at 48 kHz."""
        return np.frombuffer(base64.b64decode(self.page.evaluate(_HEARD)), np.float32)

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """The canvas *name*: [height, width, 4], the top first."""
        canvas = self.page.locator(f"#{name}")
        width, height = (int(canvas.get_attribute(side)) for side in ("width", "height"))
        data = base64.b64decode(canvas.evaluate(_PIXELS))
        return np.frombuffer(data, np.uint8).reshape(height, width, 4)

    def screenshot(self, folder: Path, name: str) -> Path:
        """Kept in *folder*, or where ``FULLBAND_TEST_ARTEFACTS`` says."""
        place = Path(os.environ.get("FULLBAND_TEST_ARTEFACTS") or folder)
        place.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=place / f"{name}.png", full_page=True)
        return place / f"{name}.png"
