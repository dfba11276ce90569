"""Sources inside a coroutine, and iterables of chunks as arguments of `stream`."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser_edge import Recognizer, WindowConfig
from tests.edge.audio.sources.kinds import NOISE, RATE, WAV, Upload


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer("small", windowing=WindowConfig(min_speech_ratio=None))  # else noise is no-speech, however cut


def test_an_upload_is_predicted_inside_a_coroutine(recognizer: Recognizer) -> None:
    async def handler(upload: Upload) -> str:
        return (await asyncio.to_thread(recognizer.predict, upload)).label

    assert asyncio.run(handler(Upload(io.BytesIO(WAV)))) == recognizer.predict(NOISE, RATE).label


def parts() -> Iterator[Any]:
    yield from np.split(NOISE, 10)


@pytest.mark.parametrize(
    "chunks",
    [
        [NOISE],
        parts(),
        map(np.ndarray.tolist, parts()),
        ((RATE, part) for part in parts()),
        [part[None] for part in parts()],
        [memoryview(part) for part in parts()],
        np.split(NOISE, 10),
    ],
    ids=["one", "generator", "lists", "with their rate", "(1, samples)", "memoryviews", "list"],
)
def test_a_stream_takes_any_iterable_of_samples(chunks: Any, recognizer: Recognizer) -> None:
    expected = list(recognizer.stream(np.split(NOISE, 10), RATE))
    assert list(recognizer.stream(chunks, RATE)) == expected
    assert expected[-1].end == 1.0


@pytest.mark.parametrize("length", [160, 512, 4000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_stream_keeps_no_view_of_an_array_that_is_filled_again(
    length: int, channels: int, recognizer: Recognizer
) -> None:
    sound = np.stack([NOISE] * channels, axis=1)
    buffer = np.empty((length, channels), np.float32)

    def refilled() -> Iterator[Any]:  # as callbacks of sound cards do it
        for begin in range(0, len(sound) - length + 1, length):
            buffer[:] = sound[begin : begin + length]
            yield buffer
            buffer[:] = 0

    whole = sound[: len(sound) // length * length]
    assert list(recognizer.stream(refilled(), RATE)) == list(recognizer.stream([whole], RATE))


@pytest.mark.parametrize("chunks", ["a.wav", Path("a.wav"), io.BytesIO(WAV), WAV, NOISE, None])
def test_a_stream_of_anything_but_chunks_is_a_type_error_at_once(chunks: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="chunks"):
        recognizer.stream(chunks, RATE)


def test_an_async_source_goes_through_create_stream(recognizer: Recognizer) -> None:
    async def source() -> Any:
        for part in parts():
            yield part

    async def fed() -> list[Any]:
        listener = recognizer.create_stream(RATE)
        found = [prediction async for part in source() for prediction in listener.accept_waveform(part)]
        return found + listener.input_finished()

    with pytest.raises(TypeError, match="create_stream"):
        recognizer.stream(source(), RATE)  # type: ignore[arg-type]
    assert asyncio.run(fed()) == list(recognizer.stream([NOISE], RATE))


@pytest.mark.parametrize("rate", ["16000", None, NOISE])
def test_a_stream_needs_a_rate_that_is_a_number(rate: Any, recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="sample_rate"):
        recognizer.create_stream(rate)
