"""The model: front-end, normalisation, network, temperature and choice of labels, in that order.

It knows no files: `loader.open_model` makes one from a model file, and anything with `Runtime`'s methods can stand in
for the network.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Samples
from ser_edge.errors import ModelError
from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.base import Runtime, one_line

if TYPE_CHECKING:
    from ser_edge.models.labels import ChosenLabels

MAX_BATCH = 16  # windows per run of the network; more need more memory and are no faster
_ROUNDING = 0.1  # of int8 probabilities, and of their sum


class Model:
    """A network with everything around it that turns samples into probabilities; for any number of threads.

    Args:
        metadata: labels, front-end, normalisation, temperature.
        runtime: runs the network. It is tried once, on silence.
        path: of the model file, for messages; by default the name in the metadata.
        front_end: by default one for `metadata.features`.

    Raises:
        ModelError: the network doesn't fit the metadata.
    """

    threads = 1  # for one inference

    def __init__(
        self, metadata: ModelMetadata, runtime: Runtime, path: Path | None = None, front_end: FrontEnd | None = None
    ):
        self.metadata = self.file_metadata = metadata
        self.path = path or Path(metadata.name)
        self.front_end = front_end or FrontEnd(metadata.features)
        self._runtime = runtime
        self._free_length = runtime.input_shape[1:2] in ((), (None,))  # else a missing frame is zeros, which it masks
        self._chosen: ChosenLabels | None = None
        self._check()

    def __deepcopy__(self, memo: object) -> "Model":
        """Itself: nothing in it changes."""
        return self

    def with_labels(self, chosen: "ChosenLabels") -> "Model":
        """The same model, answering with labels that were chosen among those of `file_metadata`."""
        model = object.__new__(type(self))  # copy.copy would open its file again
        model.__dict__.update(self.__dict__, _chosen=chosen, metadata=chosen.metadata(self.file_metadata))
        return model

    def features(self, samples: Samples) -> Features:
        """(samples,) at the model's rate to (frames, coefficients), by the front-end."""
        return self.front_end(samples)

    def predict_proba(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(samples,) at the model's rate, of any length, to (labels,): the mean over all windows.

        Raises:
            ModelError: the network fails, or its output isn't probabilities.
        """
        windows = self.front_end.windows(samples)
        batches = [self.probabilities(windows[i : i + MAX_BATCH]) for i in range(0, len(windows), MAX_BATCH)]
        mean: npt.NDArray[np.float32] = np.concatenate(batches).mean(axis=0)
        return mean

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), calibrated; raises what `predict_proba` does.

        A network of a free length gets the frames that are there, without those missing at the end (NaN).
        """
        if self._free_length:
            lengths = features.shape[1] - np.isnan(features[:, :, 0]).sum(axis=1)
            if lengths.min() < lengths.max():
                return np.concatenate([self.probabilities(window[None]) for window in features])
            features = features[:, : max(1, lengths[0])]
        output = self._run(features)
        if self.metadata.temperature != 1.0:
            output = apply_temperature(output, self.metadata.temperature)
        return output if self._chosen is None else self._chosen.apply(output)

    def _run(self, features: npt.NDArray[np.float32], advice: str = "try again") -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), uncalibrated."""
        labels = len(self.file_metadata.labels)
        inputs = self.metadata.inputs(features)
        try:
            output = self._runtime.run(inputs)
        except Exception as e:  # each runtime has its own exceptions
            message = f"{self.path}: {self._runtime.name} failed ({one_line(e)}); {advice}"
            raise ModelError(message, code="model-failed") from e
        if np.shape(output) != (len(inputs), labels) or output.dtype.kind != "f":
            message = f"{self.path}: the metadata has {labels} labels, the network's output is {np.shape(output)}"
            raise ModelError(message, code="model-mismatched")
        if not np.isfinite(output).all():
            raise ModelError(f"{self.path}: the network's output is NaN; export it again", code="model-failed")
        return output

    def _check(self) -> None:
        """Runs the network on silence: one that doesn't fit the metadata would give wrong answers without an error."""
        config = self.metadata.features
        silence = np.zeros(config.samples or config.sample_rate, np.float32)
        window = self.front_end.windows(silence)[:1]
        expected = self._runtime.input_shape
        fits = len(expected) == window.ndim and all(b in (None, a) for a, b in zip(window.shape, expected, strict=True))
        if expected and not fits:
            dims = ", ".join("any" if size is None else str(size) for size in expected)
            message = f"{self.path}: the network takes ({dims}), its metadata describes {window.shape}; export it again"
            raise ModelError(message, code="model-mismatched")
        output = self._run(window, advice="export it again")
        if output.min() < -_ROUNDING or abs(output.sum() - 1) > _ROUNDING:
            message = f"{self.path}: the network's output isn't probabilities; end it with a softmax"
            raise ModelError(message, code="model-mismatched")


def apply_temperature(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """(n, labels) in and out: log-probabilities divided by a temperature (Guo et al., 2017).

    >>> apply_temperature(np.array([[0.9, 0.1]], np.float32), 2.0).round(2).tolist()
    [[0.75, 0.25]]
    """
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / np.float32(temperature)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    calibrated: npt.NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return calibrated
