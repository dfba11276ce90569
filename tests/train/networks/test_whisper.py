"""Whisper's encoder: missing frames, positions, and the parts of the networks on it."""

from typing import Any

import keras
import numpy as np
import pytest

from ser_train.networks.layers import frame_mask
from ser_train.networks.whisper import encode, merged
from ser_train.networks.whisper_gru import encoder, trained_part, whisper_gru

BANDS, WIDTH, HEADS = 5, 16, 2
CLASSIFIERS = ("2", "1-mean", "1+2")


@pytest.fixture(scope="module", params=["", "GRU", "LSTM"])
def sizes(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Of the classifiers: those of `whisper-gru`, and the notebook's layers."""
    return {"classifiers": CLASSIFIERS, "dense": 8, "units": 4, "notebook": request.param}


@pytest.fixture(scope="module")
def small(sizes: dict[str, Any]) -> keras.Model:
    keras.utils.set_random_seed(0)
    return whisper_gru((None, BANDS), 3, width=WIDTH, heads=HEADS, **sizes)


def _padded(features: np.ndarray, frames: int) -> np.ndarray:
    return np.pad(features, ((0, frames - len(features)), (0, 0)))


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 40])
def test_padding_changes_no_answer(small: keras.Model, frames: int) -> None:
    features = np.random.default_rng(frames).normal(size=(frames, BANDS)).astype(np.float32)
    alone, padded = small(features[None]), small(_padded(features, 64)[None])
    np.testing.assert_allclose(alone, padded, atol=1e-5)


def test_steps_are_the_means_of_four_and_of_what_is_left() -> None:
    values = np.arange(1, 7, dtype=np.float32)[None, :, None]
    inputs = keras.Input((None, 1))
    means, kept = keras.Model(inputs, merged(inputs, frame_mask(inputs)))(np.pad(values, ((0, 0), (0, 4), (0, 0))))
    np.testing.assert_allclose(np.ravel(means), [2.5, 5.5, 0])
    assert np.ravel(kept).tolist() == [True, True, False]


def test_positions_are_whispers() -> None:
    """Of a network that leaves the input out, so that its first block's input is its positions."""
    inputs = keras.Input((None, BANDS))
    outputs, _ = encode(inputs, frame_mask(inputs), 1, WIDTH, HEADS)
    model = keras.Model(inputs, outputs[0])
    for layer in model.layers:
        layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
    places = np.arange(6)[:, None] / 10_000 ** (np.arange(8) / 7)
    expected = np.concatenate([np.sin(places), np.cos(places)], axis=1)
    np.testing.assert_allclose(model(np.ones((1, 12, BANDS)))[0], expected, atol=1e-5)


def test_the_parts_are_the_whole(small: keras.Model, sizes: dict[str, Any]) -> None:
    """The encoder and the classifiers, with the weights of the whole network, give its answers."""
    first = encoder((None, BANDS), (1, 2), WIDTH, HEADS)
    second = trained_part(2 * WIDTH, 3, **sizes)
    weights = small.get_weights()
    first.set_weights(weights[: len(first.weights)])
    second.set_weights(weights[-len(second.weights) :])
    features = np.random.default_rng(0).normal(size=(2, 30, BANDS)).astype(np.float32)
    features[1, 20:] = 0
    mean, variance = small.get_layer("standardize").get_weights()
    steps = (np.array(first(features)) - mean) / np.sqrt(variance + 1e-6)
    steps[1, 3:] = 0
    answers = np.mean(second(np.stack([steps] * len(CLASSIFIERS), axis=1)), axis=1)
    np.testing.assert_allclose(answers, small(features), atol=1e-5)
