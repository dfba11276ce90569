"""One run becomes one model file: converted, described, proven, and only then given its name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from ser_edge.features.frontend import FrontEnd
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import apply_temperature
from ser_edge.models.tolerances import TOLERANCES
from ser_export.embed_metadata import describe_onnx, describe_tflite
from ser_export.from_keras.run import Run
from ser_export.to_onnx import graph as onnx_graph
from ser_export.to_onnx.quantize import ONNX_PRECISIONS
from ser_export.to_tflite import convert as tflite
from ser_export.verification.operators import check_operators
from ser_export.verification.verify import LIMITS, ExportError, Proof, check, gate_inputs

__all__ = ["FORMATS", "export"]

_REPRESENTATIVE = 100  # utterances that aren't the test's, from which full integers learn their ranges
_LESS_LOSS = {"float16": "float32", "int8": "float16", "int8-per-tensor": "float16", "int8-full": "int8"}
_OTHERS = {".onnx": "tflite", ".tflite": "onnx"}
_RELOADED = TOLERANCES[".onnx", "float32"].kernels  # the run may come from another machine


def export(run: Run, target: Path, precision: str = "float32") -> Proof:
    """Writes a model file in the format its suffix names.

    Args:
        run: the network, and the answers to check against.
        target: ends in one of FORMATS.
        precision: one of gates.LIMITS, of the stored weights.

    Raises:
        ExportError: the network can't be converted, or the run directory doesn't hold together.
        GateError: the file doesn't answer as Keras does; nothing is written under `target`.
    """
    metadata = replace(run.metadata, precision=precision)
    features = gate_inputs(run.features, FrontEnd(metadata.features))
    expected = run.model.predict(metadata.inputs(features), batch_size=256, verbose=0)
    if np.abs(expected[: len(run.features)] - run.probabilities).max() > _RELOADED:
        raise ExportError(f"{run.path}: model.keras doesn't give the answers stored beside it; train it again")
    if metadata.temperature != 1.0:  # the file's answers are calibrated, so Keras's must be
        expected = apply_temperature(expected, metadata.temperature)
    target.parent.mkdir(parents=True, exist_ok=True)
    unproven = target.with_name(f".unproven-{target.name}")
    try:
        FORMATS[target.suffix](run, metadata, unproven)
        check_operators(unproven, precision)
        limits = LIMITS[precision]
        proof = check(unproven, features, expected, metadata.labels, run.labels, run.test, limits)
        unproven.replace(target)
    except ExportError as e:
        raise type(e)(f"{target}: not written: {e}; try {_instead(target.suffix, precision)}") from e
    finally:
        unproven.unlink(missing_ok=True)
    return proof


def _instead(suffix: str, precision: str) -> str:
    """What to type where a file was refused: weights that lose less, or the other format."""
    return f"--precision {_LESS_LOSS[precision]}" if precision in _LESS_LOSS else f"--format {_OTHERS[suffix]}"


def _onnx(run: Run, metadata: ModelMetadata, path: Path) -> None:
    model = ONNX_PRECISIONS[metadata.precision](onnx_graph.build(run.model))
    describe_onnx(model, metadata)
    onnx.save_model(model, path)


def _tflite(run: Run, metadata: ModelMetadata, path: Path) -> None:
    others = metadata.inputs(run.features[~run.test][:_REPRESENTATIVE])
    tflite.convert(run.path / "model.keras", path, metadata.precision, others)
    describe_tflite(path, metadata)


FORMATS: dict[str, Callable[[Run, ModelMetadata, Path], None]] = {".onnx": _onnx, ".tflite": _tflite}
