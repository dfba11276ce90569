"""Distillation: finished networks teach another one by their mean probabilities.

Networks that were trained separately err differently, and a small network can learn their mean (Hinton et al., 2015).
Teachers with the student's front-end answer the same augmented input (Beyer et al., 2022); others, such as a larger
network on another one, the utterances as they are, once.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ser_edge.models.metadata import Normalization
from ser_train.data.feature_cache import corpus_features
from ser_train.data.utterance import Utterance
from ser_train.networks.logit_adjustment import adjust
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.batches import Teacher

_BATCH = 64  # of teachers' inputs


def ensemble_teacher(
    runs: Sequence[RunDirectory], student: Normalization, adjustment: npt.NDArray[np.float32]
) -> Teacher | None:
    """The mean of finished runs' networks, for inputs that are normalised as the student's; None without runs.

    Args:
        runs: the teachers.
        student: how its inputs are normalised.
        adjustment: (labels,), added to the student's logits after training, and so subtracted from its teachers'.
    """
    if not runs:
        return None
    teachers = [(_any_length(run, adjustment), *_rescaling(student, run.metadata.normalization)) for run in runs]

    def mean_probabilities(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        frames = (features != 0).any(axis=-1, keepdims=True)
        answers = [network((features * scale + shift) * frames) for network, scale, shift in teachers]
        mean: npt.NDArray[np.float32] = np.mean(answers, axis=0)
        return mean

    return mean_probabilities


def soft_labels(
    runs: Sequence[RunDirectory], utterances: Sequence[Utterance], adjustment: npt.NDArray[np.float32], jobs: int = -1
) -> npt.NDArray[np.float32]:
    """(utterances, labels): the mean probabilities of finished runs' networks, each with its own front-end.

    Args:
        runs: the teachers.
        utterances: as they are, not augmented.
        adjustment: (labels,), as above.
        jobs: processes that compute features which aren't cached yet.
    """
    answers = [_answers(run, corpus_features(utterances, run.metadata.features, jobs)) for run in runs]
    unadjusted = np.mean(answers, axis=0) * np.exp(-adjustment)
    probabilities: npt.NDArray[np.float32] = unadjusted / unadjusted.sum(axis=1, keepdims=True)
    return probabilities


def _answers(run: RunDirectory, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(utterances, frames, coefficients) to (utterances, labels), in batches of similar length."""
    answers = np.empty((len(features), len(run.metadata.labels)), np.float32)
    network = _any_length(run, np.zeros(answers.shape[1], np.float32))
    lengths = np.isfinite(features[:, :, 0]).sum(axis=1)
    order = np.argsort(lengths)
    for first in range(0, len(order), _BATCH):
        rows = order[first : first + _BATCH]
        answers[rows] = network(run.metadata.inputs(features[rows, : max(1, lengths[rows[-1]])]))
    return answers


def _any_length(run: RunDirectory, adjustment: npt.NDArray[np.float32]) -> Teacher:
    """A run's network for inputs of any length; the saved one has a fixed length.

    Traced once, for the same reason as the training step: see `optimizer`.
    """
    saved = run.load_network()
    model = keras.models.clone_model(saved, input_tensors=keras.Input((None, saved.input_shape[-1])))
    model.set_weights(saved.get_weights())
    adjust(model, -adjustment)

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape)])
    def predict(features: Any) -> Any:
        return model(features, training=False)

    return lambda features: predict(features).numpy()


def _rescaling(
    old: Normalization, new: Normalization | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(scale, shift) from one normalisation to another, (coefficients,) each."""
    assert new is not None
    std = np.array(new.std)
    scale = np.array(old.std) / std
    return scale.astype(np.float32), ((np.array(old.mean) - new.mean) / std).astype(np.float32)
