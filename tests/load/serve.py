"""Loads a server with uploads, streams and bad clients, checks every answer, and prints a table.

    python -m tests.load.serve --uploads 50 --streams 20 --seconds 300

The server runs in a process of its own on this machine. Each answer is compared with that of the recognizer itself;
each request must get one, or a status that says why not. Streams send their sound as a microphone would, in real time.
The bad clients are killed in the middle, send half a body or a header byte by byte, announce 2 GB, send text, or
connect and say nothing; they ask from another address than the good ones.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import soundfile
from websockets.asyncio.client import connect

from ser_edge import Recognizer
from ser_edge.audio.sound import Sound
from ser_edge.output.writers import json_line

_SOUNDS = Path(__file__).parents[1] / "sounds"
_CHUNK = 0.1  # seconds
_BAD = "127.0.0.2"  # the address of the bad clients


@dataclass(frozen=True)
class Case:
    """A sound and its answers."""

    content: bytes  # the file
    rate: int
    samples: Any  # int16
    answer: dict[str, Any]
    windows: list[dict[str, Any]]


@dataclass
class Tally:
    """What was seen."""

    statuses: Counter[int] = field(default_factory=Counter)  # of uploads
    bad: Counter[str] = field(default_factory=Counter)  # what bad clients got
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # requests without any status
    seconds: list[float] = field(default_factory=list)  # of uploads
    lags: list[float] = field(default_factory=list)  # of windows, seconds
    streams: Counter[int] = field(default_factory=Counter)  # close codes
    memory: list[float] = field(default_factory=list)  # MiB, once a second


def cases(model: str, folder: Path) -> list[Case]:
    """The sounds of a folder, with the recognizer's own answers."""
    recognizer = Recognizer(model)
    found = []
    for path in sorted([*folder.rglob("*.wav"), *folder.rglob("*.flac")])[:60]:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
        mono = samples[:, :1]
        sound = Sound(rate, iter([mono.astype(np.float32) / np.float32(32768)]), "stream")
        windows = [json.loads(json_line(p)) for p in recognizer.file_predictions(sound, timeline=True)]
        answer = json.loads(json_line(recognizer.predict(str(path)))) | {"path": None}
        found.append(Case(path.read_bytes(), rate, mono, answer, windows))
    return found


