"""What the headers of WAV, RF64, W64, AIFF, AU and CAF say, and new ones that say it with another length."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from ser_edge.audio.decoding.byte_streams import PeekableReader

__all__ = ["Layout", "begins_another", "ends", "is_plain", "is_regular", "layout_of", "skip_pad"]

_LONGEST_HEADER = 1 << 20  # bytes of a chunk that is kept
_LONGEST_FRAME = 1 << 16  # bytes; what is longer is a damaged header
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_ \xa9")
_MP3 = 0x55  # a WAV's format
_PLAIN = {1, 3, 6, 7, 0xFFFE}  # PCM, float, A-law, mu-law, and what says more elsewhere
_NOBODY_KNOWS = 1 << 62  # bytes
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_AIFF_PLAIN = {b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw"}
_AIFF_PLAIN |= {b"ULAW", b"alaw", b"ALAW"}
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample, by encoding
_CAF_PLAIN = {b"lpcm", b"ulaw", b"alaw"}
_CAFF = b"caff\0\1\0\0"

Chunk = Callable[[bytes], int | None]


@dataclass(frozen=True)
class Layout:
    """A header, up to the first sample."""

    header: Callable[[int], bytes]  # one that promises so many bytes of samples
    frame: int  # bytes that belong together: a sample of each channel, or a compressed block
    size: int  # bytes of samples, as declared
    pad: int = 0  # bytes after them, before a chunk
    chunk: Chunk = lambda head: None  # bytes of the chunk that begins so; None if none does
    is_mp3: bool = False
    is_packed: bool = False  # compressed in blocks, which stand for themselves

    def without_pad(self) -> "Layout":
        """The same, where what came before was no samples."""
        return replace(self, pad=0)


def begins_another(head: bytes, place: int = 0) -> bool:
    """Whether a container begins there."""
    head = head[place : place + 16]
    return (
        (head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE")
        or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
        or (head[:4] == b".snd" and head[4:6] == bytes(2))
        or head[:8] == _CAFF
        or head == _W64_RIFF
    )


def is_plain(reader: PeekableReader) -> bool:
    """False for a CAF of another codec, whose samples can't be counted in bytes; its format comes first."""
    head = reader.peek(32)
    return head[:8] != _CAFF or head[8:12] != b"desc" or head[28:32] in _CAF_PLAIN


def layout_of(reader: PeekableReader) -> Layout | None:
    """Takes a header; None, and at least its first bytes not taken, where it is none that is known."""
    head = reader.peek(16)
    if not begins_another(head) or not is_plain(reader):
        return None
    layout = (_wav if head[:1] == b"R" else {b"F": _aiff, b".": _au, b"c": _caf, b"r": _w64}[head[:1]])(reader)
    return layout if layout is not None and layout.frame <= _LONGEST_FRAME else None


def ends(reader: PeekableReader, layout: Layout) -> bool:
    """Whether what comes next is no sample: the end, or a chunk."""
    head = reader.peek(24 + layout.pad)
    return any(
        len(head) < pad + 8 or begins_another(head, pad) or layout.chunk(head[pad:]) is not None
        for pad in {0, layout.pad}
    )


def skip_pad(reader: PeekableReader, layout: Layout) -> int:
    """Takes what fills up the samples before a chunk, and says how many bytes."""
    head = reader.peek(24 + layout.pad)
    if layout.pad and not begins_another(head) and layout.chunk(head) is None:
        return reader.skip(layout.pad)
    return 0


def is_regular(file: BinaryIO, size: int, name: str) -> bool:
    """Whether libsndfile alone decodes all of a file, because its header is right.

    Args:
        file: seekable.
        size: bytes of it.
        name: for messages.
    """
    reader = PeekableReader(file.read, name)
    layout = layout_of(reader)
    if layout is None or layout.is_mp3 or layout.size == 0:
        return False
    place = reader.taken + layout.size
    while place < size:
        file.seek(place, io.SEEK_SET)
        ahead = PeekableReader(file.read, name)
        if not ends(ahead, layout) or begins_another(ahead.peek(24), layout.pad) or begins_another(ahead.peek(24)):
            return False
        place += skip_pad(ahead, layout)
        place += layout.chunk(ahead.peek(24)) or size
        layout = layout.without_pad()
    return reader.taken + layout.size <= size


def _chunk(head_form: str, even: int, includes_head: bool = False, tail: int = 0) -> Chunk:
    """What says how long a chunk is: four letters (and `tail` more bytes), then its size."""
    at, width = 4 + tail, struct.calcsize(head_form)

    def length(head: bytes) -> int | None:
        if len(head) < at + width or not set(head[:4]) <= _LETTERS:
            return None
        (size,) = struct.unpack_from(head_form, head, at)
        size += 0 if includes_head else at + width
        return None if size < at + width or size >= 2**31 else size + -size % even

    return length


