"""Connections that are too slow, send too much, or are too many, get a status in time; others are unharmed."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from ser_edge.service.web.limits import Limits
from tests.edge.service.web.conftest import eventually
from tests.edge.service.web.raw_http import answer, connect, is_well, upload


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(server_of: Callable[..., int]) -> None:
    port = server_of()
    with closing(connect(port, upload(b"", 2 << 30))) as connection:
        began = time.monotonic()
        assert answer(connection)[:2][0] == 413
        assert time.monotonic() - began < Limits.body / 2
    expecting = upload(b"", 2 << 30).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    with closing(connect(port, expecting)) as connection:
        assert answer(connection)[0] == 413  # and no 100 Continue


def test_a_body_of_unknown_length_is_refused_when_it_gets_too_large(server_of: Callable[..., int]) -> None:
    port = server_of(bytes=1 << 20)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(connect(port, head)) as connection:
        for _ in range(20):
            connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        status, body, _ = answer(connection)
    assert (status, body["code"]) == (413, "web-too-large")


@pytest.mark.parametrize("sent", [b"", b"RIFF", b"x" * 500])
def test_a_half_sent_body_is_given_up(sent: bytes, server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of(body=0.2, body_rate=1000)
    began = time.monotonic()
    with closing(connect(port, upload(sent, 1000))) as connection:
        is_well(port, sounds[0])
        status, body, _ = answer(connection)
    assert (status, body["code"]) == (408, "web-too-slow")
    assert time.monotonic() - began >= 0.2 + len(sent) / 1000


def test_a_trickling_body_is_given_up(server_of: Callable[..., int]) -> None:
    port = server_of(body=0.3, body_rate=1000)
    with closing(connect(port, upload(b"", 1000))) as connection:
        sender = threading.Thread(target=trickle, args=(connection, b"x"), daemon=True)
        sender.start()
        assert answer(connection)[0] == 408


def trickle(connection: socket.socket, data: bytes) -> None:
    try:
        for _ in range(200):
            connection.sendall(data)
            time.sleep(0.05)
    except OSError:
        pass


def test_a_client_that_is_killed_leaves_nothing_behind(server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of()
    content = sounds[0].read_bytes()
    for sent in (upload(content, 2 * len(content)), upload(content), upload(content)[:30]):
        connection = connect(port, sent)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # resets
        connection.close()
    is_well(port, sounds[0])
    eventually(lambda: " 0.0" in metric(port, "ser_edge_uploads "))


def metric(port: int, name: str) -> str:
    request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n"
    with closing(connect(port, request)) as connection:
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return next(line for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_connection_without_a_request_is_closed(sent: bytes, server_of: Callable[..., int]) -> None:
    """Slow-loris: headers byte by byte, without an end."""
    port = server_of(header=0.3)
    with closing(connect(port, sent)) as connection:
        if sent:
            threading.Thread(target=trickle, args=(connection, b"x"), daemon=True).start()
            status, body, _ = answer(connection)
            assert (status, body["code"]) == (408, "web-too-slow")
        else:
            assert connection.recv(100) == b""


def test_a_connection_between_two_requests_is_closed(server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of(header=0.3)
    with closing(connect(port, upload(sounds[0].read_bytes()))) as connection:
        assert answer(connection)[0] == 200
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert answer(connection)[0] == 408


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        "EHLO localhost\r\n\r\n",
    ],
)
def test_what_is_not_http_is_an_error_with_a_code(head: str, server_of: Callable[..., int]) -> None:
    with closing(connect(server_of(), head.encode())) as connection:
        status, body, _ = answer(connection)
    assert (status, body["code"]) == (400, "web-request")


def test_a_body_that_ends_as_no_http_is_an_error(server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(connect(port, head)) as connection:
        connection.sendall(b"4\r\nRIFF\r\nno number\r\n")
        assert answer(connection)[0] == 400
    is_well(port, sounds[0])


def test_nothing_that_a_client_sends_is_logged(
    server_of: Callable[..., int], caplog: pytest.LogCaptureFixture, sounds: list[Path]
) -> None:
    port = server_of()
    form = upload(b"--other\r\n\r\nx").replace(b"\r\n", b"\r\nContent-Type: multipart/form-data; boundary=b\r\n", 1)
    with closing(connect(port, form)) as connection:
        assert answer(connection)[0] == 400
    handshake = (
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {}\r\n\r\n"
    )
    refused = [("/v1/stream", "evil.example", 13), ("/v1/nothing", "localhost", 13), ("/v1/stream", "localhost", 12)]
    for place in refused:
        with closing(connect(port, handshake.format(*place).encode())) as connection:
            assert b"HTTP/1.1 4" in connection.recv(65536)
            assert not b"".join(iter(lambda: connection.recv(65536), b"")).startswith(b"HTTP")
    with closing(connect(port, handshake.format("/v1/stream", "localhost", 13).encode())) as connection:
        assert b"HTTP/1.1 101" in connection.recv(65536)
        connection.sendall(b"\x81\x81\0\0\0\0\xff")  # a text that isn't UTF-8
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == b"\x88\x02\x03\xef"
    is_well(port, sounds[0])
    assert [record for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


def test_many_connections_shut_nobody_out(server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of(connections=20)
    with ExitStack() as stack:
        for number in range(150):  # macOS lets a process open 256 files
            stack.enter_context(closing(connect(port, b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")))
            if number % 30 == 0:
                is_well(port, sounds[0])
        is_well(port, sounds[0])


def test_when_every_place_is_taken_by_a_request_others_are_told_when_to_come_again(
    server_of: Callable[..., int], sounds: list[Path]
) -> None:
    port = server_of(connections=3, body=60.0)
    with ExitStack() as stack:
        held = [stack.enter_context(closing(connect(port, upload(b"RI", 1000)))) for _ in range(3)]
        time.sleep(0.2)
        status, body, head = answer(stack.enter_context(closing(connect(port))))
        assert (status, body["code"]) == (503, "web-busy")
        assert b"Retry-After: 2" in head
        held[0].close()
        eventually(lambda: answers(port, sounds[0]))


def answers(port: int, sound: Path) -> bool:
    with closing(connect(port)) as connection:
        try:
            connection.sendall(upload(sound.read_bytes()))
            return answer(connection)[0] == 200
        except OSError:
            return False


def test_a_message_of_a_stream_has_a_limit(server_of: Callable[..., int]) -> None:
    from websockets.exceptions import ConnectionClosedError
    from websockets.sync.client import connect as stream

    port = server_of(message=1000)
    with stream(f"ws://127.0.0.1:{port}/v1/stream") as websocket:
        websocket.send(bytes(1001))
        with pytest.raises(ConnectionClosedError) as closed:
            websocket.recv(20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_client_that_does_not_read_is_cut_off(server_of: Callable[..., int]) -> None:
    """A thousand pipelined requests, and none of their answers read."""
    port = server_of(write=0.3)
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection = socket.socket()
    with closing(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.settimeout(20)
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            connection.sendall(request * 1_000_000)
