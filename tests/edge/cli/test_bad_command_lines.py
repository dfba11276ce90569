"""Command lines that make no sense end with exit code 2, one line, and no output; other failures with their own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ser_edge.cli.app import main
from tests import messages
from tests.edge.audio.bad.bad_files import encoded

pytestmark = pytest.mark.usefixtures("nothing_is_left")

# command line: a word of the line on standard error
USAGE: dict[str, str] = {
    "": "--mic",
    "a.wav ''": "PATH",
    "--unit user --mic": "--unit",
    "--unit user --format csv": "SER_EDGE_OPTIONS",
    "--unit user --quiet": "SER_EDGE_OPTIONS",
    "--unit user --verbose": "SER_EDGE_OPTIONS",
    "--unit user --merge": "SER_EDGE_OPTIONS",
    "--unit user --timeline": "SER_EDGE_OPTIONS",
    "--unit user --cluster tcp://a:1": "SER_EDGE_OPTIONS",
    "--unit user --duration 3": "SER_EDGE_OPTIONS",
    "--unit user --mqtt-every 3": "SER_EDGE_OPTIONS",
    "--unit user --serve --quiet": "SER_EDGE_OPTIONS",
    "--unit user --serve --mic --output x.csv": "SER_EDGE_OPTIONS",
    "--mic a.wav": "--mic",
    "--rate 8000 a.wav": "--rate",
    "--rate 0 -": "--rate",
    "--channels 0 --rate 8000 -": "--channels",
    "--channels 1000000000 --rate 8000 -": "--channels",
    "--sample-format s20 -": "--sample-format",
    "--sample-format f32 --channels 2 -": "add --rate",
    "--sample-format f32 a.wav": "add --rate",
    "--channels 1 a.wav": "add --rate",
    "--channels 2 --mic": "add --rate",
    "--device 7 a.wav": "--device is for --mic and --doctor",
    "--device 7 -": "--device is for --mic and --doctor",
    "--duration 3 a.wav": "--duration",
    "--duration -3 --mic": "--duration",
    "--duration nan --mic": "--duration",
    "--cluster tcp://a:1 -": "--cluster",
    "--cluster tcp://a:1 --mic": "--cluster",
    "--cluster tcp://a:1 --jobs 2 a.wav": "--jobs",
    "--jobs 0 a.wav": "--jobs",
    "--jobs 1000000000 a.wav": "--jobs",
    "--threads 0 a.wav": "--threads",
    "--threads 99999999999 a.wav": "--threads",
    "--threads two a.wav": "--threads",
    "--format xml a.wav": "must be one or more of text, json, csv,",
    "--format srt a.wav b.wav": "subtitles",
    "--format srt --output a.srt a.wav b.wav": "give one file, --output-dir or --format text",
    "--output a.labels.txt a.wav b.wav": "give one file, --output-dir or --format text",
    "--format json,xml a.wav": "not 'json,xml'",
    "--format json,srt a.wav": "--output-dir",
    "--format json,csv --mic": "--output-dir",
    "--overwrite a.wav": "--output-dir",
    "--output-dir '' a.wav": "is a variable not set?",
    "--output '' a.wav": "the FILE of --output is empty; is a variable not set?",
    "--output-dir out -": "--output-dir is for files",
    "--output-dir out --mic": "--output-dir is for files",
    "--output-dir out --output b.json a.wav": "--output-dir is for files",
    "--mqtt-every 5 --mic": "--mqtt",
    "--mqtt mqtt://host --mqtt-every -1 --mic": "must be 0 or more",
    "--quiet --verbose a.wav": "--quiet and --verbose exclude each other",
    "--no-gate --speech 0.2 a.wav": "--no-gate and --speech exclude each other",
    "--print-completion powershell": "choose from",
    "--labels '' a.wav": "--labels",
    "--labels happy,,sad a.wav": "--labels",
    "--labels happy a.wav": "name two or more",
    "--labels happy,happy a.wav": "happy is there twice; name it once",
    "--labels happy,sad --labels sad a.wav": "sad is there twice; name it once",
    "--labels happy,angri a.wav": "choose from neutral, calm, happy",
    "--labels calm,happy --map calm=neutral a.wav": "calm is mapped to neutral; name that",
    "--labels 'happy,\x1b[2J' a.wav": r"no \x1b[2J; choose from",
    "--map calm a.wav": "--map",
    "--map calm= a.wav": "--map",
    "--map calm=neutral=sad a.wav": "--map",
    "--map calm=neutral --map calm=sad a.wav": "calm is mapped twice; map it once",
    "--map calm=calm a.wav": "leave it out",
    "--map calm=sad,sad=angry a.wav": "map both straight to one name",
    "--map clam=neutral a.wav": "map one of neutral, calm",
    "--map calm=no-speech a.wav": "give another name",
    "--map 'calm=\x1b[2J' a.wav": "printable characters; give another",
    "--unit user --labels happy,angri": "choose from neutral, calm, happy",
    "--window 0 a.wav": "--window",
    "--window 1e-9 a.wav": "window",
    "--window 99 a.wav": "window",
    "--hop 1e9 a.wav": "hop",
    "--threshold 1.5 a.wav": "--threshold",
    "--threshold nan a.wav": "--threshold",
    "--speech high a.wav": "--speech",
    "--louder a.wav": "--louder",
    "'--\x1b[2J\n' a.wav": r"--\x1b[2J\n",
    "--format '\n' a.wav": "--format",
    "--output missing/x a.wav": "--output missing/x: no such folder; make it: mkdir -p missing (see",
    "--output '\x1b/b/x' a.wav": r"mkdir -p '\x1b/b'",
    "--output . a.wav": "--output",
    "--output b.wav a.wav": "--output",
}

# shell command, where {} is ser-edge
SHELL = [
    "{} - < /dev/null",
    "{} - <&-",
    "{} good.wav > /dev/full",
    "{} --output /dev/full good.wav",
    "{} --format csv --output /dev/full good.wav",
    "{} damaged.mp3",  # its decoder prints more
    "{} --model crnn.onnx missing.wav",  # its runtime would leave traces
]


@pytest.mark.parametrize("line", USAGE)
def test_a_command_line_that_makes_no_sense_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    assert end.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ser-edge: error: ")
    assert USAGE[line] in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("line", SHELL)
def test_in_a_shell_a_failure_is_one_line(line: str, sounds: list[Path]) -> None:
    Path("good.wav").write_bytes(sounds[0].read_bytes())
    Path("damaged.mp3").write_bytes(encoded(file="MP3")[:600] + bytes(900))
    done = subprocess.run(
        ["bash", "-c", line.format(shlex.join([sys.executable, "-m", "ser_edge"]))],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ser-edge: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("cards", "wanted", "code"),
    [
        (["Built-in", "USB"], "99", "microphone-not-found"),
        (["Built-in"], "9" * 5000, "microphone-not-found"),
        (["Built-in"], "\u00b2", "microphone-not-found"),
        (["Built-in"], "usb", "microphone-not-found"),
        (["Built-in"], "\x1b[2J", "microphone-not-found"),
        (["USB 1", "USB 2"], "usb", "microphone-ambiguous"),
    ],
)
def test_a_missing_microphone_has_a_code(
    cards: list[str], wanted: str, code: str, command: Any, sounddevice: Any, card: Any
) -> None:
    sounddevice.cards += map(card, cards)
    exit_code, answered, (line,) = command("--mic", "--device", wanted)
    assert (exit_code, answered, messages.codes_in(line)) == (3, [], [code])