def _next_chunk(reader: PeekableReader, length: Chunk, data: bytes, head: int) -> tuple[bytes, bytes] | None:
    """(name, content) of a chunk that is then taken, or (`data`, its head alone); None at what is no chunk."""
    begin = reader.peek(24)
    if begin[:4] == data and len(begin) >= head:
        return data, reader.take(head)
    whole = length(begin)
    if whole is None:
        return None
    if whole > _LONGEST_HEADER:
        return (begin[:4], b"") if reader.skip(whole) == whole else None
    content = reader.take(whole)
    return (begin[:4], content) if len(content) == whole else None


def _wav(reader: PeekableReader) -> Layout | None:
    order = ">" if reader.take(12)[:4] == b"RIFX" else "<"
    chunk = _chunk(order + "I", 2)
    form = wide = b""
    while found := _next_chunk(reader, chunk, b"data", 8):
        name, content = found
        if name == b"data":
            (size,) = struct.unpack(order + "I", content[4:])
            if size == 2**32 - 1 and len(wide) >= 24:
                (size,) = struct.unpack_from(order + "Q", wide, 16)
            return _as_wav(form[8:], order, size, chunk, size % 2)
        form, wide = (content if name == b"fmt " else form), (content if name == b"ds64" else wide)
    return None


def _w64(reader: PeekableReader) -> Layout | None:
    reader.take(40)
    chunk = _chunk("<Q", 8, includes_head=True, tail=12)
    form = b""
    while found := _next_chunk(reader, chunk, b"data", 24):
        name, content = found
        if name == b"data":
            size = max(0, struct.unpack_from("<Q", content, 16)[0] - 24)
            return _as_wav(form[24:], "<", size, chunk, -size % 8)
        form = content if name == b"fmt " else form
    return None


def _as_wav(form: bytes, order: str, size: int, chunk: Chunk, pad: int) -> Layout | None:
    if len(form) < 16:
        return None
    tag, channels, _, _, frame, bits = struct.unpack_from(order + "HHIIHH", form)
    form += bytes(len(form) % 2)

    def header(size: int) -> bytes:
        riff = b"RIFF" if order == "<" else b"RIFX"
        head = struct.pack(f"{order}4sI4s4sI", riff, 20 + len(form) + size, b"WAVE", b"fmt ", len(form))
        return head + form + struct.pack(f"{order}4sI", b"data", size)

    return Layout(header, frame or max(1, channels * bits // 8), size, pad, chunk, tag == _MP3, tag not in _PLAIN)


def _aiff(reader: PeekableReader) -> Layout | None:
    kind = reader.take(12)[8:]
    chunk = _chunk(">I", 2)
    form = b""
    while found := _next_chunk(reader, chunk, b"SSND", 16):
        name, content = found
        if name == b"SSND":
            size, offset = struct.unpack_from(">II", content, 4)
            if len(form) < 26 or (kind == b"AIFC" and form[26:30] not in _AIFF_PLAIN):
                return None
            reader.skip(min(offset, size))
            return _as_aiff(kind, form, max(0, size - 8 - offset), chunk, size % 2)
        form = content if name == b"COMM" else form
    return None


def _as_aiff(kind: bytes, form: bytes, size: int, chunk: Chunk, pad: int) -> Layout:
    channels, _, bits = struct.unpack_from(">HIH", form, 8)
    frame = max(1, channels * -(-bits // 8))

    def header(size: int) -> bytes:
        comm = form[:10] + struct.pack(">I", size // frame) + form[14:]
        return (
            struct.pack(">4sI4s", b"FORM", 20 + len(comm) + size, kind)
            + comm
            + struct.pack(">4sIII", b"SSND", 8 + size, 0, 0)
        )

    return Layout(header, frame, size, pad, chunk)


def _au(reader: PeekableReader) -> Layout | None:
    fields = reader.peek(24)
    if len(fields) < 24:
        return None
    offset, size, encoding, _, channels = struct.unpack_from(">IIIII", fields, 4)
    if encoding not in _AU_BYTES or not 24 <= offset <= _LONGEST_HEADER:
        return None
    reader.skip(offset)

    def header(size: int) -> bytes:
        return b".snd" + struct.pack(">II", 24, size) + fields[12:]

    return Layout(header, max(1, channels * _AU_BYTES[encoding]), size)


def _caf(reader: PeekableReader) -> Layout | None:
    reader.take(8)
    chunk = _chunk(">Q", 1)
    form = b""
    while found := _next_chunk(reader, chunk, b"data", 16):
        name, content = found
        if name == b"data":
            (size,) = struct.unpack_from(">q", content, 4)
            if len(form) < 44 or form[20:24] not in _CAF_PLAIN:
                return None
            return _as_caf(form, max(0, size - 4) if size >= 0 else _NOBODY_KNOWS, chunk)
        form = content if name == b"desc" else form
    return None


def _as_caf(form: bytes, size: int, chunk: Chunk) -> Layout:
    (frame,) = struct.unpack_from(">I", form, 28)

    def header(size: int) -> bytes:
        return _CAFF + form + struct.pack(">4sQI", b"data", 4 + size, 0)

    return Layout(header, frame or 1, size, 0, chunk)
