"""The loss, against the same computed by NumPy, and the optimizer that a recipe asks for."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from ser_train.networks.config import AugmentedConfig, BaselineConfig
from ser_train.networks.zoo import NETWORKS
from ser_train.training.optimizer import compile_model, emotion_loss

TINY = AugmentedConfig(channels=(4, 4, 4), dense=8, units=4, epochs=10, warm_up=2)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def targets_and_logits(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Soft targets; of the second half some labels are unknown."""
    random = np.random.default_rng(0)
    targets = random.dirichlet(np.ones(8), n)
    targets[n // 2 :, [1, 6]] = 0
    targets /= targets.sum(axis=1, keepdims=True)
    targets[n // 2 :, [1, 6]] = -1
    return targets.astype(np.float32), (2 * random.standard_normal((n, 8))).astype(np.float32)


def expected(targets: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Cross-entropy of a softmax over the labels that are known, an utterance at a time."""
    losses = []
    for target, row in zip(targets.astype(np.float64), logits.astype(np.float64), strict=True):
        known = target >= 0
        losses.append(-(target[known] * np.log(softmax(row[known]))).sum())
    return np.array(losses)


def test_the_loss_is_the_cross_entropy_among_the_labels_that_are_known() -> None:
    targets, logits = targets_and_logits()
    loss = np.array(emotion_loss(targets, softmax(logits)))
    assert loss.shape == (40,)
    np.testing.assert_allclose(loss, expected(targets, logits), rtol=1e-4)


def test_for_whole_labels_it_is_the_notebooks() -> None:
    _, logits = targets_and_logits()
    labels = np.arange(40) % 8
    loss = emotion_loss(np.eye(8, dtype=np.float32)[labels], softmax(logits))
    notebooks = keras.losses.sparse_categorical_crossentropy(labels, softmax(logits))
    np.testing.assert_allclose(loss, notebooks, rtol=1e-5)


def test_a_label_that_is_not_known_is_pushed_neither_up_nor_down() -> None:
    targets, logits = targets_and_logits()
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(emotion_loss(tf.constant(targets), tf.nn.softmax(variable)))
    gradient = tape.gradient(loss, variable).numpy()
    np.testing.assert_allclose(gradient[targets < 0], 0, atol=1e-6)
    wanted = []
    for target, row in zip(targets, logits, strict=True):
        known = target >= 0
        wanted.append(np.zeros(8))
        wanted[-1][known] = softmax(row[known]) - target[known]
    np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_a_network_that_is_sure_of_the_wrong_label_gives_a_loss_that_is_finite() -> None:
    assert np.isfinite(emotion_loss(np.eye(8, dtype=np.float32)[:1], np.eye(8, dtype=np.float32)[1:2])).all()


def compiled(recipe: AugmentedConfig | BaselineConfig = TINY) -> keras.Model:
    network = NETWORKS["crnn"]
    model = network.build((None, 64), 8, **TINY.sizes)
    compile_model(model, recipe, 5)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return compiled()


def test_only_matrices_are_decayed(model: keras.Model) -> None:
    decayed = {v.name for v in model.trainable_variables if model.optimizer._use_weight_decay(v)}
    kept = {v.name for v in model.trainable_variables} - decayed
    assert decayed == {"kernel", "recurrent_kernel"}
    assert kept == {"bias", "gamma", "beta"}
    assert model.optimizer.weight_decay == TINY.weight_decay


def test_the_gradient_is_clipped_and_the_weights_are_averaged(model: keras.Model) -> None:
    assert model.optimizer.global_clipnorm == TINY.clip
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, TINY.average)
    assert model.optimizer.ema_overwrite_frequency is None


def rates(recipe: AugmentedConfig, epochs: int, batches: int = 5, epoch: int = 0) -> np.ndarray:
    model = NETWORKS["crnn"].build((None, 64), 8, **recipe.sizes)
    compile_model(model, recipe, batches, epoch)
    schedule = model.optimizer._learning_rate
    return np.array([float(schedule(step)) for step in range(epochs * batches + 1)])


def test_the_rate_warms_up_and_comes_down_to_nothing_along_a_cosine() -> None:
    rate = rates(TINY, 10)
    assert rate[0] == pytest.approx(TINY.learning_rate / 100)
    assert rate.argmax() == 10  # of 2 epochs
    assert rate.max() == pytest.approx(TINY.learning_rate)
    assert (np.diff(rate[:11]) > 0).all()
    assert (np.diff(rate[10:]) < 0).all()
    assert rate[30] == pytest.approx(TINY.learning_rate / 2)
    assert rate[50] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_shortest_trainings_reach_the_rate_too(epochs: int) -> None:
    rate = rates(replace(TINY, epochs=epochs), epochs)
    assert np.isfinite(rate).all()
    assert rate.max() == pytest.approx(TINY.learning_rate)
    assert rate[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("epoch", "like"), [(0, 10), (9, 10), (10, 7), (16, 7)])
def test_after_the_restart_the_rate_rises_and_falls_as_in_a_training_of_its_own(epoch: int, like: int) -> None:
    rate = rates(replace(TINY, epochs=17, restart=10), like, epoch=epoch)
    np.testing.assert_array_equal(rate, rates(replace(TINY, epochs=like), like))


def test_the_notebooks_recipe_is_plain_adam() -> None:
    optimizer = compiled(BaselineConfig(learning_rate=0.01)).optimizer
    assert type(optimizer) is keras.optimizers.Adam
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert (optimizer.use_ema, optimizer.weight_decay, optimizer.global_clipnorm) == (False, None, None)
