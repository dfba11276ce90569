"""Opens a run's Keras network behind the interface of the model file that will be exported from it."""

import numpy as np
import numpy.typing as npt

from ser_edge.models.network import Model
from ser_train.data.feature_cache import front_end_of
from ser_train.networks.keras_backend import load
from ser_train.runs.run_directory import RunDirectory


def open_run(run: RunDirectory) -> Model:
    """A model that normalises and calibrates as the exported file will; for a finished run.

    Raises SerEdgeError if it is damaged.
    """
    runtime = _KerasRuntime(run)
    return Model(run.metadata, runtime, run.path / "model.keras", front_end_of(run.metadata.features))


class _KerasRuntime:
    """A `Runtime` for Keras models."""

    name = "Keras"

    def __init__(self, run: RunDirectory):
        load()
        self._model = run.load_network()
        self.input_shape: tuple[int | None, ...] = self._model.input_shape

    def run(self, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = self._model.predict(inputs, batch_size=64, verbose=0)
        return answers
