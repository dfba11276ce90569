"""Augmentation of utterances: tempo, pitch, vocal-tract length, reverberation, channel, noise and cropping.

All of it works on the log-mel spectrum, before the front-end trims silence and normalises the level, so that training
sees what inference would see of such a recording, through the same `FrontEnd.utterance`. Noise is added as power.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.features.mel import mel_centres, mel_filters
from ser_train.networks.config import AugmentedConfig

Power = npt.NDArray[np.floating]

_SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
_SHORTEST = 100  # frames of a cropped window
_SPEECH = 60  # frames of speech in it, at least
_ENDS = 15  # frames that may be cut off each end of the speech and its margin
_CONTEXT = 100  # frames around the speech that may be kept when there is noise
_SILENCE = -150.0  # dB: pads a recording so that noise has room
_BABBLE_SPEAKERS = (3, 6)


@dataclass(frozen=True)
class Source:
    """An utterance to augment."""

    spectrum: Features  # (frames, n_mels) dB, the whole recording
    speaker: str


class Augmenter:
    """Augments utterances.

    Args:
        recipe: probabilities and strengths.
        front_end: computes the network's input.
        sources: the training utterances; babble is mixed from them as well.
    """

    def __init__(self, recipe: AugmentedConfig, front_end: FrontEnd, sources: Sequence[Source]):
        self._recipe = recipe
        self._front_end = front_end
        self.sources = sources
        self._speech = [front_end.span(source.spectrum) for source in sources]
        self._speakers = {source.speaker for source in sources}
        config = front_end.config
        self._centres = mel_centres(config)
        filters = mel_filters(config)
        edges = np.array([config.f_min, *self._centres, config.f_max or config.sample_rate / 2])
        self._widths = (edges[2:] - edges[:-2]) / 2  # Hz; power times width is a band's share of energy
        # Averages of few spectral bins fluctuate more than those of many.
        self._freedom = filters.sum(axis=1) ** 2 / np.square(filters).sum(axis=1)

    def __call__(self, index: int, random: np.random.Generator) -> Features:
        """(frames, coefficients) of one augmentation of a source, without padding frames."""
        recipe, margin = self._recipe, self._front_end.config.trim_margin
        start, stop = self._speech[index]
        noisy = random.random() < recipe.noise
        if random.random() < recipe.crop:
            start, stop = _window(start, stop, len(self.sources[index].spectrum), recipe.frames, random)
        else:
            ends = min(_ENDS, (stop - start - 1) // 2)  # the shortest isn't cut to nothing
            start, stop = start + int(random.integers(ends + 1)), stop - int(random.integers(ends + 1))
            if noisy:
                start, stop = start - int(random.integers(_CONTEXT)), stop + int(random.integers(_CONTEXT))
        spectrum = _cut(self.sources[index].spectrum, start, max(stop, start + 2 * margin))
        spectrum = self.warped(spectrum, random)
        if random.random() < recipe.reverberation:
            spectrum = self.reverberated(spectrum, random)
        if noisy:
            spectrum = self.with_noise(spectrum, self.sources[index].speaker, random)
        if random.random() < recipe.channel:
            spectrum = self.filtered(spectrum, random)
        features = self._front_end.utterance(spectrum)
        features = features[: int(np.isfinite(features[:, 0]).sum())]
        if len(features) > recipe.frames:
            first = random.integers(len(features) - recipe.frames + 1)
            features = features[first : first + recipe.frames]
        return features

    def masked(self, features: Features, random: np.random.Generator) -> Features:
        """`masked` by the recipe."""
        return masked(features, self._recipe, random)

    def warped(self, spectrum: Features, random: np.random.Generator) -> Features:
        """Resampling in time and frequency together, as by faster playback; in time alone; in frequency alone."""
        recipe = self._recipe
        pace = random.choice(_SPEEDS) if random.random() < recipe.speed else 1.0
        pitch = pace * (np.exp(random.uniform(-recipe.warp, recipe.warp)) if random.random() < recipe.warped else 1.0)
        pace = pace * np.exp(random.uniform(-recipe.stretch, recipe.stretch))
        frames = np.linspace(0, len(spectrum) - 1, max(2, round(len(spectrum) / pace)))
        bands = np.interp(self._centres / pitch, self._centres, np.arange(len(self._centres)))
        return _interpolated(_interpolated(spectrum, frames).T, bands).T

    def reverberated(self, spectrum: Features, random: np.random.Generator) -> Features:
        """A decaying tail: the power envelope of a small room's impulse response."""
        config = self._front_end.config
        seconds, late = random.uniform(0.2, 0.7), 10 ** (-random.uniform(0, 12) / 10)  # RT60; late to direct energy
        decay = 10 ** (-6 * config.hop_length / config.sample_rate / seconds)
        gain = late * (1 - decay)
        power = np.power(10, spectrum / 10)
        return _decibels(power + lfilter([0, gain], [1, -decay], power, axis=0))

    def with_noise(self, spectrum: Features, speaker: str, random: np.random.Generator) -> Features:
        """Babble or stationary noise, at a signal-to-noise ratio from the recipe's range."""
        power = np.power(10, spectrum / 10)
        start, stop = self._front_end.span(spectrum)
        babble = random.random() < 0.5
        noise = self.babble(len(power), speaker, random) if babble else self.stationary_noise(len(power), random)
        gain = 10 ** (random.uniform(*self._recipe.noise_db) / 10)
        ratio = self._energy(power[start:stop]) / self._energy(noise) / gain
        return _decibels(power + ratio * noise)

    def stationary_noise(self, frames: int, random: np.random.Generator) -> Power:
        """(frames, n_mels) power of noise with a spectral tilt and bump, fluctuating as real short-time spectra do."""
        place = np.linspace(-1, 1, len(self._centres))
        colour = random.uniform(-12, 12) * place + random.uniform(-6, 6) * np.cos(
            np.pi * (place - random.uniform(-1, 1))
        )
        level = np.power(10, colour / 10)
        fluctuation = random.standard_gamma(self._freedom, (frames, len(level)), dtype=np.float64) / self._freedom
        noise: Power = fluctuation * level
        return noise

    def babble(self, frames: int, speaker: str, random: np.random.Generator) -> Power:
        """(frames, n_mels) power of several other training speakers; stationary noise if there are none."""
        if self._speakers <= {speaker}:
            return self.stationary_noise(frames, random)
        total = np.zeros((frames, len(self._centres)))
        speakers = random.integers(_BABBLE_SPEAKERS[0], _BABBLE_SPEAKERS[1] + 1)
        while speakers:
            index = int(random.integers(len(self.sources)))
            if self.sources[index].speaker == speaker:
                continue
            start, stop = self._speech[index]
            power = np.power(10, self.sources[index].spectrum[start:stop] / 10)
            power = np.roll(power, random.integers(len(power)), axis=0)
            total += np.resize(power / self._energy(power), total.shape)
            speakers -= 1
        return total

    def filtered(self, spectrum: Features, random: np.random.Generator) -> Features:
        """A microphone's colouration, a telephone's band, or a codec's low-pass."""
        place = np.linspace(0, np.pi, len(self._centres))
        curve = sum(random.uniform(-4, 4) * np.cos(k * place) for k in (1, 2, 3))
        low, highest = _BANDS[int(random.integers(len(_BANDS)))]
        high = random.uniform(*highest)
        outside = (self._centres < low) | (self._centres > high)
        filtered: Features = (spectrum + curve - random.uniform(20, 60) * outside).astype(np.float32)
        return filtered

    def _energy(self, power: Power) -> float:
        return float((power @ self._widths).mean())


