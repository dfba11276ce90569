"""Whatever reads like a file becomes a binary file that libsndfile can jump about in, at its beginning.

Files and `io.BytesIO` are used as they are. All else (members of a ZIP file, uploads, responses, objects with nothing
but `read`) is copied first, because libsndfile jumps, and prints what is raised while it reads; on disk, where it is
large. Where such an object can be rewound it is read from its beginning, not from where somebody left it.
"""

import io
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from ser_edge.audio.decoding.decoder import require_samples
from ser_edge.audio.formats import error_reason
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError

__all__ = ["binary_file", "is_sound_file", "sound_of_file"]

_IN_MEMORY = 1 << 25  # bytes of a copy; what is more goes to a temporary file
_AT_ONCE = 1 << 18  # bytes
_LONGEST = 1 << 32  # bytes of a copy: what comes without end mustn't fill the disk
_CHUNK_SECONDS = 10.0


@contextmanager
def binary_file(source: Any) -> Iterator[tuple[BinaryIO, str]]:
    """(file, name), at its beginning.

    Raises:
        AudioError: closed, opened as text or for writing, or it can't be read.
        TypeError: its `read` is asynchronous.
    """
    name = _name(source)
    if not callable(getattr(source, "read", None)) or _is_async(source.read):
        inner = _inner(source)
        if inner is None:
            raise TypeError(f"{type(source).__name__}: its read() is async; type io.BytesIO(await file.read())")
        source = inner
    if getattr(source, "closed", False) is True:
        raise AudioError(f"{name}: closed already; open it again")
    if hasattr(source, "encoding") or isinstance(source, io.TextIOBase):
        raise AudioError(f'{name}: opened as text; open it as open(path, "rb")')
    readable = getattr(source, "readable", None)
    if callable(readable) and not readable():
        raise AudioError(f'{name}: opened for writing; open it as open(path, "rb")')
    rewound = _rewind(source)
    if rewound and (type(source) is io.BytesIO or type(getattr(source, "raw", source)) is io.FileIO):
        yield source, name
        return
    import tempfile  # 10 ms that a plain file doesn't need

    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
        _copy(source, copy, name)
        copy.seek(0)
        yield copy, name  # type: ignore[misc]


def is_sound_file(source: Any) -> bool:
    """Whether it is a `soundfile.SoundFile`, or decodes like one."""
    return all(hasattr(source, name) for name in ("samplerate", "channels", "frames", "read", "seek"))


@contextmanager
def sound_of_file(file: Any) -> Iterator[Sound]:
    """An open `soundfile.SoundFile` from where it stands, and it stands there again afterwards.

    Raises:
        AudioError: closed, opened for writing, or read to its end.
    """
    name = _name(file)
    if getattr(file, "closed", False):
        raise AudioError(f"{name}: a SoundFile that is closed already; open it again")
    if "r" not in getattr(file, "mode", "r") and "+" not in getattr(file, "mode", "r"):
        raise AudioError(f"{name}: a SoundFile that is opened for writing; close it, then type predict(path)")
    start = file.tell() if file.seekable() else None
    if start is not None and 0 < file.frames <= start:
        raise AudioError(f"{name}: a SoundFile that was read to its end; type file.seek(0)")
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
            raise AudioError(f"{name}: {error_reason(e)}") from e
        if not len(data):
            return
        yield data


def _name(source: Any) -> str:
    """What a file object is called: an upload by its file, not by its form's field."""
    for attribute in ("name",) if isinstance(source, io.IOBase) else ("filename", "name"):
        value = getattr(source, attribute, None)
        if isinstance(value, str | bytes | os.PathLike) and value:
            return os.fsdecode(value)
    return "the stream"


def _inner(source: Any) -> Any:
    """What an upload keeps its bytes in: FastAPI's and aiohttp's `file`, Werkzeug's `stream`; None without such."""
    for attribute in ("file", "stream"):
        inner: Any = getattr(source, attribute, None)
        if callable(getattr(inner, "read", None)) and not _is_async(inner.read):
            return inner
    return None


def _is_async(function: Any) -> bool:
    import inspect  # NumPy has imported it, mostly

    return inspect.iscoroutinefunction(function)


def _rewind(source: Any) -> bool:
    """Whether it stands at its beginning now; what can't be rewound is read on from where it stands."""
    seekable = getattr(source, "seekable", lambda: hasattr(source, "seek"))
    try:
        if seekable():
            source.seek(0)
            return True
    except Exception:  # a wrapper says that it seeks, and what it wraps doesn't
        pass
    return False


def _copy(source: Any, copy: Any, name: str) -> None:
    """All that it reads.

    Raises:
        AudioError: it can't be read, or reads no bytes.
    """
    while True:
        try:
            try:
                data = source.read(_AT_ONCE)
            except TypeError:  # one that takes no size
                data = source.read()
        except Exception as e:  # ZIP files, responses and uploads have exceptions of their own
            said = " ".join(str(e).split()) or type(e).__name__
            raise AudioError(f"{name}: can't be read: {said}") from e
        if not data and isinstance(data, bytes):
            return
        if isinstance(data, Awaitable):
            close = getattr(data, "close", None)
            if close:
                close()  # or Python warns that nobody awaited it
            raise TypeError(f"{name}: its read() is async; type io.BytesIO(await file.read())")
        if isinstance(data, str):
            raise AudioError(f"{name}: reads text; open it in binary mode")
        if not isinstance(data, bytes | bytearray | memoryview):
            raise AudioError(f"{name}: its read() gives {type(data).__name__}, not bytes; give a file opened as binary")
        if not data:
            return
        copy.write(data)
        if copy.tell() > _LONGEST:
            raise AudioError(f"{name}: over {_LONGEST >> 30} GiB and no end; save it as a file, and give its path")
