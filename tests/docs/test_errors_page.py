"""docs/errors.md has every exception class with its exit code, and every error code with what to do."""

import re

import pytest

from ser_edge import errors
from tests.docs.codes import PAGE, with_codes

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_is_on_the_page_with_its_exit_code(kind: type[errors.SerEdgeError]) -> None:
    assert f"| {kind.exit_code} | `{kind.__name__}` |" in PAGE.read_text("utf-8")


def test_every_code_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    assert with_codes(text) == text, "make docs rewrites it"


def test_every_code_has_a_remedy() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \| [^|]* \| +\|$", PAGE.read_text("utf-8"), re.MULTILINE) == []
