"""A sound file, or a binary stream that holds one, decoded into float32.

Decoding is libsndfile's (soundfile), which `librosa.load` uses as well. This module refuses what can't be used with a
line that says why; it does not cut, trim or mix.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ser_edge.audio.arrays import check_finite, check_rate
from ser_edge.audio.formats import reason
from ser_edge.audio.sound import Channels, Sound
from ser_edge.errors import AudioError

__all__ = ["decoded", "not_empty", "open_sound"]

_DTYPES = {"PCM_16": "int16"}  # what libsndfile decodes to, where it isn't float32
_CHUNK_SECONDS = 10.0
_AT_ONCE = 1 << 22  # values decoded in one go: memory grows with the sound that is there, not with what a header claims

# libsndfile notes in its log when a WAV, AIFF or AU promises more data than it holds. A size of about 2 or 4 GiB is
# what programs that stream to a pipe write because they can't know better: no truncation.
_CUT = re.compile(r"^ *(?:data|SSND|Data Size) +: (\d+) \(should be (\d+)\)$", re.MULTILINE)
_UNKNOWN_SIZE = 2**31 - 2**12
_UNKNOWN_FRAMES = 2**63 - 1  # what libsndfile makes of a FLAC whose length is 0; it can't read such a file's end


class _Lenient:
    """A binary file for libsndfile, which seeks to places that can't be when a sound is damaged.

    What is raised while it calls back isn't raised but printed, as a traceback.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.tell = file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with suppress(OSError, OverflowError, ValueError):
            self._file.seek(offset, whence)
        return self.tell()

    def read(self, size: int) -> bytes:
        with suppress(OSError):  # what is missing is told as truncated
            return self._file.read(size)
        return b""

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def open_sound(source: str | Path | BinaryIO, name: str | None = None) -> Iterator[Sound]:
    """Opens a sound file of any length.

    Args:
        source: path, or a binary file object (seekable or not).
        name: for messages; by default the path, or what the file object is called.

    Raises:
        AudioError: not there, not a sound, unreadable, truncated, empty, or not finite; some of it only as its chunks
            are taken.
    """
    import soundfile

    path = str(source) if isinstance(source, str | Path) else None
    name = name or path or str(getattr(source, "name", "the stream"))
    try:
        if path is not None:
            if not Path(path).exists():
                raise AudioError(f"{name}: no such file")
            if Path(path).is_dir():
                os.scandir(path).close()  # or it isn't known what is in it
                raise AudioError(f"{name}: a folder; expected a sound file, or a folder with sounds in it")
        elif hasattr(source, "encoding"):
            raise AudioError(f'{name}: opened as text; open it as open(path, "rb")')
        else:
            binary = cast("BinaryIO", source)
            source = cast("BinaryIO", _Lenient(binary if binary.seekable() else io.BytesIO(binary.read())))
        # Names are bytes on POSIX systems; soundfile would refuse those that aren't UTF-8.
        place = os.fsencode(path) if os.name == "posix" and path is not None else source
        file = soundfile.SoundFile(place)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError) as e:
        raise AudioError(f"{name}: {reason(_system_error(source) or e)}") from e
    with file:
        check_rate(file.samplerate, name)
        if file.frames == _UNKNOWN_FRAMES:
            raise AudioError(f"{name}: doesn't say how long it is, as FLAC from a pipe; send it as WAV")
        chunks = not_empty(_chunks(file, name), name)
        yield Sound(file.samplerate, chunks, name, path, file.frames / file.samplerate)


def not_empty(chunks: Iterator[Channels], name: str) -> Iterator[Channels]:
    """The same chunks, and an AudioError at their end if there was none."""
    empty = True
    for chunk in chunks:
        empty = False
        yield chunk
    if empty:
        raise AudioError(f"{name}: empty, no samples in it")


def _chunks(file: Any, name: str) -> Iterator[Channels]:
    length = round(_CHUNK_SECONDS * file.samplerate)
    got, more = 0, True
    while more:
        data = decoded(file, name, length)
        got += len(data)
        more = len(data) == length
        check_finite(data, name)
        if len(data):
            yield data
    _check_whole(file, name, got, file.frames)


def decoded(file: Any, name: str, count: int) -> Channels:
    """(samples, channels), the next `count` of a `soundfile.SoundFile`, or as many as are left.

    Raises:
        AudioError: they can't be read.
    """
    step = max(1, _AT_ONCE // file.channels)
    parts = [np.empty((0, file.channels), np.float32)]
    while count > 0:
        try:
            data = file.read(min(step, count), dtype=_DTYPES.get(file.subtype, "float32"), always_2d=True)
        except (OSError, RuntimeError, ValueError) as e:  # libsndfile's are RuntimeErrors
            raise AudioError(f"{name}: {reason(e)}") from e
        parts.append(_scaled(data))
        count = count - step if len(data) == step else 0
    return parts[1] if len(parts) == 2 else np.concatenate(parts)


def _scaled(data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """16-bit integers or floats to floats, full scale +-1; libsndfile's own conversion takes three times as long."""
    floats: npt.NDArray[np.float32] = data
    if data.dtype == np.int16:
        floats = np.multiply(data, np.float32(1 / 32768), dtype=np.float32)
    return floats


def _check_whole(file: Any, name: str, got: int, wanted: int) -> None:
    """Refuses a sound that ends before it should.

    Args:
        file: the `soundfile.SoundFile`.
        name: of the file, for the message.
        got: samples that could be read.
        wanted: samples that should have been there.

    Raises:
        AudioError: truncated.
    """
    cut = _CUT.search(file.extra_info)
    if cut and int(cut[1]) < _UNKNOWN_SIZE:
        raise AudioError(f"{name}: truncated: holds {cut[2]} of {cut[1]} bytes of sound; copy it again")
    # Without an index, an MP3's length is a guess from its first frame.
    if got < wanted and file.format != "MP3":
        rate = file.samplerate
        raise AudioError(f"{name}: truncated: {got / rate:.2f} s of {wanted / rate:.2f} s could be read; copy it again")


def _system_error(source: Any) -> OSError | None:
    """Why a file can't be opened, if it is for the operating system: libsndfile only says "System error"."""
    try:
        if isinstance(source, str | Path) and Path(source).is_file():
            Path(source).open("rb").close()
    except OSError as e:
        return e
    return None