def masked(features: Features, recipe: AugmentedConfig, random: np.random.Generator) -> Features:
    """SpecAugment (Park et al., 2019) on normalised features: some bands and some frames set to the mean."""
    frames, bands = features.shape
    features = features.copy()
    width = random.integers(min(recipe.bands_masked, bands) + 1)
    first = random.integers(bands - width + 1)
    features[:, first : first + width] = _MEAN
    length = random.integers(min(recipe.frames_masked, frames // 5) + 1)
    first = random.integers(frames - length + 1)
    features[first : first + length] = _MEAN
    return features


_MEAN = 1e-6  # of normalised features; not 0, which marks a missing frame
# Lower edge, and range of the upper edge, in Hz: unchanged (twice, so half the time), telephone, codec.
_BANDS = ((0.0, (9e3, 9e3)), (0.0, (9e3, 9e3)), (300.0, (3.3e3, 3.5e3)), (0.0, (3.5e3, 7.5e3)))


def _window(start: int, stop: int, frames: int, longest: int, random: np.random.Generator) -> tuple[int, int]:
    """(start, stop) of a random window that holds enough of the speech, and its surroundings."""
    length = int(random.integers(min(_SHORTEST, longest), longest + 1))
    speech = min(_SPEECH, stop - start, length)
    first = int(random.integers(start + speech - length, stop - speech + 1))
    return max(first, 0), min(first + length, frames)


def _cut(spectrum: Features, start: int, stop: int) -> Features:
    """Frames from start to stop, padded with silence where these lie outside."""
    inside = spectrum[max(start, 0) : max(stop, 1)]
    before, after = max(0, -start), max(0, stop - len(spectrum))
    if before == after == 0:
        return inside
    return np.pad(inside, ((before, after), (0, 0)), constant_values=_SILENCE)


def _interpolated(rows: Features, places: npt.NDArray[np.floating]) -> Features:
    """Rows at fractional places, interpolated linearly."""
    below = np.minimum(places.astype(np.intp), len(rows) - 2)
    share = (places - below).astype(np.float32)[:, None]
    interpolated: Features = rows[below] * (1 - share) + rows[below + 1] * share
    return interpolated


def _decibels(power: Power) -> Features:
    levels: Features = (10 * np.log10(np.maximum(power, 1e-20))).astype(np.float32)
    return levels
