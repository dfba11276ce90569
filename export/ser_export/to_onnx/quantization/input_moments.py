"""What the large constant matrices of a network multiply: the second moments of their inputs over some utterances."""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from ser_export.to_onnx.quantization.integer_products import large_products

Moments = dict[str, npt.NDArray[np.float64]]  # (inputs, inputs) by the matrix's name


def input_moments(model: onnx.ModelProto, inputs: npt.NDArray[np.float32]) -> Moments:
    """Runs the network on each input, (n, frames, coefficients) normalised, without the missing frames at its end."""
    products = large_products(model)
    if not products:
        return {}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    places = dict.fromkeys(node.input[0] for node in products)
    made.graph.output.extend(helper.make_tensor_value_info(place, TensorProto.FLOAT, None) for place in places)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sums: Moments = defaultdict(lambda: np.zeros(()))
    for item in inputs:
        present = int(np.flatnonzero(item.any(axis=1)).max(initial=0)) + 1
        values = session.run(list(places), {session.get_inputs()[0].name: item[None, :present]})
        squares = {}
        for place, value in zip(places, values, strict=True):
            rows = value.reshape(-1, value.shape[-1]).astype(np.float64)
            squares[place] = rows.T @ rows
        for node in products:
            sums[node.input[1]] = sums[node.input[1]] + squares[node.input[0]]
    return dict(sums)
