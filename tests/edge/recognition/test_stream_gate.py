"""The speech gate of streams, with a detector whose answers the test knows."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from ser_edge.audio.sound import Samples
from ser_edge.recognition.voice_activity.stream_gate import Gate
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, RATE

SECONDS = CHUNK / RATE  # of a chunk


class Detector:
    """Keeps how loud the chunks are that it gets, and how often it was reset."""

    def __init__(self, probabilities: Iterable[float] = repeat(0.0)):
        self._probabilities = iter(probabilities)
        self.loudness: list[float] = []
        self.resets = 0

    def probability(self, chunk: Samples) -> float:
        self.loudness.append(float(np.sqrt(np.square(chunk).mean())))
        return next(self._probabilities)

    def reset(self) -> None:
        self.resets += 1


def gate(detector: Any) -> Gate:
    return Gate(RATE, detector)


def chunks(loudness: float, count: int = 1) -> Samples:
    """A square wave without an offset, of this RMS."""
    return np.tile(np.array([loudness, -loudness], np.float32), count * CHUNK // 2)


def test_speech_begins_at_one_probability_and_ends_below_a_lower_one() -> None:
    probabilities = [0.4, 0.5, 0.4, 0.35, 0.34, 0.4]
    tested = gate(Detector(probabilities))
    tested.accept_waveform(chunks(0.1, len(probabilities)))
    ratios = [tested.speech_ratio(i * SECONDS, (i + 1) * SECONDS) for i in range(len(probabilities))]
    assert ratios == [0, 1, 1, 1, 0, 0]


def test_a_moment_of_silence_ends_speech() -> None:
    tested = gate(Detector([0.6, 0.4]))
    tested.accept_waveform(np.concatenate([chunks(0.1), chunks(0), chunks(0.1)]))
    assert [tested.speech_ratio(i * SECONDS, (i + 1) * SECONDS) for i in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(("silent", "resets"), [(31, 0), (32, 1), (100, 1)])
def test_the_detector_starts_anew_after_a_second_of_silence(silent: int, resets: int) -> None:
    detector = Detector()
    gate(detector).accept_waveform(np.concatenate([chunks(0.1), chunks(0, silent), chunks(0.1, 2)]))
    assert (detector.resets, len(detector.loudness)) == (resets, 3)


@pytest.mark.parametrize("level", [0.5, 0.1, 0.001])
def test_the_gain_follows_the_level_down_by_half_in_2_seconds(level: float) -> None:
    """A soft word behind a loud one stays soft; a voice that stays soft is amplified."""
    detector = Detector()
    gate(detector).accept_waveform(np.concatenate([chunks(level), chunks(level / 4, 300)]))
    loud, *soft = detector.loudness
    assert loud == pytest.approx(0.1, rel=1e-3)
    assert soft[0] == pytest.approx(0.025, rel=0.02)
    assert soft[round(2.2 / SECONDS)] == pytest.approx(0.05, rel=0.02)
    assert soft[-1] == pytest.approx(0.1, rel=1e-3)
