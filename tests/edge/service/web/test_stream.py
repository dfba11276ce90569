"""`WS v1/stream`: the windows are those of the command, however the samples are cut."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import WebSocketTestSession

from ser_edge.cli.app import main
from tests.edge.service.web.conftest import Client

RATE = 16_000


def windows(socket: WebSocketTestSession) -> tuple[list[dict[str, Any]], int]:
    """All that comes until it is closed, and the code of that."""
    found: list[dict[str, Any]] = []
    while (message := socket.receive())["type"] != "websocket.close":
        found.append(json.loads(message["text"]))
    return found, message["code"]


def expected(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    assert main(["--format", "json", "--model", "small", "--timeline", *options, str(path)]) == 0
    return [json.loads(line) | {"path": None} for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("size", [700, 3_199, 400_000])
def test_the_windows_are_those_of_a_timeline(
    size: int, client: Client, talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, _ = soundfile.read(talk, dtype="int16")
    data = samples.tobytes()
    with client.websocket_connect(f"{client.stream}?rate={RATE}") as socket:
        for start in range(0, len(data), size):
            socket.send_bytes(data[start : start + size])
        socket.send_text("end")
        assert windows(socket) == (expected(talk, capsys), 1000)


@pytest.mark.parametrize(("name", "dtype", "scale"), [("f32", "<f4", 1), ("s32", "<i4", 1 << 31), ("f64", "<f8", 1)])
def test_formats_and_channels_are_those_of_raw_samples(
    name: str, dtype: str, scale: int, client: Client, talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, _ = soundfile.read(talk)
    both = np.stack([samples, samples], axis=1) * scale
    with client.websocket_connect(f"{client.stream}?rate={RATE}&format={name}&channels=2") as socket:
        socket.send_bytes(both.astype(dtype).tobytes()[:800_000])
        socket.send_bytes(both.astype(dtype).tobytes()[800_000:])
        socket.send_text("end")
        assert windows(socket) == (expected(talk, capsys), 1000)


def test_a_window_comes_as_soon_as_it_is_complete(client: Client, talk: Path) -> None:
    data = soundfile.read(talk, dtype="int16")[0].tobytes()
    with client.websocket_connect(client.stream) as socket:
        socket.send_bytes(data[: 2 * RATE * 31 // 10])
        assert socket.receive_json()["end"] == pytest.approx(3, abs=0.05)
        socket.send_bytes(data[2 * RATE * 31 // 10 : 2 * 4 * RATE])
        assert socket.receive_json()["end"] == pytest.approx(3.5, abs=0.05)
        socket.close()


def test_a_threshold_is_that_of_the_command(client: Client, talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = soundfile.read(talk, dtype="int16")[0].tobytes()
    with client.websocket_connect(f"{client.stream}?threshold=0.9") as socket:
        socket.send_bytes(data)
        socket.send_text("end")
        found, _ = windows(socket)
    assert found == expected(talk, capsys, "--threshold", "0.9")
    assert "uncertain" in {window["label"] for window in found}


def test_a_stream_without_samples_has_no_windows(client: Client) -> None:
    with client.websocket_connect(client.stream) as socket:
        socket.send_text("end\n")
        assert windows(socket) == ([], 1000)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("rate=0", "web-request"),
        ("rate=-1", "web-request"),
        ("rate=1e4", "web-request"),
        ("rate=999", "web-request"),
        ("rate=768001", "web-request"),
        ("channels=33", "web-request"),
        ("format=mp3", "web-request"),
        ("threshold=2", "web-request"),
        ("tresh=0.2", "web-request"),
        ("rate=8000&rate=16000", "web-request"),
    ],
)
def test_a_query_that_makes_no_sense_is_an_error_before_the_close(query: str, code: str, client: Client) -> None:
    with client.websocket_connect(f"{client.stream}?{query}") as socket:
        ((error,), close) = windows(socket)
    assert (error["code"], close) == (code, 1008)


def test_a_text_that_is_not_the_end_is_an_error(client: Client) -> None:
    with client.websocket_connect(client.stream) as socket:
        socket.send_text("hello")
        ((error,), close) = windows(socket)
    assert (error["code"], close) == ("web-request", 1008)


def test_a_client_that_sends_nothing_is_closed(client_of: Callable[..., Client]) -> None:
    client = client_of(idle=0.05)
    with client.websocket_connect(client.stream) as socket:
        ((error,), close) = windows(socket)
    assert (error["code"], close) == ("web-too-slow", 1008)


def test_streams_have_places_for_all_and_for_each_client(client_of: Callable[..., Client]) -> None:
    for settings, code in (({"streams": 1}, "web-busy"), ({"client_streams": 1}, "web-client-busy")):
        client = client_of(**settings)
        with client.websocket_connect(client.stream) as first:
            first.send_bytes(b"\0\0")
            with client.websocket_connect(client.stream) as second:
                ((error,), close) = windows(second)
                assert (error["code"], close) == (code, 1013)
            assert "ser_edge_streams 1.0" in client.get("/metrics").text
            first.send_text("end")
            assert windows(first)[1] == 1000
        with client.websocket_connect(client.stream) as third:
            third.send_text("end")
            assert windows(third) == ([], 1000)


def test_counters_know_what_was_streamed(client: Client, talk: Path) -> None:
    with client.websocket_connect(client.stream) as socket:
        socket.send_bytes(bytes(2 * RATE))
        socket.send_text("end")
        windows(socket)
    text = client.get("/metrics").text
    assert 'ser_edge_audio_seconds_total{kind="stream"} 1.0' in text
    assert 'ser_edge_requests_total{path="/v1/stream",status="101"} 1.0' in text
