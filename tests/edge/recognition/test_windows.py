"""How a stream is cut into windows, and what a window takes over from the one before."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import Recognizer
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import NO_SPEECH
from ser_edge.recognition.windows import WindowConfig
from tests.doubles import FakeRuntime

RATE = 16_000
FIXED = FeatureConfig(seconds=3.0)  # takes exactly that


def test_the_shortest_hop_is_a_frame() -> None:
    _, hop = WindowConfig(hop_seconds=0.01).frames(FIXED)
    assert hop == 1


def test_a_fixed_length_may_be_named() -> None:
    assert WindowConfig(window_seconds=3.0).frames(FIXED) == WindowConfig().frames(FIXED)
    with pytest.raises(ValueError, match="exactly 3 s"):
        WindowConfig(window_seconds=2.0).frames(FIXED)


def test_speech_after_a_pause_is_not_averaged_with_that_before(sounds: list[Path]) -> None:
    random = np.random.default_rng(0)
    answers: list[npt.NDArray[np.float32]] = []

    def answer(_: object) -> npt.NDArray[np.float32]:
        answers.append(random.dirichlet((1, 1)).astype(np.float32))
        return answers[-1]

    model = Model(ModelMetadata("random", ("calm", "angry"), FeatureConfig()), FakeRuntime(answer))
    talk = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in sounds[:2]])
    sound = np.concatenate([talk, np.zeros(6 * RATE, np.float32), talk])
    del answers[:]  # the constructor's check
    windows = list(Recognizer(model, threshold=0.0).stream([sound], RATE))
    spoken = [i for i, window in enumerate(windows) if window.label != NO_SPEECH]
    assert len(spoken) == len(answers) < len(windows)
    (after,) = (place for place in range(1, len(spoken)) if spoken[place] > spoken[place - 1] + 1)
    for place, window in enumerate(spoken):
        expected = answers[place] if place in (0, after) else (answers[place] + answers[place - 1]) / 2
        assert list(windows[window].probabilities.values()) == pytest.approx(expected.tolist())
