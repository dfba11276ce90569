"""Headers of WAV, RF64, W64, AIFF, AU and CAF: parsed into a `Layout`, and written anew with another length.

The parser asks a function for bytes by place and size, so that it serves seekable files and streams alike: the places
only grow.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

HEADER_START = 32  # bytes that identify a container, or a chunk behind padding
_MAX_CHUNK = 1 << 20  # bytes of a header's chunk that is kept
_MAX_FRAME = 1 << 16  # bytes; a longer frame is a damaged header
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_ \xa9")
_MP3 = 0x55  # a WAV's format
_PLAIN = {1, 3, 6, 7, 0xFFFE}  # PCM, float, A-law, mu-law, and the extensible format
_STATEFUL = {0x14, 0x38, 0x40}  # G.723, NMS ADPCM, G.721: a block's samples depend on those before it
_INDEPENDENT_PART = 1 << 14  # bytes: of other compressed samples a second or two
_UNBOUNDED = 1 << 62  # bytes
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_AIFF_PLAIN = {b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw"}
_AIFF_PLAIN |= {b"ULAW", b"alaw", b"ALAW"}
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample, by encoding
_CAF_PLAIN = {b"lpcm", b"ulaw", b"alaw"}
_CAFF = b"caff\0\1\0\0"

ReadAt = Callable[[int, int], bytes]  # (place, size) to bytes, fewer at the end
Chunks = dict[bytes, bytes]  # by name, with their heads
ChunkSize = Callable[[bytes], int | None]  # of a chunk that begins with these bytes; None where no chunk does


@dataclass(frozen=True)
class Layout:
    """A header, up to the first sample."""

    header: Callable[[int], bytes]  # writes one that promises so many bytes of samples
    frame: int  # bytes of a frame: a sample of each channel, or a compressed block
    start: int  # place of the first sample
    size: int  # bytes of samples, as declared
    padding: int = 0  # bytes between the samples and the next chunk
    chunk_size: ChunkSize = lambda head: None
    is_mp3: bool = False
    packed: int = 0  # of compressed samples, the most bytes under one header; 0 for others

    def ends(self, head: bytes) -> bool:
        """Whether the samples end before these bytes: at the end, at a chunk, or at another container."""
        return any(
            len(head) < pad + 8 or begins_container(head, pad) or self.chunk_size(head[pad:]) is not None
            for pad in {0, self.padding}
        )

    def skipped_padding(self, head: bytes) -> int:
        """Bytes of padding at the beginning of these."""
        is_padded = self.padding and not begins_container(head) and self.chunk_size(head) is None
        return min(self.padding, len(head)) if is_padded else 0


def begins_container(head: bytes, place: int = 0) -> bool:
    """Whether a container begins there."""
    head = head[place : place + 16]
    return (
        (head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE")
        or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
        or (head[:4] == b".snd" and head[4:6] == bytes(2))
        or head[:8] == _CAFF
        or head == _W64_RIFF
    )


def is_plain(head: bytes) -> bool:
    """False for a CAF of another codec, whose samples can't be counted in bytes; its format comes first."""
    return head[:8] != _CAFF or head[8:12] != b"desc" or head[28:32] in _CAF_PLAIN


def parse_header(read_at: ReadAt) -> Layout | None:
    """The header at place 0; None where it isn't one of these or is damaged."""
    head = read_at(0, HEADER_START)
    if not begins_container(head) or not is_plain(head):
        return None
    layout = _au(head) if head[:4] == b".snd" else _chunked(head, read_at)
    return layout if layout is not None and layout.frame <= _MAX_FRAME else None


def is_regular(file: BinaryIO, size: int) -> bool | None:
    """Whether libsndfile alone decodes all `size` bytes of a file, its header being right; None for others."""

    def read_at(place: int, count: int) -> bytes:
        file.seek(place)
        return file.read(count)

    if not begins_container(read_at(0, HEADER_START)):
        return None
    layout = parse_header(read_at)
    if layout is None or layout.is_mp3 or layout.size == 0:
        return False
    place, end = layout.start + layout.size, layout.start + layout.size
    while place < size:
        head = read_at(place, HEADER_START)
        if not layout.ends(head) or begins_container(head, layout.padding) or begins_container(head):
            return False
        skipped = layout.skipped_padding(head)
        place += skipped + (layout.chunk_size(head[skipped:]) or size)
        layout = replace(layout, padding=0)  # it lies between samples and chunks alone
    return end <= size


def _chunk_sizes(size_format: str, even: int, includes_head: bool = False, tail: int = 0) -> ChunkSize:
    """For chunks of a name of four letters (and `tail` more bytes), their size, and their content."""
    at, width = 4 + tail, struct.calcsize(size_format)

    def chunk_size(head: bytes) -> int | None:
        if len(head) < at + width or not set(head[:4]) <= _LETTERS:
            return None
        (size,) = struct.unpack_from(size_format, head, at)
        size += 0 if includes_head else at + width
        return None if size < at + width or size >= 2**31 else size + -size % even

    return chunk_size


