"""The settings of the front-end, and the shape of what it gives. Its values are checked in tests/parity."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft

from ser_edge.audio.reading import read
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd, hann
from ser_edge.features.mel import mel_filters

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 80_000).astype(np.float32)  # five seconds


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"sample_rate": 999}, "sample_rate"),
        ({"sample_rate": 768_001}, "sample_rate"),
        ({"n_fft": 14}, "n_fft"),
        ({"n_fft": 1025}, "n_fft"),
        ({"n_fft": 65_538}, "n_fft"),
        ({"hop_length": 0}, "hop_length"),
        ({"hop_length": 15}, "hop_length"),
        ({"hop_length": 2049}, "hop_length"),
        ({"n_mels": 0, "n_mfcc": None}, "n_mels"),
        ({"n_mels": 1025}, "n_mels"),
        ({"n_mfcc": 0}, "n_mfcc"),
        ({"n_mfcc": 129}, "n_mfcc"),
        ({"f_min": -1.0}, "f_min"),
        ({"f_min": 4000.0, "f_max": 4000.0}, "f_min"),
        ({"f_max": 8000.5}, "f_min"),
        ({"f_min": float("nan")}, "f_min"),
        ({"top_db": 0.0}, "top_db"),
        ({"top_db": float("nan")}, "top_db"),
        ({"dynamic_range_db": 1e300}, "dynamic_range_db"),
        ({"n_fft": 65_536, "n_mels": 1024}, "memory"),
        ({"sample_rate": 768_000, "seconds": 600.0}, "memory"),
        ({"n_fft": 128, "hop_length": 1, "n_mels": 1024}, "memory"),
        ({"seconds": 0.02, "trim_db": 20.0}, "seconds"),
        ({"seconds": 0.0}, "seconds"),
        ({"seconds": 601.0}, "seconds"),
    ],
)
def test_a_setting_out_of_its_range_is_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        FeatureConfig(**settings)


def test_settings_survive_json_and_compare() -> None:
    config = FeatureConfig(n_fft=1024, hop_length=160, n_mfcc=None, f_max=7600.0, seconds=2.5)
    again = FeatureConfig(**json.loads(json.dumps(asdict(config))))
    assert again == config
    assert hash(again) == hash(config)
    assert again != FeatureConfig()


@pytest.mark.parametrize(
    ("settings", "samples", "frames", "coefficients"),
    [
        ({}, 48_000, 94, 40),
        ({"seconds": 2.5, "sample_rate": 22_050}, 55_125, 108, 40),
        ({"n_fft": 512, "hop_length": 160, "n_mels": 64, "n_mfcc": None}, 48_000, 301, 64),
        ({"seconds": None}, None, None, 40),
    ],
)
def test_sizes_follow_from_the_settings(
    settings: dict[str, Any], samples: int | None, frames: int | None, coefficients: int
) -> None:
    config = FeatureConfig(**settings)
    assert (config.samples, config.frames, config.coefficients) == (samples, frames, coefficients)
    features = FrontEnd(config)(NOISE)
    assert features.shape == (frames or 1 + len(NOISE) // config.hop_length, coefficients)
    assert features.dtype == np.float32


def test_short_sounds_are_padded_with_zeros_and_long_ones_cut() -> None:
    front_end = FrontEnd(FeatureConfig())
    second = NOISE[:16_000]
    np.testing.assert_array_equal(front_end(second), front_end(np.pad(second, (0, 32_000))))
    np.testing.assert_array_equal(front_end(NOISE), front_end(NOISE[:48_000]))


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513])
def test_any_length_may_be_one_frame(length: int) -> None:
    features = FrontEnd(FeatureConfig(seconds=None))(NOISE[:length])
    assert features.shape == (1 + length // 512, 40)
    assert np.isfinite(features).all()


def test_values_are_clipped_relative_to_the_peak() -> None:
    half_silent = np.pad(NOISE[:16_000], (0, 16_000))
    config = FeatureConfig(n_mfcc=None, top_db=60.0, seconds=None)
    floored, free = FrontEnd(config)(half_silent), FrontEnd(replace(config, top_db=None))(half_silent)
    assert floored.min() == floored.max() - 60
    assert free.min() == pytest.approx(-100)  # 1e-10, the least power there is
    np.testing.assert_array_equal(floored, np.maximum(free, free.max() - 60))


def test_frequencies_outside_the_limits_are_ignored() -> None:
    time = np.arange(16_000) / 16_000
    whistle = np.sin(2 * np.pi * 6000 * time).astype(np.float32)
    config = FeatureConfig(n_mfcc=None, top_db=None, seconds=None)
    full, low = FrontEnd(config)(whistle), FrontEnd(replace(config, f_max=3000.0))(whistle)
    assert low[8:24].max() < full[8:24].max() - 60  # the frames at the ends hold a click


@pytest.mark.parametrize("settings", [{}, {"n_fft": 64}, {"n_mels": 1, "n_mfcc": 1}, {"f_min": 300.0, "f_max": 310.0}])
def test_blocks_of_filters_equal_the_whole_filter_bank(settings: dict[str, Any]) -> None:
    """Also where bands are finer than the FFT's bins, so that whole blocks of filters are zeros."""
    config = FeatureConfig(**{"hop_length": 64, **settings})
    frames = np.lib.stride_tricks.sliding_window_view(NOISE[:4096], config.n_fft)[::64]
    power = np.abs(np.fft.rfft(frames * hann(config.n_fft))) ** 2 @ mel_filters(config).T
    spectrum = FrontEnd(config).frames(NOISE[:4096])
    np.testing.assert_allclose(spectrum, 10 * np.log10(np.maximum(power, 1e-10)), atol=1e-4)


def test_samples_are_not_changed() -> None:
    samples = NOISE.copy()
    FrontEnd(FeatureConfig())(samples)
    np.testing.assert_array_equal(samples, NOISE)


def test_scipys_fft_equals_numpys(speech: list[Path]) -> None:
    # Measured on 24 recordings of RAVDESS and the project's sounds: 2e-4. ser_train uses SciPy's, the device NumPy's.
    numpys, scipys = FrontEnd(FeatureConfig()), FrontEnd(FeatureConfig(), scipy.fft.rfft)
    for path in speech:
        samples = read(path, 16_000)
        np.testing.assert_allclose(scipys(samples), numpys(samples), atol=1e-3)
