"""The end of a server: what can't be finished in time gets an answer that says so, and its thread gives up."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as stream

from ser_edge import Recognizer
from tests.edge.service.web.conftest import Service, eventually, make_service, running
from tests.edge.service.web.raw_http import answer, connect, upload


class _Slow:
    """A recognizer that takes a second for each chunk of a file."""

    def __init__(self, recognizer: Recognizer):
        self.metadata, self.create_stream = recognizer.metadata, recognizer.create_stream
        self.chunks = 0
        self.began, self.ended = threading.Event(), threading.Event()

    def file_predictions(self, sound: Any, timeline: bool) -> Iterator[Any]:
        try:
            for _ in sound.chunks:
                self.chunks += 1
                self.began.set()
                time.sleep(1)
                yield from ()
        finally:
            self.ended.set()


@pytest.fixture
def long_sound(tmp_path: Path) -> Path:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(8000 * 400), 8000, subtype="PCM_U8")
    return path


@pytest.fixture
def slow(recognizer: Recognizer) -> _Slow:
    return _Slow(recognizer)


@pytest.fixture
def service(slow: _Slow) -> Service:
    return make_service(slow, drain=2.0, last=1.0)  # type: ignore[arg-type]


def test_uploads_that_cannot_be_finished_are_refused(slow: _Slow, service: Service, long_sound: Path) -> None:
    """Those that are classified, one that waits, and one whose body doesn't come."""
    content = long_sound.read_bytes()
    with running(service) as (port, server), ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(port, upload(content)))) for _ in range(3)]
        clients.append(stack.enter_context(closing(connect(port, upload(content[:100], len(content))))))
        eventually(lambda: service.uploads.taken == 3)
        assert slow.began.wait(20)
        server.stop()
        for client in clients:
            status, body, head = answer(client)
            assert (status, body["code"]) == (503, "web-stopping")
            assert b"retry-after: 2" in head.lower()
    assert slow.ended.wait(20)
    assert slow.chunks < 100  # of 200


def test_a_stream_that_cannot_be_finished_is_an_error_and_its_close(service: Service) -> None:
    """A message of minutes, which takes longer than there is time."""
    service.limits = replace(service.limits, drain=1.0, last=1.0)
    with running(service) as (port, server), stream(f"ws://127.0.0.1:{port}/v1/stream?rate=4000&format=u8") as socket:
        socket.send(bytes(range(256)) * 4000)
        eventually(lambda: service.streams.taken == 1)
        server.stop()
        messages = list(map(json.loads, _until_closed(socket)))
    assert messages[-1]["code"] == "web-stopping"
    assert socket.close_code == 1012


def _until_closed(socket: ClientConnection) -> Iterator[Any]:
    with suppress(ConnectionClosed):
        while True:
            yield socket.recv(20)
