"""The networks, by name: a table of builders. `rnn`, `lstm` and `gru` are the notebook's, layer for layer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ser_edge.features import FeatureConfig

if TYPE_CHECKING:
    import keras

__all__ = ["NETWORKS", "Network"]


@dataclass(frozen=True)
class Network:
    """A network and the settings it is trained with; the front-end belongs to it."""

    build: Callable[[tuple[int, int], int], "keras.Model"]  # ((frames, coefficients), labels)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    learning_rate: float = 5e-4  # of Adam
    batch_size: int = 32
    epochs: int = 30
    patience: int = 5  # epochs without a higher validation accuracy, before the best weights are taken


def _notebook(kind: str, shape: tuple[int, int], labels: int) -> "keras.Model":
    """Two bidirectional layers, as the notebook defines them."""
    import keras  # here, so that `ser-train --help` knows the names without loading TensorFlow
    from keras import layers

    recurrent = getattr(layers, kind)
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Bidirectional(recurrent(128, return_sequences=True)),
            layers.Dropout(0.2),
            layers.Bidirectional(recurrent(64)),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dense(labels, activation="softmax"),
        ]
    )


NETWORKS = {
    "rnn": Network(partial(_notebook, "SimpleRNN")),
    "lstm": Network(partial(_notebook, "LSTM")),
    "gru": Network(partial(_notebook, "GRU")),
}
