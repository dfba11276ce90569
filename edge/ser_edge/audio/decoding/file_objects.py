"""File objects of all kinds become binary files that libsndfile can seek in, at their beginning.

Files and `io.BytesIO` are used as they are. All else (members of a ZIP file, uploads, responses, objects with nothing
but `read`) is copied first, because libsndfile seeks, and prints the exceptions of its callbacks; on disk, where it is
large. An object that can be rewound is read from its beginning, not from its current place.
"""

import io
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from ser_edge.audio.decoding.decoder import require_samples
from ser_edge.audio.formats import error_text, read_error
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError

_MAX_IN_MEMORY = 1 << 25  # bytes of a copy; a larger one goes to a temporary file
_BLOCK = 1 << 18  # bytes
_MAX_SIZE = 1 << 32  # bytes of a copy: an endless one mustn't fill the disk
_CHUNK_SECONDS = 10.0


@contextmanager
def binary_file(
    source: Any, max_in_memory: int = _MAX_IN_MEMORY, max_size: int = _MAX_SIZE
) -> Iterator[tuple[BinaryIO, str]]:
    """Opens (file, name) of a file object, or of an upload that holds one, at its beginning.

    A copy of over `max_in_memory` bytes lies in a temporary file.

    Raises:
        AudioError: closed, opened as text or for writing, over `max_size` bytes to copy, or it can't be read.
        TypeError: its `read` is asynchronous.
    """
    name = _name(source)
    if not callable(getattr(source, "read", None)) or _is_async(source.read):
        inner = _inner(source)
        if inner is None:
            raise TypeError(f"{type(source).__name__}: its read() is async; type io.BytesIO(await file.read())")
        source = inner
    if getattr(source, "closed", False) is True:
        raise AudioError(f"{name}: closed already; open it again", code="audio-file-object")
    if hasattr(source, "encoding") or isinstance(source, io.TextIOBase):
        raise AudioError(f'{name}: opened as text; open it as open(path, "rb")', code="audio-file-object")
    readable = getattr(source, "readable", None)
    if callable(readable) and not readable():
        raise AudioError(f'{name}: opened for writing; open it as open(path, "rb")', code="audio-file-object")
    rewound = _rewind(source)
    if rewound and (type(source) is io.BytesIO or type(getattr(source, "raw", source)) is io.FileIO):
        yield source, name
        return
    import tempfile  # 10 ms that a plain file doesn't need

    with tempfile.SpooledTemporaryFile(max_in_memory) as copy:
        _copy(source, copy, name, max_size)
        copy.seek(0)
        yield copy, name  # type: ignore[misc]


def is_sound_file(source: Any) -> bool:
    """Whether it has the interface of a `soundfile.SoundFile`."""
    return all(hasattr(source, name) for name in ("samplerate", "channels", "frames", "read", "seek"))


@contextmanager
def sound_of_file(file: Any) -> Iterator[Sound]:
    """Reads an open `soundfile.SoundFile` from its current place, which is restored afterwards.

    Raises AudioError where it is closed, opened for writing, or read to its end.
    """
    name = _name(file)
    if getattr(file, "closed", False):
        raise AudioError(f"{name}: a SoundFile that is closed already; open it again", code="audio-file-object")
    if "r" not in getattr(file, "mode", "r") and "+" not in getattr(file, "mode", "r"):
        problem = "a SoundFile that is opened for writing; close it, then type predict(path)"
        raise AudioError(f"{name}: {problem}", code="audio-file-object")
    start = file.seek(0, io.SEEK_CUR) if file.seekable() else None
    if start is not None and 0 < file.frames <= start:
        raise AudioError(f"{name}: a SoundFile that was read to its end; type file.seek(0)", code="audio-file-object")
    seconds = (file.frames - (start or 0)) / file.samplerate
    try:
        yield Sound(file.samplerate, require_samples(_chunks(file, name), name), name, None, seconds)
    finally:
        if start is not None and not file.closed:
            with suppress(OSError, RuntimeError, ValueError):
                file.seek(start)


def _chunks(file: Any, name: str) -> Iterator[Channels]:
    length = round(_CHUNK_SECONDS * file.samplerate)
    while True:
        try:
            data: Channels = file.read(length, dtype="float32", always_2d=True)
        except (OSError, RuntimeError, ValueError) as e:  # libsndfile's are RuntimeErrors
            raise read_error(name, e) from e
        if not len(data):
            return
        yield data


def _name(source: Any) -> str:
    """The name of a file object; of an upload that of its file, not of its form's field."""
    for attribute in ("name",) if isinstance(source, io.IOBase) else ("filename", "name"):
        value = getattr(source, attribute, None)
        if isinstance(value, str | bytes | os.PathLike) and value:
            return os.fsdecode(value)
    return "the stream"


def _inner(source: Any) -> Any:
    """The file object inside an upload: FastAPI's and aiohttp's `file`, Werkzeug's `stream`; None without such."""
    for attribute in ("file", "stream"):
        inner: Any = getattr(source, attribute, None)
        if callable(getattr(inner, "read", None)) and not _is_async(inner.read):
            return inner
    return None


def _is_async(function: Any) -> bool:
    import inspect  # NumPy has imported it, mostly

    return inspect.iscoroutinefunction(function)


def _rewind(source: Any) -> bool:
    """Rewinds it; False where that fails, and it is read on from its current place."""
    seekable = getattr(source, "seekable", lambda: hasattr(source, "seek"))
    with suppress(Exception):  # a wrapper claims to seek, and its file doesn't
        if seekable():
            source.seek(0)
            return True
    return False


def _copy(source: Any, copy: Any, name: str, max_size: int) -> None:
    """Copies all that it reads; raises AudioError where it can't be read, or reads no bytes."""
    size = 0
    while True:
        try:
            try:
                data = source.read(_BLOCK)
            except TypeError:  # one that takes no size
                data = source.read()
        except Exception as e:  # ZIP files, responses and uploads have their own exceptions
            raise AudioError(f"{name}: can't be read: {error_text(e)}", code="audio-unreadable") from e
        if isinstance(data, Awaitable):
            getattr(data, "close", lambda: None)()  # or Python warns that it was never awaited
            raise TypeError(f"{name}: its read() is async; type io.BytesIO(await file.read())")
        if isinstance(data, str):
            raise AudioError(f"{name}: reads text; open it in binary mode", code="audio-file-object")
        if not isinstance(data, bytes | bytearray | memoryview):
            problem = f"its read() gives {type(data).__name__}, not bytes; give a file opened as binary"
            raise AudioError(f"{name}: {problem}", code="audio-file-object")
        if not data:
            return
        size += copy.write(data)
        if size > max_size:
            problem = f"over {max_size >> 30} GiB and no end; save it as a file, and give its path"
            raise AudioError(f"{name}: {problem}", code="audio-too-long")
