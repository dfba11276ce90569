"""The notebook's own way: librosa for features, a Keras network of two bidirectional layers.

Written out here, and not taken from ser_train: what ser_train makes faster must not make its rival faster.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RATE", "SHAPE", "features", "mfcc", "network"]

SHAPE = (94, 40)  # frames and coefficients of 3 s
LABELS = 8
RATE = 16_000


def features(path: str | Path) -> npt.NDArray[np.float32]:
    """A file's (94, 40) MFCC: its first three seconds."""
    import librosa

    samples, _ = librosa.load(path, sr=RATE, duration=3.0)
    return mfcc(librosa.util.fix_length(samples, size=3 * RATE))


def mfcc(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(samples,) at 16 kHz to (frames, 40)."""
    import librosa

    return librosa.feature.mfcc(y=samples, sr=RATE, n_mfcc=40).T


def network(kind: str = "GRU") -> Any:
    """The notebook's network of "SimpleRNN", "LSTM" or "GRU" layers, compiled; untrained, which changes no speed."""
    import keras
    from keras import layers

    recurrent = getattr(layers, kind)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Bidirectional(recurrent(128, return_sequences=True)),
            layers.Dropout(0.2),
            layers.Bidirectional(recurrent(64)),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dense(LABELS, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
