"""Whatever is wrong with what it gets, `ser-edge` says so in one line, exits with the code for it, and goes on.

Tables of bad inputs: how each is made, what is said of it. For all of them: no traceback, no answer that is torn or
made up, nothing left behind, and the good sounds beside a bad one are answered.
"""

import errno
import io
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge.cli.app import main
from ser_edge.errors import printable

pytestmark = pytest.mark.usefixtures("nothing_is_left")
RATE = 16_000
HUM = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)  # one second
WAV_CHANNELS, WAV_RATE, WAV_FRAME, WAV_BITS, WAV_SIZE = 22, 24, 32, 34, 40  # where a plain WAV header keeps them
NO_SAMPLES = "empty, no samples in it"
NO_SOUND = r"not a sound file that can be read \(WAV, FLAC, OGG, MP3, AIFF, \.\.\.\)"
FORBIDDEN = "can't be read: Permission denied"
A_FOLDER = "a folder; expected a sound file, or a folder with sounds in it"


def encoded(samples: npt.ArrayLike = HUM, rate: int = RATE, file: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples), rate, format=file, subtype=subtype)
    return stream.getvalue()


def patched(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]


def header(place: int, value: int, size: int = 4) -> bytes:
    """A WAV of a second, with another number in its header."""
    return patched(encoded(), place, value.to_bytes(size, "little"))


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks: bytes) -> bytes:
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks))


FORMAT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
PCM = (HUM * 32_767).astype("<i2").tobytes()
FLAC = encoded(file="FLAC")
MP3 = encoded(file="MP3")
PIPED_FLAC = patched(patched(FLAC, 21, bytes([FLAC[21] & 0xF0])), 22, bytes(4))  # which doesn't say how long it is

# name: the file, what is said of it
SOUNDS: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "an empty file; copy or download it again"),
    "web page": (b"<!DOCTYPE html><html>not found</html>", r"a web page \(HTML\), .*; download the file itself"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
        "a git-LFS pointer, .*: git lfs pull",
    ),
    "header only": (encoded()[:44], NO_SAMPLES),
    "text": (b"RIFF is what this text begins with", NO_SOUND),
    "zeros": (bytes(9999), NO_SOUND),
    "half a header": (encoded()[:30], "can't be read: Error in WAV file. No 'data' chunk marker"),
    "truncated OGG": (encoded(file="OGG")[:4_000], NO_SAMPLES),
    "damaged OGG": (patched(encoded(file="OGG"), 200, bytes(3_500)), "can't be read: .* malformed"),
    "damaged MP3": (b"ID3" + encoded(file="MP3")[:40], NO_SOUND),
    "no samples": (encoded([]), NO_SAMPLES),
    "NaN": (encoded(np.where(HUM > 0.4, np.nan, HUM), subtype="FLOAT"), "holds NaN or infinite samples, .*"),
    "infinity": (encoded(np.where(HUM > 0.4, np.inf, HUM), subtype="FLOAT"), "holds NaN or infinite samples, .*"),
    "beyond float32's squares": (encoded(HUM * 1e30, subtype="FLOAT"), "holds .* or some above 1e\\+12; write it .*"),
    "two infinities": (encoded(np.outer(HUM, [1e300, -1e300]), subtype="DOUBLE"), "holds NaN or infinite samples, .*"),
    "rate of 0": (header(WAV_RATE, 0), "can't be read: Internal error : SF_INFO struct incomplete"),
    "rate of 1 Hz": (header(WAV_RATE, 1), "a sample rate of 1 Hz; expected 1000 to 768000"),
    "rate of 2 GHz": (header(WAV_RATE, 2**31 - 1), "a sample rate of 2147483647 Hz; expected 1000 to 768000"),
    "no channels": (header(WAV_CHANNELS, 0, 2), "can't be read: Channel count is zero"),
    "65535 channels": (header(WAV_CHANNELS, 65_535, 2), "can't be read: Too many channels specified"),
    "samples of 0 bits": (header(WAV_BITS, 0, 2), "can't be read: File contains data in an unimplemented format"),
    "RIFF without data": (riff(chunk(b"fmt ", FORMAT)), "can't be read: .* No 'data' chunk marker"),
    "RIFF of an unknown codec": (
        riff(chunk(b"fmt ", b"\x77\x77" + FORMAT[2:]), chunk(b"data", PCM)),
        "can't be read: .* Malformed 'fmt ' chunk",
    ),
    "RIFF with a chunk beyond its end": (riff(chunk(b"fmt ", FORMAT), chunk(b"LIST", b"", 2**31)), "can't be read: .*"),
}

