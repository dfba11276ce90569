"""A run directory as ser-train leaves it, with a small network that wasn't trained."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from ser_edge.description import Accuracy, ModelDescription, Normalization
from ser_edge.features import FeatureConfig, FrontEnd
from ser_export.run import Run, read_run

CONFIG = FeatureConfig(n_fft=512, hop_length=256, n_mels=20, n_mfcc=13, seconds=0.5)  # (32, 13)
LABELS = ("low", "middle", "high")


def network() -> keras.Model:
    """One LSTM in both directions, then a GRU, then what the notebook's networks end with; answers that vary."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((CONFIG.frames, CONFIG.coefficients)),
            layers.Bidirectional(layers.LSTM(20, return_sequences=True)),
            layers.Dropout(0.2),
            layers.Bidirectional(layers.GRU(4)),
            layers.Dense(5, activation="relu"),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    model.set_weights([weight + random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def features(count: int) -> np.ndarray:
    """(count, 32, 13): tones that rise and fall, through the front-end."""
    time, front_end = np.arange(8000) / 16_000, FrontEnd(CONFIG)
    random = np.random.default_rng(1)
    tones = [np.sin(2 * np.pi * f * time * (1 + g * time)) for f, g in random.uniform([80, -1], [3000, 3], (count, 2))]
    return np.stack([front_end(tone.astype(np.float32)) for tone in tones])


def normalization(inputs: np.ndarray) -> Normalization:
    """As training makes it."""
    return Normalization(tuple(inputs.mean((0, 1)).tolist()), tuple(inputs.std((0, 1)).tolist()))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Opened, as export has it."""
    path = tmp_path_factory.mktemp("runs") / "tones"
    path.mkdir()
    model, inputs = network(), features(40)
    model.save(path / "model.keras")
    probabilities = model.predict(normalization(inputs).apply(inputs), verbose=0)
    description = ModelDescription(
        "tones", LABELS, CONFIG, normalization(inputs), accuracy=Accuracy("speaker", 5, 1, 40.0, 38.0, 37.0)
    )
    (path / "description.json").write_text(description.to_json())
    (path / "run.json").write_text(json.dumps({"settings": {}}))
    np.savez(
        path / "answers.npz",
        features=inputs,
        labels=probabilities.argmax(1),
        probabilities=probabilities,
        test=np.arange(40) < 30,
    )
    return read_run(path)
