"""Does anybody speak in this recording? The speech gate for a whole sound of up to a minute, as `gate` is for streams.

A stream is asked about a window; a file is one voice, with as much silence around it as its owner left. So what counts
here is whether there are 0.4 s of clear speech anywhere. The level is known beforehand, which helps with
soft voices after noise.

Silero's detector misses screams and high, tense voices: of 1,440 acted utterances (RAVDESS) fourteen held no speech at
all for it. Played slower, and so deeper, it finds all but two of them, while tones, hum, noise and most music stay
what they are. Only what is not clear at its own speed is played slower: 1 of 80 utterances.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import Samples
from ser_edge.recognition.voice_activity.stream_gate import ENERGY_FLOOR, OFFSET, ONSET, SHORTEST, open_detector
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, RATE

__all__ = ["Speech", "find_speech"]

_SPEEDS = (1.0, 0.7, 0.6, 0.5)
_LEVEL = 0.1  # RMS that the detector gets the loudest chunk at: -20 dBFS
_CLEAR, _SURE = 12, 0.8  # chunks, and their mean probability: 0.4 s of speech beyond doubt
_SLOW_RATIO = 0.25  # of a sound that is played slower must be speech: melodies and sirens have less, screams more


@dataclass(frozen=True)
class Speech:
    """What was found."""

    found: bool
    ratio: float  # share of the sound, 0..1, that is speech; 0 where none was found


def find_speech(samples: Samples, sample_rate: int) -> Speech:
    """Looks for speech in (samples,), a whole sound at `sample_rate` Hz.

    Raises:
        ModelError: the detector's file is missing or damaged.
        RuntimeUnavailable: what runs it isn't installed.
    """
    if len(samples) < SHORTEST * sample_rate:
        return Speech(False, 0.0)
    for speed in _SPEEDS:
        probabilities = _probabilities(resample(samples, round(sample_rate * speed), RATE))
        ratio = _ratio(probabilities)
        is_clear = float(np.sort(probabilities)[-_CLEAR:].sum()) >= _SURE * _CLEAR
        if is_clear and (speed == 1.0 or ratio >= _SLOW_RATIO):
            return Speech(True, ratio)
    return Speech(False, 0.0)


def _probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """(samples,) at `RATE` to (chunks,); the last chunk is filled with silence."""
    chunks = np.pad(samples, (0, -len(samples) % CHUNK)).reshape(-1, CHUNK)
    loudness = math.sqrt(float(np.square(chunks).mean(axis=1).max()))
    if loudness < ENERGY_FLOOR:
        return np.zeros(len(chunks), np.float32)
    detector = open_detector()
    chunks = (chunks * np.float32(_LEVEL / loudness)).clip(-1, 1)
    return np.array([detector.probability(chunk) for chunk in chunks], np.float32)


def _ratio(probabilities: npt.NDArray[np.float32]) -> float:
    """Share of the chunks that are speech, with the hysteresis of `gate`."""
    speaking, spoken = False, 0
    for probability in probabilities:
        speaking = bool(probability >= (OFFSET if speaking else ONSET))
        spoken += speaking
    return spoken / len(probabilities)
