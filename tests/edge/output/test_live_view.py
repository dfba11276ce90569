"""The live view, as a terminal displays it."""

import io
import os
import re
import sys
from typing import Any

import numpy as np
import pytest

from ser_edge.cli.app import main
from ser_edge.output.live_view import LiveView, Look, Picture, can_paint, render
from ser_edge.recognition.prediction import Prediction
from tests.edge.output.pictures import ASCII, LABELS, METADATA, PAST, SIXTY, STATUS, answer


def show(view: LiveView, prediction: Prediction, level: float, status: str) -> None:
    view.write(prediction)
    view.update(level, status)


class Terminal(io.StringIO):
    """Interprets what the view uses; any other code is an error."""

    def __init__(self, columns: int = 60, rows: int = 24, encoding: str | None = "utf-8"):
        super().__init__()
        self.columns, self.rows = columns, rows
        self.screen = ["$ ser-edge --mic"]
        self.at, self.cursor, self.scrolled, self.frames = (1, 0), True, 0, 0
        self.encoding_name = encoding

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return self.encoding_name

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99

    def write(self, text: str) -> int:
        self.frames += 1
        for code, plain in re.findall(r"(\x1b\[\??[\d;]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", text):
            row, column = self.at
            self.screen += [""] * (row + 1 - len(self.screen))
            if plain:
                self.screen[row] = (
                    self.screen[row][:column].ljust(column) + plain + self.screen[row][column + len(plain) :]
                )
                assert len(self.screen[row]) < self.columns
                self.at = row, column + len(plain)
            elif code == "\r":
                self.at = row, 0
            elif code == "\n":
                self.at = row + 1, 0
                if row + 1 >= self.rows:
                    self.scrolled += 1
                    self.screen, self.at = self.screen[1:], (row, 0)
            elif code == "\x1b[A":
                self.at = max(0, row - 1), column
            elif code in ("\x1b[K", "\x1b[J"):
                self.screen[row] = self.screen[row][:column]
                self.screen = self.screen[: row + 1] if code == "\x1b[J" else self.screen
            elif code == "\x1b[H":
                self.at = 0, 0
            elif code == "\x1b[2J":
                self.screen = []
            elif code in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor = code.endswith("h")
            else:
                assert code.endswith("m"), repr(code)
        return len(text)


