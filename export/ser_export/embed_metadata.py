"""Writes the metadata into a model file, which ordinary tools still open.

ONNX keeps it in `metadata_props`. For TFLite it is an associated file, appended as TFLite Metadata does: a zip archive
behind the flatbuffer, where readers of flatbuffers don't look.
"""

import json
import zipfile
from pathlib import Path

import onnx

from ser_edge.models.metadata import FILE_NAME, KEY, ModelMetadata


def embed_onnx(model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    """Adds the metadata to a model in memory."""
    onnx.helper.set_model_props(model, {KEY: _compact_json(metadata)})


def embed_tflite(path: Path, metadata: ModelMetadata) -> None:
    """Appends the metadata to a file. The same metadata give the same bytes: the zip has no timestamp."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(FILE_NAME), _compact_json(metadata))


def _compact_json(metadata: ModelMetadata) -> str:
    return json.dumps(json.loads(metadata.to_json()), separators=(",", ":"))
