"""A Keras network in the formats of other converters and of ser_export, each as a function of one input.

The TFLite converter runs as a separate process, as it has been seen to crash:
python -m peers.converted NETWORK TARGET
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["in_interpreter", "in_onnxruntime", "plain_tflite", "tf2onnx_graph"]

Array = npt.NDArray[np.float32]
Answer = Callable[[Array], Array]


def tf2onnx_graph(model: Any) -> bytes:
    """What tf2onnx makes of a Keras 3 model; its `from_keras` fails with these."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="features")]
    call = tf.function(lambda features: model(features, training=False))
    graph, _ = tf2onnx.convert.from_function(call, input_signature=signature, opset=17)
    serialized: bytes = graph.SerializeToString()
    return serialized


def plain_tflite(network: Path, target: Path) -> None:
    """What TensorFlow's converter makes of a Keras model: a saved model of batch 1, builtin operators."""
    command = [sys.executable, "-m", "peers.converted", str(network), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the TFLite converter failed: {(done.stderr.splitlines() or ['it crashed'])[-1]}")


def in_onnxruntime(graph: bytes) -> Answer:
    """An ONNX graph with one input, in ONNX Runtime on one thread."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda item: session.run(None, {name: item})[0]


def in_interpreter(path: Path, make: Callable[..., Any]) -> Answer:
    """A TFLite file in `tf.lite.Interpreter` or LiteRT's, on one thread."""
    interpreter = make(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, answered = (
        details()[0]["index"] for details in (interpreter.get_input_details, interpreter.get_output_details)
    )

    def answer(item: Array) -> Array:
        interpreter.set_tensor(given, item)
        interpreter.invoke()
        result: Array = interpreter.get_tensor(answered)
        return result

    return answer


def _convert_here(network: str, target: str) -> None:
    import keras
    import tensorflow as tf

    model = keras.models.load_model(network, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, input_signature=[keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")])
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    _convert_here(*sys.argv[1:])
