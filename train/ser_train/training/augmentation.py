"""Other versions of an utterance: another pace, throat, room, microphone, noise, and only a part of it.

All of it happens on the log-mel spectrum, before the front-end cuts to the speech and takes the level away: training
hears what serving would hear of such a recording, through the same `FrontEnd.utterance`. Noise is added as power.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.features.mel import mel_centres, mel_filters
from ser_train.networks.config import AugmentedConfig

__all__ = ["Augmenter", "Source"]

_SPEEDS = (0.9, 0.95, 1.0, 1.05, 1.1)
_SHORTEST = 100  # frames of a cropped window
_SPOKEN = 60  # frames of speech in it, at least
_ENDS = 15  # frames that may be cut off each end of the speech and its margin
_CONTEXT = 100  # frames around the speech that may be heard when there is noise
_NOTHING = -150.0  # dB: where a recording is continued so that noise has room
_TALKERS = (3, 6)  # in a babble


@dataclass(frozen=True)
class Source:
    """An utterance to make versions of."""

    spectrum: Features  # (frames, n_mels) dB, the whole recording
    speaker: str


class Augmenter:
    """Makes versions of utterances.

    Args:
        recipe: how much of what.
        front_end: computes what the network hears.
        sources: the training utterances; babble is mixed of them as well.
    """

    def __init__(self, recipe: AugmentedConfig, front_end: FrontEnd, sources: Sequence[Source]):
        self._recipe = recipe
        self._front_end = front_end
        self._sources = sources
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
        """(frames, coefficients) of another version of one source; no frame is missing."""
        recipe, margin = self._recipe, self._front_end.config.trim_margin
        start, stop = self._speech[index]
        noisy = random.random() < recipe.noise
        if random.random() < recipe.crop:
            start, stop = _window(start, stop, len(self._sources[index].spectrum), recipe.frames, random)
        else:
            ends = min(_ENDS, (stop - start - 1) // 2)  # something is left of the shortest
            start, stop = start + random.integers(ends + 1), stop - random.integers(ends + 1)
            if noisy:
                start, stop = start - random.integers(_CONTEXT), stop + random.integers(_CONTEXT)
        spectrum = _cut(self._sources[index].spectrum, start, max(stop, start + 2 * margin))
        spectrum = self._voice(spectrum, random)
        if random.random() < recipe.reverberation:
            spectrum = self._room(spectrum, random)
        if noisy:
            spectrum = self._noise(spectrum, self._sources[index].speaker, random)
        if random.random() < recipe.channel:
            spectrum = self._channel(spectrum, random)
        features = self._front_end.utterance(spectrum)
        features = features[: int(np.isfinite(features[:, 0]).sum())]
        if len(features) > recipe.frames:
            first = random.integers(len(features) - recipe.frames + 1)
            features = features[first : first + recipe.frames]
        return features

    def masked(self, features: Features, random: np.random.Generator) -> Features:
        """SpecAugment (Park et al., 2019): a band and a moment set to the mean; of normalised features."""
        frames, bands = features.shape
        features = features.copy()
        width = random.integers(min(self._recipe.bands_masked, bands) + 1)
        first = random.integers(bands - width + 1)
        features[:, first : first + width] = _MEAN
        length = random.integers(min(self._recipe.frames_masked, frames // 5) + 1)
        first = random.integers(frames - length + 1)
        features[first : first + length] = _MEAN
        return features

    def _voice(self, spectrum: Features, random: np.random.Generator) -> Features:
        """Another pace and pitch, as by playing it faster; time alone; frequency alone."""
        recipe = self._recipe
        pace = random.choice(_SPEEDS) if random.random() < recipe.speed else 1.0
        pitch = pace * (np.exp(random.uniform(-recipe.warp, recipe.warp)) if random.random() < recipe.warped else 1.0)
        pace = pace * np.exp(random.uniform(-recipe.stretch, recipe.stretch))
        frames = np.linspace(0, len(spectrum) - 1, max(2, round(len(spectrum) / pace)))
        bands = np.interp(self._centres / pitch, self._centres, np.arange(len(self._centres)))
        return _interpolated(_interpolated(spectrum, frames).T, bands).T

    def _room(self, spectrum: Features, random: np.random.Generator) -> Features:
        """A tail that decays: the envelope of a small room's impulse response, as power."""
        config = self._front_end.config
        seconds, late = random.uniform(0.2, 0.7), 10 ** (-random.uniform(0, 12) / 10)  # RT60; late to direct energy
        decay = 10 ** (-6 * config.hop_length / config.sample_rate / seconds)
        gain = late * (1 - decay)
        power = np.power(10, spectrum / 10)
        return _decibels(power + lfilter([0, gain], [1, -decay], power, axis=0))

    def _noise(self, spectrum: Features, speaker: str, random: np.random.Generator) -> Features:
        power = np.power(10, spectrum / 10)
        start, stop = self._front_end.span(spectrum)
        noise = self._babble(len(power), speaker, random) if random.random() < 0.5 else self._hiss(len(power), random)
        ratio = (
            self._energy(power[start:stop]) / self._energy(noise) / 10 ** (random.uniform(*self._recipe.noise_db) / 10)
        )
        return _decibels(power + ratio * noise)

    def _hiss(self, frames: int, random: np.random.Generator) -> Features:
        """Stationary noise with a tilt and a bump; its short-time spectrum fluctuates as real noise's does."""
        place = np.linspace(-1, 1, len(self._centres))
        colour = random.uniform(-12, 12) * place + random.uniform(-6, 6) * np.cos(
            np.pi * (place - random.uniform(-1, 1))
        )
        level = np.power(10, colour / 10)
        return random.standard_gamma(self._freedom, (frames, len(level)), dtype=np.float64) / self._freedom * level

    def _babble(self, frames: int, speaker: str, random: np.random.Generator) -> Features:
        """Others of the training set, talking at once; where there are none, hiss."""
        if self._speakers <= {speaker}:
            return self._hiss(frames, random)
        total = np.zeros((frames, len(self._centres)))
        talkers = random.integers(_TALKERS[0], _TALKERS[1] + 1)
        while talkers:
            index = random.integers(len(self._sources))
            if self._sources[index].speaker == speaker:
                continue
            start, stop = self._speech[index]
            power = np.power(10, self._sources[index].spectrum[start:stop] / 10)
            power = np.roll(power, random.integers(len(power)), axis=0)
            total += np.resize(power / self._energy(power), total.shape)
            talkers -= 1
        return total

    def _channel(self, spectrum: Features, random: np.random.Generator) -> Features:
        """A microphone's colour, a telephone's band, or a codec that leaves out what is high."""
        place = np.linspace(0, np.pi, len(self._centres))
        curve = sum(random.uniform(-4, 4) * np.cos(k * place) for k in (1, 2, 3))
        low, high = _BANDS[random.integers(len(_BANDS))]
        high = random.uniform(*high)
        outside = (self._centres < low) | (self._centres > high)
        return (spectrum + curve - random.uniform(20, 60) * outside).astype(np.float32)

    def _energy(self, power: npt.NDArray[np.floating]) -> float:
        return float((power @ self._widths).mean())


