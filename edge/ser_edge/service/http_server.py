"""uvicorn with what it lacks: limits for connections without a request, and an end that answers everybody first.

Connections that have sent no request for a while, byte by byte or not at all, are closed; when all places are taken,
the one that has waited longest makes room for a new one. A client that doesn't read what it asked for is cut off.
"""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ser_edge.errors import SerEdgeError

_ANSWER = "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}"
_BACKLOG = 128  # connections that wait to be accepted


@dataclass(frozen=True)
class ConnectionLimits:
    """The limits of connections. Times are seconds."""

    connections: int = 256
    header: float = 10.0  # until a connection has sent a request
    write: float = 30.0  # for a client to read what was sent
    message: int = 1 << 20  # bytes, of a WebSocket's message
    drain: float = 10.0  # for requests and streams to end when the server is stopped
    last: float = 2.0  # of them for clients to read that theirs can't be waited for
    retry_after: int = 2  # for a client that was refused


@dataclass
class _Pool:
    """The connections of one server."""

    limits: ConnectionLimits
    idle: "dict[_Connection, None]" = field(default_factory=dict)  # those without a request, the oldest first


class _WriteTimeout:
    """Aborts a connection whose client doesn't read; for protocols of asyncio."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    pool: _Pool
    _unread: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._unread = self.loop.call_later(self.pool.limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self._read()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)  # type: ignore[misc]
        self._read()

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class _WebSocket(_WriteTimeout, WebSocketsSansIOProtocol):
    def __init__(self, *arguments: Any, pool: _Pool, **named: Any):
        super().__init__(*arguments, **named)
        self.pool = pool

    def shutdown(self) -> None:
        """Ends one that isn't closed yet; others wait for the client, which misses the close code if it is cut off."""
        if not self.close_sent:
            super().shutdown()

    async def send(self, message: Any) -> None:
        """As uvicorn's, which logs a handshake that was refused as one that was forgotten."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        """As uvicorn's, which logs texts that aren't UTF-8."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.conn.send_close(1007)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()


class _Connection(_WriteTimeout, H11Protocol):
    def __init__(self, *arguments: Any, pool: _Pool, **named: Any):
        super().__init__(*arguments, **named)
        self.pool = pool
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.pool.limits.connections:
            if not self.pool.idle:
                text = '{"error": "no place for another connection; try again later", "code": "web-busy"}\n'
                self._answer("503 Service Unavailable", text, f"Retry-After: {self.pool.limits.retry_after}\r\n")
                return
            next(iter(self.pool.idle)).time_is_up()
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_no_more()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._waits_no_more()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle is None or self.cycle.response_complete:
            self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._waits_no_more()

    def time_is_up(self) -> None:
        """Closes a connection without a request; one that has begun to send one is answered."""
        self._waits_no_more()
        if self.conn.trailing_data[0] and (self.cycle is None or self.cycle.response_complete):
            self._answer("408 Request Timeout", '{"error": "no request in time", "code": "web-too-slow"}\n')
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """To what isn't HTTP; after the beginning of an answer the connection is closed."""
        self._waits_no_more()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self._answer("400 Bad Request", '{"error": "not a request of HTTP/1.1", "code": "web-request"}\n')
        else:
            self.transport.close()

    def _wait(self) -> None:
        if not self.transport.is_closing():
            self._waits_no_more()
            self.pool.idle[self] = None
            self._timer = self.loop.call_later(self.pool.limits.header, self.time_is_up)

    def _waits_no_more(self) -> None:
        self.pool.idle.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _answer(self, status: str, text: str, header: str = "") -> None:
        self.transport.write(_ANSWER.format(status, len(text), header, text).encode())
        self.transport.close()


class Server(uvicorn.Server):
    """Serves an application until a signal comes.

    Args:
        app: the ASGI application.
        limits: of its connections.
        on_start: called when connections are accepted.
        on_tick: called ten times a second.
        on_stop: awaited when a signal came and no more are accepted; what it waits for may still be answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: ConnectionLimits,
        on_start: Callable[[], None],
        on_tick: Callable[[], None],
        on_stop: Callable[[], Awaitable[None]],
    ):
        pool = _Pool(limits)
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(_Connection, pool=pool),  # type: ignore[arg-type]
                ws=partial(_WebSocket, pool=pool),  # type: ignore[arg-type]
                ws_max_size=limits.message,
                ws_per_message_deflate=False,  # a kilobyte could be a megabyte
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",  # paths and tokens aren't logged
                access_log=False,
                server_header=False,
                forwarded_allow_ips=["127.0.0.1", "::1"],
            )
        )
        self._on_start, self._on_tick, self._on_stop, self._drain = on_start, on_tick, on_stop, limits.drain

    def stop(self) -> None:
        """As a signal does; from any thread."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called in a loop until it returns True."""
        self._on_tick()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections."""
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts no more, waits for `on_stop`, then for the last answers."""
        ends = asyncio.get_running_loop().time() + self._drain
        for server in self.servers:
            server.close()
        await self._on_stop()
        self.config.timeout_graceful_shutdown = max(1, round(ends - asyncio.get_running_loop().time()))
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # whoever is too slow now isn't a fault
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C stop the server; unlike uvicorn's, they don't end the process afterwards."""
        if threading.current_thread() is not threading.main_thread():  # which alone receives signals
            yield
            return
        numbers: list[int] = [signal.SIGINT, signal.SIGTERM]
        hangup = getattr(signal, "SIGHUP", None)  # of a terminal that is closed; Windows has none
        if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
            numbers.append(hangup)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at all addresses of a host; port 0 takes a free one.

    Raises:
        SerEdgeError: the address can't be used.
    """
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    try:
        found: Sequence[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            place = (address[0], sockets[0].getsockname()[1] if sockets else port)
            try:
                sockets.append(socket.create_server(place, family=family, backlog=_BACKLOG))
            except OSError as e:  # localhost may have an IPv6 address on a machine without IPv6
                failure = e
                if e.errno == errno.EADDRINUSE:
                    raise
        if failure and not sockets:
            raise failure
    except OSError as e:
        for opened in sockets:
            opened.close()
        reason = str(e.strerror).partition(" (while ")[0]  # Python adds the address, as a tuple
        shown = f"[{host}]" if ":" in host else host
        problem = f"--serve {shown}:{port}: can't listen there ({reason}); choose another port or address"
        raise SerEdgeError(problem, code="web-address") from e
    return sockets
