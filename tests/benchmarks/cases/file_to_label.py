"""From a path to a label, in one process that has everything open: CPU time of a file, one thread.

The notebook hears a file's first three seconds; ser-edge hears all of it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from harness.case import Settings, Table, main
from harness.models import MODEL_FILES
from harness.timing import in_turn
from peers.notebook import features, network

from ser_edge import Recognizer, WindowConfig

FILES = 60
FEW = 6  # times fewer files for what takes a second a file
PREDICT = "librosa, keras.Model.predict per file"
EAGER = "librosa, model(x, training=False) per file"


def measure(settings: Settings) -> list[Table]:
    """One table."""
    paths = settings.some_files(FILES)
    few = paths[::FEW]
    model = network("GRU")
    compiled = tf.function(lambda x: model(x, training=False))

    def batched() -> None:
        model.predict(np.stack([features(path) for path in paths]), verbose=0).argmax(axis=1)

    per_file: dict[str, Callable[[Path], Any]] = {
        PREDICT: lambda path: model.predict(features(path)[None], verbose=0).argmax(),
        EAGER: lambda path: np.argmax(model(features(path)[None], training=False)),
        "librosa, tf.function of model(x) per file": lambda path: np.argmax(compiled(features(path)[None])),
    }
    no_gate = WindowConfig(min_speech_ratio=None)
    ours: dict[str, Callable[[Path], Any]] = {
        **{f"ser-edge, {file}": Recognizer(file).predict for file in MODEL_FILES},
        "ser-edge, small.tflite, --no-gate": Recognizer("small.tflite", windowing=no_gate).predict,
    }
    for label in (*per_file.values(), *ours.values()):
        label(paths[0])  # what is loaded and compiled at the first call isn't counted
    batched()
    sides: dict[str, Callable[[], None]] = {
        **{name: partial(_each, label, few if name == EAGER else paths) for name, label in per_file.items()},
        "librosa, one keras.Model.predict for all": batched,
        **{name: partial(_each, label, paths) for name, label in ours.items()},
    }
    figures = in_turn(sides, settings.rounds, items=len(paths), warm=False)
    for key in ("cpu", "wall"):
        figures[EAGER][key] *= len(paths) / len(few)
    title = f"From path to label, everything open, one thread, time for each of {len(paths)} WAV files"
    notes = [
        "The notebook uses three seconds with its GRU, ser-edge the whole file with its own networks.",
        f"`model(x)` steps through the frames in Python; it was asked for {len(few)} of the files only.",
    ]
    return [Table("files", title, PREDICT, "cpu", figures, notes)]


def _each(label: Callable[[Path], Any], paths: Sequence[Path]) -> None:
    for path in paths:
        label(path)


if __name__ == "__main__":
    main(measure)
