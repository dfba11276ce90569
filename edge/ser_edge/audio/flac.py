"""FLAC of any length: what its header says of that isn't believed, and one file may follow another.

Programs that write FLAC to a pipe leave the number of samples at 0, and libsndfile reads no more than is declared.
"""

from collections.abc import Iterator

from ser_edge.audio.forward import ByteReader
from ser_edge.audio.segments import Losses, Segment

__all__ = ["MAGIC", "segments"]

MAGIC = b"fLaC"
_BEGIN = MAGIC + bytes([0, 0, 0, 34])  # the first block of metadata is always this one, and so long
_LAST_BEGIN = MAGIC + bytes([0x80, 0, 0, 34])  # where no other follows
_HEADER = 42  # bytes, up to the end of that block
_COUNT_AT = 21  # the place of the number of samples: the lower half of this byte, and four more
_COUNT = 36  # bits


def segments(reader: ByteReader, losses: Losses) -> Iterator[Segment]:
    """A FLAC file, and those that follow it immediately; nothing where none begins."""
    while _begins(reader.peek(8)) and len(head := reader.take(_HEADER)) == _HEADER:
        count = int.from_bytes(head[_COUNT_AT : _COUNT_AT + 5], "big") & (1 << _COUNT) - 1
        unknown = head[:_COUNT_AT] + bytes([head[_COUNT_AT] | 0x0F]) + b"\xff" * 4 + head[_COUNT_AT + 5 :]
        yield Segment(_until_the_next(unknown, reader), piped=False, samples=count or None)


def _begins(head: bytes) -> bool:
    return head in (_BEGIN, _LAST_BEGIN)


def _until_the_next(head: bytes, reader: ByteReader) -> Iterator[bytes]:
    yield head
    while data := reader.ahead(len(_BEGIN)):
        places = [place for begin in (_BEGIN, _LAST_BEGIN) if (place := data.find(begin)) >= 0]
        if places and min(places) == 0:
            return
        # what may be the first bytes of the next file are looked at again, together with those after them
        yield reader.take(min(places) if places else max(1, len(data) - len(_BEGIN) + 1))
