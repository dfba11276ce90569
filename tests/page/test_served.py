"""The page as ser-edge serves it: files, this browser's microphone, the device's microphone, tokens, interruptions."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import soundfile

from ser_edge import Recognizer
from tests.conftest import SOUNDS
from tests.page.browser import OpenPage

pytest.importorskip("starlette", reason="ser-edge[serve] isn't installed")
pytestmark = pytest.mark.slow
FILE = SOUNDS / "slow-soft.wav"
WINDOW = {
    "path": None,
    "start": 7.0,
    "end": 10.0,
    "label": "angry",
    "confidence": 0.9,
    "probabilities": {"neutral": 0.1, "angry": 0.9},
    "speech": 0.8,
    "time": "2026-01-01T12:00:00.000+00:00",
}
HEALTH = {
    "device": "USB",
    "rate": 48_000,
    "lag": 0.1,
    "dropped": 0.5,
    "reconnections": 2,
    "listening": True,
    "level": -20,
}


class Served:
    """A command that runs; `address` is that of its page."""

    def __init__(self, *options: str, place: str = "127.0.0.1:0"):
        command = [sys.executable, "-m", "ser_edge", "--serve", place, "--model", "small", *options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if found := re.search(r"http://\S+", line):
                self.address = found[0]
                break
        else:
            raise AssertionError("".join(lines))

    @property
    def place(self) -> str:
        """Host and port."""
        return self.address.split("/")[2]

    def stop(self) -> None:
        """Ends it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=30)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def start(*options: str, **settings: str) -> Served:
            served = Served(*options, **settings)
            stack.callback(served.stop)
            return served

        yield start


def test_a_file_gets_the_answer_of_the_server(serve: Callable[..., Served], visit: OpenPage) -> None:
    page = visit(serve().address).ready()
    expected = Recognizer("small").predict(FILE)
    assert page.classify(FILE) == expected.label
    assert len([address for address in page.requests if "/v1/predict" in address]) == 1
    assert page.bars() == pytest.approx({name: 100 * p for name, p in expected.probabilities.items()}, abs=1.1)
    timeline = [json.loads(line) for line in page.save("JSON").splitlines()]
    assert [(line["path"], line["start"], line["end"]) for line in timeline] == [
        (FILE.name, 0.0, 3.0),
        (FILE.name, 0.35, 3.345),
    ]


def test_saved_timelines_are_the_commands_output(
    serve: Callable[..., Served], visit: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FILE.parent)
    options = ("--model", "small", "--map", "neutral=10,calm=2")  # which JavaScript would put first, as 2 and 10
    page = visit(serve(*options).address).ready()
    page.classify(Path(FILE.name))
    for name in ("json", "csv", "srt"):
        command = [sys.executable, "-m", "ser_edge", *options, "--timeline", "--format", name, FILE.name]
        printed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
        assert page.save(name.upper()) == printed


@pytest.mark.parametrize(
    ("name", "settings"),
    [("x.aiff", {}), ("x.au", {}), ("packed.wav", {"subtype": "MS_ADPCM"})],
)
def test_a_file_that_this_browser_cannot_play_has_a_timeline_and_a_line_says_so(
    serve: Callable[..., Served], visit: OpenPage, tmp_path: Path, name: str, settings: dict[str, str]
) -> None:
    from playwright.sync_api import expect

    samples, rate = soundfile.read(FILE)
    soundfile.write(tmp_path / name, samples, rate, **settings)
    page = visit(serve().address).ready()
    page.classify(tmp_path / name)
    expect(page.page.locator("#unplayable")).to_be_visible()
    expect(page.page.locator("#play")).to_be_hidden()
    expect(page.page.locator("#position")).to_have_text(re.compile(r"00:00\.0 / 00:03\.[34]"))
    assert page.page.locator("#file-segments button").count() == 0
    page.classify(FILE)
    expect(page.page.locator("#unplayable")).to_be_hidden()
    expect(page.page.locator("#play")).to_be_visible()
    assert page.page.locator("#file-segments button").count() > 0


def test_a_warning_of_the_server_is_shown_under_the_answer(
    serve: Callable[..., Served], visit: OpenPage, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    path = tmp_path / "cut.wav"
    path.write_bytes(FILE.read_bytes()[:40_001])
    page = visit(serve().address).ready()
    page.classify(path)
    expect(page.page.locator("#warnings")).to_have_text(re.compile(r"cut\.wav: truncated or damaged: 1\.25 s of "))


def test_this_browsers_microphone_goes_to_the_server(serve: Callable[..., Served], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    page = visit(serve().address).ready()
    page.listen()
    expect(page.page.locator("#label")).to_have_text("angry", timeout=60_000)


def test_the_microphone_goes_on_where_the_server_comes_back(serve: Callable[..., Served], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    served = serve()
    page = visit(served.address).ready()
    page.listen()
    served.stop()
    expect(page.page.locator("#health .bad").first).to_be_visible(timeout=20_000)
    serve(place=served.place)
    shown = page.page.locator("#live-segments li").first
    before = shown.text_content()
    deadline = time.monotonic() + 60
    while shown.text_content() == before and time.monotonic() < deadline:
        page.page.wait_for_timeout(200)
    assert shown.text_content() != before
    expect(page.page.locator("#health")).to_contain_text(re.compile(r"Reconnected[1-9]"))
    page.problems = [problem for problem in page.problems if "ERR_CONNECTION" not in problem]


def test_the_token_is_taken_out_of_the_pages_address_and_kept_by_its_tab(
    serve: Callable[..., Served], visit: OpenPage
) -> None:
    from playwright.sync_api import expect

    served = serve("--token", "0123456789abcdefg")
    page = visit(f"{served.address}?token=0123456789abcdefg&other=1").ready()
    assert page.page.url == f"{served.address}?other=1"
    page.page.reload()
    page.ready()
    assert page.classify(FILE) == Recognizer("small").predict(FILE).label
    page.listen()
    other = visit(served.address)
    expect(other.page.get_by_role("alert")).to_contain_text("token")
    other.problems = [problem for problem in other.problems if "401" not in problem]


def test_the_devices_microphone_is_shown(serve: Callable[..., Served], visit: OpenPage) -> None:
    """Its events are made up: this machine may have no microphone."""
    from playwright.sync_api import expect

    def has_microphone(route: Any) -> None:
        described = route.fetch().json()
        described["microphone"] = True
        described["model"]["labels"] = list(WINDOW["probabilities"])  # type: ignore[call-overload]
        route.fulfill(json=described)

    events = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in
                     (("health", HEALTH), ("prediction", WINDOW)))  # fmt: skip
    page = visit(serve().address).ready()
    page.page.route("**/v1/model", has_microphone)
    page.page.route(
        "**/v1/events", lambda route: route.fulfill(body=f"retry: 60000\n\n{events}", content_type="text/event-stream")
    )
    page.page.reload()
    page.ready()
    page.listen("#device")
    assert page.label() == "angry"
    expect(page.page.locator("#live-title")).to_have_text(re.compile("The device.s microphone"))
    assert page.page.locator("#live-segments li").count() == 1


def test_a_file_that_the_server_refuses_is_a_message(
    serve: Callable[..., Served], visit: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "text.wav"
    path.write_text("not a sound")
    page = visit(serve().address).ready()
    page.page.set_input_files("#file", path)
    page.page.get_by_role("alert").filter(has_text=re.compile(r"^text\.wav: ")).wait_for()
    page.problems = [problem for problem in page.problems if "415" not in problem and "422" not in problem]
