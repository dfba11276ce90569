"""Errors are one line, whatever a file name holds."""

import pytest

from ser_edge import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_message_is_one_line_that_moves_no_cursor(kind: type[errors.SerEdgeError]) -> None:
    assert str(kind("a\nb\x1b[2J\udcff.wav: größer")) == "a\\nb\\x1b[2J\\udcff.wav: größer"
