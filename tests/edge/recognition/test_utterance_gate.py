"""The speech gate of whole recordings: tones, noise, music and silence get no emotion."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import Recognizer, WindowConfig
from ser_edge.audio.reading import read
from ser_edge.errors import RuntimeUnavailable
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import NO_SPEECH
from ser_edge.recognition.voice_activity.utterance_gate import find_speech
from ser_edge.recognition.voice_activity.voice_detector import CHUNK, ONSET, speech_probabilities
from tests import messages
from tests.conftest import SOUNDS
from tests.doubles import FakeRuntime

RATE = 16_000
Sound = npt.NDArray[np.float32]


def harmonics(pitches: list[float], seconds: float, count: int = 8) -> npt.NDArray[np.float64]:
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * pitch * time) for pitch in pitches for k in range(1, count)) / len(
        pitches
    )


def melody(seconds: float) -> npt.NDArray[np.float64]:
    """Four notes a second, each plucked."""
    random = np.random.default_rng(0)
    decay = np.exp(-4 * np.arange(RATE // 4) / RATE)
    notes = [harmonics([pitch], 0.25) * decay for pitch in random.choice([262.0, 294.0, 330.0, 392.0, 440.0], 300)]
    return np.concatenate(notes)[: round(seconds * RATE)]


NOT_SPEECH: dict[str, Callable[[float], npt.NDArray[np.float64]]] = {
    "silence": lambda seconds: np.zeros(round(seconds * RATE)),
    "a converter's noise": lambda seconds: harmonics([440.0], seconds) * 1e-4,
    "offset": lambda seconds: np.full(round(seconds * RATE), 0.1),
    "tone": lambda seconds: harmonics([440.0], seconds, 2),
    "low tone": lambda seconds: harmonics([220.0], seconds, 2),
    "soft tone": lambda seconds: harmonics([1000.0], seconds, 2) / 100,
    "hum": lambda seconds: harmonics([50.0], seconds),
    "chord": lambda seconds: harmonics([261.6, 329.6, 392.0], seconds),
    "melody": melody,
    "noise": lambda seconds: np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)),
}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(threshold=0.0)


@pytest.mark.parametrize("seconds", [0.3, 2, 5, 70])
@pytest.mark.parametrize("name", NOT_SPEECH)
def test_what_is_not_speech_gets_no_emotion(name: str, seconds: float, recognizer: Recognizer, tmp_path: Path) -> None:
    samples = NOT_SPEECH[name](seconds).astype(np.float32)
    soundfile.write(tmp_path / "sound.wav", samples, RATE, subtype="FLOAT")
    from_array, from_file = recognizer.predict(samples, RATE), recognizer.predict(tmp_path / "sound.wav")
    for prediction in (from_array, from_file):
        assert (prediction.label, prediction.confidence) == (NO_SPEECH, 0.0)
        assert prediction.speech is not None
        assert prediction.speech < 0.2
        assert prediction.end == pytest.approx(seconds)


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.03])
def test_a_voice_is_found_at_any_level(gain: float, speech: list[Path]) -> None:
    for path in speech:
        found = find_speech(read(path, RATE) * np.float32(gain), RATE)
        assert found.found
        assert found.ratio > 0.2


def test_a_voice_that_is_too_high_for_the_detector_is_found() -> None:
    samples = read(SOUNDS / "fast-high.wav", RATE // 2)  # played at twice its speed: an octave higher
    detected = speech_probabilities(samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK))
    assert (detected >= ONSET).mean() < 0.1
    found = find_speech(samples, RATE)
    assert found.found
    assert found.ratio > 0.5


def test_a_voice_is_found_in_noise_and_long_silence(speech: list[Path]) -> None:
    voice = read(speech[0], RATE)
    noise = np.random.default_rng(0).normal(0, 0.003, 20 * RATE).astype(np.float32)
    noise[5 * RATE : 5 * RATE + len(voice)] += voice
    assert find_speech(noise, RATE).found


@pytest.mark.parametrize("seconds", [0.01, 0.09])
def test_in_less_than_a_tenth_of_a_second_there_is_no_emotion(
    seconds: float, recognizer: Recognizer, speech: list[Path]
) -> None:
    voice = read(speech[0], RATE)
    middle = len(voice) // 2
    cut = voice[middle : middle + round(seconds * RATE)]
    streamed = list(recognizer.stream([cut], RATE))
    for prediction in (recognizer.predict(cut, RATE), *streamed):
        assert (prediction.label, prediction.speech) == (NO_SPEECH, 0.0)


def test_a_long_file_and_the_same_samples_are_the_same(
    recognizer: Recognizer, speech: list[Path], tmp_path: Path
) -> None:
    samples = np.tile(read(speech[0], RATE), 60)[: 65 * RATE]
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="FLOAT")
    from_array, from_file = recognizer.predict(samples, RATE), recognizer.predict(tmp_path / "long.wav")
    assert from_array.speech is not None
    assert from_array.speech > 0.2
    assert (from_array.label, from_array.probabilities, from_array.speech) == (
        from_file.label,
        from_file.probabilities,
        from_file.speech,
    )


@pytest.mark.parametrize("windowing", [WindowConfig(min_speech_ratio=None), WindowConfig(min_speech_ratio=0.0)])
@pytest.mark.parametrize("seconds", [1, 65])
def test_the_gate_can_be_switched_off(windowing: WindowConfig, seconds: float) -> None:
    prediction = Recognizer(threshold=0.0, windowing=windowing).predict(NOT_SPEECH["tone"](seconds), RATE)
    assert prediction.label != NO_SPEECH
    assert prediction.confidence > 0
    assert (prediction.speech is None) == (windowing.min_speech_ratio is None)


@pytest.mark.parametrize("seconds", [1, 65])
def test_without_a_runtime_for_the_voice_detector_nothing_is_classified(without_runtimes: None, seconds: int) -> None:
    uniform = Model(ModelMetadata("uniform", ("calm", "angry"), FeatureConfig()), FakeRuntime(lambda _: [0.5, 0.5]))
    sound = NOT_SPEECH["tone"](seconds)
    with messages.raises(RuntimeUnavailable, "runtime-unavailable"):
        Recognizer(uniform).predict(sound, RATE)
    ungated = Recognizer(uniform, windowing=WindowConfig(min_speech_ratio=None))
    assert ungated.predict(sound, RATE).label != NO_SPEECH
