"""Running as a service: notifications to systemd, and the units it reads."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.cli.app import main
from ser_edge.cli.arguments import options, rules
from ser_edge.service.systemd_notify import SystemdNotifier
from ser_edge.service.systemd_unit import UNITS, unit

RATE = 16_000

needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no systemd without Unix sockets")


class Systemd:
    """The receiving end of $NOTIFY_SOCKET."""

    def __init__(self, address: str):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def received(self, seconds: float = 20.0) -> list[str]:
        """The lines of the next datagram; none, if none arrives in time."""
        self._socket.settimeout(seconds)
        with suppress(TimeoutError):
            return self._socket.recv(4096).decode().splitlines()
        return []

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Systemd]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    address = f"@{short_folder}" if request.param == "abstract" else str(short_folder / "notify")
    with closing(Systemd(address)) as systemd:
        yield systemd


@pytest.fixture(scope="module")
def samples(sounds: list[Path]) -> bytes:
    """Ten seconds of speech, 16 bits."""
    return np.concatenate([soundfile.read(path, dtype="int16")[0] for path in sounds]).tobytes()


def command(systemd: Systemd, **watchdog: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "-", "--rate", str(RATE)]
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address, **watchdog}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def send(process: "subprocess.Popen[bytes]", samples: bytes) -> None:
    assert process.stdin
    process.stdin.write(samples)
    process.stdin.flush()


@needs_unix
def test_it_is_ready_then_alive_while_audio_arrives_then_stopping(systemd: Systemd, samples: bytes) -> None:
    with command(systemd, WATCHDOG_USEC="1000") as process:
        assert systemd.received() == ["READY=1"]
        assert systemd.received(0.2) == []  # no audio, not alive
        for _ in range(2):
            send(process, samples[: RATE // 5])
            assert systemd.received() == ["WATCHDOG=1", "STATUS=standard input 16 kHz"]
            assert systemd.received(0.2) == []
        process.send_signal(signal.SIGTERM)
        assert systemd.received() == ["STOPPING=1"]
        assert process.wait(timeout=60) == 0
        assert b" s of audio, " in process.stderr.read()


@needs_unix
@pytest.mark.parametrize(
    ("watchdog", "interval", "lines"),
    [
        ({}, 30.0, []),
        ({"WATCHDOG_USEC": "60000000"}, 30.0, ["WATCHDOG=1"]),
        ({"WATCHDOG_USEC": "10000000"}, 5.0, ["WATCHDOG=1"]),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, 30.0, []),  # another process's
    ],
)
def test_a_status_is_sent_no_more_often_than_needed(
    watchdog: dict[str, str], interval: float, lines: list[str], systemd: Systemd
) -> None:
    now = 100.0
    environment = {"NOTIFY_SOCKET": systemd.address, **watchdog}
    with closing(SystemdNotifier(environment, clock=lambda: now)) as notifier:
        for passed, expected in ((0.0, True), (interval - 0.1, False), (0.2, True)):
            now += passed
            notifier.tick(lambda: True, lambda: "USB  48 kHz")
            assert systemd.received(0.05) == ([*lines, "STATUS=USB 48 kHz"] if expected else [])


@needs_unix
def test_a_source_without_audio_is_not_alive_and_soon_asked_again(systemd: Systemd) -> None:
    now = 100.0
    environment = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "60000000"}
    with closing(SystemdNotifier(environment, clock=lambda: now)) as notifier:
        notifier.tick(lambda: False, lambda: "no audio")
        assert systemd.received() == ["STATUS=no audio"]
        now += 1.1
        notifier.tick(lambda: True, lambda: "audio")
        assert systemd.received() == ["WATCHDOG=1", "STATUS=audio"]


@needs_unix
def test_a_missing_socket_is_no_error(tmp_path: Path, samples: bytes) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "missing")}
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "-", "--rate", str(RATE)]
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1


def test_without_systemd_the_notifier_is_not_imported(samples: bytes) -> None:
    program = (
        "import sys; from ser_edge.cli.app import main; main(sys.argv[1:]); "
        "print('ser_edge.service.systemd_notify' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "-", "--rate", str(RATE)]
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == b"False"


def test_a_service_prints_a_plain_line_for_each_window(tmp_path: Path, samples: bytes) -> None:
    """Neither stream is a terminal."""
    command = [sys.executable, "-m", "ser_edge", "-", "--rate", str(RATE)]
    environment = {**os.environ, "TERM": "xterm-256color"}
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=True)
    assert re.fullmatch(rb"(\d\d:\d\d\.\d-\d\d:\d\d\.\d  [^\x1b\r\n]+\n){10,}", done.stdout)
    assert b"\x1b" not in done.stderr
    assert b"\r" not in done.stderr


def test_the_command_prints_every_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(UNITS) == options.UNITS
    for kind in UNITS:
        assert main(["--unit", kind]) == 0
        assert capsys.readouterr().out == unit(kind)


def test_a_unit_keeps_how_the_command_recognises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(Recognizer("crnn.onnx").path, tmp_path / "mine.onnx")
    choice = ["--labels", "happy, sad,Ärger", "--map=calm=happy", "--map", "angry=Ärger"]
    assert main(["--unit", "user", "--model", "mine.onnx", "--threshold", "0.3", *choice, "--no-gate"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(line.partition(" -m ser_edge ")[2])
    assert "SER_EDGE_OPTIONS" not in line  # ser-edge reads it itself
    kept = rules.parse(words)
    assert (kept.model, kept.threshold, kept.no_gate) == (str(tmp_path / "mine.onnx"), 0.3, True)
    assert (kept.labels, kept.map) == (["happy", "sad", "Ärger"], [("calm", "happy"), ("angry", "Ärger")])


def test_a_word_of_a_unit_is_what_systemd_reads_it_as() -> None:
    (line,) = (line for line in unit("user", ["--map=calm=50 %", "--map=sad=$x"]).splitlines() if "ExecStart" in line)
    assert '--mic "--map=calm=50 %%" "--map=sad=$$x"' in line


@pytest.mark.parametrize("kind", UNITS)
def test_systemd_accepts_the_unit(kind: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no unit is verified without systemd-analyze")
    path = tmp_path / "ser-edge.service"
    path.write_text(unit(kind, ["--labels=happy,a b", "--map=sad=$x %n"]))
    command: list[Any] = [tool, "verify", "--man=no", *["--user"] * (kind == "user"), path]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, str(path) in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/opt/ser-edge/bin/python3.11", "/opt/ser-edge/bin/python3.11"),
        ("/home/ü b/100%/python", '"/home/ü b/100%%/python"'),
        ('/a"\\b/python', r'"/a\"\\b/python"'),
    ],
)
def test_the_unit_runs_the_python_that_printed_it(
    path: str, quoted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", path)
    assert f"\nExecStart={quoted} -P -m ser_edge --mic\n" in unit("user")
