"""A recognizer with labels of one's choice gives the same answer through every door."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_edge import Recognizer, WindowConfig
from ser_edge.features.config import FeatureConfig
from ser_edge.models.bundled.names import DEFAULT
from ser_edge.models.labels import ChosenLabels
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import Model
from ser_edge.recognition.batch.process_pool import predict_in_processes
from ser_edge.recognition.batch.tasks import classify_file
from ser_edge.recognition.classifier import UTTERANCE
from ser_edge.recognition.prediction import UNCERTAIN
from ser_edge.recognition.recognizer import RecognizerConfig
from tests.doubles import FakeRuntime

CHOICE: dict[str, Any] = {
    "labels": ("negative", "happy", "neutral"),
    "label_map": {"calm": "neutral", "sad": "negative"},
}
CONFIG = RecognizerConfig(
    DEFAULT, 1, None, WindowConfig(), labels=CHOICE["labels"], label_map=tuple(CHOICE["label_map"].items())
)


def test_a_file_gets_the_restricted_answer_of_all_labels(sounds: list[Path]) -> None:
    everything, chosen = Recognizer(), Recognizer(**CHOICE)
    assert chosen.metadata.labels == CHOICE["labels"]
    for path in sounds:
        full, restricted = everything.predict(path), chosen.predict(path)
        assert tuple(restricted.probabilities) == CHOICE["labels"]
        p = full.probabilities
        sums = np.array([p["sad"], p["happy"], p["neutral"] + p["calm"]])
        np.testing.assert_allclose(list(restricted.probabilities.values()), sums / sums.sum(), atol=1e-5)
        assert (restricted.speech, restricted.end) == (full.speech, full.end)


def test_a_file_an_array_and_a_stream_agree(sounds: list[Path]) -> None:
    recognizer = Recognizer(**CHOICE, windowing=WindowConfig(min_speech_ratio=None))
    samples, rate = soundfile.read(sounds[0], dtype="float32")
    array = recognizer.predict(samples, sample_rate=rate)
    assert array.probabilities == recognizer.predict(sounds[0]).probabilities
    (streamed,) = recognizer.stream([samples], rate)  # shorter than a window
    assert list(streamed.probabilities) == list(array.probabilities)
    assert sum(streamed.probabilities.values()) == pytest.approx(1, abs=1e-5)


def streamed_answers(seconds: int) -> tuple[list[Any], Any]:
    """Answers of the network for windows of a second, and a recognizer whose network gives these in turn."""
    own = ("calm", "happy", "sad", "angry")
    answers = np.random.default_rng(1).dirichlet([0.5] * len(own), seconds + 1)
    following = iter(answers)
    config = FeatureConfig(hop_length=160, trim_db=30.0, top_db=None, dynamic_range_db=50.0)
    metadata = ModelMetadata("fake", own, config)
    model = Model(metadata, FakeRuntime(lambda _: next(following)))
    windowing = WindowConfig(window_seconds=1.0, hop_seconds=1.0, min_speech_ratio=None)
    recognizer = Recognizer(model, windowing=windowing, labels=["sad", "happy"])
    restricted = ChosenLabels.of(own, ["sad", "happy"]).apply(answers[1:].astype(np.float32))  # the first was a check
    return list(restricted), recognizer


def test_windows_are_restricted_before_they_are_smoothed() -> None:
    answers, recognizer = streamed_answers(4)
    predictions = list(recognizer.stream([np.ones(16_000, np.float32)] * 4, 16_000))
    smoothed = [answers[0], *((a + b) / 2 for a, b in zip(answers[1:], answers[:-1], strict=True))]
    assert len(predictions) == len(smoothed)
    for prediction, expected in zip(predictions, smoothed, strict=True):
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected, atol=1e-6)


def test_a_long_recording_is_the_mean_of_restricted_windows() -> None:
    seconds = int(UTTERANCE) + 5
    answers, recognizer = streamed_answers(seconds)
    prediction = recognizer.predict(np.ones(16_000 * seconds, np.float32), 16_000)
    smoothed = [answers[0], *((a + b) / 2 for a, b in zip(answers[1:], answers[:-1], strict=True))]
    np.testing.assert_allclose(list(prediction.probabilities.values()), np.mean(smoothed, axis=0), atol=1e-5)


def test_the_threshold_applies_to_what_is_left() -> None:
    path = Path(__file__).parents[2] / "sounds/fast-high.wav"  # which is only clear as fearful
    full = Recognizer("small")
    chosen = Recognizer("small", labels=[label for label in full.metadata.labels if label != "fearful"])
    assert full.predict(path).confidence > 0.9
    prediction = chosen.predict(path)
    assert prediction.label == UNCERTAIN
    assert prediction.confidence < chosen.metadata.threshold == full.metadata.threshold
    named = Recognizer("small", labels=chosen.metadata.labels, threshold=0).predict(path)
    assert named.label == max(named.probabilities, key=named.probabilities.__getitem__)


@pytest.mark.parametrize(
    "same",
    [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made)), lambda _: CONFIG.build()],
    ids=["copy", "deep copy", "pickle", "config"],
)
def test_a_copy_answers_with_the_same_labels(same: Any, sounds: list[Path]) -> None:
    made = Recognizer(**CHOICE)
    again = same(made)
    assert again.metadata == made.metadata
    assert again.predict(sounds[0]) == made.predict(sounds[0])


def test_recognizers_of_one_file_keep_their_own_labels(sounds: list[Path]) -> None:
    made = [Recognizer(), Recognizer(**CHOICE), Recognizer(labels=["sad", "angry"])]
    again = pickle.loads(pickle.dumps(made))
    assert [one.predict(sounds[0]) for one in again] == [one.predict(sounds[0]) for one in made]


def test_a_config_can_be_hashed_and_pickled() -> None:
    assert pickle.loads(pickle.dumps(CONFIG)) == CONFIG
    assert len({CONFIG, pickle.loads(pickle.dumps(CONFIG))}) == 1


def test_processes_answer_with_the_chosen_labels(sounds: list[Path]) -> None:
    paths = list(map(str, sounds))
    expected = [classify_file(CONFIG.build(), path, timeline=False) for path in paths]
    assert list(predict_in_processes(CONFIG.build(), paths, jobs=2)) == expected
    assert all(tuple(p.probabilities) == CHOICE["labels"] for result in expected for p in result.predictions)


def test_an_empty_map_is_none() -> None:
    assert Recognizer(label_map={}).metadata == Recognizer().metadata
