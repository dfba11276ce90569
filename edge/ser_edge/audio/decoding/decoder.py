"""A sound file, or a binary stream that holds one, decoded into float32 until nothing more comes.

What decodes is given; a line warns (`errors.user_warnings`) where a hundredth of the sound or more is missing. Nothing
is cut, trimmed or mixed here.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from ser_edge.audio.decoding.byte_streams import PeekableReader
from ser_edge.audio.decoding.libsndfile import DecodeJob
from ser_edge.audio.decoding.seekable_files import Items, decode_file
from ser_edge.audio.formats import read_error
from ser_edge.audio.sound import Channels, Sound, check_finite
from ser_edge.errors import AudioError, SerEdgeError

_CHUNK_SECONDS = 4.0


@contextmanager
def open_sound(source: str | Path | BinaryIO, name: str | None = None) -> Iterator[Sound]:
    """Opens a sound file of any length.

    Args:
        source: path, or a binary file object (seekable or not).
        name: for messages; by default the path, or the file object's `name`.

    Raises:
        AudioError: missing, not a sound, unreadable, empty, or not finite; some of it only as its chunks are taken.
    """
    path = str(source) if isinstance(source, str | Path) else None
    name = name or path or str(getattr(source, "name", "the stream"))
    job = DecodeJob(name, _CHUNK_SECONDS, path)
    with _opened(source, path, name) as file, closing(_guarded(_decoded(file, job), name)) as items:
        rate = next(items)
        assert isinstance(rate, int)
        yield Sound(rate, _checked(cast("Iterator[Channels]", items), job), name, path, job.length)


def require_samples(chunks: Iterator[Channels], name: str) -> Iterator[Channels]:
    """The same chunks, and an AudioError at their end if there was none."""
    empty = True
    for chunk in chunks:
        empty = False
        yield chunk
    if empty:
        raise AudioError(f"{name}: empty, no samples in it", code="audio-empty")


def _guarded(items: Items, name: str) -> Items:
    """The same; whatever a library raises is about this sound, and the next one may be fine."""
    try:
        yield from items
    except SerEdgeError:
        raise
    except Exception as e:
        raise AudioError(f"{name}: can't be decoded: {type(e).__name__}: {e}", code="audio-damaged") from e


def _checked(chunks: Iterator[Channels], job: DecodeJob) -> Iterator[Channels]:
    for chunk in require_samples(chunks, job.name):
        check_finite(chunk, job.name)
        yield chunk
    job.report()


def _decoded(file: BinaryIO, job: DecodeJob) -> Items:
    try:
        seekable = file.seekable()
    except AttributeError:
        seekable = hasattr(file, "seek")
    if seekable:
        return decode_file(file, job)
    from ser_edge.audio.decoding.unseekable_streams import decode_stream

    # `read` of a buffered stream waits for all that it was asked for
    reader = PeekableReader(getattr(file, "read1", file.read), job.name)
    return decode_stream(reader, job)


def _opened(source: str | Path | BinaryIO, path: str | None, name: str) -> AbstractContextManager[BinaryIO]:
    """The file object of a path; one that was passed isn't closed."""
    if path is None:
        if hasattr(source, "encoding"):
            raise AudioError(f'{name}: opened as text; open it as open(path, "rb")', code="audio-file-object")
        return nullcontext(cast("BinaryIO", source))
    try:
        if not Path(path).exists():
            raise AudioError(f"{name}: no such file or folder", code="audio-not-found")
        if Path(path).is_dir():
            os.scandir(path).close()  # raises where it may not be read, and its content isn't known
            problem = "no sound file in this folder, by suffix (.wav, .flac, .mp3 ...); give others by their own paths"
            raise AudioError(f"{name}: {problem}", code="audio-folder")
        return Path(path).open("rb", buffering=0)
    except (OSError, ValueError) as e:
        raise read_error(name, e) from e
