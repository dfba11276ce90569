"""The project's pages as programs: their blocks are run, and what they show is compared with what is printed.

    ```console        lines that begin with `$ ` are typed into bash; what follows a command is what it prints
    ```python         statements; `print(...)  # -> 85 %` shows what is printed
    <!-- not run: why -->    on the line before a block: it is left out

The Python blocks of a page run in order in one interpreter, which no other page shares, in a folder with `tests/sounds`
and `recordings`: an example may register a corpus or define a class, and the next block use it.

A command that is followed by nothing isn't compared, and a line of three dots stands for any lines. Standard error is
shown below the output for `ser-edge` alone: that of the others is their progress.
"""

import ast
import contextlib
import io
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_edge.models.tolerances import DYNAMIC, TOLERANCES
from tests.conftest import SOUNDS, make_recordings

__all__ = ["PAGES", "Block", "Shown", "blocks", "directory", "matches", "rewritten", "run", "typed"]

ROOT = Path(__file__).parents[2]
PAGES = [path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.exists()]
PAGES += sorted((ROOT / "docs").glob("*.md"))

# What another processor or runtime may change. Words, and numbers that aren't of these kinds, are exact.
PERCENT = 100 * TOLERANCES[".tflite", DYNAMIC].kernels  # points, of a number before " %"
DECIMAL = TOLERANCES[".tflite", DYNAMIC].kernels  # of a number with a point: a probability, or seconds
BAR = 1  # characters, of the ten of a bar

MADE = {"make run": "ser-edge tests/sounds"}  # what a target does once everything is installed; a test compares it

_BLOCK = re.compile(
    r"(?P<skipped><!-- not run: [^\n]+ -->\n+)?^```(?P<kind>console|python)\n(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]\d+)?)")
_BAR = re.compile(r"(?<= )(?=[#.]{10} )(#*)\.*")
_SHOWN = re.compile(r"  # -> (.*)$")
_END = "\x1e"  # between what two commands print

_namespace: dict[str, Any] = {"__name__": "page"}  # of the page's interpreter


@dataclass(frozen=True)
class Block:
    """A block that is run."""

    page: Path
    kind: str  # "console" or "python"
    content: str
    start: int  # of the content, in the page's text

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{self.page.name}, line {self.page.read_text('utf-8').count(chr(10), 0, self.start) + 1}"


@dataclass(frozen=True)
class Shown:
    """A command or a print, and what the page says that it prints."""

    command: str
    lines: tuple[str, ...]
    first: int  # line of the block's content where what is shown begins


def blocks(page: Path, skipped: bool = False) -> Iterator[Block]:
    """Those that are run; or those that aren't."""
    for match in _BLOCK.finditer(page.read_text("utf-8")):
        if bool(match["skipped"]) == skipped:
            yield Block(page, match["kind"], match["content"], match.start("content"))


def typed(content: str) -> list[Shown]:
    """The commands of a console block: what follows `$ `, and what follows a line that ends with a backslash."""
    found: list[Shown] = []
    goes_on = False
    for number, line in enumerate(content.splitlines(), start=1):
        if line.startswith("$ "):
            found.append(Shown(line.removeprefix("$ "), (), number))
        elif goes_on:
            found[-1] = Shown(f"{found[-1].command}\n{line}", (), number)
        elif found:
            last = found[-1]
            found[-1] = Shown(last.command, (*last.lines, line), last.first)
        goes_on = line.endswith("\\") and bool(found) and not found[-1].lines
    return found


@contextlib.contextmanager
def directory(folder: Path) -> Iterator[None]:
    """Where pages run: with the project's sounds, and a small made corpus of somebody's own."""
    shutil.copytree(SOUNDS, folder / "tests/sounds", ignore=shutil.ignore_patterns(".*"))
    make_recordings(folder / "recordings")
    with contextlib.chdir(folder):
        yield


