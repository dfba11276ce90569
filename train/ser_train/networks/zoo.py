"""The networks by name: a table of builders, front-ends and recipes.

`rnn`, `lstm` and `gru` are the notebook's, layer for layer. `crnn` is the small one: a convolutional recurrent
network for utterances of any length and level. `whisper-gru` is the accurate one, on a pretrained encoder, and the
`whisper-notebook` networks are the notebook's layers on the same encoder.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ser_edge.features.config import FeatureConfig
from ser_edge.models.metadata import Normalization
from ser_train.networks.config import AugmentedConfig, BaselineConfig, EncoderConfig, NotebookOnEncoderConfig

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Network:
    """A network's builder, front-end and recipe."""

    build: Callable[..., "keras.Model"]  # ((frames, coefficients), labels), and the recipe's `sizes` by name
    features: FeatureConfig = field(default_factory=FeatureConfig)
    recipe: BaselineConfig | AugmentedConfig = field(default_factory=BaselineConfig)
    normalization: Normalization | None = None  # None: the training set's


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


def _crnn(
    shape: tuple[int | None, int],
    labels: int,
    channels: tuple[int, ...] = (24, 48, 96),
    dense: int = 128,
    units: int = 80,
    dropout: float = 0.25,
) -> "keras.Model":
    """Strided convolutions over the log-mel, a bidirectional GRU, and three kinds of pooling over time."""
    import keras
    from keras import layers

    from ser_train.networks.layers import frame_mask, masked, masked_pooling, two_channels

    inputs = keras.Input(shape)
    steps, bands = frame_mask(inputs), shape[1]
    x = two_channels(inputs, steps)
    for count in channels:
        x = layers.ZeroPadding2D(1)(x)  # not "same": that pads one end or both, depending on the length
        x = layers.Conv2D(count, 3, strides=2, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        steps, bands = steps[:, ::2], (bands + 1) // 2
        x = masked(x, steps)
    x = layers.Reshape((-1, bands * channels[-1]))(x)
    x = layers.Dense(dense, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    x = layers.Bidirectional(layers.GRU(units, return_sequences=True))(x, mask=steps)
    x = masked_pooling(x, steps)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(labels, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="crnn")


def _whisper_gru(shape: tuple[int | None, int], labels: int, **sizes: Any) -> "keras.Model":
    from ser_train.networks.whisper_gru import whisper_gru

    return whisper_gru(shape, labels, **sizes)


_WHISPER = FeatureConfig(
    n_fft=400,  # 25 ms
    hop_length=160,  # 10 ms
    n_mels=80,
    n_mfcc=None,
    f_max=8000.0,
    top_db=None,
    trim_db=25.0,
    trim_margin=5,
    dynamic_range_db=80.0,
)
# Whisper's scale: log10 of the power, plus 4, divided by 4. Speech of usual level (an RMS of 0.06) has its peak near
# 0 dB, and so near 1.
_WHISPER_SCALE = Normalization((-40.0,) * 80, (40.0,) * 80)

NETWORKS = {
    "rnn": Network(partial(_notebook, "SimpleRNN")),
    "lstm": Network(partial(_notebook, "LSTM")),
    "gru": Network(partial(_notebook, "GRU")),
    "crnn": Network(
        _crnn,
        FeatureConfig(
            n_fft=512,
            win_length=400,  # 25 ms
            hop_length=160,  # 10 ms
            n_mels=64,
            n_mfcc=None,
            f_min=50.0,
            f_max=8000.0,
            top_db=None,
            trim_db=20.0,
            dynamic_range_db=56.0,
        ),
        AugmentedConfig(),
    ),
    "whisper-gru": Network(_whisper_gru, _WHISPER, EncoderConfig(), _WHISPER_SCALE),
    "whisper-notebook-gru": Network(_whisper_gru, _WHISPER, NotebookOnEncoderConfig(), _WHISPER_SCALE),
    "whisper-notebook-lstm": Network(_whisper_gru, _WHISPER, NotebookOnEncoderConfig(recurrent="LSTM"), _WHISPER_SCALE),
}
