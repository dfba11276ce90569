"""OGG page by page: chained sounds become segments, and damaged pages never reach libsndfile.

libsndfile decodes only the first of several chained sounds (as `cat` and radio streams make them), and finds no stream
among several.
"""

import zlib
from collections.abc import Iterator

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeJob

MAGIC = b"OggS"
_HEADER = 27  # bytes, before the table of segments
_BEGINS, _ENDS = 2, 4  # flags
_SOUNDS = (b"OpusHead", b"\x01vorbis")  # first bytes of streams that libsndfile decodes
_OTHERS = (b"\x7fFLAC", b"Speex   ")
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_known(reader: PeekableReader) -> bool:
    """Whether its codec isn't one that only FFmpeg decodes."""
    return not reader.peek(_HEADER + 16)[_HEADER + 1 :].startswith(_OTHERS)


def segments(reader: PeekableReader, job: DecodeJob) -> Iterator[Segment]:
    """Each link of a chain, its first stream of sound alone; a link without one is passed over."""
    while page := _next_page(reader, job):
        first: bytes | None = None  # page of the stream that is taken
        streams = 0
        while page and _flags(page) & _BEGINS:
            streams += 1
            if first is None and page[_HEADER + page[_HEADER - 1] :].startswith(_SOUNDS):
                first = page
            reader.skip(len(page))
            page = _next_page(reader, job)
        if first is None:  # a picture's, or pages after a lost beginning
            while page and not _flags(page) & _BEGINS:
                length = reader.skip(len(page))
                job.skipped += 0 if streams else length
                page = _next_page(reader, job)
            continue
        segment = Segment(iter(()), piped=True, regular=False)
        segment.content = _link(first, reader, job, segment, streams == 1)
        yield segment
        segment.count(job)


def _link(first: bytes, reader: PeekableReader, job: DecodeJob, segment: Segment, alone: bool) -> Iterator[bytes]:
    """The pages of one stream, up to the next link."""
    yield first
    while (page := _next_page(reader, job)) and not _flags(page) & _BEGINS:
        reader.skip(len(page))
        if page[14:18] == first[14:18]:  # its number
            segment.regular = alone and bool(_flags(page) & _ENDS)
            yield page


def _flags(page: bytes) -> int:
    return page[5]


def _next_page(reader: PeekableReader, job: DecodeJob) -> bytes:
    """The next intact page, not taken yet; empty at the end. Bytes before it are taken, and counted as skipped."""
    while head := reader.peek(_HEADER):
        if head.startswith(MAGIC) and len(head) == _HEADER:
            table = reader.peek(_HEADER + head[-1])[_HEADER:]
            size = _HEADER + head[-1] + sum(table)
            page = reader.peek(size)
            if len(page) == size and _sum(page) == int.from_bytes(head[22:26], "little"):
                return page
        ahead = reader.buffered()
        place = ahead.find(MAGIC, 1)
        # the last 3 bytes may begin another page, and are read again with those after them
        job.skipped += reader.skip(place if place > 0 else max(1, len(ahead) - len(MAGIC) + 1))
    return b""


def _sum(page: bytes) -> int:
    """OGG's checksum: zlib's with all bits mirrored and none inverted."""
    page = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")
