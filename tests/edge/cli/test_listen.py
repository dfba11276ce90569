"""The command with streams: windows as they arrive, signals, closed pipes, full disks."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import Prediction, Recognizer, merge
from ser_edge.capture.microphone import Health
from ser_edge.cli.app import main
from ser_edge.cli.listen import ListenOptions, capture_incidents, listen_to_microphone

COMMAND = [sys.executable, "-m", "ser_edge"]
RATE = 16_000


def records(output: str | bytes) -> list[dict[str, object]]:
    """JSON lines without their path and the time, which differ from source to source."""
    lines = [json.loads(line) for line in output.splitlines()]
    return [{name: value for name, value in line.items() if name not in ("path", "time")} for line in lines]


def ser_edge(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, timeout=120, check=False, **options)  # type: ignore[call-overload]
    assert b"Traceback" not in done.stderr
    return done


def test_file_array_pipe_and_raw_samples_give_the_same_windows(talk: Path) -> None:
    samples, _ = soundfile.read(talk, dtype="int16")
    flac = io.BytesIO()
    soundfile.write(flac, samples, RATE, format="FLAC")
    sources = [
        ser_edge("--format", "json", "--timeline", talk),
        ser_edge("--format", "json", "-", input=talk.read_bytes()),
        ser_edge("--format", "json", "-", input=flac.getvalue()),
        ser_edge("--format", "json", "-", "--rate", str(RATE), input=samples.tobytes()),
        ser_edge("--format", "json", "-", "--rate", str(RATE), input=samples.tobytes() + b"x"),  # ends in mid-frame
    ]
    assert {source.returncode for source in sources} == {0}
    first, *others = [records(source.stdout) for source in sources]
    assert all(other == first for other in others)
    streamed = list(Recognizer().stream([samples], RATE))
    assert [(p.start, p.end, p.label) for p in streamed] == [(r["start"], r["end"], r["label"]) for r in first]


def test_a_summary_is_printed_at_the_end(talk: Path) -> None:
    done = ser_edge("--format", "json", "-", input=talk.read_bytes())
    windows = len(done.stdout.splitlines())
    line = done.stderr.decode()
    assert line.startswith(f"ser-edge: {soundfile.info(talk).duration:.1f} s of audio, {windows} windows: ")
    assert "real-time factor 0." in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("seconds", [4, 0.00001])  # the shorter is a sample
def test_a_duration_ends_it(seconds: float, talk: Path) -> None:
    done = ser_edge("--format", "json", "--duration", f"{seconds:.5f}", "-", input=talk.read_bytes())
    assert (done.returncode, records(done.stdout)[-1]["end"]) == (0, pytest.approx(seconds, abs=0.01))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_soon_with_a_summary(number: int, talk: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--format", "json", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(talk.read_bytes())
        process.stdin.flush()  # and nothing more: it waits
        first = process.stdout.readline()  # it doesn't wait for the end with its answers
        assert json.loads(first)["start"] == 0
        process.send_signal(number)
        began = time.monotonic()
        rest, errors = process.stdout.read(), process.stderr.read()
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - began < 15  # one, and the rest for a machine that is busy; the input never ends
    assert all(record["label"] for record in records(rest))  # whole lines
    assert b" s of audio, " in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pause_in_a_pipe_that_does_not_block_is_not_its_end(talk: Path) -> None:
    samples, cut = talk.read_bytes(), 44 + 14 * RATE  # bytes of seven seconds
    receiver, sender = os.pipe()
    os.set_blocking(receiver, False)  # as some programs leave what they hand on
    with subprocess.Popen([*COMMAND, "--format", "json", "-"], stdin=receiver, stdout=subprocess.PIPE) as process:
        os.close(receiver)
        with os.fdopen(sender, "wb") as pipe:
            pipe.write(samples[:cut])
            pipe.flush()
            first = process.stdout.readline()
            time.sleep(0.5)  # it has read all of it by then, and again
            pipe.write(samples[cut:])
        rest, _ = process.communicate(timeout=60)
    assert records(first + rest)[-1]["end"] == pytest.approx(soundfile.info(talk).duration, abs=0.1)


@pytest.mark.skipif(shutil.which("nohup") is None, reason="no nohup here")
def test_under_nohup_a_closed_terminal_does_not_end_it(talk: Path) -> None:
    samples, cut = talk.read_bytes(), 44 + 14 * RATE  # bytes of seven seconds
    with subprocess.Popen(
        ["nohup", *COMMAND, "--format", "json", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(samples[:cut])
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        rest, _ = process.communicate(samples[cut:], timeout=60)
        assert process.returncode == 0
    assert records(rest)[-1]["end"] == pytest.approx(soundfile.info(talk).duration, abs=0.1)


def test_a_microphone_without_incidents_has_no_line_about_them(
    sounddevice: Any, card: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    microphone = sounddevice.plug(card("USB", channels=1, rate=RATE))
    for level in (0.01, 0):
        microphone.on_start = lambda level=level: microphone.record(level * np.sin(np.arange(RATE, dtype="f4")))
        assert main(["--mic", "--duration", "0.5", "--format", "json"]) == 0
        heads = [line[:25] for line in capsys.readouterr().err.splitlines()]
        assert heads == ["ser-edge: microphone: sil"] * (level == 0) + ["ser-edge: 0.5 s of audio,"]


def test_one_channel_of_a_microphone_is_listened_to(
    sounddevice: Any, card: Any, talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = soundfile.read(talk, frames=3 * RATE, dtype="float32")[0]
    array = sounddevice.plug(card("array", channels=4, rate=RATE))
    third = np.outer(samples, [0, 0, 1, 0]).astype(np.float32)
    array.on_start = lambda: array.record(third[:, : array.stream.settings["channels"]])
    assert main(["--model", "small", "--mic", "--channel", "3", "--duration", "2.9", "--format", "json"]) == 0
    alone = Recognizer("small").stream([samples[: int(2.9 * RATE)]], RATE)
    assert [record["label"] for record in records(capsys.readouterr().out)] == [p.label for p in alone]


@pytest.mark.parametrize(
    ("dropped", "reconnections", "line"),
    [
        (0.0, 0, ""),
        (0.03, 0, "0.03 s dropped"),
        (0.0, 1, "reopened 1 time"),
        (1.5, 2, "1.50 s dropped, reopened 2 times"),
    ],
)
def test_incidents_of_a_microphone_are_a_line(dropped: float, reconnections: int, line: str) -> None:
    assert capture_incidents(Health("USB", RATE, 1, int(dropped > 0), dropped, 0.0, reconnections, True, True)) == line


def test_live_windows_have_the_time_of_their_end(sounddevice: Any, card: Any) -> None:
    microphone = sounddevice.plug(card("USB", channels=1, rate=RATE))
    seconds = 5
    microphone.on_start = lambda: microphone.record(
        np.zeros(seconds * RATE, np.float32)
    )  # all of it waits in the queue
    options = ListenOptions(duration=float(seconds), clock=lambda: 1_000_000.0)  # when the newest sample was recorded
    predictions = list(listen_to_microphone(Recognizer("small"), None, options))
    assert len(predictions) >= 5
    for prediction in predictions:
        time_of_end = datetime.fromisoformat(prediction.time)
        assert time_of_end.utcoffset() is not None
        # A block that is being read waits no longer.
        assert time_of_end.timestamp() == pytest.approx(1_000_000 - (seconds - prediction.end), abs=0.2)


def test_a_pipe_is_live_and_a_file_is_not(talk: Path) -> None:
    before = time.time()
    piped = ser_edge("--format", "json", "-", "--rate", str(RATE), input=talk.read_bytes()[44:]).stdout
    times = [datetime.fromisoformat(json.loads(line)["time"]).timestamp() for line in piped.splitlines()]
    assert len(times) > 10
    assert all(before - 10 < moment <= time.time() for moment in times)
    with talk.open("rb") as file:
        redirected = ser_edge("--format", "csv", "-", stdin=file).stdout
    assert redirected.splitlines()[0].endswith(b",surprised")
    assert b"time" not in ser_edge("--format", "json", "--timeline", talk).stdout


def test_equal_windows_of_a_stream_are_merged_when_another_label_comes(talk: Path) -> None:
    windows = [
        Prediction(**json.loads(line)) for line in ser_edge("-f", "json", "--timeline", talk).stdout.splitlines()
    ]
    merged = [
        json.loads(line) for line in ser_edge("-f", "json", "--merge", "-", input=talk.read_bytes()).stdout.splitlines()
    ]
    assert [(m["start"], m["end"], m["label"]) for m in merged] == [(m.start, m.end, m.label) for m in merge(windows)]
    assert 1 < len(merged) < len(windows)
    file = ser_edge("-f", "json", "--merge", talk).stdout  # a file's windows, without --timeline
    assert records(file) == [{name: m[name] for name in m if name not in ("path", "time")} for m in merged]


def test_a_closed_pipe_ends_it_quietly(talk: Path) -> None:
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen([*COMMAND, "--format", "json", "-"], **options) as process:  # type: ignore[call-overload]
        samples = talk.read_bytes()
        process.stdin.write(samples[: 44 + 14 * RATE])  # seven seconds
        assert process.stdout.readline()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # when it has ended
            for _ in range(1000):
                process.stdin.write(samples[44:])
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""


def test_predictions_go_to_a_file(talk: Path, tmp_path: Path) -> None:
    done = ser_edge("--format", "json", "--timeline", talk, "--output", tmp_path / "out.jsonl")
    assert (done.returncode, done.stdout) == (0, b"")
    assert records((tmp_path / "out.jsonl").read_text()) == records(
        ser_edge("--format", "json", "--timeline", talk).stdout
    )


@pytest.mark.parametrize(
    ("name", "options", "begins"),
    [
        ("a.json", [], '{"path": '),
        ("a.JSONL", [], '{"path": '),
        ("a.csv", [], "path,start,end,"),
        ("a.srt", [], "1\n00:00:00,000 --> "),
        ("a.vtt", [], "WEBVTT\n\n00:00:00.000 --> "),
        ("a.labels.txt", [], "0.000\t"),
        ("a.txt", [], "fearful "),
        ("predictions", [], "fearful "),  # no suffix, or one that is no format's: text, as on a terminal
        ("a.log", [], "fearful "),
        ("a.json", ["--format", "csv"], "path,start,end,"),  # --format takes precedence
        ("a.csv", ["--format", "text"], "fearful "),
        ("a.labels.txt", ["-f", "text"], "fearful "),
    ],
)
def test_the_format_follows_the_file_name_unless_given(
    name: str, options: list[str], begins: str, sounds: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "-m", "small", "-o", str(tmp_path / name), str(sounds[0])]) == 0
    assert (tmp_path / name).read_text().startswith(begins)
    assert ("model crnn" in capsys.readouterr().err) == (begins == "fearful ")  # as with --format


def test_a_full_disk_is_one_line(talk: Path) -> None:
    done = ser_edge("--timeline", talk, "--output", "/dev/full")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"ser-edge: can't write the predictions: No space left on device\n"


def test_a_broken_end_keeps_the_windows_before_it(talk: Path, tmp_path: Path) -> None:
    data = talk.read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) * 49 // 50])
    done = ser_edge("--format", "json", "--timeline", tmp_path / "cut.wav")
    assert done.returncode == 0
    assert done.stderr.count(b"truncated or damaged") == 1
    whole = records(ser_edge("--format", "json", "--timeline", talk).stdout)
    got = records(done.stdout)
    assert len(got) >= len(whole) - 2
    assert got[:-1] == whole[: len(got) - 1]  # the last one ends where the sound does


def test_subtitles_are_what_a_player_reads(talk: Path) -> None:
    done = ser_edge("--format", "srt", talk)
    first = done.stdout.decode().split("\n\n")[0].splitlines()
    assert first[0] == "1"
    assert first[1].startswith("00:00:00,000 --> 00:00:0")
    assert first[2] == "uncertain" or first[2].endswith("%")


def test_lines_are_printed_while_audio_arrives(talk: Path) -> None:
    """In real time: the first line is there a window, a hop and a little after the first word."""
    samples, _ = soundfile.read(talk, dtype="int16")
    with subprocess.Popen(
        [*COMMAND, "--format", "json", "-", "--rate", str(RATE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.set_blocking(process.stdout.fileno(), False)
        process.stdin.write(samples[: RATE // 10].tobytes())
        process.stdin.flush()
        window = Recognizer().metadata.features.seconds or 3
        for i in range(1, round((window + 0.5) * 10)):
            process.stdin.write(samples[i * RATE // 10 : (i + 1) * RATE // 10].tobytes())
            process.stdin.flush()
        deadline = time.monotonic() + 30  # the start of the process; the sound stands still meanwhile
        line = b""
        while not line and time.monotonic() < deadline:
            line = process.stdout.readline() or b""
            time.sleep(0.05)
        assert json.loads(line)["start"] == 0
        process.stdin.close()
        process.wait(timeout=60)
