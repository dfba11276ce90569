"""The microphone's events: one capture, any number of viewers, and none of them stops it."""

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from ser_edge import Prediction, Recognizer
from ser_edge.capture.microphone import Health
from ser_edge.cli.listen import ListenOptions
from ser_edge.cli.serve import ServeOptions, serve
from ser_edge.errors import MicrophoneError
from tests import messages
from tests.edge.service.web.conftest import Client, eventually

HEALTH = Health("USB", 48_000, 1, 0, 0.5, 0.1, 2, arriving=True, listening=True)
PREDICTION = Prediction.of(("calm", "sad"), np.array([0.75, 0.25], np.float32), 0.0, "microphone", 1.0, 4.0, 0.5)
PREDICTION = PREDICTION.at_time(1e9)


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and data of each event."""
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def test_without_a_microphone_there_are_none(client: Client) -> None:
    answer = client.get("/v1/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "web-not-found")
    assert client.get("/v1/model").json()["microphone"] is False


def test_viewers_get_predictions_and_health_until_it_ends(client_of: Callable[..., Client]) -> None:
    client = client_of(microphone=True)
    broadcast = client.app.state.broadcast  # type: ignore[attr-defined]

    async def capture() -> None:
        broadcast.open()
        broadcast.write(PREDICTION)
        broadcast.health(HEALTH, -20.04)
        broadcast.health(HEALTH, -10.0)  # too soon after the one before
        broadcast.close()

    def later() -> None:
        eventually(lambda: client.service.viewers.taken == 2)
        assert client.portal
        client.portal.call(capture)

    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(client.get("/v1/events"))) for _ in range(2)]
    threads.append(threading.Thread(target=later))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        (kind, prediction), (health_kind, health) = events(iter(answer.text.splitlines()))
        assert (kind, health_kind) == ("prediction", "health")
        assert prediction["time"] == PREDICTION.time
        assert prediction["label"] == "calm"
        assert prediction["probabilities"] == {"calm": 0.75, "sad": 0.25}
        assert health == {
            "device": "USB",
            "rate": 48_000,
            "lag": 0.1,
            "dropped": 0.5,
            "reconnections": 2,
            "listening": True,
            "level": -20.0,
        }
    assert client.service.viewers.taken == 0


def test_a_slow_viewer_loses_the_oldest_events(client_of: Callable[..., Client]) -> None:
    client = client_of(microphone=True)
    broadcast = client.app.state.broadcast  # type: ignore[attr-defined]

    async def slow() -> list[str]:
        broadcast.open()
        view = broadcast.view()
        await anext(view)
        for _ in range(150):
            broadcast.write(PREDICTION)
        broadcast.close()
        await asyncio.sleep(0)
        return [event async for event in view]

    found = asyncio.run(slow())
    assert len(found) == 99  # and the end
    assert "ser_edge_lost_events_total 51.0" in client.get("/metrics").text


def test_a_viewer_who_comes_at_the_end_does_not_wait(client_of: Callable[..., Client]) -> None:
    broadcast = client_of(microphone=True).app.state.broadcast  # type: ignore[attr-defined]

    async def late() -> list[str]:
        broadcast.open()
        broadcast.close()
        await asyncio.sleep(0)
        return [event async for event in broadcast.view()]

    assert asyncio.run(asyncio.wait_for(late(), 60)) == ["retry: 3000\n\n"]


def test_the_headers_alone_do_not_wait(client_of: Callable[..., Client]) -> None:
    answer = client_of(microphone=True).head("/v1/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_a_parameter_that_is_unknown_is_named(client_of: Callable[..., Client]) -> None:
    answer = client_of(microphone=True).get("/v1/events?device=usb")
    assert (answer.status_code, answer.json()["code"]) == (400, "web-request")


def test_viewers_have_places(client_of: Callable[..., Client]) -> None:
    client = client_of(microphone=True, client_viewers=0)
    assert client.get("/v1/events").status_code == 429
    client = client_of(microphone=True, viewers=0)
    assert client.get("/v1/events").status_code == 503


def test_one_capture_serves_all_viewers_and_ends_with_its_last_window(
    sounddevice: Any, card: Any, recognizer: Recognizer, sounds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole command, but for the process: a microphone, two viewers, then a signal."""
    talk = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sounds])
    usb = sounddevice.plug(card("USB", rate=16_000))
    said: list[str] = []
    monkeypatch.setattr("ser_edge.output.progress.log_line", said.append)
    seen: list[list[tuple[str, dict[str, Any]]]] = [[], []]
    sink: list[Prediction] = []

    class Sink:
        write = staticmethod(sink.append)

        def close(self) -> None:
            pass

    def view(place: str, found: list[tuple[str, dict[str, Any]]]) -> None:
        with httpx2.stream("GET", f"{place}v1/events", timeout=20) as answer:
            found.extend(events(answer.iter_lines()))

    def play() -> None:
        eventually(lambda: any("serving" in line for line in said))
        (place,) = re.findall(r"http://\S+", " ".join(said))
        viewers = [threading.Thread(target=view, args=(place, found)) for found in seen]
        for viewer in viewers:
            viewer.start()
        try:
            eventually(lambda: all(seen))  # health: they are there
            for start in range(0, len(talk), 16_000):
                usb.record(talk[start : start + 16_000])
                time.sleep(0.05)
            eventually(lambda: len(sink) >= 8)
        finally:  # the server runs until then
            os.kill(os.getpid(), signal.SIGTERM)
        for viewer in viewers:
            viewer.join(20)

    player = threading.Thread(target=play)
    player.start()
    options = ServeOptions("127.0.0.1", 0, "how accurate it is", microphone=ListenOptions(), device="usb")
    assert serve(recognizer, options, [Sink()]) == 0
    player.join(20)
    assert usb.opened == 1
    expected = [(p.start, p.end, p.label) for p in sink]
    for found in seen:
        predictions = [data for kind, data in found if kind == "prediction"]
        assert [(p["start"], p["end"], p["label"]) for p in predictions] == expected
        assert all(p["path"] == "microphone" for p in predictions)
        assert {data["device"] for kind, data in found if kind == "health"} == {"USB"}


def test_a_microphone_that_cannot_be_opened_ends_the_server_before_it_serves(
    sounddevice: Any, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("ser_edge.output.progress.log_line", said.append)
    options = ServeOptions("127.0.0.1", 0, "how accurate it is", microphone=ListenOptions())
    with messages.raises(MicrophoneError, "microphone-not-found"):
        serve(recognizer, options, [])
    assert said == []
