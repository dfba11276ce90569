"""Keras to TFLite with builtin operators only, in a process of its own: converters have been seen to crash.

A saved model with a signature of batch 1 is the one way that works for all recurrent layers: any dynamic batch fails to
convert, and conversion from concrete functions succeeds and then answers NaN.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ser_export.verification.verify import ExportError

__all__ = ["compact", "convert", "operators"]

_EMPTY = 0  # the buffer without content, by TFLite's convention


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
            "ser_export.to_tflite.convert",
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

    Inner tensors lose their names and what isn't known of their quantisation, and tensors without content share the
    empty buffer.
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


def operators(data: bytes) -> dict[str, int]:
    """Name and newest version of each operator a TFLite file uses; an operator that isn't builtin has version 0."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    versions: dict[str, int] = {}
    for code in schema.ModelT.InitFromObj(schema.Model.GetRootAs(data)).operatorCodes:
        custom = code.customCode.decode() if code.customCode else None
        name = custom or names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        versions[name] = max(versions.get(name, 0), 0 if custom else code.version)
    return versions


def _convert_here(keras_file: str, target: str, precision: str, representative: str) -> None:
    import keras
    import tensorflow as tf

    from ser_export.to_tflite.recurrent import answer

    model = keras.models.load_model(keras_file, compile=False)
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="features")]
    network = tf.Module()
    network.weights = [weight.value for weight in model.weights]  # a saved model holds what a module holds
    network.call = tf.function(partial(answer, model, unrolled=precision == "int8-full"), signature, autograph=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(network, folder, signatures=network.call.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]  # int8 weights; LiteRT rounds what they meet
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
