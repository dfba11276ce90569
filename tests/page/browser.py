"""The page in Chromium, as a visitor has it."""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, expect

from ser_edge import Prediction
from ser_edge.models.metadata import ModelMetadata
from ser_edge.output.writers import WRITERS

__all__ = ["OpenPage", "Visit", "predictions_of", "written"]

LOADED = 60_000  # ms; a busy machine compiles WebAssembly slowly
ANSWERED = 120_000


@dataclass
class Visit:
    """A page that is open, and what went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # addresses

    @classmethod
    def open(cls, page: Page, address: str) -> "Visit":
        """Opens the page; `ready` waits for its engine."""
        visit = cls(page)
        page.on("pageerror", lambda error: visit.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and visit.problems.append(message.text))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.goto(address)
        return visit

    def ready(self) -> "Visit":
        """Waits until it can be used."""
        expect(self.page.locator("#moment")).to_have_text("Ready", timeout=LOADED)
        return self

    def classify(self, path: Path) -> str:
        """Chooses a file; returns the label of the whole recording."""
        self.page.set_input_files("#file", path)
        expect(self.page.locator("#recording-title")).to_have_text(path.name, timeout=ANSWERED)
        expect(self.page.locator("#moment")).to_have_text("The whole recording", timeout=ANSWERED)
        return self.label()

    def label(self) -> str:
        """The label in large letters."""
        return (self.page.text_content("#label") or "").replace("no speech", "no-speech")

    def bars(self) -> dict[str, int]:
        """The percentage of each bar."""
        rows = self.page.locator("#bars li").all_inner_texts()
        return {name: int(number) for name, number in (re.findall(r"(\S+)\s+(\d+) %", row)[0] for row in rows)}

    def listen(self, button: str = "#microphone") -> None:
        """Starts a microphone, and waits for its first answer."""
        self.page.click(button)
        expect(self.page.locator("#moment")).to_have_text("Now", timeout=ANSWERED)

    def save(self, name: str) -> str:
        """Presses a button that saves the timeline; returns the file's text."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=name, exact=True).click()
        return download.value.path().read_text("utf-8")


OpenPage = Callable[..., Visit]


def predictions_of(text: str) -> list[Prediction]:
    """What was saved as JSON lines."""
    return [Prediction(**json.loads(line)) for line in text.splitlines()]


def written(writer: str, metadata: ModelMetadata, predictions: Iterable[Prediction]) -> str:
    """What the command prints for a timeline."""
    out = io.StringIO()
    command = WRITERS[writer](out, metadata, True)
    for prediction in predictions:
        command.write(prediction)
    command.close()
    return out.getvalue()
