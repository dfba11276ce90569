"""Writes the description into a model file, where ordinary tools still open it.

ONNX has a place for it, `metadata_props`. For TFLite it is an associated file, appended as TFLite Metadata does: a zip
behind the flatbuffer, whose readers never look so far.
"""

import json
import zipfile
from pathlib import Path

import onnx

from ser_edge.models.metadata import FILE_NAME, KEY, ModelMetadata

__all__ = ["describe_onnx", "describe_tflite"]


def describe_onnx(model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    """Adds the description to a model in memory."""
    onnx.helper.set_model_props(model, {KEY: _packed(metadata)})


def describe_tflite(path: Path, metadata: ModelMetadata) -> None:
    """Appends the description to a file. The same description gives the same bytes: the zip carries no clock."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILE_NAME), _packed(metadata))


def _packed(metadata: ModelMetadata) -> str:
    """The same JSON without what only people need."""
    return json.dumps(json.loads(metadata.to_json()), separators=(",", ":"))
