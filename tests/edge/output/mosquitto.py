"""A Mosquitto broker, a subscriber, and the command, for tests."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import soundfile

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
RATE = 16_000
COMMAND = [sys.executable, "-m", "ser_edge", "--format", "json"]
TOPIC, AVAILABILITY = "home/living room", "home/living room/availability"

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="no broker without mosquitto")


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


class Mosquitto:
    """A broker on a free port; retained messages are lost when it stops."""

    def __init__(self, folder: Path, *settings: str):
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}/home/living%20room"
        self._settings = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *(settings or ["allow_anonymous true"])]
        if os.name == "posix" and os.geteuid() == 0:
            lines.append("user root")  # or it couldn't read the test's files
        self._settings.write_text("\n".join(lines) + "\n")
        self.log = folder / "mosquitto.log"

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-v", "-c", self._settings], stderr=log, stdout=log)
        until(self._answers)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False


class Subscriber:
    """Receives the messages of all topics, retained ones too."""

    def __init__(self, port: int, **credentials: str):
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        self.subscriptions = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if credentials:
            self._client.username_pw_set(**credentials)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = lambda _, __, message: self.received[message.topic].append(message.payload.decode())
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)

    def _subscribed(self, *_: Any) -> None:
        self.subscriptions += 1

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        until(lambda: self.subscriptions)
        return self

    def __exit__(self, *_: Any) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def state(self) -> str:
        """The last availability received."""
        return (self.received[AVAILABILITY] or [""])[-1]


def retained(broker: Mosquitto) -> dict[str, str]:
    """The messages that a new subscriber receives."""
    with Subscriber(broker.port) as subscriber:
        until(lambda: AVAILABILITY in subscriber.received)
        return {topic: texts[0] for topic, texts in subscriber.received.items()}


def ser_edge(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=120, check=False, **options
    )
    assert "Traceback" not in done.stderr
    return done


class StreamCommand:
    """`ser-edge -`, and its standard input."""

    def __init__(self, broker: Mosquitto, *options: str):
        pipe = subprocess.PIPE
        command = [*COMMAND, "--mqtt", broker.url, "-", "--rate", str(RATE), *options]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def __enter__(self) -> "StreamCommand":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        with self.process:  # closes its pipes
            pass

    def send(self, talk: Path) -> None:
        self.process.stdin.write(soundfile.read(talk, dtype="int16")[0].tobytes())
        self.process.stdin.flush()

    def line(self) -> str:
        return self.process.stdout.readline().decode().rstrip("\n")

    def end(self) -> tuple[list[str], str]:
        """(remaining lines, standard error)."""
        out, errors = self.process.stdout.read(), self.process.stderr.read()
        self.process.wait(timeout=60)
        return out.decode().splitlines(), errors.decode()
