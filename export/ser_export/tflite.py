"""Keras to TFLite with builtin operators only, in a process of its own: converters have been seen to crash.

A saved model with a signature of batch 1 is the one way that works for all recurrent layers: any dynamic batch fails to
convert, and conversion from concrete functions succeeds and then answers NaN.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_export.gates import ExportError

__all__ = ["compact", "convert", "operators"]

_EMPTY = 0  # the buffer without content, by TFLite's convention
_LARGE = 1024  # bytes; below it the operator that makes the zeros costs more than it saves


def convert(keras_file: Path, target: Path, precision: str, representative: npt.NDArray[np.float32]) -> None:
    """Writes a TFLite file.

    Args:
        keras_file: the network.
        target: the file to write.
        precision: one of gates.LIMITS.
        representative: (n, frames, coefficients) normalised, from which "int8-full" learns the range of each tensor.

    Raises:
        ExportError: the converter failed or crashed; the message has its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/representative.npy", representative)
        command = [
            sys.executable,
            "-m",
            "ser_export.tflite",
            keras_file,
            target,
            precision,
            f"{folder}/representative.npy",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise ExportError(f"the TFLite converter crashed (signal {-done.returncode})")
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise ExportError(f"the TFLite converter failed (exit {done.returncode}): {said[-1].strip()}")
    target.write_bytes(compact(target.read_bytes()))


def compact(data: bytes) -> bytes:
    """Leaves out of a TFLite file what the runtime can do without: a fifth of a small int8 network.

    Inner tensors lose their names and what isn't known of their quantisation, tensors without content share the empty
    buffer, and buffers of zeros (what a loop writes its outputs into) are filled when the network runs instead of being
    stored.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    main = model.subgraphs[0]
    kept = {*main.inputs, *main.outputs}
    for graph in model.subgraphs:
        for index, tensor in enumerate(graph.tensors):
            if graph is not main or index not in kept:
                tensor.name = None
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    for index, tensor in enumerate(main.tensors):
        stored = model.buffers[tensor.buffer].data
        is_float = tensor.type == schema.TensorType.FLOAT32
        if is_float and stored is not None and len(stored) > _LARGE and not np.any(stored):
            main.operators.insert(0, _fill(model, index))
            tensor.buffer = _EMPTY
    places, buffers = {_EMPTY: _EMPTY}, [model.buffers[_EMPTY]]
    for owner in (*model.metadata, *(tensor for graph in model.subgraphs for tensor in graph.tensors)):
        if owner.buffer not in places:
            stored = model.buffers[owner.buffer]
            places[owner.buffer] = len(buffers) if stored.data is not None else _EMPTY
            buffers += [stored] if stored.data is not None else []
        owner.buffer = places[owner.buffer]
    model.buffers = buffers
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _fill(model: schema.ModelT, target: int) -> schema.OperatorT:
    """An operator that makes the zeros of a tensor of the main graph."""
    main = model.subgraphs[0]
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes)
    operator.inputs = [
        _constant(model, np.array(main.tensors[target].shape, np.int32), schema.TensorType.INT32),
        _constant(model, np.zeros((), np.float32), schema.TensorType.FLOAT32),
    ]
    operator.outputs = [target]
    operator.builtinOptionsType = schema.BuiltinOptions.FillOptions
    operator.builtinOptions = schema.FillOptionsT()
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FILL
    model.operatorCodes.append(code)
    return operator


def _constant(model: schema.ModelT, value: npt.NDArray[np.generic], kind: int) -> int:
    """Stores a value as a tensor of the main graph; returns the tensor's index."""
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    tensor.buffer, tensor.shape, tensor.type = len(model.buffers), np.array(value.shape, np.int32), kind
    model.buffers.append(buffer)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def operators(data: bytes) -> dict[str, int]:
    """Name and version of each operator a TFLite file uses; an operator that isn't builtin has version 0."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data)).operatorCodes
    return {
        **{names[max(c.builtinCode, c.deprecatedBuiltinCode)]: c.version for c in codes if not c.customCode},
        **{c.customCode.decode(): 0 for c in codes if c.customCode},
    }


def _convert_here(keras_file: str, target: str, precision: str, representative: str) -> None:
    import keras
    import tensorflow as tf

    model = keras.models.load_model(keras_file, compile=False)
    signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="features")]
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", input_signature=signature, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]  # int8 weights, float32 arithmetic
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8-per-tensor":
            # A scale a row needs FULLY_CONNECTED version 12, which tflite-runtime 2.14 doesn't have.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        if precision == "int8-full":
            converter.representative_dataset = lambda: ([item[None]] for item in np.load(representative))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    _convert_here(*sys.argv[1:])
