"""The loss, the optimizer and the training step of a recipe."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from ser_train.networks.config import AugmentedConfig, BaselineConfig
from ser_train.training.xla_rnn import compiled_loops


@keras.saving.register_keras_serializable("ser")
def emotion_loss(y_true: Any, y_pred: Any) -> Any:
    """Cross-entropy over the labels that the utterance's corpus has, (batch,).

    Targets are (batch, labels) probabilities, or -1 for a label that the corpus lacks: an utterance of a corpus without
    `calm` is no example against it. Several classifiers, (batch, classifiers, labels), have a loss each.
    """
    among = y_pred * ops.cast(y_true >= 0, y_pred.dtype)
    among = among / ops.sum(among, axis=-1, keepdims=True)
    return -ops.sum(ops.maximum(y_true, 0) * ops.log(ops.maximum(among, 1e-7)), axis=-1)


def compile_model(model: keras.Model, recipe: BaselineConfig | AugmentedConfig, batches: int, epoch: int = 0) -> None:
    """Compiles a model with the optimizer and the loss of its recipe.

    Args:
        model: outputs probabilities.
        recipe: the settings.
        batches: in an epoch.
        epoch: the next one; it selects the learning-rate cycle of an augmented training.
    """
    if isinstance(recipe, BaselineConfig):
        model.compile(
            keras.optimizers.Adam(recipe.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        model.train_function = _traced_once(model, tf.TensorSpec((None,), tf.int64))
        return
    epochs = recipe.cycle(epoch)
    warm_up = min(recipe.warm_up, epochs - 1) * batches
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 100, epochs * batches - warm_up, warmup_target=recipe.learning_rate, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip, use_ema=True, ema_momentum=recipe.average
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, emotion_loss, metrics=["categorical_accuracy"])
    model.train_function = _traced_once(model, tf.TensorSpec((None, *model.output_shape[1:])))


def _traced_once(model: keras.Model, targets: tf.TensorSpec) -> Callable[[Iterator[Any]], Any]:
    """A model's training step for batches of any size and length, traced once.

    Keras would specialise the step for the first batch's length. The last bits would then depend on where a training
    began: one that is resumed meets another length first.
    """

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:])), targets])
    def step(features: Any, targets: Any) -> Any:
        with compiled_loops(model):
            return model.train_step((features, targets))

    return lambda batches: step(*next(batches)[:2])
