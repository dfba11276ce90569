"""Exports a model file as one that takes samples, for programs without ser-edge; needs no TensorFlow.

It has the operators of the model file, its weights and its metadata, and those of the front-end around them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ser_edge.audio.sound import Samples
from ser_edge.models.bundled.names import ALIASES, BUNDLED
from ser_edge.models.loader import open_model
from ser_edge.models.tolerances import tolerance
from ser_export.embed_metadata import embed_onnx
from ser_export.errors import ExportError
from ser_export.to_onnx.embedding import add_embedding
from ser_export.to_onnx.waveform.graph import with_waveform
from ser_export.verification.operators import check_operators
from ser_export.verification.unverified_file import unverified_file
from ser_export.verification.waveform import WaveformReport, verify_waveform

SUFFIX = ".wave.onnx"
Predict = Callable[[Samples], npt.NDArray[np.float32]]


def bundled_or_file(source: Path) -> Path:
    """The .onnx file of a bundled model that is named, or the path itself."""
    network = ALIASES.get(str(source), str(source))
    bundled = BUNDLED / f"{network}.onnx"
    return bundled if network in ALIASES.values() and not source.exists() else source


def export_waveform(
    source: Path, target: Path, reference: Predict | None = None, name: str | None = None
) -> WaveformReport:
    """Writes a file that takes samples, and answers as the model file does.

    Args:
        source: an .onnx file of ser-export.
        target: the file to write.
        reference: the answers of Keras to samples without a DC offset, to compare with as well.
        name: of the model in the new file; None keeps it.

    Raises:
        ExportError: the model file can't be converted.
        ModelError: it can't be used.
        VerificationError: the new file answers otherwise; nothing is written.
    """
    model = open_model(source)
    if model.path.suffix != ".onnx":
        raise ExportError(f"{source}: not an .onnx file, which is needed", code="export-unsupported-layer")
    network = onnx.load(model.path)
    if network.graph.input[0].type.tensor_type.shape.dim[1].dim_value:
        raise ExportError(f"{source}: takes one length only; make it with ser-export", code="export-unsupported-layer")
    add_embedding(network)
    if name:
        embed_onnx(network, replace(model.metadata, name=name))
    made = with_waveform(network, model.metadata)
    bounds = tolerance(".onnx", model.metadata.precision)
    config = model.metadata.features
    try:
        with unverified_file(target) as file:
            file.write_bytes(made.SerializeToString(deterministic=True))
            check_operators(file, model.metadata.precision)
            report = verify_waveform(file, model.predict_proba, config, bounds.inputs)
            if reference is not None:
                verify_waveform(file, reference, config, bounds.keras)
            return report
    except ExportError as e:
        raise type(e)(f"{target}: not written: {e}; report it, with the model file", code=e.code) from e
