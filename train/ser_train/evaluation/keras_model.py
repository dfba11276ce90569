"""Opens a run's Keras network behind the interface of the model file that will be exported from it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_edge.models.network import Model
from ser_train.data.feature_cache import front_end_of
from ser_train.networks.keras_backend import load
from ser_train.runs.run_directory import DAMAGES, RunDirectory, damaged


def open_run(run: RunDirectory) -> Model:
    """A model that normalises and calibrates as the exported file will; for a finished run.

    Raises SerEdgeError if it is damaged.
    """
    path = run.path / "model.keras"
    try:
        runtime = _KerasRuntime(path)
    except DAMAGES as e:
        raise damaged(run.path, e) from e
    return Model(run.metadata, runtime, path, front_end_of(run.metadata.features))


class _KerasRuntime:
    """A `Runtime` for Keras models."""

    name = "Keras"

    def __init__(self, path: Path):
        load()
        import keras

        self._model = keras.models.load_model(path, compile=False)
        self.input_shape: tuple[int | None, ...] = self._model.input_shape

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = self._model.predict(inputs, batch_size=64, verbose=0)
        return answers
