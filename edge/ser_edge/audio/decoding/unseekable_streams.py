"""Decodes pipes, FIFOs and sockets: while their bytes come, or from a temporary file."""

import tempfile
from contextlib import suppress
from typing import IO, BinaryIO, cast

from ser_edge.audio.decoding.byte_streams import BLOCK, PeekableReader
from ser_edge.audio.decoding.containers.detection import segments_of
from ser_edge.audio.decoding.containers.segments import decode_segments
from ser_edge.audio.decoding.libsndfile import DecodeJob
from ser_edge.audio.decoding.seekable_files import Items, decode_file
from ser_edge.errors import AudioError

_MAX_SIZE = 1 << 32  # bytes of a temporary file: an endless stream mustn't fill the disk


def decode_stream(reader: PeekableReader, job: DecodeJob) -> Items:
    """The rate of a sound file that comes in order, then its samples, as soon as a chunk is there. Updates `job`.

    Raises AudioError where nothing can be decoded.
    """
    segments = segments_of(reader, job)
    if segments is not None:
        items = decode_segments(segments, job)
        try:
            rate = next(items)
        except AudioError:
            if not reader.rewind():
                raise
            job.skipped = 0
        else:
            yield rate
            yield from items
            job.taken = reader.taken
            return
    reader.rewind()
    with _temporary_file(job.name) as whole:
        _copy(reader, whole, job.name)
        job.path = None  # of the stream, which can't be read again
        yield from decode_file(cast("BinaryIO", whole), job)


def _temporary_file(name: str) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as e:
        problem = f"no temporary folder to keep it in ({e.strerror}); set TMPDIR, or send it as WAV"
        raise AudioError(f"{name}: {problem}", code="audio-disk-full") from e


def _copy(reader: PeekableReader, whole: IO[bytes], name: str) -> None:
    try:
        while data := reader.read_available(BLOCK):
            whole.write(data)
            if reader.taken > _MAX_SIZE:
                problem = f"over {_MAX_SIZE >> 30} GiB of a format that can't be streamed; send it as WAV"
                raise AudioError(f"{name}: {problem}", code="audio-too-long")
        whole.flush()
    except OSError as e:
        with suppress(OSError):  # closing writes the rest once more
            whole.close()
        problem = f"no room for it in {tempfile.gettempdir()} ({e.strerror}); send it as WAV"
        raise AudioError(f"{name}: {problem}", code="audio-disk-full") from e