def test_a_warning_is_not_painted_over(sounddevice: Any, card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal(columns=200)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    muted = sounddevice.plug(card("USB", channels=1, rate=16_000))
    muted.on_start = lambda: muted.record(np.zeros(16_000, np.float32))
    assert main(["--mic", "--model", "small", "--duration", "0.5"]) == 0
    (row,) = (row for row, line in enumerate(terminal.screen) if line.startswith("ser-edge: microphone: silent"))
    assert terminal.screen[row - 1].startswith("  USB  16 kHz")  # the last line of the picture
    assert terminal.screen[row + 1].startswith("ser-edge: 0.5 s of audio")
    assert terminal.cursor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; in an environment without colour and another terminal."""
    now = [100.0]
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    return now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((terminal.columns, terminal.rows)))
    return terminal


def history(lines: list[str]) -> str:
    return next(line.removeprefix("  history").strip() for line in lines if line.startswith("  history"))


def test_pictures_are_painted_over_each_other(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for second, label in enumerate(PAST[:-1]):
        show(view, answer(label, end=3 + second), -20.0, "a longer status than the one that follows")
        clock[0] += 1
    show(view, answer(), -30.0, STATUS)
    assert terminal.screen == ["$ ser-edge --mic", *SIXTY.splitlines()]
    assert (terminal.scrolled, terminal.cursor) == (0, False)


def test_closing_leaves_the_last_picture_and_a_visible_cursor_below_it(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    view.update(-50.0, STATUS)
    for second, label in enumerate(PAST[:-1]):
        show(view, answer(label, end=3 + second), -50.0, STATUS)
    show(view, answer(), -30.0, STATUS)  # all too soon to be painted
    view.close()
    terminal.write("summary")
    assert terminal.screen == ["$ ser-edge --mic", *SIXTY.splitlines(), "summary"]
    assert terminal.cursor
    view.close()
    assert terminal.at == (16, 7)


def test_closing_an_empty_view_prints_nothing(terminal: Terminal) -> None:
    LiveView(terminal, METADATA).close()
    assert terminal.frames == 0


def test_it_paints_ten_pictures_a_second_at_most_and_misses_no_window(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for block in range(100):
        if block % 10 == 0:
            view.write(answer("sad", end=block))
        view.update(-20.0, STATUS)
        clock[0] += 0.02
    assert 15 <= terminal.frames <= 20
    assert history(terminal.screen) == "s" * 10


def test_the_history_shows_the_newest_windows(clock: list[float], terminal: Terminal) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for count in range(300):
        show(view, answer("sad" if count == 299 else "happy", end=count), -20.0, STATUS)
        clock[0] += 1
    assert history(terminal.screen) == "h" * 37 + "s"


@pytest.mark.parametrize(("columns", "rows"), [(120, 24), (40, 24), (60, 12), (60, 3), (9, 1)])
def test_a_terminal_of_another_size_is_painted_anew(
    columns: int, rows: int, clock: list[float], terminal: Terminal
) -> None:
    view = LiveView(terminal, METADATA, lambda: clock[0])
    show(view, answer(), -30.0, STATUS)
    terminal.columns, terminal.rows = columns, rows
    for _ in range(3):
        clock[0] += 1
        view.update(-30.0, STATUS)
    lines = render(Picture(LABELS, answer(), ("happy",), -30.0, STATUS), Look(columns - 1, blocks=True))
    fitting = lines if rows >= len(lines) else [line for line in lines if line][:rows]
    assert terminal.screen == fitting
    assert terminal.scrolled == 0


def test_the_smallest_terminal(clock: list[float], terminal: Terminal) -> None:
    terminal.columns = terminal.rows = 1
    terminal.screen, terminal.at = [], (0, 0)
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for _ in range(3):
        show(view, answer(), -30.0, STATUS)
        clock[0] += 1
    assert (terminal.scrolled, terminal.cursor) == (0, False)
    view.close()
    assert terminal.cursor


def test_a_low_terminal_omits_blank_lines_first(clock: list[float], terminal: Terminal) -> None:
    terminal.rows = 13
    show(LiveView(terminal, METADATA), answer(), -30.0, STATUS)
    assert terminal.screen[-1].startswith("  USB Mic")
    assert "" not in terminal.screen


@pytest.mark.parametrize(
    ("encoding", "term"), [("ascii", "xterm"), ("cp437", "xterm"), (None, "xterm"), ("utf-8", "linux")]
)
def test_ascii_without_block_characters(
    encoding: str | None, term: str, clock: list[float], terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    terminal.encoding_name = encoding
    view = LiveView(terminal, METADATA, lambda: clock[0])
    for second, label in enumerate(PAST):
        show(view, answer(label, end=77.5 + second), -30.0, STATUS)
    view.close()
    assert "\n".join(terminal.screen[1:]) == ASCII


def test_no_color_means_no_colour(clock: list[float], terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = []
    for value in ("1", ""):  # empty is as if it weren't set
        monkeypatch.setenv("NO_COLOR", value)
        out = io.StringIO()
        show(LiveView(out, METADATA), answer(), -30.0, STATUS)
        styles.append(len(re.findall("\x1b\\[[0-9;]*m", out.getvalue())))
    assert styles[0] == 0 < styles[1]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "linux"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({}, False),
        ({"WT_SESSION": "8e2f"}, True),
    ],
)
def test_only_terminals_that_repaint_have_a_live_view(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert can_paint(Terminal()) == expected
    assert not can_paint(io.StringIO())
