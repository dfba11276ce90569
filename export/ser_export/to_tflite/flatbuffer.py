"""Edits TFLite files after their conversion: each function takes a file's bytes and returns new ones."""

from collections.abc import Collection

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

EMPTY = 0  # index of the buffer without content, by TFLite's convention
_DEQUANTIZE_FLOAT16 = 3  # the first version of DEQUANTIZE that takes float16


def compact(data: bytes) -> bytes:
    """Removes what the runtime doesn't need, which is a fifth of a small int8 network.

    Inner tensors lose their names and empty quantisation parameters, and tensors without content share one buffer.
    """
    model = unpack(data)
    main = model.subgraphs[0]
    interface = {*main.inputs, *main.outputs}
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            if graph is not main or index not in interface:
                tensor.name = None
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    indices, buffers = {EMPTY: EMPTY}, [model.buffers[EMPTY]]
    for owner in (*model.metadata, *(tensor for graph in model.subgraphs for tensor in graph.tensors)):
        if owner.buffer not in indices:
            stored = model.buffers[owner.buffer]
            indices[owner.buffer] = len(buffers) if stored.data is not None else EMPTY
            buffers += [stored] if stored.data is not None else []
        owner.buffer = indices[owner.buffer]
    model.buffers = buffers
    return pack(model)


def set_default_length(data: bytes, frames: int) -> bytes:
    """Gives an input of a free number of frames this one, for readers that don't resize it; the converter writes 1."""
    model = unpack(data)
    main = model.subgraphs[0]
    (features,) = (main.tensors[index] for index in main.inputs)
    features.shape = [features.shape[0], frames, *features.shape[2:]]  # `shapeSignature` keeps its -1
    return pack(model)


def name_tensors(data: bytes, description: str) -> bytes:
    """Gives inputs and outputs the signature's names instead of the converter's own, and the model a description."""
    model = unpack(data)
    (signature,) = model.signatureDefs
    for tensor in (*signature.inputs, *signature.outputs):
        model.subgraphs[0].tensors[tensor.tensorIndex].name = tensor.name
    model.description = description
    return pack(model)


def to_float16(data: bytes, min_size: int, exact: Collection[tuple[int, ...]] = ()) -> bytes:
    """Stores float32 tensors as float16; the runtime widens them when it opens the file.

    TFLite's converter would include all biases and constants.

    Args:
        data: a TFLite file with a single graph.
        min_size: values; smaller tensors stay as they are.
        exact: shapes of tensors that stay as they are.
    """
    model = unpack(data)
    (graph,) = model.subgraphs
    widen = schema.OperatorCodeT()
    widen.builtinCode = widen.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    widen.version = _DEQUANTIZE_FLOAT16
    operators = []
    for index, tensor in enumerate(list(graph.tensors)):
        stored = model.buffers[tensor.buffer]
        if tensor.type != schema.TensorType.FLOAT32 or stored.data is None:
            continue
        if np.prod(tensor.shape) < min_size or tuple(tensor.shape) in exact:
            continue
        stored.data = np.frombuffer(bytes(stored.data), "<f4").astype("<f2").view(np.uint8)
        half, operator = schema.TensorT(), schema.OperatorT()
        half.shape, half.type, half.buffer = tensor.shape, schema.TensorType.FLOAT16, tensor.buffer
        tensor.buffer = EMPTY  # it is computed now
        operator.opcodeIndex = len(model.operatorCodes)
        operator.inputs, operator.outputs = [len(graph.tensors)], [index]
        graph.tensors.append(half)
        operators.append(operator)
    model.operatorCodes.append(widen)
    graph.operators = operators + graph.operators
    return pack(model)


def flatbuffer_operators(data: bytes) -> dict[str, int]:
    """Name and newest version of each operator a TFLite file uses; an operator that isn't builtin has version 0."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    versions: dict[str, int] = {}
    for code in unpack(data).operatorCodes:
        custom = code.customCode.decode() if code.customCode else None
        name = custom or names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        versions[name] = max(versions.get(name, 0), 0 if custom else code.version)
    return versions


def unpack(data: bytes) -> schema.ModelT:
    """The parts of a file, which may be edited."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))


def pack(model: schema.ModelT) -> bytes:
    """A file of these parts."""
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