def run(page: Path) -> Iterator[tuple[Block, list[tuple[Shown, list[str]]]]]:
    """Runs the page's blocks in the working directory; gives what each shows, and the lines printed in its place.

    Raises:
        AssertionError: a command fails. What Python code raises is passed on.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as interpreter:
        for block in blocks(page):
            if block.kind == "console":
                yield block, _console(block)
            else:
                yield block, interpreter.submit(_python, block).result()


def matches(shown: tuple[str, ...] | list[str], lines: list[str]) -> bool:
    """Whether the printed lines are those shown, but for what another processor may change."""
    if "..." in shown:
        place = shown.index("...")
        rest = list(shown[place + 1 :])
        return matches(shown[:place], lines[:place]) and any(
            matches(rest, lines[at:]) for at in range(place, len(lines) + 1)
        )
    return len(shown) == len(lines) and all(map(_matches, shown, lines))


def rewritten(page: Path) -> str:
    """The page's text with what its blocks print now. Runs in the working directory."""
    text = page.read_text("utf-8")
    for block, results in reversed(list(run(page))):
        lines = block.content.splitlines()
        for shown, now in reversed(results):
            if not shown.lines or "..." in shown.lines:
                continue
            if block.kind == "console":
                lines[shown.first : shown.first + len(shown.lines)] = now
            else:
                lines[shown.first] = _SHOWN.sub(lambda _, printed=now[0]: f"  # -> {printed}", lines[shown.first])
        content = "".join(f"{line}\n" for line in lines)
        text = text[: block.start] + content + text[block.start + len(block.content) :]
    return text


def _console(block: Block) -> list[tuple[Shown, list[str]]]:
    commands = typed(block.content)
    assert commands, f"{block.place}: no line begins with $"
    ends = "printf '\\036'; printf '\\036' >&2"
    script = "\n".join(f"{_run_as(shown.command)}\n{ends}" for shown in commands)
    script = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"  # what runs in the background
    programs = Path(sys.executable).parent  # of this environment
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, f"{block.place}:\n{script}\n{done.stdout}{done.stderr}"
    results = []
    for shown, out, err in zip(commands, done.stdout.split(_END), done.stderr.split(_END), strict=False):
        command = _run_as(shown.command)
        results.append((shown, [*out.splitlines(), *(err.splitlines() if command.startswith("ser-edge") else ())]))
    return results


def _run_as(command: str) -> str:
    """What is run for a command. The programs of `.venv`, which a reader's `make run` made, are on the path here."""
    return MADE.get(command.partition("  #")[0].rstrip(), command.removeprefix(".venv/bin/"))


def _python(block: Block) -> list[tuple[Shown, list[str]]]:
    """Runs in the page's interpreter."""
    lines, results = block.content.splitlines(), []
    for statement in ast.parse(block.content).body:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(ast.Module([statement], []), block.place, "exec"), _namespace)
        last = (statement.end_lineno or 0) - 1
        if match := _SHOWN.search(lines[last]):
            results.append((Shown(lines[last], (match[1],), last), out.getvalue().splitlines()))
    return results


def _matches(shown: str, printed: str) -> bool:
    """One line. Columns may move with their figures: so many spaces are as good as one."""
    bars = [list(map(len, _BAR.findall(line))) for line in (shown, printed)]
    if len(bars[0]) != len(bars[1]) or any(abs(a - b) > BAR for a, b in zip(*bars, strict=True)):
        return False
    parts = [_NUMBER.split(re.sub(r" +", " ", _BAR.sub("", line))) for line in (shown, printed)]
    if len(parts[0]) != len(parts[1]) or parts[0][::2] != parts[1][::2]:
        return False
    following = parts[0][2::2]
    return all(
        abs(float(a) - float(b)) <= (PERCENT if after.startswith(" %") else DECIMAL if "." in a + b else 0) + 1e-9
        for a, b, after in zip(parts[0][1::2], parts[1][1::2], following, strict=True)
    )
