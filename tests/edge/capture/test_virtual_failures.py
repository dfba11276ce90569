"""Losing a real device without hardware: cards and sound servers that go, freeze, and come back."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.edge.capture.pulse_audio import MARKS, Reader, Server, assert_recorded, until

pytestmark = MARKS


@pytest.mark.parametrize(
    ("lose", "restore"), [(Server.unload, Server.load), (Server.stop, Server.start)], ids=["card", "server"]
)
def test_a_lost_card_or_server_is_reopened_when_it_is_back(
    server: Server,
    file: Path,
    sound: npt.NDArray[np.float32],
    lose: Callable[[Server], None],
    restore: Callable[[Server], None],
) -> None:
    with Reader() as reader:
        server.play(file)
        lose(server)
        until(lambda: not reader.health.listening)
        time.sleep(1)
        restore(server)
        until(lambda: reader.health.reconnections == 1)
        server.play(file)
        assert_recorded(reader, sound, 2)
        assert reader.health.listening


@pytest.mark.parametrize("seconds", [1.3, 3.5])  # before it is opened anew, and after
def test_a_suspended_source_is_recorded_when_it_is_resumed(
    server: Server, file: Path, sound: npt.NDArray[np.float32], seconds: float
) -> None:
    with Reader() as reader:
        server.play(file)
        time.sleep(0.3)  # until it has arrived
        server.pactl("suspend-source", "mic", "1")
        time.sleep(seconds)
        assert not reader.health.listening
        server.pactl("suspend-source", "mic", "0")
        until(lambda: reader.health.listening)
        server.play(file)
        assert_recorded(reader, sound, 2)
        assert reader.health.reconnections == (seconds > 2)


def test_a_frozen_sound_server_is_reopened_when_it_thaws(
    server: Server, file: Path, sound: npt.NDArray[np.float32]
) -> None:
    with Reader() as reader:
        server.play(file)
        time.sleep(0.3)
        server.freeze()
        try:
            time.sleep(3.5)  # PortAudio hangs in closing it
            assert not reader.health.listening
        finally:
            server.thaw()
        until(lambda: reader.health.reconnections == 1)
        server.play(file)
        assert_recorded(reader, sound, 2)


@pytest.mark.parametrize("harm", ["unload", "stop", "suspend"])
def test_closing_never_hangs(server: Server, harm: str) -> None:
    with Reader() as reader:
        if harm == "suspend":
            server.pactl("suspend-source", "mic", "1")
        else:
            getattr(server, harm)()
        until(lambda: not reader.health.listening)
        time.sleep(0.3)


PROGRAM = """
import json, sys, time
from ser_edge.capture.microphone import Microphone
with Microphone(16000, "testmic") as microphone:
    samples, ending = 0, None
    for piece in microphone:
        if samples == 0 and len(piece):
            print("listening", flush=True)
        samples += len(piece)
        if samples > 5 * 16000:
            ending = time.monotonic()
            break
print(json.dumps(time.monotonic() - ending))
"""


def test_a_frozen_sound_server_blocks_neither_reading_nor_the_end(server: Server) -> None:
    # In a process of its own: PortAudio hangs there for good, and the process must end all the same.
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        server.freeze()
        try:
            assert process.wait(15) == 0
            assert json.loads(process.stdout.readline()) < 6
        finally:
            process.kill()
            server.thaw()
    assert time.monotonic() - began == pytest.approx(9, abs=4)


def test_a_hung_microphone_sends_no_watchdog(server: Server, short_folder: Path) -> None:
    """So systemd restarts the service, if nothing else helps; meanwhile the status names the problem."""
    command = [sys.executable, "-m", "ser_edge", "--mic", "--device", "testmic", "--format", "json"]
    environment = {**os.environ, "NOTIFY_SOCKET": str(short_folder / "notify"), "WATCHDOG_USEC": "200000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(environment["NOTIFY_SOCKET"])
        notified.settimeout(10)

        def received(wanted: str) -> list[str]:
            """What comes up to a datagram with these words in it."""
            datagrams = [notified.recv(4096).decode()]
            while wanted not in datagrams[-1]:
                datagrams.append(notified.recv(4096).decode())
            return datagrams

        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        ) as process:
            assert received("WATCHDOG=1")[0] == "READY=1"
            server.freeze()
            try:
                received("no audio")
                assert not any("WATCHDOG=1" in received("no audio")[0] for _ in range(5))
            finally:
                server.thaw()
            received("WATCHDOG=1")
            process.terminate()
            received("STOPPING=1")
            assert process.wait(30) == 0


def test_without_a_sound_server_there_is_no_microphone(server: Server) -> None:
    server.stop()
    command = [sys.executable, "-c", PROGRAM.replace('"testmic"', "None")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ".MicrophoneError: " in done.stderr.splitlines()[-1]
