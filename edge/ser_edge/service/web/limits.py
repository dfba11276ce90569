"""What one request, one client and all of them together may use; whoever wants more is refused with a status."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import Scope

from ser_edge.errors import SerEdgeError
from ser_edge.service.http_server import ConnectionLimits


@dataclass(frozen=True)
class Limits(ConnectionLimits):
    """The limits of a server. Times are seconds."""

    bytes: int = 64 << 20  # of a request's body
    seconds: float = 600.0  # of sound in an upload, decoded
    samples_per_second: int = 192_000  # of all channels together, on average, in these seconds
    classify: float = 300.0  # that decoding and classifying an upload may take
    search: float = 10.0  # of them for the decoder to find the next piece of sound
    queue: int = 128  # uploads that are classified or wait for it
    client_queue: int = 96  # of one client among them
    wait: float = 30.0  # for their turn
    memory: int = 256 << 20  # bytes of all uploads that are being received, wait, or are classified
    streams: int = 32
    client_streams: int = 24
    viewers: int = 64  # of the microphone
    client_viewers: int = 16
    idle: float = 60.0  # without a message, until a stream is closed
    body: float = 10.0  # until a body has begun; then one more for each `body_rate` bytes that came
    body_rate: int = 32 << 10  # bytes per second, on average
    body_most: float = 300.0

    @classmethod
    def of(cls, max_bytes: int | None, max_seconds: float | None) -> "Limits":
        """The usual ones but for these of an upload, of which at least one fits into the memory."""
        usual = cls()
        size = max_bytes or usual.bytes
        return replace(usual, bytes=size, seconds=max_seconds or usual.seconds, memory=max(usual.memory, size))


class Refusal(SerEdgeError):
    """A request that isn't served, and the HTTP status that says so."""

    code = "web-request"

    def __init__(self, message: str, *, code: str, status: int, retry_after: int | None = None):
        super().__init__(message, code=code)
        self.status, self.retry_after = status, retry_after


class Places:
    """So many of something at the same time, and so many for one client."""

    def __init__(self, what: str, total: int, for_client: int, retry_after: int):
        self._what, self._total, self._for_client, self._retry_after = what, total, for_client, retry_after
        self._clients: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many there are now."""
        return self._clients.total()

    def check(self, client: str) -> None:
        """Raises Refusal where this client would get none."""
        if self._clients[client] >= self._for_client:
            problem = f"{self._for_client} {self._what} of this client already; wait for one to end"
            raise Refusal(problem, code="web-client-busy", status=429, retry_after=self._retry_after)
        if self.taken >= self._total:
            problem = f"{self._total} {self._what} already; try again later"
            raise Refusal(problem, code="web-busy", status=503, retry_after=self._retry_after)

    @contextmanager
    def take(self, client: str) -> Iterator[None]:
        """Holds one inside the block; raises Refusal where this client gets none."""
        self.check(client)
        self._clients[client] += 1
        try:
            yield
        finally:
            self._clients[client] -= 1
            self._clients += Counter()  # forgets clients that have none


class Memory:
    """Bytes of uploads, all together."""

    def __init__(self, total: int, retry_after: int):
        self._left, self._retry_after = total, retry_after

    def take(self, size: int) -> None:
        """Raises Refusal where so many aren't left."""
        if size > self._left:
            problem = "no memory for another upload now; try again later"
            raise Refusal(problem, code="web-busy", status=503, retry_after=self._retry_after)
        self._left -= size

    def give_back(self, size: int) -> None:
        """After `take`."""
        self._left += size


def client_of(connection: HTTPConnection) -> str:
    """The address that limits are counted for."""
    return connection.client.host if connection.client else ""


def route_path(scope: Scope) -> str:
    """The path below the prefix of a proxy."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def body_of(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The body's chunks, as they come.

    Raises:
        Refusal: larger than `limits.bytes`, known by Content-Length or as it comes; or too slow.
        ClientDisconnect: the client is gone.
    """
    try:
        declared = int(request.headers.get("content-length") or 0)
    except ValueError:  # the server's parser refuses it before
        declared = 0
    if declared > limits.bytes:
        raise _too_large(limits)
    began, received = time.monotonic(), 0
    while True:
        allowed = min(limits.body + received / limits.body_rate, limits.body_most)
        try:
            async with asyncio.timeout(began + allowed - time.monotonic()):
                message = await request.receive()
        except TimeoutError:
            problem = f"{received} bytes of the body in {allowed:.0f} s; send it faster"
            raise Refusal(problem, code="web-too-slow", status=408) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limits.bytes:
            raise _too_large(limits)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


def _too_large(limits: Limits) -> Refusal:
    problem = f"a body of more than {limits.bytes} bytes; send a shorter or compressed sound, or stream it"
    return Refusal(problem, code="web-too-large", status=413)
