"""Is anyone speaking? An emotion heard in silence, noise or a hum would be made up.

Silero's detector judges chunks of 32 ms. This module adds an energy floor, below which it isn't even asked; a gain that
follows the level, because it misses soft recordings; and hysteresis, so that a word's soft middle doesn't end it.
"""

import math
from collections import deque

import numpy as np

from ser_edge.audio.resampling import Resampler
from ser_edge.audio.sound import Samples
from ser_edge.errors import RuntimeUnavailable
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, RATE, VoiceDetector

__all__ = ["ENERGY_FLOOR", "OFFSET", "ONSET", "SHORTEST", "Gate", "open_detector"]

SHORTEST = 0.1  # seconds: in less there is no emotion
ENERGY_FLOOR = 1e-4  # RMS around the mean, full scale is 1: -80 dBFS, below the own noise of any microphone
ONSET, OFFSET = 0.5, 0.35  # the detector's probability at which speech begins, and below which it ends; Silero's own
_LEVEL = 0.1  # RMS that the detector gets to hear the loudest of the last seconds at: -20 dBFS
_DECAY = 0.99  # of the followed level, a chunk: it halves in 2.2 s
_FORGETS = 32  # chunks of quiet, 1 s, after which what was heard before says nothing about what comes


class Gate:
    """Listens along, and says what share of any recent stretch was speech.

    Args:
        sample_rate: Hz of the samples that `accept_waveform` gets.

    Raises:
        ModelError: the detector's file is missing or damaged.
        RuntimeUnavailable: what runs it isn't installed.
    """

    def __init__(self, sample_rate: int):
        self._detector = open_detector()
        self._resampler = Resampler(sample_rate, RATE)
        self._left = np.zeros(0, np.float32)
        self._spoken: deque[bool] = deque()  # whether somebody did, by chunk
        self._first = 0  # number of the oldest chunk in it
        self._speaking = False
        self._level = 0.0  # RMS
        self._quiet = 0  # chunks since the energy floor was passed

    def accept_waveform(self, samples: Samples) -> None:
        """Hears (samples,), float32, finite."""
        self._left = np.concatenate((self._left, self._resampler.process(samples)))
        whole = len(self._left) // CHUNK
        for chunk in self._left[: whole * CHUNK].reshape(whole, CHUNK):
            self._spoken.append(self._is_speech(chunk))
        self._left = self._left[whole * CHUNK :]

    def speech_ratio(self, start: float, end: float) -> float:
        """Share of the stretch, 0..1, that was speech, judged by the chunks that lie in it; forgets what was before.

        Args:
            start: seconds since the beginning; never less than in an earlier call.
            end: seconds; not later than what was fed.
        """
        length = CHUNK / RATE
        begin = round(start / length)
        while self._first < begin and self._spoken:
            self._spoken.popleft()
            self._first += 1
        chunks = [self._spoken[i] for i in range(min(len(self._spoken), int(end / length + 1e-6) - self._first))]
        return sum(chunks) / len(chunks) if chunks else 0.0

    def _is_speech(self, chunk: Samples) -> bool:
        swing = chunk - chunk.mean()  # a DC offset is no sound
        loudness = math.sqrt(float(swing @ swing) / len(swing))
        self._level = max(loudness, self._level * _DECAY)
        if loudness < ENERGY_FLOOR:
            self._quiet += 1
            self._speaking = False
            return False
        if self._quiet >= _FORGETS:
            self._detector.reset()
        self._quiet = 0
        probability = self._detector.probability((chunk * (_LEVEL / self._level)).clip(-1, 1))
        self._speaking = probability >= (OFFSET if self._speaking else ONSET)
        return self._speaking


def open_detector() -> VoiceDetector:
    """A voice detector that has heard nothing yet.

    Raises:
        ModelError: its file is missing or damaged.
        RuntimeUnavailable: what runs it isn't installed; says what else can be done.
    """
    try:
        return VoiceDetector()
    except RuntimeUnavailable as e:
        raise RuntimeUnavailable(f"the voice detector needs LiteRT: {e}, or use --no-gate") from e