@contextlib.contextmanager
def server(model: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Its process, and its port."""
    command = [sys.executable, "-m", "ser_edge", "--model", model, "--serve", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = (re.search(r"serving http://\S+:(\d+)/", line) for line in process.stderr)
        port = next(int(found[1]) for found in lines if found)
        try:
            yield process, port
        finally:
            process.terminate()
            print(f"exit code {process.wait(30)}; on standard error: {process.stderr.read().strip() or 'nothing'}")


async def upload(client: httpx2.AsyncClient, sounds: Iterator[Case], tally: Tally) -> None:
    """One upload after the other."""
    while True:
        case, began = next(sounds), time.monotonic()
        try:
            answer = await client.post("/v1/predict", content=case.content)
        except httpx2.HTTPError as error:
            tally.lost.append(repr(error))
            continue
        tally.seconds.append(time.monotonic() - began)
        tally.statuses[answer.status_code] += 1
        if answer.status_code == 200 and answer.json()["predictions"] != [case.answer]:
            tally.wrong.append(answer.text)
        elif answer.status_code in (429, 503):
            await asyncio.sleep(int(answer.headers["Retry-After"]))


async def stream(place: str, sounds: Iterator[Case], tally: Tally) -> None:
    """One stream after the other, each in real time."""
    while True:
        case, windows = next(sounds), []
        try:
            async with connect(f"{place}/v1/stream?rate={case.rate}") as socket:
                began = time.monotonic()
                async with asyncio.TaskGroup() as group:
                    group.create_task(_send(socket, case, began))
                    async for message in socket:
                        window = json.loads(message)
                        windows.append(window)
                        if "end" in window:
                            tally.lags.append(time.monotonic() - began - window["end"])
                tally.streams[socket.close_code or 0] += 1
        except (OSError, ExceptionGroup) as error:
            tally.lost.append(repr(error))
            continue
        if windows != case.windows:
            tally.wrong.append(f"{windows} != {case.windows}")


async def _send(socket: Any, case: Case, began: float) -> None:
    size = round(_CHUNK * case.rate)
    for number, start in enumerate(range(0, len(case.samples), size)):
        await asyncio.sleep(began + number * _CHUNK - time.monotonic())
        await socket.send(case.samples[start : start + size].tobytes())
    await socket.send("end")


BAD = {
    "killed": (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nRIFF", 0.1),
    "half a body": (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nRIFF", None),
    "slow-loris": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", None),
    "2 GB": (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n", None),
    "text": (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nDear diary", None),
    "silent": (b"", None),
}


async def bad(port: int, kind: str, tally: Tally) -> None:
    """A bad client; counts what it got, and after how many seconds."""
    request, life = BAD[kind]
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_BAD, 0))
        writer.write(request)
        if life is not None:
            await asyncio.sleep(life)
            writer.transport.abort()
            tally.bad[f"{kind}: gone"] += 1
            return
        waiting = asyncio.ensure_future(reader.read(100))
        while not waiting.done():
            if kind == "slow-loris":
                writer.write(b"x")
            await asyncio.wait([waiting], timeout=1)
        status = waiting.result().partition(b" ")[2][:3].decode() or "closed"
        writer.close()
    except OSError:
        status = "reset"
    tally.bad[f"{kind}: {status} within {5 * (int(time.monotonic() - began) // 5 + 1)} s"] += 1


async def load(process: "subprocess.Popen[str]", port: int, found: list[Case], options: argparse.Namespace) -> Tally:
    """Runs all clients for so many seconds."""
    tally, sounds = Tally(), cycle(found)
    limits = httpx2.Limits(max_connections=options.uploads, max_keepalive_connections=options.uploads)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120, limits=limits) as client:
        tasks = [asyncio.ensure_future(upload(client, sounds, tally)) for _ in range(options.uploads)]
        tasks += [
            asyncio.ensure_future(stream(f"ws://127.0.0.1:{port}", sounds, tally)) for _ in range(options.streams)
        ]
        others = []
        for second in range(options.seconds):
            for kind in BAD if second < options.seconds - 15 else ():  # the last have time for their answers
                others += [asyncio.ensure_future(bad(port, kind, tally)) for _ in range(20 if kind == "silent" else 1)]
            await asyncio.sleep(1)
            tally.memory.append(_resident(process.pid))
            if failed := next((task for task in tasks if task.done()), None):
                failed.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*others)
    return tally


def _resident(process: int) -> float:
    """MiB, on Linux."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / (1 << 20)
    return 0.0


def table(tally: Tally) -> str:
    """Markdown."""

    def quantiles(values: list[float]) -> str:
        if len(values) < 2:
            return "none"
        cuts = statistics.quantiles(values, n=20)
        return f"median {statistics.median(values):.2f} s, 95 % {cuts[-1]:.2f} s, worst {max(values):.2f} s"

    steps = range(0, len(tally.memory), max(1, len(tally.memory) // 6))
    rows = {
        "uploads, by status": ", ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items())),
        "time of an upload": quantiles(tally.seconds),
        "streams, by close code": ", ".join(f"{code}: {count}" for code, count in sorted(tally.streams.items())),
        "windows of streams": str(len(tally.lags)),
        "lag of a window": quantiles(tally.lags),
        "wrong answers": str(len(tally.wrong)),
        "requests without a status": str(len(tally.lost)),
        "memory": ", ".join(f"{tally.memory[second]:.0f} MiB at {second + 1} s" for second in steps),
        **{f"bad clients: {what}": str(count) for what, count in sorted(tally.bad.items())},
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def run(options: argparse.Namespace) -> Tally:
    """Starts a server, and loads it."""
    found = cases(options.model, options.data)
    with server(options.model) as (process, port):
        return asyncio.run(load(process, port, found, options))


def main() -> int:
    """Exits with 1 where an answer was wrong or missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--uploads", type=int, default=50, help="at the same time")
    parser.add_argument("--streams", type=int, default=20, help="at the same time")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--model", default="accurate")
    parser.add_argument("--data", type=Path, default=_SOUNDS, help="a folder of sounds")
    tally = run(parser.parse_args())
    print(table(tally))
    for problem in [*tally.wrong, *tally.lost][:10]:
        print(problem, file=sys.stderr)
    return 1 if tally.wrong or tally.lost else 0


if __name__ == "__main__":
    sys.exit(main())