# name: the file, of which a part is decoded; what is said of the rest
PARTS: dict[str, tuple[bytes, str]] = {
    "truncated": (encoded()[:16_044], "0.50 s of 1.00 s"),
    "truncated AIFF": (encoded(file="AIFF")[:16_000], "0.50 s of 1.00 s"),
    "truncated AU": (encoded(file="AU")[:16_000], "0.50 s of 1.00 s"),
    "truncated W64": (encoded(file="W64")[:16_000], "0.50 s of 1.00 s"),
    "truncated FLAC": (FLAC[:9_000], "0.77 s of 1.00 s"),
    "damaged FLAC": (FLAC[:5_600] + bytes(900) + FLAC[6_500:], r"0\.\d\d s of 1.00 s"),
    "declared 2 GB": (header(WAV_SIZE, 0x7FFF_0000), "1.00 s of 67106.82 s"),
    "FLAC that declares 19 hours": (patched(FLAC, 22, b"\xff" * 4), r"1.00 s of \d+\.\d\d s"),
    "MP3 with a hole": (MP3[:2000] + bytes(900) + MP3[2900:], r"0\.\d\d s of 1\.0\d s"),
}

# name: a sound in which nobody speaks, what is said of it
QUIET: dict[str, tuple[bytes, list[str]]] = {
    "silence": (
        encoded(np.zeros(RATE)),
        ["silent, nothing above -80 dBFS; check the microphone or the recording level"],
    ),
    "a converter's noise": (encoded(HUM / 10_000, subtype="FLOAT"), ["silent, nothing above -80 dBFS; .*"]),
    "one sample at 48 kHz": (encoded([0.5], 48_000), ["silent, nothing above -80 dBFS; .*"]),
    "a hum": (encoded(), []),
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
    "RIFF with data before its format": riff(chunk(b"data", PCM), chunk(b"fmt ", FORMAT)),  # FFmpeg knows
}

# name: standard input, the command line, what is said of it (None: it is judged)
STDIN: dict[str, tuple[bytes, list[str], str | None]] = {
    "nothing": (b"", [], "empty; pipe a sound file into it, or samples with --rate"),
    "one byte": (b"R", [], NO_SOUND),
    "text": (b"hello, this is text\n" * 9, [], NO_SOUND),
    "text like a WAV": (b"RIFF is how it begins, and no more", [], NO_SOUND),
    "rate of 1 Hz": (header(WAV_RATE, 1), [], "a sample rate of 1 Hz; expected 1000 to 768000"),
    "rate of 2 GHz": (header(WAV_RATE, 2**31 - 1), [], "a sample rate of 2147483647 Hz; expected 1000 to 768000"),
    "damaged MP3": (encoded(file="MP3")[:600] + bytes(9_000), [], "(?!Traceback).*"),
    "half a header": (encoded()[:30], [], "can't be read: Error in WAV file. No 'data' chunk marker"),
    "FLAC from a pipe": (PIPED_FLAC, [], None),
    "two MP3s": (MP3 + MP3, [], None),
    "size of 0": (header(WAV_SIZE, 0), [], None),
    "NaN": (encoded(np.where(HUM > 0.4, np.nan, HUM), subtype="FLOAT"), [], None),
    "half a frame": (PCM[:-1], ["--rate", "16000", "--channels", "2"], None),
    "less than a frame": (PCM[:3], ["--rate", "16000", "--channels", "1024"], NO_SAMPLES),
    "no samples, raw": (b"", ["--rate", "16000"], NO_SAMPLES),
    "no samples, WAV": (encoded(HUM[:0]), [], NO_SAMPLES),
    "floats that are none": (b"\xff" * 64_000, ["--rate", "16000", "--sample-format", "f64"], None),
    "raw at 1 Hz": (PCM, ["--rate", "1"], "a sample rate of 1 Hz; expected 1000 to 768000"),
}


def closed(path: str) -> str:
    Path(path).chmod(0)
    return path


