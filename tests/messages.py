"""Error codes in tests, and the one snapshot of messages' wording: tests/messages.txt.

A test asserts an error's class and code; the wording is compared with the snapshot. After changing a message on
purpose, `pytest --update-messages` adds the wording that the tests of this run saw. A run of all tests (`make
messages`) also removes what none of them saw.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser_edge.errors import SerEdgeError
from ser_edge.errors.codes import CODES

SNAPSHOT = Path(__file__).parent / "messages.txt"  # a line for each message: its code, a tab, its wording

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
_REQUIREMENTS = {
    line.partition(";")[0]
    for lines in (_PROJECT["dependencies"], *_PROJECT["optional-dependencies"].values())
    for line in lines
}

updating = False  # set by the option --update-messages
seen: set[str] = set()  # the snapshot's lines that tests of this process asserted
_known = set(SNAPSHOT.read_text("utf-8").splitlines()) if SNAPSHOT.exists() else set()
_codes = {line.partition("\t")[2]: line.partition("\t")[0] for line in _known}  # by wording


def template(message: str) -> str:
    """A message without what differs from run to run: paths, numbers, and reasons given by libraries."""
    message = re.sub(r"\(.*\w\.\.\.\)", "(...)", message)  # a reason that was cut short
    message = re.sub(r"\S*/\S*", "PATH", message)
    message = re.sub(r"[\w.-]+\.(wav|flac|mp3|ogg|opus|m4a|aiff?|au|caf|onnx|tflite|json|csv|txt)\b", "PATH", message)
    message = re.sub(r"\d+(\.\d+)?", "N", message)
    while (shorter := re.sub(r"\((?:[^()]|\(\.\.\.\))*\)", "(...)", message)) != message:  # the innermost first
        message = shorter
    return message


def check(error: SerEdgeError, code: str) -> None:
    """Asserts the code of an error, that it is documented, its wording, and that what it says to install is ours."""
    assert error.code == code
    _check(code, str(error))


@contextmanager
def raises(kind: type[SerEdgeError], code: str) -> Iterator[pytest.ExceptionInfo[SerEdgeError]]:
    """As `pytest.raises`, for an error of this class with this code."""
    with pytest.raises(kind) as caught:
        yield caught
    check(caught.value, code)


def codes_in(text: str) -> list[str]:
    """The codes of the messages that a command printed, in order; lines that are no error have none.

    What a command in a process of its own printed has a code if its wording is in the snapshot, or was printed in this
    process before.
    """
    found = []
    for line in text.splitlines():
        prefix, colon, message = line.partition(": ")
        ours = colon and prefix in ("ser-edge", "ser-train", "ser-export")
        if ours and (code := _codes.get(template(message))):
            _check(code, message)
            found.append(code)
    return found


def watch() -> None:
    """From now on, knows the code of each error that this process prints."""
    text = SerEdgeError.__str__

    def remember(self: SerEdgeError) -> str:
        _codes[template(text(self))] = self.code
        return text(self)

    SerEdgeError.__str__ = remember  # type: ignore[method-assign]


def save(complete: bool) -> list[str]:
    """Writes the snapshot; returns the lines that were removed.

    Args:
        complete: all tests ran, so the lines that none saw are removed.
    """
    removed = _known - seen if complete else set()
    SNAPSHOT.write_text("".join(f"{line}\n" for line in sorted((_known | seen) - removed)), "utf-8")
    return sorted(removed)


def _check(code: str, message: str) -> None:
    assert code in CODES
    for command in re.finditer(r"(\S+ -m )?pip3? install ([^;]*)", message):
        assert command[1], f"whose pip? {message}"
        assert sys.executable in message
        assert set(re.findall(r"[a-z][\w-]+[<>=]=[\w.,<>=]+", command[2])) <= _REQUIREMENTS, message
    wording = template(message)
    seen.add(f"{code}\t{wording}")
    stands = updating or f"{code}\t{wording}" in _known
    assert stands, f"not in {SNAPSHOT.name}: {wording!r}; if it is meant: pytest --update-messages"
