"""Warm start: a training that starts from the weights of a finished run or of an ONNX file.

The front-end and the normalisation stay the initial network's. The last layer keeps the weights of labels that both
networks have; other labels start at random. The bundled network is an ONNX file in int8, and its weights are read back
from there. A network on a frozen encoder starts from a run only.
"""

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
from ser_edge.models.bundled.names import ALIASES, BUNDLED, FILES
from ser_edge.models.metadata import KEY, ModelMetadata, Normalization
from ser_train.networks.whisper_gru import standardization
from ser_train.runs.provenance import lists_training_data
from ser_train.runs.run_directory import RunDirectory, network_digest

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[np.float32]

_EPSILON = layers.BatchNormalization().epsilon
_WEIGHTS = {"B", "R", "W", "bias", "kernel"}  # ser-export's names, after the layer's
_UNSUPPORTED = {"LSTM", "LayerNormalization", "RNN"}  # nodes whose weights aren't stored as Keras has them


def _unusable(reason: str) -> SerEdgeError:
    return SerEdgeError(f"--init {reason}", code="warm-start-unusable")


@dataclass(frozen=True)
class WarmStart:
    """The network that a training starts from."""

    name: str  # as the user gave it
    file: Path  # model.keras, or an ONNX file
    metadata: ModelMetadata

    @property
    def digest(self) -> str:
        """`network_digest` of the file."""
        return network_digest(self.file)

    def initialize(self, model: keras.Model, labels: Sequence[str], inputs: Iterable[Array]) -> None:
        """Sets the weights of a new network.

        Args:
            model: the network, or the part of it that is trained; its last layer, or that of each classifier, is a
                Dense with a value for each label.
            labels: in the order of its output.
            inputs: (batch, frames, coefficients) each, normalised, of the training data.

        Raises:
            SerEdgeError: a network of other layers or sizes.
        """
        folded = self.run is None
        weights = self.run.load_network().get_weights() if self.run else _read_onnx_weights(self.file)
        new, by_label = model.get_weights(), _by_label(model)
        weights = weights[-len(new) :]  # without those of a frozen encoder, which come first
        if list(map(_shape, weights, by_label)) != list(map(_shape, new, by_label)):
            raise _unusable(
                f"{self.name}: other layers, or other sizes; give the --arch and the sizes (--set) that it has"
            )
        for array, known, labelled in zip(new, weights, by_label, strict=True):
            if not labelled:
                array[...] = known
                continue
            for place, label in enumerate(labels):
                if label in self.metadata.labels:
                    array[..., place] = known[..., self.metadata.labels.index(label)]
        model.set_weights(new)
        if folded:
            _measure_normalizations(model, inputs)

    def encoder_output(self) -> Normalization:
        """How a run's network standardises the output of its frozen encoder."""
        return standardization(RunDirectory(self.file.parent).load_network())

    @property
    def run(self) -> RunDirectory | None:
        """The run that it is; None for a model file."""
        return RunDirectory(self.file.parent) if self.file.suffix == ".keras" else None


def find_warm_start(name: str, fold: int) -> WarmStart:
    """Finds the network that `--init` names.

    Args:
        name: a run directory, with * for the fold; an ONNX file; or a bundled network's name.
        fold: of the training.

    Raises:
        SerEdgeError: nothing of that name, or a network whose metadata doesn't list its training data.
        ModelError: metadata that this ser-edge can't read.
    """
    path = Path(name.replace("*", str(fold)))
    run = RunDirectory(path)
    bundled = BUNDLED / f"{ALIASES.get(name, name)}.onnx"
    if path.suffix == ".tflite":
        raise _unusable(
            f"{path}: weights aren't read from TFLite files; give the run directory that it was exported from"
        )
    if run.finished:
        warm_start = WarmStart(name, path / "model.keras", run.metadata)
    elif path.is_file() or bundled.is_file():
        file = path if path.is_file() else bundled
        stored = {entry.key: entry.value for entry in _load_onnx(file).metadata_props}.get(KEY)
        warm_start = WarmStart(name, file, ModelMetadata.from_json(stored, str(file)))
    else:
        raise _unusable(f"{path}: no finished run, no .onnx file and no bundled network ({', '.join(FILES)})")
    if not lists_training_data(warm_start.metadata) or warm_start.metadata.normalization is None:
        raise _unusable(
            f"{path}: its metadata doesn't list its training data; take a run of ser-train, or export it again"
        )
    return warm_start


def _by_label(model: keras.Model) -> list[bool]:
    """Which of a model's weights have a value for each label, at their end."""
    outputs = [layer for layer in model.layers if layer.get_config().get("activation") == "softmax"]
    paths = {weight.path for layer in outputs for weight in layer.weights}
    return [weight.path in paths for weight in model.weights]


def _shape(array: Array, by_label: bool) -> tuple[int, ...]:
    """Without the number of labels."""
    return array.shape[:-1] if by_label else array.shape


def _load_onnx(file: Path) -> "onnx.ModelProto":
    import onnx  # here: only a warm start needs it
    from google.protobuf.message import DecodeError

    try:
        content = file.read_bytes()
        if placeholder := describe_placeholder(content[:START]):
            raise _unusable(f"{file}: {placeholder}")
        return onnx.load_from_string(content)
    except (DecodeError, OSError) as e:
        raise _unusable(f"{file}: not an ONNX file that can be read ({e}); give one, or a run directory") from e


def _read_onnx_weights(file: Path) -> list[Array]:
    """The weights in Keras's order, of an ONNX file that ser-export wrote in any precision."""
    from onnx import numpy_helper

    model = _load_onnx(file)
    if other := sorted({node.op_type for node in model.graph.node} & _UNSUPPORTED):
        raise _unusable(f"{file}: weights of {', '.join(other)} are read from run directories only; give one")
    stored = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    parts: dict[str, dict[str, Array]] = defaultdict(dict)  # by layer, in the order of the network
    for name, array in stored.items():
        layer, weight, *form = name.split("/")
        if weight in _WEIGHTS and form != ["scale"]:
            scale = stored[f"{layer}/{weight}/scale"] if form == ["int8"] else np.float32(1)
            parts[layer][weight] = array.astype(np.float32) * scale.astype(np.float32)
        elif weight == "product" and form == ["matrix"]:  # of integers, stored last; the layer's bias holds its place
            scale = next(stored[key] for key in (f"{name}_scales", f"{name}_scales/float16") if key in stored)
            parts[layer]["kernel"] = array.astype(np.float32) * scale.astype(np.float32)
    return [array for layer in parts.values() for array in _keras_weights(layer)]


def _keras_weights(stored: dict[str, Array]) -> list[Array]:
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
    """Gives each batch normalisation the mean and variance of its inputs, without changing any answer.

    ser-export folds normalisations into the convolutions, but a training step normalises by its batch's statistics:
    with the folded weights alone, the first step would start from another network.
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    normalizations = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    if not convolutions:
        return
    outputs = keras.Model(model.inputs[0], [layer.output for layer in convolutions])
    batches = [[np.array(y).reshape(-1, y.shape[-1]) for y in outputs(x, training=False)] for x in inputs]
    for layer, values in zip(normalizations, zip(*batches, strict=True), strict=True):
        rows = np.concatenate(values)
        mean, variance = rows.mean(axis=0), rows.var(axis=0)
        layer.set_weights([np.sqrt(variance + _EPSILON), layer.beta.numpy() + mean, mean, variance])
