"""Samples in memory, of every format and layout, become (samples, channels) float32.

The type defines the full scale: floats have it at +-1, signed integers at that of the type, 8-bit unsigned ones are
centred first, as in a WAV file. Integers of 32 and 64 bits (lists of Python's become these) are also used for narrower
samples. In a whole sound the loudest sample decides (`array_to_samples`); in a stream the next chunk may be louder.
"""

from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ser_edge.audio.samples.array_types import split_rate, to_numpy
from ser_edge.audio.sound import Channels, Sound, check_finite, check_rate
from ser_edge.errors import AudioError

_MAX_CHANNELS = 32  # of an array that is (channels, samples); one with more must be (samples, channels)
_FULL_SCALES = (1 << 15, 1 << 31, 1 << 63)  # of integers that may be wider than their samples
# First bytes of encoded sound, by their place: an array of these is a file, not samples.
_ENCODED = {0: (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"caff", b"\x1aE\xdf\xa3"), 4: (b"ftyp",)}


def parse_sample_rate(value: Any, name: str) -> int:
    """A sample rate, checked; raises TypeError for what is no number, AudioError for a rate that no recording has."""
    try:
        if isinstance(value, str | bytes | bool | np.bool_) or np.ndim(value) != 0:
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        shown = repr(value) if isinstance(value, str | bytes | bool) else f"a {type(value).__name__}"
        raise TypeError(f"sample_rate is {shown}; it must be a number of Hz: sample_rate=16000") from None
    rate = int(number) if number.is_integer() else number
    check_rate(rate, name)
    if not isinstance(rate, int):
        raise AudioError(f"{name}: a sample rate of {rate} Hz; expected a whole number", code="audio-sample-rate")
    return rate


def chunk_to_samples(chunk: npt.ArrayLike) -> Channels:
    """A chunk of a stream to (samples, channels) float32.

    Args:
        chunk: (samples,), (samples, channels) or, with at most 32 channels and more samples, (channels, samples); of
            any sample format, in any object of `array_types.to_numpy`. 64-bit integers are 16-bit samples.

    Raises:
        AudioError: another shape or type.
        TypeError: nothing that holds samples.
    """
    data = to_numpy(chunk)
    return _laid_out(_scaled(data, _full_scale(data, whole_sound=False)))


def array_to_samples(sound: npt.ArrayLike) -> Channels:
    """A whole sound to (samples, channels) float32, like `chunk_to_samples`; also refuses NaN, and no samples.

    Integers of 32 and 64 bits that never leave the range of 16 (or of 32) bits have its full scale.
    """
    data = to_numpy(sound)
    _refuse_encoded(data)
    samples = _laid_out(_scaled(data, _full_scale(data, whole_sound=True)))
    if samples.size == 0:
        raise AudioError("array: empty, no samples in it", code="audio-empty")
    check_finite(samples, "array", "type np.nan_to_num(array)")
    return samples


def sound_of_array(source: Any, sample_rate: Any) -> Sound:
    """A whole sound in memory; takes (samples, rate) and (rate, samples) as well.

    Raises AudioError and TypeError as `array_to_samples` does, and for an impossible, missing or contradictory rate.
    """
    if (pair := split_rate(source)) is not None:
        given, source = parse_sample_rate(pair[0], "array"), pair[1]
        if sample_rate is not None and parse_sample_rate(sample_rate, "array") != given:
            raise TypeError(f"the samples come with {given} Hz, sample_rate is {sample_rate}; leave one of them out")
        sample_rate = given
    if isinstance(source, int | float) and (hasattr(sample_rate, "__len__") or hasattr(sample_rate, "__array__")):
        raise TypeError(f"samples come first, then their rate; type predict(samples, sample_rate={source})")
    if sample_rate is None:
        array_to_samples(source)  # raises where a rate wouldn't help
        raise TypeError("an array needs its sample rate: predict(array, sample_rate=...)")
    rate = parse_sample_rate(sample_rate, "array")
    samples = array_to_samples(source)
    return Sound(rate, iter([samples]), "array", None, len(samples) / rate)


