"""Keras to TFLite with builtin operators only, in a process of its own: converters have been seen to crash.

A saved model with a signature of batch 1 is the one way that works for all recurrent layers: any dynamic batch fails to
convert, and conversion from concrete functions succeeds and then answers NaN.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from ser_export.gates import ExportError

__all__ = ["convert", "operators"]


def convert(keras_file: Path, target: Path) -> None:
    """Writes `target` from a `.keras` file, in float32.

    Raises:
        ExportError: the converter failed or crashed; the message has its last words.
    """
    command = [sys.executable, "-m", "ser_export.tflite", str(keras_file), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise ExportError(f"{keras_file}: the TFLite converter failed (exit {done.returncode}): {said[-1].strip()}")


def operators(data: bytes) -> dict[str, int]:
    """Name and version of each operator a TFLite file uses; an operator that isn't builtin has version 0."""
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data)).operatorCodes
    return {
        **{names[max(c.builtinCode, c.deprecatedBuiltinCode)]: c.version for c in codes if not c.customCode},
        **{c.customCode.decode(): 0 for c in codes if c.customCode},
    }


def _convert_here(keras_file: str, target: str) -> None:
    import keras
    import tensorflow as tf

    model = keras.models.load_model(keras_file, compile=False)
    signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="features")]
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", input_signature=signature, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    _convert_here(*sys.argv[1:])
