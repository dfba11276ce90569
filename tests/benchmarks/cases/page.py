"""The page without a server, in headless Chromium: what a visitor downloads, and how long the first answer takes.

It needs Chromium and npm. The pages are served from this machine, so no network is in the times.
"""

import functools
import gzip
import http.server
import importlib.util
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from harness.case import Settings, Table, main
from harness.models import MODELS
from harness.timing import Figures
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[3]
SOUND = ROOT / "tests" / "sounds" / "plain.wav"
PATIENCE = 120_000  # ms
OWN = (".html", ".css", ".js", ".svg")


def measure(settings: Settings) -> list[Table]:
    """One table; the files of the corpus aren't used."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "export" / "page" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    sides: dict[str, Figures | str] = {}
    own = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as api:
        browser = api.chromium.launch(executable_path=program, args=sandbox)
        for model in MODELS:
            site = Path(folder) / model
            build.build(site, model)
            first, later = _times(browser, site, settings.rounds)
            sizes = {path: len(gzip.compress(path.read_bytes())) for path in site.rglob("*") if path.is_file()}
            needed = {path: size for path, size in sizes.items() if "licences" not in path.parts}
            own = sum(size for path, size in needed.items() if path.suffix in OWN)
            sides[f"`{model}`, first visit"] = {"wall": first, "size": float(sum(needed.values()))}
            sides[f"`{model}`, later visits, from the browser's cache"] = {"wall": later, "size": 0.0}
        version = browser.version
        browser.close()
    title = f"From opening the page to the label of {SOUND.name}, in Chromium {version}"
    note = (
        "`size`: what a visitor downloads from a host that compresses with gzip; most is ONNX Runtime and the network, "
        f"the page's own code is {own / 1e3:.0f} kB."
    )
    return [Table("page", title, next(iter(sides)), "wall", sides, [note])]


def _times(browser: Browser, site: Path, rounds: int) -> tuple[float, float]:
    """Seconds to the first answer: of a new visitor, and of one who comes back; medians."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    first, later = [], []
    for _ in range(rounds):
        context = browser.new_context()
        page = context.new_page()
        first.append(_answer(page, address))
        page.evaluate("async () => { await navigator.serviceWorker.ready; }")
        later.append(_answer(page, address))
        context.close()
    server.shutdown()
    server.server_close()
    return statistics.median(first), statistics.median(later)


def _answer(page: Page, address: str) -> float:
    start = time.perf_counter()
    page.goto(address)
    expect(page.locator("#moment")).to_have_text("Ready", timeout=PATIENCE)
    page.set_input_files("#file", SOUND)
    expect(page.locator("#moment")).to_have_text("The whole recording", timeout=PATIENCE)
    return time.perf_counter() - start


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


if __name__ == "__main__":
    main(measure)