# name: makes it in a folder and returns what is typed; what is said of it
PATHS: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing": (lambda folder: "missing.wav", "no such file"),
    "name too long": (lambda folder: "a" * 300, "can't be read: File name too long"),
    "below a file": (lambda folder: f"{made(folder / 'a.wav', encoded())}/b.wav", "no such file"),
    "link to nothing": (lambda folder: made(folder / "a.wav", Path("missing")), "no such file"),
    "link to itself": (lambda folder: made(folder / "a.wav", Path("a.wav")), "no such file"),
    "empty folder": (lambda folder: made(folder / "empty", None), A_FOLDER),
    "folder called .wav": (lambda folder: made(folder / "a.wav", None), A_FOLDER),
    "folder of texts": (lambda folder: str(Path(made(folder / "b" / "c.txt", b"?")).parent), A_FOLDER),
    "name of two lines": (lambda folder: made(folder / "a\n\x1b[2Jb.wav", b"?"), NO_SOUND),
    "not permitted": (lambda folder: closed(made(folder / "a.wav", encoded())), FORBIDDEN),
    "folder that is not permitted": (lambda folder: closed(made(folder / "b", None)), FORBIDDEN),
    "a device": (lambda folder: "/dev/null", "an empty file; copy or download it again"),
    "samples called .raw": (
        lambda folder: made(folder / "a.raw", PCM),
        r"samples without a header\? try: ser-edge --rate 16000 - < .*",
    ),
}


