"""The progress bar, as a terminal shows it in the end, and lines beside it."""

import ctypes
import io
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge.cli.app import main
from ser_edge.errors.native_stderr import STDERR_LOCK, keep_freed_memory, suppress_native_stderr
from ser_edge.output import progress
from ser_edge.output.progress import advance_within_file, finish_file, log_line, progress_bar

RATE = 16_000


class Terminal(io.StringIO):
    """Carriage returns go back to the beginning of a line, and what follows is written over it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines, column = [""], 0
        for letter in self.getvalue():
            if letter == "\r":
                column = 0
            elif letter == "\n":
                lines, column = [*lines, ""], 0
            else:
                lines[-1] = lines[-1][:column].ljust(column) + letter + lines[-1][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]


def attach(monkeypatch: pytest.MonkeyPatch, delay: float = 0) -> Terminal:
    """A terminal as standard error. Called in the test, as pytest replaces standard error before it."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "DELAY", delay)
    return terminal


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_bar_ends_with_all_files_on_a_line_of_its_own(
    jobs: int, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = attach(monkeypatch)
    for number in range(24):
        shutil.copy(sounds[number % len(sounds)], tmp_path / f"{number:02}.wav")
    (tmp_path / "12.wav").write_text("no sound")
    assert main(["--model", "small", "--jobs", str(jobs), str(tmp_path)]) == 1
    broken, bar, model, summary, end = terminal.screen()
    assert broken.startswith(f"ser-edge: {tmp_path / '12.wav'}: ")
    assert bar.startswith("100 %|█")
    assert "█| of 24 files [00:" in bar
    assert bar.endswith("<00:00]")
    assert model.startswith("model crnn: ")
    assert (summary, end) == ("ser-edge: 23 classified, 1 failed", "")


def test_the_bar_has_the_files_that_are_left(
    sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = attach(monkeypatch)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)  # which predictions don't go to
    for number in range(6):
        shutil.copy(sounds[0], tmp_path / f"{number}.wav")
    out = tmp_path / "out"
    for name in ("1.json", "4.json"):
        out.mkdir(exist_ok=True)
        (out / name).touch()
    assert main(["--model", "small", "--output-dir", str(out), str(tmp_path)]) == 0
    bar, summary, end = terminal.screen()
    assert "█| of 4 files [00:" in bar
    assert summary.startswith("ser-edge: 4 classified, 2 skipped")
    assert end == ""


def test_a_long_file_moves_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    noise = 0.1 * np.random.default_rng(0).standard_normal(90 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", noise, RATE)
    assert main(["--no-gate", "--timeline", str(tmp_path / "long.wav")]) == 0
    assert terminal.screen()[0].startswith("100 %")
    assert re.search(r"\b[1-9]\d? %", terminal.getvalue())


def test_parts_of_files_add_up_and_lines_stand_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with progress_bar(2) as bar:
        for seconds in (1, 5, 10, 11):  # a header may state too few
            advance_within_file(bar, seconds, 10)
            assert bar.n < 1
        finish_file(bar)
        advance_within_file(bar, 3, 0)  # of unknown length
        assert bar.n == 1
        log_line("a line between")
        advance_within_file(bar, 1, 3)
        finish_file(bar)
    line, last, end = terminal.screen()
    assert (line, end) == ("a line between", "")
    assert last.startswith("100 %")


def test_short_work_shows_no_bar(sounds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch, delay=1e9)
    assert main(["--model", "small", str(sounds[0])]) == 0
    assert [line.partition(":")[0] for line in terminal.screen()] == ["model crnn", ""]


def test_a_closed_terminal_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Closed())
    log_line("nobody reads this")


def test_lines_are_printed_while_threads_suppress_native_messages(capfd: pytest.CaptureFixture[str]) -> None:
    def suppress() -> None:
        for _ in range(50):
            with suppress_native_stderr():
                os.write(2, b"native message\n")

    threads = [threading.Thread(target=suppress) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        log_line(f"line {number}")
        time.sleep(0.0005)
    for thread in threads:
        thread.join()
    with STDERR_LOCK:
        os.write(2, b"end\n")
    assert capfd.readouterr().err.splitlines() == [*(f"line {number}" for number in range(50)), "end"]


def test_other_c_libraries_than_glibc_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
