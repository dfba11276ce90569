"""Reading a microphone in tests, with the timeouts of production in a tenth of the time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.capture.microphone import CaptureTimeouts, Microphone

RATE = 16_000
TIMEOUTS = CaptureTimeouts(open=0.5, close=0.5, gap=0.2, stall=0.4, silent=0.6, retry=0.05, max_retry=0.4, poll=0.01)


def microphone(device: int | str | None = None, channel: int | None = None, **timeouts: float) -> Microphone:
    return Microphone(RATE, device, channel, replace(TIMEOUTS, **timeouts))


def noise(seconds: float, channels: int = 1, rate: int = RATE) -> npt.NDArray[np.float32]:
    """As 16-bit hardware gives it, never zero, and without DC in any block."""
    half = np.random.default_rng(0).integers(1, 32_768, (round(seconds * rate / 2), channels))
    whole = np.stack([half, -half], axis=1).reshape(-1, channels)
    return (whole / 32_768).astype(np.float32).squeeze()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def capture_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ser-edge microphone"]


class Reader:
    """Reads a microphone in a thread, as a program would; keeps the pieces, and the longest wait for one."""

    def __init__(self, opened: Microphone):
        self.pieces: list[npt.NDArray[np.float32]] = []
        self.longest = 0.0
        self._microphone = opened
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        before = time.monotonic()
        for piece in self._microphone:
            self.longest = max(self.longest, time.monotonic() - before)
            self.pieces.append(piece)
            before = time.monotonic()

    @property
    def sound(self) -> npt.NDArray[np.float32]:
        return np.concatenate([np.zeros(0, np.float32), *self.pieces])

    def has(self, seconds: float) -> None:
        until(lambda: len(self.sound) >= seconds * RATE)


@contextmanager
def reading(device: int | str | None = None, **timeouts: float) -> Iterator[tuple[Microphone, Reader]]:
    with microphone(device, **timeouts) as opened:
        reader = Reader(opened)
        try:
            yield opened, reader
        finally:
            opened.stop()
            reader.thread.join(5)
            assert not reader.thread.is_alive()
    assert reader.longest < 3  # it never blocks: 0.25, and more on a busy machine


def taken(opened: Microphone, seconds: float) -> npt.NDArray[np.float32]:
    """At least so much sound, read here and now."""
    pieces: list[npt.NDArray[np.float32]] = []
    for piece in opened:
        pieces.append(piece)
        if sum(map(len, pieces)) >= round(seconds * RATE):
            break
    return np.concatenate(pieces)