def made(path: Path, content: bytes | Path | None) -> str:
    """A file, a link, or (None) a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    elif isinstance(content, Path):
        path.symlink_to(content)
    else:
        path.write_bytes(content)
    return str(path)


# command line: what is said of it
USAGE: dict[str, str] = {
    "": "nothing to judge: give a sound file, a folder, - or --mic",
    "a.wav ''": r"a PATH is empty; was a variable not set\?",
    "--unit user --mic": "--unit prints a unit and ends; its options go into SER_EDGE_OPTIONS, as it says",
    "--mic a.wav": "--mic listens to the microphone alone; leave the paths out",
    "--rate 8000 a.wav": "--rate is about standard input; give - as well",
    "--rate 0 -": "argument --rate: must be 1 or more",
    "--channels 0 --rate 8000 -": "argument --channels: must be 1 or more",
    "--channels 1000000000 --rate 8000 -": "argument --channels: must be 1024 or less",
    "--sample-format s20 -": "argument --sample-format: invalid choice: 's20' .*",
    "--duration 3 a.wav": "--duration is about --mic and standard input; give one of them",
    "--duration -3 --mic": "argument --duration: must be above 0",
    "--duration nan --mic": "argument --duration: must be above 0",
    "--cluster tcp://a:1 -": "--cluster judges files; leave --mic and - out",
    "--cluster tcp://a:1 --mic": "--cluster judges files; leave --mic and - out",
    "--cluster tcp://a:1 --jobs 2 a.wav": "--jobs is about this machine; leave it out with --cluster",
    "--jobs 0 a.wav": "argument --jobs: must be 1 or more",
    "--jobs 1000000000 a.wav": "argument --jobs: must be 1024 or less",
    "--threads 0 a.wav": "argument --threads: must be 1 or more",
    "--threads 99999999999 a.wav": "argument --threads: must be 1024 or less",
    "--threads two a.wav": "argument --threads: must be a whole number, not 'two'",
    "--format xml a.wav": "argument --format: invalid choice: 'xml' .*",
    "--format srt a.wav b.wav": "subtitles are of one recording; give one file",
    "--window 0 a.wav": "argument --window: must be above 0",
    "--window 1e-9 a.wav": "a window of 1e-09 s; give 0.1 to 600",
    "--window 99 a.wav": "a window of 99 s; this model hears at most 3 s",
    "--hop 1e9 a.wav": r"a hop of 1e\+09 s; give 0.01 to 600",
    "--threshold 1.5 a.wav": "argument --threshold: must be 0 to 1",
    "--threshold nan a.wav": "argument --threshold: must be 0 to 1",
    "--speech high a.wav": "argument --speech: must be a number, not 'high'",
    "--louder a.wav": "unrecognized arguments: --louder",
    "'--\x1b[2J\n' a.wav": r"unrecognized arguments: --\\x1b\[2J\\n",
    "--format '\n' a.wav": r"argument --format: invalid choice: '\\n' .*",
    "--output missing/x a.wav": "--output missing/x: No such file or directory",
    "--output . a.wav": "--output .: Is a directory",
    "--output b.wav a.wav": "--output b.wav: would write answers over a sound; give another name",
}

# shell command, where {} is ser-edge: exit code, the lines on standard error
SHELL: dict[str, tuple[int, str]] = {
    "{} - < /dev/null": (1, "ser-edge: -: empty; pipe a sound file into it, or samples with --rate"),
    "{} - <&-": (1, "ser-edge: -: standard input is closed"),
    "{} good.wav > /dev/full": (1, "ser-edge: can't write the answers: No space left on device"),
    "{} --output /dev/full good.wav": (1, "ser-edge: can't write the answers: No space left on device"),
    "{} --format csv --output /dev/full good.wav": (1, "ser-edge: can't write the answers: No space left on device"),
    "{} damaged.mp3": (1, "ser-edge: damaged.mp3: .*"),  # its decoder has more to say
    "{} --model crnn.onnx missing.wav": (1, "ser-edge: missing.wav: no such file"),  # its runtime would leave traces
}

# what is plugged in, --device, what is said of it
DEVICES: list[tuple[list[str], str, str]] = [
    ([], "usb", "no microphone .*"),
    (["Built-in", "USB"], "99", r"no microphone has number 99; choose one with --device: 0 \(Built-in\), 1 \(USB\)"),
    (["Built-in"], "9" * 5000, r"no microphone has number 9{5000}; .*"),
    (["Built-in"], "\u00b2", r"no microphone is called '\u00b2'; .*"),
    (["Built-in"], "usb", r"no microphone is called 'usb'; choose one with --device: 0 \(Built-in\)"),
    (["Built-in"], "\x1b[2J", r"no microphone is called '\\x1b\[2J'; choose one with --device: 0 \(Built-in\)"),
    (["USB 1", "USB 2"], "usb", r"'usb' fits 2 microphones; choose one by number: 0 \(USB 1\), 1 \(USB 2\)"),
]


@pytest.mark.parametrize("bad", SOUNDS)
def test_a_bad_sound_is_a_line_and_the_others_are_judged(
    bad: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    content, says = SOUNDS[bad]
    path = made(tmp_path / "bad.wav", content)
    code, answered, told = command("--jobs", "1", sounds[0], path, sounds[1])
    assert (code, answered) == (1, [str(sounds[0]), str(sounds[1])])
    assert re.fullmatch(f"ser-edge: {path}: {says}", told[0])
    assert told[1:] == ["ser-edge: 2 classified, 1 failed"]


@pytest.mark.parametrize("bad", SOUNDS)
def test_a_bad_sound_in_windows_is_a_line_too(bad: str, command: Any, sounds: list[Path], tmp_path: Path) -> None:
    content, says = SOUNDS[bad]
    path = made(tmp_path / "bad.wav", content)
    code, answered, told = command("--timeline", path, sounds[0])
    assert {str(sounds[0])} <= set(answered) <= {path, str(sounds[0])}  # windows may come before the fault is met
    assert code == 1
    assert re.fullmatch(f"ser-edge: {path}: {says}", told[0])
    assert told[1:] == ["ser-edge: 1 classified, 1 failed"]


@pytest.mark.parametrize("name", QUIET)
def test_where_nobody_speaks_there_is_no_emotion(
    name: str, tmp_path: Path, sounds: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    content, says = QUIET[name]
    path = made(tmp_path / "quiet.wav", content)
    for arguments in ([path], ["--jobs", "2", path, str(sounds[0])]):
        assert main(["--format", "csv", *arguments]) == 0
        out, told = capfd.readouterr()
        assert out.splitlines()[1].split(",")[3:6] == ["no-speech", "0.0", "0.0"]
        for line, expected in zip(told.splitlines(), says, strict=True):
            assert re.fullmatch(f"ser-edge: {path}: {expected}", line)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_is_left_of_a_sound_is_judged_and_the_rest_is_a_line(
    name: str, jobs: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    content, says = PARTS[name]
    path = made(tmp_path / "part.wav", content)
    code, answered, (told,) = command("--no-gate", "--jobs", jobs, path, sounds[0])
    assert (code, answered) == (0, [path, str(sounds[0])])
    assert re.fullmatch(f"ser-edge: {path}: truncated or damaged: {says} could be decoded; copy it again", told)


@pytest.mark.parametrize("name", FINE)
def test_an_unusual_sound_is_judged(name: str, command: Any, tmp_path: Path) -> None:
    path = made(tmp_path / ("unusual.raw" if "called" in name else "unusual"), FINE[name])
    assert command("--no-gate", path) == (0, [path], [])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are text")
@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_a_name_that_is_no_utf_8_is_judged(form: str, tmp_path: Path) -> None:
    path = made(tmp_path / os.fsdecode(b"caf\xe9.wav"), encoded())
    assert main(["--format", form, "--output", str(tmp_path / "answers"), path]) == 0
    assert "caf\\udce9.wav" in (tmp_path / "answers").read_text("utf-8")


@pytest.mark.parametrize("name", STDIN)
def test_a_bad_standard_input_is_a_line(name: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content, arguments, says = STDIN[name]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    code, answered, told = command("--no-gate", *arguments, "-")
    if says is None:
        assert code == 0
        assert set(answered) <= {"-"}
        assert re.fullmatch("ser-edge: .* s of audio, .*", told[0])
    else:
        assert (code, answered) == (1, [])
        assert re.fullmatch(f"ser-edge: -: {says}", told[0])
    assert told[1:] == []


@pytest.mark.parametrize("name", PATHS)
def test_a_bad_path_is_a_line_and_the_others_are_judged(
    name: str, command: Any, sounds: list[Path], tmp_path: Path
) -> None:
    make, says = PATHS[name]
    if says == FORBIDDEN and os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = make(tmp_path / "there")
    code, answered, told = command(path, sounds[0])
    assert (code, answered) == (1, [str(sounds[0])])
    assert re.fullmatch(f"ser-edge: {re.escape(printable(path))}: {says}", told[0])
    assert told[1:] == ["ser-edge: 1 classified, 1 failed"]


@pytest.mark.parametrize("line", USAGE)
def test_a_command_line_that_makes_no_sense_is_a_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(rf"ser-edge: error: {USAGE[line]} \(see ser-edge --help\)\n", captured.err)


@pytest.mark.parametrize("line", SHELL)
def test_in_a_shell_a_fault_is_a_line(line: str, sounds: list[Path]) -> None:
    Path("good.wav").write_bytes(sounds[0].read_bytes())
    Path("damaged.mp3").write_bytes(encoded(file="MP3")[:600] + bytes(900))
    code, says = SHELL[line]
    done = subprocess.run(
        ["bash", "-c", line.format(shlex.join([sys.executable, "-m", "ser_edge"]))],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")},
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert [re.fullmatch(says, line) is not None for line in done.stderr.splitlines()] == [True], done.stderr


@pytest.mark.parametrize(("cards", "wanted", "says"), DEVICES)
def test_a_microphone_that_is_not_there_is_a_line(
    cards: list[str], wanted: str, says: str, command: Any, sounddevice: Any, card: Any
) -> None:
    sounddevice.cards += map(card, cards)
    code, answered, (told,) = command("--mic", "--device", wanted)
    assert (code, answered) == (3, [])
    assert re.fullmatch(f"ser-edge: {says}", told)


@pytest.mark.parametrize("arguments", [["-"], ["--rate", "16000", "-"]])
def test_a_standard_input_that_breaks_is_a_line(
    arguments: list[str], command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(size: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=fail, read1=fail)))
    assert command("--no-gate", *arguments) == (1, [], ["ser-edge: -: can't be read: Input/output error"])


def test_what_is_left_of_a_standard_input_is_judged_and_the_rest_is_a_line(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (encoded()[:16_044], FLAC[:9_000]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        code, answered, told = command("--no-gate", "-")
        assert (code, set(answered)) == (0, {"-"})
        assert re.fullmatch(r"ser-edge: -: truncated or damaged: 0\.\d\d s of 1\.00 s could be decoded; .*", told[0])
        assert len(told) == 2


def test_no_room_for_what_must_be_kept_is_a_line(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "w+b"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"what nobody can stream" * 9)))
    code, answered, (told,) = command("-")
    assert (code, answered) == (1, [])
    assert re.fullmatch(r"ser-edge: -: no room for it in .* \(No space left on device\); send it as WAV", told)
