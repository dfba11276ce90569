"""Containers whose header says how many bytes of samples follow: WAV, RF64, W64, AIFF, AU, CAF.

Recorders that are killed leave a size of 0, programs that write to a pipe 0 or FFFFFFFF, and many a size is wrong. So
the size is believed only where the sound really ends there: at the file's end, or with another chunk. Else samples come
until nothing does. libsndfile gets the format and the samples under a new header, without the chunks between.
"""

from collections.abc import Iterator

from ser_edge.audio.decoding.byte_streams import BLOCK, PeekableReader
from ser_edge.audio.decoding.containers.pcm_headers import Layout, begins_another, ends, layout_of, skip_pad
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeStats

__all__ = ["segments"]

_UNKNOWN_SIZE = 2**31 - 2**12  # bytes; from here on a size that isn't there is what programs write that don't know it
_PACKED = 1 << 14  # bytes of compressed samples under one header: a second or two
_PART = 1 << 30  # bytes of samples under one header: less than any of them can hold


def segments(reader: PeekableReader, stats: DecodeStats) -> Iterator[Segment]:
    """The samples of a container, and of those that follow it immediately; nothing where the header is none."""
    while (layout := layout_of(reader)) is not None:
        if layout.is_mp3:
            from ser_edge.audio.decoding.containers import mpeg

            yield from mpeg.segments(reader, stats)
            return
        samples = _Samples(reader, layout)
        while not samples.over:
            segment = Segment(iter(()), piped=False)
            segment.content = _part(samples, layout)
            yield segment
            segment.count(stats, samples.complete if samples.over else 1.0)
        _skip_chunks(reader, layout)


class _Samples:
    """The bytes behind a header, and where they end."""

    def __init__(self, reader: PeekableReader, layout: Layout):
        self._reader, self._layout = reader, layout
        self._came, self._believed = 0, True
        self.over = False

    @property
    def complete(self) -> float:
        """The share of the declared size that came; all of it where that is none."""
        declared = self._layout.size
        return 1.0 if declared >= _UNKNOWN_SIZE or self._came >= declared else self._came / declared

    def some(self, most: int) -> bytes:
        """What is there, of so many bytes; empty at the end."""
        left = self._layout.size - self._came
        if self._believed and left == 0:
            self._believed = False
            self.over = ends(self._reader, self._layout)
        if self.over:
            return b""
        data = self._reader.some(min(most, left) if self._believed else most)
        self._came += len(data)
        self.over = not data
        return data


def _part(samples: _Samples, layout: Layout) -> Iterator[bytes]:
    """A header, and as many samples as it promises."""
    if layout.is_packed:  # its decoders go on for ever beyond the end: so many bytes, and no more
        most, data = max(1, _PACKED // layout.frame) * layout.frame, b""
        while len(data) < most and (more := samples.some(most - len(data))):
            data += more
        yield layout.header(len(data)) + data
        return
    left = _PART // layout.frame * layout.frame
    yield layout.header(left)
    while left and (data := samples.some(min(BLOCK, left))):
        left -= len(data)
        yield data


def _skip_chunks(reader: PeekableReader, layout: Layout) -> None:
    """Up to the end, or to what no chunk begins with."""
    skip_pad(reader, layout)
    while (head := reader.peek(24)) and not begins_another(head) and (length := layout.chunk(head)):
        reader.skip(length)