def _find_samples(
    read_at: ReadAt, place: int, chunk_size: ChunkSize, name: bytes, size: int
) -> tuple[Chunks, bytes, int] | None:
    """The chunks by name, up to that of the samples; the `size` bytes which that begins with; the place after them."""
    chunks: Chunks = {}
    while True:
        head = read_at(place, 24)
        if head[:4] == name and len(head) >= size:
            return chunks, head[:size], place + size
        length = chunk_size(head)
        if length is None:
            return None
        content = read_at(place, length) if length <= _MAX_CHUNK else b""
        if length <= _MAX_CHUNK and len(content) < length:
            return None
        chunks[head[:4]] = content
        place += length


def _chunked(head: bytes, read_at: ReadAt) -> Layout | None:
    """The header of a container of chunks, by the place of the first, the name of the samples' and its head's bytes."""
    parse, place, chunk_size, name, size = {
        b"FORM": (_aiff, 12, _chunk_sizes(">I", 2), b"SSND", 16),
        b"RIFX": (_wav, 12, _chunk_sizes(">I", 2), b"data", 8),
        b"caff": (_caf, 8, _chunk_sizes(">Q", 1), b"data", 16),
        b"riff": (_w64, 40, _chunk_sizes("<Q", 8, includes_head=True, tail=12), b"data", 24),
    }.get(head[:4], (_wav, 12, _chunk_sizes("<I", 2), b"data", 8))
    found = _find_samples(read_at, place, chunk_size, name, size)
    return parse(head, *found, chunk_size) if found else None


def _wav(head: bytes, chunks: Chunks, data: bytes, start: int, chunk_size: ChunkSize) -> Layout | None:
    order = ">" if head[:4] == b"RIFX" else "<"
    (size,) = struct.unpack(order + "I", data[4:])
    sizes = chunks.get(b"ds64", b"")
    if size == 2**32 - 1 and len(sizes) >= 24:
        (size,) = struct.unpack_from(order + "Q", sizes, 16)
    return _as_wav(chunks.get(b"fmt ", b"")[8:], order, start, size, size % 2, chunk_size)


def _w64(head: bytes, chunks: Chunks, data: bytes, start: int, chunk_size: ChunkSize) -> Layout | None:
    size = max(0, struct.unpack_from("<Q", data, 16)[0] - 24)
    return _as_wav(chunks.get(b"fmt ", b"")[24:], "<", start, size, -size % 8, chunk_size)


def _as_wav(form: bytes, order: str, start: int, size: int, padding: int, chunk_size: ChunkSize) -> Layout | None:
    if len(form) < 16:
        return None
    tag, channels, _, _, frame, bits = struct.unpack_from(order + "HHIIHH", form)
    form += bytes(len(form) % 2)

    def header(size: int) -> bytes:
        riff = b"RIFF" if order == "<" else b"RIFX"
        head = struct.pack(f"{order}4sI4s4sI", riff, 20 + len(form) + size, b"WAVE", b"fmt ", len(form))
        return head + form + struct.pack(f"{order}4sI", b"data", size)

    frame = frame or max(1, channels * bits // 8)
    packed = 0 if tag in _PLAIN else _UNBOUNDED if tag in _STATEFUL else _INDEPENDENT_PART
    return Layout(header, frame, start, size, padding, chunk_size, tag == _MP3, packed)


def _aiff(head: bytes, chunks: Chunks, data: bytes, start: int, chunk_size: ChunkSize) -> Layout | None:
    kind = head[8:12]
    form = chunks.get(b"COMM", b"")
    if len(form) < 26 or (kind == b"AIFC" and form[26:30] not in _AIFF_PLAIN):
        return None
    size, offset = struct.unpack_from(">II", data, 4)
    channels, _, bits = struct.unpack_from(">HIH", form, 8)
    frame = max(1, channels * -(-bits // 8))

    def header(size: int) -> bytes:
        comm = form[:10] + struct.pack(">I", size // frame) + form[14:]
        head = struct.pack(">4sI4s", b"FORM", 20 + len(comm) + size, kind)
        return head + comm + struct.pack(">4sIII", b"SSND", 8 + size, 0, 0)

    return Layout(header, frame, start + min(offset, size), max(0, size - 8 - offset), size % 2, chunk_size)


def _au(head: bytes) -> Layout | None:
    if len(head) < 24:
        return None
    offset, size, encoding, _, channels = struct.unpack_from(">IIIII", head, 4)
    if encoding not in _AU_BYTES or not 24 <= offset <= _MAX_CHUNK:
        return None

    def header(size: int) -> bytes:
        return b".snd" + struct.pack(">II", 24, size) + head[12:24]

    return Layout(header, max(1, channels * _AU_BYTES[encoding]), offset, size)


def _caf(head: bytes, chunks: Chunks, data: bytes, start: int, chunk_size: ChunkSize) -> Layout | None:
    form = chunks.get(b"desc", b"")
    if len(form) < 44 or form[20:24] not in _CAF_PLAIN:
        return None
    (size,) = struct.unpack_from(">q", data, 4)
    (frame,) = struct.unpack_from(">I", form, 28)

    def header(size: int) -> bytes:
        return _CAFF + form + struct.pack(">4sQI", b"data", 4 + size, 0)

    size = max(0, size - 4) if size >= 0 else _UNBOUNDED
    return Layout(header, frame or 1, start, size, size % 2, chunk_size)  # libsndfile pads
