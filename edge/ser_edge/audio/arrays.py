"""Samples that are in memory become mono float32 at the rate that a model wants; what a usable sound is."""

import numpy as np
import numpy.typing as npt

from ser_edge.audio.resampling import resample
from ser_edge.errors import AudioError

__all__ = [
    "LOUDEST",
    "MAX_RATE",
    "MIN_RATE",
    "SILENCE_PEAK",
    "Samples",
    "check_finite",
    "check_rate",
    "from_array",
    "mixed",
    "mono",
    "usable",
]

Samples = npt.NDArray[np.float32]  # (samples,), mono, full scale is +-1

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; outside this a header is damaged rather than unusual
LOUDEST = 1e12  # full scale is 1; float32 couldn't hold the power of what is louder, and no recording is
SILENCE_PEAK = 1e-4  # -80 dBFS: below the noise floor of any microphone, so nothing was recorded


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
    return usable(mixed(cut), rate, sample_rate, "array", seconds)


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


def usable(one: Samples, rate: int, sample_rate: int, name: str, seconds: float | None) -> Samples:
    """Checks (samples,), then resamples; `seconds` is what they were cut to."""
    if one.size == 0:
        raise AudioError(f"{name}: empty, no samples in it")
    check_finite(one, name)
    if max(one.max(), -one.min()) < SILENCE_PEAK:
        where = "" if seconds is None else f" in its first {seconds:g} s"
        raise AudioError(f"{name}: silent, nothing above -80 dBFS{where}; check the microphone or the recording level")
    if rate != sample_rate:
        one = resample(one, rate, sample_rate)
        if one.size == 0:
            raise AudioError(f"{name}: too short, less than one sample at {sample_rate} Hz")
    return np.ascontiguousarray(one, dtype=np.float32)
