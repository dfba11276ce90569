"""Options in the environment: SER_EDGE_OPTIONS."""

import json
import shlex
from pathlib import Path

import pytest

from ser_edge.cli.app import main
from ser_edge.cli.arguments.rules import DEFAULTS, parse, split_words

Capture = pytest.CaptureFixture[str]


def test_they_come_before_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEFAULTS, "--model small --threshold 0.3 --device 'USB Mic' --labels happy,sad -f csv")
    options = parse(["--threshold", "0.6", "--labels", "angry", "a.wav"])
    assert (options.model, options.threshold, options.device) == ("small", 0.6, "USB Mic")
    assert (options.labels, options.formats, options.paths) == (["angry"], ("csv",), ["a.wav"])
    assert parse(["-f", "json", "a.wav"]).formats == ("json",)
    monkeypatch.setenv(DEFAULTS, " ")
    assert parse(["a.wav"]).model == "accurate"


def test_labels_of_the_command_line_replace_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEFAULTS, "--labels happy,sad --map calm=neutral")
    options = parse(["--labels", "sad,happy", "--map", "calm=sad", "a.wav"])
    assert (options.labels, options.map) == (["sad", "happy"], [("calm", "sad")])
    options = parse(["a.wav"])
    assert (options.labels, options.map) == (["happy", "sad"], [("calm", "neutral")])


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("--quiet", "--verbose a.wav", "quiet"),
        ("--verbose", "-q a.wav", "verbose"),
        ("--jobs 1", "--cluster tcp://a:1 a.wav", "jobs"),
        ("--cluster tcp://a:1", "--jobs 2 a.wav", "cluster"),
        ("--cluster tcp://a:1", "-", "cluster"),
        ("--output-dir out --overwrite", "-o x.csv a.wav", "output_dir"),
        ("--output-dir out", "--mic", "output_dir"),
        ("-o x.csv", "--output-dir out a.wav", "output"),
        ("--no-gate", "--speech 0.2 a.wav", "no_gate"),  # its default, but it is given
        ("--speech 0.5", "--no-gate a.wav", "speech"),
        ("--token 0123456789abcdef", "--serve --allow-anyone", "token"),
        ("--allow-anyone", "--serve --token 0123456789abcdef", "allow_anyone"),
        ("--mic --device usb", "a.wav", "mic"),
        ("--serve --max-upload 9", "a.wav", "serve"),
        ("--output-dir out --timeline --cluster tcp://a:1 --duration 3", "--serve", "duration"),
        ("--output x.csv --mqtt mqtt://host --device usb", "--serve", "mqtt"),
    ],
)
def test_what_the_command_line_excludes_gives_way(
    text: str, line: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = parse(shlex.split(line))
    monkeypatch.setenv(DEFAULTS, text)
    assert getattr(parse(shlex.split(line)), name) == getattr(without, name)


def test_what_is_for_other_sounds_is_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEFAULTS, "--device usb --rate 8000 --channels 2 --duration 3 --mqtt-every 5 --format json")
    assert parse(["a.wav"]).paths == ["a.wav"]
    assert parse(["--serve"]).serve
    options = parse(["--sample-format", "f32", "-"])
    assert (options.rate, options.channels, options.sample_format) == (8000, 2, "f32")


def test_a_backslash_is_part_of_a_path_on_windows() -> None:
    text = r"--model C:\models\mine.onnx --device 'USB Mic'"
    assert split_words(text, windows=True) == ["--model", r"C:\models\mine.onnx", "--device", "USB Mic"]
    assert split_words(text, windows=False) == shlex.split(text)


def test_they_decide_what_is_not_given(sounds: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv(DEFAULTS, "--format json --model small")
    assert main([str(sounds[0])]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(sounds[0])


def test_a_unit_that_passes_them_itself_does_not_apply_them_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--device usb --labels happy,sad --map calm=sad"
    monkeypatch.setenv(DEFAULTS, words)
    options = parse(["--mic", *shlex.split(words)])
    assert (options.labels, options.map) == (["happy", "sad"], [("calm", "sad")])
    assert parse(["--mic"]).labels == ["happy", "sad"]


def test_a_printed_unit_is_without_them(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv(DEFAULTS, "--model small --mqtt mqtt://host")
    assert main(["--unit", "user"]) == 0
    assert "small" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("--lauder", "SER_EDGE_OPTIONS: unrecognized arguments: --lauder"),
        ("--threshold high", "SER_EDGE_OPTIONS: argument --threshold"),
        ("--device 'USB", "SER_EDGE_OPTIONS: No closing quotation"),
        ("--model small a.wav", "files go on the command line"),
        ("-", "files go on the command line"),
        ("-f json,csv", "several formats are for --output-dir"),  # which isn't on the command line
    ],
)
def test_an_error_names_them(text: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv(DEFAULTS, text)
    with pytest.raises(SystemExit) as end:
        parse(["b.wav"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.endswith("(see ser-edge --help, and SER_EDGE_OPTIONS)\n")
    assert error.count("\n") == 1


def test_help_is_there_whatever_they_are(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv(DEFAULTS, "--lauder '")
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    assert end.value.code == 0
    assert DEFAULTS in capsys.readouterr().out
