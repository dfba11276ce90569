"""The speech gate of streams: which part of a window is speech. In silence, noise or a hum there is no emotion.

On top of Silero's detector there is an energy floor, below which the detector isn't asked; a gain that follows the
level, because the detector misses soft recordings; and hysteresis, so that a word's soft middle doesn't end it.
"""

import math
from collections import deque

import numpy as np

from ser_edge.audio.resampling import Resampler
from ser_edge.audio.sound import Samples
from ser_edge.recognition.voice_activity.voice_detector import (
    CHUNK,
    ENERGY_FLOOR,
    OFFSET,
    ONSET,
    RATE,
    VoiceDetector,
)

_LEVEL = 0.1  # RMS that the loudest of the last seconds is scaled to for the detector: -20 dBFS
_DECAY = 0.99  # of the followed level, per chunk: it halves in 2.2 s
_RESET_CHUNKS = 32  # of silence, 1 s, after which the detector starts anew


class Gate:
    """Computes the speech ratio of any recent stretch of a signal.

    Args:
        sample_rate: Hz of the samples.
        detector: by default a new one, whose errors are those of `VoiceDetector`.
    """

    def __init__(self, sample_rate: int, detector: VoiceDetector | None = None):
        self._detector = detector or VoiceDetector()
        self._resampler = Resampler(sample_rate, RATE)
        self._pending = np.zeros(0, np.float32)  # less than a chunk
        self._is_speech: deque[bool] = deque()  # for each chunk
        self._first = 0  # number of the oldest chunk in it
        self._speaking = False
        self._level = 0.0  # RMS
        self._silent_chunks = 0  # since the energy floor was last exceeded

    def accept_waveform(self, samples: Samples) -> None:
        """Takes the next (samples,), float32, finite."""
        self._pending = np.concatenate((self._pending, self._resampler.process(samples)))
        whole = len(self._pending) // CHUNK
        for chunk in self._pending[: whole * CHUNK].reshape(whole, CHUNK):
            self._is_speech.append(self._detect(chunk))
        self._pending = self._pending[whole * CHUNK :]

    def speech_ratio(self, start: float, end: float) -> float:
        """Ratio of speech, 0..1, of the chunks in a stretch; forgets what was before it.

        Args:
            start: seconds since the beginning; never less than in an earlier call.
            end: seconds; not later than what was accepted.
        """
        length = CHUNK / RATE
        begin = round(start / length)
        while self._first < begin and self._is_speech:
            self._is_speech.popleft()
            self._first += 1
        chunks = [self._is_speech[i] for i in range(min(len(self._is_speech), int(end / length + 1e-6) - self._first))]
        return sum(chunks) / len(chunks) if chunks else 0.0

    def _detect(self, chunk: Samples) -> bool:
        centred = chunk - chunk.mean()  # a DC offset is no sound
        loudness = math.sqrt(float(centred @ centred) / len(centred))
        self._level = max(loudness, self._level * _DECAY)
        if loudness < ENERGY_FLOOR:
            self._silent_chunks += 1
            self._speaking = False
            return False
        if self._silent_chunks >= _RESET_CHUNKS:
            self._detector.reset()
        self._silent_chunks = 0
        probability = self._detector.probability((chunk * (_LEVEL / self._level)).clip(-1, 1))
        self._speaking = probability >= (OFFSET if self._speaking else ONSET)
        return self._speaking
