"""`ser-edge --serve` in a process of its own: its end answers everybody, its errors are one line."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from ser_edge.cli.app import main
from ser_edge.cli.arguments import rules
from tests import messages
from tests.edge.service.web.conftest import command, eventually
from tests.edge.service.web.raw_http import answer

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
TOKEN = "a-token-of-some-length"


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_uploads_and_streams_end(number: int, sounds: list[Path]) -> None:
    """An upload whose body is on its way is answered, a stream gets its last window, and the exit code is 0."""
    content = sounds[0].read_bytes()
    samples, _ = soundfile.read(sounds[2], dtype="int16")
    with command() as (process, place):
        port = int(place.rpartition(":")[2])

        async def stream() -> tuple[list[dict[str, Any]], int]:
            windows: list[dict[str, Any]] = []
            async with connect(f"ws://127.0.0.1:{port}/v1/stream") as websocket:
                await websocket.send(np.tile(samples, 2).tobytes())
                windows.append(json.loads(await websocket.recv()))  # so it has begun
                process.send_signal(number)
                with suppress(ConnectionClosedError):
                    while True:
                        windows.append(json.loads(await websocket.recv()))
                return windows, websocket.close_code or 0

        with closing(socket.create_connection(("127.0.0.1", port), 20)) as upload:
            head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            upload.sendall(head.encode() + content[:1000])
            time.sleep(0.2)
            windows, code = asyncio.run(stream())
            upload.sendall(content[1000:])
            answer = b"".join(iter(lambda: upload.recv(65536), b""))
        assert process.wait(20) == 0
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert code == 1012
        assert windows.pop()["code"] == "web-stopping"
        assert windows[-1]["end"] == pytest.approx(2 * len(samples) / 16_000, abs=0.02)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 1).close()
        assert process.stderr
        assert process.stderr.read() == ""


@needs_signals
def test_a_stream_that_is_sent_faster_than_it_is_classified_ends_too(sounds: list[Path]) -> None:
    data = np.tile(soundfile.read(sounds[2], dtype="int16")[0], 8).tobytes()
    with command() as (process, place):

        async def flood() -> int | None:
            async with connect(f"{place.replace('http', 'ws')}/v1/stream") as websocket:

                async def receive() -> None:
                    with suppress(ConnectionClosedError):
                        while True:
                            await websocket.recv()

                receiving = asyncio.ensure_future(receive())
                with suppress(ConnectionClosedError):
                    for number in range(10_000):
                        await websocket.send(data)
                        if number == 5:
                            process.send_signal(signal.SIGTERM)
                await receiving
                return websocket.close_code

        assert asyncio.run(flood()) == 1012
        assert process.wait(20) == 0


@needs_signals
@pytest.mark.slow
def test_a_client_that_never_ends_does_not_keep_it_from_ending() -> None:
    with command() as (process, place):
        port = int(place.rpartition(":")[2])
        request = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nRIFF"
        with closing(socket.create_connection(("127.0.0.1", port), 20)) as connection:
            connection.sendall(request)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            status, body, head = answer(connection)
            assert process.wait(30) == 0
        assert (status, body["code"]) == (503, "web-stopping")
        assert b"Retry-After" in head or b"retry-after" in head
        assert process.stderr
        assert "Traceback" not in process.stderr.read()


def test_the_options_of_the_command_apply(sounds: list[Path]) -> None:
    options = ["--labels", "calm,sad", "--map", "neutral=calm", "--threshold", "1", "--max-seconds", "2"]
    with command(*options, "--root-path", "/emotions", SER_EDGE_TOKEN=TOKEN) as (_, place):
        assert place.endswith("/emotions")
        with httpx2.Client(base_url=place, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            (prediction,) = client.post("/v1/predict", content=sounds[2].read_bytes()).json()["predictions"]
            assert list(prediction["probabilities"]) == ["calm", "sad"]
            assert prediction["label"] == "uncertain"
            assert client.post("/v1/predict", content=sounds[4].read_bytes()).status_code == 413  # 3 s
            assert client.get("/v1/model").json()["limits"]["seconds"] == 2
            assert httpx2.get(f"{place}/v1/model").status_code == 401


def test_a_second_server_at_the_same_port_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        assert main(["--serve", f"127.0.0.1:{taken.getsockname()[1]}", "--model", "small"]) == 1
    error = capsys.readouterr().err
    assert messages.codes_in(error) == ["web-address"]
    assert "while" not in error


def test_without_its_libraries_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("ser_edge.service")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["--serve", "--model", "small"]) == 4
    assert messages.codes_in(capsys.readouterr().err) == ["extra-missing"]


USAGE = {
    "--serve a.wav": "must be an address like 127.0.0.1:8765, not 'a.wav'; clients send their files there",
    "--serve recordings/a": "clients send their files there",
    "--serve 127.0.0.1:8765 a.wav": "--serve takes no PATH; clients send their files to its address",
    "--serve -": "127.0.0.1:8765",
    "--serve 8766x": "127.0.0.1:8765",
    "--serve 300.1.1.1": "127.0.0.1:8765",
    "--serve --timeline": "timeline=1",
    "--serve --merge": "--merge is for --mic with --output; clients of --serve say v1/predict?merge=1",
    "--serve --mic --timeline": "timeline=1",
    "--serve --mic --merge": "--output",
    "--serve --format csv": "--format is for --mic with --output",
    "--serve --mic --format json": "--format is for --mic with --output",
    "--serve --overwrite": "--output-dir",
    "--serve --output-dir x": "--output-dir",
    "--serve --duration 3": "--duration",
    "--serve --cluster tcp://a:1": "--cluster",
    "--serve --device usb": "--mic",
    "--serve --mqtt mqtt://host/topic": "--mic",
    "--serve --output x.json": "--mic",
    "--serve host:port": "127.0.0.1:8765",
    "--serve http://localhost": "127.0.0.1:8765",
    "--serve 127.0.0.1:99999": "127.0.0.1:8765",
    "--serve 0.0.0.0:8765": "SER_EDGE_TOKEN",
    "--serve [::]:8765": "SER_EDGE_TOKEN",
    "--serve example.org": "SER_EDGE_TOKEN",
    "--serve --token short": "--token",
    "--serve --token 'with a space in it'": "--token",
    f"--serve --token {TOKEN} --allow-anyone": "--allow-anyone",
    f"--token {TOKEN} a.wav": "--token",
    "--allow-anyone a.wav": "--allow-anyone",
    "--allow-host a --mic": "--allow-host",
    "--serve --allow-host http://a": "--allow-host",
    "--serve --allow-origin a.example": "--allow-origin",
    "--serve --allow-origin *": "--allow-origin",
    "--serve --allow-origin https://a.example/x": "--allow-origin",
    "--serve --root-path emotions": "--root-path",
    "--serve --max-upload 0": "--max-upload",
    f"--unit user --serve --token {TOKEN}": "ser-edge.env",
    "--unit user --mic": "--unit",
}


@pytest.mark.parametrize("line", USAGE)
def test_a_command_line_that_makes_no_sense_is_a_line_and_exit_code_2(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SER_EDGE_TOKEN", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(line))
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert USAGE[line] in err


def test_a_token_in_the_environment_is_checked_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SER_EDGE_TOKEN", "short")
    with pytest.raises(SystemExit):
        rules.parse(["--serve"])
    assert "short" not in capsys.readouterr().err.replace("16", "")
    monkeypatch.setenv("SER_EDGE_TOKEN", TOKEN)
    assert rules.parse(["--serve", "0.0.0.0:80"]).token == TOKEN


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ("127.0.0.1", 8765)),
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("localhost", ("localhost", 8765)),
        ("[::1]:9000", ("::1", 9000)),
        ("127.0.0.2:0", ("127.0.0.2", 0)),
    ],
)
def test_an_address_has_defaults(text: str, address: tuple[str, int]) -> None:
    assert rules.parse([f"--serve={text}"]).serve == address


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://A.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_an_origin_is_as_browsers_send_it(given: str, sent: str) -> None:
    assert rules.parse(["--serve", f"--allow-origin={given}"]).allow_origin == [sent]


def test_a_unit_serves_as_the_command_line_says(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--serve", "[::]:9000", "--mic", "--model", "small", "--allow-host", "a.example", "--allow-host=b.example"]
    words += ["--allow-origin", "https://c.example", "--root-path", "/emotions", "--max-upload", "9"]
    words += ["--threshold=0.3", "--jobs", "1"]
    assert main(["--unit", "system", *words]) == 0
    text = capsys.readouterr().out
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    kept = shlex.split(line.partition(" -m ser_edge ")[2])
    assert vars(rules.parse([*kept, "--allow-anyone"])) == vars(rules.parse([*words, "--allow-anyone"]))
    assert "SER_EDGE_TOKEN" in text


@needs_signals
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no systemd without Unix sockets")
def test_systemd_is_told_of_start_life_and_end(short_folder: Path) -> None:
    address = str(short_folder / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(address)
        systemd.settimeout(20)
        with command(NOTIFY_SOCKET=address, WATCHDOG_USEC="200000") as (process, _):
            assert systemd.recv(1000) == b"READY=1"
            for _ in range(3):
                assert systemd.recv(1000) == b"WATCHDOG=1\nSTATUS=0 uploads, 0 streams"
            process.send_signal(signal.SIGTERM)
            eventually(lambda: systemd.recv(1000) == b"STOPPING=1")
            assert process.wait(20) == 0


def test_curl_gets_an_answer_for_a_body_that_is_too_large(tmp_path: Path) -> None:
    """2 GB: nothing of it is sent."""
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 2 << 30)
    with command() as (_, place):
        words = ["curl", "-s", "-m", "20", "-w", "\\n%{http_code} %{size_upload}", "-T", str(large), "-X", "POST"]
        done = subprocess.run([*words, f"{place}/v1/predict"], capture_output=True, encoding="utf-8", check=True)
        assert json.loads(done.stdout.splitlines()[0])["code"] == "web-too-large"
        assert re.fullmatch(r"413 \d+", done.stdout.splitlines()[-1])


def test_many_threads_get_the_answers_of_one(sounds: list[Path]) -> None:
    with command() as (_, place), httpx2.Client(base_url=place, timeout=60) as client:
        expected = [client.post("/v1/predict", content=path.read_bytes()).json() for path in sounds]
        found: list[list[Any]] = []

        def ask() -> None:
            found.append([client.post("/v1/predict", content=path.read_bytes()).json() for path in sounds])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [expected] * 8