class ChunkLayout:
    """`chunk_to_samples` for the chunks of one stream, which all have `rate` Hz and the channels of the first."""

    def __init__(self, rate: int, name: str = "stream"):
        self._rate, self._name = rate, name
        self._channels: int | None = None  # of the chunks so far
        self._transposed = False  # those were (channels, samples)

    def chunk_to_samples(self, chunk: npt.ArrayLike) -> Channels:
        """See `chunk_to_samples`; takes (samples, rate) and (rate, samples) as well.

        Raises AudioError and TypeError as there, or where the channels or the rate differ from those before.
        """
        if (pair := split_rate(chunk)) is not None:
            rate, chunk = parse_sample_rate(pair[0], self._name), pair[1]
            if rate != self._rate:
                problem = f"a chunk of {rate} Hz after {self._rate} Hz; open a stream for each"
                raise AudioError(f"{self._name}: {problem}", code="audio-sample-rate")
        data = to_numpy(chunk)
        _refuse_encoded(data)
        data = _scaled(data, _full_scale(data, whole_sound=False))
        if data.size == 0:
            return np.empty((0, self._channels or 1), np.float32)
        samples = self._laid_out(data)
        if self._channels is None:
            self._channels, self._transposed = samples.shape[1], data.ndim == 2 and samples.shape != data.shape
        if samples.shape[1] != self._channels:
            plural = "s" * (samples.shape[1] != 1)
            problem = f"a chunk of {samples.shape[1]} channel{plural} after some of {self._channels}"
            raise AudioError(f"{self._name}: {problem}; open a stream for each", code="audio-channels")
        return samples

    def _laid_out(self, data: npt.NDArray[np.float32]) -> Channels:
        """By the known number of channels, where the shape of a short chunk is ambiguous."""
        known = self._channels
        if data.ndim != 2 or known not in data.shape:
            return _laid_out(data)
        square = data.shape == (known, known)
        return data.T if data.shape[1] != known or (square and self._transposed) else data


def _full_scale(data: npt.NDArray[Any], whole_sound: bool) -> int:
    """The divisor of an array's integers; raises AudioError for a chunk of 64-bit integers beyond 16-bit samples."""
    if data.dtype.kind != "i":
        return 1
    full_scale = 1 << (8 * data.dtype.itemsize - 1)
    if data.dtype.itemsize < 4 or data.size == 0:
        return full_scale
    peak = max(int(data.max()), -int(data.min()))
    if whole_sound:
        return next((scale for scale in _FULL_SCALES if peak <= scale), full_scale)
    if data.dtype.itemsize == 8:
        if peak > _FULL_SCALES[0]:
            problem = f"64-bit integers up to {peak}, which aren't 16-bit samples"
            advice = "type array.astype(np.int32), or array / full_scale"
            raise AudioError(f"array: {problem}; {advice}", code="audio-array")
        return _FULL_SCALES[0]
    return full_scale


def _scaled(data: npt.NDArray[Any], full_scale: int) -> npt.NDArray[np.float32]:
    """Samples of any format to float32, the full scale at +-1; raises AudioError for what is no sample format."""
    kind, size = data.dtype.kind, data.dtype.itemsize
    if kind == "u" and size == 1:
        return (data.astype(np.float32) - np.float32(128)) / np.float32(128)
    if kind == "i":
        return data.astype(np.float32) / np.float32(full_scale)
    if kind != "f":
        first = data.flat[0] if kind == "O" and data.size else None
        advice = _advice("U" if isinstance(first, str | PathLike) else kind, size)
        raise AudioError(f"array: {data.dtype} is no sample format; {advice}", code="audio-array")
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 can't hold becomes infinite or NaN
        floats: npt.NDArray[np.float32] = data.astype(np.float32, copy=False)
    return floats


def _refuse_encoded(data: npt.NDArray[Any]) -> None:
    """Raises AudioError for an array of the bytes of a sound file."""
    if data.dtype.itemsize != 1 or data.ndim != 1:
        return
    head = data[:16].tobytes()
    if any(head[place:].startswith(begins) for place, begins in _ENCODED.items()):
        advice = "type predict(io.BytesIO(array.tobytes()))"
        raise AudioError(f"array: the bytes of an encoded sound; {advice}", code="audio-array")


def _advice(kind: str, size: int) -> str:
    """What to type for an array of such a type."""
    if kind == "u":
        half = 1 << (8 * size - 1)
        return f"type (array - {half}.0) / {half}"
    return {
        "c": "type array.real",
        "O": "type np.array(array, dtype=np.float32)",
        "V": "type array.astype(np.float32)",
        "U": "for paths type predict(array.tolist())",
        "S": "for paths type predict(array.tolist())",
    }.get(kind, "use floats or signed integers")


def _laid_out(data: npt.NDArray[np.float32]) -> Channels:
    """(samples,), (samples, channels) or (channels, samples) to (samples, channels); raises AudioError for others."""
    if data.ndim == 1:
        return data[:, None]
    if data.ndim == 0:
        raise AudioError("array: a single number; expected (samples,) or (samples, channels)", code="audio-array")
    if data.ndim > 2:
        advice = "; type array[0] for the first of them" if data.shape[0] < _MAX_CHANNELS else ""
        problem = f"expected (samples,) or (samples, channels), got {data.ndim} dimensions{advice}"
        raise AudioError(f"array: {problem}", code="audio-array")
    rows, columns = data.shape
    if columns <= _MAX_CHANNELS:
        return data
    if rows <= _MAX_CHANNELS:
        return data.T
    if columns > rows:
        problem = f"{data.shape} looks like over {_MAX_CHANNELS} channels in rows; type array.T"
        raise AudioError(f"array: {problem}", code="audio-array")
    return data
