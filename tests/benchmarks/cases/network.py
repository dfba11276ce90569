"""One inference of the notebook's GRU, by whatever can run it: batch 1, one thread, features in memory.

Every side answers the same random input, and is compared with Keras before it is timed. The floor is what the
network's multiply-adds alone cost here (`floor`).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ai_edge_litert.interpreter
import numpy as np
import tensorflow as tf
from harness.case import Settings, Table, main
from harness.timing import Figures, in_turn
from peers import converted
from peers.floor import floor
from peers.notebook import SHAPE, network
from peers.numpy_gru import NumpyGRU

from ser_export.to_onnx.graph import build_graph
from ser_export.to_onnx.quantization.quantize import ONNX_PRECISIONS
from ser_export.to_tflite.convert import convert

TURNS, CALLS = 12, 3  # for a round
PREDICT = "keras.Model.predict"
EXACT, INT8 = 1e-4, 0.1  # difference of a probability that a side may have


def measure(settings: Settings) -> list[Table]:
    """One table; the floor is a row of it."""
    model = network("GRU")
    item = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    expected = model.predict(item, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        makers = _makers(model, Path(folder))
        sides: dict[str, Callable[[], Any]] = {}
        rows: dict[str, Figures | str] = {}
        differences = {}
        for name, make in makers.items():
            try:
                answer = make()
                differences[name] = float(np.abs(np.asarray(answer(item)) - expected).max())
            except Exception as e:  # a converter's: theirs are not public
                rows[name] = f"can't run here: {(str(e).splitlines() or [repr(e)])[0]}"
                continue
            if differences[name] > (INT8 if "int8" in name else EXACT):
                rows[name] = f"answers otherwise than Keras, by {differences[name]:.2g}"
                continue
            sides[name] = partial(answer, item)
        measured = in_turn(sides, TURNS * settings.rounds, CALLS)
    least = floor()
    for name, figures in measured.items():
        rows[name] = figures | {"difference": differences[name], "floors": figures["cpu"] / least.seconds}
    ordered: dict[str, Figures | str] = {name: rows[name] for name in makers}
    ordered["the arithmetic floor"] = {"cpu": least.seconds, "floors": 1.0}
    title = "One inference of the notebook's GRU (94 x 40, untrained), batch 1, one thread"
    notes = [
        (
            f"The floor: {least.multiply_adds / 1e6:.1f} million multiply-adds, the recurrent ones at the best speed "
            "that NumPy's BLAS reaches in a matrix-vector product with the weights in the cache "
            f"({least.vector_rate / 1e9:.1f} GMAC/s for 128 x 384), the projections at that of a product of matrices "
            f"({least.matrix_rate / 1e9:.0f} GMAC/s). Activations come on top."
        ),
        "`tf.lite` has TensorFlow's own conversion, tf2onnx `from_function` with a free batch; ours are ser-export's.",
    ]
    return [Table("gru", title, PREDICT, "cpu", ordered, notes)]


def _makers(model: Any, folder: Path) -> dict[str, Callable[[], Callable[[Any], Any]]]:
    """What makes each side."""
    saved = folder / "gru.keras"
    model.save(saved)

    def tf_lite() -> converted.Answer:
        converted.plain_tflite(saved, folder / "plain.tflite")
        return converted.in_interpreter(folder / "plain.tflite", tf.lite.Interpreter)

    def litert(precision: str) -> converted.Answer:
        path = folder / f"{precision}.tflite"
        convert(saved, path, precision, np.zeros((1, *SHAPE), np.float32))
        return converted.in_interpreter(path, ai_edge_litert.interpreter.Interpreter)

    def ours(precision: str) -> converted.Answer:
        graph = ONNX_PRECISIONS[precision](build_graph(model))
        return converted.in_onnxruntime(graph.SerializeToString())

    compiled = tf.function(lambda item: model(item, training=False))
    return {
        PREDICT: lambda: lambda item: model.predict(item, verbose=0),
        "model(x, training=False)": lambda: lambda item: model(item, training=False).numpy(),
        "tf.function of model(x)": lambda: lambda item: compiled(item).numpy(),
        "plain NumPy": lambda: NumpyGRU(model),
        "tf.lite, float32": tf_lite,
        "tf2onnx in ONNX Runtime, float32": lambda: converted.in_onnxruntime(converted.tf2onnx_graph(model)),
        "ser-export in ONNX Runtime, float32": lambda: ours("float32"),
        "ser-export in ONNX Runtime, int8": lambda: ours("int8"),
        "ser-export in LiteRT, float32": lambda: litert("float32"),
        "ser-export in LiteRT, int8": lambda: litert("int8"),
    }


if __name__ == "__main__":
    main(measure)
