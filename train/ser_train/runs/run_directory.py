"""The run directory: what a training writes, and all that `ser_export` needs.

    runs/gru-speaker-fold0-seed0/
    ├── model.keras        the network with its final weights, without optimizer state
    ├── description.json   `ModelMetadata`, which model files will carry
    ├── run.json           settings, recipe, metrics, versions
    ├── history.json       loss and accuracy of each epoch
    ├── answers.npz        features, labels, names, Keras's probabilities, and which are the test's
    ├── report.txt         scikit-learn's classification report
    ├── confusion.png, curves.png
    ├── conditions*.json, .npz  written by `ser-train robustness`
    └── checkpoint/        only while it trains: where a killed training continues

`run.json` is written before the summary (`report.txt` and the plots): a directory that has one is complete.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser_edge.errors import SerEdgeError
from ser_edge.errors.placeholder_files import START, describe_placeholder
from ser_edge.models.metadata import ModelMetadata
from ser_train.data.atomic import atomic_write, write_text
from ser_train.data.utterance import CorpusError
from ser_train.runs.settings import Settings

if TYPE_CHECKING:
    import keras

ROBUSTNESS = "conditions"  # how the names of its files begin, as in 0.1
SUMMARY_FILES = ("report.txt", "confusion.png", "curves.png")  # for people; made from the rest
DAMAGES = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)  # of a run's files


def network_digest(file: Path) -> str:
    """Digest of a network's file: part of the identity of a training that builds on it."""
    return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()


def damaged(path: Path, error: Exception) -> CorpusError:
    """The error that a run's file caused, in one line."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())  # some are several lines
    return CorpusError(f"{path}: a damaged run ({reason}); train it again", code="run-damaged")


@dataclass(frozen=True)
class Answers:
    """Keras's answers, for the verification of exported files and for figures; a row an utterance."""

    features: npt.NDArray[np.float32]  # (n, frames, coefficients), not normalised
    labels: npt.NDArray[np.int64]  # (n,), places in the metadata's labels
    names: npt.NDArray[np.str_]  # (n,), file names without suffix
    actors: npt.NDArray[np.int64] | npt.NDArray[np.str_]  # (n,), numbers of RAVDESS's, names in custom corpora
    probabilities: npt.NDArray[np.float32]  # (n, labels)
    test: npt.NDArray[np.bool_]  # (n,), True for the test set; the others only verify exported files

    def of_test(self) -> "Answers":
        """Only the test's rows."""
        return self.of(self.test)

    def of(self, rows: npt.NDArray[np.bool_]) -> "Answers":
        """Only some rows."""
        return Answers(**{name: array[rows] for name, array in self.__dict__.items()})


@dataclass(frozen=True)
class RunDirectory:
    """Paths and readers of one run."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the training has ended and everything is written."""
        return (self.path / "run.json").exists()

    @property
    def whole(self) -> bool:
        """Whether the run is finished and undamaged."""
        try:
            return bool(self.settings and self.metadata and self.answers) and zipfile.is_zipfile(
                self.path / "model.keras"
            )
        except SerEdgeError:
            return False

    @property
    def checkpoint(self) -> Path:
        """Folder of the state of a training in progress."""
        return self.path / "checkpoint"

    @property
    def digest(self) -> str:
        """`network_digest` of a finished run's network."""
        return network_digest(self.path / "model.keras")

    @property
    def settings(self) -> Settings:
        """Settings of a finished run; raises CorpusError if they can't be read."""
        facts = self.read("run.json")
        try:
            return Settings.of(facts["settings"])
        except DAMAGES as e:
            raise damaged(self.path, e) from e

    @property
    def own_speakers(self) -> frozenset[str] | None:
        """Speakers of own recordings that a finished run was trained on; None if an older ser-train trained it."""
        speakers = self.read("run.json").get("own_speakers")
        return None if speakers is None else frozenset(speakers)

    @property
    def metadata(self) -> ModelMetadata:
        """Of a finished run; raises SerEdgeError if it can't be read."""
        path = self.path / "description.json"
        try:
            text = path.read_text("utf-8")
        except DAMAGES as e:
            raise damaged(self.path, e) from e
        return ModelMetadata.from_json(text, str(path))

    @property
    def answers(self) -> Answers:
        """Of a finished run; raises CorpusError if they can't be read."""
        try:
            with (self.path / "answers.npz").open("rb") as file:  # closed if it is damaged, too
                if placeholder := describe_placeholder(file.read(START)):
                    raise ValueError(f"answers.npz is {placeholder}")
                file.seek(0)
                with np.load(file) as arrays:
                    return Answers(**arrays)
        except DAMAGES as e:
            raise damaged(self.path, e) from e

    def load_network(self) -> "keras.Model":
        """The network of a finished run, after `keras_backend.load`; raises CorpusError if it can't be read."""
        import keras  # here: it takes seconds, and most readers of a run need its figures alone

        try:
            return keras.models.load_model(self.path / "model.keras", compile=False)
        except DAMAGES as e:
            raise damaged(self.path, e) from e

    def read(self, name: str) -> Any:
        """Reads a JSON file of this run; raises CorpusError if it can't be read."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except DAMAGES as e:
            raise damaged(self.path, e) from e

    def write(self, name: str, data: Any) -> None:
        """Writes data as JSON, or a string as it is, atomically."""
        text = data if isinstance(data, str) else json.dumps(data, indent=1, allow_nan=False)
        write_text(self.path / name, text)

    def write_answers(self, answers: Answers) -> None:
        """Writes the arrays, compressed, atomically."""
        with atomic_write(self.path / "answers.npz") as unfinished:
            np.savez_compressed(unfinished, **asdict(answers))
