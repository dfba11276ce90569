"""Samples that are in memory: every sample format and shape becomes (samples, channels) float32."""

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Channels
from ser_edge.errors import AudioError

__all__ = [
    "LOUDEST",
    "MAX_RATE",
    "MIN_RATE",
    "SILENCE_PEAK",
    "channels_of",
    "check_finite",
    "check_rate",
]

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


def check_finite(samples: Channels, name: str) -> None:
    """Refuses samples that no recording has.

    Raises:
        AudioError: NaN, infinite, or beyond `LOUDEST`.
    """
    if len(samples) and not max(samples.max(), -samples.min()) <= LOUDEST:  # NaN where there is one
        raise AudioError(f"{name}: holds NaN or infinite samples, or some above {LOUDEST:g}; write it as 16-bit WAV")


def channels_of(array: npt.ArrayLike) -> Channels:
    """(samples,) or (samples, channels) of any sample format to (samples, channels) float32.

    Floats are taken as they are (full scale is +-1), signed integers are divided by their full scale, 8-bit unsigned
    ones are centred first, as in a WAV file.

    Raises:
        AudioError: another shape or type.
    """
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
