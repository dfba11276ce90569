"""The bar on a terminal, as the terminal shows it in the end."""

import io
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge.cli.app import main
from ser_edge.output.progress import Progress, log_line

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


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as standard error, on which a bar comes at once. Called in the test: pytest captures anew for it."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(Progress, "DELAY", 0)
    return terminal


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_bar_ends_with_all_files_on_a_line_of_its_own(
    jobs: int, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    for number in range(24):
        shutil.copy(sounds[number % len(sounds)], tmp_path / f"{number:02}.wav")
    (tmp_path / "12.wav").write_text("no sound")
    assert main(["--jobs", str(jobs), str(tmp_path)]) == 1
    broken, bar, model, summary, end = terminal.screen()
    assert broken.startswith(f"ser-edge: {tmp_path / '12.wav'}: ")
    assert bar.startswith("100 %|█")
    assert "█| 24/24 files [00:" in bar
    assert bar.endswith("<00:00]")
    assert model.startswith("model crnn: ")
    assert (summary, end) == ("ser-edge: 23 judged, 1 failed", "")


def test_a_long_file_moves_the_bar_and_counts_when_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    sound = 0.1 * np.random.default_rng(0).standard_normal(90 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "long.wav", sound, RATE)
    assert main(["--no-gate", "--timeline", str(tmp_path / "long.wav")]) == 0
    assert "1/1 files" in terminal.screen()[0]
    assert "| 0/1 files" in terminal.getvalue()


def test_parts_of_a_file_are_never_counted_as_files(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    progress = Progress(lambda: 2)
    progress._bar.mininterval = 0
    for done in (0.1, 0.5, 0.9):
        progress.within(done, 1.0)
    progress.next()
    progress.within(0.25, 1.0)
    log_line("a line between")
    progress.next()
    progress.close()
    counted = re.findall(r"\| (\S+ files) \[", terminal.getvalue())
    assert list(dict.fromkeys(counted)) == ["0/2 files", "1/2 files", "2/2 files"]
    assert terminal.screen()[0] == "a line between"
    assert terminal.screen()[-1] == ""


def test_what_is_done_in_a_moment_has_no_bar(sounds: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setattr(Progress, "DELAY", 1e9)
    assert main([str(sounds[0])]) == 0
    assert [line.partition(":")[0] for line in terminal.screen()] == ["model crnn", ""]


def test_a_terminal_that_was_closed_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    log_line("nobody reads this")
