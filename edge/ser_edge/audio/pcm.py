"""Containers whose header says how many bytes of samples follow: WAV, RF64, W64, AIFF, AU, CAF.

Recorders that are killed leave a size of 0, programs that write to a pipe 0 or FFFFFFFF, and many a size is wrong. So
the size is believed only where the sound really ends there: at the file's end, or with another chunk. Else samples come
until nothing does. libsndfile gets the format and the samples under a new header, without the chunks between.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO

from ser_edge.audio import mpeg
from ser_edge.audio.forward import BLOCK, ByteReader
from ser_edge.audio.pcm_headers import Layout, begins_another, layout_of
from ser_edge.audio.segments import Losses, Segment

__all__ = ["is_regular", "segments"]

_UNKNOWN_SIZE = 2**31 - 2**12  # bytes; from here on a size that isn't there is what programs write that don't know it
_PACKED = 1 << 14  # bytes of compressed samples under one header: a second or two
_PART = 1 << 30  # bytes of samples under one header: less than any of them can hold


def segments(reader: ByteReader, losses: Losses) -> Iterator[Segment]:
    """The samples of a container, and of those that follow it immediately; nothing where the header is none."""
    while (layout := layout_of(reader)) is not None:
        if layout.is_mp3:
            yield from mpeg.segments(reader, losses)
            return
        samples = _Samples(reader, layout)
        while not samples.over:
            segment = Segment(iter(()), piped=False)
            segment.content = _part(samples, layout)
            yield segment
            segment.count(losses, samples.complete if samples.over else 1.0)
        _skip_chunks(reader, layout)


def is_regular(file: BinaryIO, size: int, name: str) -> bool:
    """Whether libsndfile alone decodes all of a file, because its header is right.

    Args:
        file: seekable.
        size: bytes of it.
        name: for messages.
    """
    reader = ByteReader(file.read, name)
    layout = layout_of(reader)
    if layout is None or layout.is_mp3 or layout.size == 0:
        return False
    place = reader.taken + layout.size
    while place < size:
        file.seek(place, io.SEEK_SET)
        ahead = ByteReader(file.read, name)
        if not _ends(ahead, layout) or begins_another(ahead.peek(24), layout.pad) or begins_another(ahead.peek(24)):
            return False
        place += _skip_pad(ahead, layout)
        place += layout.chunk(ahead.peek(24)) or size
        layout = layout.without_pad()
    return reader.taken + layout.size <= size


class _Samples:
    """The bytes behind a header, and where they end."""

    def __init__(self, reader: ByteReader, layout: Layout):
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
            self.over = _ends(self._reader, self._layout)
        if self.over:
            return b""
        data = self._reader.some(min(most, left) if self._believed else most)
        self._came += len(data)
        self.over = not data
        return data


def _part(samples: _Samples, layout: Layout) -> Iterator[bytes]:
    """A header, and as many samples as it promises."""
    if layout.is_packed:  # its decoders go on for ever beyond the end: so many bytes, and no more
        data = b""
        while len(data) < _PACKED // layout.frame * layout.frame and (more := samples.some(_PACKED - len(data))):
            data += more
        yield layout.header(len(data)) + data
        return
    left = _PART // layout.frame * layout.frame
    yield layout.header(left)
    while left and (data := samples.some(min(BLOCK, left))):
        left -= len(data)
        yield data


def _ends(reader: ByteReader, layout: Layout) -> bool:
    """Whether what comes next is no sample: the end, or a chunk."""
    head = reader.peek(24 + layout.pad)
    return any(
        len(head) < pad + 8 or begins_another(head, pad) or layout.chunk(head[pad:]) is not None
        for pad in {0, layout.pad}
    )


def _skip_pad(reader: ByteReader, layout: Layout) -> int:
    head = reader.peek(24 + layout.pad)
    if layout.pad and not begins_another(head) and layout.chunk(head) is None:
        return reader.skip(layout.pad)
    return 0


def _skip_chunks(reader: ByteReader, layout: Layout) -> None:
    """Up to the end, or to what no chunk begins with."""
    _skip_pad(reader, layout)
    while (head := reader.peek(24)) and not begins_another(head) and (length := layout.chunk(head)):
        reader.skip(length)
