"""The network that a training begins with, where that isn't random: a finished run's, or an ONNX file's.

What a network hears, and how that is normalised, stays as it was learned. Of its last layer the new one keeps the
labels that it has as well; its other labels begin at random. The bundled network is an ONNX file in int8: its weights
are read back from there, as exact as they are served.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from ser_edge.errors import SerEdgeError
from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.loader import BUNDLED
from ser_edge.models.metadata import KEY, ModelMetadata
from ser_train.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    import onnx

__all__ = ["WarmStart", "find_warm_start"]

Array = npt.NDArray[np.float32]

_EPSILON = layers.BatchNormalization().epsilon
_WEIGHTS = {"B", "R", "W", "bias", "kernel"}  # as ser-export names them, behind the layer's name
_OTHERS = {"LSTM", "RNN"}  # nodes whose weights ONNX orders otherwise than Keras


@dataclass(frozen=True)
class WarmStart:
    """A network to begin with."""

    name: str  # as it was asked for
    file: Path  # model.keras, or an ONNX file
    metadata: ModelMetadata

    @property
    def digest(self) -> str:
        """Of the file: other weights make another training."""
        return hashlib.blake2b(self.file.read_bytes(), digest_size=8).hexdigest()

    def give(self, model: keras.Model, labels: Sequence[str], inputs: Iterable[Array]) -> None:
        """Puts the weights into a new network.

        Args:
            model: the network, its last layer a Dense with a value for each label.
            labels: in the order of its output.
            inputs: (batch, frames, coefficients) each, normalised, such as it will be trained on.

        Raises:
            SerEdgeError: a network of other layers or sizes.
        """
        folded = self.file.suffix == ".onnx"
        weights = _of_onnx(self.file) if folded else keras.models.load_model(self.file, compile=False).get_weights()
        *body, kernel, bias = model.get_weights()
        if [array.shape for array in weights[:-2]] != [array.shape for array in body]:
            raise SerEdgeError(
                f"--init {self.name}: other layers, or other sizes; give the --arch and the sizes (--set) that it has"
            )
        for place, label in enumerate(labels):
            if label in self.metadata.labels:
                known = self.metadata.labels.index(label)
                kernel[:, place], bias[place] = weights[-2][:, known], weights[-1][known]
        model.set_weights([*weights[:-2], kernel, bias])
        if folded:
            _measure_normalizations(model, inputs)


def find_warm_start(name: str, fold: int) -> WarmStart:
    """Finds what `--init` names.

    Args:
        name: a run directory, with * for the fold; an ONNX file; or a bundled network's name.
        fold: of the training.

    Raises:
        SerEdgeError: nothing of that name, or a network that doesn't tell what it learned from.
        ModelError: a metadata that this ser-edge doesn't read.
    """
    path = Path(name.replace("*", str(fold)))
    run = RunDirectory(path)
    bundled = BUNDLED / f"{name}.onnx"
    if run.finished:
        warm_start = WarmStart(name, path / "model.keras", run.metadata)
    elif path.is_file() or bundled.is_file():
        file = path if path.is_file() else bundled
        told = {entry.key: entry.value for entry in _opened(file).metadata_props}.get(KEY)
        warm_start = WarmStart(name, file, ModelMetadata.from_json(told, str(file)))
    else:
        known = ", ".join(sorted(file.stem for file in BUNDLED.glob("*.onnx")))
        raise SerEdgeError(f"--init {path}: no finished run, no .onnx file and no bundled network ({known})")
    if not {"data", "not_heard"} <= set(warm_start.metadata.training) or warm_start.metadata.normalization is None:
        raise SerEdgeError(
            f"--init {path}: doesn't tell what it learned from; take a run of ser-train, or export it again"
        )
    return warm_start


def _opened(file: Path) -> "onnx.ModelProto":
    import onnx  # here, so that who begins with random weights needs none
    from google.protobuf.message import DecodeError

    try:
        content = file.read_bytes()
        if instead := describe_placeholder(content[:START]):
            raise SerEdgeError(f"--init {file}: {instead}")
        return onnx.load_from_string(content)
    except (DecodeError, OSError) as e:
        raise SerEdgeError(
            f"--init {file}: not an ONNX file that can be read ({e}); give one, or a run directory"
        ) from e


def _of_onnx(file: Path) -> list[Array]:
    """The weights in Keras's order, of a file that ser-export wrote in any precision."""
    from onnx import numpy_helper

    model = _opened(file)
    if other := sorted({node.op_type for node in model.graph.node} & _OTHERS):
        raise SerEdgeError(
            f"--init {file}: weights of {', '.join(other)} are read from run directories alone; give that"
        )
    stored = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    parts: dict[str, dict[str, Array]] = defaultdict(dict)  # by layer, in the order of the network
    for name, array in stored.items():
        layer, weight, *form = name.split("/")
        if weight in _WEIGHTS and form != ["scale"]:
            scale = stored[f"{layer}/{weight}/scale"] if form == ["int8"] else np.float32(1)
            parts[layer][weight] = array.astype(np.float32) * scale.astype(np.float32)
    return [array for layer in parts.values() for array in _of_layer(layer)]


def _of_layer(stored: dict[str, Array]) -> list[Array]:
    if "W" in stored:  # a GRU in both directions, the forward one first
        units = stored["R"].shape[-1]
        both = zip(stored["W"], stored["R"], stored["B"], strict=True)
        return [array for w, r, b in both for array in (w.T, r.T, b.reshape(2, 3 * units))]
    if stored["kernel"].ndim == 4:  # a convolution; the batch normalisation behind it is folded in, so it adds the bias
        ones = np.ones_like(stored["bias"])
        gamma, beta, mean, variance = np.sqrt(1 + _EPSILON) * ones, stored["bias"], 0 * ones, ones
        return [stored["kernel"].transpose(2, 3, 1, 0), gamma, beta, mean, variance]
    return [stored[name] for name in ("kernel", "bias") if name in stored]


def _measure_normalizations(model: keras.Model, inputs: Iterable[Array]) -> None:
    """Puts into each batch normalisation the mean and the variance of what it hears, without changing any answer.

    A training normalises by those of its batches. If the file's had been folded into the convolution for good, the
    first step would hear another network.
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    normalizations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    if not convolutions:
        return
    heard = keras.Model(model.inputs[0], [layer.output for layer in convolutions])
    batches = [[np.array(y).reshape(-1, y.shape[-1]) for y in heard(x, training=False)] for x in inputs]
    for layer, values in zip(normalizations, zip(*batches, strict=True), strict=True):
        every = np.concatenate(values)
        mean, variance = every.mean(axis=0), every.var(axis=0)
        layer.set_weights([np.sqrt(variance + _EPSILON), layer.beta.numpy() + mean, mean, variance])
