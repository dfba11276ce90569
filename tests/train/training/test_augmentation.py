"""Versions of an utterance: what may be in them, and that neither level nor luck decides what a network hears."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_train.networks.config import AugmentedConfig
from ser_train.networks.zoo import NETWORKS
from ser_train.training.augmentation import Augmenter, Source
from tests.conftest import voice

CONFIG = NETWORKS["crnn"].features
FRONT_END = FrontEnd(CONFIG)
RECIPE = AugmentedConfig()
NOTHING = replace(
    RECIPE, speed=0.0, stretch=0.0, warp=0.0, warped=0.0, crop=0.0, noise=0.0, reverberation=0.0, channel=0.0
)
EVERYTHING = replace(RECIPE, speed=1.0, warped=1.0, noise=1.0, reverberation=1.0, channel=1.0)
LENGTHS = (0.4, 0.9, 1.5, 2.5, 3.5)  # s


def sources(gain: float = 1.0, speakers: Sequence[str] = "abcde") -> list[Source]:
    """Made voices of several lengths, with half a second of near silence around them."""
    made = []
    for place, (speaker, seconds) in enumerate(zip(speakers, LENGTHS, strict=True)):
        speech = voice(1 + place, 3 * place, 1, seconds)
        quiet = 1e-3 * voice(8, 1, 1, 0.5)
        samples = np.concatenate([quiet, speech, quiet])
        made.append(Source(FRONT_END.log_mel((gain * samples).astype(np.float32)), speaker))
    return made


SOURCES = sources()


def versions(
    recipe: AugmentedConfig, of: Sequence[Source] = SOURCES, count: int = 12, seed: int = 0
) -> list[np.ndarray]:
    """So many of each source, all drawn from one generator."""
    augmenter, random = Augmenter(recipe, FRONT_END, of), np.random.default_rng(seed)
    return [augmenter(place, random) for place in range(len(of)) for _ in range(count)]


def band_energies(spectrum: np.ndarray) -> np.ndarray:
    """(frames,) energy of (frames, 64) dB: a band's mean power, times its width in Hz."""
    mel = np.linspace(*(_mel(hz) for hz in (CONFIG.f_min, CONFIG.f_max)), CONFIG.n_mels + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))
    return np.power(10.0, spectrum / 10) @ ((edges[2:] - edges[:-2]) / 2)


def _mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) * 27 / np.log(6.4)


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING, replace(EVERYTHING, crop=1.0)])
def test_versions_are_finite_under_the_peak_and_no_longer_than_the_recipe_says(recipe: AugmentedConfig) -> None:
    for version in versions(recipe):
        assert version.dtype == np.float32
        assert version.shape[1] == 64
        assert 20 <= len(version) <= recipe.frames
        assert np.isfinite(version).all()
        assert version.min() >= -CONFIG.dynamic_range_db
        assert abs(np.percentile(version, 99.5)) < 12  # of the whole; what was cut off may have been louder


@pytest.mark.parametrize("frames", [8, 50, 99, 300])
def test_other_longest_inputs_are_kept_to(frames: int) -> None:
    assert max(map(len, versions(replace(EVERYTHING, frames=frames)))) <= frames


def test_a_louder_recording_has_the_same_versions() -> None:
    for quiet, loud in zip(versions(EVERYTHING), versions(EVERYTHING, sources(gain=10.0)), strict=True):
        np.testing.assert_allclose(loud, quiet, atol=1e-2)  # dB, of float32 rounding


def test_the_same_state_of_the_generator_gives_the_same_version_and_another_another() -> None:
    first, again, other = versions(RECIPE), versions(RECIPE), versions(RECIPE, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_no_version_changes_its_source() -> None:
    before = [source.spectrum.copy() for source in SOURCES]
    versions(EVERYTHING)
    for source, spectrum in zip(SOURCES, before, strict=True):
        np.testing.assert_array_equal(source.spectrum, spectrum)


def test_a_recipe_of_nothing_only_cuts_a_little_off_the_ends() -> None:
    served = [FRONT_END.utterance(source.spectrum) for source in SOURCES[:3]]  # whole, and shorter than the longest
    for version, whole in zip(versions(NOTHING, SOURCES[:3], count=1), served, strict=True):
        length = int(np.isfinite(whole[:, 0]).sum())
        assert length - 30 <= len(version) <= length
        starts = range(length - len(version) + 1)
        differences = [abs(whole[start : start + len(version)] - version).max() for start in starts]
        assert min(differences) < 1  # dB: the peak may have been in what is cut off


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.2])
def test_the_shortest_sounds_have_versions_too(seconds: float) -> None:
    short = [Source(FRONT_END.log_mel(voice(place, place, 1, seconds)), f"{place}") for place in (1, 2)]
    for version in versions(EVERYTHING, short) + versions(NOTHING, short):
        assert len(version) >= 1
        assert np.isfinite(version).all()
        assert version.max() > -CONFIG.dynamic_range_db  # something of the sound is in it


@pytest.mark.parametrize("ratio", [-5.0, 3.0, 20.0])
def test_noise_is_as_loud_as_the_ratio_says(ratio: float) -> None:
    augmenter = Augmenter(replace(NOTHING, noise=1.0, noise_db=(ratio, ratio)), FRONT_END, SOURCES)
    for seed in range(8):
        for source in SOURCES:
            noisy = augmenter.with_noise(source.spectrum, source.speaker, np.random.default_rng(seed))
            start, stop = FRONT_END.span(source.spectrum)
            speech, noise = band_energies(source.spectrum), band_energies(noisy) - band_energies(source.spectrum)
            measured = 10 * np.log10(speech[start:stop].mean() / noise.mean())
            assert measured == pytest.approx(ratio, abs=0.1)


