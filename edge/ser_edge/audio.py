"""A file, a stream of bytes or an array becomes mono float32 at the rate a model wants.

Decoding is libsndfile's (soundfile), resampling is soxr's "HQ" preset: the two that `librosa.load` uses, so that a
network trained through librosa meets the same samples here. This module decides what a usable sound is, and refuses
the rest with a line that says why; it does not cut, trim or judge speech.
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

from ser_edge.errors import AudioError

__all__ = [
    "AUDIO_SUFFIXES",
    "LOUDEST",
    "MAX_RATE",
    "MIN_RATE",
    "SILENCE_PEAK",
    "Samples",
    "check_finite",
    "check_rate",
    "check_whole",
    "decoded",
    "from_array",
    "mixed",
    "mono",
    "opened",
    "read",
    "read_opened",
]

Samples = npt.NDArray[np.float32]  # (samples,), mono, full scale is +-1

# What libsndfile decodes and people keep voices in; a folder is searched for these.
AUDIO_SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; outside this a header is damaged rather than unusual
LOUDEST = 1e12  # full scale is 1; float32 couldn't hold the power of what is louder, and no recording is
SILENCE_PEAK = 1e-4  # -80 dBFS: below the noise floor of any microphone, so nothing was recorded

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
    return _usable(data, file.samplerate, sample_rate, name, seconds)


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
        raise AudioError(f"{name}: {_reason(_system_error(source) or e)}") from e
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
            raise AudioError(f"{name}: {_reason(e)}") from e
        parts.append(mixed(_scaled(data)))
        count = count - step if len(data) == step else 0
    return parts[1] if len(parts) == 2 else np.concatenate(parts)


def _scaled(data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """16-bit integers or floats to floats, full scale +-1; libsndfile's own conversion takes three times as long."""
    floats: npt.NDArray[np.float32] = data
    if data.dtype == np.int16:
        floats = np.multiply(data, np.float32(1 / 32768), dtype=np.float32)
    return floats


def check_rate(rate: int, name: str) -> None:
    """Refuses a sample rate that no recording has.

    Raises:
        AudioError: it is outside MIN_RATE to MAX_RATE.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: a sample rate of {rate} Hz; expected {MIN_RATE} to {MAX_RATE}")


def check_finite(samples: Samples, name: str) -> None:
    """Refuses (samples,) that no recording has.

    Raises:
        AudioError: NaN, infinite, or beyond `LOUDEST`.
    """
    if len(samples) and not max(samples.max(), -samples.min()) <= LOUDEST:  # NaN where there is one
        raise AudioError(f"{name}: holds NaN or infinite samples, or some above {LOUDEST:g}; write it as 16-bit WAV")


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


def from_array(array: npt.ArrayLike, rate: int, sample_rate: int, seconds: float | None = None) -> Samples:
    """Makes mono float32 at `sample_rate` from samples that are in memory.

    Args:
        array: (samples,) or (samples, channels). Floats are taken as they are (full scale is +-1), signed integers
            are divided by their full scale, 8-bit unsigned ones are centred first, as in a WAV file.
        rate: Hz of `array`.
        sample_rate: Hz of the result.
        seconds: use no more than this from the beginning; all of it by default.

    Raises:
        AudioError: another shape or type, empty, silent, or not finite.
    """
    check_rate(rate, "array")
    data = _floats(array)
    if data.size == 0:
        raise AudioError("array: empty, no samples in it")
    cut = data if seconds is None else data[: round(seconds * rate)]
    return _usable(mixed(cut), rate, sample_rate, "array", seconds)


def mono(array: npt.ArrayLike) -> Samples:
    """(samples,) or (samples, channels) of any sample format to (samples,) float32; nothing else is checked.

    Raises:
        AudioError: another shape or type.
    """
    return mixed(_floats(array))


def _floats(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(samples,) or (samples, channels) of any sample format to (samples, channels) float32."""
    try:
        data = np.asarray(array)
    except ValueError as e:
        raise AudioError(f"array: no array can be made of it: {e}") from e
    if data.ndim not in (1, 2):
        raise AudioError(f"array: expected (samples,) or (samples, channels), got {data.ndim} dimensions")
    if data.ndim == 2 and data.shape[1] > max(32, data.shape[0]):
        raise AudioError(f"array: {data.shape} looks like (channels, samples); pass its transpose")
    if data.dtype == np.uint8:
        data = (data.astype(np.float32) - 128) / 128
    elif np.issubdtype(data.dtype, np.signedinteger):
        data = data.astype(np.float32) / -float(np.iinfo(data.dtype).min)
    elif not np.issubdtype(data.dtype, np.floating):
        raise AudioError(f"array: {data.dtype} is no sample format; use floats or signed integers")
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 can't hold becomes infinite or NaN
        data = data.astype(np.float32, copy=False)
    return data[:, None] if data.ndim == 1 else data


def mixed(data: npt.NDArray[np.float32]) -> Samples:
    """(samples, channels) to (samples,): their mean, as `librosa.load(mono=True)` has it."""
    if data.shape[1] == 1:
        return data[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        mean: Samples = data.mean(axis=1)
    return mean


def _usable(one: Samples, rate: int, sample_rate: int, name: str, seconds: float | None) -> Samples:
    """Checks (samples,), then resamples; `seconds` is what they were cut to."""
    if one.size == 0:
        raise AudioError(f"{name}: empty, no samples in it")
    check_finite(one, name)
    if max(one.max(), -one.min()) < SILENCE_PEAK:
        where = "" if seconds is None else f" in its first {seconds:g} s"
        raise AudioError(f"{name}: silent, nothing above -80 dBFS{where}; check the microphone or the recording level")
    if rate != sample_rate:
        import soxr

        one = soxr.resample(one, rate, sample_rate, quality="HQ")
        if one.size == 0:
            raise AudioError(f"{name}: too short, less than one sample at {sample_rate} Hz")
    return np.ascontiguousarray(one, dtype=np.float32)


def _system_error(source: Any) -> OSError | None:
    """Why a file can't be opened, if it is for the operating system: libsndfile only says "System error"."""
    try:
        if isinstance(source, str | Path) and Path(source).is_file():
            Path(source).open("rb").close()
    except OSError as e:
        return e
    return None


def _reason(error: Any) -> str:
    """What libsndfile says, without its preamble, or the operating system's."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    text = str(text).removeprefix("Error : ").strip().rstrip(".")
    if "not recognised" in text or "unknown format" in text.lower():
        return "not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF, ...)"
    return f"can't be read: {text}"
