"""Error codes in tests, and the one snapshot of messages' wording: tests/messages.txt.

A test asserts an error's class and code; the wording is compared with the snapshot. After changing a message on
purpose, `make messages` accepts it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.errors.codes import CODES

SNAPSHOT = Path(__file__).parent / "messages.txt"  # a line for each message: its code, a tab, its wording

_known: dict[str, set[str]] = defaultdict(set)
_seen: dict[str, set[str]] = defaultdict(set)
updating = False  # set by the option --update-messages

for _line in SNAPSHOT.read_text("utf-8").splitlines() if SNAPSHOT.exists() else []:
    _code, _, _text = _line.partition("\t")
    _known[_code].add(_text)


def template(message: str) -> str:
    """A message without what differs from run to run: paths, numbers, and reasons given by libraries."""
    message = re.sub(r"\S*/\S*", "PATH", message)
    message = re.sub(r"[\w.-]+\.(wav|flac|mp3|ogg|opus|m4a|aiff?|au|caf|onnx|tflite|json|csv|txt)\b", "PATH", message)
    message = re.sub(r"\d+(\.\d+)?", "N", message)
    return re.sub(r"\([^()]*\)", "(...)", message)


def check(error: SerEdgeError, code: str) -> None:
    """Asserts the code of an error, that it is documented, and its wording."""
    assert error.code == code
    assert code in CODES
    line = template(str(error))
    _seen[code].add(line)
    assert updating or line in _known[code], f"not in {SNAPSHOT.name}: {line!r}; if it is meant: make messages"


@contextmanager
def raises(kind: type[SerEdgeError], code: str) -> Iterator[pytest.ExceptionInfo[SerEdgeError]]:
    """As `pytest.raises`, for an error of this class with this code."""
    with pytest.raises(kind) as caught:
        yield caught
    check(caught.value, code)


def codes_in(text: str) -> list[str]:
    """The codes of the messages that a command printed, in order; lines that are no error have none."""
    found = []
    for line in text.splitlines():
        prefix, colon, message = line.partition(": ")
        if colon and prefix in ("ser-edge", "ser-train", "ser-export"):
            found += [code for code, lines in sorted({**_known, **_seen}.items()) if template(message) in lines]
    return found


def save() -> None:
    """Adds what the tests that just ran have seen to the snapshot."""
    lines = {f"{code}\t{text}" for group in (_known, _seen) for code, texts in group.items() for text in texts}
    SNAPSHOT.write_text("".join(f"{line}\n" for line in sorted(lines)), "utf-8")
