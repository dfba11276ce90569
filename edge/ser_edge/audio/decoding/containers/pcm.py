"""Containers whose header declares the size of their samples: WAV, RF64, W64, AIFF, AU, CAF.

Recorders that are killed leave a size of 0, programs that write to a pipe 0 or FFFFFFFF, and many a size is wrong. So
the size is believed only where the sound really ends there: at the file's end, or with another chunk. Else samples come
until nothing does. libsndfile gets the format and the samples under a new header, without the chunks between.
"""

from collections.abc import Iterator

from ser_edge.audio.decoding.byte_streams import BLOCK, PeekableReader
from ser_edge.audio.decoding.containers.pcm_headers import HEADER_START, Layout, begins_container, parse_header
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeJob

_UNKNOWN_SIZE = 2**31 - 2**12  # bytes; larger sizes are written by programs that don't know it
_MAX_PART = 1 << 30  # bytes of samples under one header: less than any of them can hold


def segments(reader: PeekableReader, job: DecodeJob, max_part: int = _MAX_PART) -> Iterator[Segment]:
    """The samples of a container, and of those that follow it; nothing where the header is damaged.

    A segment holds `max_part` bytes of samples at most. Updates `job`.
    """
    while (layout := _next_header(reader)) is not None:
        if layout.is_mp3:
            from ser_edge.audio.decoding.containers import mpeg

            yield from mpeg.segments(reader, job)
            return
        samples = _Samples(reader, layout)
        while not samples.ended:
            segment = Segment(_part(samples, layout, max_part), piped=False)
            yield segment
            segment.count(job, samples.received_ratio if samples.ended else 1.0)
        _skip_chunks(reader, layout)


def _next_header(reader: PeekableReader) -> Layout | None:
    """Parses and takes a header; its first bytes aren't taken where it is none."""
    start = reader.taken

    def read_at(place: int, size: int) -> bytes:
        reader.skip(start + place - reader.taken)
        return reader.peek(size)

    layout = parse_header(read_at)
    if layout is not None:
        reader.skip(start + layout.start - reader.taken)
    return layout


class _Samples:
    """The bytes behind a header, and where they end."""

    def __init__(self, reader: PeekableReader, layout: Layout):
        self._reader, self._layout = reader, layout
        self._received, self._is_size_believed = 0, True
        self.ended = False

    @property
    def received_ratio(self) -> float:
        """Ratio of the received to the declared bytes; 1 where none are declared."""
        declared = self._layout.size
        return 1.0 if declared >= _UNKNOWN_SIZE or self._received >= declared else self._received / declared

    def read(self, most: int) -> bytes:
        """The available bytes, up to `most`; empty at the end."""
        left = self._layout.size - self._received
        if self._is_size_believed and left == 0:
            self._is_size_believed = False
            self.ended = self._layout.ends(self._reader.peek(HEADER_START))
        if self.ended:
            return b""
        data = self._reader.read_available(min(most, left) if self._is_size_believed else most)
        self._received += len(data)
        self.ended = not data
        return data


def _part(samples: _Samples, layout: Layout, max_part: int) -> Iterator[bytes]:
    """A header, and as many samples as it promises."""
    if layout.packed:  # these decoders don't stop at the end: the header declares exactly what follows
        left, pieces = max(1, min(layout.packed, max_part) // layout.frame) * layout.frame, []
        while left and (piece := samples.read(min(BLOCK, left))):
            left -= len(piece)
            pieces.append(piece)
        whole = b"".join(pieces)
        yield layout.header(len(whole)) + whole
        return
    left = max_part // layout.frame * layout.frame
    yield layout.header(left)
    while left and (data := samples.read(min(BLOCK, left))):
        left -= len(data)
        yield data


def _skip_chunks(reader: PeekableReader, layout: Layout) -> None:
    """Skips chunks, up to the end or to other bytes."""
    reader.skip(layout.skipped_padding(reader.peek(HEADER_START)))
    while (head := reader.peek(24)) and not begins_container(head) and (length := layout.chunk_size(head)):
        reader.skip(length)