def test_noise_is_heard_in_a_version_as_loud_as_that() -> None:
    """Where the speech is over, 10 dB under it: not lost to the cutting, nor to what takes the level away."""
    recipe = replace(NOTHING, noise=1.0, noise_db=(10.0, 10.0))
    clean = [FRONT_END.utterance(source.spectrum) for source in SOURCES]
    floors = [np.percentile(version, 5) for version in versions(recipe)]
    assert np.median(floors) > np.median([np.nanpercentile(features, 5) for features in clean]) + 5


def test_babble_never_contains_the_speaker() -> None:
    """Each source has a band of its own: whoever talks is seen."""
    bands = {speaker: 10 * place for place, speaker in enumerate("abcd")}
    spectra = []
    for speaker, band in bands.items():
        spectrum = np.full((120, 64), -120.0, np.float32)
        spectrum[:, band : band + 3] = 0.0
        spectra.extend([Source(spectrum, speaker)] * 2)
    augmenter, random = Augmenter(RECIPE, FRONT_END, spectra), np.random.default_rng(0)
    for speaker, band in bands.items():
        total = np.zeros(64)
        for _ in range(30):
            babble = augmenter.babble(200, speaker, random)
            assert babble.shape == (200, 64)
            total += babble.sum(axis=0)
        present = {other for other, place in bands.items() if total[place] > 1e-3 * total.max()}
        assert present == set(bands) - {speaker}, band


def test_one_speaker_alone_gets_stationary_noise() -> None:
    alone = sources(speakers="aaaaa")
    assert all(np.isfinite(version).all() for version in versions(EVERYTHING, alone))


def test_stationary_noise_fluctuates_less_where_more_is_averaged() -> None:
    augmenter = Augmenter(RECIPE, FRONT_END, SOURCES)
    noise = augmenter.stationary_noise(4000, np.random.default_rng(0))
    spread = noise.std(axis=0) / noise.mean(axis=0)
    noise = np.random.default_rng(1).standard_normal(16_000 * 20).astype(np.float32)
    real = np.power(10.0, FRONT_END.log_mel(noise) / 10)
    share = spread / (real.std(axis=0) / real.mean(axis=0))
    assert ((share > 0.55) & (share < 1)).all()  # less than white noise: its neighbouring bins aren't independent
    assert spread[:5].mean() > 2 * spread[-5:].mean()


def test_reverberation_adds_a_tail_that_decays() -> None:
    spectrum = np.full((200, 64), -100.0, np.float32)
    spectrum[20:40] = 0.0
    room = Augmenter(RECIPE, FRONT_END, SOURCES).reverberated(spectrum, np.random.default_rng(0))
    assert (room >= spectrum - 1e-3).all()
    assert (room[:20] < -95).all()
    tail = room[40:60, 0]
    assert -30 < tail[0] < 0
    assert (np.diff(tail) < 0).all()


def test_another_pace_changes_the_length_and_another_throat_does_not() -> None:
    recipe = replace(NOTHING, stretch=0.3)
    augmenter, random = Augmenter(recipe, FRONT_END, SOURCES), np.random.default_rng(0)
    lengths = {len(augmenter.warped(SOURCES[2].spectrum, random)) for _ in range(20)}
    assert len(lengths) > 10
    warped = Augmenter(replace(NOTHING, warp=0.3, warped=1.0), FRONT_END, SOURCES).warped(SOURCES[2].spectrum, random)
    assert warped.shape == SOURCES[2].spectrum.shape
    assert abs(warped - SOURCES[2].spectrum).max() > 1


def test_masks_set_a_band_and_a_moment_to_the_mean_and_leave_every_frame_there() -> None:
    augmenter, random = Augmenter(RECIPE, FRONT_END, SOURCES), np.random.default_rng(0)
    features = random.standard_normal((100, 64)).astype(np.float32)
    before, widths, lengths = features.copy(), [], []
    for _ in range(200):
        masked = augmenter.masked(features, random)
        hidden = masked != features
        widths.append(hidden.all(axis=0).sum())
        lengths.append(hidden.all(axis=1).sum())
        np.testing.assert_allclose(masked[hidden], 0, atol=1e-5)
        assert (masked != 0).all()  # frames of zeros are no frames
        assert hidden.sum() == 64 * lengths[-1] + 100 * widths[-1] - widths[-1] * lengths[-1]
    np.testing.assert_array_equal(features, before)
    assert (min(widths), max(widths)) == (0, 10)
    assert (min(lengths), max(lengths)) == (0, 20)  # a fifth


def test_masks_wider_than_the_input_are_no_wider() -> None:
    recipe = replace(RECIPE, bands_masked=1000, frames_masked=1000)
    augmenter, random = Augmenter(recipe, FRONT_END, SOURCES), np.random.default_rng(0)
    for frames in (1, 4, 5, 50):
        for _ in range(20):
            masked = augmenter.masked(np.ones((frames, 64), np.float32), random)
            assert masked.shape == (frames, 64)


def test_a_front_end_of_other_sizes_has_versions_too() -> None:
    config = FeatureConfig(
        n_fft=512,
        hop_length=160,
        n_mels=20,
        n_mfcc=None,
        top_db=None,
        trim_db=30.0,
        dynamic_range_db=40.0,
        seconds=None,
    )
    front_end = FrontEnd(config)
    made = [Source(front_end.log_mel(voice(place, place, 1, 1.0)), f"{place}") for place in (1, 2)]
    augmenter, random = Augmenter(EVERYTHING, front_end, made), np.random.default_rng(0)
    for _ in range(10):
        version = augmenter(0, random)
        assert version.shape[1] == 20
        assert np.isfinite(version).all()
