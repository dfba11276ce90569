"""MP3 (and MPEG layers 1 and 2), frame by frame: bytes between frames never reach libsndfile.

Its decoder trusts an index ("Xing") and guesses the length without one, gives up at damage, and stops where sounds were
joined. So each run of frames of one kind becomes a segment, with its own index if it has one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.containers.segments import Segment
from ser_edge.audio.decoding.libsndfile import DecodeJob

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, by version
_KBITS = {  # by (MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MARKS = (b"\xff", b"ID3", b"APETAGEX")  # first bytes of a frame or a tag
_LOOKAHEAD, _MIN_FRAMES = 1 << 16, 4  # bytes, frames
_AT_ONCE = 4  # frames, a tenth of a second, that are passed on together


@dataclass(frozen=True)
class _Frame:
    size: int  # bytes
    kind: tuple[int, int, int, bool]  # version, layer, rate, mono: a decoder goes on only with the same
    bits: int  # a second


def _frame(head: bytes) -> _Frame | None:
    """Parses the four bytes of a frame's header; None where no frame begins."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bitrate, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return None
    hertz, bits, pad = _RATES[version][rate], 1000 * _KBITS[version == 3, layer][bitrate - 1], head[2] >> 1 & 1
    if layer == 1:
        size = (12 * bits // hertz + pad) * 4
    else:
        size = (72 if layer == 3 and version != 3 else 144) * bits // hertz + pad
    return _Frame(size, (version, layer, hertz, head[3] >> 6 == 3), bits)


def begins_soon(reader: PeekableReader) -> bool:
    """Whether, after other bytes, so many frames of one kind come that it can't be by chance."""
    look = reader.peek(_LOOKAHEAD)
    place = -1
    while (place := look.find(b"\xff", place + 1)) >= 0:
        first = frame = _frame(look[place : place + 4])
        end, count = place, 0
        while frame is not None and first is not None and frame.kind == first.kind and count < _MIN_FRAMES:
            end, count = end + frame.size, count + 1
            frame = _frame(look[end : end + 4])
        if count == _MIN_FRAMES:
            return True
    return False


def begins(reader: PeekableReader) -> bool:
    """Whether two frames of one kind come next, or the last one."""
    first = _frame(reader.peek(4))
    if first is None:
        return False
    both = reader.peek(first.size + 4)
    second = _frame(both[first.size :])
    return len(both) == first.size if second is None else second.kind == first.kind


def skip_tags(reader: PeekableReader) -> None:
    """Skips tags: ID3 and APE, which editors put before, after and (joined) between sounds."""
    while True:
        head = reader.peek(32)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
            reader.skip(10 + size + (10 if head[5] & 0x10 else 0))
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            # its size doesn't count a header: behind one, so much and a footer follow
            reader.skip(32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0))
        elif head[:3] == b"TAG":
            reader.skip(128)
        else:
            return


def segments(reader: PeekableReader, job: DecodeJob) -> Iterator[Segment]:
    """Each run of frames that one decoder can take; bytes between that are no tag are counted as skipped."""
    run: _Run | None = None
    left = 0  # frames that the last index declared and that are still to come
    while True:
        skip_tags(reader)
        if not reader.peek(1):
            break
        if not begins(reader):
            job.skipped += _skip_to_a_frame(reader)
            continue
        run = _Run(reader)
        segment = Segment(iter(()), piped=True, regular=False)
        segment.content = run.frames(segment)
        yield segment
        segment.count(job)
        if run.index:
            job.missing += left * run.frame_seconds
            left = run.index
        left = max(0, left - run.count)
    if run is not None:
        job.missing += left * run.frame_seconds


def _skip_to_a_frame(reader: PeekableReader) -> int:
    """Skips to two frames or a tag; returns the number of bytes."""
    skipped = reader.skip(1)
    while ahead := reader.buffered():
        place = min((p for mark in _MARKS if (p := ahead.find(mark)) >= 0), default=len(ahead))
        skipped += reader.skip(place)
        if place < len(ahead):
            if ahead[place] != 0xFF or begins(reader):
                break
            skipped += reader.skip(1)
    return skipped


def _index_of(frame: bytes) -> int | None:
    """The number of frames that the index in a first frame declares, 0 without one; None if it holds no index."""
    place = max(frame.find(b"Xing", 0, 40), frame.find(b"Info", 0, 40))
    if place < 0:
        return 0 if frame.find(b"VBRI", 0, 40) >= 0 else None
    return int.from_bytes(frame[place + 8 : place + 12], "big") if frame[place + 7] & 1 else 0


class _Run:
    """A run of frames of one kind, up to another index, a tag, damage, or as many as its index declares."""

    def __init__(self, reader: PeekableReader):
        first = _frame(reader.peek(4))
        assert first is not None
        self._reader, self._first = reader, first
        self.index = _index_of(reader.peek(first.size))
        self.count = 0
        version, layer, rate, _ = first.kind
        self.frame_seconds = (384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152) / rate

    def frames(self, segment: Segment) -> Iterator[bytes]:
        """All of them, a few at a time."""
        reader, first = self._reader, self._first
        parts = [] if self.index is None else [reader.take(first.size)]
        constant = True
        while not self.index or self.count < self.index:
            frame = _frame(reader.peek(4))
            if frame is None or frame.kind != first.kind:
                break
            data = reader.peek(frame.size)
            if len(data) < frame.size or (self.count and _index_of(data) is not None):
                break
            parts.append(reader.take(frame.size))
            self.count += 1
            constant = constant and frame.bits == first.bits
            if len(parts) >= _AT_ONCE:
                yield b"".join(parts)
                parts = []
        segment.regular = constant if self.index is None else self.count == self.index
        yield b"".join(parts)
