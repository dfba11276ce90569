"""Mel filter bank and DCT, as librosa 0.11 and SciPy define them, in NumPy."""

import numpy as np
import numpy.typing as npt

from ser_edge.features.config import FeatureConfig

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_HZ_PER_MEL = 200 / 3  # below the knee
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0  # 1000 / (200 / 3)
_LOG_STEP = np.log(6.4) / 27  # above: 27 mels multiply the frequency by 6.4
_BANDS = 16  # per matrix product: few enough to leave out most bins, enough to be worth a call


def mel_filters(config: FeatureConfig) -> npt.NDArray[np.float32]:
    """(n_mels, n_fft // 2 + 1) triangles of unit area: `librosa.filters.mel(norm="slaney", htk=False)`."""
    bins = np.arange(config.n_fft // 2 + 1) * config.sample_rate / config.n_fft
    edges = _mel_edges(config)
    widths = np.diff(edges)[:, None]
    slopes = edges[:, None] - bins
    triangles = np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]).clip(min=0)
    triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    return triangles.astype(np.float32)


def filter_blocks(config: FeatureConfig) -> list[tuple[slice, slice, npt.NDArray[np.float32]]]:
    """The filter bank in blocks of neighbouring bands, each with its non-zero bins only: most of a bank is zeros.

    Returns:
        For each block its bands; its columns of a spectrum stored as (real, imaginary, real, ...); and its weights
        (columns, bands), in which each bin stands twice.
    """
    blocks = []
    filters = mel_filters(config)
    for first in range(0, len(filters), _BANDS):
        block = filters[first : first + _BANDS]
        bins = np.flatnonzero(block.any(axis=0))
        low, high = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 1)  # bands may be finer than the bins
        weights = np.repeat(block[:, low:high], 2, axis=1).T
        blocks.append((slice(first, first + len(block)), slice(2 * low, 2 * high), np.ascontiguousarray(weights)))
    return blocks


def mel_centres(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """(n_mels,) Hz: the peak of each band's triangle."""
    return _mel_edges(config)[1:-1]


def dct(n_out: int, n_in: int) -> npt.NDArray[np.float64]:
    """(n_in, n_out) orthonormal DCT-II as a matrix: `scipy.fft.dct(type=2, norm="ortho")`."""
    angle = np.pi / n_in * np.outer(np.arange(n_in) + 0.5, np.arange(n_out))
    cosines: npt.NDArray[np.float64] = np.sqrt(2 / n_in) * np.cos(angle)
    cosines[:, 0] /= np.sqrt(2)
    return cosines


def _mel_edges(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """(n_mels + 2,) Hz: band i rises from edge i to i + 1 and falls to i + 2."""
    top = config.f_max or config.sample_rate / 2
    return _mel_to_hz(np.linspace(_hz_to_mel(config.f_min), _hz_to_mel(top), config.n_mels + 2))


def _hz_to_mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < _KNEE_HZ else _KNEE_MEL + float(np.log(hz / _KNEE_HZ)) / _LOG_STEP


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)))
