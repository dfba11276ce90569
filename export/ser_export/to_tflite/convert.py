"""Converts Keras networks to TFLite with builtin operators only, in a subprocess because the converter can crash.

It is given a saved model with a signature of batch 1, which works for all recurrent layers: with a dynamic batch the
conversion fails, and from concrete functions it succeeds but the file answers NaN.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser_export.errors import ExportError
from ser_export.to_tflite.embedding import with_embedding
from ser_export.to_tflite.flatbuffer import compact, set_default_length


def convert(
    keras_file: Path,
    target: Path,
    precision: str,
    representative: npt.NDArray[np.float32],
    free_length: bool = False,
) -> None:
    """Writes a TFLite file.

    Args:
        keras_file: the network.
        target: the file to write.
        precision: of the weights, one of `verify.PRECISIONS`.
        representative: (n, frames, coefficients) normalised, which calibrate the range of each tensor for "int8-full".
        free_length: whether the file takes any number of frames; the network's own is the default. Never for
            "int8-full", whose recurrent layers are unrolled.

    Raises:
        ExportError: the converter failed or crashed; the message has its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/representative.npy", representative)
        # -P: or a random.py in the current folder would be imported in place of Python's.
        command = [sys.executable, "-P", "-m", "ser_export.to_tflite.convert"]
        command += [str(keras_file), str(target), precision, f"{folder}/representative.npy"]
        command += ["free_length"] if free_length else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise ExportError(f"the TFLite converter crashed (signal {-done.returncode})", code="export-converter-failed")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ExportError(
            f"the TFLite converter failed (exit code {done.returncode}): {lines[-1].strip()}",
            code="export-converter-failed",
        )
    target.write_bytes(with_embedding(compact(target.read_bytes())))


def convert_here(keras_file: str, target: str, precision: str, representative: str, free_length: str = "") -> None:
    """Writes the converter's file, in this process; arguments as for `convert`, `representative` a NumPy file."""
    import keras
    import tensorflow as tf

    from ser_export.to_tflite.operations import run_network
    from ser_export.to_tflite.quantize import convert_module

    model = keras.models.load_model(keras_file, compile=False)
    _, frames, coefficients = model.input_shape
    unrolled, one_scale = precision == "int8-full", precision == "int8-per-tensor"
    length = None if free_length and not unrolled else frames
    signature = [tf.TensorSpec((1, length, coefficients), tf.float32, name="features")]
    network = tf.Module()
    network.weights = [weight.value for weight in model.weights]  # a saved model stores the attributes of the module
    network.call = tf.function(
        partial(run_network, model, unrolled=unrolled, one_scale=one_scale), signature, autograph=False
    )
    content = convert_module(network, precision, representative)
    Path(target).write_bytes(content if length else set_default_length(content, frames))


if __name__ == "__main__":
    convert_here(*sys.argv[1:])
