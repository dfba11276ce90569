"""Decoding by libsndfile (soundfile): straight on to the end, past damage, counting the missing samples."""

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ser_edge.audio.decoding.byte_streams import SafeFile
from ser_edge.audio.formats import error_text, read_error
from ser_edge.audio.sound import Channels, check_rate
from ser_edge.errors.user_warnings import warn

_MAX_LENGTH = 1 << 56  # samples; libsndfile declares more where it doesn't know
_TOLERATED = 0.01  # ratio of a sound that may be missing without a warning
_DTYPES = {"PCM_16": "int16"}  # decoded type, where it isn't float32
_AT_ONCE = 1 << 22  # values decoded at once: memory grows with the actual sound, not with a header's claim
_UNWRITTEN = {"int16": -32_767, "float32": np.nan}  # values that no decoder leaves at the end of its output


@dataclass
class DecodeJob:
    """A sound that is being decoded, and how much of it was decoded."""

    name: str  # for messages
    chunk_seconds: float  # of sound in a chunk, about
    path: str | None = None  # None for sounds without one
    length: float | None = None  # seconds, about, by a header
    seconds: float = 0.0  # decoded
    missing: float = 0.0  # seconds that were declared and didn't come
    taken: int = 0  # bytes
    skipped: int = 0  # bytes of them that are neither sound nor a tag
    problem: str = ""  # the decoder's message, where it isn't known how much is missing

    def report(self) -> None:
        """Warns in a line, if a hundredth of the sound or more is missing."""
        whole = self.seconds + self.missing
        if not self.seconds:  # an error is raised for it
            return
        if self.missing >= _TOLERATED * whole > 0:
            text = f"truncated or damaged: {self.seconds:.2f} s of {whole:.2f} s could be decoded"
        elif self.skipped >= _TOLERATED * self.taken > 0:
            text = f"damaged: {self.skipped} of {self.taken} bytes couldn't be decoded, {self.seconds:.2f} s could"
        elif self.problem:
            text = f"damaged ({self.problem}): {self.seconds:.2f} s could be decoded"
        else:
            return
        warn(f"{self.name}: {text}; copy it again")


def decode_whole(file: BinaryIO, job: DecodeJob) -> Generator[int | Channels, None, None]:
    """The rate of a seekable file, then its samples, as far as libsndfile finds them alone. Updates `job`.

    Raises AudioError where libsndfile can't read it.
    """
    file.seek(0)
    # Names are bytes on POSIX systems: soundfile would refuse those that aren't UTF-8. It wants settings for a .raw.
    by_name = job.path is not None and not job.path.lower().endswith(".raw") and not _has_resource_fork(job.path)
    place: Any = (os.fsencode(str(job.path)) if os.name == "posix" else job.path) if by_name else SafeFile(file)
    with open_file(place, job.name) as sound:
        check_rate(sound.samplerate, job.name)
        rate = int(sound.samplerate)
        frames = sound.frames if sound.frames < _MAX_LENGTH else 0
        job.length = frames / rate or None
        yield rate
        count = 0
        for data, problem in blocks(sound, job.chunk_seconds):
            count += len(data)
            job.seconds += len(data) / rate
            job.problem = problem or job.problem
            if len(data):
                yield data
    if sound.format != "MP3":  # whose length is a guess, where its index isn't right
        job.missing += max(0, frames - count) / rate


def _has_resource_fork(path: str) -> bool:
    """Whether macOS left metadata beside a file: libsndfile, given the path, would look for the sound in there."""
    place = Path(path)
    with suppress(OSError):  # a name so long that there can't be a longer one
        forks = place.with_name(f"._{place.name}"), place.parent / ".AppleDouble" / place.name
        return any(fork.exists() for fork in forks)
    return False


def open_file(place: Any, name: str) -> Any:
    """A `soundfile.SoundFile` that is read straight on, whatever length it declares.

    `place` is a path in bytes, a file object, or a pipe's descriptor. Raises AudioError where libsndfile can't read it.
    """
    import soundfile

    class StraightOn(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:  # else soundfile seeks after each read
            return False

        def read(self, *arguments: Any, **named: Any) -> Any:
            try:
                return super().read(*arguments, **named)
            finally:
                raise_stop(self.name)  # what it was opened with; the class would keep `place` open

    try:
        return StraightOn(place, closefd=False)  # the descriptor is the caller's, also where this fails
    except Exception as e:  # whatever it raises is about this file: the next one may be fine
        raise_stop(place)
        raise read_error(name, e) from e


def raise_stop(file: Any) -> None:
    """Raises a Ctrl-C or SIGTERM that came while a C library read from a file of `byte_streams`."""
    if (stop := getattr(file, "stop", None)) is not None:
        raise stop


def blocks(file: Any, seconds: float) -> Iterator[tuple[Channels, str]]:
    """An `open_file` in blocks of so many seconds, (samples, channels), each with the error that shortened it."""
    count = max(1, round(seconds * file.samplerate))
    while True:
        data, problem = _decode(file, count)
        yield data, problem
        if not len(data):
            return


def _decode(file: Any, count: int) -> tuple[Channels, str]:
    """The next `count` samples, or as many as are left."""
    step = max(1, _AT_ONCE // file.channels)
    dtype = _DTYPES.get(file.subtype, "float32")
    parts: list[Channels] = [np.empty((0, file.channels), np.float32)]
    problem = ""
    while count > 0:
        data = np.full((min(step, count), file.channels), _UNWRITTEN[dtype], dtype)
        try:
            data = file.read(len(data), out=data)
            more = len(data) == min(step, count)
        except Exception as e:  # the array holds the samples decoded before it
            problem = error_text(e)
            data = data[: _written(data)]
            more = len(data) > 0
        if data.dtype == np.int16:  # libsndfile's own conversion takes three times as long
            data = np.multiply(data, np.float32(1 / 32768), dtype=np.float32)
        parts.append(data)
        count = count - len(data) if more else 0
    return parts[1] if len(parts) == 2 else np.concatenate(parts), problem


def _written(data: Any) -> int:
    """Number of samples up to the last that isn't `_UNWRITTEN`."""
    unwritten = np.isnan(data) if data.dtype == np.float32 else data == _UNWRITTEN["int16"]
    written = np.flatnonzero(~unwritten.all(axis=1))
    return int(written[-1]) + 1 if len(written) else 0
