"""Exports a run as one model file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import numpy.typing as npt
import onnx
from keras.layers import MultiHeadAttention

from ser_edge.audio.sound import Samples
from ser_edge.features.frontend import FrontEnd
from ser_edge.models.loader import open_model
from ser_edge.models.metadata import ModelMetadata
from ser_edge.models.network import apply_temperature
from ser_edge.models.tolerances import DYNAMIC, TOLERANCES
from ser_export.embed_metadata import embed_onnx, embed_tflite
from ser_export.errors import ExportError
from ser_export.from_keras.run import Run
from ser_export.to_onnx.embedding import add_embedding
from ser_export.to_onnx.graph import build_graph
from ser_export.to_onnx.quantization.input_moments import input_moments
from ser_export.to_onnx.quantization.integer_products import has_integer_products
from ser_export.to_onnx.quantization.quantize import ONNX_PRECISIONS
from ser_export.to_tflite.convert import convert
from ser_export.to_tflite.fitted_rounding import round_weights
from ser_export.verification.operators import check_operators
from ser_export.verification.unverified_file import unverified_file
from ser_export.verification.verify import PRECISIONS, VerificationReport, verification_inputs, verify

_REPRESENTATIVE = 100  # utterances outside the test set, to which int8 is fitted
_LESS_LOSS = {"float16": "float32", "int8": "float16", "int8-per-tensor": "float16", "int8-full": "int8"}
_FORMAT_LACKS = {"export-unsupported-layer", "export-unsupported-precision"}  # whatever the precision of the weights
_OTHER_FORMAT = {".onnx": "tflite", ".tflite": "onnx"}
_RELOADED = TOLERANCES[".onnx", "float32"].kernels  # the run may come from another machine


def export(run: Run, target: Path, precision: str = "float32") -> VerificationReport:
    """Writes a model file in the format of its suffix.

    Args:
        run: the network, and the answers to compare with.
        target: ends in one of FORMATS.
        precision: of the stored weights, one of `verify.PRECISIONS`.

    Raises:
        ExportError: the network can't be converted, or the run directory is inconsistent.
        VerificationError: the file doesn't answer as Keras does; nothing is written under `target`.
    """
    metadata = replace(run.metadata, precision=precision)
    features = verification_inputs(run.features, FrontEnd(metadata.features))
    expected = run.model.predict(metadata.inputs(features), batch_size=256, verbose=0)
    if not np.abs(expected[: len(run.features)] - run.probabilities).max() <= _RELOADED:  # NaN neither
        raise ExportError(
            f"{run.path}: model.keras doesn't give the answers stored beside it; train it again", code="run-damaged"
        )
    if metadata.temperature != 1.0:  # the file's answers are calibrated, so Keras's must be
        expected = apply_temperature(expected, metadata.temperature)
    try:
        with unverified_file(target) as file:
            FORMATS[target.suffix](run, metadata, file)
            check_operators(file, precision)
            tolerances = PRECISIONS[precision]
            return verify(open_model(file), features, expected, metadata.labels, run.labels, run.test, tolerances)
    except ExportError as e:
        message = f"{target}: not written: {e}; try {_alternative(e.code, target.suffix, precision)}"
        raise type(e)(message, code=e.code) from e


def keras_predict_proba(run: Run) -> Callable[[Samples], npt.NDArray[np.float32]]:
    """`Model.predict_proba` with the network in Keras."""
    metadata, front_end = run.metadata, FrontEnd(run.metadata.features)

    def predict(samples: Samples) -> npt.NDArray[np.float32]:
        answers = run.model(metadata.inputs(front_end.windows(samples)), training=False).numpy()
        if metadata.temperature != 1.0:
            answers = apply_temperature(answers, metadata.temperature)
        mean: npt.NDArray[np.float32] = answers.mean(axis=0)
        return mean

    return predict


def _alternative(code: str, suffix: str, precision: str) -> str:
    """The option to try next: weights that lose less, or the other format."""
    if precision in _LESS_LOSS and code not in _FORMAT_LACKS:
        return f"--precision {_LESS_LOSS[precision]}"
    return f"--format {_OTHER_FORMAT[suffix]}"


def _onnx(run: Run, metadata: ModelMetadata, path: Path) -> None:
    model = ONNX_PRECISIONS[metadata.precision](build_graph(run.model), _representative(run, metadata))
    if has_integer_products(model):
        metadata = replace(metadata, precision=DYNAMIC)
    add_embedding(model)
    embed_onnx(model, metadata)
    onnx.save_model(model, path)


def _tflite(run: Run, metadata: ModelMetadata, path: Path) -> None:
    free_length = metadata.features.trim_db is not None  # such networks mask missing frames
    dynamic = metadata.precision == "int8" and any(isinstance(part, MultiHeadAttention) for part in run.model.layers)
    inputs = _representative(run, metadata)
    with TemporaryDirectory() as folder:
        network = run.path / "model.keras"
        if dynamic:
            model = keras.models.load_model(network, compile=False)
            round_weights(model, input_moments(build_graph(model), inputs))
            network = Path(folder) / "rounded.keras"
            model.save(network)
        convert(network, path, metadata.precision, inputs, free_length)
    embed_tflite(path, replace(metadata, precision=DYNAMIC) if dynamic else metadata)


def _representative(run: Run, metadata: ModelMetadata) -> npt.NDArray[np.float32]:
    """(n, frames, coefficients) normalised, of utterances that aren't tested."""
    return metadata.inputs(run.features[~run.test][:_REPRESENTATIVE])


FORMATS: dict[str, Callable[[Run, ModelMetadata, Path], None]] = {".onnx": _onnx, ".tflite": _tflite}
