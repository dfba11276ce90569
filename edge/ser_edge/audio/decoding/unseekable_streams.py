"""What can't be sought in (a pipe, a FIFO, a socket) becomes samples: while it comes, or from a temporary file."""

import tempfile
from contextlib import suppress
from typing import IO, BinaryIO, cast

from ser_edge.audio.decoding.byte_streams import BLOCK, PeekableReader
from ser_edge.audio.decoding.containers.detection import segments_of
from ser_edge.audio.decoding.containers.segments import decode_segments
from ser_edge.audio.decoding.libsndfile import DecodeStats
from ser_edge.audio.decoding.seekable_files import Items, decode_file
from ser_edge.errors import AudioError

__all__ = ["decode_stream"]

_LONGEST = 1 << 32  # bytes taken to a temporary file: what comes without end mustn't fill the disk


def decode_stream(reader: PeekableReader, name: str, stats: DecodeStats, seconds: float) -> Items:
    """The sample rate of a sound file that comes in order, then its samples, as soon as a chunk is there.

    Args:
        reader: of its bytes.
        name: for messages.
        stats: is filled in.
        seconds: of sound in a chunk.

    Raises:
        AudioError: nothing can be decoded.
    """
    segments = segments_of(reader, stats)
    if segments is not None:
        items = decode_segments(segments, name, stats, seconds)
        try:
            rate = next(items)
        except AudioError:
            if not reader.rewind():
                raise
            stats.skipped = 0
        else:
            yield rate
            yield from items
            stats.taken = reader.taken
            return
    reader.rewind()
    with tempfile.TemporaryFile() as whole:
        _keep(reader, whole, name)
        yield from decode_file(cast("BinaryIO", whole), None, name, stats, seconds)


def _keep(reader: PeekableReader, whole: IO[bytes], name: str) -> None:
    try:
        while data := reader.some(BLOCK):
            whole.write(data)
            if reader.taken > _LONGEST:
                raise AudioError(
                    f"{name}: over {_LONGEST >> 30} GiB of a format that can't be streamed; send it as WAV"
                )
        whole.flush()
    except OSError as e:
        with suppress(OSError):  # it would try once more to write what it still has
            whole.close()
        raise AudioError(f"{name}: no room for it in {tempfile.gettempdir()} ({e.strerror}); send it as WAV") from e
