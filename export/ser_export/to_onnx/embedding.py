"""Gives an ONNX graph a second output, `embedding`: what its last dense layer gets, (batch, units).

Where several classifiers are averaged, the inputs of their last layers are concatenated in their order. The first
output and its arithmetic stay as they are.
"""

import onnx
from onnx import TensorProto, helper

from ser_edge.models.runtimes.base import EMBEDDING

_AFTER_DENSE = {"Add", "Div", "Identity", "Mean", "Mul", "Sigmoid", "Softmax", "Sum"}  # to the answer


def add_embedding(model: onnx.ModelProto) -> bool:
    """Adds the output to a converted network, in place, whatever the precision of its weights.

    Returns:
        Whether it has the output now. A network that doesn't end with dense layers can't.
    """
    graph = model.graph
    if any(output.name == EMBEDDING for output in graph.output):
        return True
    makers = {name: node for node in graph.node for name in node.output}
    last: dict[str, int] = {}  # the inputs of the last dense layers, and their sizes
    waiting = [graph.output[0].name]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:  # a weight
            continue
        if node.op_type == "Gemm":
            last[node.input[0]] = _rows(model, makers, node.input[1])
        elif node.op_type in _AFTER_DENSE:
            waiting += reversed(node.input)
        else:
            return False
    if not last:
        return False
    units = list(last.values())
    concatenated = helper.make_node("Concat", list(last), [EMBEDDING], axis=1)
    graph.node.append(concatenated if len(last) > 1 else helper.make_node("Identity", list(last), [EMBEDDING]))
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", sum(units)]))
    onnx.checker.check_model(model, full_check=True)
    return True


def _rows(model: onnx.ModelProto, makers: dict[str, onnx.NodeProto], kernel: str) -> int:
    """Of a matrix that may be stored quantised, and widened by nodes of its own."""
    while kernel in makers:
        kernel = makers[kernel].input[0]
    (rows,) = (weight.dims[0] for weight in model.graph.initializer if weight.name == kernel)
    return int(rows)
