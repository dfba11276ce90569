"""What the values of options must be: each function turns a text into one, or says what it must be.

The command line is parsed before anything heavy is imported, so that `--help` is quick. The tables of other modules
that it offers are therefore repeated here; a test compares them.
"""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ser_edge.output.mqtt import Broker

Number = TypeVar("Number", int, float)
FORMATS = ("text", "json", "csv", "srt", "vtt", "audacity")  # writers.WRITERS
MAX_COUNT = 1024  # threads, jobs or channels; loader.MAX_THREADS
ADDRESS = ("127.0.0.1", 8765)  # of a server
_MIN_TOKEN = 16  # characters


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    value = number(text, int)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def broker(url: str) -> "Broker":
    """An MQTT broker's URL."""
    from ser_edge.output.mqtt import Broker

    try:
        return Broker.of(url)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST or PORT; an IPv6 address is in brackets."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    from ser_edge.audio.formats import AUDIO_SUFFIXES

    try:
        parts = urlsplit(f"//:{text}" if text.isdecimal() else f"//{text}")
        host, port = parts.hostname or ADDRESS[0], ADDRESS[1] if parts.port is None else parts.port
        if parts.path or parts.query or parts.fragment or "@" in text or text != text.strip():
            raise ValueError
        if not re.fullmatch(r"([a-z0-9_-]+\.)*[a-z][a-z0-9_-]*", host) or Path(text).suffix.lower() in AUDIO_SUFFIXES:
            ip_address(host)
    except ValueError as e:
        problem = f"must be an address like {ADDRESS[0]}:{ADDRESS[1]}, not {text!a}; clients send their files there"
        raise argparse.ArgumentTypeError(problem) from e
    return host, port


def origin(text: str) -> str:
    """The scheme, host and port of a page."""
    if not re.fullmatch(r"https?://[^\s/?#@]+", text):
        raise argparse.ArgumentTypeError(f"must be like https://example.org, not {text!a}")
    text = text.lower()
    return text.removesuffix(":443" if text.startswith("https") else ":80")  # which browsers leave out


def host_name(text: str) -> str:
    """The name of a server."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise argparse.ArgumentTypeError(f"must be a name like example.org, not {text!a}")
    return text.lower()


def token(text: str) -> str:
    """A secret that can't be guessed."""
    if len(text) < _MIN_TOKEN or not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", text):
        command = "python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        problem = f"must be {_MIN_TOKEN} or more letters, digits and . _ ~ + / = -; make one with: {command}"
        raise argparse.ArgumentTypeError(problem)
    return text


def prefix(text: str) -> str:
    """A path below which a proxy serves something."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", text):
        raise argparse.ArgumentTypeError(f"must be like /emotions, not {text!a}")
    return text.rstrip("/")


def count(text: str) -> int:
    """A whole number of 1 to 1024."""
    value = positive(text)
    if value > MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be {MAX_COUNT} or less")
    return value


def formats(text: str) -> tuple[str, ...]:
    """Formats with commas between them, each once."""
    given = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not set(given) <= set(FORMATS):
        raise argparse.ArgumentTypeError(
            f"must be one or more of {', '.join(FORMATS)}, with commas between them, not {text!a}"
        )
    return given


def interval(text: str) -> float:
    """A number of 0 or more."""
    value = number(text, float)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value


def names(text: str) -> tuple[str, ...]:
    """Labels with commas between them; one that has a comma itself is in double quotes."""
    given = _between_commas(text)
    if not all(given):
        raise argparse.ArgumentTypeError(f"must be labels with commas between them, like happy,sad, not {text!a}")
    return given


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of labels, like calm=neutral; one that has a comma is in double quotes."""
    given = [tuple(name.strip() for name in pair.split("=")) for pair in _between_commas(text)]
    if not all(len(pair) == 2 and all(pair) for pair in given):
        raise argparse.ArgumentTypeError(f"must be pairs of labels, like calm=neutral,sad=negative, not {text!a}")
    return tuple((label, name) for label, name in given)


def _between_commas(text: str) -> tuple[str, ...]:
    """The fields of a line of CSV, without the spaces around them.

    >>> _between_commas('happy, "sad, or tired"')
    ('happy', 'sad, or tired')
    """
    import csv  # seldom needed

    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except csv.Error:  # a quote without its end
        row = []
    return tuple(field.strip() for field in row or [""])


def ratio(text: str) -> float:
    """A number from 0 to 1."""
    value = number(text, float)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be 0 to 1")
    return value


def seconds(text: str) -> float:
    """A number above 0."""
    value = number(text, float)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def number(text: str, kind: type[Number]) -> Number:
    """A number, whole for `int`."""
    try:
        return kind(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"must be a {'whole ' * (kind is int)}number, not {text!a}") from e
