"""`Recognizer.embed`: one vector for a sound, equal through every door; and a classifier on top of it."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_edge import AudioError, ModelError, Recognizer
from ser_edge.models.integrity import model_files
from tests import messages
from tests.conftest import RATE, voice

OLD = Path(__file__).parents[2] / "compatibility" / "0.1.0"


@pytest.fixture(scope="module", params=model_files(), ids=lambda path: path.name)
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    return Recognizer(request.param)


def test_path_file_object_and_array_get_the_same_embedding(recognizer: Recognizer, sounds: list[Path]) -> None:
    for path in sounds:
        embedding = recognizer.embed(path)
        assert (embedding.dtype, embedding.ndim) == (np.float32, 1)
        samples, rate = soundfile.read(path, dtype="int16")
        for same in (io.BytesIO(path.read_bytes()), (samples, rate), np.stack([samples, samples])):
            np.testing.assert_array_equal(recognizer.embed(same, None if isinstance(same, tuple) else rate), embedding)


def test_a_list_gets_a_row_for_each_sound(recognizer: Recognizer, sounds: list[Path]) -> None:
    rows = recognizer.embed(sounds)
    np.testing.assert_array_equal(rows, [recognizer.embed(path) for path in sounds])
    assert recognizer.embed([]).shape == (0, rows.shape[1])
    assert len(np.unique(rows, axis=0)) == len(sounds)


def test_the_choice_of_labels_and_the_voice_detector_have_no_part_in_it(sounds: list[Path]) -> None:
    expected = Recognizer("small").embed(sounds[0])
    np.testing.assert_array_equal(Recognizer("small", labels=["sad", "calm"]).embed(sounds[0]), expected)
    assert np.isfinite(Recognizer("small").embed(np.zeros(RATE), RATE)).all()


def test_a_long_recording_is_the_mean_of_its_parts() -> None:
    recognizer = Recognizer("small")
    seconds = (60, 60, 20)
    parts = [voice(emotion, 1, 1, length) for emotion, length in zip((1, 5, 7), seconds, strict=True)]
    expected = np.average([recognizer.embed(part, RATE) for part in parts], axis=0, weights=seconds)
    np.testing.assert_allclose(recognizer.embed(np.concatenate(parts), RATE), expected, atol=1e-3)


def test_a_sound_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with messages.raises(AudioError, "audio-not-found"):
        Recognizer("small").embed(tmp_path / "missing.wav")
    with pytest.raises(TypeError, match="sample_rate"):
        Recognizer("small").embed(np.ones(RATE))


@pytest.mark.parametrize("name", ["logmel.onnx", "logmel.tflite"])
def test_a_model_file_of_0_1_has_none(name: str, sounds: list[Path]) -> None:
    with messages.raises(ModelError, "model-without-embedding"):
        Recognizer(OLD / name).embed(sounds[0])


def test_a_classifier_on_top_learns_labels_that_the_network_has_not() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    recognizer = Recognizer("small")
    # Low voices and high ones say different things; the test is on voices that weren't trained on.
    actors, takes = [1, 2, 3, 4, 21, 22, 23, 24], [1, 2, 3]
    sounds = [voice(emotion, actor, take) for actor in actors for emotion, take in zip((2, 5, 7), takes, strict=True)]
    labels = np.repeat(["low" if actor < 10 else "high" for actor in actors], len(takes))
    speakers = np.repeat(actors, len(takes))
    embeddings = recognizer.embed(sounds, sample_rate=RATE)
    train = np.isin(speakers, [1, 2, 23, 24])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(embeddings[train], labels[train])
    assert classifier.score(embeddings[~train], labels[~train]) > 0.8
