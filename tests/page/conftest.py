"""The page built for a web host, that web host, a browser with a microphone that plays a file, and ser-edge --serve."""

import importlib.util
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import SOUNDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.page.browser import OpenPage

ROOT = Path(__file__).parents[2]
PLAYED = SOUNDS / "loud-low.wav"  # by the microphone, again and again
MODELS = ("accurate", "small")


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """export/page/build.py, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("page_build", ROOT / "export" / "page" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sites(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each bundled model the folder that `make page` builds."""
    if shutil.which("npm") is None:
        pytest.skip("npm isn't installed")
    folders = {model: tmp_path_factory.mktemp("page") / model for model in MODELS}
    for model, folder in folders.items():
        try:
            build.build(folder, model)
        except build.BuildError as error:
            pytest.skip(str(error))
    return folders


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


class _Host(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: Any) -> None:
        """A browser that ends a request early is no error."""


@pytest.fixture(scope="session")
def hosts(sites: dict[str, Path]) -> Iterator[dict[str, str]]:
    """For each bundled model the address of its page, as `python -m http.server` serves it."""
    servers = {model: _Host(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) for model, site in sites.items()}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {model: f"http://127.0.0.1:{server.server_port}/" for model, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")  # while Playwright is there, no other event loop can run in its thread
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium, or another one that is installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("Chromium isn't installed")
    arguments = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={PLAYED}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: "Browser") -> Iterator["OpenPage"]:
    """Opens an address as a new visitor; a page that reported an error fails the test."""
    from tests.page.browser import Visit

    contexts, visits = [], []

    def opened(address: str, **settings: Any) -> Visit:
        context = chromium.new_context(permissions=["microphone"], accept_downloads=True, **settings)
        contexts.append(context)
        visits.append(Visit.open(context.new_page(), address))
        return visits[-1]

    yield opened
    for context in contexts:
        context.close()
    assert [problem for each in visits for problem in each.problems] == []
