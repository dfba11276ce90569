"""The embedding: what a network's last layer gets, beside the probabilities."""

from pathlib import Path

import numpy as np
import pytest

from ser_edge.errors import ModelError
from ser_edge.features.config import FeatureConfig
from ser_edge.models.integrity import model_files, synthetic_voice
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import MAX_BATCH, Model
from ser_edge.models.tolerances import tolerance
from tests import messages
from tests.doubles import FakeRuntime

UNITS = {"crnn": 480, "whisper-gru": 3 * 384}  # three kinds of pooling, and three classifiers of it


class FakeEmbeddingRuntime(FakeRuntime):
    """Its embedding is the mean of each input, and its number of inputs so far."""

    def run_with_embedding(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.inputs = getattr(self, "inputs", 0) + len(inputs)
        return self.run(inputs), np.stack([item.mean(axis=0) for item in inputs])


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_bundled_models_have_an_embedding_of_a_sound_of_any_length(path: Path) -> None:
    model = open_model(path)
    voice = synthetic_voice(16_000)
    for samples in (voice, voice[:1], voice[:8000], np.tile(voice, 4)):
        embedding = model.embed(samples)
        assert embedding.shape == (UNITS[path.stem],)
        assert embedding.dtype == np.float32
        assert np.isfinite(embedding).all()
    assert not np.array_equal(model.embed(voice), model.embed(voice[:8000]))


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_an_embedding_in_a_batch_is_the_one_alone(path: Path) -> None:
    model = open_model(path)
    batch = np.stack([model.features(synthetic_voice(16_000)[:length]) for length in (48_000, 16_000, 20_000)])
    alone = np.concatenate([model.embeddings(one[None]) for one in batch])
    np.testing.assert_array_equal(model.embeddings(batch), alone)


@pytest.mark.parametrize("network", UNITS)
def test_both_formats_have_the_same_units_in_the_same_order(network: str) -> None:
    voice = synthetic_voice(16_000)
    onnx_runtime, litert = (open_model(f"{network}{suffix}").embed(voice) for suffix in (".onnx", ".tflite"))
    parts = [np.split(embedding, 3) for embedding in (onnx_runtime, litert)]
    alike = [[np.corrcoef(a, b)[0, 1] for b in parts[1]] for a in parts[0]]
    assert np.argmax(alike, axis=1).tolist() == [0, 1, 2]
    assert np.diag(alike).min() > 0.95


@pytest.mark.parametrize("path", model_files(), ids=lambda path: path.name)
def test_a_label_choice_changes_no_embedding(path: Path) -> None:
    from ser_edge.models.labels import ChosenLabels

    model, voice = open_model(path), synthetic_voice(16_000)
    chosen = model.with_labels(ChosenLabels.of(model.file_metadata.labels, ["happy", "sad"]))
    bound = tolerance(path.suffix, model.metadata.precision).inputs
    np.testing.assert_allclose(chosen.embed(voice), model.embed(voice), rtol=0, atol=bound)


def test_the_embedding_of_a_long_sound_is_the_mean_of_its_windows() -> None:
    config = FeatureConfig(n_mels=8, n_mfcc=None, seconds=0.25, top_db=None, trim_db=1000.0)
    runtime = FakeEmbeddingRuntime(lambda item: [0.5, 0.5])
    model = Model(ModelMetadata("small", ("a", "b"), config), runtime)
    noise = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    windows = model.front_end.windows(noise)
    assert len(windows) > MAX_BATCH
    np.testing.assert_allclose(model.embed(noise), windows.mean(axis=(0, 1)), rtol=1e-5)
    assert runtime.inputs == len(windows)


def test_a_file_without_an_embedding_still_answers() -> None:
    model = Model(ModelMetadata("small", ("a", "b"), FeatureConfig()), FakeRuntime(lambda item: [0.5, 0.5]))
    assert model.predict_proba(np.zeros(1, np.float32)).tolist() == [0.5, 0.5]
    with messages.raises(ModelError, "model-without-embedding"):
        model.embed(np.zeros(1, np.float32))
