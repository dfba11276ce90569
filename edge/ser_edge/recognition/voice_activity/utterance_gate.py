"""The speech gate of whole recordings of up to a minute: whether anybody speaks in one.

A recording is one voice with any amount of silence around it, so the criterion is 0.4 s of clear speech anywhere,
rather than a ratio. Its level is known beforehand, which helps with soft voices after noise.

Silero's detector misses screams and high, tense voices: in 1,440 acted utterances (RAVDESS) it found no speech in
fourteen. Played slower, and so at a lower pitch, all but two of them pass, while tones, hum, noise and most music
don't. Only what is not clear at its own speed is played slower: 1 of 80 utterances.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser_edge.audio.resampling import resample
from ser_edge.audio.sound import Samples
from ser_edge.recognition.voice_activity.voice_detector import (
    CHUNK,
    ENERGY_FLOOR,
    MIN_SECONDS,
    OFFSET,
    ONSET,
    RATE,
    speech_probabilities,
)

_SPEEDS = (1.0, 0.7, 0.6, 0.5)
_LEVEL = 0.1  # RMS that the loudest chunk is scaled to for the detector: -20 dBFS
_CLEAR_CHUNKS, _CLEAR_PROBABILITY = 12, 0.8  # clear speech: 0.4 s with this mean probability
_MIN_SLOW_RATIO = 0.25  # speech ratio of a slower sound: melodies and sirens have less, screams more


@dataclass(frozen=True)
class Speech:
    """The result for a recording."""

    found: bool
    ratio: float  # of the recording, 0..1, that is speech; 0 if none was found


def find_speech(samples: Samples, sample_rate: int) -> Speech:
    """Looks for speech in (samples,), a whole recording at `sample_rate` Hz; raises what `VoiceDetector` does."""
    if len(samples) < MIN_SECONDS * sample_rate:
        return Speech(False, 0.0)
    for speed in _SPEEDS:
        rate = round(sample_rate * speed)
        probabilities = _probabilities(samples if rate == RATE else resample(samples, rate, RATE))
        ratio = _ratio(probabilities)
        clearest = float(np.sort(probabilities)[-_CLEAR_CHUNKS:].sum())
        if clearest >= _CLEAR_PROBABILITY * _CLEAR_CHUNKS and (speed == 1.0 or ratio >= _MIN_SLOW_RATIO):
            return Speech(True, ratio)
    return Speech(False, 0.0)


def _probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """(samples,) at `RATE` to (chunks,); the last chunk is padded with silence."""
    chunks = np.pad(samples, (0, -len(samples) % CHUNK)).reshape(-1, CHUNK)
    loudness = math.sqrt(float(np.square(chunks).mean(axis=1).max()))
    if loudness < ENERGY_FLOOR:
        return np.zeros(len(chunks), np.float32)
    return speech_probabilities((chunks * np.float32(_LEVEL / loudness)).clip(-1, 1))


def _ratio(probabilities: npt.NDArray[np.float32]) -> float:
    """Ratio of the chunks that are speech, with hysteresis."""
    speaking, count = False, 0
    for probability in probabilities:
        speaking = bool(probability >= (OFFSET if speaking else ONSET))
        count += speaking
    return count / len(probabilities)
