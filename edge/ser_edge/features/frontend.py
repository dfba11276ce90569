"""The front-end: MFCC and log-mel spectra in NumPy float32, as librosa 0.11 defines them.

Training and serving both use this code and only this code, so what a network learned on is what it hears.
`FeatureConfig` travels inside the model file; nothing here is a hidden default.

Not here: reading and resampling (`audio`), and normalisation by training-set statistics (`description`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ser_edge.audio.sound import Samples

__all__ = ["FeatureConfig", "Features", "FrontEnd", "hann", "mel_centres", "mel_filters", "window_starts"]

Features = npt.NDArray[np.float32]  # (frames, coefficients), dB
RealFFT = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]

_MIN_POWER = 1e-10  # `amin` of librosa.power_to_db: -100 dB
_MIN_POWER_LEVEL_FREE = 1e-20  # far below any recording: a floor at a level would tell the level
# Frames whose spectra are in memory together, and their samples: larger arrays come from the system as new pages each
# time, and clearing these would cost as much as the transform.
_AT_ONCE, _FEW = 1 << 14, 16
# What one model may ask for: values of an input or of a second's log-mel, samples of an input, weights of the filters.
_MOST_VALUES, _MOST_SAMPLES, _MOST_WEIGHTS = 1 << 23, 1 << 25, 1 << 22
_NEPERS = np.float32(np.log(10) / 10)  # of a decibel of power; exp is twice as fast as a power of 10, log as log10
_BANDS = 16  # in one product with the spectrum: few enough to leave out most bins, enough to be worth a call
_PEAK = 99.5  # percentile of an utterance's log-mel that counts as its peak


@dataclass(frozen=True)
class FeatureConfig:
    """How samples become features; hashable, comparable, and stored in every model file.

    The defaults are `librosa.feature.mfcc(n_mfcc=40)` at 16 kHz on exactly three seconds: (94, 40).

    With `trim_db` the silence around the speech is cut off: what stays is the span from the first to the last frame
    that is about as loud as the loudest. With `dynamic_range_db` features don't depend on the recording's level: they
    are decibels below the utterance's peak.
    """

    sample_rate: int = 16_000  # Hz
    n_fft: int = 2048  # the FFT's size; even
    win_length: int | None = None  # samples in a frame, in the middle of the FFT; None is n_fft
    hop_length: int = 512  # samples from frame to frame
    n_mels: int = 128  # bands
    n_mfcc: int | None = 40  # coefficients kept; None stops at the log-mel spectrum
    f_min: float = 0.0  # Hz, lower edge of the first band
    f_max: float | None = None  # Hz, upper edge of the last band; None is half the sample rate
    top_db: float | None = 80.0  # the floor, so far below the loudest value of the array; None for no floor
    trim_db: float | None = None  # cut to the span of frames at most so far below the loudest; None keeps them all
    trim_margin: int = 10  # frames kept before and after that span
    dynamic_range_db: float | None = None  # shift the peak to 0 and clip at minus this; None keeps the level
    seconds: float | None = 3.0  # length of the network's input, cut or padded at the end; None leaves it alone

    def __post_init__(self) -> None:
        half = self.sample_rate / 2
        rules = {
            "sample_rate must be 1000 to 768000": 1_000 <= self.sample_rate <= 768_000,
            "n_fft must be even, 16 to 65536": 16 <= self.n_fft <= 65_536 and self.n_fft % 2 == 0,
            "win_length must be even, 2 to n_fft": (
                self.win_length is None or (2 <= self.win_length <= self.n_fft and self.win_length % 2 == 0)
            ),
            "hop_length must be n_fft / 128 to n_fft": self.hop_length <= self.n_fft <= 128 * self.hop_length,
            "n_mels must be 1 to 1024": 1 <= self.n_mels <= 1024,
            "n_mfcc must be 1 to n_mels": self.n_mfcc is None or 1 <= self.n_mfcc <= self.n_mels,
            "f_min + 1 <= f_max <= sample_rate / 2": 0 <= self.f_min <= (self.f_max or half) - 1 <= half - 1,
            "top_db must be above 0, to 1000": self.top_db is None or 0 < self.top_db <= 1000,
            "trim_db must be above 0, to 1000": self.trim_db is None or 0 < self.trim_db <= 1000,
            "trim_margin must be 0 to 1000": 0 <= self.trim_margin <= 1000,
            "dynamic_range_db must be above 0, to 1000": self.dynamic_range_db is None
            or 0 < self.dynamic_range_db <= 1000,
            "seconds must be above 0, to 600": self.seconds is None or 0 < self.seconds <= 600,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError("; ".join(broken))
        if self.frames == 0:
            raise ValueError("seconds must be a frame or more")
        # Each in its range, and together too much for any machine.
        values = self.n_mels * max(self.frames or 0, self.sample_rate // self.hop_length)
        if (self.samples or 0) > _MOST_SAMPLES or values > _MOST_VALUES or self.n_mels * self.n_fft > _MOST_WEIGHTS:
            raise ValueError("seconds, sample_rate, hop_length, n_mels and n_fft ask for too much memory together")

    @property
    def samples(self) -> int | None:
        """Samples of one input, or None where the length is free."""  # 3.0 s * 16 kHz = 48000
        return None if self.seconds is None else round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int | None:
        """Frames of one input, or None where the length is free."""  # 1 + 48000 // 512 = 94
        if self.samples is None:
            return None
        # A span is cut out of a longer spectrum, so it has no frame that is half padding.
        return self.samples // self.hop_length + (self.trim_db is None)

    @property
    def coefficients(self) -> int:
        """Values in a frame."""
        return self.n_mfcc or self.n_mels


class FrontEnd:
    """Samples in, features out; holds the window, the filters and the cosines of one `FeatureConfig`.

    Args:
        config: the settings.
        rfft: real FFT along the last axis. NumPy's by default; SciPy's gives the same numbers within float32
            rounding, several times faster, where SciPy is installed anyway (it isn't on a Raspberry Pi: 100 MB).

    >>> FrontEnd(FeatureConfig())(np.zeros(16_000, np.float32)).shape
    (94, 40)
    """

    def __init__(self, config: FeatureConfig, rfft: RealFFT = np.fft.rfft):
        self.config = config
        self._rfft = rfft
        width = config.win_length or config.n_fft
        self._window = np.pad(hann(width), (config.n_fft - width) // 2)
        self._min_power = _MIN_POWER if config.dynamic_range_db is None else _MIN_POWER_LEVEL_FREE
        self._filters = _filter_blocks(mel_filters(config))
        self._cosines = None if config.n_mfcc is None else _dct(config.n_mfcc, config.n_mels)

    def __call__(self, samples: Samples) -> Features:
        """Computes the features of one utterance; of the first `config.seconds` of it, where that is set.

        Args:
            samples: (samples,) float32 at `config.sample_rate`.

        Returns:
            (frames, coefficients) float32: MFCC, or log-mel in dB. Frames that are missing at the end are NaN, where
            the front-end cuts to the speech; otherwise the samples were padded with zeros.
        """
        return self.utterance(self.log_mel(samples))

    def windows(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(windows, frames, coefficients): as many inputs as it takes to hear all the speech of a recording.

        They overlap by half; each is treated as an utterance of its own. A front-end that doesn't cut to the speech
        has one window, the recording's beginning.
        """
        spectrum = self.log_mel(samples)
        if self.config.trim_db is None or self.config.frames is None:
            return self.utterance(spectrum)[None]
        start, stop = self.span(spectrum)
        length = self.config.frames
        starts = window_starts(stop - start, length, length // 2)
        return np.stack([self.utterance(spectrum[start + i : min(start + i + length, stop)]) for i in starts])

    def log_mel(self, samples: Samples) -> Features:
        """(frames, n_mels) dB: the spectrum all else is made from, before anything depends on the whole utterance."""
        config = self.config
        if config.samples is not None and config.trim_db is None:
            samples = samples[: config.samples]
        half = config.n_fft // 2
        length = len(samples) if config.samples is None or config.trim_db is not None else config.samples
        padded = np.zeros(length + 2 * half, np.float32)
        padded[half : half + len(samples)] = samples
        return self.frames(padded)

    def frames(self, samples: Samples) -> Features:
        """(frames, n_mels) dB of all the frames that lie whole in (samples,), the first at their beginning.

        librosa.feature.melspectrogram with center=False, power=2, then power_to_db with top_db=None.
        """
        config = self.config
        if len(samples) < config.n_fft:
            return np.empty((0, config.n_mels), np.float32)
        views = sliding_window_view(samples, config.n_fft)[:: config.hop_length]
        decibels = np.empty((len(views), config.n_mels), np.float32)
        count = max(_FEW, _AT_ONCE // config.n_fft)
        for i in range(0, len(views), count):
            self._mel_power(views[i : i + count], decibels[i : i + count])
        np.log(np.maximum(decibels, self._min_power, out=decibels), out=decibels)
        decibels /= _NEPERS
        return decibels

    def utterance(self, spectrum: Features) -> Features:
        """The features of one utterance from its `log_mel`: all that depends on the loudest frame, or on the length.

        Args:
            spectrum: (frames, n_mels) dB, at least one frame; left as it is.

        Returns:
            (frames, coefficients) float32, as `__call__` does.
        """
        config = self.config
        if config.trim_db is not None:
            start, stop = self.span(spectrum)
            spectrum = spectrum[start : min(stop, start + (config.frames or len(spectrum)))]
        if config.top_db is not None:
            # The floor hangs on the loudest value of the whole array, after the padding, as power_to_db has it.
            spectrum = np.maximum(spectrum, spectrum.max() - config.top_db)
        if config.dynamic_range_db is not None:
            # A percentile: one click doesn't make the utterance quiet.
            spectrum = np.maximum(spectrum - _percentile(spectrum, _PEAK), -config.dynamic_range_db)
        if self._cosines is not None:
            # In float64: a float32 sum of 128 values near -70 dB drifts by up to 2e-3, most where they are equal.
            spectrum = (spectrum @ self._cosines).astype(np.float32)
        missing = 0 if config.frames is None or config.trim_db is None else config.frames - len(spectrum)
        if missing == 0:
            return spectrum
        return np.pad(spectrum, ((0, missing), (0, 0)), constant_values=np.nan)

    def span(self, spectrum: Features) -> tuple[int, int]:
        """First frame, and one past the last, of what is about as loud as the loudest frame, with the margin."""
        if self.config.trim_db is None:
            return 0, len(spectrum)
        loudness = 10 * np.log10(np.exp(spectrum * _NEPERS).sum(axis=1))
        loud = np.flatnonzero(loudness >= loudness.max() - self.config.trim_db)
        margin = self.config.trim_margin
        return max(0, int(loud[0]) - margin), min(len(spectrum), int(loud[-1]) + 1 + margin)

    def _mel_power(self, frames: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """(frames, n_fft) to (frames, n_mels)."""
        spectrum = self._rfft(frames * self._window).astype(np.complex64, copy=False)  # NumPy 1: complex128
        parts = spectrum.view(np.float32)  # real, imaginary, real ...: the filters sum their squares
        np.square(parts, out=parts)
        for bands, bins, block in self._filters:
            np.matmul(parts[:, bins], block, out=out[:, bands])


def _filter_blocks(filters: npt.NDArray[np.float32]) -> list[tuple[slice, slice, npt.NDArray[np.float32]]]:
    """(n_mels, bins) as blocks of neighbouring bands, each over only the bins it hears: a filter bank is mostly zeros.

    Returns:
        For each block its bands, its columns of (real, imaginary, ...), and (columns, bands), each row there twice.
    """
    blocks = []
    for first in range(0, len(filters), _BANDS):
        block = filters[first : first + _BANDS]
        heard = np.flatnonzero(block.any(axis=0))
        low, high = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, 1)  # bands finer than the bins
        columns = np.repeat(block[:, low:high], 2, axis=1).T
        blocks.append((slice(first, first + len(block)), slice(2 * low, 2 * high), np.ascontiguousarray(columns)))
    return blocks


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


def mel_filters(config: FeatureConfig) -> npt.NDArray[np.float32]:
    """(n_mels, n_fft // 2 + 1) triangles of unit area: `librosa.filters.mel(norm="slaney", htk=False)`."""
    bins = np.arange(config.n_fft // 2 + 1) * config.sample_rate / config.n_fft
    edges = _mel_edges(config)
    widths = np.diff(edges)[:, None]
    slopes = edges[:, None] - bins
    triangles = np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]).clip(min=0)
    triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    return triangles.astype(np.float32)


def mel_centres(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """(n_mels,) Hz: where each band's triangle has its tip."""
    return _mel_edges(config)[1:-1]


def _mel_edges(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """(n_mels + 2,) Hz: band i rises from edge i to i + 1 and falls to i + 2."""
    top = config.f_max or config.sample_rate / 2
    return _mel_to_hz(np.linspace(_hz_to_mel(config.f_min), _hz_to_mel(top), config.n_mels + 2))


# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_LINEAR_HZ = 200 / 3  # Hz in a mel, below
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0  # 1000 / (200 / 3)
_LOG_STEP = np.log(6.4) / 27  # above: 27 mels multiply the frequency by 6.4


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _KNEE_HZ else _KNEE_MEL + float(np.log(hz / _KNEE_HZ)) / _LOG_STEP


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)))


def _dct(n_out: int, n_in: int) -> npt.NDArray[np.float64]:
    """(n_in, n_out) orthonormal DCT-II as a matrix: `scipy.fft.dct(type=2, norm="ortho")`."""
    angle = np.pi / n_in * np.outer(np.arange(n_in) + 0.5, np.arange(n_out))
    cosines: npt.NDArray[np.float64] = np.sqrt(2 / n_in) * np.cos(angle)
    cosines[:, 0] /= np.sqrt(2)
    return cosines
