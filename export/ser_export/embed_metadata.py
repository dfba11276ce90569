"""Writes the description into a model file, which ordinary tools still open.

ONNX keeps it in `metadata_props`. For TFLite it is an associated file, appended as TFLite Metadata does: a zip archive
behind the flatbuffer, where readers of flatbuffers don't look.
"""

import json
import zipfile
from pathlib import Path

import onnx

from ser_edge.models.metadata import FILE_NAME, KEY, ModelDescription

__all__ = ["embed_onnx", "embed_tflite"]


def embed_onnx(model: onnx.ModelProto, description: ModelDescription) -> None:
    """Adds the description to a model in memory."""
    onnx.helper.set_model_props(model, {KEY: _compact_json(description)})


def embed_tflite(path: Path, description: ModelDescription) -> None:
    """Appends the description to a file. The same description gives the same bytes: the zip has no timestamp."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILE_NAME), _compact_json(description))


def _compact_json(description: ModelDescription) -> str:
    return json.dumps(json.loads(description.to_json()), separators=(",", ":"))
