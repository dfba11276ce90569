"""A sound as segments, each a stream of bytes that libsndfile decodes from its beginning until no more come.

libsndfile trusts what a header says of a sound's length, decodes only the first of sounds that were joined, and gives
up at damage. So the modules for each container (`pcm`, `flac`, `mpeg`, `ogg`) cut what they get into parts that it
can't mistake, and leave out what is no sound; here the parts are decoded and what is missing is counted.
"""

import os
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ser_edge.audio.decoding.byte_streams import ForwardOnlyFile
from ser_edge.audio.decoding.libsndfile import DecodeJob, blocks, open_file
from ser_edge.audio.formats import read_error
from ser_edge.audio.resampling import Resampler
from ser_edge.audio.sound import Channels, check_rate
from ser_edge.errors import AudioError


@dataclass
class Segment:
    """A part of a sound, and the result of decoding it, which is complete when the next segment is asked for."""

    content: Iterator[bytes]
    piped: bool  # libsndfile gets it through a pipe, where it believes no length; else as a file that it can seek in
    regular: bool = True  # libsndfile alone would have decoded all of it; known at the content's end
    samples: int = 0  # decoded
    rate: int = 0  # Hz; 0 where it couldn't even be opened
    problem: str = ""  # the decoder's last message

    def count(self, job: DecodeJob, received_ratio: float = 1.0) -> None:
        """Adds to `job` what is missing, by the ratio of the received to the declared bytes."""
        job.skipped += sum(len(part) for part in self.content)  # what the decoder left
        if self.rate and 0 < received_ratio < 1:
            job.missing += self.samples / self.rate * (1 / received_ratio - 1)
        elif self.problem:
            job.problem = self.problem


def decode_segments(segments: Iterator[Segment], job: DecodeJob) -> Generator[int | Channels, None, None]:
    """The first segment's rate, then the samples of all, at this rate and in as many channels. Updates `job`.

    Each segment is used up before the next is taken. Raises AudioError where nothing can be decoded.
    """
    rate = channels = 0
    refusal: AudioError | None = None
    for segment in segments:
        try:
            with _opened(segment, job.name) as file:
                check_rate(file.samplerate, job.name)
                segment.rate = int(file.samplerate)
                if not rate:
                    rate, channels = segment.rate, int(file.channels)
                    yield rate
                converter = SegmentConverter(segment.rate, rate, channels)
                for data, problem in blocks(file, job.chunk_seconds):
                    segment.samples += len(data)
                    segment.problem = problem or segment.problem
                    job.seconds += len(data) / segment.rate
                    yield from converter.process(data)
                yield from converter.finish()
        except AudioError as e:
            refusal = e
    if not rate:
        raise refusal or read_error(job.name, "unknown format")


class SegmentConverter:
    """Converts a segment of `rate` Hz to the rate (`target`, Hz) and the number of channels of the first one."""

    def __init__(self, rate: int, target: int, channels: int):
        self._resampler = Resampler(rate, target, channels)
        self._channels = channels

    def process(self, data: Channels) -> Iterator[Channels]:
        """Converts (samples, channels), as far as they are complete."""
        if data.shape[1] != self._channels:
            data = np.repeat(data.mean(axis=1, keepdims=True), self._channels, axis=1)
        data = self._resampler.process(data)
        if len(data):
            yield data

    def finish(self) -> Iterator[Channels]:
        """What is still held, at the segment's end."""
        data = self._resampler.finish()
        if len(data):
            yield data


@contextmanager
def _opened(segment: Segment, name: str) -> Iterator[Any]:
    if segment.piped:
        with _through_a_pipe(segment, name) as file:
            yield file
        return
    source = ForwardOnlyFile(lambda: next(segment.content, b""))
    file = open_file(source, name)
    source.opening = False
    with file:
        yield file
        if source.error:
            raise source.error


@contextmanager
def _through_a_pipe(segment: Segment, name: str) -> Iterator[Any]:
    receiver, sender = os.pipe()
    raised: list[Exception] = []

    def feed() -> None:
        try:
            with suppress(BrokenPipeError), os.fdopen(sender, "wb", buffering=0) as out:
                for part in segment.content:  # until the reader stops, which may be before the end
                    out.write(part)
        except Exception as e:  # it is raised where the samples are used
            raised.append(e)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    timeout = None
    try:
        with open_file(receiver, name) as file:
            yield file
    except GeneratorExit:  # the caller stopped early; the feeder may be waiting for the rest
        timeout = 0.1
        raise
    finally:
        os.close(receiver)
        feeder.join(timeout)
    if raised:
        raise raised[0]
