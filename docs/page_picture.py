"""Draws the picture of the page, `page.webp`: a recording of the sounds in tests/sounds, as Chromium shows it.

    .venv/bin/python docs/page_picture.py

It needs npm and Chromium; without them the picture stays as it is.
"""

import functools
import http.server
import io
import runpy
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[1]
ORDER = ("plain", "loud-low", "slow-soft", "fast-high", "varied-pitch")
PAUSE = 4.0  # seconds, in which nobody speaks, behind the third
WIDTH, HEIGHT = 1120, 760  # pixels of the window; the picture has the whole page, in one and a half times as many
QUALITY = 80


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


def recording(target: Path) -> None:
    """Writes the sounds, one after the other, twice each."""
    parts = []
    for name in ORDER:
        samples, rate = soundfile.read(ROOT / "tests" / "sounds" / f"{name}.wav")
        parts += [samples, samples, np.zeros(rate // 2)]
        if name == ORDER[2]:
            parts.append(np.zeros(int(PAUSE * rate)))
    soundfile.write(target, np.concatenate(parts), rate)


def main(target: Path = ROOT / "docs" / "page.webp") -> None:
    """Builds the page, opens the recording on it, and keeps what it looks like."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None or shutil.which("npm") is None:
        sys.exit(f"{target.name} stays as it is: it needs npm and Chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as api:
        site, sound = Path(folder) / "page", Path(folder) / "recording.wav"
        runpy.run_path(str(ROOT / "export" / "page" / "build.py"))["build"](site)
        recording(sound)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = api.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=2)
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        expect(page.locator("#moment")).to_have_text("Ready", timeout=120_000)
        page.set_input_files("#file", sound)
        expect(page.locator("#moment")).to_have_text("The whole recording", timeout=120_000)
        page.locator("#recording summary").click()
        page.locator("#seek").focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.locator("h1").click()  # no ring around what has the focus
        page.wait_for_timeout(600)  # the bars have moved
        picture = page.screenshot(full_page=True)
        browser.close()
        server.shutdown()
        server.server_close()
    image = Image.open(io.BytesIO(picture))
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(target, quality=QUALITY)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
