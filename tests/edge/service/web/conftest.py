"""A server in this process with limits of its choice, and the command in another one."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio import CapacityLimiter
from starlette.testclient import TestClient

from ser_edge import Recognizer
from ser_edge.service.http_server import Server, listen
from ser_edge.service.web.app import application
from ser_edge.service.web.events import Broadcast
from ser_edge.service.web.limits import Limits
from ser_edge.service.web.service import Access, Metrics, Service

PLACE = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    return Recognizer("small")


def make_service(recognizer: Recognizer, access: Access | None = None, root_path: str = "", **limits: Any) -> Service:
    return Service(
        recognizer,
        "how accurate it is",
        CapacityLimiter(2),
        CapacityLimiter(2),
        Limits(**limits),
        access or Access(),
        root_path,
    )


class Client(TestClient):
    """A client of an application; `stream` is the address of its WebSocket."""

    def __init__(self, service: Service, broadcast: Broadcast | None = None, page: Path = Path("missing")):
        super().__init__(application(service, broadcast, page), base_url=PLACE)
        self.service = service
        self.stream = f"{PLACE.replace('http', 'ws')}{service.root_path}/v1/stream"


@pytest.fixture
def client_of(recognizer: Recognizer) -> Iterator[Callable[..., Client]]:
    """What makes a client of a server with this access and these limits; all its requests are in one event loop."""
    with ExitStack() as stack:

        def make(page: Path = Path("missing"), microphone: bool = False, **settings: Any) -> Client:
            service = make_service(recognizer, **settings)
            return stack.enter_context(Client(service, Broadcast(service.metrics) if microphone else None, page))

        yield make


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of()


@pytest.fixture
def server_of(recognizer: Recognizer) -> Iterator[Callable[..., int]]:
    """What starts a server with these limits in a thread, and gives its port; it ends with the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> int:
            return stack.enter_context(running(make_service(recognizer, **settings)))[0]

        yield start


@contextmanager
def running(service: Service) -> Iterator[tuple[int, Server]]:
    """A server in a thread, and its port."""
    started = threading.Event()

    async def on_stop() -> None:
        await service.drain()

    sockets = listen("127.0.0.1", 0)
    server = Server(application(service), service.limits, started.set, lambda: None, on_stop)
    thread = threading.Thread(target=server.run, args=(sockets,))
    port = sockets[0].getsockname()[1]
    thread.start()
    assert started.wait(20)
    try:
        yield port, server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def command(*options: str, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`ser-edge --serve` at a free port, and its address."""

    words = [sys.executable, "-m", "ser_edge", "--model", "small", "--serve", "127.0.0.1:0", *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, encoding="utf-8", env={**os.environ, **environment})
    assert process.stderr
    try:
        for line in process.stderr:
            if found := re.search(r"serving (http://[^ ]*?)/? ", line):
                yield process, found[1]
                break
        else:
            raise AssertionError(f"it ended with {process.wait()}")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.01)


__all__ = [
    "PLACE",
    "Access",
    "Client",
    "Limits",
    "Metrics",
    "Service",
    "command",
    "eventually",
    "make_service",
    "running",
]
