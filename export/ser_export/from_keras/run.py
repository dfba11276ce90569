"""Reads a finished run directory of ser-train: the network, its metadata, and Keras's answers to compare with."""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.metadata import ModelMetadata
from ser_export.errors import ExportError

_DAMAGES = (
    AttributeError, OSError, EOFError, KeyError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
# Of the arrays in answers.npz; floats and integers may be of another size.
_COLUMNS = {"features": np.float32, "labels": np.int64, "probabilities": np.float32, "test": np.bool_}
_UNSEEN_SPEAKERS = "not_heard"  # key of the metadata's `training`: speakers whose recordings trained nothing


@dataclass(frozen=True)
class Run:
    """The result of a training. Arrays have a row for each utterance."""

    path: Path
    model: keras.Model
    metadata: ModelMetadata
    features: npt.NDArray[np.float32]  # (n, frames, coefficients), not normalised
    labels: npt.NDArray[np.int64]  # (n,)
    probabilities: npt.NDArray[np.float32]  # (n, labels), Keras's answers after the training
    test: npt.NDArray[np.bool_]  # (n,), where accuracy is measured
    variant: tuple[str, ...] = ()  # settings that were changed, and "distilled" or "tuned"

    @property
    def label(self) -> str:
        """The network's name in tables, as ser-train's."""
        return ", ".join([self.metadata.name, *self.variant])

    @property
    def tested_on_training_speakers(self) -> bool:
        """Whether no speaker was held out, so that accuracy says nothing about new ones."""
        return self.metadata.training.get(_UNSEEN_SPEAKERS) == []


def read_run(path: Path) -> Run:
    """Opens a finished run directory.

    Raises:
        ExportError: not a run directory, or one that isn't finished or whole.
        ModelError: its metadata can't be used.
    """
    if not (path / "run.json").is_file():
        raise ExportError(f"{path}: no finished run; train one with ser-train", code="run-not-found")
    metadata = path / "description.json"
    try:
        for file in (path / "answers.npz", path / "model.keras"):
            with file.open("rb") as opened:
                if reason := describe_placeholder(opened.read(START)):
                    raise ExportError(f"{file}: {reason}", code="run-damaged")
        with (path / "answers.npz").open("rb") as opened, np.load(opened) as arrays:  # closed if it is damaged, too
            columns = {name: arrays[name].astype(dtype, casting="same_kind") for name, dtype in _COLUMNS.items()}
        model = keras.models.load_model(path / "model.keras", compile=False)
        text = metadata.read_text("utf-8")
        variant = _variant(json.loads((path / "run.json").read_text("utf-8"))["settings"])
    except _DAMAGES as e:
        raise _damaged(path, e) from e
    run = Run(path, model, ModelMetadata.from_json(text, str(metadata)), **columns, variant=variant)
    if problem := _mismatch(run):
        raise _damaged(path, problem)
    return run


def _damaged(path: Path, reason: object) -> ExportError:
    return ExportError(f"{path}: the run directory is damaged ({reason}); train it again", code="run-damaged")


def _mismatch(run: Run) -> str:
    """Which of its files don't belong together; "" if all do."""
    count, labels, coefficients = run.labels.size, len(run.metadata.labels), run.metadata.features.coefficients
    frames, others = run.metadata.features.frames, (run.probabilities.shape, run.test.shape)
    if run.features.shape != (count, frames, coefficients) or others != ((count, labels), (count,)):
        return "answers.npz has other utterances, labels or features than it should"
    if run.labels.ndim != 1 or not run.test.any() or not set(run.labels.tolist()) <= set(range(labels)):
        return "answers.npz has no test, or labels that the network doesn't have"
    if run.model.output_shape != (None, labels) or run.model.input_shape != (None, frames, coefficients):
        return "model.keras has other labels or features than description.json"
    return ""


def _variant(settings: dict[str, Any]) -> tuple[str, ...]:
    kinds = {"distilled": settings.get("teachers"), "tuned": settings.get("init")}
    return (*settings.get("changes", ()), *(kind for kind, used in kinds.items() if used))
