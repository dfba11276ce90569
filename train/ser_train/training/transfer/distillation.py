"""Finished networks that teach another one: their mean opinion of the very input that the learner hears.

Distillation (Hinton et al., 2015; Beyer et al., 2022, for hearing the same version of the input): networks that were
trained apart err apart, and a small one can learn their mean.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ser_edge.models.metadata import Normalization
from ser_train.networks.logit_adjustment import adjust
from ser_train.runs.run_directory import RunDirectory
from ser_train.training.batches import Teacher

__all__ = ["gather"]


def gather(runs: Sequence[RunDirectory], learner: Normalization, adjustment: npt.NDArray[np.float32]) -> Teacher | None:
    """The mean of some finished runs' networks, for inputs that are normalised as the learner's are.

    Args:
        runs: the teachers.
        learner: how its inputs are normalised.
        adjustment: (labels,), what the learner's logits gain at the end; its teachers' lose as much.
    """
    if not runs:
        return None
    taught = [(_any_length(run, adjustment), *_change(learner, run.metadata.normalization)) for run in runs]

    def opinion(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        frames = (features != 0).any(axis=-1, keepdims=True)
        answers = [network((features * scale + shift) * frames) for network, scale, shift in taught]
        mean: npt.NDArray[np.float32] = np.mean(answers, axis=0)
        return mean

    return opinion


def _any_length(run: RunDirectory, adjustment: npt.NDArray[np.float32]) -> Teacher:
    """A run's network for inputs of any length; its file is for the one length that is served.

    Traced once, for the same reason as a training step: see `optimize`.
    """
    saved = keras.models.load_model(run.path / "model.keras", compile=False)
    model = keras.models.clone_model(saved, input_tensors=keras.Input((None, saved.input_shape[-1])))
    model.set_weights(saved.get_weights())
    adjust(model, -adjustment)

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape)])
    def answer(features: Any) -> Any:
        return model(features, training=False)

    return lambda features: answer(features).numpy()


def _change(old: Normalization, new: Normalization | None) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scale and shift from one normalisation to another."""
    assert new is not None
    std = np.array(new.std)
    scale = np.array(old.std) / std
    return scale.astype(np.float32), ((np.array(old.mean) - new.mean) / std).astype(np.float32)
