"""A run directory, as export reads it: the network, its description, and answers to check against."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.metadata import ModelMetadata
from ser_export.verification.verify import ExportError

__all__ = ["Run", "read_run"]


@dataclass(frozen=True)
class Run:
    """What a training left behind. Arrays have a row an utterance."""

    path: Path
    model: keras.Model
    metadata: ModelMetadata
    features: npt.NDArray[np.float32]  # (n, frames, coefficients), not normalised
    labels: npt.NDArray[np.int64]  # (n,)
    probabilities: npt.NDArray[np.float32]  # (n, labels), what Keras answered when it was trained
    test: npt.NDArray[np.bool_]  # (n,), where accuracy is measured


def read_run(path: Path) -> Run:
    """Opens a finished run directory.

    Raises:
        ExportError: not a run directory, or one whose training isn't finished.
        ModelError: its description can't be used.
    """
    if not (path / "run.json").is_file():
        raise ExportError(f"{path}: no finished run; train one with ser-train")
    metadata = path / "description.json"
    try:
        for file in (path / "answers.npz", path / "model.keras"):
            with file.open("rb") as opened:
                if instead := describe_placeholder(opened.read(START)):
                    raise ExportError(f"{file}: {instead}")
        with np.load(path / "answers.npz") as arrays:
            columns = {name: arrays[name] for name in ("features", "labels", "probabilities", "test")}
        model = keras.models.load_model(path / "model.keras", compile=False)
        text = metadata.read_text("utf-8")
    except (OSError, ValueError, KeyError) as e:
        raise ExportError(f"{path}: a run directory that is damaged ({e}); train it again") from e
    return Run(path, model, ModelMetadata.from_json(text, str(metadata)), **columns)
