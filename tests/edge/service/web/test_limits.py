"""Uploads that are too large, too long or too many are refused, and others are answered."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.edge.service.web.conftest import Client, Limits, eventually

RATE = 16_000


def flac(seconds: float, rate: int = RATE, channels: int = 1) -> bytes:
    """Silence: hours of it in a megabyte."""
    file = io.BytesIO()
    block = np.zeros((rate, channels), np.int16)
    with soundfile.SoundFile(file, "w", rate, channels, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(round(seconds)):
            sound.write(block)
    return file.getvalue()


@pytest.mark.parametrize("form", [False, True])
def test_a_form_has_the_same_limit(form: bool, client_of: Callable[..., Client]) -> None:
    client = client_of(bytes=1000)
    content = bytes(2000)
    answer = client.post("/v1/predict", **({"files": {"file": content}} if form else {"content": content}))
    assert (answer.status_code, answer.json()["code"]) == (413, "web-too-large")
    assert client.service.memory._left == Limits.memory


def test_the_largest_upload_fits_into_the_memory() -> None:
    assert Limits.of(None, None) == Limits()
    assert Limits.of(1 << 30, 60) == replace(Limits(), bytes=1 << 30, seconds=60, memory=1 << 30)
    assert Limits.of(1000, None).memory == Limits.memory


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
            client = client_of(**limits)
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
