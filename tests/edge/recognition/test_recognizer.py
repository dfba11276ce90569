"""`Recognizer`: a path, a file object and an array of the same sound get the same prediction, whichever it is."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser_edge import ModelError, Prediction, Recognizer, WindowConfig
from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.prediction import NO_SPEECH, UNCERTAIN
from tests import messages
from tests.conftest import SOUNDS
from tests.doubles import FakeRuntime


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer()


def test_path_file_object_and_array_get_the_same_answer(recognizer: Recognizer, sounds: list[Path]) -> None:
    for path in sounds:
        prediction = recognizer.predict(path)
        assert prediction.path == str(path)
        assert recognizer.predict(str(path)) == prediction
        without_path = replace(prediction, path=None)
        assert recognizer.predict(io.BytesIO(path.read_bytes())) == without_path
        with path.open("rb") as file:
            assert recognizer.predict(file) == without_path
        samples, rate = soundfile.read(path, dtype="int16")
        assert recognizer.predict(samples, rate) == without_path
        assert recognizer.predict(np.stack([samples, samples], axis=1), rate) == without_path


def test_every_lossless_format_gets_the_same_answer(recognizer: Recognizer, sounds: list[Path], tmp_path: Path) -> None:
    samples, rate = soundfile.read(sounds[0], dtype="int16")
    expected = recognizer.predict(sounds[0]).probabilities
    for suffix in ("wav", "flac", "aiff", "au", "caf", "w64"):
        soundfile.write(tmp_path / f"sound.{suffix}", samples, rate)
        assert recognizer.predict(tmp_path / f"sound.{suffix}").probabilities == expected


def test_a_prediction_holds_together(recognizer: Recognizer, sounds: list[Path]) -> None:
    for path in sounds:
        prediction = recognizer.predict(path)
        assert tuple(prediction.probabilities) == recognizer.metadata.labels
        assert all(type(p) is float and 0 <= p <= 1 for p in prediction.probabilities.values())
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.confidence == max(prediction.probabilities.values())
        best = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
        sure = prediction.confidence >= recognizer.metadata.threshold
        assert prediction.label == (best if sure else UNCERTAIN)


@pytest.mark.parametrize(
    ("features", "ends"),
    [
        (FeatureConfig(seconds=3.0), [0.5, 3.0, 3.0]),
        (FeatureConfig(seconds=None), [0.5, 3.0, 5.0]),
        (FeatureConfig(seconds=3.0, trim_db=20.0), [0.5, 3.0, 5.0]),  # the speech may begin late
    ],
    ids=["beginning", "all", "speech"],
)
def test_start_and_end_are_those_of_the_classified_part(
    features: FeatureConfig, ends: list[float], tmp_path: Path
) -> None:
    model = Model(ModelMetadata("fake", ("calm", "angry"), features), FakeRuntime(lambda _: [0.25, 0.75]))
    recognizer = Recognizer(model, windowing=WindowConfig(min_speech_ratio=None))
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 240_000).astype(np.float32)
    for seconds, end in zip((0.5, 3.0, 5.0), ends, strict=True):
        samples = noise[: round(seconds * 48_000)]
        soundfile.write(tmp_path / "noise.wav", samples, 48_000, subtype="FLOAT")
        from_array, from_file = recognizer.predict(samples, 48_000), recognizer.predict(tmp_path / "noise.wav")
        assert from_array == Prediction(None, 0.0, end, "angry", 0.75, {"calm": 0.25, "angry": 0.75})
        assert from_file == replace(from_array, path=str(tmp_path / "noise.wav"))


@pytest.mark.parametrize("rate", [11_025, 48_000])
@pytest.mark.parametrize("features", [FeatureConfig(seconds=3.0), FeatureConfig(seconds=3.0, trim_db=20.0)])
def test_the_whole_and_its_windows_are_those_of_two_passes(features: FeatureConfig, rate: int, tmp_path: Path) -> None:
    calls: list[None] = []

    def compute(spectrum: npt.NDArray[np.float32]) -> npt.ArrayLike:
        calls.append(None)
        loud = float(np.tanh(abs(spectrum.mean()) / 100))
        return [loud, 1 - loud]

    model = Model(ModelMetadata("fake", ("calm", "angry"), features), FakeRuntime(compute))
    recognizer = Recognizer(model, windowing=WindowConfig(min_speech_ratio=None))
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (70 * rate, 2)).astype(np.float32)
    path = str(tmp_path / "noise.wav")
    for seconds in (0.5, 5.0, 60.0, 60.1, 70.0):
        soundfile.write(path, noise[: round(seconds * rate)], rate)
        (whole,) = recognizer.file_predictions(path, timeline=False)
        calls.clear()
        windows = list(recognizer.file_predictions(path, timeline=True))
        windows_alone = len(calls)
        calls.clear()
        assert recognizer.predict_with_windows(path) == (whole, windows)
        assert (len(calls) == windows_alone) == (seconds > 60)


def test_an_array_needs_its_sample_rate(recognizer: Recognizer) -> None:
    with pytest.raises(TypeError, match="sample_rate"):
        recognizer.predict(np.ones(16_000))


def test_silence_is_not_given_an_emotion(recognizer: Recognizer) -> None:
    assert recognizer.predict(np.zeros(16_000), 16_000).label == NO_SPEECH


def test_a_long_recording_without_a_window_of_enough_speech_has_a_ratio_of_0(recognizer: Recognizer) -> None:
    words, rate = soundfile.read(SOUNDS / "plain.wav", dtype="float32", frames=9_600)
    recording = np.zeros(61 * rate, np.float32)
    recording[20 * rate :][: len(words)] = words
    whole, windows = recognizer.predict_with_windows((recording, rate))
    assert max(window.speech or 0 for window in windows) > 0
    assert (whole.label, whole.speech) == (NO_SPEECH, 0)
    assert recognizer.predict(recording, rate) == whole
    assert recognizer.predict(recording[: 59 * rate], rate).speech


@pytest.mark.parametrize("samples", [1, 2, 100])
def test_the_shortest_sound_gets_an_answer(recognizer: Recognizer, samples: int) -> None:
    prediction = recognizer.predict(np.full(samples, 0.5), 16_000)
    assert isinstance(prediction, Prediction)
    assert np.isfinite(prediction.confidence)


def test_an_unknown_model_is_refused() -> None:
    with messages.raises(ModelError, "model-not-found"):
        Recognizer("gpt")


def test_below_the_threshold_it_is_uncertain(sounds: list[Path], recognizer: Recognizer) -> None:
    sure = recognizer.predict(sounds[0])
    for threshold in (0.0, sure.confidence):
        assert Recognizer(threshold=threshold).predict(sounds[0]) == sure
    unsure = Recognizer(threshold=min(1.0, sure.confidence + 1e-3)).predict(sounds[0])
    assert unsure == replace(sure, label="uncertain")
