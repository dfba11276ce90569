"""The pages of docs/ do what they say: each page's commands and Python run, in order, in one fresh directory.

    ```console        lines that begin with `$ ` run in bash, as one script a block; other lines are output, for people
    ```python         runs in one namespace a page
    <!-- not run: why -->    on the line before a block: it is left out

The directory holds the project's sounds (tests/sounds), and a small made corpus of somebody's own (recordings).
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SOUNDS, make_recordings

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
BLOCK = re.compile(
    r"(?P<skipped><!-- not run: [^\n]+ -->\n+)?^```(?P<kind>console|python)\n(?P<content>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """(kind, content, line of its beginning) of each block that is to be run."""
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        if not match["skipped"]:
            yield match["kind"], match["content"], text.count("\n", 0, match.start("content"))


def script(console: str) -> str:
    """What a reader types: what follows `$ `, and what follows a line that ends with a backslash."""
    typed: list[str] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            typed.append(line.removeprefix("$ "))
        elif typed and typed[-1].endswith("\\"):
            typed.append(line)
    return "\n".join(typed)


def test_commands_are_what_follows_a_prompt_and_backslashes_go_on() -> None:
    assert script("$ one \\\n    --more\nprinted\n$ two  # why\nprinted \\\nso\n") == "one \\\n    --more\ntwo  # why"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SOUNDS, tmp_path / "tests/sounds")
    make_recordings(tmp_path / "recordings")
    monkeypatch.chdir(tmp_path)
    programs = Path(sys.executable).parent  # of this environment
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    namespace: dict[str, Any] = {"__name__": page.stem}
    for kind, content, line in blocks(page):
        place = f"{page.name}, line {line}"
        if kind == "python":
            exec(compile(content, place, "exec"), namespace)
            continue
        commands = script(content)
        assert commands, f"{place}: no line begins with $"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", commands], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{place}:\n{commands}\n{done.stdout}{done.stderr}"
