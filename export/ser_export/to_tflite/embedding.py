"""Gives a TFLite file a second output, `embedding`: what its last dense layer gets, (1, units) float32.

Where several classifiers are averaged, the inputs of their last layers are concatenated in their order. The first
output and its arithmetic stay as they are.
"""

from ai_edge_litert import schema_py_generated as schema

from ser_edge.models.runtimes.base import EMBEDDING
from ser_export.to_tflite.flatbuffer import EMPTY, pack, unpack

_OPS = schema.BuiltinOperator
_DEQUANTIZE_INT8 = 2  # the first version of DEQUANTIZE that takes int8
_AFTER_DENSE = {  # to the answer
    _OPS.ADD,
    _OPS.DEQUANTIZE,
    _OPS.DIV,
    _OPS.LOGISTIC,
    _OPS.MUL,
    _OPS.QUANTIZE,
    _OPS.RESHAPE,
    _OPS.SOFTMAX,
    _OPS.SUM,
}


def with_embedding(data: bytes) -> bytes:
    """A copy of a converted network with the output, whatever the precision of its weights.

    Args:
        data: a TFLite file, without anything behind its flatbuffer.

    Returns:
        The same bytes if it has the output, or can't because it doesn't end with dense layers.
    """
    model = unpack(data)
    graph = model.subgraphs[0]
    if len(graph.outputs) > 1:
        return data
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    last: list[int] = []  # the inputs of the last dense layers
    waiting = [graph.outputs[0]]
    while waiting:
        operator = makers.get(waiting.pop())
        if operator is None:  # a weight
            continue
        kind = _kind(model, operator)
        if kind == _OPS.FULLY_CONNECTED:
            last.append(int(operator.inputs[0]))
        elif kind in _AFTER_DENSE:
            waiting += reversed(operator.inputs)
        else:
            return data
    if not last:
        return data
    parts = [_float32(model, index) for index in dict.fromkeys(last)]
    (embedding,) = parts if len(parts) == 1 else (_concatenated(model, parts),)
    graph.tensors[embedding].name = EMBEDDING
    graph.outputs = [*graph.outputs, embedding]
    for signature in model.signatureDefs or ():
        mapped = schema.TensorMapT()
        mapped.name, mapped.tensorIndex = EMBEDDING, embedding
        signature.outputs.append(mapped)
    return pack(model)


def _kind(model: schema.ModelT, operator: schema.OperatorT) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _float32(model: schema.ModelT, index: int) -> int:
    """The tensor, or what it is in float32."""
    tensor = model.subgraphs[0].tensors[index]
    if tensor.type == schema.TensorType.FLOAT32:
        return index
    return _output_of(model, _OPS.DEQUANTIZE, _DEQUANTIZE_INT8, [index], int(tensor.shape[-1]))


def _concatenated(model: schema.ModelT, parts: list[int]) -> int:
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    units = sum(int(model.subgraphs[0].tensors[index].shape[-1]) for index in parts)
    return _output_of(model, _OPS.CONCATENATION, 1, parts, units, options)


def _output_of(
    model: schema.ModelT,
    kind: int,
    version: int,
    inputs: list[int],
    units: int,
    options: schema.ConcatenationOptionsT | None = None,
) -> int:
    """Adds an operator at the end; the index of its output, (1, units) float32."""
    graph = model.subgraphs[0]
    code, operator, tensor = schema.OperatorCodeT(), schema.OperatorT(), schema.TensorT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = version
    tensor.shape, tensor.type, tensor.buffer = [1, units], schema.TensorType.FLOAT32, EMPTY
    operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes), inputs, [len(graph.tensors)]
    if options is not None:
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.ConcatenationOptions, options
    model.operatorCodes.append(code)
    graph.operators.append(operator)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
