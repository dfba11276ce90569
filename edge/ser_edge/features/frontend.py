"""The front-end: MFCC and log-mel spectra in NumPy float32, as librosa 0.11 defines them.

Training and inference both use this code and only this code. `FeatureConfig` is stored in the model file; there are no
hidden defaults here. Reading and resampling are in `audio`, normalisation is in `models.metadata`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ser_edge.audio.sound import Samples
from ser_edge.features.config import FeatureConfig
from ser_edge.features.mel import dct, filter_blocks

Features = npt.NDArray[np.float32]  # (frames, coefficients), dB
RealFFT = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]

_MIN_POWER = 1e-10  # `amin` of librosa.power_to_db: -100 dB
_MIN_POWER_LEVEL_FREE = 1e-20  # far below any recording, so that clipping doesn't reveal the level
# Frames are transformed in groups of this many samples, and at least this many frames: larger arrays would be new pages
# from the system each time, and clearing those would cost as much as the transform.
_GROUP_SAMPLES, _GROUP_FRAMES = 1 << 14, 16
NEPERS = np.float32(np.log(10) / 10)  # in a decibel of power; exp is twice as fast as a power of 10, log as log10
PEAK_PERCENTILE = 99.5  # of an utterance's log-mel values


class FrontEnd:
    """Computes the features of samples; holds the window, filters and DCT matrix of one `FeatureConfig`.

    Args:
        config: the settings.
        rfft: real FFT along the last axis. SciPy's gives the same numbers within float32 rounding, several times
            faster; it is too large (100 MB) for a Raspberry Pi, so NumPy's is the default.

    >>> FrontEnd(FeatureConfig())(np.zeros(16_000, np.float32)).shape
    (94, 40)
    """

    def __init__(self, config: FeatureConfig, rfft: RealFFT = np.fft.rfft):
        self.config = config
        self._rfft = rfft
        width = config.win_length or config.n_fft
        self._window = np.pad(hann(width), (config.n_fft - width) // 2)
        self.min_power = _MIN_POWER if config.dynamic_range_db is None else _MIN_POWER_LEVEL_FREE
        self._filters = filter_blocks(config)
        self._cosines = None if config.n_mfcc is None else dct(config.n_mfcc, config.n_mels)

    def __call__(self, samples: Samples) -> Features:
        """Computes the features of one utterance; of the first `config.seconds` of it, where that is set.

        Args:
            samples: (samples,) float32 at `config.sample_rate`.

        Returns:
            (frames, coefficients) float32: MFCC, or log-mel in dB. Missing frames at the end are NaN with `trim_db`;
            without it the samples were padded with zeros.
        """
        return self.utterance(self.log_mel(samples))

    def windows(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(windows, frames, coefficients): the inputs that cover all the speech of a recording.

        They overlap by half; each is treated as an utterance. Without `trim_db` there is one window, the beginning of
        the recording.
        """
        spectrum = self.log_mel(samples)
        if self.config.trim_db is None or self.config.frames is None:
            return self.utterance(spectrum)[None]
        start, stop = self.span(spectrum)
        length = self.config.frames
        starts = window_starts(stop - start, length, length // 2)
        return np.stack([self.utterance(spectrum[start + i : min(start + i + length, stop)]) for i in starts])

    def log_mel(self, samples: Samples) -> Features:
        """(frames, n_mels) dB: the log-mel spectrum, before anything that depends on the whole utterance."""
        config = self.config
        if config.samples is not None and config.trim_db is None:
            samples = samples[: config.samples]
        half = config.n_fft // 2
        length = len(samples) if config.samples is None or config.trim_db is not None else config.samples
        padded = np.zeros(length + 2 * half, np.float32)
        padded[half : half + len(samples)] = samples
        return self.frames(padded)

    def frames(self, samples: Samples) -> Features:
        """(frames, n_mels) dB of the frames that lie entirely within (samples,); the first starts at sample 0.

        librosa.feature.melspectrogram with center=False, power=2, then power_to_db with top_db=None.
        """
        config = self.config
        if len(samples) < config.n_fft:
            return np.empty((0, config.n_mels), np.float32)
        views = sliding_window_view(samples, config.n_fft)[:: config.hop_length]
        decibels = np.empty((len(views), config.n_mels), np.float32)
        count = max(_GROUP_FRAMES, _GROUP_SAMPLES // config.n_fft)
        for i in range(0, len(views), count):
            self._mel_power(views[i : i + count], decibels[i : i + count])
        np.log(np.maximum(decibels, self.min_power, out=decibels), out=decibels)
        decibels /= NEPERS
        return decibels

    def utterance(self, spectrum: Features) -> Features:
        """(frames, n_mels) of `log_mel`, at least one frame, to what `__call__` returns.

        These are the steps that depend on the utterance's peak or length; `spectrum` is left as it is.
        """
        config = self.config
        if config.trim_db is not None:
            start, stop = self.span(spectrum)
            spectrum = spectrum[start : min(stop, start + (config.frames or len(spectrum)))]
        if config.top_db is not None:
            # Relative to the peak of the whole array, after the padding, as in power_to_db.
            spectrum = np.maximum(spectrum, spectrum.max() - config.top_db)
        if config.dynamic_range_db is not None:
            # A percentile, so that one click doesn't make the utterance quiet.
            spectrum = np.maximum(spectrum - _percentile(spectrum, PEAK_PERCENTILE), -config.dynamic_range_db)
        if self._cosines is not None:
            # In float64: a float32 sum of 128 values near -70 dB drifts by up to 2e-3, most if they are equal.
            spectrum = (spectrum @ self._cosines).astype(np.float32)
        missing = 0 if config.frames is None or config.trim_db is None else config.frames - len(spectrum)
        return np.pad(spectrum, ((0, missing), (0, 0)), constant_values=np.nan) if missing else spectrum

    def span(self, spectrum: Features) -> tuple[int, int]:
        """(start, stop) of the frames that are about as loud as the loudest, with the margin."""
        if self.config.trim_db is None:
            return 0, len(spectrum)
        loudness = 10 * np.log10(np.exp(spectrum * NEPERS).sum(axis=1))
        loud = np.flatnonzero(loudness >= loudness.max() - self.config.trim_db)
        margin = self.config.trim_margin
        return max(0, int(loud[0]) - margin), min(len(spectrum), int(loud[-1]) + 1 + margin)

    def _mel_power(self, frames: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """(frames, n_fft) to (frames, n_mels)."""
        spectrum = self._rfft(frames * self._window).astype(np.complex64, copy=False)  # NumPy 1: complex128
        parts = spectrum.view(np.float32)  # (real, imaginary, real, ...): the filters sum their squares
        np.square(parts, out=parts)
        for bands, bins, block in self._filters:
            np.matmul(parts[:, bins], block, out=out[:, bands])


def _percentile(values: npt.NDArray[np.float32], percent: float) -> np.float32:
    """`np.percentile`, nine times as fast: it only looks at the values above."""
    place = percent / 100 * (values.size - 1)
    below = int(place)
    above = np.sort(np.partition(values.ravel(), below)[below:])
    return np.float32(above[0] + (above[min(1, len(above) - 1)] - above[0]) * (place - below))


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """Where windows begin that cover `length`: every `hop`, and the last one so that it ends at the end.

    >>> window_starts(700, 300, 150)
    [0, 150, 300, 400]
    """
    last = max(0, length - window)
    return [*range(0, last, hop), last]


def hann(n: int) -> npt.NDArray[np.float32]:
    """(n,) periodic Hann window: `scipy.signal.get_window("hann", n)`."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)
