"""As a service: what systemd is told, and the units it reads."""

import os
import re
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

from ser_edge.cli import args as options
from ser_edge.cli.app import main
from ser_edge.service.systemd_unit import UNITS, unit

RATE = 16_000

needs_unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no systemd without Unix sockets")


class Systemd:
    """The end of $NOTIFY_SOCKET that listens."""

    def __init__(self, address: str):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def told(self, seconds: float = 20.0) -> list[str]:
        """The lines of the next datagram; none, if none comes in time."""
        self._socket.settimeout(seconds)
        with suppress(TimeoutError):
            return self._socket.recv(4096).decode().splitlines()
        return []

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    address = f"@{tmp_path}" if request.param == "abstract" else str(tmp_path / "notify")
    with closing(Systemd(address)) as systemd:
        yield systemd


@pytest.fixture(scope="module")
def samples(sounds: list[Path]) -> bytes:
    """Ten seconds of speech, 16 bits."""
    return np.concatenate([soundfile.read(path, dtype="int16")[0] for path in sounds]).tobytes()


def listening(systemd: Systemd, **watchdog: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "-", "--rate", str(RATE)]
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.address, **watchdog}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def say(process: "subprocess.Popen[bytes]", samples: bytes) -> None:
    assert process.stdin
    process.stdin.write(samples)
    process.stdin.flush()


@needs_unix
def test_it_is_ready_then_alive_as_long_as_sound_comes_then_stopping(systemd: Systemd, samples: bytes) -> None:
    with listening(systemd, WATCHDOG_USEC="1000") as process:
        assert systemd.told() == ["READY=1"]
        assert systemd.told(0.2) == []  # no sound, no life
        for _ in range(2):
            say(process, samples[: RATE // 5])
            assert systemd.told() == ["WATCHDOG=1", "STATUS=standard input 16 kHz"]
            assert systemd.told(0.2) == []
        process.send_signal(signal.SIGTERM)
        assert systemd.told() == ["STOPPING=1"]
        assert process.wait(timeout=60) == 0
        assert b" s of audio, " in process.stderr.read()


@needs_unix
@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "3600000000"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_a_status_is_told_no_more_often_than_needed(watchdog: dict[str, str], tmp_path: Path, samples: bytes) -> None:
    life = ["WATCHDOG=1"] * (watchdog.keys() == {"WATCHDOG_USEC"})
    with closing(Systemd(str(tmp_path / "notify"))) as systemd:
        with listening(systemd, **watchdog) as process:
            process.communicate(samples, timeout=60)
        assert process.returncode == 0
        assert systemd.told() == ["READY=1"]
        assert systemd.told() == [*life, "STATUS=standard input 16 kHz"]
        assert systemd.told() == ["STOPPING=1"]
        assert systemd.told(0.1) == []


@needs_unix
def test_a_systemd_that_is_not_there_is_no_error(tmp_path: Path, samples: bytes) -> None:
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "missing")}
    command = [sys.executable, "-m", "ser_edge", "--format", "json", "-", "--rate", str(RATE)]
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr.count(b"\n") == 1


def test_without_systemd_nothing_of_it_is_imported(samples: bytes) -> None:
    program = (
        "import sys; from ser_edge.cli.app import main; main(sys.argv[1:]); "
        "print('ser_edge.service.systemd_notify' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "-", "--rate", str(RATE)]
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == b"False"


def test_a_service_says_a_plain_line_for_each_window(tmp_path: Path, samples: bytes) -> None:
    """As the journal has it: neither stream is a terminal."""
    command = [sys.executable, "-m", "ser_edge", "-", "--rate", str(RATE)]
    environment = {**os.environ, "TERM": "xterm-256color"}
    done = subprocess.run(command, input=samples, env=environment, capture_output=True, timeout=60, check=True)
    assert re.fullmatch(rb"(\d\d:\d\d\.\d-\d\d:\d\d\.\d  [^\x1b\r\n]+\n){10,}", done.stdout)
    assert b"\x1b" not in done.stderr
    assert b"\r" not in done.stderr


def test_the_command_offers_the_units_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(UNITS) == options.UNITS
    for kind in UNITS:
        assert main(["--unit", kind]) == 0
        assert capsys.readouterr().out == unit(kind)


@pytest.mark.parametrize("kind", UNITS)
def test_systemd_takes_the_unit(kind: str, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("no unit is verified without systemd-analyze")
    path = tmp_path / "ser-edge.service"
    path.write_text(unit(kind))
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
    assert f"\nExecStart={quoted} -P -m ser_edge --mic $SER_EDGE_OPTIONS\n" in unit("user")
