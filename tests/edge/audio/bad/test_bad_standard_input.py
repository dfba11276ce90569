"""Bad bytes and raw samples on standard input: one line with the error, whatever is wrong."""

import errno
import io
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import messages
from tests.edge.audio.bad.bad_files import FLAC, HUM, MP3, PCM, PIPED_FLAC, WAV_RATE, WAV_SIZE, encoded, header

pytestmark = pytest.mark.usefixtures("nothing_is_left")
RAW = ("--rate", "16000")

# name: standard input, options, code; None: it is classified
STDIN: dict[str, tuple[bytes, tuple[str, ...], str | None]] = {
    "nothing": (b"", (), "audio-empty"),
    "one byte": (b"R", (), "audio-unknown-format"),
    "text": (b"hello, this is text\n" * 9, (), "audio-unknown-format"),
    "text like a WAV": (b"RIFF is how it begins, and no more", (), "audio-unknown-format"),
    "rate of 1 Hz": (header(WAV_RATE, 1), (), "audio-sample-rate"),
    "rate of 2 GHz": (header(WAV_RATE, 2**31 - 1), (), "audio-sample-rate"),
    "damaged MP3": (encoded(file="MP3")[:600] + bytes(9_000), (), "audio-unknown-format"),
    "half a header": (encoded()[:30], (), "audio-damaged"),
    "FLAC from a pipe": (PIPED_FLAC, (), None),
    "two MP3s": (MP3 + MP3, (), None),
    "size of 0": (header(WAV_SIZE, 0), (), None),
    "NaN": (encoded(np.where(HUM > 0.4, np.nan, HUM), subtype="FLOAT"), (), None),
    "half a frame": (PCM[:-1], (*RAW, "--channels", "2"), None),
    "less than a frame": (PCM[:3], (*RAW, "--channels", "1024"), "audio-empty"),
    "no samples, raw": (b"", RAW, "audio-empty"),
    "no samples, WAV": (encoded(HUM[:0]), (), "audio-empty"),
    "floats that are none": (b"\xff" * 64_000, (*RAW, "--sample-format", "f64"), None),
    "raw at 1 Hz": (PCM, ("--rate", "1"), "audio-sample-rate"),
}


def standard_input(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize("name", STDIN)
def test_bad_bytes_have_a_code(name: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content, arguments, code = STDIN[name]
    standard_input(content, monkeypatch)
    exit_code, answered, (*warnings, line) = command("--no-gate", *arguments, "-")
    assert [" silent, " in warning for warning in warnings] == [True] * (name == "floats that are none")
    if code is None:
        assert exit_code == 0
        assert set(answered) <= {"-"}
        assert messages.codes_in(line) == []  # it is the summary
    else:
        assert (exit_code, answered) == (1, [])
        assert messages.codes_in(line) == [code]


def test_samples_without_a_header_or_their_rate_are_told_the_option(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard_input(PCM, monkeypatch)
    exit_code, answered, (line,) = command("--no-gate", "-")
    assert (exit_code, answered, messages.codes_in(line)) == (1, [], ["audio-unknown-format"])
    assert line.endswith("; samples without a header need --rate")


@pytest.mark.parametrize("arguments", [(), RAW])
def test_a_standard_input_that_breaks_has_a_code(
    arguments: tuple[str, ...], command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=fail, read1=fail)))
    exit_code, answered, (line,) = command("--no-gate", *arguments, "-")
    assert (exit_code, answered, messages.codes_in(line)) == (1, [], ["audio-unreadable"])


def test_the_rest_of_a_standard_input_is_classified_with_a_warning(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (encoded()[:16_044], FLAC[:9_000]):
        standard_input(content, monkeypatch)
        exit_code, answered, (warning, _) = command("--no-gate", "-")
        assert (exit_code, set(answered)) == (0, {"-"})
        assert warning.startswith("ser-edge: -: truncated or damaged: 0.")
        assert " of 1.00 s " in warning


def test_no_room_for_a_copy_has_a_code(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "w+b"))
    standard_input(b"not a format for streams" * 9, monkeypatch)
    exit_code, answered, (line,) = command("-")
    assert (exit_code, answered, messages.codes_in(line)) == (1, [], ["audio-disk-full"])


def test_no_folder_for_a_copy_has_a_code(command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    standard_input(b"not a format for streams" * 9, monkeypatch)
    exit_code, answered, (line,) = command("-")
    assert (exit_code, answered, messages.codes_in(line)) == (1, [], ["audio-disk-full"])
