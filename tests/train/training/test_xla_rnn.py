"""Compiled loops against Keras's own layers: what they give, their gradients, and what training leaves behind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ser_train.networks.config import BaselineConfig
from ser_train.networks.whisper_gru import trained_part
from ser_train.networks.zoo import NETWORKS
from ser_train.training.optimizer import compile_model
from ser_train.training.xla_rnn import compiled_loops, scan

pytestmark = pytest.mark.slow

KINDS = [keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU]
NOTEBOOKS = ["rnn", "lstm", "gru"]
SHAPE, LABELS = (11, 5), 4


def batch(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.standard_normal((size, *SHAPE)).astype(np.float32), random.integers(0, LABELS, size)


def network(name: str) -> keras.Model:
    """With biases that aren't zero, so that they are seen."""
    keras.utils.set_random_seed(1)
    model = NETWORKS[name].build(SHAPE, LABELS)
    random = np.random.default_rng(2)
    model.set_weights([w + 0.1 * random.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def loss_and_gradients(model: keras.Model, features: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    @tf.function
    def asked(inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, model(inputs, training=False)))
        return [loss, *tape.gradient(loss, [inputs, *model.trainable_variables])]

    return [np.array(value) for value in asked(tf.constant(features))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3])
def test_a_scan_gives_what_the_layer_gives(kind: type, size: int) -> None:
    layer = kind(6, return_sequences=True, bias_initializer="normal")
    features, _ = batch(size)
    there = layer(features)
    here = tf.transpose(scan(layer, tf.transpose(features, (1, 0, 2))), (1, 0, 2))
    np.testing.assert_allclose(here, there, atol=2e-6)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_gradients_are_those_of_keras(name: str) -> None:
    model = network(name)
    features, labels = batch(7)
    expected = loss_and_gradients(model, features, labels)
    with compiled_loops(model):
        found = loss_and_gradients(model, features, labels)
    assert len(found) == len(expected) > 15
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-6 + 1e-4 * np.abs(there).max())


@pytest.mark.parametrize("notebook", ["", "GRU", "LSTM"])
def test_missing_steps_change_nothing(notebook: str) -> None:
    keras.utils.set_random_seed(3)
    model = trained_part(6, LABELS, ("2",), dense=5, units=4, notebook=notebook)
    features = np.random.default_rng(0).standard_normal((4, 1, 12, 6)).astype(np.float32)
    for row, steps in zip(features, (12, 11, 5, 1), strict=True):
        row[:, steps:] = 0
    labels = np.arange(4)[:, None]
    expected = loss_and_gradients(model, features, labels)
    with compiled_loops(model):
        found = loss_and_gradients(model, features, labels)
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-6 + 1e-4 * np.abs(there).max())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_steps_of_training_end_where_those_of_keras_do(name: str) -> None:
    ours, theirs = (network(name) for _ in range(2))
    compile_model(ours, BaselineConfig(), batches=1)
    theirs.compile(
        keras.optimizers.Adam(BaselineConfig().learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    for model in (ours, theirs):  # the same dropout
        for place, layer in enumerate(model.layers):
            if isinstance(layer, keras.layers.Dropout):
                layer.seed_generator.state.assign([place, 0])
    for seed, size in enumerate((8, 8, 3)):  # the last batch of an epoch is smaller
        here, there = (model.train_on_batch(*batch(size, seed), return_dict=True) for model in (ours, theirs))
        assert here == pytest.approx(there, abs=1e-4)
    for here, there in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(here, there, atol=2e-4)  # Adam's first steps are as long for tiny gradients


def test_the_model_itself_stays_keras_own() -> None:
    model = network("gru")
    features, _ = batch(2)
    before = model.predict(features, verbose=0)
    compile_model(model, BaselineConfig(), batches=1)
    model.train_on_batch(*batch(2))
    assert not any("call" in vars(layer) for layer in model.layers)
    plain = NETWORKS["gru"].build(SHAPE, LABELS)
    plain.set_weights(model.get_weights())
    np.testing.assert_array_equal(plain.predict(features, verbose=0), model.predict(features, verbose=0))
    assert np.abs(plain.predict(features, verbose=0) - before).max() > 1e-5
