"""Damaged, cut and mislabelled files: one line with the error for each, and the good files beside them are classified.

For all of them: no traceback, no invented prediction, nothing left behind.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import Recognizer
from ser_edge.cli.app import main
from ser_edge.errors.user_warnings import capture_warnings
from tests import messages
from tests.edge.audio.bad.bad_files import (
    FLAC,
    FORMAT,
    HUM,
    MP3,
    PCM,
    PIPED_FLAC,
    RATE,
    WAV_BITS,
    WAV_CHANNELS,
    WAV_FRAME,
    WAV_RATE,
    WAV_SIZE,
    chunk,
    encoded,
    header,
    made,
    patched,
    riff,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left")

# name: content, code
SOUNDS: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "audio-placeholder"),
    "web page": (b"<!DOCTYPE html><html>not found</html>", "audio-placeholder"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "audio-placeholder"),
    "header only": (encoded()[:44], "audio-empty"),
    "text": (b"RIFF is what this text begins with", "audio-unknown-format"),
    "zeros": (bytes(9999), "audio-unknown-format"),
    "half a header": (encoded()[:30], "audio-damaged"),
    "truncated OGG": (encoded(file="OGG")[:4_000], "audio-empty"),
    "damaged OGG": (patched(encoded(file="OGG"), 200, bytes(3_500)), "audio-damaged"),
    "damaged MP3": (b"ID3" + encoded(file="MP3")[:40], "audio-unknown-format"),
    "no samples": (encoded([]), "audio-empty"),
    "NaN": (encoded(np.where(HUM > 0.4, np.nan, HUM), subtype="FLOAT"), "audio-not-finite"),
    "infinity": (encoded(np.where(HUM > 0.4, np.inf, HUM), subtype="FLOAT"), "audio-not-finite"),
    "beyond float32's squares": (encoded(HUM * 1e30, subtype="FLOAT"), "audio-not-finite"),
    "two infinities": (encoded(np.outer(HUM, [1e300, -1e300]), subtype="DOUBLE"), "audio-not-finite"),
    "rate of 0": (header(WAV_RATE, 0), "audio-damaged"),
    "rate of 1 Hz": (header(WAV_RATE, 1), "audio-sample-rate"),
    "rate of 2 GHz": (header(WAV_RATE, 2**31 - 1), "audio-sample-rate"),
    "no channels": (header(WAV_CHANNELS, 0, 2), "audio-damaged"),
    "65535 channels": (header(WAV_CHANNELS, 65_535, 2), "audio-damaged"),
    "samples of 0 bits": (header(WAV_BITS, 0, 2), "audio-damaged"),
    "RIFF without data": (riff(chunk(b"fmt ", FORMAT)), "audio-damaged"),
    "RIFF of an unknown codec": (
        riff(chunk(b"fmt ", b"\x77\x77" + FORMAT[2:]), chunk(b"data", PCM)),
        "audio-damaged",
    ),
    "RIFF with a chunk beyond its end": (
        riff(chunk(b"fmt ", FORMAT), chunk(b"LIST", b"", 2**31)),
        "audio-damaged",
    ),
}

# name: content, of which a part is decoded; the seconds of the warning
PARTS: dict[str, tuple[bytes, str]] = {
    "truncated": (encoded()[:16_044], "0.50 s of 1.00 s"),
    "truncated AIFF": (encoded(file="AIFF")[:16_000], "0.50 s of 1.00 s"),
    "truncated AU": (encoded(file="AU")[:16_000], "0.50 s of 1.00 s"),
    "truncated W64": (encoded(file="W64")[:16_000], "0.50 s of 1.00 s"),
    "truncated FLAC": (FLAC[:9_000], "0.77 s of 1.00 s"),
    "damaged FLAC": (FLAC[:5_600] + bytes(900) + FLAC[6_500:], "s of 1.00 s"),
    "declared 2 GB": (header(WAV_SIZE, 0x7FFF_0000), "1.00 s of 67106.82 s"),
    "FLAC that declares 19 hours": (patched(FLAC, 22, b"\xff" * 4), "1.00 s of "),
    "MP3 with a hole": (MP3[:2000] + bytes(900) + MP3[2900:], "s of 1.0"),
}

# name: a sound without speech, whether a warning calls it silent
QUIET: dict[str, tuple[bytes, bool]] = {
    "silence": (encoded(np.zeros(RATE)), True),
    "a converter's noise": (encoded(HUM / 10_000, subtype="FLOAT"), True),
    "one sample at 48 kHz": (encoded([0.5], 48_000), True),
    "a hum": (encoded(), False),
}

# name: what looks bad and isn't
FINE: dict[str, bytes] = {
    "8 bits": encoded(subtype="PCM_U8"),
    "96 kHz": encoded(np.repeat(HUM, 6), 96_000),
    "stereo": encoded(np.stack([HUM, HUM / 2], axis=1)),
    "7 channels": encoded(np.tile(HUM[:, None], 7)),
    "clipped": encoded(HUM * 9),
    "frames of 0 bytes": header(WAV_FRAME, 0, 2),
    "a size that a pipe doesn't know": header(WAV_SIZE, 0xFFFF_FFFF),
    "odd chunks": riff(
        chunk(b"JUNK", bytes(28)), chunk(b"fmt ", FORMAT), chunk(b"LIST", b"odd") + b"\0", chunk(b"data", PCM)
    ),
    "bytes after the end": encoded() + b"and more",
    "MP3 without an index": MP3[MP3.index(MP3[:2], 40) :],
    "two MP3s": MP3 + MP3,
    "two OGGs": encoded(file="OGG") + encoded(file="OGG"),
    "two WAVs": encoded() + encoded(),
    "FLAC from a pipe": PIPED_FLAC,
    "size of 0": header(WAV_SIZE, 0),
    "size too small": header(WAV_SIZE, 999),
    "24 bytes short": encoded()[:-24],
    "FLAC called as samples are": FLAC,
    "RIFF with data before its format": riff(chunk(b"data", PCM), chunk(b"fmt ", FORMAT)),  # FFmpeg decodes it
}


def without_permissions(path: str) -> str:
    Path(path).chmod(0)
    return path


# name: makes it in a folder and returns the argument; code
PATHS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (lambda folder: "missing.wav", "audio-not-found"),
    "name too long": (lambda folder: "a" * 300 + ".wav", "audio-unreadable"),
    "below a file": (lambda folder: f"{made(folder / 'a.wav', encoded())}/b.wav", "audio-not-found"),
    "link to nothing": (lambda folder: made(folder / "a.wav", Path("missing")), "audio-not-found"),
    "link to itself": (lambda folder: made(folder / "a.wav", Path("a.wav")), "audio-not-found"),
    "empty folder": (lambda folder: made(folder / "empty", None), "audio-folder"),
    "folder called .wav": (lambda folder: made(folder / "a.wav", None), "audio-folder"),
    "folder of texts": (lambda folder: str(Path(made(folder / "b" / "c.txt", b"?")).parent), "audio-folder"),
    "name of two lines": (lambda folder: made(folder / "a\n\x1b[2Jb.wav", b"?"), "audio-unknown-format"),
    "not permitted": (lambda folder: without_permissions(made(folder / "a.wav", encoded())), "audio-unreadable"),
    "folder that is not permitted": (
        lambda folder: without_permissions(made(folder / "b", None)),
        "audio-unreadable",
    ),
    "a device": (lambda folder: "/dev/null", "audio-placeholder"),
    "samples called .raw": (lambda folder: made(folder / "a.raw", PCM), "audio-headerless"),
}


@pytest.mark.parametrize("bad", SOUNDS)
def test_a_bad_sound_has_a_code_and_the_others_are_classified(
    bad: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    content, code = SOUNDS[bad]
    path = made(tmp_path / "bad.wav", content)
    exit_code, answered, lines = command("--jobs", "1", sounds[0], path, sounds[1])
    assert (exit_code, answered) == (1, [str(sounds[0]), str(sounds[1])])
    assert len(lines) == 2  # the last is a summary
    assert messages.codes_in(lines[0]) == [code]
    assert lines[0].startswith(f"ser-edge: {path}: ")


@pytest.mark.parametrize("bad", SOUNDS)
def test_a_bad_sound_in_windows_has_the_same_code(bad: str, command: Any, sounds: list[Path], tmp_path: Path) -> None:
    content, code = SOUNDS[bad]
    path = made(tmp_path / "bad.wav", content)
    exit_code, answered, lines = command("--timeline", path, sounds[0])
    assert {str(sounds[0])} <= set(answered) <= {path, str(sounds[0])}  # windows may come before the error
    assert exit_code == 1
    assert messages.codes_in("\n".join(lines)) == [code]


@pytest.mark.parametrize("name", QUIET)
def test_without_speech_there_is_no_emotion(
    name: str, tmp_path: Path, sounds: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    content, is_silent = QUIET[name]
    path = made(tmp_path / "quiet.wav", content)
    for arguments in ([path], ["--jobs", "2", path, str(sounds[0])]):
        assert main(["--format", "csv", *arguments]) == 0
        out, err = capfd.readouterr()
        assert out.splitlines()[1].split(",")[3:6] == ["no-speech", "0.0", "0.0"]
        assert [" silent, " in line for line in err.splitlines()] == [True] * is_silent


def test_a_warning_calls_windows_silent_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    long, short = (made(tmp_path / name, encoded(np.zeros(s * RATE))) for name, s in (("a.wav", 61), ("b.wav", 4)))
    for arguments in ([long], ["--timeline", short], ["--timeline", long], ["-"]):
        with Path(long).open() as stdin, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", stdin)
            assert main(arguments) == 0
        assert capfd.readouterr().err.count(" silent, ") == 1
    for path in (long, short):
        warnings: list[str] = []
        with capture_warnings(warnings.append):
            Recognizer().predict_with_windows(path)
        assert [" silent, " in line for line in warnings] == [True]


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_rest_of_a_sound_is_classified_and_a_warning_says_how_much(
    name: str, jobs: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    content, seconds = PARTS[name]
    path = made(tmp_path / "part.wav", content)
    exit_code, answered, (line,) = command("--no-gate", "--jobs", jobs, path, sounds[0])
    assert (exit_code, answered) == (0, [path, str(sounds[0])])
    assert line.startswith(f"ser-edge: {path}: truncated or damaged: ")
    assert seconds in line


@pytest.mark.parametrize("name", FINE)
def test_an_unusual_sound_is_classified(name: str, command: Any, tmp_path: Path) -> None:
    path = made(tmp_path / ("unusual.raw" if "called" in name else "unusual"), FINE[name])
    assert command("--no-gate", path) == (0, [path], [])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are text")
@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_a_name_that_is_no_utf_8_is_classified(form: str, tmp_path: Path) -> None:
    path = made(tmp_path / os.fsdecode(b"caf\xe9.wav"), encoded())
    assert main(["--format", form, "--output", str(tmp_path / "answers"), path]) == 0
    assert "caf\\udce9.wav" in (tmp_path / "answers").read_text("utf-8")


@pytest.mark.parametrize("name", PATHS)
def test_a_bad_path_has_a_code_and_the_others_are_classified(
    name: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    make, code = PATHS[name]
    if "not permitted" in name and os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = make(tmp_path / "there")
    exit_code, answered, lines = command(path, sounds[0])
    assert (exit_code, answered) == (1, [str(sounds[0])])
    assert len(lines) == 2
    assert messages.codes_in(lines[0]) == [code]
