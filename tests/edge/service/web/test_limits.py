"""What is too large, too slow or too much gets a status within its limit, and others are unharmed."""

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.edge.service.web.conftest import Client, Limits, eventually

RATE = 16_000


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 20)
    connection.sendall(data)
    return connection


def answer(connection: socket.socket) -> tuple[int, dict[str, Any], bytes]:
    """Status and body of an answer that is closed after it, or has a length; and its headers."""
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return int(head.split()[1]), json.loads(body), head


def upload(content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode() + content


def flac(seconds: float, rate: int = RATE, channels: int = 1) -> bytes:
    """Silence: hours of it in a megabyte."""
    file = io.BytesIO()
    block = np.zeros((rate, channels), np.int16)
    with soundfile.SoundFile(file, "w", rate, channels, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(round(seconds)):
            sound.write(block)
    return file.getvalue()


def is_well(port: int, sound: Path) -> None:
    with closing(connect(port, upload(sound.read_bytes()))) as connection:
        assert answer(connection)[0] == 200


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


@pytest.mark.parametrize("form", [False, True])
def test_a_form_has_the_same_limit(form: bool, client_of: Callable[..., Client]) -> None:
    client = client_of(bytes=1000)
    content = bytes(2000)
    answer = client.post("/v1/predict", **({"files": {"file": content}} if form else {"content": content}))
    assert (answer.status_code, answer.json()["code"]) == (413, "web-too-large")
    assert client.service.memory._left == Limits.memory


@pytest.mark.parametrize("timeline", ["0", "1"])
def test_a_small_file_with_hours_of_silence_is_refused_while_it_is_decoded(
    timeline: str, client_of: Callable[..., Client]
) -> None:
    bomb = flac(7200)
    assert len(bomb) < 1 << 20
    decoded = 0.0
    client = client_of(seconds=20.0)
    answer = client.post(f"/v1/predict?timeline={timeline}", content=bomb)
    assert (answer.status_code, answer.json()["code"]) == (413, "audio-too-long")
    text = client.get("/metrics").text
    decoded = float(text.partition('inference_seconds_total{kind="upload"} ')[2].split()[0])
    assert decoded < 5, "all of it was decoded"
    assert client.post("/v1/predict", content=flac(10)).status_code == 200


def test_many_channels_at_a_high_rate_count_as_well(client_of: Callable[..., Client]) -> None:
    client = client_of(seconds=5.0, samples_per_second=48_000)
    answer = client.post("/v1/predict", content=flac(4, 96_000, 8))
    assert (answer.status_code, answer.json()["code"]) == (413, "audio-too-long")


@pytest.mark.parametrize("content", [b"OggS" * (1 << 20), b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * (1 << 20)])
def test_a_file_that_keeps_a_decoder_searching_is_given_up(content: bytes, client_of: Callable[..., Client]) -> None:
    """Megabytes of what could be the beginning of something took minutes."""
    client = client_of(search=0.05)
    began = time.monotonic()
    answer = client.post("/v1/predict", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "audio-too-long")
    assert time.monotonic() - began < 5


def test_classifying_takes_no_longer_than_it_may(client_of: Callable[..., Client], sounds: list[Path]) -> None:
    answer = client_of(classify=0.0).post("/v1/predict", content=sounds[0].read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (413, "audio-too-long")


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


def test_a_thousand_connections_shut_nobody_out(server_of: Callable[..., int], sounds: list[Path]) -> None:
    port = server_of(connections=20)
    with ExitStack() as stack:
        for number in range(1000):
            stack.enter_context(closing(connect(port, b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")))
            if number % 200 == 0:
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


class Slow:
    """A recognizer that waits for the test before each answer."""

    def __init__(self, recognizer: Any):
        self._recognizer = recognizer
        self.metadata = recognizer.metadata
        self.go = threading.Event()

    def file_predictions(self, *arguments: Any) -> Any:
        assert self.go.wait(20)
        return self._recognizer.file_predictions(*arguments)


@pytest.fixture
def busy(client_of: Callable[..., Client]) -> Iterator[Callable[..., tuple[Client, list[int]]]]:
    """What fills a server with uploads that wait; gives it, and the list that their statuses go into."""
    with ExitStack() as stack:

        def fill(uploads: int, content: bytes, **limits: Any) -> tuple[Client, list[int]]:
            client = stack.enter_context(client_of(**limits))  # one event loop for all its requests
            slow = client.service.recognizer = Slow(client.service.recognizer)  # type: ignore[assignment]
            statuses: list[int] = []
            threads = [
                threading.Thread(
                    target=lambda: statuses.append(client.post("/v1/predict", content=content).status_code)
                )
                for _ in range(uploads)
            ]
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            stack.callback(slow.go.set)
            eventually(lambda: client.service.uploads.taken == uploads)
            return client, statuses

        yield fill


@pytest.mark.parametrize(
    ("limits", "status", "code"), [({"queue": 4}, 503, "web-busy"), ({"client_queue": 4}, 429, "web-client-busy")]
)
def test_a_full_queue_refuses_at_once_and_answers_those_inside(
    limits: dict[str, int], status: int, code: str, busy: Any, sounds: list[Path]
) -> None:
    client, statuses = busy(4, sounds[0].read_bytes(), **limits)
    refusal = client.post("/v1/predict", content=b"x")
    assert (refusal.status_code, refusal.json()["code"], refusal.headers["retry-after"]) == (status, code, "2")
    assert client.get("/healthz").status_code == 200
    assert "ser_edge_uploads 4.0" in client.get("/metrics").text
    client.service.recognizer.go.set()
    eventually(lambda: statuses == [200] * 4)


def test_whoever_waits_too_long_for_a_turn_is_told_to_come_again(busy: Any, sounds: list[Path]) -> None:
    client, statuses = busy(4, sounds[0].read_bytes(), wait=0.2)
    eventually(lambda: statuses == [503, 503])
    client.service.recognizer.go.set()
    eventually(lambda: sorted(statuses) == [200, 200, 503, 503])


def test_uploads_share_a_memory(busy: Any, sounds: list[Path]) -> None:
    content = sounds[0].read_bytes()
    client, statuses = busy(2, content, memory=2 * len(content))
    refusal = client.post("/v1/predict", content=b"x")
    assert (refusal.status_code, refusal.json()["code"]) == (503, "web-busy")
    client.service.recognizer.go.set()
    eventually(lambda: statuses == [200, 200])
    assert client.post("/v1/predict", content=content).status_code == 200


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
