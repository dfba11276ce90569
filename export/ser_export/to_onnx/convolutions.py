"""Converts Keras's convolutions, and what is computed with them or between them, to ONNX nodes.

Zero padding becomes a part of the convolution or the pooling after it, and batch normalisation of the convolution
before it.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from keras import layers

from ser_export.from_keras.layer_settings import require_settings
from ser_export.to_onnx.nodes import CHANNELS_FIRST, END, VALUES_FIRST, Graph, Tensor


def zero_padding(graph: Graph, layer: layers.ZeroPadding1D | layers.ZeroPadding2D, x: Tensor) -> Tensor:
    """Deferred to the convolution or pooling that follows."""
    ends = np.reshape(layer.padding, (-1, 2))  # (axes, 2): before and after
    return replace(x, pads=tuple(ends.T.ravel().tolist()))


def convolution_1d(graph: Graph, layer: layers.Conv1D, x: Tensor) -> Tensor:
    """A product of the frames that the kernel covers, side by side: as fast as ONNX's Conv, without its transposes."""
    require_settings(layer, activation="linear", groups=1, dilation_rate=(1,), data_format="channels_last")
    (size,), (stride,), name = layer.kernel_size, layer.strides, layer.name
    kernel, *bias = layer.get_weights()  # (size, inputs, outputs)
    before, after = x.pads or (0, 0)
    if layer.padding == "same":
        require_settings(layer, strides=(1,))  # with others it depends on the length where zeros are added
        before, after = before + (size - 1) // 2, after + size // 2
    else:
        require_settings(layer, padding="valid")
    x = graph.transposed(replace(x, pads=()))
    if before or after:
        pads = graph.weight(f"{name}/pads", np.array([0, before, 0, 0, after, 0]))
        x = graph.add("Pad", [x, pads], f"{name}/padded")
    axis, step = graph.weight(f"{name}/axis", np.array([1])), graph.weight(f"{name}/step", np.array([stride]))
    taps = []
    for tap in range(size):
        start = graph.weight(f"{name}/{tap}/start", np.array([tap]))
        end = graph.weight(f"{name}/{tap}/end", np.array([tap + 1 - size or END]))
        taps.append(graph.add("Slice", [x, start, end, axis, step], f"{name}/{tap}"))
    covered = graph.add("Concat", taps, f"{name}/covered", axis=2)
    weight = graph.weight(f"{name}/kernel", kernel.reshape(-1, layer.filters))
    y = graph.add("MatMul", [covered, weight], f"{name}/product" if bias else name)
    return graph.add("Add", [y, graph.weight(f"{name}/bias", bias[0])], name) if bias else y


def convolution_2d(graph: Graph, layer: layers.Conv2D, x: Tensor) -> Tensor:
    """One node, with the zero padding before it."""
    require_settings(
        layer, activation="linear", padding="valid", groups=1, dilation_rate=(1, 1), data_format="channels_last"
    )
    kernel, *bias = layer.get_weights()  # (height, width, inputs, outputs); ONNX has the last two first
    names = [
        graph.weight(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1)),
        graph.weight(f"{layer.name}/bias", bias[0] if bias else np.zeros(layer.filters, np.float32)),
    ]
    pads, x = x.pads or (0, 0, 0, 0), graph.transposed(replace(x, pads=()), CHANNELS_FIRST)
    return graph.add("Conv", [x, *names], layer.name, pads=pads, strides=layer.strides)


def average_pooling(graph: Graph, layer: layers.AveragePooling1D, x: Tensor) -> Tensor:
    """One node, with the zero padding before it."""
    require_settings(layer, padding="valid", data_format="channels_last")
    pads, x = x.pads or (0, 0), graph.transposed(replace(x, pads=()), VALUES_FIRST)
    return graph.add(
        "AveragePool",
        [x],
        layer.name,
        kernel_shape=layer.pool_size,
        strides=layer.strides,
        pads=pads,
        count_include_pad=1,  # the padding's zeros are values like others
    )


def batch_normalization(graph: Graph, layer: layers.BatchNormalization, x: Tensor) -> Tensor:
    """Folded into the convolution that made `x`; else a product and a sum."""
    require_settings(layer, axis=-1)
    weights = {weight.name: weight.numpy() for weight in layer.weights}
    scale = weights.get("gamma", np.float32(1)) / np.sqrt(weights["moving_variance"] + layer.epsilon)

    def shift(bias: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        shifted: npt.NDArray[np.generic] = (bias - weights["moving_mean"]) * scale + weights.get("beta", np.float32(0))
        return shifted

    kernel, bias = f"{x.name}/kernel", f"{x.name}/bias"
    if x.order == CHANNELS_FIRST and kernel in graph.weights:
        graph.weight(kernel, graph.weights[kernel] * scale[:, None, None, None])
        graph.weight(bias, shift(graph.weights[bias]))
        return x
    x = graph.transposed(x)
    y = graph.add("Mul", [x, graph.weight(f"{layer.name}/scale", scale)], f"{layer.name}/scaled")
    return graph.add("Add", [y, graph.weight(f"{layer.name}/shift", shift(np.zeros_like(scale)))], layer.name)
