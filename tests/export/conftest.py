"""Run directories as ser-train leaves them, with small networks that weren't trained."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ser_train.networks import keras_backend

keras_backend.load()  # silently, before anything else imports Keras

import keras
from keras import layers

from ser_edge.features.config import FeatureConfig
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import Accuracy, ModelMetadata, Normalization
from ser_export.from_keras.run import Run, read_run
from ser_train.networks.zoo import NETWORKS

CONFIG = FeatureConfig(n_fft=512, hop_length=256, n_mels=20, n_mfcc=13, seconds=0.5)  # (32, 13)
LABELS = ("low", "middle", "high")


SPEECH = replace(NETWORKS["crnn"].features, n_mels=13, seconds=0.5)  # (50, 13), cut to the speech


def recurrent() -> keras.Model:
    """One LSTM in both directions, then a GRU, then what the notebook's networks end with."""
    return keras.Sequential(
        [
            keras.Input((CONFIG.frames, CONFIG.coefficients)),
            layers.Bidirectional(layers.LSTM(20, return_sequences=True)),
            layers.Dropout(0.2),
            layers.Bidirectional(layers.GRU(4)),
            layers.Dense(5, activation="relu"),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )


def convolutional() -> keras.Model:
    """The network we ship, small."""
    return NETWORKS["crnn"].build(
        (SPEECH.frames, SPEECH.coefficients), len(LABELS), channels=(8, 16, 24), dense=32, units=20
    )


def features(config: FeatureConfig, count: int) -> np.ndarray:
    """(count, frames, 13): tones that rise and fall, through the front-end."""
    time, front_end = np.arange(8000) / 16_000, FrontEnd(config)
    random = np.random.default_rng(1)
    tones = [np.sin(2 * np.pi * f * time * (1 + g * time)) for f, g in random.uniform([80, -1], [3000, 3], (count, 2))]
    if config.trim_db is not None:  # then where they stop is where their frames end
        tones = [tone * (time < end) for tone, end in zip(tones, random.uniform(0.2, 0.5, count), strict=True)]
    return np.stack([front_end(tone.astype(np.float32)) for tone in tones])


def normalization(inputs: np.ndarray) -> Normalization:
    """As training makes it."""
    return Normalization(tuple(np.nanmean(inputs, (0, 1)).tolist()), tuple(np.nanstd(inputs, (0, 1)).tolist()))


def finished_run(path: Path, make: Callable[[], keras.Model], config: FeatureConfig, noise: float) -> Run:
    """A run directory whose network has weights that make its answers vary, opened as export has it."""
    path.mkdir()
    keras.utils.set_random_seed(3)
    model, inputs = make(), features(config, 40)
    random = np.random.default_rng(0)
    for weight in model.weights:
        moved = weight.numpy() + random.normal(0, noise, weight.shape)
        weight.assign(np.abs(moved) if weight.path.endswith("variance") else moved)
    model.save(path / "model.keras")
    accuracy, training = Accuracy("speaker", 5, 1, 40.0, 38.0, 37.0), {"data": "tones, on our terms"}
    metadata = ModelMetadata(path.name, LABELS, config, normalization(inputs), accuracy=accuracy, training=training)
    probabilities = model.predict(metadata.inputs(inputs), verbose=0)
    (path / "description.json").write_text(metadata.to_json())
    (path / "run.json").write_text(json.dumps({"settings": {}}))
    np.savez(
        path / "answers.npz",
        features=inputs,
        labels=probabilities.argmax(1),
        probabilities=probabilities,
        test=np.arange(40) < 30,
    )
    return read_run(path)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of recurrent layers, over MFCC."""
    return finished_run(tmp_path_factory.mktemp("runs") / "tones", recurrent, CONFIG, 0.5)


@pytest.fixture(scope="session")
def speech_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of convolutions, recurrent layers and masks, over log-mel that is cut to the speech."""
    return finished_run(tmp_path_factory.mktemp("runs") / "speech", convolutional, SPEECH, 0.2)


@pytest.fixture(scope="session", params=["run", "speech_run"])
def any_run(request: pytest.FixtureRequest) -> Run:
    """One after the other."""
    opened: Run = request.getfixturevalue(request.param)
    return opened
