"""The front-end gives what librosa 0.11 gives: for speech, for noise, for silence, for whatever an array can hold.

All bounds are in the unit of the features, dB through an orthonormal DCT; a first coefficient is some -500 for silence.
"""

from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ser_edge.audio.downmix import mono_blocks
from ser_edge.audio.reading import read
from ser_edge.audio.sound import Samples, Sound
from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd, hann
from ser_edge.features.mel import mel_filters
from ser_train.networks.zoo import NETWORKS

# What librosa warns of: bands narrower than a bin (ours are as empty), sounds shorter than a frame, Python 3.13
pytestmark = [
    pytest.mark.filterwarnings("ignore:Empty filters detected in mel frequency basis:UserWarning"),
    pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal:UserWarning"),
    pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning"),
]

RATE = 16_000
SETTINGS = [  # n_fft, hop_length, n_mels; seconds=None leaves lengths alone
    FeatureConfig(n_fft=n_fft, hop_length=hop, n_mels=mels, seconds=None)
    for n_fft, hop, mels in [
        (512, 160, 40),
        (512, 512, 128),
        (1024, 160, 64),
        (1024, 256, 128),
        (2048, 160, 40),
        (2048, 256, 64),
        (2048, 512, 128),
    ]
]

# Measured with each of SETTINGS, the largest difference: speech 1.8e-4 (24 recordings of RAVDESS and the project's
# sounds), noise 6e-5, a click 6e-5, clipping 6e-5, silence 6e-5 (an ulp of -632).
CLOSE = 1e-3

# A pure tone leaves most bands empty but for the rounding of a float32 FFT, about 140 dB below the tone. A band just
# above the floor, 80 dB below it, then has an amplitude known to 1e-3, which is 0.01 dB; and librosa rounds differently
# than we do, since it multiplies by a window in float64. Measured: 8.4e-4 over 1,500 random tones, chords and
# constants of any level, 4.5e-4 over 3,000 arrays that hypothesis drew to make it large.
CLOSE_WHERE_BANDS_ARE_EMPTY = 5e-3


def librosa_mfcc(samples: npt.NDArray[np.float32], config: FeatureConfig) -> npt.NDArray[np.float32]:
    mfcc: npt.NDArray[np.float32] = librosa.feature.mfcc(
        y=samples,
        sr=config.sample_rate,
        n_mfcc=config.n_mfcc,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        n_mels=config.n_mels,
    )
    return mfcc.T


def difference(samples: npt.ArrayLike, config: FeatureConfig) -> float:
    samples = np.asarray(samples, np.float32)
    return float(np.abs(FrontEnd(config)(samples) - librosa_mfcc(samples, config)).max())


@pytest.fixture(scope="module")
def voices(speech: list[Path]) -> list[Samples]:
    return [read(path, RATE) for path in speech]


every_setting = pytest.mark.parametrize(
    "config", SETTINGS, ids=lambda config: f"{config.n_fft}-{config.hop_length}-{config.n_mels}"
)


@every_setting
def test_speech(config: FeatureConfig, voices: list[Samples]) -> None:
    assert max(difference(voice, config) for voice in voices) <= CLOSE


@every_setting
def test_clipped_speech(config: FeatureConfig, voices: list[Samples]) -> None:
    assert max(difference(np.clip(10 * voice / np.abs(voice).max(), -1, 1), config) for voice in voices[:5]) <= CLOSE


@every_setting
def test_noise(config: FeatureConfig) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 2 * RATE)
    assert max(difference(level * noise, config) for level in (1, 1e-2, 1e-5)) <= CLOSE


@every_setting
def test_silence(config: FeatureConfig) -> None:
    assert difference(np.zeros(RATE), config) <= CLOSE


@every_setting
def test_a_click(config: FeatureConfig) -> None:
    assert max(difference(np.eye(1, RATE, place)[0], config) for place in (0, 5000, RATE - 1)) <= CLOSE