_MEAN = 1e-6  # of normalised features; not 0, which would say that there is no frame
# Lower edge, and the range of the upper edge, in Hz: as it is (twice, so half the time), telephone, codec.
_BANDS = ((0.0, (9e3, 9e3)), (0.0, (9e3, 9e3)), (300.0, (3.3e3, 3.5e3)), (0.0, (3.5e3, 7.5e3)))


def _window(start: int, stop: int, frames: int, longest: int, random: np.random.Generator) -> tuple[int, int]:
    """A window that holds enough of the speech between start and stop, and what is around it."""
    length = int(random.integers(min(_SHORTEST, longest), longest + 1))
    spoken = min(_SPOKEN, stop - start, length)
    first = int(random.integers(start + spoken - length, stop - spoken + 1))
    return max(first, 0), min(first + length, frames)


def _cut(spectrum: Features, start: int, stop: int) -> Features:
    """Frames from start to stop, which may lie outside."""
    inside = spectrum[max(start, 0) : max(stop, 1)]
    before, after = max(0, -start), max(0, stop - len(spectrum))
    if before == after == 0:
        return inside
    return np.pad(inside, ((before, after), (0, 0)), constant_values=_NOTHING)


def _interpolated(rows: Features, places: npt.NDArray[np.floating]) -> Features:
    """Rows at fractional places, linearly."""
    below = np.minimum(places.astype(np.intp), len(rows) - 2)
    share = (places - below).astype(np.float32)[:, None]
    return rows[below] * (1 - share) + rows[below + 1] * share


def _decibels(power: npt.NDArray[np.floating]) -> Features:
    return (10 * np.log10(np.maximum(power, 1e-20))).astype(np.float32)
