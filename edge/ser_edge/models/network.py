"""The model: front-end, normalisation, network, temperature and choice of labels, in that order.

It knows no files: `loader.open_model` makes one from a model file, and anything with `Runtime`'s methods can stand in
for the network.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from ser_edge.audio.sound import Samples
from ser_edge.errors import ModelError
from ser_edge.features.frontend import Features, FrontEnd
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.runtimes.base import EmbeddingRuntime, Runtime, one_line

if TYPE_CHECKING:
    from ser_edge.models.labels import ChosenLabels

T = TypeVar("T")

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
        return self._mean_over_windows(samples, self.probabilities)

    def embed(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(samples,) at the model's rate, of any length, to (units,): the mean of `embeddings` over all windows.

        Raises:
            ModelError: as `embeddings`.
        """
        return self._mean_over_windows(samples, self.embeddings)

    def probabilities(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), calibrated; raises what `predict_proba` does.

        A network of a free length gets the frames that are there, without those missing at the end (NaN).
        """
        return np.concatenate([self._calibrated(self._run(part)) for part in self._without_missing(features)])

    def embeddings(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, units): what the last dense layer gets, or the last ones get.

        Raises:
            ModelError: the network fails, or its file was made before there were embeddings.
        """
        return np.concatenate([self._run_embedding(part) for part in self._without_missing(features)])

    def _mean_over_windows(
        self, samples: Samples, run: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        windows = self._windows(samples)
        batches = [run(windows[i : i + MAX_BATCH]) for i in range(0, len(windows), MAX_BATCH)]
        mean: npt.NDArray[np.float32] = np.concatenate(batches).mean(axis=0)
        return mean

    def _windows(self, samples: Samples) -> npt.NDArray[np.float32]:
        return self.front_end.windows(samples)

    def _without_missing(self, features: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """The whole batch if all its inputs are of one length, else one by one."""
        if not self._free_length:
            return [features]
        lengths = features.shape[1] - np.isnan(features[:, :, 0]).sum(axis=1)
        if lengths.min() < lengths.max():
            return [features[i : i + 1, : max(1, length)] for i, length in enumerate(lengths)]
        return [features[:, : max(1, lengths[0])]]

    def _calibrated(self, output: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.metadata.temperature != 1.0:
            output = apply_temperature(output, self.metadata.temperature)
        return output if self._chosen is None else self._chosen.apply(output)

    def _run(self, features: npt.NDArray[np.float32], advice: str = "try again") -> npt.NDArray[np.float32]:
        """(batch, frames, coefficients) to (batch, labels), uncalibrated."""
        labels = len(self.file_metadata.labels)
        output = self._in_runtime(self._runtime.run, features, advice)
        if np.shape(output) != (len(features), labels) or output.dtype.kind != "f":
            message = f"{self.path}: the metadata has {labels} labels, the network's output is {np.shape(output)}"
            raise ModelError(message, code="model-mismatched")
        if not np.isfinite(output).all():
            raise ModelError(f"{self.path}: the network's output is NaN; export it again", code="model-failed")
        return output

    def _run_embedding(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        embedding = None
        if isinstance(self._runtime, EmbeddingRuntime):
            _, embedding = self._in_runtime(self._runtime.run_with_embedding, features, "try again")
        if embedding is None:
            message = f"{self.path}: has no embedding; make the file again with this version of ser-export"
            raise ModelError(message, code="model-without-embedding")
        if np.ndim(embedding) != 2 or len(embedding) != len(features) or not np.isfinite(embedding).all():
            message = f"{self.path}: the network's embedding is NaN, or not of its inputs; export it again"
            raise ModelError(message, code="model-failed")
        return embedding

    def _in_runtime(self, run: Callable[[npt.NDArray[np.float32]], T], features: Features, advice: str) -> T:
        try:
            return run(self.metadata.inputs(features))
        except Exception as e:  # each runtime has its own exceptions
            message = f"{self.path}: {self._runtime.name} failed ({one_line(e)}); {advice}"
            raise ModelError(message, code="model-failed") from e

    def _check(self) -> None:
        """Runs the network on silence: one that doesn't fit the metadata would give wrong answers without an error."""
        config = self.metadata.features
        silence = np.zeros(config.samples or config.sample_rate, np.float32)
        window = self._windows(silence)[:1]
        expected = self._runtime.input_shape
        if len(expected) == 1:
            message = f"{self.path}: takes samples, for programs without ser-edge (docs/other-languages.md)"
            raise ModelError(f"{message}; give the file that it was made of", code="model-mismatched")
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
