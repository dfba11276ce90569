"""Standard input while it is still being written: a sound file in a pipe, or samples without a header."""

import contextvars
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.decoder import require_samples
from ser_edge.audio.decoding.libsndfile import DecodeJob
from ser_edge.audio.decoding.unseekable_streams import decode_stream
from ser_edge.audio.samples.arrays import chunk_to_samples
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError

_PIPE_SECONDS = 0.1  # of sound in a chunk, which a prediction waits for
_MAX_QUEUED = 50  # chunks read ahead; then the writer waits

# The names of arecord, ffmpeg and sox, in little-endian.
SAMPLE_FORMATS = {"u8": "u1", "s16": "<i2", "s24": "i3", "s32": "<i4", "f32": "<f4", "f64": "<f8"}


@dataclass(frozen=True)
class RawFormat:
    """Format of samples without a header."""

    rate: int  # Hz
    channels: int = 1  # interleaved
    sample_format: str = "s16"  # of SAMPLE_FORMATS


@contextmanager
def pipe_sound(stream: BinaryIO, name: str) -> Iterator[Sound]:
    """A sound file that comes through a pipe, in chunks as soon as they are there.

    Formats whose decoders seek (MP4, ...) are copied to a file first. Raises AudioError without bytes, or a sound.
    """
    chunks = _in_background(_from_pipe(stream, DecodeJob(name, _PIPE_SECONDS)))
    rate = next(chunks)
    assert isinstance(rate, int)
    yield Sound(rate, require_samples(cast("Iterator[Channels]", chunks), name), name, name)


@contextmanager
def raw_sound(stream: Any, raw: RawFormat, name: str = "-") -> Iterator[Sound]:
    """Samples without a header, an incomplete frame at the end dropped; raises AudioError where they can't be read."""
    yield Sound(raw.rate, require_samples(_from_raw(stream, raw, name), name), name, name)


def _from_pipe(stream: BinaryIO, job: DecodeJob) -> Iterator[int | Channels]:
    """The sample rate, then the samples."""
    reader = PeekableReader(getattr(stream, "read1", stream.read), job.name)
    if not reader.peek(1):
        problem = "empty; pipe a sound file into it, or samples with --rate"
        raise AudioError(f"{job.name}: {problem}", code="audio-empty")
    try:
        yield from decode_stream(reader, job)
    except AudioError as e:
        if e.code != "audio-unknown-format":
            raise
        problem = "not a sound file that can be read; samples without a header need --rate"
        raise AudioError(f"{job.name}: {problem}", code=e.code) from e
    job.report()


class RawDecoder:
    """Turns the bytes of samples without a header into samples, however the bytes are cut."""

    def __init__(self, raw: RawFormat):
        self._kind, self._channels = SAMPLE_FORMATS[raw.sample_format], raw.channels
        self._frame = int(self._kind[-1]) * raw.channels  # bytes
        self._left = b""

    def decode(self, data: bytes) -> Channels:
        """The frames that these bytes complete, (samples, channels)."""
        data = self._left + data
        whole = len(data) // self._frame * self._frame
        self._left = data[whole:]
        if not whole:
            return np.empty((0, self._channels), np.float32)
        if self._kind == "i3":  # NumPy has no such integer: into the upper three bytes of four
            padded = np.zeros((whole // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data[:whole], np.uint8).reshape(-1, 3)
            samples = padded.view("<i4")[:, 0]
        else:
            samples = np.frombuffer(data[:whole], self._kind)
        return chunk_to_samples(samples).reshape(-1, self._channels)


def _from_raw(stream: Any, raw: RawFormat, name: str) -> Iterator[Channels]:
    decoder, reader = RawDecoder(raw), PeekableReader(stream.read1, name)
    while data := reader.read_available():
        if len(samples := decoder.decode(data)):
            yield samples


def _in_background(items: Iterator[int | Channels]) -> Iterator[int | Channels]:
    """The same items, read in a thread: reading blocks inside libraries and can't be interrupted, a queue can."""
    made: queue.Queue[int | Channels | Exception | None] = queue.Queue(_MAX_QUEUED)

    def make() -> None:
        try:
            for item in items:
                made.put(item)
            made.put(None)
        except Exception as e:  # raised where the items are used
            made.put(e)

    context = contextvars.copy_context()  # warnings go where the caller's go
    threading.Thread(target=context.run, args=(make,), daemon=True).start()
    while (item := made.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item