@every_setting
@pytest.mark.parametrize("hertz", [62.5, 440.0, 1000.0, 7900.0])
def test_a_pure_tone(config: FeatureConfig, hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
    assert max(difference(level * tone, config) for level in (1, 1e-2)) <= CLOSE_WHERE_BANDS_ARE_EMPTY


@every_setting
@settings(deadline=None, max_examples=30)
@given(samples=hnp.arrays(np.float32, st.integers(1, 6000), elements=st.floats(-1, 1, width=32)))
def test_any_array(config: FeatureConfig, samples: npt.NDArray[np.float32]) -> None:
    assert difference(samples, config) <= CLOSE_WHERE_BANDS_ARE_EMPTY


def test_log_mel_spectra_without_a_floor(voices: list[Samples]) -> None:
    # Relative to 1e-8 of the loudest band: without a floor, a band 100 dB down is the FFT's rounding and nothing else.
    config = FeatureConfig(n_mfcc=None, top_db=None, seconds=None)
    for voice in voices:
        power = librosa.feature.melspectrogram(y=voice, sr=RATE)
        reference = librosa.power_to_db(power, top_db=None).T
        ours = FrontEnd(config)(voice)
        audible = reference > reference.max() - 80
        assert np.abs(ours - reference)[audible].max() <= CLOSE
        np.testing.assert_allclose(10 ** (ours / 10), np.maximum(power.T, 1e-10), rtol=1e-3, atol=1e-10)


@every_setting
def test_the_filters_are_librosas(config: FeatureConfig) -> None:
    reference = librosa.filters.mel(sr=RATE, n_fft=config.n_fft, n_mels=config.n_mels)
    np.testing.assert_allclose(mel_filters(config), reference, atol=1e-8)  # they reach 0.03


@pytest.mark.parametrize(("rate", "f_min", "f_max"), [(RATE, 50.0, 7600.0), (RATE, 1200.0, None), (44_100, 0.0, None)])
def test_the_filters_are_librosas_within_limits(rate: int, f_min: float, f_max: float | None) -> None:
    config = FeatureConfig(sample_rate=rate, f_min=f_min, f_max=f_max)
    reference = librosa.filters.mel(sr=rate, n_fft=2048, fmin=f_min, fmax=f_max)
    np.testing.assert_allclose(mel_filters(config), reference, atol=1e-8)


@pytest.mark.parametrize("n", [512, 1024, 2048])
def test_the_window_is_scipys(n: int) -> None:
    np.testing.assert_allclose(hann(n), scipy.signal.get_window("hann", n), atol=1e-7)


def test_files_give_the_features_of_the_notebook(speech: list[Path]) -> None:
    """The notebook's lines, from the path to the network's input, but for the DC offset, which is taken out."""
    front_end = FrontEnd(FeatureConfig())
    for path in speech:
        samples, rate = librosa.load(path, sr=None, duration=3.0)
        samples = np.concatenate([*mono_blocks(Sound(rate, iter([samples[:, None]]), path.name))])
        samples, rate = librosa.resample(samples, orig_sr=rate, target_sr=RATE), RATE
        samples = librosa.util.fix_length(samples, size=48_000)
        reference = librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40).T
        features = front_end(read(path, RATE, 3.0))
        assert features.shape == reference.shape == (94, 40)
        assert np.abs(features - reference).max() <= CLOSE


def test_the_input_of_whisper_gru_is_whispers(voices: list[Samples]) -> None:
    """But for the level, which ours leaves out: Whisper's formula on librosa's spectrum, shifted by a constant.

    Whisper clips 80 dB below the loudest value, we clip 80 dB below a high percentile. Measured: 5e-5 above both.
    """
    network = NETWORKS["whisper-gru"]
    assert network.normalization is not None
    front_end = FrontEnd(replace(network.features, trim_db=None, seconds=None))
    for samples in voices:
        ours = network.normalization.apply(front_end(samples))
        spectrum = librosa.feature.melspectrogram(
            y=samples, sr=RATE, n_fft=400, hop_length=160, n_mels=80, pad_mode="constant"
        )
        logarithm = np.log10(np.maximum(spectrum, 1e-10)).T
        whispers = (np.maximum(logarithm, logarithm.max() - 8) + 4) / 4
        above = (ours > ours.min() + 1e-3) & (whispers > whispers.min() + 1e-3)
        shift = np.median((whispers - ours)[above])
        assert above.mean() > 0.25  # pauses are below
        np.testing.assert_allclose((whispers - shift)[above], ours[above], atol=1e-3)
