"""FLAC of any length: the length in its header isn't believed, damage is left out, another file may follow.

Programs that write FLAC to a pipe leave the number of samples at 0, and libsndfile reads no more than is declared.
It stops at damage; then decoding goes on from the next whole frame.
"""

from collections import deque
from collections.abc import Iterator

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeJob

MAGIC = b"fLaC"
_STARTS = [MAGIC + bytes([last, 0, 0, 34]) for last in (0, 0x80)]  # the first block of metadata is always that long
_HEADER = 42  # bytes, up to the end of that block
_KEPT = 1 << 18  # bytes passed to libsndfile last: it reads ahead of the damage at which it stops
_FRAME = 17  # bytes of a frame's header, at most
_MAX_SAMPLES = (1 << 36) - 1
_CRC = [0] * 256  # of the polynomial x^8 + x^2 + x + 1
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = (_crc << 1 ^ 0x07 if _crc & 0x80 else _crc << 1) & 0xFF
    _CRC[_byte] = _crc


def segments(reader: PeekableReader, job: DecodeJob) -> Iterator[Segment]:
    """The segments of a FLAC file, and of those that follow it immediately; none where none begins."""
    while reader.peek(8) in _STARTS and len(head := reader.take(_HEADER)) == _HEADER:
        yield from _one(head, reader, job)


def _one(head: bytes, reader: PeekableReader, job: DecodeJob) -> Iterator[Segment]:
    """The segments of a file, one up to each damage."""
    fields = int.from_bytes(head[18:26], "big")  # rate, channels, bits, number of samples
    rate, count = fields >> 44, fields & _MAX_SAMPLES
    block = int.from_bytes(head[8:10], "big")  # samples in a frame
    unknown = head[:18] + (fields | _MAX_SAMPLES).to_bytes(8, "big") + head[26:]
    job.length = job.length or (count / rate if count and rate else None)
    source = _Source(reader)
    begin = unknown
    place = decoded = gaps = 0  # samples: the place in the sound, decoded, and missing
    while True:
        segment = Segment(source.from_(begin), piped=False)
        yield segment
        place, decoded = place + segment.samples, decoded + segment.samples
        stopped = segment.problem or next(segment.content, b"")
        # where nothing was decoded, this frame is damaged itself
        found = source.next_frame(place if segment.samples else place + 1, block) if stopped else None
        if found is None:
            break
        gaps, place = gaps + found[0] - place, found[0]
        begin = unknown[:4] + b"\x80" + unknown[5:] + found[1]  # no other metadata follows now
    job.missing += max(gaps, count - decoded if count else 0) / (rate or 1)
    if segment.problem and not count and not source.ends_with_a_tag():
        job.problem = segment.problem


class _Source:
    """The bytes of a file, of which the last ones are kept."""

    def __init__(self, reader: PeekableReader):
        self._reader = reader
        self._last: deque[bytes] = deque()  # pieces, `_KEPT` and no piece more
        self._size = 0  # bytes of them

    def from_(self, begin: bytes) -> Iterator[bytes]:
        """These bytes, and all that follow, up to the next file."""
        self._keep_only(begin)
        yield begin
        while data := self._more():
            self._last.append(data)
            self._size += len(data)
            while self._size - len(self._last[0]) >= _KEPT:
                self._size -= len(self._last.popleft())
            yield data

    def next_frame(self, place: int, block: int) -> tuple[int, bytes] | None:
        """The next frame from a sample on: its first sample, and all bytes from there on that were read."""
        data = b"".join(self._last)
        while True:
            at = -1
            while (at := data.find(b"\xff", at + 1)) >= 0:
                start = _first_sample(data[at : at + _FRAME], block)
                # the second: frames take some bytes, so a start far away is chance
                if start is not None and place <= start <= place + block * (at // 8 + 2):
                    return start, data[at:]
            more = self._more()
            if not more:
                return None
            data = data[-_FRAME:] + more
            self._keep_only(data)

    def ends_with_a_tag(self) -> bool:
        """Whether the last 128 bytes are the tag that editors append."""
        return b"".join(self._last)[-128:].startswith(b"TAG")

    def _keep_only(self, data: bytes) -> None:
        self._last, self._size = deque([data]), len(data)

    def _more(self) -> bytes:
        """Empty at the end, and where another file begins."""
        data = self._reader.buffered(8)
        places = [place for begin in _STARTS if (place := data.find(begin)) >= 0]
        if data and not places:
            # the last 7 bytes may begin another file, and are read again with those after them
            return self._reader.take(max(1, len(data) - 7))
        return self._reader.take(min(places, default=0))


def _first_sample(head: bytes, block: int) -> int | None:
    """The number of a frame's first sample, by its header; None where no frame begins."""
    if len(head) < _FRAME or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    lead = head[4]
    extra = next((n - 1 for n in range(2, 8) if lead >> (7 - n) == (1 << n + 1) - 2), 0 if lead < 0x80 else None)
    if extra is None:
        return None
    number = lead if not extra else lead & (1 << 6 - extra) - 1
    for byte in head[5 : 5 + extra]:
        number = number << 6 | byte & 0x3F
    end = 5 + extra + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    crc = 0
    for byte in head[:end]:
        crc = _CRC[crc ^ byte]
    return None if crc != head[end] else number if head[1] & 1 else number * block
