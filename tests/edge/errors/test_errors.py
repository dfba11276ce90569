"""The errors' page tells of every class, and of messages that exist."""

import re
from pathlib import Path

import pytest

from ser_edge import errors

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
SOURCE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "edge" / "ser_edge").rglob("*.py"))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_is_on_the_page_with_its_exit_code(kind: type[errors.SerEdgeError]) -> None:
    assert f"| {kind.exit_code} | `{kind.__name__}` |" in PAGE


def test_every_message_on_the_page_is_one_that_is_given() -> None:
    messages = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert len(messages) > 40
    assert [message for message in messages if message not in SOURCE] == []


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_message_is_one_line_that_moves_no_cursor(kind: type[errors.SerEdgeError]) -> None:
    assert str(kind("a\nb\x1b[2J\udcff.wav: größer")) == "a\\nb\\x1b[2J\\udcff.wav: größer"
