"""README.md and the pages of docs/ do what they say, and print what they show: see `pages`."""

import contextlib
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import MADE, PAGES, ROOT, blocks, directory, matches, rewritten, run, typed

SLOW = {"CONTRIBUTING.md", "own-data.md"}  # they train


def marked(page: Path) -> Any:
    return pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])


def taken_ports(page: Path) -> list[str]:
    """Ports of this machine that the page's commands use, and another program has."""
    named = {port for block in blocks(page) for port in re.findall(r"127\.0\.0\.1:(\d+)", block.content)}
    with contextlib.ExitStack() as stack:
        probes = {port: stack.enter_context(socket.socket()) for port in sorted(named)}
        return [port for port, probe in probes.items() if probe.connect_ex(("127.0.0.1", int(port))) == 0]


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_a_page_does_what_it_says_and_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    if ports := taken_ports(page):
        pytest.skip(f"another program has port {', '.join(ports)}")
    with directory(tmp_path):
        for block, results in run(page):
            for shown, lines in results:
                message = "\n".join([f"{block.place}: {shown.command}", "shown:", *shown.lines, "printed:", *lines])
                assert not shown.lines or matches(shown.lines, lines), f"{message}\nmake docs rewrites it"


def test_a_target_that_a_page_shows_does_what_is_run_instead() -> None:
    recipes = (ROOT / "Makefile").read_text("utf-8")
    for target, command in MADE.items():
        assert re.search(rf"^{target.removeprefix('make ')}: .*\n\t\$\(BIN\)/{re.escape(command)}$", recipes, re.M)


def test_commands_are_what_follows_a_prompt_and_backslashes_go_on() -> None:
    found = typed("$ one \\\n    --more\nprinted\n$ two  # why\nprinted \\\nso\n$ three\n")
    assert [(shown.command, shown.lines, shown.first) for shown in found] == [
        ("one \\\n    --more", ("printed",), 2),
        ("two  # why", ("printed \\", "so"), 4),
        ("three", (), 7),
    ]


LINE = "angry        85 %  #########.  then neutral      4 %  plain.wav"


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        (LINE, True),
        ("angry        84 %  ########..  then neutral      5 %  plain.wav", True),
        ("angry       100 %  #########.  then neutral      4 %  plain.wav", False),
        ("angry        85 %  #######...  then neutral      4 %  plain.wav", False),
        ("happy        85 %  #########.  then neutral      4 %  plain.wav", False),
        ("angry        85 %  #########.  then neutral      4 %  other.wav", False),
        ("angry        85%  #########.  then neutral      4 %  plain.wav", False),
    ],
)
def test_figures_may_differ_a_little_and_words_may_not(printed: str, same: bool) -> None:
    assert matches([LINE], [printed]) == same


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ('{"end": 1.998, "sad": 0.829}', '{"end": 1.998, "sad": 0.8118}', True),
        ('{"end": 1.998, "sad": 0.829}', '{"end": 1.998, "sad": 0.75}', False),
        ("5 folds, UAR 67.7", "5 folds, UAR 67.69", True),
        ("5 folds, UAR 67.7", "6 folds, UAR 67.7", False),
        ("crnn-int8.onnx", "crnn-int4.onnx", False),
    ],
)
def test_decimals_have_a_tolerance_and_whole_numbers_are_exact(shown: str, printed: str, same: bool) -> None:
    assert matches([shown], [printed]) == same


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a", "..."], ["a", "b", "c"], True),
        (["a", "...", "c"], ["a", "b", "b", "c"], True),
        (["...", "c"], ["c"], True),
        (["a", "...", "d"], ["a", "b", "c"], False),
        (["a"], ["a", "b"], False),
        (["a", "b"], ["a"], False),
    ],
)
def test_three_dots_stand_for_any_lines(shown: list[str], printed: list[str], same: bool) -> None:
    assert matches(shown, printed) == same


PAGE = """\
# {0}

```console
$ seq 2
{1}$ true
$ echo \\
    four
{2}$ seq 9
1
...
```

<!-- not run: no such program -->
```console
$ nothing
5
```

```python
x = 6
print(x + 1)  # -> {3}
print(x)  # why
```
"""


def test_a_page_is_rewritten_with_what_is_printed_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(PAGE.format("old", "old\n", "old\nold\n", "old"), "utf-8")
    assert rewritten(page) == PAGE.format("old", "1\n2\n", "four\n", "7")
    page.write_text(rewritten(page), "utf-8")
    assert rewritten(page) == page.read_text("utf-8")
