"""A sound file, or a binary stream that holds one, decoded into mono float32.

Decoding is libsndfile's (soundfile), resampling is soxr's "HQ" preset: the two that `librosa.load` uses, so that a
network trained through librosa meets the same samples here. This module refuses what can't be used with a line that
says why; it does not cut, trim or judge speech.
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

from ser_edge.audio.arrays import Samples, check_rate, mixed, usable
from ser_edge.audio.formats import reason
from ser_edge.errors import AudioError

__all__ = ["check_whole", "decoded", "opened", "read", "read_opened"]

_DTYPES = {"PCM_16": "int16"}  # what libsndfile decodes to, where it isn't float32
_AT_ONCE = 1 << 22  # values decoded in one go: memory grows with the sound that is there, not with what a header claims

# libsndfile notes in its log when a WAV, AIFF or AU promises more data than it holds. A size of about 2 or 4 GiB is
# what programs that stream to a pipe write because they can't know better: no truncation.
_CUT = re.compile(r"^ *(?:data|SSND|Data Size) +: (\d+) \(should be (\d+)\)$", re.MULTILINE)
_UNKNOWN_SIZE = 2**31 - 2**12
_UNKNOWN_FRAMES = 2**63 - 1  # what libsndfile makes of a FLAC whose length is 0; it can't read such a file's end


def read(source: str | Path | BinaryIO, sample_rate: int, seconds: float | None = None) -> Samples:
    """Decodes a sound file into mono float32.

    Args:
        source: path, or a binary file object (seekable or not).
        sample_rate: Hz of the result.
        seconds: decode no more than this from the beginning; all of it by default.

    Returns:
        (samples,) float32; channels are averaged, as `librosa.load(mono=True)` does.

    Raises:
        AudioError: not a sound, unreadable, truncated, empty, silent, or not finite.
    """
    with opened(source) as (file, name):
        return read_opened(file, name, sample_rate, seconds)


def read_opened(file: Any, name: str, sample_rate: int, seconds: float | None = None) -> Samples:
    """`read` for what `opened` gave."""
    wanted = file.frames if seconds is None else min(file.frames, round(seconds * file.samplerate))
    data = decoded(file, name, wanted)
    check_whole(file, name, len(data), wanted)
    return usable(data, file.samplerate, sample_rate, name, seconds)


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
def opened(source: str | Path | BinaryIO, name: str | None = None) -> Iterator[tuple[Any, str]]:
    """Opens a sound file; gives the `soundfile.SoundFile` and its name for messages.

    Raises:
        AudioError: not there, or not a sound.
    """
    import soundfile

    name = name or (str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "the stream")))
    try:
        if isinstance(source, str | Path):
            if not Path(source).exists():
                raise AudioError(f"{name}: no such file")
            if Path(source).is_dir():
                os.scandir(source).close()  # or it isn't known what is in it
                raise AudioError(f"{name}: a folder; expected a sound file, or a folder with sounds in it")
        elif hasattr(source, "encoding"):
            raise AudioError(f'{name}: opened as text; open it as open(path, "rb")')
        else:
            source = cast("BinaryIO", _Lenient(source if source.seekable() else io.BytesIO(source.read())))
        # Names are bytes on POSIX systems; soundfile would refuse those that aren't UTF-8.
        place = os.fsencode(source) if os.name == "posix" and isinstance(source, str | Path) else source
        file = soundfile.SoundFile(place)
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError) as e:
        raise AudioError(f"{name}: {reason(_system_error(source) or e)}") from e
    with file:
        check_rate(file.samplerate, name)
        if file.frames == _UNKNOWN_FRAMES:
            raise AudioError(f"{name}: doesn't say how long it is, as FLAC from a pipe; send it as WAV")
        yield file, name


def decoded(file: Any, name: str, count: int) -> Samples:
    """(samples,), the next `count` of a `soundfile.SoundFile`, or as many as are left; channels are averaged.

    Raises:
        AudioError: they can't be read.
    """
    step = max(1, _AT_ONCE // file.channels)
    parts = [np.empty(0, np.float32)]
    while count > 0:
        try:
            data = file.read(min(step, count), dtype=_DTYPES.get(file.subtype, "float32"), always_2d=True)
        except (OSError, RuntimeError, ValueError) as e:  # libsndfile's are RuntimeErrors
            raise AudioError(f"{name}: {reason(e)}") from e
        parts.append(mixed(_scaled(data)))
        count = count - step if len(data) == step else 0
    return parts[1] if len(parts) == 2 else np.concatenate(parts)


def _scaled(data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """16-bit integers or floats to floats, full scale +-1; libsndfile's own conversion takes three times as long."""
    floats: npt.NDArray[np.float32] = data
    if data.dtype == np.int16:
        floats = np.multiply(data, np.float32(1 / 32768), dtype=np.float32)
    return floats


def check_whole(file: Any, name: str, got: int, wanted: int) -> None:
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
